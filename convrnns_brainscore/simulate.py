"""Recordings whose truth is known: neurons that read out a network."""

from __future__ import annotations

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet

MEAN_RATES = (10.0, 60.0)
"""The range of the neurons' mean rates, in spikes/s."""


def stimulus_set(identifier: str, stimuli: pd.DataFrame) -> StimulusSet:
    """A Brain-Score stimulus set from a table with ``stimulus_id`` and ``filename`` (paths)."""
    result = StimulusSet(stimuli.drop(columns="filename").reset_index(drop=True))
    result.stimulus_paths = dict(zip(stimuli["stimulus_id"], stimuli["filename"], strict=True))
    result.identifier = identifier
    return result


def simulate_recording(
    activations: NeuroidAssembly,
    stimuli: StimulusSet,
    *,
    neurons: int = 30,
    repetitions: int = 10,
    inputs: int = 32,
    seed: int = 0,
) -> NeuroidAssembly:
    """Poisson neurons that each read out a few units of a network's layer.

    A neuron sums ``inputs`` units, standardised over stimuli and drawn from those that vary, with
    normal weights; the sum, rectified smoothly (softplus), is its rate, scaled to a mean of 10–60
    spikes/s. Counts in each bin are Poisson.

    Parameters
    ----------
    activations : presentation × neuroid × time_bin of the network that is the truth, as its brain
        model's ``look_at`` returns them.
    stimuli : the stimulus set, its rows in the order of the presentations.
    neurons, repetitions, seed : size of the recording and seed of all that is random.
    inputs : units that a neuron reads.

    Returns
    -------
    NeuroidAssembly : presentation (stimuli × repetitions) × neuroid × time_bin, spikes/s, with
        ``stimulus_set`` among its attributes.
    """
    rng = np.random.default_rng(seed)
    features = activations.transpose("presentation", "time_bin", "neuroid").values
    varying = np.flatnonzero(features.std(axis=0).min(axis=0) > 0)
    inputs = min(inputs, len(varying))
    drive = np.empty((*features.shape[:2], neurons))
    for neuron in range(neurons):
        units = features[:, :, rng.choice(varying, inputs, replace=False)]
        units = (units - units.mean(axis=(0, 1))) / units.std(axis=(0, 1))
        drive[:, :, neuron] = units @ rng.standard_normal(inputs) / np.sqrt(inputs)
    rate = np.logaddexp(0, 2 * drive)
    rate *= rng.uniform(*MEAN_RATES, neurons) / rate.mean(axis=(0, 1))

    start = activations["time_bin_start"].values
    end = activations["time_bin_end"].values
    seconds = (end - start)[:, None] / 1000
    counts = rng.poisson(rate * seconds, (repetitions, *rate.shape))
    spikes = np.moveaxis(counts / seconds, 2, 3).reshape(-1, neurons, len(start))
    repetition = np.repeat(np.arange(repetitions), len(rate))
    coords = {
        "repetition": ("presentation", repetition),
        **{
            column: ("presentation", np.tile(stimuli[column].values, repetitions))
            for column in stimuli.columns
        },
        "neuroid_id": ("neuroid", [f"neuron{index}" for index in range(neurons)]),
        "region": ("neuroid", [str(activations["region"].values[0])] * neurons),
        "time_bin_start": ("time_bin", start),
        "time_bin_end": ("time_bin", end),
    }
    recording = NeuroidAssembly(spikes, coords=coords, dims=["presentation", "neuroid", "time_bin"])
    recording.attrs["stimulus_set"] = stimuli
    return recording

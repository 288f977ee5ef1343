"""The second part of the demo: Brain-Score's temporal benchmark on a simulated recording."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision.benchmark_helpers import PrecomputedFeatures
from numpy.typing import NDArray

from convrnns_brainscore.brainscore.activations import identifier_of
from convrnns_brainscore.brainscore.assemblies import in_region, neuroid_assembly, stimulus_set
from convrnns_brainscore.brainscore.packages import neural_benchmark
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.brainscore.scoring import Result, as_record
from convrnns_brainscore.brainscore.simulate import simulate_recording
from convrnns_brainscore.brainscore.summary import summarise
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.demo.setting import (
    METRIC,
    NEURONS,
    PRESENTATION,
    PROJECTED,
    REPETITIONS,
    SCORED,
    region_layer,
)
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.objects92 import Objects92
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.timing import TimeBin


def simulate(
    network: ConvRNN,
    responses: Mapping[str, NDArray[np.float32]],
    bins: Mapping[str, list[TimeBin]],
    objects: Objects92,
    seed: int,
) -> dict[str, NeuroidAssembly]:
    """Region → recording of neurons that read out the ``responses`` of a network.

    Parameters
    ----------
    network : ConvRNN
        The network.
    responses : mapping of str to float32 array
        Region → `geometry.responses`.
    bins : mapping of str to list of (start, end)
        Region → time bins, in ms.
    objects : Objects92
        The stimuli.
    seed : int
        Seed of the recordings.
    """
    stimuli = stimulus_set(f"objects92-{network.name}", objects.stimuli)
    columns = {name: stimuli[name].to_numpy() for name in stimuli.columns}
    made_by = describe(network, PRESENTATION)
    recordings = {}
    for region, values in responses.items():
        layer = region_layer(network, region)
        shapes = {layer: network.output_shape(layer)}
        activations = neuroid_assembly(values, made_by, columns, shapes, bins[region])
        recordings[region] = simulate_recording(
            in_region(activations, region),
            stimuli,
            neurons=NEURONS,
            repetitions=REPETITIONS,
            seed=seed,
        )
    return recordings


def score(
    networks: list[ConvRNN],
    responses: Mapping[str, NDArray[np.float32]],
    bins: list[TimeBin],
    recording: NeuroidAssembly,
    name: str,
) -> list[dict[str, Any]]:
    """Score networks on the recording of the region `setting.SCORED`.

    Parameters
    ----------
    networks : list of ConvRNN
        The networks.
    responses : mapping of str to float32 array
        Network → its `geometry.responses` in that region.
    bins : list of (start, end)
        Time bins, in ms.
    recording : NeuroidAssembly
        Of that region.
    name : str
        Begins the benchmark's identifier.

    Returns
    -------
    list of dict
        The scores' records.
    """
    benchmark = neural_benchmark(name, recording, METRIC)
    stimuli = recording.attrs["stimulus_set"]
    columns = {name: stimuli[name].to_numpy() for name in stimuli.columns}
    records = []
    for network in networks:
        layer, values = region_layer(network, SCORED), responses[network.name]
        project = random_projection(network.name, PROJECTED)
        few = [project({layer: values[..., index]})[layer] for index in range(len(bins))]
        made_by = {
            **describe(network, PRESENTATION),
            "metric": METRIC,
            "max_neuroids": PROJECTED,
        }
        features = neuroid_assembly(
            np.stack(few, axis=2), made_by, columns, {layer: (PROJECTED,)}, bins
        )
        subject = PrecomputedFeatures(in_region(features, SCORED), visual_degrees=VISUAL_DEGREES)
        scored = benchmark(subject)
        result = Result(
            identifier_of(network), f"simulated {SCORED}", summarise(scored, bins), made_by, scored
        )
        records.append(as_record(result))
    return records

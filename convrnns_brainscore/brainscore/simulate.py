"""Recordings whose truth is known: composed photographs, and neurons that read out a network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.objects92 import load_objects92

MEAN_RATES = (10.0, 60.0)
"""The range of the neurons' mean rates, in spikes/s."""

SIZE = 256
"""Width and height of composed photographs, in pixels."""

FIELD = 1
"""How far, in positions of the layer, a neuron reads to each side of its centre."""


def compose_stimuli(folder: Path, count: int = 400, seed: int = 0) -> StimulusSet:
    """Photographs of the 92 objects, varied in position and size, on photographs as backgrounds.

    As in the field's stimulus sets (Majaj et al. 2015), so that features must generalise over
    what does not matter to the object. The backgrounds are the sample photographs of scikit-learn
    and scikit-image.

    Parameters
    ----------
    folder : path
        Where the PNG files are written; it is made.
    count : int, default 400
        Number of stimuli; the six categories (``object_name``) take turns.
    seed : int, default 0
        Seed of all that is random.

    Returns
    -------
    StimulusSet
        ``stimulus_id``, ``object_name``, ``object``, and the object's ``size`` (share of the width)
        and centre ``x``, ``y`` (share of width and height from the upper left).
    """
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    objects = load_objects92().stimuli
    categories = list(objects.groupby("object_name", sort=True))
    backgrounds = _backgrounds()
    rows = []
    for index in range(count):
        name, members = categories[index % len(categories)]
        chosen = members.iloc[rng.integers(len(members))]
        size, x, y = rng.uniform(0.4, 0.9), *rng.uniform(0.3, 0.7, 2)
        scene = _crop(backgrounds[rng.integers(len(backgrounds))], rng)
        cut = _cut_out(Path(chosen["filename"])).resize((round(size * SIZE),) * 2)
        corner = round(x * SIZE) - cut.width // 2, round(y * SIZE) - cut.height // 2
        scene.paste(cut, corner, cut)
        stimulus = f"scene{index:04d}"
        path = folder / f"{stimulus}.png"
        scene.save(path)
        rows.append((stimulus, str(path), name, chosen["stimulus_id"], size, x, y))
    columns = ["stimulus_id", "filename", "object_name", "object", "size", "x", "y"]
    return stimulus_set(f"composed-{count}-{seed}", pd.DataFrame(rows, columns=columns))


def simulate_recording(
    activations: NeuroidAssembly,
    stimuli: StimulusSet,
    *,
    neurons: int = 30,
    repetitions: int = 30,
    inputs: int = 32,
    latency: float = 0,
    seed: int = 0,
) -> NeuroidAssembly:
    """Poisson neurons that each read out a few neighbouring units of a network's layer.

    A neuron has a place in the layer. It sums ``inputs`` units that stand within one position of
    it and vary, standardised over stimuli and time, with normal weights; the sum, rectified
    smoothly (softplus), is its rate, scaled to a mean of 10–60 spikes/s, and comes ``latency``
    later. Counts in each bin are Poisson.

    Parameters
    ----------
    activations : NeuroidAssembly
        Presentation × neuroid × time_bin of the network that is the truth, as its brain model's
        ``look_at`` returns them.
    stimuli : StimulusSet
        The stimulus set, its rows in the order of the presentations.
    neurons, repetitions : int, default 30
        Size of the recording.
    seed : int, default 0
        Seed of all that is random.
    inputs : int, default 32
        Units that a neuron reads at most.
    latency : float, default 0
        Ms from the network's time bins to the recording's.

    Returns
    -------
    NeuroidAssembly
        Presentation (stimuli × repetitions) × neuroid × time_bin, spikes/s, with ``stimulus_set``
        among its attributes.

    Raises
    ------
    ConvRNNError
        A number is not positive, or the presentations are not those of the stimulus set.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> from convrnns_brainscore import load_brain_model
    >>> from convrnns_brainscore.brainscore.simulate import compose_stimuli
    >>> subject = load_brain_model("timedecay_shallow", weights="random")
    >>> subject.start_recording("IT", time_bins=[(50, 60), (60, 70)])
    >>> with TemporaryDirectory() as folder:
    ...     stimuli = compose_stimuli(Path(folder), count=6)
    ...     activations = subject.look_at(stimuli)
    >>> recording = simulate_recording(activations, stimuli, neurons=5, repetitions=3)
    >>> recording.shape  # presentations of 6 stimuli, neurons, time bins
    (18, 5, 2)
    """
    for name, value in {"neurons": neurons, "repetitions": repetitions, "inputs": inputs}.items():
        if value < 1:
            raise ConvRNNError(f"`{name}={value}`: expected 1 or more.")
    if seed < 0:
        raise ConvRNNError(f"`seed={seed}`: expected 0 or more.")
    if not np.isfinite(latency):
        raise ConvRNNError(f"`latency={latency}`: expected ms.")
    if activations.sizes["presentation"] != len(stimuli):
        raise ConvRNNError(
            f"{activations.sizes['presentation']} presentations, and {len(stimuli)} stimuli: give "
            "the activations to these stimuli."
        )
    rng = np.random.default_rng(seed)
    if "time_bin" in activations.dims:
        features = activations.transpose("presentation", "time_bin", "neuroid").values
    else:  # a single one
        features = activations.transpose("presentation", "neuroid").values[:, None]
    varying = np.flatnonzero(features.std(axis=0).max(axis=0) > 0)
    place = np.stack([activations[name].values for name in ("channel_x", "channel_y")], 1)[varying]
    drive = np.empty((*features.shape[:2], neurons))
    for neuron in range(neurons):
        centre = place[rng.integers(len(place))]
        near = varying[(abs(place - centre) <= FIELD).all(axis=1)]
        units = features[:, :, rng.choice(near, min(inputs, len(near)), replace=False)]
        units = (units - units.mean(axis=(0, 1))) / units.std(axis=(0, 1))
        count = units.shape[-1]
        drive[:, :, neuron] = units @ rng.standard_normal(count) / np.sqrt(count)
    rate = np.logaddexp(0, 2 * drive)
    rate *= rng.uniform(*MEAN_RATES, neurons) / rate.mean(axis=(0, 1))

    start, end = np.array(np.atleast_1d(activations["time_bin"].values).tolist()).T
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
        "time_bin_start": ("time_bin", start + latency),
        "time_bin_end": ("time_bin", end + latency),
    }
    recording = NeuroidAssembly(spikes, coords=coords, dims=["presentation", "neuroid", "time_bin"])
    recording.attrs["stimulus_set"] = stimuli
    return recording


def regions_together(recordings: Mapping[str, NeuroidAssembly]) -> xr.DataArray:
    """Recordings of several regions to the same stimuli as one, in the bins that all have.

    Parameters
    ----------
    recordings : mapping of str to NeuroidAssembly
        Region → what `simulate_recording` made with the same repetitions.
    """
    plain = [
        xr.DataArray(each).reset_index(["presentation", "neuroid", "time_bin"])
        for each in recordings.values()
    ]
    starts = set.intersection(*(set(each["time_bin_start"].values.tolist()) for each in plain))
    kept = [
        each[..., [start in starts for start in each["time_bin_start"].values.tolist()]]
        for each in plain
    ]
    for each, region in zip(kept, recordings, strict=True):
        each["neuroid_id"] = ("neuroid", [f"{region}.{name}" for name in each["neuroid_id"].values])
    return xr.concat(kept, dim="neuroid")


def _backgrounds() -> list[Image.Image]:
    from skimage import data
    from sklearn.datasets import load_sample_images

    scenes: list[NDArray[np.uint8]] = list(load_sample_images().images)
    samples: list[Any] = [data.coffee, data.rocket, data.grass, data.gravel, data.brick]
    scenes += [sample() for sample in samples]
    return [Image.fromarray(scene).convert("RGB") for scene in scenes]


def _crop(scene: Image.Image, rng: np.random.Generator) -> Image.Image:
    """A random square of a photograph, at least half its height."""
    side = int(rng.integers(min(scene.size) // 2, min(scene.size) + 1))
    left, top = (int(rng.integers(0, length - side + 1)) for length in scene.size)
    return scene.crop((left, top, left + side, top + side)).resize((SIZE, SIZE))


def _cut_out(path: Path) -> Image.Image:
    """The object without the gray that surrounds it, which becomes transparent."""
    with Image.open(path) as opened:
        image = opened.convert("RGB")
    filled = image.copy()
    outside = (255, 0, 255)
    for corner in ((0, 0), (image.width - 1, 0), (0, image.height - 1)):
        ImageDraw.floodfill(filled, corner, outside)
    opaque = (np.asarray(filled) != outside).any(axis=-1)
    image.putalpha(Image.fromarray((255 * opaque).astype(np.uint8)))
    return image

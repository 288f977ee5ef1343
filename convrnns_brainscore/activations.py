"""Activations as Brain-Score wants them: presentation × neuroid × time_bin, bins in ms.

The bins that are asked for drive the inference: only the layers and steps that they need are
computed, and steps are averaged into bins while they are made.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import track

from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.features import describe
from convrnns_brainscore.images import load_images
from convrnns_brainscore.presentation import MS_PER_STEP, Presentation
from convrnns_brainscore.stores import neuroid_coordinates

TimeBin = tuple[float, float]


def parse_time_bins(time_bins: Any) -> list[TimeBin]:
    """Time bins in ms as pairs, from whatever form Brain-Score's benchmarks give them in.

    Raises
    ------
    ConvRNNError : no bins, or a bin that ends before it starts or starts before image onset.
    """
    if isinstance(time_bins, np.ndarray):
        time_bins = time_bins.tolist()
    if not isinstance(time_bins, Iterable) or isinstance(time_bins, str):
        raise ConvRNNError(f"time bins {time_bins!r}: expected (start, end) pairs in ms.")
    time_bins = list(time_bins)
    if len(time_bins) == 2 and all(isinstance(value, Real) for value in time_bins):
        time_bins = [time_bins]
    pairs = []
    for time_bin in time_bins:
        values = time_bin.tolist() if isinstance(time_bin, np.ndarray) else time_bin
        try:
            start, end = (float(value) for value in values)
        except (TypeError, ValueError):
            raise ConvRNNError(f"time bin {time_bin!r}: expected (start, end) in ms.") from None
        if not 0 <= start < end < np.inf:
            raise ConvRNNError(
                f"time bin ({start:g}, {end:g}) ms: a bin ends after it starts, and starts at "
                "image onset (0 ms) at the earliest: the network has no state before the image."
            )
        pairs.append((start, end))
    if not pairs:
        raise ConvRNNError("no time bins to record.")
    return pairs


def bin_weights(time_bin: TimeBin) -> dict[int, float]:
    """Step → its share in a bin: how much of the bin the step's 10 ms overlap.

    >>> bin_weights((70, 90))
    {7: 0.5, 8: 0.5}
    """
    start, end = time_bin
    first, last = int(start // MS_PER_STEP), int(np.ceil(end / MS_PER_STEP))
    return {
        step: (min(end, (step + 1) * MS_PER_STEP) - max(start, step * MS_PER_STEP)) / (end - start)
        for step in range(first, last)
    }


def binned_activations(
    network: ConvRNN,
    paths: Sequence[str | Path],
    layer: str,
    time_bins: Sequence[TimeBin],
    presentation: Presentation,
    batch_size: int = BATCH_SIZE,
) -> NDArray[np.float32]:
    """The activations of one layer, averaged over each time bin, weighted by overlap.

    Bins beyond the presentation unroll longer, with the image off (or on, if it never goes off).

    Returns
    -------
    float32 [stimulus, neuroid, time_bin], C-contiguous.
    """
    averages = [tuple(bin_weights(time_bin).items()) for time_bin in time_bins]
    size = int(np.prod(network.output_shape(layer)))
    result = np.empty((len(paths), size, len(time_bins)), np.float32)
    for start in track(
        range(0, len(paths), batch_size),
        f"{network.name}: {layer}",
        disable=len(paths) <= batch_size,
        transient=True,
        console=Console(stderr=True),
    ):
        batch = slice(start, start + batch_size)
        values = network.averages(load_images(paths[batch]), {layer: averages}, presentation)[layer]
        result[batch] = np.moveaxis(values.reshape(*values.shape[:2], -1), 1, 2)
    return result


def neuroid_assembly(
    values: NDArray[np.float32],
    network: ConvRNN,
    presentation: Presentation,
    stimuli: StimulusSet,
    region: str,
    layer: str,
    time_bins: Sequence[TimeBin],
) -> NeuroidAssembly:
    """``values`` [presentation, neuroid, time_bin] with their coordinates and provenance."""
    number = np.arange(values.shape[1])
    neuroid = {
        "neuroid_num": number,
        "neuroid_id": [f"{layer}.{index}" for index in number],
        "layer": [layer] * len(number),
        "region": [region] * len(number),
        **neuroid_coordinates(network.output_shape(layer)),
    }
    start, end = zip(*time_bins, strict=True)
    coords = {
        **{column: ("presentation", stimuli[column].values) for column in stimuli.columns},
        **{name: ("neuroid", values) for name, values in neuroid.items()},
        "time_bin_start": ("time_bin", list(start)),
        "time_bin_end": ("time_bin", list(end)),
    }
    assembly = NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid", "time_bin"])
    assembly.attrs.update(describe(network, presentation))
    return assembly


def as_stimulus_set(stimuli: StimulusSet | Iterable[str | Path]) -> tuple[StimulusSet, list[Path]]:
    """A stimulus set and its files, from a stimulus set or from paths (which become the ids).

    Raises
    ------
    ConvRNNError : no stimuli, or something else than files.
    """
    if not isinstance(stimuli, StimulusSet):
        stimuli = _stimulus_set_of_files(stimuli)
    try:
        paths = [Path(stimuli.get_stimulus(key)) for key in stimuli["stimulus_id"]]
    except (AttributeError, KeyError) as error:
        raise ConvRNNError(f"the stimulus set does not say where its files are: {error}") from error
    if not paths:
        raise ConvRNNError("no stimuli to look at.")
    return stimuli, paths


def _stimulus_set_of_files(paths: Any) -> StimulusSet:
    paths = [paths] if isinstance(paths, str | PathLike) else paths
    names = list(paths) if isinstance(paths, Iterable) else [paths]
    if isinstance(paths, pd.DataFrame) or not all(isinstance(n, str | PathLike) for n in names):
        raise ConvRNNError("expected a Brain-Score StimulusSet or a list of image files.")
    names = [str(name) for name in names]
    stimuli = StimulusSet({"stimulus_id": names, "stimulus_path": names})
    stimuli.stimulus_paths = {name: name for name in names}
    return stimuli

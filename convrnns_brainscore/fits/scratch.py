"""Features of the recording's stimuli, in the recording's time bins, on disk while they are needed.

Duplicate features are stored once: the output of a feed-forward layer is the same at each step at
which it receives the image. Bins before the image reaches a layer are not stored.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import zarr
from numpy.typing import NDArray
from rich.filesize import decimal

from convrnns_brainscore.cluster import HERE, Workers
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.features import Request, write_features
from convrnns_brainscore.fits.streamed_pls import Block, bin_after_bin
from convrnns_brainscore.networks.backbones import first_step, is_feed_forward, output_shape
from convrnns_brainscore.networks.forward import Average
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.stores import NEUROIDS
from convrnns_brainscore.timing import (
    AFTER_THE_IMAGE,
    BEFORE_ONSET,
    BEFORE_THE_IMAGE,
    MS_PER_STEP,
    TimeBin,
    bin_weights,
)
from convrnns_brainscore.zoo import Model


@dataclass(frozen=True)
class LayerBins:
    """What is stored of a layer so that each of some time bins can be had.

    Attributes
    ----------
    averages : tuple of tuple of (step, weight)
        The averages over steps that differ.
    position : dict of (start, end) to int
        Time bin → its place among the averages.
    undefined : dict of (start, end) to str
        Time bin → why its features say nothing about the image.
    """

    averages: tuple[Average, ...]
    position: dict[TimeBin, int]
    undefined: dict[TimeBin, str]

    def sharing(self, time_bins: Sequence[TimeBin]) -> dict[int, list[int]]:
        """Place among the averages → positions of the ``time_bins`` that have their features there,
        where there are any."""
        found: dict[int, list[int]] = {}
        for index, each in enumerate(time_bins):
            if each in self.position:
                found.setdefault(self.position[each], []).append(index)
        return found


def layer_bins(
    model: Model,
    layer: str,
    time_bins: Sequence[TimeBin],
    presentation: Presentation,
    *,
    centred: bool = False,
) -> LayerBins:
    """Which averages over steps ``time_bins`` need of ``layer``.

    A bin that begins before onset is that part of it which follows onset.

    Parameters
    ----------
    model, layer
        Of the network.
    time_bins : sequence of (start, end)
        In ms from image onset.
    presentation : Presentation
        What is shown when.
    centred : bool, default False
        The features will be centred over stimuli. A feed-forward layer then needs one step for all
        bins, unless stimuli have times of their own, scaled by the share of the bin in which it
        sees the image: the rest of the bin is the same for all images, and centring takes it out.
        That is exact for PLS and ridge, and for nothing that compares units of one stimulus, such
        as 1 − Pearson r between patterns.
    """
    first = first_step(model, layer)
    averages: dict[Average, int] = {}
    position, undefined = {}, {}
    for start, end in dict.fromkeys(time_bins):
        if end <= 0:
            undefined[start, end] = BEFORE_ONSET
            continue
        if end <= MS_PER_STEP * first:
            undefined[start, end] = BEFORE_THE_IMAGE
            continue
        average = tuple(bin_weights((max(start, 0), end)).items())
        if is_feed_forward(model, layer):
            seen = [presentation.image_is_on(s - first) and s >= first for s, _ in average]
            shown = sum(weight for (_, weight), on in zip(average, seen, strict=True) if on)
            if shown == 0:
                undefined[start, end] = AFTER_THE_IMAGE
                continue
            if centred and presentation.name != "stream":
                sees = first + presentation.schedule.index(0)
                average = ((sees, round(shown, 9)),)
        position[start, end] = averages.setdefault(average, len(averages))
    return LayerBins(tuple(averages), position, undefined)


def grouped(
    model: Model, layers: Mapping[str, LayerBins], stimuli: int, limit: int, ways_out: str
) -> list[dict[str, LayerBins]]:
    """Layers in groups whose features fit within ``limit`` bytes, in the layers' order.

    ``ways_out``: what the error proposes.

    Raises
    ------
    ConvRNNError
        A layer by itself does not fit.
    """
    groups: list[dict[str, LayerBins]] = []
    held = limit + 1
    for layer, bins in layers.items():
        need = 4 * stimuli * int(np.prod(output_shape(model, layer))) * len(bins.averages)
        if need > limit:
            raise ConvRNNError(
                f"{layer} of {model.name} in {len(bins.averages)} time bins for {stimuli} stimuli "
                f"needs {decimal(need)} of scratch, and {decimal(limit)} are allowed or free. "
                f"{ways_out}"
            )
        if held + need > limit:
            groups.append({})
            held = 0
        groups[-1][layer] = bins
        held += need
    return groups


def room(folder: Path) -> int:
    """Bytes of features that may lie on the disk of ``folder`` at a time: four fifths of what is
    free, or will be, once what an interrupted run left in ``folder`` is used up."""
    left = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return int(0.8 * (shutil.disk_usage(folder).free + left))


class FeatureStore:
    """Features of a group of layers, extracted to a Zarr store."""

    def __init__(
        self,
        network: ConvRNN,
        layers: Mapping[str, LayerBins],
        presentation: Presentation,
        stimuli: pd.DataFrame,
        folder: Path,
        progress: bool,
        workers: Workers = HERE,
    ) -> None:
        label = "; ".join(f"{layer}: {bins.averages}" for layer, bins in layers.items())
        made_by = f"{label}; {network.lesion}; {network.label}; {network.precision}"
        digest = hashlib.sha256(made_by.encode()).hexdigest()[:12]
        self.path = folder.absolute() / f"{network.name},{digest}.zarr"
        edges = {
            layer: tuple(
                np.array(each, float)
                for each in zip(*(_edges(average) for average in bins.averages), strict=True)
            )
            for layer, bins in layers.items()
        }
        request = Request(
            network,
            presentation,
            {layer: bins.averages for layer, bins in layers.items()},
            {layer: (starts, ends) for layer, (starts, ends) in edges.items()},
            label,
            apart=True,
        )
        write_features(request, stimuli, self.path, progress=progress, workers=workers)
        self._root = zarr.open_group(str(self.path), mode="r")

    def columns(self, layer: str, position: int) -> Iterator[NDArray[np.float32]]:
        """One average, some neuroids at a time: [stimulus, neuroid]."""
        array = self._root[layer]["activations"]
        for start in range(0, array.shape[1], NEUROIDS):
            yield array[:, start : start + NEUROIDS, position]

    def rows(self, layer: str, positions: Sequence[int]) -> Iterator[Block]:
        """All neuroids of averages one after the other, some stimuli at a time: [row, neuroid]."""
        return bin_after_bin(self._root[layer]["activations"], positions)

    def neuroids(self, layer: str) -> int:
        """How many the layer has."""
        return int(self._root[layer]["activations"].shape[1])


def _edges(average: Average) -> TimeBin:
    """From the first step's start to the last one's end."""
    steps = [step for step, _ in average]
    return MS_PER_STEP * min(steps), MS_PER_STEP * (max(steps) + 1)

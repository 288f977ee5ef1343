"""Variance partitioning of a recording: sets of features of networks, bin by bin."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.partition import (
    PARTS,
    held_out_errors,
    partition,
    parts_of,
)
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.resampling import draw_neurons, draw_stimuli
from convrnns_brainscore.fits.scratch import FeatureStore, LayerBins, layer_bins
from convrnns_brainscore.fits.statistics import FEWEST_NEURONS, paired_test
from convrnns_brainscore.networks.backbones import first_step, layer_names
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin
from convrnns_brainscore.zoo import Model

FIRST = "first"
"""The window of the first step at which the image is in the layer."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class FeatureSet:
    """The features of one layer, in each bin of the recording or in a window of their own.

    Attributes
    ----------
    network : str
        The network's name, such as ``rgc_shallow`` or ``rgc_shallow-without-recurrence``.
    layer : str
    window : (start, end), ``"first"`` or None
        In ms from image onset; ``"first"``: the first step at which the image is in the layer;
        None: the recording's bins.
    """

    network: str
    layer: str
    window: TimeBin | str | None = None

    @classmethod
    def parse(cls, text: str) -> FeatureSet:
        """Read ``NETWORK/LAYER``, ``NETWORK/LAYER@first`` or ``NETWORK/LAYER@START-END`` (ms).

        Raises
        ------
        ConvRNNError
            Another form; a window that is empty or begins before onset.

        Examples
        --------
        >>> FeatureSet.parse("rgc_intermediate/conv10@100-200")
        FeatureSet(network='rgc_intermediate', layer='conv10', window=(100.0, 200.0))
        """
        found = re.fullmatch(r"([^/@]+)/([^/@]+)(?:@(?:(first)|([\d.]+)[-–]([\d.]+)))?", text)
        if not found:
            raise ConvRNNError(
                f"'{text}' is not a set of features: expected NETWORK/LAYER, NETWORK/LAYER@first, "
                "or NETWORK/LAYER@START-END in ms."
            )
        network, layer, first, start, end = found.groups()
        if start is None:
            return cls(network, layer, first)
        try:
            window = float(start), float(end)
        except ValueError:
            raise ConvRNNError(f"'{text}': {start}-{end} is not a window in ms.") from None
        if window[0] >= window[1]:
            raise ConvRNNError(f"'{text}': the window must end after it begins.")
        return cls(network, layer, window)

    def __str__(self) -> str:
        window = self.window
        if isinstance(window, tuple):
            window = "{:g}-{:g}".format(*window)
        return f"{self.network}/{self.layer}" + (f"@{window}" if window else "")

    def bins(self, model: Model, time_bins: Sequence[TimeBin]) -> list[TimeBin]:
        """The time bin of the features for each of the recording's bins."""
        if self.window is None:
            return list(time_bins)
        if isinstance(self.window, str):
            start = MS_PER_STEP * first_step(model, self.layer)
            return [(start, start + MS_PER_STEP)] * len(time_bins)
        return [self.window] * len(time_bins)


def partition_recording(
    sets: tuple[FeatureSet, FeatureSet],
    networks: Mapping[str, Callable[[], ConvRNN]],
    prepared: Prepared,
    folder: Path,
    *,
    progress: bool = False,
) -> xr.Dataset:
    """The unique and shared variance of two sets of features in each region and bin.

    Parameters
    ----------
    sets : (FeatureSet, FeatureSet)
        Both sets.
    networks : mapping of str to callable
        Name → loads the network.
    prepared : Prepared
        The recording, its stimuli and splits.
    folder : path
        Folder for features while they are needed. After an interruption, the same call resumes.
    progress : bool, default False
        Show progress bars.

    Returns
    -------
    Dataset
        `partition.PARTS` and their ``…_error`` (region × time_bin): R² of held-out responses,
        means over neurons. ``p_unique_first`` and ``p_unique_second``: sign flips over neurons,
        corrected over bins. ``reliability``: the mean over neurons, the R² of a perfect model.
        ``neurons``, ``undefined``; ``neuron_…``: each neuron's part (neuroid × time_bin).

    Raises
    ------
    ConvRNNError
        An unknown network or layer; both sets are the same.
    """
    for each in sets:
        if each.network not in networks:
            raise unknown("network of a set", each.network, list(networks))
    loaded = {each.network: networks[each.network]() for each in sets}
    places = [_bins_of(each, loaded[each.network], prepared) for each in sets]
    first, second = (each.bins(loaded[each.network].model, prepared.time_bins) for each in sets)
    if sets[0].network == sets[1].network and sets[0].layer == sets[1].layer and first == second:
        raise ConvRNNError(f"both sets are {sets[0]} in the same bins: give two that differ.")
    grams, reasons, made_by = [], [], {}
    for each, bins in zip(sets, places, strict=True):
        network = loaded[each.network]
        made_by[each.network] = {**describe(network, prepared.presentation), "label": network.label}
        of_set, why = _grams(each, bins, network, prepared, folder, progress)
        grams.append(of_set)
        reasons.append(why)
    found = _partitioned(grams, reasons, prepared, progress)
    shutil.rmtree(folder, ignore_errors=True)
    return found.assign_attrs(
        first=str(sets[0]),
        second=str(sets[1]),
        made_by=json.dumps(made_by),
        notes="\n".join(prepared.notes),
        stimuli=len(prepared.stimuli),
        splits=len(prepared.splits),
    )


def _bins_of(features: FeatureSet, network: ConvRNN, prepared: Prepared) -> LayerBins:
    """Where a set's features are; an error where it has none, or more steps than are presented."""
    if features.layer not in layer_names(network.model):
        raise unknown(f"layer of {features.network}", features.layer, layer_names(network.model))
    network.check_lesion(prepared.presentation)
    shown = prepared.presentation.times * MS_PER_STEP
    if isinstance(features.window, tuple) and features.window[1] > shown:
        raise ConvRNNError(
            f"{features}: the window ends after the presentation, which lasts {shown} ms for these "
            f"time bins: choose a window that ends by {shown} ms."
        )
    wanted = features.bins(network.model, prepared.time_bins)
    bins = layer_bins(network.model, features.layer, wanted, prepared.presentation, centred=True)
    if not bins.averages:
        reached = MS_PER_STEP * first_step(network.model, features.layer)
        reason = bins.undefined[wanted[0]]
        raise ConvRNNError(
            f"{features} does not depend on the images: {reason}. The image reaches "
            f"{features.layer} at {reached} ms."
        )
    return bins


def _grams(
    features: FeatureSet,
    bins: LayerBins,
    network: ConvRNN,
    prepared: Prepared,
    folder: Path,
    progress: bool,
) -> tuple[list[Array | None], list[str]]:
    """Inner products of a set's features in each bin, and why there are none."""
    wanted = features.bins(network.model, prepared.time_bins)
    reasons = [bins.undefined.get(each, "") for each in wanted]
    folder.mkdir(parents=True, exist_ok=True)
    store = FeatureStore(
        network, {features.layer: bins}, prepared.presentation, prepared.stimuli, folder, progress
    )
    made = {
        place: gram_matrix(store.columns(features.layer, place))
        for place in set(bins.position.values())
    }
    return [
        made[bins.position[each]] if each in bins.position else None for each in wanted
    ], reasons


def _partitioned(
    grams: list[list[Array | None]], reasons: list[list[str]], prepared: Prepared, progress: bool
) -> xr.Dataset:
    regions = list(dict.fromkeys(prepared.recording.neurons["region"]))
    shape = len(regions), len(prepared.time_bins)
    parts, errors = np.full((2, len(PARTS), *shape), np.nan)
    counts = np.zeros(shape, int)
    p = np.full((2, *shape), np.nan)
    undefined = np.full(shape, "", object)
    each = np.full((len(PARTS), len(prepared.recording.neurons), shape[1]), np.nan)
    weights = draw_stimuli(len(prepared.stimuli), prepared.groups)
    with progress_bar(shown=progress, transient=True) as bar:
        task = bar.add_task("fitting both sets", total=shape[0] * shape[1])
        for row, region in enumerate(regions):
            here = prepared.neurons(region)
            drawn = draw_neurons(prepared.recording.neurons["subject"].to_numpy()[here])
            for index in range(shape[1]):
                first, second = (of_set[index] for of_set in grams)
                responses = prepared.responses(here, [index])[..., 0]
                if first is None or second is None:
                    undefined[row, index] = next(why[index] for why in reasons if why[index])
                elif not np.isfinite(responses).any():
                    undefined[row, index] = "no responses"
                else:
                    held = held_out_errors((first, second), responses, prepared.splits)
                    of_region = partition(held, weights, drawn)
                    parts[:, row, index], errors[:, row, index] = of_region.parts, of_region.errors
                    counts[row, index] = of_region.neurons
                    each[:, here, index] = parts_of(held.explained())
                bar.advance(task)
            for place, name in enumerate(("unique_first", "unique_second")):
                p[place, row] = paired_test(each[PARTS.index(name)][here])
    reliability = [nanmean(prepared.reliability[prepared.neurons(region)]) for region in regions]
    axes = ("region", "time_bin")
    start, end = np.array(prepared.time_bins, float).T
    return xr.Dataset(
        {
            **{name: (axes, parts[place]) for place, name in enumerate(PARTS)},
            **{f"{name}_error": (axes, errors[place]) for place, name in enumerate(PARTS)},
            "p_unique_first": (axes, p[0]),
            "p_unique_second": (axes, p[1]),
            "reliability": (axes, np.array(reliability)),
            "neurons": (axes, counts),
            "undefined": (axes, undefined),
            **{
                f"neuron_{name}": (("neuroid", "time_bin"), each[place])
                for place, name in enumerate(PARTS)
            },
        },
        {
            "region": regions,
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", end),
            "neuroid_id": (
                "neuroid",
                prepared.recording.neurons["neuroid_id"].astype(str).to_numpy(object),
            ),
            "neuroid_region": ("neuroid", prepared.recording.neurons["region"].to_numpy(object)),
        },
        {"fewest_neurons": FEWEST_NEURONS},
    )

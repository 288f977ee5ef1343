"""Blocks of a fit, which are computed independently of each other.

A block takes the features of one bin (or of all bins, where they share weights) and returns
correlations, so that little data is sent between processes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import (
    HeldOut,
    Method,
    Predict,
    as_rows,
    held_out,
    predictor,
    streaming_predictor,
)
from convrnns_brainscore.fits.learning import SHARES, training_parts
from convrnns_brainscore.fits.mapping import Coefficients, fit_to_all
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.resampling import resampled_scores
from convrnns_brainscore.fits.scratch import FeatureStore, LayerBins
from convrnns_brainscore.fits.selection import held_out_medians, validate
from convrnns_brainscore.fits.streamed_pls import Block as Rows
from convrnns_brainscore.timing import TimeBin

Array = NDArray[np.float64]


class Features(Protocol):
    """Features of stimuli, in bins by their position."""

    @property
    def count(self) -> int:
        """How many features there are."""

    def columns(self, position: int) -> Iterator[NDArray[np.float32]]:
        """Of one bin, some features at a time: [stimulus, feature]."""

    def rows(self, positions: Sequence[int]) -> Iterator[Rows]:
        """Of bins one after the other, some stimuli at a time: [row, feature]."""


@dataclass(frozen=True)
class LayerFeatures:
    """A layer's, in a store."""

    store: FeatureStore
    layer: str

    @property
    def count(self) -> int:
        """Its neuroids."""
        return self.store.neuroids(self.layer)

    def columns(self, position: int) -> Iterator[NDArray[np.float32]]:
        """As `FeatureStore.columns`."""
        return self.store.columns(self.layer, position)

    def rows(self, positions: Sequence[int]) -> Iterator[Rows]:
        """As `FeatureStore.rows`."""
        return self.store.rows(self.layer, positions)


@dataclass(frozen=True)
class ConstantFeatures:
    """The same [stimulus, feature] in every bin."""

    values: NDArray[np.float32]

    @property
    def count(self) -> int:
        """How many features there are."""
        return self.values.shape[1]

    def columns(self, position: int) -> Iterator[NDArray[np.float32]]:
        """All at once."""
        yield self.values

    def rows(self, positions: Sequence[int]) -> Iterator[Rows]:
        """A bin at a time."""
        stimuli = len(self.values)
        for index, _ in enumerate(positions):
            yield slice(index * stimuli, (index + 1) * stimuli), lambda: self.values


@dataclass(frozen=True)
class Setting:
    """What all blocks have in common.

    Attributes
    ----------
    prepared, method
        What is fitted, and how.
    stimuli : float32 array
        `resampling.draw_stimuli`.
    populations : mapping of str to mapping of str to int array
        Region → subject, or all of them → `resampling.draw_neurons` of the region's.
    predictions : bool, default False
        Keep held-out predictions, and the mapping that is fitted to all stimuli.
    """

    prepared: Prepared
    method: Method
    stimuli: NDArray[np.float32]
    populations: Mapping[str, Mapping[str, NDArray[np.intp]]]
    predictions: bool = False


@dataclass(frozen=True)
class BinBlock:
    """What the features of one position are fitted to.

    Attributes
    ----------
    position : int
        Position of the features.
    fits : tuple of (str, int)
        Regions and bins.
    crossed : tuple of str
        Regions, each bin of which is fitted.
    chosen : mapping of str to sequence of (int, int)
        Region → latencies and bins by which they are chosen.
    """

    position: int
    fits: tuple[tuple[str, int], ...]
    crossed: tuple[str, ...]
    chosen: Mapping[str, Sequence[tuple[int, int]]]


@dataclass(frozen=True)
class SharedBlock:
    """A region all of whose ``bins`` are fitted together, to features at ``positions``."""

    region: str
    bins: tuple[int, ...]
    positions: tuple[int, ...]


@dataclass(frozen=True)
class LearningBlock:
    """A region and a bin that parts of the training stimuli are fitted to, by the features of one
    position."""

    region: str
    time_bin: int
    position: int


@dataclass(frozen=True)
class RegionFit:
    """How well a region's responses in some bins are predicted, and `resampled_scores` of that.

    Attributes
    ----------
    coefficients : Coefficients or None
        The mapping that is fitted to all rows (the stimuli of the first bin, of the second, …);
        None: it is not kept.
    """

    region: str
    bins: tuple[int, ...]
    held_out: HeldOut
    resampled: NDArray[np.float32]
    coefficients: Coefficients | None = None


@dataclass(frozen=True)
class Done:
    """What a block found.

    Attributes
    ----------
    fits : list of RegionFit
        Fits of regions and bins.
    crossed : dict of str to float64 array
        Region → median r over neurons, [split, bin].
    chosen : dict of str to (float64 array, float64 array)
        Region → `selection.validate` of what its layer and latency are chosen by.
    learning : list of HeldOut or None
        Fits to each of `learning.SHARES` of the training stimuli; None where these are too few.
    """

    fits: list[RegionFit] = field(default_factory=list)
    crossed: dict[str, Array] = field(default_factory=dict)
    chosen: dict[str, tuple[Array, Array]] = field(default_factory=dict)
    learning: list[HeldOut | None] = field(default_factory=list)


def plan_blocks(
    time_bins: Sequence[TimeBin],
    bins: LayerBins,
    regions: Sequence[str],
    choosing: Mapping[tuple[int, str], Sequence[int]],
    *,
    fitted: bool,
    crossed: bool,
) -> list[BinBlock]:
    """The blocks of a layer: what the features of each position are fitted to.

    Parameters
    ----------
    time_bins : sequence of (start, end)
        Start and end of the recording's bins, in ms.
    bins : LayerBins
        Where the layer's features are in these bins, and in those shifted by a latency.
    regions : sequence of str
        Regions that the layer is fitted to.
    choosing : mapping of (int, str) to sequence of int
        Latency and region → bins by which the region's layer and latency are chosen.
    fitted : bool
        Each bin is fitted to its own features.
    crossed : bool
        Each bin is fitted to the features of every bin.
    """
    own = bins.sharing(time_bins)
    chosen: dict[int, dict[str, list[tuple[int, int]]]] = {}
    for (latency, region), indices in choosing.items():
        for index in indices:
            start, end = time_bins[index]
            place = bins.position.get((start - latency, end - latency))
            if place is not None:
                chosen.setdefault(place, {}).setdefault(region, []).append((latency, index))
    return [
        BinBlock(
            place,
            tuple(product(regions, own.get(place, ()) if fitted else ())),
            tuple(regions) if crossed and place in own else (),
            chosen.get(place, {}),
        )
        for place in sorted({*own, *chosen})
        if fitted or crossed or place in chosen
    ]


def fit_bin(setting: Setting, features: Features, block: BinBlock) -> Done:
    """Fit the features of one bin."""
    prepared = setting.prepared
    gram = gram_matrix(features.columns(block.position))
    predict = predictor(setting.method, gram)
    done = Done()
    for region, index in block.fits:
        done.fits.append(_fit(setting, predict, region, (index,), gram))
    every = range(len(prepared.time_bins))
    for region in block.crossed:
        bins = _bins(prepared, region, every)
        medians = [held_out_medians(predict, bins, split) for split in prepared.splits]
        done.crossed[region] = np.array(medians)
    for region, pairs in block.chosen.items():
        bins = _bins(prepared, region, [index for _, index in pairs])
        done.chosen[region] = validate(predict, bins, prepared.splits, prepared.inner)
    return done


def fit_shared(setting: Setting, features: Features, block: SharedBlock) -> Done:
    """Fit a region with weights that its bins share."""
    rows = len(block.positions) * len(setting.prepared.stimuli)
    predict, gram = streaming_predictor(
        setting.method, lambda: features.rows(block.positions), rows, features.count
    )
    return Done([_fit(setting, predict, block.region, block.bins, gram)])


def fit_parts(setting: Setting, features: Features, block: LearningBlock) -> Done:
    """Fit a region in one bin to parts of the training stimuli."""
    prepared, method = setting.prepared, setting.method
    predict = predictor(method, gram_matrix(features.columns(block.position)))
    neurons = prepared.neurons(block.region)
    responses = prepared.responses(neurons, [block.time_bin])
    halves = prepared.halves(neurons, [block.time_bin])
    done = Done()
    for share in SHARES:
        parts = training_parts(prepared.splits, share, prepared.groups)
        enough = min(len(part.train) for part in parts) > method.needed
        fitted = held_out(predict, responses, halves, parts, method.needed) if enough else None
        done.learning.append(fitted and replace(fitted, predicted=[]))
    return done


def _fit(
    setting: Setting,
    predict: Predict,
    region: str,
    bins: tuple[int, ...],
    gram: Array | None = None,
) -> RegionFit:
    """Fit a region's bins together; the mapping is kept where the inner products of the features'
    rows are given."""
    prepared = setting.prepared
    neurons = prepared.neurons(region)
    responses = prepared.responses(neurons, bins)
    fitted = held_out(
        predict,
        responses,
        prepared.halves(neurons, bins),
        prepared.splits,
        setting.method.needed,
    )
    resampled = resampled_scores(
        fitted.predicted,
        responses,
        prepared.splits,
        setting.stimuli,
        list(setting.populations[region].values()),
    )
    if not setting.predictions:
        return RegionFit(region, bins, replace(fitted, predicted=[]), resampled)
    coefficients = None if gram is None else fit_to_all(setting.method, gram, as_rows(responses))
    return RegionFit(region, bins, fitted, resampled, coefficients)


def _bins(prepared: Prepared, region: str, bins: Sequence[int]) -> list[Array]:
    """Responses of a region, [stimulus, neuron] of each bin."""
    responses = prepared.responses(prepared.neurons(region), bins)
    return [np.ascontiguousarray(each) for each in np.moveaxis(responses, 2, 0)]

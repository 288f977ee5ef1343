"""Select a region's layer, time bin and latency without using the test stimuli.

The latency is one shift for a region: the recording's bin [a, b) is compared with the model's [a −
latency, b − latency). For each split, every (layer, latency) is fitted to a part of the training
stimuli and tested on the rest of them; the best is then reported on the split's test stimuli, which
are not used for the selection. The exported map is selected on the test stimuli of all splits
together: its own score is therefore not reported, the nested score is.

For this the fits are those of single time bins, and no more than `SELECTION_BINS` of them, the
most reliable ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import GroupShuffleSplit, ShuffleSplit

from convrnns_brainscore.fits.correlation import nanmean, nanmedian, pearson
from convrnns_brainscore.fits.heldout import Predict, Task, filled
from convrnns_brainscore.fits.splits import SEED, Split

LATENCIES = tuple(range(-50, 101, 10))
"""Shifts that are tried, in ms."""

SELECTION_BINS = 6
VALIDATION_SHARE = 0.25
"""Of the training stimuli, to choose by."""

INNER_SPLITS = 2

ROUNDING = 1e-6
"""Of r. PLS and ridge without scaling hardly change if all features are multiplied by a factor, as
some layers' are from step to step: their latencies cannot be told apart."""

Array = NDArray[np.float64]


def inner_splits(splits: Sequence[Split], groups: Sequence[str] | None) -> list[list[Split]]:
    """For each split, splits of its training stimuli into fitted and validated ones."""
    options = {"test_size": VALIDATION_SHARE, "random_state": SEED}
    result = []
    for split in splits:
        if groups is None:
            made = ShuffleSplit(INNER_SPLITS, **options).split(split.train)
        else:
            among = np.asarray(groups)[split.train]
            made = GroupShuffleSplit(INNER_SPLITS, **options).split(split.train, groups=among)
        result.append([Split(split.train[fit], split.train[check]) for fit, check in made])
    return result


def bins_to_choose_by(reliability: Array) -> list[int]:
    """The most reliable bins, in their order.

    Parameters
    ----------
    reliability : float64 array [bin]
        The median over neurons; NaN where it is undefined.
    """
    known = np.flatnonzero(np.isfinite(reliability))
    best = known[np.argsort(-reliability[known], kind="stable")[:SELECTION_BINS]]
    return sorted(int(index) for index in best)


def validate(
    predict: Predict,
    responses: Sequence[Array],
    splits: Sequence[Split],
    inner: Sequence[Sequence[Split]],
) -> tuple[Array, Array]:
    """Validation and test of the same features for some bins of a region.

    Parameters
    ----------
    predict : callable
        `heldout.predictor` of the features.
    responses : sequence of float64 array
        Responses in each bin, [stimulus, neuron]; NaN where nothing was observed.
    splits, inner
        As `inner_splits` makes them.

    Returns
    -------
    (float64 array, float64 array)
        Median r over neurons, [split, bin] each: on the validated part of the training stimuli, and
        on the test stimuli. NaN where nothing varies.
    """
    validated = np.full((len(splits), len(responses)), np.nan)
    tested = validated.copy()
    for index, split in enumerate(splits):
        tested[index] = held_out_medians(predict, responses, split)
        validated[index] = nanmean(
            np.array([held_out_medians(predict, responses, each) for each in inner[index]])
        )
    return validated, tested


def held_out_medians(predict: Predict, responses: Sequence[Array], split: Split) -> list[float]:
    """The median r over neurons of each of some bins, on a split's test stimuli.

    Where a neuron misses training stimuli it is taken to have responded as to the others on the
    mean: for a choice, all neurons are to be the same at every layer and latency.
    """
    predicted = predict([Task(filled(each, split), split) for each in responses])
    return [
        float(nanmedian(pearson(one.responses, each[split.test])))
        for one, each in zip(predicted, responses, strict=True)
    ]


@dataclass(frozen=True)
class Choice:
    """What was chosen for a region.

    Attributes
    ----------
    layer, latency, time_bin
        Chosen by the test stimuli of all splits: for the map.
    score : float64 array [split]
        r (median over neurons, mean over bins) on test stimuli of what the split's own training
        stimuli chose.
    bin_score : float64 array [split]
        The same of the one bin that they chose.
    chosen : list of (str, int, int)
        [split], layer, latency and bin that they chose.
    layers, latencies : list
        All that could be chosen.
    validated : float64 array [layer, latency]
        r on the validated part of the training stimuli, mean over splits and bins. NaN where the
        features say nothing about the image in any bin.
    """

    layer: str
    latency: int
    time_bin: int
    score: Array
    bin_score: Array
    chosen: list[tuple[str, int, int]]
    layers: list[str]
    latencies: list[int]
    validated: Array

    @property
    def tells_latency(self) -> bool:
        """Whether r of the chosen layer depends on the latency, beyond rounding, or there was one
        latency alone at which it is defined."""
        r = self.validated[self.layers.index(self.layer)]
        r = r[np.isfinite(r)]
        return len(r) < 2 or bool(np.ptp(r) > ROUNDING)

    @property
    def nested(self) -> tuple[float, float]:
        """The nested r: the mean of ``score``, and its standard deviation over splits."""
        spread = float(self.score.std(ddof=1)) if len(self.score) > 1 else np.nan
        return float(self.score.mean()), spread


def choose(
    layers: Sequence[str],
    latencies: Sequence[int],
    bins: Sequence[int],
    validated: Array,
    tested: Array,
) -> Choice:
    """Choose by validation, report by test.

    Parameters
    ----------
    layers, latencies, bins
        What stands along the axes.
    validated, tested : float64 array [layer, latency, split, bin]
        NaN where the features say nothing about the image, which predicts nothing: r = 0 in the
        mean over bins. A bin in which they say nothing is not chosen, nor a latency at which they
        say nothing in any bin, unless there is no other.
    """
    silent_bins = np.isnan(tested).all(axis=2)  # [layer, latency, bin]
    silent = silent_bins.all(axis=-1)
    barred = np.where(silent & ~silent.all(), -np.inf, 0)
    barred_bins = np.where(silent_bins, -np.inf, 0)
    validated, tested = np.nan_to_num(validated), np.nan_to_num(tested)
    splits = validated.shape[2]
    score, bin_score, chosen = np.empty(splits), np.empty(splits), []
    for split in range(splits):
        layer, latency = _highest(validated[:, :, split].mean(axis=-1) + barred, latencies)
        time_bin = int((validated[layer, latency, split] + barred_bins[layer, latency]).argmax())
        score[split] = tested[layer, latency, split].mean()
        bin_score[split] = tested[layer, latency, split, time_bin]
        chosen.append((layers[layer], latencies[latency], bins[time_bin]))
    layer, latency = _highest(tested.mean(axis=(2, 3)) + barred, latencies)
    time_bin = int((tested[layer, latency].mean(axis=0) + barred_bins[layer, latency]).argmax())
    return Choice(
        layers[layer],
        latencies[latency],
        bins[time_bin],
        score,
        bin_score,
        chosen,
        list(layers),
        list(latencies),
        validated.mean(axis=(2, 3)) + np.where(np.isinf(barred), np.nan, 0),
    )


def _highest(r: Array, latencies: Sequence[int]) -> tuple[int, int]:
    """Where r [layer, latency] is highest. Among latencies of the layer that differ by rounding
    alone, the one nearest to 0."""
    layer = int(r.argmax()) // len(latencies)
    alike = np.flatnonzero(r[layer] >= r[layer].max() - ROUNDING)
    return layer, int(min(alike, key=lambda index: (abs(latencies[index]), -latencies[index])))

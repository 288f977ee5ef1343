"""Standard errors by resampling test stimuli and neurons, with their predictions held fixed.

A fit is never repeated on resampled stimuli: copies of a stimulus would be in both training and
test sets, from which even a neuron of pure noise is predicted. The spread over splits does not
estimate the error either: splits share most of their stimuli.

Half of the resamples are of stimuli (whole groups, where groups are kept together), half of neurons
within their subjects, and of the subjects too where there are `FEWEST_SUBJECTS`; their variances
add up. (Resampled together, the variance of single responses would be overcounted.) Neurons
are drawn with replacement. Stimuli are not: a test set of a few would often lose most of them.
Their weights move by `STEP` of what drawing would move them, and the deviation is divided by it,
which is the bootstrap's for small steps (infinitesimal jackknife: Efron 1982).

The draws are the same for all layers and models, so that differences are resampled in pairs.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.fits.blas import blas_threads
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.splits import FEWEST, Split

RESAMPLES = 500
"""Half of them of stimuli, then half of neurons."""

STEP = 0.2
SEED = 0
FEWEST_SUBJECTS = 3
"""Fewer subjects are taken as they are: nothing can be said of others."""

MOST_NEURONS = 1000
"""Of more neurons, so many are drawn at random once, and these are resampled."""

Array = NDArray[np.float64]
Draw = NDArray[np.intp]


def draw_stimuli(
    stimuli: int, groups: Sequence[str] | None = None, count: int = RESAMPLES
) -> NDArray[np.float32]:
    """The weight of each stimulus, [resample, stimulus]: about 1 in the first half, then 1."""
    rng = np.random.default_rng(SEED)
    members = np.arange(stimuli) if groups is None else pd.factorize(np.asarray(groups))[0]
    size = int(members.max()) + 1
    drawn = rng.multinomial(size, np.full(size, 1 / size), count // 2)
    weights = np.ones((count, stimuli), np.float32)
    weights[: count // 2] += STEP * (drawn[:, members] - 1)
    return weights


def draw_neurons(subjects: Sequence[str], count: int = RESAMPLES) -> Draw:
    """Positions of neurons, [resample, place]: all in the first half, then drawn; −1 where a draw
    has fewer.

    Parameters
    ----------
    subjects : sequence of str
        Subjects of each neuron.
    """
    rng = np.random.default_rng(SEED)
    kept = np.arange(len(subjects))
    if len(kept) > MOST_NEURONS:
        kept = np.sort(rng.choice(kept, MOST_NEURONS, replace=False))
    of_subject = pd.Series(kept).groupby(np.asarray(subjects, object)[kept], sort=False)
    theirs = [group.to_numpy() for _, group in of_subject]
    draws = [kept] * (count // 2)
    for _ in range(count - count // 2):
        chosen = range(len(theirs))
        if len(theirs) >= FEWEST_SUBJECTS:
            chosen = rng.integers(0, len(theirs), len(theirs)).tolist()
        draws.append(np.concatenate([rng.choice(theirs[s], len(theirs[s])) for s in chosen]))
    result = np.full((count, max(map(len, draws))), -1)
    for row, drawn in zip(result, draws, strict=True):
        row[: len(drawn)] = drawn
    return result


def standard_error(resamples: Array) -> Array:
    """Of what was resampled, [resample, …]; NaN where less than half is defined."""
    half = len(resamples) // 2
    variance = _variance(resamples[:half]) / STEP**2 + _variance(resamples[half:])
    return np.asarray(np.sqrt(variance))


def _variance(values: Array) -> Array:
    known = np.isfinite(values).sum(axis=0)
    centred = values - nanmean(values)
    with np.errstate(invalid="ignore", divide="ignore"):
        variance = np.nansum(centred**2, axis=0) / (known - 1)
    return np.where(2 * known >= len(values), variance, np.nan)


def resampled_scores(
    predicted: Sequence[Array],
    observed: Array,
    splits: Sequence[Split],
    stimuli: NDArray[np.float32],
    populations: Sequence[Draw],
) -> NDArray[np.float32]:
    """Each resample's r over weighted test stimuli; of that the median over neurons, which is the
    score, and the mean, by which fits are compared; and of these the mean over splits.

    Parameters
    ----------
    predicted : sequence of float64 array
        Predictions of each split, [test stimulus, neuron, bin]; NaN where nothing was.
    observed : float64 array [stimulus, neuron, bin]
    splits : sequence of Split
        Splits of stimuli.
    stimuli : float32 array
        [resample, stimulus] of `draw_stimuli`.
    populations : sequence of int array
        `draw_neurons` of each population of these neurons that has a score of its own.

    Returns
    -------
    float32 array [statistic, population, resample, bin]
        Medians and then means; NaN where undefined.
    """
    bins = observed.shape[2]
    total = np.zeros((2, len(populations), len(stimuli), bins))
    known = np.zeros(total.shape, np.intp)
    with blas_threads(1):  # small products, for which threads would only wait
        for (split, values), index in product(zip(splits, predicted, strict=True), range(bins)):
            r = weighted_pearson(
                values[:, :, index], observed[split.test, :, index], stimuli[:, split.test]
            )
            for place, draw in enumerate(populations):
                both = _median_and_mean(r, draw)
                defined = np.isfinite(both)
                total[:, place, :, index] += np.where(defined, both, 0)
                known[:, place, :, index] += defined
    with np.errstate(invalid="ignore"):
        return np.where(known > 0, total / np.maximum(known, 1), np.nan).astype(np.float32)


def weighted_pearson(a: Array, b: Array, weights: NDArray[np.float32]) -> NDArray[np.float32]:
    """Pearson's r of columns over weighted rows.

    Parameters
    ----------
    a, b : float64 array [row, column]
        A row counts where it is finite in both.
    weights : float32 array [resample, row]
        From 0 on.

    Returns
    -------
    float32 array [resample, column]
        NaN where either does not vary, or fewer than three rows have weight.
    """
    present = np.isfinite(a) & np.isfinite(b)
    first, second = (_standardised(np.where(present, each, np.nan)) for each in (a, b))
    if present.all():
        count = weights.sum(axis=1, keepdims=True)
        distinct = (weights > 0).sum(axis=1, keepdims=True)
    else:
        among = present.astype(np.float32)
        count, distinct = weights @ among, (weights > 0).astype(np.float32) @ among
    with np.errstate(invalid="ignore", divide="ignore"):
        means = [weights @ each / count for each in (first, second)]
        covariance = weights @ (first * second) / count - means[0] * means[1]
        variances = [
            weights @ each**2 / count - average**2
            for each, average in zip((first, second), means, strict=True)
        ]
        r = covariance / np.sqrt(variances[0] * variances[1])
    # Of what was standardised, so small a variance is rounding.
    varies = (variances[0] > 1e-5) & (variances[1] > 1e-5)
    return np.where(varies & (distinct >= FEWEST), np.clip(r, -1, 1), np.nan).astype(np.float32)


def _standardised(values: Array) -> NDArray[np.float32]:
    """Columns less their mean, over their standard deviation; zeros where nothing is observed or
    nothing varies."""
    present = np.isfinite(values)
    count = np.maximum(present.sum(axis=0), 1)
    centred = np.where(present, values - np.where(present, values, 0).sum(axis=0) / count, 0)
    scale = np.sqrt((centred**2).sum(axis=0) / count)
    level = abs(np.where(present, values, 0)).max(axis=0, initial=0)
    varies = scale > 8 * np.finfo(float).eps * level
    return np.where(varies, centred / np.where(varies, scale, 1), 0).astype(np.float32)


def _median_and_mean(values: NDArray[np.float32], drawn: Draw) -> NDArray[np.float64]:
    """Of the drawn columns in each row, of what is defined: [2, row].

    Parameters
    ----------
    values : float32 array [row, column]
    drawn : int array [row, place]
        Columns; −1 for none.
    """
    nothing = np.full((len(values), 1), np.nan, np.float32)
    chosen = np.take_along_axis(np.hstack([values, nothing]), drawn, axis=1)
    chosen.sort(axis=1)  # NaN last
    count = np.isfinite(chosen).sum(axis=1)
    middle = np.stack([(count - 1) // 2, count // 2], axis=1).clip(0)
    medians = np.take_along_axis(chosen, middle, axis=1).astype(np.float64).mean(axis=1)
    means = np.nansum(chosen, axis=1, dtype=np.float64) / np.maximum(count, 1)
    return np.where(count > 0, np.stack([medians, means]), np.nan)

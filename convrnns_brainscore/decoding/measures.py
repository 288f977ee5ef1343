"""Measures of decoding: over all images, for each image, and its onset in time.

The image-level measures are those of Rajalingham et al. (2018), as Brain-Score computes them: i2 is
the sensitivity (d′) with which an image's object is told from each other one, i1 its mean over the
other objects, i1n and i2n are relative to the mean of the object. Object solution times are those
of Kar et al. (2019), as in Brain-Score's metric ``ost``.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import norm, spearmanr

from convrnns_brainscore.fits.correlation import nanmean

FEWEST = 10
"""A correlation over fewer stimuli says nothing."""

CAP = 5.0
"""Beyond this, d′ of a single image is infinite for want of trials."""

Array = NDArray[np.float64]
Labels = NDArray[np.intp]


def accuracy(probabilities: Array, labels: Labels) -> float:
    """The share of stimuli whose most probable class is theirs, averaged over classes.

    Classes count alike, however many stimuli they have, so that chance is 1 / classes.

    Parameters
    ----------
    probabilities : float64 array [stimulus, class]
    labels : int array [stimulus]
        The class of each stimulus.
    """
    right = probabilities.argmax(axis=1) == labels
    return float(np.mean([right[labels == each].mean() for each in np.unique(labels)]))


def d_prime(probabilities: Array, labels: Labels) -> float:
    """The sensitivity for each class against all others, averaged over classes.

    Rates of 0 and 1 are taken half a stimulus inwards (Hautus 1995).
    """
    chosen, found = probabilities.argmax(axis=1), []
    for each in np.unique(labels):
        own, other = labels == each, labels != each
        hits = ((chosen[own] == each).sum() + 0.5) / (own.sum() + 1)
        false = ((chosen[other] == each).sum() + 0.5) / (other.sum() + 1)
        found.append(norm.ppf(hits) - norm.ppf(false))
    return float(np.mean(found))


def confusions(probabilities: Array, labels: Labels) -> Array:
    """How probable each other class is against the stimulus' own, of the two alone.

    Parameters
    ----------
    probabilities : float64 array [stimulus, class]
    labels : int array [stimulus]

    Returns
    -------
    float64 array [stimulus, class]
        NaN for the stimulus' own class.
    """
    own = np.take_along_axis(probabilities, labels[:, None], axis=1)
    with np.errstate(invalid="ignore"):
        found = probabilities / (probabilities + own)
    np.put_along_axis(found, labels[:, None], np.nan, axis=1)
    return found


def confusions_of_choices(
    stimulus: Labels, choice: Labels, offered: NDArray[np.bool_], labels: Labels
) -> Array:
    """As `confusions`, of single choices.

    Parameters
    ----------
    stimulus, choice : int array [trial]
        What was shown, and the class that was chosen.
    offered : bool array [trial, class]
        The classes among which it was chosen.
    labels : int array [stimulus]

    Returns
    -------
    float64 array [stimulus, class]
        The share of the trials that offered the class in which it was chosen; NaN where none did,
        and for the stimulus' own class.
    """
    shape = len(labels), offered.shape[1]
    times, offers = np.zeros(shape), np.zeros(shape)
    np.add.at(times, (stimulus, choice), 1)
    np.add.at(offers, stimulus, offered)
    found = np.divide(times, offers, out=np.full(shape, np.nan), where=offers > 0)
    np.put_along_axis(found, labels[:, None], np.nan, axis=1)
    return found


def i2(confused: Array, labels: Labels, *, normalised: bool = False) -> Array:
    """The d′ with which each stimulus is told from each other class.

    Parameters
    ----------
    confused : float64 array [stimulus, class]
        Of `confusions`.
    labels : int array [stimulus]
    normalised : bool, default False
        Less the mean over the stimuli of the same class (i2n).

    Returns
    -------
    float64 array [stimulus, class]
        Within ±5; NaN for the stimulus' own class.
    """
    false = np.full((confused.shape[1],) * 2, np.nan)  # [class shown, class taken for it]
    for each in np.unique(labels):
        false[each] = nanmean(confused[labels == each], axis=0)
    with np.errstate(invalid="ignore"):
        found = np.clip(norm.ppf(1 - confused) - norm.ppf(false.T[labels]), -CAP, CAP)
    if normalised:
        for each in np.unique(labels):
            found[labels == each] -= nanmean(found[labels == each], axis=0)
    return found


def i1(confused: Array, labels: Labels, *, normalised: bool = False) -> Array:
    """`i2` averaged over the other classes, [stimulus]."""
    return nanmean(i2(confused, labels, normalised=normalised), axis=1)


def solution_times(levels: Array, thresholds: ArrayLike, starts: ArrayLike) -> Array:
    """When each stimulus is first decoded as well as asked for, in ms.

    Parameters
    ----------
    levels : float64 array [stimulus, bin]
        i1 over time.
    thresholds : float or float array [stimulus]
        The i1 to reach.
    starts : float array [bin]
        Start of each bin, in ms, in order.

    Returns
    -------
    float64 array [stimulus]
        Linear between the first bin that reaches the threshold and the highest before it; the
        start of the first bin where there is none before it; NaN where no bin reaches it.

    Examples
    --------
    >>> solution_times(np.array([[0.0, 1.0, 3.0], [0.0, 0.5, 1.0]]), 2.0, [70, 80, 90])
    array([85., nan])
    """
    times = np.asarray(starts, float)
    asked = np.broadcast_to(np.asarray(thresholds, float), len(levels))
    found = np.full(len(levels), np.nan)
    for stimulus, (level, threshold) in enumerate(zip(levels, asked, strict=True)):
        reached = np.flatnonzero(level >= threshold)
        if not len(reached):
            continue
        first = reached[0]
        before = np.where(np.isfinite(level[:first]), level[:first], -np.inf)
        if not np.isfinite(before).any():
            found[stimulus] = times[first]
            continue
        last = int(before.argmax())
        share = (threshold - level[last]) / (level[first] - level[last])
        found[stimulus] = times[last] + share * (times[first] - times[last])
    return found


def agreement(a: Any, b: Any) -> float:
    """Pearson's r over what both have; NaN of fewer than `FEWEST`, or where one does not vary."""
    a, b = np.ravel(a), np.ravel(b)
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < FEWEST or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return float("nan")
    return float(np.corrcoef(a[both], b[both])[0, 1])


def rank_agreement(a: Array, b: Array) -> tuple[float, int]:
    """Spearman's r over the stimuli that both solve, and their number."""
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < FEWEST or np.ptp(a[both]) == 0 or np.ptp(b[both]) == 0:
        return float("nan"), int(both.sum())
    return float(spearmanr(a[both], b[both]).statistic), int(both.sum())

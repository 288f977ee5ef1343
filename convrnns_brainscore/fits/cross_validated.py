"""Dissimilarities between stimuli that are cross-validated over repetitions.

Noise makes every dissimilarity that is not cross-validated larger, and more so where there are
fewer repetitions. The crossnobis dissimilarity (rsatoolbox's; Walther et al. 2016) is unbiased: it
is 0 on average for two stimuli that neurons do not tell apart, and may be negative. Pairwise
decoding (Cichy et al. 2014) is the accuracy with which a linear discriminant tells the two stimuli
apart in repetitions that it was not trained on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rsatoolbox.data import Dataset
from rsatoolbox.data.noise import cov_from_residuals
from rsatoolbox.rdm import calc_rdm

from convrnns_brainscore.fits.reliability import Trials

MOST_FOLDS = 10
"""More repetitions are averaged to this number of folds."""

Array = NDArray[np.float64]


def fold_means(trials: Trials) -> Array:
    """Average responses in each fold of the repetitions.

    Each neuron's repetitions of a stimulus are counted in their order, and the k-th belongs to fold
    k, so that neurons that were recorded in different presentations form one population.

    Parameters
    ----------
    trials : Trials
        [presentation, neuron, bin].

    Returns
    -------
    float64 array [fold, stimulus, neuron, bin]
        As many folds as the fewest repetitions of any stimulus for any neuron, and no more than
        `MOST_FOLDS`.
    """
    fold = np.full(trials.values.shape[:2], -1)
    counts = np.zeros((trials.stimuli, trials.values.shape[1]), np.intp)
    seen = np.isfinite(trials.values).any(axis=2)
    for row, stimulus in enumerate(trials.stimulus):
        here = seen[row]
        fold[row, here] = counts[stimulus, here]
        counts[stimulus, here] += 1
    folds = min(int(counts.min(initial=MOST_FOLDS)), MOST_FOLDS)
    if not folds:
        return np.empty((0, trials.stimuli, *trials.values.shape[1:]))
    there = np.where(fold >= 0, fold % folds, -1)[:, :, None]
    return np.stack(
        [
            Trials(
                np.where(there == index, trials.values, np.nan), trials.stimulus, trials.stimuli
            ).average()
            for index in range(folds)
        ]
    )


def noisy(means: Array) -> NDArray[np.bool_]:
    """Whether neurons vary over folds, [neuron, …], beyond rounding.

    Parameters
    ----------
    means : float64 array [fold, stimulus, neuron, …]
    """
    largest = abs(means).max(axis=(0, 1))
    return np.asarray((means - means.mean(axis=0)).std(axis=(0, 1)) > 1e-9 * largest)


def noise_normalised(patterns: Array) -> Array:
    """Patterns in which the noise of all neurons has the same variance and no correlation.

    The covariance of the noise is rsatoolbox's shrinkage estimate from the deviations of the folds
    from their stimulus's mean (Guggenmos et al. 2018). Of all transforms that normalise, this one
    (ZCA) keeps each neuron closest to itself.

    Parameters
    ----------
    patterns : float64 array [fold, stimulus, neuron]

    Returns
    -------
    float64 array [fold, stimulus, neuron]
        0 where a neuron does not vary over folds; NaN where any neuron has NaN.
    """
    folds, stimuli, neurons = patterns.shape
    if not np.isfinite(patterns).all():
        return np.full_like(patterns, np.nan)
    varies = noisy(patterns)
    residuals = (patterns - patterns.mean(axis=0)).reshape(-1, neurons)[:, varies]
    result = np.zeros_like(patterns)
    if not varies.any():
        return result
    freedom = (folds - 1) * stimuli
    one = varies.sum() == 1  # has no covariances to shrink
    covariance = cov_from_residuals(residuals, freedom, "full" if one else "shrinkage_diag")
    variance, axes = np.linalg.eigh(covariance)
    # Rounding may leave a variance at or below zero.
    variance = np.maximum(variance, variance.max() * 1e-10)
    result[..., varies] = patterns[..., varies] @ (axes / np.sqrt(variance)) @ axes.T
    return result


def crossnobis(patterns: Array) -> Array:
    """The crossnobis dissimilarity of all pairs of stimuli, left one fold out.

    Parameters
    ----------
    patterns : float64 array [fold, stimulus, neuron]
        Of `noise_normalised`.

    Returns
    -------
    float64 array [pair]
        The upper triangle row by row.
    """
    folds, stimuli, neurons = patterns.shape
    data = Dataset(
        patterns.reshape(-1, neurons),
        obs_descriptors={
            "stimulus": np.tile(np.arange(stimuli), folds),
            "fold": np.repeat(np.arange(folds), stimuli),
        },
    )
    with np.errstate(invalid="ignore"):  # rsatoolbox makes integers of NaN, and overwrites them
        found = calc_rdm(data, method="crossnobis", descriptor="stimulus", cv_descriptor="fold")
    return np.asarray(found.dissimilarities[0], np.float64)


def pairwise_decoding(patterns: Array) -> Array:
    """The accuracy of telling two stimuli apart, of all pairs, left one fold out.

    Parameters
    ----------
    patterns : float64 array [fold, stimulus, neuron]
        Of `noise_normalised`: the linear discriminant then is the nearer of the two means.

    Returns
    -------
    float64 array [pair]
        From 0 to 1; chance is .5. The upper triangle row by row.
    """
    folds, stimuli, _ = patterns.shape
    total = patterns.sum(axis=0)
    correct = np.zeros((stimuli, stimuli))
    for left_out in patterns:
        means = (total - left_out) / (folds - 1)
        # Of row i, how much nearer its pattern is to its own mean than to that of column j.
        products = left_out @ means.T
        nearer = np.diag(products)[:, None] - products
        lengths = (means**2).sum(axis=1)
        margin = nearer - (lengths[:, None] - lengths) / 2
        correct += (np.sign(margin) + 1) / 2  # a tie counts half
    pairs: Any = np.triu_indices(stimuli, 1)
    return np.asarray((correct + correct.T)[pairs] / (2 * folds))

"""Dissimilarities between stimuli that are cross-validated over repetitions.

Noise makes every dissimilarity that is not cross-validated larger, and more so with fewer
repetitions. The crossnobis dissimilarity (Walther et al. 2016) is unbiased: it is 0 on average for
two stimuli that neurons do not tell apart, and may be negative. Pairwise decoding (Cichy et al.
2014) is the accuracy with which a linear discriminant tells the two stimuli apart in a fold of the
repetitions that it was not trained on.

Responses are normalised by the covariance of the noise. It is estimated from training folds only:
an estimate that includes the test fold shrinks the very differences between folds that
cross-validation averages out, so that noise alone would give dissimilarities above 0.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import ledoit_wolf

from convrnns_brainscore.fits.reliability import Trials

MOST_FOLDS = 10
FEWEST_FOLDS = 3
"""One is for the test, and two are for the noise of the training."""

Array = NDArray[np.float64]


def fold_means(trials: Trials) -> tuple[Array, int]:
    """Average responses in each fold of the repetitions.

    Each neuron's repetitions of a stimulus are counted in their order, so that neurons that were
    recorded in different presentations form one population. All stimuli and neurons contribute the
    same number of repetitions, since averages of more are less noisy.

    Parameters
    ----------
    trials : Trials
        [presentation, neuron, bin]. A presentation in which a neuron misses some of the bins that
        it has in others is not counted for this neuron.

    Returns
    -------
    means : float64 array [fold, stimulus, neuron, bin]
        As many folds as the fewest repetitions of any stimulus for any neuron, and no more than
        `MOST_FOLDS`.
    repetitions : int
        Number of repetitions in each fold.
    """
    observed = np.isfinite(trials.values)
    recorded = observed.any(axis=0)  # [neuron, bin]
    complete = (observed | ~recorded).all(axis=2) & recorded.any(axis=1)
    counts = np.zeros((trials.stimuli, trials.values.shape[1]), np.intp)
    place = np.full(complete.shape, -1)
    for row, stimulus in enumerate(trials.stimulus):
        here = complete[row]
        place[row, here] = counts[stimulus, here]
        counts[stimulus, here] += 1
    fewest = int(counts.min(initial=len(trials.stimulus)))
    folds = min(fewest, MOST_FOLDS)
    if not folds:
        return np.empty((0, trials.stimuli, *trials.values.shape[1:])), 0
    repetitions = fewest // folds
    fold = np.where((place >= 0) & (place < folds * repetitions), place % folds, -1)[:, :, None]
    means = [
        Trials(
            np.where(fold == index, trials.values, np.nan), trials.stimulus, trials.stimuli
        ).average()
        for index in range(folds)
    ]
    return np.stack(means), repetitions


def noisy(means: Array) -> NDArray[np.bool_]:
    """Whether neurons vary over folds, [neuron, …], beyond rounding.

    Parameters
    ----------
    means : float64 array [fold, stimulus, neuron, …]
    """
    largest = abs(means).max(axis=(0, 1))
    return np.asarray((means - means.mean(axis=0)).std(axis=(0, 1)) > 1e-9 * largest)


def whitening(folds: Array) -> Array:
    """The transform that gives the noise of all neurons the same variance and no correlation.

    The covariance of the noise is a shrinkage estimate (Ledoit & Wolf 2004, of neurons scaled to
    the same variance) from the deviations of the folds from their stimulus's mean (Guggenmos et
    al. 2018). Of all transforms that normalise, this one (ZCA) keeps each neuron closest to itself.

    Parameters
    ----------
    folds : float64 array [fold, stimulus, neuron]
        Two folds or more.

    Returns
    -------
    float64 array [neuron, neuron]
        0 for a neuron that does not vary over folds.
    """
    count, _, neurons = folds.shape
    varies = noisy(folds)
    result = np.zeros((neurons, neurons))
    if not varies.any():
        return result
    deviations = (folds - folds.mean(axis=0)).reshape(-1, neurons)[:, varies]
    scale = deviations.std(axis=0)
    covariance, _ = ledoit_wolf(deviations / scale, assume_centered=True)
    covariance = covariance * np.outer(scale, scale) * count / (count - 1)
    variance, axes = np.linalg.eigh(covariance)
    # Rounding may leave a variance at or below zero.
    variance = np.maximum(variance, variance.max() * 1e-10)
    result[np.ix_(varies, varies)] = (axes / np.sqrt(variance)) @ axes.T
    return result


def left_out(folds: Array, noise: Array | None = None) -> Array:
    """Each fold, and the mean over the others, both normalised by the noise of the others.

    Parameters
    ----------
    folds : float64 array [fold, stimulus, neuron]
    noise : float64 array [fold, stimulus, neuron], optional
        Other folds whose noise is used in the place of that of the training folds.

    Returns
    -------
    float64 array [fold, 2, stimulus, neuron]
        Test and training; NaN where any response is NaN.
    """
    if not np.isfinite(folds).all():
        return np.full((len(folds), 2, *folds.shape[1:]), np.nan)
    known = None if noise is None else whitening(noise)
    pairs = []
    for index, test in enumerate(folds):
        training = np.delete(folds, index, axis=0)
        transform = whitening(training) if known is None else known
        pairs.append(np.stack([test, training.mean(axis=0)]) @ transform)
    return np.stack(pairs)


def crossnobis(pairs: Array) -> Array:
    """The crossnobis dissimilarity of all pairs of stimuli, left one fold out.

    Parameters
    ----------
    pairs : float64 array [fold, 2, stimulus, neuron]
        Of `left_out`.

    Returns
    -------
    float64 array [pair]
        Squared distance per neuron; the upper triangle row by row.
    """
    products = np.mean([test @ training.T for test, training in pairs], axis=0)
    lengths = np.diag(products)
    squared = lengths[:, None] + lengths - products - products.T
    upper: Any = np.triu_indices(len(products), 1)
    return np.asarray(squared[upper] / pairs.shape[3])


def pairwise_decoding(pairs: Array) -> Array:
    """The accuracy of telling two stimuli apart, of all pairs, left one fold out.

    Parameters
    ----------
    pairs : float64 array [fold, 2, stimulus, neuron]
        Of `left_out`: the linear discriminant then is the nearer of the two training means.

    Returns
    -------
    float64 array [pair]
        From 0 to 1; chance is .5. The upper triangle row by row.
    """
    stimuli = pairs.shape[2]
    correct = np.zeros((stimuli, stimuli))
    for test, training in pairs:
        products = test @ training.T
        # Of row i, how much nearer its response is to its own mean than to that of column j.
        nearer = np.diag(products)[:, None] - products
        lengths = (training**2).sum(axis=1)
        margin = nearer - (lengths[:, None] - lengths) / 2
        correct += (np.sign(margin) + 1) / 2  # a tie counts half
    upper: Any = np.triu_indices(stimuli, 1)
    return np.asarray((correct + correct.T)[upper] / (2 * len(pairs)))

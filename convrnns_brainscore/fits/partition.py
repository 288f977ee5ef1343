"""Unique and shared variance of two sets of features, by nested fits on the same splits.

The variance of held-out responses that both sets together explain has three parts: what only the
first explains, what only the second explains, and what either explains (Borcard et al. 1992,
Ecology 73:1045). The fits are ridge. Together, each set has its own scale, chosen for each neuron
by leave-one-out over the training stimuli (banded ridge: Nunez-Elizalde et al. 2019, NeuroImage
197:482); each set alone is one end of the same scale, so that the fits are nested.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits.blas import blas_threads
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.gram import split_gram
from convrnns_brainscore.fits.heldout import filled
from convrnns_brainscore.fits.resampling import Draw, standard_error
from convrnns_brainscore.fits.ridge import KernelRidge
from convrnns_brainscore.fits.splits import Split

SHARES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 1.0)
"""The first set's share of the scale of both."""

PARTS = ("first", "second", "both", "unique_first", "unique_second", "shared")
"""Each set alone, both together, and the three parts of that."""

# Rows: `PARTS`; columns: the first set alone, the second, both.
_COMBINED = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, -1, 1], [-1, 0, 1], [1, 1, -1]], np.float64
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class HeldOutErrors:
    """Squared errors at test stimuli, summed over the splits that test a stimulus.

    Attributes
    ----------
    errors : float64 array [set, stimulus, neuron]
        Of the first set, the second, and both; 0 where nothing was observed.
    total : float64 array [stimulus, neuron]
        The same of a prediction by the mean of the training stimuli.
    """

    errors: Array
    total: Array

    def explained(self, weights: Array | None = None) -> Array:
        """R² of held-out responses, [set, neuron], or of weighted stimuli [set, resample, neuron].

        1 − the squared errors over those of the training mean. It is negative where a fit predicts
        worse than the mean, and NaN for a neuron that does not vary.
        """
        w = np.ones((1, len(self.total))) if weights is None else weights
        errors = np.einsum("rs,csn->crn", w, self.errors, optimize=True)
        total = w @ self.total
        with np.errstate(invalid="ignore", divide="ignore"):
            found = np.where(total > 0, 1 - errors / total, np.nan)
        return found[:, 0] if weights is None else found


def held_out_errors(
    grams: tuple[Array, Array], responses: Array, splits: Sequence[Split]
) -> HeldOutErrors:
    """Fit both sets, alone and together, to each split's training stimuli.

    Parameters
    ----------
    grams : (float64 array, float64 array)
        Inner products of each set's features, [stimulus, stimulus] (`gram.gram_matrix`).
    responses : float64 array [stimulus, neuron]
        NaN where nothing was observed: such a stimulus is taken as the neuron's mean in training,
        and not counted in test.
    splits : sequence of Split
        The same for both sets.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> common, first, second = rng.standard_normal((3, 800, 2))
    >>> sets = np.hstack([common, first]), np.hstack([common, second])
    >>> responses = common[:, :1] + first[:, :1] + second[:, :1]  # a third each
    >>> splits = [Split(np.arange(400, 800), np.arange(400))]
    >>> found = held_out_errors(tuple(x @ x.T for x in sets), responses, splits)
    >>> parts_of(found.explained()).round(1)[:, 0]
    array([0.7, 0.7, 1. , 0.3, 0.3, 0.4])
    """
    stimuli, neurons = responses.shape
    errors, total = np.zeros((3, stimuli, neurons)), np.zeros((stimuli, neurons))
    for split in splits:
        train = filled(responses, split)[split.train]
        parts = [_unit_scale(*split_gram(gram, split.train, split.test)) for gram in grams]
        predictions, missed = [], []
        with blas_threads(2):
            for share in SHARES:
                inner, across = (
                    share * one + (1 - share) * other for one, other in zip(*parts, strict=True)
                )
                ridge = KernelRidge.of(inner, across)
                predictions.append(ridge.predict(train)[0])
                missed.append(ridge.least_errors(train))
        chosen = np.argmin(missed, axis=0)
        together = np.take_along_axis(np.stack(predictions), chosen[None, None], axis=0)[0]
        observed = responses[split.test]
        known = np.isfinite(observed)
        for row, predicted in enumerate((predictions[-1], predictions[0], together)):
            errors[row, split.test] += np.where(known, (observed - predicted) ** 2, 0)
        total[split.test] += np.where(known, (observed - train.mean(axis=0)) ** 2, 0)
    first = np.nan_to_num(responses[np.isfinite(responses).argmax(axis=0), np.arange(neurons)])
    constant = ((responses == first) | np.isnan(responses)).all(axis=0)
    total[:, constant] = 0  # not the rounding of their means
    return HeldOutErrors(errors, total)


def _unit_scale(inner: Array, across: Array) -> tuple[Array, Array]:
    """Features scaled so that a training stimulus has a squared length of 1 on average."""
    scale = np.trace(inner) / len(inner)
    return (inner / scale, across / scale) if scale > 0 else (inner, across)


def parts_of(explained: Array) -> Array:
    """`PARTS` of R², [part, …], from those of the first set, the second, and both [set, …]."""
    return np.tensordot(_COMBINED, explained, axes=1)


@dataclass(frozen=True)
class Partition:
    """The parts of some neurons together.

    Attributes
    ----------
    parts : float64 array [part]
        `PARTS`, means over neurons.
    errors : float64 array [part]
        Standard errors over other stimuli and neurons (`resampling`).
    neurons : int
        How many are counted.
    """

    parts: Array
    errors: Array
    neurons: int


def partition(found: HeldOutErrors, stimuli: NDArray[np.float32], drawn: Draw) -> Partition:
    """The mean over neurons, with its error.

    Parameters
    ----------
    found : HeldOutErrors
        Of the neurons.
    stimuli, drawn
        `resampling.draw_stimuli` and `resampling.draw_neurons`.
    """
    each = parts_of(found.explained())
    half = len(stimuli) // 2
    of_stimuli = nanmean(np.moveaxis(parts_of(found.explained(stimuli[:half].astype(float))), 2, 0))
    padded = np.concatenate([each, np.full((len(each), 1), np.nan)], axis=1)
    of_neurons = nanmean(np.moveaxis(padded[:, drawn[half:]], 2, 0))
    resampled = np.concatenate([of_stimuli.T, of_neurons.T])
    return Partition(
        nanmean(each, axis=1),
        standard_error(resampled),
        int(np.isfinite(each).all(axis=0).sum()),
    )

"""Ridge regression on inner products: scikit-learn's ``Ridge`` and ``RidgeCV``, but the training
stimuli are factorised once for all penalties, neurons and latencies.

The penalty is chosen for each neuron by leave-one-out over the training stimuli, as
``RidgeCV(alpha_per_target=True)`` chooses it. It is neither "generalised" cross-validation nor
himalaya's ``RidgeCV``, which is k-fold and has no intercept.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import eigh

PENALTIES = np.logspace(-2, 9, 23)
"""The grid of penalties, in scikit-learn's units (squared features, summed): 0.01 … 10⁹, two a
decade."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class KernelRidge:
    """The factors of one split's features, from which any penalty and any responses are fitted.

    With the inner products K = QΛQ' of the centred training features, and those k of test with
    training stimuli, ridge of penalty α predicts k Q (Λ + α)⁻¹ Q'y + mean (Rifkin & Lippert 2007,
    MIT-CSAIL-TR-2007-025).

    Attributes
    ----------
    values : float64 array [rank]
        Eigenvalues of K above rounding.
    vectors : float64 array [train stimulus, rank]
        Q.
    across : float64 array [test stimulus, rank]
        k Q.
    """

    values: Array
    vectors: Array
    across: Array

    @classmethod
    def of(cls, inner: Array, across: Array) -> KernelRidge:
        """Factorise inner products of training with training, and of test with training stimuli
        (`gram.split_gram`)."""
        values, vectors = eigh(inner, driver="evd", check_finite=False)
        kept = values > len(inner) * np.finfo(np.float64).eps * max(values[-1], 0)
        vectors = vectors[:, kept]
        return cls(values[kept], vectors, across @ vectors)

    def predict(self, responses: Array, penalty: float | None = None) -> tuple[Array, Array]:
        """Fit responses to the training stimuli, and predict those to the test stimuli.

        Parameters
        ----------
        responses : float64 array [train stimulus, neuron]
        penalty : float, optional
            Penalty of all neurons; None: for each neuron the one among `PENALTIES` with the least
            error in leave-one-out.

        Returns
        -------
        predicted : float64 array [test stimulus, neuron]
        penalties : float64 array [neuron]
        """
        mean = responses.mean(axis=0)
        projected, penalties = self._fit(responses - mean, penalty)
        return self.across @ projected + mean, penalties

    def dual(self, responses: Array, penalty: float | None = None) -> tuple[Array, Array]:
        """Coefficients [train stimulus, neuron] that k is multiplied by, and penalties [neuron]."""
        projected, penalties = self._fit(responses - responses.mean(axis=0), penalty)
        return self.vectors @ projected, penalties

    def least_errors(self, responses: Array) -> Array:
        """The least mean squared error in leave-one-out over all `PENALTIES`, [neuron]."""
        centred = responses - responses.mean(axis=0)
        return np.asarray(self._errors(centred, self.vectors.T @ centred).min(axis=0))

    def _fit(self, centred: Array, penalty: float | None) -> tuple[Array, Array]:
        """(Λ + α)⁻¹ Q'y [rank, neuron], and penalties [neuron]."""
        projected = self.vectors.T @ centred
        if penalty is None:
            penalties = PENALTIES[self._errors(centred, projected).argmin(axis=0)]
        else:
            penalties = np.full(centred.shape[1], float(penalty))
        return projected / (self.values[:, None] + penalties), penalties

    def _errors(self, centred: Array, projected: Array) -> Array:
        """Squared errors in leave-one-out, means over stimuli: [penalty, neuron].

        A stimulus that is left out is missed by its residual over 1 − h, its leverage. Both are
        formed over α, so that nothing cancels where α is small.
        """
        stimuli, rank = self.vectors.shape
        squared = self.vectors**2
        # The share of a stimulus in neither the features nor the intercept.
        spare, left = np.zeros(stimuli), np.zeros_like(centred)
        if rank < stimuli - 1:
            spare = np.maximum(1 - 1 / stimuli - squared.sum(axis=1), 0)
            left = centred - self.vectors @ projected
        errors = np.empty((len(PENALTIES), centred.shape[1]))
        for row, penalty in enumerate(PENALTIES):
            weights = 1 / (self.values + penalty)
            residual = left / penalty + self.vectors @ (weights[:, None] * projected)
            missed = residual / (spare / penalty + squared @ weights)[:, None]
            errors[row] = (missed**2).mean(axis=0)
        return errors

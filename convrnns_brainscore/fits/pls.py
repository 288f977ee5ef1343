"""Exact partial least squares: the converged solution of ``PLSRegression(scale=False)``.

A component is the direction w of the features X, and v of the responses Y, with the greatest
covariance: the first pair of singular vectors of X'Y. Its scores t = Xw are taken out of X and Y
(deflation) before the next component: the textbook's PLS2 (Dayal & MacGregor 1997, J. Chemometrics
11:73; Wold et al. 2001). scikit-learn finds w by iterating until it changes by less than ``tol``
(1e-6), up to 500 times, which stops as much as .14 std early on noisy data; with ``tol=1e-14,
max_iter=20000`` it gives the results of this module.

Two implementations:

* `kernel_pls`, here, with fewer stimuli than features: all from stimuli × stimuli inner products;
* `streamed_pls.streamed_pls`, where the rows are stimuli × time bins and their inner products would
  not fit in memory.

With features of a lower rank than there are components, the components end at the rank
(scikit-learn continues with rounding noise).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from scipy.sparse.linalg import ArpackError, eigsh

from convrnns_brainscore.fits.gram import coordinates

COMPONENTS = 25
"""As Brain-Score's metrics have it (Yamins et al. 2014)."""

DENSE = 150
"""Up to this size all eigenvectors are cheaper than the iterations to the first."""

EXHAUSTED = 1e-20
"""Scores of less than this share of the largest component's variance are rounding: the features'
rank is reached."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class KernelPLS:
    """Fitted PLS in terms of inner products.

    Attributes
    ----------
    dual : float64 array [stimulus, component]
        The scores of stimuli with (centred) inner products k to the training stimuli are k @ dual.
    loadings : float64 array [component, neuron]
        Responses are scores @ loadings + mean.
    mean : float64 array
        [neuron] of the training responses.
    """

    dual: Array
    loadings: Array
    mean: Array

    @property
    def components(self) -> int:
        """How many there are: fewer than asked for where the features' rank is lower."""
        return self.dual.shape[1]

    def predict(self, gram: Array) -> Array:
        """Responses [stimulus, neuron] from inner products with the training stimuli."""
        return gram @ self.dual @ self.loadings + self.mean


def kernel_pls(gram: Array, responses: ArrayLike, components: int = COMPONENTS) -> KernelPLS:
    """PLS of ``responses`` on features with the inner products ``gram``.

    Parameters
    ----------
    gram : float64 array [stimulus, stimulus]
        Gram of centred features (`gram.split_gram`).
    responses : array-like [stimulus, neuron]
    components : int, default COMPONENTS
        How many, at most.
    """
    responses = np.asarray(responses, np.float64)
    mean = responses.mean(axis=0)
    centred = responses - mean
    # With K = XX' and D = Y: X'Y = X'D, w = X'Dv, and all that w is needed for is Xw = KDv
    # (kernel PLS: Rosipal & Trejo 2001, JMLR 2:97).
    dual_cross = centred
    if centred.shape[1] > len(centred):  # the same scores from as few columns as there are rows
        dual_cross = coordinates(centred @ centred.T)
    dual_cross = dual_cross.copy()
    gram_cross = gram @ dual_cross
    covariance = dual_cross.T @ gram_cross  # (X'Y)'X'Y

    scores = np.empty((len(gram), components))
    dual = np.empty_like(scores)
    largest, found = 0.0, 0
    for found in range(components):
        # The direction of greatest covariance: v is the first eigenvector of (X'Y)'X'Y.
        v = first_eigenvector(covariance)
        direction = gram_cross @ v
        # Orthogonalisation: scores of the deflated X are those of X less the earlier scores.
        earlier = scores[:, :found].T @ direction
        t = direction - scores[:, :found] @ earlier
        length = float(np.linalg.norm(t))
        largest = max(largest, length)
        if not length**2 > EXHAUSTED * largest**2:
            break
        t /= length
        t -= scores[:, :found] @ (scores[:, :found].T @ t)  # twice is enough
        scores[:, found] = t
        # The same for a with t = Ka, from which other stimuli are predicted.
        dual[:, found] = (dual_cross @ v - dual[:, :found] @ earlier) / length
        # Deflation of the responses, D ← (I − tt')D, and with it of KD and of D'KD.
        loading = t @ dual_cross
        gram_t = gram @ t
        moved = t @ gram_cross
        dual_cross -= np.outer(t, loading)
        gram_cross -= np.outer(gram_t, loading)
        both = np.outer(moved, loading)
        covariance -= both + both.T - (t @ gram_t) * np.outer(loading, loading)
    else:
        found = components
    return KernelPLS(dual[:, :found], scores[:, :found].T @ centred, mean)


def first_eigenvector(symmetric: Array) -> Array:
    """The eigenvector of the largest eigenvalue of a positive semidefinite matrix."""
    size = len(symmetric)
    if size > DENSE:
        try:
            start = symmetric[:, int(np.argmax(np.diag(symmetric)))]
            _, vectors = eigsh(symmetric, k=1, v0=start, ncv=20)
            return np.asarray(vectors[:, 0])
        except ArpackError:  # two eigenvalues as good as equal, or nothing left
            pass
    _, vectors = eigh(symmetric, subset_by_index=[size - 1, size - 1], check_finite=False)
    return np.asarray(vectors[:, 0])

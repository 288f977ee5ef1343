"""Inner products between stimuli, which determine all linear predictions.

Predictions of PLS and ridge depend on the features through the stimuli × stimuli matrix of their
inner products (the Gram matrix) alone, so any features may be replaced by others with the same
one: 1,000 stimuli × 25,088 features by 1,000 stimuli × 999 coordinates.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import eigh
from sklearn.preprocessing import KernelCenterer

COLUMNS = 8192
"""Features whose inner products are formed at a time, of an array in memory."""


def gram_matrix(blocks: Iterable[ArrayLike]) -> NDArray[np.float64]:
    """Inner products of the centred features, in double precision.

    Parameters
    ----------
    blocks : iterable of array-like
        The features, some columns at a time: [stimulus, feature] each.

    Returns
    -------
    float64 array [stimulus, stimulus]
    """
    total: NDArray[np.float64] | None = None
    for block in blocks:
        centred = np.array(block, np.float64)
        centred -= centred.mean(axis=0)
        products = centred @ centred.T
        total = products if total is None else np.add(total, products, out=total)
    assert total is not None, "no features"
    return total


def gram_of(features: NDArray[Any]) -> NDArray[np.float64]:
    """`gram_matrix` of an array in memory [stimulus, feature], without a double-precision copy."""
    columns = range(0, features.shape[1], COLUMNS)
    return gram_matrix(features[:, start : start + COLUMNS] for start in columns)


def split_gram(
    gram: NDArray[np.float64], train: NDArray[np.intp], test: NDArray[np.intp]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The inner products of features centred on their means over the training stimuli.

    Returns
    -------
    (float64 array, float64 array)
        [train, train] and [test, train].
    """
    centre = KernelCenterer()
    inner = centre.fit_transform(gram[np.ix_(train, train)])
    return inner, centre.transform(gram[np.ix_(test, train)])


def coordinates(gram: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rows with the inner products ``gram``: [stimulus, rank].

    What is below the rounding of the largest eigenvalue is excluded.
    """
    values, vectors = eigh(gram, driver="evd", overwrite_a=False)
    kept = values > len(gram) * np.finfo(np.float64).eps * max(values[-1], 0)
    return np.asarray(vectors[:, kept] * np.sqrt(values[kept]))

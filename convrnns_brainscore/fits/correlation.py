"""Pearson's r and its correction for halves. Undefined values are NaN, and excluded from
averages."""

from __future__ import annotations

import warnings

import numpy as np
from numpy.typing import ArrayLike, NDArray


def pearson(a: ArrayLike, b: ArrayLike) -> NDArray[np.float64]:
    """Pearson's r over the first axis, of the rows that are finite in both.

    Parameters
    ----------
    a, b : array-like [stimulus, …]
        Arrays of one shape.

    Returns
    -------
    float64 array […]
        NaN where either does not vary, or fewer than three rows are finite.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    missing = ~(np.isfinite(a) & np.isfinite(b))
    some_missing = missing.any()
    if some_missing:
        a, b = np.where(missing, np.nan, a), np.where(missing, np.nan, b)
    mean = np.nanmean if some_missing else np.mean
    total = np.nansum if some_missing else np.sum
    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # nothing but NaN
        centred = [each - mean(each, axis=0) for each in (a, b)]
        # A constant's deviations are the rounding of its mean.
        varies = [
            total(c**2, axis=0) > len(c) * (8 * np.finfo(float).eps * abs(mean(e, axis=0))) ** 2
            for c, e in zip(centred, (a, b), strict=True)
        ]
        first, second = centred
        products = total(first * second, axis=0)
        r = products / np.sqrt(total(first**2, axis=0) * total(second**2, axis=0))
    enough = (~missing).sum(axis=0) >= 3
    return np.where(varies[0] & varies[1] & enough, r, np.nan)


def spearman_brown(r: ArrayLike) -> NDArray[np.float64]:
    """The reliability of the whole from the correlation of its halves: 2 r / (1 + r)."""
    r = np.asarray(r, np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return 2 * r / (1 + r)


def nanmedian(values: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    """The median of what is defined; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmedian(values, axis=axis), np.float64)


def nanmean(values: NDArray[np.float64], axis: int = 0) -> NDArray[np.float64]:
    """The mean of what is defined; NaN where nothing is."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)
        return np.asarray(np.nanmean(values, axis=axis), np.float64)

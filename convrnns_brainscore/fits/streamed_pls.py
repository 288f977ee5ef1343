"""PLS on features that are read in blocks of rows (`pls` has the method and its source).

For rows that are stimuli × time bins, whose inner products would not fit in memory. X'Y is computed
once, and then each component takes one pass over the features, for all splits together.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from joblib import cpu_count  # type: ignore[import-untyped]
from numpy.typing import ArrayLike, NDArray
from scipy.sparse.linalg import LinearOperator, svds

from convrnns_brainscore.fits.blas import blas_threads
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.pls import COMPONENTS, first_eigenvector

EXHAUSTED_SINGLE = 1e-6
"""The same for covariances, where features are multiplied in single precision."""

MOST_ROWS = 5000
"""Up to so many rows, inner products between rows are formed (200 MB)."""

MOST_RESPONSES = 3000
"""Up to so many responses, inner products between responses are formed (72 MB)."""

BLOCK = 1000
"""Rows at a time, of features in memory."""

Array = NDArray[np.float64]
Block = tuple[slice, Callable[[], NDArray[np.float32]]]
"""Some rows: where they stand among all rows, and what reads their features [row, feature]."""

Blocks = Callable[[], Iterator[Block]]
"""All rows in their order, some at a time."""


def bin_after_bin(features: Any, positions: Sequence[int], at_a_time: int = 128) -> Iterator[Block]:
    """Rows that are the stimuli of one bin after another, some at a time.

    Parameters
    ----------
    features : array [stimulus, feature, bin]
        An array in memory or on disk.
    positions : sequence of int
        Bins, in the order of the rows.
    """
    stimuli = features.shape[0]
    for index, position in enumerate(positions):
        for first in range(0, stimuli, at_a_time):
            rows = slice(first, min(first + at_a_time, stimuli))
            start = index * stimuli
            yield (
                slice(start + rows.start, start + rows.stop),
                partial(_read, features, rows, position),
            )


def _read(features: Any, rows: slice, position: int) -> NDArray[np.float32]:
    return np.asarray(features[rows, :, position], np.float32)


@dataclass(frozen=True)
class StreamedPLS:
    """Fitted PLS in terms of features.

    Attributes
    ----------
    weights : float64 array [feature, component]
        The scores of stimuli are (features − feature_mean) @ weights.
    loadings : float64 array [component, neuron]
        Responses are scores @ loadings + mean.
    feature_mean, mean : float64 array
        Means over the training rows, [feature] and [neuron].
    scores : float64 array
        [row, component] of all rows that were streamed.
    """

    weights: Array
    loadings: Array
    feature_mean: Array
    mean: Array
    scores: Array

    def predict(self, features: ArrayLike) -> Array:
        """Responses [row, neuron] from features [row, feature]."""
        centred = np.asarray(features, np.float64) - self.feature_mean
        return centred @ self.weights @ self.loadings + self.mean

    def predict_rows(self, rows: NDArray[np.intp]) -> Array:
        """Responses to rows among those that were streamed."""
        return self.scores[rows] @ self.loadings + self.mean


def streamed_pls(
    blocks: Blocks,
    targets: Sequence[tuple[NDArray[np.floating[Any]], NDArray[np.intp]]],
    components: int = COMPONENTS,
) -> list[StreamedPLS]:
    """PLS on features that are read some rows at a time.

    The features are read 2 + ``components`` times, whatever the number of fits. Memory holds
    features × neurons for each fit.

    Parameters
    ----------
    blocks : callable
        The features, the same each time it is called.
    targets : sequence of (float array, int array)
        The responses of each fit [row, neuron] and the training rows.
    components : int, default COMPONENTS
        How many, at most.

    Returns
    -------
    list of StreamedPLS
        The fits.
    """
    rows = len(targets[0][0])
    member = np.zeros((rows, len(targets)), np.float32)
    for index, (_, chosen) in enumerate(targets):
        member[chosen, index] = 1
    counts = member.sum(axis=0, dtype=np.float64)
    sums, total = np.zeros(()), np.zeros(())
    for where, block in _ahead(blocks()):
        total = total + block.sum(axis=0, dtype=np.float64)
        sums = sums + (member[where].T @ block).astype(np.float64)
    centre = (total / rows).astype(np.float32)
    fits = [
        _Streamed(responses, chosen, sums[index] / len(chosen) - centre, components)
        for index, (responses, chosen) in enumerate(targets)
    ]

    for where, block in _in_greater_blocks(_ahead(blocks())):
        block -= centre
        of_all: dict[int, Any] = {}  # for fits to the same responses
        for index, (fit, (responses, _)) in enumerate(zip(fits, targets, strict=True)):
            key = id(responses)
            if key not in of_all:
                of_all[key] = block.T @ fit.centred(responses[where])
            left_out = member[where, index] == 0
            rest = block[left_out].T @ fit.centred(responses[where][left_out])
            fit.cross += of_all[key] - rest
    for fit in fits:
        fit.begin()
    for _ in range(components):
        directions = np.stack([fit.direction() for fit in fits], axis=1).astype(np.float32)
        scores, products = _scores_and_products(blocks(), centre, directions, member)
        for index, fit in enumerate(fits):
            fit.take(scores[:, index].astype(np.float64), products[index], counts[index])
    return [fit.fitted(centre) for fit in fits]


def _scores_and_products(
    blocks: Iterator[Block],
    centre: NDArray[np.float32],
    directions: NDArray[np.float32],
    member: NDArray[np.float32],
) -> tuple[NDArray[np.float32], Array]:
    """Xr of all rows, [row, fit], and (Xr)'X over each fit's training rows, [fit, feature].

    A core does all with a block while it is in the core's cache; sums are in the blocks' order, so
    that they are the same each time.
    """
    scores = np.empty(member.shape, np.float32)
    products = np.zeros(directions.T.shape)

    def work(block: Block) -> NDArray[np.float32]:
        where, values = block[0], block[1]() - centre
        scores[where] = values @ directions
        return np.asarray((scores[where] * member[where]).T @ values)

    under_way: deque[Future[NDArray[np.float32]]] = deque()
    with blas_threads(1), ThreadPoolExecutor(cpu_count()) as pool:
        for block in blocks:
            under_way.append(pool.submit(work, block))
            if len(under_way) > cpu_count():
                products += under_way.popleft().result()
        for last in under_way:
            products += last.result()
    return scores, products


Read = tuple[slice, NDArray[np.float32]]


def _ahead(blocks: Iterator[Block]) -> Iterator[Read]:
    """The next block is read while this one is worked on."""
    with ThreadPoolExecutor(1) as pool:
        coming: deque[tuple[slice, Future[NDArray[np.float32]]]] = deque()
        for where, read in blocks:
            coming.append((where, pool.submit(read)))
            if len(coming) > 1:
                ready, values = coming.popleft()
                yield ready, values.result()
        for ready, values in coming:
            yield ready, values.result()


def _in_greater_blocks(blocks: Iterator[Read]) -> Iterator[Read]:
    """Consecutive blocks put together to `BLOCK` rows, for what costs as much for few rows."""
    held: list[NDArray[np.float32]] = []
    start = 0
    for where, block in blocks:
        if not held:
            start = where.start
        held.append(block)
        if where.stop - start >= BLOCK:
            yield slice(start, where.stop), np.concatenate(held)
            held = []
    if held:
        together = np.concatenate(held)
        yield slice(start, start + len(together)), together


class _Streamed:
    """One fit of `streamed_pls` under way. Its features are centred on all rows' mean;
    ``offset`` is where the training rows' mean lies from there."""

    def __init__(
        self,
        responses: NDArray[np.floating[Any]],
        chosen: NDArray[np.intp],
        offset: Array,
        most: int,
    ) -> None:
        self.mean = responses[chosen].mean(axis=0, dtype=np.float64)
        self.overall = np.nan_to_num(nanmean(np.asarray(responses, np.float64)))
        self.chosen, self.offset = chosen, offset
        self.cross = np.zeros((len(offset), responses.shape[1]))
        self.weights, self.projections = (np.zeros((len(offset), most)) for _ in range(2))
        self.loadings = np.zeros((most, responses.shape[1]))
        self.scores = np.zeros((len(responses), most))
        self.found, self.largest, self.ended = 0, 0.0, False

    def centred(self, responses: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
        """Less their mean over all rows, which is the same for all fits to the same responses.
        What is missing is in no training row."""
        return np.nan_to_num(responses - self.overall).astype(np.float32)

    def begin(self) -> None:
        """X'Y is whole, but for the means over the training rows."""
        shift = self.overall - self.mean
        self.cross += np.outer(len(self.chosen) * self.offset, shift)
        few = self.cross.shape[1] <= MOST_RESPONSES
        self.covariance = self.cross.T @ self.cross if few else None
        self.lengths = np.zeros(len(self.loadings))

    def remaining(self, v: Array) -> Array:
        """X'Y times v, without the components found so far."""
        # Deflation, X'Y − Σ p (t't) q', is applied to v and never formed (Dayal & MacGregor 1997).
        k = self.found
        return self.cross @ v - self.projections[:, :k] @ (
            self.lengths[:k] * (self.loadings[:k] @ v)
        )

    def direction(self) -> Array:
        """r, of which the next scores are t = Xr; zeros where there are none left."""
        if self.ended:
            return np.zeros(len(self.offset))
        if self.covariance is None:
            v = self._first_singular_vector()
        else:
            v = first_eigenvector(self.covariance)
        w = self.remaining(v)
        covariance = float(np.linalg.norm(w))
        self.largest = max(self.largest, covariance)
        if not covariance > EXHAUSTED_SINGLE * self.largest:
            self.ended = True
            return np.zeros(len(self.offset))
        w /= covariance
        # r = w − Σ (p'w) r: scores of the deflated X, straight from X (Dayal & MacGregor 1997).
        k = self.found
        self._next: Array = w - self.weights[:, :k] @ (self.projections[:, :k].T @ w)
        return self._next

    def take(self, scores: Array, products: Array, count: float) -> None:
        """Xr of all rows, and X'Xr over the training rows."""
        if self.ended:
            return
        # Centring on the training rows' mean, of which the features were not aware.
        shift = float(self.offset @ self._next)
        t = scores - shift
        # Loadings: p = X't / t't of the features, q = Y't / t't of the responses.
        p = products - shift * count * self.offset
        length = float(t[self.chosen] @ t[self.chosen])
        p /= length
        k = self.found
        loading = self._next @ self.cross / length  # r is orthogonal to the earlier p
        if self.covariance is not None:
            # Deflation of (X'Y)'X'Y by X'Y ← X'Y − p (t't) q'.
            earlier = self.lengths[:k] * (p @ self.projections[:, :k])
            moved = length * (p @ self.cross - earlier @ self.loadings[:k])
            both = np.outer(moved, loading)
            self.covariance -= both + both.T - length**2 * (p @ p) * np.outer(loading, loading)
        self.weights[:, k], self.projections[:, k], self.scores[:, k] = self._next, p, t
        self.loadings[k], self.lengths[k] = loading, length
        self.found = k + 1

    def _first_singular_vector(self) -> Array:
        k = self.found

        def transposed(u: Array) -> Array:
            u = u.ravel()
            parts = self.lengths[:k] * (self.projections[:, :k].T @ u)
            return u @ self.cross - parts @ self.loadings[:k]

        # v as the first right singular vector of the deflated X'Y, by its products alone.
        operator = LinearOperator(
            self.cross.shape, matvec=lambda v: self.remaining(v.ravel()), rmatvec=transposed
        )
        return np.asarray(svds(operator, k=1, v0=np.ones(min(self.cross.shape)))[2][0])

    def fitted(self, centre: NDArray[np.float32]) -> StreamedPLS:
        k = self.found
        return StreamedPLS(
            self.weights[:, :k],
            self.loadings[:k],
            centre + self.offset,
            self.mean,
            self.scores[:, :k],
        )

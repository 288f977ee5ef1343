"""Steps and time bins: step t is the bin [10 t, 10 (t + 1)) ms from image onset."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.errors import ConvRNNError

MS_PER_STEP = 10
"""Milliseconds that one step stands for (Nayebi et al. 2022, "biological unrolling")."""

BEFORE_ONSET = "before onset"
BEFORE_THE_IMAGE = "before the image reaches the layer"
AFTER_THE_IMAGE = "after the image has left the layer"
"""Why the features of a time bin say nothing about the image."""

TimeBin = tuple[float, float]
"""Start and end in ms from image onset."""

RESPONSE: TimeBin = (70.0, 170.0)
"""The response to an image where no time is asked for, in ms: Brain-Score's usual bin."""

UNROLLED_MS = 260.0
"""How long the networks were compared with neurons, in ms (Nayebi et al. 2022)."""

SECONDS = 5
"""Bins that all end before this are in seconds."""


def round_ms(times: ArrayLike) -> NDArray[np.float64]:
    """Times in ms, rounded to 0.001 ms.

    Sums of decimal fractions and conversions from seconds leave edges such as 20.000000000000004,
    which reach a hair into the next step, with all that the step says of the image. Edges are
    therefore rounded where they are read, and nowhere else.

    Examples
    --------
    >>> round_ms([20.000000000000004, -1e-15])
    array([20.,  0.])
    """
    return np.round(np.asarray(times, np.float64), 3) + 0.0  # and −0 is 0


def bins_of_steps(first: int, last: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Start and end in ms of the steps ``first`` … ``last − 1``: step t is [10 t, 10 (t + 1)).

    Examples
    --------
    >>> bins_of_steps(9, 11)
    (array([ 90, 100]), array([100, 110]))
    """
    start = np.arange(first, last) * MS_PER_STEP
    return start, start + MS_PER_STEP


def parse_time_bins(time_bins: Any) -> list[TimeBin]:
    """Time bins in ms as pairs, from any form in which Brain-Score's benchmarks give them.

    Raises
    ------
    ConvRNNError
        No bins, or a bin that ends before it starts or starts before image onset.
    """
    pairs = [(start, end) for start, end in round_ms(_pairs(time_bins)).tolist()]
    for start, end in pairs:
        if not 0 <= start < end < np.inf:
            raise _unrecordable(start, end)
    return pairs


@dataclass(frozen=True)
class AskedBins:
    """The time bins that a benchmark asks for.

    Attributes
    ----------
    asked : tuple of (start, end)
        As the benchmark gives them; the answer carries them.
    in_ms : tuple of (start, end)
        In ms from image onset; start and end are equal where the bin is an instant.
    note : str
        What was read into them; empty: nothing.
    """

    asked: tuple[TimeBin, ...]
    in_ms: tuple[TimeBin, ...]
    note: str = ""

    def responses(self, image_ms: float) -> tuple[TimeBin, ...]:
        """The bins, with an interval for each instant: `RESPONSE`, or the time that the image was
        on (``image_ms``) where that is longer, up to `UNROLLED_MS`.

        Examples
        --------
        >>> read_time_bins([(0, 0)]).responses(100)
        ((70.0, 170.0),)
        >>> read_time_bins([(0, 0)]).responses(2500)
        ((0.0, 260.0),)
        """
        start, end = RESPONSE
        interval = RESPONSE if image_ms <= end - start else (0.0, min(image_ms, UNROLLED_MS))
        return tuple(interval if a == b else (a, b) for a, b in self.in_ms)


def read_time_bins(time_bins: Any) -> AskedBins:
    """The time bins that a benchmark asks for, with instants and bins in seconds.

    An instant, such as (0, 0), stands for the response of a recording without time (fMRI). Bins
    that all end within `SECONDS` are in seconds: no response falls within 5 ms of image onset.

    Raises
    ------
    ConvRNNError
        No bins, or a bin that ends before it starts or starts before image onset.

    Examples
    --------
    >>> read_time_bins([(0.1, 0.11)]).in_ms
    ((100.0, 110.0),)
    >>> read_time_bins([(0.1, 0.11)]).note
    'the bins, 0.1 to 0.11, are read as seconds'
    """
    if isinstance(time_bins, AskedBins):
        return time_bins
    asked = _pairs(time_bins)
    edges = np.array(asked)
    last, note = edges.max(), ""
    if 0 < last < SECONDS:
        note = f"the bins, {edges.min():g} to {last:g}, are read as seconds"
        edges = edges * 1000
    pairs = tuple((start, end) for start, end in round_ms(edges).tolist())
    for start, end in pairs:
        if not 0 <= start <= end < np.inf:
            raise _unrecordable(start, end)
    if not note and any(start == end for start, end in pairs):
        note = "a bin of zero width stands for the whole response"
    return AskedBins(tuple(asked), pairs, note)


def _pairs(time_bins: Any) -> list[TimeBin]:
    if isinstance(time_bins, np.ndarray):
        time_bins = time_bins.tolist()
    if not isinstance(time_bins, Iterable) or isinstance(time_bins, str):
        raise ConvRNNError(f"time bins {time_bins!r}: expected (start, end) pairs in ms.")
    time_bins = list(time_bins)
    if len(time_bins) == 2 and all(isinstance(value, Real) for value in time_bins):
        time_bins = [time_bins]
    pairs = []
    for time_bin in time_bins:
        values = time_bin.tolist() if isinstance(time_bin, np.ndarray) else time_bin
        try:
            start, end = (float(value) for value in values)
        except (TypeError, ValueError):
            raise ConvRNNError(f"time bin {time_bin!r}: expected (start, end) in ms.") from None
        pairs.append((start, end))
    if not pairs:
        raise ConvRNNError("no time bins to record.")
    return pairs


def _unrecordable(start: float, end: float) -> ConvRNNError:
    if not np.isfinite([start, end]).all():
        return ConvRNNError(f"time bin ({start:g}, {end:g}) ms: expected finite edges.")
    return ConvRNNError(
        f"time bin ({start:g}, {end:g}) ms: a bin must end after it starts, and start at image "
        "onset "
        "(0 ms) or later: the network has no state before the image."
    )


def shown_at_steps(onsets: ArrayLike, offsets: ArrayLike, times: int) -> NDArray[np.int64]:
    """What each of ``times`` steps shows: that which is on in the middle of its 10 ms.

    Parameters
    ----------
    onsets, offsets : float array-like [interval]
        In ms, in order, without overlap; an offset is the first moment after the interval.
    times : int
        Number of steps.

    Returns
    -------
    int array [step]
        The interval of each step; −1 where there is none.

    Examples
    --------
    >>> shown_at_steps([0, 33.3], [33.3, 60], times=7)
    array([ 0,  0,  0,  1,  1,  1, -1])
    """
    middles = (np.arange(times) + 0.5) * MS_PER_STEP
    found = np.searchsorted(round_ms(onsets), middles, side="right") - 1
    on = (found >= 0) & (middles < round_ms(offsets)[np.maximum(found, 0)])
    return np.where(on, found, -1)


def first_steps(times: ArrayLike) -> NDArray[np.int64]:
    """The first step whose middle is not before each of ``times``, in ms.

    Examples
    --------
    >>> first_steps([0, 33.3, 35, 36])
    array([0, 3, 3, 4])
    """
    return np.ceil(np.round(np.asarray(times) / MS_PER_STEP - 0.5, 6)).astype(np.int64)


def runs(shown: ArrayLike) -> list[tuple[int, int, int]]:
    """What stays the same over steps: first step, step after the last, and its value.

    Examples
    --------
    >>> runs([0, 0, 1])
    [(0, 2, 0), (2, 3, 1)]
    """
    values = np.asarray(shown)
    edges = [0, *(np.flatnonzero(np.diff(values)) + 1).tolist(), len(values)]
    return [(start, end, int(values[start])) for start, end in pairwise(edges)]


def step_bins(first: int, last: int) -> list[TimeBin]:
    """The time bins of the steps ``first`` … ``last − 1``."""
    return list(zip(*(edge.tolist() for edge in bins_of_steps(first, last)), strict=True))


def bin_weights(time_bin: TimeBin) -> dict[int, float]:
    """Step → its share in a bin: how much of the bin the step's 10 ms overlap.

    Examples
    --------
    >>> bin_weights((70, 90))
    {7: 0.5, 8: 0.5}
    """
    start, end = time_bin
    first, last = int(start // MS_PER_STEP), int(np.ceil(end / MS_PER_STEP))
    return {
        step: (min(end, (step + 1) * MS_PER_STEP) - max(start, step * MS_PER_STEP)) / (end - start)
        for step in range(first, last)
    }

"""Coordinates of labelled arrays, checked as they are read: ids, time bins, durations."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.tables import with_points
from convrnns_brainscore.timing import MS_PER_STEP, SECONDS, TimeBin, round_ms

DIMS = ("presentation", "neuroid", "time_bin")
"""The dims of a recording."""

NOTES = "notes"
"""The attribute in which a reader of files says what it left out or chose."""

BLANK = ("", "-1", "-1.0", "nan", "NaN", "None", "null")
"""Ids of presentations in which no stimulus was shown."""

MISSING = ("", "nan", "na", "n/a", "none", "null", "<na>")
"""What stands for a missing number, in lower case."""

LONGEST_MS = 10_000
"""Times beyond this are not in ms from an image's onset, except in movies."""

WIDEST_OF_MOVIE = 1000
"""Bins of movies are no wider, in ms; wider ones up to late times are in microseconds."""


def without_multiindex(data: xr.DataArray) -> xr.DataArray:
    """Without Brain-Score's MultiIndex: each coordinate by itself."""
    several = [dim for dim in data.dims if isinstance(data.indexes.get(dim), pd.MultiIndex)]
    plain = data if type(data) is xr.DataArray else xr.DataArray(data)  # which would read it
    return plain.reset_index(several) if several else plain


def coordinate(data: xr.DataArray, name: str, dim: str, what: str) -> NDArray[Any]:
    """The values of a coordinate that lies on one dim.

    Parameters
    ----------
    data : xarray.DataArray
        The labelled array.
    name, dim : str
        The coordinate and the dim that it lies on.
    what : str
        The coordinate's meaning, for the error.

    Raises
    ------
    ConvRNNError
        There is none, or it lies on other dims.
    """
    if name not in data.coords:
        there = [str(n) for n, c in data.coords.items() if dim in c.dims]
        raise ConvRNNError(
            f"the recording has no coordinate {name} on {dim} ({what}); it has "
            f"{', '.join(there) or 'none'}."
        )
    if data[name].dims != (dim,):
        raise ConvRNNError(f"coordinate {name} lies on {data[name].dims}, not on {dim}.")
    return np.asarray(data[name].values)


def time_bins_of(data: xr.DataArray) -> list[TimeBin]:
    """Start and end of each bin, in ms.

    Raises
    ------
    ConvRNNError
        They are missing, make no sense, or are not in ms.
    """
    edges = []
    for name in ("time_bin_start", "time_bin_end"):
        edges.append(_in_ms(coordinate(data, name, "time_bin", "ms from image onset"), name))
    start, end = map(round_ms, edges)
    if not (np.isfinite(start) & np.isfinite(end)).all():
        raise ConvRNNError("some time bins have no start or no end (NaN): give both for every bin.")
    backwards = np.flatnonzero(edges[1] <= edges[0])
    if len(backwards):
        first, last = (float(each[backwards[0]]) for each in edges)
        raise ConvRNNError(f"time bin {first:g}–{last:g} ms must end after it starts.")
    in_seconds = np.median(edges[1] - edges[0]) < 0.5 and np.abs(end).max() < 60
    if in_seconds or np.abs([start, end]).max() < SECONDS:
        raise ConvRNNError(
            f"time bins such as {edges[0][0]:g}–{edges[1][0]:g} look like seconds; times are in ms "
            "from image onset: multiply them by 1000."
        )
    movie = start.min() <= LONGEST_MS and (end - start).max() <= WIDEST_OF_MOVIE
    if np.abs(end).max() > LONGEST_MS and not movie:
        raise ConvRNNError(
            f"time bins up to {np.abs(end).max():g} ms are not responses to an image or a movie "
            f"(from its onset, in bins of {WIDEST_OF_MOVIE} ms at most): are they in microseconds, "
            "or session times? Give ms from image onset."
        )
    if (np.diff(start) < 0).any():
        raise ConvRNNError("the time bins are not sorted: give recording.sortby('time_bin_start').")
    twice = np.flatnonzero((np.diff(start) == 0) & (np.diff(end) == 0))
    if len(twice):
        first, last = start[twice[0]], end[twice[0]]
        raise ConvRNNError(f"time bin {first:g}–{last:g} ms is given twice: remove one.")
    return list(zip(start.tolist(), end.tolist(), strict=True))


def as_text(values: Any) -> NDArray[np.str_]:
    r"""Text as programs write it: bytes are decoded (UTF-8, or else Latin-1), and the blanks and
    NULs with which MATLAB and Fortran fill up are removed.

    Examples
    --------
    >>> as_text(np.array([b"face  ", b"caf\xc3\xa9", b"caf\xe9\x00"])).tolist()
    ['face', 'café', 'café']
    """
    values = np.asarray(values)
    if values.dtype.kind not in "SO":
        text = values.astype(str)
    else:
        text = np.array([_decoded(each) for each in values.ravel()], str).reshape(values.shape)
    return np.char.rstrip(text, " \0") if text.size else text


def names_of(values: Any) -> NDArray[np.str_]:
    """Names as text, without blanks round them; empty where one is missing.

    Examples
    --------
    >>> names_of(np.array(["V4 ", None, float("nan")], object)).tolist()
    ['V4', '', '']
    """
    return np.where(pd.isna(values), "", np.char.strip(as_text(values)))


def _decoded(value: Any) -> str:
    if not isinstance(value, bytes):
        return str(value)
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def as_ids(values: Any) -> NDArray[np.str_]:
    """Ids as text; whole numbers without decimals, as they come after a merge of tables.

    Examples
    --------
    >>> as_ids(np.array([1.0, 12.0])).tolist()
    ['1', '12']
    """
    values = np.asarray(values)
    if values.dtype.kind == "f":
        known = np.isfinite(values)
        if known.any() and (values[known] == values[known].round()).all():
            whole = np.where(known, values, 0).astype(np.int64).astype(str)
            return np.where(known, whole, "nan")
    return as_text(values)


def in_single_precision(values: NDArray[Any]) -> NDArray[np.float32]:
    """Responses [presentation, neuron, bin] as float32, in which recordings are kept.

    Raises
    ------
    ConvRNNError
        Infinite values; rounding would change a neuron's responses by more than a thousandth of
        their standard deviation: a large offset, as of raw fluorescence.
    """
    single = np.ascontiguousarray(values, np.float32)
    if np.isinf(single).any():
        raise ConvRNNError("the recording holds infinite responses; missing responses must be NaN.")
    if values.dtype.kind not in "fiu" or values.dtype.itemsize <= 2 or values.dtype == np.float32:
        return single
    for neuron in range(values.shape[1]):
        exact = values[:, neuron].astype(float)
        exact = exact[np.isfinite(exact)]
        if not exact.size:
            continue
        spread, largest = exact.std(), np.abs(exact).max()
        lost = np.abs(exact.astype(np.float32) - exact).max()
        # Below, the spread is itself rounding.
        if spread > 1e-12 * largest and lost > 1e-3 * spread:
            raise ConvRNNError(
                f"responses of neuron {neuron + 1} are up to {largest:g} with a standard deviation "
                f"of {spread:g}, which single precision would round: subtract each neuron's mean."
            )
    return single


def durations_of(data: xr.DataArray) -> NDArray[np.float64] | None:
    """How long each image was on, in ms, if the recording says it."""
    if "image_on_ms" not in data.coords:
        return None
    values = np.broadcast_to(data["image_on_ms"].values, data.sizes["presentation"])
    return _in_ms(values, "image_on_ms")


def as_numbers(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    """Numbers, or text that holds them with a point or a comma; NaN where the text is empty.

    Raises
    ------
    ConvRNNError
        Other text.

    Examples
    --------
    >>> as_numbers(np.array(["4,5", "", "8"]), "degrees").tolist()
    [4.5, nan, 8.0]
    """
    if values.dtype.kind in "fiub":
        return values.astype(float)
    texts = pd.Series(names_of(values.ravel()), name=name, dtype=object)
    numbers = pd.to_numeric(with_points(texts), errors="coerce")
    wrong = numbers.isna() & ~texts.str.lower().isin(MISSING)
    if wrong.any():
        raise ConvRNNError(f"{name} holds {texts[wrong].iloc[0]!r}; expected numbers.")
    return np.asarray(numbers, np.float64)


def _in_ms(values: NDArray[Any], name: str) -> NDArray[np.float64]:
    """The values of the coordinate ``name`` as numbers of ms."""
    if values.dtype.kind == "m":  # xarray reads "units: ms" as durations
        values = values / np.timedelta64(1, "ms")
    return as_numbers(values, name)


def in_whole_steps(time_bins: Sequence[TimeBin]) -> list[TimeBin]:
    """Time bins in which neighbours narrower than a step are merged into the steps that they fill.

    Examples
    --------
    >>> in_whole_steps([(0, 50), (50, 55), (55, 60), (60, 65)])
    [(0, 50), (50.0, 60.0), (60.0, 65)]
    """
    result: list[TimeBin] = []
    run: list[TimeBin] = []
    for each in [*time_bins, (np.inf, np.inf)]:
        narrow = each[1] - each[0] < MS_PER_STEP
        if run and not (narrow and each[0] == run[-1][1]):
            result += _in_steps(run)
            run = []
        if narrow:
            run.append(each)
        elif np.isfinite(each[0]):
            result.append(each)
    return result


def _in_steps(run: Sequence[TimeBin]) -> list[TimeBin]:
    """Narrow bins that follow each other as steps; what fills no step stays with its width."""
    start, end = run[0][0], run[-1][1]
    first, last = np.ceil(start / MS_PER_STEP), np.floor(end / MS_PER_STEP)
    if last <= first:
        return [(start, end)]
    inner = [float(step * MS_PER_STEP) for step in np.arange(first, last + 1)]
    edges = [*([start] if start < inner[0] else []), *inner, *([end] if end > inner[-1] else [])]
    return list(pairwise(edges))

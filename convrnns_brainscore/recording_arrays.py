"""Recordings from plain arrays: responses, and what each of their axes stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations, permutations
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.coordinates import (
    BLANK,
    DIMS,
    NOTES,
    as_ids,
    as_text,
    in_single_precision,
    time_bins_of,
)
from convrnns_brainscore.errors import ConvRNNError, counted, unknown
from convrnns_brainscore.timing import TimeBin, round_ms

AXES = ("stimulus", "repetition", "presentation", "neuroid", "time_bin")
"""What an axis of responses can stand for."""

ORDER = ("stimulus", "presentation", "repetition", "neuroid", "time_bin")


_GIVEN = {
    "stimulus": "stimuli are listed",
    "presentation": "presentations are listed",
    "neuroid": "neurons are listed",
    "time_bin": "time bins are given",
}
"""The labels that state an axis's length."""


RESPONSES = "responses"
"""Name of the variable in a file of a recording."""

_ELSEWHERE = ("neuroid_id", "region", "time_bin_start", "time_bin_end")
"""Coordinates of neurons and time bins, which a column of stimuli cannot be."""


def recording_from_arrays(
    responses: ArrayLike,
    stimuli: pd.DataFrame | Sequence[Any] | NDArray[Any],
    regions: str | Sequence[str] | NDArray[Any],
    time_bins: TimeBin | Sequence[TimeBin] | NDArray[Any],
    *,
    axes: str | Sequence[str] | None = None,
    neuroid_ids: Sequence[Any] | NDArray[Any] | None = None,
    subjects: str | Sequence[str] | None = None,
    image_on_ms: float | Sequence[float] | NDArray[Any] | None = None,
) -> xr.DataArray:
    """Label an array of responses, so that everything here can read it.

    Parameters
    ----------
    responses : array-like
        Counts or rates; NaN, or masked, where nothing was recorded. If a DataArray has dims of
        `AXES`, these state the axes.
    stimuli : DataFrame or sequence
        The id of each stimulus or presentation, in the order of its axis; of a DataFrame the column
        ``stimulus_id``, and every other column becomes a coordinate, unless its name is taken.
    regions : str or sequence of str
        Where all neurons come from, or each.
    time_bins : (start, end) or sequence of (start, end)
        In ms from image onset; or, of more than two bins, all starts and all ends.
    axes : str or sequence of str, optional
        What each axis of ``responses`` stands for, of `AXES`: ``"neuroid, stimulus, repetition"``.
        None: by their lengths, if these leave one possibility.
    neuroid_ids : sequence, optional
        The id of each neuron; None: the names on this axis of ``responses``, or numbers from 0.
    subjects : str or sequence of str, optional
        The subject of all neurons, or of each.
    image_on_ms : float or sequence of float, optional
        How long all images were on, or that of each stimulus or presentation, in ms.

    Returns
    -------
    DataArray
        presentation × neuroid × time_bin, as `recordings` has it; its notes say how the axes were
        read, and how many presentations without any response were excluded.

    Raises
    ------
    ConvRNNError
        Axes that are not clear or do not fit; labels of another length or order; time bins that are
        not in ms, not in order, or come twice; infinite values; nothing was recorded; values that
        single precision would round, as of a large offset.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(3.0, (5, 4, 2))
    >>> recording = recording_from_arrays(
    ...     counts, ["a", "b", "c", "d"], ["V4"] * 2 + ["IT"] * 3, (70, 170)
    ... )
    >>> recording.dims, recording.shape
    (('presentation', 'neuroid', 'time_bin'), (8, 5, 1))
    >>> recording.attrs["notes"]
    ['responses [5, 4, 2] are neuroid × stimulus × repetition']
    """
    axes = _named_axes(responses, axes)
    values = np.asarray(responses)
    if values.dtype.kind not in "fiub":
        raise ConvRNNError(f"responses are of type {values.dtype}; expected numbers.")
    if isinstance(responses, np.ma.MaskedArray):
        values = np.where(responses.mask, np.nan, values)
    table = _table(stimuli)
    bins = _bins(time_bins)
    known: dict[str, int | None] = {
        "stimulus": len(table),
        "presentation": len(table),
        "repetition": None,
        "neuroid": _count(regions, neuroid_ids, values.shape),
        "time_bin": len(bins),
    }
    if axes is not None:
        values = values.reshape(_with_dropped(values.shape, _words(axes), known))
    shape = ", ".join(map(str, values.shape))
    names = _axes(values.shape, axes, known)
    if "repetition" in names:
        _check_once(table["stimulus_id"])
    for name, labels in zip(names, _own_labels(responses, values.ndim), strict=False):
        if labels is not None and name in ("stimulus", "presentation"):
            _check_same(labels, table["stimulus_id"].to_numpy())
        unique = labels is not None and len({*labels}) == len(labels)
        if unique and name == "neuroid" and neuroid_ids is None:
            neuroid_ids = labels
    present = [name for name in ORDER if name in names]
    values = values.transpose([names.index(name) for name in present])
    if "time_bin" not in names:
        values = values[..., None]
    table, left_out = _labels(table)
    table, values = _as_presentations(table, values, present, image_on_ms)
    recorded = ~np.isnan(values).all(axis=(1, 2))
    if not recorded.any():
        raise ConvRNNError("the responses are all NaN: nothing was recorded.")
    notes = [f"responses [{shape}] are {' × '.join(names)}"]
    if not recorded.all():
        notes.append(f"excluded: {counted((~recorded).sum(), 'presentation')} without a response")
    if left_out:
        notes.append(
            f"columns whose names cannot be used here are excluded ({', '.join(left_out)})"
        )
    if isinstance(subjects, str):
        notes.append(f"all neurons are of subject {subjects}")
    count = values.shape[1]
    neurons = {
        "neuroid_id": np.arange(count)
        if neuroid_ids is None
        else as_ids(np.asarray(neuroid_ids).ravel()),
        "region": _for_each(regions, count, "regions"),
        **({} if subjects is None else {"subject": _for_each(subjects, count, "subjects")}),
    }
    start, end = np.array(bins).T
    found = xr.DataArray(
        in_single_precision(values[recorded]),
        {
            **{name: ("presentation", table[name].to_numpy()[recorded]) for name in table},
            **{name: ("neuroid", each) for name, each in neurons.items()},
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", end),
        },
        DIMS,
        attrs={NOTES: notes},
    )
    time_bins_of(found)  # or a file is written that no command reads
    return found


def _named_axes(responses: Any, axes: str | Sequence[str] | None) -> str | Sequence[str] | None:
    """The axes as stated, or the dims of a labelled array if they are names of axes.

    Raises
    ------
    ConvRNNError
        The dims state other axes.
    """
    dims = [str(dim) for dim in responses.dims] if isinstance(responses, xr.DataArray) else []
    if not dims or not {*dims} <= {*AXES}:
        return axes
    if axes is not None and _words(axes) != dims:
        raise ConvRNNError(
            f"`axes={','.join(_words(axes))}`, but the responses have the dims {', '.join(dims)}: "
            "omit `axes=…`."
        )
    return dims


def _own_labels(responses: Any, axes: int) -> list[NDArray[Any] | None]:
    """The names on each axis of a labelled array or table; None: it has none, or numbers, which
    may be places."""
    if isinstance(responses, pd.DataFrame):
        found = [responses.index, responses.columns]
    elif isinstance(responses, xr.DataArray):
        found = [responses.indexes.get(dim, pd.RangeIndex(0)) for dim in responses.dims]
    else:
        found = []
    labels = [
        None
        if isinstance(each, pd.MultiIndex) or each.dtype.kind in "iufb"
        else as_ids(each.to_numpy())
        for each in found
    ]
    return labels if len(labels) == axes else []


def _check_same(labels: NDArray[Any], ids: NDArray[Any]) -> None:
    """Raise where responses are labelled with the stimuli in another order than they are listed."""
    if {*labels} & {*ids} and not np.array_equal(labels, ids):
        first = int(np.flatnonzero(labels != ids)[0])
        raise ConvRNNError(
            f"the responses are labelled with other stimuli than are listed (the first that "
            f"differs: {labels[first]!r} and {ids[first]!r}): list them in the order of the "
            "responses, or give the responses without labels."
        )


def _table(stimuli: Any) -> pd.DataFrame:
    if not isinstance(stimuli, pd.DataFrame):
        return pd.DataFrame({"stimulus_id": as_ids(np.asarray(stimuli).ravel())})
    if "stimulus_id" not in stimuli:
        raise ConvRNNError(
            f"the stimuli have no column stimulus_id; they have {', '.join(map(str, stimuli))}."
        )
    ids = as_ids(stimuli["stimulus_id"].to_numpy())
    return stimuli.reset_index(drop=True).assign(stimulus_id=ids)


def _check_once(ids: pd.Series) -> None:
    """Raise where a stimulus is twice on an axis beside which repetitions have an axis."""
    twice = ids[ids.duplicated() & ~ids.isin(BLANK)]
    if len(twice):
        first, second = np.flatnonzero(ids == twice.iloc[0])[:2] + 1
        raise ConvRNNError(
            f"stimulus {twice.iloc[0]} is listed twice (rows {first} and {second}), and the "
            "responses have an axis repetition: correct the list of stimuli."
        )


def _labels(table: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The columns that can be coordinates of presentations, and the names of those that cannot."""
    taken = (*DIMS, RESPONSES, *_ELSEWHERE)
    left_out = [name for name in table if str(name) in taken or "/" in str(name)]
    return table.drop(columns=left_out), [str(name) for name in left_out]


def _bins(time_bins: Any) -> list[TimeBin]:
    try:
        pairs = np.atleast_2d(round_ms(time_bins))
    except (TypeError, ValueError):
        pairs = np.empty((0, 2))
    if pairs.ndim == 2 and pairs.shape[0] == 2 != pairs.shape[1]:
        pairs = pairs.T  # a row of starts and a row of ends
    if pairs.ndim != 2 or pairs.shape[1] != 2 or not len(pairs):
        raise ConvRNNError(
            f"`time_bins={time_bins!r}`: expected (start, end) in ms, or several; not edges or "
            "centres."
        )
    other = pairs.T
    ambiguous = isinstance(time_bins, np.ndarray) and pairs.shape == (2, 2)
    if ambiguous and pairs[1, 0] < pairs[0, 1] and (other[:, 0] < other[:, 1]).all():
        raise ConvRNNError(
            f"`time_bins=…`: {pairs.tolist()} is either two bins that overlap, one in each row, "
            f"or a row of starts and a row of ends (which would be {other.tolist()}): give them as "
            "a list of pairs in Python, or make one recording for each bin."
        )
    return [(start, end) for start, end in pairs.tolist()]


def _count(regions: Any, neuroid_ids: Any, shape: tuple[int, ...]) -> int | None:
    if neuroid_ids is not None:
        return np.size(neuroid_ids)
    # A single region, as of a MATLAB text, is that of all neurons, unless there is one.
    for_all = isinstance(regions, str) or (np.size(regions) == 1 and 1 not in shape)
    return None if for_all else np.size(regions)


def _for_each(given: Any, count: int, what: str) -> NDArray[Any]:
    if isinstance(given, str):
        return np.full(count, given)
    given = np.asarray(given).ravel()
    if len(given) == 1:
        return as_text(np.repeat(given, count))
    if len(given) != count:
        raise ConvRNNError(
            f"{len(given)} {what} for {count} neurons: expected one value, or one per neuron."
        )
    return as_text(given)


def _words(axes: str | Sequence[str]) -> list[str]:
    return axes.replace(",", " ").split() if isinstance(axes, str) else list(axes)


def _with_dropped(
    shape: tuple[int, ...], words: Sequence[str], known: dict[str, int | None]
) -> tuple[int, ...]:
    """The shape with the axes of length one that MATLAB drops, where the others leave no choice."""
    dropped = len(words) - len(shape)
    if dropped <= 0:
        return shape
    possible = []
    for places in combinations(range(len(words)), dropped):
        lengths = list(shape)
        for place in places:
            lengths.insert(place, 1)
        if all(known.get(w) in (None, n) for w, n in zip(words, lengths, strict=True)):
            possible.append(tuple(lengths))
    return possible[0] if len(set(possible)) == 1 else shape


def _axes(
    shape: tuple[int, ...], axes: str | Sequence[str] | None, known: dict[str, int | None]
) -> list[str]:
    """What each axis stands for: as it is said, or as the lengths leave no choice."""
    if axes is not None:
        words = _words(axes)
        for word in words:
            if word not in AXES:
                raise unknown("axis", word, AXES)
        fits = len(words) == len(shape) and _is_whole(words, known)
        if not fits:
            raise ConvRNNError(
                f"`axes={', '.join(words)}` of responses {list(shape)}: expected a name for each "
                "axis, with neuroid, and stimulus (with or without repetition) or presentation, "
                "and time_bin if there are several."
            )
        for word, length in zip(words, shape, strict=True):
            if known[word] not in (None, length):
                raise ConvRNNError(
                    f"axis {word} of responses {list(shape)} has length {length}, but "
                    f"{known[word]} {_GIVEN[word]}."
                )
        return words
    possible = list(_possible(shape, known))
    if len(possible) == 1:
        return possible[0]
    if possible:
        readings = " or ".join(f"`axes={','.join(words)}`" for words in possible[:3])
        raise ConvRNNError(
            f"responses {list(shape)}: the lengths do not determine the axes. Give {readings}."
        )
    told = ", ".join(f"{size} {_GIVEN[name]}" for name, size in known.items() if size is not None)
    raise ConvRNNError(
        f"responses {list(shape)}: no order of the axes fits the lengths ({told}). Give `axes=…`, "
        "such as 'neuroid,stimulus,repetition'."
    )


def _is_whole(words: Sequence[str], known: dict[str, int | None]) -> bool:
    shown = {"stimulus", "presentation"} & set(words)
    return (
        len(set(words)) == len(words)
        and "neuroid" in words
        and len(shown) == 1
        and ("repetition" not in words or "stimulus" in words)
        and ("time_bin" in words or known["time_bin"] == 1)
    )


def _possible(shape: tuple[int, ...], known: dict[str, int | None]) -> Iterator[list[str]]:
    for words in permutations(AXES, len(shape)):
        if "stimulus" in words and "repetition" not in words:
            continue  # the same as presentation
        matches = all(
            known[word] in (None, length) for word, length in zip(words, shape, strict=True)
        )
        if matches and _is_whole(words, known):
            yield list(words)


def _as_presentations(
    table: pd.DataFrame, values: NDArray[Any], present: Sequence[str], image_on_ms: Any
) -> tuple[pd.DataFrame, NDArray[Any]]:
    """A row of labels and of values for each presentation."""
    if image_on_ms is not None:
        try:
            table = table.assign(image_on_ms=np.broadcast_to(image_on_ms, len(table)))
        except ValueError:
            raise ConvRNNError(
                f"{np.size(image_on_ms)} durations of {len(table)} stimuli: expected one per "
                "stimulus, or one for all."
            ) from None
    if "repetition" not in present:
        return table, values
    repetitions = values.shape[1]
    repeated = table.loc[table.index.repeat(repetitions)].reset_index(drop=True)
    repeated["repetition"] = np.tile(np.arange(repetitions), len(table))
    return repeated, values.reshape(-1, *values.shape[2:])

"""Recordings from NWB files: units' spike times and the table of presentations, in 10 ms bins.

A unit's id becomes ``neuroid_id``, its electrodes' ``location`` its region, the file's subject its
``subject``. Bins in which a unit was not observed (its ``obs_intervals``, the file's
``invalid_times``) are missing; a unit that was observed and silent has zeros.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import BLANK, DIMS, NOTES, as_text
from convrnns_brainscore.errors import ConvRNNError, counted
from convrnns_brainscore.files import check_readable
from convrnns_brainscore.recordings import check_locations
from convrnns_brainscore.regions import REGIONS
from convrnns_brainscore.timing import MS_PER_STEP, round_ms

FIRST_MS, LAST_MS = -50, 400
"""From and to when responses are binned, in ms from image onset."""

STIMULUS_COLUMNS = (
    "stimulus_id",
    "stimulus_name",
    "stimulus",
    "image_id",
    "image_name",
    "image",
    "frame",
)
"""Columns of what was shown, the first that a table has."""

STIMULUS_TIMES = {
    "stim_on_time": "stim_off_time",
    "stimulus_on_time": "stimulus_off_time",
    "stimulus_onset_time": "stimulus_offset_time",
    "stimulus_onset": "stimulus_offset",
    "stim_onset": "stim_offset",
    "stimulus_start_time": "stimulus_stop_time",
    "stim_start_time": "stim_stop_time",
    "stim_onset_time": "stim_offset_time",
    "stimOn_times": "stimOff_times",
    "stim_on": "stim_off",
    "stimulus_on": "stimulus_off",
    "image_on_time": "image_off_time",
    "image_onset": "image_offset",
    "image_on": "image_off",
}
"""Columns of when a stimulus came on → when it went off, where the row itself is a trial."""

LONGEST_IMAGE, LONGEST_TRIAL = 10.0, 100.0
"""Seconds; images or trials that last longer suggest times in ms."""

FIRST, LEAVE_OUT = "first", "leave-out"
"""Rules for a unit on electrodes of several regions: that of its first electrode, or without it."""

UNREAD = (
    "start_time", "stop_time", "tags", "timeseries", "id", "degrees", "image_on_ms", "subject",
    "region", "neuroid_id", "time_bin_start", "time_bin_end", *DIMS,
)  # fmt: skip
"""Columns of a table of presentations that say nothing of stimuli, or might say something else than
here, such as degrees of orientation."""

FOREVER = 9e12
"""Seconds, which stand for an infinite end of an interval."""

WAY_OUT = "NWB's times are in seconds: divide them by 1000 in the file"

Times = NDArray[np.int64]
"""In µs, in which bins have exact edges."""


def read_nwb(
    path: str | PathLike[str],
    *,
    intervals: str | None = None,
    stimulus_column: str | None = None,
    onset_column: str | None = None,
    regions: Sequence[str] | None = None,
    region_of: str | None = None,
    region_of_all: str | None = None,
    locations: Mapping[str, str] | None = None,
    first: float = FIRST_MS,
    last: float = LAST_MS,
) -> xr.DataArray:
    """A recording, presentation × neuroid × time_bin, in spikes/s.

    Parameters
    ----------
    path : str or path
        Path of the ``.nwb`` file.
    intervals : str, optional
        The table of presentations; None: the only one that has a column of stimuli.
    stimulus_column : str, optional
        Its column of what was shown; None: the first of `STIMULUS_COLUMNS`.
    onset_column : str, optional
        Its column of when a stimulus came on, in seconds, where its rows are trials; None: one of
        `STIMULUS_TIMES`, or the start of the row.
    regions : sequence of str, optional
        The regions that are read; units of other regions are excluded and counted. None: all, and
        each region must have a known name.
    region_of : str, optional
        What becomes of a unit on electrodes of several regions: ``"first"`` or ``"leave-out"``;
        None: refused.
    region_of_all : str, optional
        Where all units come from, if the file does not say it.
    locations : mapping of str to str, optional
        The file's name of a region → V1, V2, V4, IT, …, where the two differ.
    first, last
        Begin and end of the bins, in ms from image onset.

    Returns
    -------
    xr.DataArray
        As `recordings` has it. ``image_on_ms`` where the table says when images ended.

    Raises
    ------
    ConvRNNError
        Pynwb is not installed, no such file or table or column, no units, unclear regions, or times
        that look like ms.
    """
    try:
        from pynwb import NWBHDF5IO
    except ImportError as error:
        raise ConvRNNError("reading NWB needs pynwb: pip install pynwb.") from error
    path = Path(path)
    check_readable(path)
    if not path.is_file():
        raise ConvRNNError(f"{path} is a folder, not an NWB file.")
    if region_of not in (None, FIRST, LEAVE_OUT):
        raise ConvRNNError(f"`region_of={region_of!r}`: expected {FIRST!r} or {LEAVE_OUT!r}.")
    if first % MS_PER_STEP or last % MS_PER_STEP or not first < last:
        raise ConvRNNError(f"bins from {first:g} to {last:g} ms: expected multiples of 10 ms.")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of versions of the schema
        try:
            io = NWBHDF5IO(str(path), "r", load_namespaces=True)
            file = io.read()
        except Exception as error:
            what = str(error).splitlines()[0][:100] if str(error) else type(error).__name__
            raise ConvRNNError(f"{path} is not an NWB file ({what}).") from error
        with io:  # all is read before it closes
            return _recording(
                file, path, (intervals, stimulus_column, onset_column),
                (regions, region_of, region_of_all, locations or {}), first, last,
            )  # fmt: skip


def _recording(
    file: Any,
    path: Path,
    columns: tuple[str | None, str | None, str | None],
    regions_by: tuple[Sequence[str] | None, str | None, str | None, Mapping[str, str]],
    first: float,
    last: float,
) -> xr.DataArray:
    if file.units is None or not len(file.units.id):
        raise ConvRNNError(f"{path} has no units.")
    if "spike_times" not in file.units.colnames:
        raise ConvRNNError(f"the units of {path} have no spike_times.")
    intervals, stimulus_column, onset_column = columns
    table, shown = _presentations(file, path, intervals, stimulus_column)
    onset, on_ms, notes = _onsets(table, path, onset_column)
    named = ~np.isin(shown.astype(str), BLANK)
    if not named.any():
        raise ConvRNNError(f"table {table.name} of {path} names no stimulus in any row.")
    timed = np.isfinite(onset)
    if not timed.any():
        raise ConvRNNError(f"table {table.name} of {path} has no onset in any row.")
    kept = named & timed
    if not named.all():
        notes.append(f"excluded: {counted((~named).sum(), 'presentation')} without a stimulus")
    if not timed.all():
        notes.append(f"excluded: {counted((~timed).sum(), 'presentation')} without an onset")
    onset, shown = onset[kept], shown[kept]
    on_ms = None if on_ms is None else on_ms[kept]
    spikes = [np.asarray(file.units.get_unit_spike_times(row), float) for row in _rows(file.units)]
    for row, times in enumerate(spikes):
        if not np.isfinite(times).all():
            raise ConvRNNError(
                f"unit {file.units.id[row]} of {path} has spike times that are NaN or infinite."
            )
    _check_seconds(path, table, onset, on_ms, spikes)

    regions = _regions(file.units, path, *regions_by, notes)
    rows = [row for row in _rows(file.units) if regions[row] is not None]
    starts = np.arange(first, last, MS_PER_STEP)
    edges = _us(onset)[:, None] + np.round(1000 * np.append(starts, last)).astype(np.int64)
    values = np.empty((len(onset), len(rows), len(starts)), np.float32)
    invalid = _invalid(file.invalid_times, path)
    for column, row in enumerate(rows):
        before = np.searchsorted(np.sort(_us(spikes[row])), edges)
        rates = np.diff(before, axis=1) * (1000 / MS_PER_STEP)
        observed = _observed(file.units, row, edges, path) & ~_overlaps(invalid, edges)
        values[:, column] = np.where(observed, rates, np.nan)
    if any(map(len, spikes)) and np.isfinite(values).any() and not np.nansum(values):
        notes.append(
            f"no spike lies within {first:g} to {last:g} ms of any onset (are times in ms? "
            f"{WAY_OUT})"
        )
    subject = getattr(file.subject, "subject_id", None) or ""
    coords: dict[str, Any] = {
        "stimulus_id": ("presentation", shown),
        "neuroid_id": ("neuroid", np.asarray(file.units.id[:])[rows]),
        "region": ("neuroid", [str(regions[row]) for row in rows]),
        "subject": ("neuroid", [str(subject)] * len(rows)),
        "time_bin_start": ("time_bin", starts),
        "time_bin_end": ("time_bin", starts + MS_PER_STEP),
    }
    for name, label in _labels(table, shown, kept).items():
        coords.setdefault(name, ("presentation", label))
    if on_ms is not None and np.isfinite(on_ms).any():
        coords["image_on_ms"] = ("presentation", round_ms(on_ms))
    return xr.DataArray(
        values,
        coords,
        ["presentation", "neuroid", "time_bin"],
        name="spikes_per_second",
        attrs={NOTES: notes},
    )


def _onsets(
    table: Any, path: Path, wanted: str | None
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None, list[str]]:
    """When each stimulus came on, in seconds, for how many ms it stayed, and what was chosen."""
    start = np.asarray(table["start_time"][:], float)
    stop = np.asarray(table["stop_time"][:], float) if "stop_time" in table.colnames else None
    named = [name for name in STIMULUS_TIMES if name in table.colnames and _are_times(table[name])]
    if wanted is None and len(named) > 1:
        raise ConvRNNError(
            f"table {table.name} of {path} has several columns of stimulus onsets: "
            f"{', '.join(named)}. Choose one with `onset_column=…`; start_time is the row's start."
        )
    if wanted is not None and wanted not in table.colnames:
        raise ConvRNNError(
            f"table {table.name} of {path} has no column {wanted}; name one with `onset_column=…`: "
            f"{', '.join(table.colnames)}."
        )
    column = wanted or next(iter(named), "start_time")
    if column == "start_time":
        until = "for a duration that the file does not state" if stop is None else "until stop_time"
        notes = [f"images are on from start_time of table {table.name}, {until}"]
        others = [] if wanted or stop is None else _times_within(table, start, stop)
        if others:
            notes.append(
                f"table {table.name} also has times within its rows: {', '.join(others)} "
                "(`onset_column=…` chooses one of them)"
            )
        return start, None if stop is None else 1000 * (stop - start), notes
    try:
        onset = np.asarray(table[column][:], float)
    except (TypeError, ValueError):
        raise ConvRNNError(f"column {column} of {path} does not hold times.") from None
    known = np.isfinite(onset)
    ends = np.full(len(start), np.inf) if stop is None else np.nan_to_num(stop, nan=np.inf)
    within = (onset >= start - 1e-6) & (onset <= ends + 1e-6)
    if known.any() and not within[known].all():
        if ((onset >= 0) & (start + onset <= ends + 1e-6))[known].all():
            raise ConvRNNError(
                f"column {column} of {path} holds times within the row (such as "
                f"{onset[known][0]:g} s); session times are needed. Add start_time in the file, or "
                "give `onset_column='start_time'`."
            )
        raise ConvRNNError(
            f"column {column} of {path} holds times outside its rows. Name another with "
            "`onset_column=…`, such as start_time."
        )
    off = STIMULUS_TIMES.get(column)
    off = off if off in table.colnames else None
    on_ms = None if off is None else 1000 * (np.asarray(table[off][:], float) - onset)
    until = "for a duration that the file does not state" if off is None else f"until {off}"
    return onset, on_ms, [f"images are on from {column} of table {table.name}, {until}"]


def _times_within(table: Any, start: NDArray[np.float64], stop: NDArray[np.float64]) -> list[str]:
    """Columns whose values all lie within their rows, and not at their ends: perhaps onsets."""
    found = []
    for name in table.colnames:
        if name in ("start_time", "stop_time") or hasattr(table[name], "target"):  # ragged
            continue
        values = np.asarray(table[name][:])
        if values.dtype.kind != "f" or values.shape != start.shape:
            continue
        known = np.isfinite(values)
        within = (values > start) & (values < stop)
        if known.any() and within[known].all():
            found.append(name)
    return found


def _labels(
    table: Any, shown: NDArray[Any], kept: NDArray[np.bool_]
) -> dict[str, NDArray[np.str_] | NDArray[np.float64]]:
    """The other columns of text or numbers that are the same for all presentations of a stimulus,
    by which splits can be stratified or grouped, and labels decoded."""
    found = {}
    for name in table.colnames:
        column = table[name]
        if name in UNREAD or "/" in name or hasattr(column, "target"):  # ragged
            continue
        values = np.asarray(column[:])
        if values.ndim != 1 or len(values) != len(kept) or values.dtype.kind not in "OUSifub":
            continue
        if values.dtype.kind == "O" and not all(isinstance(v, str | bytes) for v in values):
            continue
        values = values[kept] if values.dtype.kind in "ifub" else as_text(values)[kept]
        if (pd.Series(values).groupby(shown).nunique() <= 1).all():
            found[name] = values
    return found


def _rows(table: Any) -> range:
    return range(len(table.id))


def _us(seconds: NDArray[np.float64]) -> Times:
    return np.round(1e6 * np.clip(seconds, -FOREVER, FOREVER)).astype(np.int64)


def _presentations(
    file: Any, path: Path, wanted: str | None, column: str | None
) -> tuple[Any, NDArray[Any]]:
    """The table of presentations, and what was shown in each."""
    tables = dict(file.intervals) if file.intervals else {}
    tables |= {each.name: each for each in (file.trials, file.epochs) if each is not None}
    tables.pop("invalid_times", None)
    if wanted is not None and wanted not in tables:
        raise ConvRNNError(f"{path} has no table {wanted}; it has {_listed(tables)}.")
    if wanted is None:
        columns = STIMULUS_COLUMNS if column is None else (column,)
        suited = [name for name, table in tables.items() if {*columns} & {*table.colnames}]
        if column is not None and not suited:
            raise ConvRNNError(f"no table of {path} has a column {column}: {_listed(tables)}.")
        if len(suited) != 1:
            what = f"{len(suited)} tables that" if suited else "no table that clearly"
            raise ConvRNNError(
                f"{path} has {what} could be the presentations; choose one with `intervals=…`, "
                f"and its column of stimuli with `stimulus_column=…`: {_listed(tables)}."
            )
        wanted = suited[0]
    table = tables[wanted]
    if column is None:
        column = _stimulus_column(table, path)
    if column not in table.colnames:
        raise ConvRNNError(
            f"table {wanted} of {path} has no column {column}; name one with `stimulus_column=…`: "
            f"{', '.join(table.colnames)}."
        )
    return table, np.array([_text(each) for each in table[column][:]], object)


def _are_times(column: Any) -> bool:
    """Whether a column holds numbers that are no flags."""
    return np.asarray(column[:]).dtype.kind in "fiu"


def _stimulus_column(table: Any, path: Path) -> str:
    """The column of what was shown, if only one can be, or several that say the same."""
    held = {
        name: [_text(each) for each in table[name][:]]
        for name in STIMULUS_COLUMNS
        if name in table.colnames
    }
    if not held:
        raise ConvRNNError(
            f"table {table.name} of {path} has no column of stimuli; name one with "
            f"`stimulus_column=…`: {', '.join(table.colnames)}."
        )
    kinds = {name: len(set(values)) for name, values in held.items()}
    together = len(set(zip(*held.values(), strict=True)))
    if any(count != together for count in kinds.values()):
        best = max(kinds, key=lambda name: kinds[name])
        told = ", ".join(f"{name} ({count} different)" for name, count in kinds.items())
        raise ConvRNNError(
            f"table {table.name} of {path} has several columns that could name the stimuli: "
            f"{told}. `stimulus_column={best!r}` distinguishes most presentations; all columns: "
            f"{', '.join(table.colnames)}."
        )
    return next(iter(held))


def _text(value: Any) -> str:
    """An id as text; a whole number without its decimals."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _listed(tables: Mapping[str, Any]) -> str:
    shown = [f"{name} ({', '.join(table.colnames)})" for name, table in tables.items()]
    return "; ".join(shown) or "no tables of intervals"


def _check_seconds(
    path: Path,
    table: Any,
    onset: NDArray[np.float64],
    on_ms: NDArray[np.float64] | None,
    spikes: list[NDArray[np.float64]],
) -> None:
    """Raise where times look like ms: NWB's are in seconds."""
    unknown_on = on_ms is None or not np.isfinite(on_ms).any()
    if unknown_on and "stop_time" in table.colnames:
        lengths = np.asarray(table["stop_time"][:], float) - np.asarray(
            table["start_time"][:], float
        )
        lasts = float(np.nanmedian(lengths)) if np.isfinite(lengths).any() else 0.0
        if lasts > LONGEST_TRIAL:
            raise ConvRNNError(
                f"{path}: rows of table {table.name} last {lasts:g} s (median). Is this ms? "
                f"{WAY_OUT}, or choose a table of single presentations with `intervals=…`."
            )
    if on_ms is not None and np.isfinite(on_ms).any():
        on = float(np.nanmedian(on_ms)) / 1000
        if on > LONGEST_IMAGE:
            raise ConvRNNError(
                f"{path}: images are on for {on:g} s (median). Is this ms? {WAY_OUT}."
            )
        if not on > 0:
            raise ConvRNNError(f"{path}: presentations stop before they start.")
    last_spike = max((float(each.max()) for each in spikes if len(each)), default=0.0)
    ratio = (last_spike or 1.0) / max(float(onset.max()), 1e-3)
    if last_spike and len(onset) > 1 and not 0.01 < ratio < 100:
        raise ConvRNNError(
            f"{path}: the last spike is at {last_spike:g} s, the last image at {onset.max():g} s. "
            f"Is one of them in ms? {WAY_OUT}."
        )


def _regions(
    units: Any,
    path: Path,
    regions: Sequence[str] | None,
    region_of: str | None,
    region_of_all: str | None,
    locations: Mapping[str, str],
    notes: list[str],
) -> list[str | None]:
    """The region of each unit; None: it is excluded."""
    asked = None if regions is None else {region.lower() for region in regions}
    found: list[str | None] = []
    others: list[str] = []
    places = _locations(units, path, region_of_all)
    there = list(dict.fromkeys(each.strip() for where in places for each in where))
    check_locations(locations, there)
    locations = {name.strip().lower(): region for name, region in locations.items()}
    ambiguous = 0
    for name, where in zip(units.id[:], places, strict=True):
        if not where:
            raise ConvRNNError(
                f"unit {name} of {path} has no electrode, so its region is unknown: assign it an "
                "electrode in the file."
            )
        if asked is None and not all(each.strip() for each in where):
            raise ConvRNNError(
                f"unit {name} of {path} is on an electrode without a location: name it, or choose "
                "the `regions=…` to read."
            )
        named = [_region(each, locations) for each in where]
        several = dict.fromkeys(named)
        meant = named[:1] if region_of == FIRST else named
        if asked is not None and not asked & {each.lower() for each in meant}:
            others.append(where[0])
            found.append(None)
            continue
        if len(several) > 1 and region_of is None:
            told = " and ".join(several)
            raise ConvRNNError(
                f"unit {name} of {path} is on electrodes of {told}; choose "
                f"`region_of={FIRST!r}` or `region_of={LEAVE_OUT!r}`."
            )
        ambiguous += len(several) > 1
        found.append(None if len(several) > 1 and region_of == LEAVE_OUT else named[0])
    if ambiguous:
        become = (
            "excluded"
            if region_of == LEAVE_OUT
            else "assigned to the region of the first electrode"
        )
        notes.append(f"{become}: {counted(ambiguous, 'unit')} on electrodes of several regions")
    if others:
        told = ", ".join(dict.fromkeys(others))
        notes.append(f"excluded: {counted(len(others), 'unit')} of other regions ({told})")
    if not any(found):
        raise ConvRNNError(f"{path}: no unit is left; its locations are {', '.join(there)}.")
    return found


def _locations(units: Any, path: Path, region_of_all: str | None) -> list[list[str]]:
    """The locations of each unit's electrodes, or of its electrode group."""
    if "electrodes" not in units.colnames and "electrode_group" in units.colnames:
        return [[_text(units["electrode_group"][row].location)] for row in _rows(units)]
    if "electrodes" not in units.colnames:
        if region_of_all is not None:
            return [[region_of_all]] * len(units.id)
        raise ConvRNNError(
            f"the units of {path} have no electrodes or electrode group, so their regions are "
            "unknown: give `region_of_all=…` if all are in one region."
        )
    column = units["electrodes"]
    ragged = hasattr(column, "target")  # several electrodes a unit
    electrodes = column.target.table if ragged else column.table
    if "location" not in electrodes.colnames:
        raise ConvRNNError(f"the electrodes of {path} have no location.")
    where = [_text(each) for each in electrodes["location"][:]]
    # By row: the column's own look-up makes a table of each unit.
    targets = np.asarray((column.target if ragged else column).data[:], int)
    ends = np.asarray(column.data[:], int) if ragged else np.arange(1, len(targets) + 1)
    return [
        [where[electrode] for electrode in targets[start:end]]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def _region(location: str, locations: Mapping[str, str]) -> str:
    """The region that a location names, ``V4`` or ``V4, left hemisphere``; another region as it is
    named."""
    if location.strip().lower() in locations:
        return locations[location.strip().lower()]
    words = re.split(r"[^0-9A-Za-z]+", location.lower())
    named = [region for region in REGIONS if region.lower() in words]
    return named[0] if len(named) == 1 else location.strip()


def _invalid(table: Any, path: Path) -> Times:
    """Start and end of the file's ``invalid_times``, [interval, 2]."""
    if table is None:
        return np.zeros((0, 2), np.int64)
    spans = np.stack([np.asarray(table[n][:], float) for n in ("start_time", "stop_time")], 1)
    return _spans(spans, f"invalid_times of {path}")


def _spans(seconds: NDArray[np.float64], what: str) -> Times:
    """Start and end of intervals, [interval, 2]; either may be infinite.

    Raises
    ------
    ConvRNNError
        An interval ends before it starts, or an end is missing.
    """
    wrong = ~(seconds[:, 0] <= seconds[:, 1])
    if wrong.any():
        start, end = seconds[wrong][0]
        raise ConvRNNError(
            f"{what}: an interval starts at {start:g} s and ends at {end:g} s; correct it in the "
            "file."
        )
    return _us(seconds)


def _observed(units: Any, row: int, edges: Times, path: Path) -> NDArray[np.bool_]:
    """Whether a unit was observed throughout a bin, [presentation, bin]."""
    observed = np.ones((len(edges), edges.shape[1] - 1), bool)
    if "obs_intervals" in units.colnames:
        held = np.asarray(units["obs_intervals"][row], float).reshape(-1, 2)
        spans = _spans(held, f"obs_intervals of unit {units.id[row]} of {path}")
        observed[:] = False
        for start, end in _merged(spans):
            observed |= (edges[:, :-1] >= start) & (edges[:, 1:] <= end)
    return observed


def _merged(spans: Times) -> list[tuple[int, int]]:
    """Intervals that touch as one."""
    merged: list[tuple[int, int]] = []
    for start, end in sorted(spans.tolist()):
        if merged and start <= merged[-1][1]:
            merged[-1] = merged[-1][0], max(end, merged[-1][1])
        else:
            merged.append((start, end))
    return merged


def _overlaps(spans: Times, edges: Times) -> NDArray[np.bool_]:
    """Whether any span reaches into a bin, [presentation, bin]."""
    touched = np.zeros((len(edges), edges.shape[1] - 1), bool)
    for start, end in spans:
        touched |= (edges[:, :-1] < end) & (edges[:, 1:] > start)
    return touched

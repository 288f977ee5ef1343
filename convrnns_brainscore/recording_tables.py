"""Recordings from tables: a response in each row, or a spike in each row."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import DIMS, MISSING, NOTES, as_ids
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.recording_arrays import recording_from_arrays
from convrnns_brainscore.tables import with_points
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin

NEURON = "neuroid_id"
RESPONSES = ("stimulus_id", NEURON, "response")
"""Columns of a table of responses."""

SPIKES = ("trial", NEURON)
"""Columns of a table of spikes, with one of `TIMES`."""

TIMES = {"time_ms": 1.0, "time_s": 1000.0}
"""Column of the times of spikes → ms."""

KNOWN = ("repetition", "region", "subject", "session", "time_bin_start", "time_bin_end",
         *RESPONSES, *SPIKES, *TIMES)  # fmt: skip
"""All columns that have a meaning here."""

EDGES = ["time_bin_start", "time_bin_end"]


def is_spikes(table: pd.DataFrame) -> bool:
    """Whether each row of a table is a spike.

    Raises
    ------
    ConvRNNError
        It has times and responses.
    """
    times = [name for name in TIMES if name in table]
    if times and "response" in table:
        raise ConvRNNError(
            f"the table has the columns {times[0]} and response: for spikes, remove response; for "
            "responses in time bins, give time_bin_start and time_bin_end instead of "
            f"{times[0]}."
        )
    return bool(times)


def recording_of_responses(
    table: pd.DataFrame, region: str | None = None, time_bin: TimeBin | None = None
) -> xr.DataArray:
    """A recording of a table with one response in each row.

    Parameters
    ----------
    table : DataFrame
        ``stimulus_id``, ``neuroid_id``, ``response``; if there are any ``repetition`` (else the
        rows of a stimulus and neuron are its repetitions, in their order), ``region``, ``subject``,
        ``session``, ``time_bin_start`` and ``time_bin_end`` in ms. Other columns that are constant
        for each presentation become coordinates.
    region : str, optional
        The region of all neurons, where the table has no column ``region``.
    time_bin : (start, end), optional
        In ms, where the table has no bins.

    Raises
    ------
    ConvRNNError
        A column is missing or given twice; something that is not a number; two responses in one
        place.

    Examples
    --------
    >>> rows = pd.DataFrame(
    ...     {
    ...         "stimulus_id": ["face", "face", "house", "house"],
    ...         "neuroid_id": ["n1", "n2", "n1", "n2"],
    ...         "response": [3, 0, 1, 5],
    ...     }
    ... )
    >>> recording = recording_of_responses(rows, "IT", (70, 170))
    >>> recording.sel(neuroid=recording.neuroid_id == "n2").values.ravel().tolist()
    [0.0, 5.0]
    """
    _check_columns(table, RESPONSES)
    if "repetition" not in table and "trial" in table:
        table = table.rename(columns={"trial": "repetition"})
    table = _with_ids(table, ["stimulus_id", NEURON, "repetition", "session"])
    if len(set(EDGES) & set(table)) == 1:
        raise ConvRNNError("the table has only one of time_bin_start and time_bin_end.")
    has_bins = set(EDGES) <= set(table)
    if has_bins == (time_bin is not None):
        said = "both" if has_bins else "neither"
        raise ConvRNNError(
            "give the time bins either in the columns time_bin_start and time_bin_end, or with "
            f"`time_bins=…` (found {said})."
        )
    numbers = [*EDGES, "response"] if has_bins else ["response"]
    table = table.assign(**{name: _numbers(table, name) for name in numbers})
    if has_bins and table[EDGES].isna().any(axis=None):
        row = int(np.flatnonzero(table[EDGES].isna().any(axis=1))[0])
        raise ConvRNNError(f"time_bin_start or time_bin_end is empty in data row {row + 1}.")
    bins = table[EDGES].drop_duplicates().sort_values(EDGES) if has_bins else None
    place = ["stimulus_id", *_neuron(table), *(EDGES if has_bins else [])]
    notes = []
    if "repetition" not in table:
        table["repetition"] = table.groupby(place, sort=False).cumcount()
        if table["repetition"].any():
            notes.append("the rows of a stimulus and neuron are its repetitions, in their order")
        counts = table.groupby(place).size().groupby("stimulus_id").nunique()
        if (counts > 1).any():
            notes.append(
                f"neurons have different numbers of rows for {(counts > 1).sum()} stimuli: which "
                "were recorded together is not known; give a column trial or repetition"
            )
    twice = table.duplicated([*place, "repetition"])
    if twice.any():
        row = table[twice].iloc[0]
        raise ConvRNNError(
            f"stimulus {row['stimulus_id']}, neuron {row[NEURON]}, repetition "
            f"{row['repetition']} has two responses in one time bin: remove one of the rows, or "
            "number the repetitions of a stimulus in the column repetition."
        )
    shown = table.drop_duplicates(["stimulus_id", "repetition"]).reset_index(drop=True)
    neurons = _neurons(table, region)
    rows = _positions(table, shown, ["stimulus_id", "repetition"])
    columns = _positions(table, neurons, _neuron(table))
    at = np.zeros(len(table), int) if bins is None else _positions(table, bins, EDGES)
    values = np.full((len(shown), len(neurons), 1 if bins is None else len(bins)), np.nan)
    values[rows, columns, at] = table["response"]
    if np.isnan(values).any():
        notes.append(f"{np.isnan(values).sum()} of {values.size} responses are missing")
    edges = [time_bin] if bins is None else bins[EDGES].to_numpy().tolist()
    return _recording(values, _of_presentations(table, shown, notes), neurons, edges, notes)


def _of_presentations(table: pd.DataFrame, shown: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The columns that are the same in all rows of a presentation; notes name the others.

    Measured durations of images, which differ by less than a step between sessions, are medians.

    Raises
    ------
    ConvRNNError
        The rows of a presentation have different widths or durations of the image.
    """
    rows = ["stimulus_id", "repetition"]
    presentations = table.groupby(rows)
    labels, left_out = shown[rows].copy(), []
    order = pd.MultiIndex.from_frame(labels)
    for name in shown.columns.difference(KNOWN, sort=False):
        if (presentations[name].nunique() <= 1).all():
            labels[name] = presentations[name].first().reindex(order).to_numpy()
        elif name in ("degrees", "image_on_ms"):
            groups = table.assign(**{name: _numbers(table, name)}).groupby(rows)[name]
            low, high = groups.min(), groups.max()
            spread = (high - low).fillna(0)
            widest = spread.idxmax()
            if spread[widest] >= (MS_PER_STEP if name == "image_on_ms" else 1e-3):
                raise ConvRNNError(
                    f"column {name}: the rows of stimulus {widest[0]}, repetition {widest[1]}, "
                    f"are from {low[widest]:g} to {high[widest]:g}: correct them, or number the "
                    "presentations of these sessions as separate repetitions."
                )
            labels[name] = groups.median().reindex(order).to_numpy()
        else:
            left_out.append(str(name))
    if left_out:
        notes.append(
            f"left out, since they differ between the rows of a presentation: {', '.join(left_out)}"
        )
    return labels


def recording_of_spikes(
    spikes: pd.DataFrame,
    trials: pd.DataFrame,
    time_bins: Sequence[TimeBin],
    region: str | None = None,
) -> xr.DataArray:
    """A recording of spike times: counts of spikes in each bin.

    Parameters
    ----------
    spikes : DataFrame
        A row for each spike: ``trial``, ``neuroid_id``, and ``time_ms`` or ``time_s`` from image
        onset; if there are any ``region``, ``subject``, ``session``.
    trials : DataFrame
        A row for each trial: ``trial``, ``stimulus_id``; other columns become coordinates. Trials
        without a spike count 0.
    time_bins : sequence of (start, end)
        In ms; a spike at the end of a bin belongs to the next.
    region : str, optional
        The region of all neurons, where the spikes have no column ``region``.

    Raises
    ------
    ConvRNNError
        A column is missing; something that is not a number; a trial comes twice, or is not in the
        table of trials; no spike is in any bin.
    """
    _check_columns(spikes, SPIKES)
    _check_columns(trials, ("trial", "stimulus_id"))
    given = [name for name in TIMES if name in spikes]
    if len(given) != 1:
        raise ConvRNNError("expected the times of spikes as one column, time_ms or time_s.")
    times = _numbers(spikes, given[0]) * TIMES[given[0]]
    if given[0] == "time_ms" and _in_seconds(times, time_bins):
        raise ConvRNNError(
            f"time_ms is from {times.min():g} to {times.max():g}, and the time bins end at "
            f"{max(end for _, end in time_bins):g} ms: if it is in seconds, call the column time_s."
        )
    spikes = _with_ids(spikes, ["trial", NEURON, "session"])
    trials = _with_ids(trials, ["trial", "stimulus_id"])
    if trials["trial"].duplicated().any():
        raise ConvRNNError(
            f"trial {trials['trial'][trials['trial'].duplicated()].iloc[0]} is in two rows of the "
            "table of trials: give each trial its own number."
        )
    unknown_trials = sorted(set(spikes["trial"]) - set(trials["trial"]))
    if unknown_trials:
        raise ConvRNNError(
            f"{len(unknown_trials)} trials of the spikes are not in the table of trials: "
            f"{', '.join(unknown_trials[:5])}."
        )
    neurons = _neurons(spikes, region)
    rows = _positions(spikes, trials, ["trial"])
    columns = _positions(spikes, neurons, _neuron(spikes))
    values = np.zeros((len(trials), len(neurons), len(time_bins)))
    for index, (start, end) in enumerate(time_bins):
        inside = ((times >= start) & (times < end)).to_numpy()
        np.add.at(values[..., index], (rows[inside], columns[inside]), 1)
    if not values.any():
        raise ConvRNNError(
            f"no spike is in any time bin: spikes are from {times.min():g} to {times.max():g} ms."
        )
    notes = [
        f"{int(values.sum())} of {len(spikes)} spikes are in time bins",
        "neurons without a spike are not in the table, and are not in the recording",
    ]
    if untimed := int(times.isna().sum()):
        notes.append(f"{untimed} spikes have no time, and are not counted")
    same = pd.DataFrame({"trial": rows, "neuron": columns, "time": times.to_numpy()})
    if repeated := int(same[times.notna().to_numpy()].duplicated().sum()):
        notes.append(
            f"{repeated} spikes have the neuron, trial and time of another one, and are counted: "
            "are rows of the table repeated?"
        )
    return _recording(values, trials.drop(columns="trial"), neurons, time_bins, notes)


def _in_seconds(times: pd.Series, time_bins: Sequence[TimeBin]) -> bool:
    """Whether times in ms look as if they were in s: all within a fiftieth of the time bins."""
    first, last = min(start for start, _ in time_bins), max(end for _, end in time_bins)
    return len(times) > 1 and bool(50 * (times.max() - times.min()) < last - min(first, 0))


_NUMBER = re.compile(r"\d+(\.0*)?")
_DECIMALS = re.compile(r"\d+\.0*")


def _with_ids(table: pd.DataFrame, names: Sequence[str]) -> pd.DataFrame:
    """The table with ids as text, so that 1, 1.0 and '1 ' are the same."""
    found = table.reset_index(drop=True)
    for name in names:
        if name in found:
            ids = [_id(value) for value in found[name]]
            if any(_DECIMALS.fullmatch(each) for each in ids) and all(map(_NUMBER.fullmatch, ids)):
                ids = [each.partition(".")[0] for each in ids]  # 1.0, as after a merge of tables
            if "" in ids and name != "stimulus_id":  # there, it is a blank
                raise ConvRNNError(f"{name} is empty in data row {ids.index('') + 1}.")
            found[name] = ids
    return found


def _id(value: Any) -> str:
    if pd.isna(value):
        return ""
    whole = isinstance(value, float | np.floating) and float(value).is_integer()
    return str(int(value) if whole else value).strip()


def _check_columns(table: pd.DataFrame, needed: Sequence[str]) -> None:
    twice = table.columns[table.columns.duplicated()]
    if len(twice):
        raise ConvRNNError(f"the table has the column {twice[0]} twice.")
    reserved = [str(name) for name in table if name in DIMS]
    if reserved:
        raise ConvRNNError(f"a column is called {reserved[0]}, a name of an axis: rename it.")
    for name in needed:
        if name not in table:
            raise ConvRNNError(
                f"the table has no column {name}; it has {', '.join(map(str, table))}."
            )
    if not len(table):
        raise ConvRNNError("the table has no rows.")


def _numbers(table: pd.DataFrame, name: str) -> pd.Series:
    """A column's numbers; NaN where a row is empty."""
    if table[name].dtype.kind not in "fiubOUST":
        raise ConvRNNError(f"{name} is of type {table[name].dtype}; expected numbers.")
    text = with_points(table[name].astype(str).str.strip())
    found = pd.to_numeric(text, errors="coerce").astype(float)
    found = found.mask(np.isinf(found))
    wrong = found.isna() & ~text.str.lower().isin(MISSING)
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise ConvRNNError(
            f"{name} in data row {row + 1} is {text.iloc[row]!r}, which is not a number: write "
            "numbers with a decimal point, without units or thousands separators, or leave it "
            "empty if nothing was recorded."
        )
    return found


def _of_neurons(table: pd.DataFrame) -> list[str]:
    return [name for name in ("region", "subject", "session") if name in table]


def _neurons(table: pd.DataFrame, region: str | None) -> pd.DataFrame:
    """A row for each neuron, with its region."""
    if ("region" in table) == (region is not None):
        raise ConvRNNError(
            "give the regions of neurons in one way only: in the column region, or with "
            "`regions=…`."
        )
    found = table[[NEURON, *_of_neurons(table)]].drop_duplicates().reset_index(drop=True)
    twice = found[NEURON][found.duplicated(_neuron(table))]
    if len(twice):
        raise ConvRNNError(
            f"neuron {twice.iloc[0]} has several regions: give neurons of each region other ids, "
            "or name their subjects or sessions in a column subject or session."
        )
    return found if region is None else found.assign(region=region)


def _neuron(table: pd.DataFrame) -> list[str]:
    """The columns that tell neurons apart: two subjects, or days, may have the same ids."""
    return [NEURON, *(name for name in ("subject", "session") if name in table)]


def _positions(table: pd.DataFrame, among: pd.DataFrame, names: list[str]) -> NDArray[np.intp]:
    """The row of ``among`` that has the same values, for each row of ``table``."""
    place = {
        key: index for index, key in enumerate(among[names].itertuples(index=False, name=None))
    }
    return np.array(
        [place[key] for key in table[names].itertuples(index=False, name=None)], np.intp
    )


def _recording(
    values: NDArray[np.float64],
    labels: pd.DataFrame,
    neurons: pd.DataFrame,
    time_bins: Any,
    notes: list[str],
) -> xr.DataArray:
    found = recording_from_arrays(
        values,
        labels,
        neurons["region"].tolist(),
        [tuple(each) for each in time_bins],
        axes="presentation, neuroid, time_bin",
        neuroid_ids=neurons[NEURON].tolist(),
        subjects=neurons["subject"].tolist() if "subject" in neurons else None,
    )
    if "session" in neurons:
        found = found.assign_coords(session=("neuroid", as_ids(neurons["session"].to_numpy())))
        if neurons[NEURON].duplicated().any():
            notes = [
                *notes,
                "neurons with the same id in different sessions are different neurons; omit the "
                "column session if they are the same",
            ]
    found.attrs[NOTES] = [*notes, *found.attrs[NOTES][1:]]
    return found

"""Recordings of neurons, checked and brought into one form.

A recording is an xarray object with dims presentation × neuroid × time_bin and the coordinates

* presentation: ``stimulus_id``; if there are any ``repetition``, ``object_name`` (or another
  stratum), a group, ``degrees``, ``image_on_ms``, which may also be stated once for all of them,
  as coordinates without a dim or as attributes;
* neuroid: ``neuroid_id``, ``region``; if there are several ``subject``;
* time_bin: ``time_bin_start``, ``time_bin_end`` in ms from image onset.

Brain-Score's ``NeuroidAssembly`` is one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import ArrayLike, NDArray
from rich.filesize import decimal

from convrnns_brainscore.coordinates import (
    BLANK,
    DIMS,
    NOTES,
    as_ids,
    as_numbers,
    as_text,
    coordinate,
    durations_of,
    in_single_precision,
    in_whole_steps,
    names_of,
    time_bins_of,
    without_multiindex,
)
from convrnns_brainscore.errors import ConvRNNError, counted, unknown
from convrnns_brainscore.memory import available_memory
from convrnns_brainscore.presentation import has_mixed_durations, image_duration
from convrnns_brainscore.recording_arrays import recording_from_arrays
from convrnns_brainscore.regions import REGIONS, in_order, region_name
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin, round_ms

ALL = "all"
"""What stands for all subjects together."""

FEWEST_ALIKE = 5
"""Neurons × bins from which on one response in all of them is not chance."""

SENSORS = ("MAG", "GRAD", "EEG", "ECOG", "SEEG", "DBS")
"""Types of channels, which are in the place of regions."""

UNEQUAL = (
    "time bins of different widths are averaged in proportion to their widths, as is right for "
    "rates; for spike counts, divide by the width first"
)
"""Of a bin that is averaged over others."""

OF_NEURONS = ("region", "subject", "animal", "session")
"""Coordinates on neuroid that a recording may have once for all of them."""

OF_PRESENTATIONS = ("degrees", "image_on_ms", "object_name")
"""Coordinates on presentation that a recording may have once for all of them, or as attributes."""

_SHOWN = "stimulus_id", "presentation", "what was shown"


@dataclass(frozen=True)
class Recording:
    """A recording in the form that everything here works with.

    Attributes
    ----------
    values : float32 array [presentation, neuron, bin]
        NaN where nothing was observed.
    stimulus : int array [presentation]
        The row of ``stimuli`` that was shown.
    stimuli : DataFrame
        One row a stimulus, sorted by ``stimulus_id``, with what else is known of each.
    neurons : DataFrame
        One row a neuron: ``neuroid_id`` (with the subject, where subjects number alike),
        ``region``, ``subject``.
    time_bins : list of (start, end)
        Start and end in ms from image onset.
    image_on_ms : float64 array [presentation] or None
        How long each image was on, as measured; NaN, or None, where it is not known.
    notes : tuple of str, default ()
        What was excluded or chosen when it was read.
    """

    values: NDArray[np.float32]
    stimulus: NDArray[np.intp]
    stimuli: pd.DataFrame
    neurons: pd.DataFrame
    time_bins: list[TimeBin]
    image_on_ms: NDArray[np.float64] | None = None
    notes: tuple[str, ...] = ()

    @classmethod
    def from_arrays(
        cls, responses: ArrayLike, stimuli: Any, regions: Any, time_bins: Any, **labels: Any
    ) -> Recording:
        """A recording of plain arrays: all as in `recording_arrays.recording_from_arrays`.

        Raises
        ------
        ConvRNNError
            As there, and as `as_recording`.

        Examples
        --------
        >>> counts = np.random.default_rng(0).poisson(3.0, (5, 4, 2))
        >>> recording = Recording.from_arrays(
        ...     counts, ["a", "b", "c", "d"], "V4", (70, 170), axes="neuroid, stimulus, repetition"
        ... )
        >>> recording.values.shape, recording.regions
        ((8, 5, 1), ['V4'])
        """
        return as_recording(recording_from_arrays(responses, stimuli, regions, time_bins, **labels))

    @property
    def regions(self) -> list[str]:
        """The regions that neurons come from: published regions from the retina on, then others."""
        return in_order(self.neurons["region"])

    @property
    def sha256(self) -> str:
        """Of all that the recording holds."""
        digest = hashlib.sha256(np.ascontiguousarray(self.values).data)
        digest.update(np.ascontiguousarray(self.stimulus).data)
        for table in (self.stimuli, self.neurons):
            digest.update(table.to_csv(index=False).encode())
        digest.update(repr(self.time_bins).encode())
        return digest.hexdigest()

    def selected(
        self, regions: Sequence[str] | None = None, window: TimeBin | None = None
    ) -> Recording:
        """What is asked of it.

        Parameters
        ----------
        regions : sequence of str, optional
            None: all of them.
        window : (start, end), optional
            The one bin to average to; None: its own, or steps of 10 ms where they are finer.

        Raises
        ------
        ConvRNNError
            A region that no neuron comes from; a window that is shorter than 1 ms or not covered.
        """
        if window is not None and not window[0] < window[1]:
            raise ConvRNNError(f"`window={tuple(window)}`: it must end after it starts.")
        if window is not None and window[1] - window[0] < 1:
            raise ConvRNNError(
                f"`window={tuple(window)}` is shorter than 1 ms: give its start and end in ms, not "
                "in seconds."
            )
        found = self.only(regions or self.regions)
        return found.averaged(window) if window else found.no_finer_than_steps()

    def averaged(self, window: TimeBin) -> Recording:
        """One bin, averaged over those of the recording.

        Raises
        ------
        ConvRNNError
            The recording does not cover the window, or the window cuts a bin of 10 ms or more: how
            many of its spikes fell on either side is not known.
        """
        start, end = round_ms(window).tolist()
        for first, last in self.time_bins:
            wide = last - first >= MS_PER_STEP
            if wide and (first < start < last or first < end < last):
                raise ConvRNNError(
                    f"`window={(start, end)}` cuts the recording's bin {first:g}–{last:g} ms; its "
                    f"bins are {_in_short(self.time_bins)}."
                )
        return self.in_bins([(start, end)])

    def only(self, regions: Iterable[str]) -> Recording:
        """The neurons of some regions.

        Raises
        ------
        ConvRNNError
            A region that no neuron comes from.
        """
        by_name = {each.lower(): each for each in self.regions}
        wanted = []
        for region in regions:
            if region.lower() not in by_name:
                raise unknown("region of the recording", region, self.regions)
            wanted.append(by_name[region.lower()])
        kept = self.neurons["region"].isin(wanted).to_numpy()
        neurons = self.neurons[kept].reset_index(drop=True)
        return replace(self, values=self.values[:, kept], neurons=neurons)

    def shown_for(self, image_ms: float | None = None) -> tuple[Recording, float, str]:
        """How long the images were on, by `presentation.image_duration`.

        Parameters
        ----------
        image_ms : float, optional
            How long the user says that they were on, in ms. Of a recording that mixes durations it
            chooses the presentations of that one.

        Returns
        -------
        recording : Recording
            The presentations whose images were on for as long.
        image_ms : float
            In ms, a multiple of 10.
        note : str
            What was assumed, rounded or left out; empty: nothing.

        Raises
        ------
        ConvRNNError
            The recording mixes durations, or says another one than ``image_ms``.
        """
        measured = self.image_on_ms
        if measured is None or image_ms is None:
            return self, *image_duration(measured, image_ms)
        alike = ~np.isfinite(measured) | (abs(measured - image_ms) <= MS_PER_STEP)
        if alike.all() or not has_mixed_durations(measured) or not alike.any():
            return self, *image_duration(measured, image_ms)
        part = self.presentations(alike)
        _, duration, note = part.shown_for(image_ms)
        told = (
            f"only the {alike.sum()} of {len(alike)} presentations with images of {image_ms:g} ms "
            "are used"
        )
        return part, duration, "; ".join(filter(None, [told, note]))

    def presentations(self, kept: NDArray[np.bool_]) -> Recording:
        """Some of the presentations, and the stimuli that they show."""
        rows, stimulus = np.unique(self.stimulus[kept], return_inverse=True)
        return replace(
            self,
            values=self.values[kept],
            stimulus=stimulus.astype(np.intp),
            stimuli=self.stimuli.iloc[rows].reset_index(drop=True),
            image_on_ms=None if self.image_on_ms is None else self.image_on_ms[kept],
        )

    def in_bins(self, time_bins: Sequence[TimeBin]) -> Recording:
        """Averages over other bins, weighted by overlap.

        Raises
        ------
        ConvRNNError
            The recording does not cover a bin.
        """
        starts, ends = np.array(self.time_bins, float).T
        notes = list(self.notes)
        values = np.empty((*self.values.shape[:2], len(time_bins)), np.float32)
        for index, (start, end) in enumerate(time_bins):
            overlap = np.clip(np.minimum(ends, end) - np.maximum(starts, start), 0, None)
            if not np.isclose(overlap.sum(), end - start, rtol=1e-6):
                raise ConvRNNError(
                    f"the recording does not cover {start:g}–{end:g} ms without gaps or overlaps: "
                    f"its bins are {_in_short(self.time_bins)}."
                )
            inside = np.flatnonzero(overlap)
            # Edges are rounded to 0.001 ms.
            if np.ptp((ends - starts)[inside]) > 5e-3 and UNEQUAL not in notes:
                notes.append(UNEQUAL)
            values[..., index] = self.values[..., inside] @ (
                overlap[inside] / (end - start)
            ).astype(np.float32)
        return replace(
            self,
            values=values,
            time_bins=[(float(a), float(b)) for a, b in time_bins],
            notes=tuple(notes),
        )

    def no_finer_than_steps(self) -> Recording:
        """The same in the networks' steps of 10 ms where its bins are finer.

        Only neighbours narrower than 10 ms are merged, into the steps that they fill. Wider bins
        stay as they are, and so does the rest of a run of narrow ones, with its width.
        """
        merged = in_whole_steps(self.time_bins)
        return self if merged == self.time_bins else self.in_bins(merged)


def recorded_apart(recordings: Sequence[xr.DataArray]) -> xr.DataArray:
    """Recordings made apart (of other regions, subjects or days) as one: presentations follow each
    other, and what a neuron was not shown is NaN.

    Parameters
    ----------
    recordings : sequence of DataArray
        Each as the module says, with the same time bins.

    Raises
    ------
    ConvRNNError
        No recordings, or their bins differ.

    Notes
    -----
    Recordings that name no ``session`` are numbered: days of one animal may number their neurons
    alike.
    """
    recordings = [] if isinstance(recordings, xr.DataArray) else list(recordings)
    if not recordings:
        raise ConvRNNError("expected recordings in a list, at least one.")
    plain = [_for_all(without_multiindex(each).transpose(*DIMS)) for each in recordings]
    if not all("session" in each.coords for each in plain):
        plain = _with_sessions(plain)
    bins_of_each = [time_bins_of(each) for each in plain]
    if any(each != bins_of_each[0] for each in bins_of_each):
        raise ConvRNNError("recordings can be combined only if they have the same time bins.")
    starts, ends_of_bins = np.array(bins_of_each[0], float).T
    bins = plain[0].sizes["time_bin"]
    sizes = np.array([each.shape[:2] for each in plain])
    values = np.full((*sizes.sum(axis=0), bins), np.nan)
    ends = np.cumsum(sizes, axis=0)
    for each, (row, column), (rows, columns) in zip(plain, ends, sizes, strict=True):
        values[row - rows : row, column - columns : column] = each.values
    coords: dict[str, Any] = {
        "time_bin_start": ("time_bin", starts),
        "time_bin_end": ("time_bin", ends_of_bins),
    }
    for dim in DIMS[:2]:
        tables = [
            pd.DataFrame(
                {
                    str(name): np.broadcast_to(
                        as_ids(c.values) if name == "stimulus_id" else c.values, each.sizes[dim]
                    )
                    for name, c in each.coords.items()
                    if c.dims == (dim,)
                    or (c.dims == () and name in OF_NEURONS and dim == "neuroid")
                }
            )
            for each in plain
        ]
        for name, column in pd.concat(tables, ignore_index=True).items():
            coords[str(name)] = (dim, column.to_numpy())
    notes = [str(note) for each in plain for note in np.atleast_1d(each.attrs.get(NOTES, []))]
    return xr.DataArray(values, coords, list(DIMS), attrs={NOTES: [*dict.fromkeys(notes)]})


def _with_sessions(recordings: Sequence[xr.DataArray]) -> list[xr.DataArray]:
    """The recordings, those without a session with a number that no other has."""
    named = {
        place: as_ids(np.atleast_1d(each["session"].values))
        for place, each in enumerate(recordings)
        if "session" in each.coords
    }
    used = {str(name) for names in named.values() for name in names}
    free = (str(number) for number in count(1) if str(number) not in used)
    numbered = []
    for place, each in enumerate(recordings):
        if place in named:
            held = each["session"]
            each = each.assign_coords(session=(held.dims, named[place].reshape(held.shape)))
        else:
            each = each.assign_coords(session=next(free))
        numbered.append(each)
    return numbered


def as_recording(
    data: xr.DataArray,
    region: str | None = None,
    *,
    regions: Sequence[str] | None = None,
    locations: Mapping[str, str] | None = None,
    window: TimeBin | None = None,
) -> Recording:
    """Check a recording and bring it into one form.

    Parameters
    ----------
    data : DataArray
        As the module says, or Brain-Score's ``NeuroidAssembly``.
    region : str, optional
        Where all neurons come from, if ``data`` does not say it.
    regions : sequence of str, optional
        The regions that are read; neurons of other regions are excluded and counted, whatever
        their names. None: all. A region that is not one of `regions.REGIONS` keeps its name.
    locations : mapping of str to str, optional
        The recording's name of a region → V1, V2, V4, IT, …, where the two differ.
    window : (start, end), optional
        In ms: bins that lie wholly outside are not read. None: all are.

    Raises
    ------
    ConvRNNError
        It does not fit into memory; a dim or a coordinate is missing or makes no sense; a region
        has no name; times are not in ms or not sorted; nothing was observed.
    """
    if not isinstance(data, xr.DataArray):
        raise ConvRNNError(
            f"expected an xarray.DataArray of presentation × neuroid × time_bin, not a "
            f"{type(data).__name__}."
        )
    data = without_multiindex(data)
    if "time_bin" not in data.dims and {*DIMS[:2]} <= {*data.dims}:
        edges = {
            name: ("time_bin", np.atleast_1d(data[name].values))
            for name in ("time_bin_start", "time_bin_end")
            if name in data.coords
        }
        data = data.drop_vars(edges).expand_dims("time_bin").assign_coords(edges)
    if set(data.dims) != {*DIMS}:
        raise ConvRNNError(
            f"a recording has the dims {' × '.join(DIMS)}; this has {' × '.join(data.dims)}."
        )
    data = _for_all(data.transpose(*DIMS))
    empty = [name for name in DIMS if data.sizes[name] == 0]
    if empty:
        raise ConvRNNError(f"the recording has no {empty[0]}.")
    if data.dtype.kind not in "fiub":
        raise ConvRNNError(f"the recording holds {data.dtype}, not numbers.")
    time_bins = time_bins_of(data)
    notes = [str(note) for note in np.atleast_1d(data.attrs.get(NOTES, []))]
    blank = np.isin(as_ids(coordinate(data, *_SHOWN)), BLANK)
    if blank.all():
        raise ConvRNNError("the recording names no stimulus for any presentation.")
    if blank.any():
        notes.append(f"excluded: {counted(blank.sum(), 'presentation')} without a stimulus")
        data = data.isel(presentation=~blank)
    named = regions_of(data, region, locations or {}, regions)
    kept = wanted_regions(named, regions)
    if not kept.all():
        others = ", ".join(each or "without a region" for each in dict.fromkeys(named[~kept]))
        notes.append(f"excluded: {counted((~kept).sum(), 'neuron')} of other regions ({others})")
        data, named = data.isel(neuroid=kept), named[kept]
    if window is not None:
        inside = [end > window[0] and start < window[1] for start, end in time_bins]
        if any(inside):
            data = data.isel(time_bin=np.flatnonzero(inside))
            time_bins = [each for each, kept in zip(time_bins, inside, strict=True) if kept]
    for each in in_order(named.tolist()):
        if each not in REGIONS and each.upper() not in SENSORS:
            notes.append(
                f"no layers are assigned to {each}, so all layers are candidates for it; if it is "
                f"one of {', '.join(REGIONS)}, give `locations={{{each!r}: 'IT'}}`"
            )
    stimuli, stimulus = _stimuli(data)
    if "object_name" in data.coords and "object_name" not in stimuli:
        notes.append(
            "not used: object_name, which differs between presentations of one stimulus, or is "
            "not a coordinate of presentations"
        )
    neurons = _neurons(data, named)
    _check_memory(data)
    values = in_single_precision(data.values)
    if not np.isfinite(values).any():
        raise ConvRNNError("the recording holds no observed response: all is NaN.")
    notes += _constant(values)
    return Recording(
        values, stimulus, stimuli, neurons, time_bins, durations_of(data), tuple(notes)
    )


def _for_all(data: xr.DataArray) -> xr.DataArray:
    """A recording in which what is stated once, without a dim or as an attribute, is on its
    presentations."""
    for name in OF_PRESENTATIONS:
        once = data.coords[name] if name in data.coords else data.attrs.get(name)
        if once is not None and np.ndim(once) == 0:
            each = np.broadcast_to(np.asarray(once), data.sizes["presentation"])
            data = data.assign_coords({name: ("presentation", each)})
    return data


def _constant(values: NDArray[np.float32]) -> list[str]:
    """A note where presentations have one response other than 0 in all neurons and bins."""
    flat = values.reshape(len(values), -1)
    if flat.shape[1] < FEWEST_ALIKE:
        return []
    first = flat[:, 0]
    alike = (flat == first[:, None]).all(axis=1) & (first != 0)
    if not alike.any():
        return []
    named = ", ".join(f"{each:g}" for each in np.unique(first[alike])[:3])
    return [
        f"in {counted(int(alike.sum()), 'presentation')}, all neurons and time bins have the same "
        f"response ({named}): if it stands for a missing response, write NaN"
    ]


def _check_memory(data: xr.DataArray) -> None:
    """Raise where the values are not read yet and will not fit."""
    need, free = data.size * (data.dtype.itemsize + 2 * 4), available_memory()
    if need > free:
        raise ConvRNNError(
            f"the recording needs about {decimal(need)} of memory, and {decimal(free)} is free: "
            "name fewer `regions=…`, or a `window=…`."
        )


def _stimuli(data: xr.DataArray) -> tuple[pd.DataFrame, NDArray[np.intp]]:
    ids = as_ids(coordinate(data, *_SHOWN))
    table = pd.DataFrame({"stimulus_id": ids})
    for name, coord in data.coords.items():
        if coord.dims == ("presentation",) and name not in ("presentation", "stimulus_id"):
            table[str(name)] = as_text(coord.values) if coord.dtype.kind == "S" else coord.values
    if "degrees" in table:
        table["degrees"] = as_numbers(table["degrees"].to_numpy(), "degrees")
    stimulus = np.unique(ids, return_inverse=True)[1]
    groups = table.groupby("stimulus_id", sort=True)
    first = groups.first()  # that is not missing
    if "degrees" in table:
        several = groups["degrees"].nunique()
        if (several > 1).any():
            name = several.index[several > 1][0]
            sizes = sorted(set(table["degrees"][table["stimulus_id"] == name].dropna()))
            raise ConvRNNError(
                f"stimulus {name} was shown at {' and '.join(f'{s:g}' for s in sizes)} degrees: "
                "give each size a stimulus_id of its own."
            )
    constant = [name for name in first if (groups[name].nunique() <= 1).all()]
    return first[constant].reset_index(), stimulus.astype(np.intp)


def regions_of(
    data: xr.DataArray,
    region: str | None,
    locations: Mapping[str, str],
    asked: Sequence[str] | None = None,
) -> NDArray[np.str_]:
    """The region of each neuron: one of `REGIONS` where it has that name, or the recording's name;
    empty where it has none and regions are asked for by name.

    Raises
    ------
    ConvRNNError
        No names, or empty ones; locations that are not in the recording.
    """
    count = data.sizes["neuroid"]
    if "region" in data.coords and data["region"].dims in (("neuroid",), ()):
        given = names_of(np.broadcast_to(data["region"].values, count))
    elif region is not None:
        given = np.full(count, region)
    else:
        raise ConvRNNError(
            "the recording has no coordinate region on neuroid; give `region=…` if all its neurons "
            "are in one region."
        )
    there = list(dict.fromkeys(name.strip() for name in given))
    check_locations(locations, there)
    if "" in there and not asked:
        raise ConvRNNError(
            f"{counted(int((given == '').sum()), 'neuron')} without a region: name their regions, "
            "or leave them out."
        )
    # As the first neuron's is written, where neurons differ in case.
    names = {name.lower(): region_name(name) for name in reversed(there)}
    names |= {name.strip().lower(): meant for name, meant in locations.items()}
    return np.array([names[name.strip().lower()] for name in given], str)


def check_locations(locations: Mapping[str, str], there: Sequence[str]) -> None:
    """Raise where ``locations`` gives one name two regions, or names one that is not there.

    Raises
    ------
    ConvRNNError
        It names the location.
    """
    meant: dict[str, str] = {}
    for name, region in locations.items():
        other = meant.setdefault(name.strip().lower(), region)
        if other != region:
            raise ConvRNNError(
                f"`locations=…` gives {name.strip()} two regions, {other} and {region}."
            )
    for name in locations:
        if name.strip().lower() not in {each.lower() for each in there}:
            raise unknown("location in the recording", name.strip(), there)


def wanted_regions(named: NDArray[np.str_], regions: Sequence[str] | None) -> NDArray[np.bool_]:
    """Which neurons are read.

    Raises
    ------
    ConvRNNError
        A region asked is not in the recording.
    """
    found = list(filter(None, dict.fromkeys(named.tolist())))
    for region in regions or ():
        if region.lower() not in {each.lower() for each in found}:
            raise unknown("region of the recording", region, found)
    if regions is None:
        return np.ones(len(named), bool)
    return np.isin(np.char.lower(named), [region.lower() for region in regions])


def _neurons(data: xr.DataArray, named: NDArray[np.str_]) -> pd.DataFrame:
    ids = coordinate(data, "neuroid_id", "neuroid", "which neuron")
    ids = as_text(ids)
    neurons = pd.DataFrame({"neuroid_id": ids, "region": named.astype(object)})
    for name in ("subject", "animal"):
        if name in data.coords and data[name].dims in (("neuroid",), ()):
            subjects = names_of(np.broadcast_to(data[name].values, len(ids)))
            break
    else:
        subjects = np.full(len(ids), "")
    neurons["subject"] = subjects
    if ALL in subjects:
        raise ConvRNNError(f"a subject is called {ALL!r}, a name reserved for all subjects.")
    apart = neurons.copy()
    if "session" in data.coords and data["session"].dims in (("neuroid",), ()):
        apart["session"] = as_ids(np.broadcast_to(data["session"].values, len(ids)))
    for names in (
        ["subject"], ["region"], ["subject", "region"], ["session"], ["subject", "session"],
        ["subject", "session", "region"],
    ):  # fmt: skip
        if neurons["neuroid_id"].duplicated().any() and set(names) <= set(apart):
            parts = [apart[name] for name in names if (apart[name] != "").all()]
            neurons["neuroid_id"] = [".".join(each) for each in zip(*parts, ids, strict=True)]
    twice = neurons["neuroid_id"][neurons["neuroid_id"].duplicated()]
    if len(twice):
        raise ConvRNNError(
            f"neuroid_id {twice.iloc[0]} comes twice: rename it; each neuron needs a unique "
            "id, at least within its subject, session and region."
        )
    return neurons


def _in_short(time_bins: Sequence[TimeBin]) -> str:
    shown = [f"{start:g}–{end:g}" for start, end in time_bins]
    return ", ".join(shown if len(shown) < 5 else [*shown[:2], "…", shown[-1]]) + " ms"

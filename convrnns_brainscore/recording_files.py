"""Recordings in a lab's files: netCDF, Zarr, NWB, and epochs of MNE-Python."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import xarray as xr
import zarr

from convrnns_brainscore.coordinates import DIMS, NOTES
from convrnns_brainscore.epochs import is_epochs, read_epochs
from convrnns_brainscore.errors import ConvRNNError, counted, unknown
from convrnns_brainscore.files import check_readable
from convrnns_brainscore.integrity import check_plain
from convrnns_brainscore.recordings import (
    OF_NEURONS,
    OF_PRESENTATIONS,
    Recording,
    as_recording,
    regions_of,
    wanted_regions,
)
from convrnns_brainscore.tables import composed
from convrnns_brainscore.timing import TimeBin

NWB = ".nwb"

_log = logging.getLogger(__name__)


def read_recording(
    path: str | PathLike[str],
    *,
    region: str | None = None,
    regions: Sequence[str] | None = None,
    intervals: str | None = None,
    stimulus_column: str | None = None,
    onset_column: str | None = None,
    region_of: str | None = None,
    region_of_all: str | None = None,
    locations: Mapping[str, str] | None = None,
    window: TimeBin | None = None,
) -> Recording:
    """Read a recording from a netCDF file, a Zarr store, an NWB file or epochs of MNE-Python.

    Parameters
    ----------
    path : str or path
        Path of the file or store; ``file.nc::group`` names a group in it.
    region : str, optional
        Region of all neurons, if the file does not state it.
    regions : sequence of str, optional
        The regions that are read; neurons of other regions are excluded and counted.
    region_of_all : str, optional
        As ``region``, but an error is raised if the file states another region.
    locations : mapping of str to str, optional
        The file's name of a region → V1, V2, V4, IT, …, where the two differ.
    window : (start, end), optional
        In ms: bins that lie wholly outside are not read. None: all are.
    intervals, stimulus_column, onset_column, region_of
        Of NWB files, as in `nwb.read_nwb`; ``stimulus_column`` also of epochs.

    Raises
    ------
    ConvRNNError
        No such file, no recording in it, or as `recordings.as_recording`.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import numpy as np
    >>> measured = xr.DataArray(
    ...     np.random.default_rng(0).random((4, 3, 1)),
    ...     {
    ...         "stimulus_id": ("presentation", ["face", "house", "face", "house"]),
    ...         "neuroid_id": ("neuroid", [1, 2, 3]),
    ...         "region": ("neuroid", ["V4", "V4", "IT"]),
    ...         "time_bin_start": ("time_bin", [70]),
    ...         "time_bin_end": ("time_bin", [170]),
    ...     },
    ...     ("presentation", "neuroid", "time_bin"),
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     measured.to_netcdf(f"{folder}/recording.nc")
    ...     recording = read_recording(f"{folder}/recording.nc")
    >>> recording.regions, recording.time_bins
    (['V4', 'IT'], [(70.0, 170.0)])
    >>> recording.stimuli["stimulus_id"].tolist()
    ['face', 'house']
    """
    of_file = {
        "intervals": intervals,
        "stimulus_column": stimulus_column,
        "onset_column": onset_column,
        "region_of": region_of,
    }
    if is_labelled(Path(path)):
        data = read_labelled(
            Path(path),
            regions=regions,
            region_of_all=region_of_all,
            locations=locations,
            **of_file,
        )
        recording = as_recording(data, regions=regions, window=window)
    elif any(each is not None for each in of_file.values()):
        raise ConvRNNError(
            "`intervals=…`, `onset_column=…` and `region_of=…` apply only to NWB files (.nwb), and "
            f"`stimulus_column=…` only to NWB files and epochs (-epo.fif); {path} is neither."
        )
    else:
        with opened(path) as held:
            recording = as_recording(
                recording_in(held, path),
                region_of_all or region,
                regions=regions,
                locations=locations,
                window=window,
            )
        _check_region_of_all(recording.regions, region_of_all, path)
    _log.info(
        "%s: %d presentations of %d stimuli, %d neurons, %d time bins",
        path, len(recording.stimulus), len(recording.stimuli), len(recording.neurons),
        len(recording.time_bins),
    )  # fmt: skip
    return recording


def _check_region_of_all(
    regions: Collection[str], region_of_all: str | None, path: str | PathLike[str]
) -> None:
    if region_of_all is None or {each.lower() for each in regions} == {region_of_all.lower()}:
        return
    raise ConvRNNError(
        f"`region_of_all={region_of_all!r}`, but {path} states that its neurons are in "
        f"{', '.join(sorted(regions))}: omit `region_of_all=…`."
    )


def is_labelled(path: Path) -> bool:
    """Whether `read_labelled` reads a file of this name."""
    return path.suffix.lower() == NWB or is_epochs(path)


def read_labelled(
    path: Path,
    *,
    regions: Sequence[str] | None = None,
    region_of_all: str | None = None,
    locations: Mapping[str, str] | None = None,
    intervals: str | None = None,
    stimulus_column: str | None = None,
    onset_column: str | None = None,
    region_of: str | None = None,
) -> xr.DataArray:
    """The recording of a file in a format of the field, NWB or epochs, which has its own labels.

    Parameters
    ----------
    path : path
        A file for which `is_labelled` is true.
    regions, region_of_all, locations, intervals, stimulus_column, onset_column, region_of
        As in `read_recording`.

    Returns
    -------
    DataArray
        Presentation × neuroid × time_bin.

    Raises
    ------
    ConvRNNError
        No such file, or as `nwb.read_nwb` and `epochs.read_epochs`; a setting of NWB for epochs.
    """
    check_readable(path)
    if not is_epochs(path):
        from convrnns_brainscore.nwb import read_nwb

        data = read_nwb(
            path,
            intervals=intervals,
            stimulus_column=stimulus_column,
            onset_column=onset_column,
            regions=regions,
            region_of=region_of,
            region_of_all=region_of_all,
            locations=locations,
        )
        _check_region_of_all(set(data["region"].values.tolist()), region_of_all, path)
        return data
    of_nwb = {"intervals": intervals, "onset_column": onset_column, "region_of": region_of}
    for name, value in of_nwb.items():
        if value is not None:
            raise ConvRNNError(f"`{name}=…` applies only to NWB files (.nwb); {path} is not one.")
    data = read_epochs(path, stimulus_column=stimulus_column, region=region_of_all)
    named = regions_of(data, None, locations or {}, regions)
    kept = wanted_regions(named, regions)
    data = data.assign_coords(region=("neuroid", named))[:, kept]
    if not kept.all():
        others = ", ".join(sorted(set(named[~kept])))
        note = f"excluded: {counted((~kept).sum(), 'channel')} of {others}"
        data = data.assign_attrs({NOTES: [*data.attrs[NOTES], note]})
    return data


def open_recording(path: str | PathLike[str]) -> xr.DataArray:
    """The recording of a netCDF file or Zarr store, as the file has it.

    Raises
    ------
    ConvRNNError
        As `open_data` and `recording_in`.
    """
    return recording_in(open_data(path), path)


def open_data(path: str | PathLike[str]) -> xr.Dataset:
    """All that a netCDF file or Zarr store holds.

    Raises
    ------
    ConvRNNError
        There is no such file, or it is neither.
    """
    with opened(path) as held:
        return held.load()


@contextmanager
def opened(path: str | PathLike[str]) -> Iterator[xr.Dataset]:
    """A netCDF file or Zarr store, of which only that is read which is used.

    Parameters
    ----------
    path : str or path
        Path of the file or store; ``file.nc::group`` names a group in it.

    Raises
    ------
    ConvRNNError
        There is no such file or group, it is neither, or it cannot be read.
    """
    path, group = split_group(path)
    check_readable(path)
    if path.is_dir():
        check_plain(path)
    if group is not None:
        # The same name in whichever Unicode form the file has it.
        known = {composed(each): each for each in groups_of(path)}
        if composed(group) not in known:
            raise unknown(f"group of {path}", group, known.values())
        group = known[composed(group)]
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # xarray's guesses about the format
            if path.is_dir():
                # As a store: a path with colons would be read as a chained address.
                store = zarr.DirectoryStore(str(path))
                raw = xr.open_zarr(store, group=group, decode_cf=False)
            else:
                raw = xr.open_dataset(path, group=group, cache=False, decode_cf=False)
            held = _decoded(raw, is_zarr=path.is_dir())
    except ConvRNNError as error:
        raise ConvRNNError(f"{path}: {error}") from None
    except Exception as error:
        raise _unreadable(path, error) from error
    with held:
        try:
            yield held
        except ConvRNNError:
            raise
        except MemoryError as error:
            raise ConvRNNError(
                f"{path} does not fit into memory: name fewer `regions=…`, or a `window=…`."
            ) from error
        except (OSError, RuntimeError) as error:
            raise _unreadable(path, error) from error


def _decoded(raw: xr.Dataset, *, is_zarr: bool) -> xr.Dataset:
    """A data set by its CF attributes, with what the formats leave unsaid.

    * zarr-python fills arrays with 0 unless told otherwise, and xarray takes each fill value of a
      Zarr array for a missing one: zeros are responses here.
    * Cells of a netCDF file that were never written hold the format's own fill value, whether or
      not an attribute says so.
    * Times of bins and of images are made ms by their units.
    """
    for name, each in raw.variables.items():
        if (
            is_zarr
            and np.ndim(each.attrs.get("_FillValue")) == 0
            and not each.attrs.get("_FillValue", 1)
        ):
            del each.attrs["_FillValue"]
        holds_responses = {*DIMS[:2]} <= {*each.dims}
        of_kind = each.dtype.kind == "f" or (each.dtype.kind in "iu" and holds_responses)
        fill = netCDF4.default_fillvals.get(f"{each.dtype.kind}{each.dtype.itemsize}")
        unsaid = not {"_FillValue", "missing_value"} & {*each.attrs}
        if not is_zarr and unsaid and of_kind and each.dtype.itemsize > 1:
            each.attrs["_FillValue"] = each.dtype.type(fill)
        if name in TIMES and each.dtype.kind in "fiu":
            raw[name] = _in_ms(str(name), each)
    return xr.decode_cf(raw)


def _in_ms(name: str, times: xr.Variable) -> xr.Variable:
    """Times by their attribute ``units``, which is dropped; ms where there is none."""
    attrs = dict(times.attrs)
    units = str(attrs.pop("units", "")).strip() or "ms"
    unit = units.split(" since ")[0].split(" from ")[0].strip().lower()
    factor = next((factor for factor, names in TIME_UNITS.items() if unit in names), None)
    if factor is None:
        raise ConvRNNError(
            f"the units of {name} are {units!r}: expected ms, s or us (microseconds)."
        )
    plain = times.copy(deep=False)
    plain.attrs = attrs
    if factor == 1:
        return plain
    numbers = xr.conventions.decode_cf_variable(name, plain).values
    return xr.Variable(times.dims, np.asarray(numbers, float) * factor)


def split_group(path: str | PathLike[str]) -> tuple[Path, str | None]:
    """A file and the group in it: ``file.nc::group``.

    Examples
    --------
    >>> split_group("session.nc::monkey A/IT")
    (PosixPath('session.nc'), 'monkey A/IT')
    """
    text = os.fspath(path)
    if "::" not in text or Path(text).exists():
        return Path(text), None
    parts = text.split("::")
    # A folder's name may have colons too: the file is what is there.
    files = ["::".join(parts[:count]) for count in range(1, len(parts))]
    file = next((each for each in files if Path(each).exists()), files[0])
    return Path(file), text[len(file) + 2 :].strip("/") or None


def groups_of(path: Path) -> list[str]:
    """All groups of a netCDF file or Zarr store."""
    found: list[str] = []
    try:
        if path.is_dir():
            zarr.open_group(zarr.DirectoryStore(str(path)), mode="r").visitvalues(
                lambda each: found.append(each.path) if isinstance(each, zarr.Group) else None
            )
        else:
            with netCDF4.Dataset(path) as held:
                waiting = list(held.groups.values())
                while waiting:
                    group = waiting.pop(0)
                    found.append(group.path.strip("/"))
                    waiting += group.groups.values()
    except Exception as error:  # of formats without groups, such as netCDF 3
        _log.debug("groups of %s: %s", path, error)
    return found


TIMES = ("time_bin_start", "time_bin_end", "image_on_ms")
"""The coordinates that are times."""

TIME_UNITS = {
    1: ("ms", "msec", "msecs", "millisecond", "milliseconds"),
    1000: ("s", "sec", "secs", "second", "seconds"),
    0.001: ("us", "µs", "μs", "usec", "microsecond", "microseconds"),
}
"""How many ms a unit has."""


def _unreadable(path: Path, error: Exception) -> ConvRNNError:
    """What is wrong with a file that cannot be read, as far as its library says."""
    said = (str(error).splitlines() or [""])[0][:100] or type(error).__name__
    code = getattr(error, "errno", None) or 0
    if code > 0:
        return ConvRNNError(f"{path} cannot be read: {os.strerror(code)}.")
    if "HDF error" in said:
        return ConvRNNError(
            f"{path} cannot be read ({said}): it is damaged, incomplete or locked. Copy it "
            "again, or set HDF5_USE_FILE_LOCKING=FALSE where its file system has no locks."
        )
    if path.suffix.lower() in (".npy", ".npz", ".mat", ".csv", ".tsv"):
        return ConvRNNError(
            f"{path} has no labels: convert responses with `convrnns recording make`, and "
            "dissimilarities as in the documentation's cookbook."
        )
    if (path / "zarr.json").exists():
        return ConvRNNError(
            f"{path} is a Zarr store of format 3: write it with to_zarr(…, zarr_format=2), or as "
            "netCDF."
        )
    return ConvRNNError(
        f"{path} is not a recording: neither a netCDF file nor a Zarr store ({said})."
    )


def recording_in(held: xr.Dataset, path: str | PathLike[str]) -> xr.DataArray:
    """The recording in a data set, whatever its variable is called.

    Parameters
    ----------
    held : Dataset
        As `open_data` gives it.
    path : str or path
        Path of its file, for errors.

    Raises
    ------
    ConvRNNError
        It holds no recording, or more than one.
    """
    found = [name for name, data in held.data_vars.items() if {*DIMS[:2]} <= {*data.dims}]
    if len(found) != 1:
        what = f"several ({', '.join(map(str, found))}) have" if found else "none has"
        file, group = split_group(path)
        groups = groups_of(file) if not found and group is None else []
        named = ""
        if groups:
            named = f" It has groups ({', '.join(groups[:10])}): name one as {file}::group."
        variables = ", ".join(f"{name} {data.dims}" for name, data in held.data_vars.items())
        raise ConvRNNError(
            f"{path} is not a recording: of its variables, {what} the dims presentation × "
            f"neuroid × time_bin; it has {variables or 'none'}.{named}"
        )
    data = held[found[0]]
    # Coordinates are often stored as variables beside the data.
    for name, each in held.data_vars.items():
        along = len(each.dims) == 1 and each.dims[0] in DIMS
        once = not each.dims and name in (*OF_NEURONS, *OF_PRESENTATIONS)
        if name != found[0] and (along or once):
            data = data.assign_coords({name: each})
    # The file's own attributes may state what is the same for all.
    for name in ("degrees", "image_on_ms"):
        if name in held.attrs and name not in (*data.coords, *data.attrs):
            data = data.assign_attrs({name: _single(held.attrs[name], f"{path}: attribute {name}")})
    return data


def _single(value: Any, what: str) -> float:
    """The number that an attribute of a file holds."""
    try:
        return float(np.asarray(value).item())
    except (TypeError, ValueError):
        raise ConvRNNError(
            f"{what} holds {str(np.asarray(value).tolist())[:60]}: expected one number. Correct or "
            "remove it."
        ) from None

"""Recordings in a lab's files: netCDF, Zarr and NWB."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Mapping, Sequence
from os import PathLike
from pathlib import Path

import xarray as xr

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.integrity import check_plain
from convrnns_brainscore.recordings import DIMS, Recording, as_recording

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
) -> Recording:
    """Read a recording from a netCDF file, a Zarr store or an NWB file.

    Parameters
    ----------
    path : str or path
        Path of the file or store.
    region : str, optional
        Where all neurons come from, if the file does not say it.
    regions : sequence of str, optional
        The regions that are read; neurons of other areas are left out and counted.
    region_of_all : str, optional
        The same; other than ``region``, it is refused where the file says another one.
    locations : mapping of str to str, optional
        The file's name of an area → V1, V2, V4, IT, …, where it is called otherwise.
    intervals, stimulus_column, onset_column, region_of
        Of NWB files, as in `nwb.read_nwb`.

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
    path = Path(path)
    if path.suffix == NWB:
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
    elif intervals or stimulus_column or onset_column or region_of:
        raise ConvRNNError(
            "`intervals=…`, `stimulus_column=…`, `onset_column=…` and `region_of=…` are of NWB "
            f"files (.nwb); {path} is not one."
        )
    else:
        data = open_recording(path)
    recording = as_recording(data, region_of_all or region, regions=regions, locations=locations)
    if region_of_all is not None and [each.lower() for each in recording.regions] != [
        region_of_all.lower()
    ]:
        raise ConvRNNError(
            f"`region_of_all={region_of_all!r}`, but {path} says that its neurons come from "
            f"{', '.join(recording.regions)}."
        )
    _log.info(
        "%s: %d presentations of %d stimuli, %d neurons, %d time bins",
        path, len(recording.stimulus), len(recording.stimuli), len(recording.neurons),
        len(recording.time_bins),
    )  # fmt: skip
    return recording


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
    path = Path(path)
    if not path.exists():
        raise ConvRNNError(f"there is no recording {path}.")
    if path.is_dir():
        check_plain(path)
    elif not path.is_file():
        raise ConvRNNError(f"{path} is not a file: a device or a pipe is not read.")
    if not os.access(path, os.R_OK):
        raise ConvRNNError(f"{path} may not be read by you: its owner can change that with chmod.")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # xarray's guesses about the format
            opened = xr.open_zarr(path) if path.is_dir() else xr.open_dataset(path)
        with opened:
            return opened.load()
    except Exception as error:
        raise ConvRNNError(
            f"{path} is not a recording: neither a netCDF file nor a Zarr store "
            f"({str(error).splitlines()[0][:100] if str(error) else type(error).__name__})."
        ) from error


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
        what = f"several ({', '.join(map(str, found))})" if found else "none"
        raise ConvRNNError(
            f"{path} is no recording: of its variables {what} has the dims presentation × neuroid "
            f"× time_bin; it has {', '.join(f'{n} {d.dims}' for n, d in held.data_vars.items())}."
        )
    data = held[found[0]]
    # Coordinates are often stored as variables beside the data.
    for name, each in held.data_vars.items():
        if name != found[0] and len(each.dims) == 1 and each.dims[0] in DIMS:
            data = data.assign_coords({name: each})
    return data

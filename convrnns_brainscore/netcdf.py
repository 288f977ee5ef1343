"""Groups of netCDF files, written alike by everything here that writes any."""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterable
from pathlib import Path

import xarray as xr

from convrnns_brainscore.files import writing


def write_group(data: xr.Dataset, path: Path, group: str | None = None, mode: str = "w") -> None:
    """Write one group of a netCDF file, with its lists of coordinates sorted.

    Parameters
    ----------
    data : Dataset
        What the group holds.
    path : path
        The file.
    group : str, optional
        None: the root.
    mode : str, default 'w'
        ``"w"`` begins the file, ``"a"`` adds to it.
    """
    # Nobody else opens the file meanwhile, and the file systems of some clusters have no locks.
    os.environ.setdefault("HDF5_USE_FILE_LOCKING", "FALSE")
    for name in data.data_vars if data.coords else ():
        # xarray takes them from a set, whose order changes from run to run.
        data[name].encoding["coordinates"] = " ".join(sorted(map(str, data.coords)))
    with writing(path, data.nbytes):
        data.to_netcdf(path, mode=mode, group=group, engine="netcdf4")


def in_fixed_order(data: xr.Dataset, unfilled: Iterable[Hashable] | None = None) -> xr.Dataset:
    """The same with its variables sorted by name, so that the bytes do not depend on the run.

    Parameters
    ----------
    data : Dataset
        Its variables' encodings are changed.
    unfilled : iterable of Hashable, optional
        Variables that are stored without a fill value; None: all.
    """
    data = data[sorted(data.variables)]
    for name in list(data.variables) if unfilled is None else unfilled:
        data[name].encoding = {} if data[name].dtype.kind in "OU" else {"_FillValue": None}
    return data

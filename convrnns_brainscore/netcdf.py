"""Groups of netCDF files, written alike by everything here that writes any."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Hashable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import xarray as xr

from convrnns_brainscore.errors import ConvRNNError

try:
    import resource
except ImportError:  # on Windows
    resource = None  # type: ignore[assignment]


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


@contextmanager
def writing(path: Path, size: int = 0) -> Iterator[None]:
    """Name the cause where a netCDF file cannot be written.

    HDF5 calls a full disk "HDF error" or "Permission denied".

    Parameters
    ----------
    path : path
        The file.
    size : int, default 0
        Bytes that are to be written.

    Raises
    ------
    OSError
        The disk is full, a quota or the largest size of a file is reached, or the folder may not be
        written.
    ConvRNNError
        Another error of the netCDF library's.
    """
    try:
        yield
    except (RuntimeError, OSError) as error:
        raise _cause(path, size, error) from error


def _cause(path: Path, size: int, error: Exception) -> Exception:
    """What the operating system says when something else is written there."""
    code, said = None, ""
    probe = path.with_name(f".{path.name}.probe")
    try:
        probe.write_bytes(bytes(2**20))
        if resource is not None and 0 <= resource.getrlimit(resource.RLIMIT_FSIZE)[0] < size:
            code = errno.EFBIG
        elif shutil.disk_usage(path.parent).free < size:
            code = errno.ENOSPC
    except OSError as found:
        code, said = found.errno, found.strerror or ""
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)
    if code is not None:
        return OSError(code, said or os.strerror(code), str(path))
    return ConvRNNError(f"cannot write {path}: {error}")


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

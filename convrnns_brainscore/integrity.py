"""Is a finished file or store as it was written? Digests are recorded when it is finished."""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import writing

DIGESTS = "digests.json"
"""In a Zarr store: the size and CRC32 of each of its files."""

SEAL = "content_crc32"
"""Among the attributes of a netCDF file: the CRC32 of each group, as JSON."""

CODECS = {
    "adler32", "astype", "bitround", "blosc", "bz2", "crc32", "delta", "fixedscaleoffset",
    "fletcher32", "gzip", "lz4", "lzma", "packbits", "quantize", "shuffle", "vlen-array",
    "vlen-bytes", "vlen-utf8", "zlib", "zstd",
}  # fmt: skip
"""Codecs of Zarr that do nothing but compute; numcodecs' pickle runs code that a store brings."""

ROWS = 256
"""Rows of text that are read at a time, and of numbers at most."""

BLOCK = 64 * 2**20
"""Bytes of a variable's numbers that are read at a time, unless one row is larger."""


def seal(path: Path) -> None:
    """Record the digests of a finished store (a folder) or netCDF file."""
    if path.is_dir():
        content = json.dumps(_of_files(path), indent=0, sort_keys=True)
        (path / DIGESTS).write_text(content, encoding="utf-8")
        return
    with writing(path), netCDF4.Dataset(path, "a") as opened:
        opened.setncattr(SEAL, json.dumps(_of_groups(opened)))


def verify(path: Path) -> int:
    """Compare a finished store or netCDF file with its recorded digests.

    Parameters
    ----------
    path : path
        A Zarr store, or a netCDF file.

    Returns
    -------
    int
        How many files, or groups of a netCDF file, were compared.

    Raises
    ------
    ConvRNNError
        A part is damaged or missing, or no digests were recorded.
    """
    found: Mapping[str, Any]
    try:
        if path.is_dir():
            recorded = json.loads((path / DIGESTS).read_text(encoding="utf-8"))
            found = _of_files(path)
        else:
            with netCDF4.Dataset(path) as opened:
                recorded = json.loads(opened.getncattr(SEAL))
                found = _of_groups(opened)
    except (FileNotFoundError, AttributeError) as error:
        raise ConvRNNError(
            f"{path} has no recorded digests: an earlier version wrote it, or something is missing."
        ) from error
    except Exception as error:  # of HDF5's many
        raise ConvRNNError(f"{path} is damaged: {error}. Remove it, and make it again.") from error
    if not isinstance(recorded, dict) or not recorded:
        raise ConvRNNError(f"the recorded digests of {path} are damaged: make it again.")
    for name, digest in recorded.items():
        if found.get(name) != digest:
            what = "is damaged" if name in found else "is missing"
            raise ConvRNNError(
                f"{name or 'the root'} of {path} {what}. Remove it, and make it again."
            )
    return len(recorded)


def check_plain(store: Path) -> None:
    """Raise unless a Zarr store can be read without running code that it brings.

    Only its metadata are read.

    Raises
    ------
    ConvRNNError
        An array is stored by a codec that is not one of `CODECS`, or its metadata are damaged.
    """
    for file in [*store.rglob(".zarray"), *store.rglob(".zmetadata")]:
        try:
            held = json.loads(file.read_text(encoding="utf-8"))
            for name, array in held.get("metadata", {file.parent.name + "/.zarray": held}).items():
                if not name.endswith(".zarray"):
                    continue
                used = [array["compressor"], *(array["filters"] or [])]
                strange = [codec["id"] for codec in used if codec and codec["id"] not in CODECS]
                if strange:
                    raise ConvRNNError(
                        f"{file} stores {name.removesuffix('/.zarray')} by the codec {strange[0]}, "
                        "which may run code: it is not read. Save the store again as plain numbers "
                        "and text."
                    )
        except ConvRNNError:
            raise
        except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
            raise ConvRNNError(f"{file} is damaged ({type(error).__name__}).") from error


def is_sealed(path: Path) -> bool:
    """Whether digests were recorded."""
    if path.is_dir():
        return (path / DIGESTS).exists()
    with netCDF4.Dataset(path) as opened:
        return SEAL in opened.ncattrs()


def _of_files(store: Path) -> dict[str, list[int]]:
    """File below the store → its size and CRC32."""
    found = {}
    for file in sorted(store.rglob("*")):
        if file.is_file() and file.name != DIGESTS:
            content = file.read_bytes()
            name = file.relative_to(store).as_posix()
            found[name] = [len(content), zlib.crc32(content)]
    return found


def _of_groups(opened: Any) -> dict[str, int]:
    """Path of a group → the CRC32 of its attributes and variables."""
    found = {}
    for path, group in _groups(opened, ""):
        attributes = {name: group.getncattr(name) for name in group.ncattrs() if name != SEAL}
        total = zlib.crc32(repr(sorted((n, str(v)) for n, v in attributes.items())).encode())
        for name in sorted(group.variables):
            variable = group.variables[name]
            variable.set_auto_maskandscale(False)
            total = zlib.crc32(f"{name} {variable.dtype} {variable.shape}".encode(), total)
            for block in _blocks(variable):
                total = zlib.crc32(block, total)
        found[path] = total
    return found


def _groups(group: Any, path: str) -> Iterator[tuple[str, Any]]:
    yield path, group
    for name in sorted(group.groups):
        yield from _groups(group.groups[name], f"{path}/{name}")


def _blocks(variable: Any) -> Iterator[bytes]:
    """The values of a variable, some rows at a time."""
    if not variable.shape:
        yield str(variable[...]).encode()
        return
    rows = ROWS
    if variable.dtype is not str:
        row = math.prod(variable.shape[1:]) * np.dtype(variable.dtype).itemsize
        rows = min(ROWS, max(1, BLOCK // max(row, 1)))
    for first in range(0, variable.shape[0], rows):
        values = np.asarray(variable[first : first + rows])
        if values.dtype.kind in "OU":
            yield "\n".join(map(str, values.ravel().tolist())).encode()
        else:
            yield np.ascontiguousarray(values).tobytes()

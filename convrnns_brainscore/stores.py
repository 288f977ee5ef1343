"""A store of features: its layout, and what tells one that was interrupted from one that is whole.

One group a layer, since layers start at different steps::

    activations     (presentation, neuroid, time_bin) float32
    stimulus_id     (presentation), degrees
    channel …       (neuroid): channel, channel_x, channel_y; the readout has channel only
    time_bin_start  (time_bin) ms from image onset, and time_bin_end

and at the root ``stimulus_id``, ``filename``, ``degrees`` and ``image_sha256`` (presentation), with
what made the numbers in the attributes.
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from itertools import product
from pathlib import Path
from typing import Any

import dask
import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numcodecs import blosc
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import check_folder_of
from convrnns_brainscore.integrity import check_plain
from convrnns_brainscore.netcdf import in_fixed_order, write_group
from convrnns_brainscore.networks.backbones import neuroid_coordinates
from convrnns_brainscore.provenance import check_made_alike

FORMATS = (".zarr", ".nc")
MOST_IN_CHUNK = blosc.MAX_BUFFERSIZE // 4
"""Values in a compressed chunk at most, by the limit of Blosc."""

NEUROIDS = 32768
"""Neuroids in a chunk at most, where each bin has chunks of its own."""

Bins = tuple[NDArray[Any], NDArray[Any]]
"""Start and end of time bins in ms."""

_COMPARED = ("stimulus_id", "degrees", "image_sha256")


def check_out(out: Path) -> None:
    """Raise unless features can be written under the name ``out``."""
    if out.suffix not in FORMATS:
        raise ConvRNNError(f"{out}: expected a name that ends in .zarr or .nc.")
    check_folder_of(out)


def create_store(
    store: Path,
    attributes: Mapping[str, str | int],
    stimuli: pd.DataFrame,
    shapes: Mapping[str, tuple[int, ...]],
    bins: Mapping[str, Bins],
    batch_size: int,
    *,
    apart: bool = False,
    most_bins: int | None = None,
) -> None:
    """Write a store that has all but the activations.

    Parameters
    ----------
    bins : mapping of str to pair of arrays
        Layer → start and end of its time bins in ms.
    apart : bool, default False
        Each bin is to be read by itself: in chunks of its own, uncompressed.
    most_bins : int, optional
        Bins in a chunk at most; None: all.
    """
    root = zarr.open_group(str(store), mode="w")
    root.attrs.put(dict(attributes))
    for column in stimuli:
        _write(root, column, _plain(stimuli[column]), "presentation")
    for layer in bins:
        _layer_group(root, layer, shapes[layer], bins[layer], stimuli, batch_size, apart, most_bins)


def open_activations(store: Path, layers: Iterable[str]) -> dict[str, zarr.Array]:
    """Each layer's array, to be filled batch by batch."""
    root = zarr.open_group(str(store), mode="r+")
    return {layer: root[f"{layer}/activations"] for layer in layers}


def remove_torn(store: Path) -> None:
    """Remove what Zarr was writing when it was killed."""
    for leftover in store.rglob("*.partial"):
        leftover.unlink()


def chunk_names(array: zarr.Array, batch: int) -> list[str]:
    """The files, below the store, of a batch's chunks."""
    _, neuroids, bins = array.cdata_shape
    return [f"{array.path}/{batch}.{i}.{j}" for i, j in product(range(neuroids), range(bins))]


def check_same(
    store: Path, attributes: Mapping[str, str | int], stimuli: pd.DataFrame, name: Path
) -> None:
    """Raise unless ``store``, whole or under way, was begun with the same settings and images.

    ``name`` is what the user calls it.
    """
    if store.is_dir():
        check_plain(store)
    try:
        root = (
            xr.open_dataset(store)
            if store.suffix == ".nc"
            else xr.open_zarr(store, consolidated=False)
        )
        with root:
            held = {column: root[column].values.tolist() for column in _COMPARED}
            begun_with = dict(root.attrs)
    except Exception as error:
        raise ConvRNNError(
            f"{name} exists and holds no features. Give another name, or remove it first."
        ) from error
    columns = {column: stimuli[column].tolist() for column in _COMPARED}
    check_made_alike({**begun_with, **held}, {**attributes, **columns}, name, remove=store)


class Journal:
    """The batches that are done, and the sizes and CRC32 of the chunks that they wrote.

    It is begun when all of the store but the activations is written.
    """

    def __init__(self, work: Path) -> None:
        self.store = work / "store.zarr"
        self.path = work / "journal.jsonl"

    @property
    def begun(self) -> bool:
        """Whether there is a store to go on with."""
        return self.path.exists()

    @property
    def empty(self) -> bool:
        """Whether nothing would be lost without the store."""
        return not self.begun or self.path.stat().st_size == 0

    def begin(self) -> None:
        """The store is there, and no batch is done."""
        self.path.touch()

    def write(self, batch: int, chunks: list[str]) -> None:
        """``batch`` is done and wrote ``chunks``."""
        entry = {"batch": batch, "chunks": {name: self._checksum(name) for name in chunks}}
        entry["crc32"] = _crc32_of(entry)
        with self.path.open("a", encoding="utf-8") as journal:
            journal.write(json.dumps(entry) + "\n")
            journal.flush()
            os.fsync(journal.fileno())

    def done(self) -> set[int]:
        """The batches whose chunks are as they were written."""
        done = set()
        if self.begun:
            for line in self.path.read_text(encoding="utf-8").splitlines():
                try:
                    entry = json.loads(line)
                    recorded = entry.pop("crc32")
                except (ValueError, LookupError, AttributeError, TypeError):  # torn by a kill
                    continue
                if _crc32_of(entry) != recorded:
                    continue
                if all(self._checksum(name) == was for name, was in entry["chunks"].items()):
                    done.add(entry["batch"])
        return done

    def _checksum(self, name: str) -> list[int]:
        try:
            content = (self.store / name).read_bytes()
        except FileNotFoundError:
            return []
        return [len(content), zlib.crc32(content)]


def _crc32_of(entry: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(entry, sort_keys=True).encode())


@contextmanager
def compressed_in_order() -> Iterator[None]:
    """Have Blosc use one thread: of several, blocks come in the order in which they were done, and
    the same values would not always give the same bytes."""
    before = blosc.use_threads
    blosc.use_threads = False
    try:
        yield
    finally:
        blosc.use_threads = before


def write_netcdf(store: Path, layers: list[str], path: Path) -> None:
    """The store as one netCDF file with a group a layer, chunk by chunk."""
    path.unlink(missing_ok=True)
    with dask.config.set(scheduler="synchronous"):  # chunks in one order, for the same bytes
        for group in (None, *layers):
            with xr.open_zarr(store, group=group) as held:
                for name in set(held.variables) - {"activations"}:
                    held[name].load()
                mode = "w" if group is None else "a"
                write_group(in_fixed_order(held, held.data_vars), path, group, mode)


def _layer_group(
    root: zarr.Group,
    layer: str,
    shape: tuple[int, ...],
    bins: Bins,
    stimuli: pd.DataFrame,
    batch_size: int,
    apart: bool,
    most_bins: int | None,
) -> None:
    """The layer's group with its coordinates, and its array."""
    group = root.create_group(layer)
    coordinates: Mapping[str, tuple[str, ArrayLike]] = {
        "stimulus_id": ("presentation", _plain(stimuli["stimulus_id"])),
        "degrees": ("presentation", _plain(stimuli["degrees"])),
        "time_bin_start": ("time_bin", bins[0]),
        "time_bin_end": ("time_bin", bins[1]),
        **{name: ("neuroid", values) for name, values in neuroid_coordinates(shape).items()},
    }
    for name, (dim, values) in coordinates.items():
        array = _write(group, name, values, dim)
        if dim == "time_bin":
            array.attrs["unit"] = "ms from image onset"  # "units" would make xarray decode dates
    group.attrs.put({**root.attrs.asdict(), "layer": layer, "coordinates": " ".join(coordinates)})
    sizes = (len(stimuli), int(np.prod(shape)), len(bins[0]))
    rows, together = min(batch_size, len(stimuli)), min(sizes[2], most_bins or sizes[2])
    fitting = max(1, MOST_IN_CHUNK // (rows * sizes[1]))
    neuroids = min(sizes[1], max(1, MOST_IN_CHUNK // rows))
    chunks = (min(sizes[1], NEUROIDS), 1) if apart else (neuroids, min(together, fitting))
    # Without a fill value: xarray would read a stored 0 as missing.
    array = group.create_dataset(
        "activations",
        shape=sizes,
        chunks=(rows, *chunks),
        compressor=None if apart else "default",
        dtype="f4",
        fill_value=None,
        write_empty_chunks=True,
    )
    array.attrs["_ARRAY_DIMENSIONS"] = ["presentation", "neuroid", "time_bin"]


def _plain(column: pd.Series) -> NDArray[Any]:
    """A column's values as numbers or as text of one width, which Zarr stores as they are."""
    values = column.to_numpy()
    return values if values.dtype.kind == "f" else values.astype(str)


def _write(group: zarr.Group, name: str, values: ArrayLike, dim: str) -> zarr.Array:
    array = group.create_dataset(name, data=np.asarray(values), fill_value=None)
    array.attrs["_ARRAY_DIMENSIONS"] = [dim]
    return array

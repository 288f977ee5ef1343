"""Time-resolved features of image files → a Zarr store.

The store holds one group a layer, since layers start at different steps::

    xarray.open_zarr("features.zarr", group="conv9")

    activations     (presentation, neuroid, time_bin) float32
    stimulus_id     (presentation)
    channel …       (neuroid): channel, channel_x, channel_y; the readout has channel only
    time_bin_start  (time_bin) ms from image onset, and time_bin_end

and at the root ``stimulus_id`` and ``filename`` (presentation), with what made the numbers in the
attributes: model, weights, presentation, versions.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import ArrayLike, NDArray
from rich.console import Console
from rich.progress import track

import convrnns_brainscore
from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import load_image, load_images
from convrnns_brainscore.networks.backbones import reported_steps
from convrnns_brainscore.networks.backend import version
from convrnns_brainscore.presentation import Presentation, as_presentation, time_bins


def extract(
    network: ConvRNN,
    paths: Sequence[str | Path],
    layers: str | Iterable[str],
    out: str | Path,
    presentation: Presentation | None = None,
    *,
    all_times: bool = False,
    batch_size: int = BATCH_SIZE,
    progress: bool = False,
) -> None:
    """Write the features of the image files ``paths`` to the Zarr store ``out``.

    The store appears under its name only when it is whole.

    Parameters
    ----------
    network : the network.
    paths : image files, in the order in which the store holds them; a file's stimulus id is its
        name without suffix, or with it (all of them) where two files differ in nothing else.
    layers : the layers to extract.
    out : a new folder, ``….zarr``.
    presentation : None: as the model was trained.
    all_times : every step from 0, instead of from the first that the published zoo reports.
    batch_size : images at a time.
    progress : show a progress bar.

    Raises
    ------
    ConvRNNError : bad layers or presentation; ``out`` exists or is no ``.zarr``; an image cannot be
        read, or two have the same name. Nothing is written then.
    """
    presentation = as_presentation(presentation, Presentation.default(network.name))
    out, files = Path(out), [Path(path) for path in paths]
    steps = reported_steps(network.model, layers, presentation.times, all_times)
    if out.suffix != ".zarr":
        raise ConvRNNError(f"{out}: features are written to a folder named ….zarr")
    if not files:
        raise ConvRNNError("no images to extract features of.")
    if out.exists():
        raise ConvRNNError(f"{out} exists. Give another name, or remove it first.")
    if not out.absolute().parent.is_dir():
        raise ConvRNNError(f"{out}: there is no folder {out.absolute().parent}.")
    stimulus_ids = _stimulus_ids(files)
    for path in files:  # a broken file is found before the network runs
        load_image(path)

    partial = out.with_name(f".{out.name}.{os.getpid()}.partial")
    try:
        partial.mkdir()
    except OSError as error:
        raise ConvRNNError(f"cannot write {out}: {error.strerror}.") from error
    try:
        root = zarr.open_group(str(partial), mode="w")
        root.attrs.update(describe(network, presentation))
        _write(root, "stimulus_id", stimulus_ids, ["presentation"])
        _write(root, "filename", [str(path.absolute()) for path in files], ["presentation"])
        arrays = {
            layer: _layer_group(root, network, layer, steps[layer], stimulus_ids, batch_size)
            for layer in steps
        }
        for start in track(
            range(0, len(files), batch_size),
            f"{network.name}: extracting",
            console=Console(stderr=True),
            disable=not progress,
        ):
            batch = slice(start, start + batch_size)
            outputs = network.unroll(load_images(files[batch]), steps, presentation, all_times)
            for layer, output in outputs.items():
                flat = output.reshape(*output.shape[:2], -1)
                arrays[layer][batch] = np.moveaxis(flat, 1, 2)
        zarr.consolidate_metadata(root.store)
        partial.rename(out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def describe(network: ConvRNN, presentation: Presentation) -> dict[str, Any]:
    """All that made a number, as plain values: model, weights, presentation, versions."""
    return {
        **network.describe(),
        **presentation.describe(),
        "backend": version(),
        "convrnns_brainscore": convrnns_brainscore.__version__,
    }


def neuroid_coordinates(shape: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    """Where each neuroid of a layer stands, in the order of the flattened output.

    Parameters
    ----------
    shape : (height, width, channel) or (channel,) of one step's output.
    """
    index = np.indices(shape).reshape(len(shape), -1)
    if len(shape) == 1:
        return {"channel": index[0]}
    return {"channel": index[2], "channel_x": index[1], "channel_y": index[0]}


def _stimulus_ids(paths: Sequence[Path]) -> list[str]:
    ids = [path.stem for path in paths]
    if len(set(ids)) < len(ids):
        ids = [path.name for path in paths]
    seen: dict[str, Path] = {}
    for stimulus_id, path in zip(ids, paths, strict=True):
        if stimulus_id in seen:
            problem = (
                "have the same name; rename one" if seen[stimulus_id] != path else "are one file"
            )
            raise ConvRNNError(f"{seen[stimulus_id]} and {path} {problem}.")
        seen[stimulus_id] = path
    return ids


def _layer_group(
    root: zarr.Group,
    network: ConvRNN,
    layer: str,
    steps: range,
    stimulus_ids: list[str],
    batch_size: int,
) -> zarr.Array:
    """The layer's group with its coordinates, and its array, to be filled batch by batch."""
    shape = network.output_shape(layer)
    group = root.create_group(layer)
    bin_start, bin_end = time_bins(steps.start, steps.stop)
    coordinates: Mapping[str, tuple[str, ArrayLike]] = {
        "stimulus_id": ("presentation", stimulus_ids),
        "time_bin_start": ("time_bin", bin_start),
        "time_bin_end": ("time_bin", bin_end),
        **{name: ("neuroid", values) for name, values in neuroid_coordinates(shape).items()},
    }
    for name, (dim, values) in coordinates.items():
        array = _write(group, name, values, [dim])
        if dim == "time_bin":
            array.attrs["unit"] = "ms from image onset"  # "units" would make xarray decode dates
    group.attrs.update(
        {**root.attrs.asdict(), "layer": layer, "coordinates": " ".join(coordinates)}
    )
    sizes = (len(stimulus_ids), int(np.prod(shape)), len(steps))
    # Without a fill value: xarray would read a stored 0 as missing.
    array = group.create_dataset(
        "activations",
        shape=sizes,
        chunks=(min(batch_size, sizes[0]), *sizes[1:]),
        dtype="f4",
        fill_value=None,
    )
    array.attrs["_ARRAY_DIMENSIONS"] = ["presentation", "neuroid", "time_bin"]
    return array


def _write(group: zarr.Group, name: str, values: ArrayLike, dims: list[str]) -> zarr.Array:
    array = group.create_dataset(name, data=np.asarray(values), fill_value=None)
    array.attrs["_ARRAY_DIMENSIONS"] = dims
    return array

"""Activations and recordings in the forms of other tools: rsatoolbox, PyTorch, thingsvision."""

from __future__ import annotations

from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from rsatoolbox.data import Dataset, TemporalDataset

from convrnns_brainscore.coordinates import DIMS, time_bins_of, without_multiindex
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole


def to_rsatoolbox(data: xr.DataArray) -> Any:
    """Activations or a recording as a data set of rsatoolbox.

    Parameters
    ----------
    data : DataArray
        Presentation × neuroid × time_bin, as `features_in_memory` and `recording_from_arrays` give
        it.

    Returns
    -------
    rsatoolbox.data.TemporalDataset, or rsatoolbox.data.Dataset of a single time bin
        Observations are presentations, channels are neuroids, and times are the starts of the bins
        in ms (``time``; their ends are ``end``). The coordinates become descriptors.

    Raises
    ------
    ConvRNNError
        Other dims.

    Examples
    --------
    >>> from convrnns_brainscore import recording_from_arrays
    >>> responses = np.random.default_rng(0).random((3, 4, 2))
    >>> recording = recording_from_arrays(
    ...     responses, ["a", "b", "c"], "IT", [(70, 90), (90, 110)],
    ...     axes="presentation, neuroid, time_bin",
    ... )  # fmt: skip
    >>> dataset = to_rsatoolbox(recording)
    >>> dataset.measurements.shape, list(dataset.time_descriptors["time"])
    ((3, 4, 2), [70.0, 90.0])
    """
    data = _labelled(data)
    described = {
        dim: {
            str(name): coordinate.values
            for name, coordinate in data.coords.items()
            if coordinate.dims == (dim,)
        }
        for dim in DIMS
    }
    values = np.asarray(data.values, np.float64)
    given = {
        "obs_descriptors": described[DIMS[0]],
        "channel_descriptors": described[DIMS[1]],
        "descriptors": {str(name): str(value) for name, value in data.attrs.items()},
    }
    if values.shape[2] == 1:
        return Dataset(values[..., 0], **given)
    start, end = np.array(time_bins_of(data), float).T
    return TemporalDataset(values, time_descriptors={"time": start, "end": end}, **given)


def to_torch(data: xr.DataArray) -> Any:
    """Activations or a recording as a tensor of PyTorch.

    Parameters
    ----------
    data : DataArray
        Presentation × neuroid × time_bin.

    Returns
    -------
    torch.Tensor, float32 [presentation, neuroid, time_bin]
        On the CPU; it shares no memory with ``data``.

    Raises
    ------
    ConvRNNError
        Other dims; PyTorch is not installed.
    """
    try:
        import torch
    except ImportError as error:
        raise ConvRNNError("`to_torch` needs PyTorch: pip install torch.") from error
    return torch.tensor(np.asarray(_labelled(data).values, np.float32))


def to_thingsvision(data: xr.DataArray, folder: str | PathLike[str]) -> list[Path]:
    """Write activations as thingsvision does: ``features.npy`` [image, feature] and
    ``file_names.txt``, in a folder for each time bin (``70-80ms``). Where presentations share
    files, their stimulus ids take the place of the file names.

    Parameters
    ----------
    data : DataArray
        Presentation × neuroid × time_bin.
    folder : str or path
        Folder, which is made.

    Returns
    -------
    list of path
        The folders of the bins.

    Raises
    ------
    ConvRNNError
        Other dims; neither ``filename`` nor ``stimulus_id`` on presentations; ``folder`` is a file.
    """
    data, folder = _labelled(data), Path(folder)
    if folder.exists() and not folder.is_dir():
        raise ConvRNNError(f"{folder} is not a folder: give another name.")
    names = [name for name in ("filename", "stimulus_id") if name in data.coords]
    # Streams, and one image in two widths, share a file.
    names.sort(key=lambda name: len(set(data[name].values.tolist())), reverse=True)
    if not names:
        raise ConvRNNError("the presentations have neither a filename nor a stimulus_id.")
    if any("\n" in str(each) for each in data[names[0]].values):
        raise ConvRNNError(f"a {names[0]} contains a line break: rename it.")
    written = []
    for index, (start, end) in enumerate(time_bins_of(data)):
        place = folder / f"{start:g}-{end:g}ms"
        place.mkdir(parents=True, exist_ok=True)
        with written_whole(place / "features.npy") as partial, partial.open("wb") as file:
            np.save(file, np.asarray(data.values[..., index], np.float32))
        with written_whole(place / "file_names.txt") as partial:
            partial.write_text("\n".join(map(str, data[names[0]].values)) + "\n", encoding="utf-8")
        written.append(place)
    return written


def _labelled(data: xr.DataArray) -> xr.DataArray:
    if not isinstance(data, xr.DataArray):
        raise ConvRNNError(
            f"expected a labelled array (xarray.DataArray), such as one of the layers that "
            f"`features_in_memory` returns; this is a {type(data).__name__}."
        )
    if set(data.dims) != set(DIMS):
        raise ConvRNNError(
            f"expected {' × '.join(DIMS)}; this has {' × '.join(map(str, data.dims))}."
        )
    return without_multiindex(data).transpose(*DIMS)

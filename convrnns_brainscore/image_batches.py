"""Batches of normalised images from whatever holds them: files, arrays, loaders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import check_normalised, check_shape, load_images
from convrnns_brainscore.networks.backend import in_main_memory
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.stimuli import check_stimuli, read_stimuli
from convrnns_brainscore.streams import CLIPS, Shown

IMAGES = ("image", "images", "pixel_values")
"""Under what a loader that gives mappings has its images."""


def table_of(source: Any) -> Any:
    """The table of stimuli that a table, a path or paths name; anything else is returned as it is.

    Raises
    ------
    ConvRNNError
        As `read_stimuli` and `check_stimuli`.
    """
    if isinstance(source, pd.Series | np.ndarray) and source.dtype.kind in "OU":
        source = source.tolist()
    if isinstance(source, str | PathLike):
        return read_stimuli(Path(source))[0]
    if isinstance(source, list | tuple) and source and isinstance(source[0], str | PathLike):
        return read_stimuli(list(source))[0]
    return check_stimuli(source) if isinstance(source, pd.DataFrame) else source


def image_batches(
    source: Any,
    batch_size: int,
    *,
    channels_first: bool = False,
    off: NDArray[np.float32] | None = None,
) -> Iterator[NDArray[np.float32] | Shown]:
    """Batches of images, one after another.

    Parameters
    ----------
    source : DataFrame, path, array, or iterable of images or batches
        A table with ``filename``, or what `read_stimuli` takes as one path; normalised images
        [image, 224, 224, 3]; a PyTorch ``Dataset`` or ``DataLoader`` or a ``tf.data.Dataset`` of
        normalised images or batches. Of a tuple the first entry is the images, of a mapping that
        under one of the names in `IMAGES`.
    batch_size : int
        Images in a batch, where ``source`` does not give batches.
    channels_first : bool, default False
        Images are [3, 224, 224], as PyTorch's usually are.
    off : float32 array [1, 224, 224, 3], optional
        What is shown between the clips of stimuli that have times of their own; None: 0.5.

    Yields
    ------
    float32 array [batch, 224, 224, 3]; or Shown, of stimuli that have times of their own

    Raises
    ------
    ConvRNNError
        No images; another shape or type; not normalised.

    Examples
    --------
    >>> images = np.zeros((5, 224, 224, 3), np.float32)
    >>> [len(batch) for batch in image_batches(images, 2)]
    [2, 2, 1]
    """
    if not isinstance(batch_size, int | np.integer) or batch_size < 1:
        raise ConvRNNError(f"`batch_size={batch_size!r}`: expected a whole number of at least 1.")
    source = table_of(source)
    if isinstance(source, pd.DataFrame):
        if off is None:
            off = Presentation.constant(1).fixed_frames[0]
        for start in range(0, len(source), batch_size):
            yield shown_by(source.iloc[start : start + batch_size], off)
        return
    if hasattr(source, "shape"):
        whole = _as_array(source)
        if whole.ndim and not len(whole):
            raise ConvRNNError("the array holds no images.")
        check_shape(whole.shape, channels_first)
        source = [whole[i : i + batch_size] for i in range(0, len(whole), batch_size)]
    if not isinstance(source, Iterable) and not hasattr(source, "__getitem__"):
        raise ConvRNNError(
            f"{type(source).__name__}: expected a table of files, an array of images, or a loader "
            "of either library."
        )
    if not isinstance(source, Iterable) and hasattr(source, "__len__"):
        source = map(source.__getitem__, range(len(source)))  # a data set may have no end otherwise
    given = (_as_array(_images_of(each)) for each in source)
    first = next(given, None)
    if first is None:
        raise ConvRNNError("the loader gives no images.")
    parts: Iterator[NDArray[Any]] = chain([first], given)
    for part in _in_batches(parts, batch_size) if first.ndim == 3 else parts:
        check_shape(part.shape, channels_first)
        yield check_normalised(np.moveaxis(part, 1, -1) if channels_first else part)


def shown_by(rows: pd.DataFrame, off: NDArray[np.float32]) -> NDArray[np.float32] | Shown:
    """The images of a batch of stimuli, or what they show over time."""
    if CLIPS in rows:
        return Shown(list(rows[CLIPS]), off)
    return load_images(list(rows["filename"]), list(rows["degrees"]))


def _images_of(given: Any) -> Any:
    """The images of what a loader gives, beside labels and the like."""
    if isinstance(given, Mapping):
        name = next((name for name in IMAGES if name in given), None)
        if name is None:
            raise ConvRNNError(
                f"the loader gives {', '.join(map(str, given))}: expected the images under one of "
                f"{', '.join(IMAGES)}."
            )
        return given[name]
    if not isinstance(given, tuple | list) or not len(given):
        return given
    if isinstance(given[0], tuple | list):  # pairs of image and label
        given = [pair[0] for pair in given]
    axes = [np.ndim(_as_array(each)) for each in given]
    if set(axes) == {3} and isinstance(given, list):  # images; a tuple is an image and a mask
        return next(_in_batches(map(_as_array, given), len(given)))
    return given[0]  # images, or an image, and labels


def _as_array(images: Any) -> NDArray[Any]:
    return np.asarray(in_main_memory(images))


def _in_batches(images: Iterator[NDArray[Any]], batch_size: int) -> Iterator[NDArray[Any]]:
    while batch := list(islice(images, batch_size)):
        try:
            yield np.stack(batch)
        except ValueError:
            raise ConvRNNError("the loader gives images of different shapes.") from None

"""Read the published checkpoints: TensorFlow V2 bundles, ``<model>/model.ckpt.{index,data-…}``."""

from __future__ import annotations

import re
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError

_DATA = ".data-00000-of-00001"
_SLOT = "/Momentum"

BASE_ADDRESS = "https://convrnnckpts.s3-us-west-1.amazonaws.com"
"""Where the authors publish the checkpoints, as ``/<model>/model.ckpt.index`` and ``.data-…``."""


def published_at(model: str) -> str:
    """A sentence that says where ``model``'s checkpoint comes from."""
    return f"The checkpoint's two files are {BASE_ADDRESS}/{model}/model.ckpt.index and {_DATA}."


def checkpoint_path(folder: str | PathLike[str], model: str) -> Path:
    """Where ``model``'s checkpoint lies below ``folder`` in the published layout."""
    return Path(folder) / model / "model.ckpt"


def find_bundle(path: str | PathLike[str]) -> Path:
    """The prefix of the bundle that ``path`` means.

    ``path`` may be the prefix (``…/model.ckpt``), one of its files (``.index``, ``.data-…``,
    ``.meta``), or the folder that holds exactly one bundle. A text file called ``checkpoint`` in
    the folder is not read: it names paths of the machine that wrote it.

    Raises
    ------
    ConvRNNError : a file of the bundle is missing or empty, or the folder holds none or several.
    """
    if not isinstance(path, str | PathLike):
        raise ConvRNNError(f"checkpoint={path!r}: expected a path.")
    path = Path(path)
    if path.is_dir():
        indices = sorted(path.glob("*.index"))
        if len(indices) != 1:
            found = ", ".join(index.name for index in indices) or "none"
            raise ConvRNNError(
                f"checkpoint folder {path}: expected one .index file, found {found}."
            )
        path = indices[0]
    prefix = Path(re.sub(r"\.(index|meta|data-\d{5}-of-\d{5})$", "", str(path)))
    for suffix in (".index", _DATA):
        file = Path(f"{prefix}{suffix}")
        if not file.is_file() or file.stat().st_size == 0:
            problem = "is empty; download it again" if file.is_file() else "does not exist"
            raise ConvRNNError(f"checkpoint {prefix}: {file} {problem}.")
    return prefix


def read_checkpoint(
    path: str | PathLike[str], shapes: dict[str, tuple[int, ...]]
) -> dict[str, NDArray[np.float32]]:
    """The variables of a checkpoint, exactly those of ``shapes``.

    The optimiser's slots and ``global_step`` are read too, since TensorFlow's reader checks what it
    reads against the CRC32C that the bundle keeps for each variable, and then left out.

    Raises
    ------
    ConvRNNError : a file is missing or damaged; a variable is missing, unknown or of another shape.
    """
    import tensorflow as tf

    prefix = find_bundle(path)
    try:
        reader = tf.train.load_checkpoint(str(prefix))
        held = reader.get_variable_to_shape_map()
    except Exception as error:
        raise _damaged(prefix, "the index cannot be read") from error
    trained = {
        name: tuple(shape)
        for name, shape in held.items()
        if name != "global_step" and not name.endswith(_SLOT)
    }
    check_variables(trained, shapes, f"checkpoint {prefix}")
    values = {}
    for name in held:
        try:
            value = reader.get_tensor(name)
        except Exception as error:
            raise _damaged(prefix, f"variable {name} cannot be read") from error
        if name in shapes:
            values[name] = np.asarray(value, np.float32)
    return values


def check_variables(
    held: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], where: str
) -> None:
    """Raise for the first variable that is missing, of another shape, or unknown."""
    for name, shape in expected.items():
        if name not in held:
            raise ConvRNNError(f"{where}: variable {name} {list(shape)} is missing.")
        if held[name] != shape:
            raise ConvRNNError(
                f"{where}: variable {name} has shape {list(held[name])}, expected {list(shape)}."
            )
    for name in held:
        if name not in expected:
            raise ConvRNNError(f"{where}: variable {name} is unknown to this model.")


def _damaged(prefix: Path, what: str) -> ConvRNNError:
    return ConvRNNError(f"checkpoint {prefix} is damaged: {what}. Download the model again.")

"""Read checkpoints, and convert them.

Two formats, both checked down to the bit when they are read:

* the published one, a TensorFlow V2 bundle ``<model>/model.ckpt.{index,data-00000-of-00001}`` with
  the optimiser's slots, which keeps a CRC32C for each variable;
* ``<model>/model.safetensors``, half the size and read without TensorFlow, whose header keeps the
  variables' SHA-256.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import sha256_of, written_whole

DATA = ".data-00000-of-00001"
RECORD = "downloaded.json"
"""Beside a downloaded bundle: the size and SHA-256 of its files when they first came."""

HISTORY = ("seed", "fine_tuned_from")
"""What a ``.safetensors`` may say of its values: the seed of random ones, and what training began
with."""

_SLOT = "/Momentum"


def checkpoint_folder() -> Path:
    """Where downloaded checkpoints lie: ``$CONVRNNS_CHECKPOINTS``, or the user's cache folder."""
    import pooch

    named = os.environ.get("CONVRNNS_CHECKPOINTS")
    return Path(named).expanduser() if named else Path(pooch.os_cache("convrnns_brainscore"))


def make_folder(folder: Path) -> None:
    """Make a folder for checkpoints.

    Raises
    ------
    ConvRNNError
        It cannot be written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConvRNNError(
            f"checkpoints cannot be kept in {folder} ({error.strerror}): set CONVRNNS_CHECKPOINTS "
            "to a folder that can be written, or give `checkpoint=…`."
        ) from error


def checkpoint_path(folder: str | PathLike[str], model: str) -> Path:
    """Where ``model``'s bundle lies below ``folder`` in the published layout."""
    return Path(folder) / model / "model.ckpt"


def find_checkpoint(
    folder: str | PathLike[str], model: str, *, prefer_converted: bool = False
) -> Path | None:
    """``model``'s checkpoint below ``folder``: its bundle or else its ``.safetensors``, or None.

    ``prefer_converted``: the other way round, for those who do without TensorFlow.
    """
    bundle = checkpoint_path(folder, model)
    converted = bundle.with_suffix(".safetensors")
    there = [Path(f"{bundle}{suffix}").exists() for suffix in (".index", DATA)]
    if all(there) and not (prefer_converted and converted.exists()):
        return bundle
    if converted.exists():
        return converted
    return bundle if any(there) else None


def is_there(folder: str | PathLike[str], model: str) -> bool:
    """Whether all files of ``model``'s checkpoint are below ``folder``."""
    bundle = checkpoint_path(folder, model)
    converted = bundle.with_suffix(".safetensors").exists()
    return converted or all(Path(f"{bundle}{suffix}").exists() for suffix in (".index", DATA))


def how_to_get(model: str) -> str:
    """A sentence that says how to come by ``model``'s checkpoint."""
    return f"`convrnns download {model}` fetches the published checkpoint."


def find_bundle(path: str | PathLike[str]) -> Path:
    """The prefix of the bundle that ``path`` means.

    ``path`` may be the prefix (``…/model.ckpt``), one of its files (``.index``, ``.data-…``,
    ``.meta``), or the folder that holds exactly one bundle. A text file called ``checkpoint`` in
    the folder is not read: it names paths of the machine that wrote it.

    Raises
    ------
    ConvRNNError
        A file of the bundle is missing or empty, or the folder holds none or several.
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
    for suffix in (".index", DATA):
        file = Path(f"{prefix}{suffix}")
        if not file.is_file() or file.stat().st_size == 0:
            problem = "is empty; download it again" if file.is_file() else "does not exist"
            raise ConvRNNError(f"checkpoint {prefix}: {file} {problem}.")
    return prefix


def read_checkpoint(
    path: str | PathLike[str], shapes: dict[str, tuple[int, ...]], model: str | None = None
) -> dict[str, NDArray[np.float32]]:
    """The variables of a checkpoint in either format, exactly those of ``shapes``.

    Several models have the same variables; a ``.safetensors`` says which one it is of, and is
    refused for another ``model``.

    Of a bundle, the files' size and SHA-256 are compared with what was recorded when they were
    downloaded, where they were. The optimiser's slots and ``global_step`` are read too, since
    TensorFlow's reader checks what it reads against the CRC32C that the bundle keeps for each
    variable, and then left out.

    Raises
    ------
    ConvRNNError
        A file is missing or damaged; a variable is missing, unknown or of another shape.
    """
    converted = _converted(path)
    if converted:
        return _read_safetensors(converted, shapes, model)
    prefix = find_bundle(path)
    check_record(prefix)
    try:
        import tensorflow as tf
    except ImportError as error:
        raise ConvRNNError(
            f"checkpoint {prefix} is in TensorFlow's format, and TensorFlow cannot be imported "
            f"({error}). On a machine with TensorFlow, `convrnns convert` writes a .safetensors "
            "file, which is read without TensorFlow."
        ) from error

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


def _converted(path: str | PathLike[str]) -> Path | None:
    """The ``.safetensors`` that ``path`` is, or that is in the folder ``path`` without a bundle."""
    if not isinstance(path, str | PathLike):
        return None
    path = Path(path)
    if path.is_dir() and not list(path.glob("*.index")):
        found = sorted(path.glob("*.safetensors"))
        if len(found) > 1:
            names = ", ".join(each.name for each in found[:5])
            raise ConvRNNError(f"checkpoint folder {path} has several files ({names}): name one.")
        path = found[0] if found else path
    return path if path.suffix == ".safetensors" else None


def read_history(path: str | PathLike[str]) -> dict[str, str]:
    """What `write_safetensors` was told of the values; nothing of a file in the other format."""
    from safetensors import safe_open

    converted = _converted(path)
    if not converted:
        return {}
    with safe_open(converted, framework="np") as file:
        return {name: text for name, text in file.metadata().items() if name in HISTORY}


def check_record(prefix: Path) -> None:
    """Raise if a file of the bundle is not what its download's record says; none: say nothing."""
    for file, recorded in read_record(prefix).items():
        what = None
        if file.stat().st_size != recorded["size"]:
            what = f"{file.name} has {file.stat().st_size} bytes, {recorded['size']} were recorded"
        elif sha256_of(file) != recorded["sha256"]:
            what = f"{file.name} is not what was downloaded (its SHA-256 differs)"
        if what:
            raise _damaged(prefix, what)


def read_record(prefix: Path) -> dict[Path, dict[str, int | str]]:
    """File → size and sha256, as recorded at the first download; empty if there is no record."""
    path = prefix.parent / RECORD
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
        return {
            prefix.parent / name: {"size": int(of["size"]), "sha256": str(of["sha256"])}
            for name, of in record.items()
        }
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ConvRNNError(
            f"{path} is damaged. Remove it to trust the files beside it as they are."
        ) from error


def values_sha256(values: Mapping[str, NDArray[np.float32]]) -> str:
    """The SHA-256 over names, shapes and values, whatever file they came from."""
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(f"{name} {list(values[name].shape)}\n".encode())
        digest.update(np.ascontiguousarray(values[name], "<f4").tobytes())
    return digest.hexdigest()


def write_safetensors(
    path: Path,
    model: str,
    values: Mapping[str, NDArray[np.float32]],
    history: Mapping[str, str] | None = None,
) -> None:
    """``values`` to the file ``path``, which appears when it is whole.

    ``history``: what else the file says of them, under names of `HISTORY`.
    """
    from safetensors.numpy import save_file

    try:
        with written_whole(path) as partial:
            save_file(
                {name: np.ascontiguousarray(value) for name, value in values.items()},
                partial,
                {"model": model, "sha256": values_sha256(values), **(history or {})},
            )
            partial.chmod(0o644)  # for all of a lab that share the folder
    except Exception as error:
        raise ConvRNNError(f"cannot write {path}: {error}") from error


def _read_safetensors(
    path: Path, shapes: dict[str, tuple[int, ...]], model: str | None
) -> dict[str, NDArray[np.float32]]:
    from safetensors import safe_open

    if not path.is_file():
        raise ConvRNNError(f"no such checkpoint: {path}")
    try:
        with safe_open(path, framework="np") as file:
            about = file.metadata() or {}
            values = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except Exception as error:
        raise ConvRNNError(f"{path} is damaged: {error}. Convert the checkpoint again.") from error
    if not {"model", "sha256"} <= about.keys():
        raise ConvRNNError(
            f"{path} was not written by `convrnns convert` or ConvRNN.save: it has no SHA-256."
        )
    if model not in (None, about["model"]):
        raise ConvRNNError(f"{path} holds the weights of {about['model']}, not of {model}.")
    check_variables({name: value.shape for name, value in values.items()}, shapes, str(path))
    if values_sha256(values) != about["sha256"]:
        raise ConvRNNError(f"{path} is damaged: its SHA-256 differs. Convert the checkpoint again.")
    return {name: values[name].astype(np.float32, copy=False) for name in shapes}


def check_variables(
    held: dict[str, tuple[int, ...]], expected: dict[str, tuple[int, ...]], where: str
) -> None:
    """Raise for the first variable that is missing, of another shape, or unknown."""
    for name, shape in expected.items():
        if name not in held:
            raise ConvRNNError(
                f"{where}: variable {name} {list(shape)} is missing. The checkpoint may belong to "
                "another model."
            )
        if held[name] != shape:
            raise ConvRNNError(
                f"{where}: variable {name} has shape {list(held[name])}, expected {list(shape)}."
            )
    for name in held:
        if name not in expected:
            raise ConvRNNError(
                f"{where}: variable {name} is unknown to this model. The checkpoint may belong to "
                "another model."
            )


def _damaged(prefix: Path, what: str) -> ConvRNNError:
    return ConvRNNError(f"checkpoint {prefix} is damaged: {what}. Download the model again.")

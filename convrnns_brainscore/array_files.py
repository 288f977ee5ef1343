"""Arrays as labs keep them: NumPy's ``.npy`` and ``.npz``, MATLAB's ``.mat`` (5 and 7.3)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import as_text
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import check_readable
from convrnns_brainscore.tables import SUFFIXES, read_table

_log = logging.getLogger(__name__)

ARRAYS = (".npy", ".npz", ".mat")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names; numbers, or text.

    MATLAB's are as MATLAB shows them: axes in its order; vectors have one axis. Cell arrays of
    numbers or text become arrays. The array of an ``.npy`` has the file's name.

    Raises
    ------
    ConvRNNError
        There is no such file, it is damaged, of another kind, or holds Python objects, which could
        run code.
    """
    check_readable(path)
    suffix = path.suffix.lower()
    if suffix not in ARRAYS:
        raise ConvRNNError(f"{path}: expected a file of arrays ({', '.join(ARRAYS)}).")
    try:
        if suffix == ".npy":
            return {path.stem: np.load(path, allow_pickle=False)}
        if suffix == ".npz":
            with np.load(path, allow_pickle=False) as held:
                return {name: held[name] for name in held.files}
        return _matlab_7_3(path) if _is_hdf5(path) else _matlab_5(path)
    except ConvRNNError:
        raise
    except Exception as error:  # of any kind, where a file is damaged
        said = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise ConvRNNError(f"{path} cannot be read: {said}.") from error


def read_labels(given: str, arrays: dict[str, NDArray[Any]], column: str) -> Any:
    """Labels by their array's name, or those of a file: a ``.csv``, or an array's.

    Parameters
    ----------
    given : str
        A name among ``arrays``, or a path.
    arrays : dict
        As `read_arrays` gives them.
    column : str
        The column that a table has to have.

    Returns
    -------
    DataFrame or array
        Of a table of stimuli, all columns.

    Raises
    ------
    ConvRNNError
        There is neither.
    """
    path = Path(given)
    if given in arrays:
        labels = arrays[given]
        if labels.size != max(labels.shape, default=1):
            raise ConvRNNError(
                f"array {given} has the shape {list(labels.shape)}: expected labels with one axis."
            )
        return labels.ravel()
    if path.suffix.lower() in SUFFIXES:
        table = read_table(path, [column])
        return table if column == "stimulus_id" else table[column].to_numpy(str)
    if path.suffix.lower() in ARRAYS:
        held = read_arrays(path)
        if len(held) != 1:
            raise ConvRNNError(
                f"{path} has several arrays ({', '.join(held)}): save the labels alone in a file."
            )
        return next(iter(held.values()))
    if path.exists():
        raise ConvRNNError(
            f"{path}: expected a table or arrays ({', '.join((*SUFFIXES, *ARRAYS))}). "
            "Save it as .csv."
        )
    raise unknown("array or file", given, arrays)


def only_array(arrays: dict[str, NDArray[Any]], name: str | None, path: Path) -> NDArray[Any]:
    """The array of a name; None: the only one, or the only one with several axes.

    Raises
    ------
    ConvRNNError
        There is none of that name, or there are several.
    """
    if name is not None:
        if name not in arrays:
            raise unknown(f"array of {path}", name, arrays)
        return arrays[name]
    wide = {name: each for name, each in arrays.items() if each.ndim > 1 and each.dtype.kind != "U"}
    found = arrays if len(arrays) == 1 else wide
    if len(found) != 1:
        held = ", ".join(f"{name} {list(each.shape)}" for name, each in arrays.items())
        raise ConvRNNError(f"{path} has several arrays ({held}): choose one with `responses=…`.")
    return next(iter(found.values()))


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return b"HDF" in file.read(516)[512:] or path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"


def _matlab_5(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat
    from scipy.sparse import issparse

    held = loadmat(path, chars_as_strings=True)
    found = {}
    for name, each in held.items():
        if name.startswith("__"):
            continue
        each = each.toarray() if issparse(each) else each
        if each.dtype.kind == "O":
            each = _of_cells([_cell(cell) for cell in each.ravel()], each.shape)
        if each is not None and each.dtype.kind in "Ufiub":
            found[name] = _without_row(as_text(each) if each.dtype.kind == "U" else each)
    return _some(found, path, [name for name in held if not name.startswith("__")])


def _cell(held: NDArray[Any]) -> NDArray[Any]:
    """What a cell holds; an empty text has no elements."""
    empty_text = held.dtype.kind == "U" and not held.size
    return np.array("") if empty_text else np.squeeze(held)


def _matlab_7_3(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    def kind(each: h5py.Dataset) -> str:
        held = each.attrs.get("MATLAB_class", b"")
        return held.decode() if isinstance(held, bytes) else str(held)

    def cell(each: h5py.Dataset) -> NDArray[Any]:
        codes = kind(each) == "char" or (not kind(each) and each.dtype == np.uint16)
        if each.attrs.get("MATLAB_empty", 0):
            return np.array("") if codes else np.empty(0)
        return _texts(each[()]) if codes else np.squeeze(each[()])

    found: dict[str, NDArray[Any]] = {}
    with h5py.File(path) as file:
        names = [name for name in file if name != "#refs#"]
        for name in names:
            each = file[name]
            if not isinstance(each, h5py.Dataset):
                continue
            values: NDArray[Any] | None = None
            if each.attrs.get("MATLAB_empty", 0):
                continue
            if "MATLAB_object_decode" in each.attrs:  # its numbers are references
                of = kind(each) or "object"
                way = f"; save it as a cell array, cellstr({name})" if of == "string" else ""
                _log.warning("%s: %s is a MATLAB %s, which cannot be read%s", path, name, of, way)
                continue
            if kind(each) == "cell":
                references = each[()].T
                values = _of_cells(
                    [cell(file[one]) for one in references.ravel()], references.shape
                )
            elif kind(each) == "char":
                values = _texts(each[()])
            elif each.dtype.kind in "fiub":
                values = each[()].T
            if values is not None:
                found[name] = _without_row(values)
    return _some(found, path, names)


def _some(
    found: dict[str, NDArray[Any]], path: Path, names: Sequence[str]
) -> dict[str, NDArray[Any]]:
    if not found:
        raise ConvRNNError(
            f"{path} holds no array of numbers or text ({', '.join(names) or 'it is empty'}). Save "
            "the fields of a structure as variables: save('file.mat', '-struct', 'name')."
        )
    return found


def _of_cells(cells: list[NDArray[Any]], shape: tuple[int, ...]) -> NDArray[Any] | None:
    """An array of the numbers or the text in cells; None: structures and nested cells."""
    if any(cell.ndim or cell.dtype.kind not in "Ufiub" for cell in cells):
        return None
    if all(cell.dtype.kind != "U" for cell in cells):
        return np.array([cell.item() for cell in cells]).reshape(shape)
    return np.array([str(cell) for cell in cells]).reshape(shape)


def _texts(codes: NDArray[Any]) -> NDArray[Any]:
    """Text of MATLAB, UTF-16 codes [character, row]: one row is a single text."""
    rows = [codes] if codes.ndim < 2 else codes.T
    texts = as_text(["".join(map(chr, row.astype(int))) for row in rows])
    return texts[0:1].reshape(()) if len(texts) == 1 else texts


def _without_row(values: NDArray[Any]) -> NDArray[Any]:
    """A vector with one axis: MATLAB's have two."""
    return np.squeeze(values) if values.ndim == 2 else values

"""Arrays as labs keep them: NumPy's ``.npy`` and ``.npz``, MATLAB's ``.mat`` (5 and 7.3)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import as_text
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import check_readable
from convrnns_brainscore.tables import SUFFIXES, read_table

ARRAYS = (".npy", ".npz", ".mat")


def read_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """The arrays of a file by their names; numbers, or text.

    MATLAB's are as MATLAB shows them: axes in its order, without its axes of length one. Cell
    arrays of text become arrays of text. The array of an ``.npy`` has the file's name.

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

    Raises
    ------
    ConvRNNError
        There is neither.
    """
    path = Path(given)
    if given in arrays:
        return arrays[given]
    if path.suffix.lower() in SUFFIXES:
        return read_table(path, [column])
    if path.suffix.lower() in ARRAYS:
        return only_array(read_arrays(path), None, path)
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
        raise ConvRNNError(f"{path} has several arrays ({held}): name the one of the responses.")
    return next(iter(found.values()))


def _is_hdf5(path: Path) -> bool:
    with path.open("rb") as file:
        return b"HDF" in file.read(516)[512:] or path.read_bytes()[:8] == b"\x89HDF\r\n\x1a\n"


def _matlab_5(path: Path) -> dict[str, NDArray[Any]]:
    from scipy.io import loadmat

    held = loadmat(path, chars_as_strings=True)
    found = {}
    for name, each in held.items():
        if name.startswith("__"):
            continue
        if each.dtype.kind == "O":  # a cell array, of text perhaps
            cells = [np.squeeze(cell) for cell in each.ravel()]
            if not all(cell.ndim == 0 and cell.dtype.kind in "Ufiu" for cell in cells):
                continue  # structures and nested cells
            each = np.array([str(cell) for cell in cells]).reshape(each.shape)
        if each.dtype.kind in "Ufiub":
            found[name] = np.squeeze(as_text(each) if each.dtype.kind == "U" else each)
    return found


def _matlab_7_3(path: Path) -> dict[str, NDArray[Any]]:
    import h5py

    found = {}
    with h5py.File(path) as file:
        for name, each in file.items():
            if not isinstance(each, h5py.Dataset):
                continue
            kind = each.attrs.get("MATLAB_class", b"").decode()
            if kind == "cell":
                cells = [file[reference][()] for reference in each[()].T.ravel()]
                found[name] = np.squeeze(np.array(list(map(_characters, cells))))
            elif kind == "char":
                found[name] = np.array(_characters(each[()]))
            elif each.dtype.kind in "fiub":
                found[name] = np.squeeze(each[()].T)
    return found


def _characters(cell: NDArray[Any]) -> str:
    """Text of MATLAB: a column of UTF-16 codes."""
    return "".join(map(chr, np.ravel(cell).astype(int)))

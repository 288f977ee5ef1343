"""Tables as spreadsheet programs write them: text in, text out."""

from __future__ import annotations

import csv
import io
import logging
import os
import unicodedata
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from convrnns_brainscore.errors import ConvRNNError

SUFFIXES = (".csv", ".tsv")

SPREADSHEETS = (".xlsx", ".xls", ".ods", ".numbers")

SEPARATORS = (",", ";", "\t", "|")

BYTE_ORDER_MARKS = {b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16", b"\xef\xbb\xbf": "utf-8-sig"}

_log = logging.getLogger(__name__)


def is_table(path: Path) -> bool:
    """Whether a file is a table by its name."""
    return path.suffix.lower() in SUFFIXES and path.is_file()


def read_table(path: Path, needed: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """The rows of a table, all values as text; nothing is turned into numbers or dates.

    The separator is the one that parts the needed columns (comma, semicolon, tab or bar; Excel's
    first line ``sep=;`` is taken too). The encoding is UTF-8 or UTF-16, or else Windows-1252. Rows
    and columns without any value, with which spreadsheets end, are excluded. The columns named
    here may be written in another case (``Stimulus_ID``).

    Parameters
    ----------
    path : path
        The file.
    needed : sequence of str
        Columns that have to be there.
    optional : sequence of str, default ()
        Columns that may be there.

    Raises
    ------
    ConvRNNError
        It cannot be read, or a column is missing.
    """
    text = _text(path)
    if not text.strip():
        raise ConvRNNError(f"cannot read table {path}: it is empty.")
    first, _, rest = text.partition("\n")
    if first.strip().lower().startswith("sep=") and len(first.strip()) == 5:
        separator, text = first.strip()[4], rest
    else:
        separator = max(SEPARATORS, key=lambda sign: _found(first, sign, needed))
    _check_once(path, text, separator, [*needed, *optional])
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # rows longer than the header, or they shift columns
            table = pd.read_csv(
                io.StringIO(text),
                sep=separator,
                dtype=str,
                keep_default_na=False,
                index_col=False,
                skip_blank_lines=True,
            )
    except pd.errors.ParserWarning as error:
        raise ConvRNNError(
            f"cannot read table {path}: rows have more values than the header has columns. Put "
            "names that contain the separator in double quotes, and write numbers with a decimal "
            "point, or separate the columns by semicolons."
        ) from error
    except (ValueError, OSError) as error:
        raise ConvRNNError(
            f"cannot read table {path}: {str(error).strip()}. Every row needs as many values as "
            "the header has columns; names that contain the separator or a quote need double "
            "quotes around them."
        ) from error
    table.columns = _in_case([str(name).strip() for name in table.columns], [*needed, *optional])
    for column in needed:
        if column not in table:
            raise ConvRNNError(
                f"table {path} has no column {column}; it has {', '.join(table.columns)}."
            )
    unnamed = [name for name in table if name.startswith("Unnamed:")]
    table = table.drop(columns=[name for name in unnamed if (table[name].str.strip() == "").all()])
    empty = (table.apply(lambda column: column.str.strip()) == "").all(axis=1)
    if empty.any():
        _log.info("%s: %d rows without any value are excluded", path, empty.sum())
    return table[~empty].reset_index(drop=True)


def _text(path: Path) -> str:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConvRNNError(f"cannot read table {path}: {error.strerror}.") from error
    marked = next((name for mark, name in BYTE_ORDER_MARKS.items() if content.startswith(mark)), "")
    for encoding in [marked] if marked else ["utf-8", "cp1252"]:
        try:
            text = content.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" in text:
            break
        if encoding == "cp1252":
            _log.warning(
                "%s is neither UTF-8 nor UTF-16: it is read as Windows-1252. If its names look "
                "wrong, save it as CSV, UTF-8.", path,
            )  # fmt: skip
        return text.replace("\r\n", "\n").replace("\r", "\n")
    raise ConvRNNError(f"cannot read table {path}: it is not text. Save it as CSV, UTF-8.")


def _check_once(path: Path, text: str, separator: str, names: Sequence[str]) -> None:
    """Raise where a header has one of ``names`` twice, in whichever case."""
    header = next(csv.reader([text.partition("\n")[0]], delimiter=separator), [])
    found = [name.strip().casefold() for name in header]
    for name in names:
        if found.count(name.casefold()) > 1:
            raise ConvRNNError(f"table {path} has several columns {name}: keep one.")


def _in_case(columns: list[str], names: Sequence[str]) -> list[str]:
    """``columns``; one that differs from one of ``names`` by its case alone gets that name."""
    for column in set(names) - {*columns}:
        alike = [name for name in columns if name.casefold() == column.casefold()]
        if len(alike) == 1:
            columns = [column if name == alike[0] else name for name in columns]
    return columns


def _found(header: str, separator: str, needed: Sequence[str]) -> int:
    """The number of the needed columns that a header has, parted by ``separator``."""
    names = {name.strip().strip('"').strip().casefold() for name in header.split(separator)}
    return len(names & {name.casefold() for name in needed})


def with_points(texts: pd.Series) -> pd.Series:
    """Numbers as text, with decimal commas replaced by points, which is logged.

    Commas stay if they may separate thousands: if each has three digits behind it (``1,234``), or
    if other numbers have a decimal point.

    Parameters
    ----------
    texts : Series of str
        A column of a table.

    Examples
    --------
    >>> with_points(pd.Series(["3,5", "0,125", "7"], name="degrees")).tolist()
    ['3.5', '0.125', '7']
    >>> with_points(pd.Series(["1,234", "5,678"], name="degrees")).tolist()
    ['1,234', '5,678']
    """
    commas = texts.str.fullmatch(r"[-+]?\d+,\d+")
    thousands = texts[commas].str.fullmatch(r"[-+]?[1-9]\d{0,2},\d{3}").all()
    if thousands or texts.str.contains(".", regex=False).any():
        return texts
    _log.warning("%s: %d decimal commas are read as points.", texts.name, commas.sum())
    return texts.where(~commas, texts.str.replace(",", "."))


def files_beside(table: Path, names: Iterable[str]) -> list[Path]:
    """The files that a table names, in whichever Unicode form the disk has their names; relative
    paths may have Windows' backslashes."""
    forms: dict[Path, dict[str, Path]] = {}  # a folder's files, by their names' composed form
    beside = table.absolute().parent
    found = []
    for name in names:
        plain = name.strip()
        spellings = [beside / name, beside / plain, beside / plain.replace("\\", os.sep)]
        try:
            there = next((path for path in spellings if path.exists()), None)
        except OSError as error:
            raise ConvRNNError(
                f"table {table} names {name[:60]}…, which cannot be a file name: {error.strerror}."
            ) from error
        folder = spellings[-1].parent
        if there is None and folder not in forms:
            listed = folder.iterdir() if folder.is_dir() else ()
            forms[folder] = {composed(each.name): each for each in listed}
        if there is None:
            there = forms[folder].get(composed(spellings[-1].name), spellings[1])
        found.append(there)
    return found


def composed(text: str) -> str:
    """Text in Unicode's composed form (NFC), in which names from macOS and Linux are the same.

    Examples
    --------
    >>> composed("cafe\\u0301") == "caf\\u00e9"
    True
    """
    return unicodedata.normalize("NFC", text)

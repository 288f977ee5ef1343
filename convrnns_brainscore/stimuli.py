"""Which images, in which order, under which names: from files, folders, patterns and tables."""

from __future__ import annotations

import glob
import logging
import os
import re
import sys
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from os import PathLike
from pathlib import Path

import numpy as np
import pandas as pd
from joblib import cpu_count  # type: ignore[import-untyped]
from rich.progress import Progress

from convrnns_brainscore import streams
from convrnns_brainscore.errors import ConvRNNError, counted, missing
from convrnns_brainscore.files import sha256_of
from convrnns_brainscore.images import SUFFIXES, VISUAL_DEGREES, has_several_frames, load_image
from convrnns_brainscore.movies import VIDEOS, is_movie, is_video
from convrnns_brainscore.streams import CLIPS, OFFSET, ONSET, RATE, grouped, whole_movie
from convrnns_brainscore.tables import (
    SPREADSHEETS,
    composed,
    files_beside,
    is_table,
    read_table,
    with_points,
)

_log = logging.getLogger(__name__)

DEGREES, STATED, ASSUMED = "degrees", "stated", "assumed"
"""Among a table's attributes: whether the stimuli's sizes are stated, or assumed."""


UNREAD = ("onset", "offset", "onset_s", "offset_s", "duration", "duration_ms")
"""Columns that look as if they held times."""


def read_stimuli(
    sources: str | Path | Sequence[str | Path],
    degrees: float | None = None,
    *,
    movies: bool = False,
    frames_per_second: float | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """The stimuli that ``sources`` name.

    Parameters
    ----------
    sources : str, path or sequence of str or path
        each one of

        * an image file or a video;
        * a folder: the images directly in it, sorted by name (``img1``, ``img10``, ``img2``);
        * a pattern such as ``"photographs/**/*.png"``: the images that match, sorted by path;
        * a ``.csv`` or ``.tsv`` with columns ``stimulus_id`` and ``filename`` (relative to the
          table's folder), and ``degrees`` if the stimuli's sizes differ, as any spreadsheet program
          writes it (`tables.read_table`). Ids are text and stay as written. With ``onset_ms`` and
          ``offset_ms``, a stimulus has a row for each image or movie that it shows (`streams`).
    degrees : float, optional
        The width of all stimuli in degrees of visual angle; None: as the table says, and where
        there is none, 8, which fills the field of view.
    movies : bool, default False
        Each GIF, and each folder, is one movie.
    frames_per_second : float, optional
        Of movies, instead of what their files state; a folder of frames needs it.

    Returns
    -------
    stimuli
        ``stimulus_id``, ``filename`` (absolute), ``degrees``, in the order of ``sources``; and
        ``clips`` where stimuli have times of their own, such as movies (`streams`). The id
        of a file without table is its name without suffix; or its name; or its path below the
        folder that all have in common: the first of these that tells all files apart.
    left_out
        What lies in the folders and patterns and is not an image or video by its name.

    Raises
    ------
    ConvRNNError
        No images; no such path; a table that is not readable, lacks a column or a value; an id or a
        file without table that comes twice; sizes that are no positive numbers.
    """
    sources = [sources] if isinstance(sources, str | PathLike) else sources
    if not isinstance(sources, Iterable):
        raise ConvRNNError(f"{sources!r}: expected image files, folders, patterns or tables.")
    tables: list[pd.DataFrame] = []
    files: list[Path] = []
    left_out: list[str] = []
    for source in sources:
        if not isinstance(source, str | PathLike) or not str(source):
            raise ConvRNNError(f"{source!r} is not the path of an image, folder or table.")
        path = Path(source)
        if path.suffix.lower() in SPREADSHEETS:
            raise ConvRNNError(f"{path} is in a spreadsheet format: save it as CSV, UTF-8.")
        if is_table(path):
            tables.append(_read_table(path))
            continue
        if movies and path.is_dir():
            files.append(path)
            continue
        found, others = _find(path)
        if others:
            _log.info("%d of %s are not images by their names: excluded", len(others), path)
        files += found
        left_out += others
    if files:
        tables.append(_table_of_files(files))
    if not tables:
        raise ConvRNNError("no images to look at.")
    stimuli = pd.concat(tables, ignore_index=True)
    if degrees is not None:
        if "degrees" in stimuli:
            raise ConvRNNError("the table has a column degrees: omit `degrees=…`.")
        stimuli["degrees"] = float(degrees)
    elif "degrees" in stimuli and (unstated := int(stimuli["degrees"].isna().sum())):
        _log.warning(
            "the width of %d of %d stimuli is not stated: they are assumed to fill %d degrees",
            unstated, len(stimuli), VISUAL_DEGREES,
        )  # fmt: skip
        stimuli["degrees"] = stimuli["degrees"].fillna(float(VISUAL_DEGREES))
    names = stimuli["stimulus_id"]
    if "degrees" in stimuli and (wide := names[stimuli["degrees"] > VISUAL_DEGREES].nunique()):
        _log.warning(
            "%d of %d stimuli are wider than the networks' %d degrees: their margins are cropped",
            wide, names.nunique(), VISUAL_DEGREES,
        )  # fmt: skip
    return check_stimuli(stimuli, movies=movies, frames_per_second=frames_per_second), left_out


def check_stimuli(
    stimuli: pd.DataFrame, *, movies: bool = False, frames_per_second: float | None = None
) -> pd.DataFrame:
    """``stimulus_id`` and ``filename`` as text, and ``degrees``, of a table with more or less; and
    ``clips``, where stimuli have times of their own.

    Without ``stimulus_id``, images have the ids that `read_stimuli` gives to files.

    Raises
    ------
    ConvRNNError
        ``filename``, or all rows, are missing; an id comes twice; a size is not a positive number;
        movies beside images without times; or as `streams.grouped`.
    """
    widths = stimuli.attrs.get(DEGREES, STATED if "degrees" in stimuli else ASSUMED)
    if "filename" not in stimuli:
        raise ConvRNNError("the stimuli have no column filename.")
    if not len(stimuli):
        raise ConvRNNError("no images to look at.")
    if "stimulus_id" not in stimuli:
        named = _table_of_files([Path(str(name)) for name in stimuli["filename"]])
        stimuli = stimuli.assign(stimulus_id=named["stimulus_id"].to_numpy())
    unread = [name for name in UNREAD if name in stimuli]
    if unread and ONSET not in stimuli:
        _log.warning(
            "the stimuli's column %s is not read: times are in %s and %s, in ms",
            unread[0], ONSET, OFFSET,
        )  # fmt: skip
    times = {
        name: stimuli[name].to_numpy() for name in (ONSET, OFFSET, RATE, CLIPS) if name in stimuli
    }
    if stimuli["filename"].isna().any():
        row = int(np.flatnonzero(stimuli["filename"].isna())[0])
        raise ConvRNNError(f"filename is empty in data row {row + 1}.")
    ids = stimuli["stimulus_id"]
    if ids.isna().any():
        row = int(np.flatnonzero(ids.isna())[0])
        raise ConvRNNError(f"stimulus_id is empty in data row {row + 1}.")
    if ids.dtype.kind == "f" and (ids == ids.round()).all():
        ids = ids.astype(int)  # 1.0, as after a merge of tables
    stimuli = pd.DataFrame(
        {
            "stimulus_id": ids.astype(str).to_numpy(),
            "filename": stimuli["filename"].astype(str).to_numpy(),
            "degrees": np.asarray(stimuli.get("degrees", float(VISUAL_DEGREES)), float),
            **times,
        }
    )
    for column in ("filename", "stimulus_id"):
        for text in stimuli[column]:
            check_decodable(text)
    spellings = pd.Series(stimuli["stimulus_id"].unique())
    alike = spellings.str.strip().duplicated(keep=False)
    if alike.any():
        one, other = spellings[alike].iloc[:2]
        raise ConvRNNError(
            f"stimulus_ids {one!r} and {other!r} differ only by blanks: correct one."
        )
    for stimulus_id, size in zip(stimuli["stimulus_id"], stimuli["degrees"], strict=True):
        if not 0 < size < np.inf:
            raise ConvRNNError(
                f"stimulus {stimulus_id}: {size:g} degrees; expected a positive number."
            )
    if CLIPS not in stimuli:
        stimuli = _with_clips(stimuli, movies, frames_per_second)
    twice = stimuli["stimulus_id"].map(composed).duplicated()
    if twice.any():
        name = stimuli["stimulus_id"][twice].iloc[0]
        alike = stimuli["stimulus_id"].map(composed) == composed(name)
        both = stimuli["filename"][alike].iloc[:2]
        raise ConvRNNError(f"stimulus_id {name} comes twice: {' and '.join(both)}.")
    stimuli.attrs[DEGREES] = widths
    return stimuli


def note_on_width(stimuli: pd.DataFrame) -> list[str]:
    """A line that the width of the stimuli is assumed, where it is."""
    if stimuli.attrs.get(DEGREES, STATED) == STATED:
        return []
    return [f"no stimulus width is stated: the images are assumed to fill {VISUAL_DEGREES} degrees"]


def note_on_frames(stimuli: pd.DataFrame) -> list[str]:
    """A line that images have several frames or pages and do not play, where some do not."""
    names = list(stimuli["filename"])
    if CLIPS in stimuli:
        clips = dict.fromkeys(clip.filename for stream in stimuli[CLIPS] for clip in stream)
        names = [name for name in clips if not is_movie(name)]
    several = [str(name) for name in names if _moves(name)]
    if not several:
        return []
    note = f"the first frame or page of {counted(len(several), 'image')} is shown: "
    return [note + ", ".join(several[:3]) + (", …" if len(several) > 3 else "")]


def _moves(name: str) -> bool:
    """Whether an image has several frames; a file that is no image is found when it is read."""
    try:
        return has_several_frames(name)
    except Exception:
        return False


def _with_clips(
    stimuli: pd.DataFrame, movies: bool, frames_per_second: float | None
) -> pd.DataFrame:
    """The table with the clips of each stimulus, where stimuli have times of their own."""
    if ONSET in stimuli or RATE in stimuli:
        return grouped(stimuli, frames_per_second)
    if OFFSET in stimuli:
        raise ConvRNNError(f"the stimuli's column {OFFSET} needs {ONSET} beside it.")
    moving = [is_video(name) or (movies and is_movie(name)) for name in stimuli["filename"]]
    if not any(moving):
        if movies or frames_per_second is not None:
            raise ConvRNNError(
                "none of the stimuli is a movie: a movie is a video, a GIF with several frames, or "
                "a folder of frames."
            )
        return stimuli
    if not all(moving):
        still, movie = (stimuli["filename"][moving.index(kind)] for kind in (False, True))
        raise ConvRNNError(
            f"{movie} is a movie, and {still} is an image without a duration: give a table with "
            f"{ONSET} and {OFFSET}."
        )
    clips = [
        whole_movie(filename, degrees, frames_per_second)
        for filename, degrees in zip(stimuli["filename"], stimuli["degrees"], strict=True)
    ]
    return stimuli.assign(**{CLIPS: pd.Series(clips, dtype=object)})


def check_decodable(name: str) -> None:
    """Raise unless a name can be written to files: a disk's names may be any bytes.

    Raises
    ------
    ConvRNNError
        It is not UTF-8; the bytes are shown as escapes.
    """
    try:
        name.encode()
    except UnicodeEncodeError as error:
        encoding = sys.getfilesystemencoding()
        way = "rename the file or its folder"
        if encoding != "utf-8":
            way = f"this system's encoding is {encoding}: set PYTHONUTF8=1"
        raise ConvRNNError(
            f"the name of {name!a} is not UTF-8, and could not be written to results: {way}."
        ) from error


def check_images(
    stimuli: pd.DataFrame, *, skip_broken: bool = False, bar: Progress | None = None
) -> tuple[pd.DataFrame, list[str]]:
    """Read every image once, so that a broken one is found before hours of work and not after them.

    Parameters
    ----------
    stimuli : DataFrame
        ``filename`` and ``degrees`` at least.
    skip_broken : bool, default False
        Leave out files that cannot be read as images, instead of stopping at the first.
    bar : Progress, optional
        Progress bar to show the count in.

    Returns
    -------
    stimuli : DataFrame
        The rows whose files are images, with their ``image_sha256``.
    skipped : list of str
        One line for each file left out, saying why.

    Raises
    ------
    ConvRNNError
        A file cannot be read as an image, or none can.
    """
    digests, skipped = [], []
    with closing(_digests(stimuli)) as found:
        counted = bar.track(found, len(stimuli), description="checking images") if bar else found
        for digest in counted:
            if isinstance(digest, ConvRNNError):
                if not skip_broken:
                    raise digest
                skipped.append(str(digest))
                _log.info("excluded: %s", digest)
                digest = ""
            digests.append(digest)
    stimuli = stimuli.assign(image_sha256=digests)
    stimuli = stimuli[stimuli["image_sha256"] != ""].reset_index(drop=True)
    for note in note_on_frames(stimuli):
        _log.warning(note)
    if not len(stimuli):
        raise ConvRNNError(f"none of the {len(skipped)} files is an image: {skipped[0]}")
    return stimuli, skipped


def check_unchanged(stimuli: pd.DataFrame) -> None:
    """Raise where a file is not the one that `check_images` saw.

    Raises
    ------
    ConvRNNError
        It was changed meanwhile.
    """
    for name, of_it, digest in zip(
        stimuli["filename"], _contents(stimuli), stimuli["image_sha256"], strict=True
    ):
        if of_it() != digest:
            raise ConvRNNError(
                f"{name} was changed while it was in use. Rerun the same command once the "
                "images no longer change."
            )


def _contents(stimuli: pd.DataFrame) -> list[Callable[[], str]]:
    """What gives the digest of what each stimulus shows."""
    if CLIPS in stimuli:
        return [partial(streams.digest, clips) for clips in stimuli[CLIPS]]
    return [partial(sha256_of, Path(name)) for name in stimuli["filename"]]


def _digests(stimuli: pd.DataFrame) -> Generator[str | ConvRNNError, None, None]:
    """For each stimulus in turn: its digest, or why it cannot be shown."""

    def check_stream(name: str, clips: streams.Stream) -> str | ConvRNNError:
        try:
            return streams.check(clips)
        except ConvRNNError as error:
            return ConvRNNError(f"stimulus {name}: {error}")

    def check(filename: str, size: float) -> str | ConvRNNError:
        try:
            load_image(filename, size)
        except ConvRNNError as error:
            return error
        return sha256_of(Path(filename))

    with ThreadPoolExecutor(cpu_count()) as pool:
        try:
            if CLIPS in stimuli:
                yield from pool.map(check_stream, stimuli["stimulus_id"], stimuli[CLIPS])
            else:
                yield from pool.map(check, stimuli["filename"], stimuli["degrees"])
        finally:
            pool.shutdown(cancel_futures=True)


def _find(source: Path) -> tuple[list[Path], list[str]]:
    """The images that a path or pattern means, and what was excluded."""
    if source.is_dir():
        candidates, kind = sorted(source.iterdir()), "folder"
    elif source.exists() or _leads_nowhere(source):
        return [source], []
    elif glob.has_magic(str(source)):
        candidates = sorted(map(Path, glob.glob(str(source), recursive=True)))
        candidates = [path for path in candidates if not path.is_dir()]
        kind = "pattern"
    elif re.match(r"\w{2,}:/", str(source)):
        raise ConvRNNError(f"{source} is an address, which is not read: download the images.")
    else:
        raise missing(source, f"no such image file or folder: {source}.")
    images = [
        path
        for path in candidates
        if (path.is_file() or _leads_nowhere(path))
        and path.suffix.lower() in (*SUFFIXES, *VIDEOS)
        and not path.name.startswith(".")
    ]
    if not images:
        below = kind == "folder" and any(path.is_dir() for path in candidates)
        way = f" Its subfolders are not searched: give '{source}/**/*'." if below else ""
        if kind == "pattern" and "[" in str(source):
            way = (
                " In a pattern, [ ] stand for one of the characters between them: write [[] for [."
            )
        raise ConvRNNError(f"no images in {kind} {source} ({', '.join(SUFFIXES)}).{way}")
    chosen = {*images}
    return images, [
        f"{path}{os.sep if path.is_dir() else ''}" for path in candidates if path not in chosen
    ]


def _leads_nowhere(path: Path) -> bool:
    """Whether it is an image's link to no file, which is reported when the image is read."""
    return path.is_symlink() and not path.exists() and path.suffix.lower() in SUFFIXES


def _table_of_files(files: list[Path]) -> pd.DataFrame:
    paths = [Path(os.path.abspath(path)) for path in files]
    twice = pd.Series(paths)[pd.Series(paths).duplicated()]
    if len(twice):
        raise ConvRNNError(f"image file {twice.iloc[0]} is named twice.")
    common = os.path.commonpath([path.parent for path in paths])
    choices = (
        [path.stem for path in paths],
        [path.name for path in paths],
        [path.relative_to(common).as_posix() for path in paths],
    )
    ids = next(ids for ids in choices if len(set(ids)) == len(ids))
    return pd.DataFrame({"stimulus_id": ids, "filename": [str(path) for path in paths]})


def _read_table(path: Path) -> pd.DataFrame:
    table = read_table(path, ["stimulus_id", "filename"], ["degrees", ONSET, OFFSET, RATE])
    if not len(table):
        raise ConvRNNError(f"table {path} has no rows.")
    for column in table.columns.intersection(["stimulus_id", "filename", "degrees", ONSET]):
        empty = table.index[table[column].str.strip() == ""]
        if len(empty):
            raise ConvRNNError(f"table {path}: no {column} in data row {empty[0] + 1}.")
    table["filename"] = [str(each) for each in files_beside(path, table["filename"])]
    if "degrees" in table:
        sizes = pd.to_numeric(with_points(table["degrees"].str.strip()), errors="coerce")
        if sizes.isna().any():
            wrong = table.index[sizes.isna()][0]
            value = table["degrees"][wrong]
            raise ConvRNNError(
                f"table {path}: degrees {value!r} in data row {wrong + 1} is not a number: write "
                "numbers with a decimal point, without units."
            )
        table["degrees"] = sizes
    return table

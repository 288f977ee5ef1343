"""Top-1 and top-5 accuracy on ImageNet's validation images, beside the published figures.

The networks' 1,000 logits are in the order of the sorted WordNet ids (``n01440764`` and on).
A table that counts classes otherwise shifts every label, so labels by number are taken only where
it is plain from where they count, and an accuracy near chance is said to look like that.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import logging
import math
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.progress import Progress

from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import only_process, written_whole
from convrnns_brainscore.images import SUFFIXES, VISUAL_DEGREES, load_cropped
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import check_made_alike, describe
from convrnns_brainscore.requirements import brain_score_folder
from convrnns_brainscore.stimuli import check_decodable, check_images, check_unchanged
from convrnns_brainscore.tables import files_beside, is_table, read_table

_log = logging.getLogger(__name__)

CLASSES = 1000

NEAR_CHANCE = 0.005
"""A trained network that is right less often meets labels of another order."""

FEWEST_TO_JUDGE = 200
"""Images from which that can be said."""


@dataclass(frozen=True)
class Accuracy:
    """How often a model is right.

    Attributes
    ----------
    model, label : str
        Its name, and which weights.
    images : int
        How many it saw.
    top1, top5 : float
        Shares of them.
    """

    model: str
    label: str
    images: int
    top1: float
    top5: float

    def error(self, share: float) -> float:
        """The binomial standard error of a share."""
        return math.sqrt(share * (1 - share) / self.images)

    @property
    def suspect(self) -> bool:
        """Whether labels of another order are the likely reason."""
        return self.images >= FEWEST_TO_JUDGE and self.top1 < NEAR_CHANCE


def wordnet_ids() -> list[str]:
    """The classes in the order of the logits, as Brain-Score lists them.

    Raises
    ------
    ConvRNNError
        Brain-Score is not installed.
    """
    folder = brain_score_folder() / "model_helpers" / "brain_transformation"
    found = (folder / "imagenet_classes.txt").read_text(encoding="utf-8").split()
    if len(found) != CLASSES or found != sorted(found):
        raise ConvRNNError(f"{folder / 'imagenet_classes.txt'} does not list {CLASSES} sorted ids.")
    return found


def read_labelled(
    source: Path, first_label: int | None = None, progress: Progress | None = None
) -> pd.DataFrame:
    """Images with their classes.

    Parameters
    ----------
    source : path
        A folder with a folder of images for each class, named by its WordNet id; or a ``.csv`` with
        columns ``filename`` (relative to the table's folder) and ``label``, a WordNet id or a
        number.
    first_label : int, optional
        From where numbers count, 0 or 1; None: from 0, if a 0 is among them.
    progress : Progress, optional
        Where a bar is shown while the files are checked.

    Returns
    -------
    DataFrame
        ``filename``, ``label`` (0 … 999), ``image_sha256``.

    Raises
    ------
    ConvRNNError
        No images, one that cannot be read, no such class, or labels of which it is not plain what
        they mean.
    """
    classes = {name: index for index, name in enumerate(wordnet_ids())}
    if source.is_dir():
        table = _in_folders(source)
    elif is_table(source):
        table = read_table(source, ["filename", "label"])
        table["filename"] = [str(each) for each in files_beside(source, table["filename"])]
    else:
        raise ConvRNNError(f"{source}: expected a folder of class folders, or a .csv.")
    if not len(table):
        raise ConvRNNError(f"no images in {source}.")
    labels = table["label"].str.strip()
    if labels.isin(classes).all():
        if first_label is not None:
            raise ConvRNNError(f"`first_label=…` needs numbers; {source} has WordNet ids: omit it.")
        table["label"] = labels.map(classes)
    elif labels.str.fullmatch(r"\d+").all():
        table["label"] = _counted(labels.map(int), first_label, source)
    else:
        kinds = labels.isin(classes), labels.str.fullmatch(r"\d+")
        row = int(np.flatnonzero(~(kinds[0] if kinds[0].any() else kinds[1]))[0])
        raise ConvRNNError(
            f"{source}: {labels.iloc[row]!r} (row {row + 1}) is not one of ImageNet's classes; "
            "expected WordNet ids (n01440764), or numbers, in every row."
        )
    for name in table["filename"]:
        check_decodable(name)
    absent = [name for name in table["filename"] if not Path(name).is_file()]
    if absent:
        raise ConvRNNError(f"{source}: {len(absent)} files are missing; the first is {absent[0]}.")
    table = table[["filename", "label"]].reset_index(drop=True).assign(degrees=VISUAL_DEGREES)
    return check_images(table, bar=progress)[0].drop(columns="degrees")


def _in_folders(source: Path) -> pd.DataFrame:
    folders = sorted(path for path in source.iterdir() if path.is_dir() and path.name[0] != ".")
    rows = [
        (str(path.absolute()), folder.name)
        for folder in folders
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in SUFFIXES and not path.name.startswith(".")
    ]
    return pd.DataFrame(rows, columns=["filename", "label"], dtype=str)


def _counted(numbers: pd.Series, first: int | None, source: Path) -> pd.Series:
    """Numbers as positions among the sorted WordNet ids."""
    low, high = int(numbers.min()), int(numbers.max())
    if high > CLASSES or (high == CLASSES and low == 0):
        raise ConvRNNError(
            f"{source} has labels {low} to {high}: models of 1,001 classes count background as 0. "
            "Expected 0 to 999, or WordNet ids."
        )
    if first is None:
        if low > 0:
            counted = "count from 1" if high == CLASSES else "may count from 0 or from 1"
            raise ConvRNNError(
                f"{source}: labels {low} to {high} {counted}. Give `first_label=…` (0 or 1) if "
                "they are in the order of the sorted WordNet ids (the numbers of ImageNet's "
                "devkit are not), or name WordNet ids."
            )
        first = 0
    if low < first or high >= CLASSES + first:
        raise ConvRNNError(
            f"{source}: labels {low} to {high} are outside {first} to {CLASSES - 1 + first}, the "
            f"range for `first_label={first}`."
        )
    return numbers - first


def measure(
    network: ConvRNN,
    images: pd.DataFrame,
    out: Path,
    progress: Progress | None = None,
    batch_size: int = BATCH_SIZE,
) -> Accuracy:
    """A model's accuracy, or go on with measuring it.

    Parameters
    ----------
    images : DataFrame
        ``filename``, ``label``, ``image_sha256`` (`read_labelled`).
    out : path
        A folder, which is made: what is predicted for each image goes to ``<model>.csv`` there.
    progress : Progress, optional
        Where a bar is shown.

    Raises
    ------
    ConvRNNError
        An image cannot be read; ``out`` holds predictions of other weights or images, or another
        process writes there.
    """
    out.mkdir(parents=True, exist_ok=True)
    made_by = {
        **describe(network, Presentation.default(network.name)),
        "preprocessing": "shorter side 256, middle 224",
        "batch_size": batch_size,
        "images": _digest(images),
    }
    table = out / f"{network.name}.csv"
    with only_process(out / f".{network.name}.lock", table):
        done = _begun(table, made_by, len(images))
        if done.rows:
            _log.info("resuming %s: %d images are done", table, done.rows)
        progress = progress or progress_bar(shown=False)
        task = progress.add_task(network.name, total=len(images), completed=done.rows)
        try:
            for start in range(done.rows, len(images), batch_size):
                batch = images.iloc[start : start + batch_size]
                shown = np.stack([load_cropped(name) for name in batch["filename"]])
                check_unchanged(batch)
                ranked = np.argsort(-network.logits(shown), axis=1, kind="stable")
                done = done.followed_by(_append(table, batch, ranked[:, :5]), len(batch))
                _record(table, made_by, done)
                progress.advance(task, len(batch))
        except (KeyboardInterrupt, SystemExit):
            progress.console.print(
                f"Stopped; finished work is kept in {table}: rerun the same command to resume.",
                soft_wrap=True,
            )
            raise
    found = pd.read_csv(table)
    ranked = found[[f"rank{rank}" for rank in range(1, 6)]].to_numpy()
    right = ranked == found["label"].to_numpy()[:, None]
    return Accuracy(
        network.name, network.label, len(found), right[:, 0].mean(), right.any(axis=1).mean()
    )


def _digest(images: pd.DataFrame) -> str:
    """Of the files' contents, in their order, and of their labels."""
    rows = [*images["image_sha256"], *images["label"].map(str)]
    return hashlib.sha256("\n".join(rows).encode()).hexdigest()


_HEADER = ["filename", "label", *(f"rank{rank}" for rank in range(1, 6))]


@dataclass(frozen=True)
class _Written:
    """The part of a table that is written: its rows, its bytes and their CRC32."""

    rows: int
    size: int
    crc32: int

    def followed_by(self, content: bytes, rows: int) -> _Written:
        """With more at its end."""
        return _Written(self.rows + rows, self.size + len(content), zlib.crc32(content, self.crc32))


def _begun(table: Path, made_by: Mapping[str, Any], images: int) -> _Written:
    """What is done; begins the table if there is none, or it is damaged."""
    settings = table.with_suffix(".json")
    if table.exists() and settings.exists():
        try:
            held = json.loads(settings.read_text(encoding="utf-8"))
            done = _Written(*(int(held[name]) for name in ("rows", "size", "crc32")))
            began_with = held["made_by"]
        except (ValueError, LookupError, TypeError):
            raise ConvRNNError(
                f"{settings} is damaged: remove it and {table.name} to start again."
            ) from None
        check_made_alike(began_with, made_by, table)
        with table.open("rb+") as opened:
            content = opened.read(done.size)
            extra = len(opened.read(1))
            whole = _Written(done.rows, 0, 0).followed_by(content, 0) == done
            if whole and not (done.rows == images and extra):
                opened.truncate(done.size)  # a kill may have left a batch that is not recorded
                return done
        if done.rows == images:
            raise ConvRNNError(
                f"the rows of {table} were changed after they were written: remove it, and rerun "
                "the same command."
            )
        _log.warning("%s is damaged and is started again", table)
    header = (",".join(_HEADER) + "\n").encode()
    if table.exists() and not settings.exists() and table.read_bytes() != header:
        raise ConvRNNError(
            f"{table} exists, and {settings.name}, which records how it was made, is not beside "
            "it: move the table, or choose another `out=…`."
        )
    with written_whole(table) as partial:
        partial.write_bytes(header)
    done = _Written(0, 0, 0).followed_by(header, 0)
    _record(table, made_by, done)
    return done


def _record(table: Path, made_by: Mapping[str, Any], done: _Written) -> None:
    """Write beside the table what makes it, and how far it is with the digest of that part."""
    held = {"made_by": made_by, **asdict(done)}
    with written_whole(table.with_suffix(".json")) as partial:
        partial.write_text(json.dumps(held, indent=1), encoding="utf-8")


def _append(table: Path, batch: pd.DataFrame, ranked: NDArray[np.intp]) -> bytes:
    """Write a batch's rows to the table, and return them."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    for name, label, ranks in zip(batch["filename"], batch["label"], ranked, strict=True):
        writer.writerow([name, label, *ranks.tolist()])
    content = text.getvalue().encode()
    with table.open("ab") as opened:
        opened.write(content)
    return content

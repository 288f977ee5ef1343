"""Stimuli that have times of their own: rapid streams, masks, movies.

A stimulus is a tuple of `Clip`: images and movies, each on from an onset to an offset in ms from
the stimulus' onset, one after the other. Between them, and after the last, the presentation's off
stimulus is shown. A step shows what is on in the middle of its 10 ms.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError, missing
from convrnns_brainscore.files import sha256_of
from convrnns_brainscore.images import VISUAL_DEGREES, load_image
from convrnns_brainscore.movies import Movie, frame_files, is_movie, timing
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.timing import MS_PER_STEP, first_steps, round_ms, runs, shown_at_steps

CLIPS = "clips"
"""Column of a table of stimuli: the clips of each, where stimuli have times of their own."""

ONSET, OFFSET, RATE = "onset_ms", "offset_ms", "frames_per_second"
"""Columns of a table with several rows a stimulus."""


class Clip(NamedTuple):
    """An image or a movie, and when it is on."""

    filename: str
    degrees: float
    onset_ms: float
    offset_ms: float
    frames_per_second: float | None = None

    def label(self) -> str:
        """In words: ``face.png 0–100 ms``, with its size where that is not the whole field."""
        size = "" if self.degrees == VISUAL_DEGREES else f" ({self.degrees:g}°)"
        return f"{Path(self.filename).name}{size} {self.onset_ms:g}–{self.offset_ms:g} ms"


Stream = tuple[Clip, ...]

LONGEST = 24 * 3600 * 1000
"""A stimulus of a day, in ms: longer ones are times in another unit."""


def whole_movie(filename: str, degrees: float, frames_per_second: float | None = None) -> Stream:
    """A stimulus that is one movie from its first frame to its last."""
    filename = os.path.abspath(filename)
    end = float(round_ms(timing(filename, frames_per_second).duration_ms))
    _check_shown(f"movie {filename}", 0, end)
    return (Clip(filename, degrees, 0.0, end, frames_per_second),)


def grouped(table: pd.DataFrame, frames_per_second: float | None = None) -> pd.DataFrame:
    """A table with several rows a stimulus as one with a row each.

    Parameters
    ----------
    table : DataFrame
        ``stimulus_id``, ``filename``, ``degrees``, ``onset_ms``, and ``offset_ms`` except for
        movies that are shown to their end; perhaps ``frames_per_second``, of movies.
    frames_per_second : float, optional
        Of movies for which the table does not state it.

    Returns
    -------
    DataFrame
        ``stimulus_id``, ``filename`` (of the first clip), ``degrees`` and ``clips``, in the order
        in which stimuli first appear.

    Raises
    ------
    ConvRNNError
        A time is missing, negative or not a number; rows of a stimulus overlap; a row is on between
        two steps; a movie that is shorter than its row.
    """
    table = table.reset_index(drop=True)
    for column in (ONSET, OFFSET, RATE):
        if column not in table:
            table[column] = 0 if column == ONSET else np.nan
    numbers = {column: _numbers(table, column) for column in (ONSET, OFFSET, RATE)}
    if frames_per_second is not None:
        numbers[RATE] = np.where(np.isnan(numbers[RATE]), frames_per_second, numbers[RATE])
    clips = [
        _clip(index, str(row.stimulus_id), str(row.filename), float(row.degrees), *times)
        for index, (row, times) in enumerate(
            zip(table.itertuples(), zip(*numbers.values(), strict=True), strict=True)
        )
    ]
    rows: dict[str, list[Clip]] = {}
    for name, clip in zip(table["stimulus_id"].astype(str), clips, strict=True):
        rows.setdefault(name, []).append(clip)
    streams = [_in_order(name, each) for name, each in rows.items()]
    return pd.DataFrame(
        {
            "stimulus_id": list(rows),
            "filename": [stream[0].filename for stream in streams],
            "degrees": [stream[0].degrees for stream in streams],
            CLIPS: pd.Series(streams, dtype=object),
        }
    )


def _numbers(table: pd.DataFrame, column: str) -> NDArray[np.float64]:
    text = table[column].map(lambda value: str(value).strip() if isinstance(value, str) else value)
    text = text.where(text != "", np.nan)
    numbers = pd.to_numeric(text, errors="coerce").to_numpy(np.float64)
    wrong = np.flatnonzero(text.notna().to_numpy() & ~np.isfinite(numbers))
    if len(wrong):
        raise ConvRNNError(
            f"the stimuli's {column} {table[column][wrong[0]]!r} in data row {wrong[0] + 1} is not "
            "a number."
        )
    return np.asarray(round_ms(numbers) if column != RATE else numbers)


def _clip(
    index: int, name: str, filename: str, degrees: float, onset: float, offset: float, rate: float
) -> Clip:
    where = f"stimulus {name}, row {index + 1}"
    if np.isnan(onset):
        raise ConvRNNError(f"{where}: {ONSET} is missing.")
    if onset < 0:
        raise ConvRNNError(f"{where}: {ONSET} is {onset:g}; times start at 0, the stimulus' onset.")
    if max(onset, np.nan_to_num(offset)) > LONGEST:
        raise ConvRNNError(
            f"{where}: times up to {max(onset, offset):g} ms are longer than a day: give ms from "
            "stimulus onset."
        )
    per_second = None if np.isnan(rate) else rate
    if is_movie(filename):
        end = onset + timing(filename, per_second).duration_ms
        offset = end if np.isnan(offset) else offset
        if offset > end + MS_PER_STEP:
            raise ConvRNNError(
                f"{where}: {filename} lasts {end - onset:g} ms, and is to be on for "
                f"{offset - onset:g} ms. Correct {OFFSET}, or leave it empty."
            )
    elif np.isnan(offset):
        raise ConvRNNError(f"{where}: {OFFSET} is missing; {filename} is not a movie.")
    elif not Path(filename).is_file():
        raise missing(Path(filename), f"{where}: no such image file: {filename}.")
    if not offset > onset:
        raise ConvRNNError(
            f"{where}: {OFFSET} ({offset:g}) must be later than {ONSET} ({onset:g})."
        )
    _check_shown(f"{where}: {filename}", onset, offset)
    return Clip(os.path.abspath(filename), degrees, onset, float(round_ms(offset)), per_second)


def _check_shown(what: str, onset: float, offset: float) -> None:
    """Raise unless the middle of a step lies between the two."""
    first, end = first_steps([onset, offset])
    if first >= end:
        raise ConvRNNError(
            f"{what} is on from {onset:g} to {offset:g} ms, between two steps, and is never shown: "
            f"steps are {MS_PER_STEP} ms. Times are in ms."
        )


def _in_order(name: str, clips: list[Clip]) -> Stream:
    ordered = sorted(clips, key=lambda clip: clip.onset_ms)
    for before, after in pairwise(ordered):
        if after.onset_ms < before.offset_ms:
            raise ConvRNNError(
                f"stimulus {name}: {before.label()} and {after.label()} overlap. Only one image "
                "can be on at a time."
            )
    return tuple(ordered)


def steps_of(streams: Sequence[Stream]) -> int:
    """The steps until the last clip of any stimulus is off."""
    last = max(clip.offset_ms for stream in streams for clip in stream)
    return max(1, int(first_steps(last)))


def presentation_of(
    stimuli: pd.DataFrame, presentation: Any, default: Presentation
) -> Presentation:
    """What is asked for, or the default: where stimuli have times of their own, as long as they
    last.

    Raises
    ------
    ConvRNNError
        A presentation with times of its own beside stimuli that have theirs; or one for such
        stimuli beside images.
    """
    if CLIPS not in stimuli:
        if presentation is not None and as_presentation(presentation, default).name == "stream":
            raise ConvRNNError(
                "Presentation.stream is for stimuli that have times of their own; for images give "
                f"Presentation.constant(times={presentation.times})."
            )
        return as_presentation(presentation, default)
    if presentation is None:
        return Presentation.stream(steps_of(stimuli[CLIPS]))
    if as_presentation(presentation, default).name != "stream":
        raise ConvRNNError(
            "the stimuli have times of their own: omit the presentation, or give "
            f"Presentation.stream(times={steps_of(stimuli[CLIPS])})."
        )
    return presentation


def time_line(stream: Stream, presentation: Presentation) -> list[str]:
    """What the networks see of a stimulus when, in words."""
    onsets, offsets = [clip.onset_ms for clip in stream], [clip.offset_ms for clip in stream]
    shown = shown_at_steps(onsets, offsets, presentation.times)
    return [
        f"{start * MS_PER_STEP}–{end * MS_PER_STEP} ms: "
        + (presentation.off_label if clip < 0 else _frames(stream[clip], start, end))
        for start, end, clip in runs(shown)
    ]


def _frames(clip: Clip, start: int, end: int) -> str:
    """What the steps from ``start`` to ``end`` show of a clip, in words."""
    name = Path(clip.filename).name
    if not is_movie(clip.filename):
        return name
    frames, steps = np.unique(
        [_number(clip, step) for step in range(start, end)], return_counts=True
    )
    each = f"{steps.min()}" if steps.min() == steps.max() else f"{steps.min()} to {steps.max()}"
    skipped = frames[-1] - frames[0] + 1 - len(frames)
    left_out = f", {skipped} frames are not shown" if skipped else ""
    return f"{name}, frames {frames[0]} to {frames[-1]}, {each} steps each{left_out}"


def _number(clip: Clip, step: int) -> int:
    """The frame of a movie that a step shows."""
    onsets = timing(clip.filename, clip.frames_per_second).onsets
    since = (step + 0.5) * MS_PER_STEP - clip.onset_ms
    return int(np.searchsorted(round_ms(onsets), since, side="right")) - 1


def digest(stream: Stream) -> str:
    """SHA-256 of all that a stimulus shows, and when."""
    parts = [[_content(clip.filename), *clip[1:]] for clip in stream]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()


def _content(filename: str) -> str:
    path = Path(filename)
    if not path.is_dir():
        return sha256_of(path)
    files = frame_files(path)
    return " ".join(f"{file.name} {sha256_of(file)}" for file in files)


def check(stream: Stream) -> str:
    """Read what a stimulus shows, and return its `digest`.

    Raises
    ------
    ConvRNNError
        An image or a movie cannot be read.
    """
    for clip in stream:
        if Path(clip.filename).is_dir():
            for file in frame_files(Path(clip.filename)):
                load_image(file, clip.degrees)
        elif is_movie(clip.filename):
            timing(clip.filename, clip.frames_per_second)  # reads all frames
            Movie(clip.filename, clip.degrees).frame(0)
        else:
            load_image(clip.filename, clip.degrees)
    return digest(stream)


class Shown:
    """What a batch of stimuli shows at each step.

    Called with a step, it returns float32 [stimulus, 224, 224, 3], or [1, 224, 224, 3] where all
    stimuli show the same; the same array while nothing changes. Steps are asked for in order. One
    frame of each stimulus is in memory.

    Parameters
    ----------
    streams : sequence of Stream
        Stimuli.
    off : float32 array [1, 224, 224, 3]
        What is shown where nothing is on.
    """

    def __init__(self, streams: Sequence[Stream], off: NDArray[np.float32]) -> None:
        self._streams, self._off = list(streams), off
        self._movies: dict[int, tuple[Clip, Movie]] = {}
        self._last: tuple[Any, Any] = None, None
        self._frames: dict[int, tuple[Any, NDArray[np.float32]]] = {}

    @classmethod
    def of_steps(cls, frames: NDArray[np.float32]) -> Shown:
        """What an array [stimulus, step, 224, 224, 3] shows."""
        return _Steps(frames)

    def __len__(self) -> int:
        return len(self._streams)

    def __call__(self, step: int) -> NDArray[np.float32]:
        """What ``step`` shows."""
        places = [self._place(stream, step) for stream in self._streams]
        if self._last[0] != places:
            seen = {p and (p[0].filename, p[0].degrees, p[1]) for p in places}
            same = len(seen) == 1
            each = [
                self._frame(index, place)
                for index, place in enumerate(places[: 1 if same else None])
            ]
            self._last = places, each[0] if same else np.concatenate(each)
        return self._last[1]

    def _place(self, stream: Stream, step: int) -> tuple[Clip, int] | None:
        """Which clip of a stimulus is on, and which of its frames."""
        middle = (step + 0.5) * MS_PER_STEP
        for clip in stream:
            if clip.onset_ms <= middle < clip.offset_ms:
                return clip, _number(clip, step) if is_movie(clip.filename) else 0
        return None

    def _frame(self, stimulus: int, place: tuple[Clip, int] | None) -> NDArray[np.float32]:
        if place is None:
            return self._off
        if self._frames.get(stimulus, (None,))[0] != place:
            clip, number = place
            if is_movie(clip.filename):
                if self._movies.get(stimulus, (None,))[0] != clip:
                    self._movies[stimulus] = clip, Movie(clip.filename, clip.degrees)
                frame = self._movies[stimulus][1].frame(number)
            else:
                frame = load_image(clip.filename, clip.degrees)
            self._frames[stimulus] = place, frame[None]
        return self._frames[stimulus][1]


class _Steps(Shown):
    def __init__(self, frames: NDArray[np.float32]) -> None:
        self._steps, self._last = frames, (None, frames[:, 0])

    def __len__(self) -> int:
        return len(self._steps)

    def __call__(self, step: int) -> NDArray[np.float32]:
        if not np.array_equal(self._steps[:, step], self._last[1]):
            self._last = None, self._steps[:, step]
        return self._last[1]


def with_labels(stimuli: pd.DataFrame) -> pd.DataFrame:
    """The table with what each stimulus shows in words (``shown``), instead of its clips."""
    if CLIPS not in stimuli:
        return stimuli
    shown = [", ".join(clip.label() for clip in stream) for stream in stimuli[CLIPS]]
    return stimuli.drop(columns=CLIPS).assign(shown=shown)


def notes(streams: Sequence[Stream], times: int) -> list[str]:
    """Where the networks' ``times`` steps do not follow the stimuli's times, in words."""
    edges = np.array(
        [edge for stream in streams for clip in stream for edge in (clip.onset_ms, clip.offset_ms)]
    )
    moved = abs(edges - MS_PER_STEP * first_steps(edges))
    said = []
    if (moved > 1e-3).any():
        said.append(
            f"steps are {MS_PER_STEP} ms: {int((moved > 1e-3).sum())} of {len(edges)} onsets and "
            f"offsets are shown up to {moved.max():g} ms earlier or later"
        )
    if steps_of(streams) > times:
        said.append(
            f"the stimuli last up to {edges.max():g} ms, of which {times * MS_PER_STEP} are shown"
        )
    for clip in dict.fromkeys(clip for stream in streams for clip in stream):
        if is_movie(clip.filename):
            onsets = timing(clip.filename, clip.frames_per_second).onsets
            shortest = float(np.diff(onsets).min()) if len(onsets) > 1 else np.inf
            if shortest < MS_PER_STEP - 1e-3:
                said.append(
                    f"{Path(clip.filename).name} has frames of {shortest:.3g} ms, some of which "
                    f"are skipped by steps of {MS_PER_STEP} ms"
                )
    return said

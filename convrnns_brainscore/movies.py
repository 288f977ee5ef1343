"""The frames of a movie, one after the other: a video, an animated GIF, or a folder of images.

Each frame is made what the networks see as an image file is (`images`): transparent pixels on mid
gray, the whole frame resized to 224 × 224. Videos are read by PyAV (``pip install
'convrnns-brainscore[movies]'``); their own rotation is applied. A frame is on from its time stamp
to the next one's, so that variable frame rates are kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import (
    SUFFIXES,
    VISUAL_DEGREES,
    frame_in_field,
    has_several_frames,
    load_image,
)

if TYPE_CHECKING:
    from PIL import Image

VIDEOS = (".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv")
"""File names that count as videos (upper or lower case)."""


def is_video(path: str | PathLike[str]) -> bool:
    """Whether a file is a video by its name."""
    return Path(path).suffix.lower() in VIDEOS


def is_movie(path: str | PathLike[str]) -> bool:
    """Whether a path is a video, a folder, or a GIF with several frames."""
    path = Path(path)
    if is_video(path) or path.is_dir():
        return True
    return path.suffix.lower() == ".gif" and path.is_file() and has_several_frames(path)


@dataclass(frozen=True)
class Timing:
    """When each frame of a movie is on.

    Attributes
    ----------
    onsets : float64 array [frame]
        In ms from the first frame.
    duration_ms : float
        When the last frame goes off.
    """

    onsets: NDArray[np.float64]
    duration_ms: float


def timing(path: str | PathLike[str], frames_per_second: float | None = None) -> Timing:
    """When each frame of a movie is on; all its frames are read for it.

    Parameters
    ----------
    path : str or path
        A video, a GIF or a folder of images, which are sorted by name, numbers by value.
    frames_per_second : float, optional
        Instead of the times that the file states; a folder needs it.

    Raises
    ------
    ConvRNNError
        It cannot be read; no rate is known; PyAV is not installed.
    """
    path = Path(path)
    if frames_per_second is not None and not 0 < frames_per_second < np.inf:
        raise ConvRNNError(
            f"`frames_per_second={frames_per_second:g}`: expected a positive number."
        )
    if path.is_dir():
        stamp: tuple[float, ...] = (len(_files(path)),)
    else:
        try:
            status = path.stat()
        except OSError as error:
            raise ConvRNNError(f"cannot read movie {path}: {error.strerror}.") from None
        stamp = status.st_mtime, status.st_size
    return _timing(path, frames_per_second, stamp)


@lru_cache(maxsize=4096)
def _timing(path: Path, rate: float | None, stamp: tuple[float, ...]) -> Timing:
    if path.is_dir():
        if rate is None:
            raise ConvRNNError(
                f"folder {path} does not state how long its frames are on: give "
                "`frames_per_second=…`."
            )
        count, stated = len(_files(path)), np.zeros(0)
    elif is_video(path):
        stated = _times_of_video(path)
        count = len(stated) - 1
    else:
        stated = _times_of_gif(path, rate)
        count = len(stated) - 1
    if rate is not None:
        stated = np.arange(count + 1) * 1000 / rate
    return Timing(stated[:-1], float(stated[-1]))


def _times_of_video(path: Path) -> NDArray[np.float64]:
    """Onsets in ms, and the end."""
    times: list[float] = []
    rate = None
    for frame, stream_rate in _decoded(path):
        rate = stream_rate
        if frame.time is None and rate is None:
            raise ConvRNNError(
                f"movie {path} does not state the times of its frames: give `frames_per_second=…`."
            )
        times.append(1000 * (len(times) / (rate or 1) if frame.time is None else frame.time))
        last = frame.duration * float(frame.time_base) * 1000 if frame.duration else 0.0
    if not times:
        raise ConvRNNError(f"movie {path} has no frames.")
    if len(times) > 1 and (np.diff(times) <= 0).any():
        raise ConvRNNError(
            f"movie {path}: the times of its frames do not increase. Give `frames_per_second=…`."
        )
    onsets, between = np.array(times) - times[0], np.diff(times)
    if len(between) and last < between.min():
        # Some containers do not state how long the last frame is on: then as long as the others.
        last = float(np.median(between))
    return np.append(onsets, onsets[-1] + (last or 1000 / (rate or 1)))


def _decoded(path: Path) -> Iterator[tuple[Any, float | None]]:
    """PyAV's frames of a video, and the frames per second that it states."""
    try:
        import av
    except ImportError:
        raise ConvRNNError(
            f"{path} is a video, which PyAV reads: pip install 'convrnns-brainscore[movies]'."
        ) from None
    number = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ConvRNNError(f"movie {path} has no video in it.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            rate = float(stream.average_rate) if stream.average_rate else None
            for frame in container.decode(stream):
                yield frame, rate
                number += 1
    except (av.FFmpegError, ValueError, EOFError) as error:
        said = getattr(error, "strerror", None) or str(error)
        raise ConvRNNError(f"cannot read movie {path} beyond frame {number}: {said}.") from error


def _times_of_gif(path: Path, rate: float | None) -> NDArray[np.float64]:
    durations = []
    for index, image in enumerate(_frames_of_gif(path)):
        duration = float(image.info.get("duration", 0))
        if duration <= 0 and rate is None:
            raise ConvRNNError(
                f"movie {path} does not state how long its frame {index} is on: give "
                "`frames_per_second=…`."
            )
        durations.append(duration)
    return np.concatenate([[0.0], np.cumsum(durations)])


def _frames_of_gif(path: Path) -> Iterator[Image.Image]:
    from PIL import Image

    number = 0
    try:
        with Image.open(path) as image:
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                image.load()
                yield image
    except (OSError, EOFError, SyntaxError, ValueError) as error:
        raise ConvRNNError(f"cannot read movie {path} beyond frame {number}: {error}.") from error


def _files(folder: Path) -> list[Path]:
    """The images of a folder, ``frame2`` before ``frame10``."""
    files = [
        path
        for path in folder.iterdir()
        if path.suffix.lower() in SUFFIXES and path.is_file() and not path.name.startswith(".")
    ]
    if not files:
        raise ConvRNNError(f"no images in folder {folder} ({', '.join(SUFFIXES)}).")
    return sorted(files, key=_in_order)


def _in_order(path: Path) -> list[tuple[int, int, str]]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(part), "") if part.isdigit() else (1, 0, part) for part in parts]


class Movie:
    """The frames of a movie, read one after the other.

    Parameters
    ----------
    path : str or path
        As `timing`.
    degrees : float, default VISUAL_DEGREES
        The width of its frames in degrees of visual angle.
    """

    def __init__(self, path: str | PathLike[str], degrees: float = VISUAL_DEGREES) -> None:
        self.path, self.degrees = Path(path), degrees
        self._rewind()

    def _rewind(self) -> None:
        self._number, self._next = -1, self._frames()
        self._shown: NDArray[np.float32] | None = None

    def frame(self, index: int) -> NDArray[np.float32]:
        """A frame, float32 [224, 224, 3], normalised; the quickest is the one after the last.

        Raises
        ------
        ConvRNNError
            It cannot be read.
        """
        if index < self._number:
            self._rewind()
        while self._number < index:
            try:
                show = next(self._next)
            except StopIteration:
                raise ConvRNNError(f"movie {self.path} has no frame {index}.") from None
            self._number += 1
            if self._number == index:
                self._shown = show()
        assert self._shown is not None
        return self._shown

    def _frames(self) -> Iterator[Any]:
        """What makes each frame, for those that are shown alone."""
        if self.path.is_dir():
            for file in _files(self.path):
                yield lambda file=file: load_image(file, self.degrees)
        elif is_video(self.path):
            for frame, _ in _decoded(self.path):
                yield lambda frame=frame: self._in_field(_upright(frame))
        else:
            for image in _frames_of_gif(self.path):
                yield lambda image=image: self._in_field(image)

    def _in_field(self, image: Image.Image) -> NDArray[np.float32]:
        try:
            return frame_in_field(image, self.degrees)
        except ConvRNNError as error:
            raise ConvRNNError(f"{self.path}, frame {self._number}: {error}") from None


def _upright(frame: Any) -> Image.Image:
    """A video's frame as it is to be seen, with its transparency."""
    from PIL import Image

    transparent = any(component.is_alpha for component in frame.format.components)
    pixels = frame.to_ndarray(format="rgba" if transparent else "rgb24")
    turns = round(frame.rotation / 90) if frame.rotation else 0
    return Image.fromarray(np.ascontiguousarray(np.rot90(pixels, turns)))

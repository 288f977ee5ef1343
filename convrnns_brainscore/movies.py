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
        stamp: tuple[float, ...] = (len(frame_files(path)),)
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
            raise _no_times(path, "its frames are on")
        edges = np.zeros(len(frame_files(path)) + 1)
    else:
        edges = _times_of_video(path, rate) if is_video(path) else _times_of_gif(path, rate)
    if rate is not None:
        edges = np.arange(len(edges)) * 1000 / rate
    return Timing(edges[:-1], float(edges[-1]))


def _no_times(path: Path, what: str) -> ConvRNNError:
    return ConvRNNError(f"{path} does not state how long {what}: give `frames_per_second=…`.")


def _times_of_video(path: Path, asked: float | None) -> NDArray[np.float64]:
    """Onsets of its frames in ms, and the end; of their number alone where a rate is asked for."""
    times: list[float] = []
    last, stated = 0.0, _Stated()
    for frame in _decoded(path, stated):
        if frame.is_corrupt:
            raise ConvRNNError(f"movie {path} is damaged from frame {len(times)} on.")
        if frame.time is None and not stated.rate and asked is None:
            raise _no_times(path, "its frames are on")
        times.append(1000 * (len(times) / (stated.rate or 1) if frame.time is None else frame.time))
        last = frame.duration * float(frame.time_base) * 1000 if frame.duration else 0.0
    if not times:
        raise ConvRNNError(f"movie {path} has no frames.")
    onsets, between = np.array(times) - times[0], np.diff(times)
    if asked is None and (between <= 0).any():
        raise ConvRNNError(
            f"movie {path}: the times of its frames do not increase. Give `frames_per_second=…`."
        )
    usual = float(np.median(between)) if len(between) else 1000 / stated.rate if stated.rate else 0
    left = stated.duration - onsets[-1]  # for the last frame, by the container
    if abs(left - last) > 1:
        longest = max(2.5 * between.max(initial=usual), 1.5 * last)
        if left > longest and left - times[0] > -max(usual, 1):
            left -= times[0]  # some containers count from before the first frame
        if left > longest:
            raise ConvRNNError(
                f"movie {path} states {stated.duration:g} ms, of which {onsets[-1] + usual:g} can "
                "be read: it is truncated or damaged."
            )
        if 0 < left < np.inf:
            last = left
        elif len(between) and last < between.min():  # a guess of the container's
            last = usual
    if asked is None and not (last or usual):
        raise _no_times(path, "its only frame is on")
    return np.append(onsets, onsets[-1] + (last or usual))


@dataclass
class _Stated:
    """What a container states of its video: frames per second, 0 where it does not; its duration
    in ms, NaN where it does not."""

    rate: float = 0.0
    duration: float = float("nan")


def _decoded(path: Path, stated: _Stated) -> Iterator[Any]:
    """PyAV's frames of a video; ``stated`` is filled in."""
    try:
        import av
    except ImportError:
        raise ConvRNNError(
            f"reading the video {path} needs PyAV: pip install 'convrnns-brainscore[movies]'."
        ) from None
    number = 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise ConvRNNError(f"movie {path} holds no video.")
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            stated.rate = float(stream.average_rate or 0)
            if stream.duration and stream.time_base:
                stated.duration = 1000 * float(stream.duration * stream.time_base)
            elif (
                container.duration
                and len(container.streams) == 1
                and "mpeg" not in (container.format.name.split(","))
            ):
                stated.duration = container.duration / 1000
            for frame in container.decode(stream):
                yield frame
                number += 1
    except ConvRNNError:
        raise
    except (av.FFmpegError, ValueError, EOFError) as error:
        said = getattr(error, "strerror", None) or str(error)
        beyond = f" beyond frame {number}" if number else ""
        raise ConvRNNError(f"cannot read movie {path}{beyond}: {said}.") from error


def _times_of_gif(path: Path, rate: float | None) -> NDArray[np.float64]:
    durations = []
    for index, image in enumerate(_frames_of_gif(path)):
        duration = float(image.info.get("duration", 0))
        if duration <= 0 and rate is None:
            raise _no_times(path, f"its frame {index} is on")
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


def frame_files(folder: Path) -> list[Path]:
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
            for file in frame_files(self.path):
                yield lambda file=file: load_image(file, self.degrees)
        elif is_video(self.path):
            for frame in _decoded(self.path, _Stated()):
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
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is not None:
        # By which displays turn and mirror it: x' = a·x + c·y, y' = b·x + d·y.
        a, b, _, c, d, *_ = np.frombuffer(bytes(matrix), np.int32).astype(float)
        if abs(a) < abs(b):
            pixels, a, d = pixels.swapaxes(0, 1), c, b
        pixels = pixels[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]
    return Image.fromarray(np.ascontiguousarray(pixels))

"""What the eye sees at each step: the image, then (from ``image_off`` on) the off stimulus; or a
sequence of frames, such as an image, a gap and a mask.

One step is about 10 ms. The off stimulus that the weights were trained with is the constant 0.5 *in
the normalised space*, not gray before normalising (Nayebi et al. 2022).
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore import images
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.timing import MS_PER_STEP, first_steps, runs, shown_at_steps
from convrnns_brainscore.zoo import find_model

ASSUMED_IMAGE_MS = 100
"""How long images are taken to have been on where neither the user nor the data say it, in ms: as
in the recordings of Nayebi et al. (2022)."""


LONGEST_IMAGE_MS = 60_000
"""The longest that an image is on, in ms; longer ones are taken to be in other units."""

Frame = tuple[Any, float]
"""What a sequence shows, and for how long in ms."""

IMAGE = "image"
IMAGE_DIGEST = "image sha256:"
NAMED: dict[str, Any] = {"gray": (images.GRAY,) * 3, "off": 0.5}
"""Frames of a sequence by name: the stimulus, and what is the same for all stimuli."""

KINDS = ("default", "neural", "constant", "custom", "sequence", "stream")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Presentation:
    """The stimulus over time.

    Parameters
    ----------
    name : str
        ``"default"``, ``"neural"``, ``"constant"``, ``"custom"``, ``"sequence"`` or ``"stream"``.
    times : int
        Number of steps.
    image_off : int or None
        The step from which the off stimulus is shown; None: never.
    off : float, RGB triple, array or path, default 0.5
        The off stimulus: one number in the normalised space; or an RGB triple, 0–255; or an image
        (a mask): a file, uint8 [224, 224, 3], or normalised float32 [224, 224, 3].
    shown : sequence of tuple of (frame, ms), default ()
        Of a sequence: its frames and how long each is shown (`sequence`).

    Attributes
    ----------
    fixed_frames : tuple of float32 array [1, 224, 224, 3]
        What is shown beside the image, normalised: the frames of a sequence, and last the off
        stimulus.
    schedule : tuple of int
        What each step shows: 0 for the image, n for ``fixed_frames[n - 1]``.
    off_label : str
        What is shown beside the image, in words, exact enough to tell any two apart.
    note : str
        How durations were rounded to steps; empty: they were not.

    Raises
    ------
    ConvRNNError
        Another name; frames beside a name other than ``"sequence"``, or a sequence without them;
        fewer than one step, ``image_off`` outside 1…times, or an off stimulus that no image could
        hold.

    Examples
    --------
    >>> monkeys = Presentation.neural()
    >>> monkeys.times, monkeys.image_off  # 260 ms, the image on for 100 ms
    (26, 10)
    >>> Presentation.custom(times=20, image_off=5, off=(128, 128, 128)).off_label
    'rgb 128,128,128'
    """

    name: str
    times: int
    image_off: int | None
    off: Any = 0.5
    shown: Sequence[Frame] = ()
    fixed_frames: tuple[NDArray[np.float32], ...] = field(init=False, repr=False)
    schedule: tuple[int, ...] = field(init=False, repr=False)
    off_label: str = field(init=False, repr=False)
    note: str = field(init=False, repr=False, default="")
    _labels: tuple[str, ...] = field(init=False, repr=False, default=())

    def __post_init__(self) -> None:
        if self.name not in KINDS:
            raise unknown("kind of presentation", self.name, KINDS)
        if (self.name == "sequence") != bool(self.shown):
            raise ConvRNNError(
                "`shown=…` belongs to the presentation 'sequence': use Presentation.sequence."
            )
        _check_whole("times", self.times)
        if self.times < 1:
            raise ConvRNNError(f"`times={self.times}`: a presentation has at least one step.")
        if self.image_off is not None:
            _check_whole("image_off", self.image_off)
            if not 1 <= self.image_off <= self.times:
                raise ConvRNNError(
                    f"`image_off={self.image_off}`: the image must be on for at least 1 and "
                    f"at most {self.times} steps."
                )
        made: dict[str, Any]
        if self.shown:
            made = _of_sequence(self.shown, self.times)
        else:
            off_frame, off_label = _understand("off", self.off)
            on = self.times if self.image_off is None else self.image_off
            made = {
                "fixed_frames": (off_frame,),
                "schedule": (0,) * on + (1,) * (self.times - on),
                "off_label": off_label,
                "_labels": (off_label,),
            }
        for name, value in made.items():
            object.__setattr__(self, name, value)

    @classmethod
    def default(cls, model: str) -> Presentation:
        """As the model was trained: 12 of 16 or 17 steps, or constant for 22 or 30."""
        row = find_model(model)
        return cls("default", row.times, row.image_off)

    @classmethod
    def neural(cls) -> Presentation:
        """As the monkeys of Nayebi et al. (2022) saw it: 260 ms, image off at 100 ms."""
        return cls("neural", 26, 10)

    @classmethod
    def constant(cls, times: int) -> Presentation:
        """The image at each of ``times`` steps."""
        return cls("constant", times, None)

    @classmethod
    def custom(cls, times: int, image_off: int | None = None, off: Any = 0.5) -> Presentation:
        """``times`` steps, the image until ``image_off``, then ``off``."""
        return cls("custom", times, image_off, off)

    @classmethod
    def sequence(cls, frames: Sequence[Frame]) -> Presentation:
        """The same frames for every stimulus, one after the other: masks, gaps, repetitions.

        Parameters
        ----------
        frames : sequence of tuple of (frame, ms)
            Each is ``"image"`` (the stimulus; it may come again), ``"gray"`` (RGB 128), ``"off"``
            (0.5 in the normalised space, as in training), or as ``off`` above; and for how long it
            is shown, in ms. A step shows what is on in the middle of its 10 ms.

        Raises
        ------
        ConvRNNError
            No image; a frame that no step shows; a duration that is not a positive number; a frame
            that no image could hold.

        Examples
        --------
        >>> masked = Presentation.sequence([("image", 30), ("gray", 20), ((255, 0, 0), 100)])
        >>> masked.times, masked.image_off
        (15, 3)
        >>> masked.off_label
        'image 0–30 ms, rgb 128,128,128 30–50 ms, rgb 255,0,0 50–150 ms'
        """
        presentation = cls.of_frames(frames)
        if presentation.note:
            _log.warning(presentation.note)
        return presentation

    @classmethod
    def of_frames(cls, frames: Sequence[Frame]) -> Presentation:
        """As `sequence`; rounded durations are in ``note`` alone."""
        frames = _check_frames(frames)
        total = sum(duration for _, duration in frames)
        times = int(first_steps(total))
        schedule = _of_sequence(frames, max(times, 1))["schedule"]
        after = max(step for step, frame in enumerate(schedule) if not frame) + 1
        return cls("sequence", times, None if after == times else after, shown=frames)

    @classmethod
    def stream(cls, times: int, off: Any = 0.5) -> Presentation:
        """For stimuli that have times of their own, such as movies and rapid streams; ``off``
        is shown where nothing of a stimulus is on."""
        return cls("stream", times, None, off)

    def frame_at(self, step: int) -> int:
        """What ``step`` shows, as in ``schedule``; after its end, the off stimulus, unless the
        image never goes off."""
        if step < self.times:
            return self.schedule[step]
        always_on = self.image_off is None and not self.shown
        return 0 if always_on else len(self.fixed_frames)

    def image_is_on(self, step: int) -> bool:
        """Whether the image is shown at ``step``."""
        return self.frame_at(step) == 0

    def time_line(self) -> list[str]:
        """What is shown when, in words: ``0–100 ms: image``."""
        labels = [IMAGE, *self._labels]
        return [
            f"{start * MS_PER_STEP}–{end * MS_PER_STEP} ms: {labels[frame]}"
            for start, end, frame in runs(self.schedule)
        ]

    def _repr_html_(self) -> str:
        lines = "".join(f"<li>{escape(line)}</li>" for line in self.time_line())
        return f"<p>Presentation {escape(self.name)}, {self.times} steps</p><ul>{lines}</ul>"

    def describe(self) -> dict[str, str | int]:
        """All that makes this presentation, as plain values for provenance and cache keys."""
        return {
            "presentation": self.name,
            "times": self.times,
            "image_off": self._image_off(),
            "off": "none" if self._is_constant() else self.off_label,
        }

    def mask_notes(self, degrees: ArrayLike) -> list[str]:
        """A line that images beside the stimulus, such as masks, have another width than it.

        Parameters
        ----------
        degrees : float array-like
            Widths of the stimuli in degrees of visual angle.

        Returns
        -------
        list of str
        """
        if self._is_constant() or IMAGE_DIGEST not in self.off_label:
            return []
        if (np.asarray(degrees, float) == images.VISUAL_DEGREES).all():
            return []
        return [
            f"masks and other images of the presentation fill {images.VISUAL_DEGREES} degrees, "
            "whatever the width of the stimuli"
        ]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Presentation) and self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash(self._shown())

    def _shown(self) -> tuple[Any, ...]:
        frames = b"", *(frame.tobytes() for frame in self.fixed_frames)
        shown = [frames[self.frame_at(step)] for step in range(self.times + 1)]
        return self.name == "stream" and frames, *shown

    def _image_off(self) -> str | int:
        if self.name == "stream":
            return "by stimulus"
        return "never" if self.image_off is None else self.image_off

    def _is_constant(self) -> bool:
        return self.image_off is None and not self.shown and self.name != "stream"


SOME = 0.05
"""Up to this share of presentations may last otherwise, such as where a display lost a frame."""


def image_duration(measured: Any = None, asked: float | None = None) -> tuple[float, str]:
    """How long images were on: for fits, geometry, packages and scores alike.

    Displays are a frame early or late, and the networks' steps are 10 ms: the median of what was
    measured is rounded to them.

    Parameters
    ----------
    measured : float array [presentation], optional
        Durations in ms; NaN where one is not known. None: none is.
    asked : float, optional
        What the user says, in ms.

    Returns
    -------
    image_ms : float
        In ms; a multiple of 10, unless the user asked otherwise.
    note : str
        What was assumed or rounded; empty: nothing.

    Raises
    ------
    ConvRNNError
        The data mix durations, or say another one than the user, or hold no durations in ms.

    Examples
    --------
    >>> image_duration([199.9, 200.2, 199.8])[0]
    200.0
    """
    known = np.asarray([] if measured is None else measured, np.float64).ravel()
    known = known[np.isfinite(known)]
    if not len(known):
        if asked is not None:
            return float(asked), ""
        note = f"no image duration is stated: {ASSUMED_IMAGE_MS} ms is assumed"
        return float(ASSUMED_IMAGE_MS), note
    usual = float(np.median(known))
    if usual < MS_PER_STEP / 2:
        seconds = " Is this in seconds?" if usual > 0 else ""
        raise ConvRNNError(
            f"image_on_ms is {usual:g} (median): images are on for {MS_PER_STEP} ms at least."
            f"{seconds}"
        )
    if usual > LONGEST_IMAGE_MS:
        raise ConvRNNError(
            f"image_on_ms is {usual:g} (median), more than {LONGEST_IMAGE_MS / 1000:g} s: "
            "durations are in ms. Correct image_on_ms, or remove it and give `image_ms=…`."
        )
    if has_mixed_durations(known):
        kinds, counts = np.unique(_in_steps(known), return_counts=True)
        told = ", ".join(
            f"{kind:g} ms in {count}" for kind, count in zip(kinds, counts, strict=True)
        )
        raise ConvRNNError(
            f"images were on for several durations ({told} presentations). Select one, such as "
            f"`image_ms={kinds[counts.argmax()]:g}`, and treat the others separately."
        )
    duration = float(_in_steps(np.array(usual)))
    if asked is not None and abs(asked - usual) > MS_PER_STEP / 2:
        raise ConvRNNError(
            f"`image_ms={asked:g}`, but the recording's image_on_ms is {usual:g} (median): omit "
            "`image_ms=…`, or correct the recording."
        )
    if (known == duration).all():
        return duration, ""
    measured = f"{known.min():g} to {known.max():g} ms (median {usual:g})"
    if known.min() == known.max():
        measured = f"{usual:g} ms"
    return duration, f"images were on for {measured}: the networks see them for {duration:g} ms"


def has_mixed_durations(measured: Any) -> bool:
    """Whether durations in ms differ by more than displays do, in more than a few presentations."""
    known = np.asarray(measured, np.float64)
    known = known[np.isfinite(known)]
    return bool(len(known)) and bool((abs(known - np.median(known)) > MS_PER_STEP).mean() > SOME)


def _in_steps(times: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(np.round(times / MS_PER_STEP), 1) * MS_PER_STEP)


def as_presentation(presentation: Any, default: Presentation) -> Presentation:
    """``presentation``, or ``default`` for None; an error where it is none (its name, say)."""
    if presentation is None:
        return default
    if not isinstance(presentation, Presentation):
        raise ConvRNNError(
            f"presentation={presentation!r}: expected a Presentation, e.g. Presentation.neural()."
        )
    return presentation


def _check_whole(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise ConvRNNError(f"{name}={value!r}: expected a whole number of steps.")


def _check_frames(frames: Any) -> tuple[Frame, ...]:
    """The frames of a sequence and their durations in ms."""
    try:
        pairs = [(frame, float(duration)) for frame, duration in frames]
    except (TypeError, ValueError):
        raise ConvRNNError(
            f"frames={frames!r}: expected pairs of a frame and its duration in ms, such as "
            '[("image", 30), ("gray", 20)].'
        ) from None
    for frame, duration in pairs:
        if not 0 < duration < np.inf:
            raise ConvRNNError(
                f"frame {_in_short(frame)}: {duration:g} ms; expected a positive duration."
            )
    if not any(_is_image(frame) for frame, _ in pairs):
        raise ConvRNNError("the sequence never shows the stimulus: add the frame 'image'.")
    return tuple(pairs)


def _is_image(frame: Any) -> bool:
    return isinstance(frame, str) and frame == IMAGE


def _is_file(frame: Any) -> bool:
    return isinstance(frame, str | PathLike) and frame not in NAMED


def _of_sequence(frames: Sequence[Frame], times: int) -> dict[str, Any]:
    """The attributes of a presentation that a sequence makes."""
    ends = np.cumsum([duration for _, duration in frames])
    starts = np.concatenate([[0], ends[:-1]])
    shown = shown_at_steps(starts, ends, times)
    fixed: dict[str, NDArray[np.float32]] = {}
    names: dict[str, str] = {}
    labels, said, rounded = [], [], []
    for index, (frame, duration) in enumerate(frames):
        steps = np.flatnonzero(shown == index)
        if not len(steps):
            raise ConvRNNError(
                f"frame {_in_short(frame)}, {duration:g} ms from {starts[index]:g} ms on, falls "
                f"between two steps and is never shown: steps are {MS_PER_STEP} ms."
            )
        label = IMAGE
        if not _is_image(frame):
            named = isinstance(frame, str) and frame in NAMED
            array, label = _understand("frame", NAMED[frame] if named else frame)
            fixed.setdefault(label, array)
            names[label] = Path(frame).name if _is_file(frame) else label
        labels.append(label)
        start, end = steps[0] * MS_PER_STEP, (steps[-1] + 1) * MS_PER_STEP
        said.append(f"{label} {start}–{end} ms")
        if abs(start - starts[index]) > 1e-3 or abs(end - ends[index]) > 1e-3:
            rounded.append(
                f"{_in_short(frame)} for {start}–{end} ms instead of {starts[index]:g}–"
                f"{ends[index]:g} ms"
            )
    array, label = _understand("off", NAMED["off"])
    fixed.pop(label, None)
    fixed[label] = array  # the last, as it is shown after the end
    places = {IMAGE: 0} | {label: 1 + index for index, label in enumerate(fixed)}
    note = f"steps are {MS_PER_STEP} ms: the networks see {', '.join(rounded)}"
    return {
        "fixed_frames": tuple(fixed.values()),
        "schedule": tuple(places[labels[index]] for index in shown),
        "off_label": ", ".join(said),
        "_labels": tuple(names.get(label, label) for label in fixed),
        "note": note if rounded else "",
    }


def _understand(name: str, off: Any) -> tuple[NDArray[np.float32], str]:
    """The off stimulus as a frame [1, 224, 224, 3] and in words, whichever way it was given."""
    shape = (1, images.SIZE, images.SIZE, 3)
    if isinstance(off, str | PathLike):
        frame = images.load_image(Path(off))[None]
        return frame, _image_label(frame)
    try:
        values = np.asarray(off)
    except ValueError:
        values = np.asarray(None)
    number_or_colour, image = values.shape in ((), (3,)), values.shape in (shape[1:], shape)
    kind = values.dtype
    if not (
        (number_or_colour and kind.kind in "uif")
        or (image and (kind.kind == "f" or kind == np.uint8))
    ):
        raise ConvRNNError(
            f"`{name}={_in_short(off)}`: expected one number (normalised), an RGB triple (0–255) "
            f"or an image [{images.SIZE}, {images.SIZE}, 3], uint8 or normalised float32."
        )
    label = None
    if values.ndim == 0:
        label = f"{float(values):.9g} (normalised)"
    elif values.shape == (3,):
        if not ((values >= 0) & (values <= 255)).all():
            raise ConvRNNError(f"`{name}={off!r}`: RGB values lie in 0–255.")
        if (values <= 1).all() and (values % 1 > 0).any():
            raise ConvRNNError(
                f"`{name}={off!r}`: RGB values lie in 0–255, not in 0–1; mid-gray is 128, 128, 128."
            )
        label = "rgb " + ",".join(f"{value:.9g}" for value in values)
    if values.shape == (3,) or (image and kind == np.uint8):
        values = images.normalise(values)
    frame = np.broadcast_to(values.astype(np.float32), shape)
    try:
        frame = images.check_normalised(frame)
    except ConvRNNError as error:
        hint = " For gray before normalising give an RGB triple such as (128, 128, 128)."
        raise ConvRNNError(f"{name}: {error}{hint if values.ndim == 0 else ''}") from None
    return frame, label or _image_label(frame)


def _image_label(frame: NDArray[np.float32]) -> str:
    return IMAGE_DIGEST + hashlib.sha256(frame.tobytes()).hexdigest()


def _in_short(off: Any) -> str:
    if isinstance(off, np.ndarray):
        return f"array {list(off.shape)} of {off.dtype}"
    return repr(str(off) if isinstance(off, PathLike) else off)

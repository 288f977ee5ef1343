"""What the eye sees at each step: the image, then (from ``image_off`` on) the off stimulus.

One step is about 10 ms. The off stimulus that the weights were trained with is the constant 0.5 *in
the normalised space*, not gray before normalising (Nayebi et al. 2022).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore import images
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.timing import MS_PER_STEP
from convrnns_brainscore.zoo import find_model

ASSUMED_IMAGE_MS = 100
"""How long images are taken to have been on where neither the user nor the data say it, in ms: as
in the recordings of Nayebi et al. (2022)."""


@dataclass(frozen=True, eq=False)
class Presentation:
    """The stimulus over time.

    Parameters
    ----------
    name : str
        ``"default"``, ``"neural"``, ``"constant"`` or ``"custom"``.
    times : int
        Number of steps.
    image_off : int or None
        The step from which the off stimulus is shown; None: never.
    off : float, RGB triple, array or path, default 0.5
        The off stimulus: one number in the normalised space; or an RGB triple, 0–255; or an image
        (a mask): a file, uint8 [224, 224, 3], or normalised float32 [224, 224, 3].

    Attributes
    ----------
    off_frame : float32 array
        The off stimulus, float32 [1, 224, 224, 3], normalised.
    off_label : str
        The off stimulus in words, exact enough to tell any two apart.

    Raises
    ------
    ConvRNNError
        Fewer than one step, ``image_off`` outside 1…times, or an off stimulus that no image could
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
    off_frame: NDArray[np.float32] = field(init=False, repr=False)
    off_label: str = field(init=False, repr=False)

    def __post_init__(self) -> None:
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
        off_frame, off_label = _understand(self.off)
        object.__setattr__(self, "off_frame", off_frame)
        object.__setattr__(self, "off_label", off_label)

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

    def image_is_on(self, step: int) -> bool:
        """Whether the image is shown at ``step``."""
        return self.image_off is None or step < self.image_off

    def describe(self) -> dict[str, str | int]:
        """All that makes this presentation, as plain values for provenance and cache keys."""
        return {
            "presentation": self.name,
            "times": self.times,
            "image_off": "never" if self.image_off is None else self.image_off,
            "off": "none" if self.image_off is None else self.off_label,
        }

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Presentation) and self._shown() == other._shown()

    def __hash__(self) -> int:
        return hash(self._shown())

    def _shown(self) -> tuple[int, int | None, bytes]:
        off = b"" if self.image_off is None else self.off_frame.tobytes()
        return self.times, self.image_off, off


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
        note = f"images are taken to have been on for {ASSUMED_IMAGE_MS} ms: no duration is given"
        return float(ASSUMED_IMAGE_MS), note
    usual = float(np.median(known))
    if usual < MS_PER_STEP / 2:
        seconds = " Is this in seconds?" if usual > 0 else ""
        raise ConvRNNError(
            f"image_on_ms is {usual:g} (median): images are on for {MS_PER_STEP} ms at least."
            f"{seconds}"
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
    return duration, (
        f"images were on for {known.min():g} to {known.max():g} ms (median {usual:g}): the "
        f"networks see them for {duration:g} ms"
    )


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


def _understand(off: Any) -> tuple[NDArray[np.float32], str]:
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
            f"`off={_in_short(off)}`: expected one number (normalised), an RGB triple (0–255) or "
            f"an image [{images.SIZE}, {images.SIZE}, 3], uint8 or normalised float32."
        )
    label = None
    if values.ndim == 0:
        label = f"{float(values):.9g} (normalised)"
    elif values.shape == (3,):
        if not ((values >= 0) & (values <= 255)).all():
            raise ConvRNNError(f"`off={off!r}`: RGB values lie in 0–255.")
        label = "rgb " + ",".join(f"{value:.9g}" for value in values)
    if values.shape == (3,) or (image and kind == np.uint8):
        values = images.normalise(values)
    frame = np.broadcast_to(values.astype(np.float32), shape)
    try:
        frame = images.check_normalised(frame)
    except ConvRNNError as error:
        hint = " For gray before normalising give an RGB triple such as (128, 128, 128)."
        raise ConvRNNError(f"off: {error}{hint if values.ndim == 0 else ''}") from None
    return frame, label or _image_label(frame)


def _image_label(frame: NDArray[np.float32]) -> str:
    return "image sha256:" + hashlib.sha256(frame.tobytes()).hexdigest()


def _in_short(off: Any) -> str:
    return f"array {list(off.shape)} of {off.dtype}" if isinstance(off, np.ndarray) else repr(off)

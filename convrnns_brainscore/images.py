"""An image file → what the networks see: RGB, 224 × 224, ImageNet-normalised.

One function, `load_image`, reads every stimulus of this package, whatever the route; `load_cropped`
differs in the last two points, for ImageNet's validation images.

* A pixel's meaning follows the file's type: 8-bit samples are over 255, 16-bit samples over 65535,
  or over the highest value that a TIFF states (4095 of 12-bit samples). 16-bit samples that reach a
  quarter of their range at most are refused where nothing is stated: a camera of 12 bits and a dark
  picture look alike. So are floating-point samples, whose range is not written in the file.
* TIFFs in which white is zero are read as they are seen.
* EXIF rotation is applied: the network sees what a person sees. ICC profiles are not applied.
* Transparent pixels are shown on mid gray (128): what lies under transparency is not seen. An image
  that is transparent throughout is refused.
* Of several frames or pages, the first (`has_several_frames`).
* The whole image is resized to 224 × 224, without crop and without keeping the aspect ratio (as
  Brain-Score's own models do), by an antialiased triangle filter (Pillow's ``BILINEAR``), each
  channel in float32.
* The image fills the 8° × 8° that the networks see, unless its size in degrees is given: then it is
  placed at its size in the middle of that field, on mid gray, and what reaches beyond is cut off
  (as Brain-Score's ``place_on_screen`` does, without its rounding to 8 bit).
"""

from __future__ import annotations

import logging
import math
import warnings
from collections.abc import Callable, Iterator, Sequence
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.errors import ConvRNNError, missing

if TYPE_CHECKING:
    from PIL import Image

_log = logging.getLogger(__name__)

Read = TypeVar("Read")

TEXT_CHUNK = 64 * 2**20
"""Bytes of text in a PNG beyond which it is refused; Pillow's own limit is 1 MiB."""

SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".webp")
"""File names that count as images in a folder or pattern (upper or lower case)."""

DARK = 65535 // 4
"""16-bit samples that reach no further may be of fewer bits."""

SAMPLE_BITS, PHOTOMETRIC, HIGHEST_SAMPLE, PLANAR, SAMPLE_FORMAT = 258, 262, 281, 284, 339
WHITE_IS_ZERO = 0
"""Tags of TIFF, and a value of the second."""

ORIENTATION = 0x0112
"""Tag of EXIF."""

SIZE = 224
"""Height and width of the input, in pixels."""

SHORTER_SIDE = 256
"""Of ImageNet's validation images, in pixels, before their middle is cut out."""

VISUAL_DEGREES = 8
"""The field of view that the 224 × 224 input stands for, in degrees."""

MEAN = np.array([0.485, 0.456, 0.406], np.float32)
STD = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's mean and standard deviation per channel (RGB), for pixels in [0, 1]."""

INVISIBLE = "the image is fully transparent."

GRAY = 128
"""Of 255: what surrounds a stimulus and lies behind transparency."""

_LOWEST, _HIGHEST = (0 - MEAN) / STD, (1 - MEAN) / STD
_ROUNDING = 1e-3


def normalise(pixels: ArrayLike) -> NDArray[np.float32]:
    """Pixels in 0–255 (RGB, last axis), 8 bit or float, to the networks' normalised space.

    Examples
    --------
    >>> normalise([0, 0, 0]).round(3)
    array([-2.118, -2.036, -1.804], dtype=float32)
    """
    unit = np.asarray(pixels, np.float32) / np.float32(255)
    return np.asarray((unit - MEAN) / STD, np.float32)


FIRST = (3, SIZE, SIZE)
"""The shape of an image whose channels come first."""


def check_normalised(images: Any) -> NDArray[np.float32]:
    """``images`` as float32 [batch, 224, 224, 3], or an error that says what is wrong with them.

    Raises
    ------
    ConvRNNError
        Wrong shape, not floating point, NaN, or values that no normalised pixel has.
    """
    try:
        images = np.asarray(images)
    except ValueError:
        raise ConvRNNError("images are of different shapes; expected one array.") from None
    check_shape(images.shape)
    if not np.issubdtype(images.dtype, np.floating):
        raise ConvRNNError(
            f"images are of type {images.dtype}; expected normalised float32. "
            "Give convrnns_brainscore.images.normalise(images) for 8-bit RGB."
        )
    images = np.asarray(images, np.float32)
    if not np.isfinite(images).all():
        first = int(np.argwhere(~np.isfinite(images).all(axis=(1, 2, 3)))[0, 0])
        raise ConvRNNError(f"image {first} of the batch contains NaN or infinite pixels.")
    # Along rows first: numpy is slow over an inner axis of three.
    rows = images.reshape(-1, SIZE * 3)
    low, high = (of(axis=0).reshape(-1, 3) for of in (rows.min, rows.max))
    low, high = low.min(axis=0), high.max(axis=0)
    spread = high.max() - low.min()
    if low.min() >= 0 and high.max() <= 1 and spread > 0.5:
        warnings.warn(
            "the images' values lie within 0–1: are they not normalised yet? Give "
            "convrnns_brainscore.images.normalise(255 * images).",
            stacklevel=3,
        )
    elif low.min() >= -1 and high.max() <= 1 and spread > 1.5:
        warnings.warn(
            "the images' values lie within −1…1: are they not normalised yet? Give "
            "convrnns_brainscore.images.normalise(127.5 * (images + 1)).",
            stacklevel=3,
        )
    if (low < _LOWEST - _ROUNDING).any() or (high > _HIGHEST + _ROUNDING).any():
        raise ConvRNNError(
            f"pixels reach from {low.min():.4g} to {high.max():.4g}, outside what normalised "
            f"images can hold ({_LOWEST.min():.3f} to {_HIGHEST.max():.3f}). Give "
            "convrnns_brainscore.images.normalise(images) for pixels in 0–255."
        )
    return images


def check_shape(shape: Sequence[int | None], channels_first: bool = False) -> None:
    """Raise unless ``shape`` is that of a batch of images."""
    expected = FIRST if channels_first else (SIZE, SIZE, 3)
    if len(shape) == 4 and tuple(shape[1:]) == expected and shape[0] != 0:
        return
    hint = "convrnns_brainscore.images.load_images makes such arrays from files."
    if len(shape) == 5:
        hint = "Only `ConvRNN.unroll` takes an axis of steps."
    elif tuple(shape[1:]) == FIRST:
        hint = "Give `channels_first=True`, or move the channels to the end."
    raise ConvRNNError(
        f"images have shape {list(shape)}; expected [batch, {', '.join(map(str, expected))}], "
        f"channels {'first' if channels_first else 'last'}. {hint}"
    )


def load_image(path: str | PathLike[str], degrees: float = VISUAL_DEGREES) -> NDArray[np.float32]:
    """One image file as float32 [224, 224, 3], normalised. The module's text says how.

    Parameters
    ----------
    path : str or path
        The file.
    degrees : float, default VISUAL_DEGREES
        The width of the stimulus in degrees of visual angle; 8 fills the field.

    Raises
    ------
    ConvRNNError
        No such file, not an image, broken, or of floating-point samples; degrees that leave nothing
        of the image.
    """
    if not 0 < degrees < np.inf:
        raise ConvRNNError(f"{path}: {degrees:g} degrees; expected a positive number.")
    return _load(path, lambda channel: _in_field(channel, degrees))


def load_cropped(path: str | PathLike[str]) -> NDArray[np.float32]:
    """One image file as networks are tested on ImageNet: the middle [224, 224, 3], normalised, of
    the image resized to a shorter side of 256.

    Ours, and the usual way (Krizhevsky et al. 2012 and most since): the paper does not say how the
    validation images were resized. The same filter as of `load_image`.

    Raises
    ------
    ConvRNNError
        No such file, not an image, broken, or of floating-point samples.
    """
    return _load(path, _middle)


def _load(
    path: str | PathLike[str], fit: Callable[[Image.Image], NDArray[np.float32]]
) -> NDArray[np.float32]:
    """A file's channels in 0–255, each made [224, 224] by ``fit``, normalised."""
    return _read(path, lambda image, turned: _shown(image, fit, turned))


def is_plain(path: str | PathLike[str]) -> bool:
    """Whether a file is an upright PNG of opaque gray or RGB, which all readers show alike.

    Raises
    ------
    ConvRNNError
        As `load_image`.
    """

    def plain(image: Image.Image, turned: Image.Transpose | None) -> bool:
        alike = image.mode in ("L", "RGB") and not image.has_transparency_data
        return image.format == "PNG" and alike and turned is None

    return _read(path, plain)


def upright_rgb(path: str | PathLike[str]) -> Image.Image:
    """An image as `load_image` reads it, in its own size and rounded to 8-bit RGB: upright, with
    transparency on gray.

    Raises
    ------
    ConvRNNError
        As `load_image`.
    """

    def rounded(image: Image.Image, turned: Image.Transpose | None) -> Image.Image:
        upright = [np.asarray(_upright(channel, turned)) for channel in _channels(image)]
        bands = [np.rint(band).astype(np.uint8) for band in upright]
        return Image.fromarray(np.stack(bands, axis=-1))

    from PIL import Image

    return _read(path, rounded)


def _read(
    path: str | PathLike[str], reader: Callable[[Image.Image, Image.Transpose | None], Read]
) -> Read:
    """A file read by ``reader``, which is given the image and the turn that makes it upright."""
    from PIL import Image, PngImagePlugin

    # Software that edits pictures writes its history there, which is no part of the picture.
    PngImagePlugin.MAX_TEXT_CHUNK = max(PngImagePlugin.MAX_TEXT_CHUNK, TEXT_CHUNK)
    if not isinstance(path, str | PathLike):
        raise ConvRNNError(f"{path!r} is not the path of an image file.")
    path = Path(path)
    if path.exists() and not path.is_file():  # a pipe would be waited for
        raise ConvRNNError(f"{path} is a folder, a device or a pipe, not an image file.")
    try:
        with Image.open(path) as image:
            reduced = _is_reduced(image)
            image.load()
            _check_samples(image)
            if reduced:
                _check_reduced(image)
            return reader(image, _turn(image))
    except ConvRNNError as error:
        raise ConvRNNError(f"{path}: {error}") from None
    except FileNotFoundError:
        raise missing(path, f"no such image file: {path}.") from None
    # Pillow's decoders raise SyntaxError, struct.error, ValueError … besides OSError, and the
    # guard against decompression bombs is none of these.
    except Exception as error:
        raise ConvRNNError(f"cannot read image {path}: {_first_line(error)}") from error


def frame_in_field(image: Image.Image, degrees: float = VISUAL_DEGREES) -> NDArray[np.float32]:
    """As `load_image`, of an image that has been read already, such as a movie's frame.

    Raises
    ------
    ConvRNNError
        Nothing of it is visible; degrees that leave nothing of it.
    """
    return _shown(image, lambda channel: _in_field(channel, degrees))


def _shown(
    image: Image.Image,
    fit: Callable[[Image.Image], NDArray[np.float32]],
    turned: Image.Transpose | None = None,
) -> NDArray[np.float32]:
    channels = [fit(_upright(channel, turned)) for channel in _channels(image)]
    return normalise(np.stack(channels, axis=-1))


def _upright(channel: Image.Image, turned: Image.Transpose | None) -> Image.Image:
    return channel if turned is None else channel.transpose(turned)


def load_images(
    paths: str | Path | Sequence[str | Path], degrees: Sequence[float] | None = None
) -> NDArray[np.float32]:
    """One or more image files as one float32 array [batch, 224, 224, 3], normalised.

    Parameters
    ----------
    paths : str, path or sequence of str or path
        The files.
    degrees : sequence of float, optional
        The width of each in degrees of visual angle; None: each fills the field.

    Raises
    ------
    ConvRNNError
        No files, or as `load_image`.
    """
    paths = [paths] if isinstance(paths, str | Path) else list(paths)
    if not paths:
        raise ConvRNNError("no image files to load.")
    sizes = [float(VISUAL_DEGREES)] * len(paths) if degrees is None else degrees
    return np.stack([load_image(*each) for each in zip(paths, sizes, strict=True)])


def has_several_frames(path: str | PathLike[str]) -> bool:
    """Whether an image file holds several frames or pages, of which the first is shown.

    The further pictures of a camera's MPO file, such as a preview, are not counted.
    """
    from PIL import Image

    with Image.open(path) as image:
        return getattr(image, "n_frames", 1) > 1 and image.format not in ("MPO", "PSD")


def _turn(image: Image.Image) -> Image.Transpose | None:
    """What makes an image upright by its EXIF; None: it is, or its EXIF cannot be read.

    By the one tag: EXIF that is damaged elsewhere does not cost the picture.
    """
    from PIL import Image

    turns = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_270,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_90,
    }
    try:
        return turns.get(int(image.getexif().get(ORIENTATION, 1)))
    except Exception as error:  # of any kind
        _log.info("EXIF of %s cannot be read: %s", getattr(image, "filename", "?"), error)
        return None


def _check_samples(image: Image.Image) -> None:
    """Refuse samples whose range the file does not state: floating point and 32-bit integers."""
    # Pillow reads 16-bit PNG and PNM files as 32-bit "I"; of other formats, "I" is 32 bit.
    sixteen_bit = image.mode.startswith("I;16") or image.format in ("PNG", "PPM")
    if image.mode == "LAB":
        raise ConvRNNError("holds L*a*b* colours, which are not supported. Save it as RGB.")
    if _in_planes(image):
        raise ConvRNNError(
            "holds uncompressed 16-bit colours in separate planes, which cannot be read. Save it "
            "with interleaved channels, or as PNG."
        )
    if _is_signed(image):
        raise ConvRNNError("holds signed samples. Save it with unsigned ones.")
    if image.mode == "F" or (image.mode.startswith("I") and not sixteen_bit):
        kind = "floating-point" if image.mode == "F" else "32-bit"
        raise ConvRNNError(
            f"holds {kind} samples, whose range is not stated. Save it as 8 or 16 bit."
        )


def _in_planes(image: Image.Image) -> bool:
    """Whether a TIFF has 16-bit samples in planes without compression: Pillow takes them as 8."""
    tags: Any = getattr(image, "tag_v2", {})
    bits = np.atleast_1d(tags.get(SAMPLE_BITS, 8))
    apart = tags.get(PLANAR, 1) == 2 and len(image.getbands()) > 1
    return apart and int(bits.max()) > 8 and image.info.get("compression") == "raw"


def _is_signed(image: Image.Image) -> bool:
    """Whether a TIFF has signed 8-bit samples: Pillow takes them as unsigned."""
    tags: Any = getattr(image, "tag_v2", {})
    signed = 2 in np.atleast_1d(tags.get(SAMPLE_FORMAT, 1)).tolist()
    return signed and not image.mode.startswith("I")


def _is_reduced(image: Image.Image) -> bool:
    """Whether Pillow will read 16-bit samples as their higher 8 bits, as it does of colours."""
    tiles: Any = getattr(image, "tile", None)
    arguments = tiles[0][3] if tiles else ""
    layout = arguments[0] if isinstance(arguments, tuple) and arguments else arguments
    return ";16" in str(layout) and not image.mode.startswith("I")


def _check_reduced(image: Image.Image) -> None:
    """Refuse 16-bit colours that are dark as those of fewer bits are."""
    colours = [band for band in image.getbands() if band != "A"]
    brightest = max(int(np.asarray(image.getchannel(band)).max()) for band in colours)
    if 0 < brightest <= DARK >> 8:
        raise ConvRNNError(
            f"its 16-bit samples reach {brightest * 257} of 65535: they may have fewer bits, such "
            "as a camera's 12, or the picture may be dark. Save it as 8 bit."
        )


def _channels(image: Image.Image) -> Iterator[Image.Image]:
    """Red, green and blue in 0–255 as float images, one at a time; transparency laid on gray."""
    from PIL import Image

    if image.mode.startswith("I"):
        yield from [Image.fromarray(_sixteen_bit(image))] * 3
    elif image.has_transparency_data:
        *bands, alpha = image.convert("RGBA").split()
        opacity = np.asarray(alpha, np.float32) / np.float32(255)
        if not opacity.any():
            raise ConvRNNError(INVISIBLE)
        for band in bands:
            value = np.asarray(band, np.float32)
            yield Image.fromarray(value * opacity + np.float32(GRAY) * (1 - opacity))
    else:
        for band in image.convert("RGB").split():
            yield band.convert("F")


def _sixteen_bit(image: Image.Image) -> NDArray[np.float32]:
    """16-bit gray in 0–255."""
    levels = np.asarray(image)
    hidden = levels == image.info.get("transparency", -1)
    if hidden.all():
        raise ConvRNNError(INVISIBLE)
    tags = getattr(image, "tag_v2", {})
    highest, stated = _highest_sample(tags)
    brightest = int(levels.max())
    # Samples that 8-bit ones were scaled to are multiples of 257: those of a dark picture.
    if not stated and 0 < brightest <= DARK and (levels % 257).any():
        raise ConvRNNError(
            f"its 16-bit samples reach {brightest} of 65535: they may have fewer bits, such as a "
            "camera's 12, or the picture may be dark. Save it as 8 bit."
        )
    if brightest > highest:
        raise ConvRNNError(f"its samples reach {brightest}, above its stated maximum of {highest}.")
    gray = levels.astype(np.float32) / np.float32(highest / 255)
    if tags.get(PHOTOMETRIC) == WHITE_IS_ZERO:
        gray = np.float32(255) - gray
    gray[hidden] = GRAY
    return gray


def _highest_sample(tags: Any) -> tuple[int, bool]:
    """The value that stands for white, and whether a TIFF states it."""
    bits, most = tags.get(SAMPLE_BITS, (16,))[0], tags.get(HIGHEST_SAMPLE)
    most = most[0] if isinstance(most, tuple) else most
    if bits < 16:
        return 2**bits - 1, True
    if most and int(most) + 1 in (2**10, 2**12, 2**14):  # others are the picture's own maximum
        return int(most), True
    return 65535, most == 65535


def _middle(channel: Image.Image) -> NDArray[np.float32]:
    """The middle of a channel whose shorter side is made `SHORTER_SIDE`."""
    from PIL import Image

    shorter = min(channel.size)
    width, height = (max(SIZE, round(side * SHORTER_SIDE / shorter)) for side in channel.size)
    resized = channel.resize((width, height), Image.Resampling.BILINEAR)
    left, top = round((width - SIZE) / 2), round((height - SIZE) / 2)
    return np.asarray(resized.crop((left, top, left + SIZE, top + SIZE)))


def _in_field(channel: Image.Image, degrees: float) -> NDArray[np.float32]:
    """A channel in 0–255 at its size in the field of view, [224, 224].

    The field in the image's own pixels, resized to 224. Where the image is small in it, only what
    of the field reaches into the image is made, or it would be as large as the image is small.
    """
    from PIL import Image

    if degrees < VISUAL_DEGREES / SIZE:
        raise ConvRNNError(
            f"at {degrees:g} degrees it is smaller than a pixel of the network's input "
            f"({VISUAL_DEGREES / SIZE:.3f} degrees)."
        )
    ratio = VISUAL_DEGREES / degrees
    field = [round(ratio * length) for length in channel.size]
    if min(field) < 1:
        raise ConvRNNError(
            f"at {degrees:g} degrees, less than one pixel of the image lies within the 8-degree "
            "field."
        )
    start = [round((f - length) / 2) for f, length in zip(field, channel.size, strict=True)]
    if ratio <= 1:
        box = -start[0], -start[1], field[0] - start[0], field[1] - start[1]
        cropped = channel.crop(box)
        return np.asarray(cropped.resize((SIZE, SIZE), Image.Resampling.BILINEAR))

    # Per axis: the output's pixels that see the image, and the part of the field that they see.
    output, region = [], []
    for f, first, length in zip(field, start, channel.size, strict=True):
        pixel = f / SIZE
        reach = max(pixel, 1)  # of the triangle filter, to either side of a pixel's centre
        seeing = (
            max(0, math.floor((first - reach) / pixel - 0.5)),
            min(SIZE, math.ceil((first + length + reach) / pixel + 0.5)),
        )
        output.append(seeing)
        low = max(0, math.floor(seeing[0] * pixel - reach))
        region.append((low, min(f, math.ceil(seeing[1] * pixel + reach))))
    canvas = Image.new("F", tuple(high - low for low, high in region), GRAY)  # type: ignore[arg-type]
    canvas.paste(channel, (start[0] - region[0][0], start[1] - region[1][0]))
    (left, right), (top, bottom) = output
    box_ends = [
        [end * f / SIZE - low for end in seeing]
        for f, seeing, (low, _) in zip(field, output, region, strict=True)
    ]
    part = canvas.resize(
        (right - left, bottom - top),
        Image.Resampling.BILINEAR,
        box=(box_ends[0][0], box_ends[1][0], box_ends[0][1], box_ends[1][1]),
    )
    shown = np.full((SIZE, SIZE), GRAY, np.float32)
    shown[top:bottom, left:right] = np.asarray(part)
    return shown


def _first_line(error: Exception) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]

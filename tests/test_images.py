from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.images import (
    check_normalised,
    load_image,
    load_images,
    normalise,
)
from convrnns_brainscore.stimuli import check_images, read_stimuli

RNG = np.random.default_rng(0)
SCENE = RNG.integers(0, 256, (224, 224, 3), dtype=np.uint8)


def save(path: Path, pixels: np.ndarray, **options: object) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_an_image_of_the_right_size_is_normalised_as_it_is(tmp_path: Path) -> None:
    loaded = load_image(save(tmp_path / "a.png", SCENE))
    assert loaded.dtype == np.float32
    np.testing.assert_allclose(loaded, normalise(SCENE), atol=1e-6)


def test_the_whole_image_is_resized_with_antialiasing(tmp_path: Path) -> None:
    board = (np.indices((1792, 1792)).sum(axis=0) % 2 * 255).astype(np.uint8)
    gray = load_image(save(tmp_path / "board.png", board))
    np.testing.assert_allclose(gray, np.broadcast_to(normalise([127.5] * 3), gray.shape), atol=0.01)
    wide = np.zeros((100, 300, 3), np.uint8)
    wide[:, 150:] = 255
    halves = load_image(save(tmp_path / "wide.png", wide))
    assert halves.shape == (224, 224, 3)
    assert halves[:, :100].max() < 0 < halves[:, 124:].min()  # no crop: both halves are there


def test_a_pixels_meaning_follows_the_files_type(tmp_path: Path) -> None:
    """16-bit gray reads as its 8-bit twin, however bright the picture is."""
    for brightest in (255, 3):
        ramp = np.linspace(0, brightest, 224 * 224).round().reshape(224, 224)
        eight = load_image(save(tmp_path / "8.png", ramp.astype(np.uint8)))
        for suffix in ("png", "tif"):
            path = save(tmp_path / f"16.{suffix}", (ramp * 257).astype(np.uint16))
            np.testing.assert_allclose(load_image(path), eight, atol=1e-5)


@pytest.mark.parametrize(("dtype", "kind"), [(np.float32, "floating-point"), (np.int32, "32-bit")])
def test_samples_without_a_stated_range_are_refused(tmp_path: Path, dtype: type, kind: str) -> None:
    path = save(tmp_path / "a.tif", np.ones((8, 8), dtype))
    with pytest.raises(ConvRNNError, match=rf"a\.tif: holds {kind} samples"):
        load_image(path)


def test_what_lies_under_transparency_is_not_seen(tmp_path: Path) -> None:
    def with_hidden(colour: int) -> np.ndarray:
        rgba = np.dstack([SCENE, np.full((224, 224), 255, np.uint8)])
        rgba[:112] = (colour, colour, colour, 0)
        return load_image(save(tmp_path / f"{colour}.png", rgba))

    np.testing.assert_array_equal(with_hidden(0), with_hidden(255))
    np.testing.assert_allclose(with_hidden(0)[0, 0], normalise([128] * 3), atol=1e-5)
    np.testing.assert_allclose(with_hidden(0)[200], normalise(SCENE)[200], atol=1e-5)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_rotation_is_applied(tmp_path: Path, orientation: int) -> None:
    turned = Image.fromarray(SCENE)
    undo = {
        2: [Image.Transpose.FLIP_LEFT_RIGHT],
        3: [Image.Transpose.ROTATE_180],
        4: [Image.Transpose.FLIP_TOP_BOTTOM],
        5: [Image.Transpose.TRANSPOSE],
        6: [Image.Transpose.ROTATE_90],
        7: [Image.Transpose.TRANSVERSE],
        8: [Image.Transpose.ROTATE_270],
    }.get(orientation, [])
    for operation in undo:
        turned = turned.transpose(operation)
    exif = Image.Exif()
    exif[0x0112] = orientation
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(load_image(tmp_path / "turned.png"), normalise(SCENE), atol=1e-5)


def test_palette_gray_and_cmyk_are_read_as_rgb(tmp_path: Path) -> None:
    rgb = load_image(save(tmp_path / "rgb.png", SCENE))
    gray = Image.fromarray(SCENE).convert("L")
    gray.save(tmp_path / "gray.png")
    assert np.ptp(load_image(tmp_path / "gray.png") * 0.225, axis=-1).max() < 0.6
    flat = np.zeros((64, 64, 3), np.uint8) + np.array([200, 30, 90], np.uint8)
    expected = load_image(save(tmp_path / "flat.png", flat))
    Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    Image.fromarray(flat).convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    np.testing.assert_allclose(load_image(tmp_path / "p.png"), expected, atol=0.05)
    np.testing.assert_allclose(load_image(tmp_path / "cmyk.jpg"), expected, atol=0.15)
    assert rgb.shape == expected.shape


def test_broken_files_are_named(tmp_path: Path) -> None:
    whole = save(tmp_path / "whole.jpg", SCENE)
    broken = {
        "cut.jpg": whole.read_bytes()[:5000],
        "empty.png": b"",
        "page.jpg": b"<html></html>",
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ConvRNNError, match=f"cannot read image .*{name}"):
            load_image(tmp_path / name)
    with pytest.raises(ConvRNNError, match="no such image file"):
        load_image(tmp_path / "absent.png")


def test_a_decompression_bomb_is_refused(tmp_path: Path, monkeypatch) -> None:
    path = save(tmp_path / "bomb.png", SCENE)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)
    with pytest.raises(ConvRNNError, match=r"cannot read image .*bomb\.png"):
        load_image(path)


@pytest.mark.parametrize("marker", [True, False])
def test_cmyk_jpegs_are_no_negatives(tmp_path: Path, marker: bool) -> None:
    """With Adobe's marker and without: both hold inverted inks, as every viewer takes them."""
    smooth = np.stack(np.meshgrid(*[np.linspace(40, 200, 64)] * 2), axis=-1).astype(np.uint8)
    picture = np.dstack([smooth, np.full((64, 64), 90, np.uint8)])
    path = tmp_path / "cmyk.jpg"
    Image.fromarray(picture).convert("CMYK").save(path, quality=98)
    content = path.read_bytes()
    at = content.index(b"\xff\xee")
    assert content[at + 4 : at + 9] == b"Adobe"
    if not marker:
        length = int.from_bytes(content[at + 2 : at + 4], "big")
        path.write_bytes(content[:at] + content[at + 2 + length :])
    read = load_image(path)
    twin, negative = (load_image(save(tmp_path / "rgb.png", p)) for p in (picture, 255 - picture))
    assert np.abs(read - twin).mean() * 10 < np.abs(read - negative).mean()


def test_sixteen_bit_gray_with_a_transparent_level_is_read_as_sixteen_bit(tmp_path: Path) -> None:
    ramp = np.linspace(0, 65535, 224 * 224).round().reshape(224, 224).astype(np.uint16)
    Image.fromarray(ramp).save(tmp_path / "plain.png")
    Image.fromarray(ramp).save(tmp_path / "keyed.png", transparency=int(ramp[100, 0]))
    plain, keyed = (load_image(tmp_path / f"{name}.png") for name in ("plain", "keyed"))
    changed = (plain != keyed).any(axis=-1)
    assert changed.sum() == 1
    np.testing.assert_allclose(keyed[changed][0], normalise([128] * 3), atol=1e-5)


def test_an_animation_is_read_as_its_first_frame(tmp_path: Path) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(tmp_path / "two.gif", save_all=True, append_images=frames[1:])
    np.testing.assert_allclose(load_image(tmp_path / "two.gif")[5, 5], normalise([255, 0, 0]))


def tiff(samples: np.ndarray, bits: int, **tags: int) -> bytes:
    """A gray TIFF of one strip; 12-bit samples are packed."""
    height, width = samples.shape
    if bits == 12:
        pairs = samples.reshape(-1, 2).astype(int)
        packed = np.stack(
            [pairs[:, 0] >> 4, (pairs[:, 0] & 15) << 4 | pairs[:, 1] >> 8, pairs[:, 1] & 255],
            axis=1,
        )
        content = packed.astype(np.uint8).tobytes()
    else:
        content = samples.astype("<u2").tobytes()
    entries = {256: width, 257: height, 258: bits, 259: 1, 262: 1, 273: 8, 277: 1, 278: height}
    entries |= {279: len(content)} | {int(tag[1:]): value for tag, value in tags.items()}
    directory = struct.pack("<H", len(entries))
    for tag, value in sorted(entries.items()):
        directory += struct.pack("<HHII", tag, 4 if value > 65535 else 3, 1, value)
    return struct.pack("<2sHI", b"II", 42, 8 + len(content)) + content + directory + bytes(4)


@pytest.mark.parametrize(
    ("bits", "highest", "tags"),
    [
        (12, 4095, {}),
        (16, 4095, {"t281": 4095}),
        (16, 16383, {"t281": 16383}),
        (16, 65535, {"t262": 0}),
    ],
    ids=["12 bits", "12 bits in 16, stated", "14 bits in 16, stated", "white is zero"],
)
def test_the_samples_of_a_tiff_mean_what_its_tags_say(
    bits: int, highest: int, tags: dict[str, int], tmp_path: Path
) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64)
    levels = (1 - ramp if tags.get("t262") == 0 else ramp) * highest
    (tmp_path / "a.tif").write_bytes(tiff(levels.round(), bits, **tags))
    eight = load_image(save(tmp_path / "8.png", (255 * ramp).round().astype(np.uint8)))
    np.testing.assert_allclose(load_image(tmp_path / "a.tif"), eight, atol=0.01)


@pytest.mark.parametrize("suffix", ["png", "tif"])
@pytest.mark.parametrize("highest", [255, 1023, 4095, 16383])
def test_fewer_bits_in_sixteen_are_refused_where_nothing_says_so(
    suffix: str, highest: int, tmp_path: Path
) -> None:
    ramp = np.linspace(0, highest, 64 * 64).reshape(64, 64).astype(np.uint16)
    path = save(tmp_path / f"camera.{suffix}", ramp)
    with pytest.raises(ConvRNNError, match=rf"camera.*reach {highest} of 65535.*as 8 bit"):
        load_image(path)


def png_of_sixteen_bits(samples: np.ndarray) -> bytes:
    """A PNG of 16-bit gray and alpha, RGB or RGBA, none of which Pillow writes."""
    height, width, channels = samples.shape
    colour_type = {2: 4, 3: 2, 4: 6}[channels]
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)

    def chunk(name: bytes, content: bytes) -> bytes:
        check = zlib.crc32(name + content)
        return struct.pack(">I", len(content)) + name + content + struct.pack(">I", check)

    header = struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0)
    parts = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_colours_of_fewer_bits_in_sixteen_are_refused_too(channels: int, tmp_path: Path) -> None:
    ramp = np.linspace(0, 1, 64 * 64).reshape(64, 64, 1)
    opaque = np.ones((64, 64, 1))
    parts = [ramp] * (channels - (channels != 3)) + [opaque] * (channels != 3)
    samples = np.concatenate(parts, axis=2)
    path = tmp_path / "colours.png"
    path.write_bytes(png_of_sixteen_bits((samples * 4095).round()))
    with pytest.raises(ConvRNNError, match=r"colours.*of 65535: .*a camera's 12.*as 8 bit"):
        load_image(path)
    path.write_bytes(png_of_sixteen_bits((samples * 65535).round()))
    eight = load_image(save(tmp_path / "8.png", (255 * ramp[..., 0]).round().astype(np.uint8)))
    np.testing.assert_allclose(load_image(path), eight, atol=0.02)


def test_an_image_of_which_nothing_is_visible_is_refused(tmp_path: Path) -> None:
    clear = np.dstack([SCENE, np.zeros((224, 224), np.uint8)])
    Image.fromarray(SCENE[..., 0]).save(tmp_path / "keyed.png")
    flat = Image.new("I;16", (8, 8), 700)
    flat.save(tmp_path / "deep.png", transparency=700)
    for path in (save(tmp_path / "clear.png", clear), tmp_path / "deep.png"):
        with pytest.raises(ConvRNNError, match=f"{path.name}: the image is fully transparent"):
            load_image(path)
    clear[100, 100, 3] = 255
    load_image(save(tmp_path / "clear.png", clear))


WRITTEN = [
    ("1", "png"), ("1", "tif"), ("1", "bmp"), ("1", "gif"), ("L", "png"), ("L", "tif"),
    ("L", "bmp"), ("L", "webp"), ("L", "jp2"), ("LA", "png"), ("LA", "tif"), ("P", "png"),
    ("P", "tif"), ("P", "bmp"), ("P", "gif"), ("PA", "png"), ("RGB", "png"), ("RGB", "tif"),
    ("RGB", "bmp"), ("RGB", "ppm"), ("RGB", "tga"), ("RGB", "webp"), ("RGB", "jp2"),
    ("RGBA", "png"), ("RGBA", "tif"), ("RGBA", "webp"), ("RGBA", "tga"), ("RGBX", "tif"),
    ("I;16", "png"), ("I;16", "tif"), ("I;16B", "tif"), ("CMYK", "tif"),
    ("YCbCr", "tif"), ("LAB", "tif"), ("F", "tif"),
]  # fmt: skip
"""Modes of Pillow, and formats that it can write them to."""


@pytest.mark.parametrize(("mode", "suffix"), WRITTEN)
@settings(max_examples=5, deadline=None)
@given(seed=st.integers(0, 100), opaque=st.booleans(), inverted=st.booleans())
def test_an_image_of_any_mode_and_format_equals_its_png_or_is_refused(
    mode: str, suffix: str, seed: int, opaque: bool, inverted: bool, tmp_path_factory
) -> None:
    """Within the depth of the mode: never dark, inverted or flat."""
    folder = tmp_path_factory.mktemp("modes")
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)
    scene = Image.fromarray(coarse).resize((32, 32), Image.Resampling.BICUBIC)
    picture, reference = scene.convert("RGB"), scene
    if mode in ("1", "L", "LA", "F") or mode.startswith("I"):
        reference = scene.convert("1" if mode == "1" else "L")
    if mode.startswith("I"):
        gray = np.asarray(reference).astype(np.uint16) * 257
        picture = Image.fromarray(gray.astype(">u2") if mode == "I;16B" else gray)
    elif mode in ("P", "PA"):
        reference = scene.quantize(60).convert("RGB")
        picture = scene.quantize(60) if mode == "P" else scene.quantize(60).convert("PA")
    elif mode == "RGBX":
        picture = Image.merge("RGBX", [*scene.split(), Image.new("L", scene.size, 0)])
    elif mode == "LAB":
        picture = Image.merge("LAB", scene.split())
    else:
        picture = reference.convert(mode)
    if mode in ("LA", "RGBA") and not opaque:
        alpha = rng.integers(0, 256, (32, 32), dtype=np.uint8)
        picture.putalpha(Image.fromarray(alpha))
        reference = Image.composite(reference, Image.new(reference.mode, (32, 32), "gray"),
                                    Image.fromarray(alpha))  # fmt: skip
    options = {"webp": {"lossless": True, "exact": True}}.get(suffix, {})
    if suffix == "tif" and mode in ("1", "L") and inverted:
        options = {"tiffinfo": {262: 0}}
    try:
        picture.save(folder / f"a.{suffix}", **options)
    except (OSError, ValueError):
        assert mode in ("PA", "RGBX")  # which this Pillow does not write
        return
    reference.convert("RGB").save(folder / "reference.png")
    if mode in ("LAB", "F"):
        with pytest.raises(ConvRNNError):
            load_image(folder / f"a.{suffix}")
        return
    read = load_image(folder / f"a.{suffix}")
    depth = 0.06 if mode in ("CMYK", "YCbCr") else 0.02
    assert abs(read - load_image(folder / "reference.png")).max() < depth


def test_damaged_exif_does_not_cost_the_picture(tmp_path: Path) -> None:
    Image.fromarray(SCENE).save(tmp_path / "plain.jpg", quality=95)
    plain = (tmp_path / "plain.jpg").read_bytes()
    expected = load_image(tmp_path / "plain.jpg")
    for name, exif in {
        "cut": b"Exif\0\0II*\0\x08\0\0\0\xff\xff",
        "noise": b"Exif\0\0" + bytes(RNG.integers(0, 256, 60, dtype=np.uint8)),
        "loop": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0\x08\0\0\0",
        "odd": b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x63\0\0\0\0\0\0\0",
    }.items():
        segment = b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif
        (tmp_path / f"{name}.jpg").write_bytes(plain[:2] + segment + plain[2:])
        np.testing.assert_array_equal(load_image(tmp_path / f"{name}.jpg"), expected)


def test_long_texts_in_a_png_do_not_cost_the_picture(tmp_path: Path) -> None:
    about = PngInfo()
    about.add_itxt("history", "edited " * 500_000, zip=True)
    about.add_text("log", "x" * 3_000_000)
    path = tmp_path / "edited.png"
    Image.fromarray(SCENE).save(path, pnginfo=about)
    np.testing.assert_allclose(load_image(path), normalise(SCENE), atol=1e-6)


def test_several_frames_or_pages_are_said(tmp_path: Path, caplog) -> None:
    pages = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    pages[0].save(tmp_path / "pages.tif", save_all=True, append_images=pages[1:])
    save(tmp_path / "one.png", SCENE)
    stimuli, _ = read_stimuli(tmp_path)
    check_images(stimuli)
    assert "the first frame or page of 1 image is shown" in caplog.text
    assert "pages.tif" in caplog.text
    caplog.clear()
    (tmp_path / "stream.csv").write_text(
        "stimulus_id,filename,onset_ms,offset_ms\na,pages.tif,0,50\na,one.png,50,100\n"
    )
    stimuli, _ = read_stimuli(tmp_path / "stream.csv")
    check_images(stimuli)
    assert "the first frame or page of 1 image is shown" in caplog.text


@pytest.mark.parametrize("degrees", [2.0, 3.3, 7.9, 8.0, 10.0, 23.0])
@pytest.mark.parametrize("size", [(224, 224), (301, 97)])
def test_images_are_placed_as_brain_score_places_them(
    tmp_path: Path, degrees: float, size: tuple[int, int]
) -> None:
    """Up to the 8 bit in which Brain-Score writes what it placed."""
    from brainscore_vision.benchmark_helpers.screen import ImageConverter

    smooth = np.add.outer(np.linspace(0, 200, size[1]), np.linspace(0, 55, size[0]))
    path = save(tmp_path / "a.png", np.repeat(smooth[..., None], 3, axis=-1).astype(np.uint8))
    (tmp_path / "placed").mkdir()
    placed = ImageConverter(tmp_path / "placed").convert_image(path, degrees, 8)
    np.testing.assert_allclose(load_image(path, degrees), load_image(placed), atol=5e-5)


def test_a_tiny_stimulus_needs_no_huge_canvas(tmp_path: Path) -> None:
    path = save(tmp_path / "a.png", np.full((2000, 2000, 3), 255, np.uint8))
    shown = load_image(path, degrees=0.1)  # 2.8 pixels of 224; the canvas would be 160,000² pixels
    gray, white = normalise([128] * 3), normalise([255] * 3)
    np.testing.assert_allclose(shown[:100, :100], np.broadcast_to(gray, (100, 100, 3)), atol=1e-5)
    area = ((shown - gray) / (white - gray))[..., 0].sum()
    assert area == pytest.approx((224 * 0.1 / 8) ** 2, rel=0.01)


@pytest.mark.parametrize(
    ("degrees", "message"),
    [
        (0, "expected a positive"),
        (-1, "expected a positive"),
        (np.nan, "positive"),
        (1e6, "less"),
        (1e-4, "smaller than a pixel"),
    ],
)
def test_sizes_that_show_nothing_are_refused(tmp_path: Path, degrees: float, message: str) -> None:
    with pytest.raises(ConvRNNError, match=rf"a\.png.*{message}"):
        load_image(save(tmp_path / "a.png", SCENE), degrees)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (
            np.zeros((1, 3, 224, 224), "f"),
            r"shape \[1, 3, 224, 224\]; expected \[batch, 224, 224, 3\]",
        ),
        (np.zeros((224, 224, 3), "f"), "expected"),
        (np.zeros((0, 224, 224, 3), "f"), "expected"),
        (np.zeros((1, 224, 224, 3), np.uint8), "of type uint8; expected normalised float32"),
        (np.full((1, 224, 224, 3), np.nan, "f"), "image 0 of the batch contains NaN"),
        (np.full((1, 224, 224, 3), 255.0, "f"), "outside what normalised images can hold"),
    ],
)
def test_arrays_that_are_no_normalised_images_are_refused(images: np.ndarray, message: str) -> None:
    with pytest.raises(ConvRNNError, match=message):
        check_normalised(images)


def test_black_and_white_are_within_range() -> None:
    extremes = normalise(np.stack([np.zeros((224, 224, 3)), np.full((224, 224, 3), 255)]))
    assert check_normalised(extremes).shape == (2, 224, 224, 3)


def test_images_stack_in_the_order_given(photographs: list[Path]) -> None:
    batch = load_images(photographs[:3])
    np.testing.assert_array_equal(batch[2], load_image(photographs[2]))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"photometric": "rgb", "planarconfig": "separate"}, "16-bit colours in separate planes"),
        ({"photometric": "minisblack"}, "signed samples"),
    ],
)
def test_tiffs_that_pillow_misreads_are_refused(options: dict, said: str, tmp_path: Path) -> None:
    tifffile = pytest.importorskip("tifffile")
    colours = np.full((3, 16, 16), 40_000, np.uint16)
    samples = colours if "planarconfig" in options else np.full((16, 16), -5, np.int8)
    tifffile.imwrite(tmp_path / "a.tif", samples, **options)
    with pytest.raises(ConvRNNError, match=said):
        load_image(tmp_path / "a.tif")


def test_other_scales_than_the_normalised_one_are_told() -> None:
    pixels = np.random.default_rng(0).random((1, 224, 224, 3)).astype(np.float32)
    for scaled, said in ((pixels, "within 0–1"), (2 * pixels - 1, "within −1…1")):
        with pytest.warns(UserWarning, match=said):
            check_normalised(scaled)

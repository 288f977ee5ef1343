"""Stimuli in time: sequences, rapid streams, masks, movies."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from convrnns_brainscore import ConvRNNError, Presentation, extract, load_network
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.features import features_in_memory
from convrnns_brainscore.fits.control import image_features
from convrnns_brainscore.images import GRAY, SIZE, load_images, normalise
from convrnns_brainscore.movies import Movie, timing
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.stimuli import check_stimuli, read_stimuli
from convrnns_brainscore.streams import Shown, notes, steps_of
from convrnns_brainscore.timing import shown_at_steps

LAYERS = ["conv3", "conv5"]


@pytest.fixture(scope="module", params=["tensorflow", "torch"])
def network(request: pytest.FixtureRequest) -> ConvRNN:
    return load_network("timedecay_shallow", weights="random", backend=request.param)


@pytest.fixture(scope="module")
def photographs() -> list[str]:
    return [str(name) for name in load_objects92().stimuli["filename"][::30]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Frames of one gray level each: 40, 80, 120, …"""
    (tmp_path / "frames").mkdir()
    for number in range(12):  # frame10 comes after frame9, not after frame1
        level = 20 * (number + 1)
        Image.new("RGB", (32, 32), (level,) * 3).save(tmp_path / "frames" / f"frame{number}.png")
    return tmp_path


def video(path: Path, levels: list[int], milliseconds: list[int] | int) -> Path:
    """A lossless video of frames of one gray level each, each on for so long."""
    durations = [milliseconds] * len(levels) if isinstance(milliseconds, int) else milliseconds
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=1000)
        stream.width = stream.height = 32
        stream.pix_fmt = "bgr0"
        time = 0
        for level, duration in zip(levels, durations, strict=True):
            pixels = np.full((32, 32, 3), level, np.uint8)
            for packet in stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")):
                packet.pts = packet.dts = time
                packet.duration, packet.time_base = duration, Fraction(1, 1000)
                container.mux(packet)
            time += duration
    return path


# Sequences: the same for all stimuli.


def test_a_sequence_with_one_image_is_the_ordinary_presentation(
    network: ConvRNN, photographs: list[str]
) -> None:
    images = load_images(photographs)
    ordinary = Presentation.custom(times=9, image_off=4)
    sequence = Presentation.sequence([("image", 40), ("off", 50)])
    assert sequence == ordinary
    gray = Presentation.sequence([("image", 40), ("gray", 50)])
    assert gray != ordinary
    expected = network.unroll(images, LAYERS, ordinary)
    for layer, found in network.unroll(images, LAYERS, sequence).items():
        np.testing.assert_array_equal(found, expected[layer])


def test_a_mask_changes_nothing_before_it_reaches_a_layer(
    network: ConvRNN, photographs: list[str]
) -> None:
    images = load_images(photographs)
    alone = Presentation.sequence([("image", 30), ("gray", 60)])
    masked = Presentation.sequence([("image", 30), ("gray", 20), (photographs[0], 40)])
    first = network.unroll(images, "conv3", alone, all_times=True)["conv3"]
    second = network.unroll(images, "conv3", masked, all_times=True)["conv3"]
    reaches = 5 + network.first_step("conv3")
    np.testing.assert_array_equal(first[:, :reaches], second[:, :reaches])
    assert not np.array_equal(first[:, reaches], second[:, reaches])


def test_durations_between_steps_are_rounded_and_said() -> None:
    presentation = Presentation.sequence([("image", 33.3), ("gray", 16.7), ("image", 50)])
    assert presentation.schedule == (0, 0, 0, 1, 1, 0, 0, 0, 0, 0)
    assert presentation.note == (
        "steps are 10 ms: the networks see 'image' for 0–30 ms instead of 0–33.3 ms, 'gray' for "
        "30–50 ms instead of 33.3–50 ms"
    )
    assert (
        presentation.describe()["off"] == "image 0–30 ms, rgb 128,128,128 30–50 ms, image 50–100 ms"
    )
    assert Presentation.sequence([("image", 30), ("gray", 20)]).note == ""


def test_a_frame_of_a_file_is_noted_by_its_path(photographs: list[Path]) -> None:
    shown = Presentation.sequence([("image", 33.3), (photographs[0], 50)])
    assert f"'{photographs[0]}' for 30–80 ms" in shown.note


@pytest.mark.parametrize(
    ("frames", "said"),
    [
        ([("gray", 30)], "never shows the stimulus"),
        ([("image", 30), ("gray", 4), ("image", 20)], "'gray', 4 ms from 30 ms on, falls between"),
        ([("image", 0)], "0 ms; expected a positive duration"),
        ([("image", float("nan"))], "nan ms; expected a positive duration"),
        ([("image", 30), ("nowhere.png", 30)], "no such image file: nowhere.png"),
        ([("image", 30), ((0, 0, 256), 30)], "RGB values lie in 0–255"),
        (["image"], "expected pairs of a frame and its duration"),
        ([], "never shows the stimulus"),
    ],
)
def test_what_is_no_sequence_is_refused(frames: list, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said) as error:
        Presentation.sequence(frames)
    assert "\n" not in str(error.value)


@given(st.lists(st.floats(5, 80), min_size=1, max_size=6), st.integers(1, 40))
def test_each_step_shows_what_is_on_in_its_middle(durations: list[float], times: int) -> None:
    ends = np.round(np.cumsum(durations), 3)
    starts = np.concatenate([[0.0], ends[:-1]])
    shown = shown_at_steps(starts, ends, times)
    for step, interval in enumerate(shown):
        middle = 10 * step + 5
        on = [i for i, (a, b) in enumerate(zip(starts, ends, strict=True)) if a <= middle < b]
        assert ([interval] if interval >= 0 else []) == on


# Streams: each stimulus has times of its own.


def test_a_stream_is_a_sequence_of_its_images(network: ConvRNN, photographs: list[str]) -> None:
    face, house, *_ = photographs
    stream = pd.DataFrame(
        [("a", face, 0, 30), ("a", house, 50, 90)],
        columns=["stimulus_id", "filename", "onset_ms", "offset_ms"],
    )
    found = features_in_memory(network, stream, LAYERS)
    sequence = Presentation.sequence([("image", 30), ("off", 20), (house, 40)])
    expected = network.unroll(load_images([face]), LAYERS, sequence)
    for layer, each in expected.items():
        flat = np.moveaxis(each.reshape(1, each.shape[1], -1), 1, 2)
        assert found[layer].shape == flat.shape
        close = 2e-5 * flat.std() if network.backend.name == "tensorflow" else 0
        np.testing.assert_allclose(found[layer], flat, rtol=0, atol=close)


def test_until_the_second_image_the_response_is_that_to_the_first(
    network: ConvRNN, photographs: list[str]
) -> None:
    columns = ["stimulus_id", "filename", "onset_ms", "offset_ms"]
    firsts = [(str(n), name, 0, 30) for n, name in enumerate(photographs)]
    seconds = [(str(n), photographs[n - 1], 50, 90) for n in range(len(photographs))]
    alone = check_stimuli(pd.DataFrame(firsts, columns=columns))
    both = check_stimuli(pd.DataFrame(firsts + seconds, columns=columns))
    assert alone["stimulus_id"].tolist() == both["stimulus_id"].tolist()
    (first,) = network.features(alone, "conv3", Presentation.stream(9), all_times=True)
    (second,) = network.features(both, "conv3", Presentation.stream(9), all_times=True)
    reaches = 5 + network.first_step("conv3")
    np.testing.assert_array_equal(first["conv3"][:, :reaches], second["conv3"][:, :reaches])
    assert not np.array_equal(first["conv3"][:, reaches], second["conv3"][:, reaches])


def test_a_store_of_streams_says_what_was_shown(
    network: ConvRNN, photographs: list[str], tmp_path: Path
) -> None:
    rows = [
        ("a", photographs[0], 0, 40),
        ("b", photographs[1], 0, 20),
        ("b", photographs[2], 20, 60),
    ]
    table = tmp_path / "streams.csv"
    columns = ["stimulus_id", "filename", "onset_ms", "offset_ms"]
    pd.DataFrame(rows, columns=columns).to_csv(table, index=False)
    extract(network, table, LAYERS, tmp_path / "features.zarr")
    store = xr.open_zarr(tmp_path / "features.zarr")
    assert store["shown"].values[1].endswith("20–60 ms")
    assert store.attrs["presentation"] == "stream"
    held = xr.open_zarr(tmp_path / "features.zarr", group="conv5")["activations"]
    assert held["time_bin_end"].values[-1] == 60
    expected = features_in_memory(network, table, "conv5")["conv5"]
    np.testing.assert_array_equal(held, expected)
    (tmp_path / "half").mkdir()
    pd.DataFrame([*rows[:2], ("b", photographs[2], 30, 60)], columns=columns).to_csv(table)
    with pytest.raises(ConvRNNError, match="image_sha256"):  # other times are other stimuli
        extract(network, table, LAYERS, tmp_path / "features.zarr")


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ([("FACE", 0, 30), ("FACE", 20, 50)], "stimulus a: .* 0–30 ms and .* 20–50 ms overlap"),
        ([("FACE", "", 30)], "onset_ms is missing"),
        ([("FACE", 0, "")], "offset_ms is missing; .* is not a movie"),
        ([("FACE", 30, 30)], "must be later than onset_ms"),
        ([("FACE", -10, 30)], "times start at 0"),
        ([("FACE", "x", 30)], "onset_ms 'x' in data row 1 is not a number"),
        ([("FACE", 6, 14)], "between two steps, and is never shown"),
        ([("nowhere.mp4", 0, 30)], "cannot read movie .*nowhere.mp4: No such file"),
    ],
)
def test_what_is_no_stream_is_refused(photographs: list[str], rows: list, said: str) -> None:
    table = pd.DataFrame(rows, columns=["filename", "onset_ms", "offset_ms"])
    table["filename"] = table["filename"].replace("FACE", photographs[0])
    with pytest.raises(ConvRNNError, match=said) as error:
        check_stimuli(table.assign(stimulus_id="a"))
    assert "\n" not in str(error.value)


def test_a_presentation_beside_times_of_their_own_is_refused(
    network: ConvRNN, photographs: list[str]
) -> None:
    table = pd.DataFrame(
        {"stimulus_id": ["a"], "filename": photographs[:1], "onset_ms": [0], "offset_ms": [50]}
    )
    with pytest.raises(ConvRNNError, match=r"give Presentation.stream\(times=5\)"):
        features_in_memory(network, table, "conv3", Presentation.neural())


def test_what_each_step_shows_may_be_given_as_an_array(
    network: ConvRNN, photographs: list[str]
) -> None:
    images = load_images(photographs)
    off = np.full_like(images, 0.5)
    frames = np.stack([images] * 3 + [off] * 3, axis=1)
    found = network.unroll(frames, "conv3")["conv3"]
    expected = network.unroll(images, "conv3", Presentation.custom(6, 3))["conv3"]
    np.testing.assert_allclose(found, expected, atol=1e-4 * expected.std())


# Movies.


def test_a_movies_frames_are_on_from_their_time_stamps(tmp_path: Path) -> None:
    path = video(tmp_path / "uneven.mkv", [40, 90, 200], [20, 50, 30])
    found = timing(path)
    np.testing.assert_allclose(found.onsets, [0, 20, 70])
    assert found.duration_ms == 100
    movie = Movie(path)
    for number, level in ((0, 40), (2, 200), (1, 90)):
        np.testing.assert_allclose(movie.frame(number), _gray(level), atol=1e-5)


def test_a_folder_of_frames_counts_by_number(folder: Path) -> None:
    assert timing(folder / "frames", 25).duration_ms == 480
    np.testing.assert_allclose(Movie(folder / "frames").frame(10), _gray(220), atol=1e-5)
    with pytest.raises(ConvRNNError, match="give `frames_per_second=…`"):
        timing(folder / "frames")


def test_an_animated_gif_has_its_own_durations_and_transparency(tmp_path: Path) -> None:
    frames = [Image.new("RGBA", (32, 32), (level, level, level, 255)) for level in (50, 150)]
    for frame in frames:
        frame.paste((0, 0, 0, 0), (0, 0, 16, 16))
    path = tmp_path / "two.gif"
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=[40, 60], disposal=2)
    np.testing.assert_allclose(timing(path).onsets, [0, 40])
    assert timing(path).duration_ms == 100
    second = Movie(path).frame(1)
    assert abs(second[0, 0] - normalise([GRAY] * 3)).max() < 0.05
    assert abs(second[200, 200] - normalise([150] * 3)).max() < 0.05
    stimuli, _ = read_stimuli([path])
    assert "clips" not in stimuli  # an ordinary stimulus, of which the first frame is shown
    stimuli, _ = read_stimuli([path], movies=True)
    assert steps_of(stimuli["clips"]) == 10


def test_a_movie_is_unrolled_as_its_frames_are(network: ConvRNN, tmp_path: Path) -> None:
    levels = [40, 90, 200, 120]
    path = video(tmp_path / "movie.mkv", levels, 20)
    frames = np.repeat(np.stack([_gray(level) for level in levels]), 2, axis=0)[None]
    expected = network.unroll(frames, "conv3")["conv3"]
    (found,) = network.features(path, "conv3", Presentation.stream(8))
    np.testing.assert_array_equal(found["conv3"], expected)
    extract(network, path, "conv3", tmp_path / "movie.nc", Presentation.stream(8))
    held = xr.open_dataset(tmp_path / "movie.nc", group="conv3")["activations"]
    np.testing.assert_array_equal(held[0].T.values.reshape(expected[0].shape), expected[0])


def test_long_movies_are_written_chunk_by_chunk(folder: Path) -> None:
    network = load_network("timedecay_shallow", weights="random")
    stimuli, _ = read_stimuli([folder / "frames"], movies=True, frames_per_second=20)
    assert steps_of(stimuli["clips"]) == 60
    extract(network, stimuli, "imnetds", folder / "features.zarr")
    held = xr.open_zarr(folder / "features.zarr", group="imnetds")["activations"]
    assert held.encoding["chunks"][2] < held.sizes["time_bin"]
    (expected,) = network.features(stimuli, "imnetds")
    np.testing.assert_array_equal(held[0].T, expected["imnetds"][0])


def test_a_subject_looks_at_movies(network: ConvRNN, tmp_path: Path) -> None:
    paths = [video(tmp_path / f"{level}.mp4", [level, 20], 50) for level in (90, 200)]
    subject = TemporalBrainModel(network)
    subject.start_recording("IT", [(50, 80), (80, 110)])
    recorded = subject.look_at([str(path) for path in paths])
    layer = str(recorded["layer"].values[0])
    (expected,) = network.features([str(path) for path in paths], layer, Presentation.stream(11))
    first = 5 - network.first_reported_step(layer)
    average = expected[layer][:, first : first + 3].mean(axis=1).reshape(2, -1)
    found = recorded.transpose("presentation", "neuroid", "time_bin").values[:, :, 0]
    np.testing.assert_allclose(found, average, atol=1e-5)
    assert recorded.attrs["image_duration"] == "movies"


def test_a_subject_shows_its_off_after_a_movie(network: ConvRNN, tmp_path: Path) -> None:
    path = str(video(tmp_path / "movie.mkv", [40, 90, 200], 20))
    presentation = Presentation.stream(12, off=(255, 0, 0))
    subject = TemporalBrainModel(network, presentation=presentation)
    subject.start_recording("IT", [(110, 120)])
    recorded = subject.look_at([path])
    layer = str(recorded["layer"].values[0])
    (expected,) = network.features([path], layer, presentation)
    np.testing.assert_allclose(recorded.values.ravel(), expected[layer][:, -1].ravel(), atol=1e-5)


def test_a_broken_movie_is_named(tmp_path: Path) -> None:
    path = video(tmp_path / "broken.mkv", [10] * 30, 20)
    content = path.read_bytes()
    path.write_bytes(b"\0" * len(content))
    with pytest.raises(ConvRNNError, match=r"cannot read movie .*broken\.mkv: Invalid data"):
        read_stimuli([path])
    good = video(tmp_path / "good.mkv", [10, 20], 20)
    Image.new("RGB", (8, 8)).save(tmp_path / "still.png")
    with pytest.raises(ConvRNNError, match="is an image without a duration"):
        read_stimuli([good, tmp_path / "still.png"])


def test_half_a_movie_is_not_taken_for_a_short_one(tmp_path: Path) -> None:
    whole = video(tmp_path / "whole.mkv", list(range(10, 210, 5)), 40).read_bytes()
    half = tmp_path / "half.mkv"
    half.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConvRNNError, match=r"states .* can be read: it is truncated"):
        read_stimuli([half])


def test_a_movie_that_no_step_shows_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvRNNError, match="on from 0 to 4 ms, between two steps"):
        read_stimuli([video(tmp_path / "short.mkv", [10, 20], 2)])


def test_rates_are_of_the_table_or_of_all_movies(folder: Path) -> None:
    rows = {"stimulus_id": ["a", "b"], "filename": [str(folder / "frames")] * 2}
    table = pd.DataFrame({**rows, "onset_ms": 0, "frames_per_second": [20, ""]})
    made = check_stimuli(table, frames_per_second=40)
    assert [clips[0].offset_ms for clips in made["clips"]] == [600, 300]
    with pytest.raises(ConvRNNError, match="offset_ms needs onset_ms"):
        check_stimuli(pd.DataFrame({**rows, "offset_ms": 100}))


def test_times_in_another_unit_are_refused(photographs: list[str]) -> None:
    table = pd.DataFrame({"stimulus_id": ["a"], "filename": photographs[:1], "onset_ms": 0})
    with pytest.raises(ConvRNNError, match="are longer than a day"):
        check_stimuli(table.assign(offset_ms=1e12))
    with pytest.raises(ConvRNNError, match=r"never shown.*Times are in ms"):
        check_stimuli(table.assign(offset_ms=0.1))


def test_the_control_sees_all_images_of_a_stream(photographs: list[str]) -> None:
    rows = [("a", name, 100 * n, 100 * n + 20) for n, name in enumerate(photographs)]
    table = pd.DataFrame(rows, columns=["stimulus_id", "filename", "onset_ms", "offset_ms"])
    off = Presentation.constant(1).fixed_frames[0]
    (found,) = image_features(check_stimuli(table), off)
    still = image_features(check_stimuli(pd.DataFrame({"filename": photographs})), off)
    np.testing.assert_allclose(found, still.mean(axis=0), rtol=1e-5)


def test_frames_faster_than_steps_are_said(tmp_path: Path) -> None:
    stimuli, _ = read_stimuli([video(tmp_path / "fast.mkv", [10, 20, 30] * 5, 4)])
    (said,) = notes(stimuli["clips"], 6)
    assert said == "fast.mkv has frames of 4 ms, some of which are skipped by steps of 10 ms"


def test_a_batch_of_one_where_all_see_the_same(photographs: list[str]) -> None:
    rows = [
        (name, filename, onset, onset + 20)
        for name, own in (("a", photographs[0]), ("b", photographs[1]))
        for filename, onset in ((photographs[2], 0), (own, 20))
    ]
    table = pd.DataFrame(rows, columns=["stimulus_id", "filename", "onset_ms", "offset_ms"])
    off = Presentation.constant(1).fixed_frames[0]
    shown = Shown(list(check_stimuli(table)["clips"]), off)
    assert [len(shown(step)) for step in (0, 1, 2, 3, 4)] == [1, 1, 2, 2, 1]
    assert shown(4) is shown(5)


def _gray(level: int) -> np.ndarray:
    return np.broadcast_to(normalise([level] * 3), (SIZE, SIZE, 3))

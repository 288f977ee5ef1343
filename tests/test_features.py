"""Extraction to Zarr and netCDF, through the library and the command line."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from PIL import Image
from typer.testing import CliRunner

from convrnns_brainscore import ConvRNNError, Lesion, Presentation, features, load_network
from convrnns_brainscore.batch_size import MOST, image_bytes
from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.features import extract, features_in_memory
from convrnns_brainscore.image_batches import shown_by
from convrnns_brainscore.images import load_images
from convrnns_brainscore.integrity import SEAL
from convrnns_brainscore.networks.backbones import neuroid_coordinates
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.stimuli import read_stimuli

SHORT = Presentation.constant(7)


@pytest.fixture(scope="module")
def store(tmp_path_factory, network: ConvRNN, photographs: list[Path]) -> Path:
    out = tmp_path_factory.mktemp("features") / "features.zarr"
    extract(
        network, photographs[:5], ["conv5", "imnetds"], out, Presentation.neural(), batch_size=2
    )
    return out


def content(store: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {
        str(path.relative_to(store)): path.read_bytes()
        for path in sorted(store.rglob("*"))
        if path.is_file()
    }


def test_each_layer_is_a_group_with_its_own_time_bins(
    store: Path, network: ConvRNN, photographs: list[Path]
) -> None:
    conv5 = xr.open_zarr(store, group="conv5")
    assert conv5.activations.dims == ("presentation", "neuroid", "time_bin")
    assert conv5.sizes == {"presentation": 5, "neuroid": 4 * 4 * 512, "time_bin": 21}
    assert conv5.time_bin_start.values.tolist() == list(range(50, 260, 10))
    assert conv5.time_bin_end.values.tolist() == list(range(60, 270, 10))
    assert conv5.stimulus_id.values.tolist() == [path.stem for path in photographs[:5]]
    assert xr.open_zarr(store, group="imnetds").time_bin_start.values[0] == 60

    outputs = network.unroll(load_images(photographs[:2]), ["conv5"], Presentation.neural())
    stored = conv5.activations[:2].transpose("presentation", "time_bin", "neuroid").values
    np.testing.assert_array_equal(stored, outputs["conv5"].reshape(2, 21, -1))
    y, x, channel = 1, 2, 77
    at = (conv5.channel_y == y) & (conv5.channel_x == x) & (conv5.channel == channel)
    unit = conv5.activations[0].values[at.values][0]
    np.testing.assert_array_equal(unit, outputs["conv5"][0, :, y, x, channel])


def test_zeros_are_zeros(store: Path) -> None:
    """xarray would read the fill value as missing."""
    for layer in ("conv5", "imnetds"):
        assert not xr.open_zarr(store, group=layer).activations.isnull().any()


def test_the_root_says_what_made_the_numbers(store: Path) -> None:
    root = xr.open_zarr(store)
    assert root.filename.values[0].endswith("object01.png")
    assert len(root.image_sha256.values[0]) == 64
    made_by = {
        "model": "timedecay_shallow",
        "weights": "untrained, seed 0",
        "lesion": "none",
        "presentation": "neural",
        "times": 26,
        "image_off": 10,
        "batch_size": 2,
        "layers": "conv5 5–25, imnetds 6–25",
        "skipped": "none",
    }
    assert made_by.items() <= root.attrs.items()
    assert len(root.attrs["weights_sha256"]) == 64
    assert root.attrs["backend"].split()[0] in ("tensorflow", "torch")
    assert root.attrs["threads"] >= 1
    assert made_by.items() <= xr.open_zarr(store, group="conv5").attrs.items()


def test_coordinates_follow_the_flattened_output() -> None:
    coordinates = neuroid_coordinates((2, 3, 4))
    values = np.arange(24).reshape(2, 3, 4)
    at = coordinates["channel_y"], coordinates["channel_x"], coordinates["channel"]
    np.testing.assert_array_equal(values[at], values.ravel())
    assert set(neuroid_coordinates((1000,))) == {"channel"}


def test_netcdf_holds_what_zarr_holds(
    store: Path, network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "features.nc"
    extract(
        network, photographs[:5], ["conv5", "imnetds"], out, Presentation.neural(), batch_size=2
    )
    assert [path.name for path in tmp_path.iterdir()] == ["features.nc"]
    for group in (None, "conv5", "imnetds"):
        zarr, nc = xr.open_zarr(store, group=group), xr.open_dataset(out, group=group)
        assert {name: each for name, each in nc.attrs.items() if name != SEAL} == zarr.attrs
        xr.testing.assert_equal(nc.load(), zarr.load())
        assert set(nc.coords) == set(zarr.coords)


def test_ids_stay_as_written_in_both_formats(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    """Text that grows from batch to batch is not cut to the first one's width."""
    ids = ["1", "im10_long", "é漢", "007", "a much longer name"]
    rows = [f"{name},{file}" for name, file in zip(ids, photographs, strict=False)]
    (tmp_path / "t.csv").write_text("\n".join(["stimulus_id,filename", *rows]), encoding="utf-8")
    for name in ("f.zarr", "f.nc"):
        extract(network, tmp_path / "t.csv", "conv1", tmp_path / name, SHORT, batch_size=1)
    for opened in (
        xr.open_zarr(tmp_path / "f.zarr", group="conv1"),
        xr.open_dataset(tmp_path / "f.nc", group="conv1"),
    ):
        assert opened.stimulus_id.values.tolist() == ids


def test_size_matters(network: ConvRNN, photographs: list[Path], tmp_path: Path) -> None:
    stimuli, _ = read_stimuli(photographs[:2], degrees=4)
    extract(network, stimuli, "conv5", tmp_path / "f.zarr", SHORT)
    images = load_images(photographs[:2], [4, 4])
    expected = network.unroll(images, "conv5", SHORT)["conv5"].reshape(2, 2, -1)
    conv5 = xr.open_zarr(tmp_path / "f.zarr", group="conv5")
    np.testing.assert_array_equal(conv5.activations.values, np.moveaxis(expected, 1, 2))
    assert conv5.degrees.values.tolist() == [4, 4]


class StoppedError(Exception):
    pass


def stopped_after(network: ConvRNN, batches: int) -> ConvRNN:
    """The network, which breaks down when it is asked for another batch."""
    broken = ConvRNN(network.model, network.weights)
    left = [batches]

    def averages(*arguments: object) -> dict[str, np.ndarray]:
        if not left[0]:
            raise StoppedError
        left[0] -= 1
        return network.averages(*arguments)

    broken.averages = averages
    return broken


def begin(network: ConvRNN, photographs: list[Path], out: Path, batches: int = 2) -> Path:
    """An extraction of 5 images in batches of 2 that stopped; the folder of what is under way."""
    with pytest.raises(StoppedError):
        extract(stopped_after(network, batches), photographs[:5], ["conv4", "conv5"], out, SHORT,
                batch_size=2)  # fmt: skip
    assert not out.exists()
    return out.with_name(f".{out.name}.partial")


def go_on(network: ConvRNN, photographs: list[Path], out: Path) -> None:
    extract(network, photographs[:5], ["conv4", "conv5"], out, SHORT, batch_size=2)


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, network: ConvRNN, photographs: list[Path]) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("whole") / "out.zarr"
    go_on(network, photographs, out)
    return content(out)


def test_an_interrupted_extraction_goes_on_and_ends_in_the_same_bytes(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    out = tmp_path / "out.zarr"
    begin(network, photographs, out)
    extract(stopped_after(network, 1), photographs[:5], ["conv4", "conv5"], out, SHORT,
            batch_size=2)  # fmt: skip
    assert content(out) == uninterrupted
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]
    begin(network, photographs, tmp_path / "out.nc")
    for name in ("out.nc", "whole.nc"):
        go_on(network, photographs, tmp_path / name)
    assert (tmp_path / "out.nc").read_bytes() == (tmp_path / "whole.nc").read_bytes()


def test_a_kill_after_the_last_step_leaves_nothing_to_do(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    go_on(network, photographs, out)
    work = tmp_path / ".out.zarr.partial"
    work.mkdir()
    (work / "journal.jsonl").touch()
    go_on(network, photographs, out)
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_a_kill_while_the_store_is_laid_out_begins_again(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, uninterrupted: dict[str, bytes]
) -> None:
    out = tmp_path / "out.zarr"
    work = begin(network, photographs, out, batches=1)
    (work / "journal.jsonl").unlink()
    (work / "store.zarr" / ".zattrs").write_text("{")
    go_on(network, photographs, out)
    assert content(out) == uninterrupted


@pytest.mark.parametrize(
    "damage", ["torn chunk", "flipped bit", "missing chunk", "torn journal", "flipped journal"]
)
def test_what_a_kill_tore_is_found_and_done_again(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, damage: str,
    uninterrupted: dict[str, bytes],
) -> None:  # fmt: skip
    out = tmp_path / "out.zarr"
    work = begin(network, photographs, out)
    chunk = work / "store.zarr" / "conv5" / "activations" / "1.0.0"
    whole = chunk.read_bytes()
    if damage == "torn chunk":
        chunk.write_bytes(whole[: len(whole) // 2])
    elif damage == "flipped bit":
        chunk.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    elif damage == "missing chunk":
        chunk.unlink()
    elif damage == "torn journal":
        journal = work / "journal.jsonl"
        journal.write_bytes(journal.read_bytes()[:-20])
    else:  # the second batch, called another
        journal = work / "journal.jsonl"
        journal.write_text(journal.read_text().replace('"batch": 1', '"batch": 2'))
    chunk.with_name("2.0.0.abc.partial").write_bytes(b"what zarr was writing")
    go_on(network, photographs, out)
    assert content(out) == uninterrupted


def test_an_image_that_changes_while_it_is_in_use_is_named(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, monkeypatch
) -> None:
    image = tmp_path / "a.jpg"
    image.write_bytes(photographs[0].read_bytes())

    def change(*arguments):
        image.write_bytes(photographs[1].read_bytes())
        return shown_by(*arguments)

    monkeypatch.setattr(features, "shown_by", change)
    with pytest.raises(ConvRNNError, match=r"a\.jpg was changed while it was in use"):
        extract(network, [image], ["conv5"], tmp_path / "out.zarr", SHORT)
    assert not (tmp_path / "out.zarr").exists()


def test_the_batch_size_is_chosen_from_a_gpus_free_memory(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No GPU is here: its free memory is replaced."""

    def made(out: Path) -> int:
        extract(network, photographs[:3], "conv1", out, SHORT, batch_size="auto")
        return read_provenance(out)["batch_size"]

    assert made(tmp_path / "cpu.zarr") == BATCH_SIZE
    for free, expected in ((10**6, 1), (150 * 10**6, 2), (10**12, MOST)):
        monkeypatch.setattr(type(network.backend), "free_memory", lambda _, free=free: free)
        assert made(tmp_path / f"{expected}.zarr") == expected
    # What is there was begun with another size, and is complete.
    assert made(tmp_path / "1.zarr") == 1


@pytest.mark.parametrize("model", ["timedecay_shallow", "intersectionrnn_shallow"])
def test_the_memory_of_an_image_is_not_underestimated(model: str, noise: np.ndarray) -> None:
    """By the profiler of PyTorch: what a second image of a batch adds to the peak."""
    network = load_network(model, weights="random", backend="torch")
    last = network.first_step("imnetds") + 1

    def peak(images: int) -> int:
        with torch.profiler.profile(
            activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True
        ) as profile:
            network.unroll(noise[:images], "imnetds", Presentation.constant(last + 1))
        held = [
            event.nbytes()
            for event in profile.profiler.kineto_results.events()
            if event.name() == "[memory]"
        ]
        return int(np.cumsum(held).max())

    needed = image_bytes(network, {"imnetds": [((last, 1.0),)]})
    assert 0.1 * needed < peak(2) - peak(1) < needed


def test_where_nothing_was_done_nothing_is_left(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    begin(network, photographs, tmp_path / "out.zarr", batches=0)
    assert not list(tmp_path.iterdir())


def test_zeros_that_were_computed_are_done(photographs: list[Path], tmp_path: Path) -> None:
    """A chunk of nothing but zeros is not taken for one that is missing."""
    values = load_network("timedecay_shallow", weights="random").weights.values
    zeros = {name: np.zeros_like(value) for name, value in values.items()}
    network = load_network("timedecay_shallow", weights=zeros)
    out = tmp_path / "out.zarr"
    begin(network, photographs, out)
    extract(stopped_after(network, 1), photographs[:5], ["conv4", "conv5"], out, SHORT,
            batch_size=2)  # fmt: skip
    assert (xr.open_zarr(out, group="conv5").activations.values == 0).all()


def test_what_other_settings_began_is_refused(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    """Under way or finished."""
    other = load_network("timedecay_shallow", weights="random", seed=1)
    lesioned = load_network("timedecay_shallow", weights="random", seed=0, lesion="recurrence")
    names, layers = photographs[:5], ["conv4", "conv5"]
    changed = {
        "weights 'untrained, seed 0'": (other, names, layers, SHORT, 2),
        "lesion 'none'": (lesioned, names, layers, SHORT, 2),
        "times 7": (network, names, layers, Presentation.constant(8), 2),
        "layers 'conv4 4–6, conv5 5–6'": (network, names, ["conv5"], SHORT, 2),
        "batch_size 2": (network, names, layers, SHORT, 3),
        "other images or another order": (network, names[::-1], layers, SHORT, 2),
    }
    for name in ("under way.zarr", "finished.zarr", "finished.nc"):
        out = tmp_path / name
        if name == "under way.zarr":
            begin(network, photographs, out)
        else:
            go_on(network, photographs, out)
        for message, (net, images, asked, presentation, size) in changed.items():
            with pytest.raises(ConvRNNError, match=f"was begun with {message}"):
                extract(net, images, asked, out, presentation, batch_size=size)
        go_on(network, photographs, out)  # and nothing was lost


def test_an_image_that_changed_meanwhile_is_found(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    images = [shutil.copy(path, tmp_path) for path in photographs[:5]]
    begin(network, images, tmp_path / "out.zarr")
    shutil.copy(photographs[7], images[0])
    with pytest.raises(ConvRNNError, match=r"other images or another order \(image_sha256\)"):
        go_on(network, images, tmp_path / "out.zarr")


def test_two_processes_do_not_write_one_store(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    from filelock import FileLock

    work = begin(network, photographs, tmp_path / "out.zarr")
    with FileLock(work / "lock"), pytest.raises(ConvRNNError, match="another process is writing"):
        go_on(network, photographs, tmp_path / "out.zarr")


def test_a_disk_too_small_is_told_before_anything_is_written(
    network: ConvRNN, photographs: list[Path], tmp_path: Path, monkeypatch
) -> None:
    usage = shutil.disk_usage(tmp_path)._replace(free=100_000)
    monkeypatch.setattr(features.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(ConvRNNError, match=r"needs up to 1\.1 MB, and 100\.0 kB is free"):
        go_on(network, photographs, tmp_path / "out.zarr")
    assert not list(tmp_path.iterdir())


BROKEN = {
    "cut.jpg": lambda whole: whole[: len(whole) // 2],
    "empty.png": lambda whole: b"",
    "page.jpg": lambda whole: b"<html></html>",
}


def test_broken_files_are_skipped_and_listed_when_asked(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    for path in photographs[:3]:
        shutil.copy(path, folder)
    with Image.open(photographs[0]) as image:
        image.convert("RGB").save(folder / "cut.jpg")
    whole = (folder / "cut.jpg").read_bytes()
    for name, damage in BROKEN.items():
        (folder / name).write_bytes(damage(whole))
    out = tmp_path / "out.zarr"
    with pytest.raises(ConvRNNError, match=r"cannot read image .*cut\.jpg"):
        extract(network, folder, "conv1", out, SHORT)
    assert not list(tmp_path.glob("*out*"))
    skipped = extract(network, folder, "conv1", out, SHORT, skip_broken=True)
    assert [name for line, name in zip(skipped, BROKEN, strict=True) if name in line]
    root = xr.open_zarr(out)
    assert root.stimulus_id.values.tolist() == [path.stem for path in photographs[:3]]
    assert root.attrs["skipped"].splitlines() == skipped
    (tmp_path / "none").mkdir()
    shutil.copy(folder / "page.jpg", tmp_path / "none")
    with pytest.raises(ConvRNNError, match="none of the 1 files is an image"):
        extract(network, tmp_path / "none", "conv1", tmp_path / "n.zarr", SHORT, skip_broken=True)


def test_a_table_is_taken_as_it_is_read(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    """Numbers as ids become text; what else the table has is excluded; sizes are checked first."""
    table = pd.DataFrame({"stimulus_id": [1, 2], "filename": photographs[:2], "conv1": [0, 0]})
    for _ in range(2):
        extract(network, table, "conv1", tmp_path / "out.zarr", SHORT)
    root = xr.open_zarr(tmp_path / "out.zarr")
    assert root.stimulus_id.values.tolist() == ["1", "2"]
    for changes, message in (
        ({"stimulus_id": ["a", "a"]}, "stimulus_id a comes twice"),
        ({"degrees": [8, 1e9]}, "object02.*less than one pixel"),
    ):
        with pytest.raises(ConvRNNError, match=message):
            extract(network, table.assign(**changes), "conv1", tmp_path / "o.zarr", SHORT)
    with pytest.raises(ConvRNNError, match="no column filename"):
        extract(network, table[["stimulus_id"]], "conv1", tmp_path / "o.zarr", SHORT)
    late = load_network("timedecay_shallow", weights="random", lesion=Lesion("recurrence", None, 7))
    with pytest.raises(ConvRNNError, match="begins at step 7, after the 7 steps"):
        extract(late, table, "conv1", tmp_path / "o.zarr", SHORT)
    assert [path.name for path in tmp_path.iterdir()] == ["out.zarr"]


def test_mistakes_leave_nothing_behind(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    out = tmp_path / "out.zarr"
    for images, where, message in (
        ([photographs[0], photographs[0]], out, "is named twice"),
        (photographs[:1], tmp_path / "out.csv", r"name that ends in .zarr or .nc"),
        (photographs[:1], tmp_path / "absent" / "out.zarr", "there is no folder"),
        ([], out, "no images"),
    ):
        with pytest.raises(ConvRNNError, match=message):
            extract(network, images, ["conv5"], where)
    for size in (0, -1, True, 2.5):
        with pytest.raises(ConvRNNError, match="batch_size="):
            extract(network, photographs[:1], ["conv5"], out, batch_size=size)
    assert not list(tmp_path.iterdir())
    out.mkdir()
    (out / "thesis.txt").write_text("years of work")
    with pytest.raises(ConvRNNError, match="exists and holds no features"):
        extract(network, photographs[:1], ["conv5"], out)
    assert (out / "thesis.txt").exists()
    (tmp_path / "dangling.zarr").symlink_to(tmp_path / "nowhere")
    with pytest.raises(ConvRNNError, match="exists and holds no features"):
        extract(network, photographs[:1], ["conv5"], tmp_path / "dangling.zarr")


COMMAND = [sys.executable, "-m", "convrnns_brainscore.cli"]


def run(*arguments: object, code: int = 0) -> str:
    """``convrnns`` in a process of its own: its exit code, and what it says, in one piece."""
    command = [*COMMAND, *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == code, result.stderr
    return result.stdout + result.stderr


def test_help_answers_at_once() -> None:
    began = time.monotonic()
    assert "extract" in run("--help")
    imported = subprocess.run(
        [
            sys.executable,
            "-c",
            "import sys, convrnns_brainscore.cli; slow = "
            "{'torch', 'tensorflow', 'keras', 'brainscore_vision', 'xarray'}; "
            "print(slow & {*sys.modules})",
        ],
        capture_output=True,
        text=True,
        check=True,
    )
    assert imported.stdout.strip() == "set()"
    assert time.monotonic() - began < 20  # of two processes on a busy machine


def test_extraction_needs_no_torch_and_no_brain_score(photographs, tmp_path: Path) -> None:
    code = """
import sys
from convrnns_brainscore.cli import app
app(sys.argv[1:], standalone_mode=False)
assert not {"torch", "brainscore_vision"} & {*sys.modules}
"""
    arguments = ["extract", "timedecay_shallow", *photographs[:2], "--layers", "conv1"]
    arguments += ["--weights", "random", "--out", tmp_path / "f.zarr", "--times", 3]
    arguments += ["--presentation", "constant"]
    subprocess.run([sys.executable, "-c", code, *map(str, arguments)], check=True)
    assert xr.open_zarr(tmp_path / "f.zarr", group="conv1").sizes["time_bin"] == 2


def test_the_command_extracts_a_folder(
    photographs: list[Path], tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    folder = tmp_path / "stimuli ä"
    folder.mkdir()
    for path in photographs[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    (folder / "Thumbs.db").write_bytes(b"")
    (folder / "broken.png").write_bytes(b"")
    out = tmp_path / "features.nc"
    options = ["--layers", "conv4,conv5", "--presentation", "neural", "--off", "128,128,128"]
    options += ["--all-times", "--weights", "random", "--seed", 4, "--out", out, "--skip-broken"]
    options += ["--lesion", "recurrence", "--lesion-layers", "conv4", "--lesion-from", 3]
    said = convrnns("extract", "timedecay_shallow", folder, *options)
    lesion = "recurrence of conv4 from step 3"
    assert f"untrained, seed 4, without {lesion}" in said
    assert "Thumbs.db" in said
    assert f"Skipped: cannot read image {folder}/broken.png" in said
    assert "No stimulus width is stated: the images are assumed to fill 8 degrees." in said
    assert "Writing up to" in said
    conv4 = xr.open_dataset(out, group="conv4")
    assert conv4.time_bin_start.values.tolist() == list(range(0, 260, 10))
    assert conv4.attrs["off"] == "rgb 128,128,128"
    assert conv4.attrs["lesion"] == lesion
    assert conv4.stimulus_id.values.tolist() == ["object01", "object02"]
    assert "is complete already" in convrnns("extract", "timedecay_shallow", folder, *options)


BAD = {
    "usage": (["timedecay_shallow", "IMAGE", "--times", "2.5"], "Invalid value for '--times'"),
    "unknown option": (["timedecay_shallow", "IMAGE", "--bogus"], "--bogus"),
    "folder": (
        ["timedecay_shallow", "IMAGE", "--out", "/proc/out.zarr", *["--weights", "random"]],
        "cannot write /proc/out.zarr",
    ),
    "off": (
        ["ugrnn_intermediate_t30", "IMAGE", "--layers", "conv5", "--off", "0,0,0"],
        "--off needs --image-off",
    ),
    "model": (["ugrn_shallow", "IMAGE"], "Did you mean 'ugrnn_shallow'?"),
    "layer": (["rgc_shallow", "IMAGE", "--layers", "conv6"], "five convolutional layers"),
    "weights": (
        ["rgc_shallow", "IMAGE", "--checkpoints", "nowhere"],
        "there is no nowhere/rgc_shallow/model.ckpt.index. `convrnns download rgc_shallow`",
    ),
    "times": (["timedecay_shallow", "IMAGE", "--times", 0, *["--weights", "random"]], "--times 0"),
    "unreached": (
        ["timedecay_shallow", "IMAGE", "--times", 3, "--image-off", 3, *["--weights", "random"]],
        "does not reach conv5",
    ),
    "image off": (
        ["timedecay_shallow", "IMAGE", "--image-off", 99, *["--weights", "random"]],
        "--image-off 99",
    ),
    "constant": (["rgc_shallow", "IMAGE", "--presentation", "constant"], "needs --times"),
    "mask": (["rgc_shallow", "IMAGE", "--off", "nothing"], "no such image file: nothing"),
    "image": (["rgc_shallow", "absent.png"], "no such image file or folder: absent.png"),
    "value of a flag": (
        ["timedecay_shallow", "IMAGE", "--all-times", "False"],
        "no such image file or folder: False",
    ),
    "lesion": (["rgc_shallow", "IMAGE", "--lesion", "feedback"], "no long-range feedback"),
    "lesion of a plan": (
        ["rgc_shallow", "IMAGE", "--lesion", "feedback", "--dry-run"],
        "no long-range feedback",
    ),
    "seed": (["rgc_shallow", "IMAGE", "--seed", 3], "--seed applies only to --weights random"),
    "checkpoints": (
        ["rgc_shallow", "IMAGE", "--weights", "random", "--checkpoints", "here"],
        "give either --checkpoints or --weights random",
    ),
    **{
        f"{name} of a plan": (
            ["timedecay_shallow", "IMAGE", *options, "--times", 12, "--image-off", 9, "--dry-run"],
            said,
        )
        for name, options, said in [
            (
                "lesion's step",
                ["--lesion", "recurrence", "--lesion-from", 12],
                "after the 12 steps",
            ),
            ("batch size", ["--batch-size", "many"], "--batch-size many"),
            ("seed", ["--seed", 3], "--seed applies only to --weights random"),
        ]
    },
    "no layer": (["rgc_shallow", "IMAGE", "--layers", ","], "no layers asked for"),
    "lesion's layers": (["rgc_shallow", "IMAGE", "--lesion-layers", "conv5"], "need --lesion"),
    "degrees": (["rgc_shallow", "IMAGE", "--stimulus-degrees", "0"], "expected a positive number"),
    "name": (
        ["rgc_shallow", "IMAGE", "--out", "features.csv", "--weights", "random"],
        "ends in .zarr or .nc",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_one_line_and_exit_code_2(
    case: str, photographs: list[Path], tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    arguments, message = BAD[case]
    arguments = [photographs[0] if a == "IMAGE" else a for a in arguments]
    layers = [] if "--layers" in arguments else ["--layers", "conv5"]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out.zarr"]
    command = run if case == "folder" else convrnns  # one of them with all that libraries say
    said = command("extract", *arguments, *layers, *out, code=2)
    assert message in said
    assert len(said.strip().splitlines()) == 1, said
    assert not list(tmp_path.iterdir())


def test_a_layer_that_is_named_twice_is_extracted_once(
    photographs: list[Path], tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    arguments = [photographs[0], "--weights", "random", "--backend", "torch", "--times", 7]
    out = tmp_path / "out.zarr"
    said = convrnns(
        "extract", "timedecay_shallow", *arguments, "--layers", "conv5,conv5", "--out", out
    )
    assert "out.zarr: conv5 of" in said


def test_a_missing_file_and_a_late_lesion_are_refused_in_memory(
    network: ConvRNN, photographs: list[Path]
) -> None:
    lesioned = load_network(
        "timedecay_shallow",
        weights="random",
        backend="torch",
        lesion=Lesion("recurrence", None, 50),
    )
    with pytest.raises(ConvRNNError, match="begins at step 50, after the 7 steps"):
        features_in_memory(lesioned, photographs[:1], "conv5", SHORT)
    absent = pd.DataFrame({"stimulus_id": ["a"], "filename": ["absent.png"]})
    with pytest.raises(ConvRNNError, match=r"absent\.png"):
        features_in_memory(network, absent, "conv5")


def test_models_are_listed_with_their_published_accuracy() -> None:
    from convrnns_brainscore.cli import app

    listed = CliRunner().invoke(app, ["models"]).stdout
    assert listed.count("_shallow") == 7
    assert "66.97" in listed


@pytest.mark.parametrize(
    "kills",
    [
        pytest.param([(1, signal.SIGKILL, -9), (3, signal.SIGTERM, 143)], marks=pytest.mark.ci),
        pytest.param([(2, signal.SIGTERM, 143), (0, signal.SIGKILL, -9)], marks=pytest.mark.slow),
    ],
)
def test_a_process_killed_at_any_moment_goes_on(
    photographs: list[Path],
    tmp_path: Path,
    kills: list[tuple[int, int, int]],
    convrnns: Callable[..., str],
) -> None:
    """Killed outright, as a cluster's scheduler does it, and while it starts."""
    arguments = ["extract", "timedecay_shallow", *map(str, photographs[:12]), "--weights", "random"]
    arguments += ["--layers", "conv5", "--batch-size", "2", "--backend", "torch", "--out"]
    convrnns(*arguments, tmp_path / "whole.zarr")
    out, work = tmp_path / "out.zarr", tmp_path / ".out.zarr.partial"
    for batches, how, code in kills:
        process = subprocess.Popen([*COMMAND, *arguments, out], stderr=subprocess.PIPE, text=True)
        journal = work / "journal.jsonl"
        while process.poll() is None:
            done = len(journal.read_text().splitlines()) if journal.exists() else 0
            if done >= batches:
                break
            time.sleep(0.02)
        process.send_signal(how)
        said = process.communicate(timeout=60)[1]
        assert process.returncode == code
        if how == signal.SIGTERM:
            assert "rerun the same command to resume" in said
    convrnns(*arguments, out)
    assert content(out) == content(tmp_path / "whole.zarr")
    assert not work.exists()

"""Extraction to Zarr, through the library and the command line."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from typer.testing import CliRunner

from convrnns_brainscore import ConvRNNError, Presentation
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.features import extract, neuroid_coordinates
from convrnns_brainscore.images import load_images


@pytest.fixture(scope="module")
def store(tmp_path_factory, network: ConvRNN, photographs: list[Path]) -> Path:
    out = tmp_path_factory.mktemp("features") / "features.zarr"
    extract(
        network, photographs[:5], ["conv5", "imnetds"], out, Presentation.neural(), batch_size=2
    )
    return out


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
    made_by = {
        "model": "timedecay_shallow",
        "weights": "untrained, seed 0",
        "presentation": "neural",
        "times": 26,
        "image_off": 10,
    }
    assert made_by.items() <= root.attrs.items()
    assert len(root.attrs["weights_sha256"]) == 64
    assert root.attrs["backend"].split()[0] in ("tensorflow", "torch")
    assert made_by.items() <= xr.open_zarr(store, group="conv5").attrs.items()


def test_coordinates_follow_the_flattened_output() -> None:
    coordinates = neuroid_coordinates((2, 3, 4))
    values = np.arange(24).reshape(2, 3, 4)
    at = coordinates["channel_y"], coordinates["channel_x"], coordinates["channel"]
    np.testing.assert_array_equal(values[at], values.ravel())
    assert set(neuroid_coordinates((1000,))) == {"channel"}


def test_nothing_half_written_is_left(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    (tmp_path / "broken.png").write_bytes(photographs[0].read_bytes()[:100])
    out = tmp_path / "out.zarr"
    with pytest.raises(ConvRNNError, match=r"broken\.png"):
        extract(network, [*photographs[:2], tmp_path / "broken.png"], ["conv5"], out)
    with pytest.raises(ConvRNNError, match="are one file"):
        extract(network, [photographs[0], photographs[0]], ["conv5"], out)
    with pytest.raises(ConvRNNError, match=r"folder named ….zarr"):
        extract(network, photographs[:1], ["conv5"], tmp_path / "out.csv")
    with pytest.raises(ConvRNNError, match="no images to extract"):
        extract(network, [], ["conv5"], out)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["broken.png"]
    out.mkdir()
    with pytest.raises(ConvRNNError, match="exists"):
        extract(network, photographs[:1], ["conv5"], out)


def run(*arguments: object, code: int = 0) -> str:
    """``convrnns`` in a process of its own: its exit code, and what it says, in one piece."""
    command = [sys.executable, "-m", "convrnns_brainscore.cli", *map(str, arguments)]
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


def test_the_command_extracts_a_folder(photographs: list[Path], tmp_path: Path) -> None:
    folder = tmp_path / "stimuli ä"
    folder.mkdir()
    for path in photographs[:2]:
        (folder / path.name).write_bytes(path.read_bytes())
    out = tmp_path / "features.zarr"
    options = ["--layers", "conv4,conv5", "--presentation", "neural", "--off", "128,128,128"]
    options += ["--all-times", "--weights", "random", "--seed", 4, "--out", out]
    assert "untrained, seed 4" in run("extract", "timedecay_shallow", folder, *options)
    conv4 = xr.open_zarr(out, group="conv4")
    assert conv4.time_bin_start.values.tolist() == list(range(0, 260, 10))
    assert conv4.attrs["off"] == "rgb 128,128,128"
    assert conv4.stimulus_id.values.tolist() == ["object01", "object02"]


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
    "weights": (["rgc_shallow", "IMAGE"], "no weights for rgc_shallow"),
    "times": (["timedecay_shallow", "IMAGE", "--times", 0, *["--weights", "random"]], "times=0"),
    "unreached": (
        ["timedecay_shallow", "IMAGE", "--times", 3, "--image-off", 3, *["--weights", "random"]],
        "does not reach conv5",
    ),
    "image off": (
        ["timedecay_shallow", "IMAGE", "--image-off", 99, *["--weights", "random"]],
        "image_off=99",
    ),
    "constant": (["rgc_shallow", "IMAGE", "--presentation", "constant"], "needs --times"),
    "mask": (["rgc_shallow", "IMAGE", "--off", "nothing"], "no such image file: nothing"),
    "image": (["rgc_shallow", "absent.png"], "no such image file or folder: absent.png"),
    "value of a flag": (
        ["timedecay_shallow", "IMAGE", "--all-times", "False"],
        "no such image file or folder: False",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_mistakes_are_one_line_and_exit_code_2(
    case: str, photographs: list[Path], tmp_path: Path
) -> None:
    arguments, message = BAD[case]
    arguments = [photographs[0] if a == "IMAGE" else a for a in arguments]
    layers = [] if "--layers" in arguments else ["--layers", "conv5"]
    out = [] if "--out" in arguments else ["--out", tmp_path / "out.zarr"]
    said = run("extract", *arguments, *layers, *out, code=2)
    assert message in said
    assert len(said.strip().splitlines()) == 1, said
    assert not list(tmp_path.iterdir())


def test_models_are_listed_with_their_published_accuracy() -> None:
    from convrnns_brainscore.cli import app

    listed = CliRunner().invoke(app, ["models"]).stdout
    assert listed.count("_shallow") == 7
    assert "66.97" in listed


def test_a_terminated_extraction_leaves_nothing_behind(
    photographs: list[Path], tmp_path: Path
) -> None:
    """As a cluster's scheduler ends a job."""
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "extract", "simplernn_shallow"]
    command += [*map(str, photographs), "--layers", "conv5", "--weights", "random"]
    process = subprocess.Popen([*command, "--out", str(tmp_path / "out.zarr")])
    while process.poll() is None and not list(tmp_path.iterdir()):
        time.sleep(0.05)
    process.terminate()
    assert process.wait(timeout=60) == 143
    assert not list(tmp_path.iterdir())

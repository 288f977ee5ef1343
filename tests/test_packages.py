"""A lab's recording as a benchmark of Brain-Score's on this machine."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from brainscore_vision.benchmark_helpers.neural_common import average_repetition
from PIL import Image

from convrnns_brainscore import ConvRNNError, cli, load_network
from convrnns_brainscore.brainscore.experiment import _metric
from convrnns_brainscore.brainscore.packages import (
    _assembly,
    package_benchmark,
    read_package,
    write_package,
)
from convrnns_brainscore.brainscore.plan import make_plan
from convrnns_brainscore.brainscore.scoring import score
from convrnns_brainscore.fits.reliability import Trials, ceiling, half_correlations
from convrnns_brainscore.images import ORIENTATION, is_plain, load_image
from convrnns_brainscore.recordings import as_recording

STIMULI, NEURONS = 40, 6


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory) -> pd.DataFrame:
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    names = [f"image{index:02d}" for index in range(STIMULI)]
    files = [folder / f"{name}.png" for name in names]
    for file in files:
        Image.fromarray(rng.integers(0, 255, (8, 8, 3), np.uint8)).resize((64, 64)).save(file)
    return pd.DataFrame(
        {"stimulus_id": names, "filename": [str(file) for file in files], "degrees": 5.0}
    )


def lab(stimuli: pd.DataFrame, repetitions: int = 4, bins: int = 3, unequal: bool = False):
    """V4 and IT with a bin before onset; a neuron of V4 that missed a stimulus."""
    rng = np.random.default_rng(1)
    mean = rng.normal(5, 2, (STIMULI, NEURONS, 1))
    values = mean + rng.normal(0, 1, (repetitions, STIMULI, NEURONS, bins))
    values[:, 3, 0] = np.nan
    data = xr.DataArray(
        values.reshape(-1, NEURONS, bins),
        {
            "stimulus_id": ("presentation", np.tile(stimuli["stimulus_id"], repetitions)),
            "object_name": ("presentation", np.tile(["a", "b"], repetitions * STIMULI // 2)),
            "image_on_ms": ("presentation", [150.0] * repetitions * STIMULI),
            "neuroid_id": ("neuroid", np.arange(NEURONS)),
            "region": ("neuroid", ["V4"] * 3 + ["IT"] * 3),
            "time_bin_start": ("time_bin", -50 + 60 * np.arange(bins)),
            "time_bin_end": ("time_bin", 10 + 60 * np.arange(bins)),
        },
        ["presentation", "neuroid", "time_bin"],
    )
    return data[3:] if unequal else data


def test_a_recording_becomes_an_assembly_with_its_stimulus_set(stimuli, tmp_path: Path) -> None:
    notes = write_package(as_recording(lab(stimuli)), stimuli, tmp_path / "lab")
    assert notes[0].startswith("1 of 3 neurons of V4 lack responses and are excluded")
    assert "excluded: 1 bin before onset" in notes
    assembly = read_package(tmp_path / "lab" / "IT.nc")
    assert type(assembly).__name__ == "NeuroidAssembly"
    assert dict(assembly.sizes) == {"presentation": 160, "neuroid": 3, "time_bin": 2}
    assert sorted(set(assembly["repetition"].values)) == [0, 1, 2, 3]
    images = assembly.attrs["stimulus_set"]
    one = images.get_stimulus("image07")
    assert Path(one).read_bytes() == Path(stimuli["filename"][7]).read_bytes()
    assert read_package(tmp_path / "lab" / "V4.nc").sizes["neuroid"] == 2


def test_a_benchmark_is_made_without_pip(stimuli, tmp_path: Path, monkeypatch) -> None:
    """Brain-Score would install the requirements of the metric and of the ceiling."""
    write_package(as_recording(lab(stimuli)).only(["IT"]), stimuli, tmp_path / "lab")
    monkeypatch.delenv("BS_INSTALL_DEPENDENCIES", raising=False)
    started: list[str] = []
    monkeypatch.setattr(
        "brainscore_core.plugin_management.import_plugin.subprocess.run",
        lambda command, **options: started.append(command),
    )
    benchmark = package_benchmark(tmp_path / "lab" / "IT.nc", "spantime_pls")
    assert benchmark.ceiling.sizes["time_bin"] == 2
    assert not started


def test_it_is_scored_as_it_was_shown(stimuli, tmp_path: Path) -> None:
    write_package(as_recording(lab(stimuli)).only(["IT"]), stimuli, tmp_path / "lab")
    benchmark = package_benchmark(tmp_path / "lab" / "IT.nc", "spantime_ridge")
    result = score(load_network("timedecay_shallow", weights="random"), benchmark)
    assert result.made_by["image_duration"] == "150 ms"
    assert result.made_by["region"] == "IT"
    assert benchmark._visual_degrees == 5
    assert [(each.start, each.end) for each in result.summary.bins] == [(10, 70), (70, 130)]
    assert result.summary.bins[1].ceiling > 0.8


def test_unequal_repetitions_have_the_ceiling_of_their_own_halves(stimuli, tmp_path) -> None:
    recording = as_recording(lab(stimuli, unequal=True)).only(["IT"]).in_bins([(70, 130)])
    write_package(recording, stimuli, tmp_path / "lab")
    benchmark = package_benchmark(tmp_path / "lab" / "IT.nc")
    trials = Trials(recording.values, recording.stimulus, STIMULI)
    expected = ceiling(half_correlations(trials))[0]
    assert float(benchmark.ceiling) == pytest.approx(expected, abs=0.02)


def test_stimuli_need_no_more_than_an_id(stimuli, tmp_path: Path) -> None:
    plain = lab(stimuli).drop_vars(["object_name", "image_on_ms"])
    recording = as_recording(plain).only(["IT"]).in_bins([(70, 130)])
    write_package(recording, stimuli, tmp_path / "lab")
    benchmark = package_benchmark(tmp_path / "lab" / "IT.nc", "ridge")
    assert benchmark._assembly.sizes["presentation"] == STIMULI
    result = score(load_network("timedecay_shallow", weights="random"), benchmark)
    assert np.isfinite(result.summary.raw)


def test_without_repetitions_the_ceiling_is_undefined(stimuli, tmp_path: Path) -> None:
    recording = as_recording(lab(stimuli, repetitions=1)).only(["IT"]).in_bins([(70, 130)])
    write_package(recording, stimuli, tmp_path / "lab")
    benchmark = package_benchmark(tmp_path / "lab" / "IT.nc", "ridge")
    result = score(load_network("timedecay_shallow", weights="random"), benchmark)
    assert np.isfinite(result.summary.raw)
    assert np.isnan([result.summary.ceiling, result.summary.ceiled]).all()


def test_what_does_not_go_together_is_refused(stimuli, tmp_path: Path) -> None:
    recording = as_recording(lab(stimuli))
    write_package(recording, stimuli, tmp_path / "lab")
    with pytest.raises(ConvRNNError, match=r"lab exists already"):
        write_package(recording, stimuli, tmp_path / "lab")
    with pytest.raises(ConvRNNError, match=r"pls needs one time bin.* `window=\(70, 170\)`"):
        package_benchmark(tmp_path / "lab" / "IT.nc", "pls")
    other = stimuli.assign(degrees=[5.0] * 20 + [8.0] * 20)
    with pytest.raises(ConvRNNError, match="stimuli of 2 sizes"):
        write_package(recording, other, tmp_path / "other")
    assert not (tmp_path / "other").exists()
    (tmp_path / "lab" / "stimuli" / "00004.png").unlink()
    with pytest.raises(ConvRNNError, match=r"1 images of .* are missing, .*00004\.png first"):
        read_package(tmp_path / "lab" / "IT.nc")
    with pytest.raises(ConvRNNError, match=r"stimuli\.csv beside it"):
        read_package(tmp_path / "IT.nc")


def test_the_commands(stimuli, tmp_path: Path, monkeypatch, capsys) -> None:
    def ended_with(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["convrnns", *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return int(ended.value.code or 0)

    monkeypatch.chdir(tmp_path)
    lab(stimuli).to_dataset(name="rates").to_netcdf("lab.nc")
    images = str(Path(stimuli["filename"][0]).parent)
    packaging = ["package", "lab.nc", "--stimuli", images, "--out", "packaged"]
    assert ended_with(*packaging, "--regions", "IT", "--window", "70", "130") == 0
    assert "packaged/IT.nc" in capsys.readouterr().out
    scoring = ["score", "timedecay_shallow", "packaged/IT.nc", "--weights", "random"]
    assert ended_with(*scoring, "--metric", "ridge", "--presentation", "neural") == 0
    assert len(list(Path("scores").glob("*.json"))) == 1
    capsys.readouterr()
    assert ended_with(*scoring, "--metric", "pls", "--latency", "IT=10,V4=20") == 0
    assert "--latency: no benchmark of this command records V4" in capsys.readouterr().err
    assert set(pd.read_csv("scores/scores.csv")["metric"]) == {"ridge", "pls"}
    assert ended_with(*scoring[:2], "packaged/V1.nc", "--weights", "random") == 2
    assert "no packaged recording packaged/V1.nc" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["turned", "cut out", "16 bit"])
def test_images_placed_on_the_screen_look_as_they_do_in_fits(
    kind: str, stimuli, tmp_path: Path
) -> None:
    """Brain-Score's screen ignores EXIF and transparency, and cuts 16 bits off."""
    file, rng = tmp_path / "image.png", np.random.default_rng(0)
    if kind == "16 bit":
        Image.fromarray(rng.integers(0, 65535, (64, 64), np.uint16)).save(file)
    else:
        turned = Image.Exif()
        turned[ORIENTATION] = 6 if kind == "turned" else 1
        pixels = Image.fromarray(rng.integers(0, 255, (64, 64, 4), np.uint8))
        pixels.convert("RGB" if kind == "turned" else "RGBA").save(file, exif=turned)
    shown = stimuli.assign(filename=[str(file), *stimuli["filename"][1:]])
    write_package(as_recording(lab(stimuli), regions=["IT"]), shown, tmp_path / "lab")
    images = read_package(tmp_path / "lab" / "IT.nc").attrs["stimulus_set"]
    packaged = Path(images.get_stimulus("image00"))
    assert is_plain(packaged)
    assert np.abs(load_image(packaged, 5.0) - load_image(file, 5.0)).max() < 0.6 / 255 / 0.22
    plain = Path(stimuli["filename"][1])
    assert Path(images.get_stimulus("image01")).read_bytes() == plain.read_bytes()


def test_scores_of_two_widths_are_told_apart(stimuli, tmp_path: Path) -> None:
    recording = as_recording(lab(stimuli)).selected(regions=["IT"], window=(10, 70))
    made_by = []
    for degrees in (5.0, 8.0):
        write_package(recording, stimuli.assign(degrees=degrees), tmp_path / str(degrees) / "lab")
        benchmark = package_benchmark(tmp_path / str(degrees) / "lab" / "IT.nc")
        network = load_network("timedecay_shallow", weights="random")
        made_by.append(make_plan(network, "lab", benchmark).made_by)
    five, eight = made_by
    assert {name for name in five if five[name] != eight[name]} == {"stimulus_degrees"}


def test_a_package_has_the_name_of_its_folder(stimuli, tmp_path: Path, monkeypatch) -> None:
    write_package(as_recording(lab(stimuli), regions=["IT"]), stimuli, tmp_path / "lab")
    (tmp_path / "latest").symlink_to(tmp_path / "lab")
    monkeypatch.chdir(tmp_path / "lab")
    for path in ("IT.nc", "../latest/IT.nc"):
        assert read_package(Path(path)).attrs["stimulus_set"].identifier == "lab"


def test_a_full_disk_names_the_package_and_not_an_image(
    stimuli, tmp_path: Path, monkeypatch
) -> None:
    def full(source: str, target: Path) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(source))

    monkeypatch.setattr("convrnns_brainscore.brainscore.packages.shutil.copyfile", full)
    with pytest.raises(OSError, match="No space left on device") as error:
        write_package(as_recording(lab(stimuli)), stimuli, tmp_path / "package")
    assert error.value.filename == str(tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_an_assembly_has_a_row_for_each_stimulus_where_a_column_has_gaps(stimuli) -> None:
    """Brain-Score averages over no presentation in which a coordinate is NaN."""
    size = np.where(np.arange(STIMULI) < 2, np.nan, 3.0)
    data = lab(stimuli).assign_coords(size=("presentation", np.tile(size, 4)))
    assembly, _ = _assembly(as_recording(data, regions=["IT"]), "IT")
    assert average_repetition(assembly).sizes["presentation"] == STIMULI


@pytest.mark.parametrize("folder", ["rdm-study", "pls-lab"])
def test_the_metric_is_not_read_from_a_folders_name(stimuli, tmp_path: Path, folder: str) -> None:
    recording = as_recording(lab(stimuli)).selected(window=(10, 70))
    write_package(recording, stimuli, tmp_path / folder)
    assert _metric(package_benchmark(tmp_path / folder / "IT.nc", "ridge")) == "ridge"

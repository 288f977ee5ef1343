"""`convrnns fit`: from a lab's file to results, summary, region map and report."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from io import StringIO
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pypdf
import pytest
import xarray as xr
from rich.console import Console

from convrnns_brainscore import ConvRNNError, cli, load_brain_model, load_network
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.brainscore.simulate import compose_stimuli, simulate_recording
from convrnns_brainscore.cli.fits import plot
from convrnns_brainscore.fits.blocks import Done
from convrnns_brainscore.fits.finished import FinishedBlocks
from convrnns_brainscore.fits.results import region_choices
from convrnns_brainscore.fits.results_file import read_results
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.report.fit_figures import write_figure
from convrnns_brainscore.report.tables import fit_table
from convrnns_brainscore.zoo import find_model

MODEL = "timedecay_shallow"
BINS = [(-10, 0), (30, 50), (50, 70), (70, 90)]
OPTIONS = ["--latencies", "0", "20", "--components", "8"]
FIT = [sys.executable, "-m", "convrnns_brainscore.cli", "fit", MODEL, "recording.nc"]
NETWORK = ["--weights", "random", "--backend", "torch"]  # whose processes start sooner
FIT += ["--stimuli", "stimuli", *NETWORK]


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """``stimuli/`` and ``recording.nc``: V4 and IT of two subjects, that read out the network."""
    folder = tmp_path_factory.mktemp("lab")
    stimuli = compose_stimuli(folder / "stimuli", count=66, seed=1)
    subject = TemporalBrainModel(load_network(MODEL, weights="random", backend="torch"))
    parts = []
    for region, neurons in (("V4", 6), ("IT", 8)):
        subject.start_recording(region, BINS[1:])
        seen = simulate_recording(
            subject.look_at(stimuli), stimuli, neurons=neurons, repetitions=6, inputs=4, seed=2
        )
        before = np.random.default_rng(0).poisson(3, (*seen.shape[:2], 1)).astype(float)
        parts.append(np.concatenate([before, seen.values], axis=2))
    values = np.concatenate(parts, axis=1)
    values[:, 0, 1] = 5  # a constant neuron, in one bin
    values[:6, 7] = np.nan  # trials of others are left
    xr.DataArray(
        values,
        {
            "stimulus_id": ("presentation", seen["stimulus_id"].values.astype(str)),
            "repetition": ("presentation", seen["repetition"].values),
            "object_name": ("presentation", seen["object_name"].values.astype(str)),
            "neuroid_id": ("neuroid", [*range(7), *range(7)]),
            "subject": ("neuroid", ["A"] * 7 + ["B"] * 7),
            "region": ("neuroid", ["V4"] * 6 + ["IT"] * 8),
            "time_bin_start": ("time_bin", [start for start, _ in BINS]),
            "time_bin_end": ("time_bin", [end for _, end in BINS]),
        },
        ["presentation", "neuroid", "time_bin"],
    ).to_dataset(name="rates").to_netcdf(folder / "recording.nc")
    return folder


def ended_with(arguments: list[str], folder: Path, monkeypatch) -> int:
    """The exit code of the command, run in this process."""
    monkeypatch.chdir(folder)
    command = ["convrnns", "fit", MODEL, *arguments, "--stimuli", "stimuli", *NETWORK]
    monkeypatch.setattr(sys, "argv", command)
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0)


@pytest.fixture(scope="module")
def fitted(folder: Path) -> Path:
    command = [*FIT[3:], *OPTIONS, "--out", "fits", "--cross-temporal"]
    said = StringIO()
    with chdir(folder), redirect_stdout(said), pytest.raises(SystemExit) as ended:
        cli.main(command)
    assert not ended.value.code
    for name in ("results.nc", "summary.csv", "region_layer_map.json", "report.html"):
        assert f"fits/{name}" in said.getvalue()
    assert "V4" in said.getvalue()
    return folder / "fits"


def test_nothing_is_left_but_the_results(fitted: Path) -> None:
    assert sorted(path.name for path in fitted.iterdir()) == [
        "ceilings.html",
        "learning_curves.csv",
        "models.csv",
        "region_layer_map.json",
        "regions.csv",
        "report.html",
        "results.nc",
        "summary.csv",
    ]


def test_the_nested_r_is_in_the_table_of_models(fitted: Path) -> None:
    """It is the number to publish."""
    results = read_results(fitted / "results.nc")
    table = pd.read_csv(fitted / "models.csv").set_index(["region", "model"])
    for region, choice in region_choices(results, "timedecay_shallow").items():
        row = table.loc[region, "timedecay_shallow"]
        assert (row["nested_r"], row["nested_r_sd"]) == pytest.approx(choice.nested)
        assert row["nested_r"] == pytest.approx(choice.score.mean())
        assert row["layer"] == choice.layer
    assert np.isnan(table.loc["V4", "control"]["nested_r"])


def text_of(path: Path) -> str:
    """All that can be read in a file: its text, the text of a PDF, the metadata of a picture."""
    if path.suffix == ".pdf":
        return "".join(page.extract_text() for page in pypdf.PdfReader(path).pages)
    if path.suffix in (".nc", ".png"):
        return str(read_provenance(path))
    return path.read_text(encoding="utf-8")


def test_every_file_says_that_the_network_is_untrained(
    fitted: Path, tmp_path: Path, capsys
) -> None:
    results = read_results(fitted / "results.nc")
    drawn = []
    figures = "over-time", "layers", "neurons", "learning", "latency"
    for name, suffix in product(figures, ("pdf", "png", "svg")):
        drawn.append(tmp_path / f"{name}.{suffix}")
        write_figure(results, name, drawn[-1])
    for path in [*fitted.iterdir(), *drawn]:
        assert "untrained, seed 0" in text_of(path), path.name
    console = Console(width=150)
    with console.capture() as shown:
        console.print(fit_table(results))
    assert f"{MODEL} (untrained, seed 0)" in shown.get()
    assert "Each split has 7 test stimuli" in shown.get().replace("\n", " ")
    told = read_provenance(fitted / "region_layer_map.json")
    assert told["model"] == f"{MODEL} (untrained, seed 0)"
    model = find_model(MODEL)
    refitted = region_layers(model, fitted / "region_layer_map.json")  # as `score` reads it
    assert set(refitted) == set(region_layers(model))


def test_the_summary_has_a_row_for_each_bin(fitted: Path) -> None:
    table = pd.read_csv(fitted / "summary.csv", keep_default_na=False, na_values=[""])
    wanted = "model, region, layer, time_bin_start, time_bin_end, score, error, ceiling"
    assert {*wanted.split(", "), "normalised_score", "neurons"} <= {*table}
    assert set(table["model"]) == {MODEL, "control"}
    assert set(table["subject"]) == {"all", "A", "B"}
    assert set(zip(table["region"], table["layer"], strict=True)) == {
        ("V4", "conv3"),
        ("IT", "conv5"),
        ("V4", "image"),
        ("IT", "image"),
    }
    values = ["score", "error", "ceiling", "normalised_score", "noise_corrected_r"]
    incomplete = table[values].isna().any(axis=1)
    assert (table["undefined"].notna() == incomplete).all()  # a reason where any is undefined
    before = table[table["time_bin_end"] <= 0]
    assert set(before["undefined"]) == {"before onset"}
    assert before["score"].isna().all()
    conv5 = table[(table["layer"] == "conv5") & (table["subject"] == "all")]
    assert conv5["score"].iloc[1] < 0.3  # the image has only just reached it
    assert conv5["score"].iloc[2:].min() > 0.4
    truth = table[(table["layer"] == "conv3") & (table["subject"] == "all")]["score"].iloc[-1]
    control = table[(table["layer"] == "image") & (table["region"] == "V4")]["score"].iloc[3]
    assert truth > control


def test_the_results_are_whole(fitted: Path) -> None:
    results = read_results(fitted / "results.nc")
    r = xr.open_dataset(fitted / "results.nc", group=f"{MODEL}/conv3")["r"]
    assert dict(r.sizes) == {"split": 10, "neuroid": 6, "time_bin": 4}
    assert results.subjects("V4") == ["all"]
    notes = results.fits[MODEL, "conv3"]["note"].values
    assert notes[0].tolist() == ["", "does not vary", "", ""]
    found = results.predictivity(MODEL, "conv3", "V4")
    assert found.neurons.tolist() == [0, 5, 6, 6]
    assert (found.ceiling[1:] > 0.3).all()
    assert results.fits[MODEL, "conv3"].attrs["label"] == "untrained, seed 0"
    assert results.root["test"].sum(dim="stimulus").values.tolist() == [7] * 10
    crossed = results.fits[MODEL, "conv3"]["cross_temporal"].values
    assert crossed.shape == (1, 10, 4, 4)
    told = read_provenance(fitted / "results.nc")
    assert told[f"{MODEL}: weights"] == "untrained, seed 0"
    assert len(told[f"{MODEL}: weights_sha256"]) == 64


def test_describe_shows_each_setting_on_a_line(fitted: Path, convrnns: Callable[..., str]) -> None:
    lines = convrnns("describe", fitted).splitlines()
    assert "settings: method: PLS, 8 components" in lines
    assert f"{MODEL}: weights: untrained, seed 0" in lines
    assert not any("{" in line for line in lines)


def test_a_learning_curve_ends_at_the_score_and_is_extrapolated(fitted: Path) -> None:
    table = pd.read_csv(fitted / "learning_curves.csv", keep_default_na=False, na_values=[""])
    truth = table[(table["region"] == "V4") & (table["layer"] == "conv3")]
    assert truth["training_stimuli"].tolist() == [15, 30, 44, 59, 118]
    assert truth["extrapolated"].tolist() == [False] * 4 + [True]
    assert truth["undefined"].isna().all()
    r = truth["score"].to_numpy()
    assert np.isfinite(r).all()
    (time_bin,) = set(truth["time_bin_start"])
    summary = pd.read_csv(fitted / "summary.csv")
    score = summary[(summary["layer"] == "conv3") & (summary["time_bin_start"] == time_bin)]
    assert r[3] == pytest.approx(score[score["subject"] == "all"]["score"].item(), abs=1e-12)


def test_the_region_map_is_one_that_the_brain_model_takes(fitted: Path) -> None:
    held = json.loads((fitted / "region_layer_map.json").read_text())
    assert {*held} >= {"V1", "V2", "V4", "IT"}
    model = load_brain_model(
        MODEL, weights="random", region_layer_map=fitted / "region_layer_map.json"
    )
    choices = region_choices(read_results(fitted / "results.nc"), MODEL)
    assert model.region_layer_map["V4"] == [choices["V4"].layer] == ["conv3"]
    assert choices["IT"].score.mean() > 0.3


def test_the_report_needs_nothing_else(fitted: Path) -> None:
    page = (fitted / "report.html").read_text(encoding="utf-8")
    text = re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)
    assert "http" not in text
    assert "`" not in text  # parameters are named in errors, not in notes
    assert page.count('class="plotly-graph-div"') == 16  # 8 a region
    for said in (
        MODEL,
        "subject B",
        "untrained, seed 0",
        "control",
        "A.0",
        "does not vary",
        "10 random splits",
    ):
        assert said in page


def test_the_same_command_again_finds_it_complete(fitted, folder, monkeypatch, capsys) -> None:
    before = (fitted / "results.nc").stat()
    again = ["recording.nc", *OPTIONS, "--out", "fits", "--cross-temporal"]
    assert ended_with(again, folder, monkeypatch) == 0
    assert (fitted / "results.nc").stat().st_ino == before.st_ino
    assert ended_with([*again, "--splits", "5"], folder, monkeypatch) == 2
    assert "was begun with" in capsys.readouterr().err
    assert (fitted / "results.nc").stat().st_ino == before.st_ino


def test_blocks_of_other_weights_are_not_resumed(
    folder: Path, monkeypatch, convrnns: Callable[..., str]
) -> None:
    monkeypatch.chdir(folder)
    command = [*FIT[3:], *OPTIONS, "--layers", "conv5", "--out", "begun"]
    keep = FinishedBlocks.keep

    def stopped(finished: FinishedBlocks, name: str, done: Done) -> None:
        keep(finished, name, done)
        if list(folder.glob(f"begun/.fit.partial/{MODEL},*.blocks/*.npz")):
            raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(FinishedBlocks, "keep", stopped)
        convrnns(*command, code=130)
    said = convrnns(*command, "--seed", "1", code=2)
    assert "begun was begun with weights 'untrained, seed 0', not" in said
    assert not (folder / "begun" / "results.nc").exists()


@pytest.mark.parametrize(
    "moments",
    [
        pytest.param([f".fit.partial/{MODEL},conv5.blocks/fit_bin 1.npz"], marks=pytest.mark.ci),
        pytest.param(
            [".fit.partial/.*.zarr.partial/journal.jsonl", f".fit.partial/{MODEL},conv3.nc"],
            marks=pytest.mark.slow,
        ),
    ],
)
def test_killed_at_any_moment_it_ends_with_the_same_numbers(
    fitted: Path, folder: Path, moments: list[str], monkeypatch, convrnns: Callable[..., str]
) -> None:
    """While features are extracted, within a layer, and between layers."""
    out = folder / f"killed{len(moments)}"
    command = [*FIT, *OPTIONS, "--cross-temporal", "--out", out.name]
    for there in moments:
        running = subprocess.Popen(command, cwd=folder, stderr=subprocess.DEVNULL)
        while not list(out.glob(there)) and running.poll() is None:
            time.sleep(0.02)
        assert running.poll() is None, "it ended before it was killed"
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
    assert not (out / "results.nc").exists()
    monkeypatch.chdir(folder)
    said = convrnns(*command[3:])
    assert "results.nc" in said
    assert f"Resuming {MODEL}; already fitted: conv3." in said
    if "blocks" in moments[-1]:
        assert re.search(rf"Resuming {MODEL} conv5: \d+ of \d+ parts were fitted", said)
        assert f"{MODEL}: extracting" not in said  # no features are extracted a second time
    whole, resumed = (read_results(path / "results.nc") for path in (fitted, out))
    assert whole.fits.keys() == resumed.fits.keys()
    for key, fitted_layer in whole.fits.items():
        for name, values in fitted_layer.variables.items():
            again = resumed.fits[key][name]
            if values.dtype.kind == "f":
                assert values.values.tobytes() == again.values.tobytes(), (key, name)
            else:
                assert values.values.tolist() == again.values.tolist()
    for name in ("summary.csv", "learning_curves.csv", "ceilings.html"):
        assert (fitted / name).read_bytes() == (out / name).read_bytes()
    pages = [(path / "report.html").read_text(encoding="utf-8") for path in (fitted, out)]
    page, other = (re.sub("<code>convrnns fit.*?</code>", "", each) for each in pages)
    assert page == other


def test_damaged_results_are_not_drawn(fitted: Path, tmp_path: Path) -> None:
    content = bytearray((fitted / "results.nc").read_bytes())
    content[int(0.9 * len(content))] ^= 1
    (tmp_path / "results.nc").write_bytes(content)
    with pytest.raises(ConvRNNError, match="damaged"):
        plot(tmp_path / "results.nc", tmp_path / "figure.png")
    assert not (tmp_path / "figure.png").exists()


@pytest.mark.slow
def test_damaged_settings_of_a_fit_under_way_begin_it_again(
    folder: Path, monkeypatch, capsys
) -> None:
    work = folder / "damaged" / ".fit.partial"
    work.mkdir(parents=True)
    (work / "settings.json").write_text('{"schema": 2, "mod')
    options = ["--regions", "IT", "--window", "70", "90", "--splits", "3", "--method", "ridge"]
    assert ended_with(["recording.nc", *options, "--out", "damaged"], folder, monkeypatch) == 0
    assert "settings.json is damaged: the fit begins again." in capsys.readouterr().err
    assert (folder / "damaged" / "results.nc").exists()


@pytest.mark.parametrize("method", ["pls", pytest.param("ridge", marks=pytest.mark.slow)])
def test_weights_can_be_shared_over_time(method: str, folder: Path, monkeypatch) -> None:
    options = {"pls": ["--components", "8"], "ridge": ["--window", "30", "90"]}[method]
    options += ["--time", "shared", "--method", method, "--regions", "IT", "--splits", "3"]
    options += ["--latencies", "0", "0", "--out", f"shared-{method}"]
    assert ended_with(["recording.nc", *options], folder, monkeypatch) == 0
    results = read_results(folder / f"shared-{method}" / "results.nc")
    r = results.predictivity(MODEL, "conv5", "IT").r
    assert np.nanmax(r) > 0.4
    assert results.root.sizes["time_bin"] == (1 if method == "ridge" else 4)


def test_bins_before_onset_alone_are_undefined(folder, monkeypatch, capsys) -> None:
    options = ["--window", "-10", "0", "--regions", "v4", "--layers", "conv3,conv3"]
    options += ["--latencies", "0", "0", "--components", "8", "--out", "early"]
    assert ended_with(["recording.nc", *options], folder, monkeypatch) == 0
    table = pd.read_csv(folder / "early" / "summary.csv")
    assert set(table["undefined"]) == {"before onset"}
    assert "none defined" in capsys.readouterr().out
    assert not (folder / "early" / "region_layer_map.json").exists()  # nothing was chosen


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--regions", "V1"], "unknown region of the recording 'V1'"),
        (["--layers", "conv6"], "five convolutional layers"),
        (["--components", "80"], "too few for 80 components"),
        (["--method", "ridge"], "--components applies only to PLS"),
        (["--penalty", "3"], "expected a positive number and --method ridge"),
        (["--image-ms", "95"], "multiple of that"),
        (["--scratch-limit", "0.0001"], "--scratch-limit"),
        (["--scratch-limit", "nan"], "expected a number of GB above 0"),
        (["--regions", ""], "--regions is empty"),
        (["--stratify", "species"], "--stratify species"),
        (["--splits", "1"], "--splits 1"),
        (["--window", "500", "600"], "does not cover"),
        (["--latencies", "100", "-50"], "give the lower one first"),
        (["--time", "shared", "--cross-temporal"], "needs separate weights for each time bin"),
    ],
)
def test_bad_input_is_one_line(
    options: list[str], said: str, folder: Path, monkeypatch, capsys
) -> None:
    arguments = ["recording.nc", *OPTIONS, *options, "--out", "bad"]
    assert ended_with(arguments, folder, monkeypatch) == 2
    error = capsys.readouterr().err
    assert said in error
    assert not list(folder.glob("bad/results.nc"))


@pytest.mark.parametrize(
    ("name", "said"), [("missing.nc", "does not exist"), ("MajajHong2015.publick", "Did you mean")]
)
def test_what_is_no_recording_is_one_line(name, said, folder, monkeypatch, capsys) -> None:
    assert ended_with([name], folder, monkeypatch) == 2
    assert said in capsys.readouterr().err

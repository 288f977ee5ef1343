"""Fits to several recordings: one table, one page, accuracy beside predictivity."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from test_report import made_results

from convrnns_brainscore import recording_from_arrays
from convrnns_brainscore.cli.fits import _folders
from convrnns_brainscore.fits import lab
from convrnns_brainscore.fits.lab import accuracy_correlation, lab_table
from convrnns_brainscore.fits.results import Results, time_bins
from convrnns_brainscore.fits.results_file import write_results
from convrnns_brainscore.fits.selection import Choice
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.report.lab_report import write_lab

# In the order of their published accuracy.
MODELS = ["timedecay_shallow", "ugrnn_shallow", "gru_shallow", "rgc_shallow", "rgc_intermediate"]


@pytest.fixture
def results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Models whose nested r grows with their accuracy, but for two that changed places."""
    chosen = dict(zip(MODELS, [0.2, 0.3, 0.5, 0.4, 0.6], strict=True))

    def choice(_: Results, model: str, region: str) -> Choice | None:
        if model not in chosen:
            return None
        score = np.full(10, chosen[model]) + np.tile([-0.01, 0.01], 5)
        return Choice(
            "conv5", 20, 1, score, score, [("conv5", 20, 1)] * 10, ["conv5"], [20], np.ones((1, 1))
        )

    monkeypatch.setattr(lab, "region_choice", choice)
    return made_results({model: {"conv5": chosen[model] + 0.05} for model in MODELS})


def test_the_table_has_nested_and_best_values_beside_the_accuracy(results: Results) -> None:
    table = lab_table({"monkey A": results}).set_index(["region", "model"])
    assert len(table) == 2 * (len(MODELS) + 1)
    row = table.loc["V4", "rgc_intermediate"]
    assert (row["top1"], row["layer"], row["latency_ms"]) == (73.0, "conv5", 20)
    assert row["nested_r"] == pytest.approx(0.6)
    assert row["best_r"] == pytest.approx(0.65, abs=0.02)
    bins = time_bins(results.root)
    assert (row["best_bin_start"], row["best_bin_end"]) in bins
    assert np.isnan(table.loc["V4", "control"][["top1", "nested_r"]].astype(float)).all()


def test_the_rank_correlation_is_over_whole_models(results: Results) -> None:
    table = lab_table({"A": results})
    found = accuracy_correlation(table)
    assert found["rho"].tolist() == [0.9, 0.9]  # one exchange among five
    assert found["models"].tolist() == [5, 5]
    few = accuracy_correlation(table[table["model"] != "gru_shallow"])
    assert few["untested"].tolist() == ["5 trained models are needed"] * 2
    assert found["p"].tolist() == pytest.approx([10 / 120] * 2)  # of all orders of five
    tuned = accuracy_correlation(table.assign(weights="fine-tuned from untrained, seed 0"))
    assert tuned["models"].tolist() == [0, 0]
    untrained = accuracy_correlation(table.assign(weights="untrained, seed 0"))
    assert untrained["rho"].isna().all()


def test_the_page_names_recordings_and_untrained_networks(results: Results, tmp_path: Path) -> None:
    for fit in results.fits.values():
        fit.attrs["weights"] = "untrained, seed 0"
    folders = {name: tmp_path / name for name in ("first", "second")}
    written = write_lab(dict.fromkeys(folders, results), folders, tmp_path)
    assert {path.name for path in written} == {
        "lab.csv", "lab.html", "lab.png", "lab.pdf", "lab.svg",
    }  # fmt: skip
    text = (tmp_path / "lab.html").read_text(encoding="utf-8")
    assert '<a href="first/report.html">first</a>' in text
    assert "rgc_intermediate (untrained, seed 0)" in text
    assert "the accuracy is that of the published, trained network" in text.replace("\n", " ")
    assert ">nan<" not in text
    assert "fitted by different methods" not in text
    other = Results(results.root.copy(), results.fits)
    other.root.attrs["settings"] = '{"method": "ridge", "time": "per-bin"}'
    write_lab({"first": results, "second": other}, folders, tmp_path)
    text = (tmp_path / "lab.html").read_text(encoding="utf-8")
    assert "first: PLS, per-bin; second: ridge, per-bin." in " ".join(text.split())


def test_fits_of_earlier_runs_are_compared(
    results: Results, tmp_path: Path, convrnns: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("v4", "it"):
        Path(name).mkdir()
        write_results(results, Path(name) / "results.nc")
    said = convrnns("compare", "v4", "it")
    assert "lab/lab.html" in said
    assert "v4 and it hold the same fit of" in said
    assert set(pd.read_csv("lab/lab.csv")["recording"]) == {"v4", "it"}
    assert "absent does not exist" in convrnns("compare", "v4", "absent", code=2)
    Path("other").mkdir()
    assert "given twice" in convrnns("compare", "v4", "other/../v4", code=2)
    assert "given twice" in convrnns("compare", "v4", "v4/results.nc", code=2)
    shutil.copytree("v4", "other/v4")
    assert "same name" in convrnns("compare", "v4", "other/v4", code=2)
    convrnns("compare", "v4/results.nc", "it/", "--out", "files")
    assert '<a href="../v4/report.html">v4</a>' in Path("files/lab.html").read_text()


def test_several_recordings_are_fitted_in_one_command(
    tmp_path: Path, convrnns: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    stimuli = load_objects92().stimuli[["stimulus_id", "filename"]][:30]
    stimuli.to_csv("stimuli.csv", index=False)
    rng = np.random.default_rng(0)
    for region in ("V4", "IT"):
        counts = rng.poisson(5, (30, 2, 8))
        recording_from_arrays(
            counts, stimuli, region, (70, 170), axes="stimulus, repetition, neuroid"
        ).to_dataset(name="counts").to_netcdf(f"{region}.nc")
    command = ["fit", "timedecay_shallow", "V4.nc", "IT.nc", "--stimuli", "stimuli.csv"]
    command += ["--weights", "random", "--layers", "conv5", "--latencies", "0", "0"]
    command += ["--splits", "3", "--out", "lab"]
    said = convrnns(*command)
    for name in ("V4/report.html", "IT/results.nc", "lab.html", "lab.csv"):
        assert f"lab/{name}" in said
    table = pd.read_csv("lab/lab.csv")
    assert table["region"].tolist() == ["V4", "V4", "IT", "IT"]
    assert "Estimated time" not in convrnns(*command)  # both are complete
    Path("other").mkdir()
    Path("other/V4.nc").symlink_to(Path("V4.nc").absolute())
    twice = convrnns(*command[:3], "other/V4.nc", *command[4:], code=2)
    assert "two recordings have the name V4" in twice
    missing = convrnns(*command[:3], "absent.nc", *command[4:-1], "wrong", code=2)
    assert "absent.nc" in missing
    assert not Path("wrong").exists()


def test_groups_of_one_file_have_folders_of_their_own() -> None:
    folders = _folders(["a.nc::monkey A/V4", "a.nc::monkey A/IT", "b.nc"], Path("out"))
    assert list(folders) == ["a-monkey A-V4", "a-monkey A-IT", "b"]

"""Real V4 and IT, fitted as docs/fits.md says: its lines of Python, and the command."""

from __future__ import annotations

import re
import subprocess
import sys
import zipfile
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr

from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.reliability import reliability
from convrnns_brainscore.fits.results_file import read_results
from convrnns_brainscore.recording_files import open_recording
from convrnns_brainscore.recordings import recorded_apart

DOCS = Path(__file__).parents[1] / "docs" / "fits.md"
MODELS = ("timedecay_shallow", "simplernn_shallow")


@pytest.fixture(scope="module")
def lab(shared: Path, tmp_path_factory) -> Path:
    """The arrays as the lab has them, and ``both.nc`` made of them by the docs' lines."""
    source, folder = shared / "recordings" / "v4_objects640", tmp_path_factory.mktemp("lab")
    (folder / "v4_counts.npy").symlink_to(source / "v4_counts.npy")
    images = pd.read_csv(source / "objects.csv")
    images = images.rename(columns={"image_file": "stimulus_id", "object": "object_name"})
    images.to_csv(folder / "objects.csv", index=False)
    with zipfile.ZipFile(source / "images.zip") as archive:
        archive.extractall(folder / "unpacked")
    (folder / "images").symlink_to(next((folder / "unpacked").rglob("*.jpg")).parent)
    lines = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)[0]
    subprocess.run([sys.executable, "-c", lines], cwd=folder, check=True)
    v4 = open_recording(folder / "v4.nc")
    with h5py.File(source / "it_site.h5") as held:
        rates = held["rates"][:]  # [image, repetition]
    site = xr.DataArray(
        rates.T.reshape(-1, 1, 1),
        {
            "stimulus_id": ("presentation", np.tile(images["stimulus_id"], rates.shape[1])),
            "object_name": ("presentation", np.tile(images["object_name"], rates.shape[1])),
            "repetition": ("presentation", np.repeat(np.arange(rates.shape[1]), len(rates))),
            "neuroid_id": ("neuroid", [0]),
            "region": ("neuroid", ["IT"]),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        ["presentation", "neuroid", "time_bin"],
    )
    recorded_apart([v4, site]).to_dataset(name="responses").to_netcdf(folder / "both.nc")
    return folder


def test_the_docs_lines_make_a_recording(lab: Path) -> None:
    recording = open_recording(lab / "v4.nc")
    assert recording.sizes["neuroid"] == 50
    assert len(set(recording["stimulus_id"].values)) == 640


@pytest.mark.slow
def test_two_models_and_both_regions_in_one_report(lab: Path) -> None:
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "fit", ",".join(MODELS), "both.nc"]
    command += ["--stimuli", "images", "--weights", "random", "--latencies", "0", "0"]
    done = subprocess.run(command, cwd=lab, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    results = read_results(lab / "fits" / "results.nc")
    assert results.models == [*MODELS, control.NAME]
    assert results.regions == ["V4", "IT"]
    known = reliability(results.root["half_correlation"].values)[:, 0]
    v4 = results.neurons("V4")
    assert np.median(known[v4]) == pytest.approx(0.76, abs=0.03)
    assert known[~v4][0] == pytest.approx(2 * 0.74 / 1.74, abs=0.03)  # of 63 repetitions
    image = results.predictivity(control.NAME, control.LAYER, "V4")
    assert image.r[0] == pytest.approx(0.47, abs=0.07)
    for model, layer in results.fits:
        if model != control.NAME:
            region = results.fits[model, layer]["region"].values[0]
            assert results.predictivity(model, layer, str(region)).r[0] > 0.2
    text = (lab / "fits" / "report.html").read_text(encoding="utf-8")
    assert "<h2>V4</h2>" in text
    assert "1 neurons are too few" in text  # the one site of IT

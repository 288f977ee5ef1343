"""The demo, as a stranger runs it."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from test_checkpoints import write_checkpoint

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.demo.geometry import highest
from convrnns_brainscore.demo.setting import load


def test_the_table_says_where_the_similarity_is_highest() -> None:
    coords = {
        "time_bin_start": ("time_bin", [0, 10, 20]),
        "time_bin_end": ("time_bin", [10, 20, 30]),
    }
    values = {"similarity": [np.nan, 0.31, 0.2], "error": [np.nan, 0.02, 0.03]}
    over_time = xr.Dataset({name: ("time_bin", value) for name, value in values.items()}, coords)
    assert highest(over_time) == ("0.31 ± 0.02", "10–20")
    assert highest(over_time.isel(time_bin=[0])) == ("undefined", "–")


def test_checkpoints_are_taken_where_there_are_any(tmp_path: Path, network: ConvRNN) -> None:
    assert load("timedecay_shallow", tmp_path, seed=5).weights.label == "untrained, seed 5"
    prefix = tmp_path / "timedecay_shallow" / "model.ckpt"
    write_checkpoint(prefix, network.weights.values)
    assert load("timedecay_shallow", tmp_path, seed=5).weights.label.startswith("sha256 ")


@pytest.mark.slow
def test_the_demo_runs_and_says_that_it_is_untrained(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "demo", "--out", "pictures"]
    result = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    # In the first line, and in the tables of geometry, scores and fits.
    assert result.stdout.count("untrained, seed 0") >= 2 + 2 + 2 + 2
    assert "is therefore not a response latency" in " ".join(result.stdout.split())
    assert "The demo took" in result.stdout
    assert "pictures/fits/report.html" in result.stdout
    assert (tmp_path / "pictures" / "fits" / "report.html").stat().st_size > 100_000
    assert (tmp_path / "pictures" / "geometry.png").stat().st_size > 10_000
    assert "Traceback" not in result.stderr

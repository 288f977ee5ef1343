"""The plugin, where Brain-Score finds it."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from PIL import Image

from convrnns_brainscore import ConvRNNError, list_models, load_network
from convrnns_brainscore.brainscore import registry
from convrnns_brainscore.brainscore.packages import package_benchmark, write_package
from convrnns_brainscore.brainscore.registry import (
    plugin_files,
    register,
    registered_models,
    unregister,
    write_plugin,
)
from convrnns_brainscore.brainscore.scoring import score
from convrnns_brainscore.checkpoints import write_safetensors
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.recordings import as_recording
from convrnns_brainscore.requirements import brain_score_folder

IN_REPOSITORY = Path(__file__).parents[1] / "model_registry" / "convrnns"


@pytest.fixture
def brain_score(tmp_path: Path, monkeypatch) -> Path:
    """A stand-in for the folder where Brain-Score is installed."""
    folder = tmp_path / "brainscore_vision"
    shutil.copytree(brain_score_folder() / "models" / "alexnet", folder / "models" / "alexnet")
    monkeypatch.setattr(registry, "brain_score_folder", lambda: folder)
    return folder


def test_the_repository_holds_the_plugin_that_is_registered() -> None:
    for name, text in plugin_files().items():
        assert (IN_REPOSITORY / name).read_text(encoding="utf-8") == text, (
            f"{name}: run `python -m convrnns_brainscore.brainscore.registry`"
        )


def test_each_model_has_one_literal_line_that_both_searches_of_brain_score_read() -> None:
    lines = plugin_files()["__init__.py"].splitlines()
    for name in list_models():
        identifier = f"convrnn_{name}"
        literal = [line for line in lines if f"model_registry['{identifier}']" in line]
        assert len(literal) == 1
        greedy = re.findall(r"model_registry\[.*\]", literal[0])  # as the leaderboard reads it
        assert greedy == [f"model_registry['{identifier}']"]
        regions = json.loads(plugin_files()[f"region_layer_map/{identifier}.json"])
        assert {"V1", "V2", "V4", "IT"} <= set(regions)


def test_no_identifier_is_taken_in_brain_score() -> None:
    taken = registered_models(brain_score_folder() / "models", leave_out="convrnns")
    assert len(taken) > 700
    assert not {f"convrnn_{name}" for name in list_models()} & set(taken)


def test_it_is_written_once_and_taken_away(brain_score: Path) -> None:
    folder = register()
    assert folder == brain_score / "models" / "convrnns"
    assert register() == folder  # again: as before
    assert len(list((folder / "region_layer_map").iterdir())) == 20
    assert not any(folder.glob("*requirements*"))
    assert not (folder / "setup.py").exists()
    assert sorted(path.name for path in folder.parent.iterdir()) == ["alexnet", "convrnns"]
    unregister()
    assert not folder.exists()
    with pytest.raises(ConvRNNError, match="nothing to remove"):
        unregister()


def test_what_is_not_ours_is_left_alone(brain_score: Path) -> None:
    folder = brain_score / "models" / "convrnns"
    folder.mkdir()
    (folder / "__init__.py").write_text("mine = True\n")
    for attempt in (register, unregister):
        with pytest.raises(ConvRNNError, match="was not created by this tool"):
            attempt()
    assert (folder / "__init__.py").read_text() == "mine = True\n"
    shutil.rmtree(folder)
    other = brain_score / "models" / "alexnet" / "__init__.py"
    other.write_text("model_registry['convrnn_rgc_shallow'] = None\n")
    with pytest.raises(ConvRNNError, match="has a model convrnn_rgc_shallow already"):
        register()


def brain_score_with_the_plugin(folder: Path) -> dict[str, str]:
    """Brain-Score's library, linked file by file, with the plugin among its models; returns the
    environment in which Python finds it before the installed one."""
    installed, linked = brain_score_folder(), folder / "path" / "brainscore_vision"
    (linked / "models").mkdir(parents=True)
    for path in installed.iterdir():
        if path.name not in ("models", "model_helpers", "benchmarks"):
            (linked / path.name).symlink_to(path)
    (linked / "benchmarks").mkdir()
    for path in (installed / "benchmarks").iterdir():
        (linked / "benchmarks" / path.name).symlink_to(path)
    # The images of the generic tests are not in Brain-Score's wheel.
    images = linked / "model_helpers" / "generic_plugin_tests_resources"
    images.mkdir(parents=True)
    for number, name in enumerate(("rgb1.jpg", "rgb2.jpg", "rgb3.png")):
        Image.new("RGB", (64, 64), (90 * number, 100, 200)).save(images / name)
    for path in (installed / "model_helpers").iterdir():
        if path.name != images.name:
            (linked / "model_helpers" / path.name).symlink_to(path)
    for name in ("__init__.py", "alexnet"):
        if (installed / "models" / name).exists():
            (linked / "models" / name).symlink_to(installed / "models" / name)
    write_plugin(linked / "models" / "convrnns")
    inherited = os.environ.copy()
    inherited.pop("BS_INSTALL_DEPENDENCIES")  # as for a user: Brain-Score would install
    return {
        **inherited,
        "PYTHONPATH": str(folder / "path"),
        "CONVRNNS_CHECKPOINTS": str(folder / "checkpoints"),
        "PATH": f"{no_pip(folder)}:{os.environ['PATH']}",
    }


def no_pip(folder: Path) -> Path:
    """A folder with a ``pip`` that leaves a mark instead of installing anything."""
    programs = folder / "programs"
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text(f"#!/bin/sh\ntouch {folder / 'pip_was_run'}\n")
    pip.chmod(0o755)
    return programs


def run_generic_tests(folder: Path, names: list[str]) -> None:
    environment = brain_score_with_the_plugin(folder)
    for name in names:
        weights = load_network(name, weights="random", seed=0).weights.values
        path = folder / "checkpoints" / name / "model.safetensors"
        path.parent.mkdir(parents=True)
        write_safetensors(path, name, weights)
    linked = folder / "path" / "brainscore_vision"
    generic = str(linked / "model_helpers" / "generic_plugin_tests.py")
    plugin = linked / "models" / "convrnns"
    for kept in (plugin / "region_layer_map").iterdir():
        if kept.stem.removeprefix("convrnn_") not in names:
            kept.unlink()
    first = plugin / "__init__.py"
    lines = first.read_text().splitlines()
    first.write_text(
        "\n".join(
            line
            for line in lines
            if not line.startswith("model_registry")
            or any(f"['convrnn_{name}']" in line for name in names)
        )
    )
    for tests in (
        [generic, "--plugin_directory", str(plugin)],
        [str(plugin / "test.py")],
    ):
        told = subprocess.run(
            [sys.executable, "-m", "pytest", "-q", "-m", "not slow", *tests],
            cwd="/",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 0, told.stdout[-3000:] + told.stderr[-1000:]
    assert not (folder / "pip_was_run").exists()


@pytest.mark.ci
def test_brain_scores_generic_plugin_tests_pass(tmp_path: Path) -> None:
    """As on the leaderboard's server, with random weights in place of the published ones."""
    run_generic_tests(tmp_path, ["timedecay_shallow"])


@pytest.mark.slow
def test_brain_scores_generic_plugin_tests_pass_for_all(tmp_path: Path) -> None:
    run_generic_tests(tmp_path, list_models())


@pytest.mark.ci
def test_brain_score_loads_a_registered_model_twice_without_installing(tmp_path: Path) -> None:
    environment = brain_score_with_the_plugin(tmp_path)
    weights = load_network("timedecay_shallow", weights="random", seed=0).weights.values
    path = tmp_path / "checkpoints" / "timedecay_shallow" / "model.safetensors"
    path.parent.mkdir(parents=True)
    write_safetensors(path, "timedecay_shallow", weights)
    program = """
import os, time
import brainscore_vision
model = brainscore_vision.load_model("convrnn_timedecay_shallow")
began = time.monotonic()
os.environ["BS_INSTALL_DEPENDENCIES"] = "no"
again = brainscore_vision.load_model("convrnn_timedecay_shallow")
print(model.identifier, again.region_layer_map["IT"], time.monotonic() - began < 10)
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert told.stdout.split() == ["convrnn_timedecay_shallow", "['conv5']", "True"]
    assert not (tmp_path / "pip_was_run").exists()


DURATIONS = (30, 60, 2500)
"""Of the images of three packages, in ms."""

BENCHMARK = """
from pathlib import Path
from brainscore_vision import benchmark_registry
from convrnns_brainscore.brainscore.packages import package_benchmark

benchmark_registry['on60'] = lambda: package_benchmark(Path('{folder}/on60/IT.nc'), "ridge")
benchmark_registry['on30'] = lambda: package_benchmark(Path('{folder}/on30/IT.nc'), "ridge")
benchmark_registry['on2500'] = lambda: package_benchmark(Path('{folder}/on2500/IT.nc'), "ridge")
"""


@pytest.mark.slow
def test_the_server_and_the_laptop_do_the_same_experiment(tmp_path: Path) -> None:
    """`brainscore_vision.score` of the registered plugin is `score` to the bit, whatever the
    images' duration."""
    environment = brain_score_with_the_plugin(tmp_path)
    stimuli = load_objects92().stimuli.assign(degrees=8.0)
    shown = np.tile(stimuli["stimulus_id"], 3)
    rates = np.random.default_rng(0).poisson(5, (len(shown), 5, 1)).astype(float)
    for on in DURATIONS:
        coords = {
            "stimulus_id": ("presentation", shown),
            "image_on_ms": ("presentation", [float(on)] * len(shown)),
            "neuroid_id": ("neuroid", range(5)),
            "region": ("neuroid", ["IT"] * 5),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        }
        recording = xr.DataArray(rates, coords, ["presentation", "neuroid", "time_bin"])
        write_package(as_recording(recording), stimuli, tmp_path / f"on{on}")
    plugin = tmp_path / "path" / "brainscore_vision" / "benchmarks" / "made_up"
    plugin.mkdir()
    (plugin / "__init__.py").write_text(BENCHMARK.replace("{folder}", str(tmp_path)))
    network = load_network("timedecay_shallow", weights="random", seed=0)
    path = tmp_path / "checkpoints" / "timedecay_shallow" / "model.safetensors"
    path.parent.mkdir(parents=True)
    write_safetensors(path, "timedecay_shallow", network.weights.values)
    program = """
import brainscore_vision
for name in ("on30", "on60", "on2500"):
    score = brainscore_vision.score(
        model_identifier="convrnn_timedecay_shallow", benchmark_identifier=name
    )
    print("scored", score.attrs["model_identifier"], float(score.raw).hex())
"""
    told = subprocess.run(
        [sys.executable, "-c", program],
        cwd="/",
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr[-2000:]
    lines = [line.split() for line in told.stdout.splitlines() if line.startswith("scored")]
    theirs = [float.fromhex(line[2]) for line in lines]
    results = [score(network, package_benchmark(tmp_path / f"on{on}" / "IT.nc", "ridge"))
               for on in DURATIONS]  # fmt: skip
    assert theirs == [float(result.score.raw) for result in results]
    assert len(set(theirs)) == len(DURATIONS)
    rules = {result.made_by["image_duration_rule"] for result in results}
    assert rules == {"image_on_ms of the stimulus set"}

"""The Python of the cookbook runs as it stands, with a small untrained network in the place of a
published one."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import xarray as xr
from PIL import Image

import convrnns_brainscore
from convrnns_brainscore import ConvRNN, load_network
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.prepare import prepare
from convrnns_brainscore.fits.reference import given_reference
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.recording_files import opened
from convrnns_brainscore.recordings import Recording

PAGE = (Path(__file__).parents[1] / "docs" / "cookbook.md").read_text(encoding="utf-8")
ENTRIES = {
    entry.split("\n")[0]: re.findall(r"```python\n(.*?)```", entry, re.DOTALL)
    for entry in PAGE.split("\n## ")[1:]
}


def small(name: str, checkpoint: str | None = None, **_: Any) -> ConvRNN:
    """Any network as the smallest, untrained one, on PyTorch."""
    given = {"checkpoint": checkpoint} if checkpoint else {"weights": "random"}
    return load_network("timedecay_shallow", backend="torch", **given)


@pytest.fixture
def kitchen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names that entries take for granted, in a folder with their files."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(convrnns_brainscore, "load_network", small)
    for place, name in enumerate(("a.png", "b.png")):
        Image.fromarray(np.full((60, 60, 3), 80 * place + 60, np.uint8)).save(name)
    network = small("any")
    network.save("mine.safetensors")
    return {"network": network, "load_network": small}


def run(entry: str, names: dict[str, Any], **changed: str) -> dict[str, Any]:
    """Names after the lines of an entry, some words of which are replaced."""
    (lines,) = ENTRIES[entry]
    assert len(lines.splitlines()) <= 10
    for old, new in changed.items():
        lines = re.sub(rf"\b{old}\b", new, lines)
    exec(lines, names)
    return names


def test_features_and_their_exports(kitchen: dict[str, Any]) -> None:
    found = run("My images are in a DataFrame", kitchen, conv10="conv5")["found"]
    assert found["conv5"].dims == ("presentation", "neuroid", "time_bin")
    run("Features for rsatoolbox, PyTorch or thingsvision", kitchen, conv10="conv5")
    assert kitchen["dataset"].n_obs == 2
    assert kitchen["tensor"].shape == found["conv5"].shape
    assert list(Path("features").rglob("features.npy"))


def test_a_loader(kitchen: dict[str, Any]) -> None:
    kitchen["loader"] = torch.utils.data.DataLoader(torch.zeros(3, 3, 224, 224), batch_size=2)
    run("My images come from a PyTorch DataLoader", kitchen, conv9="conv4", conv10="conv5")
    assert kitchen["batch"]["conv5"].shape[0] == 1  # the last batch


def test_responses_without_time(kitchen: dict[str, Any]) -> None:
    kitchen |= {"values": np.zeros((4, 3)), "stimulus_ids": ["a", "b", "a", "b"]}
    betas = run("My responses have no time axis (fMRI)", kitchen)["betas"]
    assert betas.values.shape == (4, 3, 1)


def test_dissimilarities_alone(kitchen: dict[str, Any]) -> None:
    rdms = np.random.default_rng(0).random((3, 40, 5, 5))
    kitchen |= {"np": np, "xr": xr, "rdms": rdms, "stimulus_ids": list("abcde")}
    run("I have dissimilarities only (the 92-object MEG set)", kitchen)
    with opened("meg.nc") as held:
        reference = given_reference(held, Path("meg.nc"))
    assert reference is not None
    assert reference.time_bins == [(-100, -90), (-90, -80), (-80, -70), (-70, -60)]
    expected = rdms[1, 10:20, 0, 3].mean()
    assert reference.subjects["given"][1, 1, 2] == pytest.approx(expected)


def test_own_weights(kitchen: dict[str, Any]) -> None:
    network = run("My own trained weights", kitchen)["network"]
    assert network.weights.label == "untrained, seed 0"  # the label follows the weights


@pytest.mark.ci
def test_what_drives_a_neuron(kitchen: dict[str, Any], tmp_path: Path) -> None:
    stimuli = load_objects92().stimuli[["stimulus_id", "filename"]].assign(degrees=8.0)
    counts = np.random.default_rng(0).poisson(5, (92, 6, 3))
    bins = [(60, 80), (80, 100), (100, 120)]
    recording = Recording.from_arrays(
        counts, stimuli, "IT", bins, axes="stimulus, neuroid, time_bin"
    )
    method = Method("ridge", penalty=100.0)
    prepared = prepare(
        recording, stimuli, image_ms=100, needed=method.needed, latencies=[0], splits=2
    )
    networks = {"timedecay_shallow": partial(small, "any")}
    kitchen["results"] = fit_recording(
        networks, prepared, tmp_path / "fits", method=method, layers=["conv5"]
    )
    kitchen["images"] = torch.tensor(load_images(["a.png"]), requires_grad=True)
    run("Gradient of a neuron's predicted response", kitchen)
    assert kitchen["images"].grad.abs().max() > 0

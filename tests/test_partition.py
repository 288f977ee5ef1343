"""Unique and shared variance: known truth is found, from arrays to the command."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from convrnns_brainscore import (
    ConvRNNError,
    Presentation,
    features_in_memory,
    load_network,
    recording_from_arrays,
)
from convrnns_brainscore.fits.partition import PARTS, held_out_errors, partition, parts_of
from convrnns_brainscore.fits.partition_study import FeatureSet
from convrnns_brainscore.fits.resampling import draw_neurons, draw_stimuli
from convrnns_brainscore.fits.splits import Split
from convrnns_brainscore.objects92 import load_objects92

RNG = np.random.default_rng(0)
# Uncorrelated over the stimuli, so that the truth is known without chance.
WHITE = np.sqrt(240) * np.linalg.qr(RNG.standard_normal((240, 15)))[0]
COMMON, ONE, OTHER = np.split(WHITE, 3, axis=1)
TESTS = np.split(RNG.permutation(240), 4)
SPLITS = [Split(np.setdiff1d(np.arange(240), test), test) for test in TESTS]


def gram(*parts: np.ndarray) -> np.ndarray:
    features = np.hstack(parts)
    return features @ features.T


def explained(responses: np.ndarray, scale: float = 1) -> np.ndarray:
    """`PARTS` of two sets that share `COMMON`; the second has another scale."""
    grams = gram(COMMON, ONE), scale * gram(COMMON, OTHER)
    return parts_of(held_out_errors(grams, responses, SPLITS).explained())


@pytest.mark.parametrize("scale", [1, 1e-6, 1e6])
def test_each_part_is_found_whatever_the_scales_of_the_sets(scale: float) -> None:
    responses = np.stack([COMMON[:, 0], ONE[:, 0], OTHER[:, 0], ONE[:, 1] + OTHER[:, 1]], axis=1)
    found = dict(zip(PARTS, explained(responses, scale), strict=True))
    assert found["shared"] == pytest.approx([1, 0, 0, 0], abs=0.12)
    assert found["unique_first"] == pytest.approx([0, 1, 0, 0.5], abs=0.12)
    assert found["unique_second"] == pytest.approx([0, 0, 1, 0.5], abs=0.12)
    assert found["both"] == pytest.approx([1] * 4, abs=0.01)


def test_noise_is_explained_by_nothing() -> None:
    found = explained(RNG.standard_normal((240, 40)))
    assert np.abs(found.mean(axis=1)).max() < 0.05


def test_a_neuron_that_misses_stimuli_is_tested_on_those_it_saw() -> None:
    responses = np.stack([ONE[:, 0], np.where(np.arange(240) < 24, np.nan, ONE[:, 0])], axis=1)
    whole, partly = explained(responses).T
    np.testing.assert_allclose(partly, whole, atol=0.08)
    constant = explained(np.full((240, 3), [2, 0.1, 1 / 3]))  # the last two have rounded means
    assert np.isnan(constant).all()


def test_the_error_is_the_spread_over_other_stimuli_and_neurons() -> None:
    """Neurons differ in how much of them is unique: their spread is part of the error."""
    weights = RNG.uniform(0, 1, (1, 30))
    responses = weights * ONE[:, :1] + (1 - weights) * COMMON[:, :1]
    found = held_out_errors((gram(COMMON, ONE), gram(COMMON, OTHER)), responses, SPLITS)
    of_region = partition(found, draw_stimuli(240), draw_neurons(["A"] * 30))
    each = parts_of(found.explained())[PARTS.index("unique_first")]
    assert of_region.neurons == 30
    assert of_region.parts[PARTS.index("unique_first")] == pytest.approx(each.mean())
    over_neurons = each.std(ddof=1) / np.sqrt(30)
    error = of_region.errors[PARTS.index("unique_first")]
    assert over_neurons * 0.9 < error < over_neurons * 1.5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("conv5", "expected NETWORK/LAYER"),
        ("rgc_shallow/conv5@early", "expected NETWORK/LAYER"),
        ("rgc_shallow/conv5@90-70", "must end after it begins"),
        ("rgc_shallow/conv5@1.2.3-70", "is not a window"),
    ],
)
def test_a_set_that_is_none_is_refused(text: str, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        FeatureSet.parse(text)
    assert str(FeatureSet.parse("rgc_shallow/conv5@70-90")) == "rgc_shallow/conv5@70-90"


@pytest.fixture(scope="module")
def lab(tmp_path_factory) -> Path:
    """Neurons of IT that read conv5 of the recurrent network as it is late, and of V4 that read it
    as it is at its first step."""
    folder = tmp_path_factory.mktemp("lab")
    network = load_network("simplernn_shallow", weights="random")
    stimuli = load_objects92().stimuli[["stimulus_id", "filename"]]
    seen = features_in_memory(
        network, stimuli, "conv5", Presentation.custom(times=14, image_off=10)
    )["conv5"]
    units = np.random.default_rng(0).choice(seen.sizes["neuroid"], (2, 12, 20))
    early = seen.values[:, units[0], 0].mean(axis=2)
    late = seen.values[:, units[1], -1].mean(axis=2)
    drive = np.concatenate([early, late], axis=1)
    drive = 0.5 * (drive - drive.mean(axis=0)) / drive.std(axis=0)
    counts = np.random.default_rng(1).poisson(np.exp(2 + drive)[:, None].repeat(6, axis=1))
    recording_from_arrays(
        counts, stimuli, ["V4"] * 12 + ["IT"] * 12, (120, 140), axes="stimulus, repetition, neuroid"
    ).to_dataset(name="counts").to_netcdf(folder / "lab.nc")
    stimuli.to_csv(folder / "stimuli.csv", index=False)
    return folder


def test_the_command_tells_late_responses_from_the_first_sweep(
    lab: Path, convrnns: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(lab)
    command = ["partition", "lab.nc", "--stimuli", "stimuli.csv", "--weights", "random"]
    sets = ["--first", "simplernn_shallow/conv5@first", "--second", "simplernn_shallow/conv5"]
    said = convrnns(*command, *sets, "--out", "late")
    assert "first: simplernn_shallow/conv5@first" in said
    table = pd.read_csv("late/partition.csv").set_index("region")
    assert table.loc["IT", "unique_second"] > 2 * table.loc["IT", "unique_second_error"]
    assert table.loc["IT", "p_unique_second"] < 0.05
    assert table.loc["IT", "unique_second"] > table.loc["IT", "unique_first"]
    assert table.loc["V4", "unique_first"] > table.loc["V4", "unique_second"]
    parts = table[["unique_first", "unique_second", "shared"]].sum(axis=1)
    np.testing.assert_allclose(parts, table["both"], atol=1e-9)
    with xr.open_dataset("late/partition.nc") as held:
        assert "untrained, seed 0" in held.attrs["made_by"]
    assert {path.name for path in Path("late").iterdir()} == {
        "partition.nc", "partition.csv", "neurons.csv",
        "partition.png", "partition.pdf", "partition.svg",
    }  # fmt: skip
    other = convrnns(*command, *sets[:3], "simplernn_shallow/conv4", "--out", "late", code=2)
    assert "late holds results that differ in: second set. Choose another --out" in other
    neurons = pd.read_csv("late/neurons.csv")
    assert neurons.groupby("neuroid_region")["both"].mean()["IT"] == pytest.approx(
        table.loc["IT", "both"]
    )


@pytest.mark.parametrize(
    ("first", "second", "said"),
    [
        ("simplernn_shallow/conv5", "simplernn_shallow/conv5", "give two that differ"),
        ("simplernn_shallow/conv5@120-140", "simplernn_shallow/conv5", "give two that differ"),
        (
            "simplernn_shallow/conv5@0-30",
            "simplernn_shallow/conv5",
            "The image reaches conv5 at 40 ms",
        ),
        ("simplernn_shallow/conv5@500-600", "simplernn_shallow/conv5", "which lasts 140 ms"),
        (
            "simplernn_shallow/conv9",
            "simplernn_shallow/conv5",
            "unknown layer of simplernn_shallow",
        ),
        ("simplernn/conv5", "simplernn_shallow/conv5", "unknown model 'simplernn'"),
        (
            "simplernn_shallow-without-recurrence/conv5",
            "simplernn_shallow/conv5",
            "unknown network of a set",
        ),
    ],
)
def test_sets_that_do_not_go_are_one_line(
    first: str, second: str, said: str, lab: Path, convrnns: Callable[..., str], monkeypatch
) -> None:
    monkeypatch.chdir(lab)
    command = ["partition", "lab.nc", "--stimuli", "stimuli.csv", "--weights", "random"]
    told = convrnns(*command, "--first", first, "--second", second, "--out", "wrong", code=2)
    assert said in told.splitlines()[-1]
    assert not Path("wrong").exists()

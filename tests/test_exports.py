"""Activations in the forms of other tools, and regions compared over splits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rsatoolbox
import xarray as xr
from scipy.stats import pearsonr

from convrnns_brainscore import ConvRNNError, features_in_memory, recording_from_arrays
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.exports import to_rsatoolbox, to_thingsvision
from convrnns_brainscore.fits import region_differences
from convrnns_brainscore.fits.region_differences import corrected_error, differences_table
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.fits.selection import Choice
from convrnns_brainscore.objects92 import load_objects92


def test_rsatoolbox_computes_dissimilarities_of_features(network: ConvRNN) -> None:
    stimuli = load_objects92().stimuli[:5]
    found = features_in_memory(network, stimuli, "conv5")["conv5"]
    dataset = to_rsatoolbox(found)
    assert dataset.obs_descriptors["stimulus_id"].tolist() == stimuli["stimulus_id"].tolist()
    assert dataset.time_descriptors["time"][0] == 50
    one = to_rsatoolbox(found[:, :, :1])
    rdm = rsatoolbox.rdm.calc_rdm(one, "correlation", descriptor="stimulus_id")
    a, b = found.values[0, :, 0], found.values[1, :, 0]
    np.testing.assert_allclose(rdm.dissimilarities[0, 0], 1 - pearsonr(a, b)[0], atol=1e-5)


def test_thingsvision_reads_what_is_written(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random((3, 4, 2))
    recording = recording_from_arrays(
        values, ["a", "b", "c"], "IT", [(70, 80), (80, 90)], axes="presentation,neuroid,time_bin"
    )
    first, second = to_thingsvision(recording, tmp_path / "features")
    assert (first.name, second.name) == ("70-80ms", "80-90ms")
    np.testing.assert_allclose(np.load(second / "features.npy"), values[..., 1], atol=1e-6)
    assert (first / "file_names.txt").read_text().split() == ["a", "b", "c"]
    with pytest.raises(ConvRNNError, match="expected presentation × neuroid × time_bin"):
        to_rsatoolbox(recording[0])


def test_streams_of_the_same_files_keep_their_names_apart(tmp_path: Path) -> None:
    values = np.zeros((2, 4, 1), np.float32)
    recording = recording_from_arrays(
        values, ["face-house", "face-car"], "IT", (70, 80), axes="presentation,neuroid,time_bin"
    ).assign_coords(filename=("presentation", ["face.png", "face.png"]))
    (folder,) = to_thingsvision(recording, tmp_path / "features")
    assert (folder / "file_names.txt").read_text() == "face-house\nface-car\n"
    with pytest.raises(ConvRNNError, match="is not a folder"):
        to_thingsvision(recording, folder / "file_names.txt")


def test_the_error_over_splits_allows_for_the_stimuli_they_share() -> None:
    """Means over ten overlapping splits of noise vary by as much as their error says."""
    rng, means, errors = np.random.default_rng(0), [], []
    for _ in range(2000):
        stimuli = rng.standard_normal(100)
        tested = [rng.choice(100, 10, replace=False) for _ in range(10)]
        values = [stimuli[each].mean() for each in tested]
        means.append(np.mean(values))
        errors.append(corrected_error(values, tested=1 / 9))
    assert 0.8 < np.mean(errors) / np.std(means) < 1.6


def test_regions_that_differ_are_told_apart(chosen_results: Results) -> None:
    table = differences_table(chosen_results).set_index(["quantity", "first", "second"])
    depth = table.loc[("depth", "V4", "IT")]
    assert depth["value"] < 0
    assert depth["p"] < 0.05
    assert table.loc[("latency_ms", "V4", "IT"), "untested"] == "all splits agree"
    assert table.loc[("latency_ms", "IT", ""), "value"] == 10
    assert table.loc[("latency_ms", "IT", ""), "error"] == 0


@pytest.fixture
def chosen_results(monkeypatch: pytest.MonkeyPatch) -> Results:
    """Ten splits, which choose conv3 or conv4 for V4, and conv5 for IT, at 10 ms both."""

    def of(layers: list[str]) -> Choice:
        score = np.zeros(10)
        chosen = [(layer, 10, 0) for layer in layers]
        return Choice(layers[0], 10, 0, score, score, chosen, layers, [10], np.zeros((2, 1)))

    choices = {"V4": of(["conv3"] * 8 + ["conv4"] * 2), "IT": of(["conv5"] * 10)}
    monkeypatch.setattr(region_differences, "region_choices", lambda results, model: choices)
    test = np.zeros((10, 100), np.int8)
    test[:, :10] = 1
    fit = xr.Dataset(attrs={"model": "timedecay_shallow"})
    root = xr.Dataset({"test": (("split", "stimulus"), test)})
    return Results(root, {("timedecay_shallow", "conv5"): fit})


@pytest.mark.parametrize("given", [np.zeros((2, 3, 4)), {"conv5": 1}, "features.nc"])
def test_what_is_no_labelled_array_is_refused(given: object, tmp_path: Path) -> None:
    for export in (to_rsatoolbox, lambda data: to_thingsvision(data, tmp_path / "out")):
        with pytest.raises(ConvRNNError, match="expected a labelled array"):
            export(given)
    assert not (tmp_path / "out").exists()

"""Brain-Score's own benchmarks, metrics and ceilings, on simulated recordings and on real V4."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision import load_ceiling

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.recordings import load_objects92
from convrnns_brainscore.scoring import neural_benchmark
from convrnns_brainscore.simulate import simulate_recording, stimulus_set

TRUTH, OTHER = "simplernn_shallow", "timedecay_shallow"


@pytest.fixture(scope="module")
def subjects() -> dict[str, TemporalBrainModel]:
    return {
        name: TemporalBrainModel(
            load_network(name, weights="random", seed=0), Presentation.neural()
        )
        for name in (TRUTH, OTHER)
    }


def simulated(subject: TemporalBrainModel, region: str, bins: list) -> NeuroidAssembly:
    stimuli = stimulus_set("objects92", load_objects92().stimuli)
    subject.start_recording(region, bins)
    activations = subject.look_at(stimuli)
    return simulate_recording(activations, stimuli, neurons=40, repetitions=8, inputs=8, seed=1)


def test_simulated_neurons_fire_as_neurons_do(subjects) -> None:
    recording = simulated(subjects[TRUTH], "IT", [(70, 80), (80, 90)])
    assert recording.shape == (92 * 8, 40, 2)
    assert sorted(set(recording["repetition"].values)) == list(range(8))
    rates = recording.values.mean(axis=(0, 2))
    assert 8 < rates.min() < rates.max() < 66  # spikes/s
    counts = recording.values * 0.01
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)


@pytest.mark.parametrize(
    ("metric", "bins"), [("pls", [(70, 110)]), ("spantime_pls", [(60, 80), (80, 100), (100, 120)])]
)
def test_the_network_that_made_the_recording_wins(subjects, metric: str, bins: list) -> None:
    recording = simulated(subjects[TRUTH], "IT", bins)
    benchmark = neural_benchmark("simulated", recording, metric)
    scores = {name: benchmark(subject) for name, subject in subjects.items()}
    raw = {name: score.attrs["raw"] for name, score in scores.items()}
    assert np.size(raw[TRUTH]) == len(bins)
    assert (np.asarray(raw[TRUTH]) > np.asarray(raw[OTHER]) + 0.02).all(), raw
    assert (np.asarray(scores[TRUTH].attrs["ceiling"]) > 0.5).all()
    assert "untrained" in subjects[TRUTH].identifier


def test_metrics_and_recordings_must_fit(subjects) -> None:
    one = simulated(subjects[OTHER], "IT", [(70, 110)])
    with pytest.raises(ConvRNNError, match="spantime_pls wants several time bins"):
        neural_benchmark("simulated", one, "spantime_pls")
    with pytest.raises(ConvRNNError, match=r"unknown metric 'plss'.*Did you mean 'pls'"):
        neural_benchmark("simulated", one, "plss")
    with pytest.raises(ConvRNNError, match="no coordinate 'scene'"):
        neural_benchmark("simulated", one, "pls", stratify_by="scene")
    with pytest.raises(ConvRNNError, match="no repetitions"):
        neural_benchmark("simulated", one[one["repetition"] == 0], "pls")


def test_benchmarks_of_other_data_have_other_identifiers(subjects) -> None:
    """Brain-Score keeps ceilings by identifier alone."""
    recording = simulated(subjects[OTHER], "IT", [(70, 110)])
    shifted = recording + 1
    shifted.attrs = recording.attrs
    first, second = (neural_benchmark("x", data, "pls") for data in (recording, shifted))
    assert first.identifier != second.identifier


def real_v4(shared: Path, folder: Path, per_object: int) -> NeuroidAssembly:
    """50 V4 neurons, the first ``per_object`` images of each of 8 objects, all repetitions."""
    source = shared / "recordings" / "v4_objects640"
    counts = np.load(source / "v4_counts.npy")  # neuron × image × repetition
    table = pd.read_csv(source / "objects.csv")
    chosen = table.groupby("object").head(per_object)
    with zipfile.ZipFile(source / "images.zip") as images:
        images.extractall(folder)
    files = {path.name: str(path) for path in folder.rglob("*.jpg")}
    stimuli = stimulus_set(
        f"v4-{per_object}",
        pd.DataFrame(
            {
                "stimulus_id": chosen["image_file"],
                "filename": [files[name] for name in chosen["image_file"]],
                "object_name": chosen["object"],
            }
        ),
    )
    image, repetition = np.nonzero(np.isfinite(counts[0, chosen["index0"]]))
    recording = NeuroidAssembly(
        counts[:, chosen["index0"]][:, image, repetition].T,
        coords={
            "repetition": ("presentation", repetition),
            **{name: ("presentation", stimuli[name].values[image]) for name in stimuli.columns},
            "neuroid_id": ("neuroid", np.arange(50)),
            "region": ("neuroid", ["V4"] * 50),
        },
        dims=["presentation", "neuroid"],
    )
    values = recording.expand_dims("time_bin_start").expand_dims("time_bin_end")
    values["time_bin_start"], values["time_bin_end"] = [70], [170]
    recording = values.stack(time_bin=["time_bin_start", "time_bin_end"])
    recording = NeuroidAssembly(recording.transpose("presentation", "neuroid", "time_bin"))
    recording.attrs["stimulus_set"] = stimuli
    return recording


def test_the_ceiling_of_real_v4_is_its_published_reliability(shared: Path, tmp_path: Path) -> None:
    recording = real_v4(shared, tmp_path, per_object=80).squeeze("time_bin")
    ceiling = load_ceiling("internal_consistency")(recording)
    assert float(ceiling) == pytest.approx(0.76, abs=0.02)


def score_real_v4(shared: Path, folder: Path, subjects, per_object: int) -> dict[str, float]:
    benchmark = neural_benchmark("real", real_v4(shared, folder, per_object), "pls")
    return {name: float(benchmark(subject).attrs["raw"]) for name, subject in subjects.items()}


def test_two_networks_are_scored_on_real_v4(shared: Path, tmp_path: Path, subjects) -> None:
    raw = score_real_v4(shared, tmp_path, subjects, per_object=12)
    assert all(0.1 < value < 0.6 for value in raw.values()), raw


@pytest.mark.slow
def test_two_networks_are_scored_on_all_of_real_v4(shared: Path, tmp_path: Path, subjects) -> None:
    """Even untrained networks predict V4 above .3 from 576 training images."""
    raw = score_real_v4(shared, tmp_path, subjects, per_object=80)
    assert all(0.3 < value < 0.7 for value in raw.values()), raw

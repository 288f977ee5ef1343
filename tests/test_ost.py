"""Kar2019-ost end to end: real benchmark, real metric, a subject on either backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision import load_metric
from brainscore_vision.benchmarks.kar2019 import benchmark as kar2019
from PIL import Image
from sklearn.model_selection import StratifiedKFold

from convrnns_brainscore import load_brain_model

COUNT, CLASSES = 200, 4
BINS = [(start, start + 10) for start in range(70, 250, 10)]


def gratings(folder: Path) -> StimulusSet:
    """Noisy gratings of four orientations."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:64, :64] / 64
    labels = [f"class{index % CLASSES}" for index in range(COUNT)]
    paths = {}
    for index in range(COUNT):
        angle, contrast = index % CLASSES * np.pi / CLASSES, rng.uniform(0.5, 1)
        phase = rng.uniform(0, 2 * np.pi)
        grating = np.sin(2 * np.pi * 6 * (x * np.cos(angle) + y * np.sin(angle)) + phase)
        noise = 0.4 * rng.standard_normal((64, 64))
        pixels = 128 + 127 * np.clip(contrast * grating + (1 - contrast) * noise, -1, 1)
        paths[f"s{index:03d}"] = str(folder / f"{index}.png")
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{index}.png")
    stimuli = StimulusSet(
        pd.DataFrame({"stimulus_id": list(paths), "image_label": labels, "truth": labels})
    )
    stimuli.stimulus_paths, stimuli.identifier = paths, "Kar2019"
    return stimuli


class Rising:
    """A subject whose responses are a network's, from a time on that differs between images, with
    noise: objects can be decoded from then on."""

    identifier = "rising"

    def __init__(self, stimuli: StimulusSet, backend: str) -> None:
        network = load_brain_model(
            "timedecay_shallow", weights="random", backend=backend, max_neuroids=60
        )
        network.start_recording("IT", BINS)
        recorded = network.look_at(stimuli).transpose("presentation", "neuroid", "time_bin")
        rng = np.random.default_rng(1)
        features = recorded.values[:, :, 3]
        features = (features - features.mean(axis=0)) / features.std(axis=0)
        times, onset = np.mean(BINS, axis=1), rng.uniform(80, 220, (COUNT, 1))
        rise = 1 / (1 + np.exp(-(times - onset) / 12))
        noise = 0.8 * rng.standard_normal(recorded.shape)
        self.recorded = recorded.copy(data=features[:, :, None] * rise[:, None] + noise)

    def visual_degrees(self) -> int:
        return 8

    def start_recording(self, region: str, time_bins: list[tuple[int, int]]) -> None:
        assert (region, time_bins) == ("IT", BINS)

    def look_at(self, stimuli: StimulusSet, number_of_trials: int = 1) -> DataAssembly:
        shown = self.recorded["stimulus_id"].values.tolist()
        return self.recorded.isel(presentation=[shown.index(i) for i in stimuli["stimulus_id"]])


def solution_times(stimuli: StimulusSet, recorded: DataAssembly, level: float) -> np.ndarray:
    """When each image's object is first decoded with i1 ≥ ``level``, decoders trained on others."""
    metric, labels = load_metric("ost"), stimuli["image_label"].to_numpy()
    coords = {name: ("presentation", stimuli[name].values) for name in stimuli}
    coords["i1"] = ("presentation", np.full(COUNT, level))
    asked = DataAssembly(np.zeros(COUNT), coords, ["presentation"])
    aligned, times = metric._align(recorded, asked), np.full(COUNT, np.nan)
    for train, test in StratifiedKFold(10, shuffle=True, random_state=0).split(labels, labels):
        parts = [aligned.isel(presentation=rows) for rows in (train, test)]
        times[test] = metric.compute_osts(*parts, asked.isel(presentation=test))
    return times


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["torch", "tensorflow"])
def test_the_models_own_solution_times_score_and_shuffled_ones_do_not(
    backend: str, tmp_path: Path, monkeypatch
) -> None:
    """Two decodes of one subject agree with a Spearman r of about .67, which is its ceiling."""
    stimuli, level = gratings(tmp_path), 0.6
    subject = Rising(stimuli, backend)
    times = solution_times(stimuli, subject.recorded, level)
    solved = np.isfinite(times)
    assert solved.sum() > 100

    def scored(times: np.ndarray) -> float:
        shown = stimuli[solved]
        shown.stimulus_paths, shown.identifier = stimuli.stimulus_paths, "Kar2019"
        coords = {
            "stimulus_id": ("presentation", shown["stimulus_id"].values),
            "image_label": ("presentation", shown["image_label"].values),
            "i1": ("presentation", np.full(solved.sum(), level)),
            "decoder": ["svm", "other"],
        }
        values = np.stack([times, times], axis=1)
        data = DataAssembly(values, coords=coords, dims=["presentation", "decoder"])
        data.attrs["stimulus_set"] = shown
        monkeypatch.setattr(kar2019, "load_dataset", lambda name: data)
        return float(kar2019.DicarloKar2019OST()(subject).attrs["raw"])

    assert scored(times[solved]) > 0.4
    shuffled = np.random.default_rng(2).permutation(times[solved])
    assert abs(scored(shuffled)) < 0.25

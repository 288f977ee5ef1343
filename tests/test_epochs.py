"""Epochs of MEG and EEG, as MNE-Python saves them, as recordings."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import mne
import numpy as np
import pandas as pd
import pytest

from convrnns_brainscore import (
    ConvRNNError,
    Presentation,
    features_in_memory,
    load_network,
    read_recording,
)
from convrnns_brainscore.fits.results import region_choices
from convrnns_brainscore.fits.results_file import read_results
from convrnns_brainscore.objects92 import load_objects92

TYPES = ["mag", "mag", "grad", "eeg", "eeg", "eog"]


def saved(
    folder: Path, rate: float = 200, metadata: bool = True, column: str = "stimulus_id"
) -> Path:
    """20 epochs of five sensors and an EOG channel, from −100 to 295 ms, in volts and teslas."""
    rng = np.random.default_rng(0)
    info = mne.create_info(["M1", "M2", "G1", "E1", "E2", "EOG"], rate, TYPES)
    samples = round(0.4 * rate)
    data = 1e-13 * rng.standard_normal((20, 6, samples))
    data += 1e-12 * np.arange(samples) / samples
    events = np.stack([np.arange(20), np.zeros(20, int), 1 + np.arange(20) % 4], axis=1)
    names = {"face": 1, "house": 2, "tool": 3, "car": 4}
    table = pd.DataFrame({column: [f"s{i % 10}" for i in range(20)], "block": range(20)})
    epochs = mne.EpochsArray(
        data, info, events, -0.1, names, metadata=table if metadata else None,
        baseline=(None, 0), verbose="error",
    )  # fmt: skip
    epochs.info["bads"] = ["E2"]
    path = folder / "subject-epo.fif"
    epochs.save(path, overwrite=True, verbose="error")
    return path


def test_channels_are_neuroids_in_bins_of_10_ms(tmp_path: Path) -> None:
    recording = read_recording(saved(tmp_path))
    assert recording.values.shape == (20, 4, 40)  # without the bad channel and the EOG
    assert recording.neurons["neuroid_id"].tolist() == ["M1", "M2", "G1", "E1"]
    assert recording.neurons["region"].tolist() == ["MAG", "MAG", "GRAD", "EEG"]
    assert recording.time_bins[0] == (-100, -90)
    assert recording.time_bins[-1] == (290, 300)
    assert len(recording.stimuli) == 10
    notes = "; ".join(recording.notes)
    assert "excluded: 1 bad channel (E2)" in notes
    assert "baseline: -100 to 0 ms" in notes
    assert "divided by their standard deviation" in notes


def test_bins_are_means_over_samples(tmp_path: Path) -> None:
    path = saved(tmp_path)
    recording = read_recording(path, region_of_all="MEG")
    data = mne.read_epochs(path, verbose="error").get_data(picks=["M1"])[:, 0]
    expected = data.reshape(20, 40, 2).mean(axis=2)
    r = np.corrcoef(expected.ravel(), recording.values[:, 0].ravel())[0, 1]
    assert r > 1 - 1e-6


def test_regions_choose_channels_and_do_not_rename_them(tmp_path: Path) -> None:
    recording = read_recording(saved(tmp_path), region="MAG", regions=["MAG"])
    assert recording.neurons["neuroid_id"].tolist() == ["M1", "M2"]
    assert "excluded: 2 channels of EEG, GRAD" in recording.notes


def test_events_name_the_stimuli_where_there_is_no_metadata(tmp_path: Path) -> None:
    recording = read_recording(saved(tmp_path, metadata=False))
    assert recording.stimuli["stimulus_id"].tolist() == ["car", "face", "house", "tool"]
    assert not any("names of the events" in note for note in recording.notes)
    recording = read_recording(saved(tmp_path, column="image"))
    assert recording.stimuli["stimulus_id"].tolist() == ["car", "face", "house", "tool"]
    assert any("names of the events" in note and "image, block" in note for note in recording.notes)


def test_projections_are_noted(tmp_path: Path) -> None:
    path = saved(tmp_path)
    epochs = mne.read_epochs(path, verbose="error")
    epochs.set_eeg_reference("average", projection=True, verbose="error")
    epochs.save(path, overwrite=True, verbose="error")
    notes = "; ".join(read_recording(path).notes)
    assert "the file's projections are applied (Average EEG reference)" in notes


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"stimulus_column": "image"}, "unknown stimulus column of subject-epo.fif 'image'"),
        ({"intervals": "trials"}, "applies only to NWB files"),
        (
            {"regions": ["IT"]},
            r"unknown region of the recording 'IT'.*EEG, GRAD, MAG|MAG, GRAD, EEG",
        ),
    ],
)
def test_options_that_do_not_fit_are_refused(
    tmp_path: Path, options: dict[str, str], said: str
) -> None:
    with pytest.raises(ConvRNNError, match=said):
        read_recording(saved(tmp_path), **options)


def test_slow_sampling_and_damaged_files_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConvRNNError, match="sampled at 50 Hz"):
        read_recording(saved(tmp_path, rate=50))
    path = tmp_path / "damaged-epo.fif"
    path.write_bytes(b"not a fif file")
    with pytest.raises(ConvRNNError, match="cannot be read as epochs"):
        read_recording(path)


@pytest.mark.slow
def test_two_layers_with_two_latencies_are_found_again(
    tmp_path: Path, convrnns: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Magnetometers that read conv3 30 ms late, gradiometers that read conv5 60 ms late, and each
    some of the other."""
    monkeypatch.chdir(tmp_path)
    stimuli = load_objects92().stimuli[["stimulus_id", "filename"]]
    stimuli.to_csv("stimuli.csv", index=False)
    network = load_network("simplernn_shallow", weights="random")
    times, rng = 22, np.random.default_rng(0)
    presentation = Presentation.custom(times=times, image_off=10)
    seen = features_in_memory(network, stimuli, ["conv3", "conv5"], presentation)

    def sources(layer: str, latency: int) -> np.ndarray:
        """Ten mixtures of a layer's units, [stimulus, mixture, step], of unit variance."""
        values = seen[layer].transpose("presentation", "neuroid", "time_bin")
        weights = rng.standard_normal((values.sizes["neuroid"], 10)).astype(np.float32)
        mixed = np.einsum("sut,um->smt", values.values - values.values.mean(axis=0), weights)
        first = int(values["time_bin_start"][0]) // 10 + latency // 10
        padded = np.zeros((len(stimuli), 10, times))
        padded[..., first:] = mixed[..., : times - first]
        return padded / padded.std()

    early, late = sources("conv3", 30), sources("conv5", 60)
    signal = np.concatenate([0.95 * early + 0.3 * late, 0.3 * early + 0.95 * late], axis=1)
    signal = signal.repeat(2, axis=2)  # 200 Hz
    data = np.tile(signal, (4, 1, 1)) + 0.2 * rng.standard_normal((368, 20, 2 * times))
    info = mne.create_info([f"C{i}" for i in range(20)], 200, ["mag"] * 10 + ["grad"] * 10)
    events = np.stack([np.arange(368), np.zeros(368, int), np.ones(368, int)], axis=1)
    shown = pd.DataFrame({"stimulus_id": stimuli["stimulus_id"].tolist() * 4})
    epochs = mne.EpochsArray(1e-13 * data, info, events, 0, metadata=shown, verbose="error")
    epochs.save("subject-epo.fif", verbose="error")

    command = ["fit", "simplernn_shallow", "subject-epo.fif", "--stimuli", "stimuli.csv"]
    command += ["--weights", "random", "--layers", "conv3,conv5", "--latencies", 0, 90]
    convrnns(*command, "--method", "ridge", "--splits", 4, "--out", "fits")
    choices = region_choices(read_results(Path("fits/results.nc")), "simplernn_shallow")
    assert (choices["MAG"].layer, choices["MAG"].latency) == ("conv3", 30)
    assert (choices["GRAD"].layer, choices["GRAD"].latency) == ("conv5", 60)

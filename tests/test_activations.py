"""The activations extractor where Brain-Score takes an ``activations_model``."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.activations.pca import LayerPCA
from brainscore_vision.model_helpers.brain_transformation import LayerScores, ModelCommitment
from PIL import Image
from result_caching import store

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.brainscore import activations
from convrnns_brainscore.brainscore.activations import ActivationsExtractor, Rows
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92

STIMULI = stimulus_set("five-objects", load_objects92().stimuli[::20])
BINS = [(60, 80), (100, 120)]


@pytest.fixture
def extractor(network: ConvRNN) -> ActivationsExtractor:
    return ActivationsExtractor(network, batch_size=2)


def test_layers_come_over_time_with_all_coordinates(extractor: ActivationsExtractor) -> None:
    recorded = extractor(STIMULI, ["conv4", "conv5"], time_bins=BINS)
    assert recorded.dims == ("presentation", "neuroid", "time_bin")
    assert recorded.dtype == np.float32
    assert recorded.values.flags.c_contiguous
    for column in STIMULI.columns:
        assert recorded[column].values.tolist() == STIMULI[column].tolist()
    assert recorded["layer"].values.tolist() == ["conv4"] * 7 * 7 * 256 + ["conv5"] * 4 * 4 * 512
    assert len(set(recorded["neuroid_id"].values)) == recorded.sizes["neuroid"]
    last = [recorded[name].values[-1] for name in ("channel", "channel_x", "channel_y")]
    assert last == [511, 3, 3]
    assert recorded["time_bin_start"].values.tolist() == [60, 100]
    assert recorded["time_bin_end"].values.tolist() == [80, 120]


def test_stimuli_that_have_an_id_alone_keep_its_name(extractor: ActivationsExtractor) -> None:
    alone = stimulus_set("ids", load_objects92().stimuli[["stimulus_id", "filename"]][:2])
    assert list(alone.columns) == ["stimulus_id"]
    recorded = extractor(alone, ["conv5"], time_bins=BINS)
    assert recorded["stimulus_id"].values.tolist() == alone["stimulus_id"].tolist()


def test_without_bins_every_step_of_the_presentation_comes(
    extractor: ActivationsExtractor, network: ConvRNN
) -> None:
    recorded = extractor.from_stimulus_set(STIMULI, ["conv5"])
    files = [Path(STIMULI.get_stimulus(key)) for key in STIMULI["stimulus_id"]]
    full = network.unroll(load_images(files), "conv5", Presentation.neural(), all_times=True)
    expected = np.moveaxis(full["conv5"].reshape(5, 26, -1), 1, 2)
    np.testing.assert_allclose(recorded.values, expected, atol=1e-5)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("rgc_intermediate_dthresh", marks=pytest.mark.slow),
        pytest.param("ugrnn_intermediate_t30_tmaxconf", marks=pytest.mark.slow),
        "timedecay_shallow",
    ],
)
def test_logits_are_decoded_under_the_training_presentation(name: str) -> None:
    network = load_network(name, weights="random", seed=1)
    logits = ActivationsExtractor(network)(STIMULI[:2], ["logits"])
    assert logits.dims == ("presentation", "neuroid")
    assert logits.shape == (2, 1000)
    files = [Path(STIMULI.get_stimulus(key)) for key in STIMULI["stimulus_id"][:2]]
    np.testing.assert_allclose(
        logits.values, network.logits(load_images(files), Presentation.default(name)), atol=1e-5
    )
    named = ActivationsExtractor(network, Presentation.neural())(STIMULI[:2], None)
    assert (named.values != logits.values).any()
    assert logits.attrs["presentation"] == "default"


def test_the_same_file_under_two_ids_keeps_both_rows(
    extractor: ActivationsExtractor, photographs: list[Path]
) -> None:
    twins = StimulusSet({"stimulus_id": ["b", "c", "a"], "object_name": ["x", "y", "z"]})
    twins.stimulus_paths = {"a": photographs[3], "b": photographs[0], "c": photographs[3]}
    twins.identifier = "twins"
    recorded = extractor(twins, ["conv5"], number_of_trials=50, time_bins=BINS)
    assert recorded["stimulus_id"].values.tolist() == ["b", "c", "a"]
    np.testing.assert_array_equal(recorded.values[1], recorded.values[2])
    once = extractor(twins, ["conv5"], time_bins=BINS)
    np.testing.assert_array_equal(recorded.values, once.values)
    paths = extractor.from_paths([photographs[3], photographs[0], photographs[3]], ["conv5"])
    assert paths["stimulus_id"].values.tolist() == [str(photographs[i]) for i in (3, 0, 3)]


def test_hooks_are_called_bin_by_bin(extractor: ActivationsExtractor) -> None:
    plain = extractor(STIMULI, ["conv4", "conv5"], time_bins=BINS)
    shapes = []

    def first_two(features):
        shapes.append({layer: values.shape for layer, values in features.items()})
        return {layer: values[:, :2] for layer, values in features.items()}

    handle = extractor.register_batch_activations_hook(first_two)
    hooked = extractor(STIMULI, ["conv4", "conv5"], time_bins=BINS)
    assert hooked.shape == (5, 4, 2)
    assert hooked["layer"].values.tolist() == ["conv4", "conv4", "conv5", "conv5"]
    assert shapes[0] == {"conv4": (2, 12544), "conv5": (2, 8192)}
    assert len(shapes) == 3 * len(BINS)
    np.testing.assert_allclose(hooked.values[:, :2], plain.values[:, :2], atol=1e-6)
    handle.remove()
    assert extractor(STIMULI, ["conv5"], time_bins=BINS).sizes["neuroid"] == 8192


def test_kept_rows_are_those_that_are_computed(
    extractor: ActivationsExtractor, monkeypatch
) -> None:
    whole = extractor(STIMULI, ["conv5"], time_bins=BINS)
    extractor.rows = Rows()
    extractor(STIMULI[:3], ["conv5"], time_bins=BINS)
    again = extractor(STIMULI, ["conv5"], time_bins=BINS)
    np.testing.assert_allclose(again.values, whole.values, atol=1e-5)
    monkeypatch.setattr(extractor, "_averages", lambda *given: pytest.fail("computed again"))
    np.testing.assert_array_equal(extractor(STIMULI, ["conv5"], time_bins=BINS), again)
    extractor.register_batch_activations_hook(
        lambda features: {layer: values[:, :2] for layer, values in features.items()}
    )
    hooked = extractor(STIMULI, ["conv5"], time_bins=BINS)
    np.testing.assert_array_equal(hooked.values, again.values[:, :2])


def test_stimulus_set_hooks_change_what_is_shown(extractor: ActivationsExtractor) -> None:
    handle = extractor.register_stimulus_set_hook(lambda stimuli: stimuli[:2])
    assert extractor(STIMULI, ["conv5"], time_bins=BINS).sizes["presentation"] == 2
    handle.remove()


def imagenet_file(path: Path, photographs: list[Path]) -> None:
    """A file of the layout in which Brain-Score keeps ImageNet's validation images."""
    import h5py

    images = [np.asarray(Image.open(file).resize((64, 64))) for file in photographs[:4]]
    with h5py.File(path, "w") as opened:
        values = opened.create_dataset("val/images", (50 * 4, 64, 64, 3), np.uint8)
        for index, image in enumerate(images):
            values[50 * index] = image


def test_layer_pca_keeps_time(
    extractor: ActivationsExtractor, photographs: list[Path], tmp_path: Path, monkeypatch
) -> None:
    """One basis a layer, fitted on the steps of four images as so many samples."""
    imagenet_file(tmp_path / "imagenet.hdf5", photographs)
    monkeypatch.setenv("MT_IMAGENET_PATH", str(tmp_path / "imagenet.hdf5"))
    plain = extractor(STIMULI, ["conv5"], time_bins=BINS)
    handle = LayerPCA.hook(extractor, n_components=4)
    assert LayerPCA.is_hooked(extractor)
    reduced = extractor(STIMULI, ["conv5"], time_bins=BINS)
    assert reduced.shape == (5, 4, 2)
    pca = next(iter(extractor._batch_activations_hooks.values()))._layer_pcas["conv5"]
    assert pca.n_samples_ == 4 * 26
    for index in range(2):
        np.testing.assert_allclose(
            reduced.values[..., index], pca.transform(plain.values[..., index]), atol=1e-2
        )
    handle.remove()


def test_brain_scores_layer_scores_compare_layers(extractor: ActivationsExtractor) -> None:
    class Benchmark:
        identifier, region = "as-responses", "IT"

        def __call__(self, candidate: Any) -> Score:
            candidate.start_recording("IT", time_bins=[(70, 170)])
            return Score(float(candidate.look_at(STIMULI).values.std()))

    layers = ["conv4", "conv5", "logits"]
    scores = LayerScores("ours", extractor, visual_degrees=8)(Benchmark(), layers, prerun=True)
    assert scores["layer"].values.tolist() == layers
    recorded = extractor(STIMULI, ["conv4"], time_bins=[(70, 170)])
    assert scores.values[0] == pytest.approx(recorded.values.std(), rel=1e-4)


def test_layer_pca_without_imagenet_is_one_line(
    extractor: ActivationsExtractor, tmp_path: Path, monkeypatch
) -> None:
    (tmp_path / "not_a_folder").write_text("")
    monkeypatch.setenv("MT_IMAGENET_PATH", str(tmp_path / "not_a_folder" / "imagenet.hdf5"))
    LayerPCA.hook(extractor, n_components=4)
    with pytest.raises(ConvRNNError, match="needs ImageNet's validation images") as told:
        extractor(STIMULI, ["conv5"], time_bins=BINS)
    assert "\n" not in str(told.value)


def test_brain_scores_own_commitment_takes_the_extractor(extractor: ActivationsExtractor) -> None:
    committed = ModelCommitment(
        "committed",
        extractor,
        layers=["conv5"],
        behavioral_readout_layer="logits",
        region_layer_map={"IT": "conv5"},
    )
    committed.start_recording("IT", [(70, 170)])
    static = committed.look_at(STIMULI)
    assert static.dims == ("presentation", "neuroid")
    ours = extractor(STIMULI, ["conv5"], time_bins=[(70, 170)])
    np.testing.assert_allclose(static.values, ours.values[..., 0], rtol=1e-6, atol=1e-6)
    committed.start_task("label", "imagenet")
    assert committed.look_at(STIMULI).shape == (1, 5)


@pytest.mark.parametrize(
    "readout", ["logits", "conv5", pytest.param("imnetds", marks=pytest.mark.ci)]
)
def test_brain_scores_own_commitment_reads_behaviour_out(
    extractor: ActivationsExtractor, readout: str
) -> None:
    committed = ModelCommitment(
        "committed", extractor, layers=["conv5"], behavioral_readout_layer=readout,
        region_layer_map={"IT": "conv5"},
    )  # fmt: skip
    if readout != "logits":
        response = extractor(STIMULI, [readout]).transpose("presentation", "neuroid")
        expected = extractor(STIMULI, [readout], time_bins=[(70, 170)]).values[..., 0]
        np.testing.assert_allclose(response.values, expected, atol=1e-5)
    fitting = STIMULI.copy()
    fitting.stimulus_paths = STIMULI.stimulus_paths
    fitting["image_label"] = list("aabbc")
    committed.start_task("probabilities", fitting)
    assert committed.look_at(fitting).shape == (5, 3)
    committed.start_task("probabilities", fitting, number_of_trials=2, require_variance=True)
    varied = committed.look_at(fitting, number_of_trials=2, require_variance=True)
    assert varied.shape == (10, 3)


@pytest.mark.ci
def test_the_cache_never_answers_for_something_else(
    photographs: list[Path], tmp_path: Path
) -> None:
    """In a process of its own, since Brain-Score reads where its cache is when it is imported."""
    work = tmp_path / "images"
    work.mkdir()
    for index in (0, 1):
        shutil.copy(photographs[index], work / f"{index}.png")
    program = tmp_path / "program.py"
    program.write_text(
        f"""
import shutil
from pathlib import Path
import numpy as np
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from convrnns_brainscore import Presentation, load_network
from convrnns_brainscore.brainscore.activations import ActivationsExtractor

calls = []
averages = ActivationsExtractor._averages
ActivationsExtractor._averages = lambda self, *a: (calls.append(1), averages(self, *a))[1]
stimuli = StimulusSet({{"stimulus_id": ["a", "b"]}})
stimuli.stimulus_paths = {{"a": Path({str(work)!r}) / "0.png", "b": Path({str(work)!r}) / "1.png"}}
stimuli.identifier = "one-name"

def record(seed=0, presentation=None, layers=("conv5",), bins=((60, 70),), identifier=None):
    network = load_network("timedecay_shallow", weights="random", seed=seed)
    before = len(calls)
    recorded = ActivationsExtractor(network, presentation)(
        stimuli, list(layers), stimuli_identifier=identifier, time_bins=list(bins))
    return recorded.values, len(calls) > before

first, computed = record()
assert computed
again, computed = record()
assert not computed and (first == again).all() and first.dtype == again.dtype
for other in (dict(seed=1), dict(presentation=Presentation.constant(26)), dict(layers=["conv4"]),
              dict(bins=[(70, 80)]), dict(identifier=False)):
    values, computed = record(**other)
    assert computed, other
stimuli.identifier = None
assert record()[1]
stimuli.identifier = "one-name"
shutil.copy({str(photographs[5])!r}, Path({str(work)!r}) / "0.png")
changed, computed = record()
assert computed and (changed[0] != first[0]).any() and np.allclose(changed[1], first[1], atol=1e-5)
print("all told apart")
"""
    )
    environment = {**os.environ, "RESULTCACHING_HOME": str(tmp_path / "cache")}
    del environment["RESULTCACHING_DISABLE"]
    told = subprocess.run(
        [sys.executable, str(program)], env=environment, capture_output=True, text=True, check=False
    )
    assert "all told apart" in told.stdout, told.stderr


def test_what_cannot_be_answered_is_refused_in_one_line(
    extractor: ActivationsExtractor, photographs: list[Path], tmp_path: Path
) -> None:
    for trials in (0, -1, True):
        with pytest.raises(ConvRNNError, match="expected 1 or more"):
            extractor(STIMULI, ["conv5"], number_of_trials=trials, require_variance=True)
    with pytest.raises(ConvRNNError, match="unknown layer"):
        extractor(STIMULI, ["conv99"])
    with pytest.raises(ConvRNNError, match=r"missing\.png"):
        extractor([photographs[0], tmp_path / "missing.png"], ["conv5"])
    (tmp_path / "broken.png").write_bytes(photographs[0].read_bytes()[:500])
    with pytest.raises(ConvRNNError, match=r"broken\.png"):
        extractor([photographs[0], tmp_path / "broken.png"], ["conv5"])
    for column in ("layer", "region", "neuroid", "presentation", "time_bin"):
        clash = STIMULI.copy()
        clash[column] = "V4"
        clash.stimulus_paths = STIMULI.stimulus_paths
        with pytest.raises(ConvRNNError, match=f"column '{column}'"):
            extractor(clash, ["conv5"])


def test_an_id_that_comes_twice_keeps_both_rows(extractor: ActivationsExtractor) -> None:
    stimuli = load_objects92().stimuli
    twice = stimulus_set("twice", stimuli[:2]).iloc[[0, 1, 0]]
    recorded = extractor(twice, ["conv5"], time_bins=BINS)
    assert (
        recorded["stimulus_id"].values.tolist() == stimuli["stimulus_id"].iloc[[0, 1, 0]].tolist()
    )
    np.testing.assert_array_equal(recorded.values[0], recorded.values[2])
    assert (recorded.values[0] != recorded.values[1]).any()


def test_logits_beside_layers_are_the_same_in_every_bin(extractor: ActivationsExtractor) -> None:
    both = extractor(STIMULI, ["conv5", "logits"], time_bins=BINS)
    assert both.shape == (5, 8192 + 1000, 2)
    alone = extractor(STIMULI, ["logits"]).values
    for index, layer in enumerate(both["layer"].values[[0, -1]]):
        assert layer == ("conv5", "logits")[index]
    np.testing.assert_allclose(both.values[:, 8192:, 0], alone, atol=1e-5)
    np.testing.assert_array_equal(both.values[:, 8192:, 0], both.values[:, 8192:, 1])


def test_variance_is_microsaccades(extractor: ActivationsExtractor, network: ConvRNN) -> None:
    """Each stimulus's presentations follow each other, the first unmoved; repeated exactly."""
    varied = extractor(
        STIMULI[:3], ["conv1"], number_of_trials=4, require_variance=True, time_bins=[(10, 20)]
    )
    assert varied.shape == (12, 64 * 56 * 56, 1)
    assert (
        varied["stimulus_id"].values.tolist() == np.repeat(STIMULI["stimulus_id"][:3], 4).tolist()
    )
    x, y = (varied[f"microsaccade_shift_{axis}_pixels"].values for axis in "xy")
    assert x[0] == y[0] == 0
    assert np.hypot(x, y).max() <= 0.05 / 8 * 224
    assert len({*zip(x, y, strict=True)}) == 4
    degrees = varied["microsaccade_shift_x_degrees"].values
    np.testing.assert_allclose(degrees, x * 8 / 224)
    plain = extractor(STIMULI[:3], ["conv1"], time_bins=[(10, 20)])
    np.testing.assert_allclose(varied.values[::4], plain.values, atol=1e-5)
    assert (varied.values[1] != varied.values[0]).any()
    image = load_images([STIMULI.get_stimulus(STIMULI["stimulus_id"].iloc[1])])
    moved = cv2.warpAffine(
        image[0],
        np.array([[1, 0, x[6]], [0, 1, y[6]]], np.float32),
        (224, 224),
        borderMode=cv2.BORDER_REPLICATE,
    )
    expected = network.unroll(moved[None], "conv1", Presentation.neural(), all_times=True)
    np.testing.assert_allclose(varied.values[6, :, 0], expected["conv1"][0, 1].ravel(), atol=1e-4)
    again = extractor(
        STIMULI[:3], ["conv1"], number_of_trials=4, require_variance=True, time_bins=[(10, 20)]
    )
    np.testing.assert_array_equal(varied.values, again.values)


def test_widths_that_are_not_shown_are_told(
    extractor: ActivationsExtractor, caplog: pytest.LogCaptureFixture
) -> None:
    """Brain-Score's benchmarks place their stimuli on the screen before they ask the model."""
    narrow = stimulus_set("narrow", load_objects92().stimuli[:2].assign(degrees=5.0))
    extractor(narrow, ["conv5"], time_bins=BINS)
    assert "widths of 5 degrees, but its images are shown 8 degrees wide" in caplog.text


@pytest.mark.parametrize("content", [b"", b"\x80\x04cut"])
def test_a_damaged_store_does_not_cost_the_activations(
    extractor: ActivationsExtractor, content: bytes, tmp_path: Path, monkeypatch, caplog
) -> None:
    monkeypatch.setenv("RESULTCACHING_HOME", str(tmp_path))
    monkeypatch.delenv("RESULTCACHING_DISABLE")
    here = store(identifier_ignore=["compute"])
    monkeypatch.setattr(activations, "_cached", here(activations._cached.__wrapped__))
    recorded = extractor(STIMULI, ["conv5"], time_bins=BINS)
    (kept,) = tmp_path.rglob("*.pkl")
    kept.write_bytes(content)
    again = extractor(STIMULI, ["conv5"], time_bins=BINS)
    np.testing.assert_array_equal(again.values, recorded.values)
    assert f"store in {tmp_path} cannot be used" in caplog.text

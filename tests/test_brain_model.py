"""The brain model against Brain-Score's own interface and time alignment."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.brain_transformation.temporal import assembly_time_align
from brainscore_vision.model_interface import BrainModel
from hypothesis import given
from hypothesis import strategies as st

from convrnns_brainscore import ConvRNNError, Presentation, load_brain_model
from convrnns_brainscore.brainscore.activations import ActivationsExtractor
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.timing import bin_weights, parse_time_bins

STIMULI = stimulus_set("five-objects", load_objects92().stimuli[::20])


@pytest.fixture
def brain(network: ConvRNN) -> TemporalBrainModel:
    return TemporalBrainModel(network, Presentation.neural())


def test_it_is_a_brain_model_and_says_that_it_is_untrained(brain: TemporalBrainModel) -> None:
    assert isinstance(brain, BrainModel)
    plain = TemporalBrainModel(brain.network)
    assert plain.identifier == "convrnn_timedecay_shallow-untrained-seed0"
    assert repr(plain) == "<TemporalBrainModel convrnn_timedecay_shallow-untrained-seed0>"
    assert brain.visual_degrees() == 8
    loaded = load_brain_model("timedecay_shallow", weights="random", seed=2)
    assert loaded.identifier.endswith("seed2")
    assert loaded.presentation == Presentation.neural()


def test_recordings_have_the_stimuli_the_neuroids_and_the_bins(brain: TemporalBrainModel) -> None:
    brain.start_recording("IT", [(60, 70), (70, 80)])
    recording = brain.look_at(STIMULI, number_of_trials=50)
    assert recording.dims == ("presentation", "neuroid", "time_bin")
    assert recording.shape == (5, 8192, 2)
    assert recording.dtype == np.float32
    assert recording["stimulus_id"].values.tolist() == STIMULI["stimulus_id"].tolist()
    assert recording["object_name"].values.tolist() == STIMULI["object_name"].tolist()
    assert set(recording["region"].values) == {"IT"}
    assert len(set(recording["neuroid_id"].values)) == 8192
    assert recording["time_bin_start"].values.tolist() == [60, 70]
    assert recording.attrs["weights"] == "untrained, seed 0"


def test_bins_are_those_of_brain_scores_own_alignment(
    brain: TemporalBrainModel, network: ConvRNN
) -> None:
    """Wide, narrow, overlapping and unordered bins, over a bin that is longer than the
    presentation, against Brain-Score's alignment of the full unrolling."""
    bins = [(70, 170), (5, 15), (100, 130), (42, 45), (70, 80), (0, 260)]
    brain.start_recording("V4", bins)
    ours = brain.look_at(STIMULI)

    full = ActivationsExtractor(network)(STIMULI, ["conv3"])
    assert full.sizes["time_bin"] == 26
    theirs = assembly_time_align(full, bins).transpose(*ours.dims)
    np.testing.assert_allclose(ours.values, theirs.values, atol=1e-6)
    assert ours["time_bin_start"].values.tolist() == [start for start, _ in bins]


def test_bins_beyond_the_presentation_unroll_longer(brain: TemporalBrainModel) -> None:
    brain.start_recording("IT", [(300, 310)])
    late = brain.look_at(STIMULI)
    longer = TemporalBrainModel(brain.network, Presentation.custom(31, 10))
    longer.start_recording("IT", [(300, 310)])
    np.testing.assert_array_equal(late.values, longer.look_at(STIMULI).values)


def test_the_same_image_under_two_names_keeps_both_rows(
    brain: TemporalBrainModel, photographs: list[Path]
) -> None:
    brain.start_recording("IT", [(50, 60)])
    twice = brain.look_at([photographs[3], photographs[0], photographs[3]])
    assert twice["stimulus_id"].values.tolist() == [str(photographs[i]) for i in (3, 0, 3)]
    np.testing.assert_allclose(twice.values[0], twice.values[2], atol=1e-5)
    assert (twice.values[0] != twice.values[1]).any()


def test_every_region_can_be_recorded(brain: TemporalBrainModel) -> None:
    for region in ("V1", "V2", "V4", "pIT", "cIT", "aIT", "IT"):
        brain.start_recording(region, [(60, 70)])
        assert set(brain.look_at(STIMULI)["region"].values) == {region}


def test_a_single_bin_is_squeezed_as_by_brain_scores_own_models(brain: TemporalBrainModel) -> None:
    brain.start_recording("IT", [(70, 170)])
    single = brain.look_at(STIMULI)
    assert single.dims == ("presentation", "neuroid")
    assert single["time_bin"].item() == (70, 170)
    brain.start_recording("IT", [(70, 170), (70, 80)])
    np.testing.assert_array_equal(single.values, brain.look_at(STIMULI).values[..., 0])


def test_an_instant_is_the_response(brain: TemporalBrainModel, network: ConvRNN) -> None:
    """70–170 ms, and the mean over a stimulus that was on for longer, up to 260 ms."""
    brain.start_recording("IT", [(0, 0)])
    instant = brain.look_at(STIMULI)
    brain.start_recording("IT", [(70, 170)])
    np.testing.assert_array_equal(instant.values, brain.look_at(STIMULI).values)
    assert "zero width" in instant.attrs["time_bins_note"]

    scanned = stimulus_set("Zerbe2026_fmri_stim_full--tau-train", load_objects92().stimuli[:2])
    subject = TemporalBrainModel(network)
    subject.start_recording("IT", [(0, 0)])
    recorded = subject.look_at(scanned)
    files = [Path(scanned.get_stimulus(key)) for key in scanned["stimulus_id"]]
    always = network.unroll(load_images(files), "conv5", Presentation.constant(26), all_times=True)
    expected = always["conv5"].mean(axis=1).reshape(2, -1)
    np.testing.assert_allclose(recorded.values, expected, atol=1e-5)


def test_bins_in_seconds_are_read_as_such(brain: TemporalBrainModel) -> None:
    one = np.empty((), object)
    one[()] = (0.0, 0.2)
    brain.start_recording("IT", [one])
    seconds = brain.look_at(STIMULI)
    assert seconds["time_bin"].item() == (0, 0.2)
    assert seconds.attrs["time_bins_note"] == "the bins, 0 to 0.2, are read as seconds"
    brain.start_recording("IT", [(0, 200)])
    np.testing.assert_array_equal(seconds.values, brain.look_at(STIMULI).values)


def test_what_is_shown_follows_from_the_stimulus_set(network: ConvRNN) -> None:
    subject = TemporalBrainModel(network)
    stimuli = load_objects92().stimuli[:2]
    for name, on in (("THINGS_TVSD_test_Stimuli--target8.00--source18.00", 20), ("hvm-public", 10)):
        subject.start_recording("IT", [(200, 210)])
        recorded = subject.look_at(stimulus_set(name, stimuli))
        asked = TemporalBrainModel(network, Presentation.custom(26, on))
        asked.start_recording("IT", [(200, 210)])
        np.testing.assert_array_equal(recorded.values, asked.look_at(stimulus_set(name, stimuli)))
        assert recorded.attrs["image_duration"] == f"{on}0 ms"
    said = stimulus_set("mine", stimuli.assign(image_on_ms=150.0))
    assert subject.look_at(said).attrs["image_duration_rule"] == "image_on_ms of the stimulus set"
    unknown = subject.look_at(stimulus_set("mine", stimuli))
    assert unknown.attrs["image_duration"] == "assumed 100 ms"
    other = TemporalBrainModel(network, image_ms=200)
    other.start_recording("IT", [(70, 170)])
    with pytest.raises(ConvRNNError, match="image_on_ms is 150"):
        other.look_at(said)
    for short in (0, -5, float("nan"), {"mine": 5}, "150", [150]):
        with pytest.raises(ConvRNNError, match="expected at least 10 ms"):
            TemporalBrainModel(network, image_ms=short)
    mixed = stimulus_set("mine", stimuli.assign(image_on_ms=[100.0, 200.0]))
    with pytest.raises(ConvRNNError, match="several durations"):
        subject.look_at(mixed)


def test_neurons_that_answer_later_meet_earlier_steps(network: ConvRNN) -> None:
    later = TemporalBrainModel(network, latency={"IT": 30})
    at_once = TemporalBrainModel(network)
    later.start_recording("IT", [(100, 130), (20, 60)])
    at_once.start_recording("IT", [(70, 100), (0, 30)])
    recorded = later.look_at(STIMULI)
    np.testing.assert_array_equal(recorded.values, at_once.look_at(STIMULI).values)
    assert recorded["time_bin_start"].values.tolist() == [100, 20]
    at_once.start_recording("V1", [(0, 50), (50, 60)])
    early = at_once.look_at(STIMULI)
    assert early.attrs["latency_ms"] == 50
    assert not early.values[..., 0].any()
    assert early.values[..., 1].any()
    for wrong, told in (
        ({"IT": 300}, "from −260 to 260"),
        ({"MT": 10}, "unknown region"),
        ("fitted", "holds no latencies"),
    ):
        with pytest.raises(ConvRNNError, match=told):
            TemporalBrainModel(network, latency=wrong)
    mapped = TemporalBrainModel(
        network, region_layer_map={"IT": "conv5", "latency_ms": {"IT": 30}}, latency="fitted"
    )
    assert mapped.latencies["IT"] == 30


def test_durations_are_rounded_to_steps_and_found_by_either_name(network: ConvRNN) -> None:
    stimuli = load_objects92().stimuli[:2]
    subject = TemporalBrainModel(network, image_ms={"MajajHong2015": 159.9})
    subject.start_recording("IT", [(200, 210)])
    recorded = subject.look_at(stimulus_set("hvm-public", stimuli))
    assert recorded.attrs["image_duration"] == "160 ms"
    assert recorded.attrs["image_off"] == 16
    assert recorded.attrs["image_duration_rule"] == "as asked (159.9 ms)"
    packaged = stimulus_set("Cadena2017_mine", stimuli.assign(image_on_ms=np.nan))
    assert subject.activations_model.shown(packaged).in_words == "assumed 100 ms"


def test_an_image_goes_off_before_what_an_early_latency_reads(network: ConvRNN) -> None:
    subject = TemporalBrainModel(network, latency={"IT": -200}, image_ms=280)
    subject.start_recording("IT", [(200, 210)])
    recorded = subject.look_at(STIMULI[:2])
    asked = TemporalBrainModel(network, Presentation.custom(41, 28))
    asked.start_recording("IT", [(400, 410)])
    np.testing.assert_array_equal(recorded.values, asked.look_at(STIMULI[:2]).values)


def test_names_tell_subjects_apart(network: ConvRNN) -> None:
    """Brain-Score's own stores go by the identifier alone."""
    plain = TemporalBrainModel(network).identifier
    assert TemporalBrainModel(network, region_layer_map={**TemporalBrainModel(network)
                              .region_layer_map}).identifier == plain  # fmt: skip
    settings = [
        {"presentation": Presentation.neural()},
        {"presentation": Presentation.constant(26)},
        {"region_layer_map": {"V1": "conv3", "IT": "conv5"}},
        {"latency": {"IT": 10}},
        {"image_ms": 200},
        {"image_ms": {"mine": 200}},
        {"max_neuroids": 100},
        {"behavioural_readout": "conv5"},
    ]
    names = {plain} | {TemporalBrainModel(network, **each).identifier for each in settings}
    given = load_brain_model("timedecay_shallow", weights=network.weights.values)
    names.add(given.identifier)
    assert len(names) == len(settings) + 2
    alike = ({"image_ms": 200.0}, {"behavioural_readout": "conv5:70-170"}, {"image_ms": {}})
    assert {TemporalBrainModel(network, **each).identifier for each in alike} <= names
    assert all(name.startswith("convrnn_timedecay_shallow") for name in names)


def test_behaviour_can_be_read_from_a_layer(network: ConvRNN) -> None:
    subject = TemporalBrainModel(network, behavioural_readout="conv5:50-100")
    fitting = STIMULI.copy()
    fitting.stimulus_paths = STIMULI.stimulus_paths
    fitting["image_label"] = list("aabbc")
    features = subject._readout(fitting)
    files = [Path(STIMULI.get_stimulus(key)) for key in STIMULI["stimulus_id"]]
    shown = Presentation.default("timedecay_shallow")
    over_time = network.unroll(load_images(files), "conv5", shown, all_times=True)["conv5"]
    np.testing.assert_allclose(features.values, over_time[:, 5:10].mean((1, 2, 3)), atol=1e-5)
    subject.start_task(BrainModel.Task.probabilities, fitting_stimuli=fitting)
    assert subject.look_at(fitting).shape == (5, 3)
    for wrong in ("conv99", "conv5:100-50", "conv5:", "", "conv5:0-20", "logits:50-250"):
        with pytest.raises(ConvRNNError):
            TemporalBrainModel(network, behavioural_readout=wrong)


def test_brain_scores_forms_of_time_bins_are_understood() -> None:
    pairs = np.empty(2, object)
    pairs[:] = [(70, 170), (80, 90)]
    zero_dimensional = np.empty((), object)
    zero_dimensional[()] = (70, 170)
    for form in (
        [(70, 170), (80, 90)],
        [[70, 170], [80, 90]],
        pairs,
        np.array([[70, 170], [80, 90]]),
    ):
        assert parse_time_bins(form) == [(70, 170), (80, 90)]
    for form in (
        (70, 170),
        [zero_dimensional],
        zero_dimensional,
        [(np.int64(70), np.float32(170))],
    ):
        assert parse_time_bins(form) == [(70, 170)]


@pytest.mark.parametrize(
    ("bins", "message"),
    [
        ([], "no time bins"),
        ([(90, 70)], "must end after it starts"),
        ([(-10, 10)], "image onset"),
        ([(0, float("nan"))], "finite edges"),
        ([70, 170, 240], "expected .start, end. in ms"),
        (None, "expected .start, end. pairs in ms"),
        ([(1, 2, 3)], "expected .start, end. in ms"),
    ],
)
def test_bins_that_cannot_be_recorded_are_refused(brain, bins: list, message: str) -> None:
    with pytest.raises(ConvRNNError, match=message):
        brain.start_recording("IT", bins)


@given(start=st.floats(0, 300), width=st.floats(0.5, 200))
def test_the_weights_of_a_bin_sum_to_one(start: float, width: float) -> None:
    weights = bin_weights((start, start + width))
    assert sum(weights.values()) == pytest.approx(1)
    assert all(weight >= 0 for weight in weights.values())
    mean = sum(weight * (10 * step + 5) for step, weight in weights.items())
    assert mean == pytest.approx(start + width / 2, abs=5)


def test_mistakes_are_named(brain: TemporalBrainModel) -> None:
    with pytest.raises(ConvRNNError, match="call start_recording"):
        brain.look_at(STIMULI)
    with pytest.raises(ConvRNNError, match="unknown region"):
        brain.start_recording("MT", [(70, 170)])
    brain.start_recording("IT", [(70, 170)])
    with pytest.raises(ConvRNNError, match="no stimuli"):
        brain.look_at([])
    for stimuli in (None, 5, [1, 2], STIMULI.drop(columns=["object_name"]).to_dict, [None]):
        with pytest.raises(ConvRNNError, match="expected a Brain-Score StimulusSet or a list"):
            brain.look_at(stimuli)
    with pytest.raises(ConvRNNError, match="does not say where its files are"):
        brain.look_at(StimulusSet({"stimulus_id": ["a", "b"]}))
    with pytest.raises(ConvRNNError, match="unknown task 'dream'"):
        brain.start_task("dream")
    with pytest.raises(ConvRNNError, match=r"until 100000 ms: expected ms from image onset"):
        brain.start_recording("IT", [(100, 1e5)])
    listed = STIMULI.copy()
    listed.stimulus_paths = STIMULI.stimulus_paths
    listed["parts"] = [[1]] * len(STIMULI)
    brain.start_recording("IT", [(70, 170)])
    with pytest.raises(ConvRNNError, match="column parts of the stimulus set holds lists"):
        brain.look_at(listed)


def test_tasks_are_checked_before_anything_is_computed(brain: TemporalBrainModel) -> None:
    fitting = STIMULI.copy()
    for task, arguments, said in (
        ("label", (["dog", "zebrafoo"],), "unknown label of Brain-Score 'zebrafoo'"),
        ("label", ("dog",), "labels 'dog': expected 'imagenet', or a list"),
        ("label", ([],), "list of labels to choose from is empty"),
        ("probabilities", (fitting,), "have no column image_label"),
        ("probabilities", (fitting.assign(image_label="a"),), "have one image_label"),
    ):
        with pytest.raises(ConvRNNError, match=said):
            brain.start_task(task, *arguments)
    brain.start_task(BrainModel.Task.odd_one_out)
    with pytest.raises(ConvRNNError, match="triplets, three rows each; the stimulus set has 5"):
        brain.look_at(STIMULI)
    with pytest.raises(ConvRNNError, match="a stimulus set of triplets, not a list"):
        brain.look_at(["a.png"])
    # A task that could not be started leaves none behind.
    with pytest.raises(ConvRNNError, match="labels 'dog'"):
        brain.start_task("label", "dog")
    brain.start_recording("IT", [(60, 70)])
    assert brain.look_at(STIMULI).dims == ("presentation", "neuroid")


def test_a_region_can_have_several_layers(network: ConvRNN) -> None:
    brain = TemporalBrainModel(network, region_layer_map={"IT": ["conv4", "conv5"]})
    brain.start_recording("IT", [(60, 70)])
    recording = brain.look_at(STIMULI)
    assert recording.sizes["neuroid"] == 7 * 7 * 256 + 4 * 4 * 512
    assert set(recording["region"].values) == {"IT"}
    with pytest.raises(ConvRNNError, match="unknown region of timedecay_shallow 'V4'"):
        brain.start_recording("V4", [(60, 70)])


def test_labels_are_the_decoded_logits(brain: TemporalBrainModel) -> None:
    brain.start_task(BrainModel.Task.label, "imagenet")
    labels = brain.look_at(STIMULI, number_of_trials=10)
    files = [Path(STIMULI.get_stimulus(key)) for key in STIMULI["stimulus_id"]]
    logits = brain.network.logits(load_images(files), Presentation.neural())
    assert labels["logit"].values.tolist() == logits.argmax(axis=1).tolist()
    brain.start_task(BrainModel.Task.label, ["dog", "cat", "chair"])
    assert set(brain.look_at(STIMULI).values.ravel()) <= {"dog", "cat", "chair"}


def test_probabilities_are_learned_from_fitting_stimuli(brain: TemporalBrainModel) -> None:
    fitting = STIMULI.copy()
    fitting.stimulus_paths = STIMULI.stimulus_paths
    fitting["image_label"] = list("aabbc")
    brain.start_task(BrainModel.Task.probabilities, fitting_stimuli=fitting)
    probabilities = brain.look_at(fitting)
    assert set(probabilities["choice"].values) == set("abc")
    np.testing.assert_allclose(probabilities.values.sum(axis=1), 1)


def test_the_odd_one_of_three_is_found(brain: TemporalBrainModel) -> None:
    triplets = stimulus_set("triplets", load_objects92().stimuli.iloc[[0, 20, 40, 0, 20, 60]])
    brain.start_task(BrainModel.Task.odd_one_out)
    assert brain.look_at(triplets).shape == (1, 2)


def test_a_task_ends_where_a_recording_starts(brain: TemporalBrainModel) -> None:
    brain.start_task(BrainModel.Task.label, "imagenet")
    brain.start_recording("IT", [(60, 70)])
    assert brain.look_at(STIMULI).dims == ("presentation", "neuroid")
    with pytest.raises(ConvRNNError, match="task label"):
        brain.start_task(BrainModel.Task.label)


def test_a_map_of_a_fit_of_another_depth_is_refused(network: ConvRNN) -> None:
    """conv5 is the last layer of five, and in the middle of ten."""
    for fitted in ("rgc_intermediate (untrained, seed 1)", "rgc_intermediate-without-feedback"):
        fitted_map = {"IT": "conv5", "made_by": {"model": fitted}}
        with pytest.raises(ConvRNNError, match="was fitted with rgc_intermediate"):
            TemporalBrainModel(network, region_layer_map=fitted_map)
    same = {"IT": "conv5", "made_by": {"model": "gru_shallow (sha256 1f2e)"}}
    assert TemporalBrainModel(network, region_layer_map=same).region_layer_map["IT"] == ["conv5"]


@pytest.mark.parametrize("neuroids", [0, 1.5, 1])
def test_each_layer_has_a_projected_neuroid(neuroids: float) -> None:
    features = dict.fromkeys(("conv4", "conv5"), np.ones((2, 30), np.float32))
    with pytest.raises(ConvRNNError, match=f"`max_neuroids={neuroids}`: expected"):
        random_projection("rgc_shallow", neuroids)(features)


@pytest.mark.parametrize("frames", [[("image", 100)], [("image", 30), (0.5, 20), ("image", 50)]])
def test_a_sequence_that_ends_with_the_image_is_on_until_then(frames, network: ConvRNN) -> None:
    subject = TemporalBrainModel(network, Presentation.sequence(frames))
    assert subject.activations_model.shown().in_words == "100 ms"


def test_a_set_without_a_name_is_not_the_experiment(network: ConvRNN, photographs) -> None:
    """Kar2019 looks at one stimulus before it begins."""
    subject = TemporalBrainModel(network)
    subject.start_recording("IT", [(70, 170)])
    stimuli = stimulus_set("mine", load_objects92().stimuli[:1])
    stimuli.identifier = None
    subject.look_at(stimuli)
    assert subject.shown == set()
    stimuli.identifier = "mine"
    subject.look_at(stimuli)
    assert len(subject.shown) == 1


def test_a_projection_does_not_depend_on_what_was_looked_at_before() -> None:
    """Brain-Score looks at the first layer alone before it scores."""
    rng = np.random.default_rng(0)
    features = {layer: rng.random((4, 60), np.float32) for layer in ("conv9", "conv10")}
    fresh, probed = (random_projection("rgc_intermediate", 20) for _ in range(2))
    assert probed({"conv9": features["conv9"]})["conv9"].shape == (4, 20)
    for layer, values in fresh(features).items():
        assert values.shape == (4, 10)
        np.testing.assert_array_equal(probed(features)[layer], values)


@pytest.mark.parametrize("kind", [list, set, tuple, np.array])
def test_labels_to_choose_from_may_be_any_collection(kind, network: ConvRNN) -> None:
    subject = TemporalBrainModel(network)
    subject.start_task(BrainModel.Task.label, choice_labels=kind(["cat", "dog"]))
    assert subject._behaviour.choice_labels == ["cat", "dog"]

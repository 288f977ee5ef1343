"""Decoding over time: measures against Brain-Score's, known truths, bad input, the command."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.io
import xarray as xr
from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    DataAssembly,
)
from brainscore_vision import load_metric
from brainscore_vision.metrics.ost import metric as ost
from typer.testing import CliRunner

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.cli import app
from convrnns_brainscore.decoding import measures, populations
from convrnns_brainscore.decoding.behaviour import behaviour_of
from convrnns_brainscore.decoding.classifier import make_folds
from convrnns_brainscore.decoding.populations import decode_neurons, halved, kept
from convrnns_brainscore.decoding.question import Question, ask
from convrnns_brainscore.decoding.study import decode
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.recordings import Recording, as_recording, recorded_apart

CLASSES = ["bear", "car", "dog", "face"]
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), 10)
IDS = [f"s{number:02d}" for number in range(40)]
TIMES = np.arange(60, 200, 20)


def simulated(
    onset: float = 100, neurons: int = 20, repetitions: int = 4, **coordinates: Any
) -> xr.DataArray:
    """Neurons that tell four classes apart from ``onset`` on, in noise."""
    rng = np.random.default_rng(1)
    tuning = rng.standard_normal((4, neurons))
    image = rng.uniform(0.3, 1, 40)  # some images are easier than others
    signal = tuning[LABELS] * image[:, None]
    values = np.zeros((repetitions, 40, neurons, len(TIMES)))
    values[..., onset <= TIMES] = signal[None, ..., None]
    values += rng.standard_normal(values.shape)
    coords = {
        "stimulus_id": ("presentation", IDS * repetitions),
        "object_name": ("presentation", [CLASSES[label] for label in LABELS] * repetitions),
        "neuroid_id": ("neuroid", [f"n{number}" for number in range(neurons)]),
        "region": ("neuroid", ["IT"] * neurons),
        "time_bin_start": ("time_bin", TIMES),
        "time_bin_end": ("time_bin", TIMES + 20),
        **coordinates,
    }
    return xr.DataArray(
        values.reshape(-1, neurons, len(TIMES)), coords, ("presentation", "neuroid", "time_bin")
    )


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> xr.Dataset:
    question = ask(as_recording(simulated()), "object_name")
    return decode({}, question, tmp_path_factory.mktemp("decoding"))


# Measures, against Brain-Score's own.


def probabilities() -> BehavioralAssembly:
    values = RNG.dirichlet(np.ones(4), 40)
    coords = {
        "stimulus_id": ("presentation", IDS),
        "truth": ("presentation", [CLASSES[label] for label in LABELS]),
        "choice": CLASSES,
    }
    return BehavioralAssembly(values, coords=coords, dims=["presentation", "choice"])


@pytest.mark.parametrize("normalised", [False, True])
def test_image_level_measures_are_brain_scores(normalised: bool) -> None:
    given, metric = probabilities(), load_metric("i2n")
    metric._normalize = normalised  # i2 is not registered
    theirs = metric.dprimes(metric.target_distractor_scores(given))
    confused = measures.confusions(given.values, LABELS)
    ours = measures.i2(confused, LABELS, normalised=normalised)
    np.testing.assert_allclose(ours, theirs.transpose("presentation", "choice").values, atol=1e-9)
    collapsed = load_metric("i1").collapse_distractors(theirs)
    np.testing.assert_allclose(
        measures.i1(confused, LABELS, normalised=normalised), collapsed.values, atol=1e-9
    )


def choices(trials: int = 2000) -> pd.DataFrame:
    rng = np.random.default_rng(3)
    stimulus = rng.integers(0, 40, trials)
    distractor = (LABELS[stimulus] + rng.integers(1, 4, trials)) % 4
    right = np.linspace(0.55, 0.95, 40)[rng.permutation(40)][stimulus]
    choice = np.where(rng.random(trials) < right, LABELS[stimulus], distractor)
    names = np.array(CLASSES)
    columns = {"stimulus_id": np.array(IDS)[stimulus], "truth": names[LABELS[stimulus]]}
    return pd.DataFrame({**columns, "choice": names[choice], "distractor": names[distractor]})


def test_choices_become_brain_scores_response_matrix() -> None:
    table = choices()
    metric = load_metric("i2n")
    coords = {
        "stimulus_id": ("presentation", table["stimulus_id"]),
        "truth": ("presentation", table["truth"]),
        "sample_obj": ("presentation", table["truth"]),
        "dist_obj": ("presentation", table["distractor"]),
    }
    given = BehavioralAssembly(table["choice"].to_numpy(), coords=coords, dims=["presentation"])
    theirs = metric.dprimes(metric.build_response_matrix_from_responses(given))
    ours, notes = behaviour_of(table, IDS, LABELS, CLASSES)
    assert not notes
    np.testing.assert_allclose(ours.i2n(), theirs.sortby("stimulus_id").values, atol=1e-9)
    assert 0.3 < ours.ceiling()[0] <= 1


def test_solution_times_are_those_of_brain_scores_ost(monkeypatch) -> None:
    """The metric itself, with probabilities in place of its classifiers'."""
    starts = np.arange(70, 170, 10)
    by_bin = {start: probabilities() for start in starts}

    class Given:
        def fit(self, responses: DataAssembly, labels: DataAssembly) -> None:
            self.start = int(responses.values[0, 0])

        def predict_proba(self, responses: DataAssembly) -> BehavioralAssembly:
            return by_bin[self.start]

        def close(self) -> None:
            pass

    monkeypatch.setattr(ost, "TFProbabilitiesClassifier", Given)
    coords = {
        "stimulus_id": ("presentation", IDS),
        "image_label": ("presentation", [CLASSES[label] for label in LABELS]),
        "neuroid_id": ("neuroid", [0]),
        "time_bin_start": ("time_bin", starts),
        "time_bin_end": ("time_bin", starts + 10),
    }
    source = DataAssembly(
        np.broadcast_to(starts, (40, 1, len(starts))).astype(float),
        coords={**coords, "truth": coords["image_label"]},
        dims=["presentation", "neuroid", "time_bin"],
    )
    thresholds = RNG.uniform(0, 2, 40)
    target = DataAssembly(
        np.zeros(40),
        coords={"stimulus_id": ("presentation", IDS), "i1": ("presentation", thresholds)},
        dims=["presentation"],
    )
    theirs = load_metric("ost").compute_osts(source, source, target)
    levels = np.stack(
        [measures.i1(measures.confusions(by_bin[s].values, LABELS), LABELS) for s in starts], axis=1
    )
    ours = measures.solution_times(levels, thresholds, starts)
    assert np.isfinite(ours).sum() > 20
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


# Known truths.


def test_decoding_begins_with_the_signal(found: xr.Dataset) -> None:
    neurons = found.sel(decoder="IT neurons")
    assert found.attrs["chance"] == 0.25
    assert float(neurons["onset_ms"]) == 100
    after = neurons["accuracy"].values[TIMES >= 100]
    before = neurons["accuracy"].values[TIMES < 100]
    assert after.min() > 0.7
    assert before.max() < 0.5
    assert (neurons["p"].values[TIMES < 100] > 0.05).all()
    assert (neurons["accuracy_error"].values > 0).all()
    assert neurons["d_prime"].values[-1] > 1.5


def test_decoders_generalise_over_time_where_the_code_stays(found: xr.Dataset) -> None:
    crossed = found["generalisation"].sel(decoder="IT neurons").values
    after = TIMES >= 100
    assert crossed[np.ix_(after, after)].min() > 0.6
    assert crossed[np.ix_(~after, after)].max() < 0.6
    np.testing.assert_allclose(np.diag(crossed), found["accuracy"].sel(decoder="IT neurons"))


def test_images_are_solved_after_onset_and_reliably(found: xr.Dataset) -> None:
    times = found["solution_ms"].sel(decoder="IT neurons").values
    assert np.isfinite(times).mean() > 0.6
    assert np.nanmin(times) >= 60
    assert float(found["i1_ceiling"].values[0, -1]) > 0.3


def test_without_a_label_in_the_responses_it_is_at_chance(tmp_path: Path) -> None:
    recording = as_recording(simulated(onset=1000))
    result = decode({}, ask(recording, "object_name"), tmp_path)
    assert abs(result["accuracy"].values - 0.25).max() < 0.25
    assert np.isnan(result["onset_ms"].values).all()


def test_observers_who_see_as_neurons_do_agree_with_them(tmp_path: Path) -> None:
    question = ask(as_recording(simulated()), "object_name")
    plain = decode({}, question, tmp_path)
    level = plain["i1"].sel(decoder="IT neurons").values[:, -1]
    rng = np.random.default_rng(0)
    rows = []
    for stimulus, each in enumerate(level):
        right = rng.random(200) < 1 / (1 + np.exp(-each))
        chosen = np.where(right, LABELS[stimulus], (LABELS[stimulus] + rng.integers(1, 4, 200)) % 4)
        rows += [(IDS[stimulus], CLASSES[each]) for each in chosen]
    table = pd.DataFrame(rows, columns=["stimulus_id", "choice"])
    observers, _ = behaviour_of(table, IDS, LABELS, CLASSES)
    result = decode({}, question, tmp_path, behaviour=observers)
    r = result["behaviour_i1_r"].sel(decoder="IT neurons").values
    assert r[-1] > 0.6
    assert abs(r[0]) < 0.5
    assert result.attrs["behaviour_i1_ceiling"] > 0.6


def test_neurons_recorded_apart_are_decoded_together_across_repetitions(tmp_path: Path) -> None:
    whole = simulated(repetitions=6)
    apart = recorded_apart([whole.isel(neuroid=[n]) for n in range(whole.sizes["neuroid"])])
    question = ask(as_recording(apart), "object_name", across="repetitions")
    result = decode({}, question, tmp_path)
    assert result["accuracy"].values[0, -1] > 0.6


# What was excluded is said; what cannot be decoded is refused.


def test_a_class_seen_once_is_left_out_and_unequal_classes_count_alike(tmp_path: Path) -> None:
    names = [CLASSES[label] for label in LABELS]
    names[:9], names[20:26] = ["cup"] * 9, [""] * 6  # bear: 1 left, dog: 4
    data = simulated(object_name=("presentation", names * 4))
    question = ask(as_recording(data), "object_name")
    assert "object_name bear: a single stimulus each, excluded" in question.notes
    assert "excluded: 6 stimuli without object_name" in question.notes
    assert question.classes == ["car", "cup", "dog", "face"]
    assert decode({}, question, tmp_path)["accuracy"].values[0, -1] > 0.6


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "colour"}, "unknown label 'colour'"),
        ({"label": "stimulus_id"}, r"Give `across='repetitions'`"),
        ({"label": "object_name", "units": 30}, "IT has 20 usable neurons"),
        ({"label": "object_name", "units": 1}, "expected 2 to 20"),
        ({"label": "object_name", "draws": 0}, "`draws=0`"),
        ({"label": "object_name", "group": "scene"}, "unknown group 'scene'"),
    ],
)
def test_what_cannot_be_decoded_is_refused(options: dict, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said) as error:
        ask(as_recording(simulated()), **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda table: table.drop(columns="choice"), "no column choice"),
        (lambda table: table.assign(choice="cup"), "choice 'cup' is not one of the classes"),
        (lambda table: table.assign(stimulus_id="x"), "none of the choices is on a stimulus"),
        (lambda table: table.assign(distractor=table["truth"]), "stimulus' own class"),
    ],
)
def test_choices_that_do_not_fit_are_refused(change: Any, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        behaviour_of(change(choices(200)), IDS, LABELS, CLASSES)


# The command, with a network.


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Noisy responses of neurons to 24 photographs, faces or not."""
    stimuli = load_objects92().stimuli.iloc[: 24 * 3 : 3]
    rng = np.random.default_rng(0)
    face = (stimuli["object_name"] == stimuli["object_name"].iloc[0]).to_numpy()
    values = 2.0 * face[:, None, None] + rng.standard_normal((24, 6, 3))
    coords = {
        "stimulus_id": ("presentation", stimuli["stimulus_id"].to_numpy(str)),
        "neuroid_id": ("neuroid", list("abcdef")),
        "region": ("neuroid", ["IT"] * 6),
        "time_bin_start": ("time_bin", [40, 60, 80]),
        "time_bin_end": ("time_bin", [60, 80, 100]),
    }
    path = tmp_path_factory.mktemp("recorded") / "it.nc"
    data = xr.DataArray(values, coords, ("presentation", "neuroid", "time_bin"), "responses")
    data.to_netcdf(path)
    table = stimuli[["stimulus_id", "filename"]].assign(kind=np.where(face, "one", "other"))
    table.to_csv(path.with_name("stimuli.csv"), index=False)
    return path


@pytest.mark.parametrize("other", ["recording", "row"])
def test_labels_on_which_two_sources_disagree_are_refused(
    other: str, recorded: Path, tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    table = pd.read_csv(recorded.with_name("stimuli.csv"), dtype=str)
    if other == "recording":
        with xr.open_dataset(recorded) as held:
            kinds = table.set_index("stimulus_id")["kind"][held["stimulus_id"].values]
            labelled = held.assign_coords(kind=("presentation", kinds.to_numpy(str)))
            labelled.to_netcdf(tmp_path / "it.nc")
        recorded = tmp_path / "it.nc"
        table.loc[0, "kind"] = "another"
    else:
        table = table.assign(onset_ms=0, offset_ms=50)  # the first changes at 50 ms
        table = pd.concat([table, table[:1].assign(kind="another", onset_ms=50, offset_ms=100)])
    table.to_csv(tmp_path / "stimuli.csv", index=False)
    command = ["decode", "none", recorded, "--stimuli", tmp_path / "stimuli.csv"]
    said = convrnns(*command, "--label", "kind", "--out", tmp_path / "out", code=2)
    first = table["stimulus_id"].iloc[0]
    assert re.search(f"stimulus {first} has the kind .*another.*: correct one of them", said)
    assert not (tmp_path / "out").exists()


def test_the_command_compares_layers_with_neurons_and_resumes(
    recorded: Path, tmp_path: Path, monkeypatch
) -> None:
    arguments = [
        "decode", "timedecay_shallow", str(recorded), "--label", "kind", "--weights", "random",
        "--stimuli", str(recorded.with_name("stimuli.csv")), "--layers", "conv4,conv5",
        "--folds", "4", "--draws", "2", "--out", str(tmp_path / "out"),
    ]  # fmt: skip
    whole = populations.decode_one
    calls: list[int] = []

    def stopped(*arguments: Any, **options: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return whole(*arguments, **options)

    monkeypatch.setattr(populations, "decode_one", stopped)
    CliRunner().invoke(app, arguments)
    assert not (tmp_path / "out" / "decoding.nc").exists()
    ended = CliRunner().invoke(app, arguments)
    assert ended.exit_code == 0, ended.output
    assert len(calls) == 4  # what was done before was kept
    with xr.open_dataset(tmp_path / "out" / "decoding.nc") as result:
        assert result["decoder"].values.tolist() == [
            "IT neurons", "timedecay_shallow conv4", "timedecay_shallow conv5"
        ]  # fmt: skip
        assert int(result.attrs["units"]) == 6
        neurons, conv4, _ = result["accuracy"].values
        assert (neurons > 0.6).all()
        assert np.isfinite(conv4).all()
    table = pd.read_csv(tmp_path / "out" / "decoding.csv")
    assert len(table) == 9
    assert {*os.listdir(tmp_path / "out")} == {
        "decoding.nc", "decoding.csv", "solutions.csv",
        "decoding.png", "decoding.pdf", "decoding.svg",
    }  # fmt: skip
    arguments[arguments.index("--folds") + 1] = "3"
    refused = CliRunner().invoke(app, arguments)
    assert "out holds results that differ in: --folds. Choose another" in str(refused.exception)


def test_mistakes_are_one_line(
    recorded: Path, tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    stimuli = ["--stimuli", recorded.with_name("stimuli.csv")]
    for arguments, said in (
        ([], "--stimuli is missing"),
        (["--layers", ",", *stimuli], "--layers is empty"),
    ):
        told = convrnns(
            "decode", "timedecay_shallow", recorded, "--label", "kind", "--weights", "random",
            "--out", tmp_path / "o", *arguments, code=2,
        )  # fmt: skip
        assert said in told


# What a stranger's attacks found.


def recorded_noise(stimuli: int, bins: int = 1, seed: int = 0, **columns: Any) -> Recording:
    """Responses of eight neurons that carry nothing, twice a stimulus."""
    rng = np.random.default_rng(seed)
    table = pd.DataFrame({"stimulus_id": [f"s{i:03}" for i in range(stimuli)], **columns})
    edges = [(10 * index, 10 * index + 10) for index in range(bins)]
    values = rng.standard_normal((stimuli, 2, 8, bins))
    return Recording.from_arrays(
        values, table, "IT", edges, axes="stimulus, repetition, neuroid, time_bin"
    )


def test_every_fold_of_groups_trains_on_every_class() -> None:
    """A class that a fold holds whole would be decoded from nothing."""
    rng = np.random.default_rng(0)
    for _ in range(40):
        labels = np.arange(40) % 3
        groups = [f"{label} {rng.integers(2)}" for label in labels]
        try:
            folds = make_folds(labels, 10, groups)
        except ConvRNNError:  # groups that cannot be divided
            continue
        for fold in folds:
            assert len(fold.test)
            assert set(labels[fold.train]) == {0, 1, 2}


def test_noise_is_not_decoded_where_scenes_share_responses(tmp_path: Path) -> None:
    """Groups are permuted and resampled whole: p < .05 in about 5 % of recordings of noise."""
    significant = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        scene = np.arange(80) // 8
        recording = recorded_noise(
            80, seed=seed, scene=[f"scene {each}" for each in scene],
            kind=["a" if each % 2 else "b" for each in scene],
        )  # fmt: skip
        shared = rng.standard_normal((10, 8))[scene[recording.stimulus]][..., None]
        recording = replace(recording, values=(recording.values + 2 * shared).astype(np.float32))
        result = decode({}, ask(recording, "kind", group="scene"), tmp_path / str(seed))
        significant += float(result["p"].values[0, 0]) < 0.05
    assert significant <= 4  # of 20: P = .003 at a rate of 5 %


def test_many_bins_can_be_above_chance(tmp_path: Path) -> None:
    """p is corrected by the maximum over bins, so that 30 of them hide no object."""
    kind = ["a", "b"] * 15
    recording = recorded_noise(30, bins=30, kind=kind)
    values = recording.values.copy()
    values[np.array([kind[i] == "a" for i in recording.stimulus]), :, 10:] += 3
    result = decode({}, ask(replace(recording, values=values), "kind", folds=3), tmp_path)
    p = result["p"].values[0]
    assert (p[10:] < 0.01).all()
    assert (p[:10] > 0.05).mean() > 0.8
    assert float(result["onset_ms"]) == 100


@pytest.mark.parametrize("missing", [np.nan, np.float32("nan"), pd.NA, pd.NaT, None, "nan", " "])
def test_missing_labels_are_left_out(missing: Any) -> None:
    values = [missing, missing, *["a", "b"] * 9]
    question = ask(recorded_noise(20), "kind", values)
    assert question.classes == ["a", "b"]
    assert any("excluded: 2 stimuli without kind" in note for note in question.notes)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"label": "i1", "values": ["a", "b"] * 10}, "a name in the results"),
        ({"label": "kind", "values": ["a", "b"]}, "2 values for 20 stimuli"),
        ({"label": "kind", "values": ["a", "b"] * 10, "across": "reps"}, "unknown across 'reps'"),
        (
            {"label": "kind", "values": ["a", "b"] * 10, "across": "repetitions", "group": "g"},
            "omit `group=…`, or give",
        ),
    ],
)
def test_questions_that_cannot_be_asked(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        ask(recorded_noise(20), **options)


def test_networks_are_not_decoded_across_repetitions(tmp_path: Path) -> None:
    question = ask(recorded_noise(20), "kind", ["a", "b"] * 10, across="repetitions")
    shown = pd.DataFrame(), Presentation.neural()
    with pytest.raises(ConvRNNError, match="networks have no repetitions"):
        decode({"a network": lambda: pytest.fail("is not loaded")}, question, tmp_path, *shown)


def test_a_damaged_part_is_decoded_again(tmp_path: Path) -> None:
    question = ask(recorded_noise(20), "kind", ["a", "b"] * 10, folds=2)
    whole = decode_neurons(question, "IT", progress=False)
    kept(tmp_path, "IT", lambda: whole)
    (part,) = tmp_path.iterdir()
    part.write_bytes(part.read_bytes()[:200])
    np.testing.assert_array_equal(kept(tmp_path, "IT", lambda: whole).i1, whole.i1)


def test_choices_that_say_nothing_are_refused() -> None:
    table = pd.DataFrame({"stimulus_id": ["x"], "choice": ["a"], "distractor": ["a"]})
    other = table.assign(choice="c", distractor="b")
    for rows, said in (
        (table[:0], "no rows"),
        (table, "own class"),
        (other, "neither the stimulus' class nor"),
    ):
        with pytest.raises(ConvRNNError, match=said):
            behaviour_of(rows, ["x"], np.array([0]), ["a", "b", "c"])


# Real data.


def seven_objects(folder: Path) -> Recording:
    """132 units of macaque IT, seven objects at three positions (Zhang et al. 2011)."""
    starts, parts = np.arange(-50, 450, 50), []
    for path in sorted(folder.glob("*.mat")):
        held = scipy.io.loadmat(path)
        labels = held["raster_labels"][0, 0]
        names = np.array([str(each[0]) for each in labels["stimulus_ID"][0]])
        places = np.array([str(each[0]) for each in labels["stimulus_position"][0]])
        counts = [held["raster_data"][:, 500 + a : 550 + a].sum(axis=1) for a in starts]
        coords = {
            "stimulus_id": ("presentation", np.char.add(names, places)),
            "object_name": ("presentation", names),
            "neuroid_id": ("neuroid", [path.stem]),
            "region": ("neuroid", ["IT"]),
            "time_bin_start": ("time_bin", starts),
            "time_bin_end": ("time_bin", starts + 50),
        }
        values = np.stack(counts, axis=1)[:, None].astype(np.float32)
        parts.append(xr.DataArray(values, coords, ("presentation", "neuroid", "time_bin")))
    return as_recording(recorded_apart(parts))


@pytest.mark.slow
def test_seven_objects_are_decoded_from_it(shared: Path, tmp_path: Path) -> None:
    question: Question = ask(
        seven_objects(shared / "recordings" / "it_objects7" / "raster_mat"),
        "object_name",
        across="repetitions",
    )
    assert question.units == 132
    result = decode({}, question, tmp_path).sel(decoder="IT neurons")
    accuracy = dict(zip(result["time_bin_start"].values.tolist(), result["accuracy"].values))  # noqa: B905
    assert accuracy[0.0] < 0.2
    assert accuracy[150.0] > 0.7  # of seven, chance is 0.143
    assert 50 <= float(result["onset_ms"]) <= 100


def test_a_stimulus_that_was_shown_once_takes_the_ceilings_and_that_is_said() -> None:
    whole = simulated(repetitions=2)
    question = ask(as_recording(whole[:-1]), "object_name")
    assert any(
        "1 of 40 stimuli were shown once: there are no ceilings" in n for n in question.notes
    )
    assert not any("shown once" in note for note in ask(as_recording(whole), "object_name").notes)


def test_options_of_networks_are_refused_where_there_is_none(
    tmp_path: Path, convrnns: Callable[..., str]
) -> None:
    for option in (["--layers", "conv5"], ["--lesion", "recurrence"], ["--off", "0.2"]):
        said = convrnns("decode", "none", "absent.nc", "--label", "kind", *option, code=2)
        assert f"{option[0]} applies only to networks" in said


def test_ceilings_are_of_as_many_units_as_decoders_read() -> None:
    """Neurons of several days that saw a stimulus once would be zeros in one of the halves."""
    whole = as_recording(simulated(repetitions=2))
    values = whole.values.copy()
    values[np.flatnonzero(whole.stimulus == 0)[1:], :3] = np.nan
    question = ask(replace(whole, values=values), "object_name")
    count = values.shape[1]
    assert question.units == count
    assert any(f"{count - 3} of {count} neurons have two" in note for note in question.notes)
    assert not list(halved(question, "IT"))
    fewer = ask(replace(whole, values=values), "object_name", units=count - 3)
    first, _ = next(iter(halved(fewer, "IT")))
    assert first.shape[1] == count - 3
    assert np.isfinite(first).all()

"""Brain-Score's own benchmarks, metrics and ceilings, on simulated recordings and on real V4."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path

import brainscore_vision.benchmarks.geirhos2021.benchmark as geirhos2021
import brainscore_vision.benchmarks.kar2019.benchmark as kar2019
import numpy as np
import pandas as pd
import pytest
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    DataAssembly,
    NeuroidAssembly,
    walk_coords,
)
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision import load_ceiling, load_metric
from brainscore_vision.benchmark_helpers.neural_common import (
    RSABenchmark,
    TrainTestNeuralBenchmark,
    average_repetition,
)
from brainscore_vision.model_helpers.brain_transformation.temporal import assembly_time_align

from convrnns_brainscore import ConvRNNError, load_network
from convrnns_brainscore.brainscore import memory, scoring
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.brainscore.assembly_files import read_assembly
from convrnns_brainscore.brainscore.benchmarks import load_benchmark
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.brainscore.digests import data_digest
from convrnns_brainscore.brainscore.packages import neural_benchmark
from convrnns_brainscore.brainscore.plan import make_plan
from convrnns_brainscore.brainscore.scoring import FAILURES, _read_record, score, score_many
from convrnns_brainscore.brainscore.simulate import compose_stimuli, simulate_recording
from convrnns_brainscore.brainscore.summary import TOO_LOW_CEILING, summarise
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.timing import BEFORE_THE_IMAGE

TRUTH, OTHER = "timedecay_shallow", "simplernn_shallow"
TEMPORAL = [(20, 30), (50, 60), (60, 70), (80, 90)]
STATIC = [(50, 90)]


@pytest.fixture(scope="module")
def networks() -> dict[str, ConvRNN]:
    return {name: load_network(name, weights="random", seed=0) for name in (TRUTH, OTHER)}


@pytest.fixture(scope="module")
def stimuli(tmp_path_factory) -> StimulusSet:
    return compose_stimuli(tmp_path_factory.mktemp("composed"), count=66, seed=1)


@pytest.fixture(scope="module")
def recordings(networks, stimuli) -> Callable[..., NeuroidAssembly]:
    """Recordings of IT simulated from the true network, which sees the stimuli once."""
    subject = TemporalBrainModel(networks[TRUTH])
    seen = {}

    def record(bins: list, **settings) -> NeuroidAssembly:
        key = tuple(bins)
        if key not in seen:
            subject.start_recording("IT", bins)
            seen[key] = subject.look_at(stimuli)
        settings = {"neurons": 24, "repetitions": 4, "inputs": 2, "seed": 1, **settings}
        return simulate_recording(seen[key], stimuli, **settings)

    return record


def test_simulated_neurons_fire_as_neurons_do(recordings) -> None:
    recording = recordings(TEMPORAL, repetitions=6, latency=20)
    assert recording.shape == (66 * 6, 24, 4)
    assert recording["time_bin_start"].values.tolist() == [40, 70, 80, 100]
    assert sorted(set(recording["repetition"].values)) == list(range(6))
    assert len(set(recording["object_name"].values)) == 6
    rates = recording.values.mean(axis=(0, 2))
    assert 8 < rates.min() < rates.max() < 66  # spikes/s
    counts = recording.values * 0.01
    np.testing.assert_allclose(counts, counts.round(), atol=1e-9)
    before = recording.values[..., 0]  # the image has not reached the layer: chance alone
    again = before.reshape(6, 66, 24).mean(axis=0)
    assert again.std(axis=0).mean() < 0.5 * before.std(axis=0).mean()


@pytest.mark.slow
def test_features_can_be_projected_and_the_score_says_so(networks, recordings) -> None:
    """With Brain-Score's `spantime_pls`, whose processes start after TensorFlow has run."""
    benchmark = neural_benchmark("simulated", recordings(TEMPORAL, neurons=10), "spantime_pls")
    result = score(networks[TRUTH], benchmark, max_neuroids=100)
    assert result.benchmark.endswith(", 100 projected neuroids")
    assert result.made_by["max_neuroids"] == 100
    assert result.score.attrs["max_neuroids"] == 100
    assert result.summary.counted == 3


def test_the_layer_that_made_the_recording_wins(networks, recordings) -> None:
    benchmark = neural_benchmark("simulated", recordings(STATIC), "ridge")
    best = score(networks[TRUTH], benchmark)
    assert "untrained" in best.model
    assert best.summary.ceiling > 0.5
    other = score(networks[TRUTH], benchmark, region_layer_map={"IT": "conv3"})
    assert best.summary.raw > other.summary.raw + 0.01
    (row,) = best.table().to_dict("records")
    assert (row["model"], row["raw"]) == (best.model, best.summary.raw)
    assert np.isnan(row["time_bin_start"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("metric", "bins", "neuroids", "inputs", "repetitions"),
    [
        ("pls", STATIC, 2000, 2, 30),  # scikit-learn's PLS takes many minutes on all features
        ("ridge", STATIC, None, 8, 6),
        ("spantime_pls", TEMPORAL, 1000, 8, 6),
        ("spantime_ridge", TEMPORAL, 2000, 8, 30),
    ],
)
def test_the_network_that_made_the_recording_wins(
    networks, tmp_path, metric, bins, neuroids, inputs, repetitions
) -> None:
    """Against the same network with other weights, its neighbouring layer, another network."""
    truth = networks[OTHER]
    stimuli = compose_stimuli(tmp_path, count=200, seed=3)
    subject = TemporalBrainModel(truth)
    subject.start_recording("IT", bins)
    recording = simulate_recording(
        subject.look_at(stimuli), stimuli, repetitions=repetitions, inputs=inputs, seed=1
    )
    benchmark = neural_benchmark("simulated", recording, metric)
    size = {"max_neuroids": neuroids}
    best = score(truth, benchmark, **size)
    others = {
        "weights": score(load_network(OTHER, weights="random", seed=5), benchmark, **size),
        "layer": score(truth, benchmark, region_layer_map={"IT": "conv4"}, **size),
        "network": score(networks[TRUTH], benchmark, **size),
    }
    for name, result in others.items():
        assert best.summary.raw > result.summary.raw, name
    assert best.summary.ceiling > 0.5
    if metric.startswith("spantime"):
        first = best.summary.bins[0]
        assert first.reason == BEFORE_THE_IMAGE
        assert np.isnan(first.ceiled)
        assert best.summary.counted == 3


@pytest.mark.parametrize(
    "wrong",
    [{"neurons": 0}, {"repetitions": 0}, {"inputs": 0}, {"seed": -1}, {"latency": np.nan}],
)
def test_a_recording_that_cannot_be_simulated_is_named(wrong: dict[str, float]) -> None:
    (name,) = wrong
    with pytest.raises(ConvRNNError) as raised:
        simulate_recording(None, None, **wrong)
    assert raised.value.parameters == (name,)


@pytest.mark.slow
def test_the_latency_of_the_neurons_is_found(networks, tmp_path: Path) -> None:
    """Neurons answer 20 ms after the network: read that much earlier, it predicts them best."""
    bins = [(40, 50), (50, 60), (60, 70)]  # while the answer of the layer unfolds
    stimuli = compose_stimuli(tmp_path, count=200, seed=3)
    subject = TemporalBrainModel(networks[OTHER])
    subject.start_recording("IT", bins)
    late = simulate_recording(
        subject.look_at(stimuli), stimuli, repetitions=30, inputs=4, latency=20, seed=1
    )
    raw = {}
    for shift in (10, 20, 30):
        moved = {
            name: ("time_bin", late[name].values - shift)
            for name in ("time_bin_start", "time_bin_end")
        }
        shifted = NeuroidAssembly(late.reset_index("time_bin").assign_coords(moved))
        shifted.attrs = late.attrs
        benchmark = neural_benchmark("late", shifted, "spantime_ridge")
        result = score(networks[OTHER], benchmark, solver="exact")
        # The first bin, read 30 ms earlier, is before the image reaches the layer.
        raw[shift] = float(np.mean(result.score.attrs["raw"].values[1:]))
    assert max(raw, key=raw.get) == 20, raw


def test_other_benchmark_classes_run_to_their_end(networks, recordings, stimuli) -> None:
    recording = recordings(STATIC).squeeze("time_bin")
    averaged = average_repetition(recording)
    train, test = averaged[:50], averaged[50:]
    for part in (train, test):
        kept = stimuli[stimuli["stimulus_id"].isin(part["stimulus_id"].values)]
        kept.stimulus_paths = stimuli.stimulus_paths
        part.attrs["stimulus_set"] = kept
    common = {"version": 1, "visual_degrees": 8, "number_of_trials": 1, "bibtex": ""}
    ceiling = Score(0.8)
    split = TrainTestNeuralBenchmark(
        "split.IT-ridge",
        ceiling_func=lambda: ceiling,
        train_assembly=train,
        test_assembly=test,
        similarity_metric=load_metric("ridge_split"),
        parent="IT",
        **common,
    )
    result = score(networks[TRUTH], split, max_neuroids=500)
    assert result.summary.raw > 0.1
    assert result.summary.ceiling == 0.8
    assert len(data_digest(split)) == 16

    coords = {name: (dims, values) for name, dims, values in walk_coords(averaged)}
    coords["subject"] = ("neuroid", ["one"] * 12 + ["two"] * 12)
    subjects = NeuroidAssembly(averaged.values, coords=coords, dims=averaged.dims)
    subjects.attrs["stimulus_set"] = stimuli
    geometry = RSABenchmark("rsa.IT-rdm", assembly=subjects, region="IT", **common)
    result = score(networks[TRUTH], geometry)
    assert result.summary.formula.startswith("r/ceiling")
    assert result.summary.raw > 0.1


def test_behaviour_is_scored_by_brain_scores_own_classes(networks, stimuli, monkeypatch) -> None:
    """Choices of simulated people among labels; the network sees images as in its training."""
    people, rng = 3, np.random.default_rng(0)
    labels = ["bear", "chair", "clock"]
    truth = [labels[index % 3] for index in range(len(stimuli))]
    shown = stimuli.copy()
    shown.stimulus_paths, shown.identifier = stimuli.stimulus_paths, "people"
    shown["truth"], shown["condition"] = truth, ["0", "1"] * (len(stimuli) // 2)
    columns = {name: np.tile(shown[name], people) for name in ("stimulus_id", "truth", "condition")}
    right = rng.random(people * len(stimuli)) < 0.7
    choices = np.where(right, columns["truth"], rng.choice(labels, len(right)))
    columns["subject"] = np.repeat([f"person{index}" for index in range(people)], len(stimuli))
    assembly = BehavioralAssembly(
        choices,
        {name: ("presentation", values) for name, values in columns.items()},
        ["presentation"],
    )
    assembly.attrs["stimulus_set"] = shown
    monkeypatch.setattr(geirhos2021, "load_dataset", lambda name: assembly)

    name = "Geirhos2021sketch-error_consistency"
    result = score(networks[TRUTH], geirhos2021.Geirhos2021sketchErrorConsistency(), name=name)
    assert result.made_by["image_duration"] == "as in training"
    assert result.made_by["layers"] == "logits"
    assert result.summary.formula.startswith("r/ceiling")
    assert len(result.made_by["data"]) == 16
    name = "Geirhos2021sketch-top1"
    result = score(networks[TRUTH], geirhos2021.Geirhos2021sketchAccuracy(), name=name)
    assert result.summary.raw == result.summary.ceiled == result.summary.brain_score
    assert 0.1 < result.summary.raw < 0.6  # by chance: 1/3


def kar2019_like(networks, recordings, stimuli) -> DataAssembly:
    """Object solution times of the shape of Kar2019's data set."""
    rng = np.random.default_rng(0)
    stimuli = stimuli.copy()
    labels = [f"class{index % 4}" for index in range(len(stimuli))]
    stimuli["image_label"] = labels
    coords = {
        "stimulus_id": ("presentation", stimuli["stimulus_id"].values),
        "image_label": ("presentation", labels),
        "i1": ("presentation", rng.uniform(0.2, 1.5, len(stimuli))),
        "decoder": ["svm", "other"],
    }
    values = rng.uniform(80, 180, (len(stimuli), 2))
    assembly = DataAssembly(values, coords=coords, dims=["presentation", "decoder"])
    stimuli.identifier = "Kar2019"
    assembly.attrs["stimulus_set"] = stimuli
    return assembly


@pytest.mark.slow
def test_kar2019_runs_in_brain_scores_own_class(
    networks, recordings, stimuli, monkeypatch, tmp_path: Path
) -> None:
    """Real benchmark class and `ost` metric, on data of the data set's shape."""
    composed = compose_stimuli(tmp_path, count=200, seed=2)
    assembly = kar2019_like(networks, recordings, composed)
    monkeypatch.setattr(kar2019, "load_dataset", lambda name: assembly)
    benchmark = kar2019.DicarloKar2019OST()
    result = score(networks[TRUTH], benchmark, name="Kar2019-ost", max_neuroids=30)
    assert result.made_by["image_duration"] == "100 ms"
    assert result.made_by["layers"] == "conv5"
    assert result.summary.formula.startswith("r/ceiling")
    assert result.summary.ceiling == pytest.approx(0.79)
    assert -1 <= result.summary.raw <= 1


@pytest.mark.ci
def test_many_models_on_many_benchmarks_go_on_after_a_stop(
    recordings, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    held = {
        "static": neural_benchmark("x", recordings(STATIC, neurons=8), "ridge"),
        "temporal": neural_benchmark("x", recordings(TEMPORAL, neurons=8), "spantime_ridge"),
    }
    loaded = []

    def network(name: str) -> ConvRNN:
        loaded.append(name)
        if name == "broken":
            raise ConvRNNError("these weights are damaged.")
        return load_network(TRUTH, weights="random", seed=len(name) - len(TRUTH))

    models = {
        name: (lambda name=name: network(name))
        for name in ("longer than the truth", "broken", TRUTH)
    }
    setting = {"load": held.__getitem__, "max_neuroids": 200}
    first = list(score_many(models, ["static", "absent"], tmp_path, **setting))
    assert [isinstance(outcome, dict) for outcome in first] == [True, False, True] + 3 * [False]
    failure = first[1]
    assert (failure.model, failure.benchmark) == ("broken", "static")
    assert str(failure) == "broken on static: these weights are damaged."
    assert failure.expected
    absent = first[-1]
    assert not absent.expected
    assert "KeyError: 'absent'" in absent.traceback
    assert absent.traceback in (tmp_path / FAILURES).read_text()

    del models["broken"]
    for content in (b"", b"[]", b"{}", b"\xff\xfe"):  # as a full disk may leave it
        Path(first[0]["file"]).write_bytes(content)
        with caplog.at_level("WARNING"):
            assert _read_record(Path(first[0]["file"])) is None
        assert "is damaged: the score is computed again" in caplog.text
    assert next(score_many(models, ["static"], tmp_path, **setting)) == first[0]
    times = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.json")}
    records = list(score_many(models, ["static"], tmp_path, **setting))
    one = {TRUTH: models[TRUTH]}
    records += score_many(one, ["temporal"], tmp_path, **setting)
    assert len(records) == 3
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    assert records[:2] == [first[0], first[2]]

    temporal = records[2]
    stored = json.loads(Path(temporal["file"]).read_text())
    assert stored["bins"][0]["ceiled"] is None
    assert stored["made_by"]["weights"] == "untrained, seed 0"
    assert read_provenance(Path(temporal["file"])) == stored["made_by"]
    netcdf = Path(temporal["file"]).with_suffix(".nc")
    assert read_provenance(netcdf)["weights_sha256"] == stored["made_by"]["weights_sha256"]
    raw = read_assembly(netcdf).attrs["raw"]
    np.testing.assert_allclose(raw.values, [one["raw"] or np.nan for one in stored["bins"]])

    changed = list(score_many(models, ["static"], tmp_path, load=held.__getitem__, max_neuroids=90))
    assert all(record["file"] not in {str(path) for path in times} for record in changed)


def test_ceilings_are_kept_by_registry_name_and_data(recordings) -> None:
    """Two benchmarks of one identifier, as Brain-Score allows: each has its own ceiling."""
    quiet, noisy = (
        neural_benchmark("x", recordings(STATIC, repetitions=repetitions, neurons=12), "ridge")
        for repetitions in (6, 2)
    )
    noisy._identifier = quiet.identifier
    assert data_digest(quiet) != data_digest(noisy)
    for benchmark in (quiet, noisy):
        scoring._keep_ceiling("one name", benchmark)
    assert float(quiet.ceiling) > float(noisy.ceiling) + 0.05


def score_of(raw: list[float], ceiling: list[float]) -> Score:
    """What Brain-Score's `explained_variance` makes of them."""
    given = Score(np.square(raw) / np.asarray(ceiling))
    given.attrs["raw"], given.attrs["ceiling"] = Score(np.array(raw)), Score(np.array(ceiling))
    return given


def test_the_sign_of_a_correlation_is_not_lost() -> None:
    summary = summarise(score_of([-0.3, 0.9], [0.5, 0.6]), [(70, 80), (80, 90)])
    negative, above = summary.bins
    assert negative.raw == -0.3
    assert negative.ceiled == pytest.approx(-0.18)
    assert above.ceiled == pytest.approx(1.35)  # not clipped
    assert summary.brain_score == pytest.approx((0.18 + 1.35) / 2)
    assert summary.formula.startswith("sign(r)·r²/ceiling")
    assert "2.4" in summary.formula
    static = summarise(Score(0.18, attrs={"raw": Score(-0.3), "ceiling": Score(0.5)}))
    assert static.ceiled == pytest.approx(-0.18)


def test_the_center_of_a_score_with_an_error_is_its_value() -> None:
    given = Score([0.8, 0.06], coords={"aggregation": ["center", "error"]}, dims=["aggregation"])
    assert summarise(given).brain_score == 0.8


def test_a_formula_that_is_not_known_does_not_hide_a_sign() -> None:
    given = Score(0.2, attrs={"raw": Score(-0.3), "ceiling": Score(0.5)})
    assert np.isnan(summarise(given).ceiled)


def test_data_are_told_apart_by_all_that_they_hold(recordings) -> None:
    """The same responses, 20 ms later, or of other objects."""
    now, later = (
        neural_benchmark("x", recordings(STATIC, neurons=4, repetitions=2, latency=latency), "pls")
        for latency in (0, 20)
    )
    assert data_digest(now) != data_digest(later)
    assert now.identifier != later.identifier


def test_undefined_bins_are_told_apart_and_not_counted() -> None:
    raw, ceiling = [0.4, 0.01, np.nan, 0.5, 0.6], [0.6, 0.02, 0.7, np.nan, 0.8]
    bins = [(10 * step, 10 * (step + 1)) for step in (3, 5, 6, 7, 8)]
    summary = summarise(score_of(raw, ceiling), bins, first_image_ms=40)
    assert [one.reason for one in summary.bins] == [
        BEFORE_THE_IMAGE,
        TOO_LOW_CEILING,
        "no correlation: a prediction or a neuron does not vary",
        TOO_LOW_CEILING,
        "",
    ]
    assert summary.counted == 1
    assert summary.raw == 0.6
    assert summary.ceiled == pytest.approx(0.45)
    nothing = summarise(score_of([0.1, 0.2], [0.01, 0.01]), bins[:2])
    assert np.isnan(nothing.ceiled)


def test_a_score_that_does_not_fit_in_memory_is_refused_before_inference(
    networks, recordings, monkeypatch
) -> None:
    benchmark = neural_benchmark("x", recordings(STATIC, neurons=4, repetitions=2), "ridge")
    monkeypatch.setattr(memory, "available_memory", lambda: 10_000_000)
    monkeypatch.setattr(ConvRNN, "averages", lambda *arguments: pytest.fail("inference began"))
    with pytest.raises(ConvRNNError, match=r"needs about .* GiB.*`max_neuroids=…`"):
        score(networks[TRUTH], benchmark)
    monkeypatch.setattr(memory, "available_memory", lambda: 1_000_000_000)
    plan = make_plan(networks[TRUTH], "x", benchmark)
    memory.check_memory(plan.experiment, plan.neuroids)


def test_one_ceiling_for_all_bins_is_printed_for_none() -> None:
    """Li2026's, of its best window: bins have no ceiling of their own to be cut off by."""
    raw = Score(np.array([0.1, 0.3, 0.5]), dims=["time_bin"])
    ceiling = Score(0.05)
    per_bin = Score(raw.values**2 / 0.05, dims=["time_bin"])
    per_bin.attrs |= {"raw": raw, "ceiling": ceiling}
    given = Score(float(per_bin.mean()))
    given.attrs |= {"per_bin": per_bin, "raw": raw, "ceiling": ceiling}
    told = summarise(given, [(0, 10), (10, 20), (20, 30)], first_image_ms=10)
    assert [one.reason for one in told.bins] == ["before the image reaches the layer", "", ""]
    assert np.isnan([one.ceiling for one in told.bins]).all()
    assert told.ceiling == 0.05
    assert told.counted == 2


def test_data_that_cannot_be_fetched_are_named(monkeypatch) -> None:
    with pytest.raises(ConvRNNError, match=r"Li2026.temporal, which is not public.*_LI2026_DIR"):
        load_benchmark("Li2026.IT-temporal-pls")
    with pytest.raises(ConvRNNError, match=r"unknown benchmark 'MajajHong2015public.IT-plss'"):
        load_benchmark("MajajHong2015public.IT-plss")


def test_metrics_and_recordings_must_fit(recordings) -> None:
    one = recordings(STATIC)
    with pytest.raises(ConvRNNError, match="spantime_pls needs several time bins"):
        neural_benchmark("simulated", one, "spantime_pls")
    with pytest.raises(ConvRNNError, match=r"unknown metric 'plss'.*Did you mean 'pls'"):
        neural_benchmark("simulated", one, "plss")
    with pytest.raises(ConvRNNError, match="no coordinate 'scene'"):
        neural_benchmark("simulated", one, "pls", stratify_by="scene")
    single = neural_benchmark("simulated", one[one["repetition"] == 0], "pls")
    assert np.isnan(float(single.ceiling))  # without repetitions nothing is known of it


def test_benchmarks_of_other_data_have_other_identifiers(recordings) -> None:
    """Brain-Score keeps ceilings by identifier alone."""
    recording = recordings(STATIC, neurons=4, repetitions=2)
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


@pytest.mark.slow
def test_the_reliability_of_real_faces_cells_over_time(shared: Path) -> None:
    """1 ms spikes of face patch AM, at 10 ms, aligned to 50 ms by Brain-Score: the reliability
    begins after 100 ms and has the course of the recording's README."""
    with np.load(shared / "recordings" / "am_faces" / "bert_1ms_packed.npz") as held:
        sites, stimuli, packed = held["site"], held["stim"], held["spikes_packed"]
    spikes = np.unpackbits(packed, axis=1)[:, :400].astype(np.float32)
    binned = spikes.reshape(len(spikes), 40, 10).sum(axis=2)
    repetitions, faces = 4, np.arange(1, 201)
    chosen = []
    for site in np.unique(sites):
        trials = [np.flatnonzero((sites == site) & (stimuli == face)) for face in faces]
        if all(len(each) >= repetitions for each in trials):
            chosen.append(np.concatenate([binned[each[:repetitions]] for each in trials]))
    chosen = chosen[:24]
    assert len(chosen) == 24
    recording = NeuroidAssembly(
        np.stack(chosen, axis=1),
        coords={
            "stimulus_id": ("presentation", np.repeat(faces, repetitions)),
            "object_name": ("presentation", ["face"] * len(faces) * repetitions),
            "repetition": ("presentation", np.tile(np.arange(repetitions), len(faces))),
            "neuroid_id": ("neuroid", np.arange(24)),
            "region": ("neuroid", ["aIT"] * 24),
            "time_bin_start": ("time_bin", np.arange(40) * 10),
            "time_bin_end": ("time_bin", np.arange(40) * 10 + 10),
        },
        dims=["presentation", "neuroid", "time_bin"],
    )
    wide = assembly_time_align(recording, [(start, start + 50) for start in range(0, 400, 50)])
    by_hand = np.stack(chosen, axis=1).reshape(800, 24, 8, 5).mean(axis=3)
    np.testing.assert_allclose(wide.values, by_hand, atol=1e-6)
    ceiling = load_ceiling("internal_consistency_temporal")(wide).values
    published = np.array([0, 0, 0.18, 0.40, 0.28, 0.24, 0.25, 0.22])
    assert (abs(ceiling[:2]) < 0.1).all()
    assert (ceiling[3:] > 0.2).all()
    assert np.corrcoef(ceiling, published)[0, 1] > 0.85


def score_real_v4(shared: Path, folder: Path, networks, per_object: int) -> dict[str, float]:
    benchmark = neural_benchmark("real", real_v4(shared, folder, per_object), "pls")
    return {
        name: score(network, benchmark, max_neuroids=2000).summary.raw
        for name, network in networks.items()
    }


@pytest.mark.slow
def test_two_networks_are_scored_on_real_v4(shared: Path, tmp_path: Path, networks) -> None:
    raw = score_real_v4(shared, tmp_path, networks, per_object=12)
    assert all(0.1 < value < 0.6 for value in raw.values()), raw


@pytest.mark.slow
def test_two_networks_are_scored_on_all_of_real_v4(shared: Path, tmp_path: Path, networks) -> None:
    """Even untrained networks predict V4 above .3 from 576 training images."""
    raw = score_real_v4(shared, tmp_path, networks, per_object=80)
    assert all(0.3 < value < 0.7 for value in raw.values()), raw


def test_ceilings_belong_to_their_bins_in_any_order(recordings) -> None:
    """Brain-Score divides by position. With unequal repetitions, the ceiling is this package's."""
    recording = recordings(TEMPORAL, neurons=6)[:-5]
    recording.attrs["stimulus_set"] = recordings(TEMPORAL, neurons=6).attrs["stimulus_set"]
    turned = recording.isel(time_bin=[2, 0, 3, 1])
    ours, theirs = (
        neural_benchmark("x", each, "spantime_ridge").ceiling for each in (recording, turned)
    )
    assert theirs["time_bin_start"].values.tolist() == [20, 50, 60, 80]
    np.testing.assert_array_equal(ours.values, theirs.values)
    bare = NeuroidAssembly(
        np.ones((4, 2)),
        coords={
            "stimulus_id": ("presentation", list("abab")),
            "repetition": ("presentation", [0, 0, 1, 1]),
            "region": ("neuroid", ["IT", "IT"]),
            "neuroid_id": ("neuroid", [0, 1]),
        },
        dims=["presentation", "neuroid"],
    )
    with pytest.raises(ConvRNNError, match="no coordinate 'time_bin_start'"):
        neural_benchmark("x", bare, "ridge", stratify_by=None)


def test_a_temporal_score_is_a_table_with_a_row_for_each_bin(networks, recordings) -> None:
    benchmark = neural_benchmark("x", recordings(TEMPORAL, neurons=8), "spantime_ridge")
    result = score(networks[TRUTH], benchmark, max_neuroids=200, solver="exact")
    table = result.table()
    assert table["time_bin_start"].tolist() == [20, 50, 60, 80]
    assert table["raw"].tolist() == pytest.approx([b.raw for b in result.summary.bins], nan_ok=True)
    assert ((table["undefined"] != "") == table["ceiled"].isna()).all()


def test_settings_that_name_something_else_are_told(recordings, caplog) -> None:
    benchmark = neural_benchmark("x", recordings(STATIC, neurons=4), "ridge")
    network = load_network(TRUTH, weights="random")
    given = {"latency": {"V4": 20}, "image_ms": {"hvm": 100}, "max_neuroids": 50}
    with caplog.at_level("WARNING"):
        score(network, benchmark, **given)
    assert "records IT: `latency=…` names V4 and has no effect" in caplog.text
    assert "`image_ms=…` names hvm and has no effect" in caplog.text


@pytest.mark.parametrize("r", [0.15, -0.15])
def test_a_static_score_is_not_divided_by_a_ceiling_that_is_too_low(r: float) -> None:
    for ceiling in (0.02, -0.05):
        given = Score(r**2 / ceiling, attrs={"raw": Score(r), "ceiling": Score(ceiling)})
        told = summarise(given)
        assert np.isnan(told.ceiled)
        assert told.undefined == "ceiling below 0.1"

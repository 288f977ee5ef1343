"""Splits, reliability, held-out scores and their normalisations, on data whose truth is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.fits import heldout
from convrnns_brainscore.fits.correlation import pearson, spearman_brown
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import (
    Method,
    held_out,
    predictor,
    streaming_predictor,
)
from convrnns_brainscore.fits.reliability import (
    Trials,
    ceiling,
    half_correlations,
    reliability,
)
from convrnns_brainscore.fits.results import noise_corrected
from convrnns_brainscore.fits.selection import bins_to_choose_by, choose, inner_splits, validate
from convrnns_brainscore.fits.splits import make_splits, rarely_tested

METHODS = [Method("pls", components=12), Method("ridge")]


def trials_of(responses: np.ndarray, repetitions: int, noise: float, seed: int = 99) -> Trials:
    """Responses [stimulus, neuron] shown ``repetitions`` times with noise: one bin."""
    rng = np.random.default_rng(seed)
    values = np.repeat(responses[None], repetitions, axis=0)
    values = values + noise * rng.standard_normal(values.shape)
    stimulus = np.tile(np.arange(len(responses)), repetitions)
    return Trials(values.reshape(-1, responses.shape[1], 1), stimulus, len(responses))


def linear(stimuli: int, neurons: int, features: int = 200, seed: int = 0):
    """Features, and responses of unit variance that are a sum of some of them."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((stimuli, 12)) @ rng.standard_normal((12, features))
    y = x @ rng.standard_normal((features, neurons))
    return x.astype(np.float32), (y - y.mean(axis=0)) / y.std(axis=0)


# Splits


@pytest.mark.parametrize("names", [[], [""], ["control"], ["a/b"], ["a,b"]])
def test_names_that_results_cannot_hold_are_refused(names: list[str], tmp_path) -> None:
    with pytest.raises(ConvRNNError, match=r"is empty|cannot be called"):
        fit_recording(dict.fromkeys(names, None), None, tmp_path / "fits")
    assert not (tmp_path / "fits").exists()


def test_splits_are_brain_scores() -> None:
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision.metric_helpers.transformations import Split

    names = [f"object{index % 8}" for index in range(80)]
    assembly = NeuroidAssembly(
        np.zeros((80, 2)),
        coords={
            "stimulus_id": ("presentation", np.arange(80)),
            "object_name": ("presentation", names),
            "neuroid_id": ("neuroid", [0, 1]),
            "region": ("neuroid", ["IT", "IT"]),
        },
        dims=["presentation", "neuroid"],
    )
    _, theirs = Split(splits=10, train_size=0.9).build_splits(assembly)
    ours, _ = make_splits(80, 10, names)
    for mine, (train, test) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine.train, train)
        np.testing.assert_array_equal(mine.test, test)


@settings(max_examples=30, deadline=None)
@given(stimuli=st.integers(60, 120), groups=st.integers(4, 10), stratified=st.booleans())
def test_a_group_stands_on_one_side(stimuli: int, groups: int, stratified: bool) -> None:
    group = [f"scene{index % groups}" for index in range(stimuli)]
    strata = [f"object{index % groups % 2}" for index in range(stimuli)] if stratified else None
    splits, _ = make_splits(stimuli, 4, strata, group)
    for split in splits:
        assert not {group[i] for i in split.train} & {group[i] for i in split.test}
        assert sorted([*split.train, *split.test]) == list(range(stimuli))


@pytest.mark.parametrize(
    ("each", "said"),
    [
        (1, "needs at least 2 stimuli"),
        (2, "leave 2 for testing"),
        (3, "object0 (3)"),
        (3, "71 stimuli are needed"),
    ],
)
def test_too_few_for_the_strata_is_said_with_names_and_numbers(each: int, said: str) -> None:
    names = [f"object{index % 8}" for index in range(8 * each)]
    if each == 1:
        names += ["other"] * 60
    with pytest.raises(ConvRNNError) as error:
        make_splits(len(names), 10, names)
    assert said in str(error.value)


def test_ten_of_each_object_are_enough() -> None:
    names = [f"object{index % 8}" for index in range(80)]
    splits, how = make_splits(80, 10, names)
    assert "stratified" in how
    assert rarely_tested(splits, names) == {}


def test_an_object_that_is_rarely_tested_is_said() -> None:
    names = ["rare"] * 2 + ["often"] * 498
    splits, _ = make_splits(500, 10, names)
    assert rarely_tested(splits, names)["rare"] > 0


@pytest.mark.parametrize("stimuli", [20, 25, 26, 28])
def test_fewer_stimuli_than_components_is_said(stimuli: int) -> None:
    with pytest.raises(ConvRNNError, match=rf"{stimuli} stimuli leave \d+ for t"):
        make_splits(stimuli, 10, needed=25)


def test_thirty_stimuli_carry_25_components() -> None:
    splits, _ = make_splits(30, 10, needed=25)
    assert {len(split.train) for split in splits} == {27}


# Reliability


def test_reliability_is_spearman_browns() -> None:
    """Responses of variance 1 with noise of variance v/2 in each half: r of halves 1/(1 + v/2)."""
    truth = np.random.default_rng(0).standard_normal((2000, 20))
    halves = half_correlations(trials_of(truth, 10, noise=2.0))
    np.testing.assert_allclose(halves.mean(), 1 / (1 + 4 / 5), atol=0.02)
    np.testing.assert_allclose(reliability(halves).mean(), 1 / (1 + 4 / 10), atol=0.02)


def test_the_ceiling_is_brain_scores() -> None:
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision import load_ceiling

    truth = np.random.default_rng(0).standard_normal((200, 30))
    trials = trials_of(truth, 8, noise=2.0)
    assembly = NeuroidAssembly(
        trials.values[..., 0],
        coords={
            "stimulus_id": ("presentation", trials.stimulus),
            "object_name": ("presentation", trials.stimulus % 4),
            "repetition": ("presentation", np.repeat(np.arange(8), 200)),
            "neuroid_id": ("neuroid", np.arange(30)),
            "region": ("neuroid", ["IT"] * 30),
        },
        dims=["presentation", "neuroid"],
    )
    theirs = float(load_ceiling("internal_consistency")(assembly))
    assert abs(ceiling(half_correlations(trials))[0] - theirs) < 0.01


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 1000))
def test_halves_are_each_stimulus_own(seed: int) -> None:
    """3 to 11 repetitions, in any order: halves are disjoint and hold all."""
    rng = np.random.default_rng(seed)
    stimulus = rng.permutation(np.repeat(np.arange(12), rng.integers(3, 12, 12)))
    ones = Trials(np.ones((len(stimulus), 1)), stimulus, 12)
    weights = rng.standard_normal((len(stimulus), 1))
    for first, second in Trials(weights, stimulus, 12).halves(3):
        assert np.isfinite(first).all()
        assert np.isfinite(second).all()
    counts = np.bincount(stimulus)
    for (first, second), _ in zip(Trials(weights, stimulus, 12).halves(3), range(3), strict=True):
        whole = Trials(weights, stimulus, 12).average()
        smaller = np.minimum(abs(first - whole), abs(second - whole))
        even = counts % 2 == 0
        np.testing.assert_allclose((first + second)[even] / 2, whole[even])
        assert (smaller <= abs(first - second) / 2 + 1e-12).all()
    assert (ones.average() == 1).all()


def test_unequal_and_single_repetitions() -> None:
    """Repeats for 50 of 300 stimuli: the reliability is theirs, and the average is of all."""
    rng = np.random.default_rng(0)
    truth = rng.standard_normal((300, 40))
    stimulus = np.concatenate([np.arange(300), np.repeat(np.arange(50), 5)])
    values = truth[stimulus] + rng.standard_normal((len(stimulus), 40))
    trials = Trials(values[..., None], stimulus, 300)
    alone = Trials(values[stimulus < 50][..., None], stimulus[stimulus < 50], 50)
    np.testing.assert_allclose(
        reliability(half_correlations(trials)).mean(),
        reliability(half_correlations(alone)).mean(),
        atol=0.03,
    )
    assert np.isfinite(trials.average()).all()
    single = Trials(truth[..., None], np.arange(300), 300)
    assert not single.repeated
    assert np.isnan(reliability(half_correlations(single))).all()


# Scores


@pytest.mark.parametrize("half", [0.2, 0.4, 0.7])
@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_a_model_that_is_the_truth_is_noise_corrected_to_1(method: Method, half: float) -> None:
    """At half-reliabilities .2, .4 and .7."""
    x, y = linear(600, 60)
    noise = np.sqrt(5 * (1 / half - 1))  # of one presentation, for five in each half
    trials = trials_of(y, 10, noise)
    splits, _ = make_splits(600)
    result = held_out(
        predictor(method, gram_matrix([x])),
        trials.average(),
        list(trials.halves()),
        splits,
        method.needed,
    )
    np.testing.assert_allclose(np.nanmean(result.response_halves), half, atol=0.03)
    fit = xr.Dataset(
        {
            "r": (("split", "neuroid", "time_bin"), result.r),
            **{
                name: (("halving", "neuroid", "time_bin"), getattr(result, name))
                for name in ("prediction_halves", "response_halves")
            },
        }
    )
    assert abs(np.nanmedian(noise_corrected(fit)) - 1) < 0.03


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_shuffled_stimuli_score_zero(method: Method) -> None:
    x, y = linear(300, 40)
    order = np.random.default_rng(1).permutation(300)
    splits, _ = make_splits(300)
    predict = predictor(method, gram_matrix([x]))
    result = held_out(predict, y[order][..., None], [], splits, method.needed)
    assert abs(np.nanmean(result.r)) < 0.03
    assert np.nanmean(held_out(predict, y[..., None], [], splits, method.needed).r) > 0.95


@pytest.mark.parametrize("method", METHODS, ids=lambda each: each.name)
def test_neurons_that_cannot_be_fitted_leave_the_others_alone(method: Method) -> None:
    """One constant, one constant in a single training set, one with missing stimuli, one empty."""
    x, y = linear(120, 50)
    splits, _ = make_splits(120)
    y[:, 0] = 3
    y[:, 1] = 0
    y[splits[4].test[0], 1] = 1  # constant in training set 4
    y[[5, 50, 99], 2] = np.nan
    y[:, 3] = np.nan
    predict = predictor(method, gram_matrix([x]))
    result = held_out(predict, y[..., None], [], splits, method.needed)
    others = held_out(predict, y[:, 4:, None], [], splits, method.needed)
    np.testing.assert_allclose(result.r[:, 4:], others.r, rtol=1e-9)
    assert [bool(note) for note in result.notes] == [True] * 4 + [False] * 46
    assert result.notes[0] == "does not vary"
    assert "training set" in result.notes[1]
    assert result.notes[2] == "misses 3 responses: fitted separately"
    assert result.notes[3] == "not observed"
    assert np.isnan(result.r[:, [0, 3]]).all()
    assert np.nanmean(result.r[:, 2]) > 0.9


@pytest.mark.parametrize("streamed", [False, True])
def test_gaps_do_not_spread_where_bins_share_weights(streamed: bool, monkeypatch) -> None:
    """One neuron misses a stimulus in every bin, and one stimulus was shown once."""
    monkeypatch.setattr(heldout, "MOST_ROWS", 0 if streamed else 5000)
    x, y = linear(100, 6)
    trials = trials_of(np.stack([y, 2 * y], axis=-1).reshape(100, 12), 4, noise=0.5)
    values = trials.values.reshape(400, 6, 2)
    values[trials.stimulus == 7, 2] = np.nan
    values[100:][trials.stimulus[100:] == 9] = np.nan
    trials = Trials(values, trials.stimulus, 100)
    splits, _ = make_splits(100)

    def blocks():
        yield slice(0, 100), x.copy
        yield slice(100, 200), (2 * x).copy

    predict, _ = streaming_predictor(Method("pls", 12), blocks, 200, x.shape[1])
    result = held_out(predict, trials.average(), list(trials.halves()), splits, 12)
    assert result.notes.tolist() == ["", "", "misses 2 responses: fitted separately", "", "", ""]
    assert np.nanmin(result.r) > 0.8
    assert np.isfinite(result.r).all()
    assert np.nanmean(result.prediction_halves) > 0.9


def test_neurons_recorded_apart_are_as_reliable_as_together() -> None:
    """Halves are each neuron's own: NaN blocks of other subjects take nothing away."""
    truth = np.random.default_rng(0).standard_normal((300, 20))
    together = trials_of(truth, 4, noise=1.5)
    values = np.full((2400, 20, 1), np.nan)
    values[:1200, :10] = together.values[:, :10]
    values[1200:, 10:] = together.values[:, 10:]
    apart = Trials(values, np.tile(together.stimulus, 2), 300)
    expected, found = (reliability(half_correlations(each)) for each in (together, apart))
    np.testing.assert_allclose(found.mean(), expected.mean(), atol=0.02)
    np.testing.assert_array_equal(apart.repetitions, together.repetitions)
    np.testing.assert_allclose(apart.average(), together.average())
    once = Trials(values[[*range(300), *range(1500, 1800)]], np.tile(np.arange(300), 2), 300)
    assert not once.repeated  # each subject saw each stimulus once


def test_a_choice_takes_neurons_with_gaps_along() -> None:
    """Each neuron misses another stimulus: none has all, and the better layer is chosen."""
    x, y = linear(80, 12)
    y[np.arange(12), np.arange(12)] = np.nan
    splits, _ = make_splits(80)
    inner = inner_splits(splits, None)
    noise = np.random.default_rng(1).standard_normal(x.shape)
    both = [
        validate(predictor(Method("ridge"), gram_matrix([each])), [y], splits, inner)
        for each in (noise, x)
    ]
    validated, tested = (np.array(each)[:, None] for each in zip(*both, strict=True))
    choice = choose(["noise", "truth"], [0], [0], validated, tested)
    assert choice.layer == "truth"
    assert choice.score.min() > 0.8


def test_bins_without_reliability_are_not_chosen_by() -> None:
    assert bins_to_choose_by(np.array([np.nan, 0.2, 0.9, np.nan])) == [1, 2]
    assert bins_to_choose_by(np.full(3, np.nan)) == []


def test_bins_can_share_their_weights() -> None:
    """Rows are the stimuli of one bin after another, and a stimulus is on one side in all bins."""
    x, y = linear(100, 8)
    bins = 3
    scale = np.array([0.5, 1, 2])
    rows = np.concatenate([x * each for each in scale])
    responses = np.stack([y * each for each in scale], axis=-1)
    splits, _ = make_splits(100)
    for split in splits:
        repeated = split.repeated(bins, 100)
        assert set(repeated.test % 100) == set(split.test)
    method = Method("pls", components=12)
    result = held_out(predictor(method, gram_matrix([rows])), responses, [], splits, 12)
    assert result.r.shape == (10, 8, 3)
    assert result.r.min() > 0.99


def test_the_best_of_noise_is_not_reported_as_good() -> None:
    """30 layers of noise, 40 stimuli: what is chosen by is not what is reported."""
    rng = np.random.default_rng(0)
    y = rng.standard_normal((40, 30))
    splits, _ = make_splits(40, 10)
    inner = inner_splits(splits, None)
    validated, tested = [], []
    for _ in range(30):
        predict = predictor(Method("ridge"), gram_matrix([rng.standard_normal((40, 100))]))
        both = validate(predict, [y], splits, inner)
        validated.append(both[0][None])
        tested.append(both[1][None])
    choice = choose(
        [f"layer{i}" for i in range(30)], [0], [0], np.array(validated), np.array(tested)
    )
    assert abs(choice.score.mean()) < 0.1
    assert np.array(tested).mean(axis=(1, 2, 3)).max() > 0.1  # what the choice by test would say


def test_the_layer_and_latency_that_predict_are_chosen() -> None:
    tested = np.zeros((2, 3, 10, 4))
    tested[1, 2] = 0.5
    validated = tested + np.random.default_rng(0).normal(0, 0.01, tested.shape)
    choice = choose(["conv3", "conv4"], [-10, 0, 10], [4, 5, 6, 7], validated, tested)
    assert (choice.layer, choice.latency) == ("conv4", 10)
    assert {each[:2] for each in choice.chosen} == {("conv4", 10)}
    np.testing.assert_allclose(choice.score, 0.5)


def test_latencies_that_differ_by_rounding_alone_are_zero() -> None:
    """Features that change by a factor from step to step predict the same at each latency."""
    latencies = [-20, -10, 0, 10, 20]
    r = np.random.default_rng(0).normal(0, 1e-8, (2, 5, 10, 1))
    r += np.array([0.4, 0.6])[:, None, None, None]
    choice = choose(["conv3", "conv4"], latencies, [4], r, r)
    assert (choice.layer, choice.latency) == ("conv4", 0)
    assert {each[1] for each in choice.chosen} == {0}
    assert not choice.tells_latency
    r[1, [3, 4]] += 0.1  # 10 and 20 ms predict better, and alike
    choice = choose(["conv3", "conv4"], latencies, [4], r, r)
    assert choice.latency == 10
    assert choice.tells_latency


def test_a_latency_at_which_nothing_is_known_is_not_chosen() -> None:
    """Its r counts as 0, which is more than that of neurons that are predicted badly."""
    r = np.full((2, 3, 10, 4), -0.05)
    r[:, 2] = np.nan
    choice = choose(["conv3", "conv4"], [-10, 0, 10], [4, 5, 6, 7], r, r)
    assert 10 not in {choice.latency, *(latency for _, latency, _ in choice.chosen)}
    assert np.isnan(choice.validated[:, 2]).all()
    r[:, 1:, :, :3] = np.nan  # one bin alone is known at 0 ms, and none at 10 ms
    assert choose(["conv3", "conv4"], [-10, 0, 10], [4, 5, 6, 7], r, r).tells_latency
    r[:, 0] = np.nan
    choice = choose(["conv3", "conv4"], [-10, 0, 10], [4, 5, 6, 7], r, r)
    assert (choice.latency, choice.time_bin, choice.tells_latency) == (0, 7, True)
    nothing = choose(["conv3"], [-10, 0], [4], *[np.full((1, 2, 10, 1), np.nan)] * 2)
    assert (nothing.layer, nothing.latency) == ("conv3", 0)


@settings(max_examples=50, deadline=None)
@given(st.integers(3, 40), st.integers(0, 1000), st.floats(-1e6, 1e6))
def test_pearson_is_scipys_and_undefined_where_nothing_varies(count, seed, constant) -> None:
    from scipy.stats import pearsonr

    rng = np.random.default_rng(seed)
    a, b = rng.standard_normal((2, count))
    np.testing.assert_allclose(pearson(a, b), pearsonr(a, b)[0], atol=1e-12)
    assert np.isnan(pearson(np.full(count, constant), b))
    assert spearman_brown(0.5) == pytest.approx(2 / 3)

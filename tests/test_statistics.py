"""Errors and tests: exact where few cases can be counted, and nothing where nothing can be said."""

from __future__ import annotations

import warnings
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from convrnns_brainscore.fits.correlation import pearson
from convrnns_brainscore.fits.resampling import (
    MOST_NEURONS,
    draw_neurons,
    draw_stimuli,
    resampled_scores,
    standard_error,
    weighted_pearson,
)
from convrnns_brainscore.fits.splits import make_splits
from convrnns_brainscore.fits.statistics import compare, holm, paired_test

RNG = np.random.default_rng(0)


def test_a_resampled_correlation_is_that_of_the_drawn_rows() -> None:
    a, b = RNG.standard_normal((2, 30, 4)) + 100
    a[3, 1] = np.nan
    drawn = RNG.integers(0, 30, (5, 30))
    weights = np.stack([np.bincount(each, minlength=30) for each in drawn]).astype(np.float32)
    expected = [pearson(a[each], b[each]) for each in drawn]
    np.testing.assert_allclose(weighted_pearson(a, b, weights), expected, atol=1e-5)


def test_too_few_or_constant_rows_have_no_correlation() -> None:
    a, b = RNG.standard_normal((2, 4, 2))
    b[:, 1] = 7.3
    weights = np.array([[2, 2, 0, 0], [1, 1, 2, 0]], np.float32)
    found = weighted_pearson(a, b, weights)
    assert np.isnan(found).tolist() == [[True, True], [False, True]]


def test_stimuli_of_a_group_go_together() -> None:
    drawn = draw_stimuli(6, ["a", "a", "b", "b", "c", "c"], 20)
    assert (drawn[:, ::2] == drawn[:, 1::2]).all()
    np.testing.assert_allclose(draw_stimuli(6, count=20).sum(axis=1), 6, rtol=1e-6)
    assert (drawn[10:] == 1).all()  # where neurons are drawn


def test_neurons_are_drawn_within_subjects_and_subjects_where_there_are_three() -> None:
    two = draw_neurons(["a"] * 3 + ["b"] * 2, 50)
    assert (two[:25] == np.arange(5)).all()  # where stimuli are weighted
    assert ((two < 3).sum(axis=1) == 3).all()
    three = draw_neurons(["a"] * 3 + ["b"] * 2 + ["c"], 400)[200:]
    lengths = (three >= 0).sum(axis=1)
    assert lengths.min() == 3  # c three times
    assert lengths.max() == 9
    assert len(np.unique(draw_neurons(["a"] * (2 * MOST_NEURONS), 50))) <= MOST_NEURONS


@pytest.mark.parametrize(
    ("stimuli", "neurons"), [(60, 10), pytest.param(200, 40, marks=pytest.mark.slow)]
)
def test_the_error_is_the_spread_over_other_stimuli_and_neurons(stimuli, neurons) -> None:
    """Of scores, and of differences between two models."""
    splits, _ = make_splits(stimuli)
    everything = np.ones((1, stimuli), np.float32), [np.arange(neurons)[None]]
    drawn = draw_stimuli(stimuli, count=200), [draw_neurons(["one"] * neurons, 200)]
    scores, errors, differences, their_errors = [], [], [], []
    for seed in range(80):
        rng = np.random.default_rng(seed)
        truth = rng.standard_normal((stimuli, 4)) @ rng.standard_normal((4, neurons))
        one, other, observed = (
            (truth + noise * rng.standard_normal(truth.shape))[..., None] for noise in (2, 2, 3)
        )
        once, again = [], []
        for model in (one, other):
            each = [model[split.test] for split in splits]
            once.append(resampled_scores(each, observed, splits, *everything))
            again.append(resampled_scores(each, observed, splits, *drawn)[..., 0])
        scores.append(once[0][0].item())
        errors.append(standard_error(again[0][0, 0]))
        differences.append((once[0][1] - once[1][1]).item())
        their_errors.append(standard_error(again[0][1, 0] - again[1][1, 0]))
    # 80 scores tell their standard deviation to ± 8 %.
    assert 0.8 < np.mean(errors) / np.std(scores) < 1.4
    assert 0.8 < np.mean(their_errors) / np.std(differences) < 1.5


def test_a_neuron_of_pure_noise_is_not_predicted_by_resampling() -> None:
    splits, _ = make_splits(100)
    predicted, observed = RNG.standard_normal((2, 100, 20, 1))
    each = [predicted[split.test] for split in splits]
    drawn = draw_stimuli(100), [draw_neurons(["one"] * 20)]
    resamples = resampled_scores(each, observed, splits, *drawn)[0, 0, :, 0]
    assert abs(resamples.mean()) < 2 * standard_error(resamples)


def test_few_neurons_are_tested_exactly() -> None:
    """All 2⁷ flips, counted one by one."""
    d = RNG.standard_normal(7) + 0.6
    t = [
        abs(stats.ttest_1samp(np.array(signs) * d, 0).statistic)
        for signs in product((1, -1), repeat=7)
    ]
    assert paired_test(d[:, None])[0] == pytest.approx(np.mean(np.array(t) >= t[0] - 1e-9))


def test_many_neurons_are_tested_as_scipy_does() -> None:
    d = RNG.standard_normal(40) + 0.25
    expected = stats.permutation_test(
        (d, np.zeros(40)), lambda a, b, axis: (a - b).mean(axis), permutation_type="samples",
        vectorized=True, n_resamples=9999, random_state=0,
    ).pvalue  # fmt: skip
    assert paired_test(d[:, None])[0] == pytest.approx(expected, abs=0.01)


def test_of_many_bins_the_one_that_differs_is_found_and_no_other() -> None:
    d = RNG.standard_normal((40, 20))
    d[:, 7] += 1.2
    d[:, 3] = np.nan
    p = paired_test(d)
    assert np.isnan(p[3])
    assert np.flatnonzero(p < 0.05).tolist() == [7]


@settings(deadline=None, max_examples=60)
@given(
    arrays(
        float,
        st.tuples(st.integers(1, 20), st.integers(1, 4)),
        elements=st.one_of(st.just(np.nan), st.just(0.0), st.floats(-1e3, 1e3, width=16)),
    ),
    st.booleans(),
)
def test_p_is_above_0_and_undefined_only_where_neurons_are_few(d: np.ndarray, twice: bool) -> None:
    """Whatever comes: nothing, equal values, duplicated neurons."""
    if twice:
        d = np.concatenate([d, d])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        p = paired_test(d)
    few = np.isfinite(d).sum(axis=0) < 6
    assert (np.isnan(p) == few).all()
    assert ((p[~few] > 0) & (p[~few] <= 1)).all()


def test_holm_is_multiplication_by_what_is_left() -> None:
    np.testing.assert_allclose(
        holm([0.01, 0.04, np.nan, 0.03, 0.9]), [0.04, 0.09, np.nan, 0.09, 0.9]
    )


def test_what_cannot_be_tested_is_said() -> None:
    def fit(neurons: int, value: float = 0.1) -> tuple[np.ndarray, np.ndarray]:
        return np.full((neurons, 3), value), np.full((10, 3), value)

    two = compare("IT", ("a", "b"), fit(2), fit(2, 0.3))
    assert two.untested == "2 neurons are too few: 6 are needed"
    assert np.isnan(two.p)
    assert two.difference == pytest.approx(-0.2)
    nothing = compare("IT", ("a", "b"), fit(9, np.nan), fit(9))
    assert nothing.untested == "no bin in which both are defined"
    same = compare("IT", ("a", "b"), fit(9), fit(9))
    assert (same.p, same.untested) == (1.0, "")

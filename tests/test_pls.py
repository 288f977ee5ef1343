"""PLS and ridge are scikit-learn's, on features and on what stands for them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge, RidgeCV
from threadpoolctl import threadpool_info

from convrnns_brainscore.fits import pls
from convrnns_brainscore.fits.blas import blas_threads
from convrnns_brainscore.fits.gram import coordinates, gram_matrix, split_gram
from convrnns_brainscore.fits.pls import kernel_pls
from convrnns_brainscore.fits.ridge import PENALTIES, KernelRidge
from convrnns_brainscore.fits.streamed_pls import streamed_pls


def simulated(
    stimuli: int, features: int, neurons: int, noise: float = 2.0, seed: int = 0
) -> tuple[np.ndarray, np.ndarray]:
    """Features and responses that share a latent space, both with noise."""
    rng = np.random.default_rng(seed)
    latent = rng.standard_normal((stimuli, 40))
    x = latent @ rng.standard_normal((40, features)) + rng.standard_normal((stimuli, features)) + 5
    y = latent[:, :10] @ rng.standard_normal((10, neurons))
    return x.astype(np.float32), y + noise * rng.standard_normal(y.shape)


def converged(x: np.ndarray, y: np.ndarray, test: np.ndarray, components: int = 25) -> np.ndarray:
    model = PLSRegression(components, scale=False, tol=1e-14, max_iter=20000)
    return model.fit(x.astype(float), y).predict(test.astype(float)).reshape(len(test), -1)


def off(ours: np.ndarray, theirs: np.ndarray) -> float:
    """The largest difference, in units of a neuron's std."""
    return float((abs(ours - theirs) / theirs.std(axis=0)).max())


SHAPES = [
    pytest.param(150, 900, 20, id="fewer stimuli than features"),
    pytest.param(120, 600, 350, id="more neurons than stimuli"),
    pytest.param(300, 120, 20, id="more stimuli than features"),
    pytest.param(100, 400, 1, id="one neuron"),
]


@pytest.mark.parametrize(("stimuli", "features", "neurons"), SHAPES)
def test_pls_is_what_scikit_learn_converges_to(stimuli, features, neurons) -> None:
    x, y = simulated(stimuli, features, neurons)
    train, test = np.arange(stimuli - 30), np.arange(stimuli - 30, stimuli)
    expected = converged(x[train], y[train], x[test])

    inner, across = split_gram(gram_matrix([x[:, :70], x[:, 70:]]), train, test)
    assert off(kernel_pls(inner, y[train]).predict(across), expected) < 1e-4

    def blocks():
        for start in range(0, stimuli, 41):
            yield slice(start, start + 41), x[start : start + 41].copy

    half = train[::2]
    one, other = streamed_pls(blocks, [(y, train), (y, half)])
    assert off(one.predict_rows(test), expected) < 1e-4
    assert off(one.predict(x[test]), expected) < 1e-4
    assert off(other.predict_rows(test), converged(x[half], y[half], x[test])) < 1e-4


def test_scikit_learns_default_tolerance_stops_early() -> None:
    """The difference that the docs speak of."""
    x, y = simulated(150, 900, 30, noise=20)
    train, test = np.arange(120), np.arange(120, 150)
    default = PLSRegression(25, scale=False).fit(x[train].astype(float), y[train])
    expected = converged(x[train], y[train], x[test])
    assert off(default.predict(x[test].astype(float)), expected) > 1e-3
    inner, across = split_gram(gram_matrix([x]), train, test)
    assert off(kernel_pls(inner, y[train]).predict(across), expected) < 1e-4


def test_an_offset_of_the_features_changes_nothing() -> None:
    x, y = simulated(80, 300, 10)
    moved = x.astype(np.float64) + 1000
    train, test = np.arange(60), np.arange(60, 80)
    results = []
    for features in (x.astype(np.float64), moved):
        inner, across = split_gram(gram_matrix([features]), train, test)
        predicted, penalty = KernelRidge.of(inner, across).predict(y[train])
        results.append((kernel_pls(inner, y[train], 10).predict(across), predicted, penalty))
    for ours, other in zip(*results, strict=True):
        np.testing.assert_allclose(ours, other, rtol=1e-6)


def test_components_end_where_the_features_rank_does() -> None:
    """scikit-learn goes on with rounding noise there."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((60, 7)) @ rng.standard_normal((7, 200))
    y = rng.standard_normal((60, 5))
    inner, across = split_gram(gram_matrix([x]), np.arange(50), np.arange(50, 60))
    fit = kernel_pls(inner, y[:50])
    assert fit.components == 7
    assert off(fit.predict(across), converged(x[:50], y[:50], x[50:], 7)) < 1e-6
    streamed = streamed_pls(
        lambda: iter([(slice(0, 60), x.astype("f4").copy)]), [(y, np.arange(50))]
    )
    assert off(streamed[0].predict_rows(np.arange(50, 60)), fit.predict(across)) < 1e-3


def test_nothing_of_size_neurons_squared_is_formed(monkeypatch) -> None:
    """With more neurons than stimuli, as many columns as stimuli stand for them."""
    x, y = simulated(60, 200, 5000)
    sizes = []
    original = pls.first_eigenvector

    def spy(symmetric):
        sizes.append(len(symmetric))
        return original(symmetric)

    monkeypatch.setattr(pls, "first_eigenvector", spy)
    inner, _ = split_gram(gram_matrix([x]), np.arange(50), np.arange(50, 60))
    assert kernel_pls(inner, y[:50]).loadings.shape == (25, 5000)
    assert max(sizes) <= 50


@pytest.mark.parametrize("neurons", [3, 4000])
def test_streams_with_many_neurons(neurons: int) -> None:
    """Above `MOST_RESPONSES` the singular vectors are found without inner products of neurons."""
    x, y = simulated(90, 60, neurons)
    train, test = np.arange(70), np.arange(70, 90)
    fit = streamed_pls(lambda: iter([(slice(0, 90), x.copy)]), [(y, train)], 5)[0]
    assert off(fit.predict_rows(test), converged(x[train], y[train], x[test], 5)) < 1e-4


@pytest.mark.parametrize("penalty", [None, 0.5, 1e4])
def test_ridge_is_scikit_learns_on_the_features(penalty: float | None) -> None:
    x, y = simulated(120, 700, 15, noise=10)
    x[5] *= 20  # uneven stimuli, where leave-one-out and generalised cross-validation differ
    train, test = np.arange(100), np.arange(100, 120)
    factors = KernelRidge.of(*split_gram(gram_matrix([x]), train, test))
    predicted, chosen = factors.predict(y[train], penalty)
    features = x.astype(float)
    if penalty is None:
        library = RidgeCV(PENALTIES, alpha_per_target=True).fit(features[train], y[train])
        np.testing.assert_array_equal(chosen, library.alpha_)
        assert len(set(chosen)) > 1
    else:
        library = Ridge(penalty).fit(features[train], y[train])
    assert off(predicted, library.predict(features[test])) < 1e-6


@settings(max_examples=50, deadline=None)
@given(
    stimuli=st.integers(8, 40),
    features=st.integers(1, 60),
    scale=st.sampled_from([1e-3, 1.0, 1e4]),
    constant=st.booleans(),
    seed=st.integers(0, 100),
)
def test_ridge_chooses_scikit_learns_penalties(stimuli, features, scale, constant, seed) -> None:
    """With fewer and with more features than stimuli, of any scale, some of them constant.

    Predictions are those of `Ridge` with that penalty. `RidgeCV` loses digits where the penalty is
    small beside the features; where it chooses another, ours leaves out no better.
    """
    rng = np.random.default_rng(seed)
    x = scale * rng.standard_normal((stimuli, features))
    if constant:
        x[:, 0] = 3
    y = x[:, :1] / scale + 0.5 * rng.standard_normal((stimuli, 4))
    train, test = np.arange(stimuli - 3), np.arange(stimuli - 3, stimuli)
    factors = KernelRidge.of(*split_gram(gram_matrix([x]), train, test))
    predicted, chosen = factors.predict(y[train])
    library = RidgeCV(PENALTIES, alpha_per_target=True).fit(x[train], y[train])

    def left_out(penalty: float, neuron: int) -> float:
        errors = []
        for each in train:
            others = train[train != each]
            fitted = Ridge(penalty, solver="svd").fit(x[others], y[others, neuron])
            errors.append((fitted.predict(x[[each]])[0] - y[each, neuron]) ** 2)
        return float(np.mean(errors))

    for neuron, (ours, other) in enumerate(zip(chosen, library.alpha_, strict=True)):
        expected = Ridge(ours, solver="svd").fit(x[train], y[train, neuron]).predict(x[test])
        np.testing.assert_allclose(predicted[:, neuron], expected, atol=1e-6)
        if ours != other:
            assert left_out(ours, neuron) <= left_out(other, neuron) * (1 + 1e-5)


@settings(max_examples=25, deadline=None)
@given(
    stimuli=st.integers(8, 40),
    features=st.integers(2, 60),
    blocks=st.integers(1, 5),
    seed=st.integers(0, 100),
)
def test_coordinates_have_the_features_inner_products(stimuli, features, blocks, seed) -> None:
    x = np.random.default_rng(seed).standard_normal((stimuli, features)) + 3
    gram = gram_matrix(np.array_split(x, min(blocks, features), axis=1))
    centred = x - x.mean(axis=0)
    np.testing.assert_allclose(gram, centred @ centred.T, atol=1e-10)
    rows = coordinates(gram)
    assert rows.shape[1] <= min(stimuli - 1, features)
    np.testing.assert_allclose(rows @ rows.T, gram, atol=1e-9)


def test_products_use_as_many_threads_as_they_are_given() -> None:
    def threads() -> set[int]:
        return {each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"}

    before = threads()
    with blas_threads(1):
        assert threads() == {1}
    assert threads() == before

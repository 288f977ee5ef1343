"""Brain-Score's metrics with our fits inside score the same, on the same splits."""

from __future__ import annotations

import numpy as np
import pytest
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision import load_metric
from sklearn.cross_decomposition import PLSRegression

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.brainscore.exact_metric import ExactMetric
from convrnns_brainscore.fits.correlation import nanmean, nanmedian
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import Method, held_out, predictor
from convrnns_brainscore.fits.splits import make_splits

STIMULI, FEATURES, NEURONS = 120, 300, 12
SLOW = ["ridge", "spantime_ridge"]


def assembly(values: np.ndarray, kind: str) -> NeuroidAssembly:
    """Features or responses [stimulus, neuroid, bin] as Brain-Score has them."""
    order = np.arange(STIMULI) if kind == "responses" else np.arange(STIMULI)[::-1]
    bins = values.shape[2]
    coords = {
        "stimulus_id": ("presentation", [f"image{index:03d}" for index in order]),
        "object_name": ("presentation", [f"object{index % 4}" for index in order]),
        "neuroid_id": ("neuroid", np.arange(values.shape[1])),
        "region": ("neuroid", ["IT"] * values.shape[1]),
        "time_bin_start": ("time_bin", 70 + 10 * np.arange(bins)),
        "time_bin_end": ("time_bin", 80 + 10 * np.arange(bins)),
    }
    made = NeuroidAssembly(
        values[order], coords=coords, dims=["presentation", "neuroid", "time_bin"]
    )
    return made.squeeze("time_bin") if bins == 1 else made


def simulated(bins: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    latent = rng.standard_normal((STIMULI, 40, bins))
    features = np.einsum("slb,lf->sfb", latent, rng.standard_normal((40, FEATURES)))
    features += rng.standard_normal(features.shape) + 3
    responses = np.einsum("slb,ln->snb", latent[:, :8], rng.standard_normal((8, NEURONS)))
    return features.astype(np.float32), responses + 2 * rng.standard_normal(responses.shape)


def converged(metric):
    """With scikit-learn's PLS run until it has converged."""
    regression = metric.regression
    while not isinstance(getattr(regression, "_regression", None), PLSRegression):
        if not hasattr(regression, "_regression"):
            return metric
        regression = regression._regression
    regression._regression.set_params(tol=1e-14, max_iter=20000)
    return metric


@pytest.mark.parametrize(
    "name",
    [
        "pls",
        pytest.param("spantime_pls", marks=pytest.mark.ci),
        *(pytest.param(name, marks=pytest.mark.slow) for name in SLOW),
    ],
)
def test_scores_are_brain_scores(name: str) -> None:
    """The stimuli may come in another order, and the metric's own number is within 1e-3."""
    features, responses = simulated(3 if name.startswith("spantime") else 1)
    source, target = assembly(features, "features"), assembly(responses, "responses")
    exact = ExactMetric(load_metric(name))(source, target)
    theirs = load_metric(name)(source, target)
    np.testing.assert_allclose(exact.values, theirs.values, atol=1e-3)
    if name != "spantime_pls":  # whose processes take long
        strict = converged(load_metric(name))(source, target)
        # scikit-learn's Ridge works in the features' single precision.
        np.testing.assert_allclose(exact.values, strict.values, atol=2e-4)


@pytest.mark.parametrize("name", ["pls", pytest.param("ridge", marks=pytest.mark.slow)])
def test_fits_score_as_brain_score_does(name: str) -> None:
    """Median over neurons, mean over the ten splits: `convrnns fit` on the same splits."""
    features, responses = simulated(1)
    theirs = load_metric(name)(assembly(features, "features"), assembly(responses, "responses"))
    method = Method("pls") if name == "pls" else Method("ridge", penalty=1.0)
    splits, _ = make_splits(STIMULI, 10, [f"object{index % 4}" for index in range(STIMULI)])
    result = held_out(
        predictor(method, gram_matrix([features[..., 0]])), responses, [], splits, method.needed
    )
    np.testing.assert_allclose(nanmean(nanmedian(result.r, axis=1)), float(theirs), atol=1e-3)


def test_other_metrics_are_refused() -> None:
    with pytest.raises(ConvRNNError, match="`solver='brainscore'`"):
        ExactMetric(load_metric("neuron_to_neuron"))
    with pytest.raises(ConvRNNError, match="`solver='brainscore'`"):
        ExactMetric(load_metric("reverse_pls"))

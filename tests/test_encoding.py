"""Mappings that are kept with fits: predictions of new images, and gradients through them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.fits.correlation import pearson
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.gram import gram_of
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.mapping import fit_to_all
from convrnns_brainscore.fits.prepare import Prepared, prepare
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.fits.scratch import layer_bins
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.recordings import Recording
from convrnns_brainscore.report.fit_figures import write_figure

BINS = [(50, 70), (70, 90)]
LAYER = "conv4"


@pytest.fixture(scope="module")
def prepared(network: ConvRNN) -> Prepared:
    """40 photographs: five neurons that read conv4 out linearly, one of which misses stimuli."""
    stimuli = load_objects92().stimuli[:40].assign(degrees=8.0)
    images = load_images(list(stimuli["filename"]), list(stimuli["degrees"]))
    seen = network.unroll(images, LAYER)[LAYER]
    first = network.first_reported_step(LAYER)
    rng = np.random.default_rng(0)
    flat = seen.reshape(*seen.shape[:2], -1)
    weights = rng.standard_normal((flat.shape[2], 5))
    read = [flat[:, [a // 10 - first, b // 10 - 1 - first]].mean(axis=1) @ weights for a, b in BINS]
    responses = np.stack(read, axis=-1)
    responses /= responses.std(axis=0)
    responses[:4, 4] = np.nan
    values = np.stack([responses, responses + 0.1 * rng.standard_normal(responses.shape)], axis=1)
    recording = Recording.from_arrays(
        values, stimuli["stimulus_id"], "PFC", BINS, axes="stimulus,repetition,neuroid,time_bin"
    )
    return prepare(recording, stimuli, splits=3, latencies=[0])


@pytest.fixture(scope="module")
def results(network: ConvRNN, prepared: Prepared, tmp_path_factory) -> Results:
    folder = tmp_path_factory.mktemp("fits")
    method, models = Method("ridge", penalty=1.0), {"whole": lambda: network}
    return fit_recording(models, prepared, folder, method=method, layers=[LAYER])


@pytest.mark.parametrize("method", [Method("pls", components=6), Method("ridge", penalty=10.0)])
def test_coefficients_predict_as_scikit_learn_does(method: Method) -> None:
    rng = np.random.default_rng(0)
    features, new = rng.standard_normal((30, 80)), rng.standard_normal((7, 80))
    responses = features @ rng.standard_normal((80, 4)) + rng.standard_normal((30, 4))
    responses[5:9, 3] = np.nan
    found = fit_to_all(method, gram_of(features), responses)
    mean = features.mean(axis=0)
    predicted = (new - mean) @ (features.T @ found.stimuli) + found.intercept
    if method.name == "pls":
        whole = PLSRegression(6, scale=False, tol=1e-14, max_iter=20000)
        apart = PLSRegression(6, scale=False, tol=1e-14, max_iter=20000)
    else:
        whole, apart = Ridge(10.0), Ridge(10.0)
    theirs = whole.fit(features, responses[:, :3]).predict(new)
    np.testing.assert_allclose(predicted[:, :3], theirs, atol=1e-6)
    kept = np.isfinite(responses[:, 3])
    theirs = apart.fit(features[kept], responses[kept, 3:]).predict(new).reshape(-1)
    np.testing.assert_allclose(predicted[:, 3], theirs, atol=1e-6)


def test_new_images_are_predicted(network: ConvRNN, results: Results) -> None:
    """The images of the fit are predicted as they were recorded; others are predicted too."""
    stimuli = load_objects92().stimuli[:40].assign(degrees=8.0)
    predicted = results.predict(network, stimuli, "PFC")
    assert predicted.dims == ("image", "neuroid", "time_bin")
    assert predicted["stimulus_id"].values.tolist() == stimuli["stimulus_id"].tolist()
    observed = results.held_out("whole", LAYER, "PFC")["observed"]
    order = observed["stimulus_id"].values.tolist()
    rows = [order.index(each) for each in stimuli["stimulus_id"]]
    for each in range(len(BINS)):
        known = np.isfinite(observed.values[rows, 0, each])
        r = pearson(predicted.values[known, :4, each], observed.values[rows][known, :4, each])
        assert (r > 0.9).all()
    others = load_objects92().stimuli[40:43].assign(degrees=8.0)
    assert np.isfinite(results.predict(network, others, "PFC").values).all()


def test_weights_shared_over_time_predict_as_scikit_learn_does(
    network: ConvRNN, prepared: Prepared, tmp_path: Path
) -> None:
    """Each stimulus in each bin is a row of one regression."""
    models, method = {"whole": lambda: network}, Method("ridge", penalty=1.0)
    shared = fit_recording(models, prepared, tmp_path, method=method, layers=[LAYER], time="shared")

    def rows(stimuli: pd.DataFrame) -> np.ndarray:
        seen = network.unroll(load_images(list(stimuli["filename"])), LAYER)[LAYER]
        flat = seen.reshape(*seen.shape[:2], -1).astype(float)
        first = network.first_reported_step(LAYER)
        return np.concatenate([flat[:, a // 10 - first : b // 10 - first].mean(1) for a, b in BINS])

    observed = shared.root["observed"].values[:, :4]  # the fifth neuron misses stimuli
    responses = np.concatenate([observed[..., index] for index in range(len(BINS))])
    theirs = Ridge(1.0).fit(rows(prepared.stimuli), responses)
    others = load_objects92().stimuli[40:43].assign(degrees=8.0)
    expected = np.stack(np.split(theirs.predict(rows(others)), len(BINS)), axis=2)
    np.testing.assert_allclose(
        shared.predict(network, others, "PFC").values[:, :4], expected, atol=1e-3
    )
    one = shared.predict(network, others, "PFC", time_bins=[1])
    np.testing.assert_allclose(one.values[:, :4, 0], expected[..., 1], atol=1e-3)


def test_held_out_predictions_give_the_correlations_that_are_reported(results: Results) -> None:
    fit, root = results.fits["whole", LAYER], results.root
    test, predicted = root["test"].values == 1, fit["predicted"].values
    observed = root["observed"].values
    for split, tested in enumerate(test):
        r = pearson(predicted[split, : tested.sum(), :4, 0], observed[tested][:, :4, 0])
        np.testing.assert_allclose(r, fit["r"].values[split, :4, 0], atol=1e-5)


def test_gradients_flow_to_the_image(results: Results, prepared: Prepared) -> None:
    """A step along the gradient of a neuron raises its predicted response."""
    network = load_network("timedecay_shallow", weights="random", seed=0, backend="torch")
    model = results.encoding_model(network, "PFC", time_bins=[1])
    image = load_images([prepared.stimuli["filename"].iloc[0]], [8.0])
    given = torch.tensor(image, requires_grad=True)
    before = model(given)
    np.testing.assert_allclose(
        before.detach().numpy().transpose(0, 2, 1), model.predict(image).values, atol=1e-4
    )
    before[0, 0, 2].backward()
    step = given.grad / given.grad.norm()
    assert model(given.detach() + 0.5 * step)[0, 0, 2] > before[0, 0, 2]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"region": "IT"}, "unknown region of the results 'IT'"),
        ({"layer": "conv9"}, "unknown fitted layer of PFC 'conv9'"),
        ({"model": "other"}, "unknown model in the results 'other'"),
    ],
)
def test_what_was_not_fitted_is_refused(
    change: dict[str, str], said: str, network: ConvRNN, results: Results
) -> None:
    options = {"region": "PFC", **change}
    with pytest.raises(ConvRNNError, match=said):
        results.encoding_model(network, **options)


def test_other_weights_and_other_images_are_refused(network: ConvRNN, results: Results) -> None:
    other = load_network("timedecay_shallow", weights="random", seed=1)
    with pytest.raises(ConvRNNError, match="load the network that was fitted"):
        results.predict(other, np.zeros((1, 224, 224, 3), np.float32), "PFC")
    stimuli = load_objects92().stimuli[:40].assign(degrees=8.0)
    swapped = stimuli.assign(filename=stimuli["filename"].to_numpy()[::-1])
    with pytest.raises(ConvRNNError, match="not those that were fitted"):
        results.encoding_model(network, "PFC", stimuli=swapped)


def test_images_have_the_width_of_those_that_were_fitted(
    network: ConvRNN, results: Results
) -> None:
    stimuli = load_objects92().stimuli[:40]
    with pytest.raises(ConvRNNError, match=r"4 degrees wide .* and 8 by the recording"):
        results.encoding_model(network, "PFC", layer=LAYER, stimuli=stimuli.assign(degrees=4.0))
    model = replace(results.encoding_model(network, "PFC", layer=LAYER), degrees=4.0)
    files = stimuli["filename"].tolist()[:2]
    stated = stimuli[:2].assign(degrees=4.0)
    np.testing.assert_array_equal(model.predict(files).values, model.predict(stated).values)


def test_without_predictions_there_is_no_mapping(
    network: ConvRNN, prepared: Prepared, results: Results, tmp_path: Path
) -> None:
    method, models = Method("ridge", penalty=1.0), {"whole": lambda: network}
    options = {"method": method, "layers": [LAYER], "keep_predictions": False}
    bare = fit_recording(models, prepared, tmp_path, **options)
    with pytest.raises(ConvRNNError, match="keep_predictions=True"):
        bare.encoding_model(network, "PFC")
    # The rest of the results is the same with and without them.
    for name, values in bare.fits["whole", LAYER].data_vars.items():
        xr.testing.assert_equal(values, results.fits["whole", LAYER][name])


def test_predicted_and_observed_responses_are_drawn(results: Results, tmp_path: Path) -> None:
    write_figure(results, "predicted", tmp_path / "best.svg")
    assert "best predicted" in (tmp_path / "best.svg").read_text()
    write_figure(results, "predicted", tmp_path / "one.svg", neuron="3")
    assert "neuron 3" in (tmp_path / "one.svg").read_text()
    with pytest.raises(ConvRNNError, match="unknown neuron of PFC '77'"):
        write_figure(results, "predicted", tmp_path / "none.svg", neuron="77")
    with pytest.raises(ConvRNNError, match="applies only to"):
        write_figure(results, "layers", tmp_path / "none.svg", neuron="3")
    assert not (tmp_path / "none.svg").exists()


def test_results_show_their_best_layers_in_a_notebook(results: Results) -> None:
    html = results._repr_html_()
    assert "<td>PFC</td>" in html
    assert f"<td>{LAYER}</td>" in html
    assert len(results.table()) == 2 * len(BINS)  # the network, and the image itself


def test_feed_forward_layers_are_read_when_they_see_the_image(network: ConvRNN) -> None:
    """Not at their first step, where a sequence begins with gray."""
    late = Presentation.of_frames([("gray", 100), ("image", 100)])
    bins = layer_bins(network.model, "conv1", [(120, 170)], late, centred=True)
    ((step, _),) = bins.averages[0]
    assert late.image_is_on(step - network.first_step("conv1"))
    stream = Presentation.stream(20)
    bins = layer_bins(network.model, "conv1", [(50, 70), (120, 170)], stream, centred=True)
    assert len(bins.averages) == 2

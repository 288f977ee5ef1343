"""The network as users hold it."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.zoo import MODELS


def test_outputs_start_one_step_after_the_image_reaches_the_layer(
    network: ConvRNN, noise: np.ndarray
) -> None:
    outputs = network.unroll(noise, ["conv1", "conv5", "imnetds"], Presentation.neural())
    assert {layer: output.shape for layer, output in outputs.items()} == {
        "conv1": (3, 25, 56, 56, 64),
        "conv5": (3, 21, 4, 4, 512),
        "imnetds": (3, 20, 1000),
    }
    assert all(output.dtype == np.float32 for output in outputs.values())


def test_a_layer_depends_on_the_image_from_its_first_step_on(
    network: ConvRNN, noise: np.ndarray
) -> None:
    outputs = network.unroll(noise, network.layers, Presentation.neural(), all_times=True)
    for layer, output in outputs.items():
        differs = [step for step in range(26) if np.ptp(output[:, step], axis=0).max() > 0]
        assert differs[0] == network.first_step(layer) == network.layers.index(layer)


def test_first_steps_of_the_intermediate_networks() -> None:
    deep = load_network("rgc_intermediate", weights="random")
    assert deep.first_step("conv10") == 9
    assert deep.first_reported_step("conv10") == 10
    assert deep.first_step("imnetds") == 10


def test_asking_for_less_changes_no_number(network: ConvRNN, noise: np.ndarray) -> None:
    """What else is computed beside a layer and step has no influence on it."""
    everything = network.unroll(noise, network.layers, Presentation.neural(), all_times=True)
    alone = network.unroll(noise, ["conv4"], Presentation.custom(9, image_off=9))["conv4"]
    np.testing.assert_array_equal(alone, everything["conv4"][:, 4:9])


def test_results_hardly_depend_on_the_batch(network: ConvRNN, noise: np.ndarray) -> None:
    together = network.unroll(noise, ["conv5"], Presentation.neural())["conv5"]
    alone = [network.unroll(noise[i : i + 1], ["conv5"], Presentation.neural()) for i in range(3)]
    difference = np.abs(np.concatenate([each["conv5"] for each in alone]) - together)
    assert (difference.max() / together.std()) < 5e-5
    again = network.unroll(noise, ["conv5"], Presentation.neural())["conv5"]
    assert again.tobytes() == together.tobytes()


def test_logits_are_the_readout_at_the_last_step(network: ConvRNN, noise: np.ndarray) -> None:
    readout = network.unroll(noise, ["imnetds"])["imnetds"]
    np.testing.assert_array_equal(network.logits(noise), readout[:, -1])
    assert network.logits(noise, Presentation.constant(7)).shape == (3, 1000)


# The networks that differ in more than their decoder.
DISTINCT = {(model.cell, model.depth): model.name for model in reversed(MODELS.values())}.values()
QUICK = ["simplernn_shallow", "ugrnn_shallow", "rgc_shallow"]


@pytest.mark.parametrize(
    "name",
    [name if name in QUICK else pytest.param(name, marks=pytest.mark.ci) for name in DISTINCT],
)
def test_random_weights_neither_die_nor_blow_up(name: str, noise: np.ndarray) -> None:
    """Over 20 steps of a constant image, and images stay distinguishable in every layer."""
    net = load_network(name, weights="random", seed=3, backend="torch")  # which traces no graph
    outputs = net.unroll(noise[:2], net.layers, Presentation.constant(20))
    for layer, output in outputs.items():
        spread = output.reshape(2, output.shape[1], -1).std(axis=-1)
        between = np.abs(output[0] - output[1]).reshape(output.shape[1], -1).mean(axis=-1)
        assert 1e-3 < spread.min() <= spread.max() < 100, layer
        assert (between > 1e-3 * spread.mean(axis=0)).all(), layer


def test_random_weights_follow_from_their_seed(network: ConvRNN) -> None:
    same = load_network("timedecay_shallow", weights="random", seed=0)
    other = load_network("timedecay_shallow", weights="random", seed=1)
    assert same.weights.sha256 == network.weights.sha256 != other.weights.sha256
    assert "untrained, seed 1" in repr(other)


@pytest.mark.ci
def test_two_processes_compute_the_same_bytes() -> None:
    code = """
import hashlib, numpy as np
from convrnns_brainscore import Presentation, load_network
net = load_network("simplernn_shallow", weights="random", seed=1)
images = np.linspace(-1, 1, 2 * 224 * 224 * 3, dtype="f").reshape(2, 224, 224, 3)
outputs = net.unroll(images, ["conv5"], Presentation.custom(times=12, image_off=6))
print(hashlib.sha256(outputs["conv5"].tobytes()).hexdigest())
"""
    start = [sys.executable, "-c", code]
    runs = [subprocess.Popen(start, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    first, second = (run.communicate(timeout=300)[0].strip() for run in runs)
    assert len(first) == 64
    assert first == second


def test_untrained_is_never_silent() -> None:
    with pytest.raises(ConvRNNError, match=r"no weights for rgc_shallow.*weights='random'"):
        load_network("rgc_shallow")
    with pytest.raises(ConvRNNError, match="expected 'random' or a mapping"):
        load_network("rgc_shallow", weights="imagenet")
    with pytest.raises(ConvRNNError, match="seed=-1"):
        load_network("rgc_shallow", weights="random", seed=-1)
    with pytest.raises(ConvRNNError, match="`seed=5` applies only to `weights='random'`"):
        load_network("rgc_shallow", seed=5)
    with pytest.raises(ConvRNNError, match="`checkpoint=''`"):
        load_network("rgc_shallow", checkpoint="")


def test_weights_must_be_the_models(network: ConvRNN) -> None:
    values = network.weights.values
    kernel = "tnn_model/conv2/pre_0/weights_basenet"
    assert load_network("timedecay_shallow", weights=values).weights.seed is None
    with pytest.raises(ConvRNNError, match=rf"variable {kernel} \[3, 3, 64, 128\] is missing"):
        load_network("timedecay_shallow", weights={k: v for k, v in values.items() if k != kernel})
    with pytest.raises(ConvRNNError, match=rf"{kernel} has shape \[3, 3, 128, 64\], expected"):
        load_network("timedecay_shallow", weights={**values, kernel: values[kernel].swapaxes(2, 3)})
    with pytest.raises(ConvRNNError, match=rf"variable {kernel} contains NaN"):
        load_network("timedecay_shallow", weights={**values, kernel: values[kernel] * np.nan})
    for nothing in (None, "text", [1, [2]], 1j):
        with pytest.raises(ConvRNNError, match=rf"variable {kernel} is not an array of real"):
            load_network("timedecay_shallow", weights={**values, kernel: nothing})
    with pytest.raises(ConvRNNError, match="variable extra is unknown to this model"):
        load_network("timedecay_shallow", weights={**values, "extra": np.zeros(1)})


def test_mistakes_are_named(network: ConvRNN, noise: np.ndarray) -> None:
    neural = Presentation.neural()
    with pytest.raises(ConvRNNError, match=r"'conv6'.*which have five convolutional layers"):
        network.unroll(noise, ["conv6"], neural)
    with pytest.raises(ConvRNNError, match=r"unknown layer .*Did you mean 'imnetds'"):
        network.unroll(noise, ["imnets"], neural)
    for nothing in ([], None):
        with pytest.raises(ConvRNNError, match="no layers asked for"):
            network.unroll(noise, nothing, neural)
    for name in ("neural", 8, 0):
        with pytest.raises(ConvRNNError, match="expected a Presentation"):
            network.unroll(noise, ["conv5"], name)
    for name in (["rgc_shallow"], None):
        with pytest.raises(ConvRNNError, match="unknown model"):
            load_network(name, weights="random")
    with pytest.raises(ConvRNNError, match=r"does not reach conv5 .* at least 6 steps"):
        network.unroll(noise, ["conv5"], Presentation.constant(5))
    with pytest.raises(ConvRNNError, match=r"decoder .* reads nothing .* at least 6 steps"):
        network.logits(noise, Presentation.constant(5))
    with pytest.raises(ConvRNNError, match="at least 12 steps"):
        load_network("rgc_intermediate_dthresh", weights="random").logits(
            noise, Presentation.constant(11)
        )

"""What only a running model can tell: lesions, and gradients with respect to the image."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from convrnns_brainscore import ConvRNNError, Lesion, Presentation, load_network
from convrnns_brainscore.convrnn import ConvRNN

SEVEN = Presentation.constant(7)


def scaled(network: ConvRNN, factors: dict[str, float]) -> dict[str, np.ndarray]:
    """The network's weights, those whose names contain a key multiplied by its factor."""
    values = dict(network.weights.values)
    for name in values:
        for part, factor in factors.items():
            if part in name:
                values[name] = values[name] * np.float32(factor)
    return values


@pytest.fixture(scope="module")
def recurrent() -> ConvRNN:
    return load_network("simplernn_shallow", weights="random", seed=0)


@pytest.mark.ci
def test_without_feedback_is_as_with_feedback_weights_of_zero(noise: np.ndarray) -> None:
    intact = load_network("rgc_intermediate", weights="random", seed=0)
    presentation = Presentation.constant(13)
    lesioned = load_network("rgc_intermediate", weights="random", seed=0, lesion="feedback")
    silent = load_network("rgc_intermediate", weights=scaled(intact, {"feedback_to_out": 0}))
    outputs, expected, whole = (
        net.unroll(noise[:1], ["conv5", "conv10"], presentation)
        for net in (lesioned, silent, intact)
    )
    for layer in outputs:
        np.testing.assert_allclose(outputs[layer], expected[layer], atol=1e-6)
    assert not np.allclose(outputs["conv5"][:, -1], whole["conv5"][:, -1], atol=1e-4)


def test_without_recurrence_is_as_with_recurrent_weights_of_zero(
    recurrent: ConvRNN, noise: np.ndarray
) -> None:
    lesioned = load_network("simplernn_shallow", weights="random", seed=0, lesion="recurrence")
    silent = load_network("simplernn_shallow", weights=scaled(recurrent, {"/s/weights": 0}))
    outputs, expected = (net.unroll(noise, ["conv5"], SEVEN)["conv5"] for net in (lesioned, silent))
    np.testing.assert_allclose(outputs, expected, atol=1e-6)


def test_a_lesion_of_one_layer_from_a_step_on_changes_what_follows_alone(
    recurrent: ConvRNN, noise: np.ndarray
) -> None:
    lesion = Lesion("recurrence", ["conv4"], first_step=6)
    lesioned = load_network("simplernn_shallow", weights="random", seed=0, lesion=lesion)
    layers = ["conv3", "conv4", "conv5"]
    outputs, whole = (net.unroll(noise, layers, Presentation.constant(9), all_times=True)
                      for net in (lesioned, recurrent))  # fmt: skip
    changed = {
        layer: [t for t in range(9) if not np.array_equal(outputs[layer][:, t], whole[layer][:, t])]
        for layer in layers
    }
    assert changed == {"conv3": [], "conv4": [6, 7, 8], "conv5": [7, 8]}


def test_feedback_may_go_while_the_network_runs(noise: np.ndarray) -> None:
    lesion = Lesion("feedback", ["conv9"], first_step=11)
    presentation = Presentation.constant(14)
    outputs, whole = (
        load_network("rgc_intermediate", weights="random", lesion=each).unroll(
            noise[:1], ["conv9", "conv10"], presentation, all_times=True
        )
        for each in (lesion, None)
    )
    changed = {
        layer: [t for t in range(14) if not np.array_equal(outputs[layer][:, t], output[:, t])]
        for layer, output in whole.items()
    }
    assert changed == {"conv9": [11, 12, 13], "conv10": [12, 13]}


def test_a_lesion_that_never_begins_is_refused(noise: np.ndarray) -> None:
    lesion = Lesion("recurrence", first_step=99)
    never = load_network("simplernn_shallow", weights="random", seed=0, lesion=lesion)
    for compute in (lambda: never.unroll(noise, ["conv5"], SEVEN), lambda: never.logits(noise)):
        with pytest.raises(ConvRNNError, match="begins at step 99, after the"):
            compute()


def test_before_its_first_step_a_lesion_is_exactly_nothing(
    recurrent: ConvRNN, noise: np.ndarray
) -> None:
    lesion = Lesion("recurrence", first_step=6)
    late = load_network("simplernn_shallow", weights="random", seed=0, lesion=lesion)
    outputs, whole = (
        net.unroll(noise, ["conv5"], SEVEN, all_times=True)["conv5"] for net in (late, recurrent)
    )
    np.testing.assert_array_equal(outputs[:, :6], whole[:, :6])
    assert (outputs[:, 6] != whole[:, 6]).any()


def test_every_label_says_the_lesion() -> None:
    lesion = Lesion("feedback", ["conv9", "conv5"], first_step=12)
    net = load_network("rgc_intermediate", weights="random", lesion=lesion)
    assert "untrained, seed 0, without feedback of conv5, conv9 from step 12" in repr(net)
    assert net.describe()["lesion"] == "feedback of conv5, conv9 from step 12"
    assert load_network("rgc_shallow", weights="random").describe()["lesion"] == "none"


@pytest.mark.parametrize(
    ("name", "lesion", "message"),
    [
        ("rgc_shallow", "feedback", "rgc_shallow has no long-range feedback"),
        ("rgc_shallow", "feedbak", "Did you mean 'feedback'"),
        ("rgc_shallow", 3, "expected one of feedback, recurrence, or a Lesion"),
        ("rgc_shallow", Lesion("recurrence", ["conv1"]), "unknown layer with recurrence"),
        ("rgc_intermediate", Lesion("feedback", ["conv8"]), "Known: conv5, conv6, conv7, conv9"),
        ("rgc_shallow", Lesion("recurrence", 5), "of `layers=5`: expected names"),
        ("rgc_shallow", Lesion("recurrence", []), "names no layers"),
        ("rgc_shallow", Lesion("recurrence", first_step=-1), "`first_step=-1`"),
    ],
)
def test_mistakes_are_named(name: str, lesion: object, message: str) -> None:
    with pytest.raises(ConvRNNError, match=message):
        load_network(name, weights="random", lesion=lesion)


@pytest.mark.parametrize(("layer", "step"), [("conv1", 0), ("conv4", 5), ("conv5", 6)])
@pytest.mark.parametrize("channel", [3, 13])
def test_gradients_equal_finite_differences(
    recurrent: ConvRNN, noise: np.ndarray, layer: str, step: int, channel: int
) -> None:
    """Of a unit of a layer at a step: uphill by a little, it rises by that times the slope."""

    def response(image: tf.Tensor) -> tf.Tensor:
        return recurrent(image, layer, SEVEN, all_times=True)[layer][0, step, 2, 1, channel]

    image = tf.Variable(noise[:1] * 0.5)
    with tf.GradientTape() as tape:
        value = response(image)
    gradient = tape.gradient(value, image).numpy()
    slope = float(np.sqrt(np.sum(gradient**2, dtype=float)))
    assert slope > 1e-3
    length = 3e-3 / slope
    uphill = np.float32(length / slope) * gradient
    ahead, behind = (float(response(image + sign * uphill)) for sign in (1, -1))
    assert (ahead - behind) / (2 * length) == pytest.approx(slope, rel=0.01)


def test_calling_gives_what_unroll_gives(recurrent: ConvRNN, noise: np.ndarray) -> None:
    outputs = recurrent(noise, presentation=SEVEN)
    assert list(outputs) == recurrent.layers
    for layer, expected in recurrent.unroll(noise, recurrent.layers, SEVEN).items():
        np.testing.assert_array_equal(outputs[layer], expected)
    before = recurrent(noise, ["conv5"], SEVEN, all_times=True)["conv5"]
    assert before.shape == (3, 7, 4, 4, 256)  # also of the steps that are the same for every image
    with pytest.raises(ConvRNNError, match=r"shape \[3, 3, 224, 224\]"):
        recurrent(noise.transpose(0, 3, 1, 2))


def test_calling_is_differentiable_with_torch() -> None:
    import torch

    net = load_network("simplernn_shallow", weights="random", backend="torch")
    image = torch.zeros((1, 224, 224, 3), requires_grad=True)
    output = net(image, "conv5", Presentation.constant(7))["conv5"]
    output[0, -1, 0, 0, 3].backward()
    assert image.grad.abs().sum() > 0
    # The process' settings are as they were.
    assert not torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32

"""Cells against their equations, the unrolling plan, and what is computed once."""

from __future__ import annotations

import weakref
from functools import partial

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from convrnns_brainscore import list_models
from convrnns_brainscore.networks import cells, decoders
from convrnns_brainscore.networks.build import build
from convrnns_brainscore.networks.layers import bilinear, resized
from convrnns_brainscore.networks.operations import conv as conv_same
from convrnns_brainscore.networks.unroll import Network
from convrnns_brainscore.zoo import MODELS

SHAPE_ONLY = {
    name: Network(build(model, lambda _, shape: np.broadcast_to(np.float32(0), shape)), np.zeros)
    for name, model in MODELS.items()
    if name in ("timedecay_shallow", "lstm_shallow", "ugrnn_intermediate", "rgc_intermediate")
}


class Drawn:
    """Draws each variable once and keeps it, for a cell's equation to be written out with."""

    def __init__(self) -> None:
        self.random = np.random.default_rng(0)
        self.values: dict[str, np.ndarray] = {}

    def __call__(self, name: str, shape: tuple[int, ...]) -> np.ndarray:
        self.values[name] = self.random.normal(0, 0.3, shape).astype(np.float32)
        return self.values[name]


def sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def conv(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    return np.asarray(conv_same(x, kernel))


def test_ugrnn_is_its_equation() -> None:
    drawn = Drawn()
    cell = cells.UGRNN(drawn, cells.Sizes(size=5, depth=3, x_depth=4, r_depth=2))
    x, r, h = (drawn.random.normal(size=(2, 5, 5, depth)).astype("f") for depth in (4, 2, 3))
    output, (state,) = cell(cell.drive(x, r), (h,), None)
    w, b = drawn.values["ConvUGRNNCell/weights"], drawn.values["ConvUGRNNCell/bias"]
    g, c = np.split(conv(np.concatenate([x, h], -1), w) + b, 2, axis=-1)
    expected = sigmoid(g + 1) * h + (1 - sigmoid(g + 1)) * np.tanh(c)
    np.testing.assert_allclose(output, expected, atol=1e-5)
    np.testing.assert_array_equal(output, state)


def test_gru_is_its_equation() -> None:
    drawn = Drawn()
    cell = cells.GRU(drawn, cells.Sizes(size=5, depth=3, x_depth=4, r_depth=2))
    x, r, h = (drawn.random.normal(size=(2, 5, 5, depth)).astype("f") for depth in (4, 2, 3))
    output, _ = cell(cell.drive(x, r), (h,), None)
    v = {name.removeprefix("ConvGRUCell/"): value for name, value in drawn.values.items()}
    gates = conv(np.concatenate([x, h], -1), v["gates/weights"]) + v["gates/bias"]
    reset, update = np.split(gates, 2, axis=-1)
    reset, update = sigmoid(reset + 1), sigmoid(update)
    candidate = conv(np.concatenate([x, reset * h], -1), v["candidates/weights"])
    expected = update * h + (1 - update) * np.tanh(candidate + v["candidates/bias"])
    np.testing.assert_allclose(output, expected, atol=1e-5)


def test_memory_without_decay_remembers_nothing() -> None:
    def forgetting(name: str, shape: tuple[int, ...]) -> np.ndarray:
        return np.zeros(shape, np.float32)

    cell = cells.Memory(forgetting, cells.Sizes(5, 3, 3, 3))
    assert cell.state_shapes() == ()
    x = np.ones((1, 5, 5, 3), np.float32)
    output, state = cell(cell.drive(x, x), (), None)
    assert output is x
    assert state == ()


@pytest.mark.parametrize(("small", "large"), [(4, 7), (4, 14), (7, 14), (7, 28), (14, 28)])
def test_feedback_is_resized_as_tensorflow_1_did(small: int, large: int) -> None:
    import tensorflow as tf

    x = np.random.default_rng(0).normal(size=(2, small, small, 3)).astype("f")
    reference = tf.compat.v1.image.resize_bilinear(x, (large, large), align_corners=True)
    np.testing.assert_allclose(resized(x, bilinear(small, large)), reference, atol=1e-6)


@given(
    name=st.sampled_from(sorted(SHAPE_ONLY)),
    asked=st.dictionaries(st.integers(0, 5), st.sets(st.integers(0, 25), min_size=1), min_size=1),
)
@settings(deadline=None)
def test_the_plan_runs_all_that_is_needed_and_nothing_after_it(
    name: str, asked: dict[int, set[int]]
) -> None:
    network = SHAPE_ONLY[name]
    names = list(network.layers)
    wanted = {names[index]: steps for index, steps in asked.items()}
    plan = network.plan(wanted)
    for layer, steps in wanted.items():
        assert steps <= plan[layer]
    for layer, steps in plan.items():
        for step in steps - {0}:
            if network.layers[layer].remembers:
                assert step - 1 in plan[layer]
            if network.layers[layer].source:
                assert step - 1 in plan[network.layers[layer].source]
        assert max(steps, default=0) <= max(max(steps) for steps in wanted.values())


def test_layers_that_nothing_asked_for_depends_on_do_not_run() -> None:
    plan = SHAPE_ONLY["ugrnn_intermediate"].plan({"conv6": [8]})
    assert plan["conv6"]
    assert not any(plan[layer] for layer in ("conv7", "conv8", "conv9", "conv10", "imnetds"))
    # conv4 remembers, so all its steps up to the last that conv6 sees; conv1 forgets.
    assert plan["conv4"] == set(range(7))
    assert plan["conv1"] == set(range(4))


def test_outputs_are_released_as_soon_as_no_later_step_can_use_them() -> None:
    random = np.random.default_rng(0)
    model = MODELS["simplernn_shallow"]
    network = Network(
        build(model, lambda _, shape: random.normal(0, 0.01, shape).astype("f")),
        partial(np.zeros, dtype="f"),
    )
    image = random.random((1, 224, 224, 3), np.float32)
    made: dict[int, weakref.ref] = {}
    for layer, step, output in network.run(
        lambda step: image, {"conv1": range(8), "conv3": range(2, 8), "conv4": range(3, 8)}
    ):
        if layer == "conv3":
            made[step] = weakref.ref(output)
        if layer == "conv1" and step > 4:
            assert made[step - 1]() is not None  # the next layer reads it in this step
            assert made[step - 2]() is None
        del output


def test_a_feed_forward_layer_runs_once_while_its_input_stays() -> None:
    network = Network(build(MODELS["timedecay_shallow"], ones), np.zeros)
    calls = []
    drive = network._drive["conv1"]
    network._drive["conv1"] = lambda source: calls.append(len(source)) or drive(source)
    image, off = np.zeros((2, 224, 224, 3), "f"), np.ones((1, 224, 224, 3), "f")
    outputs = list(network.run(lambda t: image if t < 5 else off, {"conv1": range(10)}))
    assert len(outputs) == 10
    assert calls == [2, 1]  # the two images once, then the off stimulus once for both


def ones(name: str, shape: tuple[int, ...]) -> np.ndarray:
    fill = 0.0 if name.endswith("memory_decay") else 1 / np.prod(shape[:-1])
    return np.full(shape, fill, np.float32)


LOGITS = np.zeros((1, 4, 3), "f")
LOGITS[0, :, 0] = [0.0, 2.0, 5.0, 1.0]  # the largest probability peaks at step 2


def betas(threshold: float) -> cells.Variable:
    return lambda name, shape: np.full(shape, threshold if "threshold" in name else 1.0, "f")


@pytest.mark.parametrize(
    ("name", "threshold", "step"),
    [
        ("rgc_intermediate", 0.0, 3),
        ("rgc_intermediate_tmaxconf", 0.0, 2),
        ("rgc_intermediate_dthresh", 0.7, 1),  # crossed first at step 1
        ("rgc_intermediate_dthresh", 0.999, 2),  # never crossed: the peak
    ],
)
def test_decoders_read_the_step_that_the_paper_says(name: str, threshold: float, step: int) -> None:
    decoder = decoders.build_decoder(MODELS[name], betas(threshold))
    np.testing.assert_allclose(decoder(LOGITS)[0], LOGITS[0, step])


def test_every_model_has_a_decoder() -> None:
    for name in list_models():
        assert decoders.build_decoder(MODELS[name], betas(0.9))

"""On PyTorch the networks compute what they compute on TensorFlow, in the same process."""

from __future__ import annotations

import numpy as np
import pytest
import recipe
from test_exactness import GOLDEN, IMAGE, assert_close, deterministic_network

from convrnns_brainscore import Presentation, list_models

QUICK = ["lstm_shallow", "rgc_intermediate_dthresh"]


def check(name: str) -> None:
    """Against TensorFlow to 1e-4 of a layer's std at each step, and against the goldens.

    Untrained rgc_shallow to 2e-4: images that differ in the last bit alone move it by more.
    """
    on_tensorflow = deterministic_network(name)
    on_torch = deterministic_network(name, backend="torch")
    tolerance = 2e-4 if name == "rgc_shallow" else 1e-4

    def outputs(network) -> dict[str, np.ndarray]:
        found = network.unroll(IMAGE, network.layers, Presentation.neural(), all_times=True)
        return {**found, "logits": network.logits(IMAGE)[:, None]}

    theirs = outputs(on_torch)
    for layer, output in outputs(on_tensorflow).items():
        steps, flat = (each[0].reshape(output.shape[1], -1) for each in (output, theirs[layer]))
        error = np.abs(flat - steps) / (steps.std(axis=1, keepdims=True) + 0.01)
        assert error.max() <= tolerance, (name, layer)
        if layer == "logits":
            assert_close(flat[0], GOLDEN[f"{name}/logits"], GOLDEN[f"{name}/logits"].std(), layer)
        elif f"{name}/{layer}/samples" in GOLDEN:
            positions = recipe.sampled_positions(layer, steps.shape[1])[::4]
            samples, std = (GOLDEN[f"{name}/{layer}/{what}"] for what in ("samples", "std"))
            assert_close(flat[:, positions], samples, std[:, None], f"{name} {layer}")


@pytest.mark.parametrize(
    "name",
    [
        name if name in QUICK else pytest.param(name, marks=pytest.mark.slow)
        for name in list_models()
    ],
)
def test_torch_computes_what_tensorflow_computes(name: str) -> None:
    check(name)

"""On PyTorch the networks compute what they compute on TensorFlow, in the same process."""

from __future__ import annotations

import numpy as np
import pytest

from convrnns_brainscore import Presentation, goldens, list_models
from convrnns_brainscore.goldens import recipe_network
from convrnns_brainscore.images import normalise
from convrnns_brainscore.networks.backbones import layer_names
from convrnns_brainscore.zoo import find_model

QUICK = "rgc_shallow"
"""The most sensitive; `test_exactness` compares both libraries with the original for all."""

SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in list_models() if name != QUICK]


@pytest.mark.parametrize("name", [QUICK, *SLOW])
def test_torch_computes_what_tensorflow_computes(name: str) -> None:
    """To 1e-4 of a layer's std at each step.

    Untrained rgc_shallow to 2e-4: images that differ in the last bit alone move it by more.
    """
    image, layers = normalise(goldens.images(1)), layer_names(find_model(name))
    ours, theirs = (
        recipe_network(name, backend).unroll(image, layers, Presentation.neural(), all_times=True)
        for backend in ("tensorflow", "torch")
    )
    tolerance = 2e-4 if name == "rgc_shallow" else 1e-4
    for layer, output in ours.items():
        steps, flat = (each[0].reshape(26, -1) for each in (output, theirs[layer]))
        error = np.abs(flat - steps) / (steps.std(axis=1, keepdims=True) + 0.01)
        assert error.max() <= tolerance, (name, layer)

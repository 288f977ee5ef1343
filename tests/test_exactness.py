"""All 20 models compute what the original code computed, to 2e-4 of a layer's std."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from convrnns_brainscore import Presentation, goldens, list_models
from convrnns_brainscore.goldens import recipe_network
from convrnns_brainscore.images import normalise
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.zoo import MODELS

BACKENDS = ["tensorflow", "torch"]


def assert_close(ours: np.ndarray, golden: np.ndarray, std: np.ndarray | float, what: str) -> None:
    error = np.abs(ours - golden) / (std + 0.01)
    assert error.max() <= goldens.EXACT, f"{what}: off by {error.max():.1e} of its std"


# Models that differ in more than their decoder, and one of each other decoder.
DISTINCT = {(model.cell, model.depth): model.name for model in reversed(MODELS.values())}
DECODERS = ["rgc_intermediate_dthresh", "rgc_intermediate_t22_tmaxconf"]
DIFFERENT = [name for name in DISTINCT.values() if name != "rgc_intermediate"] + DECODERS


def marked(name: str) -> object:
    """Every cell is tested by `make test`; CI adds one network of each other structure."""
    if "shallow" in name:
        return name
    return pytest.param(name, marks=pytest.mark.ci if name in DIFFERENT else pytest.mark.slow)


@pytest.mark.parametrize("name", map(marked, list_models()))
def test_equals_the_original(name: str) -> None:
    """Neural presentation, every layer and step; logits of the default one where a decoder chooses
    a step."""
    for backend in BACKENDS:
        found = goldens.deviations(name, backend)
        assert {"conv1", "conv5", "imnetds"} <= found.keys()
        assert max(found.values()) <= goldens.EXACT, (backend, found)


@pytest.mark.slow
@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
@pytest.mark.parametrize("name", list_models())
def test_equals_the_original_under_every_presentation(
    name: str, backend: str, shared: Path
) -> None:
    net = recipe_network(name, backend)
    images = normalise(goldens.images(2))
    presentations = {
        "default": Presentation.default(name),
        "neural": Presentation.neural(),
        "constant": Presentation.constant(times=10 if "shallow" in name else 15),
        "custom": Presentation.custom(times=20, image_off=5),
    }
    golden = dict(np.load(shared / "reference" / "golden" / f"{name}.npz"))
    for key, presentation in presentations.items():
        outputs = net.unroll(images, net.layers, presentation, all_times=True)
        for layer, output in outputs.items():
            assert output.shape[2:] == tuple(golden[f"{key}/{layer}/shape"])
            flat = output.reshape(*output.shape[:2], -1)
            positions = goldens.sampled_positions(layer, flat.shape[-1])
            std = golden[f"{key}/{layer}/std"]
            what = f"{key}/{layer}"
            assert_close(flat[..., positions], golden[f"{what}/samples"], std[..., None], what)
            assert_close(flat.mean(axis=-1), golden[f"{what}/mean"], std, f"{what} mean")
        logits = golden[f"{key}/logits"]
        assert_close(net.logits(images, presentation), logits, logits.std(), f"{key} logits")


def test_the_recipe_is_the_reference_recipe(shared: Path) -> None:
    """Our own recipe gives the weights and images that the goldens were computed with."""
    import importlib.util

    spec = importlib.util.spec_from_file_location("reference", shared / "reference" / "recipe.py")
    reference = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(reference)
    np.testing.assert_array_equal(goldens.images(2), reference.images(0, 2))
    for name in ("timedecay_shallow", "lstm_shallow", "rgc_intermediate_dthresh"):
        model = MODELS[name]
        for variable, value in goldens.weights(model, variable_shapes(model)).items():
            trained = not variable.endswith("memory_decay") or value.any()
            expected = reference.weight_value(0, variable, value.shape, trained)
            np.testing.assert_array_equal(value, expected, err_msg=variable)

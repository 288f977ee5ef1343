"""What the original code computed for weights and images that any implementation can make again.

Each array of the recipe has its own stream of numpy's legacy generator, seeded by the CRC-32 of its
key. ``data/golden.npz`` holds what the original (TensorFlow 1.13.1, float32, CPU) computed for the
weights and the first image, seed 0: ``<model>/<layer>/samples`` [26 steps, 12 of the positions of
`sampled_positions`, every fourth] and ``<model>/<layer>/std`` [26 steps] over the whole output,
neural presentation, all steps from 0; ``<model>/logits`` [1000], default presentation, decoded.
"""

from __future__ import annotations

import math
import zlib
from functools import cache, lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.choices import BackendName, PrecisionName
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.images import normalise
from convrnns_brainscore.networks.backbones import rows
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.zoo import Model, find_model

SAMPLES = 48

EXACT = 2e-4
"""Deviation from the original, in the layer's std, up to which a network is exact in float32."""

QUICK = ("lstm_shallow", "rgc_intermediate_dthresh")
"""Models that use every operation between them."""


def deviations(
    name: str,
    backend: str = BackendName.tensorflow,
    device: str | None = None,
    precision: str = PrecisionName.float32,
) -> dict[str, float]:
    """How far a network on a backend is from what the original code computed.

    Parameters
    ----------
    name : str
        A name of the zoo.
    backend, device, precision
        As in `load_network`.

    Returns
    -------
    dict
        Layer, and ``"logits"`` where a decoder chooses a step → the worst deviation over steps and
        sampled positions, in std of the layer at that step (plus 0.01, for layers that are silent).

    Raises
    ------
    ConvRNNError
        As `load_network`.
    """
    network = recipe_network(name, backend, device, precision)
    image = normalise(images(1))
    outputs = network.unroll(image, network.layers, Presentation.neural(), all_times=True)
    found = {}
    for layer, output in outputs.items():
        samples, std = (goldens()[f"{name}/{layer}/{what}"] for what in ("samples", "std"))
        flat = output[0].reshape(len(samples), -1)
        flat = flat[:, sampled_positions(layer, flat.shape[1])[::4]]
        found[layer] = float((np.abs(flat - samples) / (std[:, None] + 0.01)).max())
    if network.model.decoder != "last":  # or they are the readout's
        expected = goldens()[f"{name}/logits"]
        error = np.abs(network.logits(image)[0] - expected) / (expected.std() + 0.01)
        found["logits"] = float(error.max())
    return found


@lru_cache(maxsize=1)
def _values(model: Model) -> dict[str, NDArray[np.float32]]:
    return weights(model, variable_shapes(model))


def recipe_network(
    name: str,
    backend: str,
    device: str | None = None,
    precision: str = PrecisionName.float32,
) -> ConvRNN:
    """A model with the recipe's weights."""
    values = _values(find_model(name))
    return load_network(name, weights=values, backend=backend, device=device, precision=precision)


@cache
def goldens() -> dict[str, NDArray[np.float32]]:
    """What the original computed, by its keys."""
    with np.load(Path(__file__).with_name("data") / "golden.npz") as held:
        return dict(held)


def stream(*key: object) -> np.random.RandomState:
    """The random numbers of a key."""
    return np.random.RandomState(zlib.crc32(":".join(str(part) for part in key).encode()))


def weights(
    model: Model, shapes: dict[str, tuple[int, ...]], seed: int = 0
) -> dict[str, NDArray[np.float32]]:
    """Every variable of a model."""
    return {name: _value(model, name, shape, seed) for name, shape in shapes.items()}


def images(count: int, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 [count, 224, 224, 3]: random squares of 8 × 8 pixels."""
    coarse = stream(seed, "images").randint(0, 256, (count, 28, 28, 3))
    return coarse.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def sampled_positions(layer: str, size: int) -> NDArray[np.int64]:
    """The positions of a layer's flattened output that the goldens hold."""
    return np.sort(stream("sample", layer).choice(size, min(SAMPLES, size), replace=False))


def _value(model: Model, name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    random = stream(seed, name)
    *_, parent, leaf = name.split("/")
    value: NDArray[np.float64]
    if leaf == "memory_decay":
        value = random.uniform(0.1, 0.6, shape) if _decays(model, parent) else np.zeros(shape)
    elif leaf == "softmax_beta":
        value = random.uniform(0.5, 1.5, shape)
    elif leaf == "decoder_threshold":
        value = np.full(shape, 0.2)
    elif leaf == "gamma":
        value = 1 + 0.1 * random.standard_normal(shape)
    elif leaf == "beta":
        value = 0.1 * random.standard_normal(shape)
    elif leaf.endswith("_diag"):
        value = 0.2 * random.standard_normal(shape)
    elif leaf.endswith("bias"):
        stable = 0.2 if parent in ("tau", "gate", "out_to_cell") else 0.0
        value = 0.1 * random.standard_normal(shape) + stable
    elif leaf == "depthwise_weights":
        value = 0.3 * random.standard_normal(shape) / np.sqrt(shape[0] * shape[1])
    else:
        value = random.standard_normal(shape) * np.sqrt(1.0 / math.prod(shape[:-1]))
        value *= 2 if "imnetds" in name else 1
        value *= 0.03 if "feedback" in leaf else 1
        value *= 0.5 if leaf == "input_to_out_weights" else 1
    return value.astype(np.float32)


def _decays(model: Model, layer: str) -> bool:
    cell_layers = [row.name for row in rows(model.cell, model.depth) if row.cell]
    return model.cell == "timedecay" and layer in cell_layers

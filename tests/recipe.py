"""Weights and images that any implementation can make again: each array has its own stream of
numpy's legacy generator, seeded by the CRC-32 of its key. The goldens in ``tests/data`` are what
the original code (TensorFlow 1.13.1) computed for these."""

from __future__ import annotations

import math
import zlib

import numpy as np

from convrnns_brainscore.networks.backbones import layer_names, rows
from convrnns_brainscore.zoo import Model

SAMPLES = 48


def stream(*key: object) -> np.random.RandomState:
    return np.random.RandomState(zlib.crc32(":".join(str(part) for part in key).encode()))


def weights(
    model: Model, shapes: dict[str, tuple[int, ...]], seed: int = 0
) -> dict[str, np.ndarray]:
    """Every variable of a model."""
    return {name: _value(model, name, shape, seed) for name, shape in shapes.items()}


def images(count: int, seed: int = 0) -> np.ndarray:
    """uint8 [count, 224, 224, 3]: random squares of 8 × 8 pixels."""
    coarse = stream(seed, "images").randint(0, 256, (count, 28, 28, 3))
    return coarse.astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)


def sampled_positions(layer: str, size: int) -> np.ndarray:
    """The positions of a layer's flattened output that the goldens hold."""
    return np.sort(stream("sample", layer).choice(size, min(SAMPLES, size), replace=False))


def _value(model: Model, name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    random = stream(seed, name)
    *_, parent, leaf = name.split("/")
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
    assert layer in layer_names(model)
    cell_layers = [row.name for row in rows(model.cell, model.depth) if row.cell]
    return model.cell == "timedecay" and layer in cell_layers

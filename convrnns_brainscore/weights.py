"""A network's variables and where they come from: a checkpoint, arrays, or chance.

A network is never silently untrained: weights that were drawn are labelled ``untrained``, with
their seed, and the label goes wherever the network's numbers go.
"""

from __future__ import annotations

import hashlib
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from os import PathLike
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.checkpoints import check_variables, read_checkpoint
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.zoo import Model


@dataclass(frozen=True)
class Weights:
    """Variables (name → float32 array) and what to call them.

    ``seed`` is None unless the weights are random.
    """

    values: dict[str, NDArray[np.float32]]
    sha256: str
    seed: int | None = None

    @property
    def label(self) -> str:
        """``untrained, seed 0`` or ``sha256 1f2e3d4c…``: short, for titles and tables."""
        return f"sha256 {self.sha256[:8]}…" if self.seed is None else f"untrained, seed {self.seed}"

    def describe(self) -> dict[str, str]:
        """What made these weights, for provenance."""
        trained = {"weights": "given"} if self.seed is None else {"weights": self.label}
        return {**trained, "weights_sha256": self.sha256}


def load_weights(
    model: Model,
    shapes: dict[str, tuple[int, ...]],
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
) -> Weights:
    """The weights of ``model``: from a checkpoint, from given arrays, or random.

    Raises
    ------
    ConvRNNError : no weights given, or both; or they are not the model's (the variable is named).
    """
    if checkpoint is not None and weights is not None:
        raise ConvRNNError("give either checkpoint=… or weights=…, not both.")
    if checkpoint is not None:
        return _weights(read_checkpoint(checkpoint, shapes))
    if weights is None:
        raise ConvRNNError(
            f"no weights for {model.name}. Give its checkpoint (checkpoint='…/{model.name}/"
            "model.ckpt', published at https://convrnnckpts.s3-us-west-1.amazonaws.com/"
            f"{model.name}/model.ckpt.index and .data-00000-of-00001), or weights='random' for an "
            "untrained network."
        )
    if isinstance(weights, str):
        if weights != "random":
            raise ConvRNNError(
                f"weights={weights!r}: expected 'random' or a mapping of variable names to arrays. "
                "A checkpoint's path goes to checkpoint=…"
            )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ConvRNNError(f"seed={seed!r}: expected a whole number from 0 on.")
        return _weights(random_values(shapes, int(seed)), int(seed))
    arrays = {name: np.asarray(value, np.float32) for name, value in weights.items()}
    check_variables({name: a.shape for name, a in arrays.items()}, shapes, "weights")
    return _weights({name: arrays[name] for name in shapes})


def random_values(
    shapes: dict[str, tuple[int, ...]], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Random variables under which activity neither dies nor blows up over 30 steps.

    Kernels are normal with variance 1/fan-in, which keeps the activations' size through elu's
    near-linear middle; the loops that could amplify (feedback, and what feeds the intermediate
    reciprocal gated cell, whose gates hold T + G > 1 in sum) are turned down; layer norms are the
    identity; time decay is .5. Each variable is drawn from its own stream, keyed by seed and name.
    """
    return {name: _draw(name, shape, seed) for name, shape in shapes.items()}


def _draw(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    leaf = name.rsplit("/", 1)[-1]
    if leaf == "memory_decay":
        remembering = not name.startswith(tuple(f"tnn_model/{n}/" for n in _FEED_FORWARD))
        return np.full(shape, 0.5 if remembering else 0.0, np.float32)
    if leaf in ("gamma", "softmax_beta"):
        return np.ones(shape, np.float32)
    if leaf == "decoder_threshold":
        return np.full(shape, 0.9, np.float32)
    if leaf in ("bias", "beta") or leaf.endswith("_bias"):
        return np.zeros(shape, np.float32)
    rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
    if leaf == "depthwise_weights":
        fan_in = shape[0] * shape[1]
    elif leaf.endswith("_diag"):
        fan_in = 25
    else:
        fan_in = math.prod(shape[:-1])
    values = rng.standard_normal(shape, np.float32) / np.float32(math.sqrt(fan_in))
    return values * np.float32(_GAINS.get(leaf, 1.0))


_FEED_FORWARD = ("conv1", "conv2", "conv3", "imnetds")
_GAINS = {"feedback_to_out_weights": 0.1, "input_to_out_weights": 0.5}


def _weights(values: dict[str, NDArray[np.float32]], seed: int | None = None) -> Weights:
    digest = hashlib.sha256()
    for name in sorted(values):
        digest.update(f"{name} {list(values[name].shape)}\n".encode())
        digest.update(np.ascontiguousarray(values[name], "<f4").tobytes())
    return Weights(values, digest.hexdigest(), seed)

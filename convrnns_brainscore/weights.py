"""A network's variables and where they come from: a checkpoint, arrays, or chance.

A network is never silently untrained: weights that were drawn are labelled ``untrained``, with
their seed, and the label goes wherever the network's numbers go.
"""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from os import PathLike
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.checkpoints import (
    check_variables,
    checkpoint_folder,
    find_checkpoint,
    how_to_get,
    read_checkpoint,
    read_history,
    values_sha256,
)
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.backbones import rows
from convrnns_brainscore.networks.backend import in_main_memory
from convrnns_brainscore.zoo import Model

_log = logging.getLogger(__name__)

_GATES = ("tau", "gate", "out_to_cell")
_GAINS = {"depthwise_weights": 0.15, "feedback_to_out_weights": 0.03, "input_to_out_weights": 0.5}


UNTRAINED, FINE_TUNED = "untrained", "fine-tuned"
"""How the labels of random weights, and of weights changed by training, begin."""


@dataclass(frozen=True)
class Weights:
    """Variables (name → float32 array) and what to call them.

    ``seed`` is None unless the weights are random; ``published`` is whether they are a checkpoint
    that `convrnns download` fetched; ``fine_tuned_from`` is the label of those that training began
    with, or empty.
    """

    values: dict[str, NDArray[np.float32]]
    sha256: str
    seed: int | None = None
    published: bool = False
    fine_tuned_from: str = ""

    @property
    def label(self) -> str:
        """``untrained, seed 0``, ``sha256 1f2e3d4c…`` or ``fine-tuned from untrained, seed 0
        (sha256 1f2e3d4c…)``: short, for titles and tables."""
        digest = f"sha256 {self.sha256[:8]}…"
        if self.fine_tuned_from:
            return f"{FINE_TUNED} from {self.fine_tuned_from} ({digest})"
        return digest if self.seed is None else f"{UNTRAINED}, seed {self.seed}"

    def describe(self) -> dict[str, str]:
        """What made these weights, for provenance."""
        told = self.fine_tuned_from or self.seed is not None
        return {"weights": self.label if told else "given", "weights_sha256": self.sha256}

    def history(self) -> dict[str, str]:
        """What a file of these weights says of them, as `load_weights` reads it."""
        if self.fine_tuned_from:
            return {"fine_tuned_from": self.fine_tuned_from}
        return {} if self.seed is None else {"seed": str(self.seed)}


def retrained(
    before: Weights, values: Mapping[str, NDArray[np.float32]], lesioned: str = ""
) -> Weights:
    """``before``, or, where ``values`` are others, these as fine-tuned from it, with what labels
    say of the lesion under which they were trained.

    Raises
    ------
    ConvRNNError
        A variable contains NaN or infinite values.
    """
    after = _weights({name: np.array(value, np.float32) for name, value in values.items()})
    if after.sha256 == before.sha256:
        return before
    origin = before.fine_tuned_from or before.label
    return replace(after, fine_tuned_from=origin.removesuffix(lesioned) + lesioned)


def load_weights(
    model: Model,
    shapes: dict[str, tuple[int, ...]],
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    prefer_converted: bool = False,
) -> Weights:
    """The weights of ``model``: from a checkpoint, from given arrays, or random.

    Where neither is named, the checkpoint that `convrnns download` fetched, in TensorFlow's format
    or, with ``prefer_converted`` and where it is there, as a ``.safetensors``.

    Raises
    ------
    ConvRNNError
        No weights given, or both, or a seed of weights that are not random; or they are not the
        model's (the variable is named).
    """
    if checkpoint is not None and weights is not None:
        raise ConvRNNError("give either `checkpoint=…` or `weights=…`, not both.")
    if seed not in (0, None) and not isinstance(weights, str):
        raise ConvRNNError(f"`seed={seed!r}` applies only to `weights='random'`: omit it.")
    if isinstance(checkpoint, str) and not checkpoint:
        raise ConvRNNError("`checkpoint=''`: expected the path of a checkpoint.")
    if checkpoint is None and weights is None:
        checkpoint = find_checkpoint(
            checkpoint_folder(), model.name, prefer_converted=prefer_converted
        )
    if checkpoint is not None:
        _log.info("weights of %s: %s", model.name, checkpoint)
        _warn_of_newer(Path(checkpoint), model.name)
        read = _weights(read_checkpoint(checkpoint, shapes, model.name))
        history = read_history(checkpoint)
        if "fine_tuned_from" in history:
            return replace(read, fine_tuned_from=history["fine_tuned_from"])
        if "seed" in history:
            if not history["seed"].isdecimal():
                raise ConvRNNError(
                    f"{checkpoint}: its metadata has the seed {history['seed']!r}, which is not a "
                    "whole number: save the network again."
                )
            return replace(read, seed=int(history["seed"]))
        fetched = [
            find_checkpoint(checkpoint_folder(), model.name, prefer_converted=each)
            for each in (False, True)
        ]
        return replace(read, published=Path(checkpoint) in fetched)
    if weights is None:
        raise ConvRNNError(
            f"no weights for {model.name}. {how_to_get(model.name)} Or give "
            f"`checkpoint='…/{model.name}/model.ckpt'`, or "
            "`weights='random'` for an untrained network."
        )
    if isinstance(weights, str):
        if weights != "random":
            raise ConvRNNError(
                f"`weights={weights!r}`: expected 'random' or a mapping of variable names to "
                "arrays. A checkpoint's path goes to `checkpoint=…`."
            )
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ConvRNNError(f"`seed={seed!r}`: expected a whole number of at least 0.")
        return _weights(random_values(model, shapes, int(seed)), int(seed))
    if not isinstance(weights, Mapping):
        raise ConvRNNError(
            f"weights of type {type(weights).__name__}: expected a mapping or 'random'."
        )
    arrays = {name: _as_array(name, value) for name, value in weights.items()}
    check_variables({name: a.shape for name, a in arrays.items()}, shapes, "weights")
    return _weights({name: arrays[name] for name in shapes})


def random_values(
    model: Model, shapes: dict[str, tuple[int, ...]], seed: int
) -> dict[str, NDArray[np.float32]]:
    """Random variables under which activity neither dies nor blows up over 30 steps.

    Kernels are normal with variance 1/fan-in, which keeps the activations' size through elu's
    near-linear middle. The intermediate reciprocal gated cell could amplify what it keeps, so its
    gates are biased to close a little and their convolutions, its input and the feedback are turned
    down. Layer norms are the identity; the time decay cells' decay is .5. Each variable is drawn
    from its own stream, keyed by seed and name.
    """
    values = {name: _draw(name, shape, seed) for name, shape in shapes.items()}
    if model.cell == "timedecay":
        for row in rows(model.cell, model.depth):
            if row.cell:
                values[f"tnn_model/{row.name}/memory_decay"] = np.full((1,), 0.5, np.float32)
    return values


def _draw(name: str, shape: tuple[int, ...], seed: int) -> NDArray[np.float32]:
    *_, parent, leaf = name.split("/")
    if leaf == "memory_decay":
        return np.zeros(shape, np.float32)
    if leaf in ("gamma", "softmax_beta"):
        return np.ones(shape, np.float32)
    if leaf == "decoder_threshold":
        return np.full(shape, 0.9, np.float32)
    if leaf == "bias" and parent in _GATES:
        return np.full(shape, 0.3, np.float32)
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


def _warn_of_newer(checkpoint: Path, model: str) -> None:
    """Warn if a converted checkpoint is older than the original beside it."""
    original = checkpoint.with_suffix(".ckpt.index")
    if checkpoint.suffix != ".safetensors" or not original.exists() or not checkpoint.exists():
        return
    if original.stat().st_mtime > checkpoint.stat().st_mtime:
        _log.warning(
            "%s is read, although %s is newer: `convrnns convert %s` converts it again",
            checkpoint, original.name, model,
        )  # fmt: skip


def _as_array(name: str, value: ArrayLike) -> NDArray[np.float32]:
    try:
        array = np.asarray(in_main_memory(value))
    except ValueError:
        array = np.asarray(None)
    if array.dtype.kind not in "fiu":
        raise ConvRNNError(f"weights: variable {name} is not an array of real numbers.")
    return array.astype(np.float32)


def _weights(values: dict[str, NDArray[np.float32]], seed: int | None = None) -> Weights:
    for name in values:
        # Max pooling would turn NaN into large finite numbers that look like activations.
        if not np.isfinite(values[name]).all():
            raise ConvRNNError(f"weights: variable {name} contains NaN or infinite values.")
    return Weights(values, values_sha256(values), seed)

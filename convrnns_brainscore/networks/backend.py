"""All that differs between Keras' backends: how they start, and how a function is compiled."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar

import keras
import numpy as np
from numpy.typing import NDArray

Function = TypeVar("Function", bound=Callable[..., Any])
Tensor = Any
"""A tensor of the running backend: tf.Tensor or torch.Tensor."""


def start() -> None:
    """Have the backend find its devices now instead of at the first tensor."""
    keras.ops.zeros(())


def version() -> str:
    """The backend and its version, for provenance: ``tensorflow 2.21.0``."""
    name = keras.backend.backend()
    return f"{name} {import_module(name).__version__}"


def compiled(function: Function) -> Function:
    """``function`` of tensors as one graph where the backend gains from it (TensorFlow).

    The graph is made at the first call and serves every batch size. Tensors that the function
    closes over become the graph's inputs, so weights are not copied into it, and nothing lives in
    TensorFlow's default graph.
    """
    if keras.backend.backend() != "tensorflow":
        return function
    import tensorflow as tf

    def any_batch(tensor: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    graph = None

    @wraps(function)
    def call(*arguments: Any) -> Any:
        nonlocal graph
        tensors = tf.nest.flatten(arguments)
        if graph is None:
            signature = tf.nest.map_structure(any_batch, arguments)
            graph = tf.function(
                lambda *flat: function(*tf.nest.pack_sequence_as(signature, flat)), autograph=False
            ).get_concrete_function(*tf.nest.flatten(signature))
        return graph(*tensors)

    return call  # type: ignore[return-value]


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """``tensor`` as a float32 array in main memory."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)

"""The operations that networks are written in, on the library that their tensors are of.

`tensorflow_operations` and `torch_operations` have the same functions. Tensors are channels last,
[batch, height, width, channel], kernels [height, width, channel in, channel out]. Padding "same" is
TensorFlow's: where it pads an odd number of pixels, the further one is at the bottom or right.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tensor = Any
"""A tensor of the network's library: tf.Tensor or torch.Tensor."""


def library(tensor: Any) -> str:
    """The library that a tensor or array is of: ``tensorflow``, ``torch``, ``numpy`` or another."""
    return type(tensor).__module__.partition(".")[0]


@cache
def _operations(name: str) -> Any:
    if name == "torch":
        from convrnns_brainscore.networks import torch_operations

        return torch_operations
    from convrnns_brainscore.networks import tensorflow_operations

    return tensorflow_operations


def of(tensor: Tensor) -> Any:
    """The module of the operations on ``tensor``."""
    return _operations(library(tensor))


def kernel(weights: Tensor) -> Tensor:
    """``weights``, a part of a kernel, laid out in memory as convolutions read it."""
    return weights if isinstance(weights, np.ndarray) else of(weights).kernel(weights)


def is_zero(x: Tensor) -> bool:
    """Whether all of ``x`` is known to be zero."""
    return not x.any() if isinstance(x, np.ndarray) else bool(of(x).is_zero(x))


def constant(array: NDArray[Any], like: Tensor) -> Tensor:
    """``array`` as a tensor on the device of ``like``."""
    return array if isinstance(like, np.ndarray) else of(like).constant(array, like)


def conv(
    x: Tensor, weights: Tensor, bias: Tensor | None = None, strides: int = 1, padding: str = "same"
) -> Tensor:
    """x ∗ weights + bias."""
    return of(x).conv(x, weights, bias, strides, padding)


def depthwise_conv(x: Tensor, weights: Tensor) -> Tensor:
    """Each channel of x ∗ its own of ``weights`` [height, width, channel, 1], padding "same"."""
    return of(x).depthwise_conv(x, weights)


def max_pool(x: Tensor) -> Tensor:
    """Max over 2 × 2, stride 2, padding "same"."""
    return of(x).max_pool(x)


def elu(x: Tensor) -> Tensor:
    """x where x > 0, else exp(x) − 1."""
    return of(x).elu(x)


def relu(x: Tensor) -> Tensor:
    """max(x, 0)."""
    return of(x).relu(x)


def sigmoid(x: Tensor) -> Tensor:
    """1 / (1 + exp(−x))."""
    return of(x).sigmoid(x)


def tanh(x: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return of(x).tanh(x)


def sqrt(x: Tensor) -> Tensor:
    """The square root."""
    return of(x).sqrt(x)


def softmax(x: Tensor) -> Tensor:
    """exp(x) / Σ exp(x) over the last axis."""
    return of(x).softmax(x)


def split(x: Tensor, parts: int) -> Sequence[Tensor]:
    """``parts`` equal parts of the channels."""
    return of(x).split(x, parts)


def mean(x: Tensor, axis: tuple[int, ...], keepdims: bool = False) -> Tensor:
    """The mean over axes."""
    return of(x).mean(x, axis, keepdims)


def moments(x: Tensor, axis: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    """Mean and variance over axes, which stay as axes of one."""
    return of(x).moments(x, axis)


def einsum(equation: str, a: Tensor, b: Tensor) -> Tensor:
    """Einstein's sum."""
    return of(a).einsum(equation, a, b)


def matmul(a: Tensor, b: Tensor) -> Tensor:
    """a [batch, 1, 1, n] · b [n, m]."""
    return of(a).matmul(a, b)


def stack(tensors: Sequence[Tensor]) -> Tensor:
    """Tensors [batch, …] along a new second axis."""
    return of(tensors[0]).stack(tensors)


def repeated(x: Tensor, like: Tensor) -> Tensor:
    """x [batch or 1, …] as [batch of ``like``, …]."""
    return of(x).repeated(x, like)


def largest(x: Tensor) -> Tensor:
    """The maximum over the last axis."""
    return of(x).largest(x)


def argmax(x: Tensor) -> Tensor:
    """Where x [batch, step] is first at its maximum: [batch]."""
    return of(x).argmax(x)


def first_true(condition: Tensor, otherwise: Tensor) -> Tensor:
    """The first of each row's steps where ``condition`` [batch, step] holds, at most ``otherwise``.

    The original takes the minimum over steps of the step itself where the condition holds, else of
    ``otherwise`` [batch].
    """
    return of(condition).first_true(condition, otherwise)


def peak(x: Tensor) -> float | None:
    """The largest |x|, infinite where x is NaN; None while x has no values yet."""
    return of(x).peak(x)


def channels_last(x: Tensor) -> Tensor:
    """x [batch, channel, height, width] as [batch, height, width, channel]."""
    return of(x).channels_last(x)


def at_step(x: Tensor, step: Tensor) -> Tensor:
    """x[b, step[b]] for each b, of x [batch, step, class]."""
    return of(x).at_step(x, step)

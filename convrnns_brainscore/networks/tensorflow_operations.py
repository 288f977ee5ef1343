"""The operations of `operations` on TensorFlow."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

elu, relu, softmax = tf.nn.elu, tf.nn.relu, tf.nn.softmax
sigmoid, tanh, sqrt = tf.sigmoid, tf.tanh, tf.sqrt
einsum = tf.einsum


def kernel(weights: tf.Tensor) -> tf.Tensor:
    return weights


def is_zero(x: tf.Tensor) -> bool:
    value = tf.get_static_value(x)  # None while a graph is made of variables
    return value is not None and not value.any()


def constant(array: NDArray[Any], like: tf.Tensor) -> tf.Tensor:
    return tf.constant(array)


def conv(
    x: tf.Tensor, weights: tf.Tensor, bias: tf.Tensor | None, strides: int, padding: str
) -> tf.Tensor:
    y = tf.nn.conv2d(x, weights, strides, padding.upper())
    # bias_add, and not +, becomes part of the convolution in a graph.
    return y if bias is None else tf.nn.bias_add(y, bias)


def depthwise_conv(x: tf.Tensor, weights: tf.Tensor) -> tf.Tensor:
    return tf.nn.depthwise_conv2d(x, weights, (1, 1, 1, 1), "SAME")


def max_pool(x: tf.Tensor) -> tf.Tensor:
    return tf.nn.max_pool2d(x, 2, 2, "SAME")


def split(x: tf.Tensor, parts: int) -> list[tf.Tensor]:
    return tf.split(x, parts, axis=-1)


def mean(x: tf.Tensor, axis: tuple[int, ...], keepdims: bool) -> tf.Tensor:
    return tf.reduce_mean(x, axis, keepdims)


def moments(x: tf.Tensor, axis: tuple[int, ...]) -> tuple[tf.Tensor, tf.Tensor]:
    return tf.nn.moments(x, axis, keepdims=True)


def matmul(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    return tf.tensordot(a, b, axes=[[-1], [0]])


def stack(tensors: Sequence[tf.Tensor]) -> tf.Tensor:
    return tf.stack(tensors, axis=1)


def repeated(x: tf.Tensor, like: tf.Tensor) -> tf.Tensor:
    return tf.broadcast_to(x, (tf.shape(like)[0], *x.shape[1:]))


def largest(x: tf.Tensor) -> tf.Tensor:
    return tf.reduce_max(x, axis=-1)


def argmax(x: tf.Tensor) -> tf.Tensor:
    return tf.argmax(x, axis=1)


def first_true(condition: tf.Tensor, otherwise: tf.Tensor) -> tf.Tensor:
    steps = tf.range(condition.shape[1], dtype=otherwise.dtype)
    return tf.reduce_min(tf.where(condition, steps, otherwise[:, None]), axis=1)


def peak(x: tf.Tensor) -> float | None:
    if not tf.executing_eagerly():
        return None
    return float(tf.reduce_max(tf.where(tf.math.is_finite(x), tf.abs(x), tf.float32.max)))


def channels_last(x: tf.Tensor) -> tf.Tensor:
    return tf.transpose(x, (0, 2, 3, 1))


def at_step(x: tf.Tensor, step: tf.Tensor) -> tf.Tensor:
    return tf.gather(x, step, axis=1, batch_dims=1)

"""The operations of `operations` on PyTorch.

Tensors are channels last for whoever indexes them, and lie channels first in memory, where the
convolutions of oneDNN round four times less than they do channels last, and are as fast.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

elu, relu = functional.elu, functional.relu
sigmoid, tanh, sqrt = torch.sigmoid, torch.tanh, torch.sqrt
einsum = torch.einsum

LARGE = 2**22
"""From this many weights on, convolutions on the CPU are matrix products: the maps are small where
kernels are so large, and oneDNN spends its time on reordering the kernel."""


def kernel(weights: Tensor) -> Tensor:
    return weights.permute(3, 2, 0, 1).contiguous().permute(2, 3, 1, 0)


def peak(x: Tensor) -> float | None:
    try:
        return float(x.detach().abs().nan_to_num(torch.inf).max())
    except RuntimeError:  # within torch.func's transformations
        return None


def channels_last(x: Tensor) -> Tensor:
    return x.permute(0, 2, 3, 1)


def channels_first(x: Tensor) -> Tensor:
    """x [batch, height, width, channel] as convolutions take it, and as it lies in memory."""
    return x.permute(0, 3, 1, 2).contiguous()


def is_zero(x: Tensor) -> bool:
    return not x.any()


def constant(array: NDArray[Any], like: Tensor) -> Tensor:
    return torch.as_tensor(array, device=like.device)


def conv(x: Tensor, weights: Tensor, bias: Tensor | None, strides: int, padding: str) -> Tensor:
    x, weights = channels_first(x), weights.permute(3, 2, 0, 1)
    around = 0
    if padding == "same":
        x, around = _padded(x, weights.shape[-1], strides)
    if strides == 1 and x.device.type == "cpu" and weights.numel() >= LARGE:
        return channels_last(_as_product(functional.pad(x, (around,) * 4), weights, bias))
    return channels_last(functional.conv2d(x, weights, bias, strides, around))


def _padded(x: Tensor, size: int, strides: int) -> tuple[Tensor, int]:
    """x, and the zeros that are still missing on each side of it, for a square kernel."""
    width = x.shape[-1]
    before, odd = divmod(max((-(-width // strides) - 1) * strides + size - width, 0), 2)
    return functional.pad(x, (0, 1, 0, 1)) if odd else x, before


def _as_product(x: Tensor, weights: Tensor, bias: Tensor | None) -> Tensor:
    """The convolution as weights [out, in·size²] · patches [in·size², batch·position]."""
    depth, depth_in, size, _ = weights.shape
    patches = x.unfold(2, size, 1).unfold(3, size, 1)
    batch, _, height, width, _, _ = patches.shape
    patches = patches.permute(1, 4, 5, 0, 2, 3).reshape(depth_in * size**2, -1)
    y = weights.reshape(depth, -1) @ patches
    y = y if bias is None else y + bias[:, None]
    return y.view(depth, batch, height, width).transpose(0, 1).contiguous()


def depthwise_conv(x: Tensor, weights: Tensor) -> Tensor:
    x, weights = channels_first(x), weights.permute(2, 3, 0, 1)
    x, around = _padded(x, weights.shape[-1], 1)
    return channels_last(functional.conv2d(x, weights, padding=around, groups=x.shape[1]))


def max_pool(x: Tensor) -> Tensor:
    x = channels_first(x)
    odd = x.shape[-1] % 2
    x = functional.pad(x, (0, odd, 0, odd), value=-torch.inf) if odd else x
    # Ten times as fast on the CPU as max_pool2d.
    rows = torch.maximum(x[..., ::2, :], x[..., 1::2, :])
    return channels_last(torch.maximum(rows[..., ::2], rows[..., 1::2]))


def softmax(x: Tensor) -> Tensor:
    return functional.softmax(x, dim=-1)


def split(x: Tensor, parts: int) -> tuple[Tensor, ...]:
    return x.chunk(parts, dim=-1)


def mean(x: Tensor, axis: tuple[int, ...], keepdims: bool) -> Tensor:
    return x.mean(axis, keepdims)


def moments(x: Tensor, axis: tuple[int, ...]) -> tuple[Tensor, Tensor]:
    variance, average = torch.var_mean(x, axis, correction=0, keepdim=True)
    return average, variance


def matmul(a: Tensor, b: Tensor) -> Tensor:
    return a @ b


def stack(tensors: Sequence[Tensor]) -> Tensor:
    return torch.stack(list(tensors), dim=1)


def repeated(x: Tensor, like: Tensor) -> Tensor:
    return x.expand(len(like), *x.shape[1:])


def largest(x: Tensor) -> Tensor:
    return x.amax(dim=-1)


def argmax(x: Tensor) -> Tensor:
    return x.argmax(dim=1)


def first_true(condition: Tensor, otherwise: Tensor) -> Tensor:
    steps = torch.arange(condition.shape[1], device=condition.device)
    return torch.where(condition, steps, otherwise[:, None]).amin(dim=1)


def at_step(x: Tensor, step: Tensor) -> Tensor:
    return x[torch.arange(len(x), device=x.device), step]

"""The layers that a backbone is made of: convolution, cell, residual sum, pooling, readout.

A layer has the two halves of its cell (`cells`): ``drive``, what depends on the predecessor's
output alone, and ``step``, one step of the recurrence. Feedback from other layers is a term that
``feedback`` computes from their outputs.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.networks.cells import Cell, State, Variable, scoped
from convrnns_brainscore.networks.operations import (
    Tensor,
    constant,
    conv,
    einsum,
    elu,
    kernel,
    matmul,
    max_pool,
    mean,
)


class Layer:
    """One layer: named, fed by ``source`` (None: the image) and by the layers in ``feedback``."""

    def __init__(
        self, name: str, source: str | None, cell: Cell, output_shape: tuple[int, ...]
    ) -> None:
        self.name, self.source, self.cell = name, source, cell
        self.output_shape = output_shape
        self.feedback: Feedback | None = None

    @property
    def remembers(self) -> bool:
        """Whether a step depends on the step before."""
        return self.cell.state_count > 0

    def drive(self, source: Tensor) -> Any:
        """What depends on the predecessor's output alone."""
        raise NotImplementedError

    def step(
        self, drive: Any, state: State, feedback: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """One step: the layer's output and its next state."""
        raise NotImplementedError


class ConvLayer(Layer):
    """conv + bias → [elu] → cell → [elu] → [pool]."""

    def __init__(
        self,
        variable: Variable,
        name: str,
        source: str | None,
        cell: Cell,
        *,
        kernel: int,
        stride: int,
        depth_in: int,
        depth: int,
        elu_at: str,
        pooled: bool,
    ) -> None:
        size = -(-cell.size // 2) if pooled else cell.size
        super().__init__(name, source, cell, (size, size, cell.depth))
        self.kernel = variable("pre_0/weights_basenet", (kernel, kernel, depth_in, depth))
        self.bias = variable("pre_0/bias", (depth,))
        self.stride, self.elu_at, self.pooled = stride, elu_at, pooled

    def drive(self, source: Tensor) -> Any:
        x = conv(source, self.kernel, self.bias, self.stride)
        return self.cell.drive(elu(x) if self.elu_at == "before cell" else x, source)

    def step(
        self, drive: Any, state: State, feedback: Tensor | None = None
    ) -> tuple[Tensor, State]:
        y, state = self.cell(drive, state, feedback)
        y = elu(y) if self.elu_at == "after cell" else y
        return max_pool(y) if self.pooled else y, state


class ResidualBlock(Layer):
    """elu(post∗cell(elu(pre∗x + b)) + b' + x) → [pool]; x by a 1 × 1 conv where depths differ."""

    def __init__(
        self,
        variable: Variable,
        name: str,
        source: str | None,
        cell: Cell,
        *,
        depth_in: int,
        depth: int,
        pooled: bool,
    ) -> None:
        size = -(-cell.size // 2) if pooled else cell.size
        super().__init__(name, source, cell, (size, size, depth))
        self.pre = variable("pre_0/weights_basenet", (3, 3, depth_in, depth))
        self.pre_bias = variable("pre_0/bias", (depth,))
        self.post = variable("post_0/weights", (3, 3, depth, depth))
        self.post_bias = variable("post_0/bias", (depth,))
        self.shortcut = None
        if depth_in != depth:
            self.shortcut = variable("post_1/residual_add_weights", (1, 1, depth_in, depth))
        self.pooled = pooled

    def drive(self, source: Tensor) -> tuple[Any, Tensor]:
        x = elu(conv(source, self.pre, self.pre_bias))
        shortcut = source if self.shortcut is None else conv(source, self.shortcut)
        return self.cell.drive(x, source), shortcut

    def step(
        self, drive: tuple[Any, Tensor], state: State, feedback: Tensor | None = None
    ) -> tuple[Tensor, State]:
        cell_drive, shortcut = drive
        y, state = self.cell(cell_drive, state, feedback)
        y = elu(conv(y, self.post, self.post_bias) + shortcut)
        return max_pool(y) if self.pooled else y, state


class ConvReadout(Layer):
    """conv 2 × 2 VALID + bias → memory → mean over positions (shallow networks)."""

    def __init__(
        self, variable: Variable, name: str, source: str | None, cell: Cell, *, depth_in: int
    ) -> None:
        super().__init__(name, source, cell, (cell.depth,))
        self.kernel = variable("pre_1/weights", (2, 2, depth_in, cell.depth))
        self.bias = variable("pre_1/bias", (cell.depth,))

    def drive(self, source: Tensor) -> Any:
        x = conv(source, self.kernel, self.bias, padding="valid")
        return self.cell.drive(x, source)

    def step(self, drive: Any, state: State, feedback: None = None) -> tuple[Tensor, State]:
        y, state = self.cell(drive, state, feedback)
        return mean(y, axis=(1, 2)), state


class DenseReadout(Layer):
    """mean over positions → dense + bias → memory (intermediate networks)."""

    def __init__(
        self, variable: Variable, name: str, source: str | None, cell: Cell, *, depth_in: int
    ) -> None:
        super().__init__(name, source, cell, (cell.depth,))
        self.kernel = variable("pre_3/weights", (depth_in, cell.depth))
        self.bias = variable("pre_3/bias", (cell.depth,))

    def drive(self, source: Tensor) -> Any:
        x = matmul(mean(source, axis=(1, 2), keepdims=True), self.kernel) + self.bias
        return self.cell.drive(x, source)

    def step(self, drive: Any, state: State, feedback: None = None) -> tuple[Tensor, State]:
        y, state = self.cell(drive, state, feedback)
        return y[:, 0, 0], state


class Feedback:
    """Long-range feedback into a layer: 1 × 1 conv with bias on the sources' resized, concatenated
    outputs.

    The convolution commutes with the bilinear resize and splits over the concatenation, so it
    stands on each source's own, smaller maps.
    """

    def __init__(self, variable: Variable, sources: list[Layer], size: int, depth: int) -> None:
        self.sources = [source.name for source in sources]
        variable = scoped(variable, "ReciprocalGateCell/out")
        depths = [source.output_shape[-1] for source in sources]
        weights = variable("feedback_to_out_weights", (1, 1, sum(depths), depth))
        ends = np.cumsum(depths)
        self.kernels = [
            kernel(weights[:, :, end - n : end])
            for end, n in zip(ends.tolist(), depths, strict=True)
        ]
        self.bias = variable("feedback_to_out_bias", (depth,))
        self.resizes = [
            constant(bilinear(source.output_shape[0], size), like=self.bias) for source in sources
        ]

    def __call__(self, *outputs: Tensor) -> Tensor:
        term = self.bias
        for output, weights, resize in zip(outputs, self.kernels, self.resizes, strict=True):
            term = term + resized(conv(output, weights), resize)
        return term


def bilinear(size_in: int, size_out: int) -> NDArray[np.float32]:
    """The matrix [size_out, size_in] of a linear interpolation with aligned corners."""
    # In float32, as TensorFlow 1 places the positions.
    position = np.arange(size_out, dtype=np.float32) * np.float32((size_in - 1) / (size_out - 1))
    distance = np.abs(position[:, None] - np.arange(size_in, dtype=np.float32))
    return np.maximum(1 - distance, 0).astype(np.float32)


def resized(x: Tensor, matrix: Tensor) -> Tensor:
    """x [batch, n, n, depth] → [batch, m, m, depth], ``matrix`` [m, n] along both axes."""
    x = einsum("oh,bhwc->bowc", matrix, x)
    return einsum("pw,bowc->bopc", matrix, x)

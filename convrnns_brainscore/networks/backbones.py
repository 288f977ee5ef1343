"""The backbones as data: the layers of the shallow and the intermediate networks, and their cells.

`build` turns a row of the zoo into layers, asking for each variable by the name and shape that it
has in the published checkpoints (below ``tnn_model/``).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from convrnns_brainscore.networks import cells
from convrnns_brainscore.networks.layers import (
    ConvLayer,
    ConvReadout,
    DenseReadout,
    Feedback,
    Layer,
    ResidualBlock,
)
from convrnns_brainscore.zoo import Model

CLASSES = 1000
READOUT = "imnetds"
"""The readout over ImageNet's classes: the last layer of every network."""


@dataclass(frozen=True)
class Row:
    """One convolutional layer: ``size`` is the height = width of its convolution's output."""

    name: str
    block: str  # "conv", or "residual"
    kernel: int
    stride: int
    depth: int
    size: int
    elu: str  # "before cell", "after cell", "none" (residual blocks have their own)
    cell: bool  # the model's cell, or else a memory (which no checkpoint uses)
    pool: bool


# fmt: off
SHALLOW = (
    #   name      block       kernel stride depth size elu            cell   pool
    Row("conv1",  "conv",     7,     2,     64,   112, "before cell", False, True),
    Row("conv2",  "conv",     3,     1,     128,  56,  "before cell", False, True),
    Row("conv3",  "conv",     3,     1,     256,  28,  "none",        True,  True),
    Row("conv4",  "conv",     3,     1,     256,  14,  "none",        True,  True),
    Row("conv5",  "conv",     3,     1,     512,  7,   "none",        True,  True),
)
INTERMEDIATE = (
    Row("conv1",  "conv",     7,     2,     64,   112, "after cell",  False, True),
    Row("conv2",  "residual", 3,     1,     64,   56,  "none",        False, False),
    Row("conv3",  "residual", 3,     1,     64,   56,  "none",        False, False),
    Row("conv4",  "residual", 3,     1,     128,  56,  "none",        True,  True),
    Row("conv5",  "residual", 3,     1,     128,  28,  "none",        True,  False),
    Row("conv6",  "residual", 3,     1,     256,  28,  "none",        True,  True),
    Row("conv7",  "residual", 3,     1,     256,  14,  "none",        True,  True),
    Row("conv8",  "residual", 3,     1,     512,  7,   "none",        True,  False),
    Row("conv9",  "residual", 3,     1,     512,  7,   "none",        True,  False),
    Row("conv10", "residual", 3,     1,     512,  7,   "none",        True,  True),
)
INTERMEDIATE_RGC = (
    Row("conv1",  "conv",     7,     2,     64,   112, "after cell",  False, True),
    Row("conv2",  "conv",     3,     1,     128,  56,  "after cell",  False, False),
    Row("conv3",  "conv",     3,     1,     128,  56,  "after cell",  False, False),
    Row("conv4",  "conv",     3,     1,     128,  56,  "none",        True,  True),
    Row("conv5",  "conv",     3,     1,     128,  28,  "none",        True,  False),
    Row("conv6",  "conv",     3,     1,     256,  28,  "none",        True,  True),
    Row("conv7",  "conv",     3,     1,     256,  14,  "none",        True,  True),
    Row("conv8",  "conv",     3,     1,     256,  7,   "none",        True,  False),
    Row("conv9",  "conv",     3,     1,     512,  7,   "none",        True,  False),
    Row("conv10", "conv",     3,     1,     512,  7,   "none",        True,  True),
)
# fmt: on

FEEDBACK = {
    "conv5": ["conv8"],
    "conv6": ["conv7", "conv9"],
    "conv7": ["conv10"],
    "conv9": ["conv10"],
}
"""Intermediate rgc: layer ← the later layers that feed back into it, in the checkpoints' order."""

CELLS: dict[tuple[str, str], Callable[..., cells.Cell]] = {
    ("timedecay", "shallow"): cells.Memory,
    ("timedecay", "intermediate"): cells.Memory,
    ("simplernn", "shallow"): partial(cells.SimpleRNN, normalised=True),
    ("simplernn", "intermediate"): cells.SimpleRNN,
    ("gru", "shallow"): cells.GRU,
    ("gru", "intermediate"): cells.GRU,
    ("lstm", "shallow"): partial(cells.LSTM, normalised=True),
    ("lstm", "intermediate"): cells.LSTM,
    ("ugrnn", "shallow"): cells.UGRNN,
    ("ugrnn", "intermediate"): cells.UGRNN,
    ("intersectionrnn", "shallow"): cells.IntersectionRNN,
    ("intersectionrnn", "intermediate"): cells.IntersectionRNN,
    ("rgc", "shallow"): cells.ReciprocalGate,
    ("rgc", "intermediate"): cells.ReciprocalGateFeedback,
}

CELL_DEPTHS = {
    ("simplernn", "shallow"): {"conv3": 128, "conv4": 256, "conv5": 256},
    ("lstm", "shallow"): {"conv3": 128, "conv4": 256, "conv5": 256},
}
"""Where a cell's depth is not its layer's."""

CELL_OPTIONS: dict[tuple[str, str], dict[str, dict[str, Any]]] = {
    ("lstm", "shallow"): {
        "conv3": {"kernel": 2, "forget_bias": 1.3561755203084322},
        "conv4": {"kernel": 3, "forget_bias": 0.977962918535079, "peepholes": True},
        "conv5": {"kernel": 4, "forget_bias": 0.9249280259963113},
    },
}
"""What the search over architectures chose for a single layer's cell."""


def rows(cell: str, depth: str) -> tuple[Row, ...]:
    """The convolutional layers of a backbone, from the image on."""
    if depth == "shallow":
        return SHALLOW
    return INTERMEDIATE_RGC if cell == "rgc" else INTERMEDIATE


def layer_names(model: Model) -> list[str]:
    """The layers of ``model``, from the image on; the readout is the last."""
    return [row.name for row in rows(model.cell, model.depth)] + [READOUT]


def build(model: Model, variable: cells.Variable) -> list[Layer]:
    """The layers of ``model``, from the image on.

    Parameters
    ----------
    model : a row of the zoo.
    variable : gives each variable's value, from its name (below ``tnn_model/``) and shape.
    """
    kind = (model.cell, model.depth)
    layers: list[Layer] = []
    source, depth_in = None, 3
    for row in rows(*kind):
        scope = cells.scoped(variable, row.name)
        depth = CELL_DEPTHS.get(kind, {}).get(row.name, row.depth) if row.cell else row.depth
        sizes = cells.Sizes(row.size, depth, x_depth=row.depth, r_depth=depth_in)
        if row.cell:
            cell = CELLS[kind](scope, sizes, **CELL_OPTIONS.get(kind, {}).get(row.name, {}))
        else:
            cell = cells.Memory(scope, sizes)
        layer: Layer
        if row.block == "residual":
            assert source is not None
            layer = ResidualBlock(
                scope,
                row.name,
                source,
                cell,
                depth_in=depth_in,
                depth=row.depth,
                pooled=row.pool,
            )
        else:
            layer = ConvLayer(
                scope,
                row.name,
                source,
                cell,
                kernel=row.kernel,
                stride=row.stride,
                depth_in=depth_in,
                depth=row.depth,
                elu_at=row.elu,
                pooled=row.pool,
            )
        layers.append(layer)
        source, depth_in = layer.name, layer.output_shape[-1]

    if kind == ("rgc", "intermediate"):
        by_name = {layer.name: layer for layer in layers}
        for name, sources in FEEDBACK.items():
            layer = by_name[name]
            layer.feedback = Feedback(
                cells.scoped(variable, name),
                [by_name[later] for later in sources],
                layer.cell.size,
                layer.cell.depth,
            )

    assert source is not None
    scope = cells.scoped(variable, READOUT)
    readout, positions = (ConvReadout, 3) if model.depth == "shallow" else (DenseReadout, 1)
    memory = cells.Memory(scope, cells.Sizes(positions, CLASSES, CLASSES, depth_in))
    layers.append(readout(scope, READOUT, source, memory, depth_in=depth_in))
    return layers


def variable_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Each variable of the model's checkpoint and its shape."""
    from convrnns_brainscore.networks.decoders import build_decoder

    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str, shape: tuple[int, ...]) -> Any:
        shapes[f"tnn_model/{name}"] = shape
        return np.broadcast_to(np.float32(0), shape)

    build(model, record)
    build_decoder(model, record)
    return shapes

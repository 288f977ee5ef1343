"""From a row of the zoo to layers.

Each variable is asked for by the name and shape that it has in the published checkpoints (below
``tnn_model/``).
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from convrnns_brainscore.networks import backbones, cells
from convrnns_brainscore.networks.decoders import build_decoder
from convrnns_brainscore.networks.layers import (
    ConvLayer,
    ConvReadout,
    DenseReadout,
    Feedback,
    Layer,
    ResidualBlock,
)
from convrnns_brainscore.zoo import Model

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


def build(model: Model, variable: cells.Variable) -> list[Layer]:
    """The layers of ``model``, from the image on.

    Parameters
    ----------
    model : Model
        A row of the zoo.
    variable : Variable
        Gives each variable's value, from its name (below ``tnn_model/``) and shape.
    """
    layers: list[Layer] = []
    source, depth_in = None, 3
    for row in backbones.rows(model.cell, model.depth):
        scope = cells.scoped(variable, row.name)
        cell = _cell(model, row, scope, depth_in)
        layer: Layer
        if row.block == "residual":
            layer = ResidualBlock(
                scope, row.name, source, cell, depth_in=depth_in, depth=row.depth, pooled=row.pool
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
    _connect_feedback(model, layers, variable)

    scope = cells.scoped(variable, backbones.READOUT)
    readout, positions = (ConvReadout, 3) if model.depth == "shallow" else (DenseReadout, 1)
    sizes = cells.Sizes(positions, backbones.CLASSES, x_depth=backbones.CLASSES, r_depth=depth_in)
    memory = cells.Memory(scope, sizes)
    return [*layers, readout(scope, backbones.READOUT, source, memory, depth_in=depth_in)]


def _cell(model: Model, row: backbones.Row, variable: cells.Variable, depth_in: int) -> cells.Cell:
    """The model's cell where the row has one, else a memory."""
    kind = (model.cell, model.depth)
    if not row.cell:
        return cells.Memory(variable, cells.Sizes(row.size, row.depth, row.depth, depth_in))
    depth = backbones.CELL_DEPTHS.get(kind, {}).get(row.name, row.depth)
    options = backbones.CELL_OPTIONS.get(kind, {}).get(row.name, {})
    sizes = cells.Sizes(row.size, depth, x_depth=row.depth, r_depth=depth_in)
    return CELLS[kind](variable, sizes, **options)


def _connect_feedback(model: Model, layers: list[Layer], variable: cells.Variable) -> None:
    """Give the layers that receive long-range feedback their `Feedback`."""
    by_name = {layer.name: layer for layer in layers}
    for name, later in backbones.feedback(model.cell, model.depth).items():
        cell = by_name[name].cell
        sources = [by_name[source] for source in later]
        scope = cells.scoped(variable, name)
        by_name[name].feedback = Feedback(scope, sources, cell.size, cell.depth)


def variable_shapes(model: Model) -> dict[str, tuple[int, ...]]:
    """Each variable of the model's checkpoint and its shape."""
    shapes: dict[str, tuple[int, ...]] = {}

    def record(name: str, shape: tuple[int, ...]) -> Any:
        shapes[f"tnn_model/{name}"] = shape
        return np.broadcast_to(np.float32(0), shape)

    build(model, record)
    build_decoder(model, record)
    return shapes

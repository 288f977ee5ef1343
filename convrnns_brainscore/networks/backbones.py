"""The backbones as data: the layers of the shallow and the intermediate networks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError, unknown
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

INTERMEDIATE_RGC_FEEDBACK = {
    "conv5": ["conv8"],
    "conv6": ["conv7", "conv9"],
    "conv7": ["conv10"],
    "conv9": ["conv10"],
}
"""Layer ← the later layers that feed back into it, in the checkpoints' order."""

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


def feedback(cell: str, depth: str) -> dict[str, list[str]]:
    """Layer → the later layers that feed back into it."""
    return INTERMEDIATE_RGC_FEEDBACK if (cell, depth) == ("rgc", "intermediate") else {}


def layer_names(model: Model) -> list[str]:
    """The layers of ``model``, from the image on; the readout is the last."""
    return [row.name for row in rows(model.cell, model.depth)] + [READOUT]


def is_feed_forward(model: Model, layer: str) -> bool:
    """Whether a layer shows the same at each step at which it sees the image: there is no cell
    in it or before it, and nothing feeds back so far."""
    names = layer_names(model)
    first_cell = next(row.name for row in rows(model.cell, model.depth) if row.cell)
    return names.index(layer) < names.index(first_cell)


def output_shape(model: Model, layer: str) -> tuple[int, ...]:
    """The shape of one step's output of a layer: (height, width, channel), or (class,).

    Raises
    ------
    ConvRNNError
        The model has no such layer.
    """
    if layer == READOUT:
        return (CLASSES,)
    row = rows(model.cell, model.depth)[first_step(model, layer)]
    size = -(-row.size // 2) if row.pool else row.size
    depth = CELL_DEPTHS.get((model.cell, model.depth), {}).get(layer, row.depth)
    return size, size, depth


def neuroid_coordinates(shape: tuple[int, ...]) -> dict[str, NDArray[np.int64]]:
    """Where each neuroid of a layer stands, in the order of the flattened output.

    Parameters
    ----------
    shape : tuple of int
        (height, width, channel) or (channel,) of one step's output.
    """
    index = np.indices(shape).reshape(len(shape), -1)
    if len(shape) == 1:
        return {"channel": index[0]}
    return {"channel": index[2], "channel_x": index[1], "channel_y": index[0]}


def first_step(model: Model, layer: str) -> int:
    """The first step at which ``layer`` depends on the image: 0 for conv1, one more a layer.

    Raises
    ------
    ConvRNNError
        The model has no such layer.
    """
    names = layer_names(model)
    if layer not in names:
        hint = ""
        if layer == "conv6" and model.depth == "shallow":
            hint = (
                "The original documentation lists a conv6 for the shallow models, which have five "
                "convolutional layers."
            )
        raise unknown(f"layer of {model.name}", layer, names, hint)
    return names.index(layer)


def reported_steps(
    model: Model, layers: str | Iterable[str] | None, times: int, all_times: bool = False
) -> dict[str, range]:
    """The steps of each layer that the published zoo reports: from one after `first_step` on.

    Parameters
    ----------
    model : Model
        A row of the zoo.
    layers : str, iterable of str or None
        The layer or layers asked for; each counts once.
    times : int
        The number of steps of the presentation.
    all_times : bool, default False
        Every step from 0 instead.

    Raises
    ------
    ConvRNNError
        No or unknown layer, or one that the image does not reach in time.
    """
    if not isinstance(layers, str | Iterable | None):
        raise ConvRNNError(f"`layers={layers!r}`: expected names of layers.")
    layers = [layers] if isinstance(layers, str) else list(dict.fromkeys(layers or ()))
    if not layers:
        raise ConvRNNError(
            f"no layers asked for. {model.name} has {', '.join(layer_names(model))}."
        )
    steps = {}
    for layer in layers:
        first = first_step(model, layer)
        needed = first + (1 if all_times else 2)
        if times < needed:
            raise ConvRNNError(
                f"the image does not reach {layer} of {model.name} within `times={times}`; give at "
                f"least {needed} steps."
            )
        steps[layer] = range(0 if all_times else first + 1, times)
    return steps

"""Which variables of a network training can change."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError

PREFIX = "tnn_model/"
"""How the names of variables begin in the published checkpoints."""


def not_finite(name: str) -> ConvRNNError:
    """The error for a variable that training broke."""
    return ConvRNNError(
        f"variable {name} contains NaN or infinite values: the training diverged. Load the network "
        "again, and train with a smaller learning rate."
    )


def layer_of(name: str) -> str:
    """The layer that a variable belongs to, by its name in the checkpoint.

    Examples
    --------
    >>> layer_of("tnn_model/conv5/pre_0/bias")
    'conv5'
    """
    return name.removeprefix(PREFIX).split("/")[0]


def trained_names(
    values: Mapping[str, NDArray[Any]], layers: Collection[str] | None = None
) -> set[str]:
    """The variables that training can change; of ``layers`` alone, unless these are None."""
    return {name for name, value in values.items() if trains(name, value, layers)}


def trains(name: str, value: NDArray[Any], layers: Collection[str] | None = None) -> bool:
    """Whether training can change a variable; of ``layers`` alone, unless these are None.

    A decay of zero makes a layer without memory, which no checkpoint changes; the decoders choose a
    step, which has no gradient.
    """
    if layers is not None and layer_of(name) not in layers:
        return False
    leaf = name.rsplit("/", 1)[-1]
    if leaf == "memory_decay":
        return bool(value.any())
    return leaf not in ("softmax_beta", "decoder_threshold")

"""Lesions: a network without part of what makes it recurrent.

* ``"feedback"``: the long-range feedback terms are gone (with their bias).
* ``"recurrence"``: the cells' states are zero at every step.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.zoo import Model

KINDS = ("feedback", "recurrence")


@dataclass(frozen=True)
class Lesion:
    """What is silenced, where, and from when on.

    Parameters
    ----------
    kind : str
        ``"feedback"`` or ``"recurrence"``.
    layers : iterable of str, optional
        The layers that receive no feedback, or whose cells' states are zero; None: all that have
        any.
    first_step : int, default 0
        The step from which the lesion holds.
    """

    kind: str
    layers: Iterable[str] | None = None
    first_step: int = 0

    def silences(self, kind: str, layer: str, step: int) -> bool:
        """Whether ``layer`` is without its ``kind`` at ``step``."""
        return kind == self.kind and layer in (self.layers or ()) and step >= self.first_step

    def check_within(self, times: int) -> None:
        """Refuse a lesion that begins after the presentation: nothing would be lesioned.

        Raises
        ------
        ConvRNNError
            The lesion begins after the last of ``times`` steps.
        """
        if self.first_step >= times:
            raise ConvRNNError(
                f"the lesion begins at step {self.first_step}, after the {times} steps of the "
                "presentation: give a smaller `first_step=…`."
            )

    def __str__(self) -> str:
        """Exact enough to tell any two apart: ``feedback of conv5, conv6 from step 10``."""
        layers = "all layers" if self.layers is None else ", ".join(self.layers)
        return f"{self.kind} of {layers} from step {self.first_step}"


def lesion_of(model: Model, lesion: Lesion | str | None) -> Lesion | None:
    """``lesion`` with its layers by name, in the network's order; a string is a kind.

    Raises
    ------
    ConvRNNError
        Unknown kind; or the model has no such part, there or at all.
    """
    if lesion is None:
        return None
    if isinstance(lesion, str):
        lesion = Lesion(lesion)
    if not isinstance(lesion, Lesion):
        raise ConvRNNError(f"`lesion={lesion!r}`: expected one of {', '.join(KINDS)}, or a Lesion.")
    if lesion.kind not in KINDS:
        raise unknown("lesion", lesion.kind, KINDS)
    first = lesion.first_step
    if isinstance(first, bool) or not isinstance(first, int | np.integer) or first < 0:
        raise ConvRNNError(f"`first_step={first!r}`: expected a whole number of at least 0.")
    if lesion.kind == "feedback":
        having = list(backbones.feedback(model.cell, model.depth))
    else:
        having = [row.name for row in backbones.rows(model.cell, model.depth) if row.cell]
    if not having:
        raise ConvRNNError(f"{model.name} has no long-range feedback to lesion.")
    if not isinstance(lesion.layers, Iterable | None):
        raise ConvRNNError(f"lesion of `layers={lesion.layers!r}`: expected names of layers.")
    asked = [lesion.layers] if isinstance(lesion.layers, str) else lesion.layers
    layers = having if asked is None else list(asked)
    for layer in layers:
        if layer not in having:
            raise unknown(f"layer with {lesion.kind} of {model.name}", layer, having)
    if not layers:
        raise ConvRNNError(
            f"the lesion names no layers; layers with {lesion.kind} in {model.name}: "
            f"{', '.join(having)}."
        )
    return Lesion(lesion.kind, tuple(name for name in having if name in layers), int(first))

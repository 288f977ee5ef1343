"""What models look like in every figure: told apart by colour, by marker and by dashes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from convrnns_brainscore.fits import control

# Okabe & Ito's colours, which the colour-blind tell apart; their yellow is too pale for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# matplotlib's names, and plotly's.
_MARKERS = (("o", "circle"), ("s", "square"), ("D", "diamond"), ("^", "triangle-up"), ("v", "x"))
_DASHES = (("-", "solid"), ("--", "dash"), ("-.", "dashdot"), (":", "dot"))


@dataclass(frozen=True)
class Style:
    """Of one model's lines and dots; markers and dashes by matplotlib's and by plotly's names."""

    colour: str
    marker: tuple[str, str]
    dash: tuple[str, str]


def styles(models: Sequence[str]) -> dict[str, Style]:
    """Model → its style; the control is gray."""
    others = [model for model in models if model != control.NAME]
    found = {
        model: Style(colour, marker, _DASHES[index // len(_COLOURS) % len(_DASHES)])
        for index, (model, colour, marker) in enumerate(
            zip(others, cycle(_COLOURS), cycle(_MARKERS), strict=False)
        )
    }
    return {**found, control.NAME: Style("#808080", ("P", "cross"), ("-", "solid"))}

"""Colours and markers of models, and the provenance that figures hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from convrnns_brainscore._version import __version__
from convrnns_brainscore.fits import control
from convrnns_brainscore.provenance import PACKAGE

# Okabe & Ito's colours, which the colour-blind tell apart; their yellow is too pale for lines.
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
# matplotlib's names, and plotly's.
_MARKERS = (("o", "circle"), ("s", "square"), ("D", "diamond"), ("^", "triangle-up"), ("v", "x"))
_DASHES = (("-", "solid"), ("--", "dash"), ("-.", "dashdot"), (":", "dot"))


ONE_COLUMN, TWO_COLUMNS = 85 / 25.4, 180 / 25.4
"""Widths of journals' columns, in inches."""

LOOK: Any = {
    "font.size": 7,
    "axes.titlesize": 7,
    "legend.fontsize": 6,
    "lines.linewidth": 1,
    "lines.markersize": 3,
    "axes.linewidth": 0.6,
    "pdf.fonttype": 42,  # fonts are embedded whole, so that an editor can change the text
}
"""matplotlib's settings of these figures."""


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


def legend_below(axes: Axes, below: float = 0.2) -> None:
    """A legend below the panel, where it hides no data; the figure grows with its lines.

    Parameters
    ----------
    axes : Axes
        The panel.
    below : float, default 0.2
        Its distance, as a share of the panel's height.
    """
    drawn = axes.legend(loc="upper center", bbox_to_anchor=(0.5, -below), frameon=False)
    lines = sum(text.get_text().count("\n") + 1 for text in drawn.get_texts())
    place = axes.get_subplotspec()
    rows = place.get_gridspec().nrows if place else 1
    figure = axes.get_figure(root=True)
    if figure is not None:
        figure.set_figheight(max(figure.get_figheight(), rows * (2.5 + below + 0.12 * lines)))


def save_figure(
    figure: Figure, path: Path, models: Sequence[str], kind: str, dpi: int = 150
) -> None:
    """Write a figure that says in its metadata which models it shows, and that has no date, so that
    the same numbers give the same bytes.

    Parameters
    ----------
    figure : Figure
        The figure.
    path : path
        The file.
    models : sequence of str
        As `provenance.display_name` calls them.
    kind : str
        ``"pdf"``, ``"svg"`` or ``"png"``.
    dpi : int, default 150
        Dots per inch of what is not drawn in lines.
    """
    shown = ", ".join(models)
    metadata: dict[str, dict[str, Any]] = {
        "pdf": {"CreationDate": None, "Subject": shown},
        "svg": {"Date": None, "Description": shown},
        "png": {"Description": shown, PACKAGE: __version__},
    }
    figure.savefig(path, format=kind, dpi=dpi, metadata=metadata.get(kind))

"""Figures of scores over time, by matplotlib."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure

from convrnns_brainscore.report.style import save_figure, styles
from convrnns_brainscore.weights import FINE_TUNED, UNTRAINED


def draw_scores(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Temporal scores over time, one panel a benchmark, to an image file.

    Above: the raw correlation of each bin with the ceiling; below: the ceiled value. Undefined bins
    stay blank.

    Parameters
    ----------
    records : sequence of mapping of str to object
        As in a score's JSON file.
    path : path
        The file to write; its suffix says the format.
    """
    names = list(dict.fromkeys(record["benchmark"] for record in records))
    looks = styles(list(dict.fromkeys(record["model"] for record in records)))
    figure = Figure(figsize=(5 * len(names) + 0.6, 5.4), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False, sharex="col", sharey="row")
    if len(records) == 1:
        figure.suptitle(_name(records[0]), fontsize=9)
    for column, name in enumerate(names):
        raw_axes, ceiled_axes = panels[:, column]
        raw_axes.set_title(name, fontsize=9)
        of_name = [record for record in records if record["benchmark"] == name]
        bins = of_name[0]["bins"]
        middle = [(one["start"] + one["end"]) / 2 for one in bins]
        ceiling = [_or_nan(one["ceiling"]) for one in bins]
        if np.isfinite(ceiling).any():
            raw_axes.plot(
                middle, ceiling, color="0.5", linestyle="--", label="ceiling (reliability)"
            )
        for record in of_name:
            look = looks[record["model"]]
            style = {
                "color": look.colour,
                "marker": look.marker[0],
                "linestyle": look.dash[0],
                "markersize": 4,
            }
            for axes, value in ((raw_axes, "raw"), (ceiled_axes, "ceiled")):
                values = [
                    np.nan if one["ceiled"] is None else _or_nan(one[value])
                    for one in record["bins"]
                ]
                axes.plot(middle, values, label=_name(record), **style)
        for axes in (raw_axes, ceiled_axes):
            axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ceiled_axes.axhline(1, color="0.5", linestyle="--", linewidth=0.8)
        ceiled_axes.set_xlabel("time from image onset (ms)")
        raw_axes.legend(fontsize=7)
    panels[0, 0].set_ylabel("raw correlation r")
    panels[1, 0].set_ylabel("ceiled value")
    save_figure(figure, path, list(dict.fromkeys(map(_name, records))), path.suffix[1:])


def _name(record: Mapping[str, Any]) -> str:
    """The identifier, which says by itself that weights are untrained or fine-tuned."""
    weights = record["made_by"]["weights"]
    own = weights.startswith((UNTRAINED, FINE_TUNED))
    return str(record["model"]) if own else f"{record['model']} ({weights})"


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value

"""Figures. Each function draws one from finished numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.timing import MS_PER_STEP


def geometry_figure(
    similarities: Mapping[str, xr.DataArray],
    presentation: Presentation,
    title: str,
    path: Path,
) -> None:
    """Similarity of geometries, layer × time, one panel a model, to an image file.

    Undefined cells (the image is not yet at the layer, or every image gives the same) stay blank.

    Parameters
    ----------
    similarities : panel title → layer × time_bin.
    presentation : when the image was on; the same for all panels.
    title : above all panels.
    path : the file to write; its suffix says the format.
    """
    figure = Figure(figsize=(4.6 * len(similarities) + 1.2, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, len(similarities), squeeze=False)[0]
    limit = max(float(np.nanmax(np.abs(values))) for values in similarities.values())
    for axes, (name, values) in zip(panels, similarities.items(), strict=True):
        layers, times = values.sizes["layer"], values.sizes["time_bin"]
        image = axes.imshow(
            values.values,
            aspect="auto",
            origin="lower",
            extent=(0, times * MS_PER_STEP, -0.5, layers - 0.5),
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        axes.set_facecolor("0.88")
        axes.set_yticks(range(layers), values["layer"].values)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("time from image onset (ms)")
        for time, label in ((0, "image on"), (presentation.image_off, "image off")):
            if time is None:
                continue
            axes.axvline(time * MS_PER_STEP, color="black", linewidth=1.2, linestyle="--")
            axes.annotate(
                label,
                (time * MS_PER_STEP, layers - 0.5),
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
    figure.colorbar(image, ax=panels, label="similarity to macaque IT (Spearman)")
    figure.savefig(path, dpi=150)


def score_figure(records: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Temporal scores over time, one panel a benchmark, to an image file.

    Above: the raw correlation of each bin with the ceiling; below: the ceiled value. Undefined bins
    stay blank.

    Parameters
    ----------
    records : as in a score's JSON file.
    path : the file to write; its suffix says the format.
    """
    names = list(dict.fromkeys(record["benchmark"] for record in records))
    figure = Figure(figsize=(5 * len(names) + 0.6, 5.4), layout="constrained")
    panels = figure.subplots(2, len(names), squeeze=False, sharex="col", sharey="row")
    if len(records) == 1:
        figure.suptitle(f"{records[0]['model']} ({records[0]['made_by']['weights']})", fontsize=9)
    for column, name in enumerate(names):
        raw_axes, ceiled_axes = panels[:, column]
        raw_axes.set_title(name, fontsize=9)
        of_name = [record for record in records if record["benchmark"] == name]
        bins = of_name[0]["bins"]
        middle = [(one["start"] + one["end"]) / 2 for one in bins]
        ceiling = [_or_nan(one["ceiling"]) for one in bins]
        raw_axes.plot(middle, ceiling, color="0.5", linestyle="--", label="ceiling")
        for index, record in enumerate(of_name):
            label = f"{record['model']} ({record['made_by']['weights']})"
            style = {
                "color": f"C{index}",
                "marker": _MARKERS[index % len(_MARKERS)],
                "markersize": 4,
            }
            for axes, value in ((raw_axes, "raw"), (ceiled_axes, "ceiled")):
                values = [
                    np.nan if one["ceiled"] is None else _or_nan(one[value])
                    for one in record["bins"]
                ]
                axes.plot(middle, values, label=label, **style)
        for axes in (raw_axes, ceiled_axes):
            axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        ceiled_axes.axhline(1, color="0.5", linestyle="--", linewidth=0.8)
        ceiled_axes.set_xlabel("time from image onset (ms)")
        raw_axes.legend(fontsize=7)
    panels[0, 0].set_ylabel("raw correlation r")
    panels[1, 0].set_ylabel("ceiled value")
    figure.savefig(path, dpi=150)


_MARKERS = "os^Dv"


def _or_nan(value: float | None) -> float:
    return np.nan if value is None else value

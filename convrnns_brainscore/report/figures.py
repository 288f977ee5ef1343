"""Figures. Each function draws one from finished numbers."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import xarray as xr
from matplotlib.figure import Figure

from convrnns_brainscore.presentation import MS_PER_STEP, Presentation


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

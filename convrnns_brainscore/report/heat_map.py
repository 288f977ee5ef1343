"""A panel of layers × time bins, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colorbar import Colorbar
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from numpy.typing import NDArray

MOST_LABELS = 7
"""Labels of bins that fit beside each other below a panel."""


def heat_map(
    axes: Axes,
    values: NDArray[np.float64],
    layers: Sequence[str],
    bins: Sequence[tuple[float, float]],
    ends: tuple[float, float],
) -> AxesImage:
    """Draw values on a sequential scale; undefined ones stay gray.

    Parameters
    ----------
    axes : Axes
        The panel.
    values : float64 array [layer, bin]
    layers : sequence of str
        Names, from below.
    bins : sequence of (start, end)
        In ms.
    ends : (lowest, highest)
        The ends of the colour scale.
    """
    image = axes.imshow(
        values,
        aspect="auto",
        origin="lower",
        cmap="viridis",
        vmin=ends[0],
        vmax=ends[1],
        interpolation="nearest",
    )
    axes.set_facecolor("0.88")
    axes.set_yticks(range(len(layers)), layers)
    starts, stops = np.array(bins, float).T
    if (starts[1:] == stops[:-1]).all():
        edges = [*starts, stops[-1]]
        every = -(-len(edges) // MOST_LABELS)
        axes.set_xticks(
            np.arange(0, len(edges), every) - 0.5, [f"{edge:g}" for edge in edges[::every]]
        )
        axes.set_xlabel("edges of time bins (ms from image onset)")
    else:
        every = -(-len(bins) // (MOST_LABELS - 2))
        labels = [f"{start:g}–{end:g}" for start, end in bins[::every]]
        axes.set_xticks(range(0, len(bins), every), labels)
        axes.set_xlabel("time bin (ms from image onset)")
    return image


def colour_bar(figure: Figure, image: AxesImage, panels: Any, label: str) -> Colorbar:
    """A colour bar beside some panels, with zero marked where the scale contains it."""
    bar = figure.colorbar(image, ax=panels, label=label, aspect=15)
    if image.get_clim()[0] < 0:
        bar.ax.axhline(0, color="white", linewidth=1)
    return bar

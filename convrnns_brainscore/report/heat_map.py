"""A panel of layers × time bins, by matplotlib."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.image import AxesImage
from numpy.typing import NDArray


def heat_map(
    axes: Axes,
    values: NDArray[np.float64],
    layers: Sequence[str],
    starts: Sequence[float],
    limit: float,
) -> AxesImage:
    """Draw values from −limit to limit; undefined ones stay gray.

    Parameters
    ----------
    axes : Axes
        The panel.
    values : float64 array [layer, bin]
    layers : sequence of str
        Names, from below.
    starts : sequence of float
        Starts of the bins, in ms.
    limit : float
        The end of the colour scale.
    """
    image = axes.imshow(
        values,
        aspect="auto",
        origin="lower",
        cmap="RdBu_r",
        vmin=-limit,
        vmax=limit,
        interpolation="nearest",
    )
    axes.set_facecolor("0.88")
    axes.set_yticks(range(len(layers)), layers)
    every = max(1, len(starts) // 6)
    axes.set_xticks(range(0, len(starts), every), [f"{start:g}" for start in starts[::every]])
    axes.set_xlabel("start of bin (ms)")
    return image

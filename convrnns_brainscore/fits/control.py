"""The control beside every model: what the image itself predicts, without a network.

Gabor energy in six orientations and three frequencies, and colour, both averaged over a 7 × 7 grid:
what a retina and V1, seen from afar, would know (energy: Adelson & Bergen 1985).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.signal import fftconvolve
from skimage.filters import gabor_kernel

from convrnns_brainscore.images import load_images

GRID = 7
"""Cells across and down, over which energy and colour are averaged."""

ORIENTATIONS = 6
PERIODS = (4.0, 8.0, 16.0)
"""Wavelengths of the Gabor filters, in pixels of the image at 112 × 112."""

WIDTH = 112
LUMINANCE = (0.299, 0.587, 0.114)

FEATURES = "Gabor energy (6 orientations × 3 frequencies) and colour, on 7 × 7 cells"
NAME = "control"
LAYER = "image"
"""What the control is called where models and layers are."""


def image_features(filenames: Sequence[str], degrees: Sequence[float]) -> NDArray[np.float32]:
    """[stimulus, 1029]: energy (18 filters × 7 × 7), then colour (3 × 7 × 7).

    Parameters
    ----------
    filenames, degrees : the images and their width in degrees, shown as to the networks.
    """
    kernel: Any = gabor_kernel
    filters = [
        kernel(1 / period, theta=np.pi * orientation / ORIENTATIONS, bandwidth=1)
        for period in PERIODS
        for orientation in range(ORIENTATIONS)
    ]
    rows = []
    for filename, size in zip(filenames, degrees, strict=True):
        image = load_images([filename], [size])[0]
        small = _averaged(image, WIDTH)
        luminance = np.pad(small @ np.array(LUMINANCE, np.float32), 16, mode="reflect")
        energy = [
            abs(fftconvolve(luminance, each, mode="same"))[16:-16, 16:-16] for each in filters
        ]
        maps = np.concatenate([np.stack(energy, axis=-1), small], axis=-1)
        rows.append(np.moveaxis(_averaged(maps, GRID), -1, 0).ravel())
    return np.array(rows, np.float32)


def _averaged(image: NDArray[Any], width: int) -> NDArray[Any]:
    """[height, width, channel] averaged to ``width`` × ``width`` cells."""
    side = len(image) // width
    return image.reshape(width, side, width, side, -1).mean(axis=(1, 3))

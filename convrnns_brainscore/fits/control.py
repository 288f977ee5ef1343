"""The control: predictions from features of the image itself, without a network.

The features are Gabor energy in six orientations and three frequencies, and colour, both averaged
over a 7 × 7 grid: a coarse approximation of retina and V1 (energy: Adelson & Bergen 1985).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import fft
from skimage.filters import gabor_kernel

from convrnns_brainscore.image_batches import shown_by
from convrnns_brainscore.streams import CLIPS, Shown, steps_of

GRID = 7
"""Cells across and down, over which energy and colour are averaged."""

ORIENTATIONS = 6
PERIODS = (4.0, 8.0, 16.0)
"""Wavelengths of the Gabor filters, in pixels of the image at 112 × 112."""

WIDTH = 112
MARGIN = 16
"""Pixels by which the image is reflected beyond its edges."""

LUMINANCE = (0.299, 0.587, 0.114)

MOST_STEPS = 400
"""Of longer stimuli that change in time, about so many steps are looked at."""

FEATURES = "Gabor energy (6 orientations × 3 frequencies) and colour, on 7 × 7 cells"
NAME = "control"
LAYER = "image"
"""What the control is called where models and layers are."""


def image_features(stimuli: pd.DataFrame, off: NDArray[np.float32]) -> NDArray[np.float32]:
    """Gabor energy and colour of each image.

    Parameters
    ----------
    stimuli : DataFrame
        The images, ``filename`` and ``degrees``; they are shown as to the networks. Of a stimulus
        that changes in time, the average over the steps at which something of it is on.
    off : float32 array [1, 224, 224, 3]
        What is shown between the clips of stimuli that have times of their own.

    Returns
    -------
    float32 array [stimulus, 1029]
        Energy (18 filters × 7 × 7), then colour (3 × 7 × 7).
    """
    kernel: Any = gabor_kernel
    filters = [
        kernel(1 / period, theta=np.pi * orientation / ORIENTATIONS, bandwidth=1)
        for period in PERIODS
        for orientation in range(ORIENTATIONS)
    ]
    size = fft.next_fast_len(WIDTH + 2 * MARGIN + max(max(each.shape) for each in filters))
    spectra = np.stack([fft.fft2(each, (size, size)) for each in filters]).astype(np.complex64)
    # Where the image's first pixel stands in the full convolution with each filter.
    corners = [tuple(MARGIN + side // 2 for side in each.shape) for each in filters]

    def over_time(row: int) -> NDArray[np.float32]:
        shown = shown_by(stimuli.iloc[[row]], off)
        if not isinstance(shown, Shown):
            return features(shown[0])
        counts: dict[int, int] = {}
        images: dict[int, NDArray[np.float32]] = {}
        steps = range(steps_of([stimuli[CLIPS].iloc[row]]))
        for step in steps if len(steps) <= MOST_STEPS else steps[:: len(steps) // MOST_STEPS]:
            image = shown(step)
            if image is not off:
                images[id(image)] = image
                counts[id(image)] = counts.get(id(image), 0) + 1
        found = [features(images[each][0]) for each in counts]
        return np.average(found, axis=0, weights=list(counts.values())).astype(np.float32)

    def features(image: NDArray[np.float32]) -> NDArray[np.float32]:
        small = _averaged(image, WIDTH)
        luminance = np.pad(small @ np.array(LUMINANCE, np.float32), MARGIN, mode="reflect")
        filtered = abs(fft.ifft2(fft.fft2(luminance, (size, size)) * spectra))
        energy = [
            each[y : y + WIDTH, x : x + WIDTH]
            for each, (y, x) in zip(filtered, corners, strict=True)
        ]
        maps = np.concatenate([np.stack(energy, axis=-1), small], axis=-1)
        return np.moveaxis(_averaged(maps, GRID), -1, 0).ravel().astype(np.float32)

    with ThreadPoolExecutor() as pool:
        return np.array(list(pool.map(over_time, range(len(stimuli)))))


def _averaged(image: NDArray[Any], width: int) -> NDArray[Any]:
    """[height, width, channel] averaged to ``width`` × ``width`` cells."""
    side = len(image) // width
    return image.reshape(width, side, width, side, -1).mean(axis=(1, 3))

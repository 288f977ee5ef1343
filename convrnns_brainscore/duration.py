"""How long something will take on this machine, estimated before it begins."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.zoo import Model


@dataclass(frozen=True)
class Duration:
    """Seconds that features and fits will take; None: the fits are not estimated.

    Examples
    --------
    >>> str(Duration(120, 5)), str(Duration(9000, None))
    ('2 min (features 2 min, fits 5 s)', '2.5 h for the features; the fits are not estimated')
    """

    features: float
    fits: float | None

    def __str__(self) -> str:
        features = _rounded(self.features)
        if self.fits is None:
            return f"{features} for the features; the fits are not estimated"
        total = _rounded(self.features + self.fits)
        return f"{total} (features {features}, fits {_rounded(self.fits)})"


def feature_seconds(model: Model, stimuli: int, times: int) -> float:
    """Seconds to unroll a network for so many stimuli and steps."""
    share = times / Presentation.neural().times
    return stimuli * model.gflop * share / matrix_product_rate()


@lru_cache(1)
def matrix_product_rate() -> float:
    """GFLOP/s of a float32 matrix product on this machine, the better of two."""
    size = 2048
    values = np.ones((size, size), np.float32)
    return 2 * size**3 / min(seconds(lambda: values @ values) for _ in range(2)) / 1e9


def product_seconds(first: int, inner: int, second: int) -> float:
    """Seconds of a matrix product in double precision."""
    return 2 * first * inner * second / 1e9 / (matrix_product_rate() / 2)


def seconds(call: Callable[[], Any]) -> float:
    """Seconds that a call takes."""
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def _rounded(duration: float) -> str:
    """Whole seconds or minutes, or hours with one decimal."""
    if duration < 90:
        return f"{max(round(duration), 1)} s"
    if duration < 90 * 60:
        return f"{round(duration / 60)} min"
    return f"{duration / 3600:.1f} h"

"""How many threads matrix products use."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import scipy.linalg  # noqa: F401 - a library that is loaded later would not be found
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Matrix products of NumPy and SciPy use ``count`` threads meanwhile."""
    with _controller().limit(limits=count, user_api="blas"):
        yield


@cache
def _controller() -> ThreadpoolController:
    """Made once: a search for the loaded libraries takes 10 ms."""
    return ThreadpoolController()

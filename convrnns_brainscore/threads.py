"""How many threads compute, and how they wait for each other."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

SPINS = "5000"
"""Rounds of waiting before a thread sleeps: about 50 µs."""


def wait_briefly() -> None:
    """Let threads of PyTorch sleep when they wait, where the user has set nothing else.

    OpenMP's threads wait for each other after each operation. By default they keep their cores
    busy for milliseconds; if another process has one of these cores, an operation takes these
    milliseconds (``benchmarks/busy.py``). The setting counts for a PyTorch that is imported
    afterwards.
    """
    if "torch" not in sys.modules and "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)


@contextmanager
def blas_threads(count: int) -> Iterator[None]:
    """Matrix products of NumPy and SciPy use ``count`` threads meanwhile."""
    with _controller().limit(limits=count, user_api="blas"):
        yield


@cache
def _controller() -> Any:
    """Made once: a search for the loaded libraries takes 10 ms."""
    import scipy.linalg  # noqa: F401 - a library that is loaded later would not be found
    from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]

    return ThreadpoolController()

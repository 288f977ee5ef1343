"""How threads wait for each other."""

from __future__ import annotations

import os
import sys

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

"""A setting of a whole process, for as long as any thread needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any


class While:
    """Holds a context for as long as anybody is within it, in whichever thread.

    The first who enters enters the context, and the last who leaves leaves it, so that one thread
    does not take back what another still needs.

    Parameters
    ----------
    setting : callable
        Gives the context.
    """

    def __init__(self, setting: Callable[[], AbstractContextManager[Any]]) -> None:
        self._setting = setting
        self._lock = threading.Lock()
        self._within = 0
        self._held: AbstractContextManager[Any] | None = None

    def __enter__(self) -> None:
        with self._lock:
            if not self._within:
                held = self._setting()
                held.__enter__()
                self._held = held
            self._within += 1

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._within -= 1
            if not self._within and self._held is not None:
                self._held.__exit__(None, None, None)
                self._held = None

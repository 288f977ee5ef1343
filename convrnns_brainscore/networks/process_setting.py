"""A setting of a whole process, for as long as any thread needs it."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from convrnns_brainscore.errors import ConvRNNError


class ProcessSetting:
    """Holds a context for as long as anybody is within it, in whichever thread.

    The first who enters enters the context, and the last who leaves leaves it, so that one thread
    does not take back what another still needs. Threads that need another value of the setting wait
    until then.

    Parameters
    ----------
    setting : callable
        Gives the context of a value, its keyword.
    """

    def __init__(self, setting: Callable[..., AbstractContextManager[Any]]) -> None:
        self._setting = setting
        self._changed = threading.Condition()
        self._value: dict[str, Any] = {}
        self._threads: Counter[int] = Counter()
        self._held: AbstractContextManager[Any] | None = None

    @contextmanager
    def __call__(self, **value: Any) -> Iterator[None]:
        """The context of ``value``.

        Raises
        ------
        ConvRNNError
            This thread is within another value.
        """
        thread = threading.get_ident()
        with self._changed:
            if self._threads[thread] and self._value != value:
                raise ConvRNNError(
                    "a network of another precision is called while this thread computes one, as "
                    "by a hook: give both the same `precision=…`."
                )
            self._changed.wait_for(lambda: not self._threads.total() or self._value == value)
            if not self._threads.total():
                held = self._setting(**value)
                held.__enter__()
                self._held, self._value = held, value
            self._threads[thread] += 1
        try:
            yield
        finally:
            with self._changed:
                self._threads[thread] -= 1
                self._threads += Counter()  # forgets threads that are done
                if not self._threads.total() and self._held is not None:
                    self._held.__exit__(None, None, None)
                    self._held = None
                    self._changed.notify_all()

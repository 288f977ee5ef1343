"""The progress bar of all long work."""

from __future__ import annotations

from datetime import timedelta
from threading import Event, Thread

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from convrnns_brainscore.console import PlainConsole

EVERY = 60.0
"""Seconds between two lines where the output is not a terminal."""


def progress_bar(
    console: Console | None = None, *, unit: str = "", shown: bool = True, transient: bool = False
) -> Progress:
    """A bar with the count and the time left, on standard error; a line a minute where that is a
    file.

    Parameters
    ----------
    console : Console, optional
        None: standard error. A quiet console shows nothing.
    unit : str, default ''
        Of what is counted; with it, the speed is shown (``"images"``: images/s).
    shown : bool, default True
        False: there is no bar.
    transient : bool, default False
        The bar is removed at the end.
    """
    console = console or PlainConsole(stderr=True)
    moves = console.is_jupyter or (console.is_terminal and not console.is_dumb_terminal)
    return (Progress if moves else _Lines)(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        *([_Speed(unit)] if unit else []),
        TimeRemainingColumn(),
        console=console,
        disable=console.quiet or not shown,
        transient=transient,
        speed_estimate_period=600,
    )


class _Lines(Progress):
    """Lines instead of a bar, for output that cannot be written over, such as a job's log."""

    def start(self) -> None:
        """Begin to write lines."""
        super().start()
        self._ended = Event()
        if not self.disable:
            Thread(target=self._write, daemon=True).start()

    def stop(self) -> None:
        """Write the last line."""
        self._ended.set()
        super().stop()

    def _write(self) -> None:
        while not self._ended.wait(EVERY):
            for task in self.tasks:
                if task.finished:
                    continue
                left = task.time_remaining
                about = "" if left is None else f", about {timedelta(seconds=int(left))} left"
                count = f"{task.completed:.0f}/{task.total or 0:.0f}"
                line = f"{task.description} {count}{about}"
                self.console.print(line, soft_wrap=True)


class _Speed(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.2f} {self._unit}/s")

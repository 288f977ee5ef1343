"""The progress bar of all long work."""

from __future__ import annotations

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


def progress_bar(
    console: Console | None = None, *, unit: str = "", shown: bool = True, transient: bool = False
) -> Progress:
    """A bar with the count and the time left, on standard error.

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
    console = console or Console(stderr=True)
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        *([_Speed(unit)] if unit else []),
        TimeRemainingColumn(),
        console=console,
        disable=console.quiet or not shown,
        transient=transient,
        speed_estimate_period=600,
    )


class _Speed(ProgressColumn):
    """How many a second."""

    def __init__(self, unit: str) -> None:
        super().__init__()
        self._unit = unit

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text("" if speed is None else f"{speed:.2f} {self._unit}/s")

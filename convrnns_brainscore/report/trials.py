"""Tables of the outcome of each benchmark trial: on the terminal, as CSV and Markdown."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from rich.table import Table

from convrnns_brainscore.brainscore.benchmarks import list_benchmarks
from convrnns_brainscore.files import written_whole

if TYPE_CHECKING:
    from convrnns_brainscore.brainscore.trial.sweep import Trial

COLUMNS = ("benchmark", "request", "image on", "latency", "outcome", "comment")


def trial_table(trials: Sequence[Trial]) -> Table:
    """A row for each benchmark, and how many score."""
    counts = pd.Series([trial.outcome for trial in trials]).value_counts()
    told = ", ".join(f"{outcome}: {count}" for outcome, count in counts.items())
    table = Table(title=f"Benchmarks on synthetic stimuli: {told}")
    for column in COLUMNS:
        table.add_column(column, overflow="fold")
    for row in _rows(trials):
        table.add_row(*row)
    return table


def write_trials(trials: Sequence[Trial], path: Path, head: str = "") -> None:
    """Write the table to a file whose name ends as one of `WRITERS`; ``head`` begins Markdown."""
    with written_whole(path) as partial:
        partial.write_text(WRITERS[path.suffix](trials, head), encoding="utf-8")


def _csv(trials: Sequence[Trial], _: str) -> str:
    rows = [{**asdict(trial), "requests": "; ".join(trial.requests)} for trial in trials]
    return str(pd.DataFrame(rows).to_csv(index=False))


def _markdown(trials: Sequence[Trial], head: str) -> str:
    lines = [f"| {' | '.join(COLUMNS)} | data |", "|---" * (len(COLUMNS) + 1) + "|"]
    listed = list_benchmarks()
    data = {True: "public", False: "not public", None: "?"}
    for trial, row in zip(trials, _rows(trials), strict=True):
        known = listed.get(trial.name)
        cells = [*row, data[known.public if known else None]]
        lines.append(f"| {' | '.join(cell.replace('|', '/') for cell in cells)} |")
    return head + "\n".join(lines) + "\n"


def _rows(trials: Sequence[Trial]) -> list[tuple[str, ...]]:
    """The cells of `COLUMNS`."""
    rows: list[tuple[str, ...]] = []
    for trial in trials:
        recorded = "start_recording" in "".join(trial.requests)
        asked = [each for each in trial.requests if not each.startswith("look_at")]
        varied = any("require_variance=True" in each for each in trial.requests)
        rows.append(
            (
                trial.name,
                asked[0] + (" with variance" if varied else "") if asked else "–",
                trial.shown if recorded else "as in training" if asked else "–",
                f"{trial.latency_ms:g} ms" if recorded else "–",
                trial.outcome,
                trial.reason or ("" if np.isfinite(trial.score) else "NaN"),
            )
        )
    return rows


WRITERS: dict[str, Callable[[Sequence[Trial], str], str]] = {".csv": _csv, ".md": _markdown}
"""How the name of a table's file ends → what makes its text."""

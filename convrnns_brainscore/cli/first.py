"""What a new user runs first: a demonstration, and a look at the machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.cli.options import Checkpoints, Seed
from convrnns_brainscore.cli.requests import checkpoints_in, quiet_brain_score, start_quietly


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the figure.")] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare two ConvRNNs with real macaque IT on 92 photographs (about 5 minutes)."""
    quiet_brain_score()
    start_quietly()

    from rich.console import Console

    from convrnns_brainscore import demo as demonstration

    demonstration.run(out, checkpoints_in(checkpoints), seed, Console())

"""What a new user runs first: a look at the machine, and a demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.cli.groups import checkpoints_in, start_quietly
from convrnns_brainscore.cli.messages import say
from convrnns_brainscore.cli.options import Checkpoints, Seed


def doctor() -> None:
    """Tell whether this installation is whole: versions, devices, caches, checkpoints."""
    from convrnns_brainscore import doctor as look
    from convrnns_brainscore.console import PlainConsole

    console = PlainConsole()
    wrong = 0
    for title, lines in (
        ("Versions", look.versions),
        ("Backends and devices", look.backends),
        ("Folders", look.caches),
        ("Checkpoints", look.checkpoints),
    ):
        console.print(title, style="bold")
        try:
            for line in lines():
                console.print(f"  {line.name}: {line.found}", soft_wrap=True)
                if line.cure:
                    wrong += 1
                    console.print(f"    fix: {line.cure}", style="bold red", soft_wrap=True)
        except Exception as error:  # whatever it is that is broken, the rest is told
            wrong += 1
            console.print(f"  {type(error).__name__}: {error}", style="bold red", soft_wrap=True)
    if wrong:
        say(f"convrnns: {wrong} things to fix.", err=True)
        raise typer.Exit(1)
    console.print("All is well.")


def demo(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for the figure.")
    ] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare two ConvRNNs with real macaque IT on 92 photographs (about 5 minutes)."""
    from convrnns_brainscore.brainscore.internals import quieten

    quieten()
    start_quietly()

    from convrnns_brainscore import demo as demonstration
    from convrnns_brainscore.console import PlainConsole

    demonstration.run(out, checkpoints_in(checkpoints), seed, PlainConsole())

"""What a new user runs first: a look at the machine, and a demonstration."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.cli.groups import checkpoints_in, start_quietly
from convrnns_brainscore.cli.options import Checkpoints, Seed


def doctor() -> None:
    """Tell whether this installation is whole: versions, devices, caches, checkpoints."""
    from rich.console import Console
    from rich.markup import escape

    from convrnns_brainscore import doctor as look

    console = Console()
    wrong = 0
    for title, lines in (
        ("Versions", look.versions),
        ("Backends and devices", look.backends),
        ("Folders", look.caches),
        ("Checkpoints", look.checkpoints),
    ):
        console.print(f"[bold]{title}[/]")
        try:
            for line in lines():
                told = f"  {line.name}: {escape(line.found)}"
                if line.cure:
                    wrong += 1
                    told += f"\n    [bold red]mend:[/] {escape(line.cure)}"
                console.print(told, soft_wrap=True, highlight=False)
        except Exception as error:  # whatever it is that is broken, the rest is told
            wrong += 1
            console.print(f"  {type(error).__name__}: {escape(str(error))}", highlight=False)
    if wrong:
        typer.echo(f"convrnns: {wrong} things to mend.", err=True)
        raise typer.Exit(1)
    console.print("All is well.")


def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the figure.")] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare two ConvRNNs with real macaque IT on 92 photographs (about 5 minutes)."""
    from convrnns_brainscore.brainscore.internals import quieten

    quieten()
    start_quietly()

    from rich.console import Console

    from convrnns_brainscore import demo as demonstration

    demonstration.run(out, checkpoints_in(checkpoints), seed, Console())

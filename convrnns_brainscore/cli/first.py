"""The commands ``doctor`` and ``demo``."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.choices import BackendName, PrecisionName
from convrnns_brainscore.cli.groups import checkpoints_in, split_names, start_quietly
from convrnns_brainscore.cli.messages import say
from convrnns_brainscore.cli.options import Checkpoints, Device, Precision, Seed
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.zoo import find_model, list_models


def doctor(
    exact: Annotated[
        bool,
        typer.Option(
            "--exact",
            help="Instead, compare a backend's and device's outputs with the original code's.",
        ),
    ] = False,
    models: Annotated[
        str | None,
        typer.Option(
            "--models",
            help="For --exact: models separated by commas, or 'all'. [default: two models that "
            "together use every operation]",
            show_default=False,
        ),
    ] = None,
    backend: Annotated[
        BackendName | None,
        typer.Option("--backend", help="For --exact: tensorflow (default) or torch."),
    ] = None,
    device: Device = None,
    precision: Precision = PrecisionName.float32,
) -> None:
    """Check this installation.

    This covers versions, devices, caches and checkpoints.
    """
    if exact:
        _compare_with_the_original(models, backend or BackendName.tensorflow, device, precision)
        return
    chosen = models, device, backend
    if any(each is not None for each in chosen) or precision != PrecisionName.float32:
        raise ConvRNNError("--models, --backend, --device and --precision need --exact.")

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
                    console.print(f"    problem: {line.cure}", style="bold red", soft_wrap=True)
        except Exception as error:  # whatever it is that is broken, the rest is told
            wrong += 1
            console.print(f"  {type(error).__name__}: {error}", style="bold red", soft_wrap=True)
    if wrong:
        say(f"convrnns: problems found: {wrong}.", err=True)
        raise typer.Exit(1)
    console.print("No problems found.")


def _compare_with_the_original(
    models: str | None, backend: BackendName, device: str | None, precision: PrecisionName
) -> None:
    version = start_quietly(backend, device, precision).version

    from convrnns_brainscore import goldens

    names = list(goldens.QUICK)
    if models is not None:
        asked = list_models() if models == "all" else split_names(models)
        if not asked:
            raise ConvRNNError("--models is empty: name models, or omit it.")
        names = [find_model(name).name for name in asked]
    say(f"{version}: largest deviation from TensorFlow 1.13.1, in units of the layer's std")
    beyond = []
    for name in names:
        found = goldens.deviations(name, backend, device, precision)
        say(f"{name}: " + ", ".join(f"{layer} {found[layer]:.1e}" for layer in found))
        # NaN is not exact either, and the worst.
        worst = max(found, key=lambda layer: (math.isnan(found[layer]), found[layer]))
        if not found[worst] <= goldens.EXACT:
            beyond.append(f"{worst} of {name}")
    if precision != PrecisionName.float32:
        say(f"These are the deviations of {precision}; the limit for float32 is {goldens.EXACT:g}.")
        return
    if beyond:
        say(f"convrnns: deviations above {goldens.EXACT:g}: {', '.join(beyond)}.", err=True)
        raise typer.Exit(1)
    say(f"All deviations are at most {goldens.EXACT:g}.")


def demo(
    out: Annotated[
        Path, typer.Option("--out", file_okay=False, help="Folder for the figures.")
    ] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare two ConvRNNs with macaque IT (about 90 seconds).

    The recording holds responses to 92 photographs. The demo also computes a temporal score and a
    fit.
    """
    from convrnns_brainscore.brainscore.internals import quieten

    quieten()
    start_quietly(BackendName.torch)

    from convrnns_brainscore import demo as demonstration
    from convrnns_brainscore.console import PlainConsole

    demonstration.run(out, checkpoints_in(checkpoints), seed, PlainConsole())

"""The command line: ``convrnns``.

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import signal
import sys
import warnings
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.convrnn import ConvRNN
    from convrnns_brainscore.presentation import Presentation

app = typer.Typer(
    name="convrnns",
    help="The 20 published ConvRNNs of Nayebi et al. (2022) for Brain-Score and your recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


class PresentationName(StrEnum):
    """How the image is shown over time."""

    default = "default"
    neural = "neural"
    constant = "constant"


Checkpoints = Annotated[
    Path,
    typer.Option(
        "--checkpoints", help="Folder of the published checkpoints, <model>/model.ckpt.index …"
    ),
]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="'random': an untrained network instead of a checkpoint's weights."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of random weights.")]


@app.command()
def models() -> None:
    """List the 20 models: presentation in training, decoder, published ImageNet accuracy."""
    from rich.console import Console
    from rich.table import Table

    from convrnns_brainscore.zoo import MODELS

    table = Table("model", "steps", "image off", "decoder", "top-1 %", "top-5 %")
    for model in MODELS.values():
        off = "never" if model.image_off is None else str(model.image_off)
        accuracy = f"{model.top1:.2f}", f"{model.top5:.2f}"
        table.add_row(model.name, str(model.times), off, model.decoder, *accuracy)
    Console().print(table)


@app.command()
def extract(
    model: Annotated[str, typer.Argument(help="A model; `convrnns models` lists them.")],
    images: Annotated[list[Path], typer.Argument(help="Image files or folders of images.")],
    out: Annotated[Path, typer.Option("--out", help="The Zarr store to write, ….zarr.")],
    layers: Annotated[str, typer.Option("--layers", help="Layers, separated by commas.")],
    presentation: Annotated[
        PresentationName,
        typer.Option("--presentation", help="default: as in training; neural: 100 of 260 ms."),
    ] = PresentationName.default,
    times: Annotated[
        int | None, typer.Option("--times", help="Number of 10 ms steps, instead.")
    ] = None,
    image_off: Annotated[
        int | None, typer.Option("--image-off", help="Step from which the image is off, instead.")
    ] = None,
    off: Annotated[
        str | None,
        typer.Option(
            "--off",
            help="What is shown when the image is off: a number in the normalised space (0.5, as "
            "in training), R,G,B in 0–255, or an image file.",
        ),
    ] = None,
    all_times: Annotated[
        bool, typer.Option("--all-times", help="Every step from 0, not from the layer's first.")
    ] = False,
    weights: Weights = None,
    seed: Seed = 0,
    checkpoints: Checkpoints = Path("ckpts"),
) -> None:
    """Extract time-resolved features of images to a Zarr store."""
    from convrnns_brainscore import images as image_files
    from convrnns_brainscore.networks.backbones import reported_steps
    from convrnns_brainscore.zoo import find_model

    # Most of what can be wrong with a request is found before TensorFlow takes seconds to start.
    paths = image_files.list_images(images)
    shown = _presentation(model, presentation, times, image_off, off)
    names = [name.strip() for name in layers.split(",") if name.strip()]
    reported_steps(find_model(model), names, shown.times, all_times)
    network = _network(model, weights, seed, checkpoints)

    from convrnns_brainscore.features import extract as write_features

    write_features(network, paths, names, out, shown, all_times=all_times, progress=True)
    typer.echo(f"{out}: {', '.join(names)} of {network!r} for {len(paths)} images")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the figure.")] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = Path("ckpts"),
) -> None:
    """Compare two ConvRNNs with real macaque IT on 92 photographs (3 minutes at most)."""
    # Brain-Score's progress bars and warnings about itself would cut up the tables.
    os.environ.setdefault("TQDM_DISABLE", "1")
    warnings.filterwarnings("ignore", category=FutureWarning, module="brainscore")
    _start_quietly()

    from rich.console import Console

    from convrnns_brainscore import demo as demonstration

    demonstration.run(out, checkpoints, seed, Console())


def main() -> None:
    """Run the command line; what the user can mend is one line and exit code 2."""
    # As a cluster's scheduler ends a job: what is half written is removed.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (ConvRNNError, OSError) as error:  # OSError: no space left, no permission …
        message = str(error)
    except typer.Abort:
        raise SystemExit(130) from None
    except Exception as error:
        # A usage error of typer's, whose class has moved between its versions.
        if not hasattr(error, "format_message"):
            raise
        message = error.format_message()
    else:
        raise SystemExit(code)
    typer.echo(f"convrnns: {message}", err=True)
    raise SystemExit(2)


def _presentation(
    model: str,
    name: PresentationName,
    times: int | None,
    image_off: int | None,
    off: str | None,
) -> Presentation:
    """The named presentation, with what the user asked to be different."""
    from convrnns_brainscore.presentation import Presentation

    if name is PresentationName.constant:
        if times is None:
            raise ConvRNNError("--presentation constant needs --times, the number of steps.")
        if image_off is not None or off is not None:
            raise ConvRNNError(
                "--presentation constant never turns the image off: omit --image-off and --off."
            )
        return Presentation.constant(times)
    base = Presentation.neural() if name is PresentationName.neural else Presentation.default(model)
    if times is None and image_off is None and off is None:
        return base
    if off is not None and image_off is None and base.image_off is None:
        raise ConvRNNError(
            f"--off needs --image-off: {model} was trained with the image always on."
        )
    times = base.times if times is None else times
    if image_off is None and base.image_off is not None:
        image_off = min(base.image_off, max(times, 1))  # a shorter presentation may end before
    return Presentation.custom(times, image_off, 0.5 if off is None else _parse_off(off))


def _parse_off(text: str) -> Any:
    """One number, R,G,B, or an image file."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return Path(text)
    return values[0] if len(values) == 1 else values


def _network(model: str, weights: str | None, seed: int, checkpoints: Path) -> ConvRNN:
    """The network with random weights or its checkpoint below ``checkpoints``."""
    from convrnns_brainscore.checkpoints import checkpoint_path, published_at

    if weights not in (None, "random"):
        raise ConvRNNError(f"--weights {weights}: the only choice is 'random'.")
    checkpoint = checkpoint_path(checkpoints, model)
    if weights is None and not checkpoint.parent.is_dir():
        raise ConvRNNError(
            f"no weights for {model}: there is no folder {checkpoint.parent}. Name the folder of "
            f"the checkpoints with --checkpoints, or give --weights random. {published_at(model)}"
        )
    _start_quietly()

    from convrnns_brainscore.convrnn import load_network

    if weights == "random":
        return load_network(model, weights="random", seed=seed)
    return load_network(model, checkpoint=checkpoint)


def _start_quietly() -> None:
    """Start TensorFlow without its C++ notes about absent GPUs, which would bury what we say.

    They are written before TensorFlow's own switch for them takes effect, so the file descriptor is
    closed to them. ``TF_CPP_MIN_LOG_LEVEL=0`` shows them.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            from convrnns_brainscore.networks import backend

            backend.start()
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if __name__ == "__main__":
    main()

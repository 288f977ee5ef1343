"""Commands of networks: the list, checkpoints, features of images."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convrnns_brainscore.choices import PresentationName
from convrnns_brainscore.cli.groups import (
    LesionOptions,
    TimeOptions,
    WeightOptions,
    checkpoints_in,
    grouped,
    model_names,
    split_names,
    start_quietly,
)
from convrnns_brainscore.cli.messages import say
from convrnns_brainscore.cli.options import (
    All,
    Checkpoints,
    FramesPerSecond,
    Models,
    Movie,
    Scheduler,
    StimulusDegrees,
)
from convrnns_brainscore.errors import ConvRNNError, missing

if TYPE_CHECKING:
    import pandas as pd

    from convrnns_brainscore.presentation import Presentation

SHOWN = 3
"""Stimuli whose times `extract` prints before it begins."""


def models() -> None:
    """List the 20 models and their published ImageNet accuracy."""
    from rich.table import Table

    from convrnns_brainscore.console import PlainConsole
    from convrnns_brainscore.zoo import MODELS

    table = Table("model", "steps", "image off", "decoder", "top-1 %", "top-5 %")
    for model in MODELS.values():
        off = "never" if model.image_off is None else str(model.image_off)
        accuracy = f"{model.top1:.2f}", f"{model.top5:.2f}"
        table.add_row(model.name, str(model.times), off, model.decoder, *accuracy)
    PlainConsole().print(table)


def download(
    models: Models = None,
    all_models: All = False,
    checkpoints: Checkpoints = None,
    base_address: Annotated[
        str | None,
        typer.Option("--from", help="Address of a mirror to download from.", show_default=False),
    ] = None,
) -> None:
    """Download the published checkpoints.

    Every variable is verified against its checksum.
    """
    names = model_names(models, all_models)
    folder = checkpoints_in(checkpoints)
    start_quietly()

    from convrnns_brainscore.download import BASE_ADDRESS
    from convrnns_brainscore.download import download as fetch

    for name in names:
        new = fetch(name, folder, base_address or BASE_ADDRESS, progress=True)
        say(f"{folder / name}: {'downloaded' if new else 'already there'}, verified")


def convert(
    models: Models = None,
    all_models: All = False,
    checkpoints: Checkpoints = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for <model>/model.safetensors. [default: the checkpoints' folder]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert checkpoints to .safetensors.

    These files have half the size, and are readable without TensorFlow.
    """
    from convrnns_brainscore.checkpoints import checkpoint_path, how_to_get, write_safetensors

    names = model_names(models, all_models)
    folder = checkpoints_in(checkpoints)
    bundles = [checkpoint_path(folder, name) for name in names]
    for name, bundle in zip(names, bundles, strict=True):
        if not bundle.with_name("model.ckpt.index").exists():
            raise ConvRNNError(f"there is no {bundle}.index to convert. {how_to_get(name)}")
    start_quietly()

    from convrnns_brainscore.networks.build import variable_shapes
    from convrnns_brainscore.weights import load_weights
    from convrnns_brainscore.zoo import find_model

    for name, bundle in zip(names, bundles, strict=True):
        model = find_model(name)
        values = load_weights(model, variable_shapes(model), checkpoint=bundle).values
        converted = checkpoint_path(out or folder, name).with_suffix(".safetensors")
        converted.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(converted, name, values)
        say(f"{converted}: {converted.stat().st_size / 1e6:.0f} MB")


@grouped
def extract(
    model: Annotated[str, typer.Argument(help="A model; `convrnns models` lists them.")],
    images: Annotated[
        list[str],
        typer.Argument(
            help="Image files, folders of images, patterns in quotes ('photos/**/*.png'), or a "
            ".csv with columns stimulus_id, filename and, if sizes differ, degrees."
        ),
    ],
    out: Annotated[
        Path,
        typer.Option(
            "--out", help="Output file: ….zarr or ….nc. Rerun the same command to resume."
        ),
    ],
    layers: Annotated[str, typer.Option("--layers", help="Layers, separated by commas.")],
    differing: TimeOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    presentation: Annotated[
        PresentationName,
        typer.Option(
            "--presentation",
            help="default: as in training; neural: image on for 100 of 260 ms; constant: always "
            "on.",
        ),
    ] = PresentationName.default,
    all_times: Annotated[
        bool,
        typer.Option(
            "--all-times",
            help="Write all steps, including those before the image reaches the layer.",
        ),
    ] = False,
    stimulus_degrees: StimulusDegrees = None,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="Skip and list files that are not images."),
    ] = False,
    batch_size: Annotated[
        str,
        typer.Option(
            "--batch-size",
            help="Images per batch, or 'auto': chosen from the GPU's free memory, at most 128 "
            "(torch).",
        ),
    ] = "8",
    movie: Movie = False,
    frames_per_second: FramesPerSecond = None,
    dry_run: Annotated[
        bool,
        typer.Option(
            "--dry-run", help="Print what each step shows and what would be written, and stop."
        ),
    ] = False,
    scheduler: Scheduler = None,
) -> None:
    """Extract features of images or movies over time.

    They are written to a Zarr store or a netCDF file.

    Rerun the same command to resume an interrupted extraction.
    """
    from convrnns_brainscore.batch_size import check_batch_size
    from convrnns_brainscore.networks.backbones import reported_steps
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.stores import check_out
    from convrnns_brainscore.streams import CLIPS
    from convrnns_brainscore.zoo import find_model

    # Most of what can be wrong with a request is found before TensorFlow takes seconds to start.
    check_out(out)
    stimuli, left_out = read_stimuli(
        images, stimulus_degrees, movies=movie, frames_per_second=frames_per_second
    )
    shown = differing.presentation(model, presentation, stimuli)
    names = split_names(layers)
    steps = reported_steps(find_model(model), names, shown.times, all_times)
    lesioned = lesion.of(model)
    if lesioned is not None:
        lesioned.check_within(shown.times)
    size = int(batch_size) if batch_size.isdigit() else batch_size
    check_batch_size(size)
    weights.check_choice()
    if dry_run:
        _print_plan(model, stimuli, shown, steps, out, skip_broken)
        return
    network = weights.network(model, lesioned)

    from convrnns_brainscore import features
    from convrnns_brainscore.cluster import workers

    folders = [name for name in left_out if name.endswith(os.sep)]
    others = [name for name in left_out if name not in folders]
    if folders:
        say(f"Subfolders are not searched: {', '.join(folders)} ('**/*' searches them).", err=True)
    if others:
        say(
            f"Excluded, since their names do not end like those of images: {', '.join(others)}",
            err=True,
        )
    with workers(scheduler, weights.start()) as who:
        skipped = features.extract(
            network,
            stimuli,
            names,
            out,
            shown,
            all_times=all_times,
            batch_size=size,
            skip_broken=skip_broken,
            progress=True,
            workers=who,
        )
    for problem in skipped:
        say(f"Skipped: {problem}", err=True)
    extracted = len(stimuli) - len(skipped)
    one, more = ("stimulus", "stimuli") if CLIPS in stimuli else ("image", "images")
    count = f"{extracted} {one if extracted == 1 else more}"
    say(f"{out}: {', '.join(names)} of {network!r} for {count}")


def _print_plan(
    model: str,
    stimuli: pd.DataFrame,
    shown: Presentation,
    steps: Mapping[str, range],
    out: Path,
    skip_broken: bool,
) -> None:
    """What `extract` would show, and write."""
    from math import prod

    from rich.filesize import decimal

    from convrnns_brainscore.networks.backbones import output_shape
    from convrnns_brainscore.streams import CLIPS, notes, time_line
    from convrnns_brainscore.timing import MS_PER_STEP
    from convrnns_brainscore.zoo import find_model

    absent = [name for name in stimuli["filename"] if not Path(name).exists()]
    if absent and not (skip_broken and len(absent) < len(stimuli)):
        raise missing(Path(absent[0]), f"no such image file: {absent[0]}.")
    stimuli = stimuli[~stimuli["filename"].isin(absent)]
    count = f"{len(stimuli)} {'stimulus' if len(stimuli) == 1 else 'stimuli'}"
    say(f"{model}: {count}, {shown.times} steps of {MS_PER_STEP} ms")
    if CLIPS in stimuli:
        for name, clips in list(zip(stimuli["stimulus_id"], stimuli[CLIPS], strict=True))[:SHOWN]:
            say("\n  ".join([f"stimulus {name}", *time_line(clips, shown)]))
        if len(stimuli) > SHOWN:
            say(f"and {len(stimuli) - SHOWN} more")
        for note in notes(stimuli[CLIPS], shown.times):
            say(f"Note: {note}")
    else:
        say("\n  ".join(["each stimulus", *shown.time_line()]))
    for note in shown.mask_notes(stimuli["degrees"]):
        say(f"Note: {note}")
    for name in absent:
        say(f"Skipped: {missing(Path(name), f'no such image file: {name}.')}", err=True)
    size = 0
    for layer, each in steps.items():
        neuroids = prod(output_shape(find_model(model), layer))
        size += 4 * len(stimuli) * neuroids * len(each)
        say(
            f"{layer}: {neuroids:,} neuroids × {len(each)} time bins, from "
            f"{each.start * MS_PER_STEP} to {each.stop * MS_PER_STEP} ms"
        )
    say(f"{out} would take up to {decimal(size)}. Nothing was written.")


@grouped
def imagenet(
    images: Annotated[
        Path,
        typer.Argument(
            help="Validation images: a folder with one subfolder per class, named by its WordNet "
            "id, or a .csv with columns filename and label."
        ),
    ],
    weights: WeightOptions,
    models: Models = None,
    all_models: All = False,
    first_label: Annotated[
        int | None,
        typer.Option(
            "--first-label",
            help="Number of the first class, 0 or 1, if labels are numbers. [default: 0 if the "
            "labels contain 0; otherwise it must be given]",
            min=0,
            max=1,
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the predictions; rerun the same command to resume.",
        ),
    ] = Path("imagenet"),
) -> None:
    """Measure top-1 and top-5 ImageNet accuracy.

    The table also shows the published values.
    """
    names = model_names(models, all_models)
    networks = LesionOptions().beside_whole(names, weights)
    weights.start()

    from convrnns_brainscore.imagenet import measure, read_labelled
    from convrnns_brainscore.progress import progress_bar
    from convrnns_brainscore.report.tables import imagenet_table, wide_console

    with progress_bar(unit="images", transient=True) as progress:
        labelled = read_labelled(images, first_label, progress)
    with progress_bar(unit="images") as progress:
        found = [measure(load(), labelled, out, progress) for load in networks.values()]
    wide_console().print(imagenet_table(found))
    for each in found:
        if each.suspect and weights.weights is None:
            say(
                f"{each.model} is correct for {100 * each.top1:.2f} % of the images, which is near "
                "chance: the labels are probably not in the order of the sorted WordNet ids.",
                err=True,
            )

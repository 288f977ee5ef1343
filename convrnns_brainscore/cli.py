"""The command line: ``convrnns``.

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import os
import signal
import sys
import warnings
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.convrnn import ConvRNN
    from convrnns_brainscore.networks.lesions import Lesion
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


class MethodName(StrEnum):
    """How responses are predicted from features."""

    pls = "pls"
    ridge = "ridge"


class SolverName(StrEnum):
    """What carries out the fits of Brain-Score's metrics."""

    brainscore = "brainscore"
    exact = "exact"


class FigureName(StrEnum):
    """Figures of fits for papers."""

    over_time = "over-time"
    layers = "layers"
    neurons = "neurons"
    differences = "differences"


class TimeName(StrEnum):
    """Whose the weights of a fit are."""

    per_bin = "per-bin"
    shared = "shared"


Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        help="Folder of the checkpoints, <model>/model.ckpt.… or <model>/model.safetensors. "
        "[default: $CONVRNNS_CHECKPOINTS, or the user's cache folder]",
        show_default=False,
    ),
]
Models = Annotated[
    list[str] | None,
    typer.Argument(help="Models; `convrnns models` lists them.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All 20 models.")]
Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="'random': an untrained network instead of a checkpoint's weights."
    ),
]
Seed = Annotated[int, typer.Option("--seed", help="Seed of random weights.")]
Times = Annotated[int | None, typer.Option("--times", help="Number of 10 ms steps, instead.")]
ImageOff = Annotated[
    int | None, typer.Option("--image-off", help="Step from which the image is off, instead.")
]
Off = Annotated[
    str | None,
    typer.Option(
        "--off",
        help="What is shown when the image is off: a number in the normalised space (0.5, as in "
        "training), R,G,B in 0–255, or an image file.",
    ),
]
StimulusDegrees = Annotated[
    float | None,
    typer.Option(
        "--stimulus-degrees",
        help="Width of the stimuli in degrees: they are placed at that size on the model's "
        "8-degree field, on gray. [default: they fill it]",
        show_default=False,
    ),
]
LesionKind = Annotated[
    str | None,
    typer.Option(
        "--lesion",
        help="'feedback': no long-range feedback; 'recurrence': cell states zero.",
        show_default=False,
    ),
]
LesionLayers = Annotated[
    str | None,
    typer.Option(
        "--lesion-layers",
        help="Layers of the lesion, separated by commas. [default: all that have any]",
        show_default=False,
    ),
]
LesionFrom = Annotated[
    int | None,
    typer.Option(
        "--lesion-from",
        help="Step from which the lesion holds. [default: 0]",
        show_default=False,
    ),
]


Stimuli = Annotated[
    list[str],
    typer.Option(
        "--stimuli",
        help="The stimuli: a folder of images, a pattern in quotes, or a .csv with columns "
        "stimulus_id, filename and, if sizes differ, degrees.",
    ),
]
Regions = Annotated[
    str | None,
    typer.Option(
        "--regions",
        help="Regions, separated by commas. [default: all in the recording]",
        show_default=False,
    ),
]
Window = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        help="Average to one bin, start and end in ms. [default: the recording's bins]",
        show_default=False,
    ),
]
Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="A Dask scheduler, tcp://host:8786, whose workers do the work. [default: here]",
        show_default=False,
    ),
]
Intervals = Annotated[
    str | None,
    typer.Option(
        "--intervals",
        help="NWB: the table of presentations. [default: the one that has stimuli]",
        show_default=False,
    ),
]
StimulusColumn = Annotated[
    str | None,
    typer.Option(
        "--stimulus-column",
        help="NWB: its column of what was shown. [default: stimulus_id, image, …]",
        show_default=False,
    ),
]
RegionOf = Annotated[
    str | None,
    typer.Option(
        "--region-of",
        help="NWB: units on electrodes of several regions: 'first' electrode's, or 'leave-out'.",
        show_default=False,
    ),
]
Locations = Annotated[
    list[str] | None,
    typer.Option(
        "--location",
        help="NWB: what the file calls an area, and its region: 'TE=IT'. As often as needed.",
        show_default=False,
    ),
]


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
def download(
    models: Models = None,
    all_models: All = False,
    checkpoints: Checkpoints = None,
    base_address: Annotated[
        str | None,
        typer.Option(
            "--from", help="Address of a mirror, instead of the authors'.", show_default=False
        ),
    ] = None,
) -> None:
    """Download published checkpoints, and check every variable in them."""
    names = _names(models, all_models)
    folder = _folder(checkpoints)
    _start_quietly()

    from convrnns_brainscore.download import BASE_ADDRESS
    from convrnns_brainscore.download import download as fetch

    for name in names:
        new = fetch(name, folder, base_address or BASE_ADDRESS, progress=True)
        typer.echo(f"{folder / name}: {'downloaded' if new else 'there already'}, and whole")


@app.command()
def convert(
    models: Models = None,
    all_models: All = False,
    checkpoints: Checkpoints = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            help="Folder for <model>/model.safetensors. [default: that of the checkpoints]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert checkpoints to .safetensors: half the size, and read without TensorFlow."""
    from convrnns_brainscore.checkpoints import checkpoint_path, how_to_get, write_safetensors

    names = _names(models, all_models)
    folder = _folder(checkpoints)
    bundles = [checkpoint_path(folder, name) for name in names]
    for name, bundle in zip(names, bundles, strict=True):
        if not bundle.with_name("model.ckpt.index").exists():
            raise ConvRNNError(f"there is no {bundle}.index to convert. {how_to_get(name)}")
    _start_quietly()

    from convrnns_brainscore.networks.build import variable_shapes
    from convrnns_brainscore.weights import load_weights
    from convrnns_brainscore.zoo import find_model

    for name, bundle in zip(names, bundles, strict=True):
        model = find_model(name)
        values = load_weights(model, variable_shapes(model), checkpoint=bundle).values
        converted = checkpoint_path(out or folder, name).with_suffix(".safetensors")
        converted.parent.mkdir(parents=True, exist_ok=True)
        write_safetensors(converted, name, values)
        typer.echo(f"{converted}: {converted.stat().st_size / 1e6:.0f} MB")


@app.command()
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
            "--out", help="What to write: ….zarr or ….nc. The same command again goes on."
        ),
    ],
    layers: Annotated[str, typer.Option("--layers", help="Layers, separated by commas.")],
    presentation: Annotated[
        PresentationName,
        typer.Option("--presentation", help="default: as in training; neural: 100 of 260 ms."),
    ] = PresentationName.default,
    times: Times = None,
    image_off: ImageOff = None,
    off: Off = None,
    all_times: Annotated[
        bool, typer.Option("--all-times", help="Every step from 0, not from the layer's first.")
    ] = False,
    stimulus_degrees: StimulusDegrees = None,
    lesion: LesionKind = None,
    lesion_layers: LesionLayers = None,
    lesion_from: LesionFrom = None,
    skip_broken: Annotated[
        bool,
        typer.Option("--skip-broken", help="Leave out, and list, files that are no images."),
    ] = False,
    batch_size: Annotated[
        int | None,
        typer.Option("--batch-size", help="Images at a time. [default: 8]", show_default=False),
    ] = None,
    weights: Weights = None,
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
    scheduler: Scheduler = None,
) -> None:
    """Extract time-resolved features of images to a Zarr store or a netCDF file.

    Interrupted or killed, it goes on where it was when the same command is given again.
    """
    from convrnns_brainscore.networks.backbones import reported_steps
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.stores import check_out
    from convrnns_brainscore.zoo import find_model

    # Most of what can be wrong with a request is found before TensorFlow takes seconds to start.
    check_out(out)
    stimuli, left_out = read_stimuli(images, stimulus_degrees)
    shown = _presentation(model, presentation, times, image_off, off)
    names = _split(layers)
    reported_steps(find_model(model), names, shown.times, all_times)
    cut = _lesion(model, lesion, lesion_layers, lesion_from)
    network = _network(model, weights, seed, checkpoints, cut)

    from convrnns_brainscore.cluster import workers
    from convrnns_brainscore.convrnn import BATCH_SIZE
    from convrnns_brainscore.features import extract as write_features

    if left_out:
        typer.echo(f"Left out, no images by their names: {', '.join(left_out)}", err=True)
    with workers(scheduler) as who:
        skipped = write_features(
            network,
            stimuli,
            names,
            out,
            shown,
            all_times=all_times,
            batch_size=BATCH_SIZE if batch_size is None else batch_size,
            skip_broken=skip_broken,
            progress=True,
            workers=who,
        )
    for problem in skipped:
        typer.echo(f"Skipped: {problem}", err=True)
    extracted = len(stimuli) - len(skipped)
    typer.echo(f"{out}: {', '.join(names)} of {network!r} for {extracted} images")


@app.command()
def score(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    benchmark: Annotated[
        list[str],
        typer.Argument(
            help="Benchmarks; `convrnns benchmarks` lists them. Or ….nc of `convrnns package`."
        ),
    ],
    metric: Annotated[
        str | None,
        typer.Option(
            "--metric",
            help="Of packaged recordings: pls, ridge, spantime_pls or spantime_ridge. [default: "
            "pls for one time bin, spantime_pls for several]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the scores; the same command goes on there.")
    ] = Path("scores"),
    presentation: Annotated[
        PresentationName | None,
        typer.Option(
            "--presentation",
            help="[default: neural, the image on for as long as the benchmark's; for behaviour as "
            "in training]",
            show_default=False,
        ),
    ] = None,
    times: Times = None,
    image_off: ImageOff = None,
    off: Off = None,
    region_layer_map: Annotated[
        str | None,
        typer.Option(
            "--region-layer-map",
            help="'paper' (several layers a region) or a JSON file, region → layer or layers. "
            "[default: one layer a region]",
            show_default=False,
        ),
    ] = None,
    max_neuroids: Annotated[
        int | None,
        typer.Option(
            "--max-neuroids",
            help="Project each bin's features to so many, at random. [default: all of them]",
            show_default=False,
        ),
    ] = None,
    solver: Annotated[
        SolverName,
        typer.Option(
            "--solver",
            help="brainscore: its metric as it is; exact: with its splits and correlation, and our "
            "fits, in less time and memory.",
        ),
    ] = SolverName.brainscore,
    lesion: LesionKind = None,
    lesion_layers: LesionLayers = None,
    lesion_from: LesionFrom = None,
    weights: Weights = None,
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Score models on Brain-Score's benchmarks, temporal and static."""
    from functools import partial

    from convrnns_brainscore.benchmarks import find_benchmark, is_package
    from convrnns_brainscore.regions import region_layers
    from convrnns_brainscore.zoo import find_model, list_models

    names = list_models() if model == "all" else _names(_split(model), False)
    packaged = [name for name in benchmark if is_package(name)]
    for name in benchmark:
        if name not in packaged:
            if Path(name).is_dir():
                raise ConvRNNError(f"{name} is a folder: name one of its <region>.nc.")
            find_benchmark(name)
        elif not Path(name).is_file():
            raise ConvRNNError(f"there is no packaged recording {name}.")
    if metric is not None and not packaged:
        raise ConvRNNError("--metric is of packaged recordings; Brain-Score's have their own.")
    shown = None
    if any(each is not None for each in (presentation, times, image_off, off)):
        if presentation is None and image_off is None:
            raise ConvRNNError(
                "--times and --off change when a benchmark's images go: say when, with --image-off "
                "or --presentation."
            )
        shown = _presentation(
            names[0], presentation or PresentationName.neural, times, image_off, off
        )
        if presentation is PresentationName.default and len(names) > 1:
            raise ConvRNNError(
                "--presentation default differs between models: score one at a time."
            )
    for name in names:
        region_layers(find_model(name), region_layer_map)
        if weights is None:
            _checkpoint(_folder(checkpoints), name)
    _quiet_brain_score()
    networks = {
        name: partial(
            _network,
            name,
            weights,
            seed,
            checkpoints,
            _lesion(name, lesion, lesion_layers, lesion_from),
        )
        for name in names
    }
    _start_quietly()

    from convrnns_brainscore.packages import load_scored
    from convrnns_brainscore.report.figures import score_figure
    from convrnns_brainscore.report.tables import score_table, wide_console
    from convrnns_brainscore.scoring import score_many

    records, failures = [], []
    for outcome in score_many(
        networks,
        list(dict.fromkeys(benchmark)),
        out,
        load=partial(load_scored, metric=metric),
        presentation=shown,
        region_layer_map=region_layer_map,
        max_neuroids=max_neuroids,
        solver=solver.value,
    ):
        if isinstance(outcome, dict):
            records.append(outcome)
            typer.echo(f"{outcome['file']}", err=True)
            if outcome["bins"]:
                score_figure([outcome], Path(outcome["file"]).with_suffix(".png"))
        else:
            failed, name, error = outcome
            first = (str(error).splitlines() or [""])[0]
            kind = "" if isinstance(error, ConvRNNError) else f"{type(error).__name__}: "
            failures.append(f"{failed} on {name}: {kind}{first}")
            typer.echo(f"convrnns: {failures[-1]}", err=True)
    if records:
        score_table(records, out / "scores.csv", wide_console())
    if failures:
        raise ConvRNNError(f"{len(failures)} of {len(failures) + len(records)} scores failed.")


@app.command()
def benchmarks(
    temporal: Annotated[
        bool, typer.Option("--temporal", help="Only those with several time bins.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", help="Whose memory and time are estimated.")
    ] = "rgc_intermediate",
) -> None:
    """List Brain-Score's benchmarks: region, bins, image duration, metric, and what they cost."""
    from convrnns_brainscore.benchmarks import list_benchmarks, matmul_rate
    from convrnns_brainscore.report.tables import benchmark_list, wide_console
    from convrnns_brainscore.zoo import find_model

    find_model(model)
    listed = [one for one in list_benchmarks().values() if one.bins > 1 or not temporal]
    wide_console().print(benchmark_list(listed, model, matmul_rate()))


@app.command()
def fit(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    recording: Annotated[
        str,
        typer.Argument(
            help="A recording: netCDF or Zarr (presentation × neuroid × time_bin), NWB, or a "
            "data set of Brain-Score."
        ),
    ],
    stimuli: Stimuli,
    regions: Regions = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Layers for all regions, separated by commas. [default: those that the paper "
            "found to match each region]",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        MethodName, typer.Option("--method", help="pls: 25 components; ridge: leave-one-out.")
    ] = MethodName.pls,
    components: Annotated[
        int | None,
        typer.Option("--components", help="Of PLS. [default: 25]", show_default=False),
    ] = None,
    penalty: Annotated[
        float | None,
        typer.Option(
            "--penalty",
            help="Of ridge, for all neurons. [default: each neuron's own, by leave-one-out]",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        TimeName, typer.Option("--time", help="Weights of each time bin's own, or shared by all.")
    ] = TimeName.per_bin,
    window: Window = None,
    image_ms: Annotated[
        float | None,
        typer.Option(
            "--image-ms",
            help="How long images were on, in ms. [default: as the recording says, or 100]",
            show_default=False,
        ),
    ] = None,
    off: Off = None,
    splits: Annotated[int, typer.Option("--splits", help="Splits into training and test.")] = 10,
    stratify: Annotated[
        str | None,
        typer.Option(
            "--stratify",
            help="What each side of a split has its share of, or 'none'. [default: object_name]",
            show_default=False,
        ),
    ] = None,
    group: Annotated[
        str | None,
        typer.Option(
            "--group", help="What stands on one side of a split as a whole.", show_default=False
        ),
    ] = None,
    latencies: Annotated[
        tuple[int, int],
        typer.Option("--latencies", help="First and last shift to choose from, in ms."),
    ] = (-50, 100),
    cross_temporal: Annotated[
        bool, typer.Option("--cross-temporal", help="Every step against every bin as well.")
    ] = False,
    stimulus_degrees: StimulusDegrees = None,
    scratch_limit: Annotated[
        float | None,
        typer.Option(
            "--scratch-limit",
            help="GB of features on disk at a time. [default: four fifths of what is free]",
            show_default=False,
        ),
    ] = None,
    keep_features: Annotated[
        bool, typer.Option("--keep-features", help="Leave the features in the folder.")
    ] = False,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for the results; the same command goes on there.")
    ] = Path("fits"),
    lesion: LesionKind = None,
    lesion_layers: LesionLayers = None,
    lesion_from: LesionFrom = None,
    intervals: Intervals = None,
    stimulus_column: StimulusColumn = None,
    region_of: RegionOf = None,
    locations: Locations = None,
    scheduler: Scheduler = None,
    weights: Weights = None,
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Fit layers to a recording, region by region and bin by bin, and write a report."""

    from convrnns_brainscore.fits.heldout import Method
    from convrnns_brainscore.fits.pls import COMPONENTS
    from convrnns_brainscore.fits.prepare import prepare
    from convrnns_brainscore.recordings import as_recording
    from convrnns_brainscore.regions import candidate_layers
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.zoo import find_model, list_models

    names = list_models() if model == "all" else _names(_split(model), False)
    how = Method(method.value, COMPONENTS if components is None else components, penalty)
    if components is not None and how.name != "pls":
        raise ConvRNNError("--components is of PLS: give --method pls, or omit it.")
    asked = None if regions is None else _split(regions)
    if latencies[0] > latencies[1]:
        raise ConvRNNError(f"--latencies {latencies[0]} {latencies[1]}: the first is the lower.")
    data = _read_recording(recording, intervals, stimulus_column, region_of, locations)
    prepared = prepare(
        as_recording(data, asked[0] if asked and len(asked) == 1 else None),
        read_stimuli(stimuli, stimulus_degrees)[0],
        regions=asked,
        window=window,
        image_ms=image_ms,
        off=0.5 if off is None else _parse_off(off),
        splits=splits,
        stratify=stratify,
        group=group,
        needed=how.needed,
        latencies=range(latencies[0], latencies[1] + 1, 10),
    )
    wanted = None if layers is None else _split(layers)
    for name in names:
        candidate_layers(find_model(name), prepared.recording.regions, wanted)
    for note in prepared.notes:
        typer.echo(note, err=True)
    networks = _with_lesions(names, lesion, lesion_layers, lesion_from, weights, seed, checkpoints)
    _start_quietly()

    from convrnns_brainscore.cluster import workers
    from convrnns_brainscore.fits.fit import fit_recording

    with workers(scheduler) as who:
        results = fit_recording(
            networks,
            prepared,
            out,
            method=how,
            time=time.value,
            layers=wanted,
            cross_temporal=cross_temporal,
            scratch_limit=None if scratch_limit is None else int(scratch_limit * 1e9),
            keep_features=keep_features,
            progress=True,
            workers=who,
        )

    from convrnns_brainscore.report.fits import write_report
    from convrnns_brainscore.report.tables import fit_table, wide_console

    files = write_report(results, out)
    wide_console().print(fit_table(results))
    typer.echo("\n".join(map(str, [out / "results.nc", *files])))


@app.command()
def geometry(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    reference: Annotated[
        str,
        typer.Argument(
            help="A recording as for fit, or netCDF with dissimilarities, time_bin × pair."
        ),
    ],
    stimuli: Stimuli,
    out: Annotated[
        Path, typer.Option("--out", help="Folder for geometry.nc, .csv and .png.")
    ] = Path("geometry"),
    regions: Regions = None,
    layers: Annotated[
        str | None,
        typer.Option("--layers", help="Separated by commas. [default: all]", show_default=False),
    ] = None,
    window: Window = None,
    image_ms: Annotated[
        float, typer.Option("--image-ms", help="How long the images were on, in ms.")
    ] = 100,
    off: Off = None,
    stimulus_degrees: StimulusDegrees = None,
    lesion: LesionKind = None,
    lesion_layers: LesionLayers = None,
    lesion_from: LesionFrom = None,
    intervals: Intervals = None,
    stimulus_column: StimulusColumn = None,
    region_of: RegionOf = None,
    locations: Locations = None,
    weights: Weights = None,
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare the geometry of layers over time with a recording's (RSA)."""
    from itertools import product

    from convrnns_brainscore.errors import unknown
    from convrnns_brainscore.fits.prepare import match_stimuli, presentation_until
    from convrnns_brainscore.fits.representation import open_reference, reference_of
    from convrnns_brainscore.networks.backbones import layer_names
    from convrnns_brainscore.recordings import as_recording
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.zoo import find_model, list_models

    names = list_models() if model == "all" else _names(_split(model), False)
    given = open_reference(Path(reference))
    if given is not None and (regions is not None or window is not None):
        raise ConvRNNError(
            "--regions and --window are of recordings; given dissimilarities are taken as they are."
        )
    if given is None:
        asked = None if regions is None else _split(regions)
        data = as_recording(
            _read_recording(reference, intervals, stimulus_column, region_of, locations),
            asked[0] if asked and len(asked) == 1 else None,
        )
        data = data.only(asked or data.regions)
        data = data.in_bins([window]) if window else data.no_finer_than_steps()
        given = reference_of(data)
    notes = list(given.notes)
    files = match_stimuli(given.stimuli, read_stimuli(stimuli, stimulus_degrees)[0], notes)
    latest = max(end for _, end in given.time_bins)
    shown = presentation_until(latest, image_ms, 0.5 if off is None else _parse_off(off))
    wanted = None if layers is None else _split(layers)
    for name, layer in product(names, wanted or ()):
        if layer not in layer_names(find_model(name)):
            raise unknown(f"layer of {name}", layer, layer_names(find_model(name)))
    for note in notes:
        typer.echo(note, err=True)
    networks = _with_lesions(names, lesion, lesion_layers, lesion_from, weights, seed, checkpoints)
    _start_quietly()

    from convrnns_brainscore.fits.representation import compare_networks
    from convrnns_brainscore.report.geometry import geometry_table, write_geometry
    from convrnns_brainscore.report.tables import wide_console

    found, differences = compare_networks(networks, given, files, shown, out, wanted, progress=True)
    written = write_geometry(found, differences, out)
    wide_console().print(geometry_table(found))
    typer.echo("\n".join(map(str, written)))


@app.command()
def package(
    recording: Annotated[
        str,
        typer.Argument(
            help="A recording: netCDF or Zarr (presentation × neuroid × time_bin), NWB."
        ),
    ],
    stimuli: Stimuli,
    out: Annotated[Path, typer.Option("--out", help="A new folder for <region>.nc and stimuli.")],
    regions: Regions = None,
    window: Window = None,
    stimulus_degrees: StimulusDegrees = None,
    intervals: Intervals = None,
    stimulus_column: StimulusColumn = None,
    region_of: RegionOf = None,
    locations: Locations = None,
) -> None:
    """Make a recording a local benchmark in Brain-Score's own format."""
    from convrnns_brainscore.fits.prepare import match_stimuli
    from convrnns_brainscore.recordings import as_recording
    from convrnns_brainscore.stimuli import read_stimuli

    asked = None if regions is None else _split(regions)
    data = as_recording(
        _read_recording(recording, intervals, stimulus_column, region_of, locations),
        asked[0] if asked and len(asked) == 1 else None,
    )
    data = data.only(asked or data.regions)
    data = data.in_bins([window]) if window else data.no_finer_than_steps()
    notes: list[str] = []
    files = match_stimuli(data.stimuli, read_stimuli(stimuli, stimulus_degrees)[0], notes)
    _quiet_brain_score()

    from convrnns_brainscore.packages import write_package

    for note in notes + write_package(data, files, out):
        typer.echo(note, err=True)
    for region in data.regions:
        typer.echo(out / f"{region}.nc")


@app.command()
def plot(
    results: Annotated[
        Path, typer.Argument(help="What `convrnns fit` wrote: its folder, or results.nc.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The figure: ….pdf, ….svg or ….png.")],
    figure: Annotated[
        FigureName,
        typer.Option(
            "--figure",
            help="over-time: each model's best layer; layers: all of them; neurons: against their "
            "reliability; differences: every two models.",
        ),
    ] = FigureName.over_time,
    region: Annotated[
        str | None, typer.Option("--region", help="One region. [default: all]", show_default=False)
    ] = None,
) -> None:
    """Draw a figure of fits for a paper."""
    from convrnns_brainscore.fits.results import RESULTS, read_results
    from convrnns_brainscore.report.plots import write_plot

    path = results / RESULTS if results.is_dir() else results
    write_plot(read_results(path), figure.value, out, region)
    typer.echo(out)


@app.command()
def describe(
    file: Annotated[
        Path,
        typer.Argument(help="Features (.zarr, .nc), a score (.json, .nc) or fits (results.nc)."),
    ],
) -> None:
    """Tell all that made a stored number: model, weights, presentation, versions."""
    from convrnns_brainscore.provenance import read_provenance

    for name, value in read_provenance(file).items():
        typer.echo(f"{name}: {value}")


@app.command()
def register(
    remove: Annotated[bool, typer.Option("--remove", help="Take them away again.")] = False,
) -> None:
    """Have Brain-Score on this machine find the 20 models, as convrnn_<model>."""
    from convrnns_brainscore import registry

    if remove:
        typer.echo(f"removed {registry.unregister()}")
        return
    typer.echo(f"20 models, convrnn_<model>, in {registry.register()}")
    typer.echo("brainscore_vision.load_model('convrnn_rgc_intermediate') finds them.")


@app.command()
def demo(
    out: Annotated[Path, typer.Option("--out", help="Folder for the figure.")] = Path("demo"),
    seed: Seed = 0,
    checkpoints: Checkpoints = None,
) -> None:
    """Compare two ConvRNNs with real macaque IT on 92 photographs (about 5 minutes)."""
    _quiet_brain_score()
    _start_quietly()

    from rich.console import Console

    from convrnns_brainscore import demo as demonstration

    demonstration.run(out, _folder(checkpoints), seed, Console())


def main() -> None:
    """Run the command line; what the user can mend is one line and exit code 2."""
    # As a cluster's scheduler ends a job: it stops as an exception does, which tidies up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    warnings.filterwarnings("ignore", message="Image size")  # Pillow's, of large photographs
    try:
        code = app(sys.argv[1:] or ["--help"], standalone_mode=False)
    except (ConvRNNError, OSError) as error:  # OSError: no space left, no permission …
        message = str(error)
        if isinstance(error, FileExistsError):
            message = f"{error.filename} is there already, and is no folder: name another."
        if getattr(error, "errno", None) == errno.ENOSPC:
            message = "no space left on the disk. Free some, and give the same command again."
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


def _split(names: str) -> list[str]:
    return [name.strip() for name in names.split(",") if name.strip()]


def _names(models: list[str] | None, all_models: bool) -> list[str]:
    """The models asked for, each once."""
    from convrnns_brainscore.zoo import find_model, list_models

    if bool(models) == all_models:
        raise ConvRNNError("name one or more models, or give --all.")
    return (
        list_models() if all_models else [find_model(n).name for n in dict.fromkeys(models or ())]
    )


def _folder(checkpoints: Path | None) -> Path:
    from convrnns_brainscore.checkpoints import checkpoint_folder

    return checkpoint_folder() if checkpoints is None else checkpoints


def _checkpoint(folder: Path, model: str) -> Path:
    """The model's checkpoint below ``folder``."""
    from convrnns_brainscore.checkpoints import find_checkpoint, how_to_get

    checkpoint = find_checkpoint(folder, model)
    if checkpoint is None:
        raise ConvRNNError(
            f"no weights for {model}: there is no {folder / model / 'model.ckpt.index'}. "
            f"{how_to_get(model)} Or name the folder of the checkpoints with --checkpoints, or "
            "give --weights random."
        )
    return checkpoint


def _lesion(model: str, kind: str | None, layers: str | None, first: int | None) -> Lesion | None:
    """The lesion asked for, if the model has what it takes away."""
    from convrnns_brainscore.networks.lesions import Lesion, lesion_of
    from convrnns_brainscore.zoo import find_model

    if kind is None:
        if layers is not None or first is not None:
            raise ConvRNNError("--lesion-layers and --lesion-from need --lesion.")
        return None
    lesion = Lesion(kind, None if layers is None else _split(layers), first or 0)
    return lesion_of(find_model(model), lesion)


def _with_lesions(
    names: list[str],
    kind: str | None,
    layers: str | None,
    first: int | None,
    weights: str | None,
    seed: int,
    checkpoints: Path | None,
) -> dict[str, Callable[[], ConvRNN]]:
    """Name → what loads the network; beside each whole one, with which it is compared, the same
    with the lesion asked for."""
    from functools import partial

    networks: dict[str, Callable[[], ConvRNN]] = {}
    for name in names:
        if weights is None:
            _checkpoint(_folder(checkpoints), name)
        networks[name] = partial(_network, name, weights, seed, checkpoints, None)
        taken = _lesion(name, kind, layers, first)
        if taken is not None:
            lesioned = partial(_network, name, weights, seed, checkpoints, taken)
            networks[f"{name}-without-{taken.kind}"] = lesioned
    return networks


def _network(
    model: str, weights: str | None, seed: int, checkpoints: Path | None, lesion: Lesion | None
) -> ConvRNN:
    """The network with random weights or its checkpoint below ``checkpoints``."""
    if weights not in (None, "random"):
        raise ConvRNNError(f"--weights {weights}: the only choice is 'random'.")
    checkpoint = None if weights else _checkpoint(_folder(checkpoints), model)
    _start_quietly()

    from convrnns_brainscore.convrnn import load_network

    if checkpoint is None:
        return load_network(model, weights="random", seed=seed, lesion=lesion)
    return load_network(model, checkpoint=checkpoint, lesion=lesion)


def _read_recording(
    recording: str,
    intervals: str | None,
    stimulus_column: str | None,
    region_of: str | None,
    locations: list[str] | None,
) -> Any:
    """The recording of a file, a store, or one of Brain-Score's data sets."""
    path = Path(recording)
    if path.suffix == ".nwb":
        from convrnns_brainscore.nwb import read_nwb

        for each in locations or ():
            if "=" not in each:
                raise ConvRNNError(
                    f"--location {each}: expected the file's name = region: 'TE=IT'."
                )
        called = dict(each.partition("=")[::2] for each in locations or ())
        return read_nwb(
            path,
            intervals=intervals,
            stimulus_column=stimulus_column,
            region_of=region_of,
            locations=called,
        )
    if intervals or stimulus_column or region_of or locations:
        raise ConvRNNError(
            "--intervals, --stimulus-column, --region-of and --location are of NWB files "
            f"(.nwb); {recording} is none."
        )
    if path.exists() or path.suffix in (".nc", ".zarr", ".h5"):
        from convrnns_brainscore.recordings import open_recording

        return open_recording(path)
    from convrnns_brainscore.benchmarks import load_data

    return load_data(recording)


def _quiet_brain_score() -> None:
    """Brain-Score's progress bars and warnings about itself would cut up the tables."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes that its metrics start
    warnings.filterwarnings("ignore", category=FutureWarning)


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
        except (ImportError, ValueError) as error:  # Keras knows no such backend
            name = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise ConvRNNError(f"cannot start KERAS_BACKEND={name}: {error}") from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


if __name__ == "__main__":
    main()

"""Commands of recordings: fits, geometry, packages, figures."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.cli.options import (
    Checkpoints,
    FigureName,
    Intervals,
    LesionFrom,
    LesionKind,
    LesionLayers,
    Locations,
    MethodName,
    Off,
    RegionOf,
    Regions,
    Scheduler,
    Seed,
    Stimuli,
    StimulusColumn,
    StimulusDegrees,
    TimeName,
    Weights,
    Window,
)
from convrnns_brainscore.cli.requests import (
    model_names,
    parse_off,
    quiet_brain_score,
    read_recording,
    split_names,
    start_quietly,
    with_lesions,
)
from convrnns_brainscore.errors import ConvRNNError


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
    from convrnns_brainscore.regions import candidate_layers
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.zoo import find_model, list_models

    names = list_models() if model == "all" else model_names(split_names(model), False)
    how = Method(method.value, COMPONENTS if components is None else components, penalty)
    if components is not None and how.name != "pls":
        raise ConvRNNError("--components is of PLS: give --method pls, or omit it.")
    asked = None if regions is None else split_names(regions)
    if latencies[0] > latencies[1]:
        raise ConvRNNError(f"--latencies {latencies[0]} {latencies[1]}: the first is the lower.")
    data = read_recording(recording, asked, intervals, stimulus_column, region_of, locations)
    prepared = prepare(
        data,
        read_stimuli(stimuli, stimulus_degrees)[0],
        regions=asked,
        window=window,
        image_ms=image_ms,
        off=0.5 if off is None else parse_off(off),
        splits=splits,
        stratify=stratify,
        group=group,
        needed=how.needed,
        latencies=range(latencies[0], latencies[1] + 1, 10),
    )
    wanted = None if layers is None else split_names(layers)
    for name in names:
        candidate_layers(find_model(name), prepared.recording.regions, wanted)
    for note in prepared.notes:
        typer.echo(note, err=True)
    networks = with_lesions(names, lesion, lesion_layers, lesion_from, weights, seed, checkpoints)
    start_quietly()

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

    start_quietly()

    from convrnns_brainscore.errors import unknown
    from convrnns_brainscore.fits.prepare import match_stimuli, presentation_until
    from convrnns_brainscore.fits.representation import open_reference, reference_of
    from convrnns_brainscore.networks.backbones import layer_names
    from convrnns_brainscore.stimuli import read_stimuli
    from convrnns_brainscore.zoo import find_model, list_models

    names = list_models() if model == "all" else model_names(split_names(model), False)
    given = open_reference(Path(reference))
    if given is not None and (regions is not None or window is not None):
        raise ConvRNNError(
            "--regions and --window are of recordings; given dissimilarities are taken as they are."
        )
    if given is None:
        asked = None if regions is None else split_names(regions)
        data = read_recording(
            reference, asked, intervals, stimulus_column, region_of, locations
        ).selected(asked, window)
        given = reference_of(data)
    notes = list(given.notes)
    files = match_stimuli(given.stimuli, read_stimuli(stimuli, stimulus_degrees)[0], notes)
    latest = max(end for _, end in given.time_bins)
    shown = presentation_until(latest, image_ms, 0.5 if off is None else parse_off(off))
    wanted = None if layers is None else split_names(layers)
    for name, layer in product(names, wanted or ()):
        if layer not in layer_names(find_model(name)):
            raise unknown(f"layer of {name}", layer, layer_names(find_model(name)))
    for note in notes:
        typer.echo(note, err=True)
    networks = with_lesions(names, lesion, lesion_layers, lesion_from, weights, seed, checkpoints)

    from convrnns_brainscore.fits.representation import compare_networks
    from convrnns_brainscore.report.geometry import geometry_table, write_geometry
    from convrnns_brainscore.report.tables import wide_console

    found, differences = compare_networks(networks, given, files, shown, out, wanted, progress=True)
    written = write_geometry(found, differences, out)
    wide_console().print(geometry_table(found))
    typer.echo("\n".join(map(str, written)))


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
    from convrnns_brainscore.stimuli import read_stimuli

    asked = None if regions is None else split_names(regions)
    data = read_recording(
        recording, asked, intervals, stimulus_column, region_of, locations
    ).selected(asked, window)
    notes: list[str] = []
    files = match_stimuli(data.stimuli, read_stimuli(stimuli, stimulus_degrees)[0], notes)
    quiet_brain_score()

    from convrnns_brainscore.packages import write_package

    for note in notes + write_package(data, files, out):
        typer.echo(note, err=True)
    for region in data.regions:
        typer.echo(out / f"{region}.nc")


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

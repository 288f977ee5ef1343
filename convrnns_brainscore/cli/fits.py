"""Commands of recordings: fits, geometry, packages, figures."""

from __future__ import annotations

import shlex
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convrnns_brainscore.choices import DistanceName, FigureName, MethodName, TimeName
from convrnns_brainscore.cli.groups import (
    FitOptions,
    LesionOptions,
    RecordingOptions,
    StimulusOptions,
    WeightOptions,
    asked_layers,
    grouped,
    models_or_all,
    parse_frames,
    parse_off,
)
from convrnns_brainscore.cli.messages import GIVEN, as_options, say
from convrnns_brainscore.cli.options import (
    Frames,
    ImageMs,
    Off,
    Scheduler,
)
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.fits.results import Results


@grouped
def fit(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    recording: Annotated[
        list[str],
        typer.Argument(
            help="A recording: netCDF or Zarr (presentation × neuroid × time_bin; FILE::GROUP for "
            "a group), NWB, epochs of MNE-Python (-epo.fif), or the name of a Brain-Score data "
            "set. Several recordings are fitted one after the other, each into a folder below "
            "--out, and compared on one page."
        ),
    ],
    stimuli: StimulusOptions,
    parts: RecordingOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    shown: FitOptions,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers",
            help="Layers for all regions, separated by commas. [default: the layers that match "
            "V4 and IT in the paper; for V1 and V2, this package's choice; for other regions, "
            "all layers]",
            show_default=False,
        ),
    ] = None,
    method: Annotated[
        MethodName,
        typer.Option(
            "--method",
            help="pls: partial least squares; ridge: ridge regression with the penalty chosen by "
            "leave-one-out.",
        ),
    ] = MethodName.pls,
    components: Annotated[
        int | None,
        typer.Option(
            "--components", help="Number of PLS components. [default: 25]", show_default=False
        ),
    ] = None,
    penalty: Annotated[
        float | None,
        typer.Option(
            "--penalty",
            help="Ridge penalty for all neurons. [default: chosen per neuron by leave-one-out]",
            show_default=False,
        ),
    ] = None,
    time: Annotated[
        TimeName,
        typer.Option("--time", help="Separate weights for each time bin, or shared by all bins."),
    ] = TimeName.per_bin,
    latencies: Annotated[
        tuple[int, int],
        typer.Option(
            "--latencies",
            help="Lowest and highest latency to choose from, in ms, in steps of 10 ms. The latency "
            "is the delay of the responses relative to the network.",
        ),
    ] = (-50, 100),
    cross_temporal: Annotated[
        bool,
        typer.Option(
            "--cross-temporal",
            help="Also fit the features of every time bin to the responses of every other bin.",
        ),
    ] = False,
    scratch_limit: Annotated[
        float | None,
        typer.Option(
            "--scratch-limit",
            help="Maximum disk space for temporary features, in GB. [default: four fifths of the "
            "free space]",
            show_default=False,
        ),
    ] = None,
    keep_features: Annotated[
        bool, typer.Option("--keep-features", help="Keep the features in the output folder.")
    ] = False,
    keep_predictions: Annotated[
        bool | None,
        typer.Option(
            "--keep-predictions/--no-predictions",
            help="Keep held-out predictions and mappings in results.nc. [default: if they take "
            "less than 270 MB]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the results. Rerun the same command to resume.",
        ),
    ] = Path("fits"),
    scheduler: Scheduler = None,
) -> None:
    """Fit layers to a recording and write a report."""
    from convrnns_brainscore.fits.heldout import Method
    from convrnns_brainscore.fits.pls import COMPONENTS
    from convrnns_brainscore.regions import candidate_layers
    from convrnns_brainscore.streams import CLIPS
    from convrnns_brainscore.zoo import find_model

    names = models_or_all(model)
    how = Method(method.value, COMPONENTS if components is None else components, penalty)
    if components is not None and how.name != MethodName.pls:
        raise ConvRNNError(
            "--components applies only to PLS: give --method pls, or omit --components."
        )
    if latencies[0] > latencies[1]:
        raise ConvRNNError(f"--latencies {latencies[0]} {latencies[1]}: give the lower one first.")
    if (latencies[1] - latencies[0]) % 10:
        raise ConvRNNError(
            f"--latencies {latencies[0]} {latencies[1]}: they differ by a multiple of 10, since "
            "latencies are tried in steps of 10 ms."
        )
    files, folders = stimuli.read(), _folders(recording, out)
    # All recordings are read before the first is fitted, so that mistakes are found at once.
    prepared = {
        name: shown.prepare(
            parts.read(source, shown.duration_given or CLIPS in files),
            files,
            parts,
            needed=how.needed,
            latencies=range(latencies[0], latencies[1] + 1, 10),
        )
        for name, source in zip(folders, recording, strict=True)
    }
    wanted = asked_layers(layers)
    for model_name, each in product(names, prepared.values()):
        candidate_layers(find_model(model_name), each.recording.regions, wanted)
    networks = lesion.beside_whole(names, weights)
    bytes_allowed = None
    if scratch_limit is not None:
        if not 0 < scratch_limit < float("inf"):
            raise ConvRNNError(
                f"--scratch-limit {scratch_limit:g}: expected a number of GB above 0."
            )
        bytes_allowed = int(scratch_limit * 1e9)

    from convrnns_brainscore.cluster import workers
    from convrnns_brainscore.fits.estimate import fit_duration
    from convrnns_brainscore.fits.fit import fit_recording
    from convrnns_brainscore.fits.results_file import RESULTS
    from convrnns_brainscore.report.fit_report import write_report
    from convrnns_brainscore.report.tables import fit_table, wide_console

    found = {}
    for name, folder in folders.items():
        if len(folders) > 1:
            say(f"{name}:", err=True)
        for note in prepared[name].notes:
            say(as_options(note), err=True)
        weights.start()
        begun = (folder / RESULTS).exists() or (folder / ".fit.partial").exists()
        if scheduler is None and not begun:
            # With a lesion, each network is fitted a second time.
            models = [find_model(each) for each in names] * (len(networks) // len(names))
            expected = fit_duration(
                prepared[name],
                models,
                how,
                layers=wanted,
                cross_temporal=cross_temporal,
                shared=time is TimeName.shared,
            )
            say(f"Estimated time on this machine: about {expected}.", err=True)
        with workers(scheduler, weights.start()) as who:
            found[name] = fit_recording(
                networks,
                prepared[name],
                folder,
                method=how,
                time=time.value,
                layers=wanted,
                cross_temporal=cross_temporal,
                scratch_limit=bytes_allowed,
                keep_features=keep_features,
                keep_predictions=keep_predictions,
                progress=True,
                workers=who,
            )
        written = write_report(found[name], folder, shlex.join(["convrnns", *GIVEN]))
        wide_console().print(fit_table(found[name]))
        say("\n".join(map(str, [folder / RESULTS, *written])))
    if len(folders) > 1:
        from convrnns_brainscore.report.lab_report import write_lab

        say("\n".join(map(str, write_lab(found, folders, out))))


def _folders(recordings: list[str], out: Path) -> dict[str, Path]:
    """The name of each recording → the folder of its fits: ``out`` of a single one."""
    names = [Path(each.split("::")[0]).stem for each in recordings]
    groups = [each.partition("::")[2].replace("/", "-") for each in recordings]
    if len(set(names)) < len(names):
        names = ["-".join(filter(None, each)) for each in zip(names, groups, strict=True)]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ConvRNNError(
            f"two recordings have the name {twice[0]}, which also names their folder: rename one."
        )
    return {name: out if len(names) == 1 else out / name for name in names}


@grouped
def compare(
    fits: Annotated[
        list[Path], typer.Argument(help="Folders that fit wrote, one for each recording.")
    ],
    out: Annotated[
        Path,
        typer.Option("--out", file_okay=False, help="Folder for lab.html, lab.csv and the figure."),
    ] = Path("lab"),
) -> None:
    """Compare models over recordings and with ImageNet accuracy."""
    from convrnns_brainscore.fits.lab import same_recordings
    from convrnns_brainscore.report.lab_report import write_lab

    homes = [each if each.is_dir() else each.absolute().parent for each in fits]
    folders = {home.resolve().name: home for home in homes}
    found = {home.resolve().name: _read(each) for home, each in zip(homes, fits, strict=True)}
    if len({home.resolve() for home in homes}) < len(fits):
        raise ConvRNNError("a folder is given twice: name each once.")
    if len(folders) < len(fits):
        raise ConvRNNError("two folders have the same name: rename one.")
    for line in same_recordings(found):
        say(line)
    say("\n".join(map(str, write_lab(found, folders, out))))


@grouped
def geometry(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    reference: Annotated[
        list[str],
        typer.Argument(
            help="A recording as for fit, or a netCDF file of dissimilarities, time_bin × pair. "
            "Each of several files is one subject; dissimilarities are averaged over subjects."
        ),
    ],
    stimuli: StimulusOptions,
    parts: RecordingOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    distance: Annotated[
        DistanceName,
        typer.Option(
            "--distance",
            help="Dissimilarity measure for the recording. correlation: 1 − Pearson r; crossnobis "
            "and "
            "decoding (pairwise accuracy of a linear discriminant) are cross-validated over "
            "repetitions. Dissimilarities of layers are always 1 − Pearson r.",
        ),
    ] = DistanceName.correlation,
    out: Annotated[
        Path,
        typer.Option("--out", file_okay=False, help="Folder for geometry.nc, tables and figures."),
    ] = Path("geometry"),
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", help="Layers, separated by commas. [default: all]", show_default=False
        ),
    ] = None,
    image_ms: ImageMs = None,
    off: Off = None,
    frame: Frames = None,
) -> None:
    """Compare representational geometry with a recording (RSA)."""

    weights.start()

    from convrnns_brainscore.errors import unknown
    from convrnns_brainscore.fits.prepare import (
        check_times,
        duration_of,
        match_stimuli,
        presentation_until,
    )
    from convrnns_brainscore.networks.backbones import layer_names
    from convrnns_brainscore.provenance import seen_digest
    from convrnns_brainscore.report.files import check_question
    from convrnns_brainscore.streams import CLIPS
    from convrnns_brainscore.zoo import find_model

    names = models_or_all(model)
    read, frames = stimuli.read(), parse_frames(frame) if frame else None
    check_times(read, image_ms, frames)
    in_time = CLIPS in read
    given = parts.reference(reference, distance, duration_of(frames, image_ms), in_time=in_time)
    notes = list(given.notes)
    files = match_stimuli(given.stimuli, read, notes)
    latest = max(end for _, end in given.time_bins)
    on = None if in_time else given.image_ms
    shown = presentation_until(latest, on, parse_off(off), frames)
    notes += [shown.note] if shown.note else []
    notes += shown.mask_notes(files["degrees"])
    wanted = asked_layers(layers)
    for name, layer in product(names, wanted or ()):
        if layer not in layer_names(find_model(name)):
            raise unknown(f"layer of {name}", layer, layer_names(find_model(name)))
    networks = lesion.beside_whole(names, weights)
    question = {
        "recording or --distance": given.sha256,
        "weights": weights.label,
        "models": ",".join(names),
        "--layers": str(wanted),
        "lesion": lesion.label,
        "images": seen_digest(files),
        **shown.describe(),
    }
    check_question(out / "geometry.nc", question)
    for note in notes:
        say(as_options(note), err=True)

    from convrnns_brainscore.fits.representation import compare_networks
    from convrnns_brainscore.report.geometry_report import geometry_table, write_geometry
    from convrnns_brainscore.report.tables import wide_console

    found, differences = compare_networks(networks, given, files, shown, out, wanted, progress=True)
    written = write_geometry(found, differences, out, question)
    wide_console().print(geometry_table(found))
    say("\n".join(map(str, written)))


@grouped
def package(
    recording: Annotated[
        str,
        typer.Argument(
            help="A recording: netCDF or Zarr (presentation × neuroid × time_bin), or NWB."
        ),
    ],
    stimuli: StimulusOptions,
    parts: RecordingOptions,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder to create; holds <region>.nc, stimuli.csv and the images.",
        ),
    ],
    image_ms: ImageMs = None,
) -> None:
    """Package a recording as a local Brain-Score benchmark."""
    from convrnns_brainscore.brainscore.internals import quieten
    from convrnns_brainscore.fits.prepare import match_stimuli

    data = parts.read(recording, image_ms is not None).selected(parts.asked, parts.window)
    data, _, note = data.shown_for(image_ms)
    notes = [*data.notes, *([note] if note else [])]
    files = match_stimuli(data.stimuli, stimuli.read(), notes)
    quieten()

    from convrnns_brainscore.brainscore.packages import write_package

    for note in notes + write_package(data, files, out, image_ms):
        say(as_options(note), err=True)
    for region in data.regions:
        say(out / f"{region}.nc")


def plot(
    results: Annotated[
        Path, typer.Argument(help="Results of `convrnns fit`: its folder, or results.nc.")
    ],
    out: Annotated[Path, typer.Option("--out", help="The figure: ….pdf, ….svg or ….png.")],
    figure: Annotated[
        FigureName,
        typer.Option(
            "--figure",
            help="over-time: best layer of each model; layers: all layers; neurons: r against "
            "reliability; differences: each pair of models; learning: r against the number of "
            "training stimuli; latency: r on validation stimuli against the latency; predicted: "
            "predicted against observed responses of a neuron.",
        ),
    ] = FigureName.over_time,
    region: Annotated[
        str | None, typer.Option("--region", help="One region. [default: all]", show_default=False)
    ] = None,
    neuron: Annotated[
        str | None,
        typer.Option(
            "--neuron",
            help="A neuroid_id, for --figure predicted. [default: the best-predicted neuron of "
            "each region]",
            show_default=False,
        ),
    ] = None,
) -> None:
    """Draw a figure of fit results for a paper."""
    from convrnns_brainscore.report.fit_figures import write_figure

    write_figure(_read(results), figure, out, region, neuron)
    say(out)


def _read(results: Path) -> Results:
    """Results of fits, from their file or its folder; damage is an error."""
    from convrnns_brainscore.fits.results_file import RESULTS, read_results
    from convrnns_brainscore.integrity import is_sealed, verify

    if not results.exists():
        raise ConvRNNError(f"{results} does not exist: name {RESULTS} or its folder.")
    path = results / RESULTS if results.is_dir() else results
    read = read_results(path)
    if is_sealed(path):  # an earlier version's is not
        verify(path)
    return read

"""Commands of Brain-Score: benchmarks, scores, the plugin."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convrnns_brainscore.choices import MetricName, PresentationName, SolverName
from convrnns_brainscore.cli.groups import (
    LesionOptions,
    SubjectOptions,
    TimeOptions,
    WeightOptions,
    grouped,
    models_or_all,
)
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.brainscore.benchmarks import Listed


NEUROIDS_TRIED = 500
"""To which features are projected where benchmarks are tried: their metrics take long for more."""

RECORDS = ("results.nc", "geometry.nc", "decoding.nc", "partition.nc")
"""Files in the folders that commands write, of which each states how it was computed."""

_ANSWERED = """# Compatibility of {model} with Brain-Score's benchmarks

`convrnns benchmarks --try {model}` wrote this table (brainscore_vision 2.4.2). Each benchmark's own
code ran to its end on a few synthetic stimuli, without its data. Features were projected to
{neuroids} neuroids, since metrics are slow for more. "Scores" means that the benchmark produces a
score from the model's responses; its value is meaningless here. The synthetic data may have fewer
time bins than the benchmark. In the last column, "?" means that it is unknown whether the data are
public. Weights: {weights}. Settings: {settings}.

"""


@grouped
def score(
    model: Annotated[str, typer.Argument(help="A model, several separated by commas, or 'all'.")],
    benchmark: Annotated[
        list[str],
        typer.Argument(
            help="Benchmarks (`convrnns benchmarks` lists them), or ….nc from `convrnns package`."
        ),
    ],
    differing: TimeOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    subject: SubjectOptions,
    metric: Annotated[
        MetricName | None,
        typer.Option(
            "--metric",
            help="Metric for packaged recordings. [default: pls for one time bin, spantime_pls for "
            "several]",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the scores. Rerun the same command to resume.",
        ),
    ] = Path("scores"),
    presentation: Annotated[
        PresentationName | None,
        typer.Option(
            "--presentation",
            help="Presentation of the stimuli. [default: the benchmark's image duration; in "
            "behavioural benchmarks, as in training]",
            show_default=False,
        ),
    ] = None,
    solver: Annotated[
        SolverName,
        typer.Option(
            "--solver",
            help="brainscore: Brain-Score's own metric; exact: its splits and correlation with "
            "this package's fits, in less time and memory.",
        ),
    ] = SolverName.brainscore,
) -> None:
    """Score models on Brain-Score's benchmarks."""
    from functools import partial

    from convrnns_brainscore.brainscore.benchmarks import find_benchmark
    from convrnns_brainscore.brainscore.internals import quieten
    from convrnns_brainscore.regions import check_readout, region_layers
    from convrnns_brainscore.zoo import find_model

    names = models_or_all(model)
    packaged = [name for name in benchmark if name.endswith(".nc")]
    for name in benchmark:
        if name not in packaged:
            if name and Path(name).is_dir():
                raise ConvRNNError(f"{name} is a folder: give one of its <region>.nc files.")
            find_benchmark(name)
        elif not Path(name).is_file():
            raise ConvRNNError(
                f"there is no packaged recording {name}: `convrnns package` writes one."
            )
    if metric is not None and not packaged:
        raise ConvRNNError(
            "--metric applies only to packaged recordings; Brain-Score's benchmarks have their own."
        )
    shown = None
    if presentation is not None or differing.given:
        if presentation is None and differing.image_off is None and not differing.frames:
            raise ConvRNNError(
                "--times and --off need --image-off or --presentation, which set when the images "
                "go off."
            )
        # A sequence of frames is a presentation of its own, whichever the model.
        unnamed = PresentationName.default if differing.frames else PresentationName.neural
        shown = differing.presentation(names[0], presentation or unnamed)
        if presentation is PresentationName.default and len(names) > 1:
            raise ConvRNNError(
                "--presentation default differs between models: score one at a time."
            )
    settings = subject.settings(benchmark)
    if shown is not None and settings["image_ms"] is not None:
        raise ConvRNNError("give either --image-ms or your own presentation, not both.")
    for name in names:
        region_layers(find_model(name), subject.region_layer_map)
        check_readout(find_model(name), subject.behavioural_readout)
        weights.check(name)
    networks = {name: partial(weights.network, name, lesion.of(name)) for name in names}
    quieten()
    weights.start()

    from convrnns_brainscore.brainscore.scoring import (
        FAILURES,
        Failure,
        load_scored,
        score_many,
        stored_records,
    )
    from convrnns_brainscore.report.score_figures import draw_scores
    from convrnns_brainscore.report.tables import score_table, wide_console, write_scores

    records, failures = [], []
    for outcome in score_many(
        networks,
        list(dict.fromkeys(benchmark)),
        out,
        load=partial(load_scored, metric=metric),
        presentation=shown,
        **settings,
        solver=solver,
        progress=True,
    ):
        if isinstance(outcome, Failure):
            failures.append(outcome)
            say(f"convrnns: {as_options(str(outcome))}", err=True)
            continue
        records.append(outcome)
        say(f"{outcome['file']}", err=True)
        if outcome["bins"]:
            draw_scores([outcome], Path(outcome["file"]).with_suffix(".png"))
    slow = [record for record in records if record["made_by"]["metric"].endswith(("pls", "ridge"))]
    if slow and solver is SolverName.brainscore:
        say(
            "These scores used Brain-Score's own solver; --solver exact scores the same splits in "
            "less time and memory.",
            err=True,
        )
    latencies = settings["latency"]
    if isinstance(latencies, dict) and not failures:
        recorded = {record["made_by"]["region"] for record in records}
        if absent := [region for region in latencies if region not in recorded]:
            say(f"--latency: no benchmark of this command records {', '.join(absent)}.", err=True)
    if records:
        score_table(records, wide_console())
        write_scores(stored_records(out), out / "scores.csv")
        say(f"Table of all scores in this folder: {out / 'scores.csv'}")
    if failures:
        told = f"{len(failures)} of {len(failures) + len(records)} scores failed."
        bugs = [failure for failure in failures if not failure.expected]
        if not bugs:
            raise ConvRNNError(told)
        say(
            f"convrnns: {told} {len(bugs)} of them failed because of internal errors; "
            f"{out / FAILURES} has the tracebacks.",
            err=True,
        )
        raise typer.Exit(1)


@grouped
def benchmarks(
    weights: WeightOptions,
    subject: SubjectOptions,
    pattern: Annotated[
        str | None,
        typer.Argument(
            help="Beginning of the benchmarks' names, or a pattern with '*': 'Kar2019', '*V4*'.",
            show_default=False,
        ),
    ] = None,
    temporal: Annotated[
        bool, typer.Option("--temporal", help="List only benchmarks with several time bins.")
    ] = False,
    model: Annotated[
        str, typer.Option("--model", help="Model for the estimates of memory and time.")
    ] = "rgc_intermediate",
    tried: Annotated[
        str | None,
        typer.Option(
            "--try",
            help="Run each benchmark on this model, with a few synthetic stimuli instead of its "
            "data. The table shows which benchmarks produce a score, and the reason for each "
            "that does not.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="With --try: output file of the table, ….csv or ….md.", show_default=False
        ),
    ] = None,
) -> None:
    """List Brain-Score's benchmarks.

    The table shows region, bins, image duration, metric, memory and time.
    """
    from convrnns_brainscore.brainscore.benchmarks import matching_benchmarks
    from convrnns_brainscore.duration import matrix_product_rate
    from convrnns_brainscore.report.tables import benchmark_list, wide_console
    from convrnns_brainscore.zoo import find_model

    find_model(model)
    listed = [one for one in matching_benchmarks(pattern) if one.bins > 1 or not temporal]
    if tried is not None:
        _try(find_model(tried).name, weights, subject, listed, out)
        return
    if out is not None:
        raise ConvRNNError("--out needs --try MODEL.")
    wide_console(200).print(benchmark_list(listed, model, matrix_product_rate()))


def _try(
    model: str,
    weights: WeightOptions,
    subject: SubjectOptions,
    listed: list[Listed],
    out: Path | None,
) -> None:
    """Run the benchmarks with a model on synthetic stimuli, and show the outcome of each."""
    from convrnns_brainscore.brainscore.benchmarks import LI2026_TEMPORAL
    from convrnns_brainscore.brainscore.internals import quieten
    from convrnns_brainscore.files import check_folder_of
    from convrnns_brainscore.progress import progress_bar
    from convrnns_brainscore.report.trials import WRITERS, trial_table, write_trials

    if out is not None and out.suffix not in WRITERS:
        raise ConvRNNError(f"--out {out}: expected a name that ends in .csv or .md.")
    if out is not None:
        check_folder_of(out)
    names = [one.name for one in listed if one.name not in LI2026_TEMPORAL]
    settings = subject.settings(names)
    told = [f"{name.replace('_', ' ')}: {value}" for name, value in settings.items()
            if value not in (None, "logits")]  # fmt: skip
    projected = settings.pop("max_neuroids") or NEUROIDS_TRIED
    weights.check(model)
    quieten()
    weights.start()
    network = weights.network(model, None)

    from convrnns_brainscore.brainscore.activations import Rows
    from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
    from convrnns_brainscore.brainscore.trial import FAILS
    from convrnns_brainscore.brainscore.trial.families import UNPROJECTED
    from convrnns_brainscore.brainscore.trial.sweep import sweep
    from convrnns_brainscore.report.tables import wide_console

    rows = Rows()

    def made(name: str) -> TemporalBrainModel:
        neuroids = None if re.fullmatch(UNPROJECTED, name) else projected
        brain = TemporalBrainModel(network, max_neuroids=neuroids, **settings)
        brain.keep(rows)  # benchmarks have images in common
        return brain

    trials = []
    with progress_bar(unit="benchmarks", transient=True) as bar:
        task = bar.add_task(f"{model}: benchmarks", total=len(names))
        for trial in sweep(made, names):
            trials.append(trial)
            bar.advance(task)
    wide_console().print(trial_table(trials))
    if out is not None:
        write_trials(
            trials,
            out,
            _ANSWERED.format(
                model=model,
                weights=network.weights.label,
                neuroids=projected,
                settings="; ".join(told) or "default",
            ),
        )
        say(f"Table: {out}")
    if any(trial.outcome == FAILS for trial in trials):
        raise typer.Exit(1)


def describe(
    file: Annotated[
        Path,
        typer.Argument(
            help="Features (.zarr, .nc), a score (.json, .nc), fits (results.nc or their folder), "
            "geometry.nc, decoding.nc, partition.nc, a packaged recording, a region map, or a .png "
            "figure."
        ),
    ],
    whole: Annotated[
        bool,
        typer.Option(
            "--verify", help="Compare a store or netCDF file with the digests recorded in it."
        ),
    ] = False,
) -> None:
    """Show how a stored result was computed.

    The record holds the model, its weights, the presentation and the software versions.
    """
    from convrnns_brainscore.integrity import verify
    from convrnns_brainscore.provenance import read_provenance

    records = [file / name for name in RECORDS if (file / name).is_file()]
    if len(records) == 1:
        file = records[0]
    if whole and file.suffix not in (".zarr", ".nc"):
        raise ConvRNNError(f"--verify {file}: only .zarr stores and .nc files have digests.")
    for name, value in read_provenance(file).items():
        for line in _lines(name, value):
            say(line)
    if whole:
        say(f"verified: {verify(file)} parts match their digests")


def _lines(name: str, value: object) -> list[str]:
    """A line for each entry of an attribute; those with several, such as settings, are JSON."""
    try:
        entries = json.loads(value) if isinstance(value, str) else value
    except ValueError:
        entries = value
    if isinstance(entries, dict):
        return [line for key, each in entries.items() for line in _lines(f"{name}: {key}", each)]
    return [] if entries == [] else [f"{name}: {value}"]


def register(
    remove: Annotated[bool, typer.Option("--remove", help="Unregister them.")] = False,
) -> None:
    """Register the models with Brain-Score on this machine.

    Their names are convrnn_<model>.
    """
    from convrnns_brainscore.brainscore import registry

    if remove:
        say(f"Removed {registry.unregister()}")
        return
    say(f"Registered 20 models, convrnn_<model>, in {registry.register()}")
    say("brainscore_vision.load_model('convrnn_rgc_intermediate') finds them.")

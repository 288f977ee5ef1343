"""``convrnns submission``: build the zip for the leaderboard, and check one."""

from __future__ import annotations

import os
import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from convrnns_brainscore.choices import BackendName
from convrnns_brainscore.cli.groups import SubjectOptions, model_names
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.cli.options import (
    All,
    BehaviouralReadout,
    Latencies,
    MaxNeuroids,
    Models,
)
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.submission.build import StoredWeights, WeightsAddress

app = typer.Typer(
    name="submission",
    help="Build and check submissions to Brain-Score's leaderboard.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.command()
def build(
    out: Annotated[Path, typer.Option("--out", help="The zip to write.")],
    models: Models = None,
    all_models: All = False,
    backend: Annotated[
        BackendName,
        typer.Option(
            "--backend",
            help="Library that runs the models on the server. torch needs weights at a public "
            "address or in Brain-Score's storage; tensorflow can download the published "
            "checkpoints.",
        ),
    ] = BackendName.torch,
    region_layer_map: Annotated[
        str | None,
        typer.Option(
            "--region-layer-map",
            help="JSON file of `convrnns fit` for models of one depth, or 'paper'. [default: one "
            "layer per region]",
            show_default=False,
        ),
    ] = None,
    suffix: Annotated[
        str,
        typer.Option(
            "--suffix",
            help="Suffix of the identifiers and the plugin, such as '_mylab'. Brain-Score accepts "
            "each name only once.",
        ),
    ] = "",
    weights_url: Annotated[
        str | None,
        typer.Option(
            "--weights-url",
            help="Address of the .safetensors from `convrnns convert`, https://…; {model} in it "
            "stands for the model's name. [default, only with --backend "
            "tensorflow: the published checkpoints]",
            show_default=False,
        ),
    ] = None,
    weights_key: Annotated[
        str | None,
        typer.Option(
            "--weights-key",
            help="Path of the .safetensors on Brain-Score's storage, as given by its large-file "
            "upload; {model} stands for the model's name.",
            show_default=False,
        ),
    ] = None,
    weights_version: Annotated[
        list[str] | None,
        typer.Option(
            "--weights-version",
            help="Version of the file at --weights-key; for several models MODEL=VERSION.",
            show_default=False,
        ),
    ] = None,
    sha256: Annotated[
        list[str] | None,
        typer.Option(
            "--sha256",
            help="SHA-256 of the file at --weights-url or --weights-key; for several models, "
            "MODEL=DIGEST, once for each.",
            show_default=False,
        ),
    ] = None,
    latency: Latencies = None,
    max_neuroids: MaxNeuroids = None,
    behavioural_readout: BehaviouralReadout = "logits",
    metadata: Annotated[
        bool,
        typer.Option(
            "--metadata",
            help="Add metadata.yml; the submission is then merged only after a review.",
        ),
    ] = False,
) -> None:
    """Build a submission.

    The zip is byte-identical for identical input.
    """
    from convrnns_brainscore.brainscore.internals import quieten
    from convrnns_brainscore.submission.build import build as write

    names = model_names(models, all_models)
    quieten()
    identifiers = write(
        names,
        out,
        backend=backend,
        suffix=suffix,
        region_layer_map=region_layer_map,
        weights=_weights(names, weights_url, weights_key, weights_version or [], sha256 or []),
        latency=SubjectOptions(region_layer_map=region_layer_map, latency=latency).latencies(),
        max_neuroids=max_neuroids,
        behavioural_readout=behavioural_readout,
        metadata=metadata,
    )
    say(f"{out}: {', '.join(identifiers)}")
    differing = region_layer_map, latency, max_neuroids
    if not suffix and (any(differing) or behavioural_readout != "logits"):
        say(
            "These models have non-default settings, but the default names. Give them a suffix, "
            "such as --suffix _mylab.",
            err=True,
        )
    say(f"Check it as the server would: `convrnns submission check {out}`.")


@app.command()
def check(
    archive: Annotated[Path, typer.Argument(metavar="ZIP", help="The submission.")],
    weights: Annotated[
        str | None,
        typer.Option(
            "--weights",
            help="'random' uses untrained weights instead of downloading the weights.",
            show_default=False,
        ),
    ] = None,
    environment: Annotated[
        Path | None,
        typer.Option(
            "--environment",
            help="Folder for the environment, kept for the next check. [default: a temporary one]",
            show_default=False,
        ),
    ] = None,
    report: Annotated[
        Path | None,
        typer.Option("--json", help="Output file for the findings, in JSON.", show_default=False),
    ] = None,
) -> None:
    """Check a submission in a fresh environment.

    The exit code is 1 if the check finds problems.
    """
    if weights not in (None, "random"):
        raise ConvRNNError(f"--weights {weights}: the only choice is 'random'.")
    from convrnns_brainscore.files import check_folder_of

    if report is not None:
        check_folder_of(report)
        if report.is_dir() or not os.access(report.absolute().parent, os.W_OK):
            raise ConvRNNError(
                f"--json {report} cannot be written: name a file in a writable folder."
            )
    from convrnns_brainscore.brainscore.internals import quieten

    quieten()

    from convrnns_brainscore.console import PlainConsole
    from convrnns_brainscore.submission.check import check as look
    from convrnns_brainscore.submission.report import print_findings, write_findings

    findings = look(
        archive,
        random_weights=weights == "random",
        environment=environment,
        say=lambda what: say(f"… {what}", err=True),
    )
    findings.found = [replace(each, message=as_options(each.message)) for each in findings.found]
    print_findings(findings, PlainConsole())
    if report is not None:
        write_findings(findings, report)
    if findings.failed:
        raise typer.Exit(1)


def _weights(
    names: list[str],
    url: str | None,
    key: str | None,
    versions: list[str],
    digests: list[str],
) -> dict[str, WeightsAddress | StoredWeights]:
    """Model → where its weights are and their digest, if an address or a key was given."""
    from convrnns_brainscore.submission.build import StoredWeights, WeightsAddress

    if url is not None and key is not None:
        raise ConvRNNError("give either --weights-url or --weights-key, not both.")
    if versions and key is None:
        raise ConvRNNError("--weights-version needs --weights-key.")
    if url is None and key is None:
        if digests:
            raise ConvRNNError("--sha256 needs --weights-url or --weights-key.")
        return {}
    option, where = ("--weights-key", key) if url is None else ("--weights-url", url)
    if len(names) > 1 and "{model}" not in str(where):
        raise ConvRNNError(f"{option} {where}: each model has its own file; put {{model}} in it.")
    given = _of_each(names, "--sha256", digests, "DIGEST (sha256sum prints it)")
    found = {name: given[name].strip().lower() for name in names}
    places = {name: re.sub(r"\{model\}", name, str(where)) for name in names}
    if key is None:
        return {name: WeightsAddress(places[name], found[name]) for name in names}
    version = _of_each(names, "--weights-version", versions, "VERSION")
    return {name: StoredWeights(places[name], version[name], found[name]) for name in names}


def _of_each(names: list[str], option: str, values: list[str], called: str) -> dict[str, str]:
    """Model → its value, of ``MODEL=VALUE`` or, of a single model, ``VALUE``."""
    if len(names) == 1 and all("=" not in each for each in values):
        pairs = [(names[0], each) for each in values]
    else:
        pairs = [(name, value) for name, _, value in (each.partition("=") for each in values)]
    given = dict(pairs)
    if len(pairs) > len(given):
        raise ConvRNNError(f"{option} is given twice for one model.")
    missing = [name for name in names if name not in given]
    if missing:
        raise ConvRNNError(f"{option} is missing for {missing[0]}: give {missing[0]}={called}.")
    strangers = sorted(set(given) - set(names))
    if strangers:
        raise ConvRNNError(f"{option} is given for {strangers[0]}, which is not submitted.")
    return given

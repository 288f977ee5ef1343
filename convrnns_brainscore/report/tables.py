"""Tables for the console."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from rich.console import Console
from rich.filesize import decimal
from rich.table import Table

from convrnns_brainscore.brainscore.benchmarks import Listed
from convrnns_brainscore.brainscore.memory import needed_memory
from convrnns_brainscore.console import PlainConsole
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.results import (
    FEW_TESTED,
    Results,
    best_layer,
    region_choice,
    time_bins,
)
from convrnns_brainscore.networks.backbones import output_shape
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.zoo import find_model

if TYPE_CHECKING:
    from convrnns_brainscore.imagenet import Accuracy

_COLUMNS = [
    "model",
    "benchmark",
    "raw",
    "ceiling",
    "ceiled",
    "brain_score",
    "counted",
    "formula",
    "undefined",
    "file",
]
_MADE_BY = [
    "metric", "solver", "weights", "weights_sha256", "lesion", "layers", "presentation",
    "image_duration", "image_duration_rule", "stimulus_degrees", "latency_ms", "backend",
    "precision", "convrnns_brainscore", "brainscore_vision",
]  # fmt: skip


def score_table(records: Sequence[Mapping[str, Any]], console: Console) -> None:
    """Scores as a table on the console.

    Parameters
    ----------
    records : sequence of mapping of str to object
        As in a score's JSON file.
    """
    table = Table(title="Scores")
    for column in ("model", "weights", "benchmark", "metric"):
        table.add_column(column, overflow="fold")
    for column in ("r", "ceiling", "ceiled", "Brain-Score's", "bins"):
        table.add_column(column, justify="right")
    for record in records:
        bins = f"{record['counted']}/{len(record['bins'])}" if record["bins"] else "–"
        numbers = [number(record[name]) for name in ("raw", "ceiling", "ceiled", "brain_score")]
        if (record["ceiled"] or 0) > 1:
            numbers[2] += " >1"
        made_by = record["made_by"]
        weights = made_by["weights"]
        if made_by["lesion"] != "none":
            weights += f", without {made_by['lesion']}"
        if "precision" in made_by:
            weights += f", in {made_by['precision']}"
        what = made_by["model"], weights, record["benchmark"], made_by.get("metric", "–")
        table.add_row(*what, *numbers, bins)
    console.print(table)
    for formula in dict.fromkeys(record["formula"] for record in records):
        console.print(f"ceiled = {formula}", style="dim", soft_wrap=True)
    for record in records:
        duration = str(record["made_by"].get("image_duration", ""))
        if duration.startswith("assumed"):
            console.print(
                f"{record['benchmark']}: image duration: {duration}", style="dim", soft_wrap=True
            )
    if any(record["bins"] for record in records):
        console.print(
            "Temporal scores are means over the bins with a ceiled value; 'bins' gives their "
            "number and the total. Bins before the image reaches the layer, and bins with a "
            f"ceiling below {records[0]['min_ceiling']}, have no ceiled value. Column "
            "Brain-Score's: the score that Brain-Score reports, over all bins.",
            style="dim",
            soft_wrap=True,
        )


def write_scores(records: Iterable[Mapping[str, Any]], path: Path) -> None:
    """Scores as a CSV file, a row for each.

    Parameters
    ----------
    records : iterable of mapping of str to object
        As in a score's JSON file.
    path : path
        The CSV file.
    """
    rows = [
        {
            **{name: record.get(name) for name in _COLUMNS},
            **{name: ({"precision": "float32"} | record["made_by"]).get(name) for name in _MADE_BY},
        }
        for record in records
    ]
    with written_whole(path) as partial:
        pd.DataFrame(rows).to_csv(partial, index=False)


def benchmark_list(listed: Iterable[Listed], model: str, rate: float) -> Table:
    """Benchmarks, with the memory and time that ``model`` will take.

    Parameters
    ----------
    rate : float
        Rate of float32 matrix products on this machine, in GFLOP/s.
    """
    row = find_model(model)
    regions = region_layers(row)
    table = Table(title=f"Brain-Score's benchmarks (memory and time for {model}, inference only)")
    for column in ("benchmark", "region", "bins", "image on", "metric"):
        table.add_column(column, no_wrap=column != "metric", overflow="fold")
    for column in ("stimuli", "memory", "time"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("data", no_wrap=True)
    for one in listed:
        window = f" {one.window[0]}–{one.window[1]} ms" if one.window else ""
        bins = f"{one.bins}:{window}" if window else str(one.bins or "–")
        on = one.shown.in_words if one.shown else "–"
        memory = time = "?"
        if one.stimuli:
            seconds = one.stimuli * row.gflop / rate
            time = f"{seconds / 60:.0f} min" if seconds > 90 else f"{seconds:.0f} s"
            if one.region in regions:
                neuroids = prod(output_shape(row, regions[one.region][0]))
                memory = decimal(needed_memory(one.stimuli, neuroids, one.bins, one.metric))
            elif not one.bins:
                memory = "small"
        table.add_row(
            one.name,
            one.region or "–",
            bins,
            on,
            one.metric,
            "?" if one.stimuli is None else str(one.stimuli),
            memory,
            time,
            {True: "public", False: "not public", None: "?"}[one.public],
        )
    return table


def imagenet_table(found: Sequence[Accuracy]) -> Table:
    """Accuracies with their binomial error, beside the published ones."""
    table = Table(title="ImageNet, in %")
    for column in ("model", "weights"):
        table.add_column(column, overflow="fold")
    for column in ("images", "top-1", "published", "top-5", "published"):
        table.add_column(column, justify="right", no_wrap=True)
    for each in found:
        model = find_model(each.model)
        table.add_row(
            each.model,
            each.label,
            str(each.images),
            _percent(each.top1, each.error(each.top1)),
            f"{model.top1:.2f}",
            _percent(each.top5, each.error(each.top5)),
            f"{model.top5:.2f}",
        )
    return table


def _percent(share: float, error: float) -> str:
    return f"{100 * share:.2f} ± {100 * error:.2f}"


def fit_table(results: Results) -> Table:
    """Each region's nested r, and best layer and bin, of each model."""
    table = Table(title="Nested r, and the best layer and bin, which were selected on test stimuli")
    if results.fewest_tested < FEW_TESTED:
        table.caption = few_tested(results)
    for column in ("region", "model", "best\nlayer", "best\nbin"):
        # Names of models with lesions are long; all other columns must stay on one line.
        table.add_column(column, no_wrap=column != "model", overflow="fold")
    for column in ("nested r", "r", "ceiling", "normalised", "noise-\ncorrected r", "neurons"):
        table.add_column(column, justify="right", no_wrap=True)
    for region in results.regions:
        for model in results.models:
            best = best_layer(results, model, region)
            if best is None or best.bin is None:
                table.add_row(region, results.display_name(model), "–", "none defined")
                continue
            choice = region_choice(results, model, region)
            found, index = best.values, best.bin
            table.add_row(
                region,
                results.display_name(model),
                best.layer,
                "{:g}–{:g} ms".format(*time_bins(results.root)[index]),
                with_error(*choice.nested) if choice else "–",
                with_error(found.r[index], found.error[index]),
                number(found.ceiling[index]),
                number(found.normalised[index]),
                number(found.noise_corrected[index]),
                str(found.neurons[index]),
            )
    return table


def few_tested(results: Results) -> str:
    """What is said beside correlations over few test stimuli."""
    return (
        f"Each split has {results.fewest_tested} test stimuli: correlations over fewer than "
        f"{FEW_TESTED} are imprecise."
    )


def number(value: float | None) -> str:
    """A number with two decimals and its sign where it is negative; a dash where undefined."""
    return "–" if value is None or value != value else f"{value:.2f}"


def with_error(value: float, error: float) -> str:
    """A value ± its error, three decimals; a dash where undefined, no error where that is."""
    if not np.isfinite(value):
        return "–"
    return f"{value:.3f} ± {error:.3f}" if np.isfinite(error) else f"{value:.3f}"


def wide_console(least: int = 160) -> Console:
    """The console, at least so many characters wide, for a table's names in narrow terminals."""
    return PlainConsole(width=max(PlainConsole().width, least))

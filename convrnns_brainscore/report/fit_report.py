"""The report of fits: ``summary.csv``, region maps, and two self-contained HTML pages."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from plotly.offline import get_plotlyjs

from convrnns_brainscore._version import __version__
from convrnns_brainscore.errors import counted
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.correlation import nanmean, nanmedian, spearman_brown
from convrnns_brainscore.fits.heldout import NOT_OBSERVED
from convrnns_brainscore.fits.lab import lab_table
from convrnns_brainscore.fits.learning import MORE
from convrnns_brainscore.fits.learning_curves import learning_curves
from convrnns_brainscore.fits.region_differences import NO_LATENCY, differences_table
from convrnns_brainscore.fits.reliability import MIN_CEILING, reliability
from convrnns_brainscore.fits.resampling import RESAMPLES
from convrnns_brainscore.fits.results import (
    FEW_TESTED,
    MIN_RELIABILITY,
    Best,
    Predictivity,
    Results,
    best_layer,
    fitted_layers,
    noise_corrected,
    region_choice,
    region_choices,
    scored_neurons,
    summary,
    time_bins,
)
from convrnns_brainscore.fits.statistics import (
    FEWEST_NEURONS,
    ByLayer,
    compare_layers,
    compare_models,
    runner_up,
)
from convrnns_brainscore.provenance import PACKAGE, display_name
from convrnns_brainscore.regions import LATENCY, MADE_BY, region_layers
from convrnns_brainscore.report import fit_interactive
from convrnns_brainscore.report.fit_numbers import (
    differs,
    layer_learning,
    layer_maps,
    neuron_scores,
)
from convrnns_brainscore.report.methods import CITATIONS, methods, sample_of
from convrnns_brainscore.report.page import render
from convrnns_brainscore.report.tables import few_tested, with_error
from convrnns_brainscore.zoo import find_model

MOST_FLAGGED = 200
"""Neurons to look at that the page lists; `summary.csv` and ``results.nc`` have all."""


MOST_NAMED = 10
"""Of more neurons with the same note, such as those of a day that showed other stimuli, the page
gives the number."""


def write_report(results: Results, out: Path, command: str = "") -> list[Path]:
    """Write tables, each model's region map, and two pages.

    The tables are ``models.csv``, ``summary.csv``, ``learning_curves.csv`` and ``regions.csv``; the
    pages ``report.html`` and ``ceilings.html``.

    Parameters
    ----------
    results : Results
        Results of fits.
    out : path
        The folder of the files.
    command : str, optional
        The command line that made the fits, for the page.

    Returns
    -------
    list of path
        The files.
    """
    tables = {
        "models.csv": lab_table({"": results}).drop(columns="recording"),
        "summary.csv": summary(results),
        "learning_curves.csv": learning_curves(results),
        "regions.csv": differences_table(results),
    }
    written = []
    for name, table in tables.items():
        if len(table):
            written.append(out / name)
            with written_whole(out / name) as partial:
                table.to_csv(partial, index=False)
    models = [model for model in results.models if model != control.NAME]
    for model in models:
        choices = region_choices(results, model)
        if not choices:
            continue
        refitted = {region: [choice.layer] for region, choice in choices.items()}
        named = "region_layer_map.json" if len(models) == 1 else f"{model},region_layer_map.json"
        written.append(out / named)
        with written_whole(out / named) as partial:
            made_by = results.made_by(model)
            layers: dict[str, Any] = {**region_layers(find_model(made_by["model"])), **refitted}
            layers[LATENCY] = {region: choice.latency for region, choice in choices.items()}
            layers[MADE_BY] = {
                "model": display_name(model, made_by),
                "weights_sha256": made_by.get("weights_sha256", "none"),
                PACKAGE: made_by.get(PACKAGE, __version__),
            }
            partial.write_text(json.dumps(layers, indent=1) + "\n", encoding="utf-8")
    for name, content in (
        ("ceilings.html", ceilings_page(results)),
        ("report.html", page(results, command)),
    ):
        written.append(out / name)
        with written_whole(out / name) as partial:
            partial.write_text(content, encoding="utf-8")
    return written


def page(results: Results, command: str = "") -> str:
    """The report as one HTML page; figures and what moves them are part of it."""
    flagged = _flagged(results)
    return render(
        "fits.html",
        title="Fits of "
        + ", ".join(results.display_name(m) for m in results.models if m != control.NAME),
        script=get_plotlyjs(),
        regions=[_region(results, region) for region in results.regions],
        sample=sample_of(results),
        one_bin=results.root.sizes["time_bin"] == 1,
        chosen=_chosen_rows(results),
        region_differences=_difference_rows(results),
        methods=methods(results),
        citations=CITATIONS,
        command=command,
        flagged=flagged[:MOST_FLAGGED],
        unlisted=len(flagged) - MOST_FLAGGED,
        notes=results.root.attrs["notes"].splitlines(),
        settings=json.loads(results.root.attrs["settings"]),
        made_by={model: results.made_by(model) for model in results.models},
        min_ceiling=MIN_CEILING,
        min_reliability=MIN_RELIABILITY,
        more=MORE,
        most_dots=fit_interactive.MOST_DOTS,
        most_behind=fit_interactive.MOST_BEHIND,
        fewest_neurons=FEWEST_NEURONS,
        resamples=RESAMPLES,
        few_tested=few_tested(results) if results.fewest_tested < FEW_TESTED else "",
    )


def ceilings_page(results: Results) -> str:
    """How ceilings and normalised values come about, worked through with the results' numbers."""
    found = _example(results)
    if found is None:
        return render("ceilings.html", example=None, min_ceiling=MIN_CEILING)
    region, model, best, time_bin = found
    fit = results.fits[model, best.layer]
    here, there = results.neurons_of(fit, region), results.neurons(region)
    halves = results.root["half_correlation"].values[:, there, time_bin]
    values = best.values
    known = noise_corrected(fit, here)[:, time_bin]
    factors = {
        name: nanmean(fit[name].values[:, here, time_bin])
        for name in ("r", "prediction_halves", "response_halves")
    }
    reliable = spearman_brown(nanmean(halves)) >= MIN_RELIABILITY
    candidates = np.where(reliable & np.isfinite(known), factors["r"], np.nan)
    neuron = None
    if np.isfinite(candidates).any():
        at = int(np.nanargmax(candidates))
        neuron = {
            "name": fit["neuroid_id"].values[here][at],
            "corrected": float(known[at]),
            **{name: float(each[at]) for name, each in factors.items()},
        }
    return render(
        "ceilings.html",
        example={
            "region": region,
            "model": results.display_name(model),
            "layer": best.layer,
            "bin": _bin(results, time_bin),
            "neurons": int(values.neurons[time_bin]),
            "splits": nanmedian(fit["r"].values[:, here, time_bin], axis=1).tolist(),
            "r": float(values.r[time_bin]),
            "halvings": nanmedian(halves, axis=1).tolist(),
            "corrected_halvings": nanmedian(spearman_brown(halves), axis=1).tolist(),
            "ceiling": float(values.ceiling[time_bin]),
            "normalised": float(values.normalised[time_bin]),
            "noise_corrected": float(values.noise_corrected[time_bin]),
            "reliable": int(values.reliable[time_bin]),
            "neuron": neuron,
        },
        min_ceiling=MIN_CEILING,
        min_reliability=MIN_RELIABILITY,
    )


def _example(results: Results) -> tuple[str, str, Best, int] | None:
    """Region, model, layer and bin with the highest normalised value."""
    found = None
    highest = -np.inf
    for region in results.regions:
        for model in results.models:
            best = best_layer(results, model, region)
            if model == control.NAME or best is None:
                continue
            values = np.nan_to_num(best.values.normalised, nan=-np.inf)
            if values.max() > highest:
                highest = float(values.max())
                found = region, model, best, int(values.argmax())
    return found


def _region(results: Results, region: str) -> dict[str, Any]:
    """What the page says of a region."""
    comparisons = compare_models(results, region)
    scored = counted(scored_neurons(results, region), "neuron")
    return {
        "name": region,
        "neurons": int(results.neurons(region).sum()),
        "size": f"n = {scored}, {results.root.sizes['stimulus']} stimuli, "
        f"{results.root.sizes['split']} splits.",
        "several": any(len(each.layers) > 1 for each in layer_maps(results, region)),
        "reliable": any(each.reliable for each in neuron_scores(results, region)),
        "choice": fit_interactive.draw_choice(results, region),
        "over_time": fit_interactive.draw_over_time(results, region),
        "layers": fit_interactive.draw_layers(results, region),
        "neurons_figure": fit_interactive.draw_neurons(results, region),
        "learning": fit_interactive.draw_learning(results, region),
        "learned": _learning_rows(results, region),
        "crossed": fit_interactive.draw_crossed(results, region),
        "best": [row for model in results.models for row in _best_rows(results, model, region)],
        "runners_up": [
            (model, found)
            for model in results.models
            if (found := runner_up(results, model, region)) is not None
        ],
        "comparisons": [
            (each, "–" if each.untested else _where(results, differs(each))) for each in comparisons
        ],
        "compared_in": _where(results, comparisons[0].counted) if comparisons else "",
        "differences": fit_interactive.draw_differences(results, comparisons),
        "lesions": [
            (found, fit_interactive.draw_layer_differences(results, found))
            for found in _lesions(results, region)
        ],
    }


def _learning_rows(results: Results, region: str) -> list[dict[str, str]]:
    return [
        {
            "model": each.name,
            "layer": each.layer,
            "bin": _bin(results, each.curve.time_bin),
            "stimuli": f"{each.curve.stimuli[-1]:.0f}",
            "r": _number(each.r[-2]),
            "r_with_more": _number(each.r[-1]),
            "noise_corrected": _number(each.noise_corrected[-2]),
            "noise_corrected_with_more": _number(each.noise_corrected[-1]),
        }
        for each in layer_learning(results, region)
    ]


def _lesions(results: Results, region: str) -> list[ByLayer]:
    """Each network with a lesion against the whole one."""
    made_by = {model: results.made_by(model) for model in results.models}
    return [
        compare_layers(results, whole, lesioned, region)
        for lesioned, its in made_by.items()
        for whole, other in made_by.items()
        if its.get("lesion", "none") != "none"
        and other.get("lesion") == "none"
        and its["model"] == other["model"]
        and fitted_layers(results, lesioned, region)
    ]


def _where(results: Results, bins: NDArray[np.bool_]) -> str:
    """Some of the bins, neighbours put together."""
    found: list[list[float]] = []
    for (start, end), chosen in zip(time_bins(results.root), bins, strict=True):
        if not chosen:
            continue
        if found and found[-1][1] == start:
            found[-1][1] = end
        else:
            found.append([start, end])
    return ", ".join(f"{start:g}–{end:g} ms" for start, end in found) or "none"


def _chosen_rows(results: Results) -> list[dict[str, Any]]:
    return [
        {
            "model": results.display_name(model),
            "region": region,
            "layer": choice.layer,
            "latency": f"{choice.latency} ms"
            if choice.tells_latency
            else f"{choice.latency} ms ({NO_LATENCY.partition(':')[0]})",
            "bin": _bin(results, choice.time_bin),
            "score": f"{choice.score.mean():.3f}",
            "bin_score": f"{choice.bin_score.mean():.3f}",
            "agreement": _agreement(choice.chosen)
            if len(choice.layers) * len(choice.latencies) > 1
            else "the only candidate",
        }
        for model in results.models
        for region, choice in region_choices(results, model).items()
    ]


def _difference_rows(results: Results) -> list[dict[str, str]]:
    """The rows of ``regions.csv`` as text, where there are several regions, and models that had
    a choice."""
    table = differences_table(results)
    free = {
        model
        for model in results.models
        for choice in region_choices(results, model).values()
        if len(choice.layers) * len(choice.latencies) > 1
    }
    table = table[table["model"].isin(free)]
    if not len(table) or not (table["second"] != "").any():
        return []
    return [
        {
            "model": results.display_name(row.model),
            "quantity": row.quantity,
            "region": f"{row.first} − {row.second}" if row.second else row.first,
            "value": with_error(row.value, row.error),
            "p": row.untested or ("–" if np.isnan(row.p) else f"{row.p:.2g}"),
        }
        for row in table.itertuples()
    ]


def _bin(results: Results, index: int) -> str:
    return "{:g}–{:g} ms".format(*time_bins(results.root)[index])


def _best_rows(results: Results, model: str, region: str) -> list[dict[str, str]]:
    """The best layer and bin over all neurons, and the same of each subject of several."""
    best = best_layer(results, model, region)
    if best is None or best.bin is None:
        return [{"model": model, "layer": "–", "bin": "no defined bin"}]
    layer, where = best.layer, best.bin
    rows = [_row(results, model, layer, best.values, where, results.made_by(model)["label"])]
    choice = region_choice(results, model, region)
    if choice is not None:
        rows[0]["nested"] = with_error(*choice.nested)
    for subject in results.subjects(region)[1:]:
        theirs = results.predictivity(model, layer, region, subject)
        rows.append(_row(results, f"— subject {subject}", layer, theirs, where))
    return rows


def _row(
    results: Results, name: str, layer: str, found: Predictivity, where: int, label: str = ""
) -> dict[str, str]:
    return {
        "model": name,
        "label": label,
        "layer": layer,
        "bin": _bin(results, where),
        "r": with_error(found.r[where], found.error[where]),
        "nested": "–",
        "ceiling": _number(found.ceiling[where]),
        "normalised": _number(found.normalised[where]),
        "noise_corrected": _number(found.noise_corrected[where]),
        "neurons": str(found.neurons[where]),
        "reliable": str(found.reliable[where]),
    }


def _number(value: Any) -> str:
    return "–" if not np.isfinite(value) else f"{float(value):.3f}"


def _agreement(chosen: Sequence[tuple[str, int, int]]) -> str:
    """Which layers and latencies the splits chose, and how often."""
    counts: dict[str, int] = {}
    for layer, latency, _ in chosen:
        counts[f"{layer} at {latency} ms"] = counts.get(f"{layer} at {latency} ms", 0) + 1
    ranked = sorted(counts.items(), key=lambda each: -each[1])
    return ", ".join(f"{name} ({count})" for name, count in ranked)


def _flagged(results: Results) -> list[tuple[str, str]]:
    """Neurons with what is to be said of them; those of which the same is said, together."""
    alike: dict[str, list[str]] = {}
    for name, note in zip(results.root["neuroid_id"].values, _notes(results), strict=True):
        if note:
            alike.setdefault(note, []).append(str(name))
    return [
        (name, note) if len(names) <= MOST_NAMED else (f"{len(names)} neurons", note)
        for note, names in alike.items()
        for name in (names if len(names) <= MOST_NAMED else names[:1])
    ]


def _notes(results: Results) -> list[str]:
    """What is to be said of each neuron, over all fits and bins."""
    ids = results.root["neuroid_id"].values.tolist()
    found: dict[str, list[str]] = {name: [] for name in ids}
    for fit in results.fits.values():
        heard = (fit["note"].values != NOT_OBSERVED).any(axis=0)  # bins with any response
        notes_of_bins = fit["note"].values[:, heard]
        for name, notes in zip(fit["neuroid_id"].values, notes_of_bins, strict=True):
            found[name] += [note for note in notes if note]
    known = reliability(results.root["half_correlation"].values)
    highest = np.nanmax(np.where(np.isfinite(known), known, -np.inf), axis=1)
    for name, value in zip(ids, highest, strict=True):
        if np.isfinite(value) and value < MIN_RELIABILITY:
            found[name].append(f"reliability below {MIN_RELIABILITY} in every bin")
    return ["; ".join(dict.fromkeys(found[name])) for name in ids]

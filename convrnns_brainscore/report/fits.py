"""The report of fits: ``summary.csv``, region maps, and one page that needs nothing else."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, PackageLoader, select_autoescape
from matplotlib.figure import Figure

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.correlation import mean
from convrnns_brainscore.fits.heldout import NOT_OBSERVED
from convrnns_brainscore.fits.reliability import reliability
from convrnns_brainscore.fits.results import (
    MIN_CEILING,
    MIN_RELIABILITY,
    Predictivity,
    Results,
    best_layer,
    layers_of,
    predictivity,
    region_choices,
    summary,
    time_bins,
)
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.zoo import find_model

_MARKERS = "osD^vP"


def write_report(results: Results, out: Path) -> list[Path]:
    """Write ``summary.csv``, each model's region map, and ``report.html``.

    Returns
    -------
    The files.
    """
    table = summary(results)
    written = [out / "summary.csv"]
    with written_whole(written[0]) as partial:
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
            layers = {**region_layers(find_model(model)), **refitted}
            partial.write_text(json.dumps(layers, indent=1) + "\n", encoding="utf-8")
    written.append(out / "report.html")
    with written_whole(out / "report.html") as partial:
        partial.write_text(page(results), encoding="utf-8")
    return written


def page(results: Results) -> str:
    """The report as one HTML page; figures are part of it."""
    environment = Environment(
        loader=PackageLoader("convrnns_brainscore.report"), autoescape=select_autoescape()
    )
    settings = json.loads(results.root.attrs["settings"])
    notes = results.root["neuroid_id"].values, _notes(results)
    flagged = [(name, note) for name, note in zip(*notes, strict=True) if note]
    regions = [
        {
            "name": region,
            "over_time": _picture(over_time_figure(results, region)),
            "layers": _picture(layers_figure(results, region)),
            "neurons": _picture(neurons_figure(results, region)),
            "crossed": _crossed(results, region),
            "best": [row for model in results.models for row in _best_rows(results, model, region)],
        }
        for region in results.regions
    ]
    chosen = [
        {
            "model": model,
            "region": region,
            "layer": choice.layer,
            "latency": choice.latency,
            "bin": "{:g}–{:g} ms".format(*time_bins(results.root)[choice.time_bin]),
            "score": f"{choice.score.mean():.3f}",
            "bin_score": f"{choice.bin_score.mean():.3f}",
            "agreement": _agreement(choice.chosen),
        }
        for model in results.models
        for region, choice in region_choices(results, model).items()
    ]
    made_by = {
        model: next(fit.attrs for (name, _), fit in results.fits.items() if name == model)
        for model in results.models
    }
    return environment.get_template("fits.html").render(
        title=f"Fits of {', '.join(m for m in results.models if m != control.NAME)}",
        regions=regions,
        chosen=chosen,
        flagged=flagged,
        notes=results.root.attrs["notes"].splitlines(),
        settings=settings,
        made_by=made_by,
        min_ceiling=MIN_CEILING,
        min_reliability=MIN_RELIABILITY,
    )


def over_time_figure(results: Results, region: str) -> Figure:
    """r over time of each model's best layer, with its error, and the noise ceiling √reliability.

    Undefined bins stay blank.
    """
    figure = Figure(figsize=(7.4, 4), layout="constrained")
    axes = figure.subplots()
    edges = np.array(time_bins(results.root))
    middle = edges.mean(axis=1)
    ceiling = None
    for index, model in enumerate(results.models):
        best = best_layer(results, model, region)
        if best is None:
            continue
        layer, found = best.layer, best.values
        ceiling = found.ceiling
        grey = model == control.NAME
        style: dict[str, Any] = {"color": "0.45" if grey else f"C{index}"}
        label = (
            f"{model}: the image itself" if grey else f"{model} {layer} ({_label(results, model)})"
        )
        axes.plot(
            middle,
            found.r,
            marker=_MARKERS[index % len(_MARKERS)],
            markersize=4,
            label=label,
            **style,
        )
        axes.fill_between(
            middle, found.r - found.error, found.r + found.error, alpha=0.25, linewidth=0, **style
        )
    if ceiling is not None and np.isfinite(ceiling).any():
        with np.errstate(invalid="ignore"):
            axes.plot(
                middle,
                np.sqrt(ceiling),
                color="black",
                linestyle="--",
                linewidth=1,
                label="noise ceiling, √reliability",
            )
    axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    axes.axvline(0, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    axes.set_xlim(min(edges.min(), 0), edges.max())
    axes.set_xlabel("time from image onset (ms)")
    axes.set_ylabel("r on held-out stimuli")
    axes.set_title(f"{region}: predictivity over time")
    axes.legend(fontsize=8)
    return figure


def layers_figure(results: Results, region: str) -> Figure:
    """r of every layer at every bin, one panel a model. Undefined cells stay blank."""
    panels = {}
    for model in results.models:
        rows = {
            layer: predictivity(results, model, layer, region).r
            for layer in layers_of(results, model, region)
        }
        if rows:
            panels[model] = rows
    height = 1.2 + 0.34 * max(map(len, panels.values()))
    figure = Figure(figsize=(3.6 * len(panels) + 1, max(2.4, height)), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    values = [np.stack(list(rows.values())) for rows in panels.values()]
    limit = max([float(np.nanmax(np.nan_to_num(abs(each)))) for each in values] + [0.01])
    edges = np.array(time_bins(results.root))
    for axes, (model, rows), cells in zip(all_axes, panels.items(), values, strict=True):
        image = axes.imshow(
            cells,
            aspect="auto",
            origin="lower",
            cmap="RdBu_r",
            vmin=-limit,
            vmax=limit,
            interpolation="nearest",
        )
        axes.set_facecolor("0.88")
        axes.set_yticks(range(len(rows)), list(rows))
        every = max(1, len(edges) // 6)
        axes.set_xticks(
            range(0, len(edges), every), [f"{start:g}" for start, _ in edges[::every]], fontsize=8
        )
        axes.set_xlabel("start of bin (ms)")
        axes.set_title(model, fontsize=9)
    figure.colorbar(image, ax=all_axes, label="r")
    figure.suptitle(f"{region}: layers over time (grey: undefined)", fontsize=10)
    return figure


def neurons_figure(results: Results, region: str) -> Figure:
    """Each neuron's r at the best bin of each model against its reliability there."""
    figure = Figure(figsize=(5, 4), layout="constrained")
    axes = figure.subplots()
    known = reliability(results.root["half_correlation"].values)
    for index, model in enumerate(results.models):
        best = best_layer(results, model, region)
        if best is None or best.bin is None:
            continue
        layer, where = best.layer, best.bin
        fit = results.fits[model, layer]
        here, there = (results.of(data, region) for data in (fit, results.root))
        axes.scatter(
            known[there, where],
            mean(fit["r"].values[:, here, where]),
            s=14,
            alpha=0.6,
            color="0.45" if model == control.NAME else f"C{index}",
            marker=_MARKERS[index % len(_MARKERS)],
            label=f"{model} {layer}, {{:g}}–{{:g}} ms".format(*time_bins(results.root)[where]),
        )
    line = np.linspace(0, 1, 100)
    axes.plot(line, np.sqrt(line), color="black", linestyle="--", linewidth=1, label="√reliability")
    axes.axvline(MIN_RELIABILITY, color="0.6", linewidth=0.8, linestyle=":")
    axes.set_xlabel("split-half reliability (Spearman–Brown)")
    axes.set_ylabel("r on held-out stimuli")
    axes.set_title(f"{region}: single neurons")
    axes.legend(fontsize=8)
    return figure


def crossed_figure(results: Results, region: str) -> Figure | None:
    """r of features of one bin against responses of another, of each model's first layer."""
    panels = {}
    for (model, layer), fit in results.fits.items():
        if (
            "cross_temporal" in fit
            and region in fit["crossed_region"].values
            and model != control.NAME
        ):
            place = fit["crossed_region"].values.tolist().index(region)
            panels[f"{model} {layer}"] = mean(fit["cross_temporal"].values[place])
    if not panels:
        return None
    figure = Figure(figsize=(3.4 * len(panels) + 1, 3.6), layout="constrained")
    all_axes = figure.subplots(1, len(panels), squeeze=False)[0]
    limit = max([float(np.nanmax(np.nan_to_num(abs(each)))) for each in panels.values()] + [0.01])
    edges = time_bins(results.root)
    for axes, (name, cells) in zip(all_axes, panels.items(), strict=True):
        image = axes.imshow(cells, origin="lower", cmap="RdBu_r", vmin=-limit, vmax=limit)
        axes.set_facecolor("0.88")
        every = max(1, len(edges) // 5)
        ticks = range(0, len(edges), every), [f"{start:g}" for start, _ in edges[::every]]
        axes.set_xticks(*ticks)
        axes.set_yticks(*ticks)
        axes.set_xlabel("recording's bin (ms)")
        axes.set_ylabel("features' bin (ms)")
        axes.set_title(name, fontsize=9)
    figure.colorbar(image, ax=all_axes, label="r")
    return figure


def _crossed(results: Results, region: str) -> str | None:
    figure = crossed_figure(results, region)
    return None if figure is None else _picture(figure)


def _best_rows(results: Results, model: str, region: str) -> list[dict[str, str]]:
    """The best layer and bin over all neurons, and the same of each subject of several."""
    best = best_layer(results, model, region)
    if best is None or best.bin is None:
        return [{"model": model, "layer": "–", "bin": "no defined bin"}]
    layer, where = best.layer, best.bin
    rows = [_row(results, f"{model} ({_label(results, model)})", layer, best.values, where)]
    for subject in results.subjects(region)[1:]:
        theirs = predictivity(results, model, layer, region, subject)
        rows.append(_row(results, f"— subject {subject}", layer, theirs, where))
    return rows


def _row(
    results: Results, name: str, layer: str, found: Predictivity, where: int
) -> dict[str, str]:
    return {
        "model": name,
        "layer": layer,
        "bin": "{:g}–{:g} ms".format(*time_bins(results.root)[where]),
        "r": f"{found.r[where]:.3f} ± {found.error[where]:.3f}",
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


def _label(results: Results, model: str) -> str:
    return next(str(fit.attrs["label"]) for (name, _), fit in results.fits.items() if name == model)


def _picture(figure: Figure) -> str:
    """As a data address."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=120)
    return "data:image/png;base64," + base64.b64encode(buffer.getvalue()).decode()

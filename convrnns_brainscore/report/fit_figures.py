"""Figures of fits for papers, by matplotlib: one panel a region, undefined values left blank."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from convrnns_brainscore.choices import FigureName, parse_choice
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.results import MIN_RELIABILITY, Best, Results, best_layer, time_bins
from convrnns_brainscore.fits.statistics import compare_models
from convrnns_brainscore.report.fit_numbers import (
    best_curves,
    bin_middles,
    bin_names,
    colour_limit,
    compared,
    differs,
    layer_learning,
    layer_maps,
    neuron_scores,
    noise_ceiling,
)
from convrnns_brainscore.report.heat_map import heat_map
from convrnns_brainscore.report.style import save_figure, styles

FORMATS = (".pdf", ".svg", ".png")


def write_figure(
    results: Results, name: str, path: Path, region: str | None = None, neuron: str | None = None
) -> None:
    """Draw a figure to a file.

    Parameters
    ----------
    results : Results
        Results of fits.
    name : str
        One of `choices.FigureName`.
    path : path
        Its suffix says the format, one of `FORMATS`.
    region : str, optional
        None: all, one panel each.
    neuron : str, optional
        For predicted against observed responses: a neuroid_id; None: each region's best predicted.

    Raises
    ------
    ConvRNNError
        No such region, another format, or nothing to draw.
    """
    kind = parse_choice("figure", name, FigureName)
    if path.suffix not in FORMATS:
        raise ConvRNNError(f"{path}: expected a name that ends in {', '.join(FORMATS)}.")
    if not path.absolute().parent.is_dir():
        raise ConvRNNError(f"{path}: there is no folder {path.absolute().parent}.")
    regions = results.regions
    if region is not None:
        regions = [each for each in regions if each.casefold() == region.casefold()]
        if not regions:
            raise unknown("region", region, results.regions)
    drawn = [
        each
        for each in regions
        if any(_has_score(best_layer(results, model, each)) for model in results.models)
    ]
    if not drawn:
        raise ConvRNNError(f"nothing to draw: no bin of {', '.join(regions)} has a score.")
    if (
        kind is FigureName.neurons
        and not np.isfinite(results.root["half_correlation"].values).any()
    ):
        raise ConvRNNError("nothing to draw: without repetitions, no neuron has a reliability.")
    if kind is FigureName.learning and not any(layer_learning(results, each) for each in drawn):
        raise ConvRNNError("nothing to draw: weights shared over time have no learning curves.")
    if neuron is not None and kind is not FigureName.predicted:
        raise ConvRNNError("`neuron=…` applies only to `figure='predicted'`.")
    if kind is FigureName.predicted:
        figure = draw_predicted(results, drawn, neuron)
    else:
        figure = DRAWN[kind](results, drawn)
    with written_whole(path) as partial:
        names = [results.display_name(model) for model in results.models]
        save_figure(figure, partial, names, path.suffix[1:], dpi=200)


def _has_score(best: Best | None) -> bool:
    return best is not None and best.bin is not None


def draw_over_time(results: Results, regions: list[str]) -> Figure:
    """r over time of each model's best layer, with its error, and the noise ceiling."""
    figure, panels = _panels(regions, (5.4, 3.8))
    edges, looks = np.array(time_bins(results.root)), styles(results.models)
    middles = bin_middles(results)
    for axes, region in zip(panels, regions, strict=True):
        curves = best_curves(results, region)
        for curve in curves:
            found, look = curve.values, looks[curve.model]
            axes.plot(
                middles,
                found.r,
                color=look.colour,
                marker=look.marker[0],
                linestyle=look.dash[0],
                markersize=4,
                label=f"{curve.name} {curve.layer}",
            )
            low, high = found.r - found.error, found.r + found.error
            axes.fill_between(middles, low, high, color=look.colour, alpha=0.2, linewidth=0)
        top = noise_ceiling(curves)
        if top is not None:
            axes.plot(middles, top, "k--", linewidth=1, label="noise ceiling, √reliability")
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlim(min(edges.min(), 0), edges.max())
        axes.set_xlabel("time from image onset (ms)")
        axes.set_ylabel("r on held-out stimuli")
        _legend(axes)
    return figure


def draw_layers(results: Results, regions: list[str]) -> Figure:
    """r of every layer at every bin: a column of panels for each region, a row for each model."""
    models = results.models
    maps = {
        (each.model, region): each for region in regions for each in layer_maps(results, region)
    }
    height = 1 + 0.28 * max(len(each.layers) for each in maps.values())
    size = 4.4 * len(regions) + 1, height * len(models) + 0.6
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(models), len(regions), squeeze=False)
    limit = colour_limit(each.r for each in maps.values())
    starts = [start for start, _ in time_bins(results.root)]
    image: AxesImage | None = None
    for (row, model), (column, region) in product(enumerate(models), enumerate(regions)):
        axes = grid[row, column]
        if (model, region) not in maps:
            axes.set_axis_off()
            continue
        found = maps[model, region]
        image = heat_map(axes, found.r, found.layers, starts, limit)
        axes.set_title(f"{region}: {found.name}", fontsize=9)
    if image is not None:
        figure.colorbar(image, ax=grid, label="r")
    return figure


def draw_neurons(results: Results, regions: list[str]) -> Figure:
    """Each neuron's r at the best bin of each model's best layer against its reliability there."""
    figure, panels = _panels(regions, (4.4, 4))
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        for found in neuron_scores(results, region):
            axes.scatter(
                found.reliability,
                found.r,
                s=12,
                alpha=0.6,
                color=looks[found.model].colour,
                marker=looks[found.model].marker[0],
                label=f"{found.name} {found.layer}, {bin_names(results)[found.time_bin]} ms",
                rasterized=True,
            )
        line = np.linspace(0, 1, 100)
        axes.plot(line, np.sqrt(line), "k--", linewidth=1, label="√reliability")
        axes.axvline(MIN_RELIABILITY, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_xlabel("split-half reliability (Spearman–Brown)")
        axes.set_ylabel("r on held-out stimuli")
        _legend(axes)
    return figure


def draw_differences(results: Results, regions: list[str]) -> Figure:
    """The difference of every two models over time; filled where it is significant (p < .05,
    corrected over bins)."""
    if len([model for model in results.models if model != control.NAME]) < 2:
        raise ConvRNNError("differences are between models: the results have only one.")
    figure, panels = _panels(regions, (5.4, 3.8))
    middles = bin_middles(results)
    for axes, region in zip(panels, regions, strict=True):
        pairs = [
            p for p in compare_models(results, region) if control.NAME not in (p.first, p.second)
        ]
        looks = styles([f"{p.first}{p.second}" for p in pairs]).values()
        for each, look in zip(pairs, looks, strict=False):
            axes.plot(
                middles,
                each.over_time,
                color=look.colour,
                linestyle=look.dash[0],
                marker=look.marker[0],
                markerfacecolor="white",
                markersize=5,
                label=compared(results, each),
            )
            filled = differs(each)
            axes.plot(middles[filled], each.over_time[filled], look.marker[0], color=look.colour)
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlabel("time from image onset (ms)")
        axes.set_ylabel("difference of r")
        _legend(axes)
    return figure


def draw_learning(results: Results, regions: list[str]) -> Figure:
    """r and noise-corrected r of each model's best layer against the number of training stimuli;
    dotted: extrapolated."""
    figure, panels = _panels(regions, (4.4, 4))
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        for found in layer_learning(results, region):
            look, name = looks[found.model], f"{found.name} {found.layer}"
            time_bin = f"{bin_names(results)[found.curve.time_bin]} ms"
            for values, dash, fill, what in (
                (found.r, "-", look.colour, f"{name}, {time_bin}: r"),
                (found.noise_corrected, "--", "white", f"{name}: noise-corrected r"),
            ):
                style: dict[str, Any] = {
                    "color": look.colour,
                    "marker": look.marker[0],
                    "markerfacecolor": fill,
                }
                measured, more = slice(None, -1), slice(-2, None)
                axes.plot(
                    found.sizes[measured], values[measured], linestyle=dash, label=what, **style
                )
                axes.plot(found.sizes[more], values[more], linestyle=":", **style)
        axes.set_xlim(left=0)
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlabel("training stimuli (dotted: extrapolated)")
        axes.set_ylabel("r on the same held-out stimuli")
        _legend(axes)
    return figure


def draw_predicted(results: Results, regions: list[str], neuron: str | None = None) -> Figure:
    """A neuron's predicted against its observed responses, at the best bin of each model's best
    layer; predictions are by fits to other stimuli.

    Raises
    ------
    ConvRNNError
        No such neuron; predictions were not kept.
    """
    figure, panels = _panels(regions, (4.4, 4))
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        shown = neuron
        for scores in neuron_scores(results, region):
            if scores.model == control.NAME:
                continue
            if shown is None:
                shown = scores.neurons[int(np.nanargmax(scores.r))]
            if shown not in scores.neurons:
                raise unknown(f"neuron of {region}", shown, scores.neurons)
            found = results.held_out(scores.model, scores.layer, region)
            of_neuron = found.isel(neuroid=scores.neurons.index(shown), time_bin=scores.time_bin)
            predicted, observed = of_neuron["predicted"].values, of_neuron["observed"].values
            known = np.isfinite(predicted) & np.isfinite(observed)
            axes.scatter(
                predicted[known],
                observed[known],
                s=12,
                alpha=0.6,
                color=looks[scores.model].colour,
                marker=looks[scores.model].marker[0],
                label=f"{scores.name} {scores.layer}, {bin_names(results)[scores.time_bin]} ms, "
                f"{known.sum()} stimuli",
            )
        which = "" if neuron else " (best predicted)"
        axes.set_title(f"{region}, neuron {shown}{which}")
        axes.axline((0, 0), slope=1, color="0.6", linewidth=0.8, linestyle="--")
        axes.set_xlim(axes.dataLim.x0, axes.dataLim.x1)
        axes.set_ylim(axes.dataLim.y0, axes.dataLim.y1)
        axes.margins(0.05)
        axes.set_xlabel("predicted response, held-out stimuli")
        axes.set_ylabel("observed response, mean over repetitions")
        _legend(axes)
    return figure


DRAWN: dict[FigureName, Callable[[Results, list[str]], Figure]] = {
    FigureName.over_time: draw_over_time,
    FigureName.layers: draw_layers,
    FigureName.neurons: draw_neurons,
    FigureName.differences: draw_differences,
    FigureName.learning: draw_learning,
}
"""Name → what draws it."""


def _panels(regions: list[str], size: tuple[float, float]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each region, titled."""
    figure = Figure(figsize=(size[0] * len(regions), size[1]), layout="constrained")
    panels = list(figure.subplots(1, len(regions), squeeze=False)[0])
    for axes, region in zip(panels, regions, strict=True):
        axes.set_title(region)
    return figure, panels


def _legend(axes: Axes) -> None:
    """Below the panel, where it hides no data."""
    axes.legend(fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)

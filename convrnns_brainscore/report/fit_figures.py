"""Figures of fits for papers, by matplotlib: one panel a region, undefined values left blank."""

from __future__ import annotations

import textwrap
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from convrnns_brainscore.choices import FigureName, parse_choice
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import check_folder_of, written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.results import (
    MIN_RELIABILITY,
    Best,
    Results,
    best_layer,
    scored_neurons,
    time_bins,
)
from convrnns_brainscore.fits.statistics import compare_models
from convrnns_brainscore.report.fit_numbers import (
    best_curves,
    best_layers,
    bin_middles,
    bin_names,
    colour_range,
    compared,
    differs,
    jittered,
    latency_choices,
    layer_learning,
    layer_maps,
    layer_names,
    layer_places,
    neuron_r,
    neuron_scores,
    noise_ceiling,
)
from convrnns_brainscore.report.heat_map import colour_bar, heat_map
from convrnns_brainscore.report.style import (
    LOOK,
    ONE_COLUMN,
    TWO_COLUMNS,
    legend_below,
    save_figure,
    styles,
)

FORMATS = (".pdf", ".svg", ".png")

CEILING = "noise ceiling, √reliability (± 1 SD over halvings)"


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
    check_folder_of(path)
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
    if kind is FigureName.differences and len(results.models) < 2:
        raise ConvRNNError("differences are between models: the results have only one.")
    if kind is FigureName.learning and not any(layer_learning(results, each) for each in drawn):
        raise ConvRNNError("nothing to draw: weights shared over time have no learning curves.")
    if kind is FigureName.latency and not any(latency_choices(results, each) for each in drawn):
        raise ConvRNNError(
            "nothing to draw: only one latency was tried. Fit again with several `latencies=…`."
        )
    if neuron is not None and kind is not FigureName.predicted:
        raise ConvRNNError("`neuron=…` applies only to `figure='predicted'`.")
    with rc_context(LOOK), written_whole(path) as partial:
        if kind is FigureName.predicted:
            figure = draw_predicted(results, drawn, neuron)
        else:
            figure = DRAWN[kind](results, drawn)
        names = [results.display_name(model) for model in results.models]
        save_figure(figure, partial, names, path.suffix[1:], dpi=300)


def _has_score(best: Best | None) -> bool:
    return best is not None and best.bin is not None


def draw_over_time(results: Results, regions: list[str]) -> Figure:
    """r over time of each model's best layer, with its error, and the noise ceiling; of a single
    bin, r of every layer."""
    if results.root.sizes["time_bin"] == 1:
        return draw_one_bin(results, regions)
    figure, panels = _panels(results, regions)
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
                label=_wrapped(f"{curve.name} {curve.layer}"),
            )
            low, high = found.r - found.error, found.r + found.error
            axes.fill_between(middles, low, high, color=look.colour, alpha=0.2, linewidth=0)
        top = noise_ceiling(curves)
        if top is not None:
            axes.plot(middles, top.r, "--", color="0.3", label=CEILING)
            axes.fill_between(middles, top.low, top.high, color="0.3", alpha=0.15, linewidth=0)
        axes.axhline(0, color="0.8", zorder=0)
        axes.set_xlim(min(edges.min(), 0), edges.max())
        axes.set_xlabel("time from image onset (ms)")
        axes.set_ylabel("r on held-out stimuli")
        legend_below(axes)
    return figure


def draw_one_bin(results: Results, regions: list[str]) -> Figure:
    """r of every layer in the only bin, with its error; single neurons behind, and the noise
    ceiling as a band."""
    figure, panels = _panels(results, regions)
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        maps = layer_maps(results, region)
        names = layer_names(maps)
        for place, found in enumerate(maps):
            look, x = looks[found.model], layer_places(maps, place)
            for middle, layer in zip(x, found.layers, strict=True):
                r = neuron_r(results, found.model, layer, region, 0)
                axes.plot(
                    jittered(middle, len(r)), r, ".", color=look.colour, alpha=0.4,
                    markersize=2.5, markeredgewidth=0, rasterized=True,
                )  # fmt: skip
            axes.errorbar(
                x, found.r[:, 0], [each.error[0] for each in found.values], color=look.colour,
                marker=look.marker[0], linestyle="none", capsize=2,
                label=_wrapped(found.name),
            )  # fmt: skip
        top = noise_ceiling(maps)
        if top is not None:
            axes.axhline(top.r[0], linestyle="--", color="0.3", label=CEILING)
            axes.axhspan(top.low[0], top.high[0], color="0.3", alpha=0.15, linewidth=0)
        axes.axhline(0, color="0.8", zorder=0)
        axes.set_xticks(range(len(names)), names, rotation=45, ha="right")
        axes.set_xlim(-0.6, len(names) - 0.4)
        axes.set_ylabel(f"r on held-out stimuli, {bin_names(results)[0]} ms")
        legend_below(axes, below=0.3)
    return figure


def draw_layers(results: Results, regions: list[str]) -> Figure:
    """r of every layer at every bin: a column of panels for each region, a row for each model; a
    ring marks each bin's best layer."""
    if results.root.sizes["time_bin"] == 1:
        return draw_one_bin(results, regions)
    models = results.models
    maps = {
        (each.model, region): each for region in regions for each in layer_maps(results, region)
    }
    rows = [max(len(maps[key].layers) for key in maps if key[0] == model) for model in models]
    width = ONE_COLUMN if len(regions) == 1 else TWO_COLUMNS
    heights = [0.45 + 0.14 * count for count in rows]
    figure = Figure(figsize=(width, sum(heights) + 0.3), layout="constrained")
    grid = figure.subplots(
        len(models), len(regions), squeeze=False, gridspec_kw={"height_ratios": heights}
    )
    ends = colour_range(each.r for each in maps.values())
    image: AxesImage | None = None
    for (row, model), (column, region) in product(enumerate(models), enumerate(regions)):
        axes = grid[row, column]
        if (model, region) not in maps:
            axes.set_axis_off()
            continue
        found = maps[model, region]
        image = heat_map(axes, found.r, found.layers, time_bins(results.root), ends)
        if len(found.layers) > 1:
            for time_bin, best in enumerate(best_layers(found)):
                if best is not None:
                    axes.plot(time_bin, best, "o", color="white", fillstyle="none", markersize=3)
        axes.set_title(_wrapped(f"{region}: {found.name}"))
    if image is not None:
        colour_bar(figure, image, grid, "r on held-out stimuli")
    return figure


def draw_neurons(results: Results, regions: list[str]) -> Figure:
    """Each neuron's r at the best bin of each model's best layer against its reliability there;
    where no neuron has a reliability, against its r from the image itself."""
    figure, panels = _panels(results, regions)
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        every = neuron_scores(results, region)
        reliable = any(found.reliable for found in every)
        base = next((found for found in every if found.model == control.NAME), None)
        for found in every:
            if not reliable and found is base:
                continue
            look = looks[found.model]
            label = _wrapped(f"{found.name} {found.layer}, {bin_names(results)[found.time_bin]} ms")
            if reliable or base is not None:
                axes.scatter(
                    found.reliability if reliable or base is None else base.r, found.r,
                    s=5, alpha=0.6, linewidth=0, color=look.colour, marker=look.marker[0],
                    label=label, rasterized=True,
                )  # fmt: skip
            else:
                axes.hist(found.r, 20, alpha=0.5, color=look.colour, label=label)
        if reliable:
            line = np.linspace(0, 1, 100)
            axes.plot(line, np.sqrt(line), "--", color="0.3", label="√reliability")
            axes.axvline(MIN_RELIABILITY, color="0.6", linestyle=":")
            axes.set_xlabel("split-half reliability (Spearman–Brown)")
        elif base is not None:
            axes.axline((0, 0), slope=1, color="0.6", linestyle="--")
            axes.set_xlabel("r on held-out stimuli, from the image itself")
        else:
            axes.set_xlabel("r on held-out stimuli")
        axes.set_ylabel("r on held-out stimuli" if reliable or base is not None else "neurons")
        legend_below(axes)
    return figure


def draw_differences(results: Results, regions: list[str]) -> Figure:
    """The difference of every two models over time, or of one model and the control, with its
    error; filled where it is significant (p < .05, corrected over bins)."""
    several = len([model for model in results.models if model != control.NAME]) > 1
    figure, panels = _panels(results, regions)
    middles = bin_middles(results)
    for axes, region in zip(panels, regions, strict=True):
        pairs = [
            each
            for each in compare_models(results, region)
            if not several or control.NAME not in (each.first, each.second)
        ]
        looks = styles([f"{each.first}{each.second}" for each in pairs]).values()
        for place, (each, look) in enumerate(zip(pairs, looks, strict=False)):
            # In a single bin the pairs would stand on one another.
            x = middles if len(middles) > 1 else np.array([float(place)])
            axes.errorbar(
                x,
                each.over_time,
                each.error_over_time,
                color=look.colour,
                linestyle=look.dash[0],
                marker=look.marker[0],
                markerfacecolor="white",
                elinewidth=0.6,
                label=_wrapped(compared(results, each)),
            )
            filled = differs(each)
            axes.plot(x[filled], each.over_time[filled], look.marker[0], color=look.colour)
        axes.axhline(0, color="0.8", zorder=0)
        if len(middles) > 1:
            axes.set_xlabel("time from image onset (ms)")
        else:
            axes.set_xticks([])
            axes.set_xlim(-0.6, len(pairs) - 0.4)
            axes.set_xlabel(f"pairs of models, {bin_names(results)[0]} ms")
        axes.set_ylabel("difference in r")
        legend_below(axes)
    return figure


def draw_learning(results: Results, regions: list[str]) -> Figure:
    """r and noise-corrected r of each model's best layer against the number of training stimuli;
    dotted: extrapolated."""
    figure, panels = _panels(results, regions)
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        for found in layer_learning(results, region):
            look, name = looks[found.model], f"{found.name} {found.layer}"
            time_bin = f"{bin_names(results)[found.curve.time_bin]} ms"
            for values, dash, fill, what in (
                (found.r, "-", look.colour, f"{name}, {time_bin}: r"),
                (found.noise_corrected, "--", "white", f"{name}: noise-corrected r"),
            ):
                if not np.isfinite(values).any():
                    continue
                style: dict[str, Any] = {
                    "color": look.colour,
                    "marker": look.marker[0],
                    "markerfacecolor": fill,
                }
                measured, more = slice(None, -1), slice(-2, None)
                axes.plot(
                    found.sizes[measured],
                    values[measured],
                    linestyle=dash,
                    label=_wrapped(what),
                    **style,
                )
                axes.plot(found.sizes[more], values[more], linestyle=":", **style)
        axes.set_xlim(left=0)
        axes.axhline(0, color="0.8", zorder=0)
        axes.set_xlabel("training stimuli (dotted: extrapolated)")
        axes.set_ylabel("r on the same held-out stimuli")
        legend_below(axes)
    return figure


def draw_latency(results: Results, regions: list[str]) -> Figure:
    """r on validation stimuli of each model's chosen layer against the latency; a filled marker
    shows the chosen latency."""
    figure, panels = _panels(results, regions)
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        for model, choice in latency_choices(results, region).items():
            look, r = looks[model], choice.validated[choice.layers.index(choice.layer)]
            axes.plot(
                choice.latencies,
                r,
                color=look.colour,
                marker=look.marker[0],
                markerfacecolor="white",
                linestyle=look.dash[0],
                label=_wrapped(f"{results.display_name(model)} {choice.layer}"),
            )
            chosen = r[choice.latencies.index(choice.latency)]
            axes.plot(choice.latency, chosen, look.marker[0], color=look.colour)
        axes.axhline(0, color="0.8", zorder=0)
        axes.set_xlabel("latency (ms; filled: chosen)")
        axes.set_ylabel("r on validation stimuli")
        legend_below(axes)
    return figure


def draw_predicted(results: Results, regions: list[str], neuron: str | None = None) -> Figure:
    """A neuron's predicted against its observed responses, at the best bin of each model's best
    layer; predictions are by fits to other stimuli.

    Raises
    ------
    ConvRNNError
        No such neuron; predictions were not kept.
    """
    figure, panels = _panels(results, regions)
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
                s=5,
                linewidth=0,
                alpha=0.6,
                color=looks[scores.model].colour,
                marker=looks[scores.model].marker[0],
                label=_wrapped(
                    f"{scores.name} {scores.layer}, {bin_names(results)[scores.time_bin]} ms, "
                    f"{known.sum()} of {len(known)} stimuli were tested"
                ),
            )
        which = "" if neuron else " (best predicted)"
        axes.set_title(f"{region}, neuron {shown}{which}")
        axes.axline((0, 0), slope=1, color="0.6", linestyle="--")
        for limit, ends in (
            (axes.set_xlim, axes.dataLim.intervalx),
            (axes.set_ylim, axes.dataLim.intervaly),
        ):
            pad = 0.05 * (ends[1] - ends[0])
            limit(ends[0] - pad, ends[1] + pad)
        axes.set_xlabel("predicted response, held-out stimuli")
        axes.set_ylabel("observed response")
        legend_below(axes)
    return figure


DRAWN: dict[FigureName, Callable[[Results, list[str]], Figure]] = {
    FigureName.over_time: draw_over_time,
    FigureName.layers: draw_layers,
    FigureName.neurons: draw_neurons,
    FigureName.differences: draw_differences,
    FigureName.learning: draw_learning,
    FigureName.latency: draw_latency,
}
"""Name → what draws it."""


def _panels(results: Results, regions: list[str]) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each region, titled with its numbers of neurons and stimuli."""
    columns = min(len(regions), 2)
    rows = -(-len(regions) // columns)
    size = (ONE_COLUMN, TWO_COLUMNS)[columns - 1], 2.5 * rows
    figure = Figure(figsize=size, layout="constrained")
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    for axes, region in zip(grid, regions, strict=False):
        axes.set_title(
            f"{region}: {scored_neurons(results, region)} neurons, "
            f"{results.root.sizes['stimulus']} stimuli, {results.root.sizes['split']} splits"
        )
    for axes in grid[len(regions) :]:
        axes.set_axis_off()
    return figure, grid[: len(regions)]


def _wrapped(name: str) -> str:
    """A long name, such as that of a lesion, on several lines."""
    return textwrap.fill(name, 44, break_on_hyphens=True)

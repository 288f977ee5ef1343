"""Figures of fits for papers, by matplotlib: one panel a region, undefined values left blank."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.correlation import mean
from convrnns_brainscore.fits.reliability import reliability
from convrnns_brainscore.fits.results import (
    MIN_RELIABILITY,
    Best,
    Results,
    best_layer,
    layers_of,
    predictivity,
    time_bins,
)
from convrnns_brainscore.fits.statistics import compare_models
from convrnns_brainscore.report.style import styles

FORMATS = (".pdf", ".svg", ".png")


def write_plot(results: Results, kind: str, path: Path, region: str | None = None) -> None:
    """Draw one kind of figure to a file.

    Parameters
    ----------
    results : of fits.
    kind : one of `KINDS`.
    path : its suffix says the format, one of `FORMATS`.
    region : None: all, one panel each.

    Raises
    ------
    ConvRNNError : no such region, another format, or nothing to draw.
    """
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
    if kind == "neurons" and not np.isfinite(results.root["half_correlation"].values).any():
        raise ConvRNNError("nothing to draw: without repetitions, no neuron has a reliability.")
    figure = KINDS[kind](results, drawn)
    with written_whole(path) as partial:
        # No date, so that the same results give the same bytes.
        metadata = {".pdf": {"CreationDate": None}, ".svg": {"Date": None}}.get(path.suffix)
        figure.savefig(partial, format=path.suffix[1:], dpi=200, metadata=metadata)


def _has_score(best: Best | None) -> bool:
    return best is not None and best.bin is not None


def over_time_figure(results: Results, regions: list[str]) -> Figure:
    """r over time of each model's best layer, with its error, and the noise ceiling."""
    figure, panels = _panels(regions, (5.4, 3.8))
    edges, looks = np.array(time_bins(results.root)), styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        ceiling = None
        for model in results.models:
            best = best_layer(results, model, region)
            if best is None:
                continue
            found, look = best.values, looks[model]
            ceiling = found.ceiling
            axes.plot(
                edges.mean(axis=1),
                found.r,
                color=look.colour,
                marker=look.marker[0],
                linestyle=look.dash[0],
                markersize=4,
                label=f"{model} {best.layer}",
            )
            low, high = found.r - found.error, found.r + found.error
            axes.fill_between(
                edges.mean(axis=1), low, high, color=look.colour, alpha=0.2, linewidth=0
            )
        if ceiling is not None and np.isfinite(ceiling).any():
            with np.errstate(invalid="ignore"):
                top = np.sqrt(ceiling)
            axes.plot(
                edges.mean(axis=1), top, "k--", linewidth=1, label="noise ceiling, √reliability"
            )
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlim(min(edges.min(), 0), edges.max())
        axes.set_xlabel("time from image onset (ms)")
        axes.set_ylabel("r on held-out stimuli")
        _legend(axes)
    return figure


def layers_figure(results: Results, regions: list[str]) -> Figure:
    """r of every layer at every bin: a column of panels for each region, a row for each model."""
    models = results.models
    cells = {
        (model, region): np.stack(
            [predictivity(results, model, layer, region).r for layer in layers]
        )
        for model in models
        for region in regions
        if (layers := layers_of(results, model, region))
    }
    known = [float(np.nanmax(abs(each))) for each in cells.values() if np.isfinite(each).any()]
    limit = max([0.01, *known])
    height = 1 + 0.28 * max(len(each) for each in cells.values())
    figure = Figure(
        figsize=(4.4 * len(regions) + 1, height * len(models) + 0.6), layout="constrained"
    )
    grid = figure.subplots(len(models), len(regions), squeeze=False)
    edges = time_bins(results.root)
    image: AxesImage | None = None
    for row, model in enumerate(models):
        for column, region in enumerate(regions):
            axes = grid[row, column]
            if (model, region) not in cells:
                axes.set_axis_off()
                continue
            image = axes.imshow(
                cells[model, region],
                aspect="auto",
                origin="lower",
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                interpolation="nearest",
            )
            axes.set_facecolor("0.88")
            names = layers_of(results, model, region)
            axes.set_yticks(range(len(names)), names)
            every = max(1, len(edges) // 6)
            axes.set_xticks(range(0, len(edges), every), [f"{a:g}" for a, _ in edges[::every]])
            axes.set_title(f"{region}: {model}", fontsize=9)
            axes.set_xlabel("start of bin (ms)")
    if image is not None:
        figure.colorbar(image, ax=grid, label="r")
    return figure


def neurons_figure(results: Results, regions: list[str]) -> Figure:
    """Each neuron's r at the best bin of each model's best layer against its reliability there."""
    figure, panels = _panels(regions, (4.4, 4))
    looks = styles(results.models)
    for axes, region in zip(panels, regions, strict=True):
        there = results.neurons(region)
        known = reliability(results.root["half_correlation"].values[:, there])
        for model in results.models:
            best = best_layer(results, model, region)
            if best is None or best.bin is None:
                continue
            fit = results.fits[model, best.layer]
            axes.scatter(
                known[:, best.bin],
                mean(fit["r"][..., best.bin].values[:, results.neurons_of(fit, region)]),
                s=12,
                alpha=0.6,
                color=looks[model].colour,
                marker=looks[model].marker[0],
                label=f"{model} {best.layer}, {{:g}}–{{:g}} ms".format(
                    *time_bins(results.root)[best.bin]
                ),
                rasterized=True,
            )
        line = np.linspace(0, 1, 100)
        axes.plot(line, np.sqrt(line), "k--", linewidth=1, label="√reliability")
        axes.axvline(MIN_RELIABILITY, color="0.6", linewidth=0.8, linestyle=":")
        axes.set_xlabel("split-half reliability (Spearman–Brown)")
        axes.set_ylabel("r on held-out stimuli")
        _legend(axes)
    return figure


def differences_figure(results: Results, regions: list[str]) -> Figure:
    """The difference of every two models over time; filled where it is significant (p < .05,
    corrected over bins)."""
    if len([model for model in results.models if model != control.NAME]) < 2:
        raise ConvRNNError("differences are between models: the results have only one.")
    figure, panels = _panels(regions, (5.4, 3.8))
    middles = np.array(time_bins(results.root)).mean(axis=1)
    for axes, region in zip(panels, regions, strict=True):
        pairs = [
            p for p in compare_models(results, region) if control.NAME not in (p.first, p.second)
        ]
        for each, look in zip(
            pairs, styles([f"{p.first}{p.second}" for p in pairs]).values(), strict=False
        ):
            axes.plot(
                middles,
                each.over_time,
                color=look.colour,
                linestyle=look.dash[0],
                marker=look.marker[0],
                markerfacecolor="white",
                markersize=5,
                label=f"{each.first} − {each.second}",
            )
            differs = each.p_over_time < 0.05
            axes.plot(middles[differs], each.over_time[differs], look.marker[0], color=look.colour)
        axes.axhline(0, color="0.8", linewidth=0.8, zorder=0)
        axes.set_xlabel("time from image onset (ms)")
        axes.set_ylabel("difference of r")
        _legend(axes)
    return figure


KINDS: dict[str, Callable[[Results, list[str]], Figure]] = {
    "over-time": over_time_figure,
    "layers": layers_figure,
    "neurons": neurons_figure,
    "differences": differences_figure,
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

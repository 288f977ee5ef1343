"""The geometry of layers and recordings: files, a figure and a table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from rich.table import Table
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.files import write_figures, write_sealed, write_tables
from convrnns_brainscore.report.fit_numbers import colour_range
from convrnns_brainscore.report.heat_map import colour_bar, heat_map
from convrnns_brainscore.report.style import LOOK, ONE_COLUMN, TWO_COLUMNS, legend_below, styles
from convrnns_brainscore.report.tables import number, with_error
from convrnns_brainscore.timing import MS_PER_STEP

Array = NDArray[np.float64]

GEOMETRY = "geometry.nc"

OF_LAYERS = ("similarity", "error", "p", "undefined", "subject_similarity", "subject_error")
OF_REGIONS = ("reliability", "ceiling_lower", "ceiling_upper")
"""Columns of ``geometry.csv``, of layers and of the recording; the last two of each need several
subjects."""


def write_geometry(
    found: xr.Dataset,
    differences: pd.DataFrame,
    out: Path,
    question: Mapping[str, str | int] | None = None,
) -> list[Path]:
    """Write ``geometry.nc``, ``geometry.csv``, ``differences.csv`` (of several models), and three
    figures as ``.png``, ``.pdf`` and ``.svg``: ``geometry`` (all layers and bins),
    ``geometry-layers`` (the most similar layers with the noise ceiling) and
    ``geometry-dissimilarities`` (the matrices themselves).

    Parameters
    ----------
    found, differences
        Of `representation.compare_movies`.
    question : mapping of str to str or int, optional
        Name of each input → its description, for `files.check_question`.
    """
    of_layers = [name for name in OF_LAYERS if name in found]
    of_regions = [name for name in OF_REGIONS if name in found]
    table = found[of_layers].to_dataframe().reset_index()
    table = table.merge(found[of_regions].to_dataframe()[of_regions].reset_index())
    made_by = json.loads(found.attrs["made_by"])
    table["weights"] = table["model"].map(lambda model: made_by[model]["weights"])
    files = {"geometry.csv": table.drop(columns="time_bin", errors="ignore")}
    out.mkdir(parents=True, exist_ok=True)
    if len(differences):
        files["differences.csv"] = differences.assign(
            **{
                f"{name}_weights": differences[name].map(lambda m: made_by[m]["weights"])
                for name in ("first", "second")
            }
        )
    else:
        (out / "differences.csv").unlink(missing_ok=True)  # of an earlier comparison
    write_sealed(found, out / GEOMETRY, question)
    write_tables(files, out)
    names = [display_name(*each) for each in made_by.items()]
    figures = []
    with rc_context(LOOK):
        for stem, draw in FIGURES.items():
            figures += write_figures(draw(found), out, stem, names)
    return [out / name for name in (GEOMETRY, *files, *figures)]


def draw_similarity(found: xr.Dataset) -> Figure:
    """Similarity of every layer in every bin: a row of panels a model, a column a region; a dot
    where p < .05, corrected over all."""
    models, regions = found["model"].values, found["region"].values
    layers = found["layer"].values
    width = ONE_COLUMN if len(regions) == 1 else TWO_COLUMNS
    size = width, (0.55 + 0.14 * len(layers)) * len(models) + 0.5
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(models), len(regions), squeeze=False)
    ends = colour_range([found["similarity"].values])
    bins = list(zip(found["time_bin_start"].values, found["time_bin_end"].values, strict=True))
    made_by = json.loads(found.attrs["made_by"])
    for (row, model), (column, region) in product(enumerate(models), enumerate(regions)):
        axes, here = grid[row, column], found.sel(model=model, region=region)
        image = heat_map(axes, here["similarity"].values, layers, bins, ends)
        layer, time = np.nonzero(here["p"].values < 0.05)
        axes.plot(time, layer, ".", color="white", markersize=2)
        axes.set_title(textwrap.fill(f"{region}: {display_name(model, made_by[model])}", 44))
    colour_bar(figure, image, grid, "Spearman's r of dissimilarities")
    dots = "Dots: p < .05, stimuli permuted, corrected over layers and bins."
    figure.supxlabel(f"{_sample(found)} {dots}", fontsize=6)
    return figure


def draw_most_similar(found: xr.Dataset) -> Figure:
    """Similarity of each model's most similar layer over time, a panel a region; of a single bin,
    of every layer.

    With several subjects, similarity is the mean over subjects, with its standard error over
    subjects, and the band is the noise ceiling between its lower and upper bound. With one, the
    error is bootstrapped, and the dashed line is √reliability.
    """
    regions = found["region"].values
    width = ONE_COLUMN if len(regions) == 1 else TWO_COLUMNS
    figure = Figure(figsize=(width, 2.6), layout="constrained")
    panels = figure.subplots(1, len(regions), squeeze=False, sharey=True)[0]
    made_by = json.loads(found.attrs["made_by"])
    looks = styles(found["model"].values.tolist())
    errors = []
    for axes, region in zip(panels, regions, strict=True):
        here = found.sel(region=region)
        of_subjects = "ceiling_lower" in here and bool(here["ceiling_lower"].notnull().any())
        names = ("subject_similarity", "subject_error") if of_subjects else ("similarity", "error")
        errors.append("over subjects" if of_subjects else "over resampled stimuli and neurons")
        one_bin = found.sizes["time_bin"] == 1
        x = np.arange(found.sizes["layer"]) if one_bin else _middles(found)
        for place, model in enumerate(found["model"].values):
            r, error = (here[name].sel(model=model).values for name in names)
            defined = np.isfinite(r).any(axis=1)
            if not defined.any():
                continue
            name, look = display_name(model, made_by[model]), looks[model]
            if one_bin:
                r, error, line = r[:, 0], error[:, 0], "none"
            else:
                chosen = int(np.argmax(np.where(defined, nanmean(r, axis=1), -np.inf)))
                name, line = f"{name} {found['layer'].values[chosen]}", look.dash[0]
                r, error = r[chosen], error[chosen]
            beside = 0.15 * (place - (found.sizes["model"] - 1) / 2) if one_bin else 0
            axes.errorbar(
                x + beside, r, error, color=look.colour, marker=look.marker[0], linestyle=line,
                elinewidth=0.6, label=textwrap.fill(name, 40),
            )  # fmt: skip
        bounds = ("ceiling_lower", "ceiling_upper") if of_subjects else ("reliability",) * 2
        low, high = (here[name].values for name in bounds)
        if not of_subjects:
            low, high = np.sqrt(np.clip([low, high], 0, None))
        _draw_ceiling(axes, x, low, high)
        axes.axhline(0, color="0.8", zorder=0)
        if one_bin:
            axes.set_xticks(x, found["layer"].values, rotation=45, ha="right")
            axes.set_xlim(-0.6, len(x) - 0.4)
        else:
            axes.set_xlabel("time from image onset (ms)")
        axes.set_title(region)
        if not one_bin:
            legend_below(axes, 0.25)
    panels[0].set_ylabel("Spearman's r of dissimilarities")
    error = " or ".join(dict.fromkeys(errors))
    layers = "" if one_bin else " Layers: most similar on average."
    text = f"{_sample(found)}{layers} Errors: standard error {error}."
    figure.suptitle(textwrap.fill(text, 66 * len(regions)), fontsize=6)
    if one_bin:  # models are the same in all panels
        labels = panels[0].get_legend_handles_labels()
        figure.legend(*labels, loc="outside lower center", frameon=False)
    figure.set_figheight(figure.get_figheight() + 0.3)  # the title's
    return figure


def _draw_ceiling(axes: Axes, x: Array, low: Array, high: Array) -> None:
    if not np.isfinite(low).any():
        return
    label = "noise ceiling (√reliability)" if (low == high).all() else "noise ceiling"
    if len(low) == 1:
        axes.axhline(high[0], linestyle="--", color="0.3", label=label)
        axes.axhspan(low[0], high[0], color="0.3", alpha=0.15, linewidth=0)
    else:
        axes.plot(x, high, "--", color="0.3", label=label)
        axes.fill_between(x, low, high, color="0.3", alpha=0.15, linewidth=0)


def draw_dissimilarities(found: xr.Dataset) -> Figure:
    """The matrices of the recording and of each model where they are most similar, in ranks: a row
    of panels a region."""
    models, regions = found["model"].values, found["region"].values
    panels = 2 * len(models)
    columns = min(panels, 4)
    rows = -(-panels // columns)
    size = TWO_COLUMNS, (TWO_COLUMNS / columns + 0.3) * rows * len(regions)
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows * len(regions), columns, squeeze=False)
    for axes in grid.flat:
        axes.set_axis_off()
    made_by = json.loads(found.attrs["made_by"])
    for (row, region), (column, model) in product(enumerate(regions), enumerate(models)):
        here = found.sel(region=region, model=model)
        place = str(here["most_similar"].item())
        if not place:
            continue
        layer, _, time_bin = place.partition(", ")
        titles = f"{region}, {time_bin}", f"{display_name(model, made_by[model])} {layer}"
        for index, name in enumerate(("dissimilarity", "model_dissimilarity")):
            at = 2 * column + index
            axes = grid[row * rows + at // columns, at % columns]
            axes.set_axis_on()
            matrix = squareform(rankdata(here[name].values) / here.sizes["pair"])
            np.fill_diagonal(matrix, np.nan)
            image = axes.imshow(matrix, cmap="viridis", vmin=0, vmax=1, interpolation="nearest")
            axes.set(xticks=[], yticks=[])
            axes.set_title(textwrap.fill(titles[index], 26))
            axes.set_xlabel(f"{found.attrs.get('stimuli', len(matrix))} stimuli")
    colour_bar(figure, image, grid, "dissimilarity (rank, 0 to 1)")
    return figure


FIGURES = {
    "geometry": draw_similarity,
    "geometry-layers": draw_most_similar,
    "geometry-dissimilarities": draw_dissimilarities,
}
"""Stem of the files → function that draws."""


def _middles(found: xr.Dataset) -> Array:
    return np.asarray((found["time_bin_start"] + found["time_bin_end"]).values / 2)


def _sample(found: xr.Dataset) -> str:
    distance = found.attrs.get("distance", "correlation")
    measured = "" if distance == "correlation" else f" Recording's dissimilarities: {distance}."
    return f"{found.attrs['stimuli']} stimuli.{measured}" if "stimuli" in found.attrs else ""


def draw_movie(
    similarities: Mapping[str, xr.DataArray],
    presentation: Presentation,
    title: str,
    path: Path,
) -> None:
    """Similarity of geometries, layer × time, one panel a model, to an image file.

    Undefined cells (the image is not yet at the layer, or every image gives the same) stay blank.

    Parameters
    ----------
    similarities : mapping of str to DataArray
        Panel title → layer × time_bin.
    presentation : Presentation
        When the image was on; the same for all panels.
    title : str
        Above all panels.
    path : path
        The file to write; its suffix says the format.
    """
    figure = Figure(figsize=(4.6 * len(similarities) + 1.2, 4.6), layout="constrained")
    figure.suptitle(title, fontsize=11)
    panels = figure.subplots(1, len(similarities), squeeze=False)[0]
    ends = colour_range(values.values for values in similarities.values())
    for axes, (name, values) in zip(panels, similarities.items(), strict=True):
        layers, times = values.sizes["layer"], values.sizes["time_bin"]
        image = axes.imshow(
            values.values,
            aspect="auto",
            origin="lower",
            extent=(0, times * MS_PER_STEP, -0.5, layers - 0.5),
            cmap="viridis",
            vmin=ends[0],
            vmax=ends[1],
            interpolation="nearest",
        )
        axes.set_facecolor("0.88")
        axes.set_yticks(range(layers), values["layer"].values)
        axes.set_title(name, fontsize=10)
        axes.set_xlabel("time from image onset (ms)")
        for time, label in ((0, "image on"), (presentation.image_off, "image off")):
            if time is None:
                continue
            axes.axvline(time * MS_PER_STEP, color="0.3", linewidth=1.2, linestyle="--")
            axes.annotate(
                label,
                (time * MS_PER_STEP, layers - 0.5),
                xytext=(3, -3),
                textcoords="offset points",
                va="top",
                fontsize=8,
            )
    colour_bar(figure, image, panels, "similarity to macaque IT (Spearman)")
    figure.savefig(path, dpi=150)


def geometry_table(found: xr.Dataset) -> Table:
    """Each model's most similar layer and bin in each region."""
    of_subjects = "ceiling_lower" in found
    caption = (
        "±: standard error over stimuli and neurons, bootstrapped. p: permutation test over "
        "stimuli, corrected over layers and bins."
    )
    if of_subjects:
        caption += " subjects' r: mean of r with single subjects; ceiling: its bounds."
    table = Table(
        title="Most similar layer and bin (selected on these data, biased upward)", caption=caption
    )
    for name in ("region", "model", "layer", "bin"):
        table.add_column(name, no_wrap=True)
    of_mean = ("subjects' r", "ceiling") if of_subjects else ()
    for name in ("Spearman's r", "p", "reliability", *of_mean):
        table.add_column(name, justify="right", no_wrap=True)
    made_by = json.loads(found.attrs["made_by"])
    for region in found["region"].values:
        for model in found["model"].values:
            name = display_name(model, made_by[model])
            here = found.sel(region=region, model=model)
            values = here["similarity"].values
            if not np.isfinite(values).any():
                table.add_row(region, name, "–", "none defined")
                continue
            layer, time = np.unravel_index(int(np.nanargmax(values)), values.shape)
            best = here.isel(layer=layer, time_bin=time)
            table.add_row(
                region,
                name,
                str(best["layer"].item()),
                f"{best['time_bin_start'].item():g}–{best['time_bin_end'].item():g} ms",
                with_error(values[layer, time], best["error"].item()),
                "–" if np.isnan(best["p"]) else f"{best['p'].item():.3f}",
                number(best["reliability"].item()),
                *(_of_subjects(best) if of_subjects else ()),
            )
    return table


def _of_subjects(best: xr.Dataset) -> tuple[str, str]:
    bounds = (number(best[f"ceiling_{end}"].item()) for end in ("lower", "upper"))
    r, error = (best[f"subject_{name}"].item() for name in ("similarity", "error"))
    return with_error(r, error), "–".join(bounds)

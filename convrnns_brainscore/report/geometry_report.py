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
from matplotlib.figure import Figure
from rich.table import Table

from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.files import write_figures, write_sealed, write_tables
from convrnns_brainscore.report.fit_numbers import colour_range
from convrnns_brainscore.report.heat_map import colour_bar, heat_map
from convrnns_brainscore.report.style import LOOK, ONE_COLUMN, TWO_COLUMNS
from convrnns_brainscore.report.tables import number, with_error
from convrnns_brainscore.timing import MS_PER_STEP


def write_geometry(found: xr.Dataset, differences: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``geometry.nc``, ``geometry.csv``, ``differences.csv`` (of several models), and the
    figure as ``geometry.png``, ``.pdf`` and ``.svg``.

    Parameters
    ----------
    found, differences
        Of `representation.compare_movies`.
    """
    table = found[["similarity", "error", "p", "undefined"]].to_dataframe().reset_index()
    table = table.merge(found["reliability"].to_dataframe()["reliability"].reset_index())
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
    write_sealed(found, out / "geometry.nc")
    write_tables(files, out)
    names = [display_name(*each) for each in made_by.items()]
    with rc_context(LOOK):
        figures = write_figures(draw_similarity(found), out, "geometry", names)
    return [out / name for name in ("geometry.nc", *files, *figures)]


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
    sample = f"{found.attrs['stimuli']} stimuli. " if "stimuli" in found.attrs else ""
    figure.supxlabel(
        f"{sample}Dots: p < .05, stimuli permuted, corrected over layers and bins.", fontsize=6
    )
    return figure


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
    table = Table(
        title="Most similar layer and bin (selected on these data, biased upward)",
        caption="±: standard error over stimuli and neurons, bootstrapped. p: probability of such "
        "an r when stimuli are permuted, corrected over layers and bins.",
    )
    for name in ("region", "model", "layer", "bin"):
        table.add_column(name, no_wrap=True)
    for name in ("Spearman's r", "p", "reliability"):
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
            )
    return table

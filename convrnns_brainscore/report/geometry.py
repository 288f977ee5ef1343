"""The geometry of layers and recordings: files, a figure and a table."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.results import save_dataset
from convrnns_brainscore.report.tables import number, with_error


def write_geometry(found: xr.Dataset, differences: pd.DataFrame, out: Path) -> list[Path]:
    """Write ``geometry.nc``, ``geometry.csv``, ``differences.csv`` (of several models) and
    ``geometry.png``.

    Parameters
    ----------
    found, differences : of `representation.compare_movies`.
    """
    table = found[["similarity", "error", "p"]].to_dataframe().reset_index()
    table = table.merge(found["reliability"].to_dataframe()["reliability"].reset_index())
    files = {"geometry.csv": table.drop(columns="time_bin", errors="ignore")}
    out.mkdir(parents=True, exist_ok=True)
    if len(differences):
        files["differences.csv"] = differences
    else:
        (out / "differences.csv").unlink(missing_ok=True)  # of an earlier comparison
    with written_whole(out / "geometry.nc") as partial:
        save_dataset(found, partial)
    for name, rows in files.items():
        with written_whole(out / name) as partial:
            rows.to_csv(partial, index=False)
    with written_whole(out / "geometry.png") as partial:
        similarity_figure(found).savefig(partial, format="png", dpi=150)
    return [out / name for name in ("geometry.nc", *files, "geometry.png")]


def similarity_figure(found: xr.Dataset) -> Figure:
    """Similarity of every layer in every bin: a row of panels a model, a column a region; a dot
    where p < .05, corrected over all."""
    models, regions = found["model"].values, found["region"].values
    layers = found["layer"].values
    size = 4.4 * len(regions) + 1, (1 + 0.25 * len(layers)) * len(models) + 0.6
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(len(models), len(regions), squeeze=False)
    limit = max(0.01, float(np.nanmax(abs(found["similarity"].values))))
    starts = found["time_bin_start"].values
    for row, model in enumerate(models):
        for column, region in enumerate(regions):
            axes, here = grid[row, column], found.sel(model=model, region=region)
            image = axes.imshow(
                here["similarity"].values,
                aspect="auto",
                origin="lower",
                cmap="RdBu_r",
                vmin=-limit,
                vmax=limit,
                interpolation="nearest",
            )
            layer, time = np.nonzero(here["p"].values < 0.05)
            axes.plot(time, layer, "k.", markersize=3)
            axes.set_facecolor("0.88")
            axes.set_yticks(range(len(layers)), layers)
            every = max(1, len(starts) // 6)
            axes.set_xticks(range(0, len(starts), every), [f"{s:g}" for s in starts[::every]])
            axes.set_xlabel("start of bin (ms)")
            axes.set_title(f"{region}: {model}", fontsize=9)
    figure.colorbar(image, ax=grid, label="Spearman's r")
    return figure


def geometry_table(found: xr.Dataset) -> Table:
    """Each model's most similar layer and bin in each region."""
    table = Table(title="Most similar layer and bin (of all, and so flattered)")
    for name in ("region", "model", "layer", "bin"):
        table.add_column(name, no_wrap=True)
    for name in ("Spearman's r", "p", "reliability"):
        table.add_column(name, justify="right", no_wrap=True)
    for region in found["region"].values:
        for model in found["model"].values:
            here = found.sel(region=region, model=model)
            values = here["similarity"].values
            if not np.isfinite(values).any():
                table.add_row(region, model, "–", "none defined")
                continue
            layer, time = np.unravel_index(int(np.nanargmax(values)), values.shape)
            best = here.isel(layer=layer, time_bin=time)
            table.add_row(
                region,
                model,
                str(best["layer"].item()),
                f"{best['time_bin_start'].item():g}–{best['time_bin_end'].item():g} ms",
                with_error(values[layer, time], best["error"].item()),
                "–" if np.isnan(best["p"]) else f"{best['p'].item():.3f}",
                number(best["reliability"].item()),
            )
    return table

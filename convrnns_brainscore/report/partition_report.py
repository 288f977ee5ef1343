"""Unique and shared variance: files, a figure and a table."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich.table import Table

from convrnns_brainscore.fits.partition import PARTS
from convrnns_brainscore.report.files import write_figures, write_sealed, write_tables
from convrnns_brainscore.report.style import LOOK, ONE_COLUMN, TWO_COLUMNS
from convrnns_brainscore.report.tables import number, with_error

# Of the drawn parts: name, colour (Okabe & Ito).
_DRAWN = {
    "both": "#000000", "shared": "#808080", "unique_first": "#0072B2", "unique_second": "#D55E00",
}  # fmt: skip
_MARKERS = {"both": "o", "shared": "P", "unique_first": "s", "unique_second": "D"}


PARTITION = "partition.nc"


def write_partition(
    found: xr.Dataset, out: Path, question: Mapping[str, str | int] | None = None
) -> list[Path]:
    """Write ``partition.nc``, ``partition.csv`` (a row for each region and bin), ``neurons.csv`` (a
    row for each neuron and bin), and the figure as ``partition.png``, ``.pdf`` and ``.svg``.

    Parameters
    ----------
    found : Dataset
        Of `partition_study.partition_recording`.
    question : mapping of str to str or int, optional
        Name of each input → its description, for `files.check_question`.
    """
    out.mkdir(parents=True, exist_ok=True)
    write_sealed(found, out / PARTITION, question)
    tables = {"partition.csv": table_of(found), "neurons.csv": neurons_of(found)}
    write_tables(tables, out)
    with rc_context(LOOK):
        shown = [found.attrs["first"], found.attrs["second"]]
        figures = write_figures(draw_partition(found), out, "partition", shown)
    return [out / name for name in (PARTITION, *tables, *figures)]


def table_of(found: xr.Dataset) -> pd.DataFrame:
    """A row for each region and time bin."""
    columns = [name for name in found if found[name].dims == ("region", "time_bin")]
    table = found[columns].to_dataframe().reset_index().drop(columns="time_bin", errors="ignore")
    sets = {f"{name}_set": found.attrs[name] for name in ("first", "second")}
    return table.assign(**sets)


def neurons_of(found: xr.Dataset) -> pd.DataFrame:
    """A row for each neuron and time bin."""
    columns = [f"neuron_{name}" for name in PARTS]
    table = found[columns].to_dataframe().reset_index()
    table = table.drop(columns=["time_bin", "neuroid"], errors="ignore")
    return table.rename(columns={f"neuron_{name}": name for name in PARTS})


def draw_partition(found: xr.Dataset) -> Figure:
    """R² of both sets together and its three parts, a panel a region; filled: p < .05."""
    regions = found["region"].values.tolist()
    width = ONE_COLUMN if len(regions) == 1 else TWO_COLUMNS
    figure = Figure(figsize=(width, 3.4), layout="constrained")
    panels = figure.subplots(1, len(regions), squeeze=False)[0]
    middles = (found["time_bin_start"].values + found["time_bin_end"].values) / 2
    one_bin = len(middles) == 1
    names = {
        "both": "both sets together",
        "shared": "shared",
        "unique_first": f"unique: {found.attrs['first']}",
        "unique_second": f"unique: {found.attrs['second']}",
    }
    for axes, region in zip(panels, regions, strict=True):
        here = found.sel(region=region)
        for place, (part, colour) in enumerate(_DRAWN.items()):
            x = np.array([float(place)]) if one_bin else middles
            values, error = here[part].values, here[f"{part}_error"].values
            axes.errorbar(
                x, values, error, color=colour, marker=_MARKERS[part], markerfacecolor="white",
                elinewidth=0.6, label=textwrap.fill(names[part], 44),
            )  # fmt: skip
            if part.startswith("unique"):
                filled = here[f"p_{part}"].values < 0.05
                axes.plot(x[filled], values[filled], _MARKERS[part], color=colour)
        axes.axhline(0, color="0.8", zorder=0)
        neurons = int(here["neurons"].max())
        axes.set_title(f"{region}: {neurons} neurons, {found.attrs['stimuli']} stimuli")
        axes.set_ylabel("R² of held-out responses")
        if one_bin:
            axes.set_xticks([])
        else:
            axes.set_xlabel("time from image onset (ms)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", frameon=False)
    return figure


def partition_table(found: xr.Dataset) -> Table:
    """Each region in the bin in which both sets together explain most."""
    table = Table(
        title="R² of held-out responses, in the bin in which both sets together explain most "
        "(selected on these data, biased upward)",
        caption=f"first: {found.attrs['first']}\nsecond: {found.attrs['second']}\n±: standard "
        "error over stimuli and neurons. p: sign flips over neurons, corrected over bins; –: fewer "
        f"than {found.attrs['fewest_neurons']} neurons.",
    )
    for name in ("region", "bin"):
        table.add_column(name, no_wrap=True)
    for name in ("both", "unique first", "p", "unique second", "p", "shared", "reliability",
                 "neurons"):  # fmt: skip
        table.add_column(name, justify="right", no_wrap=True)
    for region in found["region"].values:
        here = found.sel(region=region)
        if not np.isfinite(here["both"].values).any():
            table.add_row(region, "none defined")
            continue
        best = here.isel(time_bin=int(np.nanargmax(here["both"].values)))
        cells = {
            name: with_error(best[name].item(), best[f"{name}_error"].item()) for name in _DRAWN
        }
        p = {
            name: "–" if np.isnan(value := best[f"p_{name}"].item()) else f"{value:.3f}"
            for name in ("unique_first", "unique_second")
        }
        table.add_row(
            region,
            f"{best['time_bin_start'].item():g}–{best['time_bin_end'].item():g} ms",
            cells["both"],
            cells["unique_first"],
            p["unique_first"],
            cells["unique_second"],
            p["unique_second"],
            cells["shared"],
            number(best["reliability"].item()),
            str(best["neurons"].item()),
        )
    return table

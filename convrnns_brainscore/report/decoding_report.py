"""What was decoded: files, a figure and a table."""

from __future__ import annotations

import json
from itertools import cycle
from pathlib import Path

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from rich.table import Table

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.files import write_sealed, write_tables
from convrnns_brainscore.report.style import save_figure
from convrnns_brainscore.report.tables import number, with_error

NEURONS = " neurons"
"""How the names of decoders of neurons end."""


def write_decoding(found: xr.Dataset, out: Path) -> list[Path]:
    """Write ``decoding.nc``, ``decoding.csv`` (a row for each decoder and bin), ``solutions.csv``
    (a row for each stimulus) and ``decoding.png``.

    Parameters
    ----------
    found : Dataset
        Of `decoding.study.decode`.
    """
    tables = {"decoding.csv": table_of(found), "solutions.csv": solutions_of(found)}
    out.mkdir(parents=True, exist_ok=True)
    write_sealed(found, out / "decoding.nc")
    write_tables(tables, out)
    with written_whole(out / "decoding.png") as partial:
        save_figure(draw_decoding(found), partial, list(_names(found).values()), "png")
    return [out / name for name in ("decoding.nc", *tables, "decoding.png")]


def table_of(found: xr.Dataset) -> pd.DataFrame:
    """A row for each decoder and time bin."""
    columns = [
        name
        for name in found
        if found[name].dims == ("decoder", "time_bin")  # of regions and stimuli, there are others
    ]
    table = found[columns].to_dataframe().reset_index().drop(columns="time_bin", errors="ignore")
    return table.rename(columns={"p": "p_corrected"}).sort_values(
        ["decoder", "time_bin_start"], kind="stable"
    )


def solutions_of(found: xr.Dataset) -> pd.DataFrame:
    """A row for each decoder and stimulus: when its class is solved, in ms."""
    table = found[["solution_ms"]].to_dataframe().reset_index()
    return table.drop(columns="stimulus", errors="ignore")


def decoding_table(found: xr.Dataset) -> Table:
    """The best bin of each decoder, its onset, and how far its solution times are the neurons'."""
    regions = found["region"].values.tolist()
    table = Table("decoder", "accuracy", "at (ms)", "d′", "above chance from (ms)", "solved")
    for region in regions:
        ceiling = number(float(found["solution_ceiling"].sel(region=region)))
        table.add_column(f"solution times, r with {region} (ceiling {ceiling})")
    names = _names(found)
    for decoder in found["decoder"].values:
        here = found.sel(decoder=decoder)
        accuracy = here["accuracy"].values
        if not np.isfinite(accuracy).any():
            table.add_row(names[decoder], *["–"] * (5 + len(regions)))
            continue
        best = int(np.nanargmax(accuracy))
        solved = np.isfinite(here["solution_ms"].values)
        onset = float(here["onset_ms"])
        table.add_row(
            names[decoder],
            with_error(accuracy[best], float(here["accuracy_error"][best])),
            f"{float(found['time_bin_start'][best]):g}",
            number(float(here["d_prime"][best])),
            f"{onset:g}" if np.isfinite(onset) else "–",
            f"{solved.sum()}/{len(solved)}",
            *[number(float(here["solution_r"].sel(region=region))) for region in regions],
        )
    return table


def draw_decoding(found: xr.Dataset) -> Figure:
    """Accuracy over time, neurons in black; and how decoders of one bin do in the others."""
    decoders = found["decoder"].values.tolist()
    neurons = [name for name in decoders if name.endswith(NEURONS)]
    others = [name for name in decoders if name not in neurons]
    best = max(others, key=lambda name: _best(found, name), default=None)
    shown = [*neurons[:2], *([best] if best else [])]
    figure = Figure((7.1, 2.8 + 2.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.8, 2.4])[:, 0]
    axes, names = top.subplots(), _names(found)
    middles = (found["time_bin_start"].values + found["time_bin_end"].values) / 2
    dashes = cycle(["-", "--", ":", "-."])
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, max(len(others), 1)))
    for name in decoders:
        here = found.sel(decoder=name)
        of_neurons = name in neurons
        colour = "black" if of_neurons else colours[others.index(name)]
        accuracy, error = here["accuracy"].values, here["accuracy_error"].values
        style = next(dashes) if of_neurons else "-"
        axes.plot(
            middles, accuracy, style, color=colour, lw=2 if of_neurons else 1, label=names[name],
            marker="o" if len(middles) == 1 else None,
        )  # fmt: skip
        axes.fill_between(
            middles, accuracy - error, accuracy + error, color=colour, alpha=0.15, lw=0
        )
    axes.axhline(float(found.attrs["chance"]), color="gray", lw=0.8, ls=":", label="chance")
    stimuli, units = found.sizes["stimulus"], found.attrs["units"]
    axes.set(
        xlabel="time from stimulus onset (ms)", ylabel="accuracy",
    )  # fmt: skip
    axes.set_title(
        f"{found.attrs['label']}: {stimuli} stimuli, {units} units; bands: ±1 standard error",
        fontsize=8,
    )
    top.legend(fontsize=6, frameon=False, loc="outside right upper")
    panels = bottom.subplots(1, len(shown), squeeze=False)[0]
    limits = float(found.attrs["chance"]), float(np.nanmax(found["generalisation"], initial=0))
    edges = found["time_bin_start"].values.min(), found["time_bin_end"].values.max()
    for panel, name in zip(panels, shown, strict=True):
        image = panel.imshow(
            found["generalisation"].sel(decoder=name).values, origin="lower", vmin=limits[0],
            vmax=max(limits[1], limits[0] + 0.01), extent=(*edges, *edges), cmap="viridis",
        )  # fmt: skip
        panel.set(xlabel="tested at (ms)", ylabel="trained at (ms)")
        panel.set_title(names[name], fontsize=8)
    bottom.colorbar(image, ax=list(panels), label="accuracy")
    return figure


def _best(found: xr.Dataset, decoder: str) -> float:
    return float(np.nanmax(found["accuracy"].sel(decoder=decoder), initial=0))


def _names(found: xr.Dataset) -> dict[str, str]:
    """Decoder → its name with the weights' label."""
    made_by = json.loads(found.attrs["made_by"])
    names = {}
    for decoder in found["decoder"].values.tolist():
        model, _, layer = decoder.partition(" ")
        known = model in made_by and layer != NEURONS.strip()
        names[decoder] = f"{display_name(model, made_by[model])} {layer}" if known else decoder
    return names

"""What was decoded: files, a figure and a table."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from itertools import cycle
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from matplotlib import rc_context
from matplotlib.figure import Figure
from rich.table import Table

from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.files import write_figures, write_sealed, write_tables
from convrnns_brainscore.report.style import LOOK, TWO_COLUMNS
from convrnns_brainscore.report.tables import number, with_error

NEURONS = " neurons"
"""How the names of decoders of neurons end."""


DECODING = "decoding.nc"


def write_decoding(
    found: xr.Dataset, out: Path, question: Mapping[str, str | int] | None = None
) -> list[Path]:
    """Write ``decoding.nc``, ``decoding.csv`` (a row for each decoder and bin), ``solutions.csv``
    (a row for each stimulus), and the figure as ``decoding.png``, ``.pdf`` and ``.svg``.

    Parameters
    ----------
    found : Dataset
        Of `decoding.study.decode`.
    question : mapping of str to str or int, optional
        Name of each input → its description, for `files.check_question`.
    """
    tables = {"decoding.csv": table_of(found), "solutions.csv": solutions_of(found)}
    out.mkdir(parents=True, exist_ok=True)
    write_sealed(found, out / DECODING, question)
    write_tables(tables, out)
    with rc_context(LOOK):
        figures = write_figures(draw_decoding(found), out, "decoding", list(_names(found).values()))
    return [out / name for name in (DECODING, *tables, *figures)]


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
    """Accuracy over time, neurons in black, and below it how decoders of one bin do in the others;
    of a single bin, the accuracy of each decoder."""
    decoders = found["decoder"].values.tolist()
    neurons = [name for name in decoders if name.endswith(NEURONS)]
    others = [name for name in decoders if name not in neurons]
    names, chance = _names(found), float(found.attrs["chance"])
    stimuli, units = found.sizes["stimulus"], found.attrs["units"]
    title = f"{found.attrs['label']}: {stimuli} stimuli, {units} units; ±1 standard error"
    looks = _looks(neurons, others)
    if found.sizes["time_bin"] == 1:
        figure = Figure((TWO_COLUMNS, 2.8), layout="constrained")
        axes = figure.subplots()
        for place, name in enumerate(decoders):
            here = found.sel(decoder=name)
            axes.errorbar(
                place, here["accuracy"], here["accuracy_error"], color=looks[name][0], marker="o"
            )
        labels = [textwrap.fill(names[name], 24) for name in decoders]
        axes.set_xticks(range(len(decoders)), labels, rotation=45, ha="right")
        axes.axhline(chance, color="gray", lw=0.8, ls=":")
        axes.annotate("chance", (1, chance), xycoords=("axes fraction", "data"), fontsize=6)
        axes.set_ylabel("accuracy")
        axes.set_title(title)
        return figure
    best = max(others, key=lambda name: _best(found, name), default=None)
    shown = [*neurons[:2], *([best] if best else [])]
    figure = Figure((TWO_COLUMNS, 2.6 + 2.2), layout="constrained")
    top, bottom = figure.subfigures(2, 1, squeeze=False, height_ratios=[2.6, 2.2])[:, 0]
    axes = top.subplots()
    middles = (found["time_bin_start"].values + found["time_bin_end"].values) / 2
    for name in decoders:
        here, (colour, dash) = found.sel(decoder=name), looks[name]
        accuracy, error = here["accuracy"].values, here["accuracy_error"].values
        axes.plot(
            middles, accuracy, dash, color=colour, lw=2 if name in neurons else 1,
            label=textwrap.fill(names[name], 34),
        )  # fmt: skip
        axes.fill_between(
            middles, accuracy - error, accuracy + error, color=colour, alpha=0.15, lw=0
        )
    axes.axhline(chance, color="gray", lw=0.8, ls=":", label="chance")
    axes.set(xlabel="time from image onset (ms)", ylabel="accuracy")
    axes.set_title(title)
    top.legend(fontsize=6, frameon=False, loc="outside right upper")
    # Three places, so that panels of one decoder are as large as those of three.
    panels = bottom.subplots(1, 3, squeeze=False)[0]
    values = found["generalisation"].sel(decoder=shown).values
    low, high = np.nanmin(values, initial=chance), np.nanmax(values, initial=chance + 0.01)
    edges = found["time_bin_start"].values.min(), found["time_bin_end"].values.max()
    for panel in panels[len(shown) :]:
        panel.set_axis_off()
    for panel, name, crossed in zip(panels, shown, values, strict=False):
        image = panel.imshow(
            crossed, origin="lower", vmin=low, vmax=high, extent=(*edges, *edges), cmap="viridis"
        )
        panel.set(xlabel="tested at (ms)", ylabel="trained at (ms)")
        panel.set_title(textwrap.fill(names[name], 34))
    bar = bottom.colorbar(image, ax=list(panels), label="accuracy")
    bar.ax.axhline(chance, color="white", lw=1, ls=":")
    return figure


def _looks(neurons: list[str], others: list[str]) -> dict[str, tuple[Any, str]]:
    """Decoder → colour and dash: neurons in black."""
    colours = mpl.colormaps["viridis"](np.linspace(0, 0.9, max(len(others), 1)))
    dashes = zip(neurons, cycle(["-", "--", ":", "-."]), strict=False)
    of_layers = zip(others, colours, strict=False)
    return {
        **{name: ("black", dash) for name, dash in dashes},
        **{name: (colour, "-") for name, colour in of_layers},
    }


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

"""Fits to several recordings: one table, one page, and the figure of accuracy and predictivity."""

from __future__ import annotations

import base64
import os
from collections.abc import Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import rc_context
from matplotlib.artist import Artist
from matplotlib.figure import Figure

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.lab import accuracy_correlation, lab_table
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.files import write_figures, write_tables
from convrnns_brainscore.report.page import render
from convrnns_brainscore.report.style import (
    LOOK,
    ONE_COLUMN,
    TWO_COLUMNS,
    Style,
    styles,
)
from convrnns_brainscore.report.tables import number, with_error


def write_lab(results: Mapping[str, Results], folders: Mapping[str, Path], out: Path) -> list[Path]:
    """Write ``lab.csv``, ``lab.html``, and the figure as ``lab.png``, ``.pdf`` and ``.svg``.

    Parameters
    ----------
    results : mapping of str to Results
        The recording's name → its fits.
    folders : mapping of str to path
        The recording's name → the folder of its report, which the page links to.
    out : path
        The folder of the files.
    """
    out.mkdir(parents=True, exist_ok=True)
    table, names = lab_table(results), _names(results)
    write_tables({"lab.csv": table}, out)
    with rc_context(LOOK):
        figure, shown = draw_accuracy(table, names), list(dict.fromkeys(names.values()))
        figures = write_figures(figure, out, "lab", shown)
        drawn = BytesIO()
        figure.savefig(drawn, format="png", dpi=200)
    with written_whole(out / "lab.html") as partial:
        partial.write_text(
            render(
                "lab.html",
                figure=base64.b64encode(drawn.getvalue()).decode(),
                rows=[_row(row, names) for row in table.to_dict("records")],
                correlations=[
                    {**row, "rho": number(row["rho"]), "p": row["untested"] or f"{row['p']:.2g}"}
                    for row in accuracy_correlation(table).to_dict("records")
                ],
                methods={
                    recording: f"{here['method'].iloc[0]}, {here['time'].iloc[0]}"
                    for recording, here in table.groupby("recording", sort=False)
                },
                untrained=bool(table["weights"].str.startswith("untrained").any()),
                reports={
                    name: os.path.relpath(folder / "report.html", out)
                    for name, folder in folders.items()
                },
            ),
            encoding="utf-8",
        )
    return [out / name for name in ("lab.csv", "lab.html", *figures)]


def draw_accuracy(table: pd.DataFrame, names: Mapping[tuple[str, str], str]) -> Figure:
    """Nested r of each model against its published ImageNet accuracy, a panel for each recording
    and region."""
    places = list(dict.fromkeys(zip(table["recording"], table["region"], strict=True)))
    columns = min(len(places), 3)
    rows = -(-len(places) // columns)
    figure = Figure(
        figsize=(ONE_COLUMN if columns == 1 else TWO_COLUMNS, 2.4 * rows + 0.8),
        layout="constrained",
    )
    grid = list(figure.subplots(rows, columns, squeeze=False).flat)
    models = [model for model in dict.fromkeys(table["model"]) if model != control.NAME]
    looks = styles(models)
    for axes, (recording, region) in zip(grid, places, strict=False):
        here = table[(table["recording"] == recording) & (table["region"] == region)]
        for row in here[here["model"] != control.NAME].to_dict("records"):
            look: Style = looks[row["model"]]
            whole = row["lesion"] == "none"
            axes.errorbar(
                row["top1"], row["nested_r"], row["nested_r_sd"], color=look.colour,
                marker=look.marker[0], markerfacecolor=look.colour if whole else "white",
                linestyle="none", elinewidth=0.6, label=names[recording, row["model"]],
            )  # fmt: skip
        axes.axhline(0, color="0.8", zorder=0)
        neurons, stimuli = here[["neurons", "stimuli"]].iloc[0]
        axes.set_title(f"{recording}, {region}: {neurons} neurons, {stimuli} stimuli")
        axes.set_xlabel("published ImageNet top-1 (%)")
        axes.set_ylabel("nested r (± SD over splits)")
    for axes in grid[len(places) :]:
        axes.set_axis_off()
    labels: dict[str, Artist] = {}
    for axes in grid[: len(places)]:
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
            labels.setdefault(label, handle)
    figure.legend(
        list(labels.values()), list(labels), loc="outside lower center", frameon=False,
        ncols=1 if columns == 1 else 2,
    )  # fmt: skip
    return figure


def _names(results: Mapping[str, Results]) -> dict[tuple[str, str], str]:
    """Recording and model → the model's name with the label of its weights there."""
    return {
        (recording, model): display_name(model, found.made_by(model))
        for recording, found in results.items()
        for model in found.models
    }


def _row(row: Mapping[str, Any], names: Mapping[tuple[str, str], str]) -> dict[str, str]:
    """A row of the page's table, as text."""
    latency = row["latency_ms"]
    return {
        "recording": row["recording"],
        "region": row["region"],
        "model": names[row["recording"], row["model"]],
        "top1": number(row["top1"]),
        "layer": row["layer"] or "–",
        "latency": "–" if np.isnan(latency) else f"{latency:g} ms",
        "nested": with_error(row["nested_r"], row["nested_r_sd"]),
        "best": with_error(row["best_r"], row["error"]),
        "ceiling": number(row["ceiling"]),
        "noise_corrected": number(row["noise_corrected_r"]),
        "neurons": str(row["neurons"]),
    }

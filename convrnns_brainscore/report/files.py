"""Files of reports: each appears when it is whole."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.integrity import seal
from convrnns_brainscore.netcdf import in_fixed_order, write_group
from convrnns_brainscore.report.style import save_figure

KINDS = ("png", "pdf", "svg")
"""Formats of figures that are written beside tables."""


def write_sealed(found: xr.Dataset, path: Path) -> None:
    """Write a netCDF file with its digest."""
    with written_whole(path) as partial:
        write_group(in_fixed_order(found), partial)
        seal(partial)


def write_tables(tables: Mapping[str, pd.DataFrame], out: Path) -> None:
    """Write tables as CSV, by their files' names."""
    for name, rows in tables.items():
        with written_whole(out / name) as partial:
            rows.to_csv(partial, index=False)


def write_figures(figure: Figure, out: Path, stem: str, models: Sequence[str]) -> list[str]:
    """Write a figure in each of `KINDS`; returns the names of the files."""
    names = [f"{stem}.{kind}" for kind in KINDS]
    for name, kind in zip(names, KINDS, strict=True):
        with written_whole(out / name) as partial:
            save_figure(figure, partial, models, kind, dpi=300)
    return names

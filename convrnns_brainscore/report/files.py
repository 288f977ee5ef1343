"""Write report files atomically."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
import xarray as xr
from matplotlib.figure import Figure

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.integrity import seal
from convrnns_brainscore.netcdf import in_fixed_order, write_group
from convrnns_brainscore.report.style import save_figure

KINDS = ("png", "pdf", "svg")
"""Formats of figures that are written beside tables."""


QUESTION = "question"
"""The attribute of a file that says which inputs its numbers belong to."""


def check_question(path: Path, question: Mapping[str, str | int]) -> None:
    """Check that a file, if it exists, answers the same question, so that nothing else is
    overwritten.

    Parameters
    ----------
    path : path
        The netCDF file.
    question : mapping of str to str or int
        Name of an input → its description or digest.

    Raises
    ------
    ConvRNNError
        Another input, which it names; the file is damaged.
    """
    if not path.exists():
        return
    try:
        with xr.open_dataset(path) as held:
            before = json.loads(held.attrs.get(QUESTION, "{}"))
    except (OSError, ValueError) as error:
        raise ConvRNNError(f"{path} is damaged ({error}): choose another `out=…`.") from None
    for name, value in question.items():
        if name in before and before[name] != value:
            raise ConvRNNError(
                f"{path.parent} holds results that differ in: {name}. Choose another `out=…`."
            )


def write_sealed(
    found: xr.Dataset, path: Path, question: Mapping[str, str | int] | None = None
) -> None:
    """Write a netCDF file with its digest, and with the inputs that `check_question` compares."""
    if question is not None:
        found = found.assign_attrs({QUESTION: json.dumps(question)})
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

"""The first part of the demo: the geometry of two networks beside real macaque IT, over time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.table import Table

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.demo.setting import (
    PRESENTATION,
    REGIONS,
    RESAMPLES,
    paired_steps,
    region_layer,
)
from convrnns_brainscore.geometry import dissimilarity_movie, similarity
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import Objects92
from convrnns_brainscore.report.geometry_report import draw_movie

Responses = dict[str, NDArray[np.float32]]
"""Region → [stimulus, unit, bin] of the region's layer, in the bins of `setting.paired_steps`."""


def compare_geometry(
    networks: list[ConvRNN], objects: Objects92, seed: int, picture: Path
) -> tuple[dict[str, xr.Dataset], dict[str, Responses]]:
    """Unroll the networks, compare each layer and step with IT, and draw the similarities.

    Returns
    -------
    (dict of str to Dataset, dict of str to dict)
        Of each network: its similarities, and the responses of the regions' layers.
    """
    images = load_images(list(objects.stimuli["filename"]))
    references = {"macaque IT": objects.macaque_it, "human IT": objects.human_it}
    similarities: dict[str, xr.Dataset] = {}
    responses: dict[str, Responses] = {}
    for network in networks:
        pairs = {region: paired_steps(networks, region) for region in REGIONS}
        keep = {region_layer(network, region): sum(pairs[region], ()) for region in REGIONS}
        movie, kept = dissimilarity_movie(network, images, PRESENTATION, keep=keep, progress=True)
        similarities[network.name] = similarity(movie, references, resamples=RESAMPLES, seed=seed)
        responses[network.name] = {}
        for region in REGIONS:
            layer = region_layer(network, region)
            averages = [
                (kept.pop((layer, first)) + kept.pop((layer, second))) / 2
                for first, second in pairs[region]
            ]
            responses[network.name][region] = np.stack(averages, axis=2)
    draw_movie(
        {
            f"{network.name} ({network.label})": similarities[network.name].similarity.sel(
                reference="macaque IT"
            )
            for network in networks
        },
        PRESENTATION,
        "Representational geometry of 92 objects: ConvRNN layers against 674 cells of macaque IT",
        picture,
    )
    return similarities, responses


def geometry_table(
    networks: list[ConvRNN], similarities: dict[str, xr.Dataset], ceiling: tuple[float, float]
) -> Table:
    """Each layer's highest similarity and its step; ``ceiling`` is the human noise ceiling."""
    title = "Highest similarity (Spearman) of each layer over time"
    table = empty_table(title, ("model", "layer"), ("macaque IT", "at (ms)", "human IT", "at (ms)"))
    for network in networks:
        for layer in network.layers:
            of_layer = similarities[network.name].sel(layer=layer)
            cells = [
                cell
                for reference in ("macaque IT", "human IT")
                for cell in highest(of_layer.sel(reference=reference))
            ]
            name = f"{network.name}\n{network.label}" if layer == "conv1" else ""
            table.add_row(name, layer, *cells)
        table.add_section()
    table.add_row("noise ceiling", "", "–", "", f"{ceiling[0]:.2f} … {ceiling[1]:.2f}", "")
    return table


def empty_table(title: str, words: tuple[str, ...], numbers: tuple[str, ...]) -> Table:
    """A table with columns of words, to the left, and of numbers, to the right."""
    table = Table(title=title)
    for column in words:
        table.add_column(column)
    for column in numbers:
        table.add_column(column, justify="right")
    return table


def highest(over_time: xr.Dataset) -> tuple[str, str]:
    """The highest similarity over time with its error, and its time bin, as text."""
    if bool(np.isnan(over_time.similarity).all()):
        return "undefined", "–"
    at = over_time.isel(time_bin=int(np.nanargmax(over_time.similarity)))
    start, end = int(at.time_bin_start), int(at.time_bin_end)
    return f"{float(at.similarity):.2f} ± {float(at.error):.2f}", f"{start}–{end}"

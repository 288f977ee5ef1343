"""The first part of the demo: the geometry of networks beside real macaque IT, over time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.table import Table

from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.demo.setting import LAYERS, PRESENTATION, RESAMPLES, region_layer
from convrnns_brainscore.geometry import dissimilarity_movie, similarity
from convrnns_brainscore.images import load_images
from convrnns_brainscore.networks.forward import single
from convrnns_brainscore.objects92 import Objects92
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.report.geometry_report import draw_movie

Activations = dict[str, NDArray[np.float32]]
"""Layer → [stimulus, step, unit], from the step at which the image reaches the layer."""


def unroll(network: ConvRNN, objects: Objects92) -> Activations:
    """Unroll a network for all photographs."""
    files = list(objects.stimuli["filename"])
    steps = {layer: range(network.first_step(layer), PRESENTATION.times) for layer in LAYERS}
    asked = {layer: single(steps[layer]) for layer in LAYERS}
    activations = {
        layer: np.empty(
            (len(files), len(steps[layer]), int(np.prod(network.output_shape(layer)))), np.float32
        )
        for layer in LAYERS
    }
    with progress_bar(unit="images", transient=True) as bar:
        task = bar.add_task(f"{network.name}: unrolling", total=len(files))
        for start in range(0, len(files), BATCH_SIZE):
            images = load_images(files[start : start + BATCH_SIZE])
            for layer, output in network.averages(images, asked, PRESENTATION).items():
                batch = activations[layer][start : start + len(images)]
                batch[:] = output.reshape(batch.shape)
            bar.advance(task, len(images))
    return activations


def responses(
    network: ConvRNN, activations: Activations, region: str, pairs: Sequence[tuple[int, int]]
) -> NDArray[np.float32]:
    """[stimulus, unit, bin] of a region's layer: averages over ``pairs`` of steps."""
    layer = region_layer(network, region)
    values, first = activations[layer], network.first_step(layer)
    averages = np.empty((len(values), values.shape[2], len(pairs)), np.float32)
    for index, (one, other) in enumerate(pairs):
        averages[..., index] = (values[:, one - first] + values[:, other - first]) / 2
    return averages


def compare_geometry(activations: Activations, objects: Objects92, seed: int) -> xr.Dataset:
    """Compare each layer and step with macaque and human IT."""
    references = {"macaque IT": objects.macaque_it, "human IT": objects.human_it}
    movie = dissimilarity_movie(activations, PRESENTATION.times)
    return similarity(movie, references, resamples=RESAMPLES, seed=seed)


def draw_geometry(
    networks: list[ConvRNN], similarities: dict[str, xr.Dataset], picture: Path
) -> None:
    """Draw the similarities to macaque IT: a panel for each network that has some."""
    draw_movie(
        {
            f"{network.name} ({network.label})": similarities[network.name].similarity.sel(
                reference="macaque IT"
            )
            for network in networks
            if network.name in similarities
        },
        PRESENTATION,
        "Representational geometry of 92 objects:\nConvRNN layers against 674 cells of macaque IT",
        picture,
    )


def geometry_table(
    networks: list[ConvRNN], similarities: dict[str, xr.Dataset], ceiling: tuple[float, float]
) -> Table:
    """Each layer's highest similarity and its step; ``ceiling`` is the human noise ceiling."""
    title = "Highest similarity (Spearman) of each layer over time"
    table = empty_table(title, ("model", "layer"), ("macaque IT", "at (ms)", "human IT", "at (ms)"))
    for network in networks:
        for layer in LAYERS:
            of_layer = similarities[network.name].sel(layer=layer)
            cells = [
                cell
                for reference in ("macaque IT", "human IT")
                for cell in highest(of_layer.sel(reference=reference))
            ]
            name = f"{network.name}\n{network.label}" if layer == LAYERS[0] else ""
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

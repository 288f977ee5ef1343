"""The main job in small: two ConvRNNs see 92 photographs and are compared with real macaque IT."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import xarray as xr
from brainscore_vision.benchmark_helpers import PrecomputedFeatures
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from convrnns_brainscore.activations import neuroid_assembly
from convrnns_brainscore.checkpoints import find_checkpoint
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.geometry import dissimilarity_movie, noise_ceiling, similarity
from convrnns_brainscore.images import VISUAL_DEGREES, load_images
from convrnns_brainscore.presentation import MS_PER_STEP, Presentation
from convrnns_brainscore.recordings import Objects92, load_objects92
from convrnns_brainscore.regions import region_layer
from convrnns_brainscore.report.figures import geometry_figure
from convrnns_brainscore.scoring import neural_benchmark
from convrnns_brainscore.simulate import simulate_recording, stimulus_set

MODELS = ("rgc_shallow", "rgc_intermediate")
TRUTH = "rgc_intermediate"
"""The network that the simulated neurons read out."""

PRESENTATION = Presentation.custom(times=14, image_off=10)
"""The image for 100 ms, as in the paper's recordings, followed to 140 ms."""

REGIONS = {"V4": range(6, 10), "IT": range(10, 14)}
"""Region → steps that its simulated recording averages."""


def load(name: str, checkpoints: Path, seed: int) -> ConvRNN:
    """The network with its checkpoint below ``checkpoints``, or, without one, random weights."""
    checkpoint = find_checkpoint(checkpoints, name)
    if checkpoint:
        return load_network(name, checkpoint=checkpoint)
    return load_network(name, weights="random", seed=seed)


def run(out: Path, checkpoints: Path, seed: int, console: Console) -> None:
    """Run the demo: a figure into the folder ``out``, tables to the console."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    objects = load_objects92()
    images = load_images(list(objects.stimuli["filename"]))
    networks = [load(name, checkpoints, seed) for name in MODELS]
    console.print(
        f"{len(images)} object photographs → {' and '.join(map(repr, networks))}, image on for "
        f"{(PRESENTATION.image_off or 0) * MS_PER_STEP} of {PRESENTATION.times * MS_PER_STEP} ms."
    )

    references = {"macaque IT": objects.macaque_it, "human IT": objects.human_it}
    similarities, responses = {}, {}
    for network in networks:
        keep = {region_layer(network.model, region): steps for region, steps in REGIONS.items()}
        movie, kept = dissimilarity_movie(network, images, PRESENTATION, keep=keep, progress=True)
        similarities[network.name] = similarity(movie, references, seed=seed)
        responses[network.name] = kept

    picture = out / "geometry.png"
    geometry_figure(
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
    console.print(geometry_table(networks, similarities, noise_ceiling(objects.human_it)))
    console.print(
        "This describes these 92 images and one recording window (71–210 ms): the step with the "
        "highest value is neither a selected layer nor a latency.\n"
        "± is the standard deviation over 100 resamplings of the images. Human IT has 4 subjects, "
        "which gives a noise ceiling; the macaque dissimilarities are one average and have none.",
        style="dim",
    )
    console.print(f"Figure: {picture}\n")
    console.print(benchmark_table(networks, responses, objects, seed))
    console.print(
        "Brain-Score's NeuralBenchmark with its ridge and internal_consistency. The recording is "
        f"simulated (100 Poisson neurons a region, 10 repetitions) from {TRUTH} itself, so that "
        f"{TRUTH} should win.",
        style="dim",
    )
    console.print(f"The demo took {time.monotonic() - began:.0f} s.")


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


def benchmark_table(
    networks: list[ConvRNN],
    responses: dict[str, dict[tuple[str, int], NDArray[np.float32]]],
    objects: Objects92,
    seed: int,
) -> Table:
    """Score each network on a recording simulated from one of them, region by region."""
    stimuli = stimulus_set(f"objects92-{TRUTH}", objects.stimuli)
    rows = []
    for region, steps in REGIONS.items():
        recorded = {}
        for network in networks:
            layer = region_layer(network.model, region)
            mean = np.mean([responses[network.name][layer, step] for step in steps], axis=0)
            time_bin = (steps.start * MS_PER_STEP, steps.stop * MS_PER_STEP)
            recorded[network.name] = neuroid_assembly(
                mean[:, :, None], network, PRESENTATION, stimuli, region, layer, [time_bin]
            )
        recording = simulate_recording(recorded[TRUTH], stimuli, neurons=100, seed=seed)
        benchmark = neural_benchmark(f"simulated-{TRUTH}", recording, "ridge")
        for network in networks:
            subject = PrecomputedFeatures(recorded[network.name], visual_degrees=VISUAL_DEGREES)
            score = benchmark(subject)
            raw, ceiling = float(score.attrs["raw"]), float(score.attrs["ceiling"])
            rows.append((region, network, raw, ceiling, float(score)))
    title = f"Simulated benchmark (truth: {TRUTH})"
    table = empty_table(title, ("region", "model", "weights"), ("r", "ceiling", "r²/ceiling"))
    for region, network, *numbers in rows:
        table.add_row(region, network.name, network.label, *(f"{number:.2f}" for number in numbers))
    return table

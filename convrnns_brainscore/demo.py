"""The main job in small: two ConvRNNs see 92 photographs and are compared with real macaque IT."""

from __future__ import annotations

import shutil
import time
from functools import partial
from pathlib import Path

import numpy as np
import xarray as xr
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision.benchmark_helpers import PrecomputedFeatures
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from convrnns_brainscore.brainscore.activations import identifier_of
from convrnns_brainscore.brainscore.assemblies import in_region, neuroid_assembly, stimulus_set
from convrnns_brainscore.brainscore.packages import neural_benchmark
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.brainscore.scoring import Result, as_record
from convrnns_brainscore.brainscore.simulate import regions_together, simulate_recording
from convrnns_brainscore.brainscore.summary import summarise
from convrnns_brainscore.checkpoints import find_checkpoint
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.prepare import prepare
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.geometry import dissimilarity_movie, noise_ceiling, similarity
from convrnns_brainscore.images import VISUAL_DEGREES, load_images
from convrnns_brainscore.objects92 import Objects92, load_objects92
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.recordings import as_recording
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.report.fit_report import write_report
from convrnns_brainscore.report.geometry_report import draw_movie
from convrnns_brainscore.report.score_figures import draw_scores
from convrnns_brainscore.report.tables import fit_table, score_table, wide_console
from convrnns_brainscore.timing import MS_PER_STEP, step_bins

MODELS = ("rgc_shallow", "rgc_intermediate")
TRUTH = "rgc_intermediate"
"""The network that the simulated neurons read out."""

PRESENTATION = Presentation.custom(times=14, image_off=10)
"""The image for 100 ms, as in the paper's recordings, followed to 140 ms."""

REGIONS = ("V4", "IT")
"""Regions of the simulated recording."""

NEURONS, REPETITIONS = 20, 4
"""Size of the simulated recording, region by region."""

PROJECTED = 2000
"""Features that a region's layer is projected to, at random, before the benchmark sees them."""


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
        keep = {region_layer(network, region): range(PRESENTATION.times) for region in REGIONS}
        movie, kept = dissimilarity_movie(network, images, PRESENTATION, keep=keep, progress=True)
        similarities[network.name] = similarity(movie, references, seed=seed)
        responses[network.name] = kept

    picture = out / "geometry.png"
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
    console.print(geometry_table(networks, similarities, noise_ceiling(objects.human_it)))
    console.print(
        "This describes these 92 images and one recording window (71–210 ms): the step with the "
        "highest value is neither a selected layer nor a latency.\n"
        "± is the standard deviation over 100 resamplings of the images. Human IT has 4 subjects, "
        "which gives a noise ceiling; the macaque dissimilarities are one average and have none.",
        style="dim",
    )
    console.print(f"Figure: {picture}\n")
    results, recordings = simulated_scores(networks, responses, objects, seed)
    records = [as_record(result) for result in results]
    score_table(records, out / "scores.csv", wide_console())
    draw_scores(records, out / "scores.png")
    console.print(
        "Brain-Score's NeuralBenchmark with its spantime_ridge and internal_consistency_temporal. "
        f"The recording is simulated ({NEURONS} Poisson neurons a region, {REPETITIONS} "
        f"repetitions) from {TRUTH} itself, so that {TRUTH} should win.",
        style="dim",
    )
    console.print(f"Figure: {out / 'scores.png'}\n")
    fits = fit(networks, recordings, objects, out / "fits")
    wide_console().print(fit_table(fits))
    console.print(
        f"The same recording, fitted with `convrnns fit`'s exact PLS. Report: "
        f"{out / 'fits' / 'report.html'}",
        soft_wrap=True,
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


def simulated_scores(
    networks: list[ConvRNN],
    responses: dict[str, dict[tuple[str, int], NDArray[np.float32]]],
    objects: Objects92,
    seed: int,
) -> tuple[list[Result], dict[str, NeuroidAssembly]]:
    """Score each network on a recording simulated from one of them, region by region.

    Returns
    -------
    (list of Result, dict of str to NeuroidAssembly)
        The results, and each region's recording.
    """
    stimuli = stimulus_set(f"objects92-{TRUTH}", objects.stimuli)
    columns = {name: stimuli[name].to_numpy() for name in stimuli.columns}
    results, recordings = [], {}
    for region in REGIONS:
        features = {}
        reached = max(network.first_step(region_layer(network, region)) for network in networks)
        steps = range(reached, PRESENTATION.times)
        bins = step_bins(reached, PRESENTATION.times)
        for network in networks:
            layer = region_layer(network, region)
            outputs = [responses[network.name][layer, step] for step in steps]
            values = np.stack(outputs, axis=2)
            made_by = describe(network, PRESENTATION)
            shapes = {layer: network.output_shape(layer)}
            if network.name == TRUTH:
                truth = neuroid_assembly(values, made_by, columns, shapes, bins)
            project = random_projection(network.name, PROJECTED)
            few = np.stack([project({layer: step})[layer] for step in outputs], axis=2)
            features[network.name] = neuroid_assembly(
                few, made_by, columns, {layer: (PROJECTED,)}, bins
            )
        recording = simulate_recording(
            in_region(truth, region),
            stimuli,
            neurons=NEURONS,
            repetitions=REPETITIONS,
            seed=seed,
        )
        recordings[region] = recording
        benchmark = neural_benchmark(f"simulated-{TRUTH}", recording, "spantime_ridge")
        for network in networks:
            subject = PrecomputedFeatures(
                in_region(features[network.name], region), visual_degrees=VISUAL_DEGREES
            )
            score = benchmark(subject)
            made_by = {**describe(network, PRESENTATION), "max_neuroids": PROJECTED}
            name = f"simulated {region}, {PROJECTED} projected neuroids"
            summary = summarise(score, bins)
            results.append(Result(identifier_of(network), name, summary, made_by, score))
    return results, recordings


def fit(
    networks: list[ConvRNN],
    recordings: dict[str, NeuroidAssembly],
    objects: Objects92,
    out: Path,
) -> Results:
    """Fit the networks' layers to the simulated recording, and write the report into ``out``."""
    stimuli = objects.stimuli.assign(degrees=float(VISUAL_DEGREES))
    method = Method()
    prepared = prepare(
        as_recording(regions_together(recordings)),
        stimuli[["stimulus_id", "filename", "degrees"]],
        image_ms=(PRESENTATION.image_off or 0) * MS_PER_STEP,
        needed=method.needed,
        latencies=[0],
    )
    shutil.rmtree(out, ignore_errors=True)
    results = fit_recording(
        {network.name: partial(_itself, network) for network in networks},
        prepared,
        out,
        method=method,
        progress=True,
    )
    write_report(results, out)
    return results


def _itself(network: ConvRNN) -> ConvRNN:
    return network


def region_layer(network: ConvRNN, region: str) -> str:
    """The one layer of a region in the default map."""
    return region_layers(network.model)[region][0]

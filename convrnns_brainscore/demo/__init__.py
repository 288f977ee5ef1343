"""The main job in small: two ConvRNNs see 92 photographs and are compared with real macaque IT."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from convrnns_brainscore.demo.geometry import (
    compare_geometry,
    draw_geometry,
    geometry_table,
    responses,
    unroll,
)
from convrnns_brainscore.demo.setting import (
    MODELS,
    NEURONS,
    PRESENTATION,
    PROJECTED,
    REGIONS,
    REPETITIONS,
    RESAMPLES,
    SCORED,
    TRUTH,
    load,
    paired_steps,
    time_bins,
)
from convrnns_brainscore.geometry import noise_ceiling
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.timing import MS_PER_STEP


def run(out: Path, checkpoints: Path, seed: int, console: Console) -> None:
    """Run the demo: figures, tables and the page ``index.html`` into the folder ``out``."""
    began = time.monotonic()
    out.mkdir(parents=True, exist_ok=True)
    objects = load_objects92()
    networks = [load(name, checkpoints, seed) for name in MODELS]
    (truth,) = (network for network in networks if network.name == TRUTH)
    pairs = {region: paired_steps(networks, region) for region in REGIONS}
    console.print(
        f"{' and '.join(f'{network.name} ({network.label})' for network in networks)} see "
        f"{len(objects.stimuli)} photographs of objects. Each is on for "
        f"{(PRESENTATION.image_off or 0) * MS_PER_STEP} of {PRESENTATION.times * MS_PER_STEP} ms."
    )

    picture = out / "geometry.png"
    similarities: dict[str, xr.Dataset] = {}
    found: dict[str, dict[str, NDArray[np.float32]]] = {region: {} for region in REGIONS}
    for network in networks:
        activations = unroll(network, objects)
        similarities[network.name] = compare_geometry(activations, objects, seed)
        draw_geometry(networks, similarities, picture)
        console.print(
            f"Figure with {' and '.join(similarities)} after {time.monotonic() - began:.0f} s: "
            f"{picture}",
            soft_wrap=True,
        )
        for region in REGIONS if network is truth else (SCORED,):
            found[region][network.name] = responses(network, activations, region, pairs[region])
        del activations
    console.print(geometry_table(networks, similarities, noise_ceiling(objects.human_it)))
    console.print(
        "Macaque IT is one average over 71–210 ms, without a noise ceiling. Human IT was measured "
        "with fMRI in 4 subjects. The time of a maximum is therefore not a response latency, and "
        "the maximum is not evidence for a layer.\n"
        f"± is the standard deviation over {RESAMPLES} resamplings of the images.\n",
        style="dim",
    )

    # Brain-Score takes seconds to import: the first figure does not wait for it.
    from convrnns_brainscore.brainscore.simulate import regions_together
    from convrnns_brainscore.demo.fits import fit
    from convrnns_brainscore.demo.page import write_page
    from convrnns_brainscore.demo.scores import score, simulate
    from convrnns_brainscore.report.fit_figures import write_figure
    from convrnns_brainscore.report.score_figures import draw_scores
    from convrnns_brainscore.report.tables import fit_table, score_table, wide_console, write_scores

    bins = {region: time_bins(pairs[region]) for region in REGIONS}
    scored, of_truth = found[SCORED], {region: each[TRUTH] for region, each in found.items()}
    recordings = simulate(truth, of_truth, bins, objects, seed)
    del found, of_truth  # V4's take 110 MB
    benchmark = f"simulated-{TRUTH}"
    records = score(networks, scored, bins[SCORED], recordings[SCORED], benchmark)
    score_table(records, wide_console())
    write_scores(records, out / "scores.csv")
    console.print(f"Table: {out / 'scores.csv'}", soft_wrap=True)
    draw_scores(records, out / "scores.png")
    console.print(
        f"Scores by Brain-Score's NeuralBenchmark, with {PROJECTED} random projections of the "
        f"layer's features. The recording is simulated: {NEURONS} Poisson neurons that read out "
        f"{TRUTH}, which should therefore score higher, {REPETITIONS} repetitions.",
        style="dim",
    )
    console.print(f"Figure: {out / 'scores.png'}\n", soft_wrap=True)

    results = fit(truth, regions_together(recordings), objects, out / "fits")
    write_figure(results, "over-time", out / "fits.png")
    wide_console().print(fit_table(results))
    console.print(
        f"Fits of {TRUTH} to the same neurons, as by `convrnns fit`. The control is the image "
        f"itself (Gabor energy and colour). Report: {out / 'fits' / 'report.html'}\n",
        soft_wrap=True,
    )
    page = write_page(out)
    console.print(f"Geometry, scores and fits on one page: {page.absolute()}", soft_wrap=True)
    console.print(f"The demo took {time.monotonic() - began:.0f} s.")

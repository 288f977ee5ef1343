"""The main job in small: two ConvRNNs see 92 photographs and are compared with real macaque IT."""

from __future__ import annotations

import time
from pathlib import Path

from rich.console import Console

from convrnns_brainscore.demo.geometry import compare_geometry, geometry_table
from convrnns_brainscore.demo.setting import (
    MODELS,
    NEURONS,
    PRESENTATION,
    REPETITIONS,
    RESAMPLES,
    TRUTH,
    load,
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
    console.print(
        f"{len(objects.stimuli)} object photographs → {' and '.join(map(repr, networks))}, image "
        f"on for {(PRESENTATION.image_off or 0) * MS_PER_STEP} of "
        f"{PRESENTATION.times * MS_PER_STEP} ms."
    )

    picture = out / "geometry.png"
    similarities, responses = compare_geometry(networks, objects, seed, picture)
    console.print(geometry_table(networks, similarities, noise_ceiling(objects.human_it)))
    console.print(
        "This describes these 92 images and one recording window (71–210 ms): the step with the "
        "highest value is neither a selected layer nor a latency.\n"
        f"± is the standard deviation over {RESAMPLES} resamplings of the images. Human IT has 4 "
        "subjects, which gives a noise ceiling; the macaque dissimilarities are one average and "
        "have none.",
        style="dim",
    )
    console.print(f"Figure after {time.monotonic() - began:.0f} s: {picture}\n", soft_wrap=True)

    # Brain-Score takes seconds to import: the first figure does not wait for it.
    from convrnns_brainscore.demo.fits import fit
    from convrnns_brainscore.demo.page import write_page
    from convrnns_brainscore.demo.scores import score
    from convrnns_brainscore.report.fit_figures import write_figure
    from convrnns_brainscore.report.score_figures import draw_scores
    from convrnns_brainscore.report.tables import fit_table, score_table, wide_console

    records, recording = score(networks, responses, objects, seed)
    score_table(records, out / "scores.csv", wide_console())
    draw_scores(records, out / "scores.png")
    console.print(
        "Brain-Score's NeuralBenchmark with its spantime_pls and internal_consistency_temporal. "
        f"The recording is simulated ({NEURONS} Poisson neurons per region, {REPETITIONS} "
        f"repetitions) from {TRUTH} itself, so that {TRUTH} should win.",
        style="dim",
    )
    console.print(f"Figure: {out / 'scores.png'}\n", soft_wrap=True)

    results = fit(networks, recording, objects, out / "fits")
    write_figure(results, "over-time", out / "fits.png")
    wide_console().print(fit_table(results))
    console.print(
        "The same recording, fitted with the exact PLS of `convrnns fit`. Report: "
        f"{out / 'fits' / 'report.html'}\n",
        soft_wrap=True,
    )
    page = write_page(out)
    console.print(f"All three on one page: {page.absolute()}", soft_wrap=True)
    console.print(f"The demo took {time.monotonic() - began:.0f} s.")

"""One page with the figures of the demo's three parts."""

from __future__ import annotations

from pathlib import Path

from convrnns_brainscore.demo.setting import NEURONS, REGIONS, REPETITIONS, SCORED, TRUTH
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.report.page import render


def write_page(out: Path) -> Path:
    """Write ``index.html`` beside the demo's figures; returns its path."""
    path = out / "index.html"
    with written_whole(path) as partial:
        partial.write_text(
            render(
                "demo.html",
                truth=TRUTH,
                neurons=NEURONS,
                regions=" and ".join(REGIONS),
                repetitions=REPETITIONS,
                scored=SCORED,
            ),
            encoding="utf-8",
        )
    return path

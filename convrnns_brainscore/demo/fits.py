"""The third part of the demo: fits of a network to the simulated recording, and their report."""

from __future__ import annotations

import shutil
from pathlib import Path

import xarray as xr

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.demo.setting import PRESENTATION, SPLITS
from convrnns_brainscore.fits.fit import fit_recording
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.prepare import prepare
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.objects92 import Objects92
from convrnns_brainscore.recordings import as_recording
from convrnns_brainscore.report.fit_report import write_report
from convrnns_brainscore.timing import MS_PER_STEP


def fit(network: ConvRNN, recording: xr.DataArray, objects: Objects92, out: Path) -> Results:
    """Fit a network's layers to the simulated recording, and write the report into ``out``."""
    stimuli = objects.stimuli.assign(degrees=float(VISUAL_DEGREES))
    method = Method()
    prepared = prepare(
        as_recording(recording),
        stimuli[["stimulus_id", "filename", "degrees"]],
        image_ms=(PRESENTATION.image_off or 0) * MS_PER_STEP,
        needed=method.needed,
        latencies=[0],
        splits=SPLITS,
    )
    shutil.rmtree(out, ignore_errors=True)
    results = fit_recording(
        {network.name: lambda: network},
        prepared,
        out,
        method=method,
        progress=True,
    )
    write_report(results, out)
    return results

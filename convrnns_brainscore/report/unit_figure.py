"""The responses of single units over time, above what the network saw: a strip of its frames."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.figure import Figure
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.image_batches import shown_by
from convrnns_brainscore.images import MEAN, STD
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.report.style import save_figure, styles
from convrnns_brainscore.stimuli import check_stimuli
from convrnns_brainscore.streams import Shown, presentation_of
from convrnns_brainscore.timing import MS_PER_STEP

FORMATS = (".pdf", ".svg", ".png")
THUMBNAILS = 12
"""Frames in the strip at most."""


def write_unit_figure(
    activations: xr.DataArray,
    stimuli: pd.DataFrame,
    stimulus_id: str,
    neuroids: Sequence[int],
    path: str | Path,
    presentation: Presentation | None = None,
) -> None:
    """Draw the responses of units to one stimulus over time, and the frames that it shows.

    Parameters
    ----------
    activations : DataArray
        One layer, presentation × neuroid × time_bin, as `extract` and `features_in_memory` give
        it.
    stimuli : DataFrame
        The stimuli that were shown (`stimuli.read_stimuli`).
    stimulus_id : str
        The stimulus to draw.
    neuroids : sequence of int
        Positions of the units to draw.
    path : str or path
        ``….pdf``, ``….svg`` or ``….png``.
    presentation : Presentation, optional
        What was shown when; not needed where stimuli have times of their own.

    Raises
    ------
    ConvRNNError
        No such stimulus or unit; another format; stimuli without times, and no presentation.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from convrnns_brainscore import load_network
    >>> from convrnns_brainscore.features import features_in_memory
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> network = load_network("timedecay_shallow", weights="random")
    >>> files = load_objects92().stimuli["filename"]
    >>> stream = pd.DataFrame({
    ...     "stimulus_id": "pair", "filename": files[:2], "onset_ms": [0, 50], "offset_ms": [50, 90]
    ... })
    >>> found = features_in_memory(network, stream, "conv5")["conv5"]
    >>> with TemporaryDirectory() as folder:
    ...     write_unit_figure(found, stream, "pair", [0, 1000], f"{folder}/units.png")
    """
    path, stimuli = Path(path), check_stimuli(stimuli)
    if path.suffix not in FORMATS:
        raise ConvRNNError(f"{path}: expected a name that ends in {', '.join(FORMATS)}.")
    names = activations["stimulus_id"].values.astype(str).tolist()
    if stimulus_id not in names:
        raise unknown("stimulus", stimulus_id, names)
    count = activations.sizes["neuroid"]
    wrong = [neuroid for neuroid in neuroids if not 0 <= neuroid < count]
    if wrong or not len(neuroids):
        raise ConvRNNError(
            f"`neuroids={list(neuroids)}`: expected positions from 0 to {count - 1}."
        )
    row = stimuli[stimuli["stimulus_id"] == stimulus_id]
    if not len(row):
        raise unknown("stimulus of the table", stimulus_id, stimuli["stimulus_id"].tolist())
    if presentation is None and "clips" not in stimuli:
        raise ConvRNNError("give `presentation=…`: these stimuli have no times of their own.")
    shown = presentation_of(row, presentation, Presentation.neural())

    ends = activations["time_bin_end"].values
    last = int(np.ceil(ends.max() / MS_PER_STEP))
    figure = Figure((7.1, 3.2), layout="constrained")
    strip, panel = figure.subplots(2, 1, sharex=True, height_ratios=[1, 4])
    steps = np.unique(np.linspace(0, last - 1, THUMBNAILS).astype(int))
    width = MS_PER_STEP * last / len(steps)
    for place, frame in enumerate(_frames(row, shown, steps)):
        strip.imshow(frame, extent=(place * width, (place + 0.92) * width, 0, 1), aspect="auto")
    strip.set(
        yticks=[], ylim=(0, 1), title=f"{stimulus_id}: frames at {len(steps)} of {last} steps"
    )
    strip.tick_params(bottom=False)
    strip.spines[:].set_visible(False)
    responses = activations.isel(presentation=names.index(stimulus_id)).transpose(
        "neuroid", "time_bin"
    )
    middles = (activations["time_bin_start"].values + ends) / 2
    looks = styles([str(neuroid) for neuroid in neuroids])
    for neuroid in neuroids:
        look = looks[str(neuroid)]
        panel.plot(
            middles, responses[neuroid], color=look.colour, linestyle=look.dash[0],
            label=f"unit {neuroid}",
        )  # fmt: skip
    panel.set(
        xlim=(0, MS_PER_STEP * last), xlabel="time from stimulus onset (ms)",
        ylabel=f"{activations.name or 'layer'}, activation (a.u.)",
    )  # fmt: skip
    panel.legend(frameon=False, fontsize=8)
    model = display_name(str(activations.attrs.get("model", "")), activations.attrs)
    save_figure(figure, path, [model], path.suffix[1:])


def _frames(
    row: pd.DataFrame, presentation: Presentation, steps: NDArray[np.int64]
) -> list[NDArray[np.uint8]]:
    """What some steps show, as pixels."""
    off = presentation.fixed_frames[-1]
    shown = shown_by(row, off)
    frames = []
    for step in steps.tolist():
        if isinstance(shown, Shown):
            frame = shown(step)[0]
        else:
            frame = (shown, *presentation.fixed_frames)[presentation.frame_at(step)][0]
        frames.append(np.clip(np.round(255 * (frame * STD + MEAN)), 0, 255).astype(np.uint8))
    return frames

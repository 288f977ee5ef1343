"""The memory that a score takes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convrnns_brainscore.choices import SolverName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.heldout import IN_MEMORY
from convrnns_brainscore.memory import available_memory

if TYPE_CHECKING:
    from convrnns_brainscore.brainscore.experiment import Experiment

COPIES = {
    "pls": 10,
    "ridge": 6,
    "spantime_pls": 25,
    "spantime_ridge": 12,
    "ost": 4,
    "rdm": 4,
    "exact": 6,
}
"""Metric → the most that it and the model's recording hold at a time, in units of the recording, as
measured with Brain-Score's own metrics (``benchmarks/README.md``)."""

STREAMED_COPIES = 2
"""Of ``exact`` on more than `fits.heldout.IN_MEMORY` bytes, which are streamed."""

OTHER_COPIES = 10


def needed_memory(stimuli: int, neuroids: int, bins: int, metric: str, neurons: int = 0) -> int:
    """Bytes that recording and metric hold at most, beside the network and the libraries.

    Parameters
    ----------
    neuroids : int
        Neuroids of the model.
    neurons : int, default 0
        Neurons of the data, where they are known.
    """
    recording = 4 * stimuli * bins * neuroids
    copies = COPIES.get(metric, OTHER_COPIES)
    if metric == "exact" and recording > IN_MEMORY:
        copies = STREAMED_COPIES
    return recording * copies + 8 * stimuli * bins * neurons * OTHER_COPIES


def check_memory(
    experiment: Experiment, neuroids: int, solver: str = SolverName.brainscore
) -> None:
    """Raise if a neural benchmark will need more memory than there is.

    This stands in for Brain-Score's own check, which counts time bins twice.

    Parameters
    ----------
    experiment : Experiment
        What the benchmark does.
    neuroids : int
        Number of the model's neuroids that are recorded, after any projection.
    solver : str, default SolverName.brainscore
        What carries out the metric's fits.

    Raises
    ------
    ConvRNNError
        It does not fit, with the ways out.
    """
    metric = solver if solver == SolverName.exact else experiment.metric
    bins = len(experiment.time_bins) or 1
    need = needed_memory(experiment.stimuli, neuroids, bins, metric, experiment.neurons)
    free = available_memory()
    if need > free:
        ways = ["give `max_neuroids=…` (fewer, randomly projected features)"]
        if solver != SolverName.exact and experiment.metric.endswith(("pls", "ridge")):
            ways.insert(0, "give `solver='exact'` (PLS and ridge without copies)")
        raise ConvRNNError(
            f"{experiment.identifier} with {metric} on {neuroids} neuroids × {bins} bins × "
            f"{experiment.stimuli} stimuli needs about {need / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB is free. Ways out: {', '.join(ways)}, record a smaller "
            "layer (`region_layer_map=…`), or use a larger machine."
        )

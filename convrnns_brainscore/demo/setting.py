"""The models, stimuli and sizes of the demo."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from convrnns_brainscore.checkpoints import find_checkpoint
from convrnns_brainscore.choices import BackendName
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin

MODELS = ("timedecay_shallow", "simplernn_shallow")
"""The two networks that take the least time."""

TRUTH = "timedecay_shallow"
"""The network that the simulated neurons read out, and whose layers are fitted to them."""

PRESENTATION = Presentation.custom(times=12, image_off=10)
"""The image for 100 ms, as in the paper's recordings, followed to 120 ms."""

LAYERS = ("conv3", "conv4", "conv5", "imnetds")
"""Layers whose geometry is compared: from the one that matches V4 on."""

REGIONS = ("V4", "IT")
"""Regions of the simulated recording."""

SCORED = "IT"
"""The region that Brain-Score's benchmark scores."""

NEURONS, REPETITIONS = 20, 4
"""Neurons of each simulated region, and repetitions of each image."""

RESAMPLES = 50
"""Bootstrap samples of the images for the errors of the similarities."""

METRIC = "spantime_pls"
"""Brain-Score's metric for temporal benchmarks: PLS weights shared by all time bins."""

PROJECTED = 500
"""Features to which the layer is projected at random before the benchmark sees them."""


SPLITS = 5
"""Splits of the fits, half of the default."""


def load(name: str, checkpoints: Path, seed: int) -> ConvRNN:
    """The network with its checkpoint below ``checkpoints``, or, without one, random weights."""
    # PyTorch needs no tracing.
    backend = BackendName.torch
    checkpoint = find_checkpoint(checkpoints, name)
    if checkpoint:
        return load_network(name, checkpoint=checkpoint, backend=backend)
    return load_network(name, weights="random", seed=seed, backend=backend)


def region_layer(network: ConvRNN, region: str) -> str:
    """The one layer of a region in the default map."""
    return region_layers(network.model)[region][0]


def paired_steps(networks: Sequence[ConvRNN], region: str) -> list[tuple[int, int]]:
    """The steps of each 20 ms bin, from the first at which the image is in all networks' layers."""
    reached = max(network.first_step(region_layer(network, region)) for network in networks)
    return [(step, step + 1) for step in range(reached, PRESENTATION.times - 1, 2)]


def time_bins(pairs: Sequence[tuple[int, int]]) -> list[TimeBin]:
    """The bins of `paired_steps`, in ms."""
    return [(first * MS_PER_STEP, (last + 1) * MS_PER_STEP) for first, last in pairs]

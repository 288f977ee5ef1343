"""A score that is to be computed, with everything that makes the number."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.activations import LOGITS
from convrnns_brainscore.brainscore.brain_model import RegionLayerMap, TemporalBrainModel
from convrnns_brainscore.brainscore.digests import data_digest
from convrnns_brainscore.brainscore.exact_metric import ExactMetric
from convrnns_brainscore.brainscore.experiment import Experiment, read_experiment
from convrnns_brainscore.brainscore.stimulus_durations import ImageMs, Shown, asked_duration
from convrnns_brainscore.choices import SolverName, parse_choice
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.regions import Latency, layers_of
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin


@dataclass(frozen=True)
class Plan:
    """A score that is to be computed, with everything that makes the number.

    Attributes
    ----------
    subject : TemporalBrainModel
        The network, as Brain-Score's experimental subject.
    benchmark
        One of Brain-Score's benchmark objects.
    experiment : Experiment
        What the benchmark does with the subject.
    presentation : Presentation
        What the subject is shown.
    shown : Shown or None
        How long the image is on, and the rule; None: behaviour, as the model was trained.
    layers : tuple of str
        The layers that are recorded; none in behaviour.
    max_neuroids : int or None
        Number of features to which each bin is projected; None: all of them.
    solver : SolverName
        What carries out the metric's fits.
    """

    subject: TemporalBrainModel
    benchmark: Any
    experiment: Experiment
    presentation: Presentation
    shown: Shown | None
    layers: tuple[str, ...]
    max_neuroids: int | None
    solver: SolverName

    @property
    def made_by(self) -> dict[str, Any]:
        """All that makes the score, as plain values."""
        network = self.subject.network
        return {
            "benchmark": self.experiment.name,
            "benchmark_version": str(self.benchmark.version),
            "benchmark_identifier": self.experiment.identifier,
            "metric": self.experiment.metric,
            "time_bins": str(list(self.experiment.time_bins)),
            "data": data_digest(self.benchmark),
            "time_bins_note": self.experiment.asked.note if self.experiment.asked else "",
            "stimulus_degrees": str(internals.visual_degrees(self.benchmark)),
            **describe(network, self.presentation),
            "image_duration": self.image_duration,
            "image_duration_rule": self.shown.rule if self.shown else "behaviour",
            "region": self.experiment.region or "none",
            "layers": ", ".join(self.layers) or self.readout,
            "latency_ms": self.latency_ms,
            "max_neuroids": "all" if self.max_neuroids is None else self.max_neuroids,
            "solver": str(self.solver),
            "brainscore_vision": installed_version("brainscore-vision"),
        }

    @property
    def image_duration(self) -> str:
        """How long stimuli are on, in words."""
        if self.shown is not None:
            return self.shown.in_words
        if self.presentation == Presentation.default(self.subject.network.name):
            return "as in training"
        return asked_duration(self.presentation).in_words

    @property
    def readout(self) -> str:
        """What behaviour is read from."""
        readout = self.subject.behavioural_readout
        return readout if readout == LOGITS else f"{readout} (labels: {LOGITS})"

    @property
    def latency_ms(self) -> float:
        """How much later the region's neurons answer than the layers; 0 in behaviour."""
        region = self.experiment.region
        return 0.0 if region is None else self.subject.latencies[region]

    @property
    def time_bins(self) -> tuple[TimeBin, ...]:
        """The recorded time bins in ms, with an interval for each instant; none of behaviour."""
        if self.experiment.asked is None or self.shown is None:
            return ()
        return self.experiment.asked.responses(self.shown.image_ms)

    @property
    def neuroids(self) -> int:
        """How many neuroids the metric is given."""
        network = self.subject.network
        recorded = sum(int(np.prod(network.output_shape(layer))) for layer in self.layers)
        return recorded if self.max_neuroids is None else min(recorded, self.max_neuroids)

    @property
    def first_image_ms(self) -> float:
        """When the image reaches the recorded layers, in ms from its onset, with the latency."""
        first_step = self.subject.network.first_step
        first = MS_PER_STEP * min((first_step(layer) for layer in self.layers), default=0)
        return first + self.latency_ms


def make_plan(
    network: ConvRNN,
    name: str,
    benchmark: Any,
    *,
    presentation: Presentation | None = None,
    image_ms: ImageMs = None,
    region_layer_map: RegionLayerMap = None,
    latency: Latency = None,
    max_neuroids: int | None = None,
    behavioural_readout: str = LOGITS,
    solver: str = SolverName.brainscore,
) -> Plan:
    """Decide on everything that makes a score; parameters as of `scoring.score`."""
    chosen = parse_choice("solver", solver, SolverName)
    if chosen is SolverName.exact:
        ExactMetric(internals.similarity_metric(benchmark))  # raises where it suits none
    experiment = read_experiment(name, benchmark)
    if experiment.region is None:
        max_neuroids = None  # logits are not projected
    subject = TemporalBrainModel(
        network,
        presentation,
        region_layer_map,
        image_ms=image_ms,
        latency=latency,
        max_neuroids=max_neuroids,
        behavioural_readout=behavioural_readout,
    )
    layers: tuple[str, ...] = ()
    seen, shown = presentation or Presentation.default(network.name), None
    if experiment.region is not None:
        layers = tuple(layers_of(network.model, subject.region_layer_map, experiment.region))
        shown = subject.activations_model.shown(experiment.stimulus_set)
        seen = subject.activations_model.presentation_for(
            shown, experiment.asked, subject.latencies[experiment.region]
        )
    network.check_lesion(seen)
    return Plan(subject, benchmark, experiment, seen, shown, layers, max_neuroids, chosen)

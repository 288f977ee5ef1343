"""A score that is to be computed, with everything that makes the number."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from os import PathLike
from typing import Any

import numpy as np

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.brainscore.digests import data_digest
from convrnns_brainscore.brainscore.exact_metric import ExactMetric
from convrnns_brainscore.brainscore.experiment import Experiment, read_experiment
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.choices import SolverName, parse_choice
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.regions import layers_of
from convrnns_brainscore.timing import MS_PER_STEP

RegionLayerMap = str | PathLike[str] | Mapping[str, str | Sequence[str]] | None


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
    presentation : Presentation or None
        What the subject is shown; None: as the model was trained.
    image_duration : str
        How long the image is on, in words.
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
    presentation: Presentation | None
    image_duration: str
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
            **describe(network, self.presentation or Presentation.default(network.name)),
            "image_duration": self.image_duration,
            "region": self.experiment.region or "none",
            "layers": ", ".join(self.layers) or "logits",
            "max_neuroids": "all" if self.max_neuroids is None else self.max_neuroids,
            "solver": str(self.solver),
            "brainscore_vision": installed_version("brainscore-vision"),
        }

    @property
    def neuroids(self) -> int:
        """How many neuroids the metric is given."""
        network = self.subject.network
        recorded = sum(int(np.prod(network.output_shape(layer))) for layer in self.layers)
        return recorded if self.max_neuroids is None else min(recorded, self.max_neuroids)

    @property
    def first_image_ms(self) -> float:
        """When the image reaches the recorded layers, in ms from its onset."""
        first_step = self.subject.network.first_step
        return MS_PER_STEP * min((first_step(layer) for layer in self.layers), default=0)


def make_plan(
    network: ConvRNN,
    name: str,
    benchmark: Any,
    *,
    presentation: Presentation | None = None,
    region_layer_map: RegionLayerMap = None,
    max_neuroids: int | None = None,
    solver: str = SolverName.brainscore,
) -> Plan:
    """Decide on everything that makes a score; parameters as of `scoring.score`."""
    chosen = parse_choice("solver", solver, SolverName)
    if chosen is SolverName.exact:
        ExactMetric(internals.similarity_metric(benchmark))  # raises where it suits none
    experiment = read_experiment(name, benchmark)
    shown, on = presentation_for(experiment, presentation)
    network.check_lesion(shown or Presentation.default(network.name))
    subject = TemporalBrainModel(network, shown, region_layer_map)
    layers: tuple[str, ...] = ()
    if experiment.region is None:
        max_neuroids = None  # logits are not projected
    else:
        layers = tuple(layers_of(network.model, subject.region_layer_map, experiment.region))
    if max_neuroids is not None:
        subject.activations_model.register_batch_activations_hook(
            random_projection(network.name, max_neuroids)
        )
    return Plan(subject, benchmark, experiment, shown, on, layers, max_neuroids, chosen)


def presentation_for(
    experiment: Experiment, presentation: Presentation | None = None
) -> tuple[Presentation | None, str]:
    """What is shown on a benchmark (None: as in training), and how long the image is on.

    Parameters
    ----------
    presentation : Presentation, optional
        What the user asks for; None: the benchmark's own.
    """
    if presentation is not None:
        off = presentation.image_off
        return presentation, "always" if off is None else f"{off * MS_PER_STEP} ms, as asked"
    if experiment.region is None:
        return None, "as in training"
    neural = Presentation.neural()
    steps = int(experiment.image_ms) // MS_PER_STEP
    if steps == neural.image_off:
        return neural, experiment.image_duration
    return Presentation.custom(max(neural.times, steps), steps), experiment.image_duration

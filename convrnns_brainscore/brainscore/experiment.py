"""What a loaded benchmark does with its subject: one reading of it for everything that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.benchmark_helpers.neural_common import timebins_from_assembly

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.benchmarks import list_benchmarks, region_in
from convrnns_brainscore.choices import MetricName
from convrnns_brainscore.timing import AskedBins, TimeBin, read_time_bins

_SETS = ("stimulus_set", "_stimulus_set", "test_stimuli")
"""Where benchmarks keep the stimulus set that they show."""


@dataclass(frozen=True)
class StimulusName:
    """A stimulus set of which only a name is known."""

    identifier: str


@dataclass(frozen=True)
class Experiment:
    """What a benchmark does with its subject.

    Attributes
    ----------
    name : str
        Name of the benchmark in Brain-Score's registry, or a package's file.
    identifier : str
        As the benchmark calls itself.
    region : str or None
        The region that is recorded; None: behaviour.
    stimulus_set
        The stimulus set that is shown, or the benchmark's name where it shows none of its sets.
    metric : str
        Its name.
    asked : AskedBins or None
        The time bins; None: behaviour.
    stimuli : int
        Their number.
    neurons : int
        Number of neurons in the data; 0: not known.
    """

    name: str
    identifier: str
    region: str | None
    stimulus_set: Any
    metric: str
    asked: AskedBins | None
    stimuli: int
    neurons: int

    @property
    def time_bins(self) -> tuple[TimeBin, ...]:
        """Start and end in ms of each bin; none of behaviour."""
        return self.asked.in_ms if self.asked else ()


def read_experiment(name: str, benchmark: Any) -> Experiment:
    """Read a benchmark.

    Parameters
    ----------
    name : str
        Name of the benchmark in Brain-Score's registry, or a package's file.
    benchmark
        One of Brain-Score's benchmark objects.
    """
    recorded = internals.recorded_data(benchmark)
    return Experiment(
        name,
        str(benchmark.identifier),
        _region(name, benchmark),
        _stimulus_set(name, benchmark),
        _metric(benchmark),
        _time_bins(benchmark),
        _stimuli(benchmark),
        0 if recorded is None else int(recorded.sizes.get("neuroid", 0)),
    )


def _region(name: str, benchmark: Any) -> str | None:
    region = getattr(benchmark, "region", None)
    if region is None:  # some neural benchmarks' objects do not say it
        listed = list_benchmarks().get(name)
        neural = listed is not None and listed.kind == "neural"
        region = listed.region if listed is not None and neural else region_in(name)
    return None if region is None else str(region)


def _time_bins(benchmark: Any) -> AskedBins | None:
    named, recorded = internals.named_time_bins(benchmark), internals.recorded_data(benchmark)
    if named is not None:
        return read_time_bins(named)
    # Dissimilarities, such as Coggan2024's, have no bins.
    if hasattr(benchmark, "region") and hasattr(recorded, "time_bin"):
        return read_time_bins(timebins_from_assembly(recorded))
    return None


def _stimulus_set(name: str, benchmark: Any) -> Any:
    recorded = internals.recorded_data(benchmark)
    held = getattr(recorded, "attrs", {}).get("stimulus_set")
    for found in (held, *(getattr(benchmark, each, None) for each in _SETS)):
        if isinstance(found, StimulusSet):
            return found
    return StimulusName(name)


def _stimuli(benchmark: Any) -> int:
    recorded = internals.recorded_data(benchmark)
    parts = [
        recorded,
        *(getattr(benchmark, f"{part}_assembly", None) for part in ("train", "test")),
    ]
    # Data of behaviour, such as thresholds, may hold no stimulus set.
    sets = [part.attrs.get("stimulus_set") for part in parts if part is not None]
    return sum(int(each["stimulus_id"].nunique()) for each in sets if each is not None)


def _metric(benchmark: Any) -> str:
    identifier = str(benchmark.identifier).lower()
    stated = identifier.split("-")[-2:][0]  # of a package, whose folder may have any name
    if stated in list(MetricName):
        return stated
    if "ost" in identifier.split("-"):
        return "ost"
    if "rdm" in identifier:
        return "rdm"
    metric = internals.similarity_metric(benchmark)
    temporal = "SpanTime" in type(getattr(metric, "regression", None)).__name__
    kind = "pls" if "pls" in identifier else "ridge" if "ridge" in identifier else "other"
    return f"spantime_{kind}" if temporal else kind

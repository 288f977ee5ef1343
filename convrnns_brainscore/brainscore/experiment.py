"""What a loaded benchmark does with its subject: one reading of it for everything that follows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from brainscore_vision.benchmark_helpers.neural_common import timebins_from_assembly

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.benchmarks import image_duration, list_benchmarks, region_in
from convrnns_brainscore.presentation import image_duration as shown_duration
from convrnns_brainscore.timing import TimeBin, parse_time_bins


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
    image_ms : float
        How long images were on, in ms.
    image_duration : str
        The same in words: ``"150 ms"``, ``"assumed 100 ms"``.
    metric : str
        Its name.
    time_bins : tuple of (start, end)
        Start and end in ms of each bin; none of behaviour.
    stimuli : int
        Their number.
    neurons : int
        Number of neurons in the data; 0: not known.
    """

    name: str
    identifier: str
    region: str | None
    image_ms: float
    image_duration: str
    metric: str
    time_bins: tuple[TimeBin, ...]
    stimuli: int
    neurons: int


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
    duration: float
    duration, words = image_duration(name)
    on_ms = getattr(benchmark, "image_on_ms", None)  # of a package's data
    if on_ms is not None:
        duration, words = shown_duration(on_ms)[0], f"{on_ms:g} ms"
    return Experiment(
        name,
        str(benchmark.identifier),
        _region(name, benchmark),
        duration,
        words,
        _metric(benchmark),
        tuple(_time_bins(benchmark)),
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


def _time_bins(benchmark: Any) -> list[TimeBin]:
    named, recorded = internals.named_time_bins(benchmark), internals.recorded_data(benchmark)
    if named is not None:
        return parse_time_bins(named)
    if hasattr(benchmark, "region") and recorded is not None:
        return parse_time_bins(timebins_from_assembly(recorded))
    return []


def _stimuli(benchmark: Any) -> int:
    recorded = internals.recorded_data(benchmark)
    parts = [
        recorded,
        *(getattr(benchmark, f"{part}_assembly", None) for part in ("train", "test")),
    ]
    return sum(int(p.stimulus_set["stimulus_id"].nunique()) for p in parts if p is not None)


def _metric(benchmark: Any) -> str:
    identifier = str(benchmark.identifier).lower()
    if "ost" in identifier.split("-"):
        return "ost"
    if "rdm" in identifier:
        return "rdm"
    metric = internals.similarity_metric(benchmark)
    temporal = "SpanTime" in type(getattr(metric, "regression", None)).__name__
    kind = "pls" if "pls" in identifier else "ridge" if "ridge" in identifier else "other"
    return f"spantime_{kind}" if temporal else kind

"""Score networks on Brain-Score's benchmarks.

Brain-Score's benchmarks run as they are. What is kept beside its own number: the raw correlation
with its sign, the ceiling, both bin by bin, and which bins can mean anything (`summary`).
"""

from __future__ import annotations

import copy
import hashlib
import json
import logging
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, fields
from functools import lru_cache, partial
from importlib.metadata import version as installed_version
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.metrics import Score
from result_caching import store  # type: ignore[import-untyped]

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.assembly_files import write_assembly
from convrnns_brainscore.brainscore.benchmarks import (
    list_benchmarks,
    load_benchmark,
    loading_data,
)
from convrnns_brainscore.brainscore.digests import data_digest
from convrnns_brainscore.brainscore.estimate import score_duration
from convrnns_brainscore.brainscore.exact_metric import ExactMetric
from convrnns_brainscore.brainscore.memory import check_memory
from convrnns_brainscore.brainscore.packages import is_package, package_benchmark
from convrnns_brainscore.brainscore.plan import Plan, make_plan
from convrnns_brainscore.brainscore.stimulus_durations import is_named
from convrnns_brainscore.brainscore.summary import Bin, Summary, summarise
from convrnns_brainscore.choices import SolverName
from convrnns_brainscore.console import PlainConsole
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.reliability import MIN_CEILING
from convrnns_brainscore.progress import progress_bar

FAILURES = "failures.log"
"""Beside scores: the tracebacks of those that failed."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """A model's score on a benchmark, with all that made it (``made_by``)."""

    model: str
    benchmark: str
    summary: Summary
    made_by: dict[str, Any]
    score: Score

    def table(self) -> pd.DataFrame:
        """The score as a table.

        Returns
        -------
        DataFrame
            A row for each time bin, or one row for a static benchmark: ``model``, ``benchmark``,
            ``time_bin_start`` and ``time_bin_end`` (ms; NaN for a static benchmark), ``raw``,
            ``ceiling``, ``ceiled`` and ``undefined``, the reason if a value is undefined.
        """
        whole = self.summary
        parts: list[tuple[float, float, Summary | Bin, str]] = [
            (each.start, each.end, each, each.reason) for each in whole.bins
        ]
        rows = [
            {
                "model": self.model,
                "benchmark": self.benchmark,
                "time_bin_start": start,
                "time_bin_end": end,
                "raw": part.raw,
                "ceiling": part.ceiling,
                "ceiled": part.ceiled,
                "undefined": reason,
            }
            for start, end, part, reason in parts or [(np.nan, np.nan, whole, whole.undefined)]
        ]
        return pd.DataFrame(rows)


@dataclass(frozen=True)
class Failure:
    """A score that could not be computed.

    Attributes
    ----------
    model, benchmark : str
        Whose score it is.
    error : Exception
        Why, with its traceback.
    """

    model: str
    benchmark: str
    error: Exception

    @property
    def expected(self) -> bool:
        """Whether the user can fix it; otherwise it is a bug, here or in Brain-Score."""
        return isinstance(self.error, ConvRNNError)

    @property
    def traceback(self) -> str:
        """The error with its causes, as Python prints it."""
        return "".join(traceback.format_exception(self.error))

    def __str__(self) -> str:
        first = (str(self.error).splitlines() or [""])[0]
        kind = "" if self.expected else f"{type(self.error).__name__}: "
        return f"{self.model} on {self.benchmark}: {kind}{first}"


def score(
    network: ConvRNN,
    benchmark: str | Any,
    *,
    name: str | None = None,
    solver: str = SolverName.brainscore,
    progress: bool = False,
    **settings: Any,
) -> Result:
    """Score a network on a benchmark.

    Parameters
    ----------
    network : ConvRNN
        From `load_network`.
    benchmark : str, path or object
        A name of `benchmarks.list_benchmarks`, the ``….nc`` of a package, or one of Brain-Score's
        benchmark objects.
    name : str, optional
        Name of a benchmark object.
    solver : str, default SolverName.brainscore
        ``"brainscore"``: the metric as it is; ``"exact"``: its splits and correlation, with this
        package's fits (`exact_metric`), in less time and memory.
    progress : bool, default False
        Show a bar for the loops of metric and ceiling.
    settings
        ``presentation``, ``image_ms``, ``region_layer_map``, ``latency``, ``max_neuroids`` and
        ``behavioural_readout`` of `load_brain_model`.

    Raises
    ------
    ConvRNNError
        No such benchmark or no data; a metric that has no exact solver; not enough memory; a region
        that the map lacks.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from convrnns_brainscore import load_network, simulate_recording
    >>> from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
    >>> from convrnns_brainscore.brainscore.packages import neural_benchmark
    >>> from convrnns_brainscore.brainscore.simulate import compose_stimuli
    >>> network = load_network("timedecay_shallow", weights="random")
    >>> subject = TemporalBrainModel(network)
    >>> subject.start_recording("IT", time_bins=[(50, 90)])
    >>> with TemporaryDirectory() as folder:
    ...     stimuli = compose_stimuli(Path(folder), count=60)
    ...     recording = simulate_recording(subject.look_at(stimuli), stimuli, inputs=2)
    ...     benchmark = neural_benchmark("simulated", recording, "ridge")
    ...     result = score(network, benchmark, max_neuroids=500)
    >>> result.summary.raw > 0.1
    True
    >>> result.made_by["layers"], result.made_by["weights"]
    ('conv5', 'untrained, seed 0')
    """
    if isinstance(benchmark, str | PathLike):
        name = str(benchmark)
        benchmark = load_scored(name)
    name = name or str(benchmark.identifier)
    with loading_data(name):
        plan = make_plan(network, name, benchmark, solver=solver, **settings)
        _warn_unused(plan, settings)
        return run(plan, progress=progress)


def _warn_unused(plan: Plan, settings: Mapping[str, Any]) -> None:
    """Warn of durations and latencies that are given by name and do not concern the benchmark."""
    latency, image_ms = settings.get("latency"), settings.get("image_ms")
    name, region = plan.experiment.name, plan.experiment.region
    if isinstance(latency, Mapping) and region not in latency:
        records = f"records {region}" if region else "records no region"
        _log.warning(
            "%s %s: `latency=…` names %s and has no effect", name, records, ", ".join(latency)
        )
    stimuli = str(getattr(plan.experiment.stimulus_set, "identifier", None) or "")
    if isinstance(image_ms, Mapping) and not any(is_named(stimuli, each) for each in image_ms):
        _log.warning(
            "%s shows the stimulus set %r: `image_ms=…` names %s and has no effect",
            name, stimuli, ", ".join(image_ms),
        )  # fmt: skip


def load_scored(name: str, metric: str | None = None) -> Any:
    """What is to be scored: a package's ``….nc``, or a benchmark of Brain-Score's by its name.

    Parameters
    ----------
    metric : str, optional
        Metric of a package; None: its default.
    """
    if is_package(name):
        return package_benchmark(Path(name), metric)
    return load_benchmark(name)


def run(plan: Plan, *, progress: bool = False) -> Result:
    """Compute a score.

    Parameters
    ----------
    plan : Plan
        All that makes the score.
    progress : bool, default False
        Show a bar for the loops of metric and ceiling.

    Raises
    ------
    ConvRNNError
        Not enough memory, or data that cannot be fetched.
    """
    benchmark, made_by = plan.benchmark, plan.made_by
    if plan.layers:
        check_memory(plan.experiment, plan.neuroids, plan.solver)
    if plan.solver is SolverName.exact:
        benchmark = copy.copy(benchmark)
        internals.set_similarity_metric(
            benchmark, ExactMetric(internals.similarity_metric(benchmark))
        )
    name = plan.experiment.name
    _log.info("scoring %s on %s", plan.subject.identifier, name)
    counted = (
        internals.counted_loops(_Loops(plan.subject.identifier)) if progress else nullcontext()
    )
    if progress:
        about = f"{name}: estimated time on this machine: about {score_duration(plan)}."
        PlainConsole(stderr=True).print(about, soft_wrap=True)
    with internals.without_unsafe_stores(), counted:
        _keep_ceiling(name, benchmark)
        given = benchmark(plan.subject)
    expected = {plan.shown.in_words} if plan.shown else set()
    if plan.subject.shown - expected:
        _log.warning(
            "%s: stimuli were on for %s, and not for %s as its data say",
            name, ", ".join(sorted(plan.subject.shown)), plan.made_by["image_duration"],
        )  # fmt: skip
        given.attrs["image_durations_shown"] = ", ".join(sorted(plan.subject.shown))
    label = name
    if plan.max_neuroids is not None:
        given = given.assign_coords(max_neuroids=plan.max_neuroids)
        label = f"{name}, {plan.max_neuroids} projected neuroids"
    given.attrs.update(made_by)
    summary = summarise(given, plan.time_bins, plan.first_image_ms)
    return Result(plan.subject.identifier, label, summary, made_by, given)


def score_many(
    models: Mapping[str, Callable[[], ConvRNN]],
    names: Sequence[str],
    out: Path,
    *,
    load: Callable[[str], Any] = load_scored,
    progress: bool = False,
    **settings: Any,
) -> Iterator[dict[str, Any] | Failure]:
    """Score each model on each benchmark, one after another, each saved before the next begins.

    Parameters
    ----------
    models : mapping of str to callable
        Name → what loads the network.
    names : sequence of str
        Names of benchmarks.
    out : path
        Folder. ``<identifier>,<benchmark>….json`` and ``….nc`` hold a score; what is there already,
        made by the same weights, data, settings and versions, is not computed again.
        ``failures.log`` holds the tracebacks of scores that failed.
    load : callable, default load_scored
        Name of a benchmark → the benchmark.
    progress : bool, default False
        As of `score`.
    settings
        Settings of `score`.

    Yields
    ------
    dict of str to object or Failure
        What the JSON file of a score holds; or a `Failure`, after which the others go on.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            benchmark = load(name)
        except Exception as error:
            for model in models:
                yield _logged(Failure(model, name, error), out)
            continue
        for model, network in models.items():
            try:
                with loading_data(name):
                    plan = make_plan(network(), name, benchmark, **settings)
                    outcome = _kept_or_run(plan, out, progress)
                yield outcome
            except Exception as error:
                yield _logged(Failure(model, name, error), out)


def _logged(failure: Failure, out: Path) -> Failure:
    with (out / FAILURES).open("a", encoding="utf-8") as log:
        log.write(f"{failure.model} on {failure.benchmark}\n{failure.traceback}\n")
    _log.info("%s", failure)
    return failure


def _kept_or_run(plan: Plan, out: Path, progress: bool) -> dict[str, Any]:
    """The score's record: read, where a file made by all the same holds it, or computed."""
    made_by = plan.made_by
    # Identifiers alone do not tell two checkpoints of one model apart.
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    stem = f"{plan.subject.identifier},{plan.experiment.name.replace('/', '_')},{digest}"
    kept = out / f"{stem}.json"
    if kept.exists():
        record = _read_record(kept)
        if record and record["made_by"] == made_by:
            _log.info("%s holds this score already", kept)
            if not kept.with_suffix(".nc").exists():
                _log.warning("%s has no arrays beside it (.nc): remove it to compute them", kept)
            return {**record, "file": str(kept)}
    result = run(plan, progress=progress)
    record = as_record(result)
    with written_whole(kept) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    try:
        write_assembly(result.score, out / f"{stem}.nc")
    except Exception as error:  # of an attribute that only this benchmark gives
        _log.warning("%s holds the score; its arrays are not kept: %s", kept, error)
    return {**record, "file": str(kept)}


def stored_records(out: Path) -> list[dict[str, Any]]:
    """The records of all scores in a folder, of this call and of earlier ones, by file name.

    Parameters
    ----------
    out : path
        The folder that was given to `score_many`. Damaged files are left out.

    Returns
    -------
    list of dict of str to object
        As `score_many` yields them.
    """
    read = {path: _parsed(path) for path in sorted(out.glob("*,*,*.json"))}
    return [{**record, "file": str(path)} for path, record in read.items() if record]


def _read_record(path: Path) -> dict[str, Any] | None:
    """A score's record; None, with a warning, if its file is damaged."""
    record = _parsed(path)
    if record is None:
        _log.warning("%s is damaged: the score is computed again", path)
    return record


def _parsed(path: Path) -> dict[str, Any] | None:
    """A score's record; None if its file holds none."""
    needed = {"model", "benchmark", "made_by", *(field.name for field in fields(Summary))}
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # also of an encoding
        record = None
    return record if isinstance(record, dict) and needed <= record.keys() else None


def as_record(result: Result) -> dict[str, Any]:
    """A result as plain values; NaN is None, as JSON has it."""
    summary = asdict(result.summary)
    record = {"model": result.model, "benchmark": result.benchmark, **summary}
    record["min_ceiling"] = MIN_CEILING
    record["made_by"] = result.made_by
    cleaned: dict[str, Any] = _without_nan(record)
    return cleaned


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(each) for each in value]
    if isinstance(value, float | np.floating):
        return float(value) if np.isfinite(value) else None
    return value


class _Loops:
    """Counts the loops of a metric on a progress bar; of loops within each other, the outermost."""

    def __init__(self, subject: str) -> None:
        self._subject, self._busy = subject, False

    def __call__(
        self, items: Iterable[Any], total: int | None = None, desc: str = ""
    ) -> Iterator[Any]:
        if self._busy:
            yield from items
            return
        self._busy = True
        try:
            with progress_bar(transient=True) as bar:
                task = bar.add_task(f"{self._subject}: {desc}", total=total)
                for item in items:
                    yield item
                    bar.advance(task)
        finally:
            self._busy = False


def _keep_ceiling(name: str, benchmark: Any) -> None:
    """Have the benchmark's ceiling kept, on disk where the registry knows the benchmark.

    Brain-Score's own store goes by the benchmark's identifier alone.
    """
    estimate = internals.ceiling_estimate(benchmark)
    if estimate is None:
        return
    if name in list_benchmarks():
        versions = f"{installed_version('brainscore-vision')},{benchmark.version}"
        key = f"{name.replace('/', '_')},{versions},{data_digest(benchmark)}"
        estimate = partial(internals.kept, _ceiling, key, estimate)
    internals.set_ceiling(benchmark, lru_cache(maxsize=1)(estimate))


@store(identifier_ignore=["estimate"])  # type: ignore[untyped-decorator]
def _ceiling(key: str, estimate: Callable[[], Score]) -> Score:
    return estimate()

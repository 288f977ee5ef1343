"""Score networks on Brain-Score's benchmarks, and say what a score means.

Brain-Score's benchmarks run as they are. What is kept beside its own number: the raw correlation
with its sign, the ceiling, both bin by bin, and which bins can mean anything.
"""

from __future__ import annotations

import copy
import hashlib
import inspect
import json
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from importlib.metadata import version as installed_version
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import brainscore_vision.benchmark_helpers.screen as screen
import numpy as np
import psutil
from brainscore_core.metrics import Score
from brainscore_vision.benchmark_helpers.neural_common import timebins_from_assembly
from brainscore_vision.benchmarks import BenchmarkBase
from numpy.typing import NDArray
from result_caching import store  # type: ignore[import-untyped]
from sklearn.random_projection import SparseRandomProjection

from convrnns_brainscore.activations import LOGITS
from convrnns_brainscore.assemblies import write_assembly
from convrnns_brainscore.benchmarks import (
    data_digest,
    data_of,
    image_duration,
    list_benchmarks,
    load_benchmark,
    needed_memory,
    region_in,
)
from convrnns_brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.exact import ExactMetric
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.regions import layers_of
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin, parse_time_bins

MIN_CEILING = 0.1
"""Ceilings below this are too close to zero to divide by: such bins have no ceiled value."""

CONTROL_GROUPS = Path("/sys/fs/cgroup")
"""Where Linux shows control groups."""

BRAIN_SCORE, EXACT = "brainscore", "exact"
"""Who fits: Brain-Score's metric as it is, or this package inside it."""

BEFORE_THE_IMAGE = "before the image reaches the layer"
TOO_LOW_CEILING = f"ceiling below {MIN_CEILING}"


@dataclass(frozen=True)
class Bin:
    """What a score says of one time bin.

    Attributes
    ----------
    start, end : ms from image onset.
    raw : correlation, with its sign.
    ceiling : as Brain-Score estimates it.
    ceiled : by the score's formula, with the sign of ``raw``; NaN where it is undefined.
    reason : why it is undefined, or "".
    """

    start: float
    end: float
    raw: float
    ceiling: float
    ceiled: float
    reason: str


@dataclass(frozen=True)
class Summary:
    """A score in numbers.

    Attributes
    ----------
    raw, ceiling, ceiled : of a static benchmark; of a temporal one their means over the bins that
        have a ceiled value. ``ceiled`` has the sign of ``raw``.
    brain_score : Brain-Score's own number; the mean of its bins where it gives one a bin.
    formula : how ``ceiled`` follows from the others.
    bins : a temporal benchmark's time bins.
    counted : how many of them have a ceiled value.
    """

    raw: float
    ceiling: float
    ceiled: float
    brain_score: float
    formula: str
    bins: tuple[Bin, ...] = ()
    counted: int = 0


@dataclass(frozen=True)
class Result:
    """A model's score on a benchmark, with all that made it (``made_by``)."""

    model: str
    benchmark: str
    summary: Summary
    made_by: dict[str, Any]
    score: Score


def score(
    network: ConvRNN,
    benchmark: str | Any,
    *,
    name: str | None = None,
    presentation: Presentation | None = None,
    region_layer_map: str | PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
    max_neuroids: int | None = None,
    solver: str = BRAIN_SCORE,
) -> Result:
    """Score a network on a benchmark.

    Parameters
    ----------
    network : from `load_network`.
    benchmark : a name of `benchmarks.list_benchmarks`, or one of Brain-Score's benchmark objects.
    name : of a benchmark object.
    presentation : None: neural, with the image on for as long as the benchmark's was (or, where
        that is not known, 100 ms); for behaviour, as the model was trained.
    region_layer_map : as in `load_brain_model`.
    max_neuroids : project each bin's features to so many by sparse random projection
        (scikit-learn's, seeded by the model's name). None: all of them.
    solver : ``"brainscore"``: the metric as it is; ``"exact"``: its splits and correlation, with
        this package's fits (`exact`), in less time and memory.

    Raises
    ------
    ConvRNNError : no such benchmark or no data; a metric that has no exact solver; not enough
        memory; a region that the map lacks.
    """
    if isinstance(benchmark, str):
        name, benchmark = benchmark, load_benchmark(benchmark)
    name = name or str(benchmark.identifier)
    with data_of(name):
        subject, made_by = _prepared(
            network, name, benchmark, presentation, region_layer_map, max_neuroids, solver
        )
        return _run(subject, benchmark, made_by)


def recorded_region(name: str, benchmark: Any) -> str | None:
    """The region that a neural benchmark records; None for behaviour."""
    region = getattr(benchmark, "region", None)
    if region is None:  # some neural benchmarks' objects do not say it
        listed = list_benchmarks().get(name)
        neural = listed is not None and listed.kind == "neural"
        region = listed.region if listed is not None and neural else region_in(name)
    return None if region is None else str(region)


def presentation_for(
    name: str,
    region: str | None,
    presentation: Presentation | None = None,
    image_on_ms: float | None = None,
) -> tuple[Presentation | None, str]:
    """What is shown on a benchmark (None: as in training), and how long the image is on.

    ``image_on_ms`` is what the benchmark's own data say of that.
    """
    if presentation is not None:
        off = presentation.image_off
        return presentation, "always" if off is None else f"{off * MS_PER_STEP} ms, as asked"
    if region is None:
        return None, "as in training"
    duration, words = image_duration(name)
    if image_on_ms is not None:
        duration, words = int(image_on_ms), f"{image_on_ms:g} ms"
    neural = Presentation.neural()
    steps = duration // MS_PER_STEP
    if steps == neural.image_off:
        return neural, words
    return Presentation.custom(max(neural.times, steps), steps), words


def summarise(
    given: Score, time_bins: Sequence[TimeBin] = (), first_image_ms: float = 0
) -> Summary:
    """What a score of Brain-Score's says.

    Parameters
    ----------
    given : scalar, or one value a time bin; with ``raw`` and ``ceiling`` among its attributes where
        the benchmark has them.
    time_bins : of a temporal benchmark.
    first_image_ms : when the image reaches the recorded layer. Bins that end before are undefined,
        whatever a metric made of features that are the same for every image.
    """
    per_bin = given.attrs.get("per_bin", given)
    values = _values(per_bin)
    raw = _values(per_bin.attrs.get("raw", per_bin))
    ceiling = _values(per_bin.attrs.get("ceiling", np.nan))
    formula, ceil = _formula(raw, ceiling, values)
    own = float(np.mean(values)) if given is per_bin else float(given.values)
    if len(time_bins) < 2 or raw.ndim != 1:
        ceiled = float(ceil(raw, ceiling, values).reshape(-1)[0]) if raw.size == 1 else own
        if raw.mean() < 0 < ceiled:
            ceiled = np.nan  # an unknown formula has hidden the sign
        return Summary(float(raw.mean()), float(np.mean(ceiling)), ceiled, own, formula)
    ceilings = np.broadcast_to(ceiling, raw.shape)
    bins = []
    for (start, end), r, c, ceiled in zip(
        sorted(time_bins), raw, ceilings, ceil(raw, ceilings, values), strict=True
    ):
        reason = ""
        if end <= first_image_ms:
            reason = BEFORE_THE_IMAGE
        elif not c >= MIN_CEILING:
            reason = TOO_LOW_CEILING
        elif not np.isfinite(r):
            reason = "no correlation: a prediction or a neuron does not vary"
        value = np.nan if reason else float(ceiled)
        bins.append(Bin(start, end, float(r), float(c), value, reason))
    defined = [one for one in bins if not one.reason]

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values))) if defined else np.nan

    return Summary(
        mean(one.raw for one in defined),
        mean(one.ceiling for one in defined),
        mean(one.ceiled for one in defined),
        own,
        formula,
        tuple(bins),
        len(defined),
    )


def check_memory(
    benchmark: Any,
    network: ConvRNN,
    layers: Sequence[str],
    max_neuroids: int | None = None,
    exact: bool = False,
) -> None:
    """Raise if a neural benchmark will need more memory than there is.

    This stands in for Brain-Score's own check, which counts time bins twice.

    Raises
    ------
    ConvRNNError : it does not fit, with the ways out.
    """
    if not layers:
        return
    metric = EXACT if exact else _metric(benchmark)
    bins, stimuli = len(_time_bins(benchmark)) or 1, _stimuli(benchmark)
    neuroids = sum(int(np.prod(network.output_shape(layer))) for layer in layers)
    if max_neuroids is not None:
        neuroids = min(neuroids, max_neuroids)
    data = getattr(benchmark, "_assembly", None)
    neurons = 0 if data is None else int(data.sizes.get("neuroid", 0))
    need = needed_memory(stimuli, neuroids, bins, metric, neurons)
    free = available_memory()
    if need > free:
        raise ConvRNNError(
            f"{benchmark.identifier} with {metric} on {neuroids} neuroids × {bins} bins × "
            f"{stimuli} stimuli needs about {need / 2**30:.1f} GiB, and "
            f"{free / 2**30:.1f} GiB are free. Give --solver exact (PLS and ridge without "
            "copies), --max-neuroids N (fewer, randomly projected "
            "features), record a smaller layer (--region-layer-map), or use a larger machine."
        )


def available_memory(group: Path = Path("/proc/self/cgroup")) -> int:
    """Bytes that this process may still take: of the machine, and of every control group (of a
    container, a SLURM job, ``systemd-run``) that it is in.

    Parameters
    ----------
    group : the file that names the process's control group (version 2; elsewhere it is ignored).
    """
    free = [psutil.virtual_memory().available]
    lines = group.read_text().splitlines() if group.exists() else []
    names = [line.removeprefix("0::/") for line in lines if line.startswith("0::/")]
    for name in names:
        folder = CONTROL_GROUPS / name
        for each in (folder, *folder.parents):
            if each == CONTROL_GROUPS.parent:
                break
            try:
                limit = (each / "memory.max").read_text().strip()
                used = int((each / "memory.current").read_text())
                kept = dict(
                    line.split() for line in (each / "memory.stat").read_text().splitlines()
                )
            except OSError:
                continue
            if limit != "max":  # what the system may drop (read files) does not count as used
                free.append(int(limit) - used + int(kept.get("inactive_file", 0)))
    return min(free)


def score_many(
    models: Mapping[str, Callable[[], ConvRNN]],
    names: Sequence[str],
    out: Path,
    *,
    load: Callable[[str], Any] = load_benchmark,
    **settings: Any,
) -> Iterator[dict[str, Any] | tuple[str, str, Exception]]:
    """Score each model on each benchmark, one after another, each saved before the next begins.

    Parameters
    ----------
    models : name → what loads the network.
    names : of benchmarks.
    out : folder. ``<identifier>,<benchmark>….json`` and ``….nc`` hold a score; what is there
        already, made by the same weights, data, settings and versions, is not computed again.
    load : name of a benchmark → the benchmark.
    settings : of `score`.

    Yields
    ------
    What the JSON file of a score holds; or model, benchmark and the error for one that failed,
    after which the others go on.
    """
    out.mkdir(parents=True, exist_ok=True)
    for name in names:
        try:
            benchmark = load(name)
        except Exception as error:
            for model in models:
                yield model, name, error
            continue
        for model, network in models.items():
            try:
                with data_of(name):
                    outcome = _kept_or_scored(network(), name, benchmark, out, settings)
                yield outcome
            except Exception as error:
                yield model, name, error


def _prepared(
    network: ConvRNN,
    name: str,
    benchmark: Any,
    presentation: Presentation | None = None,
    region_layer_map: str | PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
    max_neuroids: int | None = None,
    solver: str = BRAIN_SCORE,
) -> tuple[TemporalBrainModel, dict[str, Any]]:
    """The subject of a benchmark, and all that will make its score."""
    if solver not in (BRAIN_SCORE, EXACT):
        raise ConvRNNError(f"solver {solver!r}: expected {BRAIN_SCORE} or {EXACT}.")
    if solver == EXACT:
        ExactMetric(getattr(benchmark, "_similarity_metric", None))
    region = recorded_region(name, benchmark)
    on_ms = getattr(benchmark, "image_on_ms", None)
    shown, on = presentation_for(name, region, presentation, on_ms)
    subject = TemporalBrainModel(network, shown, region_layer_map)
    layers = [] if region is None else layers_of(network.model, subject.region_layer_map, region)
    if max_neuroids is not None and region is not None:
        subject.activations_model.register_batch_activations_hook(
            random_projection(network.name, max_neuroids)
        )
    return subject, {
        "benchmark": name,
        "benchmark_version": str(benchmark.version),
        "benchmark_identifier": str(benchmark.identifier),
        "metric": _metric(benchmark),
        "time_bins": str(_time_bins(benchmark)),
        "data": data_digest(benchmark),
        **describe(network, shown or Presentation.default(network.name)),
        "image_duration": on,
        "region": region or "none",
        "layers": ", ".join(layers) or "logits",
        "max_neuroids": "all" if max_neuroids is None or region is None else max_neuroids,
        "solver": solver,
        "brainscore_vision": installed_version("brainscore-vision"),
    }


def _run(subject: TemporalBrainModel, benchmark: Any, made_by: dict[str, Any]) -> Result:
    name, neuroids = made_by["benchmark"], made_by["max_neuroids"]
    layers = [] if made_by["region"] == "none" else subject.region_layer_map[made_by["region"]]
    exact = made_by["solver"] == EXACT
    check_memory(benchmark, subject.network, layers, None if neuroids == "all" else neuroids, exact)
    if exact:
        benchmark = copy.copy(benchmark)
        benchmark._similarity_metric = ExactMetric(benchmark._similarity_metric)
    with _brain_score_alone():
        _keep_ceiling(name, benchmark)
        given = benchmark(subject)
    if neuroids != "all":
        given = given.assign_coords(max_neuroids=neuroids)
    given.attrs.update(made_by)
    first = min((subject.network.first_step(layer) for layer in layers), default=0)
    label = name if neuroids == "all" else f"{name}, {neuroids} projected neuroids"
    summary = summarise(given, _time_bins(benchmark), MS_PER_STEP * first)
    return Result(subject.identifier, label, summary, made_by, given)


def _kept_or_scored(
    network: ConvRNN, name: str, benchmark: Any, out: Path, settings: dict[str, Any]
) -> dict[str, Any]:
    """The score's record: read, where a file made by all the same holds it, or computed."""
    subject, made_by = _prepared(network, name, benchmark, **settings)
    # Identifiers alone do not tell two checkpoints of one model apart.
    digest = hashlib.sha256(json.dumps(made_by, sort_keys=True).encode()).hexdigest()[:12]
    stem = f"{subject.identifier},{name.replace('/', '_')},{digest}"
    kept = out / f"{stem}.json"
    if kept.exists():
        record = json.loads(kept.read_text(encoding="utf-8"))
        if record["made_by"] == made_by:
            return {**record, "file": str(kept)}
    result = _run(subject, benchmark, made_by)
    write_assembly(result.score, out / f"{stem}.nc")
    record = as_record(result)
    with written_whole(kept) as partial:
        partial.write_text(json.dumps(record, indent=1), encoding="utf-8")
    return {**record, "file": str(kept)}


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


def _values(value: Any) -> NDArray[np.float64]:
    """The values of a score; of one with an ``aggregation``, its center and not its error."""
    if "aggregation" in getattr(value, "dims", ()):
        value = value.sel(aggregation="center")
    return np.asarray(getattr(value, "values", value), float)


def _formula(
    raw: NDArray[np.float64], ceiling: NDArray[np.float64], ceiled: NDArray[np.float64]
) -> tuple[str, Callable[..., NDArray[np.float64]]]:
    """Which formula Brain-Score's ceiled value follows, and the same with the sign of ``raw``."""
    release = installed_version("brainscore-vision")

    def is_close(values: Any) -> bool:
        values = np.broadcast_to(values, ceiled.shape) if np.ndim(values) == 0 else values
        return values.shape == ceiled.shape and bool(
            np.allclose(values, ceiled, rtol=1e-6, atol=1e-9, equal_nan=True)
        )

    with np.errstate(divide="ignore", invalid="ignore"):
        if np.isfinite(ceiling).any() and is_close(raw**2 / ceiling):
            return (
                f"sign(r)·r²/ceiling (r²/ceiling in brainscore_vision {release})",
                lambda r, c, _: np.sign(r) * r**2 / c,
            )
        if np.isfinite(ceiling).any() and is_close(raw / ceiling):
            return f"r/ceiling (brainscore_vision {release})", lambda r, c, _: r / c
    return f"as the benchmark gives it (brainscore_vision {release})", lambda r, c, own: own


def _time_bins(benchmark: Any) -> list[TimeBin]:
    """The bins of a neural benchmark; none of a behavioural one."""
    for name in ("timebins", "_time_bins"):
        if hasattr(benchmark, name):
            return parse_time_bins(getattr(benchmark, name))
    if hasattr(benchmark, "region") and hasattr(benchmark, "_assembly"):
        return parse_time_bins(timebins_from_assembly(benchmark._assembly))
    return []


def _stimuli(benchmark: Any) -> int:
    return sum(
        int(getattr(benchmark, name).stimulus_set["stimulus_id"].nunique())
        for name in ("_assembly", "train_assembly", "test_assembly")
        if hasattr(benchmark, name)
    )


def _metric(benchmark: Any) -> str:
    identifier = str(benchmark.identifier).lower()
    if "ost" in identifier.split("-"):
        return "ost"
    if "rdm" in identifier:
        return "rdm"
    regression = type(getattr(getattr(benchmark, "_similarity_metric", None), "regression", None))
    temporal = "SpanTime" in regression.__name__
    kind = "pls" if "pls" in identifier else "ridge" if "ridge" in identifier else "other"
    return f"spantime_{kind}" if temporal else kind


def random_projection(
    model: str, neuroids: int
) -> Callable[[dict[str, NDArray[np.float32]]], dict[str, NDArray[np.float32]]]:
    """A batch hook that projects layers' [batch, feature] to ``neuroids`` features, shared out
    among layers, by scikit-learn's sparse random projection, seeded by the model's name.

    Raises
    ------
    ConvRNNError : fewer than one neuroid.
    """
    if neuroids < 1:
        raise ConvRNNError(f"max_neuroids={neuroids}: expected 1 or more.")
    seed = zlib.crc32(model.encode())
    projections: dict[str, SparseRandomProjection] = {}

    def project(features: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        share = max(1, neuroids // len(features))
        projected = dict(features)
        for layer, values in features.items():
            if layer == LOGITS or values.shape[1] <= share:
                continue
            if layer not in projections:
                projections[layer] = SparseRandomProjection(share, random_state=seed).fit(values)
            projected[layer] = projections[layer].transform(values)
        return projected

    return project


def _keep_ceiling(name: str, benchmark: Any) -> None:
    """Have the benchmark's ceiling kept, on disk where the registry knows the benchmark.

    Brain-Score's own store goes by the benchmark's identifier alone.
    """
    if not isinstance(benchmark, BenchmarkBase) or "_ceiling" in vars(benchmark):
        return
    estimate = partial(inspect.unwrap(type(benchmark)._ceiling), benchmark, benchmark.identifier)
    if name in list_benchmarks():
        versions = f"{installed_version('brainscore-vision')},{benchmark.version}"
        key = f"{name.replace('/', '_')},{versions},{data_digest(benchmark)}"
        estimate = partial(_ceiling, key, estimate)
    once = lru_cache(maxsize=1)(estimate)
    benchmark._ceiling = lambda identifier: once()


@store(identifier_ignore=["estimate"])  # type: ignore[untyped-decorator]
def _ceiling(key: str, estimate: Callable[[], Score]) -> Score:
    return estimate()


@contextmanager
def _brain_score_alone() -> Iterator[None]:
    """Brain-Score without those of its stores whose keys do not hold what makes the numbers.

    Its ceilings and resized stimuli are kept by identifier alone. Resized stimuli get a folder of
    this run's own.
    """
    name = "RESULTCACHING_DISABLE"
    before = os.environ.get(name)
    if before != "1":
        os.environ[name] = ",".join(filter(None, [before or "", "brainscore_vision"]))
    folder = screen.root_path
    try:
        with TemporaryDirectory(prefix="convrnns-stimuli-") as own:
            screen.root_path = Path(own)
            yield
    finally:
        screen.root_path = folder
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

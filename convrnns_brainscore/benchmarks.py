"""Brain-Score's benchmarks by name, and benchmarks on recordings at hand.

`list_benchmarks` reads what Brain-Score says of its benchmarks without importing any, and
`load_benchmark` loads one, with its data. A benchmark is known by its name in Brain-Score's
registry: its ``identifier`` is another, and not unique.
"""

from __future__ import annotations

import hashlib
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache, partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.images import VISUAL_DEGREES

IMAGE_MS = {
    "MajajHong2015": 100,
    "MajajHong2015public": 100,
    "Kar2019": 100,
    "Li2026": 150,
    "Gifford2022": 100,
    "Papale2025": 200,
}
"""Data set → how long its images were on, in ms, as the data's authors (by Brain-Score's own
sources) say. Of other data sets it is not known here."""

ASSUMED_IMAGE_MS = 100
"""What is assumed where it is not known."""

LI2026_TEMPORAL = {f"Li2026.{region}-temporal-pls": region for region in ("V1", "V2", "V4", "IT")}
"""Temporal benchmarks that Brain-Score 2.4 has and does not register: name → region."""

TEMPORAL_BINS = {
    "Kar2019-ost": (70, 250),
    "MajajHong2015public.V4-temporal-pls": (0, 250),
    "MajajHong2015public.IT-temporal-pls": (0, 250),
    **dict.fromkeys(LI2026_TEMPORAL, (0, 300)),
}
"""Temporal benchmark → begin and end of its bins of 10 ms."""

METRICS = ("pls", "ridge", "spantime_pls", "spantime_ridge")
"""Brain-Score's regression metrics: for one time bin, and for several."""


COPIES = {"pls": 10, "ridge": 6, "spantime_pls": 25, "spantime_ridge": 12, "ost": 4, "rdm": 4}
"""Metric → the most that it and the model's recording hold at a time, in units of the recording, as
measured with Brain-Score's own metrics (``benchmarks/README.md``)."""

OTHER_COPIES = 10


@dataclass(frozen=True)
class Listed:
    """What is known of a benchmark before its data are there.

    Attributes
    ----------
    name : in Brain-Score's registry.
    kind : ``"neural"``, ``"behavioural"``, ``"engineering"`` or ``"unknown"``.
    region : V1, V2, V4, IT, or None.
    bins : number of time bins; 0 for behaviour.
    window : begin and end of the bins in ms, or None where only the data say it.
    image_ms : how long an image was on, or None where it is not known.
    metric : the metric's name.
    stimuli : their number, or None.
    public : whether Brain-Score gives its data to everybody, or None.
    """

    name: str
    kind: str
    region: str | None
    bins: int
    window: tuple[int, int] | None
    image_ms: int | None
    metric: str
    stimuli: int | None
    public: bool | None


@lru_cache(maxsize=1)
def list_benchmarks() -> dict[str, Listed]:
    """Brain-Score's benchmarks, by name: the temporal ones first.

    Raises
    ------
    ConvRNNError : Brain-Score is not installed.
    """
    folder = brain_score_folder() / "benchmarks"
    pattern = re.compile(r"^benchmark_registry\[['\"]([^'\"<>]+)['\"]\]", re.MULTILINE)
    names = list(LI2026_TEMPORAL)
    described: dict[str, Any] = {}
    for plugin in sorted(folder.glob("*/__init__.py")):
        names += pattern.findall(plugin.read_text(encoding="utf-8"))
        for metadata in plugin.parent.glob("metadata.y*ml"):
            described |= yaml.safe_load(metadata.read_text(encoding="utf-8"))["benchmarks"] or {}
    listed = [_listed(name, described.get(name) or {}) for name in dict.fromkeys(names)]
    kinds = ["neural", "behavioural", "engineering", "unknown"]
    listed.sort(key=lambda one: (one.bins < 2, kinds.index(one.kind), one.name))
    return {one.name: one for one in listed}


def find_benchmark(name: str) -> Listed:
    """What is known of the benchmark ``name``.

    Raises
    ------
    ConvRNNError : Brain-Score has no benchmark of that name.
    """
    known = list_benchmarks()
    if name not in known:
        raise unknown("benchmark", name, known, "`convrnns benchmarks` lists them.")
    return known[name]


def load_benchmark(name: str) -> Any:
    """The benchmark, with its data, which Brain-Score fetches where they are not there yet.

    Raises
    ------
    ConvRNNError : no such benchmark, or its data cannot be fetched.
    """
    find_benchmark(name)
    import brainscore_vision

    factory: Callable[[], Any] = partial(brainscore_vision.load_benchmark, name)
    if name in LI2026_TEMPORAL:
        module = import_module("brainscore_vision.benchmarks.li2026.benchmark")
        factory = getattr(module, f"Li2026{LI2026_TEMPORAL[name]}Temporal")
    try:
        with without_installing():
            return factory()
    except Exception as error:
        data = _data_set(error)
        if data is None:
            raise
        first = (str(error).splitlines() or [""])[0]
        raise ConvRNNError(
            f"benchmark {name} needs Brain-Score's data set {data}, which cannot be fetched here "
            f"({type(error).__name__}: {first[:120]}). On a machine with network run "
            f"`python -c \"import brainscore_vision; brainscore_vision.load_dataset('{data}')\"` "
            "and copy its ~/.brainio here."
        ) from error


def image_duration(name: str) -> tuple[int, str]:
    """How long the images of a neural benchmark were on, in ms, and in words.

    >>> image_duration("Li2026.IT-temporal-pls")
    (150, '150 ms')
    >>> image_duration("Cadena2017-pls")
    (100, 'assumed 100 ms')
    """
    known = IMAGE_MS.get(re.split(r"[.\-_]", name)[0])
    if known is None:
        return ASSUMED_IMAGE_MS, f"assumed {ASSUMED_IMAGE_MS} ms"
    return known, f"{known} ms"


def neural_benchmark(
    name: str, recording: Any, metric: str, *, stratify_by: str = "object_name"
) -> Any:
    """A Brain-Score benchmark on a recording of one region.

    The ceiling is the recording's split-half reliability over repetitions (Spearman–Brown),
    Brain-Score's ``internal_consistency``, per bin for the ``spantime_`` metrics.

    Parameters
    ----------
    name : begins the benchmark's identifier. The identifier ends with a digest of the data, since
        Brain-Score stores ceilings by identifier alone.
    recording : presentation × neuroid × time_bin, with ``stimulus_id``, ``repetition`` (at least
        two) and ``stratify_by`` on presentation, ``region`` (one value) on neuroid, and its
        ``stimulus_set``. Stimuli are shown as they fill the model's 8°.
    metric : ``"pls"`` or ``"ridge"`` for one time bin, ``"spantime_pls"`` or ``"spantime_ridge"``
        for several.
    stratify_by : the coordinate over whose values the train and test splits are balanced.

    Raises
    ------
    ConvRNNError : the metric does not fit the number of bins, or no repetitions.
    """
    from brainscore_vision import load_ceiling, load_metric
    from brainscore_vision.benchmark_helpers.neural_common import (
        NeuralBenchmark,
        average_repetition,
    )

    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    for coordinate in ("stimulus_id", "repetition", "region", stratify_by):
        if not hasattr(recording, coordinate):
            raise ConvRNNError(f"the recording has no coordinate {coordinate!r}.")
    temporal = metric.startswith("spantime_")
    bins = recording.sizes.get("time_bin", 1)
    if temporal != (bins > 1):
        wanted = "several time bins" if temporal else "one time bin"
        raise ConvRNNError(f"metric {metric} wants {wanted}; the recording has {bins}.")
    if len(np.unique(recording["repetition"].values)) < 2:
        raise ConvRNNError("the recording has no repetitions, so no ceiling can be estimated.")
    if not temporal and "time_bin" in recording.dims:
        recording = recording.squeeze("time_bin")
    region = str(recording["region"].values[0])
    ceiler = load_ceiling("internal_consistency_temporal" if temporal else "internal_consistency")
    return NeuralBenchmark(
        identifier=f"{name}.{region}-{metric}-{_digest(recording)}",
        version=1,
        assembly=average_repetition(recording),
        similarity_metric=load_metric(
            metric, crossvalidation_kwargs={"stratification_coord": stratify_by}
        ),
        visual_degrees=VISUAL_DEGREES,
        number_of_trials=1,
        ceiling_func=lambda: ceiler(recording),
        parent=region,
    )


def needed_memory(stimuli: int, neuroids: int, bins: int, metric: str) -> int:
    """Bytes that recording and metric hold at most, beside the network and the libraries."""
    return 4 * stimuli * neuroids * bins * COPIES.get(metric, OTHER_COPIES)


def matmul_rate() -> float:
    """GFLOP/s of a float32 matrix product on this machine, the better of two."""
    size = 2048
    values = np.ones((size, size), np.float32)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        values @ values
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times) / 1e9


def data_digest(benchmark: Any) -> str:
    """A digest of the data that a benchmark compares with, ``"none"`` where it shows none."""
    held = [
        getattr(benchmark, name)
        for name in ("_assembly", "train_assembly", "test_assembly")
        if hasattr(benchmark, name)
    ]
    return "-".join(_digest(assembly) for assembly in held) or "none"


def brain_score_folder() -> Path:
    """Where Brain-Score is installed.

    Raises
    ------
    ConvRNNError : it is not.
    """
    found = find_spec("brainscore_vision")
    if found is None or not found.submodule_search_locations:
        raise ConvRNNError("Brain-Score is not installed: pip install brainscore-vision.")
    return Path(found.submodule_search_locations[0])


@contextmanager
def without_installing() -> Iterator[None]:
    """Brain-Score runs pip for every plugin that it loads, unless the user or this says no."""
    name = "BS_INSTALL_DEPENDENCIES"
    before = os.environ.get(name)
    os.environ.setdefault(name, "no")
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]


def _listed(name: str, metadata: dict[str, Any]) -> Listed:
    data, stimuli = metadata.get("data") or {}, metadata.get("stimulus_set") or {}
    window = TEMPORAL_BINS.get(name)
    kind = str(data.get("benchmark_type") or ("neural" if window else "unknown"))
    if kind.startswith("behavior"):
        kind = "behavioural"
    region = data.get("region") or LI2026_TEMPORAL.get(name)
    if name == "Kar2019-ost":
        region = "IT"
    neural = kind == "neural"
    count = stimuli.get("num_stimuli")
    if window and not count:
        count = 1320 if name == "Kar2019-ost" else 1000
    return Listed(
        name=name,
        kind=kind,
        region=region,
        bins=(window[1] - window[0]) // 10 if window else int(neural),
        window=window,
        image_ms=IMAGE_MS.get(re.split(r"[.\-_]", name)[0]) if neural else None,
        metric=name.rsplit("-", 1)[-1] if "temporal" not in name else "spantime_pls",
        stimuli=count if isinstance(count, int) else None,
        public=True if name in LI2026_TEMPORAL else data.get("data_publicly_available"),
    )


def _data_set(error: BaseException) -> str | None:
    """The data set that was being loaded when ``error`` was raised."""
    trace = error.__traceback__
    while trace is not None:
        code = trace.tb_frame.f_code
        if code.co_name in ("load_dataset", "load_stimulus_set") and "identifier" in (
            trace.tb_frame.f_locals
        ):
            return str(trace.tb_frame.f_locals["identifier"])
        trace = trace.tb_next
    return None


def _digest(assembly: Any) -> str:
    values = np.asarray(assembly.values)
    values = values.astype(str) if values.dtype.kind == "O" else values  # choices are words
    digest = hashlib.sha256(np.ascontiguousarray(values).tobytes())
    if hasattr(assembly, "stimulus_id"):
        digest.update("\n".join(map(str, assembly["stimulus_id"].values)).encode())
    return digest.hexdigest()[:12]

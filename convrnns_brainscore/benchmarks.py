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
from weakref import WeakKeyDictionary

import numpy as np
import yaml

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.fits.heldout import IN_MEMORY
from convrnns_brainscore.fits.reliability import Trials, ceiling, half_correlations
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


def is_package(name: str) -> bool:
    """Whether a benchmark's name is that of a packaged recording's file (`packages`)."""
    return name.endswith(".nc")


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
    with data_of(name):
        return factory()


def load_data(name: str) -> Any:
    """A data set of Brain-Score by its identifier: a NeuroidAssembly.

    Raises
    ------
    ConvRNNError : Brain-Score has no such data set, or it cannot be fetched.
    """
    folder = brain_score_folder() / "data"
    pattern = re.compile(r"^data_registry\[['\"]([^'\"<>]+)['\"]\]", re.MULTILINE)
    known = [
        found
        for plugin in sorted(folder.glob("*/__init__.py"))
        for found in pattern.findall(plugin.read_text(encoding="utf-8"))
    ]
    if name not in known:
        raise unknown("recording", name, known, "It is no file, and no data set of Brain-Score.")
    import brainscore_vision

    with data_of(name):
        return brainscore_vision.load_dataset(name)


@contextmanager
def data_of(name: str) -> Iterator[None]:
    """Whatever loads data within, installs nothing, and says in one line what cannot be fetched.

    Raises
    ------
    ConvRNNError : a data set of the benchmark ``name`` could not be loaded.
    """
    switch = "BS_INSTALL_DEPENDENCIES"  # Brain-Score runs pip for every plugin, unless told not to
    before = os.environ.get(switch)
    os.environ.setdefault(switch, "no")
    try:
        yield
    except ConvRNNError:
        raise
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
    finally:
        if before is None:
            del os.environ[switch]


def image_duration(name: str) -> tuple[int, str]:
    """How long the images of a neural benchmark were on, in ms, and in words.

    >>> image_duration("Li2026.IT-temporal-pls")
    (150, '150 ms')
    >>> image_duration("Cadena2017-pls")
    (100, 'assumed 100 ms')
    """
    known = _image_ms(name)
    if known is None:
        return ASSUMED_IMAGE_MS, f"assumed {ASSUMED_IMAGE_MS} ms"
    return known, f"{known} ms"


def neural_benchmark(
    name: str,
    recording: Any,
    metric: str,
    *,
    stratify_by: str | None = "object_name",
    visual_degrees: float = VISUAL_DEGREES,
) -> Any:
    """A Brain-Score benchmark on a recording of one region.

    The ceiling is the recording's split-half reliability over repetitions (Spearman–Brown), per
    bin for the ``spantime_`` metrics: Brain-Score's ``internal_consistency`` where all stimuli have
    as many repetitions. Where they have not, that would compare halves of other stimuli, and the
    ceiling is this package's (`fits.reliability`); without repetitions it is undefined.

    Parameters
    ----------
    name : begins the benchmark's identifier. The identifier ends with a digest of the data, since
        Brain-Score stores ceilings by identifier alone.
    recording : presentation × neuroid × time_bin, with ``stimulus_id``, ``repetition`` and
        ``stratify_by`` on presentation, ``region`` (one value) on neuroid, and its
        ``stimulus_set``.
    metric : ``"pls"`` or ``"ridge"`` for one time bin, ``"spantime_pls"`` or ``"spantime_ridge"``
        for several.
    stratify_by : the coordinate over whose values the train and test splits are balanced; None:
        there is none.
    visual_degrees : the size at which the stimuli were seen; 8 fills the model's field.

    Raises
    ------
    ConvRNNError : the metric does not fit the number of bins, or a coordinate is missing.
    """
    from brainscore_vision import load_ceiling, load_metric
    from brainscore_vision.benchmark_helpers.neural_common import (
        NeuralBenchmark,
        average_repetition,
    )

    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    for coordinate in filter(None, ("stimulus_id", "repetition", "region", stratify_by)):
        if not hasattr(recording, coordinate):
            raise ConvRNNError(f"the recording has no coordinate {coordinate!r}.")
    temporal = metric.startswith("spantime_")
    bins = recording.sizes.get("time_bin", 1)
    if temporal != (bins > 1):
        wanted = "several time bins" if temporal else "one time bin"
        raise ConvRNNError(
            f"metric {metric} wants {wanted}; the recording has {bins}. Give another --metric, or "
            "package it again with --window 70 170."
        )
    if not temporal and "time_bin" in recording.dims:
        recording = recording.squeeze("time_bin")
    region = str(recording["region"].values[0])
    ceiler = _own_ceiling
    if _repeated_alike(recording):
        kind = "internal_consistency_temporal" if temporal else "internal_consistency"
        ceiler = load_ceiling(kind)
    digest = hashlib.sha256()
    _take(digest, recording)
    return NeuralBenchmark(
        identifier=f"{name}.{region}-{metric}-{digest.hexdigest()[:12]}",
        version=1,
        assembly=average_repetition(recording),
        similarity_metric=load_metric(
            metric, crossvalidation_kwargs={"stratification_coord": stratify_by}
        ),
        visual_degrees=visual_degrees,
        number_of_trials=1,
        ceiling_func=lambda: ceiler(recording),
        parent=region,
    )


def _repeated_alike(recording: Any) -> bool:
    """Whether every stimulus has the same repetitions, two at least, and nothing is missing."""
    pairs = zip(recording["stimulus_id"].values, recording["repetition"].values, strict=True)
    shown = set(pairs)
    repetitions = {repetition for _, repetition in shown}
    stimuli = {stimulus for stimulus, _ in shown}
    whole = len(shown) == len(stimuli) * len(repetitions) == recording.sizes["presentation"]
    return whole and len(repetitions) > 1 and bool(np.isfinite(recording.values).all())


def _own_ceiling(recording: Any) -> Any:
    """Each stimulus's own presentations halved, as a score of Brain-Score's; one value a bin."""
    from brainscore_core.metrics import Score

    ids, stimulus = np.unique(recording["stimulus_id"].values, return_inverse=True)
    dims = [dim for dim in ("presentation", "neuroid", "time_bin") if dim in recording.dims]
    values = recording.transpose(*dims).values
    halves = half_correlations(Trials(values, stimulus, len(ids)))
    if "time_bin" not in dims:
        return Score(float(ceiling(halves[..., None])[0]))
    edges = {
        name: ("time_bin", recording[name].values) for name in ("time_bin_start", "time_bin_end")
    }
    return Score(ceiling(halves), coords=edges, dims=["time_bin"])


def needed_memory(stimuli: int, neuroids: int, bins: int, metric: str, neurons: int = 0) -> int:
    """Bytes that recording and metric hold at most, beside the network and the libraries.

    Parameters
    ----------
    neuroids : of the model.
    neurons : of the data, where they are known.
    """
    recording = 4 * stimuli * bins * neuroids
    copies = COPIES.get(metric, OTHER_COPIES)
    if metric == "exact" and recording > IN_MEMORY:
        copies = STREAMED_COPIES
    return recording * copies + 8 * stimuli * bins * neurons * OTHER_COPIES


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


_DIGESTS: WeakKeyDictionary[Any, str] = WeakKeyDictionary()


def data_digest(benchmark: Any) -> str:
    """A digest of the data that a benchmark holds: responses, all coordinates, and images.

    ``"none"`` where it holds none (a benchmark that loads its data while it runs).
    """
    if benchmark not in _DIGESTS:
        digest = hashlib.sha256()
        held = [value for _, value in sorted(vars(benchmark).items())]
        for value in held:
            for each in value if isinstance(value, list | tuple) else [value]:
                _take(digest, each)
        nothing = hashlib.sha256().hexdigest()
        _DIGESTS[benchmark] = "none" if digest.hexdigest() == nothing else digest.hexdigest()[:16]
    return _DIGESTS[benchmark]


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


def _listed(name: str, metadata: dict[str, Any]) -> Listed:
    data, stimuli = metadata.get("data") or {}, metadata.get("stimulus_set") or {}
    window = TEMPORAL_BINS.get(name)
    kind = str(data.get("benchmark_type") or "unknown")
    kind = "behavioural" if kind.startswith("behavior") else kind
    region = data.get("region") or region_in(name) or ("IT" if name == "Kar2019-ost" else None)
    if window or (region and kind == "unknown"):
        kind = "neural"
    if kind == "unknown" and re.search(r"error_consistency|accuracy", name):
        kind = "behavioural"
    count = stimuli.get("num_stimuli")
    if window and not count:
        count = 1320 if name == "Kar2019-ost" else 1000
    return Listed(
        name=name,
        kind=kind,
        region=region,
        bins=(window[1] - window[0]) // 10 if window else int(kind == "neural"),
        window=window,
        image_ms=_image_ms(name) if kind == "neural" else None,
        metric=name.rsplit("-", 1)[-1] if "temporal" not in name else "spantime_pls",
        stimuli=count if isinstance(count, int) else None,
        public=True if name in LI2026_TEMPORAL else data.get("data_publicly_available"),
    )


def _image_ms(name: str) -> int | None:
    """How long the images of a benchmark's data set were on, if it is known."""
    return IMAGE_MS.get(re.split(r"[.\-_]", name)[0])


def region_in(name: str) -> str | None:
    """The region that a benchmark's name holds.

    >>> region_in("Papale2025.V4-ridge")
    'V4'
    """
    found = re.search(r"[._](V1|V2|V4|IT)(?=[-_.]|$)", name)
    return found.group(1) if found else None


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


def _take(digest: Any, value: Any) -> None:
    """Have ``digest`` (of hashlib) take an assembly or a stimulus set; nothing of anything else."""
    from brainscore_core.supported_data_standards.brainio.assemblies import (
        DataAssembly,
        walk_coords,
    )
    from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
    from brainscore_vision.utils import LazyLoad

    if isinstance(value, LazyLoad):
        value._ensure_loaded()
        value = value.content
    if isinstance(value, StimulusSet):
        files = [Path(value.get_stimulus(key)) for key in value["stimulus_id"]]
        images = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        digest.update(f"{value.to_csv()}{images}".encode())
    elif isinstance(value, DataAssembly):
        _take_array(digest, value.values)
        for name, _, values in sorted(walk_coords(value), key=lambda coordinate: coordinate[0]):
            digest.update(name.encode())
            _take_array(digest, values)
        _take(digest, value.attrs.get("stimulus_set"))


def _take_array(digest: Any, values: Any) -> None:
    values = np.asarray(values).ravel()
    if values.dtype.kind == "O":  # words, or a time bin's pair
        digest.update("\n".join(map(str, values.tolist())).encode())
    else:  # the array's own memory: responses may be many GB
        digest.update(np.ascontiguousarray(values).view(np.uint8))

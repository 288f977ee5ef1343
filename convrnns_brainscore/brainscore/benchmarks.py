"""Brain-Score's benchmarks by name: the catalogue, and loading.

`list_benchmarks` reads what Brain-Score says of its benchmarks without importing any, and
`load_benchmark` loads one, with its data. A benchmark is known by its name in Brain-Score's
registry: its ``identifier`` is another, and not unique.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache, partial
from importlib import import_module
from typing import Any

import yaml

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.stimulus_durations import Shown, by_identifier
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import why_not_writable
from convrnns_brainscore.requirements import brain_score_folder

_log = logging.getLogger(__name__)

LI2026_TEMPORAL = {f"Li2026.{region}-temporal-pls": region for region in ("V1", "V2", "V4", "IT")}
"""Temporal benchmarks that Brain-Score 2.4 has and does not register: name → region."""

TEMPORAL_BINS = {
    "Kar2019-ost": (70, 250),
    "MajajHong2015public.V4-temporal-pls": (0, 290),
    "MajajHong2015public.IT-temporal-pls": (0, 290),
    **dict.fromkeys(LI2026_TEMPORAL, (0, 300)),
}
"""Temporal benchmark → begin and end of its bins of 10 ms. Each bin of MajajHong2015public averages
two of the data's, of 20 ms, and so spans 30 ms."""


@dataclass(frozen=True)
class Listed:
    """What is known of a benchmark before its data are there.

    Attributes
    ----------
    name : str
        In Brain-Score's registry.
    family : str
        The folder of its plugin.
    kind : str
        ``"neural"``, ``"behavioural"``, ``"engineering"`` or ``"unknown"``.
    region : str or None
        V1, V2, V4, IT, or None.
    bins : int
        Number of time bins; 0 for behaviour.
    window : (int, int) or None
        Begin and end of the bins in ms, or None where only the data say it.
    shown : Shown or None
        How long an image is on, and the rule; None: behaviour, as in training.
    metric : str
        The metric's name.
    stimuli : int or None
        Their number, or None.
    public : bool or None
        Whether Brain-Score gives its data to everybody, or None.
    """

    name: str
    family: str
    kind: str
    region: str | None
    bins: int
    window: tuple[int, int] | None
    shown: Shown | None
    metric: str
    stimuli: int | None
    public: bool | None


@lru_cache(maxsize=1)
def list_benchmarks() -> dict[str, Listed]:
    """Brain-Score's benchmarks, by name: the temporal ones first.

    Raises
    ------
    ConvRNNError
        Brain-Score is not installed.
    """
    folder = brain_score_folder() / "benchmarks"
    pattern = re.compile(r"^benchmark_registry\[['\"]([^'\"<>]+)['\"]\]", re.MULTILINE)
    names = dict.fromkeys(LI2026_TEMPORAL, "li2026")
    described: dict[str, Any] = {}
    for plugin in sorted(folder.glob("*/__init__.py")):
        for name in pattern.findall(plugin.read_text(encoding="utf-8")):
            names[name] = plugin.parent.name
        for metadata in plugin.parent.glob("metadata.y*ml"):
            described |= yaml.safe_load(metadata.read_text(encoding="utf-8"))["benchmarks"] or {}
    listed = [_listed(name, family, described.get(name) or {}) for name, family in names.items()]
    kinds = ["neural", "behavioural", "engineering", "unknown"]
    listed.sort(key=lambda one: (one.bins < 2, kinds.index(one.kind), one.name))
    return {one.name: one for one in listed}


def matching_benchmarks(pattern: str | None = None) -> list[Listed]:
    """The benchmarks whose names begin with ``pattern``, or fit it where it holds ``*`` or ``?``;
    the case does not matter.

    Raises
    ------
    ConvRNNError
        None does.

    Examples
    --------
    >>> [one.name for one in matching_benchmarks("Kar2019")]
    ['Kar2019-ost']
    """
    known = list_benchmarks()
    if pattern is None:
        return list(known.values())
    wild = pattern if set(pattern) & set("*?[") else f"{pattern}*"
    found = [one for one in known.values() if fnmatchcase(one.name.lower(), wild.lower())]
    if not found and wild == pattern:
        raise ConvRNNError(
            f"no benchmark matches {pattern!r}. `convrnns benchmarks` lists them all."
        )
    if not found:
        raise unknown("benchmark", pattern, known, "`convrnns benchmarks` lists them.")
    return found


def one_of_each_family() -> list[str]:
    """A registered benchmark of each plugin of Brain-Score's: its first."""
    first = {one.family: one.name for one in reversed(list_benchmarks().values())
             if one.name not in LI2026_TEMPORAL}  # fmt: skip
    return sorted(first.values())


def find_benchmark(name: str) -> Listed:
    """What is known of the benchmark ``name``.

    Raises
    ------
    ConvRNNError
        Brain-Score has no benchmark of that name.
    """
    known = list_benchmarks()
    if name not in known:
        raise unknown("benchmark", name, known, "`convrnns benchmarks` lists them.")
    return known[name]


def load_benchmark(name: str) -> Any:
    """The benchmark, with its data, which Brain-Score fetches where they are not there yet.

    Raises
    ------
    ConvRNNError
        No such benchmark, or its data cannot be fetched.
    """
    find_benchmark(name)
    import brainscore_vision

    factory: Callable[[], Any] = partial(brainscore_vision.load_benchmark, name)
    if name in LI2026_TEMPORAL:
        module = import_module("brainscore_vision.benchmarks.li2026.benchmark")
        factory = getattr(module, f"Li2026{LI2026_TEMPORAL[name]}Temporal")
    _log.info("loading benchmark %s", name)
    with loading_data(name):
        return factory()


def load_data(name: str) -> Any:
    """A data set of Brain-Score by its identifier: a NeuroidAssembly.

    Raises
    ------
    ConvRNNError
        Brain-Score has no such data set, or it cannot be fetched.
    """
    known = _registered("data")
    if name not in known:
        raise unknown("recording", name, known, "It is neither a file nor a Brain-Score data set.")
    import brainscore_vision

    with loading_data(name):
        return brainscore_vision.load_dataset(name)


def stimulus_set_names() -> list[str]:
    """The names of Brain-Score's stimulus sets.

    Raises
    ------
    ConvRNNError
        Brain-Score is not installed.
    """
    return _registered("stimulus_set")


def _registered(kind: str) -> list[str]:
    """The names with which data plugins register."""
    pattern = re.compile(rf"^{kind}_registry\[['\"]([^'\"<>]+)['\"]\]", re.MULTILINE)
    return [
        found
        for plugin in sorted((brain_score_folder() / "data").glob("*/__init__.py"))
        for found in pattern.findall(plugin.read_text(encoding="utf-8"))
    ]


@contextmanager
def loading_data(name: str) -> Iterator[None]:
    """Whatever loads data within, installs nothing, and says in one line what cannot be fetched.

    Parameters
    ----------
    name : str
        Name of the benchmark or data set that is loaded.

    Raises
    ------
    ConvRNNError
        A data set of the benchmark ``name`` could not be loaded.
    """
    internals.name_failed_data()
    with internals.no_installing():
        try:
            yield
        except ConvRNNError:
            raise
        except Exception as error:
            data = internals.failed_data(error)
            if data is None:
                raise
            first = (str(error).splitlines() or [""])[0]
            folder = internals.data_folder()
            if why := why_not_writable(folder):
                raise ConvRNNError(
                    f"{name} needs Brain-Score's data set {data}, which cannot be kept "
                    f"in {folder} ({why}): set BRAINIO_HOME to a folder that can be written."
                ) from error
            if data.startswith("Li2026"):
                raise ConvRNNError(
                    f"{name} needs Brain-Score's data set {data}, which is not public "
                    "(403 without credentials). If you have the temporal data, set "
                    "BRAINSCORE_LI2026_DIR to their folder."
                ) from error
            raise ConvRNNError(
                f"{name} needs Brain-Score's data set {data}, which cannot be fetched "
                f"here ({type(error).__name__}: {first[:120]}). On a machine with network run "
                f"`python -c \"import brainscore_vision as b; b.load_dataset('{data}')\"` and copy "
                "its ~/.brainio here."
            ) from error


def _listed(name: str, family: str, metadata: dict[str, Any]) -> Listed:
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
        family=family,
        kind=kind,
        region=region,
        bins=(window[1] - window[0]) // 10 if window else int(kind == "neural"),
        window=window,
        shown=by_identifier(name) if kind == "neural" else None,
        metric=name.rsplit("-", 1)[-1] if "temporal" not in name else "spantime_pls",
        stimuli=count if isinstance(count, int) else None,
        public=False if name.startswith("Li2026") else data.get("data_publicly_available"),
    )


def region_in(name: str) -> str | None:
    """The region that a benchmark's name holds.

    Examples
    --------
    >>> region_in("Papale2025.V4-ridge")
    'V4'
    """
    found = re.search(r"[._](V1|V2|V4|IT)(?=[-_.]|$)", name)
    return found.group(1) if found else None

"""Digests of the data that benchmarks hold, by which scores and ceilings are told apart."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import DataAssembly, walk_coords
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet

from convrnns_brainscore.brainscore import internals

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
                update_digest(digest, each)
        nothing = hashlib.sha256().hexdigest()
        _DIGESTS[benchmark] = "none" if digest.hexdigest() == nothing else digest.hexdigest()[:16]
    return _DIGESTS[benchmark]


def update_digest(digest: Any, value: Any) -> None:
    """Have ``digest`` (of hashlib) take an assembly or a stimulus set; nothing of anything else."""
    value = internals.loaded(value)
    if isinstance(value, StimulusSet):
        files = [Path(value.get_stimulus(key)) for key in value["stimulus_id"]]
        images = [hashlib.sha256(file.read_bytes()).hexdigest() for file in files]
        digest.update(f"{value.to_csv()}{images}".encode())
    elif isinstance(value, DataAssembly):
        _take_array(digest, value.values)
        for name, _, values in sorted(walk_coords(value), key=lambda coordinate: coordinate[0]):
            digest.update(name.encode())
            _take_array(digest, values)
        update_digest(digest, value.attrs.get("stimulus_set"))


def _take_array(digest: Any, values: Any) -> None:
    values = np.asarray(values).ravel()
    if values.dtype.kind == "O":  # words, or a time bin's pair
        digest.update("\n".join(map(str, values.tolist())).encode())
    else:  # the array's own memory: responses may be many GB
        digest.update(np.ascontiguousarray(values).view(np.uint8))

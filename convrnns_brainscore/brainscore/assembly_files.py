"""Brain-Score's assemblies and scores to netCDF files and back.

Brain-Score keeps its coordinates in pandas' MultiIndex, which netCDF has no form for. The file
holds each coordinate as a plain one, so that any xarray opens it; `read_assembly` restores the
assembly. Attributes that are assemblies themselves (a score's ``raw`` and ``ceiling``) are groups.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    DataAssembly,
    NeuroidAssembly,
    NeuronRecordingAssembly,
    PropertyAssembly,
    walk_coords,
)

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.integrity import SEAL, seal
from convrnns_brainscore.netcdf import write_group

_KINDS = {
    kind.__name__: kind
    for kind in (
        BehavioralAssembly,
        DataAssembly,
        NeuroidAssembly,
        NeuronRecordingAssembly,
        PropertyAssembly,
        Score,
    )
}
_KIND, _GROUPS, _VALUES = "assembly", "assembly_attributes", "values"


def write_assembly(assembly: DataAssembly, path: str | Path) -> None:
    """Save an assembly or a score to the netCDF file ``path``, which appears when it is whole.

    Attributes that are neither text, numbers nor assemblies are kept as text.

    Raises
    ------
    ConvRNNError
        The assembly is of a kind that Brain-Score does not have.
    OSError
        ``path`` cannot be written.
    """
    path = Path(path)
    with written_whole(path) as partial:
        _write(assembly, partial, None, "w")
        seal(partial)


def read_assembly(path: str | Path, group: str | None = None) -> DataAssembly:
    """The assembly or score that `write_assembly` saved.

    Raises
    ------
    ConvRNNError
        ``path`` is no such file.
    """
    try:
        with xr.open_dataset(path, group=group) as opened:
            held = opened.load()
        attributes = {name: value for name, value in held.attrs.items() if name != SEAL}
        kind = _KINDS[attributes.pop(_KIND)]
        groups = attributes.pop(_GROUPS).split()
        values = held[_VALUES]
    except Exception as error:
        raise ConvRNNError(f"{path} holds no assembly written by write_assembly.") from error
    coords = {name: (values[name].dims, values[name].values) for name in values.coords}
    assembly = kind(values.values, coords=coords, dims=values.dims)
    assembly.attrs.update(attributes)
    for name in groups:
        assembly.attrs[name] = read_assembly(path, name if group is None else f"{group}/{name}")
    return assembly


def _write(assembly: Any, path: Path, group: str | None, mode: str) -> None:
    kind = type(assembly).__name__
    if kind not in _KINDS:
        raise ConvRNNError(f"cannot save a {kind}; only {', '.join(_KINDS)}.")
    parts = {k: v for k, v in assembly.attrs.items() if isinstance(v, DataAssembly)}
    attributes = {k: _plain(v) for k, v in assembly.attrs.items() if k not in parts}
    coords = {name: (dims, _text_or_number(v)) for name, dims, v in walk_coords(assembly)}
    held = xr.Dataset(
        {_VALUES: (assembly.dims, assembly.values)},
        coords,
        {**attributes, _KIND: kind, _GROUPS: " ".join(parts)},
    )
    held[_VALUES].encoding = {"_FillValue": None}
    # In the order of the assembly: Brain-Score takes the levels of an index as they come.
    write_group(held, path, group, mode)
    for name, part in parts.items():
        _write(part, path, name if group is None else f"{group}/{name}", "a")


def _plain(value: Any) -> str | int | float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number):
        return str(value)
    return value.item() if isinstance(value, np.number) else value


def _text_or_number(values: Any) -> np.ndarray[Any, Any]:
    """Levels of a MultiIndex come as objects: the type that they are of, or text if of several."""
    values = np.asarray(values)
    plain = pd.Series(values.ravel()).infer_objects().to_numpy().reshape(values.shape)
    return plain.astype(str).astype(object) if plain.dtype.kind == "O" else plain

"""Brain-Score's assemblies and scores to netCDF files and back.

Brain-Score keeps its coordinates in pandas' MultiIndex, which netCDF has no form for. The file
holds each coordinate as a plain one, so that any xarray opens it; `read_assembly` restores the
assembly. Attributes that are assemblies themselves (a score's ``raw`` and ``ceiling``) are groups.
"""

from __future__ import annotations

import ast
import json
import re
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
_NAMES, _OTHERS = "assembly_names", "assembly_other_attributes"
"""Attributes of a group: coordinates and attributes under names that netCDF has no place for."""

_MISSING, _JSON = "missing", "json"
"""Attributes of a coordinate: text with places that are missing; values as JSON each."""

_SIMPLE = re.compile(r"\w[\w.-]*")
_RESERVED = {_KIND, _GROUPS, _VALUES, _NAMES, _OTHERS, SEAL, "coordinates", "_FillValue"}
_INTEGERS = range(-(2**63), 2**63)


def write_assembly(assembly: DataAssembly, path: str | Path) -> None:
    """Save an assembly or a score to the netCDF file ``path``, which appears when it is whole.

    Coordinates keep their types, value by value. Attributes that are neither text, numbers nor
    assemblies are kept as text.

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
        There is no such file, or it holds something else.
    """
    if not Path(path).is_file():
        raise ConvRNNError(f"there is no file {path}.")
    try:
        with xr.open_dataset(path, group=group) as opened:
            held = opened.load()
        attributes = {name: value for name, value in held.attrs.items() if name != SEAL}
        kind = _KINDS[attributes.pop(_KIND)]
        groups = _groups(attributes.pop(_GROUPS))
        names = json.loads(attributes.pop(_NAMES, "{}"))
        others = json.loads(attributes.pop(_OTHERS, "[]"))
        values = held[_VALUES]
        coords = {
            _key(names[name]) if name in names else name: (coord.dims, _decoded(coord))
            for name, coord in values.coords.items()
        }
        called = _key(names[_VALUES]) if _VALUES in names else None
        decoded = _decoded(values)
    except Exception as error:
        raise ConvRNNError(f"{path} holds no assembly written by write_assembly.") from error
    assembly = kind(decoded, coords=coords, dims=values.dims, name=called)
    assembly.attrs.update(attributes)
    assembly.attrs.update({_key(name): value for name, value in others})
    for name, key in groups:
        place = name if group is None else f"{group}/{name}"
        assembly.attrs[_key(key)] = read_assembly(path, place)
    return assembly


def _write(assembly: Any, path: Path, group: str | None, mode: str) -> None:
    kind = next((each.__name__ for each in type(assembly).__mro__ if each.__name__ in _KINDS), None)
    if kind is None:
        raise ConvRNNError(f"cannot save a {type(assembly).__name__}; only {', '.join(_KINDS)}.")
    parts = {k: v for k, v in assembly.attrs.items() if isinstance(v, DataAssembly)}
    groups = [
        (key if _is_simple(key) else f"part{index}", part)
        for index, (key, part) in enumerate(parts.items())
    ]
    attributes: dict[str, Any] = {}
    others = []
    for name, value in assembly.attrs.items():
        if name in parts:
            continue
        value = _plain(value)
        fits = "\0" not in value if isinstance(value, str) else True
        if isinstance(value, int):
            fits = value in _INTEGERS
        if _is_simple(name) and fits:
            attributes[name] = value
        else:
            others.append((_literal(name), value))
    coords, names = {}, {}
    for index, (name, dims, values) in enumerate(walk_coords(assembly)):
        safe = name if _is_simple(name) else f"coordinate{index}"
        if safe != name:
            names[safe] = _literal(name)
        coords[safe] = (dims, *_encoded(values, dims))
    attributes |= {_KIND: kind}
    named = [(name, _literal(key)) for (name, _), key in zip(groups, parts, strict=True)]
    attributes |= {_GROUPS: json.dumps(named)}
    if assembly.name is not None:
        names[_VALUES] = _literal(assembly.name)
    if names:
        attributes[_NAMES] = json.dumps(names)
    if others:
        attributes[_OTHERS] = json.dumps(others)
    values = (assembly.dims, *_encoded(assembly.values, assembly.dims))
    held = xr.Dataset({_VALUES: values}, coords, attributes)
    held[_VALUES].encoding = {"_FillValue": None}
    # In the order of the assembly: Brain-Score takes the levels of an index as they come.
    write_group(held, path, group, mode)
    for name, part in groups:
        _write(part, path, name if group is None else f"{group}/{name}", "a")


def _groups(text: str) -> list[tuple[str, str]]:
    """Group and key of each part; a file of version 1.x holds the groups, parted by blanks."""
    if text.startswith("["):
        return [(name, key) for name, key in json.loads(text)]
    return [(name, repr(name)) for name in text.split()]


def _is_simple(name: Any) -> bool:
    simple = isinstance(name, str) and _SIMPLE.fullmatch(name) is not None
    return simple and name not in _RESERVED


def _literal(name: Any) -> str:
    """A name, of any type, as Python writes it."""
    return repr(name.item() if isinstance(name, np.generic) else name)


def _key(text: str) -> Any:
    """What `_literal` wrote; of types without a literal, the text."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        return text


def _plain(value: Any) -> str | int | float:
    if isinstance(value, bool | np.bool_) or not isinstance(value, str | int | float | np.number):
        return str(value)
    return value.item() if isinstance(value, np.number) else value


def _encoded(values: Any, dims: Any) -> tuple[np.ndarray[Any, Any], dict[str, str]]:
    """Values of a coordinate as netCDF has them, and the attribute that says how.

    Levels of a MultiIndex come as objects: they become the type that all of them are of.
    """
    held = values
    if not len(dims) and not isinstance(values, np.ndarray):
        held = np.empty((), object)  # a pair, such as a single time bin, is one value
        held[()] = values
    held = np.asarray(held)
    if held.dtype.kind != "O":
        return held, {}
    flat = held.ravel().tolist()
    missing = [index for index, value in enumerate(flat) if value is None or value != value]
    others = [value for value in flat if value is not None and value == value]
    if others and all(isinstance(value, str) and "\0" not in value for value in others):
        kinds = {repr(flat[index]) for index in missing}
        if len(kinds) < 2:
            text = np.array(flat, object)
            text[missing] = ""
            told = {_MISSING: json.dumps([*kinds, missing])} if missing else {}
            return text.reshape(held.shape), told
    plain = pd.Series(flat, dtype=object).infer_objects().to_numpy()
    if plain.dtype.kind != "O" and not (missing and {type(flat[i]) for i in missing} != {float}):
        return plain.reshape(held.shape), {}
    text = np.empty(len(flat), object)
    text[:] = [json.dumps(value, default=_jsonable) for value in flat]
    return text.reshape(held.shape), {_JSON: "each value"}


def _jsonable(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else str(value)


def _decoded(coord: xr.DataArray) -> Any:
    values = coord.values
    if _JSON in coord.attrs:
        flat = np.empty(values.size, object)
        for index, text in enumerate(values.ravel()):
            value = json.loads(text)
            flat[index] = tuple(value) if isinstance(value, list) else value
        return flat.reshape(values.shape)
    if _MISSING in coord.attrs:
        kind, places = json.loads(coord.attrs[_MISSING])
        flat = values.astype(object).ravel()
        flat[places] = None if kind == "None" else np.nan
        return flat.reshape(values.shape)
    return values

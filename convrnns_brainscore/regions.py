"""Region ↔ layers: which layers of a network stand for which region of the ventral stream.

Nayebi et al. (2022) found conv3 to match V4 best, conv4 pIT and conv5 cIT/aIT in the shallow
networks; in the intermediate ones conv5 and conv6 V4, conv7 and conv8 pIT, conv9 and conv10
cIT/aIT: ``"paper"``. The default takes one layer a region, the deepest of them, as is Brain-Score's
convention. V1 and V2 are this package's own choice and not from the paper.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from numbers import Real
from os import PathLike
from pathlib import Path
from typing import Any

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.networks.backbones import first_step, layer_names
from convrnns_brainscore.timing import MS_PER_STEP, RESPONSE, TimeBin
from convrnns_brainscore.zoo import Model, find_model, list_models

REGIONS = ("V1", "V2", "V4", "pIT", "IT", "cIT", "aIT")
"""The regions that can be recorded from, from the retina on."""

MADE_BY = "made_by"
"""Beside the regions in a map that `convrnns fit` wrote: the fits that it comes from."""

LATENCY = "latency_ms"
"""Beside the regions in a map: region → how much later its neurons answer than its layers do."""

LATENCIES = {"V1": 50.0, "V2": 50.0}
"""Region → latency in ms where nothing else is said; 0 of all others.

Nayebi et al. (2022) compare V4 and IT with the networks' steps as they are. They say nothing of V1
and V2, whose layers carry the image from 0 to 30 ms on, while V1 answers from about 50 ms on
(V1 50 ms, V2 70 ms in CORnet-S's time table in Brain-Score): without a shift, most of a bin such as
70–170 ms of an image of 100 ms would be the off stimulus.
"""

LONGEST_LATENCY = 260
"""In ms, as long as the networks are unrolled."""

FITTED = "fitted"
"""Asks for the latencies that a region map holds."""

RegionLayers = dict[str, list[str]]
"""Region → its layers."""

Latency = str | Mapping[str, float] | None
"""Latencies as `region_latencies` takes them."""

_READOUT = re.compile(r"(\w+)(?::(\d+)-(\d+))?", re.ASCII)

_PAPER = {
    "shallow": [["conv1"], ["conv2"], ["conv3"], ["conv4"], ["conv5"]],
    "intermediate": [
        ["conv2"],
        ["conv4"],
        ["conv5", "conv6"],
        ["conv7", "conv8"],
        ["conv9", "conv10"],
    ],
}


def in_order(names: Iterable[str]) -> list[str]:
    """Regions each once: those of `REGIONS` from the retina on, then others as they come.

    Examples
    --------
    >>> in_order(["PFC", "IT", "V4", "IT"])
    ['V4', 'IT', 'PFC']
    """
    found = list(dict.fromkeys(names))
    return [each for each in REGIONS if each in found] + [e for e in found if e not in REGIONS]


def region_name(name: str) -> str:
    """A region by its name in `REGIONS`, whichever case it is written in; any other by its own."""
    return {each.lower(): each for each in REGIONS}.get(name.strip().lower(), name.strip())


def region_layers(
    model: Model,
    region_layer_map: str | PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
) -> RegionLayers:
    """The layers of ``model`` for each region.

    Parameters
    ----------
    region_layer_map : str, path or mapping of str to str or list of str, optional
        None: one layer a region; ``"paper"``: as in the paper, several layers a region; or the
        user's own: region → layer or layers, or a JSON file of that.

    Raises
    ------
    ConvRNNError
        No map, or that of a fit of a model of another depth; a region that is none, or a layer that
        the model does not have.
    """
    if region_layer_map is None or region_layer_map == "paper":
        v1, v2, v4, posterior, anterior = _PAPER[model.depth]
        several = [v1, v2, v4, posterior, anterior, anterior, anterior]
        kept = [each if region_layer_map else each[-1:] for each in several]
        return dict(zip(REGIONS, kept, strict=True))
    where = "region_layer_map"
    given: Any = region_layer_map
    if isinstance(region_layer_map, str | PathLike):
        where, given = str(region_layer_map), _read(Path(region_layer_map))
    if not isinstance(given, Mapping) or not given:
        raise ConvRNNError(f'{where}: expected {{"IT": "conv10", …}}, region → layer or layers.')
    _check_depth(given.get(MADE_BY), model, where)
    found: RegionLayers = {}
    for region, named in given.items():
        if region in (MADE_BY, LATENCY):
            continue
        if not isinstance(region, str) or region_name(region) != region or not region:
            raise unknown(f"region in {where}", region, REGIONS)
        layers = [named] if isinstance(named, str) else named
        if not isinstance(layers, list | tuple) or not all(isinstance(e, str) for e in layers):
            raise ConvRNNError(f"{where}: {region} is {named!r}; expected a layer, or a list.")
        layers = list(layers)
        if not layers or len(set(layers)) != len(layers):
            raise ConvRNNError(f"{where}: {region} needs one or more different layers.")
        try:
            for layer in layers:
                first_step(model, layer)
        except ConvRNNError as error:
            raise ConvRNNError(f"{where}: {region}: {error}") from None
        found[region] = layers
    return found


def _check_depth(made_by: Any, model: Model, where: str) -> None:
    """Refuse the map that a fit of a model of another depth wrote: layers of the same names are
    others there."""
    fitted = str(made_by.get("model", "")).partition(" ")[0] if isinstance(made_by, Mapping) else ""
    known = fitted.partition("-without-")[0]
    if known in list_models() and find_model(known).depth != model.depth:
        raise ConvRNNError(
            f"{where} was fitted with {fitted}, which has other layers than {model.name}: fit "
            f"{model.name}, or omit its entry made_by if the layers are meant."
        )


def region_latencies(
    region_layer_map: str | PathLike[str] | Mapping[str, Any] | None = None,
    latency: Latency = None,
) -> dict[str, float]:
    """How much later the neurons of each region answer than its layers, in ms.

    Parameters
    ----------
    region_layer_map : str, path or mapping, optional
        As of `region_layers`; its `LATENCY` holds for the regions that it names.
    latency : mapping of str to float or 'fitted', optional
        Region → ms, before the map's; ``"fitted"``: the map has to hold latencies. None: those of
        the map, and `LATENCIES` of the regions that it does not name.

    Raises
    ------
    ConvRNNError
        A region that is none, no number within 260 ms, or no latencies in the map where
        ``"fitted"`` is asked for.

    Examples
    --------
    >>> region_latencies(latency={"IT": 20})["IT"]
    20.0
    """
    given = region_layer_map
    if isinstance(given, str | PathLike):
        given = None if given == "paper" else _read(Path(given))
    of_map = given.get(LATENCY) if isinstance(given, Mapping) else None
    if latency == FITTED and not of_map:
        raise ConvRNNError(
            f"`latency={FITTED!r}`, and the region map holds no latencies: give one that "
            "`convrnns fit` wrote, or `latency=…` of each region."
        )
    asked = None if latency == FITTED else latency
    found = {region: LATENCIES.get(region, 0.0) for region in REGIONS}
    for source, values in ((LATENCY, of_map), ("latency", asked)):
        if values is None:
            continue
        if not isinstance(values, Mapping):
            raise ConvRNNError(f'{source} is {values!r}; expected {{"IT": 10, …}}, region → ms.')
        for region, ms in values.items():
            if region not in REGIONS:
                raise unknown(f"region of {source}", region, REGIONS)
            number = isinstance(ms, Real) and not isinstance(ms, bool)
            if not number or not abs(ms) <= LONGEST_LATENCY:
                raise ConvRNNError(
                    f"{source} of {region} is {ms!r}; expected ms from −{LONGEST_LATENCY} to "
                    f"{LONGEST_LATENCY}, for which the networks are unrolled."
                )
            found[region] = float(ms)
    return found


def candidate_layers(
    model: Model, regions: Sequence[str], layers: Sequence[str] | None = None
) -> dict[str, list[str]]:
    """Layer → the regions that it is to be fitted to.

    Parameters
    ----------
    layers : sequence of str, optional
        Layers for all regions; None: those that the paper found to match each region, and all
        layers for other regions.

    Raises
    ------
    ConvRNNError
        A layer that the model does not have.
    """
    candidates = region_layers(model, "paper")
    if layers is not None:
        chosen = list(dict.fromkeys([layers] if isinstance(layers, str) else layers))
        if not chosen:
            raise ConvRNNError(f"no layers asked for. {model.name} has {_names(model)}.")
        for layer in chosen:
            first_step(model, layer)  # raises where the model does not have it
        candidates = dict.fromkeys(regions, chosen)
    found: dict[str, list[str]] = {}
    for region in regions:
        for layer in candidates.get(region, layer_names(model)):
            found.setdefault(layer, []).append(region)
    return found


def check_readout(model: Model, readout: str) -> tuple[str, TimeBin]:
    """The layer and the time bin in ms that ``logits``, ``conv10`` or ``conv10:50-250`` names.

    Raises
    ------
    ConvRNNError
        No such layer, or no time bin in which the image has reached it.

    Examples
    --------
    >>> from convrnns_brainscore.zoo import find_model
    >>> check_readout(find_model("rgc_intermediate"), "conv10:50-250")
    ('conv10', (50.0, 250.0))
    """
    found = _READOUT.fullmatch(readout)
    start, end = RESPONSE if found is None or not found[3] else map(float, found.group(2, 3))
    if found is None or not start < end or (found[1] == "logits" and found[3]):
        raise ConvRNNError(
            f"`behavioural_readout={readout!r}`: expected logits, which have no time bin, or a "
            "layer and optionally a time bin in ms (default 70–170), such as conv10:50-250."
        )
    if found[1] != "logits":
        first = first_step(model, found[1]) * MS_PER_STEP
        if end <= first:
            raise ConvRNNError(
                f"`behavioural_readout={readout!r}`: the image reaches {found[1]} at {first} ms. "
                "Give a time bin that ends later."
            )
    return found[1], (start, end)


def layers_of(model: Model, regions: RegionLayers, region: str) -> list[str]:
    """The layers that stand for ``region``.

    Raises
    ------
    ConvRNNError
        The model has no such region.
    """
    if not isinstance(region, str) or region not in regions:
        raise unknown(f"region of {model.name}", region, regions)
    return regions[region]


def _names(model: Model) -> str:
    return ", ".join(layer_names(model))


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """JSON's object, with no name twice."""
    for name, count in Counter(name for name, _ in pairs).items():
        if count > 1:
            raise ValueError(f"{name} is in it {count} times")
    return dict(pairs)


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8-sig"), object_pairs_hook=_once)
    except (OSError, ValueError, RecursionError) as error:
        raise ConvRNNError(
            f"cannot read the region map {path}: {error}. The map of the paper is called 'paper'."
        ) from error

"""Region maps that are whole, with layers that exist."""

from __future__ import annotations

import json
from pathlib import Path

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.regions import region_latencies, region_layers
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin
from convrnns_brainscore.zoo import find_model

NAME = "region map"

RECORDED = ("V1", "V2", "V4", "IT")
"""Regions that Brain-Score's benchmarks record from."""


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """Region maps that are whole, with layers that exist."""
    folder = f"models/{plugin.name}/region_layer_map"
    for identifier in plugin.identifiers:
        path = f"region_layer_map/{identifier}.json"
        text = plugin.text(path)
        if text is None:
            tell = check.note if plugin.model_of(identifier) is None else check.fail
            tell(f"{folder}/{identifier}.json is missing.")
            continue
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
            check.fail(f"{folder}/{identifier}.json is not valid JSON: {error}.")
            continue
        missing = [
            region for region in RECORDED if not isinstance(given, dict) or not given.get(region)
        ]
        if missing:
            check.fail(f"{folder}/{identifier}.json has no layer for {', '.join(missing)}.")
            continue
        name = plugin.model_of(identifier)
        if name is None:
            check.unchecked(f"{identifier} is not a ConvRNN: its layers are not known.")
            continue
        try:
            region_layers(find_model(name), given)
            region_latencies(given)
        except ConvRNNError as error:
            check.fail(f"{folder}/{identifier}.json: {error}")
    for path in plugin.files:
        if path.startswith("region_layer_map/") and Path(path).stem not in plugin.identifiers:
            check.fail(f"models/{plugin.name}/{path} belongs to no registered model.")
    if check.findings.found:
        return ""
    return (
        f"all maps name existing layers for {', '.join(RECORDED)}; maps: {len(plugin.identifiers)}"
    )

"""What the server does before and while it scores: layer mapping, memory."""

from __future__ import annotations

import json
from math import prod
from pathlib import Path

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.backbones import output_shape
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin
from convrnns_brainscore.zoo import find_model

NAME = "server"

STIMULI, BINS, BYTES = 3200, 29, 28
"""Of MajajHong2015public.IT-temporal-pls, and what Brain-Score's own check reckons for each
stimulus, neuroid and pair of bins."""

LARGE = 100 * 2**30
"""Bytes that not every machine of the server has."""


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """What the server does before and while it scores."""
    if "def get_layers" not in (plugin.text("model.py") or ""):
        check.note(
            f"models/{plugin.name}/model.py has no get_layers: the server's layer mapping finds no "
            "layers, and the merge waits for its label mapping-complete."
        )
    settings = plugin.settings or {}
    subject = settings.get("subject")
    most = subject.get("max_neuroids") if isinstance(subject, dict) else None
    largest = 0
    for identifier in plugin.identifiers:
        name = plugin.model_of(identifier)
        text = plugin.text(f"region_layer_map/{identifier}.json")
        if name is None or text is None:
            continue
        try:
            layers = region_layers(find_model(name), json.loads(text)).get("IT", [])
        except (ConvRNNError, ValueError):  # which the check of the maps tells
            continue
        neuroids = sum(prod(output_shape(find_model(name), layer)) for layer in layers)
        largest = max(largest, min(neuroids, most) if isinstance(most, int) else neuroids)
    need = STIMULI * largest * BINS**2 * BYTES
    if need > LARGE:
        check.note(
            f"IT has {largest} neuroids: for MajajHong2015public.IT-temporal-pls Brain-Score's own "
            f"check estimates {need / 2**30:.0f} GiB, and raises a MemoryError if less is free. "
            "Build with `max_neuroids=1000` to be scored there."
        )
    if check.findings.found:
        return ""
    memory = f"; the memory estimate is below {LARGE / 2**30:.0f} GiB" if largest else ""
    return f"model.py has get_layers{memory}"

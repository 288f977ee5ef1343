"""What only a running model can tell. Run by itself in the environment that is checked:

    python probe.py PLUGIN IDENTIFIER …

It imports nothing of this package but what the plugin brings, and prints a finding a line, as JSON.
"""

from __future__ import annotations

import json
import os
import sys
import time
import traceback
from importlib.metadata import distributions
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

BINS = [(start, start + 10) for start in range(0, 260, 10)]
REGIONS = ("V1", "V2", "V4", "IT")
CONVRNN = "convrnn_"
"""How identifiers begin of models that have to vary over time."""

SECONDS = 10
"""For a second load, beside making the network."""


def tell(check: str, status: str, message: str) -> None:
    """Print a finding."""
    print(json.dumps({"check": check, "status": status, "message": message}), flush=True)


def stimuli(folder: str, count: int) -> Any:
    """Images of colour and noise, of four classes, as Brain-Score's stimulus set."""
    from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
    from PIL import Image

    rng, paths = np.random.default_rng(0), {}
    for index in range(count):
        coarse = rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)
        paths[f"image{index}"] = Path(folder) / f"{index}.png"
        Image.fromarray(coarse).resize((224, 224)).save(paths[f"image{index}"])
    labels = [f"class{index % 4}" for index in range(count)]
    found = StimulusSet({"stimulus_id": list(paths), "object_name": labels, "image_label": labels})
    found.stimulus_paths, found.identifier = paths, f"probe-{count}"
    return found


def installed() -> list[str]:
    """Packages and their versions."""
    return sorted(f"{found.metadata['Name']} {found.version}" for found in distributions())


def look(model: Any, shown: Any) -> tuple[int, int]:
    """Record from its regions; in how many bins images differ, and how often IT changes.

    Raises
    ------
    ValueError
        What is recorded is not what was asked for, or the same for all images.
    """
    for region in REGIONS:
        model.start_recording(region, time_bins=[(70, 170)])
        if not np.isfinite(model.look_at(shown, number_of_trials=1).values).all():
            raise ValueError(f"{region} has values that are not finite")
    model.start_recording("IT", time_bins=BINS)
    recording = model.look_at(shown, number_of_trials=1)
    values = recording.transpose("presentation", "neuroid", "time_bin").values
    if values.shape[2] != len(BINS):
        raise ValueError(
            f"{len(BINS)} time bins were requested, and {values.shape[2]} were returned"
        )
    varying = int((np.ptp(values, axis=(0, 1)) > 0).sum())
    changes = np.abs(np.diff(values, axis=2)).max(axis=(0, 1))
    if not (np.ptp(values[:, :, -10:], axis=0) > 0).any():
        raise ValueError("IT is the same for all images")
    return varying, int((changes > 0).sum())


def object_solution_times() -> None:
    """Brain-Score's `ost` metric, on a simulated recording."""
    from brainscore_core.supported_data_standards.brainio.assemblies import (
        DataAssembly,
        NeuroidAssembly,
    )
    from brainscore_vision import load_metric

    rng, count, bins = np.random.default_rng(0), 200, 3
    labels = np.array([f"class{index % 4}" for index in range(count)])
    presentations = {
        "stimulus_id": ("presentation", [f"image{index}" for index in range(count)]),
        "image_label": ("presentation", labels),
        "truth": ("presentation", labels),
    }
    values = rng.standard_normal((count, 30, bins)) + (np.arange(count) % 4)[:, None, None]
    source = NeuroidAssembly(
        values,
        coords={
            **presentations,
            "neuroid_id": ("neuroid", np.arange(30)),
            "layer": ("neuroid", ["layer"] * 30),
            "time_bin_start": ("time_bin", 10 * np.arange(bins)),
            "time_bin_end": ("time_bin", 10 * np.arange(1, bins + 1)),
        },
        dims=["presentation", "neuroid", "time_bin"],
    )
    target = DataAssembly(
        rng.uniform(80, 180, count),
        coords={**presentations, "i1": ("presentation", rng.uniform(0.2, 1.5, count))},
        dims=["presentation"],
    )
    load_metric("ost")(source, target)


def probe(identifier: str, shown: Any) -> None:
    """Load a model, look at its activations, and load it again without a network."""
    import brainscore_vision

    model = brainscore_vision.load_model(identifier)
    if model.identifier != identifier:
        tell("model", "fail", f"{identifier} has the identifier {model.identifier}")
    varying, changing = look(model, shown)
    if not changing:
        tell(
            "model",
            "fail" if identifier.startswith(CONVRNN) else "note",
            f"{identifier}: IT is the same in all time bins: the model has no dynamics",
        )
    tell(
        "model",
        "pass",
        f"{identifier}: {', '.join(REGIONS)} recorded; IT differs between images in {varying} of "
        f"{len(BINS)} bins of 10 ms, and changes from one to the next {changing} times",
    )
    before, offline = installed(), {"http_proxy": "http://127.0.0.1:9"}
    offline["https_proxy"] = offline["http_proxy"]
    kept = dict(os.environ)
    os.environ.update(offline)
    os.environ.update({name.upper(): value for name, value in offline.items()})
    os.environ.update(no_proxy="", NO_PROXY="")  # the weights may be served by this machine
    start = time.monotonic()
    try:
        brainscore_vision.load_model(identifier)
    finally:
        os.environ.clear()
        os.environ.update(kept)
    took = time.monotonic() - start
    if installed() != before:
        changed = sorted(set(installed()) ^ set(before))
        tell("second load", "fail", f"{identifier} installed {', '.join(changed)} again")
    else:
        tell(
            "second load",
            "pass" if took < SECONDS else "note",
            f"{identifier}: {took:.1f} s, without network; nothing was installed or downloaded",
        )


def main() -> None:
    """Probe the models that are named."""
    plugin, *identifiers = sys.argv[1:]
    with TemporaryDirectory() as folder:
        shown = stimuli(folder, 4)
        for identifier in identifiers:
            try:
                probe(identifier, shown)
            except Exception as error:
                traceback.print_exc()
                tell("model", "fail", f"{identifier}: {type(error).__name__}: {error}")
    found = find_spec("tensorflow")
    there = "is" if found and found.origin else "is not"
    imported = "imported" if "tensorflow" in sys.modules else "not imported"
    tell("backend", "pass", f"models/{plugin}: TensorFlow {there} installed, and {imported}")
    try:
        object_solution_times()
        tell("ost", "pass", "Brain-Score's ost metric runs beside the models (Kar2019-ost)")
    except Exception as error:
        traceback.print_exc()
        tell(
            "ost",
            "fail",
            f"models/{plugin} cannot be scored on Kar2019-ost: Brain-Score's ost metric fails in "
            f"the models' process ({type(error).__name__}: {error})",
        )


if __name__ == "__main__":
    main()

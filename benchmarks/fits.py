"""How fast fits are: all bins and splits, beside Brain-Score's metric on one bin and one split.

    python benchmarks/fits.py [--stimuli 1000 --features 25088 --neurons 100 --bins 20 --splits 10]

The features lie on disk, as `convrnns fit` has them. Each part runs in a process of its own.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

import numpy as np
import zarr

from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import Method, held_out, predictor, streaming_predictor
from convrnns_brainscore.fits.splits import make_splits
from convrnns_brainscore.fits.streamed_pls import bin_after_bin

PARTS = ("brain-score", "per-bin", "shared")


def make_data(path: Path, stimuli: int, features: int, neurons: int, bins: int) -> None:
    """Features and responses that share a latent space, bin by bin."""
    rng = np.random.default_rng(0)
    root = zarr.open_group(str(path), mode="w")
    shape, chunks = (stimuli, features, bins), (8, min(features, 32768), 1)
    held = root.create_dataset("features", shape=shape, chunks=chunks, dtype="f4", compressor=None)
    readout = rng.standard_normal((60, features)).astype(np.float32)
    weights = rng.standard_normal((20, neurons))
    responses = root.create_dataset(
        "responses", shape=(stimuli, neurons, bins), chunks=(stimuli, neurons, 1), dtype="f8"
    )
    for index in range(bins):
        latent = rng.standard_normal((stimuli, 60)).astype(np.float32)
        noise = rng.standard_normal((stimuli, features), np.float32)
        held[:, :, index] = latent @ readout + 2 * noise + 1
        responses[..., index] = latent[:, :20] @ weights + 4 * rng.standard_normal(
            (stimuli, neurons)
        )


def run(part: str, path: Path, number: int) -> float:
    """Seconds."""
    root = zarr.open_group(str(path), mode="r")
    features, responses = root["features"], root["responses"]
    stimuli, count, bins = features.shape
    splits, _ = make_splits(stimuli, number)
    method = Method("pls")
    if part == "brain-score":
        return brain_score(features[:, :, 0], responses[..., 0])
    start = time.perf_counter()
    if part == "per-bin":
        for index in range(bins):
            columns = range(0, count, 32768)
            gram = gram_matrix(features[:, first : first + 32768, index] for first in columns)
            held_out(predictor(method, gram), responses[..., index : index + 1], [], splits, 25)
    else:
        blocks = partial(bin_after_bin, features, range(bins))
        predict = streaming_predictor(method, blocks, stimuli * bins, count)
        held_out(predict, responses[:], [], splits, 25)
    return time.perf_counter() - start


def brain_score(features: np.ndarray, responses: np.ndarray) -> float:
    """Its ``pls`` on one bin and one split."""
    os.environ["TQDM_DISABLE"] = "1"
    from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
    from brainscore_vision import load_metric

    def assembly(values: np.ndarray) -> NeuroidAssembly:
        coords = {
            "stimulus_id": ("presentation", np.arange(len(values))),
            "object_name": ("presentation", np.arange(len(values)) % 8),
            "neuroid_id": ("neuroid", np.arange(values.shape[1])),
            "region": ("neuroid", ["IT"] * values.shape[1]),
        }
        return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"])

    metric = load_metric("pls", crossvalidation_kwargs={"splits": 1})
    source, target = assembly(features), assembly(responses)
    start = time.perf_counter()
    metric(source, target)
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    sizes = {"stimuli": 1000, "features": 25088, "neurons": 100, "bins": 20, "splits": 10}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--part", choices=PARTS, nargs="+", default=list(PARTS))
    parser.add_argument("--data", type=Path)
    given = parser.parse_args()
    if given.data is not None:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = run(given.part[0], given.data, given.splits)
        after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        print(seconds, before / 1e6, after / 1e6)
        return
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data.zarr"
        make_data(data, given.stimuli, given.features, given.neurons, given.bins)
        took = {}
        for part in given.part:
            command = [sys.executable, __file__, "--part", part, "--data", str(data)]
            command += ["--splits", str(given.splits)]
            told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            took[part], before, after = map(float, told.split())
            fits = 1 if part == "brain-score" else given.bins * given.splits
            line = f"{part}: {took[part]:.1f} s for {fits} fits, peak {after:.2f} GB"
            if part != "brain-score" and "brain-score" in took:
                line += f", {took['brain-score'] * fits / took[part]:.0f} × faster"
            print(f"{line} ({before:.2f} GB before)", flush=True)


if __name__ == "__main__":
    main()

"""Whether the network, layer and latency that made a recording are found, seed by seed.

    python benchmarks/recovery.py [--seeds 20]

Each seed simulates IT of a network, layer and latency drawn by chance (`simulate`), and chooses
among two networks, all their layers from conv3 on and latencies of −20 … 60 ms as `convrnns fit`
does for the map that it exports.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path

import numpy as np

from convrnns_brainscore import Presentation, load_network
from convrnns_brainscore.brainscore.activations import ActivationsExtractor
from convrnns_brainscore.brainscore.assemblies import in_region
from convrnns_brainscore.brainscore.simulate import compose_stimuli, simulate_recording
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import Method, predictor
from convrnns_brainscore.fits.reliability import Trials
from convrnns_brainscore.fits.selection import choose, inner_splits, validate
from convrnns_brainscore.fits.splits import make_splits

NETWORKS = {"simplernn_shallow, weights 0": 0, "simplernn_shallow, weights 1": 1}
"""A network whose features change over time by more than a factor, with two sets of weights. PLS
does not see a factor: an untrained timedecay network has no latency that could be found."""
LAYERS = ("conv3", "conv4", "conv5")
LATENCIES = (-20, 0, 20, 40, 60)
RECORDED = [(70, 80), (80, 90), (100, 110), (120, 130), (140, 150)]
STIMULI, NEURONS, REPETITIONS = 400, 100, 30


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=20)
    seeds = parser.parse_args().seeds
    bins = sorted({(a - late, b - late) for late in LATENCIES for a, b in RECORDED})
    with tempfile.TemporaryDirectory() as folder:
        stimuli = compose_stimuli(Path(folder), count=STIMULI, seed=0)
        splits, _ = make_splits(STIMULI, 10, stimuli["object_name"].tolist())
        inner = inner_splits(splits, None)
        seen, predict = {}, {}
        for name, weights in NETWORKS.items():
            network = load_network("simplernn_shallow", weights="random", seed=weights)
            extractor = ActivationsExtractor(network, Presentation.custom(17, 4))
            together = extractor(stimuli, layers=list(LAYERS), time_bins=bins)
            for layer in LAYERS:
                seen[name, layer] = together[:, together["layer"].values == layer]
                for index, each in enumerate(bins):
                    gram = gram_matrix([seen[name, layer].values[..., index]])
                    predict[name, layer, each] = predictor(Method("pls"), gram)
    print("| seed | network | layer | latency | found | nested r |\n|---|---|---|---|---|---|")
    right = 0
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        truth = (
            list(NETWORKS)[rng.integers(2)],
            LAYERS[rng.integers(3)],
            int(LATENCIES[1 + rng.integers(3)]),
        )
        shown = in_region(seen[truth[:2]], "IT")
        positions = [bins.index((a - truth[2], b - truth[2])) for a, b in RECORDED]
        recording = simulate_recording(
            shown[..., positions],
            stimuli,
            neurons=NEURONS,
            repetitions=REPETITIONS,
            inputs=2,
            latency=truth[2],
            seed=seed,
        )
        row = np.tile(np.arange(STIMULI), REPETITIONS)
        average = Trials(recording.values, row, STIMULI).average()
        responses = [np.ascontiguousarray(average[..., index]) for index in range(len(RECORDED))]
        candidates = [(name, layer) for name in NETWORKS for layer in LAYERS]
        shape = (len(candidates), len(LATENCIES), len(splits), len(RECORDED))
        validated, tested = np.full(shape, np.nan), np.full(shape, np.nan)
        for place, (name, layer) in enumerate(candidates):
            for column, latency in enumerate(LATENCIES):
                for index, (a, b) in enumerate(RECORDED):
                    fits = predict[name, layer, (a - latency, b - latency)]
                    both = validate(fits, [responses[index]], splits, inner)
                    validated[place, column, :, index] = both[0][:, 0]
                    tested[place, column, :, index] = both[1][:, 0]
        names = [", ".join(each) for each in candidates]
        choice = choose(names, list(LATENCIES), list(range(len(RECORDED))), validated, tested)
        found = choice.layer == ", ".join(truth[:2]) and choice.latency == truth[2]
        right += found
        told = "yes" if found else f"{choice.layer}, {choice.latency} ms"
        print(
            f"| {seed} | {truth[0]} | {truth[1]} | {truth[2]} ms | {told} | "
            f"{choice.score.mean():.2f} |",
            flush=True,
        )
    print(f"\n{right} of {seeds}")


if __name__ == "__main__":
    main()

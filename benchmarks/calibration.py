"""Whether errors and tests are what they say, on data in which nothing differs.

    python benchmarks/calibration.py

Each row: how often a nominal 5 % was called a difference where there is none, of so many made
recordings, with the two-sided 95 % binomial interval around 5 %.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import binom

from convrnns_brainscore.fits.gram import gram_of
from convrnns_brainscore.fits.heldout import Method, held_out, predictor
from convrnns_brainscore.fits.resampling import (
    draw_neurons,
    draw_stimuli,
    resampled_scores,
    standard_error,
)
from convrnns_brainscore.fits.splits import make_splits
from convrnns_brainscore.fits.statistics import holm, paired_test

RUNS = 1000


def differences(rng: np.random.Generator, neurons: int, cells: int, noise: str) -> np.ndarray:
    """Of neurons that prefer neither model: cells that go together, normal or heavy-tailed."""
    shape = neurons, cells
    raw = rng.standard_t(2, shape) if noise == "heavy tails" else rng.standard_normal(shape)
    return np.cumsum(raw, axis=1) / np.sqrt(np.arange(1, cells + 1)) if cells > 1 else raw


def one_pair(rng: np.random.Generator, noise: str, neurons: int) -> bool:
    return bool((paired_test(differences(rng, neurons, 1, noise)) < 0.05).any())


def over_bins(rng: np.random.Generator, noise: str, neurons: int) -> bool:
    return bool((paired_test(differences(rng, neurons, 26, noise)) < 0.05).any())


def over_models(rng: np.random.Generator, noise: str, neurons: int) -> bool:
    r = differences(rng, neurons, 4, noise)
    p = [paired_test(r[:, [a]] - r[:, [b]])[0] for a, b in combinations(range(4), 2)]
    return bool((holm(p) < 0.05).any())


def errors(stimuli: int, neurons: int, runs: int) -> tuple[float, ...]:
    """Of a score and of the difference of two equal models, both fitted by ridge anew each time:
    its SD over fresh stimuli and neurons, and the mean error; how often the difference is within
    1.96 errors of 0."""
    splits, _ = make_splits(stimuli)
    everything = np.ones((1, stimuli), np.float32), [np.arange(neurons)[None]]
    drawn = draw_stimuli(stimuli), [draw_neurons(["one"] * neurons)]
    found: dict[str, list[float]] = {name: [] for name in ("score", "error", "difference", "its")}
    for run in range(runs):
        rng = np.random.default_rng(run)
        latent = rng.standard_normal((stimuli, 20))
        observed = latent @ rng.standard_normal((20, neurons)) / 4
        observed += rng.uniform(0.5, 2, neurons) * rng.standard_normal(observed.shape)
        once, again = [], []
        for _ in range(2):
            features = latent @ rng.standard_normal((20, 200))
            features += 4 * rng.standard_normal(features.shape)
            predict = predictor(Method("ridge", penalty=1000.0), gram_of(features))
            fitted = held_out(predict, observed[..., None], [], splits, 1).predicted
            each = (fitted, observed[..., None], splits)
            once.append(resampled_scores(*each, *everything)[:, 0, 0, 0])
            again.append(resampled_scores(*each, *drawn)[:, 0, :, 0])
        found["score"].append(float(once[0][0]))
        found["error"].append(float(standard_error(again[0][0])))
        found["difference"].append(float(once[0][1] - once[1][1]))
        found["its"].append(float(standard_error(again[0][1] - again[1][1])))
    within = abs(np.array(found["difference"])) <= 1.96 * np.array(found["its"])
    told = [
        float(each(found[name])) for name, each in zip(found, (np.std, np.mean) * 2, strict=True)
    ]
    return (*told, float(within.mean()))


def main() -> None:
    low, high = binom.interval(0.95, RUNS, 0.05)
    print(f"{RUNS} recordings each; 5 % is {low / RUNS:.3f}–{high / RUNS:.3f}\n")
    print("| test | noise | neurons | called different |\n|---|---|---|---|")
    for name, test in (
        ("two models", one_pair),
        ("any of 26 bins", over_bins),
        ("any of 6 pairs of 4 models (Holm)", over_models),
    ):
        for noise in ("normal", "heavy tails"):
            for neurons in (8, 50):
                rng = np.random.default_rng(0)
                called = sum(test(rng, noise, neurons) for _ in range(RUNS))
                print(f"| {name} | {noise} | {neurons} | {called / RUNS:.3f} |", flush=True)
    print(
        "\n| stimuli | neurons | SD of the score | mean error | SD of the difference | mean error "
        "| within 1.96 errors |\n|---|---|---|---|---|---|---|"
    )
    for stimuli, neurons in ((60, 8), (60, 50), (200, 30), (200, 100)):
        told = " | ".join(f"{value:.4f}" for value in errors(stimuli, neurons, 100))
        print(f"| {stimuli} | {neurons} | {told} |", flush=True)


if __name__ == "__main__":
    main()

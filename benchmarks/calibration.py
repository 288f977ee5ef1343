"""Whether errors and tests are what they say, on data in which nothing differs.

    python benchmarks/calibration.py

Each row: how often a nominal 5 % was called a difference where there is none, of so many made
recordings, with the two-sided 95 % binomial interval around 5 %.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
from scipy.stats import binom

from convrnns_brainscore.fits.resampling import draw_neurons, draw_stimuli, resampled_medians
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


def errors(stimuli: int, neurons: int, runs: int) -> tuple[float, float, float]:
    """SD of the score over fresh stimuli and neurons, mean error, and how often the score is within
    1.96 errors of its expectation."""
    splits, _ = make_splits(stimuli)
    everything = np.ones((1, stimuli), np.float32), [np.arange(neurons)[None]]
    drawn = draw_stimuli(stimuli), [draw_neurons(["one"] * neurons)]
    scores, spread = [], []
    for run in range(runs):
        rng = np.random.default_rng(run)
        truth = rng.standard_normal((stimuli, 5)) @ rng.standard_normal((5, neurons))
        predicted = truth + 2 * rng.standard_normal((stimuli, neurons))
        observed = truth + rng.uniform(1, 4, neurons) * rng.standard_normal((stimuli, neurons))
        each = [predicted[split.test, :, None] for split in splits]
        scores.append(resampled_medians(each, observed[..., None], splits, *everything).item())
        spread.append(resampled_medians(each, observed[..., None], splits, *drawn)[0].std(ddof=1))
    off = abs(np.array(scores) - np.mean(scores))
    return np.std(scores), float(np.mean(spread)), float((off <= 1.96 * np.array(spread)).mean())


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
    print("\n| stimuli | neurons | SD of the score | mean error | within 1.96 errors |")
    print("|---|---|---|---|---|")
    for stimuli, neurons in ((100, 20), (400, 20), (400, 100)):
        actual, told, within = errors(stimuli, neurons, 200)
        print(f"| {stimuli} | {neurons} | {actual:.4f} | {told:.4f} | {within:.3f} |", flush=True)


if __name__ == "__main__":
    main()

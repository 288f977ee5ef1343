"""Ridge with a penalty chosen for each neuron, beside scikit-learn's and himalaya's.

``python benchmarks/ridge.py``; himalaya is measured where it is installed. The task is that of one
layer of a fit: 900 stimuli, 173 neurons, and the responses at seven latencies, for two of its ten
splits. Seconds of processor time, in one run on one machine.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn.linear_model import RidgeCV

from convrnns_brainscore.fits.gram import coordinates, gram_of
from convrnns_brainscore.fits.heldout import Method, Task, predictor
from convrnns_brainscore.fits.ridge import PENALTIES
from convrnns_brainscore.fits.splits import make_splits

STIMULI, FEATURES, NEURONS, SPLITS, LATENCIES = 900, 8192, 173, 2, 7


def seconds(call: Callable[[], Any]) -> tuple[float, Any]:
    """Processor time of a call, and its result."""
    began = time.process_time()
    result = call()
    return time.process_time() - began, result


def main() -> None:
    """Measure and print."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((STIMULI, FEATURES)) * np.arange(1, FEATURES + 1) ** -0.6
    weights = rng.standard_normal((FEATURES, NEURONS))
    clean = features @ weights
    responses = [clean + clean.std() * rng.standard_normal(clean.shape) for _ in range(LATENCIES)]
    splits, _ = make_splits(STIMULI, SPLITS)
    gram = gram_of(features)
    rows = coordinates(gram)

    def ours(name: str) -> Any:
        predict = predictor(Method(name), gram)
        return [predict([Task(each, split) for each in responses]) for split in splits]

    def library(make: Callable[[], Any]) -> Any:
        return [
            [
                make().fit(rows[split.train], each[split.train]).predict(rows[split.test])
                for each in responses
            ]
            for split in splits
        ]

    measured = {"this package's PLS, 25 components": seconds(lambda: ours("pls"))}
    measured["this package's ridge"] = seconds(lambda: ours("ridge"))
    measured["scikit-learn's RidgeCV"] = seconds(
        lambda: library(lambda: RidgeCV(PENALTIES, alpha_per_target=True))
    )
    try:
        from himalaya.kernel_ridge import KernelRidgeCV
    except ImportError:
        print("himalaya is not installed: pip install himalaya")
    else:
        measured["himalaya's KernelRidgeCV, 5 folds"] = seconds(
            lambda: library(lambda: KernelRidgeCV(alphas=PENALTIES, cv=5))
        )
    own = measured["this package's ridge"][0]
    for name, (taken, _) in measured.items():
        print(f"{name:45} {taken:7.1f} s  {taken / own:5.1f} × this package's ridge")
    ridge, other = (
        measured[name][1] for name in ("this package's ridge", "scikit-learn's RidgeCV")
    )
    apart = max(
        float(abs(a.responses - b).max())
        for one, two in zip(ridge, other, strict=True)
        for a, b in zip(one, two, strict=True)
    )
    print(f"predictions differ from scikit-learn's by {apart:.1e} at most")


if __name__ == "__main__":
    main()

"""How long a score will take on this machine."""

from __future__ import annotations

import numpy as np

from convrnns_brainscore.brainscore.plan import Plan
from convrnns_brainscore.choices import SolverName
from convrnns_brainscore.duration import Duration, feature_seconds, product_seconds, seconds
from convrnns_brainscore.fits.heldout import Method, Task, predictor
from convrnns_brainscore.fits.pls import COMPONENTS
from convrnns_brainscore.fits.splits import TEST_SHARE, make_splits

SPLITS = 10
"""Of Brain-Score's cross-validation."""

ITERATIONS = 40
"""Of scikit-learn's PLS for a component: 23–48, means over 25 components, on features of `conv5`
and macaque V4 (100 and 270 stimuli, 10 and 50 neurons)."""

COLUMNS = 4096
"""Features whose products are timed; more take as many times longer."""


def score_duration(plan: Plan) -> Duration:
    """Estimate a score; the fits of metrics other than PLS and ridge are not estimated."""
    experiment, model = plan.experiment, plan.subject.network.model
    features = feature_seconds(model, experiment.stimuli, plan.presentation.times)
    _, _, kind = experiment.metric.rpartition("_")
    if kind not in ("pls", "ridge") or not plan.layers:
        return Duration(features, None)
    bins = max(len(experiment.time_bins), 1)
    spanned = experiment.metric.startswith("spantime_")
    rows = int((1 - TEST_SHARE) * experiment.stimuli * (bins if spanned else 1))
    fits = SPLITS * (1 if spanned else bins)
    if plan.solver is SolverName.exact:
        return Duration(features, None if spanned else fits * _exact_seconds(plan, kind))
    if kind == "ridge":
        return Duration(features, fits * product_seconds(rows, plan.neuroids, rows))
    few = np.ones((rows, min(plan.neuroids, COLUMNS)))
    scores, weights = np.ones(rows), np.ones(few.shape[1])
    for_few = min(seconds(lambda: (scores @ few, few @ weights)) for _ in range(3))
    iteration = for_few * plan.neuroids / few.shape[1]
    return Duration(features, fits * COMPONENTS * ITERATIONS * iteration)


def _exact_seconds(plan: Plan, kind: str) -> float:
    """Seconds of one exact fit: its inner products, and what follows from them."""
    stimuli = plan.experiment.stimuli
    rng = np.random.default_rng(0)
    features = rng.standard_normal((stimuli, stimuli))
    predict = predictor(Method(kind), features @ features.T)
    splits, _ = make_splits(stimuli, 2)
    responses = rng.standard_normal((stimuli, plan.experiment.neurons or 100))
    tasks = [Task(responses, split) for split in splits]
    inner = product_seconds(stimuli, plan.neuroids, stimuli) / SPLITS  # all splits share them
    return inner + seconds(lambda: predict(tasks)) / len(tasks)

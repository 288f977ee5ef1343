"""Test whether regions differ in selected layer or latency, paired over splits.

Each split's training stimuli select a layer and a latency for each region (`selection.choose`). The
splits share most of their stimuli, so that the variance over splits is too small by the share of
test to training stimuli: it is corrected as Nadeau & Bengio (2003, Machine Learning 52:239) do for
resampled comparisons.
"""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.stats import t as student_t

from convrnns_brainscore.fits.results import Results, region_choices
from convrnns_brainscore.fits.statistics import holm
from convrnns_brainscore.networks.backbones import layer_names
from convrnns_brainscore.zoo import find_model

DEPTH, LATENCY = QUANTITIES = ("depth", "latency_ms")
"""The position of a layer in its network, from 1 on, and the latency in ms."""

ALIKE = "all splits agree"
"""Why there is no p: without variance there is no test."""

NO_LATENCY = "r does not depend on the latency: the latency is set to 0"
"""Of a region whose latency cannot be determined."""


def corrected_error(values: ArrayLike, tested: float) -> float:
    """The standard error of a mean over splits of the same stimuli.

    Parameters
    ----------
    values : array-like [split]
        One value for each split.
    tested : float
        Test stimuli over training stimuli.

    Examples
    --------
    >>> round(corrected_error([0, 10, 0, 10], tested=1 / 9), 2)
    3.47
    """
    values = np.asarray(values, float)
    return float(np.sqrt((1 / len(values) + tested) * values.var(ddof=1)))


def differences_table(results: Results) -> pd.DataFrame:
    """The layer's depth and the latency of each region, and how each two regions differ.

    Parameters
    ----------
    results : Results
        Results of fits.

    Returns
    -------
    DataFrame
        A row for each model, quantity and region, and for each two regions (``first``, ``second``):
        ``value`` (the mean over splits, or its difference, first less second), ``error``, and for
        differences ``p`` (two-sided, corrected for the pairs by Holm's procedure) or ``untested``,
        which says why there is none, or why a latency cannot be determined.
    """
    rows = []
    test = results.root["test"].values
    tested = float(test.sum(axis=1).mean() / (test.shape[1] - test.sum(axis=1)).mean())
    for model in results.models:
        choices = region_choices(results, model)
        if not choices:
            continue
        layers = layer_names(find_model(results.made_by(model)["model"]))
        chosen = {
            region: {
                DEPTH: np.array([layers.index(layer) + 1.0 for layer, _, _ in choice.chosen]),
                LATENCY: np.array([float(latency) for _, latency, _ in choice.chosen]),
            }
            for region, choice in choices.items()
        }
        for quantity in QUANTITIES:
            weights = results.made_by(model).get("weights", "none")
            common = {"model": model, "quantity": quantity, "weights": weights}
            for region, values in chosen.items():
                told = quantity == DEPTH or choices[region].tells_latency
                unclear = {} if told else {"untested": NO_LATENCY}
                rows.append(
                    {**common, "first": region, **unclear, **_mean(values[quantity], tested)}
                )
            pairs = list(combinations(chosen, 2))
            found = [
                _difference(chosen[first][quantity], chosen[second][quantity], tested)
                for first, second in pairs
            ]
            corrected = holm([each["p"] for each in found])
            for (first, second), each, p in zip(pairs, found, corrected, strict=True):
                untested = ALIKE if np.isnan(p) else ""
                both = {"first": first, "second": second, "untested": untested}
                rows.append({**common, **both, **each, "p": float(p)})
    columns = ["model", "quantity", "first", "second", "value", "error", "p", "untested", "weights"]
    return pd.DataFrame(rows, columns=columns).fillna({"second": "", "untested": ""})


def _mean(values: NDArray[np.float64], tested: float) -> dict[str, float]:
    return {"value": float(values.mean()), "error": corrected_error(values, tested)}


def _difference(
    first: NDArray[np.float64], second: NDArray[np.float64], tested: float
) -> dict[str, float]:
    """The mean difference with its error and p, which is NaN where all splits agree."""
    found = _mean(first - second, tested)
    p = np.nan
    if found["error"] > 0:
        p = 2 * student_t.sf(abs(found["value"]) / found["error"], len(first) - 1)
    return {**found, "p": float(p)}

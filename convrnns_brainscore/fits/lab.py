"""Fits to several recordings in one table: models over regions, beside their ImageNet accuracy."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import product

import numpy as np
import pandas as pd
from scipy.stats import permutation_test, spearmanr

from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.results import Results, best_layer, region_choice, time_bins
from convrnns_brainscore.weights import FINE_TUNED, UNTRAINED
from convrnns_brainscore.zoo import find_model

FEWEST_MODELS = 5
"""With fewer, a rank correlation over models has no p below .05."""

PERMUTATIONS = 9999
"""Of the models' order; all of them where there are fewer."""


_EDGES = ("best_bin_start", "best_bin_end")
# Columns, and the fields of `results.Predictivity`.
_VALUES = {
    "best_r": "r",
    "error": "error",
    "ceiling": "ceiling",
    "normalised": "normalised",
    "noise_corrected_r": "noise_corrected",
}


def lab_table(results: Mapping[str, Results]) -> pd.DataFrame:
    """A row for each recording, region and model.

    Parameters
    ----------
    results : mapping of str to Results
        The recording's name → its fits.

    Returns
    -------
    DataFrame
        ``recording``, ``region``, ``model``, ``weights``, ``lesion``, ``precision``, ``method`` and
        ``time`` (of the fits), ``top1`` (published accuracy in %; of the control none), ``layer``
        and ``latency_ms`` that were selected, ``nested_r`` (mean over splits and bins) and
        ``nested_r_sd`` (over splits), ``best_layer`` and its best bin (``best_bin_start``,
        ``best_bin_end``, in ms) with ``best_r``, its ``error``, ``ceiling``, ``normalised`` and
        ``noise_corrected_r`` (all selected on test stimuli), ``neurons`` (with a score there),
        ``stimuli``.
    """
    rows = []
    for recording, found in results.items():
        settings = json.loads(found.root.attrs["settings"])
        for region in found.regions:
            for model in found.models:
                made_by = found.made_by(model)
                row = {
                    "recording": recording,
                    "region": region,
                    "model": model,
                    "weights": made_by.get("weights", "none"),
                    "lesion": made_by.get("lesion", "none"),
                    "precision": made_by.get("precision", "float32"),
                    "method": settings.get("method", ""),
                    "time": settings.get("time", ""),
                    "top1": np.nan if model == control.NAME else find_model(made_by["model"]).top1,
                }
                rows.append({**row, **_nested(found, model, region), **_best(found, model, region)})
    return pd.DataFrame(rows)


def same_recordings(results: Mapping[str, Results]) -> list[str]:
    """A line for each two entries that hold fits of one model to the same responses.

    Parameters
    ----------
    results : mapping of str to Results
        As in `lab_table`.
    """
    first: dict[tuple[str, ...], str] = {}
    lines = []
    for recording, found in results.items():
        settings = json.loads(found.root.attrs["settings"])
        for region, model in product(found.regions, found.models):
            if model == control.NAME:
                continue
            same = (settings.get(name, "") for name in ("recording", "method", "time"))
            fit = (*same, region, model)
            other = first.setdefault(fit, recording)
            if other != recording:
                lines.append(
                    f"{other} and {recording} hold the same fit of {model} to the same responses "
                    f"in {region}: they are not two recordings."
                )
    return lines


def _nested(results: Results, model: str, region: str) -> dict[str, object]:
    choice = region_choice(results, model, region)
    if choice is None:
        return {"layer": "", "latency_ms": np.nan, "nested_r": np.nan, "nested_r_sd": np.nan}
    return {
        "layer": choice.layer,
        "latency_ms": choice.latency,
        **dict(zip(("nested_r", "nested_r_sd"), choice.nested, strict=True)),
    }


def _best(results: Results, model: str, region: str) -> dict[str, object]:
    best = best_layer(results, model, region)
    stimuli = results.root.sizes["stimulus"]
    if best is None or best.bin is None:
        nothing = dict.fromkeys([*_EDGES, *_VALUES], np.nan)
        return {"best_layer": "", **nothing, "neurons": 0, "stimuli": stimuli}
    values, at = best.values, best.bin
    edges = dict(zip(_EDGES, time_bins(results.root)[at], strict=True))
    numbers = {name: getattr(values, field)[at] for name, field in _VALUES.items()}
    sizes = {"neurons": int(values.neurons[at]), "stimuli": stimuli}
    return {"best_layer": best.layer, **edges, **numbers, **sizes}


def accuracy_correlation(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of published accuracy and nested r over whole, trained models.

    Parameters
    ----------
    table : DataFrame
        Of `lab_table`.

    Returns
    -------
    DataFrame
        A row for each recording and region: ``models``, ``rho``, ``p`` (two-sided, by permutation
        of the models: exact up to 7 models), and ``untested``, which says why there is none.

    Examples
    --------
    >>> table = pd.DataFrame(
    ...     {
    ...         "recording": "v4", "region": "V4", "lesion": "none", "weights": "given",
    ...         "top1": [50.0, 60, 65, 70, 73], "nested_r": [0.3, 0.35, 0.34, 0.4, 0.45],
    ...     }
    ... )
    >>> accuracy_correlation(table)[["models", "rho", "p"]].round(3).values.tolist()
    [[5.0, 0.9, 0.083]]
    """
    rows = []
    places = dict.fromkeys(zip(table["recording"], table["region"], strict=True))
    whole = table[(table["lesion"] == "none") & table["top1"].notna() & table["nested_r"].notna()]
    trained = whole[~whole["weights"].str.startswith((UNTRAINED, FINE_TUNED))]
    for recording, region in places:
        here = trained[(trained["recording"] == recording) & (trained["region"] == region)]
        row = {"recording": recording, "region": region, "models": len(here)}
        if len(here) < FEWEST_MODELS:
            needed = f"{FEWEST_MODELS} trained models are needed"
            rows.append({**row, "rho": np.nan, "p": np.nan, "untested": needed})
            continue
        accuracy, r = here["top1"].to_numpy(), here["nested_r"].to_numpy()
        found = permutation_test(
            (accuracy,),
            lambda order, r=r: spearmanr(order, r).statistic,
            permutation_type="pairings",
            n_resamples=PERMUTATIONS,
            random_state=0,
        )
        rho = round(float(found.statistic), 6)
        rows.append({**row, "rho": rho, "p": float(found.pvalue), "untested": ""})
    columns = ["recording", "region", "models", "rho", "p", "untested"]
    return pd.DataFrame(rows, columns=columns)

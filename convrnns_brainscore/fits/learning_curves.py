"""Learning curves of fits: read from results, extrapolated, and as a table."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.fits.correlation import nanmean, nanmedian, spearman_brown
from convrnns_brainscore.fits.learning import MORE, extrapolated
from convrnns_brainscore.fits.reliability import MIN_CEILING
from convrnns_brainscore.fits.results import (
    MIN_RELIABILITY,
    UNRELIABLE,
    Results,
    correct_for_noise,
    regions_of,
    time_bins,
)

Array = NDArray[np.float64]


@dataclass(frozen=True)
class LearningCurve:
    """How a layer's predictivity of a region grows with the number of training stimuli.

    Attributes
    ----------
    time_bin : int
        The bin that the layer predicts best.
    stimuli : float64 array [size]
        Numbers of training stimuli: of each of `learning.SHARES`, and all. Means over splits.
    r, noise_corrected : float64 array [size]
        As of `Predictivity`; NaN where the stimuli are too few for the method.
    r_with_more, noise_corrected_with_more : float
        Extrapolated to `learning.MORE` times all training stimuli (`learning.extrapolated`).
    """

    time_bin: int
    stimuli: Array
    r: Array
    noise_corrected: Array
    r_with_more: float
    noise_corrected_with_more: float


def learning_curve(results: Results, model: str, layer: str, region: str) -> LearningCurve | None:
    """A layer's learning curve; None where there is none: no bin is defined, or weights are shared
    over time."""
    fit = results.fits[model, layer]
    if "learning_r" not in fit or region not in fit["learning_region"].values:
        return None
    place = fit["learning_region"].values.tolist().index(region)
    time_bin = int(fit["learning_bin"].values[place])
    here, whole = results.neurons_of(fit, region), results.predictivity(model, layer, region)
    halves = results.root["half_correlation"].values[:, results.neurons(region)]
    reliable = spearman_brown(nanmean(halves))[:, time_bin] >= MIN_RELIABILITY
    known = reliable & (whole.ceiling[time_bin] >= MIN_CEILING)
    response_halves = fit["response_halves"].values[:, here, time_bin]
    r, corrected = [], []
    for of_splits, of_halvings in zip(
        fit["learning_r"].values[:, :, here],
        fit["learning_prediction_halves"].values[:, :, here],
        strict=True,
    ):
        r.append(float(nanmean(nanmedian(of_splits, axis=1))))
        each = correct_for_noise(of_splits, of_halvings, response_halves)
        corrected.append(float(nanmedian(np.where(known, each, np.nan))))
    stimuli = fit["training_stimuli"].values.mean(axis=1)
    ceiling = whole.ceiling[time_bin]
    return LearningCurve(
        time_bin,
        stimuli,
        np.array(r),
        np.array(corrected),
        extrapolated(stimuli, r, MORE * stimuli[-1], np.sqrt(ceiling) if ceiling > 0 else 1),
        extrapolated(stimuli, corrected, MORE * stimuli[-1]),
    )


def learning_curves(results: Results) -> pd.DataFrame:
    """One row for each model, region, layer and number of training stimuli; the last of a layer is
    extrapolated."""
    rows = []
    for model, layer in results.fits:
        for region in regions_of(results.fits[model, layer]):
            curve = learning_curve(results, model, layer, region)
            if curve is None:
                continue
            start, end = time_bins(results.root)[curve.time_bin]
            more = MORE * curve.stimuli[-1], curve.r_with_more, curve.noise_corrected_with_more
            measured = zip(curve.stimuli, curve.r, curve.noise_corrected, strict=True)
            for index, (stimuli, r, corrected) in enumerate([*measured, more]):
                extrapolated_to = index == len(curve.stimuli)
                rows.append(
                    {
                        "model": model,
                        "region": region,
                        "layer": layer,
                        "time_bin_start": start,
                        "time_bin_end": end,
                        "training_stimuli": round(float(stimuli)),  # splits may differ by one
                        "extrapolated": extrapolated_to,
                        "score": r,
                        "noise_corrected_r": corrected,
                        "undefined": _undefined_part(r, corrected, curve, extrapolated_to),
                        "weights": results.made_by(model).get("weights", "none"),
                    }
                )
    return pd.DataFrame(rows)


def _undefined_part(r: float, corrected: float, curve: LearningCurve, extrapolated_to: bool) -> str:
    """Why a part of a learning curve has no r or no noise-corrected r, or empty."""
    if np.isfinite(corrected):
        return ""
    if not np.isfinite(r):
        return _not_extrapolated("r", curve.r) if extrapolated_to else "too few training stimuli"
    if extrapolated_to and np.isfinite(curve.noise_corrected).any():
        return _not_extrapolated("noise-corrected r", curve.noise_corrected)
    return f"no noise-corrected r: {UNRELIABLE}"


def _not_extrapolated(name: str, measured: Array) -> str:
    if np.isfinite(measured).sum() < 3:
        return f"{name} is defined for too few sizes to extrapolate it"
    return f"{name} falls as stimuli are added and is not extrapolated"

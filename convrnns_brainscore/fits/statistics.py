"""Test differences between two layers or two models over time, paired over neurons.

For each neuron, d is the difference in r between the two. If neither predicts better, d is as
often positive as negative: the signs of all of a neuron's differences are flipped at random
together, and the observed t is compared with those of `FLIPS` flips (all of them, where they are
fewer). Over several bins or layers each t is compared with the greatest |t| of a flip (maximum
statistic: Nichols & Holmes 2002), which bounds the chance of one false difference among all of
them. Over several pairs of models, p is corrected by Holm's procedure.

These tests generalise to other neurons, for the stimuli that were shown. The standard errors
(`resampling`) generalise to other stimuli as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.resampling import MOST_NEURONS, standard_error
from convrnns_brainscore.fits.results import (
    MEAN,
    Results,
    fitted_layers,
    ranked_layers,
    region_choice,
    resampled,
)

FLIPS = 10_000
SEED = 0
SAME = 1e-5
"""Scores that differ by less are the same predictions: fits agree to so much on another machine."""

FEWEST_NEURONS = 6
"""Of fewer, all signs alike is no rarer than 1 in 16 (two-sided)."""

Array = NDArray[np.float64]


def paired_test(differences: Array) -> Array:
    """p of each cell, two-sided, corrected for all of them by the maximum statistic.

    Of more than `MOST_NEURONS` neurons, so many are drawn at random.

    Parameters
    ----------
    differences : float64 array [neuron, cell]
        NaN where a neuron has none.

    Returns
    -------
    float64 array [cell]
        Above 0; NaN where fewer than `FEWEST_NEURONS` neurons have a difference.
    """
    if len(differences) > MOST_NEURONS:
        chosen = np.random.default_rng(SEED).choice(len(differences), MOST_NEURONS, replace=False)
        differences = differences[chosen]
    counts = np.isfinite(differences).sum(axis=0)
    tested = counts >= FEWEST_NEURONS
    p = np.full(differences.shape[1], np.nan)
    if not tested.any():
        return p
    d, counts = np.nan_to_num(differences[:, tested]), counts[tested].astype(np.float32)
    d = (d / np.maximum(abs(d).max(axis=0), np.finfo(float).tiny)).astype(np.float32)
    means = _signs(len(d)) @ d / counts  # [flip, cell]
    variances = np.maximum((d**2).sum(axis=0) - counts * means**2, 0) / (counts - 1)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(means == 0, 0, abs(means) / np.sqrt(variances / counts))
    greatest = t.max(axis=1)
    # Flips that give the same t may differ in its last bits.
    p[tested] = (greatest[:, None] >= t[0] * (1 - 1e-5)).mean(axis=0)
    return p


@lru_cache(1)
def _signs(neurons: int) -> NDArray[np.float32]:
    """Flips [flip, neuron], the first of them none: all, or none and `FLIPS` at random."""
    if 2**neurons <= FLIPS:
        bits = np.arange(2**neurons)[:, None] >> np.arange(neurons)
        return (1 - 2 * (bits & 1)).astype(np.float32)
    signs = np.random.default_rng(SEED).integers(0, 2, (FLIPS + 1, neurons), np.int8) * 2 - 1
    signs[0] = 1
    return signs.astype(np.float32)


def holm(p: Sequence[float]) -> Array:
    """p corrected for their number (Holm 1979); what is NaN is not counted."""
    values = np.asarray(p, float)
    known = np.flatnonzero(np.isfinite(values))
    order = known[np.argsort(values[known], kind="stable")]
    corrected = np.full(len(values), np.nan)
    steps = values[order] * np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(steps), 1)
    return corrected


@dataclass(frozen=True)
class Comparison:
    """How two fits to a region differ: the first less the second.

    Attributes
    ----------
    region, first, second : str
        What is compared.
    neurons : int
        How many have a difference.
    difference : float
        Difference of r, mean over neurons and bins; NaN where there is none.
    error : float
        Its standard error over other stimuli and neurons (`resampling`).
    p : float
        Of the difference meaned over bins.
    over_time : float64 array [bin]
        The difference, mean over neurons.
    error_over_time : float64 array [bin]
        Its standard error.
    p_over_time : float64 array [bin]
        Corrected over bins.
    untested : str
        Why there is no p, or empty.
    counted : bool array [bin]
        Bins that the means are over.
    """

    region: str
    first: str
    second: str
    neurons: int
    difference: float
    error: float
    p: float
    over_time: Array
    error_over_time: Array
    p_over_time: Array
    untested: str
    counted: NDArray[np.bool_]


def compare(
    region: str,
    names: tuple[str, str],
    first: tuple[Array, Array],
    second: tuple[Array, Array],
) -> Comparison:
    """Compare two fits, paired over neurons.

    Parameters
    ----------
    region, names
        What is compared.
    first, second : (float64 array, float64 array)
        r [neuron, bin] of each, of the same neurons and NaN where it is undefined, and its
        resampled means over neurons [resample, bin], drawn alike.
    """
    d = _apart(first[0], second[0])
    overall = nanmean(d, axis=1)
    neurons = int(np.isfinite(overall).sum())
    untested = ""
    if not neurons:
        untested = "no bin in which both are defined"
    elif neurons < FEWEST_NEURONS:
        untested = f"{neurons} neurons are too few: {FEWEST_NEURONS} are needed"
    common = np.isfinite(d).any(axis=0)
    with np.errstate(invalid="ignore"):
        drawn = nanmean((first[1] - second[1])[:, common], axis=1)
    return Comparison(
        region,
        *names,
        neurons,
        float(nanmean(overall)),
        float(standard_error(drawn[:, None])[0]),
        float(paired_test(overall[:, None])[0]),
        nanmean(d),
        np.where(common, standard_error(first[1] - second[1]), np.nan),
        paired_test(d),
        untested,
        common,
    )


def in_common_bins(
    fits: Sequence[tuple[Array, Array]], deciding: Sequence[int]
) -> list[tuple[Array, Array]]:
    """Fits with values in the same bins and of the same neurons.

    A bin counts where one of the deciding fits has any r. A fit that has none there, since its
    features say nothing about the image (a lesion has silenced its layer, or the image has not
    reached it), predicts nothing: r = 0, as where a layer is chosen (`selection.choose`).

    Parameters
    ----------
    fits : sequence of (float64 array, float64 array)
        r [neuron, bin] and its resampled means over neurons [resample, bin] of each.
    deciding : sequence of int
        Positions of fits; the control, which is the image itself, is defined where no network is.
    """
    counted = np.any([np.isfinite(fits[index][0]).any(axis=0) for index in deciding], axis=0)
    measured = np.any([np.isfinite(r) for r, _ in fits], axis=0) & counted
    found = []
    for r, drawn in fits:
        nothing = counted & np.isnan(drawn).all(axis=0)
        kept = np.where(counted, drawn, np.nan)
        found.append((np.where(measured, np.nan_to_num(r), np.nan), np.where(nothing, 0.0, kept)))
    return found


def runner_up(results: Results, model: str, region: str) -> Comparison | None:
    """A model's best layer less the next; None where it has only one."""
    ranked = ranked_layers(results, model, region)[:2]
    if len(ranked) < 2:
        return None
    fits = [results.fits[model, each.layer] for each in ranked]
    both = [(_r(results, fit, region), resampled(fit, region, statistic=MEAN)) for fit in fits]
    first, second = in_common_bins(both, range(2))
    return compare(region, (ranked[0].layer, ranked[1].layer), first, second)


def compare_models(results: Results, region: str) -> list[Comparison]:
    """Every two models; p is corrected over the pairs by Holm's procedure.

    Each model stands with the layer that each split's training stimuli chose, tested on that
    split's test stimuli: more layers to choose from do not flatter it. The error is of the layer
    that most splits chose. All pairs are compared in the same bins (`in_common_bins`).
    """
    chosen = {
        model: _chosen(results, model, region)
        for model in results.models
        if fitted_layers(results, model, region)
    }
    if not chosen:
        return []
    networks = [index for index, model in enumerate(chosen) if model != control.NAME]
    alike = in_common_bins(list(chosen.values()), networks or range(len(chosen)))
    chosen = dict(zip(chosen, alike, strict=True))
    found = [compare(region, (a, b), chosen[a], chosen[b]) for a, b in combinations(chosen, 2)]
    corrected = holm([each.p for each in found])
    return [replace(each, p=float(p)) for each, p in zip(found, corrected, strict=True)]


@dataclass(frozen=True)
class ByLayer:
    """How two models differ in each layer that both have and each bin: the first less the second.

    Attributes
    ----------
    region, first, second, layers
        What is compared.
    difference : float64 array
        Difference of r, mean over neurons, [layer, bin].
    p : float64 array [layer, bin]
        Corrected over layers and bins.
    """

    region: str
    first: str
    second: str
    layers: list[str]
    difference: Array
    p: Array


def compare_layers(results: Results, first: str, second: str, region: str) -> ByLayer:
    """Two models layer by layer, such as a network and the same with a lesion.

    Raises
    ------
    ConvRNNError
        They have no layer in common.
    """
    theirs = fitted_layers(results, second, region)
    layers = [layer for layer in fitted_layers(results, first, region) if layer in theirs]
    if not layers:
        raise ConvRNNError(
            f"{first} and {second} have no layer in common that was fitted to {region}."
        )
    differences = []
    for layer in layers:
        fits = [results.fits[model, layer] for model in (first, second)]
        both = [(_r(results, fit, region), resampled(fit, region, statistic=MEAN)) for fit in fits]
        (one, _), (other, _) = in_common_bins(both, range(2))
        differences.append(_apart(one, other))
    d = np.concatenate(differences, axis=1)
    shape = len(layers), d.shape[1] // len(layers)
    return ByLayer(
        region, first, second, layers, nanmean(d).reshape(shape), paired_test(d).reshape(shape)
    )


def _apart(first: Array, second: Array) -> Array:
    """The difference; 0 where it is rounding, as of a lesion that changes nothing."""
    d = first - second
    return np.where(abs(d) < SAME, 0.0, d)


def _r(results: Results, fit: xr.Dataset, region: str) -> Array:
    """r of each of a region's neurons, [neuron, bin]."""
    return nanmean(fit["r"].values[:, results.neurons_of(fit, region)])


def _chosen(results: Results, model: str, region: str) -> tuple[Array, Array]:
    """r [neuron, bin] of the layers that the splits chose; resamples of the one most chosen."""
    choice = region_choice(results, model, region)
    if choice is None:  # nothing to choose, such as the control
        layers = [ranked_layers(results, model, region)[0].layer] * results.root.sizes["split"]
    else:
        layers = [layer for layer, _, _ in choice.chosen]
    fits = [results.fits[model, layer] for layer in layers]
    of_splits = [
        fit["r"][split].values[results.neurons_of(fit, region)] for split, fit in enumerate(fits)
    ]
    most = max(dict.fromkeys(layers), key=layers.count)
    return nanmean(np.stack(of_splits)), resampled(
        results.fits[model, most], region, statistic=MEAN
    )

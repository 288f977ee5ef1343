"""The numbers behind each figure of fits; `fit_figures` and `fit_interactive` draw them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.learning import MORE
from convrnns_brainscore.fits.learning_curves import LearningCurve, learning_curve
from convrnns_brainscore.fits.reliability import reliability
from convrnns_brainscore.fits.results import (
    Predictivity,
    Results,
    best_layer,
    fitted_layers,
    region_choice,
    time_bins,
)
from convrnns_brainscore.fits.selection import Choice
from convrnns_brainscore.fits.statistics import Comparison

ALPHA = 0.05
"""Differences with a smaller p, corrected, are marked."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Curve:
    """How well a layer predicts a region over time; ``name`` is the model's in figures."""

    model: str
    name: str
    layer: str
    values: Predictivity


@dataclass(frozen=True)
class LayerMap:
    """The layers of a model, and how well each predicts a region over time."""

    model: str
    name: str
    layers: list[str]
    values: list[Predictivity]

    @property
    def r(self) -> Array:
        """[layer, bin]."""
        return np.stack([each.r for each in self.values])


@dataclass(frozen=True)
class NeuronScores:
    """Single neurons at the best bin of a model's best layer.

    Attributes
    ----------
    model, name, layer, time_bin
        What predicts them, and the bin's position.
    neurons : list of str
        Their ids.
    reliability, r : float64 array [neuron]
    """

    model: str
    name: str
    layer: str
    time_bin: int
    neurons: list[str]
    reliability: Array
    r: Array

    @property
    def reliable(self) -> bool:
        """Whether any neuron has a reliability."""
        return bool(np.isfinite(self.reliability).any())


def best_curves(results: Results, region: str) -> list[Curve]:
    """Each model's best layer."""
    best = {model: best_layer(results, model, region) for model in results.models}
    return [
        Curve(model, results.display_name(model), each.layer, each.values)
        for model, each in best.items()
        if each
    ]


@dataclass(frozen=True)
class LayerLearning:
    """How the predictivity of a model's best layer grows with the number of training stimuli."""

    model: str
    name: str
    layer: str
    curve: LearningCurve

    @property
    def sizes(self) -> Array:
        """Numbers of training stimuli, [part]; the last is extrapolated to."""
        return np.append(self.curve.stimuli, MORE * self.curve.stimuli[-1])

    @property
    def r(self) -> Array:
        """[part]; the last is extrapolated."""
        return np.append(self.curve.r, self.curve.r_with_more)

    @property
    def noise_corrected(self) -> Array:
        """[part]; the last is extrapolated."""
        return np.append(self.curve.noise_corrected, self.curve.noise_corrected_with_more)


def layer_learning(results: Results, region: str) -> list[LayerLearning]:
    """The learning curve of each model's best layer, where there is one."""
    found = []
    for model in results.models:
        best = best_layer(results, model, region)
        curve = best and learning_curve(results, model, best.layer, region)
        if best and curve:
            found.append(LayerLearning(model, results.display_name(model), best.layer, curve))
    return found


def latency_choices(results: Results, region: str) -> dict[str, Choice]:
    """Model → its choice of layer and latency, where several latencies were tried."""
    found = {model: region_choice(results, model, region) for model in results.models}
    return {
        model: choice for model, choice in found.items() if choice and len(choice.latencies) > 1
    }


@dataclass(frozen=True)
class NoiseCeiling:
    """The r that a perfect model would reach, √reliability, and ± 1 standard deviation over
    halvings; arrays are [bin]."""

    r: Array
    low: Array
    high: Array


def noise_ceiling(curves: Iterable[Curve | LayerMap]) -> NoiseCeiling | None:
    """The noise ceiling of a region; None: it is not known."""
    for curve in curves:
        values = curve.values[0] if isinstance(curve, LayerMap) else curve.values
        if np.isfinite(values.ceiling).any():
            spread = np.array([0.0, -1.0, 1.0])[:, None] * values.ceiling_error
            with np.errstate(invalid="ignore"):
                return NoiseCeiling(*np.sqrt(np.clip(values.ceiling + spread, 0, 1)))
    return None


def layer_maps(results: Results, region: str) -> list[LayerMap]:
    """Each model's layers."""
    found = []
    for model in results.models:
        layers = fitted_layers(results, model, region)
        values = [results.predictivity(model, layer, region) for layer in layers]
        if layers:
            found.append(LayerMap(model, results.display_name(model), layers, values))
    return found


def neuron_scores(results: Results, region: str) -> list[NeuronScores]:
    """Each neuron of a region under each model's best layer."""
    halves = results.root["half_correlation"].values[:, results.neurons(region)]
    known, found = reliability(halves), []
    for model in results.models:
        best = best_layer(results, model, region)
        if best is None or best.bin is None:
            continue
        fit = results.fits[model, best.layer]
        here = results.neurons_of(fit, region)
        r = neuron_r(results, model, best.layer, region, best.bin)
        names = fit["neuroid_id"].values[here].tolist()
        found.append(
            NeuronScores(
                model,
                results.display_name(model),
                best.layer,
                best.bin,
                names,
                known[:, best.bin],
                r,
            )
        )
    return found


def neuron_r(results: Results, model: str, layer: str, region: str, time_bin: int) -> Array:
    """r of each neuron of a region in a bin, mean over splits."""
    fit = results.fits[model, layer]
    here = results.neurons_of(fit, region)
    return np.asarray(nanmean(fit["r"][..., time_bin].values[:, here]), np.float64)


def layer_names(maps: Sequence[LayerMap]) -> list[str]:
    """The layers of all models, in their order."""
    return list(dict.fromkeys(layer for each in maps for layer in each.layers))


def layer_places(maps: Sequence[LayerMap], place: int) -> Array:
    """Where the layers of one of the models stand along an axis of `layer_names`, [layer]: the
    models beside each other."""
    names, places = layer_names(maps), []
    for layer in maps[place].layers:
        beside = [each.model for each in maps if layer in each.layers]
        share = (beside.index(maps[place].model) + 0.5) / len(beside) - 0.5
        places.append(names.index(layer) + 0.6 * share)
    return np.array(places)


def jittered(middle: float, neurons: int) -> Array:
    """Places of single neurons around a layer's, [neuron]; the same in every run."""
    return middle + np.random.default_rng(0).uniform(-0.08, 0.08, neurons)


def best_layers(found: LayerMap) -> list[int | None]:
    """The position of each bin's best layer; None where no layer has an r."""
    return [
        int(np.nanargmax(column)) if np.isfinite(column).any() else None for column in found.r.T
    ]


def crossed_maps(results: Results, region: str) -> dict[str, Array]:
    """Model and layer → r of features of one bin against responses of another, [bin, bin]."""
    found = {}
    for (model, layer), fit in results.fits.items():
        if model == control.NAME or "cross_temporal" not in fit:
            continue
        regions = fit["crossed_region"].values.tolist()
        if region in regions:
            found[f"{results.display_name(model)} {layer}"] = nanmean(
                fit["cross_temporal"].values[regions.index(region)]
            )
    return found


def differs(comparison: Comparison) -> NDArray[np.bool_]:
    """The bins in which two models differ."""
    return np.asarray(comparison.p_over_time < ALPHA)


def compared(results: Results, comparison: Comparison) -> str:
    """What is compared, for legends: the first less the second."""
    return " − ".join(map(results.display_name, (comparison.first, comparison.second)))


def bin_middles(results: Results) -> Array:
    """In ms, [bin]."""
    return np.array(time_bins(results.root)).mean(axis=1)


def bin_names(results: Results) -> list[str]:
    """``["70–80", …]``, in ms."""
    return [f"{start:g}–{end:g}" for start, end in time_bins(results.root)]


def colour_range(values: Iterable[Array]) -> tuple[float, float]:
    """The ends of a sequential colour scale: all defined values, and zero."""
    known = [each[np.isfinite(each)] for each in values]
    every = np.concatenate([[0.0], *known])
    return float(every.min()), max(0.01, float(every.max()))


def colour_limit(values: Iterable[Array]) -> float:
    """The largest magnitude among all defined values, for the ends of a diverging scale."""
    known = [float(np.nanmax(abs(each))) for each in values if np.isfinite(each).any()]
    return max([0.01, *known])

"""How long a fit will take on this machine, from the time that a few of its fits take now."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from convrnns_brainscore.duration import Duration, feature_seconds, product_seconds, seconds
from convrnns_brainscore.fits.blocks import plan_blocks
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import Method, Task, halving_count, predictor
from convrnns_brainscore.fits.learning import SHARES
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.scratch import layer_bins
from convrnns_brainscore.fits.selection import INNER_SPLITS
from convrnns_brainscore.networks.backbones import output_shape
from convrnns_brainscore.regions import candidate_layers
from convrnns_brainscore.zoo import Model

TASKS = 4
"""Fits that are timed together."""


def fit_duration(
    prepared: Prepared,
    models: Sequence[Model],
    method: Method,
    *,
    layers: Sequence[str] | None = None,
    cross_temporal: bool = False,
    shared: bool = False,
) -> Duration:
    """Estimate a fit from its number of fits and the time that a few of them take now.

    Parameters
    ----------
    prepared : Prepared
        The recording, its stimuli, bins and splits.
    models : sequence of Model
        The networks.
    method : Method
        How responses are predicted.
    layers : sequence of str, optional
        Layers for all regions; None: the candidates for each region.
    cross_temporal : bool, default False
        Fit the features of each bin to the responses of every bin as well.
    shared : bool, default False
        Weights are shared over time: the time that the fits take is not estimated.
    """
    stimuli, times = len(prepared.stimuli), prepared.presentation.times
    features = sum(feature_seconds(model, stimuli, times) for model in models)
    if shared:
        return Duration(features, None)
    costs = {region: _cost(prepared, method, region) for region in prepared.recording.regions}
    fits = 0.0
    for model in models:
        for layer, regions in candidate_layers(model, list(costs), layers).items():
            fits += _layer_seconds(
                prepared,
                model,
                layer,
                {each: costs[each] for each in regions},
                cross_temporal,
            )
    return Duration(features, fits)


@dataclass(frozen=True)
class _Cost:
    """Seconds that a region's neurons take: what a split needs once, and each fit."""

    split: float
    fit: float


def _cost(prepared: Prepared, method: Method, region: str) -> _Cost:
    stimuli = len(prepared.stimuli)
    rng = np.random.default_rng(0)
    predict = predictor(method, gram_matrix([rng.standard_normal((stimuli, stimuli))]))
    neurons = int((prepared.recording.neurons["region"] == region).sum())
    responses = rng.standard_normal((stimuli, neurons))
    tasks = [Task(responses, split) for split in prepared.splits[:TASKS]]
    predict(tasks[:1])  # what is imported or compiled at first
    predict = predictor(method, gram_matrix([rng.standard_normal((stimuli, stimuli))]))
    first, again = (seconds(lambda: predict(tasks)) / len(tasks) for _ in range(2))
    return _Cost(max(first - again, 0), again)


def _layer_seconds(
    prepared: Prepared,
    model: Model,
    layer: str,
    costs: Mapping[str, _Cost],
    cross_temporal: bool,
) -> float:
    """Seconds that all fits of a layer to some regions take."""
    bins = layer_bins(model, layer, prepared.shifted_bins(), prepared.presentation, centred=True)
    choosing = {
        (latency, region): prepared.choosing_bins(region)
        for latency in prepared.latencies
        for region in costs
    }
    blocks = plan_blocks(
        prepared.time_bins, bins, list(costs), choosing, fitted=True, crossed=cross_temporal
    )
    splits, stimuli = len(prepared.splits), len(prepared.stimuli)
    halvings = 2 * halving_count(splits) if prepared.trials.repeated else 0
    neuroids = int(np.prod(output_shape(model, layer)))
    total = len(blocks) * product_seconds(stimuli, neuroids, stimuli)
    for block in blocks:
        for region, cost in costs.items():
            fits = sum(fitted == region for fitted, _ in block.fits) * (splits + halvings)
            fits += splits * len(prepared.time_bins) * (region in block.crossed)
            choices = splits * (1 + INNER_SPLITS)
            fits += choices * len(block.chosen.get(region, ()))
            needed = splits + choices * (region in block.chosen)
            total += needed * cost.split + fits * cost.fit
    for cost in costs.values() if blocks else ():
        share = sum(SHARES)
        total += share * ((splits * cost.split) + (splits + halvings) * cost.fit)
    return total

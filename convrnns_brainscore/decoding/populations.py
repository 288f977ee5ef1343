"""Decode the neurons of a region and the layers of a network, in every bin."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.decoding import measures
from convrnns_brainscore.decoding.classifier import held_out
from convrnns_brainscore.decoding.measures import Array
from convrnns_brainscore.decoding.question import (
    FEWEST_UNITS,
    Across,
    Question,
)
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.scratch import FeatureStore, grouped, layer_bins, room
from convrnns_brainscore.fits.splits import Split
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe

_log = logging.getLogger(__name__)

HALVINGS = 3
SEED = 1
WAYS_OUT = "Name fewer layers, or write to another disk."


@dataclass(frozen=True)
class Decoded:
    """What one decoder found.

    Attributes
    ----------
    chosen : int array [draw, row, bin]
        The most probable class of each row; −1 where undefined.
    i1, i2n : float64 array [stimulus, bin], [stimulus, class, bin]
        Means over draws.
    d_prime : float64 array [bin]
        Mean over draws.
    crossed : float64 array [train bin, test bin]
        Accuracy over time, mean over draws; NaN where it was not asked for.
    """

    chosen: NDArray[np.intp]
    i1: Array
    i2n: Array
    d_prime: Array
    crossed: Array


Responses = Callable[[int], Array | None]
"""Gives the responses [row, unit] of all units in a bin, or None where they are undefined."""


def decode_one(
    responses: Responses,
    bins: int,
    draws: Sequence[NDArray[np.intp]],
    labels: NDArray[np.intp],
    rows: NDArray[np.intp],
    folds: Sequence[Split],
    *,
    crossed: bool = False,
    advance: Callable[[], None] = lambda: None,
) -> Decoded:
    """Decode one population in every bin.

    Parameters
    ----------
    responses : callable
        Bin → [row, unit], or None.
    bins : int
        Number of bins.
    draws : sequence of int array
        Units of each draw.
    labels : int array [stimulus]
        Class of each stimulus.
    rows : int array [row]
        Stimulus of each row.
    folds : list of Split
        Of the rows.
    crossed : bool, default False
        Apply the decoders of each bin to all others too.
    advance : callable, optional
        Called after each bin.
    """
    stimuli, classes = len(labels), int(labels.max()) + 1
    chosen = np.full((len(draws), len(rows), bins), -1, np.intp)
    i1 = np.full((len(draws), stimuli, bins), np.nan)
    i2n = np.full((len(draws), stimuli, classes, bins), np.nan)
    d_prime = np.full((len(draws), bins), np.nan)
    over_time = np.full((len(draws), bins, bins), np.nan)
    every = [responses(index) for index in range(bins)] if crossed else None
    for index in range(bins):
        values = responses(index) if every is None else every[index]
        if values is not None:
            for draw, units in enumerate(draws):
                others = _others(every, units) if every else {}
                found = held_out(values[:, units], labels[rows], folds, list(others.values()))
                of_stimuli = _averaged(found[0], rows, stimuli)
                confused = measures.confusions(of_stimuli, labels)
                chosen[draw, :, index] = found[0].argmax(axis=1)
                i1[draw, :, index] = measures.i1(confused, labels)
                i2n[draw, :, :, index] = measures.i2(confused, labels, normalised=True)
                d_prime[draw, index] = measures.d_prime(found[0], labels[rows])
                for test, probabilities in zip(others, found[1:], strict=True):
                    over_time[draw, index, test] = measures.accuracy(probabilities, labels[rows])
        advance()
    return Decoded(
        chosen,
        nanmean(i1, axis=0),
        nanmean(i2n, axis=0),
        nanmean(d_prime, axis=0),
        nanmean(over_time, axis=0),
    )


def _others(every: Sequence[Array | None], units: NDArray[np.intp]) -> dict[int, Array]:
    return {index: each[:, units] for index, each in enumerate(every) if each is not None}


def _averaged(probabilities: Array, rows: NDArray[np.intp], stimuli: int) -> Array:
    if len(rows) == stimuli:
        return probabilities
    return np.stack([probabilities[rows == each].mean(axis=0) for each in range(stimuli)])


def kept(work: Path, name: str, compute: Callable[[], Decoded]) -> Decoded:
    """What was computed before, or is computed now and kept."""
    path = work / f"{hashlib.sha256(name.encode()).hexdigest()[:16]}.npz"
    if path.exists():
        try:
            with np.load(path) as held:
                return Decoded(**{key: held[key] for key in held.files})
        except Exception as error:  # a damaged archive raises a dozen kinds of them
            _log.warning("%s is damaged (%s): %s is decoded again", path, error, name)
    decoded = compute()
    with written_whole(path) as partial, partial.open("wb") as file:
        np.savez_compressed(file, **vars(decoded))
    return decoded


def draws_of(question: Question, name: str, there: int) -> list[NDArray[np.intp]]:
    """Positions of units, drawn the same for the same name."""
    if there == question.units:
        return [np.arange(there)]
    seed = int(hashlib.sha256(name.encode()).hexdigest()[:8], 16)
    rng = np.random.default_rng([SEED, seed])
    return [
        np.sort(rng.choice(there, min(question.units, there), replace=False))
        for _ in range(question.draws)
    ]


def decode_neurons(question: Question, region: str, progress: bool) -> Decoded:
    """Decode a region's neurons, from averages over repetitions or from single presentations."""
    neurons = question.neurons[region]
    bins = len(question.recording.time_bins)
    if question.across is Across.stimuli:
        values, rows = question.trials.average()[:, neurons], np.arange(len(question.labels))
    else:
        values, rows = _repeated(question, neurons)
    folds = question.made_folds(rows)
    with progress_bar(shown=progress, transient=True) as bar:
        task = bar.add_task(f"{region} neurons: decoding", total=bins)
        return decode_one(
            lambda index: _defined(values[:, :, index]), bins,
            draws_of(question, region, len(neurons)), question.labels, rows, folds,
            crossed=True, advance=lambda: bar.advance(task),
        )  # fmt: skip


def _defined(values: Array) -> Array | None:
    """The responses, or None where they are the same throughout or missing."""
    whole = np.isfinite(values).all(axis=0)
    if whole.sum() < FEWEST_UNITS or np.ptp(values[:, whole]) == 0:
        return None
    return np.where(whole, values, 0.0)


def _repeated(question: Question, neurons: NDArray[np.intp]) -> tuple[Array, NDArray[np.intp]]:
    """Single presentations of each stimulus to neurons that may have been recorded apart:
    [row, neuron, bin], and the stimulus of each row."""
    recording, rng = question.recording, np.random.default_rng(SEED)
    least = int(question.trials.counts[:, neurons].min())
    stimuli = len(recording.stimuli)
    values = np.empty((stimuli, least, len(neurons), len(recording.time_bins)))
    for place, neuron in enumerate(neurons):
        seen = np.isfinite(recording.values[:, neuron]).any(axis=1)
        for stimulus in range(stimuli):
            rows = np.flatnonzero(seen & (recording.stimulus == stimulus))
            values[stimulus, :, place] = recording.values[rng.permutation(rows)[:least], neuron]
    rows = np.repeat(np.arange(stimuli), least)
    return values.reshape(-1, *values.shape[2:]), rows


def halved(question: Question, region: str) -> Iterator[tuple[Array, Array]]:
    """Averages over halves of the repetitions, of the neurons that have two or more of every
    stimulus; nothing where these are fewer than decoders read."""
    neurons = question.repeated(region)
    if question.across is Across.repetitions or len(neurons) < question.units:
        return
    for first, second in question.trials.halves(HALVINGS):
        yield first[:, neurons], second[:, neurons]


def decode_half(question: Question, region: str, values: Array) -> Decoded:
    """Decode a region's neurons from averages over half of the repetitions, for the ceiling."""
    rows = np.arange(len(question.labels))
    return decode_one(
        lambda index: _defined(values[:, :, index]), values.shape[2],
        draws_of(question, region, values.shape[1]), question.labels, rows,
        question.made_folds(rows),
    )  # fmt: skip


def decode_layers(
    question: Question,
    network: ConvRNN,
    name: str,
    stimuli: pd.DataFrame,
    seen: str,
    presentation: Presentation,
    layers: Sequence[str] | None,
    work: Path,
    progress: bool,
) -> Iterator[tuple[str, Decoded, list[str]]]:
    """Each layer's decoding, and why it is undefined in each bin.

    ``seen`` is a digest of the images and their sizes: layers that were decoded from others are
    decoded again.
    """
    time_bins = question.recording.time_bins
    wanted = list(layers or network.layers)
    every = {layer: layer_bins(network.model, layer, time_bins, presentation) for layer in wanted}
    key = f"{sorted(describe(network, presentation).items())} {seen}"
    rows = np.arange(len(question.labels))
    folds = question.made_folds(rows)
    limit = room(work)
    there = {layer: its for layer, its in every.items() if its.averages}
    done: dict[str, Decoded] = {}
    for group in grouped(network.model, there, len(stimuli), limit, WAYS_OUT):
        stores: list[FeatureStore] = []

        def store(group: Any = group, stores: list[FeatureStore] = stores) -> FeatureStore:
            if not stores:  # unless all layers of the group were decoded before
                stores.append(FeatureStore(network, group, presentation, stimuli, work, progress))
            return stores[0]

        for layer in group:
            units = int(np.prod(network.output_shape(layer)))
            draws = draws_of(question, f"{name} {layer}", units)
            read = np.unique(np.concatenate(draws))

            def responses(index: int, layer: str = layer, read: Any = read) -> Array | None:
                place = every[layer].position.get(time_bins[index])
                if place is None:
                    return None
                whole = np.concatenate(list(store().columns(layer, place)), axis=1)
                return _defined(whole[:, read].astype(np.float64))

            def compute(layer: str = layer, draws: Any = draws, read: Any = read) -> Decoded:
                with progress_bar(shown=progress, transient=True) as bar:
                    task = bar.add_task(f"{name} {layer}: decoding", total=len(time_bins))
                    return decode_one(
                        responses, len(time_bins), [np.searchsorted(read, each) for each in draws],
                        question.labels, rows, folds, crossed=True,
                        advance=lambda: bar.advance(task),
                    )  # fmt: skip

            done[layer] = kept(work, f"{key} {layer}", compute)
        for each in stores:
            shutil.rmtree(each.path)
    bins = len(time_bins)
    for layer in wanted:
        undefined = [every[layer].undefined.get(each, "") for each in time_bins]
        if layer not in done:
            nothing = decode_one(lambda _: None, bins, [rows[:1]], question.labels, rows, folds)
            done[layer] = nothing
        yield layer, done[layer], undefined

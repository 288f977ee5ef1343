"""Split-half reliability of neurons, and averages over repetitions.

Each stimulus's own presentations are halved, so stimuli may differ in the number and the numbering
of their repetitions. A stimulus that a neuron saw once counts for its average and not for its
reliability.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits.correlation import nanmean, nanmedian, pearson, spearman_brown

HALVINGS = 10
MIN_CEILING = 0.1
"""Ceilings below this are too close to zero to divide by: what is divided has no value."""

SEED = 0

Responses = NDArray[np.float64]
"""[stimulus, neuron, …]; NaN where nothing was observed."""


@dataclass(frozen=True)
class Trials:
    """Responses to single presentations.

    Attributes
    ----------
    values : float array [presentation, neuron, …]
        NaN where nothing was observed.
    stimulus : int array [presentation]
        The position of what was shown among the stimuli.
    stimuli : int
        Their number.
    """

    values: NDArray[np.floating[Any]]
    stimulus: NDArray[np.intp]
    stimuli: int

    def average(self, chosen: NDArray[np.bool_] | None = None) -> Responses:
        """The mean over (chosen) presentations of each stimulus."""
        order = np.argsort(self.stimulus, kind="stable")
        if chosen is not None:
            order = order[chosen[order]]
        shown, starts = np.unique(self.stimulus[order], return_index=True)
        result = np.full((self.stimuli, *self.values.shape[1:]), np.nan)
        if not len(shown):
            return result
        values = self.values[order].astype(np.float64)
        observed = np.isfinite(values)
        if observed.all():
            counts = np.diff([*starts, len(order)]).reshape(-1, *[1] * (values.ndim - 1))
            result[shown] = np.add.reduceat(values, starts) / counts
        else:
            totals = np.add.reduceat(np.where(observed, values, 0), starts)
            counts = np.add.reduceat(observed.astype(np.intp), starts)
            with np.errstate(invalid="ignore"):
                result[shown] = totals / np.where(counts > 0, counts, np.nan)
        return result

    def at(self, time_bin: int, neurons: Any = slice(None)) -> Trials:
        """One bin: [presentation, neuron], of all or some neurons."""
        return replace(self, values=self.values[:, :, time_bin][:, neurons])

    @property
    def repeated(self) -> bool:
        """Whether any stimulus was shown more than once."""
        return bool(self.repetitions.max(initial=0) > 1)

    def halves(self, halvings: int = HALVINGS) -> Iterator[tuple[Responses, Responses]]:
        """Averages over either half of each stimulus's presentations, at random.

        A neuron's halves are of the presentations that it was recorded in. Of an odd number the
        greater half falls to either side, by chance.
        """
        rng = np.random.default_rng(SEED)
        patterns = self._recorded_alike()
        for _ in range(halvings):
            chance, coins = rng.random(len(self.stimulus)), rng.integers(0, 2, self.stimuli)
            first = np.full((self.stimuli, *self.values.shape[1:]), np.nan)
            second = first.copy()
            for rows, neurons in patterns:
                shown = self.stimulus[rows]
                order = np.lexsort((chance[rows], shown))
                names, starts, counts = np.unique(
                    shown[order], return_index=True, return_counts=True
                )
                rank = np.arange(len(order)) - np.repeat(starts, counts)
                one = np.empty(len(order), bool)
                one[order] = rank < np.repeat((counts + counts % 2 * coins[names]) // 2, counts)
                part = Trials(self.values[rows][:, neurons], shown, self.stimuli)
                first[:, neurons], second[:, neurons] = part.average(one), part.average(~one)
            yield first, second

    def _recorded_alike(self) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
        """Presentations, and the neurons that were recorded in these and no others."""
        trailing = tuple(range(2, self.values.ndim))
        observed = np.isfinite(self.values).any(axis=trailing)
        if observed.all():
            return [(np.arange(len(observed)), np.arange(observed.shape[1]))]
        alike: dict[bytes, list[int]] = {}
        for neuron in np.flatnonzero(observed.any(axis=0)):
            alike.setdefault(observed[:, neuron].tobytes(), []).append(int(neuron))
        return [
            (np.flatnonzero(observed[:, each[0]]), np.array(each, np.intp))
            for each in alike.values()
        ]

    @cached_property
    def counts(self) -> NDArray[np.intp]:
        """How often each stimulus was shown to each neuron: [stimulus, neuron]."""
        found = np.zeros((self.stimuli, self.values.shape[1]), np.intp)
        for rows, neurons in self._recorded_alike():
            counts = np.bincount(self.stimulus[rows], minlength=self.stimuli)
            found[:, neurons] = counts[:, None]
        return found

    @cached_property
    def repetitions(self) -> NDArray[np.intp]:
        """How often each stimulus was shown to the neurons that it was shown to most often."""
        return np.asarray(self.counts.max(axis=1, initial=0))


def half_correlations(trials: Trials, halvings: int = HALVINGS) -> NDArray[np.float64]:
    """Pearson's r of the two halves over stimuli: [halving, neuron, …]; NaN with single
    presentations only."""
    if not trials.repeated:
        return np.full((halvings, *trials.values.shape[1:]), np.nan)
    return np.stack([pearson(*halves) for halves in trials.halves(halvings)])


def reliability(halves: NDArray[np.float64]) -> NDArray[np.float64]:
    """Spearman–Brown reliability of the average over repetitions, per neuron and bin.

    Parameters
    ----------
    halves : float64 array
        [halving, neuron, bin] of `half_correlations`.
    """
    return spearman_brown(nanmean(halves))


def ceiling(halves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The ceiling of each bin in Brain-Score's order: median over neurons, mean over halvings."""
    return nanmean(nanmedian(spearman_brown(halves), axis=1))


def ceiling_error(halves: NDArray[np.float64]) -> NDArray[np.float64]:
    """The standard deviation of `ceiling` over halvings, per bin; NaN where it is undefined."""
    medians = nanmedian(spearman_brown(halves), axis=1)
    return np.sqrt(nanmean((medians - nanmean(medians)) ** 2))

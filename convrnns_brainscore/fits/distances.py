"""Dissimilarities between stimuli in the responses of any group of neurons, bin by bin."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.choices import DistanceName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits import cross_validated
from convrnns_brainscore.fits.reliability import HALVINGS, Trials
from convrnns_brainscore.geometry import dissimilarities

SEED = 0
FEWEST_FOR_HALVES = 4
"""Folds; each half is cross-validated over two at least."""

Array = NDArray[np.float64]
Neurons = NDArray[np.intp]
"""Positions of neurons in the recording."""

Movie = list[list[Array]]
"""[group of neurons][bin] → [pair]"""


class Distance(Protocol):
    """How dissimilarities are measured.

    Attributes
    ----------
    notes : list of str
        What was chosen or left out.
    """

    notes: list[str]

    def of(self, time_bin: int, neurons: Neurons) -> Array:
        """[pair], the upper triangle row by row; NaN where responses are missing or do not differ
        between stimuli."""

    def halves(self, groups: Sequence[Neurons]) -> Iterator[tuple[Movie, Movie]]:
        """The same in either half of the repetitions, several times at random; none where there
        are too few repetitions."""


class Correlation:
    """1 − Pearson r between patterns of responses averaged over repetitions.

    Parameters
    ----------
    trials : Trials
        [presentation, neuron, bin].
    """

    def __init__(self, trials: Trials) -> None:
        self.notes: list[str] = []
        self._trials = trials
        self._responses = trials.average()

    def of(self, time_bin: int, neurons: Neurons) -> Array:
        """As of `Distance`."""
        return dissimilarities_of(self._responses[:, neurons, time_bin])

    def halves(self, groups: Sequence[Neurons]) -> Iterator[tuple[Movie, Movie]]:
        """As of `Distance`."""
        if not self._trials.repeated:
            return
        bins = range(self._responses.shape[2])
        for both in self._trials.halves():
            first, second = (
                [[dissimilarities_of(half[:, each, index]) for index in bins] for each in groups]
                for half in both
            )
            yield first, second


class CrossValidated:
    """Dissimilarities of `cross_validated`, over folds of the repetitions.

    Parameters
    ----------
    trials : Trials
        [presentation, neuron, bin].
    distance : {"crossnobis", "decoding"}
        What is measured.
    groups : sequence of int array
        Neurons that were recorded together: their noise is normalised together. Only these can be
        asked for.

    Raises
    ------
    ConvRNNError
        A neuron saw a stimulus fewer than twice.
    """

    def __init__(self, trials: Trials, distance: DistanceName, groups: Sequence[Neurons]) -> None:
        kept = np.concatenate(groups)
        means = cross_validated.fold_means(replace(trials, values=trials.values[:, kept]))
        if len(means) < 2:
            raise ConvRNNError(
                f"`distance={distance}` needs two presentations or more of every stimulus for "
                "every neuron. Give `distance=correlation`, or leave out stimuli that were shown "
                "once."
            )
        self.notes = [f"{distance} is cross-validated over {len(means)} folds of the repetitions"]
        if len(means) < FEWEST_FOR_HALVES:
            self.notes.append(
                f"the reliability of {distance} needs {FEWEST_FOR_HALVES} presentations of every "
                "stimulus"
            )
        without_noise = ~cross_validated.noisy(means) & (np.ptp(means[0], axis=0) > 0)
        if without_noise.any():
            self.notes.append(
                f"{int(without_noise.any(axis=1).sum())} neurons respond alike in all repetitions: "
                f"{distance} leaves them out of these bins, since it divides by their noise"
            )
        self._position = {neuron: index for index, neuron in enumerate(kept.tolist())}
        ends = np.cumsum([len(each) for each in groups])[:-1]
        self._folds = [
            np.concatenate(
                [
                    cross_validated.noise_normalised(each)
                    for each in np.split(means[..., index], ends, axis=2)
                ],
                axis=2,
            )
            for index in range(means.shape[3])
        ]
        self._measure = {
            DistanceName.crossnobis: cross_validated.crossnobis,
            DistanceName.decoding: cross_validated.pairwise_decoding,
        }[distance]

    def of(self, time_bin: int, neurons: Neurons) -> Array:
        """As of `Distance`."""
        return self._of(self._folds[time_bin], neurons)

    def halves(self, groups: Sequence[Neurons]) -> Iterator[tuple[Movie, Movie]]:
        """As of `Distance`."""
        number = len(self._folds[0])
        rng = np.random.default_rng(SEED)
        for _ in range(HALVINGS if number >= FEWEST_FOR_HALVES else 0):
            order = rng.permutation(number)
            first, second = (
                [[self._of(each[half], neurons) for each in self._folds] for neurons in groups]
                for half in (order[: number // 2], order[number // 2 :])
            )
            yield first, second

    def _of(self, folds: Array, neurons: Neurons) -> Array:
        patterns = folds[..., [self._position[each] for each in neurons.tolist()]]
        if not np.isfinite(patterns).all() or not patterns.any():
            stimuli = patterns.shape[1]
            return np.full(stimuli * (stimuli - 1) // 2, np.nan)
        return self._measure(patterns)


def dissimilarities_of(patterns: NDArray[np.floating[Any]]) -> Array:
    """[pair]; NaN where patterns do not differ, or hold what was not observed."""
    if not np.isfinite(patterns).all():
        return np.full(len(patterns) * (len(patterns) - 1) // 2, np.nan)
    return dissimilarities(patterns)

"""Dissimilarities between stimuli in the responses of any group of neurons, bin by bin."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.choices import DistanceName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.cross_validated import (
    FEWEST_FOLDS,
    crossnobis,
    fold_means,
    left_out,
    noisy,
    pairwise_decoding,
)
from convrnns_brainscore.fits.reliability import HALVINGS, Trials
from convrnns_brainscore.geometry import dissimilarities

SEED = 0
FEWEST_STIMULI = 8
"""Of fewer, resampled and permuted stimuli give too few other values."""

FEWEST_FOR_HALVES = 4
"""Folds: each half is cross-validated over two or more."""

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
    responses : float64 array [stimulus, neuron, bin]
        Their average over repetitions.
    regions : mapping of str to int array
        Region → its neurons, for notes.
    """

    def __init__(self, trials: Trials, responses: Array, regions: Mapping[str, Neurons]) -> None:
        self._trials = trials
        self._responses = responses
        self.notes = []
        for region, neurons in regions.items() if trials.repeated else ():
            repeated = int(self._repeated(neurons).sum())
            if repeated < trials.stimuli:
                of = f"that of the {repeated} stimuli"
                if repeated < FEWEST_STIMULI:
                    of = f"not known: there are {repeated} stimuli"
                self.notes.append(
                    f"the reliability of {region} is {of} of which all neurons have two "
                    "presentations or more"
                )

    def _repeated(self, neurons: Neurons) -> NDArray[np.bool_]:
        """Whether all neurons have two presentations or more of a stimulus."""
        return np.asarray((self._trials.counts[:, neurons] > 1).all(axis=1))

    def of(self, time_bin: int, neurons: Neurons) -> Array:
        """As of `Distance`."""
        return dissimilarities_of(self._responses[:, neurons, time_bin])

    def halves(self, groups: Sequence[Neurons]) -> Iterator[tuple[Movie, Movie]]:
        """As of `Distance`; without stimuli that one of the neurons was shown once."""
        if not self._trials.repeated:
            return
        bins = range(self._responses.shape[2])
        kept = [self._repeated(each) for each in groups]

        def movie(half: Array, neurons: Neurons, rows: NDArray[np.bool_]) -> list[Array]:
            if not rows.all() and rows.sum() < FEWEST_STIMULI:
                return [np.full(1, np.nan) for _ in bins]
            return [dissimilarities_of(half[rows][:, neurons, index]) for index in bins]

        for both in self._trials.halves():
            first, second = (
                [movie(half, each, rows) for each, rows in zip(groups, kept, strict=True)]
                for half in both
            )
            yield first, second


class CrossValidated:
    """Dissimilarities of `cross_validated`, over folds of the repetitions.

    Parameters
    ----------
    trials : Trials
        [presentation, neuron, bin].
    stimuli : sequence of str
        Names, for errors.
    distance : {"crossnobis", "decoding"}
        What is measured.
    groups : sequence of int array
        Neurons that were recorded together: their noise is normalised together. Only these can be
        asked for.

    Raises
    ------
    ConvRNNError
        A neuron has too few responses to a stimulus.
    """

    def __init__(
        self,
        trials: Trials,
        stimuli: Sequence[str],
        distance: DistanceName,
        groups: Sequence[Neurons],
    ) -> None:
        kept = np.concatenate(groups)
        means, repetitions = fold_means(replace(trials, values=trials.values[:, kept]))
        if len(means) < FEWEST_FOLDS:
            raise ConvRNNError(_too_few(trials, stimuli, distance))
        averaged = "" if repetitions == 1 else f", each the mean of {repetitions} presentations"
        self.notes = [f"{distance} is cross-validated over {len(means)} folds{averaged}"]
        unused = int(trials.repetitions.sum()) - len(means) * repetitions * trials.stimuli
        if unused:
            self.notes.append(
                f"{distance} needs the same number of presentations of every stimulus: {unused} "
                "are not used"
            )
        if len(means) < FEWEST_FOR_HALVES:
            self.notes.append(
                f"the reliability of {distance} needs {FEWEST_FOR_HALVES} presentations of every "
                "stimulus"
            )
        without_noise = np.isfinite(means).all(axis=(0, 1)) & ~noisy(means)
        without_noise &= np.ptp(means[0], axis=0) > 0
        if without_noise.any():
            self.notes.append(
                f"{int(without_noise.any(axis=1).sum())} neurons respond identically in all "
                f"repetitions of a bin: {distance} excludes them there, since it divides by their "
                "noise"
            )
        self._position = {neuron: index for index, neuron in enumerate(kept.tolist())}
        self._ends = np.cumsum([len(each) for each in groups])[:-1]
        self._means = means
        self._pairs = [self._normalised(means[..., index]) for index in range(means.shape[3])]
        self._measure = {
            DistanceName.crossnobis: crossnobis,
            DistanceName.decoding: pairwise_decoding,
        }[distance]

    def of(self, time_bin: int, neurons: Neurons) -> Array:
        """As of `Distance`."""
        return self._of(self._pairs[time_bin], neurons)

    def halves(self, groups: Sequence[Neurons]) -> Iterator[tuple[Movie, Movie]]:
        """As of `Distance`, of halves of the folds. The noise of either is that of the other half,
        since half of the folds leave too few for their own."""
        number = len(self._means)
        rng = np.random.default_rng(SEED)
        for _ in range(HALVINGS if number >= FEWEST_FOR_HALVES else 0):
            order = rng.permutation(number)
            parts = order[: number // 2], order[number // 2 :]
            first, second = (
                self._movie(self._means[mine], self._means[other], groups)
                for mine, other in (parts, parts[::-1])
            )
            yield first, second

    def _movie(self, folds: Array, noise: Array, groups: Sequence[Neurons]) -> Movie:
        bins = range(folds.shape[3])
        pairs = [self._normalised(folds[..., index], noise[..., index]) for index in bins]
        return [[self._of(each, neurons) for each in pairs] for neurons in groups]

    def _normalised(self, folds: Array, noise: Array | None = None) -> Array:
        """[fold, 2, stimulus, neuron], each group by its own noise."""
        parts = np.split(folds, self._ends, axis=2)
        noises = [None] * len(parts) if noise is None else np.split(noise, self._ends, axis=2)
        return np.concatenate([left_out(*each) for each in zip(parts, noises, strict=True)], axis=3)

    def _of(self, pairs: Array, neurons: Neurons) -> Array:
        chosen = pairs[..., [self._position[each] for each in neurons.tolist()]]
        if not np.isfinite(chosen).all() or not chosen.any():
            stimuli = chosen.shape[2]
            return np.full(stimuli * (stimuli - 1) // 2, np.nan)
        return self._measure(chosen)


def _too_few(trials: Trials, stimuli: Sequence[str], distance: str) -> str:
    counts = np.bincount(trials.stimulus, minlength=trials.stimuli)
    few = [name for name, count in zip(stimuli, counts, strict=True) if count < FEWEST_FOLDS]
    found, what = "a neuron has fewer responses to a stimulus", "neurons that miss repetitions"
    if few:
        named = ", ".join(few[:3]) + (", …" if len(few) > 3 else "")
        found, what = f"{len(few)} stimuli have fewer ({named})", "these stimuli"
    return (
        f"`distance={distance}` needs {FEWEST_FOLDS} presentations of every stimulus, and {found}. "
        f"Give `distance=correlation`, or remove {what} from the recording."
    )


def dissimilarities_of(patterns: NDArray[np.floating[Any]]) -> Array:
    """[pair]; NaN where patterns do not differ, or hold what was not observed."""
    if not np.isfinite(patterns).all():
        return np.full(len(patterns) * (len(patterns) - 1) // 2, np.nan)
    return dissimilarities(patterns)

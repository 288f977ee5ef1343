"""Observers' choices: the class reported for each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.decoding.measures import Array, agreement, confusions_of_choices, i1, i2
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.correlation import nanmean

HALVINGS = 20
SEED = 1


@dataclass(frozen=True)
class Behaviour:
    """Choices, one row a trial.

    Attributes
    ----------
    stimulus, choice : int array [trial]
        What was shown, and the class that was chosen.
    offered : bool array [trial, class]
        The classes among which it was chosen.
    labels : int array [stimulus]
        Class of each stimulus.
    """

    stimulus: NDArray[np.intp]
    choice: NDArray[np.intp]
    offered: NDArray[np.bool_]
    labels: NDArray[np.intp]

    def i1(self) -> Array:
        """How well each stimulus was recognised, [stimulus]; NaN where it was not shown."""
        return i1(self._confusions(), self.labels)

    def i2n(self) -> Array:
        """The pattern of confusions of each stimulus, [stimulus, class]."""
        return i2(self._confusions(), self.labels, normalised=True)

    def ceiling(self) -> tuple[float, float]:
        """How well one half of the trials predicts the other: r of i1 and of i2n, means over
        halvings, corrected for the halves' length (Spearman–Brown)."""
        rng, found = np.random.default_rng(SEED), []
        for _ in range(HALVINGS):
            first = rng.permutation(len(self.stimulus)) < len(self.stimulus) // 2
            a, b = self._part(first), self._part(~first)
            found.append((agreement(a.i1(), b.i1()), agreement(a.i2n(), b.i2n())))
        of_i1, of_i2n = nanmean(np.array(found), axis=0)
        return _corrected(of_i1), _corrected(of_i2n)

    def _confusions(self) -> Array:
        return confusions_of_choices(self.stimulus, self.choice, self.offered, self.labels)

    def _part(self, rows: NDArray[np.bool_]) -> Behaviour:
        return Behaviour(self.stimulus[rows], self.choice[rows], self.offered[rows], self.labels)


def _corrected(r: float) -> float:
    """Spearman–Brown; NaN where the halves do not agree."""
    return float(2 * r / (1 + r)) if r > 0 else float("nan")


def behaviour_of(
    choices: pd.DataFrame, stimuli: Sequence[str], labels: NDArray[np.intp], classes: Sequence[str]
) -> tuple[Behaviour, list[str]]:
    """Choices of a table, for the stimuli that are decoded.

    Parameters
    ----------
    choices : DataFrame
        ``stimulus_id`` and ``choice``, one row a trial; ``distractor``, if a trial offered the
        stimulus' class and one other.
    stimuli : sequence of str
        Ids of the stimuli that are decoded.
    labels : int array [stimulus]
        Class of each.
    classes : sequence of str
        Names of the classes.

    Returns
    -------
    behaviour : Behaviour
    notes : list of str
        What was excluded.

    Raises
    ------
    ConvRNNError
        A column is missing; choices that are not a class; none of the stimuli.
    """
    if not len(choices):
        raise ConvRNNError("the table of choices has no rows.")
    for column in ("stimulus_id", "choice"):
        if column not in choices:
            raise ConvRNNError(f"the choices have no column {column}; they have {_named(choices)}.")
    place = {name: index for index, name in enumerate(stimuli)}
    number = {name: index for index, name in enumerate(classes)}
    known = choices["stimulus_id"].astype(str).isin(place)
    if not known.any():
        raise ConvRNNError(
            "none of the choices is on a stimulus of the recording: "
            f"{choices['stimulus_id'].iloc[0]} is not among {', '.join(list(place)[:3])}, …"
        )
    notes = []
    if not known.all():
        notes.append(f"{(~known).sum()} choices are on other stimuli: excluded")
    chosen = choices[known]
    stimulus = chosen["stimulus_id"].astype(str).map(place).to_numpy()
    offered = np.ones((len(chosen), len(classes)), bool)
    columns = {
        name: chosen[name].astype(str) for name in ("choice", "distractor") if name in chosen
    }
    for name, values in columns.items():
        wrong = values[~values.isin(number)]
        if len(wrong):
            raise ConvRNNError(
                f"{name} {wrong.iloc[0]!r} is not one of the classes {', '.join(classes)}."
            )
    choice = columns["choice"].map(number).to_numpy()
    if "distractor" in columns:
        rows = np.arange(len(chosen))
        offered[:] = False
        offered[rows, labels[stimulus]] = True
        distractor = columns["distractor"].map(number).to_numpy()
        if (distractor == labels[stimulus]).any():
            raise ConvRNNError("some distractors are the stimulus' own class.")
        offered[rows, distractor] = True
        if not offered[rows, choice].all():
            raise ConvRNNError("some choices are neither the stimulus' class nor the distractor.")
    shown = len(set(stimulus.tolist()))
    if shown < len(labels):
        notes.append(f"{len(labels) - shown} of {len(labels)} stimuli have no choices")
    return Behaviour(stimulus, choice, offered, labels), notes


def _named(table: pd.DataFrame) -> str:
    return ", ".join(map(str, table.columns))

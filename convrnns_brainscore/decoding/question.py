"""Definition of a decoding problem: classes, folds, units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.choices import parse_choice
from convrnns_brainscore.decoding.classifier import make_folds
from convrnns_brainscore.errors import ConvRNNError, counted, unknown
from convrnns_brainscore.fits.reliability import Trials
from convrnns_brainscore.fits.splits import Split
from convrnns_brainscore.recordings import Recording

FOLDS, DRAWS = 10, 5
THRESHOLD = 1.0
"""The i1 from which on an object is solved, where no behaviour says it: a d′ of 1."""

FEWEST_UNITS = 2

RESERVED = (
    "accuracy", "accuracy_error", "p", "d_prime", "i1", "solution_ms", "generalisation",
    "onset_ms", "undefined", "i1_r", "i1_ceiling", "solution_r", "solution_stimuli",
    "solution_ceiling", "behaviour_i1_r", "behaviour_i2n_r", "decoder", "region", "stimulus",
    "time_bin", "train_bin", "time_bin_start", "time_bin_end", "train_bin_start",
)  # fmt: skip
"""Names in the results, which a label cannot have."""


class Across(StrEnum):
    """What decoders are tested on: other stimuli than they were trained on, or other repetitions of
    the same stimuli."""

    stimuli = "stimuli"
    repetitions = "repetitions"


@dataclass(frozen=True)
class Question:
    """What is decoded of what; made by `ask`.

    Attributes
    ----------
    recording : Recording
        Responses of the stimuli that are decoded.
    labels : int array [stimulus]
        Class of each stimulus.
    classes : list of str
        Names of the classes.
    groups : list of str or None
        Groups of stimuli, which are in one fold each.
    across : Across
    units : int
        Units of every decoder.
    neurons : dict of str to int array
        Region → positions of its usable neurons.
    folds, draws : int
        Number of folds, and of random draws of units.
    threshold : float or float array [stimulus]
        The i1 from which on a stimulus' class is solved.
    notes : list of str
        What was excluded or chosen.
    """

    recording: Recording
    label: str
    labels: NDArray[np.intp]
    classes: list[str]
    groups: list[str] | None
    across: Across
    units: int
    neurons: dict[str, NDArray[np.intp]]
    folds: int
    draws: int
    threshold: Any
    notes: list[str]

    def made_folds(self, rows: NDArray[np.intp]) -> list[Split]:
        """Folds of rows that show the stimuli ``rows``."""
        if self.across is Across.stimuli:
            return make_folds(self.labels, self.folds, self.groups)
        return make_folds(rows, self.folds)  # of the repetitions of each stimulus

    def repeated(self, region: str) -> NDArray[np.intp]:
        """The usable neurons that have two repetitions or more of every stimulus."""
        here = self.neurons[region]
        return here[(self.trials.counts[:, here] >= 2).all(axis=0)]

    @cached_property
    def trials(self) -> Trials:
        """Responses to single presentations."""
        recording = self.recording
        return Trials(recording.values, recording.stimulus, len(recording.stimuli))


def ask(
    recording: Recording,
    label: str,
    values: Sequence[Any] | None = None,
    *,
    across: str = Across.stimuli,
    group: str | None = None,
    units: int | None = None,
    folds: int = FOLDS,
    draws: int = DRAWS,
) -> Question:
    """What of a recording can be decoded.

    Parameters
    ----------
    recording : Recording
        Its regions and bins are those that are decoded (`Recording.selected`).
    label : str
        Column of ``recording.stimuli`` to decode, or the name of ``values``.
    values : sequence, optional
        Label of each of ``recording.stimuli``; None: the column's.
    across : {'stimuli', 'repetitions'}, default 'stimuli'
        Test decoders on other stimuli, or on other repetitions of the same stimuli; the latter
        needs neurons alone, since a network has no repetitions.
    group : str, optional
        Column whose values are in one fold each.
    units : int, optional
        Units of every decoder; None: as many as the smallest region has neurons.
    folds : int, default FOLDS
        Each holds its share of every class, and is tested once.
    draws : int, default DRAWS
        Random draws of units, where there are more than ``units``.

    Raises
    ------
    ConvRNNError
        No such column, or one with a name in `RESERVED`; fewer than two classes with two stimuli;
        too few units, folds or repetitions; a group where decoders are tested on repetitions, a
        stimulus without one, or groups that cannot be divided.
    """
    across, table = parse_choice("across", across, Across), recording.stimuli
    notes = list(recording.notes)
    if label in RESERVED:
        raise ConvRNNError(f"`label={label!r}` is a name in the results: rename the column.")
    if group is not None and across is Across.repetitions:
        raise ConvRNNError(
            "decoders that are tested on other repetitions see every stimulus: omit `group=…`, or "
            "give `across='stimuli'`."
        )
    if values is None:
        if label not in table:
            error = unknown("label", label, [name for name in table if name != "degrees"])
            raise ConvRNNError(
                f"{error} The label can also be a column of the stimulus table (`stimuli=…`)."
            )
        values = table[label].tolist()
    if len(values) != len(table):
        raise ConvRNNError(
            f"{len(values)} values for {len(table)} stimuli: expected one value per stimulus."
        )
    names = np.array([_text(value) for value in values])
    kept = _decodable(names, across, label, notes)
    if not kept.all():
        recording = recording.presentations(kept[recording.stimulus])
        names = names[kept]
    groups = None
    if group is not None:
        if group not in recording.stimuli:
            raise unknown("group", group, list(recording.stimuli))
        groups = recording.stimuli[group].map(_text).tolist()
        if "" in groups:
            raise ConvRNNError(
                f"`group={group!r}`: {groups.count('')} of {len(groups)} stimuli have no {group}: "
                "add it, or leave these stimuli out."
            )
    classes, labels = np.unique(names, return_inverse=True)
    trials = Trials(recording.values, recording.stimulus, len(recording.stimuli))
    neurons = {
        region: _usable(recording, trials, region, across, folds, notes)
        for region in recording.regions
    }
    most = min(len(each) for each in neurons.values())
    units = most if units is None else units
    if not FEWEST_UNITS <= units <= most:
        fewest = min(neurons, key=lambda region: len(neurons[region]))
        raise ConvRNNError(
            f"`units={units}`: expected {FEWEST_UNITS} to {most}; {fewest} has {most} usable "
            "neurons."
        )
    if draws < 1:
        raise ConvRNNError(f"`draws={draws}`: expected 1 or more.")
    notes.append(f"{len(classes)} classes of {label}: chance is {1 / len(classes):.3g}")
    notes.append(f"decoders read {units} units")
    question = Question(
        recording, label, labels.astype(np.intp), classes.tolist(), groups, across, units, neurons,
        folds, draws, THRESHOLD, notes,
    )  # fmt: skip
    once = int((trials.repetitions < 2).sum())
    if across is Across.stimuli and once:
        notes.append(
            f"{once} of {len(labels)} stimuli were shown once: there are no ceilings, which need "
            "two repetitions of every stimulus"
        )
    elif across is Across.stimuli:
        notes += [
            f"{region}: {twice} of {len(here)} neurons have two repetitions of every stimulus, and "
            f"decoders read {units}: there is no ceiling"
            for region, here in neurons.items()
            if (twice := len(question.repeated(region))) < units
        ]
    if across is Across.stimuli:
        notes += _fewer_folds(labels, folds, groups)
    return question


def _fewer_folds(labels: NDArray[np.intp], folds: int, groups: list[str] | None) -> list[str]:
    """A note that there are fewer folds than were asked for, and why."""
    smallest = int(np.bincount(labels).min())
    made = len(make_folds(labels, folds, groups))
    if made < min(folds, smallest):
        return [f"{made} folds, not {folds}: the groups allow no more"]
    if made < folds:
        return [f"{made} folds, not {folds}: the smallest class has {smallest} stimuli"]
    return []


def _text(value: Any) -> str:
    text = "" if pd.isna(value) else str(value).strip()
    return "" if text in ("nan", "NaN", "<NA>", "NaT", "None") else text


def _decodable(
    names: NDArray[np.str_], across: Across, label: str, notes: list[str]
) -> NDArray[np.bool_]:
    """The stimuli whose class has as many as are needed."""
    kept = names != ""
    if not kept.all():
        notes.append(f"excluded: {counted((~kept).sum(), 'stimulus')} without {label}")
    classes, counts = np.unique(names[kept], return_counts=True)
    few = classes[counts < 2] if across is Across.stimuli else []
    if len(few):
        more = ", …" if len(few) > 5 else ""
        notes.append(f"{label} {', '.join(few[:5])}{more}: a single stimulus each, excluded")
        kept &= ~np.isin(names, few)
    if len(set(names[kept])) < 2:
        hint = (
            " Give `across='repetitions'` to test on other repetitions of the same stimuli."
            if len(few)
            else ""
        )
        raise ConvRNNError(
            f"{label} has {len(set(names[kept]))} classes with two or more stimuli; decoding needs "
            f"two.{hint}"
        )
    return kept


def _usable(
    recording: Recording,
    trials: Trials,
    region: str,
    across: Across,
    folds: int,
    notes: list[str],
) -> NDArray[np.intp]:
    """The neurons that were recorded often enough."""
    here = np.flatnonzero(recording.neurons["region"] == region)
    if across is Across.stimuli:
        seen = np.isfinite(trials.average()[:, here])
        heard = seen.any(axis=(0, 1))  # bins that were recorded at all
        whole = seen[:, :, heard].all(axis=(0, 2))
        why = "miss stimuli"
    else:
        whole = (trials.counts[:, here] >= 2).all(axis=0)
        why = "were shown a stimulus once or never"
    if not whole.all():
        notes.append(f"{(~whole).sum()} of {len(here)} neurons of {region} {why}: excluded")
    if whole.sum() < FEWEST_UNITS:
        raise ConvRNNError(
            f"{region}: usable neurons: {whole.sum()}; decoding needs {FEWEST_UNITS}. "
            + "; ".join(notes)
        )
    return here[whole]

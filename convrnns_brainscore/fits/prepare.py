"""Prepare the data of a fit: a recording with its stimuli's files, presentation, bins and
splits."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import names_of
from convrnns_brainscore.errors import ConvRNNError, counted
from convrnns_brainscore.fits.correlation import nanmedian
from convrnns_brainscore.fits.heldout import Halves
from convrnns_brainscore.fits.reliability import (
    Trials,
    ceiling,
    half_correlations,
    reliability,
)
from convrnns_brainscore.fits.selection import LATENCIES, bins_to_choose_by, inner_splits
from convrnns_brainscore.fits.splits import Split, make_splits, rarely_tested
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.presentation import (
    Frame,
    Presentation,
    has_mixed_durations,
    image_duration,
)
from convrnns_brainscore.recordings import Recording
from convrnns_brainscore.stimuli import DEGREES, STATED, note_on_width
from convrnns_brainscore.streams import CLIPS, Stream
from convrnns_brainscore.tables import composed
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin


@dataclass(frozen=True)
class Prepared:
    """A recording that is ready to be fitted.

    Attributes
    ----------
    recording : Recording
        Recording of the regions and in the bins that are fitted.
    stimuli : DataFrame
        ``stimulus_id``, ``filename``, ``degrees`` in the order of the recording's.
    presentation : Presentation
        What the networks are shown.
    splits : list of Split
        Training and test stimuli.
    inner : list of list of Split
        For each split, splits of its training stimuli, by which layers and latencies are chosen.
    groups : list of str or None
        Groups of each stimulus, which stand on one side of a split each; None: there are none.
    latencies : tuple of int
        Shifts in ms among which one is chosen for each region.
    half_correlations : float64 array [halving, neuron, bin]
    notes : list of str
        What was decided on the way, for the report.
    """

    recording: Recording
    stimuli: pd.DataFrame
    presentation: Presentation
    splits: list[Split]
    inner: list[list[Split]]
    groups: list[str] | None
    latencies: tuple[int, ...]
    half_correlations: NDArray[np.float64]
    notes: list[str]

    @cached_property
    def trials(self) -> Trials:
        """Responses to single presentations."""
        recording = self.recording
        return Trials(recording.values, recording.stimulus, len(recording.stimuli))

    @property
    def time_bins(self) -> list[TimeBin]:
        """Start and end in ms."""
        return self.recording.time_bins

    @cached_property
    def reliability(self) -> NDArray[np.float64]:
        """Spearman–Brown split-half reliability, [neuron, bin]."""
        return reliability(self.half_correlations)

    def shifted_bins(self) -> list[TimeBin]:
        """The time bins, and what they are of the model at each latency."""
        return sorted(
            {
                (start - latency, end - latency)
                for latency in (0, *self.latencies)
                for start, end in self.time_bins
            }
        )

    def neurons(self, region: str) -> NDArray[np.intp]:
        """Positions of a region's neurons."""
        return np.flatnonzero(self.recording.neurons["region"] == region)

    def ceiling(self, neurons: Any) -> NDArray[np.float64]:
        """Of some neurons together, in Brain-Score's order, [bin]."""
        return ceiling(self.half_correlations[:, neurons])

    def responses(self, neurons: Any, bins: Sequence[int]) -> NDArray[np.float64]:
        """Averages over repetitions, [stimulus, neuron, bin]."""
        return np.stack([self.trials.at(b, neurons).average() for b in bins], axis=-1)

    def halves(self, neurons: Any, bins: Sequence[int]) -> Halves:
        """Averages over either half of the repetitions; none where there are no repetitions."""
        if not self.trials.repeated:
            return []
        by_bin = [list(self.trials.at(b, neurons).halves()) for b in bins]
        return [
            (
                np.stack([first for first, _ in each], axis=-1),
                np.stack([second for _, second in each], axis=-1),
            )
            for each in zip(*by_bin, strict=True)
        ]

    def choosing_bins(self, region: str) -> list[int]:
        """The bins by which a region's layer and latency are chosen."""
        neurons = self.neurons(region)
        known = self.reliability[neurons]
        if not np.isfinite(known).any():  # no repetitions: the bins in the middle of the response
            heard = np.isfinite(self.recording.values[:, neurons]).any(axis=0)
            known = np.where(heard, _after_onset(self.time_bins), np.nan)
        return bins_to_choose_by(nanmedian(known, axis=0))


def prepare(
    recording: Recording,
    stimuli: pd.DataFrame,
    *,
    regions: Sequence[str] | None = None,
    window: TimeBin | None = None,
    image_ms: float | None = None,
    off: Any = 0.5,
    frames: Sequence[Frame] | None = None,
    splits: int = 10,
    stratify: str | None = None,
    group: str | None = None,
    needed: int = 0,
    latencies: Sequence[int] = LATENCIES,
) -> Prepared:
    """Match a recording with its stimuli, and decide on bins, presentation and splits.

    Parameters
    ----------
    recording : Recording
        As `recordings.as_recording` gives it.
    stimuli : DataFrame
        ``stimulus_id``, ``filename``, ``degrees`` (`stimuli.read_stimuli`).
    regions : sequence of str, optional
        None: all that the recording has.
    window : (start, end), optional
        Start and end in ms of the one bin to average to; None: the recording's bins, or the
        networks' steps where those are finer.
    image_ms : float, optional
        How long images were on; None: the recording's ``image_on_ms``, or 100 ms.
    off : float, RGB triple, array or path, default 0.5
        What was shown then, as `Presentation` takes it.
    frames : sequence of tuple of (frame, ms), optional
        A sequence that every stimulus was part of (`Presentation.sequence`); the bins count from
        its first frame, and ``off`` follows it.
    splits : int, default 10
        Number of splits.
    stratify : str, optional
        The column of the recording's stimuli whose values each side of a split has its share of;
        None: ``object_name``, if there is one; ``"none"``: do not.
    group : str, optional
        Column that defines groups; each group is on one side of a split.
    needed : int, default 0
        Training stimuli must be more than this.
    latencies : sequence of int, default LATENCIES
        Shifts to choose among, in ms.

    Raises
    ------
    ConvRNNError
        Stimuli without files, no such region or column, too few stimuli, times that the networks do
        not have.
    """
    notes: list[str] = list(recording.notes)
    recording = recording.selected(regions, window)
    check_times(stimuli, image_ms, frames, recording)
    if CLIPS not in stimuli:
        recording, image_ms, note = recording.shown_for(duration_of(frames, image_ms))
        notes += [note] if note else []
    files = match_stimuli(recording.stimuli, stimuli, notes)
    table = recording.stimuli
    latest = max(end for _, end in recording.time_bins) - min(0, *latencies, 0)
    shown = presentation_until(latest, image_ms, off, frames)
    notes += [shown.note] if shown.note else []
    notes += shown.mask_notes(files["degrees"])

    if stratify is None and "object_name" in table and group is None:
        if (names_of(table["object_name"].to_numpy()) == "").any():
            notes.append("the splits are not stratified: some stimuli have no object_name")
        else:
            stratify = "object_name"
    strata = None if stratify in (None, "none") else _column(table, "stratify", str(stratify))
    groups = None if group is None else _column(table, "group", group)
    made, how = make_splits(len(table), splits, strata, groups, needed=needed)
    notes.append(how + (f", strata: {stratify}" if strata else ""))
    if strata:
        for name, count in rarely_tested(made, strata).items():
            notes.append(f"{stratify} {name} is not tested in {count} of {splits} splits")
    trials = Trials(recording.values, recording.stimulus, len(table))
    bins = range(len(recording.time_bins))
    correlations = np.stack([half_correlations(trials.at(index)) for index in bins], axis=-1)
    silent = ~np.isfinite(recording.values).any(axis=(0, 1))
    for index in np.flatnonzero(silent):
        start, end = recording.time_bins[index]
        notes.append(f"no responses at {start:g}–{end:g} ms")
    repeated = int((trials.repetitions > 1).sum())
    if not repeated:
        notes.append("no stimulus was shown twice: there is no ceiling and no reliability")
    elif repeated < len(table):
        notes.append(
            f"{repeated} of {len(table)} stimuli were shown more than once: reliability and "
            "ceiling are computed from these"
        )
    return Prepared(
        recording,
        files,
        shown,
        made,
        inner_splits(made, groups),
        groups,
        tuple(latencies) or (0,),
        correlations,
        notes,
    )


def check_times(
    stimuli: pd.DataFrame,
    image_ms: float | None,
    frames: Sequence[Frame] | None,
    recording: Recording | None = None,
) -> None:
    """Raise where times are given twice: by the stimuli, as a duration, as a sequence.

    Raises
    ------
    ConvRNNError
        They are; or a sequence shows the image for another time than the recording states.
    """
    if CLIPS in stimuli and (image_ms is not None or frames is not None):
        raise ConvRNNError("the stimuli have times of their own: omit `image_ms=…` and `frames=…`.")
    if frames is not None and image_ms is not None:
        raise ConvRNNError("`frames=…` states how long the image is on: omit `image_ms=…`.")
    measured = None if recording is None else recording.image_on_ms
    shown = duration_of(frames, None)
    if shown is None or measured is None or has_mixed_durations(measured):
        return
    stated, _ = image_duration(measured)
    if np.isfinite(measured).any() and abs(stated - shown) > MS_PER_STEP / 2:
        raise ConvRNNError(
            f"`frames=…` shows the image for {shown:g} ms at first, and the recording's "
            f"image_on_ms is {stated:g}: correct one of them."
        )


def duration_of(frames: Sequence[Frame] | None, image_ms: float | None) -> float | None:
    """How long a sequence shows the image at first, in steps' ms; without one, ``image_ms``."""
    if frames is None:
        return image_ms
    schedule = Presentation.of_frames(frames).schedule
    first = schedule.index(0)
    rest = schedule[first:]
    return float(MS_PER_STEP * next((n for n, frame in enumerate(rest) if frame), len(rest)))


def presentation_until(
    latest: float,
    image_ms: float | None,
    off: Any = 0.5,
    frames: Sequence[Frame] | None = None,
) -> Presentation:
    """The image on for ``image_ms``, or in a sequence, followed to ``latest`` ms from its onset.

    Neither: the stimuli have times of their own.

    Raises
    ------
    ConvRNNError
        ``image_ms`` is not a multiple of a step.
    """
    times = max(math.ceil(latest / MS_PER_STEP), 1)
    if frames is not None:
        if Presentation.of_frames(frames).times >= times:
            return Presentation.of_frames(frames)
        rest = times * MS_PER_STEP - sum(duration for _, duration in frames)
        return Presentation.of_frames([*frames, (off, rest)])
    if image_ms is None:
        return Presentation.stream(times, off)
    if not (image_ms >= MS_PER_STEP and float(image_ms) % MS_PER_STEP == 0):
        raise ConvRNNError(
            f"images on for {image_ms:g} ms: the networks' steps are {MS_PER_STEP} ms; give a "
            "multiple of that."
        )
    on = int(image_ms // MS_PER_STEP)
    return Presentation.custom(times, on if on < times else None, off)


def match_stimuli(recorded: pd.DataFrame, files: pd.DataFrame, notes: list[str]) -> pd.DataFrame:
    """The rows of ``files`` in the order of the recorded stimuli.

    Raises
    ------
    ConvRNNError
        Stimuli without a file, the first ten of either side listed.
    """
    # Names from macOS and Linux differ in the form of their accents.
    wanted = recorded["stimulus_id"].map(composed)
    files = files.assign(stimulus_id=files["stimulus_id"].map(composed))
    known = files.set_index("stimulus_id")
    # Ids may be whole file names: what more of them fit is meant.
    by_name = files.assign(
        stimulus_id=[composed(path.rpartition("/")[2]) for path in files["filename"]]
    )
    fitting = wanted.isin(by_name["stimulus_id"]).sum()
    if fitting > wanted.isin(known.index).sum() and not by_name["stimulus_id"].duplicated().any():
        known = by_name.set_index("stimulus_id")
    missing = wanted[~wanted.isin(known.index)]
    if len(missing):
        known = _by_stem(files, wanted, known)
        missing = wanted[~wanted.isin(known.index)]
    spare = known.index[~known.index.isin(wanted)]
    if len(missing):
        raise ConvRNNError(
            f"{len(missing)} of {len(wanted)} stimuli of the recording have no image: "
            f"{_ten(missing)}. Images without a stimulus: {_ten(spare) or 'none'}. Ids are "
            "file names, with or without suffix, or the stimulus_id column of a table "
            "(`stimuli='table.csv'`)."
            f"{_numbering(missing, spare)}"
        )
    if len(spare):
        notes.append(
            f"not used, since no analysed presentation shows them: {counted(len(spare), 'image')}"
        )
    matched = known.loc[wanted].reset_index()
    if CLIPS not in matched:
        notes += _shared(matched["filename"], wanted)
    matched["stimulus_id"] = recorded["stimulus_id"].to_numpy()
    stated = files.attrs.get(DEGREES, STATED) == STATED
    if "degrees" in recorded:
        if CLIPS in matched:
            matched[CLIPS] = _sized(matched[CLIPS], recorded, stated)
        matched["degrees"] = _sizes(recorded, matched, stated, notes)
    else:
        notes += note_on_width(files)
    matched.attrs[DEGREES] = STATED  # or it is noted by now
    return matched[["stimulus_id", "filename", "degrees", *({CLIPS} & {*matched})]]


def _shared(files: pd.Series, stimuli: pd.Series) -> list[str]:
    """A note that stimuli have one image file, where some have."""
    shared = files.duplicated(keep=False).to_numpy()
    if not shared.any():
        return []
    first = int(np.flatnonzero(shared)[0])
    second = int(np.flatnonzero(files == files.iloc[first])[1])
    return [
        f"{shared.sum()} stimuli share their image with another, such as {stimuli.iloc[first]} and "
        f"{stimuli.iloc[second]}: splits can show one image in training and in test"
    ]


def _by_stem(files: pd.DataFrame, wanted: pd.Series, known: pd.DataFrame) -> pd.DataFrame:
    """The table by the names of files without their suffixes, where its ids are file names and this
    matches more stimuli: two files of one name must not change the ids of all others.

    Raises
    ------
    ConvRNNError
        Two files could be the same stimulus.
    """
    by_files = zip(files["filename"], files["stimulus_id"], strict=True)
    if not all(composed(path).endswith(name) for path, name in by_files):
        return known  # a table states other ids
    stems = files.assign(stimulus_id=[composed(Path(path).stem) for path in files["filename"]])
    if wanted.isin(stems["stimulus_id"]).sum() <= wanted.isin(known.index).sum():
        return known
    unclear = stems[stems["stimulus_id"].duplicated() & stems["stimulus_id"].isin(wanted)]
    if len(unclear):
        name = unclear["stimulus_id"].iloc[0]
        both = stems["filename"][stems["stimulus_id"] == name].iloc[:2]
        raise ConvRNNError(
            f"stimulus {name} could be {' or '.join(both)}: remove one of the files, or give a "
            "table (`stimuli='table.csv'`)."
        )
    return stems.drop_duplicates("stimulus_id").set_index("stimulus_id")


def _sizes(
    recorded: pd.DataFrame, files: pd.DataFrame, stated: bool, notes: list[str]
) -> NDArray[np.float64]:
    """The width of each stimulus in degrees: the recording's where it says it, or the files'.

    Raises
    ------
    ConvRNNError
        Both say it, and disagree.
    """
    theirs = recorded["degrees"].astype(float).to_numpy()
    given, known = files["degrees"].to_numpy(), np.isfinite(theirs)
    differs = np.flatnonzero(known & stated & (abs(theirs - given) > 1e-3))
    if len(differs):
        first = differs[0]
        raise ConvRNNError(
            f"the stimuli are {given[first]:g} degrees wide by `degrees=…` or their "
            f"table, and {theirs[first]:g} by the recording ({len(differs)} of {len(known)}, "
            f"{recorded['stimulus_id'].iloc[first]} first): omit `degrees=…`, or correct the table "
            "or the recording."
        )
    if known.any() and not known.all():
        size = (
            "the stated width is used"
            if stated
            else f"they are assumed to fill {VISUAL_DEGREES} degrees"
        )
        notes.append(f"the recording does not give the size of {(~known).sum()} stimuli: {size}")
    return np.where(known, theirs, given)


def _sized(streams: pd.Series, recorded: pd.DataFrame, stated: bool) -> list[Stream]:
    """Movies and streams at the width that the recording gives, if it gives one.

    Raises
    ------
    ConvRNNError
        One of their images has another width by the stimulus table.
    """
    sized = []
    rows = zip(streams, recorded["degrees"].astype(float), recorded["stimulus_id"], strict=True)
    for stream, size, name in rows:
        known = np.isfinite(size)
        other = [clip.degrees for clip in stream if known and abs(clip.degrees - size) > 1e-3]
        if other and stated:
            raise ConvRNNError(
                f"an image of stimulus {name} is {other[0]:g} degrees wide by `degrees=…` or the "
                f"stimulus table, and {size:g} by the recording: omit `degrees=…`, or correct the "
                "table or the recording."
            )
        sized.append(tuple(clip._replace(degrees=size) if known else clip for clip in stream))
    return sized


def _column(table: pd.DataFrame, parameter: str, name: str) -> list[str]:
    if name not in table:
        raise ConvRNNError(
            f"`{parameter}={name!r}`: the recording's presentations have no coordinate of this "
            f"name that is constant for each stimulus; they have {', '.join(table.columns)}."
        )
    missing = names_of(table[name].to_numpy()) == ""
    if missing.any():
        first = table["stimulus_id"][missing].iloc[0]
        raise ConvRNNError(
            f"`{parameter}={name!r}`: {missing.sum()} of {len(missing)} stimuli have no {name}, "
            f"the first is {first}: add it, leave these stimuli out, or omit `{parameter}=…`."
        )
    return [str(value) for value in table[name]]


def _numbering(missing: Any, spare: Any) -> str:
    """What to add where one side seems to count from 0 and the other from 1, or with zeros."""
    both = list(map(str, missing)), list(map(str, spare))
    if {name.removesuffix(".0") for name in both[0]} & {
        each.removesuffix(".0") for each in both[1]
    }:
        return " Numbers have decimals on one side (1 and 1.0): write whole numbers on both."
    if {Path(name).stem for name in both[0]} & {Path(name).stem for name in both[1]}:
        return " Some names agree apart from the suffix."
    if not all(each and all(name.isdigit() for name in each) for each in both):
        return ""
    if {int(name) for name in both[0]} == {int(name) for name in both[1]}:
        return " The numbers are written differently on the two sides (1 and 001)."
    return " Does one side count from 0, and the other from 1?"


def _ten(names: Any) -> str:
    shown = ", ".join(str(name) for name in list(names)[:10])
    return shown + (", …" if len(names) > 10 else "")


def _after_onset(time_bins: Sequence[TimeBin]) -> NDArray[np.float64]:
    """Higher the nearer a bin's middle is to 120 ms, where responses of V4 and IT are strong."""
    middles = np.array(time_bins, float).mean(axis=1)
    return -abs(middles - 120)

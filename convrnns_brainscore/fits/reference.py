"""Dissimilarities over time with which the geometry of layers is compared (`representation`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.spatial.distance import squareform
from scipy.stats import rankdata

from convrnns_brainscore.choices import DistanceName, parse_choice
from convrnns_brainscore.coordinates import as_ids, time_bins_of
from convrnns_brainscore.errors import ConvRNNError, counted
from convrnns_brainscore.fits.correlation import nanmean, pearson, spearman_brown
from convrnns_brainscore.fits.distances import FEWEST_STIMULI, Correlation, CrossValidated, Distance
from convrnns_brainscore.fits.reliability import Trials
from convrnns_brainscore.fits.resampling import FEWEST_SUBJECTS, draw_neurons
from convrnns_brainscore.presentation import ASSUMED_IMAGE_MS, image_duration
from convrnns_brainscore.provenance import digest
from convrnns_brainscore.recordings import Recording
from convrnns_brainscore.timing import TimeBin

RESAMPLES = 100
SEED = 0
FEWEST_NEURONS = 3
"""1 − r between patterns of two neurons is 0 or 2."""

AS_GIVEN = "as given"
"""The distance of dissimilarities that were not computed here."""

EDGES = ("time_bin_start", "time_bin_end")

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Reference:
    """Dissimilarities over time with which layers are compared.

    Attributes
    ----------
    stimuli : DataFrame
        ``stimulus_id`` in the order of the pairs.
    time_bins : list of (start, end)
        Start and end in ms.
    regions : list of str
        Names of what is compared.
    dissimilarities : callable
        Draw → [region, bin, pair]; draw −1: of all neurons; else of those of a resample. NaN where
        undefined.
    reliability : float64 array [region, bin]
        Spearman's r of the dissimilarities of either half of the repetitions, Spearman–Brown
        corrected. NaN where there are none.
    subjects : mapping of str to float64 array
        Region → [subject, bin, pair], the dissimilarities of each subject; only regions of two
        subjects or more.
    distance : str, default "correlation"
        How the reference's dissimilarities were measured.
    image_ms : float, default ASSUMED_IMAGE_MS
        How long images were on, in ms.
    notes : tuple of str, default ()
        What was assumed, and what cannot be said, and why.
    """

    stimuli: pd.DataFrame
    time_bins: list[TimeBin]
    regions: list[str]
    dissimilarities: Callable[[int], Array]
    reliability: Array
    image_ms: float = ASSUMED_IMAGE_MS
    notes: tuple[str, ...] = ()
    subjects: Mapping[str, Array] = field(default_factory=dict)
    distance: str = DistanceName.correlation.value

    @property
    def sha256(self) -> str:
        """SHA-256 of the stimuli, the bins and the dissimilarities."""
        labels = self.stimuli["stimulus_id"].tolist(), self.time_bins, self.regions
        return digest([labels, self.whole.tobytes()])

    @cached_property
    def whole(self) -> Array:
        """Dissimilarities of all neurons, [region, bin, pair]."""
        return self.dissimilarities(-1)


def reference_of(
    recording: Recording,
    image_ms: float | None = None,
    *,
    distance: str = "correlation",
    in_time: bool = False,
) -> Reference:
    """The geometry of a recording's responses.

    Parameters
    ----------
    recording : Recording
        Of one region or more.
    image_ms : float, optional
        How long images were on, in ms; None: as the recording says, or 100 ms.
    distance : {"correlation", "crossnobis", "decoding"}, default "correlation"
        1 − Pearson r between responses averaged over repetitions, or a dissimilarity that is
        cross-validated over repetitions (`cross_validated`).
    in_time : bool, default False
        The stimuli have times of their own: durations do not matter.

    Raises
    ------
    ConvRNNError
        Too few neurons in all regions, or too few repetitions for the distance; durations as in
        `Recording.shown_for`.
    """
    measured = parse_choice("distance", distance, DistanceName)
    duration, note = float(ASSUMED_IMAGE_MS), ""
    if not in_time:
        recording, duration, note = recording.shown_for(image_ms)
    trials = Trials(recording.values, recording.stimulus, len(recording.stimuli))
    responses = trials.average()
    neurons, draws, notes = {}, {}, [*recording.notes, *([note] if note else [])]
    subjects = recording.neurons["subject"].to_numpy()
    for region in recording.regions:
        here = np.flatnonzero(recording.neurons["region"] == region)
        whole = here[np.isfinite(responses[:, here]).any(axis=2).all(axis=0)]
        if len(whole) < len(here):
            notes.append(
                f"excluded: {counted(len(here) - len(whole), 'neuron')} of {region} that miss "
                "stimuli"
            )
        if len(whole) < FEWEST_NEURONS:
            notes.append(f"{region} has {len(whole)} neurons: too few for a geometry")
            continue
        neurons[region] = whole
        # The second half of these are drawn.
        draws[region] = draw_neurons(subjects[whole], 2 * RESAMPLES)[RESAMPLES:]
    if not neurons:
        raise ConvRNNError("; ".join(notes) + f". A geometry needs {FEWEST_NEURONS} neurons.")
    if len(recording.stimuli) < FEWEST_STIMULI:
        notes.append(
            f"{len(recording.stimuli)} stimuli are too few for errors and tests: "
            f"{FEWEST_STIMULI} are needed"
        )
    bins = range(len(recording.time_bins))
    of_subjects = {
        region: [whole[subjects[whole] == each] for each in pd.unique(subjects[whole])]
        for region, whole in neurons.items()
    }
    geometry: Distance = Correlation(trials, responses, neurons)
    if measured is not DistanceName.correlation:
        together = [each for groups in of_subjects.values() for each in groups]
        names = recording.stimuli["stimulus_id"].astype(str).tolist()
        geometry = CrossValidated(trials, names, measured, together)
    notes += geometry.notes

    def of(draw: int = -1) -> Array:
        movies = []
        for region, chosen in neurons.items():
            if draw >= 0:
                drawn = draws[region][draw]
                chosen = chosen[drawn[drawn >= 0]]
            movies.append([geometry.of(index, chosen) for index in bins])
        return np.array(movies)

    reliability = np.full((len(neurons), len(bins)), np.nan)
    halves = [
        [
            [
                pearson(rankdata(a, axis=-1), rankdata(b, axis=-1))
                for a, b in zip(*each, strict=True)
            ]
            for each in zip(*both, strict=True)
        ]
        for both in geometry.halves(list(neurons.values()))
    ]
    if halves:
        reliability = spearman_brown(nanmean(np.array(halves)))
    movies = {}
    for region, groups in of_subjects.items():
        large = [each for each in groups if len(each) >= FEWEST_NEURONS]
        if len(large) > 1:
            movies[region] = np.array([[geometry.of(i, each) for i in bins] for each in large])
    return Reference(
        recording.stimuli,
        recording.time_bins,
        list(neurons),
        of,
        reliability,
        duration,
        tuple(notes),
        movies,
        measured.value,
    )


def given_reference(
    held: xr.Dataset, path: Path, image_ms: float | None = None
) -> Reference | None:
    """Read the geometry from a data set that holds dissimilarities; None where it holds none.

    Its variable has the dims time_bin × pair, with the pairs of stimuli row by row of the upper
    triangle, or subject × time_bin × pair; ``stimulus_id`` names the stimuli in their order,
    ``time_bin_start`` and ``time_bin_end`` the bins in ms; its attribute ``image_on_ms`` may say
    how long images were on.

    Parameters
    ----------
    held : Dataset
        As `recording_files.open_data` gives it.
    path : path
        Path of its file, for errors.
    image_ms : float, optional
        How long images were on, in ms; None: as the file says, or 100 ms.

    Raises
    ------
    ConvRNNError
        A name or a number of pairs is missing; durations as in `presentation.image_duration`.
    """
    found = [name for name, data in held.data_vars.items() if "pair" in data.dims]
    if not found:
        return None
    if len(found) > 1:
        raise ConvRNNError(
            f"{path} has several variables with dissimilarities ({', '.join(map(str, found))}): "
            "remove all but the one to compare with."
        )
    missing = [name for name in ("stimulus_id", *EDGES) if name not in held.variables]
    if missing:
        raise ConvRNNError(
            f"{path} has dissimilarities (dim pair) and no {missing[0]}: expected stimulus_id, and "
            "time_bin_start and time_bin_end in ms, also for a single time bin."
        )
    movie = held[found[0]]
    if "time_bin" not in movie.dims:
        raise ConvRNNError(f"{path}: its dissimilarities have no dim time_bin, but {movie.dims}.")
    if "subject" not in movie.dims:
        movie = movie.expand_dims("subject")
    values = movie.transpose("subject", "time_bin", "pair").values.astype(np.float64)
    ids = as_ids(held["stimulus_id"].values).tolist()
    twice = [name for name in dict.fromkeys(ids) if ids.count(name) > 1]
    if twice:
        raise ConvRNNError(f"{path} has the stimulus {twice[0]} twice: give each its own id.")
    pairs = len(ids) * (len(ids) - 1) // 2
    if values.shape[2] != pairs:
        raise ConvRNNError(
            f"{path} has {values.shape[2]} pairs; its {len(ids)} stimuli have {pairs}."
        )
    bins = time_bins_of(
        movie.assign_coords({name: ("time_bin", held[name].values) for name in EDGES})
    )
    if not np.isfinite(values).all(axis=(0, 2)).any():
        raise ConvRNNError(f"{path} has a missing dissimilarity (NaN) in every time bin.")
    notes = [
        f"{count} of {pairs} dissimilarities are missing (NaN) in {start:g}–{end:g} ms: this bin "
        "has no similarity"
        for (start, end), count in zip(bins, np.isnan(values).any(axis=0).sum(axis=1), strict=True)
        if count
    ]
    duration, note = image_duration(held.attrs.get("image_on_ms"), image_ms)
    region = str(held.attrs.get("region", "given"))
    rng = np.random.default_rng(SEED)
    subjects = rng.integers(0, len(values), (RESAMPLES, len(values)))

    def of(draw: int = -1) -> Array:
        # Fewer than three subjects are taken as they are.
        few = len(values) < FEWEST_SUBJECTS
        chosen = values if draw < 0 or few else values[subjects[draw]]
        return chosen.mean(axis=0)[None]

    return Reference(
        pd.DataFrame({"stimulus_id": ids}),
        bins,
        [region],
        of,
        np.full((1, len(bins)), np.nan),
        duration,
        (
            "no repetitions: the reliability of the given dissimilarities is not known",
            *([note] if note else []),
            *notes,
        ),
        {region: values} if len(values) > 1 else {},
        AS_GIVEN,
    )


def pooled(references: Mapping[str, Reference]) -> Reference:
    """The geometry of several subjects: the mean of their dissimilarities.

    Parameters
    ----------
    references : mapping of str to Reference
        Subject → its reference. Stimuli and regions that not all subjects have are excluded.

    Returns
    -------
    Reference
        Draws are of subjects, where there are three or more; else of neurons within each. Its
        ``reliability`` is the mean over subjects.

    Raises
    ------
    ConvRNNError
        Subjects differ in time bins or in durations of images, or have no region or too few
        stimuli in common; two hold the same data; one holds dissimilarities.
    """
    (first, *others) = references
    one, every = references[first], list(references.values())
    seen: dict[str, str] = {}
    for name, each in references.items():
        if each.distance == AS_GIVEN:
            raise ConvRNNError(
                f"{name} holds dissimilarities: several files have to be recordings. Put the "
                "dissimilarities of all subjects into one file, with a dim subject."
            )
        other = seen.setdefault(each.sha256, name)
        if other != name:
            raise ConvRNNError(f"{other} and {name} hold the same data: each file is a subject.")
    for name in others:
        second = references[name]
        if second.time_bins != one.time_bins:
            raise ConvRNNError(
                f"{first} and {name} have different time bins: {_span(one.time_bins)} and "
                f"{_span(second.time_bins)}. Give `window=…`, or recompute one of them."
            )
        if second.image_ms != one.image_ms:
            raise ConvRNNError(
                f"{first} showed images for {one.image_ms:g} ms and {name} for "
                f"{second.image_ms:g} ms: compare them one by one."
            )
    regions = [each for each in one.regions if all(each in other.regions for other in every)]
    if not regions:
        held = "; ".join(f"{name}: {', '.join(r.regions)}" for name, r in references.items())
        raise ConvRNNError(f"no region is in all recordings ({held}).")
    said: dict[str, list[str]] = {}
    for name, each in references.items():
        for note in each.notes:
            said.setdefault(note, []).append(name)
    notes = [f"{', '.join(names)}: {note}" for note, names in said.items()]
    for name, each in references.items():
        several = max((len(each.subjects.get(region, ())) for region in regions), default=0)
        if several:
            notes.append(
                f"{name}: its {several} subjects count as one, since each file is a subject"
            )
        apart = [region for region in each.regions if region not in regions]
        if apart:
            notes.append(f"{name}: {', '.join(apart)} is not in all recordings: excluded")
    ids = [set(each.stimuli["stimulus_id"]) for each in every]
    common = sorted(set.intersection(*ids))
    if len(common) < 3:
        raise ConvRNNError(
            f"{len(common)} stimuli are in all recordings: three or more are needed."
        )
    if len(common) < max(map(len, ids)):
        notes.append(f"{len(common)} stimuli are in all recordings: others are excluded")
    pairs = [_pairs_among(each.stimuli["stimulus_id"].tolist(), common) for each in every]
    rows = [[each.regions.index(region) for region in regions] for each in every]

    def of_subjects(draw: int) -> Array:
        """[subject, region, bin, pair]"""
        values = [each.whole if draw < 0 else each.dissimilarities(draw) for each in every]
        return np.array(
            [each[here][:, :, among] for each, here, among in zip(values, rows, pairs, strict=True)]
        )

    whole = of_subjects(-1)
    rng = np.random.default_rng(SEED)
    chosen = rng.integers(0, len(every), (RESAMPLES, len(every)))

    def of(draw: int = -1) -> Array:
        if draw < 0:
            return np.asarray(whole.mean(axis=0))
        if len(every) >= FEWEST_SUBJECTS:
            return np.asarray(whole[chosen[draw]].mean(axis=0))
        return np.asarray(of_subjects(draw).mean(axis=0))

    stimuli = one.stimuli.set_index("stimulus_id").loc[common].reset_index()
    sizes = _widths(references, common)
    if sizes is not None:
        stimuli["degrees"] = sizes
    return Reference(
        stimuli,
        one.time_bins,
        regions,
        of,
        nanmean(np.array([each.reliability[here] for each, here in zip(every, rows, strict=True)])),
        one.image_ms,
        tuple(notes),
        {region: whole[:, index] for index, region in enumerate(regions)},
        one.distance,
    )


def _widths(references: Mapping[str, Reference], ids: list[str]) -> Array | None:
    """The width of each stimulus in degrees, by whichever recording gives it; None: none does.

    Raises
    ------
    ConvRNNError
        Two recordings give different widths.
    """
    found, given_by = np.full(len(ids), np.nan), [""] * len(ids)
    for name, each in references.items():
        table = each.stimuli.set_index("stimulus_id")
        if "degrees" not in table:
            continue
        theirs = table["degrees"].loc[ids].to_numpy(float)
        differs = np.flatnonzero(abs(theirs - found) > 1e-3)
        if len(differs):
            first = differs[0]
            raise ConvRNNError(
                f"stimulus {ids[first]} is {found[first]:g} degrees wide by {given_by[first]}, and "
                f"{theirs[first]:g} by {name}: compare them one by one."
            )
        for new in np.flatnonzero(np.isfinite(theirs) & np.isnan(found)):
            found[new], given_by[new] = theirs[new], name
    return found if any(given_by) else None


def _pairs_among(ids: list[str], kept: list[str]) -> NDArray[np.intp]:
    """Positions of the pairs of ``kept`` among the pairs of ``ids``."""
    every = squareform(np.arange(len(ids) * (len(ids) - 1) // 2))
    places = [ids.index(each) for each in kept]
    return np.asarray(every[np.ix_(places, places)][np.triu_indices(len(kept), 1)])


def _span(bins: list[TimeBin]) -> str:
    return f"{len(bins)} from {bins[0][0]:g} to {bins[-1][1]:g} ms"

"""Dissimilarities over time with which the geometry of layers is compared (`representation`)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from scipy.stats import rankdata

from convrnns_brainscore.coordinates import as_ids, time_bins_of
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.correlation import nanmean, pearson, spearman_brown
from convrnns_brainscore.fits.reliability import Trials
from convrnns_brainscore.fits.resampling import draw_neurons
from convrnns_brainscore.geometry import dissimilarities
from convrnns_brainscore.presentation import ASSUMED_IMAGE_MS, image_duration
from convrnns_brainscore.recordings import Recording
from convrnns_brainscore.timing import TimeBin

RESAMPLES = 100
SEED = 0
FEWEST_STIMULI = 8
"""Of fewer, resampled and permuted stimuli give too few other values."""

FEWEST_NEURONS = 3
"""1 − r between patterns of two neurons is 0 or 2."""

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


def reference_of(
    recording: Recording, image_ms: float | None = None, *, in_time: bool = False
) -> Reference:
    """The geometry of a recording's responses averaged over repetitions.

    Parameters
    ----------
    recording : Recording
        Of one region or more.
    image_ms : float, optional
        How long images were on, in ms; None: as the recording says, or 100 ms.
    in_time : bool, default False
        The stimuli have times of their own: durations do not matter.

    Raises
    ------
    ConvRNNError
        Too few neurons in all regions; durations as in `Recording.shown_for`.
    """
    duration, note = float(ASSUMED_IMAGE_MS), ""
    if not in_time:
        recording, duration, note = recording.shown_for(image_ms)
    trials = Trials(recording.values, recording.stimulus, len(recording.stimuli))
    responses = trials.average()
    neurons, draws, notes = {}, {}, [*recording.notes, *([note] if note else [])]
    for region in recording.regions:
        here = np.flatnonzero(recording.neurons["region"] == region)
        whole = here[np.isfinite(responses[:, here]).any(axis=2).all(axis=0)]
        if len(whole) < len(here):
            notes.append(f"{len(here) - len(whole)} neurons of {region} miss stimuli: left out")
        if len(whole) < FEWEST_NEURONS:
            notes.append(f"{region} has {len(whole)} neurons: too few for a geometry")
            continue
        neurons[region] = whole
        # The second half of these are drawn.
        subjects = recording.neurons["subject"].to_numpy()[whole]
        draws[region] = draw_neurons(subjects, 2 * RESAMPLES)[RESAMPLES:]
    if not neurons:
        raise ConvRNNError("; ".join(notes) + f". {FEWEST_NEURONS} are needed.")
    if len(recording.stimuli) < FEWEST_STIMULI:
        notes.append(
            f"{len(recording.stimuli)} stimuli are too few for errors and tests: "
            f"{FEWEST_STIMULI} are needed"
        )
    bins = range(len(recording.time_bins))

    def of(values: Array, draw: int = -1) -> Array:
        movies = []
        for region, chosen in neurons.items():
            if draw >= 0:
                drawn = draws[region][draw]
                chosen = chosen[drawn[drawn >= 0]]
            movies.append([dissimilarities_of(values[:, chosen, index]) for index in bins])
        return np.array(movies)

    reliability = np.full((len(neurons), len(bins)), np.nan)
    if trials.repeated:
        halves = [
            [
                [
                    pearson(rankdata(a, axis=-1), rankdata(b, axis=-1))
                    for a, b in zip(*each, strict=True)
                ]
                for each in zip(*map(of, both), strict=True)
            ]
            for both in trials.halves()
        ]
        reliability = spearman_brown(nanmean(np.array(halves)))
    return Reference(
        recording.stimuli,
        recording.time_bins,
        list(neurons),
        lambda draw: of(responses, draw),
        reliability,
        duration,
        tuple(notes),
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
    missing = [name for name in ("stimulus_id", *EDGES) if name not in held.variables]
    if missing:
        raise ConvRNNError(f"{path} has dissimilarities and no {missing[0]}.")
    movie = held[found[0]]
    if "time_bin" not in movie.dims:
        raise ConvRNNError(f"{path}: its dissimilarities have no dim time_bin, but {movie.dims}.")
    if "subject" not in movie.dims:
        movie = movie.expand_dims("subject")
    values = movie.transpose("subject", "time_bin", "pair").values.astype(np.float64)
    ids = as_ids(held["stimulus_id"].values).tolist()
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
    duration, note = image_duration(held.attrs.get("image_on_ms"), image_ms)
    rng = np.random.default_rng(SEED)
    subjects = rng.integers(0, len(values), (RESAMPLES, len(values)))

    def of(draw: int) -> Array:
        # Fewer than three subjects are taken as they are.
        chosen = values if draw < 0 or len(values) < 3 else values[subjects[draw]]
        return chosen.mean(axis=0)[None]

    return Reference(
        pd.DataFrame({"stimulus_id": ids}),
        bins,
        [str(held.attrs.get("region", "given"))],
        of,
        np.full((1, len(bins)), np.nan),
        duration,
        (
            "no repetitions: the reliability of the given dissimilarities is not known",
            *([note] if note else []),
        ),
    )


def dissimilarities_of(patterns: NDArray[np.floating[Any]]) -> Array:
    """[pair]; NaN where patterns do not differ, or hold what was not observed."""
    if not np.isfinite(patterns).all():
        return np.full(len(patterns) * (len(patterns) - 1) // 2, np.nan)
    return dissimilarities(patterns)

"""Representational geometry over time: dissimilarities between stimuli, layer × step.

The dissimilarity of two stimuli is 1 − Pearson r between their patterns of activation
(Kriegeskorte et al. 2008); dissimilarities are compared by Spearman's rank correlation. Comparing,
resampling and noise ceilings are rsatoolbox's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rsatoolbox.inference import boot_noise_ceiling
from rsatoolbox.rdm import RDMs, compare

from convrnns_brainscore.timing import bins_of_steps

METHOD = "spearman"
"""How dissimilarities are compared (a method of `rsatoolbox.rdm.compare`)."""


def dissimilarities(patterns: NDArray[np.floating[Any]]) -> NDArray[np.float64]:
    """1 − Pearson r between all pairs of rows.

    Parameters
    ----------
    patterns : float array [stimulus, unit]

    Returns
    -------
    float64 array [pair]
        The upper triangle row by row; NaN where patterns do not differ between stimuli, or one does
        not vary over units.
    """
    pairs = np.triu_indices(len(patterns), 1)
    if (patterns == patterns[:1]).all():
        return np.full(len(pairs[0]), np.nan)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(1 - np.corrcoef(patterns)[pairs], np.float64)


def dissimilarity_movie(activations: Mapping[str, NDArray[np.float32]], steps: int) -> xr.DataArray:
    """Dissimilarities between stimuli in each layer at each step.

    Parameters
    ----------
    activations : mapping of str to float32 array [stimulus, step, unit]
        Layer → activations from the step at which the image reaches the layer to the last one.
    steps : int
        Steps of the presentation.

    Returns
    -------
    DataArray
        Layer × time_bin × pair. NaN before the image reaches the layer, and where every image gives
        the same.
    """
    stimuli = len(next(iter(activations.values())))
    movie = np.full((len(activations), steps, stimuli * (stimuli - 1) // 2), np.nan)
    for row, values in zip(movie, activations.values(), strict=True):
        first = steps - values.shape[1]
        for step in range(first, steps):
            row[step] = dissimilarities(values[:, step - first])
    start, end = bins_of_steps(0, steps)
    coords = {
        "layer": list(activations),
        "time_bin_start": ("time_bin", start),
        "time_bin_end": ("time_bin", end),
    }
    return xr.DataArray(movie, coords, ("layer", "time_bin", "pair"))


def similarity(
    movie: xr.DataArray,
    references: Mapping[str, NDArray[np.float64]],
    *,
    resamples: int = 100,
    seed: int = 0,
) -> xr.Dataset:
    """How similar the geometry of each layer and step is to each reference.

    Parameters
    ----------
    movie : DataArray
        Layer × time_bin × pair.
    references : mapping of str to float64 array
        Name → [pair] dissimilarities of the same stimuli, or [subject, pair]: the similarity is
        then the mean over subjects.
    resamples : int, default 100
        Bootstrap samples of the stimuli for the error.
    seed : int, default 0
        Seed of the resampling.

    Returns
    -------
    Dataset
        ``similarity`` and ``error`` (its standard deviation over resampled stimuli), reference ×
        layer × time_bin; NaN where the movie is undefined.
    """
    subjects = [np.atleast_2d(reference) for reference in references.values()]
    flat = movie.values.reshape(-1, movie.sizes["pair"])
    defined = np.isfinite(flat).all(axis=1)
    model, brain = RDMs(flat[defined]), RDMs(np.concatenate(subjects))
    ends = np.cumsum([len(each) for each in subjects])[:-1]

    def compared(model: RDMs, brain: RDMs) -> NDArray[np.float64]:
        each = np.split(compare(model, brain, METHOD), ends, axis=1)
        return np.stack([values.mean(axis=1) for values in each])

    rng = np.random.default_rng(seed)
    samples = np.empty((resamples, len(subjects), int(defined.sum())))
    for index in range(resamples):
        stimuli = rng.integers(0, model.n_cond, model.n_cond)
        samples[index] = compared(*(r.subsample_pattern("index", stimuli) for r in (model, brain)))

    full = np.full((2, len(subjects), len(flat)), np.nan)
    full[:, :, defined] = compared(model, brain), samples.std(axis=0, ddof=1)
    dims = ("reference", "layer", "time_bin")
    estimate, error = full.reshape(2, len(subjects), *movie.shape[:2])
    coords = {**movie.coords, "reference": list(references)}
    return xr.Dataset({"similarity": (dims, estimate), "error": (dims, error)}, coords)


def noise_ceiling(subjects: NDArray[np.float64]) -> tuple[float, float]:
    """Lower and upper bound of the similarity that any model can reach with [subject, pair]."""
    lower, upper = boot_noise_ceiling(RDMs(subjects), METHOD)
    return float(lower), float(upper)

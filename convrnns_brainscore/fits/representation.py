"""Representational similarity of layers and a recording, bin by bin, with its statistics.

The dissimilarity of two stimuli is 1 − Pearson r between their patterns, over a layer's units or a
region's neurons; dissimilarities are compared by Spearman's correlation (Kriegeskorte et al. 2008),
by rsatoolbox. Errors are over resampled stimuli, and neurons within subjects (subjects too, of
three or more). p of a similarity is from stimuli that are permuted, corrected for all layers and
bins by the maximum statistic; p of a difference between models from its error, by t as in
rsatoolbox, corrected for pairs of models (and for bins, where these are told apart) by Holm's
procedure.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from itertools import combinations, product
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from rsatoolbox.rdm import RDMs, compare
from scipy.stats import rankdata
from scipy.stats import t as student_t

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.distances import FEWEST_STIMULI, dissimilarities_of
from convrnns_brainscore.fits.reference import (
    EDGES,
    RESAMPLES,
    SEED,
    Reference,
)
from convrnns_brainscore.fits.scratch import FeatureStore, grouped, layer_bins, room
from convrnns_brainscore.fits.statistics import holm
from convrnns_brainscore.geometry import METHOD, noise_ceiling
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.timing import TimeBin

PERMUTATIONS = 1000

WAYS_OUT = "Give `out=…` on another disk, or fewer `layers=…`."
"""What helps where features do not fit on the disk."""

WHY = "undefined"
"""Why a value is undefined; empty where it is not."""

SAME_PATTERNS = (
    "all units have the same activation for a stimulus, or all stimuli give the same activations"
)
SPARSE = "too few resamples are defined in all bins, since spikes are sparse"

Array = NDArray[np.float64]


def compare_networks(
    networks: Mapping[str, Callable[[], ConvRNN]],
    reference: Reference,
    stimuli: pd.DataFrame,
    presentation: Presentation,
    folder: Path,
    layers: Sequence[str] | None = None,
    *,
    progress: bool = False,
) -> tuple[xr.Dataset, pd.DataFrame]:
    """`compare_movies` of networks that are shown the reference's stimuli.

    Parameters
    ----------
    networks : mapping of str to callable
        Name → what loads the network.
    reference : Reference
        What they are compared with.
    stimuli : DataFrame
        ``stimulus_id``, ``filename``, ``degrees``, in the reference's order.
    presentation : Presentation
        What is shown.
    folder : path
        Folder for features while they are needed; it is made.
    layers : sequence of str, optional
        None: all.
    progress : bool, default False
        Show progress bars.

    Returns
    -------
    (Dataset, DataFrame)
        As `compare_movies`; what made each model's geometry is among the attributes, as JSON.
    """
    there = folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    movies, made_by = {}, {}
    for name, load in networks.items():
        network = load()
        network.check_lesion(presentation)
        made_by[name] = {**describe(network, presentation), "label": network.label}
        movies[name] = movie_of(
            network,
            layers or network.layers,
            reference.time_bins,
            presentation,
            stimuli,
            folder,
            progress=progress,
        )
    try:
        found, differences = compare_movies(movies, reference, progress=progress)
    except ConvRNNError:
        if not there:
            shutil.rmtree(folder)
        raise
    found.attrs = {
        "made_by": json.dumps(made_by),
        "notes": "\n".join(reference.notes),
        "stimuli": len(reference.stimuli),
        "distance": reference.distance,
    }
    return found, differences


def movie_of(
    network: ConvRNN,
    layers: Sequence[str],
    time_bins: Sequence[TimeBin],
    presentation: Presentation,
    stimuli: pd.DataFrame,
    folder: Path,
    *,
    progress: bool = False,
) -> xr.DataArray:
    """Dissimilarities of a network's layers, layer × time_bin × pair; NaN where undefined.

    Parameters
    ----------
    layers, time_bins, presentation
        What is shown, and averaged.
    stimuli : DataFrame
        ``stimulus_id``, ``filename``, ``degrees``.
    folder : path
        Folder for the features, as many layers at a time as fit on its disk; they are removed.
    """
    pairs = len(stimuli) * (len(stimuli) - 1) // 2
    movie = np.full((len(layers), len(time_bins), pairs), np.nan)
    every = {layer: layer_bins(network.model, layer, time_bins, presentation) for layer in layers}
    bins = {layer: its for layer, its in every.items() if its.averages}
    for group in grouped(network.model, bins, len(stimuli), room(folder), WAYS_OUT):
        store = FeatureStore(network, group, presentation, stimuli, folder, progress)
        for layer, its in group.items():
            patterns = [
                dissimilarities_of(np.concatenate(list(store.columns(layer, position)), axis=1))
                for position in range(len(its.averages))
            ]
            for index, each in enumerate(time_bins):
                if each in its.position:
                    movie[layers.index(layer), index] = patterns[its.position[each]]
        shutil.rmtree(store.path)
    start, end = np.array(time_bins, float).T
    edges = {name: ("time_bin", values) for name, values in zip(EDGES, (start, end), strict=True)}
    why = [[every[layer].undefined.get(each, "") for each in time_bins] for layer in layers]
    coordinates = {"layer": list(layers), **edges, WHY: (("layer", "time_bin"), why)}
    return xr.DataArray(movie, coordinates, ("layer", "time_bin", "pair"))


def compare_movies(
    movies: Mapping[str, xr.DataArray], reference: Reference, *, progress: bool = False
) -> tuple[xr.Dataset, pd.DataFrame]:
    """How similar each layer is to the reference in each bin, and how models differ.

    Parameters
    ----------
    movies : mapping of str to DataArray
        Model → layer × time_bin × pair, of the reference's stimuli and bins.
    reference : Reference
        What they are compared with.
    progress : bool, default False
        Show a progress bar.

    Returns
    -------
    similarities
        ``similarity`` (Spearman's), ``error``, ``p`` and ``undefined``, which says why one of them
        is (model × region × layer × time_bin); ``reliability`` (region × time_bin). With two
        subjects or more also ``subject_similarity``, the mean over subjects of r with each
        subject's own dissimilarities, its standard error over subjects ``subject_error``, and the
        bounds that no model's and the true model's reach, ``ceiling_upper`` and
        ``ceiling_lower`` (Nili et al. 2014). ``dissimilarity`` and ``model_dissimilarity`` are
        those of the recording and of the model (model × region × pair) at the layer and bin of
        ``most_similar``.
    differences
        A row for each region and two models, of their layers that are most similar on average (on
        these data, so that more layers flatter a model): ``difference`` (mean over bins),
        ``error``, ``p``, ``bins`` in which p is below .05, ``untested``: why there is no p.
    """
    cells = [
        (model, layer, time_bin)
        for model, movie in movies.items()
        for layer in range(movie.sizes["layer"])
        for time_bin in range(movie.sizes["time_bin"])
        if _varies(movie.values[layer, time_bin])
    ]
    if not cells:
        raise ConvRNNError("no layer has a defined geometry in any time bin.")
    stimuli, whole = len(reference.stimuli), reference.whole
    if not _varies(whole).any():
        raise ConvRNNError(
            "the reference's geometry is undefined in every bin: responses are missing or do not "
            "differ between stimuli, or all dissimilarities are equal."
        )
    of_models = np.stack([movies[m].values[layer, time] for m, layer, time in cells])
    same_time = np.array([time for _, _, time in cells])
    regions = len(reference.regions)

    def similarity(models: RDMs, movie: Array, stimuli: NDArray[np.intp] | None) -> Array:
        """[region, cell]"""
        known = _varies(movie)
        result = np.full((regions, len(cells)), np.nan)
        if not known.any():  # a draw of neurons that are silent for some stimulus
            return result
        brain = RDMs(movie[known])
        if stimuli is not None:
            models, brain = (each.subsample_pattern("index", stimuli) for each in (models, brain))
        compared = compare(models, brain, METHOD)
        for column, (region, time) in enumerate(np.argwhere(known)):
            there = same_time == time
            result[region, there] = compared[there, column]
        return result

    models = RDMs(of_models)
    estimate = similarity(models, whole, None)
    resamples = np.full((RESAMPLES, *estimate.shape), np.nan)
    p = np.full(estimate.shape, np.nan)
    if stimuli >= FEWEST_STIMULI:
        rng = np.random.default_rng(SEED)
        with progress_bar(shown=progress, transient=True) as bar:
            for draw in bar.track(range(RESAMPLES), description="resampling"):
                chosen = rng.integers(0, stimuli, stimuli)
                resamples[draw] = similarity(models, reference.dissimilarities(draw), chosen)
        p = _permuted(of_models, whole, same_time, estimate, stimuli)
    layers = list(dict.fromkeys(name for m in movies.values() for name in m["layer"].values))
    shape = len(movies), regions, len(layers), len(reference.time_bins)
    full = {name: np.full(shape, np.nan) for name in ("similarity", "error", "p")}
    names = list(movies)
    error = _spread(resamples)
    for column, (model, layer, time) in enumerate(cells):
        row = layers.index(movies[model]["layer"].values[layer])
        for name, values in (("similarity", estimate), ("error", error), ("p", p)):
            full[name][names.index(model), :, row, time] = values[:, column]
    full[WHY] = np.full(shape, "", object)
    known = np.isfinite(whole).all(axis=2)
    for where in np.argwhere(~np.isfinite(full["error"])):
        of_model, region, layer, time = where.tolist()
        full[WHY][tuple(where)] = _reason(
            movies[names[of_model]],
            layers[layer],
            time,
            bool(known[region, time]),
            bool(np.isfinite(full["similarity"][tuple(where)])),
            stimuli,
        )
    start, end = np.array(reference.time_bins, float).T
    found = xr.Dataset(
        {
            **{name: (("model", "region", "layer", "time_bin"), full[name]) for name in full},
            "reliability": (("region", "time_bin"), reference.reliability),
        },
        {
            "model": names,
            "region": reference.regions,
            "layer": layers,
            EDGES[0]: ("time_bin", start),
            EDGES[1]: ("time_bin", end),
        },
    )
    found = found.merge(_of_subjects(movies, reference, found))
    found = found.merge(_most_similar(movies, whole, found))
    return found, _differences(found, movies, cells, resamples, stimuli)


def _of_subjects(
    movies: Mapping[str, xr.DataArray], reference: Reference, found: xr.Dataset
) -> xr.Dataset:
    """Similarity with each subject's geometry, and its bounds; empty with a single subject."""
    if not reference.subjects:
        return xr.Dataset()
    values = np.full((2, *found["similarity"].shape), np.nan)
    bounds = np.full((2, *found["reliability"].shape), np.nan)
    for region, of_region in reference.subjects.items():
        row = reference.regions.index(region)
        for time, subjects in enumerate(np.swapaxes(of_region, 0, 1)):
            if not _varies(subjects).all():
                continue
            bounds[:, row, time] = noise_ceiling(subjects)
            for column, movie in enumerate(movies.values()):
                here = movie.values[:, time]
                defined = _varies(here)
                if not defined.any():
                    continue
                names = movie["layer"].values[defined]
                layers = [found.get_index("layer").get_loc(name) for name in names]
                each = compare(RDMs(here[defined]), RDMs(subjects), METHOD)
                error = each.std(axis=1, ddof=1) / np.sqrt(len(subjects))
                values[:, column, row, layers, time] = each.mean(axis=1), error
    dims = found["similarity"].dims
    return xr.Dataset(
        {
            "subject_similarity": (dims, values[0]),
            "subject_error": (dims, values[1]),
            "ceiling_lower": (("region", "time_bin"), bounds[0]),
            "ceiling_upper": (("region", "time_bin"), bounds[1]),
        }
    )


def _most_similar(
    movies: Mapping[str, xr.DataArray], whole: Array, found: xr.Dataset
) -> xr.Dataset:
    """The dissimilarities of each model and region where they are most similar."""
    shape = found.sizes["model"], found.sizes["region"]
    pairs = whole.shape[2]
    of_recording, of_model = np.full((2, *shape, pairs), np.nan, np.float32)
    where = np.full(shape, "", object)
    for (column, movie), row in product(enumerate(movies.values()), range(shape[1])):
        values = found["similarity"].values[column, row]
        if not np.isfinite(values).any():
            continue
        layer, time = np.unravel_index(int(np.nanargmax(values)), values.shape)
        chosen = str(found["layer"].values[layer])
        start, end = (found[edge].values[time] for edge in EDGES)
        where[column, row] = f"{chosen}, {start:g}–{end:g} ms"
        of_recording[column, row] = whole[row, time]
        of_model[column, row] = movie.sel(layer=chosen).values[time]
    dims = ("model", "region")
    return xr.Dataset(
        {
            "dissimilarity": ((*dims, "pair"), of_recording),
            "model_dissimilarity": ((*dims, "pair"), of_model),
            "most_similar": (dims, where),
        }
    )


def _varies(dissimilarities: Array) -> NDArray[np.bool_]:
    """Whether all pairs, the last axis, are defined and not all are equal: only then a correlation
    is defined."""
    with np.errstate(invalid="ignore"):
        return np.asarray(np.ptp(dissimilarities, axis=-1) > 0)  # False of NaN


def _reason(
    movie: xr.DataArray, layer: str, time_bin: int, known: bool, similar: bool, stimuli: int
) -> str:
    """Why a layer has no similarity in a bin, or no error.

    Parameters
    ----------
    known, similar : bool
        The recording has a geometry in the bin; there is a similarity.
    """
    if layer not in movie["layer"].values:
        return "not a layer of this model"
    here = movie.sel(layer=layer)[time_bin]
    if not np.isfinite(here.values).all():
        return str(here.coords[WHY].item() if WHY in here.coords else "") or SAME_PATTERNS
    if not known:
        return "responses or dissimilarities are missing, or do not differ between stimuli"
    if not similar:
        return "all dissimilarities are equal"
    if stimuli < FEWEST_STIMULI:
        return _too_few(stimuli)
    return f"no error: {SPARSE}"


def _too_few(stimuli: int) -> str:
    return f"{stimuli} stimuli are too few: {FEWEST_STIMULI} are needed"


def _differences(
    found: xr.Dataset,
    movies: Mapping[str, xr.DataArray],
    cells: Sequence[tuple[str, int, int]],
    resamples: Array,
    stimuli: int,
) -> pd.DataFrame:
    rows, of_bins = [], []
    bins = found.sizes["time_bin"]
    for place, region in enumerate(found["region"].values.tolist()):
        best = {}
        for model, movie in movies.items():
            layers = movie["layer"].values.tolist()
            values = found["similarity"].sel(model=model, region=region, layer=layers).values
            of_layers = nanmean(values, axis=1)
            if not np.isfinite(of_layers).any():
                continue
            at = int(np.nanargmax(of_layers))
            drawn = np.full((len(resamples), bins), np.nan)
            for column, (name, layer, time) in enumerate(cells):
                if (name, layer) == (model, at):
                    drawn[:, time] = resamples[:, place, column]
            best[model] = layers[at], values[at], drawn
        for first, second in combinations(movies, 2):
            row: dict[str, Any] = {"region": region, "first": first, "second": second}
            if first not in best or second not in best:
                rows.append({**row, "untested": "no bin in which both are defined"})
                of_bins.append(np.full(bins, np.nan))
                continue
            d = best[first][1] - best[second][1]
            both = np.isfinite(d)
            drawn = (best[first][2] - best[second][2])[:, both]
            untested = ""
            if not both.any():
                untested = "no bin in which both are defined"
            elif stimuli < FEWEST_STIMULI:
                untested = _too_few(stimuli)
            overall = float(nanmean(d))
            error = float(_spread(drawn.mean(axis=1))) if not untested else np.nan
            p = np.full(bins, np.nan)
            if not untested:
                p[both] = _p_of(d[both], _spread(drawn), stimuli)
                if not np.isfinite(error):
                    untested = SPARSE
            of_bins.append(p)
            rows.append(
                {
                    **row,
                    "first_layer": best[first][0],
                    "second_layer": best[second][0],
                    "difference": overall,
                    "error": error,
                    "p": float(_p_of(overall, error, stimuli)),
                    "untested": untested,
                }
            )
    table = pd.DataFrame(rows)
    if not len(table):
        return table
    for _, group in table.groupby("region", sort=False):
        here = group.index.to_numpy()
        table.loc[here, "p"] = holm(group["p"].tolist())
        corrected = holm(np.array(of_bins)[here].ravel().tolist()).reshape(len(here), bins)
        for index, p in zip(here, corrected, strict=True):
            edges = zip(*(found[name].values[p < 0.05] for name in EDGES), strict=True)
            table.loc[index, "bins"] = ", ".join(f"{a:g}–{b:g} ms" for a, b in edges)
    return table


def _spread(draws: Array) -> Array:
    """The standard deviation over draws, [draw, …]; a draw that is undefined, such as of neurons
    that are silent for some stimulus, costs itself. NaN where fewer than half are defined."""
    known = np.isfinite(draws).sum(axis=0)
    centred = draws - nanmean(draws)
    with np.errstate(invalid="ignore", divide="ignore"):
        spread = np.sqrt(np.nansum(centred**2, axis=0) / (known - 1))
    return np.asarray(np.where(2 * known >= len(draws), spread, np.nan))


def _p_of(difference: Any, error: Any, stimuli: int) -> Array:
    """Two-sided, of a difference with its standard error; above 0."""
    difference, error = np.asarray(difference, float), np.asarray(error, float)
    with np.errstate(invalid="ignore", divide="ignore"):
        t = np.where(difference == 0, 0, abs(difference) / error)
    return np.maximum(2 * student_t.sf(t, stimuli - 1), np.finfo(float).tiny)


def _share(reached: NDArray[np.bool_]) -> Array:
    """Of draws, the observed one counted among them: never 0."""
    return np.asarray((1 + reached.sum(axis=0)) / (1 + len(reached)))


def _permuted(
    of_models: Array, whole: Array, same_time: NDArray[np.intp], estimate: Array, stimuli: int
) -> Array:
    """p of each similarity, [region, cell]: how often stimuli in another order give as much
    anywhere."""
    place = np.zeros((stimuli, stimuli), np.intp)
    upper = np.triu_indices(stimuli, 1)
    place[upper] = np.arange(len(upper[0]))
    place += place.T
    models = _standardised_ranks(of_models)
    brain = _standardised_ranks(np.nan_to_num(whole))
    rng = np.random.default_rng(SEED)
    greatest = np.zeros(PERMUTATIONS)
    for index in range(PERMUTATIONS):
        order = rng.permutation(stimuli)
        moved = brain[:, :, place[order[upper[0]], order[upper[1]]]]
        r = _same_time_products(models, moved, same_time)
        greatest[index] = np.nan_to_num(abs(np.where(np.isfinite(estimate), r, 0))).max()
    p = _share(greatest[:, None, None] >= abs(np.nan_to_num(estimate)) - 1e-12)
    return np.where(np.isfinite(estimate), p, np.nan)


def _same_time_products(
    models: NDArray[np.float32], brain: NDArray[np.float32], same_time: NDArray[np.intp]
) -> Array:
    """[region, cell]"""
    result = np.empty((len(brain), len(models)))
    for time in np.unique(same_time):
        there = same_time == time
        result[:, there] = brain[:, time] @ models[there].T
    return result


def _standardised_ranks(values: Array) -> NDArray[np.float32]:
    """So that Spearman's r of two rows is their product."""
    ranks = rankdata(values, axis=-1).astype(np.float64)
    ranks -= ranks.mean(axis=-1, keepdims=True)
    length = np.sqrt((ranks**2).sum(axis=-1, keepdims=True))
    return (ranks / np.where(length > 0, length, 1)).astype(np.float32)

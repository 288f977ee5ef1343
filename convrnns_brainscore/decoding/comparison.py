"""Decoding results with errors and tests, and the agreement of layers with neurons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.decoding import measures
from convrnns_brainscore.decoding.behaviour import Behaviour
from convrnns_brainscore.decoding.measures import Array
from convrnns_brainscore.decoding.populations import Decoded
from convrnns_brainscore.decoding.question import Question
from convrnns_brainscore.fits.correlation import nanmean

PERMUTATIONS = RESAMPLES = 1000
SEED = 1


def compared(
    question: Question,
    found: Mapping[str, Decoded],
    halves: Mapping[str, Sequence[tuple[Decoded, Decoded]]],
    why: Mapping[str, Sequence[str]],
    behaviour: Behaviour | None,
) -> xr.Dataset:
    """All measures, errors, tests and comparisons."""
    recording, labels = question.recording, question.labels
    starts, ends = np.array(recording.time_bins, float).T
    bins, threshold = len(starts), question.threshold
    if behaviour is not None:
        threshold = behaviour.i1()
    scored = {name: _scored(each, question) for name, each in found.items()}
    decoders = list(found)
    solved = {
        name: measures.solution_times(each.i1, threshold, starts) for name, each in found.items()
    }

    def by_bin(name: str) -> tuple[tuple[str, str], Array]:
        return ("decoder", "time_bin"), np.array([scored[each][name] for each in decoders])

    data: dict[str, Any] = {
        "accuracy": by_bin("accuracy"),
        "accuracy_error": by_bin("error"),
        "p": by_bin("p"),
        "d_prime": (("decoder", "time_bin"), np.array([found[d].d_prime for d in decoders])),
        "i1": (("decoder", "stimulus", "time_bin"), np.array([found[d].i1 for d in decoders])),
        "solution_ms": (("decoder", "stimulus"), np.array([solved[d] for d in decoders])),
        "generalisation": (
            ("decoder", "train_bin", "time_bin"), np.array([found[d].crossed for d in decoders]),
        ),
        "onset_ms": ("decoder", [_onset(scored[d]["p"], starts) for d in decoders]),
        "undefined": (
            ("decoder", "time_bin"),
            np.array([[*why.get(d, [""] * bins)] for d in decoders], str),
        ),
    }  # fmt: skip
    shape = len(question.neurons), len(decoders)
    agree, ceilings = np.full((*shape, bins), np.nan), np.full((shape[0], bins), np.nan)
    solve, solve_n = np.full(shape, np.nan), np.zeros(shape, int)
    solve_ceiling = np.full(shape[0], np.nan)
    for row, region in enumerate(question.neurons):
        neurons = f"{region} neurons"
        for column, name in enumerate(decoders):
            if name == neurons:
                continue
            for index in range(bins):
                agree[row, column, index] = measures.agreement(
                    _within(found[neurons].i1[:, index], labels),
                    _within(found[name].i1[:, index], labels),
                )
            solve[row, column], solve_n[row, column] = measures.rank_agreement(
                solved[neurons], solved[name]
            )
        if halves[region]:
            ceilings[row] = _split_half(
                [
                    [
                        measures.agreement(_within(a.i1[:, i], labels), _within(b.i1[:, i], labels))
                        for i in range(bins)
                    ]
                    for a, b in halves[region]
                ]
            )
            times = [
                [measures.solution_times(each.i1, threshold, starts) for each in both]
                for both in halves[region]
            ]
            solve_ceiling[row] = _split_half(
                [[measures.rank_agreement(*both)[0]] for both in times]
            )[0]
    data |= {
        "i1_r": (("region", "decoder", "time_bin"), agree),
        "i1_ceiling": (("region", "time_bin"), ceilings),
        "solution_r": (("region", "decoder"), solve),
        "solution_stimuli": (("region", "decoder"), solve_n),
        "solution_ceiling": ("region", solve_ceiling),
    }
    attributes: dict[str, Any] = {
        "threshold": "behaviour" if behaviour is not None else float(threshold)
    }
    if behaviour is not None:
        observed, confusions = behaviour.i1(), behaviour.i2n()
        both = [
            [
                (
                    measures.agreement(observed, found[d].i1[:, i]),
                    measures.agreement(confusions, found[d].i2n[:, :, i]),
                )
                for i in range(bins)
            ]
            for d in decoders
        ]
        of_i1, of_i2n = np.moveaxis(np.array(both), -1, 0)
        data |= {
            "behaviour_i1_r": (("decoder", "time_bin"), of_i1),
            "behaviour_i2n_r": (("decoder", "time_bin"), of_i2n),
        }
        ceiling = behaviour.ceiling()
        attributes |= {"behaviour_i1_ceiling": ceiling[0], "behaviour_i2n_ceiling": ceiling[1]}
    coordinates = {
        "decoder": decoders,
        "region": list(question.neurons),
        "stimulus_id": ("stimulus", recording.stimuli["stimulus_id"].to_numpy(str)),
        question.label: ("stimulus", np.array(question.classes)[labels]),
        "time_bin_start": ("time_bin", starts),
        "time_bin_end": ("time_bin", ends),
        "train_bin_start": ("train_bin", starts),
    }
    attributes |= {"chance": 1 / len(question.classes), "classes": ", ".join(question.classes)}
    return xr.Dataset(data, coordinates, attributes)


def _scored(decoded: Decoded, question: Question) -> dict[str, Array]:
    """Accuracy in each bin, its standard error over stimuli, and p against permuted labels."""
    _, rows, bins = decoded.chosen.shape
    labels = question.labels[np.arange(rows) * len(question.labels) // rows]
    weights = 1 / (np.bincount(labels)[labels] * len(question.classes))
    groups = None if question.groups is None else np.unique(question.groups, return_inverse=True)[1]
    rng = np.random.default_rng(SEED)
    shuffled = np.stack([_permuted(labels, groups, rng) for _ in range(PERMUTATIONS)])
    counts = np.stack([np.bincount(each, minlength=len(question.classes)) for each in shuffled])
    with np.errstate(divide="ignore"):
        of_class = 1 / (counts * (counts > 0).sum(axis=1, keepdims=True))
    of_shuffled = np.take_along_axis(of_class, shuffled, axis=1)
    drawn = _resampled(labels, groups, rng)
    accuracy, error = np.full(bins, np.nan), np.full(bins, np.nan)
    chance = np.full((PERMUTATIONS, bins), np.nan)
    for index in range(bins):
        chosen = decoded.chosen[:, :, index]
        if (chosen < 0).any():
            continue
        right = (chosen == labels).mean(axis=0)
        accuracy[index] = (right * weights).sum()
        error[index] = _spread(right, weights, drawn)
        each = [((shuffled == one) * of_shuffled).sum(axis=1) for one in chosen]
        chance[:, index] = np.mean(each, axis=0)
    known = np.isfinite(accuracy)
    p = np.full(bins, np.nan)
    if known.any():
        # Each bin by its own chance level, against the greatest of a permutation over all bins.
        middle, scale = chance[:, known].mean(axis=0), chance[:, known].std(axis=0)
        scale = np.maximum(scale, np.finfo(float).tiny)
        greatest = ((chance[:, known] - middle) / scale).max(axis=1)
        found = (accuracy[known] - middle) / scale
        p[known] = (1 + (greatest[:, None] >= found - 1e-9).sum(axis=0)) / (1 + PERMUTATIONS)
    return {"accuracy": accuracy, "error": error, "p": p}


def _permuted(
    labels: NDArray[np.intp], groups: NDArray[np.intp] | None, rng: np.random.Generator
) -> NDArray[np.intp]:
    """Labels in random order; where there are groups, a group takes the labels of another one.

    Of a group with another number of stimuli it takes them in turn from the first on, so that what
    a group has in common, such as a label, stays in common.
    """
    if groups is None:
        return rng.permutation(labels)
    members = [np.flatnonzero(groups == each) for each in range(groups.max() + 1)]
    found = np.empty_like(labels)
    for own, other in zip(members, rng.permutation(len(members)), strict=True):
        found[own] = np.resize(rng.permutation(labels[members[other]]), len(own))
    return found


def _resampled(
    labels: NDArray[np.intp], groups: NDArray[np.intp] | None, rng: np.random.Generator
) -> NDArray[np.float64]:
    """How often each row is drawn with replacement, [resample, row]: within each class, or whole
    groups."""
    counts = np.zeros((RESAMPLES, len(labels)))
    if groups is not None:
        many = groups.max() + 1
        return rng.multinomial(many, np.full(many, 1 / many), RESAMPLES)[:, groups].astype(float)
    for each in np.unique(labels):
        own = np.flatnonzero(labels == each)
        counts[:, own] = rng.multinomial(len(own), np.full(len(own), 1 / len(own)), RESAMPLES)
    return counts


def _spread(right: Array, weights: Array, drawn: Array) -> float:
    """The standard deviation over resamples of the weighted share that is right."""
    of_classes = drawn * weights
    total = of_classes.sum(axis=1)
    return float((of_classes[total > 0] @ right / total[total > 0]).std(ddof=1))


def _onset(p: Array, starts: Array) -> float:
    """Start of the first of two successive bins above chance, in ms; NaN: there are none."""
    above = np.nan_to_num(p, nan=1.0) < 0.05
    both = np.flatnonzero(above[:-1] & above[1:]) if len(above) > 1 else np.flatnonzero(above)
    return float(starts[both[0]]) if len(both) else float("nan")


def _within(values: Array, labels: NDArray[np.intp]) -> Array:
    """Values less the mean of their class: differences between images of one object."""
    found = values.copy()
    for each in np.unique(labels):
        found[labels == each] -= nanmean(values[labels == each])
    return found


def _split_half(correlations: Any) -> Array:
    """Spearman–Brown of the mean over halvings; NaN where the halves do not agree."""
    mean = nanmean(np.array(correlations, float), axis=0)
    mean = np.where(mean > 0, mean, np.nan)
    return np.asarray(2 * mean / (1 + mean))

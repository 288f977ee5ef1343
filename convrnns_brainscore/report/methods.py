"""The methods of fits in sentences, made from the results: for a paper's methods section."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np

from convrnns_brainscore.errors import counted
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.reliability import HALVINGS
from convrnns_brainscore.fits.resampling import RESAMPLES
from convrnns_brainscore.fits.results import (
    Results,
    region_choices,
    scored_neurons,
    time_bins,
)
from convrnns_brainscore.fits.selection import INNER_SPLITS, VALIDATION_SHARE
from convrnns_brainscore.fits.statistics import FLIPS
from convrnns_brainscore.timing import MS_PER_STEP

CITATIONS = (
    "Nayebi A, Sagastuy-Brena J, Bear DM, Kar K, Kubilius J, Ganguli S, Sussillo D, DiCarlo JJ, "
    "Yamins DLK (2022). Recurrent connections in the primate ventral visual stream mediate a "
    "trade-off between task performance and network size during core object recognition. Neural "
    "Computation 34(8):1652–1675.",
    "Schrimpf M, Kubilius J, Lee MJ, Murty NAR, Ajemian R, DiCarlo JJ (2020). Integrative "
    "benchmarking to advance neurally mechanistic models of human intelligence. Neuron "
    "108(3):413–423.",
)
"""The networks, and the ceiling and normalised value."""


@dataclass(frozen=True)
class Sample:
    """How much data the fits rest on.

    Attributes
    ----------
    stimuli, splits : int
        Their numbers.
    tested : str
        Test stimuli of a split, such as ``"160"`` or ``"18–20"``.
    presentations : int or None
        None: results of an earlier version do not say.
    repetitions : float or None
        The median over stimuli.
    subjects : list of str
    bins : str
        Their number, and the first start and last end.
    """

    stimuli: int
    splits: int
    tested: str
    presentations: int | None
    repetitions: float | None
    subjects: list[str]
    bins: str


def sample_of(results: Results) -> Sample:
    """The sizes of the results' recording."""
    root = results.root
    tested = root["test"].values.sum(axis=1)
    shown = root["repetitions"].values if "repetitions" in root else None
    bins = time_bins(root)
    count = f"{len(bins)} time bins" if len(bins) > 1 else "1 time bin"
    return Sample(
        root.sizes["stimulus"],
        root.sizes["split"],
        "–".join(f"{each:g}" for each in np.unique([tested.min(), tested.max()])),
        None if shown is None else int(shown.sum()),
        None if shown is None else float(np.median(shown)),
        list(dict.fromkeys(map(str, root["subject"].values))),
        f"{count}, {bins[0][0]:g}–{bins[-1][1]:g} ms",
    )


def methods(results: Results) -> list[str]:
    """Sentences for a methods section, paragraph by paragraph."""
    sample, settings = sample_of(results), json.loads(results.root.attrs["settings"])
    models = [model for model in results.models if model != control.NAME]
    neurons = {region: scored_neurons(results, region) for region in results.regions}
    counts = ", ".join(f"{region}: {count}" for region, count in neurons.items())
    total = sum(neurons.values())
    unscored = len(results.root["region"]) - total
    excluded = f"; {counted(unscored, 'neuron')} without a score excluded" if unscored else ""
    data = (
        f"Responses of {counted(total, 'neuron')} ({counts}; "
        f"{counted(len(sample.subjects), 'subject')}{excluded}) to {sample.stimuli} stimuli in "
        f"{sample.bins} from image onset were "
    )
    if sample.presentations == sample.stimuli:
        data += "measured in single presentations."
    elif sample.repetitions is None:
        data += "averaged over repetitions."
    else:
        data += f"averaged over repetitions (median {sample.repetitions:g} per stimulus)."
    return [
        f"{data} {_networks(results, models, settings)}",
        _fits(results, sample, settings, models),
        _numbers(results, models),
    ]


def _networks(results: Results, models: list[str], settings: dict[str, object]) -> str:
    made_by = results.made_by(models[0]) if models else {}
    weights = ", ".join(
        f"{model} ({results.made_by(model).get('label', 'weights unknown')})" for model in models
    )
    off = settings.get("image_off")
    shown = "throughout" if not isinstance(off, int) else f"for {off * MS_PER_STEP} ms"
    if settings.get("presentation") == "stream":
        shown = "at the times that each stimulus states"
    elif settings.get("presentation") == "sequence":
        shown = f"as a sequence ({settings.get('off')})"
    return (
        f"Activations of the ConvRNNs of Nayebi et al. (2022) {weights} were computed with "
        f"convrnns_brainscore {settings.get('convrnns_brainscore', '')} "
        f"({made_by.get('backend', 'backend unknown')}); each time step stands for {MS_PER_STEP} "
        f"ms. Images were presented to the network {shown}."
    )


def _fits(results: Results, sample: Sample, settings: dict[str, object], models: list[str]) -> str:
    how = str(settings["method"]).replace("PLS", "partial least squares regression", 1)
    each = (
        "with weights shared over time bins"
        if settings.get("time") == "shared"
        else "separately for each time bin"
    )
    nested = ""
    if any(region_choices(results, model) for model in models):
        nested = (
            " Layer and latency were selected by nested cross-validation: on "
            f"{VALIDATION_SHARE:.0%} of each split's training stimuli ({INNER_SPLITS} inner "
            "splits), and scored on the split's test stimuli."
        )
    return (
        f"Responses were predicted from each layer's activations by {how}, fitted {each}. Fits "
        f"were tested on held-out stimuli in {sample.splits} splits ({sample.tested} test stimuli "
        f"each).{nested} As a control, the same fits used the image itself "
        f"({results.made_by(control.NAME)['seen'] if control.NAME in results.models else ''})."
    )


def _numbers(results: Results, models: list[str]) -> str:
    text = (
        "Predictivity is the Pearson correlation between predicted and observed responses to test "
        "stimuli (median over neurons, mean over splits). Standard errors were computed from "
        f"{RESAMPLES} resamples of test stimuli and neurons. "
    )
    if np.isfinite(results.root["half_correlation"].values).any():
        text += (
            "The ceiling is the split-half reliability with Spearman–Brown correction (median "
            f"over neurons, mean over {HALVINGS} halvings); normalised predictivity is "
            "sign(r) · r² / ceiling (Schrimpf et al., 2020). The noise-corrected r divides each "
            "neuron's r by the square root of the product of the reliabilities of its responses "
            "and of its predictions (Nayebi et al., 2022). "
        )
    if len(models) > 1 or control.NAME in results.models:
        text += (
            "Differences between models were tested over neurons by permutation of signs "
            f"({FLIPS:,} permutations, two-sided). The p of differences averaged over bins was "
            "corrected over pairs of models by Holm's procedure; the p of single bins was "
            "corrected over bins by the maximum statistic, separately for each pair. "
        )
    return text.strip()

"""Results of fits: predictivity, best layers, selected layers.

`results_file` reads and writes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.fits.correlation import nanmean, nanmedian, spearman_brown
from convrnns_brainscore.fits.encoding import EncodingModel, check_same, encode
from convrnns_brainscore.fits.heldout import NOT_OBSERVED
from convrnns_brainscore.fits.reliability import MIN_CEILING, ceiling, ceiling_error
from convrnns_brainscore.fits.resampling import standard_error
from convrnns_brainscore.fits.selection import Choice, choose
from convrnns_brainscore.provenance import display_name
from convrnns_brainscore.recordings import ALL

if TYPE_CHECKING:  # tables and figures are made from results without a network's library
    from convrnns_brainscore.convrnn import ConvRNN

MEDIAN, MEAN = STATISTICS = ("median", "mean")
"""Over neurons."""

MIN_RELIABILITY = 0.3
"""Neurons that agree less with themselves are excluded from per-neuron normalised values."""

PREDICTIONS = ("predicted", "coefficients", "intercept")
"""The variables of a fit that hold its predictions and its mapping."""

NO_RESPONSES = "no responses"

UNRELIABLE = (
    f"no neuron with a reliability of {MIN_RELIABILITY} or more has consistent predictions from "
    "both halves"
)

FEW_TESTED = 10
"""Correlations over fewer test stimuli are rough, whatever their error says."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Predictivity:
    """How well one layer predicts some neurons of a region together. Arrays are [bin].

    Attributes
    ----------
    r : float64 array
        Median over neurons, mean over splits.
    error : float64 array
        Standard error of r over other stimuli and neurons (`resampling`).
    ceiling : float64 array
        Median over neurons of split-half reliability, mean over halvings.
    ceiling_error : float64 array
        The standard deviation of the ceiling over halvings.
    normalised : float64 array
        sign(r) · r² / ceiling, Brain-Score's order and formula with r's sign; NaN where the ceiling
        is below `MIN_CEILING`.
    noise_corrected : float64 array
        The noise-corrected r, median over neurons more reliable than `MIN_RELIABILITY`; NaN where
        the ceiling is below `MIN_CEILING`, and a neuron that is more reliable is so by chance.
    neurons, reliable : int array
        How many have an r; and of these how many are as reliable.
    undefined : list of str
        Why there is no value, or empty.
    """

    r: Array
    error: Array
    ceiling: Array
    ceiling_error: Array
    normalised: Array
    noise_corrected: Array
    neurons: NDArray[np.intp]
    reliable: NDArray[np.intp]
    undefined: list[str]


@dataclass(frozen=True)
class Results:
    """What ``results.nc`` holds.

    Attributes
    ----------
    root : Dataset
        The recording: ``half_correlation`` (halving × neuroid × time_bin), ``test`` (split ×
        stimulus), neurons, bins, and in the attributes all that made the fits.
    fits : mapping of (str, str) to Dataset
        Model and layer → ``r`` (split × neuroid × time_bin), ``prediction_halves`` and
        ``response_halves`` (halving × neuroid × time_bin), ``resampled`` (statistic × population ×
        resample × time_bin): scores of resampled stimuli and neurons, ``undefined`` (time_bin): why
        a bin has no score, ``note`` (neuroid × time_bin). Its neurons are those of its populations'
        regions, in the recording's order.
    """

    root: xr.Dataset
    fits: Mapping[tuple[str, str], xr.Dataset]
    _known: dict[tuple[str, ...], Predictivity] = field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @property
    def models(self) -> list[str]:
        """In the order in which they were fitted."""
        return list(dict.fromkeys(model for model, _ in self.fits))

    def made_by(self, model: str) -> dict[str, Any]:
        """All that made a model's fits: its weights, its lesion, its presentation."""
        return next(fit.attrs for (name, _), fit in self.fits.items() if name == model)

    def display_name(self, model: str) -> str:
        """How a model is called in tables and figures (`provenance.display_name`)."""
        return display_name(model, self.made_by(model))

    @property
    def fewest_tested(self) -> int:
        """The number of test stimuli of the split that has the fewest."""
        return int(self.root["test"].values.sum(axis=1).min())

    @property
    def regions(self) -> list[str]:
        """The regions that neurons come from."""
        return list(dict.fromkeys(self.root["region"].values.tolist()))

    def subjects(self, region: str) -> list[str]:
        """`ALL` of a region's subjects together, and each of several."""
        here = self.root["region"].values == region
        names = list(dict.fromkeys(self.root["subject"].values[here].tolist()))
        return [ALL, *(names if len(names) > 1 else [])]

    def neurons(self, region: str, subject: str = ALL) -> NDArray[np.bool_]:
        """Which neurons of the recording are a region's, or a subject's there."""
        here = self.root["region"].values == region
        return here if subject == ALL else here & (self.root["subject"].values == subject)

    def neurons_of(self, fit: xr.Dataset, region: str, subject: str = ALL) -> NDArray[np.bool_]:
        """The same of a fit's neurons."""
        fitted = np.isin(self.root["region"].values, regions_of(fit))
        return self.neurons(region, subject)[fitted]

    def predictivity(self, model: str, layer: str, region: str, subject: str = ALL) -> Predictivity:
        """How well a layer predicts a region's neurons, of all subjects or of one.

        A fit is read once, for all its regions and subjects, and the answers are kept.

        Raises
        ------
        ConvRNNError
            No such fit, or a region or subject that it does not have.
        """
        key = (model, layer, region, subject)
        if (model, layer) not in self.fits:
            raise unknown("fit", f"{model} {layer}", [" ".join(each) for each in self.fits])
        if key not in self._known:
            fit = self.fits[model, layer].drop_vars(PREDICTIONS, errors="ignore").compute()
            for each in regions_of(fit):
                for whose in self.subjects(each):
                    self._known[model, layer, each, whose] = _predictivity(self, fit, each, whose)
        if key not in self._known:
            known = [f"{each[2]} of {each[3]}" for each in self._known if each[:2] == key[:2]]
            raise unknown("region and subject", f"{region} of {subject}", known)
        return self._known[key]

    def encoding_model(
        self,
        network: ConvRNN,
        region: str,
        *,
        layer: str | None = None,
        model: str | None = None,
        stimuli: pd.DataFrame | None = None,
        time_bins: Sequence[int] | None = None,
    ) -> EncodingModel:
        """The mapping from images to a region's responses, fitted to all stimuli.

        Parameters
        ----------
        network : ConvRNN
            The network that was fitted: features of the stimuli are computed again.
        region : str
            One of `regions`.
        layer : str, optional
            None: the one that was chosen for the region (`region_choice`).
        model : str, optional
            The name in the results; None: the network's.
        stimuli : DataFrame, optional
            ``stimulus_id``, ``filename``, ``degrees`` of the recording's stimuli, where their files
            have moved; None: as at the time of the fit.
        time_bins : sequence of int, optional
            Positions of bins; None: all that have a mapping.

        Raises
        ------
        ConvRNNError
            No such fit; predictions were not kept; another network; images that are missing or
            differ from those that were fitted.
        """
        name = self._fitted_as(network, region, model)
        if layer is None:
            choice = region_choice(self, name, region)
            best = best_layer(self, name, region)
            layer = choice.layer if choice else best.layer if best else "none"
        if layer not in fitted_layers(self, name, region):
            raise unknown(f"fitted layer of {region}", layer, fitted_layers(self, name, region))
        fit = self.fits[name, layer]
        check_same(network, fit.attrs)
        return encode(
            network,
            layer,
            fit.isel(neuroid=np.flatnonzero(self.neurons_of(fit, region))),
            self.root,
            stimuli=stimuli,
            time_bins=time_bins,
        )

    def _fitted_as(self, network: ConvRNN, region: str, model: str | None) -> str:
        """The network's name in the results."""
        asked = network.describe()
        names = [
            each
            for each in self.models
            if all(self.made_by(each).get(key) == asked[key] for key in ("model", "lesion"))
        ]
        if model is not None:
            names = [each for each in self.models if each == model]
        if region not in self.regions:
            raise unknown("region of the results", region, self.regions)
        if len(names) != 1:
            raise unknown("model in the results", model or network.name, self.models)
        return names[0]

    def predict(self, network: ConvRNN, images: Any, region: str, **options: Any) -> xr.DataArray:
        """Predicted responses of a region's neurons to new images, image × neuroid × time_bin.

        Parameters
        ----------
        network : ConvRNN
            The network that was fitted.
        images : DataFrame, path, array, or iterable of images or batches
            As `ConvRNN.features` takes them.
        region : str
            One of `regions`.
        **options
            As of `encoding_model`, which several calls can share: its features of the recording's
            stimuli are computed once.

        Raises
        ------
        ConvRNNError
            As `encoding_model` and `image_batches.image_batches`.
        """
        return self.encoding_model(network, region, **options).predict(images)

    def __repr__(self) -> str:
        return (
            f"<Results: {', '.join(self.models)}; {', '.join(self.regions)}; "
            f"{self.root.sizes['time_bin']} time bins>"
        )

    def _repr_html_(self) -> str:
        columns: dict[str, list[str]] = {
            "model": [],
            "region": [],
            "layer": [],
            "bin (ms)": [],
            "r": [],
            "ceiling": [],
        }
        for model in self.models:
            for region in self.regions:
                best = best_layer(self, model, region)
                if best is None or best.bin is None:
                    continue
                values = best.values
                row = (
                    self.display_name(model), region, best.layer,
                    "{:g}–{:g}".format(*time_bins(self.root)[best.bin]),
                    f"{values.r[best.bin]:.3f} ± {values.error[best.bin]:.3f}",
                    f"{values.ceiling[best.bin]:.2f}",
                )  # fmt: skip
                for column, value in zip(columns.values(), row, strict=True):
                    column.append(value)
        table = pd.DataFrame(columns).to_html(index=False)
        head = "Best layer and bin, selected on test stimuli:"
        return f"<p>{escape(repr(self))}</p><p>{head}</p>{table}"

    def held_out(self, model: str, layer: str, region: str) -> xr.Dataset:
        """Predicted and observed responses of a region, stimulus × neuroid × time_bin.

        Returns
        -------
        Dataset
            ``predicted``: the mean over the splits that tested the stimulus, by fits to other
            stimuli; NaN where none did. ``observed``: the mean over repetitions.

        Raises
        ------
        ConvRNNError
            Predictions were not kept; no such model, layer or region.
        """
        if region not in self.regions:
            raise unknown("region of the results", region, self.regions)
        if model not in self.models:
            raise unknown("model of the results", model, self.models)
        if layer not in fitted_layers(self, model, region):
            raise unknown(f"fitted layer of {region}", layer, fitted_layers(self, model, region))
        fit = self.fits[model, layer]
        if "predicted" not in fit:
            raise ConvRNNError(
                "these results hold no predictions: fit again with `keep_predictions=True`."
            )
        here = np.flatnonzero(self.neurons_of(fit, region))
        predicted, test = fit["predicted"].values[:, :, here], self.root["test"].values == 1
        every = np.full((len(test), test.shape[1], *predicted.shape[2:]), np.nan)
        for split, tested in enumerate(test):
            every[split, tested] = predicted[split, : tested.sum()]
        axes = ("stimulus", "neuroid", "time_bin")
        observed = self.root["observed"].isel(neuroid=np.flatnonzero(self.neurons(region)))
        return observed.to_dataset().assign(predicted=(axes, nanmean(every)))

    def table(self) -> pd.DataFrame:
        """One row for each model, region, subject, layer and bin (`summary`)."""
        return summary(self)


def regions_of(fit: xr.Dataset) -> list[str]:
    """The regions that a fit is of."""
    return list(dict.fromkeys(fit["population_region"].values.tolist()))


def scored_neurons(results: Results, region: str) -> int:
    """The number of a region's neurons that have a score in some layer and bin."""
    scored = np.zeros(int(results.neurons(region).sum()), bool)
    for fit in results.fits.values():
        if region in regions_of(fit):
            r = fit["r"].values[:, results.neurons_of(fit, region)]
            scored |= np.isfinite(r).any(axis=(0, 2))
    return int(scored.sum())


def _predictivity(results: Results, fit: xr.Dataset, region: str, subject: str) -> Predictivity:
    here = results.neurons_of(fit, region, subject)
    halves = results.root["half_correlation"].values[:, results.neurons(region, subject)]
    r = fit["r"].values[:, here]
    raw = nanmean(nanmedian(r, axis=1))
    ceilings = ceiling(halves)
    with np.errstate(invalid="ignore", divide="ignore"):
        normalised = np.where(ceilings >= MIN_CEILING, np.sign(raw) * raw**2 / ceilings, np.nan)
    reliable = spearman_brown(nanmean(halves)) >= MIN_RELIABILITY
    known = reliable & (ceilings >= MIN_CEILING)
    corrected = np.where(known, noise_corrected(fit, here), np.nan)
    counted = np.isfinite(nanmean(r))
    reasons = []
    for index, reason in enumerate(fit["undefined"].values.tolist()):
        if not reason and not counted[:, index].any():
            silent = (fit["note"].values[here, index] == NOT_OBSERVED).all()
            reason = (
                NO_RESPONSES
                if silent
                else "for every neuron, the responses or the predictions do not vary"
            )
        reasons.append(reason)
    return Predictivity(
        raw,
        np.where(np.isfinite(raw), standard_error(resampled(fit, region, subject)), np.nan),
        ceilings,
        ceiling_error(halves),
        normalised,
        nanmedian(corrected, axis=0),
        counted.sum(axis=0),
        (counted & reliable).sum(axis=0),
        reasons,
    )


@dataclass(frozen=True)
class Best:
    """A layer, its values, and its bin with the highest r (None: no bin has any)."""

    layer: str
    values: Predictivity
    bin: int | None


def fitted_layers(results: Results, model: str, region: str) -> list[str]:
    """The layers of a model that were fitted to a region."""
    return [
        layer
        for (name, layer), fit in results.fits.items()
        if name == model and region in regions_of(fit)
    ]


def ranked_layers(results: Results, model: str, region: str) -> list[Best]:
    """A model's layers by their r, meaned over bins (an undefined one counts as 0)."""
    found = []
    for layer in fitted_layers(results, model, region):
        values = results.predictivity(model, layer, region)
        some = bool(np.isfinite(values.r).any())
        found.append(Best(layer, values, int(np.nanargmax(values.r)) if some else None))
    return sorted(found, key=lambda each: -float(np.nan_to_num(each.values.r).mean()))


def best_layer(results: Results, model: str, region: str) -> Best | None:
    """The first of `ranked_layers`; None where none was fitted."""
    return next(iter(ranked_layers(results, model, region)), None)


def noise_corrected(fit: xr.Dataset, neurons: Any = slice(None)) -> Array:
    """The noise-corrected r of each neuron and bin.

    r(ŷ, y) / √(SB r(ŷ₁, ŷ₂) · SB r(y₁, y₂)): ŷ and y with all repetitions, ŷ₁ and ŷ₂ predicted by
    fits to either half of them, y₁ and y₂ the halves, all over held-out stimuli; SB the
    Spearman–Brown correction (Nayebi et al. 2022, methods). Each of the three correlations is
    averaged over splits and halvings before they meet: the mean of ratios of single, noisy
    correlations would come out too high. NaN where a factor is not positive.
    """
    names = "r", "prediction_halves", "response_halves"
    return correct_for_noise(*(fit[name].values[:, neurons] for name in names))


def correct_for_noise(r: Array, prediction_halves: Array, response_halves: Array) -> Array:
    """`noise_corrected` of arrays that are [split, neuron, …] and [halving, neuron, …]."""
    r = nanmean(r)
    factors = [spearman_brown(nanmean(each)) for each in (prediction_halves, response_halves)]
    positive = (factors[0] > 0) & (factors[1] > 0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(positive, r / np.sqrt(factors[0] * factors[1]), np.nan)


def region_choice(results: Results, model: str, region: str) -> Choice | None:
    """A region's layer, latency and bin, by `selection.choose`; None where nothing is defined."""
    layers = {
        layer: fit.isel(choosing_region=fit["choosing_region"].values.tolist().index(region))
        for (name, layer), fit in results.fits.items()
        if name == model and "validated" in fit and region in fit["choosing_region"].values
    }
    if not layers:
        return None
    fits = list(layers.values())
    bins = fits[0]["choosing_bins"].values
    kept = bins >= 0
    validated, tested = (
        np.stack([fit[name].values[..., kept] for fit in fits]) for name in ("validated", "tested")
    )
    if not np.isfinite(validated).any():
        return None
    latencies = [int(each) for each in fits[0]["latency"].values]
    return choose(list(layers), latencies, bins[kept].tolist(), validated, tested)


def region_choices(results: Results, model: str) -> dict[str, Choice]:
    """Region → `region_choice`, where there is one."""
    found = {region: region_choice(results, model, region) for region in results.regions}
    return {region: choice for region, choice in found.items() if choice is not None}


def summary(results: Results) -> pd.DataFrame:
    """One row for each model, region, subject, layer and bin."""
    rows = []
    for (model, layer), fit in results.fits.items():
        for region in results.regions:
            if region not in regions_of(fit):
                continue
            for subject in results.subjects(region):
                found = results.predictivity(model, layer, region, subject)
                for index, (start, end) in enumerate(time_bins(results.root)):
                    rows.append(
                        {
                            "model": model,
                            "region": region,
                            "subject": subject,
                            "layer": layer,
                            "time_bin_start": start,
                            "time_bin_end": end,
                            "score": found.r[index],
                            "error": found.error[index],
                            "ceiling": found.ceiling[index],
                            "ceiling_error": found.ceiling_error[index],
                            "normalised_score": found.normalised[index],
                            "noise_corrected_r": found.noise_corrected[index],
                            "neurons": found.neurons[index],
                            "reliable_neurons": found.reliable[index],
                            "undefined": undefined_values(found, index),
                            "weights": results.made_by(model).get("weights", "none"),
                        }
                    )
    return pd.DataFrame(rows)


def undefined_values(found: Predictivity, time_bin: int) -> str:
    """Which values of a bin are undefined, and why; empty where all are defined."""
    if not np.isfinite(found.r[time_bin]):
        return found.undefined[time_bin]
    why = []
    if not np.isfinite(found.error[time_bin]):
        why.append("no error: fewer than half of the resamples have a score")
    if not np.isfinite(found.ceiling[time_bin]):
        why.append("no ceiling and no normalised score: no neuron has a reliability")
    elif found.ceiling[time_bin] < MIN_CEILING:
        why.append(f"no normalised score: the ceiling is below {MIN_CEILING}")
    elif not np.isfinite(found.noise_corrected[time_bin]):
        why.append(f"no noise-corrected r: {UNRELIABLE}")
    return "; ".join(why)


def time_bins(root: xr.Dataset) -> list[tuple[float, float]]:
    """Start and end of the bins, in ms."""
    return list(
        zip(
            root["time_bin_start"].values.tolist(),
            root["time_bin_end"].values.tolist(),
            strict=True,
        )
    )


def resampled(fit: xr.Dataset, region: str, subject: str = ALL, statistic: str = MEDIAN) -> Array:
    """A layer's scores of resampled stimuli and neurons, [resample, bin]."""
    (place,) = np.flatnonzero(
        (fit["population_region"].values == region) & (fit["population_subject"].values == subject)
    )
    values = fit["resampled"].values[STATISTICS.index(statistic), place]
    return np.asarray(values, np.float64)

"""From images to predicted responses: the mapping of a fit, applied to features of any images."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray
from rich.filesize import decimal

from convrnns_brainscore.choices import PrecisionName, TimeName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.heldout import IN_MEMORY
from convrnns_brainscore.fits.prepare import match_stimuli
from convrnns_brainscore.fits.scratch import layer_bins
from convrnns_brainscore.fits.streamed_pls import MOST_ROWS
from convrnns_brainscore.image_batches import image_batches, table_of
from convrnns_brainscore.images import SIZE, VISUAL_DEGREES
from convrnns_brainscore.memory import available_memory
from convrnns_brainscore.networks import operations as ops
from convrnns_brainscore.networks.forward import Average, as_images
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import images_digest
from convrnns_brainscore.stimuli import ASSUMED, DEGREES
from convrnns_brainscore.streams import presentation_of
from convrnns_brainscore.timing import MS_PER_STEP, TimeBin, runs

if TYPE_CHECKING:
    from convrnns_brainscore.convrnn import ConvRNN

_log = logging.getLogger(__name__)

BATCH_SIZE = 8
"""Images whose features are in memory at a time."""

Array = NDArray[np.float32]


@dataclass(frozen=True)
class EncodingModel:
    """Predicts the responses of neurons to images, through a layer of a network.

    Attributes
    ----------
    network : ConvRNN
        The network.
    layer : str
        Its layer.
    presentation : Presentation
        What the network is shown.
    averages : tuple of tuple of (step, weight)
        Averages over steps that the features are.
    place : tuple of int
        Bin → its place among the averages.
    mean : float32 array [average, …]
        What features are centred on.
    weights : float32 array [bin, …, neuron]
        Weights of the features.
    intercept : float32 array [bin, neuron]
        The prediction for the mean features; NaN for a neuron that could not be fitted.
    neurons : DataFrame
        A row for each neuron: ``neuroid_id``, ``region``, ``subject``.
    time_bins : list of (start, end)
        In ms from image onset.
    degrees : float
        The width of the fitted stimuli; NaN if it differs between them.
    """

    network: ConvRNN
    layer: str
    presentation: Presentation
    averages: tuple[Average, ...]
    place: tuple[int, ...]
    mean: Array
    weights: Array
    intercept: Array
    neurons: pd.DataFrame
    time_bins: list[TimeBin]
    degrees: float = np.nan

    def __repr__(self) -> str:
        first, last = self.time_bins[0][0], self.time_bins[-1][1]
        return (
            f"EncodingModel({self.network.name} {self.layer} → {len(self.neurons)} neurons, "
            f"{len(self.time_bins)} time bins, {first:g}–{last:g} ms)"
        )

    def __call__(self, images: Any, *, channels_first: bool = False) -> Any:
        """Predicted responses, as a tensor of the network's library [image, bin, neuron].

        Gradients flow to ``images``, where these are a tensor of that library.

        Parameters
        ----------
        images : float32 array-like [image, 224, 224, 3] or tensor of the network's library
            Normalised.
        channels_first : bool, default False
            Images are [image, 3, 224, 224].

        Raises
        ------
        ConvRNNError
            As `ConvRNN.__call__`.
        """
        images = as_images(images, self.network.backend, channels_first=channels_first)
        asked = {self.layer: self.averages}
        outputs = self.network.weighted_averages(images, asked, self.presentation)[self.layer]
        axes = "hwc"[-(self.mean.ndim - 1) :]
        found = []
        for index, place in enumerate(self.place):
            features = ops.repeated(outputs[place], images)
            centred = features - ops.constant(self.mean[place], features)
            weights = ops.constant(self.weights[index], features)
            driven = ops.einsum(f"i{axes},{axes}n->in", centred, weights)
            found.append(driven + ops.constant(self.intercept[index], features))
        return ops.stack(found)

    def predict(self, images: Any) -> xr.DataArray:
        """Predicted responses, image × neuroid × time_bin.

        Parameters
        ----------
        images : DataFrame, path, array, or iterable of images or batches
            As `ConvRNN.features` takes them. The images of a table keep their ``stimulus_id``.
            Images whose width is not stated have that of the fitted stimuli.

        Raises
        ------
        ConvRNNError
            As `image_batches.image_batches`.
        """
        images = table_of(images)
        ids = None
        if isinstance(images, pd.DataFrame):
            presentation_of(images, self.presentation, self.presentation)
            if images.attrs.get(DEGREES) == ASSUMED and self.degrees > 0:
                images = images.assign(degrees=self.degrees)
                if self.degrees != VISUAL_DEGREES:
                    _log.warning("the images are %g degrees wide, as those fitted", self.degrees)
            ids = images["stimulus_id"].to_numpy(object)
        parts = []
        for batch in image_batches(images, BATCH_SIZE, off=self.presentation.fixed_frames[0]):
            asked = {self.layer: self.averages}
            features = self.network.averages(batch, asked, self.presentation)[self.layer]
            centred = (features - self.mean).reshape(*features.shape[:2], -1)
            driven = [
                centred[:, place] @ self.weights[index].reshape(-1, len(self.neurons))
                for index, place in enumerate(self.place)
            ]
            parts.append(np.stack(driven, axis=1) + self.intercept)
        start, end = np.array(self.time_bins, float).T
        return xr.DataArray(
            np.concatenate(parts),
            {
                **({} if ids is None else {"stimulus_id": ("image", ids)}),
                **{name: ("neuroid", self.neurons[name].to_numpy()) for name in self.neurons},
                "time_bin_start": ("time_bin", start),
                "time_bin_end": ("time_bin", end),
            },
            ("image", "time_bin", "neuroid"),
            attrs={"model": self.network.label, "layer": self.layer},
        ).transpose("image", "neuroid", "time_bin")


def encode(
    network: ConvRNN,
    layer: str,
    fit: xr.Dataset,
    root: xr.Dataset,
    *,
    stimuli: pd.DataFrame | None = None,
    time_bins: Sequence[int] | None = None,
) -> EncodingModel:
    """The encoding model of a fit whose mapping was kept.

    Parameters
    ----------
    network, layer
        What was fitted.
    fit, root : Dataset
        As `results_file` lays them out; of ``fit`` the neurons that are wanted.
    stimuli, time_bins
        As of `Results.encoding_model`.

    Raises
    ------
    ConvRNNError
        As `Results.encoding_model`.
    """
    shared = json.loads(root.attrs["settings"]).get("time") == TimeName.shared
    if "coefficients" not in fit or "schedule" not in root:
        raise ConvRNNError("these results hold no mapping: fit again with `keep_predictions=True`.")
    if shared and np.isnan(fit["intercept"].values).all():
        raise ConvRNNError(
            f"these results hold no mapping: with `time='shared'` it is kept for at most "
            f"{MOST_ROWS} stimuli × bins and {decimal(IN_MEMORY)} of features. Fit again with "
            "`time='per-bin'`."
        )
    shown = _shown(root)
    bins = [
        tuple(each) for each in np.stack([fit["time_bin_start"], fit["time_bin_end"]], 1).tolist()
    ]
    its = layer_bins(network.model, layer, bins, shown, centred=True)
    defined = [index for index, each in enumerate(bins) if each in its.position]
    asked = defined if time_bins is None else np.atleast_1d(time_bins).tolist()
    for index in asked:
        if not 0 <= index < len(bins):
            raise ConvRNNError(f"`time_bins=…` has {index}; expected 0 to {len(bins) - 1}.")
        if index not in defined:
            start, end = bins[index]
            raise ConvRNNError(f"{layer} at {start:g}–{end:g} ms: {its.undefined[bins[index]]}.")
    if not asked:
        raise ConvRNNError(f"no time bin has a mapping for {layer}.")
    table = _stimuli(root, stimuli)
    count, neurons = len(table), fit.sizes["neuroid"]
    shape = network.output_shape(layer)
    need = 12 * int(np.prod(shape)) * neurons * len(asked)
    if need > available_memory():
        raise ConvRNNError(
            f"the weights of {neurons} neurons in {len(asked)} time bins need {decimal(need)} of "
            f"memory, and {decimal(available_memory())} is free: give fewer `time_bins=…`."
        )
    fitted = defined if shared else asked  # all bins determine weights that they share
    coefficients = fit["coefficients"].values[..., fitted]
    place = [its.position[bins[index]] for index in fitted]
    total = np.zeros((len(its.averages), int(np.prod(shape))))
    weights = np.zeros((1 if shared else len(asked), total.shape[1], neurons))
    batches = image_batches(table, BATCH_SIZE, off=shown.fixed_frames[0])
    first = 0
    for batch in batches:
        features = network.averages(batch, {layer: its.averages}, shown)[layer]
        flat = features.reshape(*features.shape[:2], -1)
        total += flat.sum(axis=0)
        of_batch = np.nan_to_num(coefficients[first : first + len(flat)])
        for index, each in enumerate(place):
            weights[0 if shared else index] += flat[:, each].T.astype(float) @ of_batch[..., index]
        first += len(flat)
    mean = total / count
    if shared:
        mean[:] = mean[place].mean(axis=0)
        weights = np.repeat(weights, len(asked), axis=0)
    return EncodingModel(
        network,
        layer,
        shown,
        its.averages,
        tuple(its.position[bins[index]] for index in asked),
        mean.reshape(-1, *shape).astype(np.float32),
        weights.reshape(len(asked), *shape, neurons).astype(np.float32),
        fit["intercept"].values[:, asked].T.astype(np.float32),
        pd.DataFrame({name: fit[name].values for name in ("neuroid_id", "region", "subject")}),
        [bins[index] for index in asked],
        float(table["degrees"].iloc[0]) if table["degrees"].nunique() == 1 else np.nan,
    )


def check_same(network: ConvRNN, made_by: Mapping[str, Any]) -> None:
    """Raise where ``network`` is not the one that was fitted.

    Raises
    ------
    ConvRNNError
        Its model, its weights, its lesion or its precision differ.
    """
    ours = {"precision": network.precision, **network.describe()}
    theirs = {"precision": PrecisionName.float32.value, **made_by}
    for name in ("model", "weights_sha256", "lesion", "precision"):
        if name in theirs and str(theirs[name]) != str(ours.get(name)):
            raise ConvRNNError(
                f"{name} of the network is {ours.get(name)}, and that of the fit "
                f"{theirs[name]}: load the network that was fitted."
            )


def shown_variables(presentation: Presentation) -> dict[str, Any]:
    """What the networks were shown, as variables of a data set; `encode` reads them."""
    frames = np.concatenate(presentation.fixed_frames)
    if all(np.ptp(frame.reshape(-1, frame.shape[-1]), axis=0).max() == 0 for frame in frames):
        frames = frames[:, :1, :1]
    stream = presentation.name == "stream"
    return {
        "schedule": ("step", np.array(presentation.schedule, np.int16), {"stream": int(stream)}),
        "frames": (("frame", "height", "width", "channel"), frames),
    }


def _shown(root: xr.Dataset) -> Presentation:
    """The presentation of `shown_variables`."""
    schedule, shape = root["schedule"].values, (SIZE, SIZE, 3)
    frames = [np.broadcast_to(frame, shape) for frame in root["frames"].values]
    if root["schedule"].attrs["stream"]:
        return Presentation.stream(len(schedule), frames[0])
    shown = [
        ("image" if not frame else frames[frame - 1], (end - start) * MS_PER_STEP)
        for start, end, frame in runs(schedule)
    ]
    return Presentation.of_frames(shown)


def _stimuli(root: xr.Dataset, stimuli: pd.DataFrame | None) -> pd.DataFrame:
    """The recording's stimuli in its order, whose images are those that were fitted."""
    ids = pd.DataFrame({"stimulus_id": root["stimulus_id"].values.astype(str)})
    if stimuli is None and root["schedule"].attrs["stream"]:
        raise ConvRNNError("the stimuli have times of their own: give `stimuli=…`.")
    if stimuli is None:
        table = ids.assign(
            filename=root["filename"].values.astype(str), degrees=root["degrees"].values
        )
    else:
        # Widths that `stimuli` state must be those that were fitted.
        table = match_stimuli(ids.assign(degrees=root["degrees"].values), stimuli, [])
    if images_digest(table) != json.loads(root.attrs["settings"])["images"]:
        raise ConvRNNError(
            "the images of the recording's stimuli are not those that were fitted: give the same "
            "files as `stimuli=…`."
        )
    return table

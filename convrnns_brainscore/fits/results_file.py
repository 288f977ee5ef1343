"""The file of results: its layout, written and read.

``results.nc`` holds at its root what belongs to the recording (reliability, splits), and for each
model and layer a group ``<model>/<layer>`` with r (split, neuroid, time_bin)::

    xarray.open_dataset("results.nc")
    xarray.open_dataset("results.nc", group="rgc_intermediate/conv10")
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import netCDF4
import numpy as np
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore._version import __version__
from convrnns_brainscore.choices import MethodName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.encoding import shown_variables
from convrnns_brainscore.fits.layer_fits import Choices, LayerFits
from convrnns_brainscore.fits.results import STATISTICS, Results
from convrnns_brainscore.integrity import seal
from convrnns_brainscore.netcdf import in_fixed_order, write_group

if TYPE_CHECKING:  # figures are drawn from results without TensorFlow
    from convrnns_brainscore.fits.prepare import Prepared
    from convrnns_brainscore.fits.scratch import LayerBins

RESULTS = "results.nc"
"""The file's name."""

SCHEMA = 2
"""Version of what ``results.nc`` holds."""


class StoredFits(Mapping[tuple[str, str], xr.Dataset]):
    """Fits in netCDF files, whose arrays are read when they are used, and not kept.

    Parameters
    ----------
    places : mapping of (str, str) to (path, str or None)
        Model and layer → the file, and the group in it.
    """

    def __init__(self, places: Mapping[tuple[str, str], tuple[Path, str | None]]) -> None:
        self._places = dict(places)
        self._opened: dict[tuple[str, str], xr.Dataset] = {}

    def __getitem__(self, key: tuple[str, str]) -> xr.Dataset:
        if key not in self._opened:
            path, group = self._places[key]
            self._opened[key] = xr.open_dataset(path, group=group, cache=False)
        return self._opened[key]

    def __iter__(self) -> Iterator[tuple[str, str]]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def layer_dataset(
    fits: LayerFits, bins: LayerBins, choices: Choices, crossed: NDArray[np.float64] | None
) -> xr.Dataset:
    """The group of a layer.

    Parameters
    ----------
    fits : LayerFits
        Fits of the layer.
    bins : LayerBins
        The layer's time bins, with why some have no score.
    choices : Choices
        What layer and latency are chosen by.
    crossed : float64 array or None [region, split, feature bin, bin]
        r of features of one bin against responses of another; None: it was not asked for.
    """
    result, prepared = fits.result, fits.setting.prepared
    of_split, of_halving = ("split", "neuroid", "time_bin"), ("halving", "neuroid", "time_bin")
    variables: dict[str, Any] = {
        "r": (of_split, result.r),
        "prediction_halves": (of_halving, result.prediction_halves),
        "response_halves": (of_halving, result.response_halves),
        "resampled": (("statistic", "population", "resample", "time_bin"), fits.resampled),
        "note": (("neuroid", "time_bin"), fits.notes.astype(object)),
        "undefined": (
            "time_bin",
            np.array([bins.undefined.get(each, "") for each in prepared.time_bins], object),
        ),
    }
    if fits.setting.method.name == MethodName.ridge:
        variables["penalty"] = (of_split, result.penalty)
    regions, subjects = np.array(fits.populations, object).T
    coordinates: dict[str, Any] = {
        **_coordinates(prepared, fits.neurons),
        "statistic": np.array(STATISTICS, object),
        "population_region": ("population", regions),
        "population_subject": ("population", subjects),
    }
    if choices.latencies:
        axes = ("choosing_region", "latency", "split", "choosing_bin")
        variables |= {
            "validated": (axes, choices.validated),
            "tested": (axes, choices.tested),
            "choosing_bins": (("choosing_region", "choosing_bin"), choices.bins),
        }
        coordinates |= {
            "choosing_region": np.array(choices.regions, object),
            "latency": np.array(choices.latencies, float),
        }
    if learning := fits.learning.bins:
        variables |= {
            "training_stimuli": (("training_part", "split"), fits.learning.stimuli),
            "learning_r": (("training_part", "split", "neuroid"), fits.learning.r),
            "learning_prediction_halves": (
                ("training_part", "halving", "neuroid"),
                fits.learning.prediction_halves,
            ),
            "learning_bin": ("learning_region", list(learning.values())),
        }
        coordinates["learning_region"] = np.array(list(learning), object)
    if fits.kept is not None:
        variables |= {
            "predicted": (("split", "test_stimulus", "neuroid", "time_bin"), fits.kept.predicted),
            "coefficients": (("stimulus", "neuroid", "time_bin"), fits.kept.coefficients),
            "intercept": (("neuroid", "time_bin"), fits.kept.intercept),
        }
    if crossed is not None:
        axes = ("crossed_region", "split", "feature_bin", "time_bin")
        variables["cross_temporal"] = (axes, crossed)
        coordinates["crossed_region"] = np.array(choices.regions, object)
    return xr.Dataset(variables, coordinates)


def root_dataset(
    prepared: Prepared, settings: Mapping[str, Any], predictions: bool = False
) -> xr.Dataset:
    """The group at the root, which belongs to the recording.

    Parameters
    ----------
    settings : mapping of str to object
        All that makes the fits but the networks' weights, as plain values.
    predictions : bool, default False
        Add the observed responses, and where the stimuli are.
    """
    test = np.zeros((len(prepared.splits), len(prepared.stimuli)), np.int8)
    for index, split in enumerate(prepared.splits):
        test[index, split.test] = 1
    kept: dict[str, Any] = {}
    if predictions:
        every = np.arange(len(prepared.recording.neurons))
        responses = prepared.responses(every, range(len(prepared.time_bins)))
        kept["observed"] = (("stimulus", "neuroid", "time_bin"), responses.astype(np.float32))
        for name in ("filename", "degrees"):
            kept[name] = ("stimulus", prepared.stimuli[name].to_numpy())
        kept |= shown_variables(prepared.presentation)
    return xr.Dataset(
        {
            **kept,
            "half_correlation": (("halving", "neuroid", "time_bin"), prepared.half_correlations),
            "test": (("split", "stimulus"), test),
            "repetitions": ("stimulus", prepared.trials.repetitions),
        },
        {
            **_coordinates(prepared, slice(None)),
            "stimulus_id": ("stimulus", prepared.stimuli["stimulus_id"].to_numpy(object)),
        },
        {
            "schema": SCHEMA,
            "convrnns_brainscore": __version__,
            "models": ", ".join([settings["models"], control.NAME]),
            "settings": json.dumps(settings),
            "notes": "\n".join(prepared.notes),
        },
    )


def write_results(results: Results, path: Path) -> None:
    """Write ``results.nc``, which appears when it is whole."""
    with written_whole(path) as partial:
        write_group(in_fixed_order(results.root), partial)
        for (model, layer), fit in results.fits.items():
            write_group(in_fixed_order(fit), partial, f"{model}/{layer}", "a")
        seal(partial)


def read_results(path: Path) -> Results:
    """What `write_results` wrote; fits are read when they are used.

    Raises
    ------
    ConvRNNError
        ``path`` is no such file, or of another schema.
    """
    try:
        with netCDF4.Dataset(path) as opened:
            places = {
                (model, layer): (path, f"{model}/{layer}")
                for model in opened.getncattr("models").split(", ")
                for layer in opened[model].groups
            }
        with xr.open_dataset(path) as opened:
            root = opened.load()
    except Exception as error:
        raise ConvRNNError(
            f"{path} does not hold the results of a fit ({error}): name the results.nc that "
            "`convrnns fit` wrote, or its folder."
        ) from error
    if root.attrs.get("schema") != SCHEMA:
        raise ConvRNNError(
            f"{path} has schema {root.attrs.get('schema')}; this version reads {SCHEMA}: fit "
            "again, into another folder."
        )
    return Results(root, StoredFits(places))


def _coordinates(prepared: Prepared, neurons: Any) -> dict[str, Any]:
    table = prepared.recording.neurons.iloc[neurons]
    start, end = np.array(prepared.time_bins, float).T
    return {
        **{name: ("neuroid", table[name].to_numpy(object)) for name in table},
        "time_bin_start": ("time_bin", start),
        "time_bin_end": ("time_bin", end),
    }

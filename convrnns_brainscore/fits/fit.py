"""Fit layers of networks to a recording, region by region and bin by bin.

Features are streamed once for all regions, and each layer's results are saved before the next
layer begins, so that an interrupted fit goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
)

import convrnns_brainscore
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.features import image_digests
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import (
    HeldOut,
    Method,
    Predict,
    held_out,
    predictor,
    streaming_predictor,
)
from convrnns_brainscore.fits.pls import Block
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.resampling import (
    RESAMPLES,
    draw_neurons,
    draw_stimuli,
    resampled_medians,
)
from convrnns_brainscore.fits.results import (
    RESULTS,
    SCHEMA,
    Results,
    read_results,
    save_dataset,
    write_results,
)
from convrnns_brainscore.fits.scratch import (
    BEFORE_ONSET,
    FeatureStore,
    LayerBins,
    grouped,
    layer_bins,
)
from convrnns_brainscore.fits.selection import test_medians, validate
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.recordings import ALL
from convrnns_brainscore.regions import candidate_layers

PER_BIN, SHARED = "per-bin", "shared"
"""Weights of each time bin's own, or one set of weights for all bins."""


def fit_recording(
    networks: Mapping[str, Callable[[], ConvRNN]],
    prepared: Prepared,
    out: Path,
    *,
    method: Method | None = None,
    time: str = PER_BIN,
    layers: Sequence[str] | None = None,
    cross_temporal: bool = False,
    scratch_limit: int | None = None,
    keep_features: bool = False,
    progress: bool = False,
) -> Results:
    """Fit, or go on with a fit that was interrupted, and write ``results.nc``.

    Parameters
    ----------
    networks : name in the results → what loads the network.
    prepared : the recording, its stimuli, bins and splits (`prepare.prepare`).
    out : a folder, which is made.
    method : None: PLS with 25 components.
    time : ``"per-bin"`` or ``"shared"`` weights.
    layers : for all regions; None: the paper's candidates for each region.
    cross_temporal : fit the features of each bin to the responses of every bin as well.
    scratch_limit : bytes of features on disk at a time; None: four fifths of what is free.
    keep_features : leave the features in ``out``.
    progress : show progress bars.

    Raises
    ------
    ConvRNNError : ``out`` holds other results, or another process writes there; the features do
        not fit on the disk; settings that do not go together.
    """
    method = method or Method()
    if time not in (PER_BIN, SHARED):
        raise ConvRNNError(f"time {time!r}: expected {PER_BIN} or {SHARED}.")
    if cross_temporal and time == SHARED:
        raise ConvRNNError("weights shared over time have no step × bin matrix of their own.")
    out.mkdir(parents=True, exist_ok=True)
    with _only_process(out):
        settings = _settings(prepared, list(networks), method, time, layers, cross_temporal)
        console = Console(stderr=True, quiet=not progress)
        fitting = _Fitting(
            prepared, method, time, cross_temporal, scratch_limit, keep_features, out, console
        )
        kept = fitting.begin(settings)
        fits: dict[tuple[str, str], xr.Dataset] = {}
        for name, load in networks.items():
            network = load()
            wanted = candidate_layers(network.model, prepared.recording.regions, layers)
            fits |= fitting.model(name, network, wanted, kept)
        fits[control.NAME, control.LAYER] = fitting.control(kept)
        results = Results(_root(prepared, settings), fits)
        if kept is None:
            write_results(results, out / RESULTS)
        shutil.rmtree(fitting.work, ignore_errors=True)
    return results


@dataclass
class _Fitting:
    """A fit under way: what is common to all models."""

    prepared: Prepared
    method: Method
    time: str
    cross_temporal: bool
    scratch_limit: int | None
    keep_features: bool
    out: Path
    console: Console

    @cached_property
    def drawn_stimuli(self) -> NDArray[np.float32]:
        """For the errors of all fits."""
        return draw_stimuli(len(self.prepared.stimuli), self.prepared.groups)

    @cached_property
    def populations(self) -> dict[str, dict[str, NDArray[np.intp]]]:
        """Region → all subjects together, and each of several → drawn neurons of the region."""
        found = {}
        for region in self.prepared.recording.regions:
            neurons = self.prepared.neurons(region)
            subjects = self.prepared.recording.neurons["subject"].to_numpy()[neurons]
            found[region] = {ALL: draw_neurons(subjects)}
            names = dict.fromkeys(subjects.tolist())
            for name in names if len(names) > 1 else ():
                theirs = np.flatnonzero(subjects == name)
                drawn = draw_neurons(subjects[theirs])
                found[region][name] = np.where(drawn < 0, -1, theirs[drawn])
        return found

    @property
    def work(self) -> Path:
        return self.out / ".fit.partial"

    def begin(self, settings: Mapping[str, Any]) -> Results | None:
        """What was finished before with the same settings, if it was.

        Raises
        ------
        ConvRNNError : ``out`` holds results, whole or under way, of other settings.
        """
        if (self.out / RESULTS).exists():
            kept = read_results(self.out / RESULTS)
            _check_same(json.loads(kept.root.attrs["settings"]), settings, self.out / RESULTS)
            return kept
        begun = self.work / "settings.json"
        if begun.exists():
            _check_same(json.loads(begun.read_text(encoding="utf-8")), settings, self.work)
        else:
            self.work.mkdir(exist_ok=True)
            with written_whole(begun) as partial:
                partial.write_text(json.dumps(settings), encoding="utf-8")
        return None

    def model(
        self, name: str, network: ConvRNN, wanted: dict[str, list[str]], kept: Results | None
    ) -> dict[tuple[str, str], xr.Dataset]:
        """The fits of a model's layers, those that are there already and the others."""
        presentation = self.prepared.presentation
        made_by = {**describe(network, presentation), "label": network.label}
        found: dict[str, xr.Dataset] = {}
        for layer in wanted:
            there = self._there(name, layer, made_by, kept)
            if there is not None:
                found[layer] = there
        shifted = sorted(
            {
                (start - latency, end - latency)
                for latency in (0, *self.prepared.latencies)
                for start, end in self.prepared.time_bins
            }
        )
        bins = {
            layer: layer_bins(network.model, layer, shifted, presentation)
            for layer in wanted
            if layer not in found
        }
        for layer in [layer for layer in bins if not bins[layer].averages]:
            none = self._bins(_no_features, bins.pop(layer), wanted[layer], f"{name} {layer}", ())
            found[layer] = self._save(none.assign_attrs(made_by), name, layer)
        limit = self.scratch_limit
        if limit is None:
            limit = int(0.8 * shutil.disk_usage(self.out).free)
        stimuli = len(self.prepared.stimuli)
        for group in grouped(network.model, bins, stimuli, limit):
            store = FeatureStore(
                network,
                group,
                presentation,
                self.prepared.stimuli,
                self.out if self.keep_features else self.work,
                progress=not self.console.quiet,
            )
            for layer in group:
                data = self._layer(store, layer, group[layer], wanted[layer], f"{name} {layer}")
                found[layer] = self._save(data.assign_attrs(made_by), name, layer)
            if not self.keep_features:
                shutil.rmtree(store.path)
        return {(name, layer): found[layer] for layer in wanted}

    def control(self, kept: Results | None) -> xr.Dataset:
        """The fit of the images themselves: the same features at each bin after onset."""
        prepared = self.prepared
        made_by = {"model": control.NAME, "label": "the image itself", "seen": control.FEATURES}
        there = self._there(control.NAME, control.LAYER, made_by, kept)
        if there is not None:
            return there
        features = control.image_features(prepared.stimuli["filename"], prepared.stimuli["degrees"])
        bins = LayerBins(
            (((0, 1.0),),),
            {each: 0 for each in prepared.time_bins if each[1] > 0},
            {each: BEFORE_ONSET for each in prepared.time_bins if each[1] <= 0},
        )
        regions = prepared.recording.regions
        data = self._bins(
            lambda position: gram_matrix([features]), bins, regions, control.NAME, latencies=()
        )
        if self.time == SHARED:
            stimuli = len(features)

            def rows(positions: Sequence[int]) -> Iterator[Block]:
                for index, _ in enumerate(positions):
                    yield slice(index * stimuli, (index + 1) * stimuli), features

            data.update(self._shared(rows, features.shape[1], bins, regions, control.NAME))
        return self._save(data.assign_attrs(made_by), control.NAME, control.LAYER)

    def _there(
        self, model: str, layer: str, made_by: Mapping[str, Any], kept: Results | None
    ) -> xr.Dataset | None:
        path = self._path(model, layer)
        if kept is not None:
            data = kept.fits[model, layer]
        elif path.exists():
            with xr.open_dataset(path) as opened:
                data = opened.load()
        else:
            return None
        _check_same({name: data.attrs.get(name) for name in made_by}, made_by, self.out)
        return data

    def _save(self, data: xr.Dataset, model: str, layer: str) -> xr.Dataset:
        with written_whole(self._path(model, layer)) as partial:
            save_dataset(data, partial)
        return data

    def _path(self, model: str, layer: str) -> Path:
        return self.work / f"{model},{layer}.nc"

    def _layer(
        self, store: FeatureStore, layer: str, bins: LayerBins, regions: list[str], what: str
    ) -> xr.Dataset:
        def gram(position: int) -> NDArray[np.float64]:
            return gram_matrix(store.columns(layer, position))

        data = self._bins(gram, bins, regions, what, self.prepared.latencies)
        if self.time == SHARED:
            rows = partial(store.rows, layer)
            data.update(self._shared(rows, store.neuroids(layer), bins, regions, what))
        return data

    def _bins(
        self,
        gram: Callable[[int], NDArray[np.float64]],
        bins: LayerBins,
        regions: Sequence[str],
        what: str,
        latencies: Sequence[int],
    ) -> xr.Dataset:
        """Fits with weights of each bin's own, and those by which layer and latency are chosen."""
        prepared, splits = self.prepared, self.prepared.splits
        time_bins = prepared.time_bins
        fits = _LayerFits(self, regions)
        choosing = {region: prepared.choosing_bins(region) for region in regions}
        choices = _Choices(regions, latencies, len(splits), choosing)
        crossed = np.full((len(regions), len(splits), len(time_bins), len(time_bins)), np.nan)

        by_position: dict[int, list[int]] = {}
        for index, each in enumerate(time_bins):
            if each in bins.position:
                by_position.setdefault(bins.position[each], []).append(index)
        for latency in latencies:
            for region in regions:
                for index in choosing[region]:
                    start, end = time_bins[index]
                    position = bins.position.get((start - latency, end - latency))
                    if position is not None:
                        choices.add(position, region, latency, index)
        positions = sorted({*by_position, *choices.pairs})
        with self._bar() as bar:
            task = bar.add_task(f"{what}: fitting", total=len(positions))
            for position in positions:
                predict = predictor(self.method, gram(position))
                mine = by_position.get(position, [])
                for region in regions:
                    for index in mine if self.time == PER_BIN else ():
                        fits.fit(predict, region, [index])
                    if self.cross_temporal and mine:
                        crossed[regions.index(region), :, mine] = self._cross(
                            predict, prepared.neurons(region)
                        )
                choices.validate(position, predict, prepared)
                bar.advance(task)
        return self._dataset(fits, bins, choices, crossed)

    def _shared(
        self,
        rows: Callable[[Sequence[int]], Iterator[Block]],
        features: int,
        bins: LayerBins,
        regions: Sequence[str],
        what: str,
    ) -> xr.Dataset:
        """Fits with weights shared over the bins at which the layer knows the image."""
        prepared = self.prepared
        defined = [i for i, each in enumerate(prepared.time_bins) if each in bins.position]
        fits = _LayerFits(self, regions)
        if defined:
            positions = [bins.position[prepared.time_bins[index]] for index in defined]
            count = len(positions) * len(prepared.stimuli)
            predict = streaming_predictor(self.method, lambda: rows(positions), count, features)
            for region in regions:
                self.console.print(f"{what}: fitting {region}, {count} rows", soft_wrap=True)
                fits.fit(predict, region, defined)
        return fits.dataset(bins)

    def _cross(self, predict: Predict, neurons: NDArray[np.intp]) -> NDArray[np.float64]:
        """These features against each bin's responses: median r over neurons, [split, bin]."""
        prepared = self.prepared
        responses = prepared.responses(neurons, range(len(prepared.time_bins)))
        bins = [np.ascontiguousarray(each) for each in np.moveaxis(responses, 2, 0)]
        return np.array([test_medians(predict, bins, split) for split in prepared.splits])

    def _dataset(
        self,
        fits: _LayerFits,
        bins: LayerBins,
        choices: _Choices,
        crossed: NDArray[np.float64],
    ) -> xr.Dataset:
        """The fits with what they are chosen by."""
        data = fits.dataset(bins)
        if choices.latencies:
            axes = ("choosing_region", "latency", "split", "choosing_bin")
            data = data.assign(
                validated=(axes, choices.validated),
                tested=(axes, choices.tested),
                choosing_bins=(("choosing_region", "choosing_bin"), choices.bins),
            ).assign_coords(
                choosing_region=np.array(choices.regions, object),
                latency=np.array(choices.latencies, float),
            )
        if self.cross_temporal:
            data = data.assign(
                cross_temporal=(("crossed_region", "split", "feature_bin", "time_bin"), crossed)
            ).assign_coords(crossed_region=np.array(choices.regions, object))
        return data

    def _bar(self) -> Progress:
        return Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=self.console.quiet,
        )


class _LayerFits:
    """The fits of one layer, as they are filled in region by region and bin by bin."""

    def __init__(self, fitting: _Fitting, regions: Sequence[str]) -> None:
        self.fitting = fitting
        prepared = fitting.prepared
        bins = len(prepared.time_bins)
        self.neurons = np.sort(np.concatenate([prepared.neurons(region) for region in regions]))
        self.result = HeldOut.undefined(len(prepared.splits), len(self.neurons), bins)
        self.notes = np.full((len(self.neurons), bins), "", object)
        self.populations = [(r, subject) for r in regions for subject in fitting.populations[r]]
        self.resampled = np.full((len(self.populations), RESAMPLES, bins), np.nan, np.float32)

    def fit(self, predict: Predict, region: str, bins: Sequence[int]) -> None:
        """Fit a region's responses in some bins together, and put what comes into its place."""
        prepared = self.fitting.prepared
        chosen = prepared.neurons(region)
        responses = prepared.responses(chosen, bins)
        fitted = held_out(
            predict,
            responses,
            prepared.halves(chosen, bins),
            prepared.splits,
            self.fitting.method.needed,
        )
        place, columns = np.searchsorted(self.neurons, chosen), np.array(bins)
        self.result.put(fitted, place, bins)
        self.notes[place[:, None], columns] = fitted.notes[:, None]
        rows = [row for row, (where, _) in enumerate(self.populations) if where == region]
        self.resampled[np.array(rows)[:, None], :, columns] = np.moveaxis(
            resampled_medians(
                fitted.predicted,
                responses,
                prepared.splits,
                self.fitting.drawn_stimuli,
                list(self.fitting.populations[region].values()),
            ),
            2,
            1,
        )

    def dataset(self, bins: LayerBins) -> xr.Dataset:
        """What ``results.nc`` holds of the layer."""
        result, prepared = self.result, self.fitting.prepared
        of_split, of_halving = ("split", "neuroid", "time_bin"), ("halving", "neuroid", "time_bin")
        variables: dict[str, Any] = {
            "r": (of_split, result.r),
            "prediction_halves": (of_halving, result.prediction_halves),
            "response_halves": (of_halving, result.response_halves),
            "resampled": (("population", "resample", "time_bin"), self.resampled),
            "note": (("neuroid", "time_bin"), self.notes.astype(object)),
            "undefined": (
                "time_bin",
                np.array([bins.undefined.get(b, "") for b in prepared.time_bins], object),
            ),
        }
        if self.fitting.method.name == "ridge":
            variables["penalty"] = (of_split, result.penalty)
        regions, subjects = np.array(self.populations, object).T
        return xr.Dataset(
            variables,
            {
                **_coordinates(prepared, self.neurons),
                "population_region": ("population", regions),
                "population_subject": ("population", subjects),
            },
        )


class _Choices:
    """What layer and latency of each region are chosen by, as it is filled in.

    Attributes
    ----------
    pairs : place of the features → region, latency and bin that they are fitted to.
    validated, tested : [region, latency, split, choosing bin], as `selection.validate` gives them.
    bins : [region, choosing bin], positions of time bins; −1 where a region has fewer.
    """

    def __init__(
        self,
        regions: Sequence[str],
        latencies: Sequence[int],
        splits: int,
        bins: Mapping[str, list[int]],
    ) -> None:
        self.regions, self.latencies = list(regions), list(latencies)
        most = max(len(each) for each in bins.values())
        self.bins = np.full((len(regions), most), -1)
        for row, region in enumerate(regions):
            self.bins[row, : len(bins[region])] = bins[region]
        shape = (len(regions), len(latencies), splits, self.bins.shape[1])
        self.validated, self.tested = np.full(shape, np.nan), np.full(shape, np.nan)
        self.pairs: dict[int, list[tuple[str, int, int]]] = {}

    def add(self, position: int, region: str, latency: int, time_bin: int) -> None:
        """Features that are to be fitted to a region's bin."""
        self.pairs.setdefault(position, []).append((region, latency, time_bin))

    def validate(self, position: int, predict: Predict, prepared: Prepared) -> None:
        """Fit the features at ``position`` to all that they are to be fitted to."""
        for region, pairs in _by_region(self.pairs.get(position, [])).items():
            neurons = prepared.neurons(region)
            responses = prepared.responses(neurons, [index for _, index in pairs])
            validated, tested = validate(
                predict,
                [np.ascontiguousarray(each) for each in np.moveaxis(responses, 2, 0)],
                prepared.splits,
                prepared.inner,
            )
            row = self.regions.index(region)
            for column, (latency, index) in enumerate(pairs):
                where = row, self.latencies.index(latency), slice(None), self._place(row, index)
                self.validated[where] = validated[:, column]
                self.tested[where] = tested[:, column]

    def _place(self, row: int, time_bin: int) -> int:
        return int(np.flatnonzero(self.bins[row] == time_bin)[0])


def _no_features(position: int) -> NDArray[np.float64]:
    raise AssertionError("no bin of the layer has features")


def _by_region(pairs: Sequence[tuple[str, int, int]]) -> dict[str, list[tuple[int, int]]]:
    found: dict[str, list[tuple[int, int]]] = {}
    for region, latency, time_bin in pairs:
        found.setdefault(region, []).append((latency, time_bin))
    return found


def _coordinates(prepared: Prepared, neurons: Any) -> dict[str, Any]:
    table = prepared.recording.neurons.iloc[neurons]
    start, end = np.array(prepared.time_bins, float).T
    return {
        **{name: ("neuroid", table[name].to_numpy(object)) for name in table},
        "time_bin_start": ("time_bin", start),
        "time_bin_end": ("time_bin", end),
    }


def _root(prepared: Prepared, settings: Mapping[str, Any]) -> xr.Dataset:
    """What belongs to the recording."""
    test = np.zeros((len(prepared.splits), len(prepared.stimuli)), np.int8)
    for index, split in enumerate(prepared.splits):
        test[index, split.test] = 1
    return xr.Dataset(
        {
            "half_correlation": (("halving", "neuroid", "time_bin"), prepared.half_correlations),
            "test": (("split", "stimulus"), test),
        },
        {
            **_coordinates(prepared, slice(None)),
            "stimulus_id": ("stimulus", prepared.stimuli["stimulus_id"].to_numpy(object)),
        },
        {
            "schema": SCHEMA,
            "convrnns_brainscore": convrnns_brainscore.__version__,
            "models": ", ".join([settings["models"], control.NAME]),
            "settings": json.dumps(settings),
            "notes": "\n".join(prepared.notes),
        },
    )


def _settings(
    prepared: Prepared,
    models: Sequence[str],
    method: Method,
    time: str,
    layers: Sequence[str] | None,
    cross_temporal: bool,
) -> dict[str, Any]:
    """All that makes the fits but the networks' weights, as plain values."""
    stimuli = prepared.stimuli
    images = []
    for digest in image_digests(stimuli["filename"], stimuli["degrees"]):
        if isinstance(digest, ConvRNNError):
            raise digest
        images.append(digest)
    return {
        "schema": SCHEMA,
        "convrnns_brainscore": convrnns_brainscore.__version__,
        "models": ", ".join(models),
        "method": method.label,
        "time": time,
        "layers": "candidates of each region" if layers is None else ", ".join(layers),
        "cross_temporal": cross_temporal,
        "latencies": ", ".join(f"{each:g}" for each in prepared.latencies),
        "recording": prepared.recording.sha256,
        "images": _digest(images),
        "degrees": _digest(stimuli["degrees"].tolist()),
        "splits": _digest([split.test.tolist() for split in prepared.splits]),
        **prepared.presentation.describe(),
    }


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()


def _check_same(held: Mapping[str, Any], wanted: Mapping[str, Any], where: Path) -> None:
    for name, value in wanted.items():
        if held.get(name) != value:
            raise ConvRNNError(
                f"{where} was begun with {name} {held.get(name)!r}, not {value!r}. Give another "
                "--out, or remove it first."
            )


@contextmanager
def _only_process(out: Path) -> Iterator[None]:
    lock = FileLock(out / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise ConvRNNError(f"another process is fitting in {out}.") from None
    try:
        yield
    finally:
        lock.release()
        (out / ".lock").unlink(missing_ok=True)

"""Fit layers of networks to a recording, region by region and bin by bin.

Features are streamed once for all regions, and each layer's results are saved before the next
layer begins, so that an interrupted fit goes on where it was.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
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
from convrnns_brainscore.cluster import HERE, Workers
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.features import image_digests
from convrnns_brainscore.files import only_process, written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.blocks import (
    BinBlock,
    ConstantFeatures,
    Features,
    LayerFeatures,
    RegionFit,
    Setting,
    SharedBlock,
    fit_bin,
    fit_shared,
)
from convrnns_brainscore.fits.heldout import HeldOut, Method
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.resampling import (
    RESAMPLES,
    draw_neurons,
    draw_stimuli,
)
from convrnns_brainscore.fits.results import (
    RESULTS,
    SCHEMA,
    STATISTICS,
    Results,
    StoredFits,
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
    room,
)
from convrnns_brainscore.provenance import check_made_alike, describe
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
    workers: Workers = HERE,
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
    workers : who extracts and fits (`cluster.workers`); they see images and ``out`` under the same
        paths.

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
    with only_process(out / ".lock", out):
        settings = _settings(prepared, list(networks), method, time, layers, cross_temporal)
        console = Console(stderr=True, quiet=not progress)
        setting = Setting(
            prepared,
            method,
            draw_stimuli(len(prepared.stimuli), prepared.groups),
            {region: _populations(prepared, region) for region in prepared.recording.regions},
        )
        fitting = _Fitting(
            setting, time, cross_temporal, scratch_limit, keep_features, out, console, workers
        )
        kept = fitting.begin(settings)
        fitted: list[tuple[str, str]] = []
        for name, load in networks.items():
            network = load()
            wanted = candidate_layers(network.model, prepared.recording.regions, layers)
            fitting.model(name, network, wanted, kept)
            fitted += product([name], wanted)
        fitting.control(kept)
        fitted.append((control.NAME, control.LAYER))
        if kept is None:
            parts = StoredFits({key: (fitting.path(*key), None) for key in fitted})
            write_results(Results(_root(prepared, settings), parts), out / RESULTS)
        shutil.rmtree(fitting.work, ignore_errors=True)
    return read_results(out / RESULTS)


@dataclass
class _Fitting:
    """A fit under way: what is common to all models."""

    setting: Setting
    time: str
    cross_temporal: bool
    scratch_limit: int | None
    keep_features: bool
    out: Path
    console: Console
    workers: Workers

    @property
    def prepared(self) -> Prepared:
        return self.setting.prepared

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
            check_made_alike(json.loads(kept.root.attrs["settings"]), settings, self.out / RESULTS)
            return kept
        begun = self.work / "settings.json"
        if begun.exists():
            check_made_alike(json.loads(begun.read_text(encoding="utf-8")), settings, self.work)
        else:
            self.work.mkdir(exist_ok=True)
            with written_whole(begun) as partial:
                partial.write_text(json.dumps(settings), encoding="utf-8")
        return None

    def model(
        self, name: str, network: ConvRNN, wanted: dict[str, list[str]], kept: Results | None
    ) -> None:
        """Fit those of a model's layers that are not there already."""
        presentation = self.prepared.presentation
        made_by = {**describe(network, presentation), "label": network.label}
        missing = [layer for layer in wanted if not self._there(name, layer, made_by, kept)]
        shifted = sorted(
            {
                (start - latency, end - latency)
                for latency in (0, *self.prepared.latencies)
                for start, end in self.prepared.time_bins
            }
        )
        bins = {layer: layer_bins(network.model, layer, shifted, presentation) for layer in missing}
        nothing = ConstantFeatures(np.empty((0, 0), np.float32))
        for layer in [layer for layer in bins if not bins[layer].averages]:
            none = self._bins(nothing, bins.pop(layer), wanted[layer], f"{name} {layer}", ())
            self._save(none.assign_attrs(made_by), name, layer)
        if not bins:
            return
        stimuli = len(self.prepared.stimuli)
        limit = room(self.work) if self.scratch_limit is None else self.scratch_limit
        for group in grouped(network.model, bins, stimuli, limit):
            store = FeatureStore(
                network,
                group,
                presentation,
                self.prepared.stimuli,
                self.out if self.keep_features else self.work,
                progress=not self.console.quiet,
                workers=self.workers,
            )
            for layer in group:
                data = self._bins(
                    LayerFeatures(store, layer),
                    group[layer],
                    wanted[layer],
                    f"{name} {layer}",
                    self.prepared.latencies,
                )
                self._save(data.assign_attrs(made_by), name, layer)
            if not self.keep_features:
                shutil.rmtree(store.path)

    def control(self, kept: Results | None) -> None:
        """Fit the images themselves: the same features at each bin after onset."""
        prepared = self.prepared
        made_by = {"model": control.NAME, "label": "the image itself", "seen": control.FEATURES}
        if self._there(control.NAME, control.LAYER, made_by, kept):
            return
        features = control.image_features(prepared.stimuli["filename"], prepared.stimuli["degrees"])
        bins = LayerBins(
            (((0, 1.0),),),
            {each: 0 for each in prepared.time_bins if each[1] > 0},
            {each: BEFORE_ONSET for each in prepared.time_bins if each[1] <= 0},
        )
        regions = prepared.recording.regions
        data = self._bins(ConstantFeatures(features), bins, regions, control.NAME, latencies=())
        self._save(data.assign_attrs(made_by), control.NAME, control.LAYER)

    def _there(
        self, model: str, layer: str, made_by: Mapping[str, Any], kept: Results | None
    ) -> bool:
        path = self.path(model, layer)
        if kept is not None:
            held = kept.fits[model, layer].attrs
        elif path.exists():
            with xr.open_dataset(path) as opened:
                held = opened.attrs
        else:
            return False
        check_made_alike(held, made_by, self.out)
        return True

    def _save(self, data: xr.Dataset, model: str, layer: str) -> None:
        with written_whole(self.path(model, layer)) as partial:
            save_dataset(data, partial)

    def path(self, model: str, layer: str) -> Path:
        return self.work / f"{model},{layer}.nc"

    def _bins(
        self,
        features: Features,
        bins: LayerBins,
        regions: Sequence[str],
        what: str,
        latencies: Sequence[int],
    ) -> xr.Dataset:
        """All that is fitted to features, block by block."""
        prepared = self.prepared
        count = len(prepared.time_bins)
        fits = _LayerFits(self.setting, regions)
        choosing = {region: prepared.choosing_bins(region) for region in regions}
        choices = _Choices(regions, latencies, len(prepared.splits), choosing)
        crossed = np.full((len(regions), len(prepared.splits), count, count), np.nan)
        place: dict[int, list[int]] = {}
        for index, each in enumerate(prepared.time_bins):
            if each in bins.position:
                place.setdefault(bins.position[each], []).append(index)
        blocks = self._blocks(bins, place, regions, choosing, latencies)
        shared = []
        if self.time == SHARED and place:
            defined = tuple(sorted(index for indices in place.values() for index in indices))
            positions = tuple(bins.position[prepared.time_bins[index]] for index in defined)
            shared = [SharedBlock(region, defined, positions) for region in regions]
        with self._bar() as bar:
            task = bar.add_task(f"{what}: fitting", total=len(blocks) + len(shared))
            common = self.setting, features
            for block, done in self.workers.each_done(fit_bin, common, blocks):
                for fit in done.fits:
                    fits.put(fit)
                for region, medians in done.crossed.items():
                    crossed[regions.index(region), :, place[block.position]] = medians
                for region, both in done.chosen.items():
                    choices.put(region, block.chosen[region], *both)
                bar.advance(task)
            for _, done in self.workers.each_done(fit_shared, common, shared):
                fits.put(done.fits[0])
                bar.advance(task)
        return self._dataset(fits, bins, choices, crossed)

    def _blocks(
        self,
        bins: LayerBins,
        place: Mapping[int, Sequence[int]],
        regions: Sequence[str],
        choosing: Mapping[str, Sequence[int]],
        latencies: Sequence[int],
    ) -> list[BinBlock]:
        """What features of each position are fitted to.

        Parameters
        ----------
        bins, regions, latencies : of the layer.
        place : position → bins that it has the features of.
        choosing : region → bins by which its layer and latency are chosen.
        """
        chosen: dict[int, dict[str, list[tuple[int, int]]]] = {}
        for latency, region in product(latencies, regions):
            for index in choosing[region]:
                start, end = self.prepared.time_bins[index]
                position = bins.position.get((start - latency, end - latency))
                if position is not None:
                    pairs = chosen.setdefault(position, {}).setdefault(region, [])
                    pairs.append((latency, index))
        return [
            BinBlock(
                position,
                tuple(product(regions, place.get(position, ()) if self.time == PER_BIN else ())),
                tuple(regions) if self.cross_temporal and position in place else (),
                chosen.get(position, {}),
            )
            for position in sorted({*place, *chosen})
            if self.time == PER_BIN or self.cross_temporal or position in chosen
        ]

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
    """The fits of one layer, as they are put together."""

    def __init__(self, setting: Setting, regions: Sequence[str]) -> None:
        self.setting = setting
        prepared, populations = setting.prepared, setting.populations
        bins = len(prepared.time_bins)
        self.neurons = np.sort(np.concatenate([prepared.neurons(region) for region in regions]))
        self.result = HeldOut.undefined(len(prepared.splits), len(self.neurons), bins)
        self.notes = np.full((len(self.neurons), bins), "", object)
        self.populations = [(r, subject) for r in regions for subject in populations[r]]
        shape = 2, len(self.populations), RESAMPLES, bins
        self.resampled = np.full(shape, np.nan, np.float32)

    def put(self, fit: RegionFit) -> None:
        """Fill in a region's neurons in some bins."""
        place = np.searchsorted(self.neurons, self.setting.prepared.neurons(fit.region))
        columns = np.array(fit.bins)
        self.result.put(fit.held_out, place, fit.bins)
        self.notes[place[:, None], columns] = fit.held_out.notes[:, None]
        rows = [row for row, (region, _) in enumerate(self.populations) if region == fit.region]
        for row, values in zip(rows, np.moveaxis(fit.resampled, 1, 0), strict=True):
            self.resampled[:, row, :, columns] = np.moveaxis(values, 2, 0)

    def dataset(self, bins: LayerBins) -> xr.Dataset:
        """What ``results.nc`` holds of the layer."""
        result, prepared = self.result, self.setting.prepared
        of_split, of_halving = ("split", "neuroid", "time_bin"), ("halving", "neuroid", "time_bin")
        variables: dict[str, Any] = {
            "r": (of_split, result.r),
            "prediction_halves": (of_halving, result.prediction_halves),
            "response_halves": (of_halving, result.response_halves),
            "resampled": (("statistic", "population", "resample", "time_bin"), self.resampled),
            "note": (("neuroid", "time_bin"), self.notes.astype(object)),
            "undefined": (
                "time_bin",
                np.array([bins.undefined.get(b, "") for b in prepared.time_bins], object),
            ),
        }
        if self.setting.method.name == "ridge":
            variables["penalty"] = (of_split, result.penalty)
        regions, subjects = np.array(self.populations, object).T
        return xr.Dataset(
            variables,
            {
                **_coordinates(prepared, self.neurons),
                "statistic": np.array(STATISTICS, object),
                "population_region": ("population", regions),
                "population_subject": ("population", subjects),
            },
        )


class _Choices:
    """What layer and latency of each region are chosen by, as it is filled in.

    Attributes
    ----------
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

    def put(
        self,
        region: str,
        pairs: Sequence[tuple[int, int]],
        validated: NDArray[np.float64],
        tested: NDArray[np.float64],
    ) -> None:
        """Fill in what `selection.validate` gives of latencies and bins, [split, pair] each."""
        row = self.regions.index(region)
        for column, (latency, index) in enumerate(pairs):
            where = row, self.latencies.index(latency), slice(None), self._place(row, index)
            self.validated[where] = validated[:, column]
            self.tested[where] = tested[:, column]

    def _place(self, row: int, time_bin: int) -> int:
        return int(np.flatnonzero(self.bins[row] == time_bin)[0])


def _populations(prepared: Prepared, region: str) -> dict[str, NDArray[np.intp]]:
    """All subjects together, and each of several → drawn neurons of the region."""
    subjects = prepared.recording.neurons["subject"].to_numpy()[prepared.neurons(region)]
    found = {ALL: draw_neurons(subjects)}
    names = dict.fromkeys(subjects.tolist())
    for name in names if len(names) > 1 else ():
        theirs = np.flatnonzero(subjects == name)
        drawn = draw_neurons(subjects[theirs])
        found[name] = np.where(drawn < 0, -1, theirs[drawn])
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

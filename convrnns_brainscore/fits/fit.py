"""Fit layers of networks to a recording, region by region and bin by bin.

Features are streamed once for all regions. The results of each block are saved when it is done, so
that an interrupted fit resumes within a layer.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, product
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray
from rich.console import Console

from convrnns_brainscore._version import __version__
from convrnns_brainscore.choices import TimeName, parse_choice
from convrnns_brainscore.cluster import HERE, Workers
from convrnns_brainscore.console import PlainConsole
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import only_process, written_whole
from convrnns_brainscore.fits import control
from convrnns_brainscore.fits.blocks import ConstantFeatures, Features, LayerFeatures, Setting
from convrnns_brainscore.fits.finished import FinishedBlocks
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.layer import fit_layer
from convrnns_brainscore.fits.prepare import Prepared
from convrnns_brainscore.fits.resampling import (
    draw_neurons,
    draw_stimuli,
)
from convrnns_brainscore.fits.results import Results
from convrnns_brainscore.fits.results_file import (
    RESULTS,
    SCHEMA,
    StoredFits,
    read_results,
    root_dataset,
    write_results,
)
from convrnns_brainscore.fits.scratch import FeatureStore, LayerBins, grouped, layer_bins, room
from convrnns_brainscore.integrity import is_sealed, seal, verify
from convrnns_brainscore.netcdf import in_fixed_order, write_group
from convrnns_brainscore.provenance import check_made_alike, describe, digest, images_digest
from convrnns_brainscore.recordings import ALL
from convrnns_brainscore.regions import candidate_layers
from convrnns_brainscore.timing import BEFORE_ONSET
from convrnns_brainscore.zoo import find_model

_log = logging.getLogger(__name__)

MOST_KEPT = 2**28
"""Bytes of predictions and mappings that are kept without being asked for: 268 MB."""

WAYS_OUT = (
    "Give a greater `scratch_limit=…`, `out=…` on another disk, wider time bins, or one `window=…`."
)
"""What helps where features do not fit on the disk."""


def fit_recording(
    networks: Mapping[str, Callable[[], ConvRNN]],
    prepared: Prepared,
    out: str | PathLike[str],
    *,
    method: Method | str | None = None,
    time: str = TimeName.per_bin,
    layers: Sequence[str] | None = None,
    cross_temporal: bool = False,
    scratch_limit: int | None = None,
    keep_features: bool = False,
    keep_predictions: bool | None = None,
    progress: bool = False,
    workers: Workers = HERE,
) -> Results:
    """Fit, or go on with a fit that was interrupted, and write ``results.nc``.

    Parameters
    ----------
    networks : mapping of str to callable
        Name in the results → what loads the network. Names go into names of files.
    prepared : Prepared
        The recording, its stimuli, bins and splits (`prepare.prepare`).
    out : str or path
        A folder, which is made.
    method : Method or str, optional
        A name stands for the method with its defaults. None: PLS with 25 components.
    time : str, default TimeName.per_bin
        ``"per-bin"`` or ``"shared"`` weights.
    layers : sequence of str, optional
        Layers for all regions; None: the paper's candidates for each region.
    cross_temporal : bool, default False
        Fit the features of each bin to the responses of every bin as well.
    scratch_limit : int, optional
        Bytes of features on disk at a time; None: four fifths of what is free.
    keep_features : bool, default False
        Leave the features in ``out``.
    keep_predictions : bool, optional
        Keep held-out predictions, observed responses and mappings in the results, so that
        `Results.predict` works; None: where they take less than `MOST_KEPT` bytes.
    progress : bool, default False
        Show progress bars.
    workers : Workers, default HERE
        Who extracts and fits (`cluster.workers`); they see images and ``out`` under the same paths.

    Raises
    ------
    ConvRNNError
        ``out`` holds other results, or another process writes there; the features do not fit on the
        disk; settings that do not go together.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> from convrnns_brainscore import load_network
    >>> from convrnns_brainscore.fits.prepare import prepare
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> from convrnns_brainscore.recordings import as_recording
    >>> stimuli = load_objects92().stimuli[:30].assign(degrees=8.0)
    >>> measured = xr.DataArray(
    ...     np.random.default_rng(0).random((60, 8, 1)),
    ...     {
    ...         "stimulus_id": ("presentation", np.tile(stimuli["stimulus_id"], 2)),
    ...         "neuroid_id": ("neuroid", np.arange(8)),
    ...         "region": ("neuroid", ["IT"] * 8),
    ...         "time_bin_start": ("time_bin", [70]),
    ...         "time_bin_end": ("time_bin", [90]),
    ...     },
    ...     ("presentation", "neuroid", "time_bin"),
    ... )
    >>> prepared = prepare(as_recording(measured), stimuli, splits=2, latencies=[0])
    >>> with TemporaryDirectory() as folder:
    ...     results = fit_recording(
    ...         {"whole": lambda: load_network("timedecay_shallow", weights="random")},
    ...         prepared,
    ...         Path(folder),
    ...         method=Method("ridge"),
    ...     )
    ...     found = results.predictivity("whole", "conv5", "IT")
    >>> abs(float(found.r[0])) < 0.6  # neurons of noise
    True
    """
    method = Method(method) if isinstance(method, str) else method or Method()
    weights = parse_choice("time", time, TimeName)
    _check_names(networks)
    out = Path(out)
    if cross_temporal and weights is TimeName.shared:
        raise ConvRNNError(
            "`cross_temporal=True` needs separate weights for each time bin: omit it, or give "
            "`time='per-bin'`."
        )
    out.mkdir(parents=True, exist_ok=True)
    with only_process(out / ".lock", out):
        settings = _settings(prepared, list(networks), method, weights, layers, cross_temporal)
        console = PlainConsole(stderr=True, quiet=not progress)
        if keep_predictions is None:
            keep_predictions = len(networks) * _kept_bytes(prepared, layers) <= MOST_KEPT
        settings["predictions"] = "kept" if keep_predictions else "not kept"
        setting = Setting(
            prepared,
            method,
            draw_stimuli(len(prepared.stimuli), prepared.groups),
            {region: _populations(prepared, region) for region in prepared.recording.regions},
            keep_predictions,
        )
        fitting = _Fitting(
            setting, weights, cross_temporal, scratch_limit, keep_features, out, console, workers
        )
        try:
            kept = fitting.begin(settings)
            fitted: list[tuple[str, str]] = []
            for name, load in networks.items():
                network = load()
                wanted = candidate_layers(network.model, prepared.recording.regions, layers)
                fitting.model(name, network, wanted, kept)
                fitted += product([name], wanted)
            fitting.control(kept)
            fitted.append((control.NAME, control.LAYER))
        except (KeyboardInterrupt, SystemExit):
            console.print("Interrupted: rerun the same command to resume.")
            raise
        if kept is None:
            parts = StoredFits({key: (fitting.path(*key), None) for key in fitted})
            root = root_dataset(prepared, settings, keep_predictions)
            write_results(Results(root, parts), out / RESULTS)
        shutil.rmtree(fitting.work, ignore_errors=True)
    return read_results(out / RESULTS)


def _kept_bytes(prepared: Prepared, layers: Sequence[str] | None) -> int:
    """Bytes of the predictions and mappings of a network, as if it had the most layers."""
    regions = prepared.recording.regions
    candidates = candidate_layers(find_model("rgc_intermediate"), regions)
    tested = sum(len(split.test) for split in prepared.splits)
    of_neuron = len(prepared.time_bins) * (4 * tested + 8 * len(prepared.stimuli))
    fitted = {
        region: len(layers) if layers else sum(region in each for each in candidates.values())
        for region in regions
    }
    return sum(len(prepared.neurons(region)) * fitted[region] for region in regions) * of_neuron


def _check_names(networks: Mapping[str, Any]) -> None:
    if not networks:
        raise ConvRNNError("`networks=…` is empty: name at least one.")
    for name in networks:
        if not name or any(sign in name for sign in "/\\,\0") or name == control.NAME:
            raise ConvRNNError(
                f"a network cannot be called {name!r} in results: names have no slash and no "
                f"comma, and {control.NAME!r} is the image itself."
            )


@dataclass
class _Fitting:
    """A fit under way: what is common to all models."""

    setting: Setting
    time: TimeName
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
        ConvRNNError
            ``out`` holds results, whole or under way, of other settings.
        """
        if (self.out / RESULTS).exists():
            kept = read_results(self.out / RESULTS)
            check_made_alike(json.loads(kept.root.attrs["settings"]), settings, self.out / RESULTS)
            if is_sealed(self.out / RESULTS):
                verify(self.out / RESULTS)
            return kept
        begun = self.work / "settings.json"
        if begun.exists():
            held = _read_json(begun)
            if isinstance(held, dict):
                check_made_alike(held, settings, self.work)
                return None
            self.console.print(f"{begun} is damaged: the fit begins again.", soft_wrap=True)
            shutil.rmtree(self.work)
        self.work.mkdir(exist_ok=True)
        with written_whole(begun) as partial:
            partial.write_text(json.dumps(settings), encoding="utf-8")
        return None

    def model(
        self, name: str, network: ConvRNN, wanted: dict[str, list[str]], kept: Results | None
    ) -> None:
        """Fit those of a model's layers that are not there already."""
        presentation = self.prepared.presentation
        network.check_lesion(presentation)
        made_by = {**describe(network, presentation), "label": network.label}
        missing = [layer for layer in wanted if not self._check_fitted(name, layer, made_by, kept)]
        before = [layer for layer in wanted if layer not in missing]
        if before and missing:
            self.console.print(f"Resuming {name}; already fitted: {', '.join(before)}.")
        shifted = self.prepared.shifted_bins()
        bins = {
            layer: layer_bins(network.model, layer, shifted, presentation, centred=True)
            for layer in wanted
        }
        nothing = ConstantFeatures(np.empty((0, 0), np.float32))
        for layer in [layer for layer in bins if not bins[layer].averages]:
            without = bins.pop(layer)
            if layer in missing:
                self._fit(nothing, without, wanted[layer], (name, layer), made_by, ())
        for group in self._groups(name, network, bins) if missing else ():
            left = [layer for layer in group if layer in missing]
            if not left:
                continue
            _log.info("%s: features of %s", name, ", ".join(group))
            store = FeatureStore(
                network,
                group,
                presentation,
                self.prepared.stimuli,
                self.out if self.keep_features else self.work,
                progress=not self.console.quiet,
                workers=self.workers,
            )
            for layer in left:
                self._fit(
                    LayerFeatures(store, layer),
                    group[layer],
                    wanted[layer],
                    (name, layer),
                    made_by,
                    self.prepared.latencies,
                )
            if not self.keep_features:
                shutil.rmtree(store.path)

    def _groups(
        self, name: str, network: ConvRNN, bins: dict[str, LayerBins]
    ) -> list[dict[str, LayerBins]]:
        """Layers whose features are on the disk together, as they were before an interruption."""
        recorded = self.work / f"{name},groups.json"
        held = _read_json(recorded) if recorded.exists() else None
        if isinstance(held, dict) and held.get("limit") == self.scratch_limit:
            groups = held.get("groups")
            if isinstance(groups, list) and sorted(chain(*groups)) == sorted(bins):
                return [{layer: bins[layer] for layer in group} for group in groups]
        limit = room(self.work) if self.scratch_limit is None else self.scratch_limit
        found = grouped(network.model, bins, len(self.prepared.stimuli), limit, WAYS_OUT)
        with written_whole(recorded) as partial:
            content = {"limit": self.scratch_limit, "groups": [list(group) for group in found]}
            partial.write_text(json.dumps(content), encoding="utf-8")
        return found

    def control(self, kept: Results | None) -> None:
        """Fit the images themselves: the same features at each bin after onset."""
        prepared = self.prepared
        made_by = {"model": control.NAME, "label": "the image itself", "seen": control.FEATURES}
        if self._check_fitted(control.NAME, control.LAYER, made_by, kept):
            return
        off = prepared.presentation.fixed_frames[0]
        features = control.image_features(prepared.stimuli, off)
        bins = LayerBins(
            (((0, 1.0),),),
            {each: 0 for each in prepared.time_bins if each[1] > 0},
            {each: BEFORE_ONSET for each in prepared.time_bins if each[1] <= 0},
        )
        regions, name = prepared.recording.regions, (control.NAME, control.LAYER)
        self._fit(ConstantFeatures(features), bins, regions, name, made_by, ())

    def _check_fitted(
        self, model: str, layer: str, made_by: Mapping[str, Any], kept: Results | None
    ) -> bool:
        """Whether a layer was fitted before.

        Raises
        ------
        ConvRNNError
            It was, by other settings.
        """
        path = self.path(model, layer)
        if kept is not None:
            held = kept.fits[model, layer].attrs
        elif path.exists():
            try:
                verify(path)
            except ConvRNNError:
                self.console.print(f"{path} is damaged: {layer} is fitted again.", soft_wrap=True)
                path.unlink()
                return False
            with xr.open_dataset(path) as opened:
                held = opened.attrs
        else:
            self._blocks(model, layer, made_by).check(self.out)
            return False
        check_made_alike(held, made_by, self.out)
        _log.info("%s %s was fitted before", model, layer)
        return True

    def _fit(
        self,
        features: Features,
        bins: LayerBins,
        regions: Sequence[str],
        name: tuple[str, str],
        made_by: Mapping[str, Any],
        latencies: Sequence[int],
    ) -> None:
        """Fit a layer, and save its results in place of those of its blocks."""
        finished = self._blocks(*name, made_by)
        data = fit_layer(
            self.setting,
            features,
            bins,
            regions,
            latencies,
            time=self.time,
            cross_temporal=self.cross_temporal,
            name=" ".join(name if name[0] != control.NAME else name[:1]),
            finished=finished,
            workers=self.workers,
            console=self.console,
        )
        with written_whole(self.path(*name)) as partial:
            write_group(in_fixed_order(data.assign_attrs(made_by)), partial)
            seal(partial)
        finished.remove()

    def _blocks(self, model: str, layer: str, made_by: Mapping[str, Any]) -> FinishedBlocks:
        return FinishedBlocks(self.work / f"{model},{layer}.blocks", made_by)

    def path(self, model: str, layer: str) -> Path:
        return self.work / f"{model},{layer}.nc"


def _read_json(path: Path) -> Any:
    """What a file of ours holds; None where it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return None


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


def _settings(
    prepared: Prepared,
    models: Sequence[str],
    method: Method,
    time: TimeName,
    layers: Sequence[str] | None,
    cross_temporal: bool,
) -> dict[str, Any]:
    """All that makes the fits but the networks' weights, as plain values."""
    stimuli = prepared.stimuli
    return {
        "schema": SCHEMA,
        "convrnns_brainscore": __version__,
        "models": ", ".join(models),
        "method": method.label,
        "time": str(time),
        "layers": "candidates of each region" if layers is None else ", ".join(layers),
        "cross_temporal": cross_temporal,
        "latencies": ", ".join(f"{each:g}" for each in prepared.latencies),
        "recording": prepared.recording.sha256,
        "images": images_digest(stimuli),
        "degrees": digest(stimuli["degrees"].tolist()),
        "splits": digest([split.test.tolist() for split in prepared.splits]),
        **prepared.presentation.describe(),
    }

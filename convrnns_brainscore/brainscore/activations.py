"""Activations as Brain-Score wants them: presentation × neuroid × time_bin, bins in ms.

`ActivationsExtractor` is what Brain-Score calls an ``activations_model``. The bins that are asked
for drive the inference: only the layers and steps that they need are computed, and steps are
averaged into bins while they are made.
"""

from __future__ import annotations

import hashlib
import logging
import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.activations.core import ActivationsExtractorHelper, HookHandle
from brainscore_vision.model_helpers.activations.pca import LayerPCA
from numpy.typing import NDArray
from result_caching import store  # type: ignore[import-untyped]

from convrnns_brainscore import streams
from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.assemblies import TimeCourse, files_of, neuroid_assembly
from convrnns_brainscore.brainscore.internals import Microsaccades
from convrnns_brainscore.brainscore.stimulus_durations import (
    ImageMs,
    Shown,
    asked_duration,
    check_image_ms,
    shown,
)
from convrnns_brainscore.choices import PrecisionName
from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN, as_torch
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import SIZE, VISUAL_DEGREES, load_images
from convrnns_brainscore.movies import is_video
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.stimuli import check_images, check_stimuli
from convrnns_brainscore.timing import (
    MS_PER_STEP,
    AskedBins,
    TimeBin,
    bin_weights,
    read_time_bins,
    step_bins,
)

_log = logging.getLogger(__name__)

LOGITS = "logits"
"""The name of the decoded readout among the layers."""

_TAKEN_NAMES = (
    "presentation",
    "neuroid",
    "time_bin",
    "neuroid_num",
    "neuroid_id",
    "layer",
    "region",
    "channel",
    "channel_x",
    "channel_y",
    "time_bin_start",
    "time_bin_end",
)


Join = Callable[[dict[str, NDArray[np.float32]], dict[str, tuple[int, ...]]], NDArray[np.float32]]
"""Layers' [batch, feature] of one bin, and their shapes → [batch, feature]."""


@dataclass
class Rows:
    """Activations of single images that are kept, so that many benchmarks with the same images take
    less time.

    Attributes
    ----------
    left : int
        Bytes that may still be kept.
    """

    left: int = 2 * 2**30
    _kept: dict[tuple[str, str], NDArray[np.float32]] = field(default_factory=dict)

    def complete(
        self,
        key: str,
        images: Sequence[str],
        compute: Callable[[list[int]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """The rows of ``images``, of which ``compute`` is asked for those that are not here.

        Parameters
        ----------
        key : str
            What else makes the numbers.
        images : sequence of str
            Digests.
        compute : callable
            Places among ``images`` → their rows.
        """
        missing = [index for index, image in enumerate(images) if (key, image) not in self._kept]
        found = {}
        if missing:
            found = dict(zip(missing, compute(missing), strict=True))
        for index, row in found.items():
            if row.nbytes <= self.left:
                self.left -= row.nbytes
                self._kept[key, images[index]] = row
        rows = [
            found[index] if index in found else self._kept[key, image]
            for index, image in enumerate(images)
        ]
        return np.stack(rows)


@dataclass(frozen=True)
class _Request:
    """What is asked of the extractor, beside the stimuli."""

    layers: tuple[str, ...]
    stimuli_identifier: str | bool | None
    trials: int | None
    """Presentations of each stimulus that are to differ; None: one, without microsaccades."""
    time_bins: AskedBins | None
    latency: float


class ActivationsExtractor(ActivationsExtractorHelper):  # type: ignore[misc]
    """A network as Brain-Score's ``activations_model``.

    Layers come as presentation × neuroid × time_bin: all steps of the presentation, or the bins
    asked for (`assemblies.TimeCourse`). ``logits`` come as presentation × 1000, decoded as the
    model decodes; together with layers over time, they are the same in every bin.

    What is answered for a stimulus set that has an identifier is cached, where Brain-Score caches
    (``RESULTCACHING_HOME``, ``RESULTCACHING_DISABLE``), but by what makes the numbers: the weights,
    the presentation, the version of this package, the layers, the bins and the images' contents.
    With batch hooks registered nothing is cached, since what they do cannot be told.

    Parameters
    ----------
    network : ConvRNN
        From `load_network`.
    presentation : Presentation, optional
        None: for layers over time each stimulus set as its subjects saw it (`stimulus_durations`),
        and for ``logits`` as the model was trained (under a shorter one, the last step shows what
        entered the network after the image went off).
    batch_size : int, default BATCH_SIZE
        Images at a time.
    image_ms : float or mapping of str to float, optional
        How long stimuli are on, in ms, or that of stimulus sets by their names, where it is not to
        be looked up.

    Attributes
    ----------
    identifier
        ``convrnn_<model>…`` with a digest of all but layers, bins and stimuli, so that whatever
        Brain-Score keys by it (the basis of `LayerPCA`) is never another network's.
    rows : Rows or None
        Activations of images that are kept for further calls; None: none are.
    """

    def __init__(
        self,
        network: ConvRNN,
        presentation: Presentation | None = None,
        batch_size: int = BATCH_SIZE,
        image_ms: ImageMs = None,
    ) -> None:
        check_image_ms(image_ms)
        network = network.frozen()
        self.network = network
        self.rows: Rows | None = None
        self.asked_presentation = presentation
        self.image_ms = image_ms
        self.presentation = as_presentation(presentation, Presentation.neural())
        self.logits_presentation = as_presentation(presentation, Presentation.default(network.name))
        made_by = (describe(network, self.presentation), self.logits_presentation.describe())
        super().__init__(
            get_activations=None,
            preprocessing=load_images,
            identifier=f"{identifier_of(network)}-{digest_of((*made_by, image_ms))}",
            batch_size=batch_size,
        )

    @cached_property
    def _model(self) -> Any:
        """The network as a PyTorch module, whose parameters Brain-Score counts for its metadata."""
        return as_torch(self.network)

    @property
    def _extractor(self) -> ActivationsExtractor:
        """Where Brain-Score looks for hooks and for the extraction of a single image."""
        return self

    def __call__(
        self,
        stimuli: StimulusSet | Sequence[str | Path],
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None = None,
        number_of_trials: int = 1,
        require_variance: bool = False,
        time_bins: Any = None,
        latency: float = 0,
    ) -> NeuroidAssembly:
        """The activations of ``layers`` for ``stimuli``, one presentation a stimulus.

        Parameters
        ----------
        stimuli : StimulusSet or sequence of str or path
            A stimulus set, or image files.
        layers : sequence of str or None
            Names; None: ``["logits"]``.
        stimuli_identifier : str or bool, optional
            Name of the stimuli in the cache; None: the stimulus set's identifier; False: not
            cached.
        number_of_trials : int, default 1
            Presentations of each stimulus. The network is deterministic: unless
            ``require_variance``, one presentation stands for any number.
        require_variance : bool, default False
            Show each stimulus ``number_of_trials`` times, each time shifted by one of
            Brain-Score's microsaccades (up to 0.05°, the same at each call). The presentations of
            a stimulus follow each other, with ``microsaccade_shift_x_pixels``, ``…_y_pixels``,
            ``…_x_degrees`` and ``…_y_degrees``.
        time_bins : sequence of (start, end), optional
            (start, end) in ms from image onset, as `timing.read_time_bins` reads them; None: every
            step of the presentation.
        latency : float, default 0
            In ms: the bin [a, b) is the network's [a − latency, b − latency). What lies before
            image onset is excluded; a bin that does so as a whole is 0.

        Returns
        -------
        NeuroidAssembly
            float32; presentation with the stimulus set's columns; neuroid with ``layer``,
            ``channel``, ``channel_x``, ``channel_y``, ``neuroid_num``, ``neuroid_id``; time_bin
            with ``time_bin_start`` and ``time_bin_end``.

        Raises
        ------
        ConvRNNError
            No stimuli, broken or missing files, a column with a name of neuroids or time bins,
            unknown layers, or fewer than one trial.
        """
        whole = isinstance(number_of_trials, int | np.integer) and number_of_trials is not True
        if require_variance and not (whole and number_of_trials >= 1):
            raise ConvRNNError(f"number_of_trials={number_of_trials!r}: expected 1 or more.")
        request = _Request(
            tuple([layers] if isinstance(layers, str) else [LOGITS] if layers is None else layers),
            stimuli_identifier,
            int(number_of_trials) if require_variance else None,
            None if time_bins is None else read_time_bins(time_bins),
            latency,
        )
        if isinstance(stimuli, StimulusSet):
            return self._of_stimulus_set(stimuli, request)
        return self._of_paths(stimuli, request)

    def from_stimulus_set(
        self,
        stimulus_set: StimulusSet,
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None = None,
        require_variance: bool = False,
    ) -> NeuroidAssembly:
        """As a call, for a stimulus set; the trials are those that the extractor was set to."""
        trials = internals.set_trials(self)
        return self(stimulus_set, layers, stimuli_identifier, trials, bool(require_variance))

    def from_paths(
        self,
        stimuli_paths: Sequence[str | Path],
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None = None,
        require_variance: bool | None = None,
    ) -> NeuroidAssembly:
        """As a call, for image files; their paths are the ``stimulus_id``."""
        trials = internals.set_trials(self)
        return self(stimuli_paths, layers, stimuli_identifier, trials, bool(require_variance))

    def shown(self, stimuli: Any = None) -> Shown:
        """How long stimuli are on, and the rule by which this is known.

        Raises
        ------
        ConvRNNError
            The stimulus set says another duration than ``image_ms``, or mixes several.
        """
        if self.asked_presentation is not None:
            return asked_duration(self.asked_presentation)
        return shown(stimuli, self.image_ms)

    def presentation_for(
        self, shown: Shown, asked: AskedBins | None, latency: float
    ) -> Presentation:
        """The stimulus over time, for as long as the bins that are asked for need it."""
        last_ms = max((end for _, end in asked.in_ms), default=0) - latency if asked else 0
        return self.asked_presentation or shown.presentation(last_ms)

    def register_batch_activations_hook(self, hook: Callable[[Any], Any]) -> HookHandle:
        """As Brain-Score's; ``hook`` is given each time bin by itself, [batch, feature].

        `LayerPCA` fits one basis a layer, on all steps of the presentation as separate samples.
        """
        if isinstance(hook, LayerPCA):
            internals.set_extractor(hook, _StepsAsPresentations(self))
        return super().register_batch_activations_hook(hook)

    def _from_paths(
        self, layers: Sequence[str], stimuli_paths: Sequence[str], require_variance: bool = False
    ) -> NeuroidAssembly:
        """What Brain-Score calls to look at a single image before it begins."""
        return self(stimuli_paths, layers, False, require_variance=require_variance)

    def _of_stimulus_set(self, stimuli: StimulusSet, request: _Request) -> NeuroidAssembly:
        """The stimulus-set hooks are applied to the set."""
        if request.stimuli_identifier is None:
            named = getattr(stimuli, "identifier", None)
            request = replace(request, stimuli_identifier=named)
        known_by = stimuli
        for hook in internals.stimulus_set_hooks(self):
            stimuli = hook(stimuli)
        columns = {str(name): stimuli[name].values for name in stimuli.columns}
        for name, column in columns.items():
            if any(isinstance(each, list | dict | set | np.ndarray) for each in column):
                raise ConvRNNError(
                    f"column {name} of the stimulus set holds lists or arrays: drop it, or make it "
                    "text."
                )
        clash = sorted(set(columns) & set(_TAKEN_NAMES))
        if clash:
            raise ConvRNNError(
                f"the stimulus set has a column {clash[0]!r}, which is a name of neuroids, time "
                "bins or dimensions in an assembly; rename it."
            )
        _warn_of_widths(stimuli, internals.set_degrees(self) or VISUAL_DEGREES)
        paths = files_of(stimuli)
        if len(columns) == 1:  # by itself it would be the index, and lose its name
            columns["stimulus_path"] = np.array(list(map(str, paths)))
        return self._recorded(columns, paths, request, self.shown(known_by))

    def _of_paths(self, stimuli: Any, request: _Request) -> NeuroidAssembly:
        paths = _as_paths(stimuli)
        columns = {"stimulus_id": np.array(paths), "stimulus_path": np.array(paths)}
        return self._recorded(columns, paths, request, self.shown())

    def _recorded(
        self,
        columns: dict[str, NDArray[Any]],
        paths: Sequence[str],
        request: _Request,
        shown: Shown,
    ) -> NeuroidAssembly:
        layers, asked = request.layers, request.time_bins
        if not layers:
            raise ConvRNNError("no layers to record from: name one or more.")
        decoded = layers == (LOGITS,)
        unique = list(dict.fromkeys(paths))
        files = pd.DataFrame({"filename": unique, "degrees": VISUAL_DEGREES})
        if any(map(is_video, unique)):
            files = check_stimuli(files.assign(stimulus_id=unique))
        presentation = self.presentation_for(shown, asked, request.latency)
        if streams.CLIPS in files:
            steps = streams.steps_of(files[streams.CLIPS])
            if asked:
                last = max(end for _, end in asked.responses(shown.image_ms)) - request.latency
                steps = max(1, math.ceil(last / MS_PER_STEP))
            default = Presentation.stream(steps)
            presentation = self.asked_presentation or default
            presentation = streams.presentation_of(files, presentation, default)
        self.network.check_lesion(presentation)
        labels = bins = None
        if not decoded:
            labels = asked.asked if asked else step_bins(0, presentation.times)
            recorded = asked.responses(shown.image_ms) if asked else labels
            bins = tuple((a - request.latency, b - request.latency) for a, b in recorded)
        contents = check_images(files)[0]["image_sha256"].tolist()

        shapes = {layer: self._shape(layer) for layer in layers}
        shifts = None
        if request.trials is not None:
            degrees = internals.set_degrees(self) or VISUAL_DEGREES
            shifts = internals.microsaccades(request.trials, SIZE, degrees)

        def compute(
            paths: Sequence[str] = unique, join: Join = self._hooked
        ) -> NDArray[np.float32]:
            if bins is None:
                return self._logits(paths, shapes, shifts, join)
            return self._averages(paths, shapes, bins, presentation, shifts, join)

        made_of = (layers, bins, presentation.describe(), shifts)
        key = f"{self.identifier}-{digest_of((*made_of, contents))}"
        hooked = bool(internals.batch_hooks(self))
        if self.rows is not None and shifts is None:
            values = self.rows.complete(
                f"{self.identifier}-{digest_of(made_of)}",
                contents,
                lambda missing: compute([unique[index] for index in missing], _side_by_side),
            )
            values = self._hooked_later(values, shapes) if hooked else values
        elif request.stimuli_identifier and self.identifier and not hooked:
            # result_caching logs whether it holds the key.
            values = internals.kept(_cached, key, compute)
        else:
            _log.info("%s: no store is used for these activations", self.identifier)
            values = compute()
        place = {path: index for index, path in enumerate(unique)}
        if shifts is not None:
            values, columns = _trials(values, [place[path] for path in paths], columns, shifts)
        elif len(unique) != len(paths):
            values = values[[place[path] for path in paths]]
        made_by = describe(self.network, self.logits_presentation if decoded else presentation)
        if not decoded:
            made_by |= {"image_duration": shown.in_words, "image_duration_rule": shown.rule}
            if streams.CLIPS in files:
                made_by |= {
                    "image_duration": "movies",
                    "image_duration_rule": "as their files state",
                }
            made_by |= {"latency_ms": request.latency}
        assembly = neuroid_assembly(values, made_by, columns, shapes, labels)
        return TimeCourse(assembly) if labels is not None and asked is None else assembly

    def _averages(
        self,
        paths: Sequence[str],
        shapes: dict[str, tuple[int, ...]],
        time_bins: Sequence[TimeBin],
        presentation: Presentation,
        shifts: Microsaccades | None,
        join: Join,
    ) -> NDArray[np.float32]:
        """Each layer averaged over each bin, [stimulus, neuroid, time_bin], C-contiguous."""
        after = [index for index, (_, end) in enumerate(time_bins) if end > 0]
        averages = [
            tuple(bin_weights((max(time_bins[index][0], 0), time_bins[index][1])).items())
            for index in after
        ]
        asked = dict.fromkeys([layer for layer in shapes if layer != LOGITS], averages)

        def record(images: NDArray[np.float32]) -> NDArray[np.float32]:
            outputs = self.network.averages(images, asked, presentation) if averages else {}
            decoded = None
            if LOGITS in shapes:
                decoded = self.network.logits(images, self.logits_presentation)
            bins: list[NDArray[np.float32] | None] = [None] * len(time_bins)
            for place, index in enumerate(after):
                features = {
                    layer: decoded
                    if decoded is not None and layer == LOGITS
                    else outputs[layer][:, place].reshape(len(images), -1)
                    for layer in shapes
                }
                bins[index] = join(features, shapes)
            width = sum(int(np.prod(shape)) for shape in shapes.values())
            before = np.zeros((len(images), width), np.float32)
            return np.stack([before if each is None else each for each in bins], axis=2)

        return self._batched(paths, ", ".join(shapes), record, shifts)

    def _logits(
        self,
        paths: Sequence[str],
        shapes: dict[str, tuple[int, ...]],
        shifts: Microsaccades | None,
        join: Join,
    ) -> NDArray[np.float32]:
        def decode(images: NDArray[np.float32]) -> NDArray[np.float32]:
            logits = self.network.logits(images, self.logits_presentation)
            return join({LOGITS: logits}, shapes)

        return self._batched(paths, LOGITS, decode, shifts)

    def _batched(
        self,
        paths: Sequence[str],
        what: str,
        record: Callable[[NDArray[np.float32]], NDArray[np.float32]],
        shifts: Microsaccades | None,
    ) -> NDArray[np.float32]:
        """``record`` of all images, batch by batch into one array; with microsaccades of every
        shift of an image, [image × shift, …]."""
        result = None
        size, trials = internals.batch_size(self), 1 if shifts is None else len(shifts.pixels)
        asked = self.asked_presentation
        if asked is None or asked.name != "stream":
            asked = Presentation.constant(1)
        (off,) = asked.fixed_frames
        with progress_bar(unit="images", shown=len(paths) > size, transient=True) as bar:
            task = bar.add_task(f"{self.network.name}: {what}", total=len(paths))
            for start in range(0, len(paths), size):
                images = _load(paths[start : start + size], shifts, off)
                for trial in range(trials):
                    moved = images if shifts is None else shifts.moved(images, trial)
                    values = record(moved)
                    if result is None:
                        result = np.empty((len(paths), trials, *values.shape[1:]), np.float32)
                    result[start : start + len(values), trial] = values
                bar.advance(task, len(images))
        assert result is not None
        return result.reshape(-1, *result.shape[2:])

    def _hooked(
        self, features: dict[str, NDArray[np.float32]], shapes: dict[str, tuple[int, ...]]
    ) -> NDArray[np.float32]:
        """Layers' [batch, feature] of one bin after the batch hooks, side by side.

        Where a hook made another number of features of a layer's units, they stand nowhere in the
        visual field, which ``shapes`` is made to say.
        """
        changed: Any = OrderedDict(features)
        for hook in internals.batch_hooks(self):
            changed = _apply(hook, changed)
        for layer, values in changed.items():
            if values.shape[1] != np.prod(shapes[layer]):
                shapes[layer] = (values.shape[1],)
        return np.concatenate([changed[layer] for layer in features], axis=1)

    def _hooked_later(
        self, values: NDArray[np.float32], shapes: dict[str, tuple[int, ...]]
    ) -> NDArray[np.float32]:
        """Batch hooks on rows that were kept, [stimulus, neuroid] or [stimulus, neuroid, bin]."""
        ends = np.cumsum([int(np.prod(shape)) for shape in shapes.values()])[:-1]
        before = dict(shapes)
        over_bins = values if values.ndim == 3 else values[..., None]
        joined = []
        for index in range(over_bins.shape[2]):
            features = np.split(over_bins[..., index], ends, axis=1)
            shapes |= before
            joined.append(self._hooked(dict(zip(before, features, strict=True)), shapes))
        return np.stack(joined, axis=2) if values.ndim == 3 else joined[0]

    def _shape(self, layer: str) -> tuple[int, ...]:
        return self.network.output_shape(backbones.READOUT if layer == LOGITS else layer)


def _warn_of_widths(stimuli: StimulusSet, shown: float) -> None:
    """Say where a set states widths other than the field's: Brain-Score's benchmarks place their
    stimuli on the screen beforehand, and `look_at` shows each over the whole field."""
    widths = pd.to_numeric(pd.Series(stimuli.get("degrees", [])), errors="coerce").dropna()
    others = sorted({float(width) for width in widths} - {float(shown)})
    if others:
        _log.warning(
            "the stimulus set states widths of %s degrees, but its images are shown %g degrees "
            "wide: place them on the screen first "
            "(brainscore_vision.benchmark_helpers.screen.place_on_screen)",
            ", ".join(f"{width:g}" for width in others[:3]) + (", …" if len(others) > 3 else ""),
            shown,
        )


def _side_by_side(
    features: dict[str, NDArray[np.float32]], shapes: dict[str, tuple[int, ...]]
) -> NDArray[np.float32]:
    """Layers' [batch, feature] of one bin, as they are."""
    return np.concatenate(list(features.values()), axis=1)


def _load(paths: Sequence[str], shifts: Microsaccades | None, off: NDArray[np.float32]) -> Any:
    """The images of a batch, or what its movies show over time, with ``off`` after their ends."""
    if not any(map(is_video, paths)):
        return load_images(paths)
    if shifts is not None:
        raise ConvRNNError("microsaccades (`require_variance`) are not supported for movies.")
    return streams.Shown([streams.whole_movie(path, VISUAL_DEGREES) for path in paths], off)


def _trials(
    values: NDArray[np.float32],
    places: Sequence[int],
    columns: dict[str, NDArray[Any]],
    shifts: Microsaccades,
) -> tuple[NDArray[np.float32], dict[str, NDArray[Any]]]:
    """The presentations of each stimulus after each other, with their microsaccades."""
    trials = len(shifts.pixels)
    rows = [place * trials + trial for place in places for trial in range(trials)]
    named = {name: np.repeat(column, trials) for name, column in columns.items()}
    for unit, moves in (("pixels", shifts.pixels), ("degrees", shifts.degrees)):
        for axis, along in zip("xy", np.array(moves, float).T, strict=True):
            named[f"microsaccade_shift_{axis}_{unit}"] = np.tile(along, len(places))
    return values[rows], named


def identifier_of(network: ConvRNN) -> str:
    """``convrnn_<model>``, with ``-untrained-seed<n>`` or ``-fine-tuned-<SHA-256>``, the lesion
    where there is one, and a precision other than float32."""
    weights = network.weights
    label = "" if weights.seed is None else f"-untrained-seed{weights.seed}"
    if weights.fine_tuned_from:
        label = f"-fine-tuned-{weights.sha256[:8]}"
    if network.lesion:
        label += f"-without-{network.lesion}".replace(", ", "-").replace(" ", "-")
    if network.precision != PrecisionName.float32:
        label += f"-{network.precision}"
    return f"convrnn_{network.name}{label}"


def _as_paths(paths: Any) -> list[str]:
    paths = [paths] if isinstance(paths, str | PathLike) else paths
    names = list(paths) if isinstance(paths, Iterable) else [paths]
    if isinstance(paths, pd.DataFrame) or not all(isinstance(n, str | PathLike) for n in names):
        raise ConvRNNError("expected a Brain-Score StimulusSet or a list of image files.")
    if not names:
        raise ConvRNNError("no stimuli to look at.")
    return [str(name) for name in names]


class _StepsAsPresentations:
    """An extractor as `LayerPCA` is to see it: every step of an image is one more presentation."""

    def __init__(self, extractor: ActivationsExtractor) -> None:
        self._of = extractor

    @property
    def identifier(self) -> str:
        return str(self._of.identifier)

    def __call__(self, stimuli: Sequence[str], layers: Sequence[str]) -> NeuroidAssembly:
        recorded = self._of(stimuli, layers=layers)
        if "time_bin" not in recorded.dims:
            return recorded
        values = np.moveaxis(recorded.values, 2, 1).reshape(-1, recorded.sizes["neuroid"])
        coords = {name: ("neuroid", recorded[name].values) for name in ("layer", "neuroid_id")}
        return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"])


def _apply(hook: Callable[[Any], Any], features: Any) -> Any:
    try:
        return hook(features)
    except ConvRNNError:
        raise
    except Exception as error:
        if not isinstance(hook, LayerPCA):
            raise
        raise ConvRNNError(
            "Brain-Score's LayerPCA could not be fitted. It needs ImageNet's validation images as "
            "imagenet2012.hdf5, downloaded by Brain-Score or named by $MT_IMAGENET_PATH "
            f"({type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''})."
        ) from error


def digest_of(values: Any) -> str:
    """16 hexadecimal digits that change with any of ``values``."""
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


@store(identifier_ignore=["compute"])  # type: ignore[untyped-decorator]
def _cached(key: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Brain-Score's store of results, by a key that holds all that makes the numbers."""
    return compute()

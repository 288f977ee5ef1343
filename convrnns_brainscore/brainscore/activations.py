"""Activations as Brain-Score wants them: presentation × neuroid × time_bin, bins in ms.

`ActivationsExtractor` is what Brain-Score calls an ``activations_model``. The bins that are asked
for drive the inference: only the layers and steps that they need are computed, and steps are
averaged into bins while they are made.
"""

from __future__ import annotations

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
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

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.assemblies import files_of, neuroid_assembly
from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import VISUAL_DEGREES, load_images
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.stimuli import check_images
from convrnns_brainscore.timing import TimeBin, bin_weights, parse_time_bins, step_bins

_log = logging.getLogger(__name__)

LOGITS = "logits"
"""The name of the decoded readout among the layers."""

_NEUROID_COORDINATES = (
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


class ActivationsExtractor(ActivationsExtractorHelper):  # type: ignore[misc]
    """A network as Brain-Score's ``activations_model``.

    Layers come as presentation × neuroid × time_bin: all steps of the presentation, or the bins
    asked for. ``logits`` come as presentation × 1000, decoded as the model decodes.

    What is answered for a stimulus set that has an identifier is cached, where Brain-Score caches
    (``RESULTCACHING_HOME``, ``RESULTCACHING_DISABLE``), but by what makes the numbers: the weights,
    the presentation, the version of this package, the layers, the bins and the images' contents.
    With batch hooks registered nothing is cached, since what they do cannot be told.

    Parameters
    ----------
    network : ConvRNN
        From `load_network`.
    presentation : Presentation, optional
        None: `Presentation.neural` for layers over time, and for ``logits`` the one that the model
        was trained with (under the neural one, what the last step shows entered the network after
        the image went off).
    batch_size : int, default BATCH_SIZE
        Images at a time.

    Attributes
    ----------
    identifier
        ``convrnn_<model>…`` with a digest of all but layers, bins and stimuli, so that whatever
        Brain-Score keys by it (the basis of `LayerPCA`) is never another network's.
    """

    def __init__(
        self,
        network: ConvRNN,
        presentation: Presentation | None = None,
        batch_size: int = BATCH_SIZE,
    ) -> None:
        self.network = network
        self.presentation = as_presentation(presentation, Presentation.neural())
        self.logits_presentation = as_presentation(presentation, Presentation.default(network.name))
        made_by = (describe(network, self.presentation), self.logits_presentation.describe())
        super().__init__(
            get_activations=None,
            preprocessing=load_images,
            identifier=f"{identifier_of(network)}-{_digest(made_by)}",
            batch_size=batch_size,
        )

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
        time_bins: Sequence[TimeBin] | None = None,
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
            What the answer is averaged over. The network is deterministic, so one presentation
            stands for any number.
        require_variance : bool, default False
            Refused.
        time_bins : sequence of (start, end), optional
            (start, end) in ms from image onset; None: every step of the presentation. Not for
            ``logits``.

        Returns
        -------
        NeuroidAssembly
            float32; presentation with the stimulus set's columns; neuroid with ``layer``,
            ``channel``, ``channel_x``, ``channel_y``, ``neuroid_num``, ``neuroid_id``; time_bin
            with ``time_bin_start`` and ``time_bin_end``.

        Raises
        ------
        ConvRNNError
            A variance is required; no stimuli, broken or missing files, an id that comes twice;
            unknown layers, or ``logits`` together with layers over time.
        """
        show = self.from_stimulus_set if isinstance(stimuli, StimulusSet) else self.from_paths
        return show(stimuli, layers, stimuli_identifier, require_variance, time_bins)

    def from_stimulus_set(
        self,
        stimulus_set: StimulusSet,
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None = None,
        require_variance: bool | None = False,
        time_bins: Sequence[TimeBin] | None = None,
    ) -> NeuroidAssembly:
        """As a call, for a stimulus set; the stimulus-set hooks are applied to it."""
        if stimuli_identifier is None:
            stimuli_identifier = getattr(stimulus_set, "identifier", None)
        for hook in internals.stimulus_set_hooks(self):
            stimulus_set = hook(stimulus_set)
        columns = {str(name): stimulus_set[name].values for name in stimulus_set.columns}
        clash = sorted(set(columns) & set(_NEUROID_COORDINATES))
        if clash:
            raise ConvRNNError(
                f"the stimulus set has a column {clash[0]!r}, which names something of neuroids or "
                "time bins in an assembly; rename it."
            )
        paths = files_of(stimulus_set)
        if len(columns) == 1:  # by itself it would be the index, and lose its name
            columns["stimulus_path"] = np.array(list(map(str, paths)))
        return self._recorded(
            columns, paths, layers, stimuli_identifier, require_variance, time_bins
        )

    def from_paths(
        self,
        stimuli_paths: Sequence[str | Path],
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None = None,
        require_variance: bool | None = None,
        time_bins: Sequence[TimeBin] | None = None,
    ) -> NeuroidAssembly:
        """As a call, for image files; their paths are the ``stimulus_id``."""
        paths = _as_paths(stimuli_paths)
        columns = {"stimulus_id": np.array(paths), "stimulus_path": np.array(paths)}
        return self._recorded(
            columns, paths, layers, stimuli_identifier, require_variance, time_bins
        )

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
        return self.from_paths(stimuli_paths, layers, False, require_variance)

    def _recorded(
        self,
        columns: dict[str, NDArray[Any]],
        paths: Sequence[str],
        layers: Sequence[str] | None,
        stimuli_identifier: str | bool | None,
        require_variance: bool | None,
        time_bins: Sequence[TimeBin] | None,
    ) -> NeuroidAssembly:
        if require_variance:
            raise ConvRNNError(
                f"{self.network.name} is deterministic: it has no variance over trials to give "
                "(require_variance=True)."
            )
        layers = [layers] if isinstance(layers, str) else list(layers or [LOGITS])
        decoded = layers == [LOGITS]
        if decoded:
            time_bins = None
        elif LOGITS in layers:
            raise ConvRNNError("ask for logits by themselves: they have no time bins.")
        else:
            time_bins = parse_time_bins(
                step_bins(0, self.presentation.times) if time_bins is None else time_bins
            )
        unique = list(dict.fromkeys(paths))
        files = pd.DataFrame({"filename": unique, "degrees": VISUAL_DEGREES})
        contents = check_images(files)[0]["image_sha256"].tolist()

        shapes = {layer: self._shape(layer) for layer in layers}

        def compute() -> NDArray[np.float32]:
            if decoded:
                return self._logits(unique, shapes)
            return self._averages(unique, shapes, time_bins or ())

        if stimuli_identifier and self.identifier and not internals.batch_hooks(self):
            # result_caching logs whether it holds the key.
            key = f"{self.identifier}-{_digest((layers, time_bins, contents))}"
            values = _cached(key, compute)
        else:
            _log.info("%s: no store is used for these activations", self.identifier)
            values = compute()
        if len(unique) != len(paths):
            place = {path: index for index, path in enumerate(unique)}
            values = values[[place[path] for path in paths]]
        presentation = self.logits_presentation if decoded else self.presentation
        made_by = describe(self.network, presentation)
        return neuroid_assembly(values, made_by, columns, shapes, time_bins)

    def _averages(
        self,
        paths: Sequence[str],
        shapes: dict[str, tuple[int, ...]],
        time_bins: Sequence[TimeBin],
    ) -> NDArray[np.float32]:
        """Each layer averaged over each bin, [stimulus, neuroid, time_bin], C-contiguous."""
        averages = [tuple(bin_weights(time_bin).items()) for time_bin in time_bins]
        asked = dict.fromkeys(shapes, averages)

        def record(images: NDArray[np.float32]) -> NDArray[np.float32]:
            outputs = self.network.averages(images, asked, self.presentation)
            bins = [
                {layer: outputs[layer][:, index].reshape(len(images), -1) for layer in shapes}
                for index in range(len(averages))
            ]
            return np.stack([self._hooked(features, shapes) for features in bins], axis=2)

        return self._batched(paths, ", ".join(shapes), record)

    def _logits(
        self, paths: Sequence[str], shapes: dict[str, tuple[int, ...]]
    ) -> NDArray[np.float32]:
        def decode(images: NDArray[np.float32]) -> NDArray[np.float32]:
            logits = self.network.logits(images, self.logits_presentation)
            return self._hooked({LOGITS: logits}, shapes)

        return self._batched(paths, LOGITS, decode)

    def _batched(
        self,
        paths: Sequence[str],
        what: str,
        record: Callable[[NDArray[np.float32]], NDArray[np.float32]],
    ) -> NDArray[np.float32]:
        """``record`` of all images, batch by batch into one array."""
        result = None
        size = internals.batch_size(self)
        with progress_bar(unit="images", shown=len(paths) > size, transient=True) as bar:
            task = bar.add_task(f"{self.network.name}: {what}", total=len(paths))
            for start in range(0, len(paths), size):
                batch = slice(start, start + size)
                values = record(load_images(paths[batch]))
                if result is None:
                    result = np.empty((len(paths), *values.shape[1:]), np.float32)
                result[batch] = values
                bar.advance(task, len(values))
        assert result is not None
        return result

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

    def _shape(self, layer: str) -> tuple[int, ...]:
        return self.network.output_shape("imnetds" if layer == LOGITS else layer)


def identifier_of(network: ConvRNN) -> str:
    """``convrnn_<model>``, with ``-untrained-seed<n>`` and the lesion where there is one."""
    label = "" if network.weights.seed is None else f"-untrained-seed{network.weights.seed}"
    if network.lesion:
        label += f"-without-{network.lesion}".replace(", ", "-").replace(" ", "-")
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


def _digest(values: Any) -> str:
    return hashlib.sha256(repr(values).encode()).hexdigest()[:16]


@store(identifier_ignore=["compute"])  # type: ignore[untyped-decorator]
def _cached(key: str, compute: Callable[[], NDArray[np.float32]]) -> NDArray[np.float32]:
    """Brain-Score's store of results, by a key that holds all that makes the numbers."""
    return compute()

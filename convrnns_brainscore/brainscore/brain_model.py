"""A ConvRNN as Brain-Score's experimental subject: `load_brain_model`."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence, Set
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    NeuroidAssembly,
)
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_helpers.brain_transformation.behavior import (
    LabelBehavior,
    OddOneOut,
    ProbabilitiesMapping,
)
from brainscore_vision.model_interface import BrainModel
from numpy.typing import ArrayLike

from convrnns_brainscore.brainscore.activations import (
    LOGITS,
    ActivationsExtractor,
    Rows,
    digest_of,
    identifier_of,
)
from convrnns_brainscore.brainscore.assemblies import in_region
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.brainscore.readout import Readout
from convrnns_brainscore.brainscore.stimulus_durations import ImageMs
from convrnns_brainscore.brainscore.tasks import check_task, check_triplets
from convrnns_brainscore.choices import BackendName, PrecisionName
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.regions import Latency, layers_of, region_latencies, region_layers
from convrnns_brainscore.timing import RESPONSE, AskedBins, TimeBin, read_time_bins

_log = logging.getLogger(__name__)

LATEST_MS = 60_000
"""Time bins that end later are likely to be in other units."""

RegionLayerMap = str | PathLike[str] | Mapping[str, str | Sequence[str]] | None
"""Regions as `regions.region_layers` takes them."""


def load_brain_model(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    presentation: Presentation | None = None,
    image_ms: ImageMs = None,
    region_layer_map: RegionLayerMap = None,
    latency: Latency = None,
    max_neuroids: int | None = None,
    behavioural_readout: str = LOGITS,
    lesion: Lesion | str | None = None,
    identifier: str | None = None,
    backend: str = BackendName.tensorflow,
    device: str | None = None,
    precision: str = PrecisionName.float32,
) -> TemporalBrainModel:
    """A published ConvRNN as a `brainscore_vision.model_interface.BrainModel`.

    Parameters
    ----------
    name, checkpoint, weights, seed, lesion, backend, device, precision
        As in `load_network`.
    presentation, image_ms, region_layer_map, latency, max_neuroids, behavioural_readout
        As in `TemporalBrainModel`.
    identifier : str, optional
        Identifier in Brain-Score; give one, for example, for refitted regions.

    Raises
    ------
    ConvRNNError
        As `load_network` and `TemporalBrainModel`.

    Examples
    --------
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> subject = load_brain_model("timedecay_shallow", weights="random")
    >>> subject.identifier
    'convrnn_timedecay_shallow-untrained-seed0'
    >>> subject.start_recording("IT", time_bins=[(50, 60), (70, 170)])
    >>> recording = subject.look_at(list(load_objects92().stimuli["filename"][:2]))
    >>> recording.dims, recording.shape
    (('presentation', 'neuroid', 'time_bin'), (2, 8192, 2))
    """
    network = load_network(
        name,
        checkpoint=checkpoint,
        weights=weights,
        seed=seed,
        lesion=lesion,
        backend=backend,
        device=device,
        precision=precision,
    )
    return TemporalBrainModel(
        network,
        presentation,
        region_layer_map,
        identifier,
        image_ms=image_ms,
        latency=latency,
        max_neuroids=max_neuroids,
        behavioural_readout=behavioural_readout,
    )


class TemporalBrainModel(BrainModel):  # type: ignore[misc]
    """A network that is recorded from, region by region, in time bins of ms from image onset, and
    that performs Brain-Score's tasks with its decoded logits.

    Parameters
    ----------
    network : ConvRNN
        From `load_network`.
    presentation : Presentation, optional
        What the subject sees when. None: in recordings each stimulus set for as long as its
        subjects saw it (`stimulus_durations`), and in behaviour the presentation that the model was
        trained with.
    region_layer_map : str, path, mapping of str to str or sequence of str, optional
        As in `regions.region_layers`: None (one layer a region), ``"paper"``, a mapping or a JSON
        file.
    identifier : str, optional
        Identifier in Brain-Score.
    image_ms : float or mapping of str to float, optional
        How long stimuli are on in recordings, in ms, or those of stimulus sets by their names.
    latency : mapping of str to float or 'fitted', optional
        As in `regions.region_latencies`: the recording's bin [a, b) meets the network's
        [a − latency, b − latency).
    max_neuroids : int, optional
        Number of features to which each bin is projected by sparse random projection
        (scikit-learn's, seeded by the model's name). None: all of them.
    behavioural_readout : str, default 'logits'
        What `probabilities` and `odd_one_out` read: the decoded logits, or a layer such as
        ``"conv10"`` or ``"conv10:70-170"``, averaged over space and the time bin (70–170 ms where
        none is given).

    Attributes
    ----------
    shown : set of str
        How long stimuli were on in the recordings so far, in words.

    Raises
    ------
    ConvRNNError
        A map or latencies with regions or layers that there are not; no such readout; a
        presentation beside ``image_ms``.
    """

    def __init__(
        self,
        network: ConvRNN,
        presentation: Presentation | None = None,
        region_layer_map: RegionLayerMap = None,
        identifier: str | None = None,
        *,
        image_ms: ImageMs = None,
        latency: Latency = None,
        max_neuroids: int | None = None,
        behavioural_readout: str = LOGITS,
    ) -> None:
        if presentation is not None and image_ms is not None:
            raise ConvRNNError("give either `presentation=…` or `image_ms=…`, not both.")
        network = network.frozen()  # Brain-Score's stores go by the present weights
        self.network = network
        self.region_layer_map = region_layers(network.model, region_layer_map)
        self.latencies = region_latencies(region_layer_map, latency)
        self.max_neuroids = max_neuroids
        self.activations_model = ActivationsExtractor(network, presentation, image_ms=image_ms)
        self._readout = Readout(network, behavioural_readout, presentation)
        self._identifier = identifier or identifier_of(network) + self._otherwise(
            presentation, image_ms
        )
        if max_neuroids is not None:
            self.activations_model.register_batch_activations_hook(
                random_projection(network.name, max_neuroids)
            )
        self.shown: set[str] = set()
        self._region: str | None = None
        self._time_bins: AskedBins | None = None
        self._behaviour: BrainModel | None = None

    def _otherwise(self, presentation: Presentation | None, image_ms: ImageMs) -> str:
        """A short digest of everything that is not the default; empty where nothing is."""
        network = self.network
        known = network.weights.published or network.weights.seed is not None
        differing = {
            "weights": None if known else network.weights.sha256,
            "presentation": presentation and {**presentation.describe(), "presentation": ""},
            "image_ms": _plain(image_ms),
            "regions": _unless(self.region_layer_map, region_layers(network.model)),
            "latencies": _unless(self.latencies, region_latencies()),
            "max_neuroids": self.max_neuroids,
            "readout": _unless(self._readout.reads, (LOGITS, RESPONSE)),
            "backend": _unless(network.backend.name, "tensorflow"),
        }
        differing = {name: value for name, value in differing.items() if value is not None}
        return f"-{digest_of(differing)[:8]}" if differing else ""

    def __repr__(self) -> str:
        return f"<TemporalBrainModel {self.identifier}>"

    @property
    def identifier(self) -> str:
        """As it was named, or ``convrnn_<model>`` with ``-untrained-seed<n>``, the lesion, the
        precision, and a digest of all else that is not the default.

        Brain-Score's own stores go by it.
        """
        return self._identifier

    @property
    def presentation(self) -> Presentation:
        """What the subject sees of stimuli of which no duration is known."""
        return self.activations_model.presentation

    @property
    def behavioural_readout(self) -> str:
        """What `probabilities` and `odd_one_out` read."""
        return self._readout.name

    @property
    def layer_model(self) -> TemporalBrainModel:
        """Where Brain-Score looks for ``region_layer_map`` to write it into a score's comment."""
        return self

    def keep(self, rows: Rows) -> None:
        """Keep activations of images in ``rows``, which subjects of one network may share."""
        self.activations_model.rows = rows
        self._readout.keep(rows)

    def visual_degrees(self) -> int:
        """8 degrees."""
        return VISUAL_DEGREES

    def start_recording(
        self, recording_target: str, time_bins: Iterable[TimeBin] = ((70, 170),)
    ) -> None:
        """Record from a region at each following `look_at`.

        Parameters
        ----------
        recording_target : str
            V1, V2, V4, IT, pIT, cIT or aIT.
        time_bins : iterable of (start, end), default ((70, 170),)
            (start, end) in ms from image onset, in any order. An instant, such as (0, 0), is the
            response as a whole: 70–170 ms, or the time that the image was on where that is longer,
            up to 260 ms.

        Raises
        ------
        ConvRNNError
            No such region, or bins that cannot be recorded.
        """
        layers_of(self.network.model, self.region_layer_map, recording_target)
        asked = read_time_bins(time_bins)
        latest = max(end for _, end in asked.in_ms)
        if latest > LATEST_MS:
            raise ConvRNNError(
                f"time bins until {latest:g} ms: expected ms from image onset, up to {LATEST_MS:,}."
            )
        self._time_bins = asked
        self._region = str(recording_target)
        self._behaviour = None
        if self._time_bins.note:
            _log.warning("%s", self._time_bins.note)

    def start_task(self, task: str, *arguments: Any, **options: Any) -> None:
        """Perform a task at each following `look_at`.

        Parameters
        ----------
        task : str
            ``BrainModel.Task.label`` with ``"imagenet"`` or a list of labels to choose from;
            ``probabilities`` with ``fitting_stimuli``, whose ``image_label`` a readout learns;
            ``odd_one_out``; or ``passive``, which ends a task.

        Raises
        ------
        ConvRNNError
            No such task, or none of what it needs.
        """
        read = self._readout
        tasks = {
            BrainModel.Task.label: lambda: LabelBehavior(self.identifier, self.activations_model),
            BrainModel.Task.probabilities: lambda: ProbabilitiesMapping(
                self.identifier, read, read.name
            ),
            BrainModel.Task.odd_one_out: lambda: OddOneOut(self.identifier, read, read.name),
        }
        if task == BrainModel.Task.passive:
            self._behaviour = None
            return
        if task not in tasks:
            raise unknown("task", task, [*tasks, BrainModel.Task.passive])
        self._behaviour = None
        if task == BrainModel.Task.label:
            # An array has no truth value, and a set no order, both of which Brain-Score asks for.
            arguments = tuple(map(_as_list, arguments))
            options = {name: _as_list(value) for name, value in options.items()}
        check_task(task, arguments, options)
        behaviour = tasks[task]()
        try:
            behaviour.start_task(task, *arguments, **options)
        except TypeError as error:
            raise ConvRNNError(f"task {task}: {error}") from error
        self._behaviour = behaviour

    def look_at(
        self,
        stimuli: StimulusSet | list[str | Path],
        number_of_trials: int = 1,
        require_variance: bool = False,
    ) -> NeuroidAssembly | BehavioralAssembly:
        """Show ``stimuli`` and return the recording (presentation × neuroid × time_bin), or the
        behaviour in the task that was started.

        As Brain-Score's own models do, a recording of a single time bin has no ``time_bin`` among
        its dimensions.

        Parameters
        ----------
        stimuli : StimulusSet or list of str or path
            A stimulus set, or image files.
        number_of_trials : int, default 1
            Presentations of each stimulus. The network is deterministic: unless
            ``require_variance``, one presentation stands for any number.
        require_variance : bool, default False
            Show each stimulus ``number_of_trials`` times, moved by Brain-Score's microsaccades.

        Raises
        ------
        ConvRNNError
            Nothing was started, or an image cannot be read.
        """
        if self._behaviour is not None:
            if isinstance(self._behaviour, OddOneOut):
                check_triplets(stimuli)
            return self._behaviour.look_at(
                stimuli, number_of_trials=number_of_trials, require_variance=require_variance
            )
        if self._region is None or self._time_bins is None:
            raise ConvRNNError("call start_recording(region, time_bins) before look_at(stimuli).")
        recording = self.activations_model(
            stimuli,
            layers=self.region_layer_map[self._region],
            number_of_trials=number_of_trials,
            require_variance=require_variance,
            time_bins=self._time_bins,
            latency=self.latencies[self._region],
        )
        # Kar2019 looks at one stimulus, in a set without a name, before it begins.
        if len(stimuli) > 1 or getattr(stimuli, "identifier", None):
            self.shown.add(recording.attrs["image_duration"])
        recording = in_region(recording, self._region)
        if self._time_bins.note:
            recording.attrs["time_bins_note"] = self._time_bins.note
        return recording.squeeze("time_bin") if recording.sizes["time_bin"] == 1 else recording


def _as_list(labels: Any) -> Any:
    if isinstance(labels, Set):
        return sorted(labels)
    return list(labels) if isinstance(labels, Iterable) and not isinstance(labels, str) else labels


def _plain(image_ms: ImageMs) -> Any:
    """Durations in one form, however they are given; None: none are."""
    if isinstance(image_ms, Mapping):
        return sorted((name, float(ms)) for name, ms in image_ms.items()) or None
    return None if image_ms is None else float(image_ms)


def _unless(value: Any, default: Any) -> Any:
    return None if value == default else value

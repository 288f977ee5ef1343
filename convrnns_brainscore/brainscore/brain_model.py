"""A ConvRNN as Brain-Score's experimental subject: `load_brain_model`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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

from convrnns_brainscore.brainscore.activations import LOGITS, ActivationsExtractor, identifier_of
from convrnns_brainscore.brainscore.assemblies import in_region
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.regions import layers_of, region_layers
from convrnns_brainscore.timing import TimeBin, parse_time_bins


def load_brain_model(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    presentation: Presentation | None = None,
    region_layer_map: str | PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
    lesion: Lesion | str | None = None,
    identifier: str | None = None,
) -> TemporalBrainModel:
    """A published ConvRNN as a `brainscore_vision.model_interface.BrainModel`.

    Parameters
    ----------
    name, checkpoint, weights, seed, lesion
        As in `load_network`.
    presentation : Presentation, optional
        What the subject sees when; None: `Presentation.neural`, the image for 100 ms, in
        recordings, and in behaviour the presentation that the model was trained with.
    region_layer_map : str, path, mapping of str to str or sequence of str, optional
        As in `regions.region_layers`: None (one layer a region), ``"paper"``, a mapping or a JSON
        file.
    identifier : str, optional
        What Brain-Score calls the subject, such as one with refitted regions.

    Raises
    ------
    ConvRNNError
        As `load_network`; a map with regions or layers that there are not.

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
    network = load_network(name, checkpoint=checkpoint, weights=weights, seed=seed, lesion=lesion)
    return TemporalBrainModel(network, presentation, region_layer_map, identifier)


class TemporalBrainModel(BrainModel):  # type: ignore[misc]
    """A network that is recorded from, region by region, in time bins of ms from image onset, and
    that performs Brain-Score's tasks with its decoded logits."""

    def __init__(
        self,
        network: ConvRNN,
        presentation: Presentation | None = None,
        region_layer_map: str | PathLike[str] | Mapping[str, str | Sequence[str]] | None = None,
        identifier: str | None = None,
    ) -> None:
        self.network = network
        self._identifier = identifier or identifier_of(network)
        self.region_layer_map = region_layers(network.model, region_layer_map)
        self.activations_model = ActivationsExtractor(network, presentation)
        self._region: str | None = None
        self._time_bins: list[TimeBin] = []
        self._behaviour: BrainModel | None = None

    @property
    def identifier(self) -> str:
        """As it was named, or ``convrnn_<model>``, with ``-untrained-seed<n>`` and the lesion where
        there is one."""
        return self._identifier

    @property
    def presentation(self) -> Presentation:
        """What the subject sees when it is recorded from."""
        return self.activations_model.presentation

    @property
    def layer_model(self) -> TemporalBrainModel:
        """Where Brain-Score looks for ``region_layer_map`` to write it into a score's comment."""
        return self

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
            (start, end) in ms from image onset, in any order.

        Raises
        ------
        ConvRNNError
            No such region, or bins that cannot be recorded.
        """
        layers_of(self.network.model, self.region_layer_map, recording_target)
        self._time_bins = parse_time_bins(time_bins)
        self._region = str(recording_target)
        self._behaviour = None

    def start_task(self, task: str, *arguments: Any, **options: Any) -> None:
        """Perform a task at each following `look_at`.

        Parameters
        ----------
        task : str
            ``BrainModel.Task.label`` with ``"imagenet"`` or a list of labels to choose from;
            ``probabilities`` with ``fitting_stimuli``, whose ``image_label`` a readout of the
            logits learns; ``odd_one_out``; or ``passive``, which ends a task.

        Raises
        ------
        ConvRNNError
            No such task, or none of what it needs.
        """
        tasks = {
            BrainModel.Task.label: lambda: LabelBehavior(self.identifier, self.activations_model),
            BrainModel.Task.probabilities: lambda: ProbabilitiesMapping(
                self.identifier, self.activations_model, LOGITS
            ),
            BrainModel.Task.odd_one_out: lambda: OddOneOut(
                self.identifier, self.activations_model, LOGITS
            ),
        }
        if task == BrainModel.Task.passive:
            self._behaviour = None
            return
        if task not in tasks:
            raise unknown("task", task, [*tasks, BrainModel.Task.passive])
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

        Parameters
        ----------
        stimuli : StimulusSet or list of str or path
            A stimulus set, or image files.
        number_of_trials : int, default 1
            What the answer is averaged over. The network is deterministic, so one presentation
            stands for any number.
        require_variance : bool, default False
            Refused, for the same reason.

        Raises
        ------
        ConvRNNError
            Nothing was started, a variance is required, or an image cannot be read.
        """
        if self._behaviour is not None:
            return self._behaviour.look_at(
                stimuli, number_of_trials=number_of_trials, require_variance=require_variance
            )
        if self._region is None:
            raise ConvRNNError("call start_recording(region, time_bins) before look_at(stimuli).")
        recording = self.activations_model(
            stimuli,
            layers=self.region_layer_map[self._region],
            number_of_trials=number_of_trials,
            require_variance=require_variance,
            time_bins=self._time_bins,
        )
        return in_region(recording, self._region)

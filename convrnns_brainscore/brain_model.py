"""A ConvRNN as Brain-Score's experimental subject: `load_brain_model`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from os import PathLike
from pathlib import Path
from typing import Any, Literal

from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from brainscore_vision.model_interface import BrainModel
from numpy.typing import ArrayLike

from convrnns_brainscore.activations import (
    TimeBin,
    as_stimulus_set,
    binned_activations,
    neuroid_assembly,
    parse_time_bins,
)
from convrnns_brainscore.convrnn import ConvRNN, load_network
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.regions import region_layer


def load_brain_model(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    presentation: Presentation | None = None,
    lesion: Lesion | str | None = None,
) -> TemporalBrainModel:
    """A published ConvRNN as a `brainscore_vision.model_interface.BrainModel`.

    Parameters
    ----------
    name, checkpoint, weights, seed, lesion : as in `load_network`.
    presentation : what the subject sees when; None: `Presentation.neural`, the image for 100 ms.

    Raises
    ------
    ConvRNNError : as `load_network`.
    """
    network = load_network(name, checkpoint=checkpoint, weights=weights, seed=seed, lesion=lesion)
    return TemporalBrainModel(network, as_presentation(presentation, Presentation.neural()))


class TemporalBrainModel(BrainModel):  # type: ignore[misc]
    """A network that is recorded from, region by region, in time bins of ms from image onset."""

    def __init__(self, network: ConvRNN, presentation: Presentation) -> None:
        self.network = network
        self.presentation = presentation
        self._region: str | None = None
        self._time_bins: list[TimeBin] = []

    @property
    def identifier(self) -> str:
        """``convrnn_<model>``, with ``-untrained-seed<n>`` and the lesion where there is one."""
        seed, lesion = self.network.weights.seed, self.network.lesion
        label = "" if seed is None else f"-untrained-seed{seed}"
        if lesion:
            label += f"-without-{lesion}".replace(", ", "-").replace(" ", "-")
        return f"convrnn_{self.network.name}{label}"

    def visual_degrees(self) -> int:
        """8 degrees."""
        return VISUAL_DEGREES

    def start_recording(
        self, recording_target: str, time_bins: Iterable[TimeBin] = ((70, 170),)
    ) -> None:
        """Record from a region at each following `look_at`.

        Parameters
        ----------
        recording_target : V1, V2, V4, IT, pIT, cIT or aIT.
        time_bins : (start, end) in ms from image onset, in any order.

        Raises
        ------
        ConvRNNError : no such region, or bins that cannot be recorded.
        """
        region_layer(self.network.model, recording_target)
        self._time_bins = parse_time_bins(time_bins)
        self._region = str(recording_target)

    def start_task(self, task: Any, fitting_stimuli: Any = None) -> None:
        """Not available: this subject is recorded from and has no behaviour."""
        raise NotImplementedError(f"{self.identifier} is recorded from; it has no task {task!r}.")

    def look_at(
        self, stimuli: StimulusSet | list[str | Path], number_of_trials: int = 1
    ) -> NeuroidAssembly:
        """Show ``stimuli`` and return the recording (presentation × neuroid × time_bin).

        Parameters
        ----------
        stimuli : a stimulus set, or image files.
        number_of_trials : what the answer is averaged over. The network is deterministic, so one
            presentation stands for any number.

        Raises
        ------
        ConvRNNError : nothing was started, or an image cannot be read.
        """
        if self._region is None:
            raise ConvRNNError("call start_recording(region, time_bins) before look_at(stimuli).")
        layer = region_layer(self.network.model, self._region)
        stimuli, paths = as_stimulus_set(stimuli)
        values = binned_activations(self.network, paths, layer, self._time_bins, self.presentation)
        return neuroid_assembly(
            values, self.network, self.presentation, stimuli, self._region, layer, self._time_bins
        )

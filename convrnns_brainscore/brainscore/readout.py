"""What behaviour is read from: the decoded logits, or a layer averaged over space and time."""

from __future__ import annotations

from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import (
    NeuroidAssembly,
    walk_coords,
)

from convrnns_brainscore.brainscore.activations import LOGITS, ActivationsExtractor, Rows
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.regions import check_readout


class Readout:
    """An ``activations_model`` for Brain-Score's behaviours: presentation × feature, without time.

    Parameters
    ----------
    network : ConvRNN
        From `load_network`.
    name : str
        As in `regions.check_readout`.
    presentation : Presentation, optional
        None: as the model was trained.

    Raises
    ------
    ConvRNNError
        No such layer, or no time bin.
    """

    def __init__(
        self, network: ConvRNN, name: str = LOGITS, presentation: Presentation | None = None
    ) -> None:
        self.name = name
        self.reads = self._layer, self._time_bin = check_readout(network.model, name)
        shown = as_presentation(presentation, Presentation.default(network.name))
        self._extractor = ActivationsExtractor(network, shown)
        if self._layer != LOGITS:
            self._shape = network.output_shape(self._layer)

    def keep(self, rows: Rows) -> None:
        """Keep activations of images for further calls."""
        self._extractor.rows = rows

    def __call__(self, stimuli: Any, layers: Any = None, **options: Any) -> NeuroidAssembly:
        """The features of ``stimuli``; ``options`` as of `ActivationsExtractor`."""
        if self._layer == LOGITS:
            return self._extractor(stimuli, [LOGITS], **options)
        recorded = self._extractor(stimuli, [self._layer], time_bins=[self._time_bin], **options)
        values = recorded.values[..., 0].reshape(len(recorded), *self._shape)
        values = values.mean(axis=tuple(range(1, values.ndim - 1)), dtype=np.float32)
        channels = range(values.shape[1])
        coords = {
            name: (dims, each)
            for name, dims, each in walk_coords(recorded)
            if dims == ("presentation",)
        }
        return NeuroidAssembly(
            values,
            coords={
                **coords,
                "channel": ("neuroid", list(channels)),
                "neuroid_id": ("neuroid", [f"{self._layer}.{channel}" for channel in channels]),
            },
            dims=["presentation", "neuroid"],
        )

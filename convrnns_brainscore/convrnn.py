"""The network as users hold it: `load_network`, and what a `ConvRNN` can do with images."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from os import PathLike
from typing import Any, Literal

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import check_normalised
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.networks.backend import Tensor, to_numpy
from convrnns_brainscore.networks.build import build, variable_shapes
from convrnns_brainscore.networks.decoders import Last, build_decoder
from convrnns_brainscore.networks.unroll import Network
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.weights import Weights, load_weights
from convrnns_brainscore.zoo import Model, find_model

BATCH_SIZE = 16
"""Images that go through a network at a time, where nobody says otherwise."""


def load_network(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
) -> ConvRNN:
    """A published ConvRNN.

    Parameters
    ----------
    name : one of `list_models`.
    checkpoint : a checkpoint in the published format: its prefix ``…/model.ckpt``, one of its
        files, or its folder.
    weights : instead of a checkpoint, each variable's value by its name in the checkpoint, or
        ``"random"`` for an untrained network.
    seed : of the random weights.

    Raises
    ------
    ConvRNNError : unknown model; no weights; weights that are damaged or not this model's.
    """
    model = find_model(name)
    loaded = load_weights(
        model,
        variable_shapes(model),
        checkpoint=checkpoint,
        weights=weights,
        seed=seed,
    )
    return ConvRNN(model, loaded)


class ConvRNN:
    """A published network with its weights. Made by `load_network`."""

    def __init__(self, model: Model, weights: Weights) -> None:
        self.model = model
        self.weights = weights

        def variable(name: str, shape: tuple[int, ...]) -> Tensor:
            return ops.convert_to_tensor(weights.values[f"tnn_model/{name}"])

        self._network = Network(build(model, variable))
        self._decoder = build_decoder(model, variable)

    def __repr__(self) -> str:
        return f"<ConvRNN {self.name} ({self.weights.label})>"

    @property
    def name(self) -> str:
        """The model's name in the zoo."""
        return self.model.name

    @property
    def layers(self) -> list[str]:
        """The layers' names, from the image on; ``imnetds`` is the readout."""
        return list(self._network.layers)

    def output_shape(self, layer: str) -> tuple[int, ...]:
        """The shape of one step's output of ``layer``: (height, width, channel) or (class,)."""
        backbones.first_step(self.model, layer)
        return self._network.layers[layer].output_shape

    def first_step(self, layer: str) -> int:
        """The first step at which ``layer`` depends on the image: 0 for conv1, 9 for conv10.

        >>> load_network("rgc_shallow", weights="random").first_step("conv5")
        4
        """
        return backbones.first_step(self.model, layer)

    def first_reported_step(self, layer: str) -> int:
        """The step from which the published zoo reports ``layer``: one after `first_step`."""
        return self.first_step(layer) + 1

    def unroll(
        self,
        images: ArrayLike,
        layers: str | Iterable[str],
        presentation: Presentation | None = None,
        all_times: bool = False,
    ) -> dict[str, NDArray[np.float32]]:
        """The outputs of ``layers`` over time.

        Parameters
        ----------
        images : float32 [batch, 224, 224, 3], normalised (`convrnns_brainscore.images`).
        layers : names among ``self.layers``.
        presentation : what is shown when; None: as the model was trained.
        all_times : every step from 0, instead of from `first_reported_step`.

        Returns
        -------
        dict : layer → float32 [batch, step, …].

        Raises
        ------
        ConvRNNError : unknown layer; a layer that the image does not reach within the presentation;
            images of another shape or type, with NaN, or not normalised.
        """
        presentation = as_presentation(presentation, Presentation.default(self.name))
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        images = check_normalised(images)
        outputs = {
            layer: np.empty((len(images), len(asked), *self.output_shape(layer)), np.float32)
            for layer, asked in steps.items()
        }
        for layer, step, output in self.stream(images, steps, presentation):
            outputs[layer][:, step - steps[layer].start] = to_numpy(output)
        return outputs

    def stream(
        self,
        images: NDArray[np.float32],
        steps: Mapping[str, Sequence[int]],
        presentation: Presentation,
    ) -> Iterator[tuple[str, int, Tensor]]:
        """The outputs of the asked ``steps`` (layer → steps), as they are made.

        Yields
        ------
        layer, step, output : the backend's tensor [batch, …], or [1, …] where every image gives the
            same.
        """
        shown, off = ops.convert_to_tensor(images), ops.convert_to_tensor(presentation.off_frame)

        def stimulus(step: int) -> Tensor:
            return shown if presentation.image_is_on(step) else off

        return self._network.run(stimulus, steps)

    def logits(
        self, images: ArrayLike, presentation: Presentation | None = None
    ) -> NDArray[np.float32]:
        """ImageNet logits [batch, 1000], decoded as the model's decoder does.

        Parameters
        ----------
        images : float32 [batch, 224, 224, 3], normalised.
        presentation : None: as the model was trained.

        Raises
        ------
        ConvRNNError : the presentation ends before the image reaches the steps that the decoder
            reads.
        """
        presentation = as_presentation(presentation, Presentation.default(self.name))
        readout = backbones.READOUT
        only_last = isinstance(self._decoder, Last)
        needed = (self.first_step(readout) if only_last else self.first_reported_step(readout)) + 1
        if presentation.times < needed:
            raise ConvRNNError(
                f"the decoder of {self.name} ({self.model.decoder}) reads nothing within "
                f"times={presentation.times}; give at least {needed} steps."
            )
        first = presentation.times - 1 if only_last else self.first_reported_step(readout)
        steps = {readout: range(first, presentation.times)}
        images = check_normalised(images)
        readouts = [output for _, _, output in self.stream(images, steps, presentation)]
        readouts = [
            ops.broadcast_to(output, (len(images), output.shape[-1])) for output in readouts
        ]
        return to_numpy(self._decoder(ops.stack(readouts, axis=1)))

    def describe(self) -> dict[str, Any]:
        """The model and its weights, for provenance."""
        return {"model": self.name, **self.weights.describe()}

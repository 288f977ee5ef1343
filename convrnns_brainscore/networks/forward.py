"""From images to outputs over time and to logits, as a function of a network's variables."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import FIRST, check_shape
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.networks.backend import Backend
from convrnns_brainscore.networks.build import build
from convrnns_brainscore.networks.cells import Variable
from convrnns_brainscore.networks.decoders import build_decoder
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.networks.operations import Tensor, channels_last, peak, repeated, stack
from convrnns_brainscore.networks.unroll import Network
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.zoo import Model

Average = tuple[tuple[int, float], ...]
"""Steps and their weights."""


FAR_OUT = 30
"""Pixels beyond this are not normalised ones, even after some steps of gradient ascent."""


def single(steps: range) -> tuple[Average, ...]:
    """Each step by itself, as an average over one."""
    return tuple(((step, 1.0),) for step in steps)


def as_images(images: Any, backend: Backend, *, channels_first: bool = False) -> Tensor:
    """Images as a tensor [batch, 224, 224, 3] of the backend; gradients flow through.

    Raises
    ------
    ConvRNNError
        Another shape, or not floating point.
    """
    images = images if hasattr(images, "dtype") else np.asarray(images)
    check_shape(images.shape, channels_first)
    if "float" not in str(images.dtype):
        raise ConvRNNError(
            f"images are of type {images.dtype}; expected normalised float32. "
            "Give convrnns_brainscore.images.normalise(images) for 8-bit RGB."
        )
    tensor = backend.tensor(images)
    largest = peak(tensor)
    if largest is not None and largest > FAR_OUT:
        raise ConvRNNError(
            "the images contain NaN or infinite pixels, or are not normalised. Give "
            "convrnns_brainscore.images.normalise(images) for pixels in 0–255."
        )
    return channels_last(tensor) if channels_first else tensor


class Forward:
    """A network, built of the present values of its variables.

    Parameters
    ----------
    model : Model
        A row of the zoo.
    variable : callable
        Gives each variable's tensor, from its name (below ``tnn_model/``) and shape.
    backend : Backend
        Of those tensors.
    lesion : Lesion, optional
        What is silenced.
    compiled : bool, default False
        Whether each layer's parts are graphs of their own (`unroll.Network`).
    observed : callable, optional
        As in `unroll.Network`.
    """

    def __init__(
        self,
        model: Model,
        variable: Variable,
        backend: Backend,
        lesion: Lesion | None = None,
        *,
        compiled: bool = False,
        observed: Callable[[str, Tensor], Tensor] | None = None,
    ) -> None:
        self.model, self.backend, self.lesion = model, backend, lesion
        graph = backend.compiled if compiled else None
        self.network = Network(build(model, variable), backend.zeros, graph, observed)
        self.decoder = build_decoder(model, variable)

    def run(
        self, stimulus: Callable[[int], Tensor], asked: Mapping[str, Iterable[int]]
    ) -> Iterator[tuple[str, int, Tensor]]:
        """As `unroll.Network.run`, with the lesion; outputs are float32 in any precision."""
        for layer, step, output in self.network.run(stimulus, asked, self.lesion):
            yield layer, step, self.backend.tensor(output)

    def averages(
        self,
        frames: Sequence[Tensor],
        schedule: Sequence[int],
        asked: Mapping[str, Sequence[Average]],
    ) -> dict[str, list[Tensor]]:
        """Weighted averages over steps of the outputs of layers.

        Parameters
        ----------
        frames : sequence of tensor [batch or 1, 224, 224, 3]
            What is shown at one time or another.
        schedule : sequence of int
            The frame of each step.
        asked : mapping of str to sequence of tuple of (step, weight)
            Layer → averages.

        Returns
        -------
        dict
            Layer → for each average a tensor [batch, …], or [1, …] where all images give the same.
        """

        def stimulus(step: int) -> Tensor:
            return frames[schedule[step]]

        found: dict[str, dict[int, Tensor]] = {layer: {} for layer in asked}
        for layer, index, average in averaged(self.run(stimulus, steps_in(asked)), asked):
            found[layer][index] = average
        return {layer: [found[layer][i] for i in range(len(asked[layer]))] for layer in asked}

    def outputs(
        self, images: Tensor, steps: Mapping[str, range], presentation: Presentation
    ) -> dict[str, Tensor]:
        """The outputs [batch, step, …] of each layer at its ``steps``."""
        fixed = [self.backend.tensor(frame) for frame in presentation.fixed_frames]
        asked = {layer: single(steps[layer]) for layer in steps}
        found = self.averages([images, *fixed], presentation.schedule, asked)
        return {
            layer: stack([repeated(output, images) for output in found[layer]]) for layer in found
        }

    def logits(self, images: Any, presentation: Presentation) -> Tensor:
        """Logits [batch, 1000] of images in either order of axes, decoded as the model does."""
        first = tuple(getattr(images, "shape", ()))[1:] == FIRST
        images = as_images(images, self.backend, channels_first=first)
        steps = decoded_steps(self.model, presentation)
        readout = self.outputs(images, {backbones.READOUT: steps}, presentation)
        return self.decoder(readout[backbones.READOUT])


def steps_in(asked: Mapping[str, Sequence[Average]]) -> dict[str, set[int]]:
    """The steps of each layer that averages are over."""
    return {
        layer: {step for average in averages for step, _ in average}
        for layer, averages in asked.items()
    }


def averaged(
    outputs: Iterable[tuple[str, int, Tensor]], asked: Mapping[str, Sequence[Average]]
) -> Iterator[tuple[str, int, Tensor]]:
    """Weighted averages over steps, each as soon as its last step is there.

    Parameters
    ----------
    outputs : iterable of tuple of (layer, step, tensor)
        Steps in order.
    asked : mapping of str to sequence of tuple of (step, weight)
        Layer → averages.

    Yields
    ------
    layer, index, average
        The average's position in ``asked[layer]``.
    """
    of_step: dict[tuple[str, int], list[tuple[int, float]]] = {}
    for layer, averages in asked.items():
        for index, average in enumerate(averages):
            for step, weight in dict(average).items():
                of_step.setdefault((layer, step), []).append((index, weight))
    terms: dict[tuple[str, int], list[Tensor]] = {}
    for layer, step, output in outputs:
        for index, weight in of_step[layer, step]:
            parts = terms.setdefault((layer, index), [])
            parts.append(output if weight == 1 else weight * output)
            if len(parts) == len(asked[layer][index]):
                yield layer, index, _total(terms.pop((layer, index)))


def decoded_steps(model: Model, presentation: Presentation) -> range:
    """The steps of the readout that the model's decoder reads.

    Raises
    ------
    ConvRNNError
        The presentation ends before the image reaches them.
    """
    only_last = model.decoder == "last"
    first = backbones.first_step(model, backbones.READOUT) + (0 if only_last else 1)
    if presentation.times <= first:
        raise ConvRNNError(
            f"the decoder of {model.name} ({model.decoder}) reads nothing within "
            f"times={presentation.times}; give at least {first + 1} steps."
        )
    return range(presentation.times - 1 if only_last else first, presentation.times)


def _total(terms: list[Tensor]) -> Tensor:
    """The sum, pair by pair, which rounds less often than one after another."""
    while len(terms) > 1:
        rest = terms[len(terms) // 2 * 2 :]
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + rest
    return terms[0]

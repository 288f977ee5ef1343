"""The network as users hold it: `load_network`, and what a `ConvRNN` can do with images."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from os import PathLike
from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import check_normalised, check_shape
from convrnns_brainscore.networks import backbones, backend
from convrnns_brainscore.networks.backend import Tensor, ops, standardize_dtype, to_numpy
from convrnns_brainscore.networks.build import build, variable_shapes
from convrnns_brainscore.networks.decoders import Last, build_decoder
from convrnns_brainscore.networks.lesions import Lesion, lesion_of
from convrnns_brainscore.networks.unroll import Network
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.weights import Weights, load_weights
from convrnns_brainscore.zoo import Model, find_model

BATCH_SIZE = 8
"""Images that go through a network at a time, where nobody says otherwise."""

GRAPHS = 8
"""Graphs that a network keeps for what it was last asked for."""

Average = tuple[tuple[int, float], ...]
"""Steps and their weights."""


def load_network(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    lesion: Lesion | str | None = None,
) -> ConvRNN:
    """A published ConvRNN.

    Parameters
    ----------
    name : str
        One of `list_models`.
    checkpoint : str or path, optional
        A checkpoint in the published format: its prefix ``…/model.ckpt``, one of its files, or its
        folder; or a ``.safetensors`` of `convrnns convert`. None, and no weights: the one that
        `convrnns download` fetched.
    weights : mapping of str to array-like or {'random'}, optional
        Instead of a checkpoint, each variable's value by its name in the checkpoint, or
        ``"random"`` for an untrained network.
    seed : int, default 0
        Seed of the random weights.
    lesion : Lesion or str, optional
        ``"feedback"`` (no long-range feedback) or ``"recurrence"`` (cell states zero at every step)
        in all layers that have it; a `Lesion` names layers and a step to begin at.

    Raises
    ------
    ConvRNNError
        Unknown model; no weights; weights that are damaged or not this model's; a lesion of what
        the model does not have.

    Examples
    --------
    >>> network = load_network("timedecay_shallow", weights="random", seed=0)
    >>> network
    <ConvRNN timedecay_shallow (untrained, seed 0)>
    >>> network.layers
    ['conv1', 'conv2', 'conv3', 'conv4', 'conv5', 'imnetds']
    """
    model = find_model(name)
    lesioned = lesion_of(model, lesion)
    backend.start()
    loaded = load_weights(
        model,
        variable_shapes(model),
        checkpoint=checkpoint,
        weights=weights,
        seed=seed,
    )
    return ConvRNN(model, loaded, lesioned)


class ConvRNN:
    """A published network with its weights. Made by `load_network`.

    Examples
    --------
    >>> from convrnns_brainscore.images import normalise
    >>> network = load_network("timedecay_shallow", weights="random")
    >>> images = normalise(np.full((1, 224, 224, 3), 128))
    >>> outputs = network.unroll(images, "conv3", Presentation.custom(times=6))
    >>> outputs["conv3"].shape  # [batch, step, height, width, channel]
    (1, 3, 14, 14, 256)
    """

    def __init__(self, model: Model, weights: Weights, lesion: Lesion | None = None) -> None:
        self.model = model
        self.weights = weights
        self.lesion = lesion

        def variable(name: str, shape: tuple[int, ...]) -> Tensor:
            return ops.convert_to_tensor(weights.values[f"tnn_model/{name}"])

        self._network = Network(build(model, variable))
        self._decoder = build_decoder(model, variable)
        self._graph = lru_cache(maxsize=GRAPHS)(self._trace)

    def __reduce__(self) -> tuple[Any, ...]:
        """As its weights, which the process that it is sent to builds it from."""
        return _rebuilt, (self.model, self.weights, self.lesion)

    def __repr__(self) -> str:
        return f"<ConvRNN {self.name} ({self.label})>"

    @property
    def label(self) -> str:
        """Its weights and its lesion in short, for titles and tables: ``untrained, seed 0``."""
        return self.weights.label + (f", without {self.lesion}" if self.lesion else "")

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
        return backbones.output_shape(self.model, layer)

    def check_lesion(self, presentation: Presentation) -> None:
        """Refuse a lesion that begins after the presentation: nothing would be lesioned.

        Raises
        ------
        ConvRNNError
            The lesion begins after the last step.
        """
        if self.lesion and self.lesion.first_step >= presentation.times:
            raise ConvRNNError(
                f"the lesion begins at step {self.lesion.first_step}, after the "
                f"{presentation.times} steps of the presentation: give a smaller `lesion_from=…`."
            )

    def first_step(self, layer: str) -> int:
        """The first step at which ``layer`` depends on the image: 0 for conv1, 9 for conv10.

        Examples
        --------
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
        images : float32 array-like [batch, 224, 224, 3]
            Normalised (`convrnns_brainscore.images`).
        layers : str or iterable of str
            Names among ``self.layers``.
        presentation : Presentation, optional
            What is shown when; None: as the model was trained.
        all_times : bool, default False
            Every step from 0, instead of from `first_reported_step`.

        Returns
        -------
        dict
            Layer → float32 [batch, step, …].

        Raises
        ------
        ConvRNNError
            Unknown layer; a layer that the image does not reach within the presentation; images of
            another shape or type, with NaN, or not normalised.
        """
        presentation = as_presentation(presentation, Presentation.default(self.name))
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        return self.averages(
            images, {layer: single(asked) for layer, asked in steps.items()}, presentation
        )

    def __call__(
        self,
        images: Any,
        layers: str | Iterable[str] | None = None,
        presentation: Presentation | None = None,
        all_times: bool = False,
    ) -> dict[str, Tensor]:
        """As `unroll`, on the backend's own tensors: differentiable with respect to ``images``.

        Parameters
        ----------
        images
            Tensor [batch, 224, 224, 3], normalised.
        layers : str or iterable of str, optional
            None: all.
        presentation, all_times
            As in `unroll`.

        Returns
        -------
        dict
            Layer → tensor [batch, step, …].

        Raises
        ------
        ConvRNNError
            As `unroll`, except that the pixels' values are not looked at.
        """
        presentation = as_presentation(presentation, Presentation.default(self.name))
        layers = self.layers if layers is None else layers
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        images = ops.convert_to_tensor(images)
        check_shape(images.shape)
        if "float" not in standardize_dtype(images.dtype):
            raise ConvRNNError(f"images are of type {images.dtype}; expected normalised float32.")
        images = ops.cast(images, "float32")
        outputs = self._run(images, {layer: single(steps[layer]) for layer in steps}, presentation)
        batch = ops.shape(images)[0]

        def all_alike(output: Tensor) -> Tensor:
            return ops.broadcast_to(output, (batch, *output.shape[1:]))

        return {
            layer: ops.stack([all_alike(output) for output in outputs[layer]], axis=1)
            for layer in steps
        }

    def averages(
        self,
        images: ArrayLike,
        asked: Mapping[str, Sequence[Average]],
        presentation: Presentation,
    ) -> dict[str, NDArray[np.float32]]:
        """Weighted averages over steps of the outputs of layers.

        All is one graph, which is made at the first call for the same ``asked`` and the same times
        of ``presentation``, and serves every batch size.

        Parameters
        ----------
        images : float32 array-like [batch, 224, 224, 3]
            Normalised.
        asked : mapping of str to sequence of tuple of (step, weight)
            Layer → averages, each a tuple of (step, weight).
        presentation : Presentation
            What is shown when.

        Returns
        -------
        dict
            Layer → float32 [batch, average, …].

        Raises
        ------
        ConvRNNError
            As `unroll`.
        """
        images = check_normalised(images)
        outputs = self._run(ops.convert_to_tensor(images), asked, presentation)
        arrays = {}
        for layer in asked:
            shape = len(images), len(outputs[layer]), *self.output_shape(layer)
            arrays[layer] = np.empty(shape, np.float32)
            for index, output in enumerate(outputs[layer]):
                arrays[layer][:, index] = to_numpy(output)
        return arrays

    def _run(
        self, images: Tensor, asked: Mapping[str, Sequence[Average]], presentation: Presentation
    ) -> dict[str, list[Tensor]]:
        """The averages of each layer, [batch, …], or [1, …] where all images give the same."""
        key = tuple((layer, tuple(averages)) for layer, averages in asked.items())
        graph = self._graph(key, presentation.image_off)
        return graph(images, ops.convert_to_tensor(presentation.off_frame))

    def _trace(
        self, asked: tuple[tuple[str, tuple[Average, ...]], ...], image_off: int | None
    ) -> Callable[[Tensor, Tensor], dict[str, list[Tensor]]]:
        """Images and off stimulus → each layer's averages."""
        steps = {
            layer: {step for average in averages for step, _ in average}
            for layer, averages in asked
        }

        def graph(shown: Tensor, off: Tensor) -> dict[str, list[Tensor]]:
            def stimulus(step: int) -> Tensor:
                return shown if image_off is None or step < image_off else off

            terms: dict[str, list[list[Tensor]]] = {
                layer: [[] for _ in averages] for layer, averages in asked
            }
            for layer, step, output in self._network.run(stimulus, steps, self.lesion):
                for index, average in enumerate(dict(asked)[layer]):
                    weight = dict(average).get(step)
                    if weight is not None:
                        terms[layer][index].append(output if weight == 1 else weight * output)
            return {layer: [_total(each) for each in terms[layer]] for layer in terms}

        return backend.compiled(graph)

    def stream(
        self,
        images: NDArray[np.float32],
        steps: Mapping[str, Sequence[int]],
        presentation: Presentation,
    ) -> Iterator[tuple[str, int, Tensor]]:
        """The outputs of the asked ``steps`` (layer → steps), as they are made.

        Yields
        ------
        layer, step, output
            The backend's tensor [batch, …], or [1, …] where every image gives the same.
        """
        shown, off = ops.convert_to_tensor(images), ops.convert_to_tensor(presentation.off_frame)

        def stimulus(step: int) -> Tensor:
            return shown if presentation.image_is_on(step) else off

        return self._network.run(stimulus, steps, self.lesion)

    def logits(
        self, images: ArrayLike, presentation: Presentation | None = None
    ) -> NDArray[np.float32]:
        """ImageNet logits [batch, 1000], decoded as the model's decoder does.

        Parameters
        ----------
        images : float32 array-like [batch, 224, 224, 3]
            Normalised.
        presentation : Presentation, optional
            None: as the model was trained.

        Raises
        ------
        ConvRNNError
            The presentation ends before the image reaches the steps that the decoder reads.
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
        steps = single(range(first, presentation.times))
        readouts = self.averages(images, {readout: steps}, presentation)[readout]
        return to_numpy(self._decoder(ops.convert_to_tensor(readouts)))

    def describe(self) -> dict[str, Any]:
        """The model, its weights and its lesion, for provenance."""
        lesion = "none" if self.lesion is None else str(self.lesion)
        return {"model": self.name, **self.weights.describe(), "lesion": lesion}


def _rebuilt(model: Model, weights: Weights, lesion: Lesion | None) -> ConvRNN:
    backend.start()
    return ConvRNN(model, weights, lesion)


def _total(terms: list[Tensor]) -> Tensor:
    """The sum, pair by pair, which rounds less often than one after another."""
    while len(terms) > 1:
        rest = terms[len(terms) // 2 * 2 :]
        terms = [a + b for a, b in zip(terms[::2], terms[1::2], strict=False)] + rest
    return terms[0]


def single(steps: Iterable[int]) -> tuple[Average, ...]:
    """Each step by itself, as an average over one."""
    return tuple(((step, 1.0),) for step in steps)

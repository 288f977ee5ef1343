"""The network as users hold it: `load_network`, and what a `ConvRNN` can do with images."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import lru_cache
from html import escape
from os import PathLike
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.checkpoints import write_safetensors
from convrnns_brainscore.choices import BackendName, PrecisionName
from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.files import check_folder_of
from convrnns_brainscore.image_batches import image_batches, table_of
from convrnns_brainscore.images import check_normalised
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.networks.backend import (
    Backend,
    check_process,
    in_main_memory,
    to_numpy,
)
from convrnns_brainscore.networks.backends import open_backend
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.networks.forward import (
    Average,
    Forward,
    as_images,
    averaged,
    decoded_steps,
    single,
    steps_in,
)
from convrnns_brainscore.networks.lesions import Lesion, lesion_of
from convrnns_brainscore.networks.operations import Tensor, repeated, stack
from convrnns_brainscore.networks.trainable import PREFIX, trained_names
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.streams import Shown, presentation_of
from convrnns_brainscore.timing import MS_PER_STEP
from convrnns_brainscore.weights import Weights, load_weights, retrained
from convrnns_brainscore.zoo import Model, find_model

BATCH_SIZE = 8
"""Images that go through a network at a time, where nobody says otherwise."""

GRAPHS = 8
"""Graphs that a network keeps for what it was last asked for."""


def load_network(
    name: str,
    *,
    checkpoint: str | PathLike[str] | None = None,
    weights: Mapping[str, ArrayLike] | Literal["random"] | None = None,
    seed: int = 0,
    lesion: Lesion | str | None = None,
    backend: str = BackendName.tensorflow,
    device: Any = None,
    precision: str = PrecisionName.float32,
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
    backend : {'tensorflow', 'torch'}, default 'tensorflow'
        The library to compute with. Networks on either can be used side by side.
    device : str, int or torch.device, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or, with PyTorch, ``"mps"``; a number is that of a GPU.
        None: a GPU of CUDA or ROCm where there is one, else the CPU.
    precision : {'float32', 'tf32', 'bfloat16'}, default 'float32'
        The precision of convolutions and matrix products; every output is float32. In bfloat16,
        operations on their results are partly in bfloat16 as well.
        The published networks were computed in float32. ``"tf32"`` needs an NVIDIA GPU and
        ``"bfloat16"`` PyTorch. Everything made with such a network is labelled with its precision.

    Raises
    ------
    ConvRNNError
        Unknown model; no weights; a seed without random weights; weights that are damaged or not
        this model's; a lesion of what the model does not have; a backend that is not installed; a
        device that is not there; a precision that the backend or the device does not have.

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
    opened = open_backend(backend, device, precision)
    asked = os.environ.get("KERAS_BACKEND", opened.name)
    if asked != opened.name:
        warnings.warn(
            f"KERAS_BACKEND={asked} is not read: the network runs on {opened.name}. Give "
            "`backend=…` to choose.",
            stacklevel=2,
        )
    loaded = load_weights(
        model,
        variable_shapes(model),
        checkpoint=checkpoint,
        weights=weights,
        seed=seed,
        prefer_converted=opened.name == "torch",
    )
    return ConvRNN(model, loaded, lesioned, opened)


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

    def __init__(
        self,
        model: Model,
        weights: Weights,
        lesion: Lesion | None = None,
        backend: Backend | None = None,
    ) -> None:
        self.model = model
        self.lesion = lesion
        self._backend = backend or open_backend()
        self._weights = weights
        self._module: Any = None

        def variable(name: str, shape: tuple[int, ...]) -> Tensor:
            return self.backend.variable(weights.values[PREFIX + name])

        self._forward = Forward(model, variable, self.backend, lesion, compiled=True)
        self._graph = lru_cache(maxsize=GRAPHS)(self._trace)

    def __reduce__(self) -> tuple[Any, ...]:
        """As its weights, which the process that it is sent to builds it from."""
        self._check_unhooked("a copy of the network")
        trained = None if self._module is None else self._module.trained()
        return _rebuilt, (self.model, self.weights, self.lesion, self.backend, trained)

    @property
    def backend(self) -> Backend:
        """The library and the device that it is computed with, wherever its module has moved."""
        if self._module is None or self._backend.name != BackendName.torch:
            return self._backend
        device = str(next(self._module.parameters()).device)
        return open_backend(BackendName.torch, device, self.precision)

    @property
    def weights(self) -> Weights:
        """The present values of its variables, and what to call them."""
        if self._module is None:
            return self._weights
        return retrained(self._weights, self._module.values(), self._lesioned())

    @property
    def module(self) -> Any:
        """The network as a torch.nn.Module or, on TensorFlow, a tf.Module.

        Its parameters or variables have the checkpoint's names. From the first use of it on, the
        network computes with their present values, and is called fine-tuned where they differ from
        those it was loaded with. ``network.module(images)`` gives logits. On PyTorch a forward hook
        at ``network.module.conv5`` sees that layer's output at each step.

        Examples
        --------
        >>> network = load_network("timedecay_shallow", weights="random", backend="torch")
        >>> sum(parameter.numel() for parameter in network.module.parameters())
        4197742
        """
        if self._module is None:
            self._module = self._as_module(None)
            self._graph.cache_clear()  # what was made of the weights as they were
        return self._module

    def trainable(self, layers: Iterable[str] | None = None) -> ConvRNN:
        """A copy whose variables can be trained, by ``copy.module``.

        Parameters
        ----------
        layers : iterable of str, optional
            The layers to train; None: all. The others keep their values.

        Raises
        ------
        ConvRNNError
            Unknown layer, or none.

        Examples
        --------
        >>> network = load_network("timedecay_shallow", weights="random", backend="torch")
        >>> tuned = network.trainable(["imnetds"])
        >>> [name for name, each in tuned.module.named_parameters() if each.requires_grad]
        ['tnn_model/imnetds/pre_1/weights', 'tnn_model/imnetds/pre_1/bias']
        """
        if layers is not None:
            if not isinstance(layers, Iterable):
                raise ConvRNNError(f"`layers={layers!r}`: expected names of layers.")
            layers = [layers] if isinstance(layers, str) else list(layers)
            for layer in layers:
                if layer not in self.layers:
                    raise unknown(f"layer of {self.name}", layer, self.layers)
            if not layers:
                raise ConvRNNError(f"no layers to train; {self.name} has {', '.join(self.layers)}.")
        copy = ConvRNN(self.model, self.weights, self.lesion, self.backend)
        copy._module = copy._as_module(trained_names(copy.weights.values, layers))
        return copy

    def frozen(self) -> ConvRNN:
        """The network with its present weights, which stay as they are."""
        if self._module is None:
            return self
        self._check_unhooked("a Brain-Score subject")
        return ConvRNN(self.model, self.weights, self.lesion, self.backend)

    def _lesioned(self) -> str:
        return f", without {self.lesion}" if self.lesion else ""

    @property
    def hooked(self) -> list[str]:
        """The layers of the module whose outputs hooks may change."""
        return self._module.hooked() if self._module is not None else []

    def _hooks(self) -> str:
        """What labels say of hooks, which change outputs."""
        return f", hooks on {', '.join(self.hooked)}" if self.hooked else ""

    def _check_unhooked(self, what: str) -> None:
        if self._hooks():
            raise ConvRNNError(
                f"{what} would lose the forward{self._hooks().lstrip(',')}: remove them, or give a "
                "`lesion=…`."
            )

    def _as_module(self, trained: Collection[str] | None) -> Any:
        if self.backend.name == "torch":
            from convrnns_brainscore.networks.torch_module import Module
        else:
            from convrnns_brainscore.networks.tensorflow_module import Module
        return Module(self.model, self._weights.values, self.backend, self.lesion, trained)

    def save(self, path: str | PathLike[str]) -> None:
        """Write the variables' present values to a ``.safetensors``.

        ``load_network(name, checkpoint=path)`` reads it, with what the weights are called.

        Warns
        -----
        UserWarning
            The network has a lesion, which is not stored.

        Raises
        ------
        ConvRNNError
            Another suffix; NaN or infinite values; the file cannot be written.
        """
        if not isinstance(path, str | PathLike) or Path(path).suffix != ".safetensors":
            raise ConvRNNError(f"{path}: expected a file name that ends in .safetensors.")
        path = Path(path)
        check_folder_of(path)
        self._check_unhooked("a saved network")
        if self.lesion:
            warnings.warn(
                f"{path} does not hold the lesion ({self.lesion}): give `lesion=…` again when you "
                "load it.",
                stacklevel=2,
            )
        write_safetensors(path, self.name, self.weights.values, self.weights.history())

    def __repr__(self) -> str:
        try:
            return f"<ConvRNN {self.name} ({self.label})>"
        except ConvRNNError:  # a debugger shows it, whatever training made of it
            return f"<ConvRNN {self.name} (with NaN or infinite weights)>"

    def _repr_html_(self) -> str:
        first = [MS_PER_STEP * self.first_step(layer) for layer in self.layers]
        table = pd.DataFrame(
            {
                "layer": self.layers,
                "shape": [" × ".join(map(str, self.output_shape(each))) for each in self.layers],
                "from (ms)": first,
            }
        )
        return f"<p>{escape(repr(self))}</p>{table.to_html(index=False)}"

    @property
    def label(self) -> str:
        """Its weights, lesion and precision in short, for titles and tables: ``untrained, seed
        0``."""
        precision = "" if self.precision == PrecisionName.float32 else f", in {self.precision}"
        return f"{self.weights.label}{self._hooks()}{self._lesioned()}{precision}"

    @property
    def precision(self) -> str:
        """The precision of convolutions and matrix products (`load_network`)."""
        return self._backend.precision

    @property
    def name(self) -> str:
        """The model's name in the zoo."""
        return self.model.name

    @property
    def layers(self) -> list[str]:
        """The layers' names, from the image on; ``imnetds`` is the readout."""
        return backbones.layer_names(self.model)

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
        if self.lesion:
            self.lesion.check_within(presentation.times)

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
        images: ArrayLike | Shown,
        layers: str | Iterable[str],
        presentation: Presentation | None = None,
        all_times: bool = False,
    ) -> dict[str, NDArray[np.float32]]:
        """The outputs of ``layers`` over time.

        Parameters
        ----------
        images : float32 array-like [batch, 224, 224, 3] or [batch, step, 224, 224, 3], or Shown
            Normalised (`convrnns_brainscore.images`); with an axis of steps, what each step shows.
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
        if not isinstance(images, Shown) and np.ndim(in_main_memory(images)) == 5:
            frames = np.asarray(in_main_memory(images))
            if presentation is not None:
                raise ConvRNNError(
                    "images with a step axis already state what each step shows: omit "
                    "`presentation=…`."
                )
            presentation = Presentation.stream(frames.shape[1])
            flat = check_normalised(frames.reshape(-1, *frames.shape[2:]))
            images = Shown.of_steps(flat.reshape(frames.shape))
        presentation = as_presentation(presentation, Presentation.default(self.name))
        self.check_lesion(presentation)
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        asked = {layer: single(each) for layer, each in steps.items()}
        return self.averages(images, asked, presentation)

    def __call__(
        self,
        images: Any,
        layers: str | Iterable[str] | None = None,
        presentation: Presentation | None = None,
        all_times: bool = False,
        *,
        channels_first: bool = False,
    ) -> dict[str, Tensor]:
        """As `unroll`, in tensors of the network's backend: differentiable with respect to
        ``images``, where these are tensors of the same library.

        Parameters
        ----------
        images : float32 array-like [batch, 224, 224, 3] or tensor of either library
            Normalised.
        layers : str or iterable of str, optional
            None: all.
        presentation, all_times
            As in `unroll`.
        channels_first : bool, default False
            Images are [batch, 3, 224, 224].

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
        self.check_lesion(presentation)
        layers = self.layers if layers is None else layers
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        images = as_images(images, self.backend, channels_first=channels_first)
        outputs = self.weighted_averages(
            images, {layer: single(steps[layer]) for layer in steps}, presentation
        )
        return {
            layer: stack([repeated(output, images) for output in outputs[layer]]) for layer in steps
        }

    def features(
        self,
        images: Any,
        layers: str | Iterable[str],
        presentation: Presentation | None = None,
        all_times: bool = False,
        *,
        batch_size: int = BATCH_SIZE,
        channels_first: bool = False,
    ) -> Iterator[dict[str, NDArray[np.float32]]]:
        """As `unroll`, batch by batch, of images from a pipeline of one's own.

        Nothing is written to disk, and one batch at a time is in memory.

        Parameters
        ----------
        images : DataFrame, path, array, or iterable of images or batches
            As `image_batches.image_batches` takes them: a table of files, normalised images, a
            PyTorch ``DataLoader``, a ``tf.data.Dataset``.
        layers, presentation, all_times
            As in `unroll`.
        batch_size : int, default BATCH_SIZE
            Images in a batch, where ``images`` does not give batches.
        channels_first : bool, default False
            Images are [3, 224, 224].

        Yields
        ------
        dict
            Layer → float32 [batch, step, …].

        Raises
        ------
        ConvRNNError
            As `unroll` and `image_batches.image_batches`.

        Examples
        --------
        >>> network = load_network("timedecay_shallow", weights="random")
        >>> loader = [(np.zeros((2, 3, 224, 224), np.float32), ["face", "house"])]
        >>> for found in network.features(loader, "conv5", channels_first=True):
        ...     print(found["conv5"].shape)
        (2, 11, 4, 4, 512)
        """
        images = table_of(images)
        default = Presentation.default(self.name)
        if isinstance(images, pd.DataFrame):
            presentation = presentation_of(images, presentation, default)
        presentation = as_presentation(presentation, default)
        self.check_lesion(presentation)
        steps = backbones.reported_steps(self.model, layers, presentation.times, all_times)
        for batch in image_batches(
            images, batch_size, channels_first=channels_first, off=presentation.fixed_frames[0]
        ):
            yield self.unroll(batch, list(steps), presentation, all_times)

    def averages(
        self,
        images: ArrayLike | Shown,
        asked: Mapping[str, Sequence[Average]],
        presentation: Presentation,
    ) -> dict[str, NDArray[np.float32]]:
        """Weighted averages over steps of the outputs of layers.

        All is one graph, which is made at the first call for the same ``asked`` and the same times
        of ``presentation``, and serves every batch size.

        Parameters
        ----------
        images : float32 array-like [batch, 224, 224, 3], or Shown
            Normalised; or what a batch shows over time.
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
        if not isinstance(images, Shown):
            images = check_normalised(in_main_memory(images))
        arrays = {
            layer: np.empty((len(images), len(each), *self.output_shape(layer)), np.float32)
            for layer, each in asked.items()
        }
        if isinstance(images, Shown):
            for layer, index, average in self.averages_over_time(images, asked):
                arrays[layer][:, index] = average
            return arrays
        with self.backend.no_gradients():
            outputs = self.weighted_averages(self.backend.tensor(images), asked, presentation)
        for layer, array in arrays.items():
            for index, output in enumerate(outputs[layer]):
                array[:, index] = to_numpy(output)
        return arrays

    def averages_over_time(
        self, shown: Shown, asked: Mapping[str, Sequence[Average]]
    ) -> Iterator[tuple[str, int, NDArray[np.float32]]]:
        """As `averages`, of what a batch shows over time: each average as soon as it is there.

        Memory does not grow with the number of steps.

        Yields
        ------
        layer, index, average
            The average's position in ``asked[layer]``; float32 [batch, …].
        """
        steps = {layer: sorted(each) for layer, each in steps_in(asked).items()}
        found = averaged(self.watch(shown, steps), asked)
        while True:
            with self.backend.no_gradients():  # not while the caller holds what was yielded
                item = next(found, None)
            if item is None:
                return
            layer, index, output = item
            shape = len(shown), *self.output_shape(layer)
            yield layer, index, np.broadcast_to(to_numpy(output), shape)

    def weighted_averages(
        self, images: Tensor, asked: Mapping[str, Sequence[Average]], presentation: Presentation
    ) -> dict[str, list[Tensor]]:
        """As `averages`, in tensors of the network's backend, without a look at the pixels.

        Gradients flow to ``images``, where these are tensors of that library.

        Parameters
        ----------
        images : tensor [batch, 224, 224, 3]
            Normalised.
        asked, presentation
            As in `averages`.

        Returns
        -------
        dict
            Layer → tensors, one for each average: [batch, …], or [1, …] where all images give the
            same.
        """
        self._check_finite()
        key = tuple((layer, tuple(averages)) for layer, averages in asked.items())
        last = max(step for _, averages in key for average in averages for step, _ in average)
        graph = self._graph(key, tuple(map(presentation.frame_at, range(last + 1))))
        return graph(images, *map(self.backend.tensor, presentation.fixed_frames))

    def _trace(
        self, asked: tuple[tuple[str, tuple[Average, ...]], ...], schedule: tuple[int, ...]
    ) -> Callable[..., dict[str, list[Tensor]]]:
        """Images and the presentation's own frames → each layer's averages."""

        def graph(*frames: Tensor) -> dict[str, list[Tensor]]:
            built = self._built()
            with built.backend.in_precision():  # a module may have moved to another device
                return built.averages(frames, schedule, dict(asked))

        return self.backend.compiled(graph)

    def _built(self) -> Forward:
        return self._forward if self._module is None else self._module.built()

    def _check_finite(self) -> None:
        # Max pooling would turn NaN into large finite numbers that look like activations.
        if self._module is not None:
            self._module.check_finite()

    def watch(
        self, shown: Callable[[int], NDArray[np.float32]], steps: Mapping[str, Sequence[int]]
    ) -> Iterator[tuple[str, int, Tensor]]:
        """The outputs of the asked ``steps`` of anything that is shown over time, as they are made;
        memory holds one step.

        Parameters
        ----------
        shown : callable
            What a step shows, float32 [batch or 1, 224, 224, 3]: the same array while it stays.
        steps : mapping of str to sequence of int
            Layer → steps.

        Yields
        ------
        layer, step, output
            The backend's tensor [batch, …], or [1, …] where every image gives the same.

        Raises
        ------
        ConvRNNError
            At the first step: a variable contains NaN, or is not float32.
        """
        self._check_finite()
        last: tuple[Any, Any] = None, None

        def stimulus(step: int) -> Tensor:
            nonlocal last
            frame = shown(step)
            if frame is not last[0]:
                last = frame, self.backend.tensor(frame)
            return last[1]

        built = self._built()
        found = built.run(stimulus, steps)
        while True:
            # A module's parts are not compiled in the precision; those of other networks are.
            with built.backend.in_precision() if self._module is not None else nullcontext():
                item = next(found, None)
            if item is None:
                return
            yield item

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
        self.check_lesion(presentation)
        steps = single(decoded_steps(self.model, presentation))
        readouts = self.averages(images, {backbones.READOUT: steps}, presentation)
        with self.backend.no_gradients():
            decoder = self._built().decoder
            return to_numpy(decoder(self.backend.tensor(readouts[backbones.READOUT])))

    def describe(self) -> dict[str, Any]:
        """The model, its weights, its lesion and, unless it is float32, its precision, for
        provenance."""
        lesion = "none" if self.lesion is None else str(self.lesion)
        described = self.weights.describe()
        described["weights"] += self._hooks()
        exact = self.precision == PrecisionName.float32
        precision = {} if exact else {"precision": self.precision}
        return {"model": self.name, **described, "lesion": lesion, **precision}


def as_torch(network: ConvRNN) -> Any:
    """A copy of a network on either backend as a torch.nn.Module on the CPU."""
    from convrnns_brainscore.networks.torch_module import Module

    cpu = open_backend(BackendName.torch, "cpu")
    return Module(network.model, network.weights.values, cpu, network.lesion)


def _rebuilt(
    model: Model,
    weights: Weights,
    lesion: Lesion | None,
    backend: Backend,
    trained: Collection[str] | None,
) -> ConvRNN:
    check_process()
    network = ConvRNN(model, weights, lesion, backend)
    if trained is not None:
        network._module = network._as_module(trained)
    return network

"""A network as a TensorFlow module: `ConvRNN.module`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import tensorflow as tf
from numpy.typing import NDArray

from convrnns_brainscore.networks.backend import Backend, check_process
from convrnns_brainscore.networks.forward import Forward
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.networks.operations import Tensor
from convrnns_brainscore.networks.trainable import PREFIX, not_finite, trained_names, trains
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.zoo import Model


class Module(tf.Module):  # type: ignore[misc]
    """The variables under their checkpoint's names, and the forward pass of their present values.

    ``module(images)`` gives logits [batch, 1000] of normalised images [batch, 224, 224, 3], or
    [batch, 3, 224, 224].
    A variable that training cannot change is a constant (`trainable.trains`).
    """

    def __init__(
        self,
        model: Model,
        values: Mapping[str, NDArray[Any]],
        backend: Backend,
        lesion: Lesion | None = None,
        trained: Collection[str] | None = None,
    ) -> None:
        super().__init__(model.name)
        self.model, self.lesion, self.backend = model, lesion, backend
        trained = trained_names(values) if trained is None else trained
        self.by_name = {
            name: tf.Variable(value, name in trained, name=name)
            if trains(name, value)
            else tf.constant(value)
            for name, value in values.items()
        }

    def built(self) -> Forward:
        """The network of the variables' present values."""
        return Forward(self.model, self._variable, self.backend, self.lesion)

    def __call__(self, images: Any, presentation: Presentation | None = None) -> Tensor:
        """Logits [batch, 1000]; ``presentation``: as the model was trained, unless given."""
        check_process()
        shown = as_presentation(presentation, Presentation.default(self.model.name))
        with self.backend.in_precision():
            return self.built().logits(images, shown)

    def hooked(self) -> list[str]:
        """None: TensorFlow's modules have no hooks."""
        return []

    def check_finite(self) -> None:
        """Raise where a variable contains NaN or infinite values."""
        for name, value in self.by_name.items():
            if not tf.reduce_all(tf.math.is_finite(value)):
                raise not_finite(name)

    def trained(self) -> set[str]:
        """The names of the variables that training changes."""
        return {name for name, value in self.by_name.items() if getattr(value, "trainable", False)}

    def values(self) -> dict[str, NDArray[Any]]:
        """Each variable's present value."""
        return {name: value.numpy() for name, value in self.by_name.items()}

    def _variable(self, name: str, shape: tuple[int, ...]) -> Tensor:
        return tf.convert_to_tensor(self.by_name[PREFIX + name])

"""A network as a PyTorch module: `ConvRNN.module`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import torch
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks import backbones
from convrnns_brainscore.networks.backend import Backend, check_process
from convrnns_brainscore.networks.backends import open_backend
from convrnns_brainscore.networks.forward import Forward
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.networks.operations import Tensor
from convrnns_brainscore.networks.torch_backend import in_memory
from convrnns_brainscore.networks.trainable import PREFIX, not_finite, trained_names
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.zoo import Model


class Module(torch.nn.Module):
    """The variables under their checkpoint's names, and the forward pass of their present values.

    ``module(images)`` gives logits [batch, 1000] of normalised images [batch, 224, 224, 3], or
    [batch, 3, 224, 224]. Each layer's output of each step passes the submodule of the layer's name,
    so that a forward hook there sees or replaces it.
    """

    def __init__(
        self,
        model: Model,
        values: Mapping[str, NDArray[Any]],
        backend: Backend,
        lesion: Lesion | None = None,
        trained: Collection[str] | None = None,
    ) -> None:
        super().__init__()
        self.model, self.lesion, self.precision = model, lesion, backend.precision
        trained = trained_names(values) if trained is None else trained
        for name, value in values.items():
            with torch.inference_mode(False):
                tensor = torch.tensor(value, dtype=torch.float32, device=backend.device)
            self.register_parameter(name, torch.nn.Parameter(tensor, name in trained))
        for layer in backbones.layer_names(model):
            self.add_module(layer, torch.nn.Identity())

    def built(self) -> Forward:
        """The network of the variables' present values, where they now are."""
        first = next(self.parameters())
        if first.dtype != torch.float32:
            raise ConvRNNError(
                f"the module's parameters are {first.dtype}; the networks compute in float32. Give "
                "module.float()."
            )
        backend = open_backend("torch", str(first.device), self.precision)
        return Forward(self.model, self._variable, backend, self.lesion, observed=self._observed)

    def forward(self, images: Any, presentation: Presentation | None = None) -> Tensor:
        """Logits [batch, 1000]; ``presentation``: as the model was trained, unless given."""
        check_process()
        shown = as_presentation(presentation, Presentation.default(self.model.name))
        built = self.built()
        with built.backend.in_precision():
            return built.logits(images, shown)

    def hooked(self) -> list[str]:
        """The layers with forward hooks, or with modules of the user's in their place."""
        names = backbones.layer_names(self.model)
        return [name for name in names if _changes(self.get_submodule(name))]

    def check_finite(self) -> None:
        """Raise where a variable contains NaN or infinite values."""
        for name, value in self.named_parameters():
            if not torch.isfinite(value).all():
                raise not_finite(name)

    def trained(self) -> set[str]:
        """The names of the variables that training changes."""
        return {name for name, value in self.named_parameters() if value.requires_grad}

    def values(self) -> dict[str, NDArray[Any]]:
        """Each variable's present value."""
        return {
            name: value.detach().cpu().float().numpy() for name, value in self.named_parameters()
        }

    def _variable(self, name: str, shape: tuple[int, ...]) -> Tensor:
        # By attribute, where torch.func.functional_call puts its tensors.
        return in_memory(getattr(self, PREFIX + name))

    def _observed(self, layer: str, output: Tensor) -> Tensor:
        observer = self.get_submodule(layer)
        # The unrolling gives the same tensor again, which a hook may change in place.
        return observer(output.clone() if _changes(observer) else output)


def _changes(observer: torch.nn.Module) -> bool:
    """Whether what stands for a layer's output can change it."""
    hooked = observer._forward_hooks or observer._forward_pre_hooks
    return bool(hooked) or type(observer) is not torch.nn.Identity

"""The 20 published ConvRNNs of Nayebi et al. (2022) for Brain-Score and your own recordings."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from convrnns_brainscore.brain_model import load_brain_model
    from convrnns_brainscore.convrnn import ConvRNN, load_network
    from convrnns_brainscore.errors import ConvRNNError
    from convrnns_brainscore.networks.lesions import Lesion
    from convrnns_brainscore.presentation import Presentation
    from convrnns_brainscore.zoo import list_models

__version__ = "0.1.0"
__all__ = [
    "ConvRNN",
    "ConvRNNError",
    "Lesion",
    "Presentation",
    "list_models",
    "load_brain_model",
    "load_network",
]

_HOMES = {
    "ConvRNN": "convrnn",
    "ConvRNNError": "errors",
    "Lesion": "networks.lesions",
    "Presentation": "presentation",
    "list_models": "zoo",
    "load_brain_model": "brain_model",
    "load_network": "convrnn",
}


def __getattr__(name: str) -> Any:
    # TensorFlow and Brain-Score take seconds to import; who asks for a model's name need not wait.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

"""The 20 published ConvRNNs of Nayebi et al. (2022) for Brain-Score and your own recordings."""

from __future__ import annotations

import logging
from importlib import import_module
from typing import TYPE_CHECKING, Any

from convrnns_brainscore._version import __version__

if TYPE_CHECKING:
    from convrnns_brainscore.brainscore.brain_model import load_brain_model
    from convrnns_brainscore.brainscore.scoring import score
    from convrnns_brainscore.brainscore.simulate import simulate_recording
    from convrnns_brainscore.convrnn import ConvRNN, load_network
    from convrnns_brainscore.errors import ConvRNNError
    from convrnns_brainscore.features import extract, features_in_memory
    from convrnns_brainscore.fits.fit import fit_recording
    from convrnns_brainscore.networks.lesions import Lesion
    from convrnns_brainscore.presentation import Presentation
    from convrnns_brainscore.recording_arrays import recording_from_arrays
    from convrnns_brainscore.recording_files import read_recording
    from convrnns_brainscore.zoo import list_models

__all__ = [
    "ConvRNN",
    "ConvRNNError",
    "Lesion",
    "Presentation",
    "__version__",
    "extract",
    "features_in_memory",
    "fit_recording",
    "list_models",
    "load_brain_model",
    "load_network",
    "read_recording",
    "recording_from_arrays",
    "score",
    "simulate_recording",
]

_HOMES = {
    "ConvRNN": "convrnn",
    "ConvRNNError": "errors",
    "Lesion": "networks.lesions",
    "Presentation": "presentation",
    "extract": "features",
    "features_in_memory": "features",
    "fit_recording": "fits.fit",
    "list_models": "zoo",
    "load_brain_model": "brainscore.brain_model",
    "load_network": "convrnn",
    "read_recording": "recording_files",
    "recording_from_arrays": "recording_arrays",
    "score": "brainscore.scoring",
    "simulate_recording": "brainscore.simulate",
}

# Silent unless a program asks for our messages, as libraries are.
logging.getLogger(__name__).addHandler(logging.NullHandler())


def __getattr__(name: str) -> Any:
    # TensorFlow and Brain-Score take seconds to import; who asks for a model's name need not wait.
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOMES])

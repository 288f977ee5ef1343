"""Backends by their names: `open_backend`."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec

from convrnns_brainscore.choices import BackendName, parse_choice
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.backend import Backend, check_process, started

INSTALL = {"tensorflow": "pip install tensorflow", "torch": "pip install 'torch>=2.9' safetensors"}


@lru_cache
def open_backend(name: str = BackendName.tensorflow, device: str | None = None) -> Backend:
    """The backend of a name on a device.

    Parameters
    ----------
    name : str, default "tensorflow"
        ``"tensorflow"`` or ``"torch"``.
    device : str, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or, with PyTorch, ``"mps"``. None: a GPU of CUDA or ROCm
        where there is one, else the CPU.

    Raises
    ------
    ConvRNNError
        Unknown name; the library is not installed, or cannot be imported; there is no such device.

    Examples
    --------
    >>> open_backend("torch", "cpu").device
    'cpu'
    """
    name = str(parse_choice("backend", name, BackendName))
    check_process()
    if find_spec(name) is None:
        raise ConvRNNError(
            f"`backend={name}`: it is not installed here. Install it ({INSTALL[name]}), or choose "
            "the other of tensorflow and torch."
        )
    try:
        if name == "torch":
            from convrnns_brainscore.networks.torch_backend import PyTorch as Chosen
        else:
            from convrnns_brainscore.networks.tensorflow_backend import (  # type: ignore[assignment]
                TensorFlow as Chosen,
            )
    except ImportError as error:
        raise ConvRNNError(f"`backend={name}` cannot be imported: {error}") from error
    started()
    return Chosen(device)

"""Backends by their names: `open_backend`."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from typing import Any

from convrnns_brainscore.choices import BackendName, PrecisionName, parse_choice
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.backend import Backend, check_process, started
from convrnns_brainscore.threads import wait_briefly

INSTALL = {"tensorflow": "pip install tensorflow", "torch": "pip install 'torch>=2.9' safetensors"}


def open_backend(
    name: str = BackendName.tensorflow,
    device: Any = None,
    precision: str = PrecisionName.float32,
) -> Backend:
    """The backend of a name on a device.

    Parameters
    ----------
    name : str, default "tensorflow"
        ``"tensorflow"`` or ``"torch"``.
    device : str, int or torch.device, optional
        ``"cpu"``, ``"cuda"``, ``"cuda:1"`` or, with PyTorch, ``"mps"``; a number is that of a GPU.
        None: a GPU of CUDA or ROCm where there is one, else the CPU.
    precision : {'float32', 'tf32', 'bfloat16'}, default 'float32'
        As in `load_network`.

    Raises
    ------
    ConvRNNError
        Unknown name; the library is not installed, or cannot be imported; there is no such device;
        the library or the device does not have the precision.

    Examples
    --------
    >>> open_backend("torch", "cpu").device
    'cpu'
    """
    name = str(parse_choice("backend", str(name), BackendName))
    precision = str(parse_choice("precision", str(precision), PrecisionName))
    check_process()
    if isinstance(device, int) and not isinstance(device, bool):
        device = f"cuda:{device}"
    return _opened(name, None if device is None else str(device).lower(), precision)


@lru_cache
def _opened(name: str, device: str | None, precision: str) -> Backend:
    if find_spec(name) is None:
        raise ConvRNNError(
            f"`backend={name}`: not installed. Install it ({INSTALL[name]}), or give "
            f"`backend={'tensorflow' if name == 'torch' else 'torch'}`."
        )
    try:
        if name == "torch":
            wait_briefly()
            from convrnns_brainscore.networks.torch_backend import PyTorch as Chosen
        else:
            from convrnns_brainscore.networks.tensorflow_backend import (  # type: ignore[assignment]
                TensorFlow as Chosen,
            )
    except ImportError as error:
        raise ConvRNNError(f"`backend={name}` cannot be imported: {error}") from error
    started()
    return Chosen(device, precision)

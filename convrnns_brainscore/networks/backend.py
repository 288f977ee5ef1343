"""Where a network runs: a library, TensorFlow or PyTorch, and a device.

A `Backend` makes tensors and compiles functions of them; `operations` has what is computed with
them. Backends are independent of each other: networks on either run side by side in one process.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from convrnns_brainscore.choices import PrecisionName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.operations import Tensor, library

Function = TypeVar("Function", bound=Callable[..., Any])


class Backend(ABC):
    """A library on a device.

    Attributes
    ----------
    name : str
        ``"tensorflow"`` or ``"torch"``.
    device : str
        ``"cpu"``, ``"cuda:0"``, ``"mps"``; empty where the library chooses (TensorFlow).
    precision : str
        ``"float32"``, ``"tf32"`` or ``"bfloat16"``: the precision of convolutions and matrix
        products, and with ``"bfloat16"`` partly of what follows them. Every output is in float32.
    """

    name: str
    device: str
    precision: str

    @property
    def version(self) -> str:
        """The library, its version, and each of device and precision that is not the CPU or
        float32: ``tensorflow 2.21.0``, ``torch 2.11.0 (cuda:0, bfloat16)``."""
        on = "" if self.device == "cpu" else self.device
        precision = "" if self.precision == PrecisionName.float32 else self.precision
        named = ", ".join(filter(None, (on, precision)))
        return f"{self.name} {self._version}{f' ({named})' if named else ''}"

    @property
    @abstractmethod
    def _version(self) -> str:
        """The library's version."""

    @abstractmethod
    def threads(self) -> int:
        """The number of threads that one operation on the CPU uses."""

    @abstractmethod
    def free_memory(self) -> int | None:
        """Bytes that are free on the GPU; None on the CPU, or where the library does not tell."""

    @abstractmethod
    def tensor(self, array: ArrayLike | Tensor) -> Tensor:
        """A float32 tensor on the device."""

    @abstractmethod
    def variable(self, array: ArrayLike) -> Tensor:
        """The value of a variable as a tensor, which lies in memory as operations read it."""

    @abstractmethod
    def zeros(self, shape: tuple[int, ...]) -> Tensor:
        """Zeros [1, …], one image standing for all."""

    @abstractmethod
    def in_precision(self) -> AbstractContextManager[Any]:
        """While it is entered, the library computes in `precision`, whatever the user's settings
        are."""

    @abstractmethod
    def no_gradients(self) -> AbstractContextManager[Any]:
        """While it is entered, nothing is kept for gradients."""

    @abstractmethod
    def compiled(self, function: Function) -> Function:
        """``function`` of tensors in `precision`, without gradients of variables.

        TensorFlow: as one graph, which is made at the first call with as many arguments and serves
        every batch size. Tensors that the function closes over become the graph's inputs, so
        weights are not copied into it, and nothing lives in TensorFlow's default graph.
        """

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.device, self.precision)


_processes: set[int] = set()
"""The processes, this one and those that it was forked from, in which a backend has started."""


def started() -> None:
    """Note that a backend has started in this process."""
    _processes.add(os.getpid())


def check_process() -> None:
    """Refuse to compute in a process forked from one in which a backend had started: it would hang.

    Raises
    ------
    ConvRNNError
        It is such a process.
    """
    if _processes and os.getpid() not in _processes:
        raise ConvRNNError(
            "this process was forked from one that had loaded a network, whose threads are gone. "
            "Start processes with multiprocessing.get_context('spawn')."
        )


def no_such_device(device: object, there: list[str]) -> ConvRNNError:
    """The error for a device that is not there."""
    return ConvRNNError(
        f"`device={device}`: there is no such device; this machine has {', '.join(there)}."
    )


def no_tf32(library: str) -> ConvRNNError:
    """The error for TF32 where the device does not have it."""
    return ConvRNNError(
        f"`precision=tf32`: {library} supports TF32 only on NVIDIA GPUs from Ampere on, and the "
        "network would run on another device. Give `precision=float32`, or another `device=…`."
    )


def in_main_memory(tensor: Tensor) -> Any:
    """A tensor of PyTorch without its device and gradient, bfloat16 as float32; anything else as
    it is."""
    if library(tensor) == "torch":
        tensor = tensor.detach().cpu()
    if "bfloat16" in str(getattr(tensor, "dtype", "")):
        tensor = tensor.float() if library(tensor) == "torch" else np.asarray(tensor, np.float32)
    return tensor


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """A tensor of either library as a float32 array in main memory."""
    return np.asarray(in_main_memory(tensor), np.float32)

"""PyTorch: its devices and its settings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from typing import Any

import numpy as np
import torch

if "tensorflow" not in sys.modules:
    # As in `tensorflow_backend`: Brain-Score's ost metric imports TensorFlow later.
    with suppress(ImportError):
        import triton  # noqa: F401
from numpy.typing import ArrayLike

from convrnns_brainscore.networks.backend import (
    Backend,
    Function,
    check_process,
    no_such_device,
    to_numpy,
)
from convrnns_brainscore.networks.operations import Tensor, library
from convrnns_brainscore.networks.process_setting import While


class PyTorch(Backend):
    """PyTorch on a device: CUDA's or ROCm's first GPU unless one is named, else the CPU."""

    name = "torch"

    def __init__(self, device: str | None = None) -> None:
        named = device or ("cuda" if _gpus() else "cpu")
        there = devices()
        try:
            found = torch.device(named)
        except RuntimeError:
            raise no_such_device(device, there) from None
        if found.type == "cuda" and found.index is None:
            found = torch.device("cuda", 0)
        if found.type in ("cpu", "mps") and found.index:
            raise no_such_device(device, there)
        self.device = found.type if found.type in ("cpu", "mps") else str(found)
        if self.device not in there:
            raise no_such_device(device, there)

    @property
    def version(self) -> str:
        on = "" if self.device == "cpu" else f" ({self.device})"
        return f"torch {torch.__version__}{on}"

    def threads(self) -> int:
        """Set by ``OMP_NUM_THREADS``."""
        return torch.get_num_threads()

    def tensor(self, array: ArrayLike | Tensor) -> torch.Tensor:
        if library(array) == "tensorflow":
            array = to_numpy(array)
        if isinstance(array, np.ndarray) and not (array.flags.writeable and array.flags.owndata):
            array = array.copy()
        return torch.as_tensor(array, dtype=torch.float32, device=self.device)

    def variable(self, array: ArrayLike) -> torch.Tensor:
        with torch.inference_mode(False):  # gradients may be asked for later
            return in_memory(self.tensor(array))

    def zeros(self, shape: tuple[int, ...]) -> torch.Tensor:
        first, *rest, channels = shape
        zeros = torch.zeros((first, channels, *rest), dtype=torch.float32, device=self.device)
        return zeros.movedim(1, -1)

    @contextmanager
    def in_float32(self) -> Iterator[None]:
        with exact, torch.autocast(self.device.split(":")[0], enabled=False):
            yield

    def no_gradients(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    def compiled(self, function: Function) -> Function:
        def call(*arguments: Any) -> Any:
            check_process()
            with self.in_float32():
                return function(*arguments)

        return call  # type: ignore[return-value]


def in_memory(tensor: torch.Tensor) -> torch.Tensor:
    """A variable with its channels first in memory: kernels [out, in, height, width], peepholes
    [channel, height, width]."""
    if tensor.ndim == 4:
        return tensor.permute(3, 2, 0, 1).contiguous().permute(2, 3, 1, 0)
    if tensor.ndim == 3:
        return tensor.permute(2, 0, 1).contiguous().permute(1, 2, 0)
    return tensor


def devices() -> list[str]:
    """The devices of this machine that PyTorch can use."""
    there = ["cpu"] + [f"cuda:{index}" for index in range(_gpus())]
    return there + (["mps"] if torch.backends.mps.is_available() else [])


def _gpus() -> int:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that CUDA cannot start is said where a GPU is asked for
        return torch.cuda.device_count() if torch.cuda.is_available() else 0


@contextmanager
def _no_tf32() -> Iterator[None]:
    """Neither TF32 nor bfloat16 within products and convolutions, which err by 3e-4 and more."""
    settings: tuple[Any, ...] = (
        torch.backends.cudnn.conv, torch.backends.cuda.matmul,  # type: ignore[attr-defined]
        torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )  # fmt: skip
    before = [setting.fp32_precision for setting in settings]
    try:
        for setting in settings:
            setting.fp32_precision = "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


exact = While(_no_tf32)
"""While it is entered, float32 is float32; then PyTorch's settings are as they were before."""

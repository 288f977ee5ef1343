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

from convrnns_brainscore.choices import PrecisionName
from convrnns_brainscore.networks.backend import (
    Backend,
    Function,
    check_process,
    no_such_device,
    no_tf32,
    to_numpy,
)
from convrnns_brainscore.networks.operations import Tensor, library
from convrnns_brainscore.networks.process_setting import ProcessSetting


class PyTorch(Backend):
    """PyTorch on a device: CUDA's or ROCm's first GPU unless one is named, else the CPU."""

    name = "torch"

    def __init__(self, device: str | None = None, precision: str = PrecisionName.float32) -> None:
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
        if precision == PrecisionName.tf32 and not _has_tf32(found):
            raise no_tf32("PyTorch")
        self.precision = precision

    @property
    def _version(self) -> str:
        return str(torch.__version__)

    def threads(self) -> int:
        """Set by ``OMP_NUM_THREADS``."""
        return torch.get_num_threads()

    def free_memory(self) -> int | None:
        if not self.device.startswith("cuda"):
            return None
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(torch.cuda.mem_get_info(self.device)[0] + kept)

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
    def in_precision(self) -> Iterator[None]:
        kind = self.device.split(":")[0]
        with (
            products(tf32=self.precision == PrecisionName.tf32),
            torch.autocast(kind, torch.bfloat16, self.precision == PrecisionName.bfloat16),
        ):
            yield

    def no_gradients(self) -> AbstractContextManager[Any]:
        return torch.no_grad()

    def compiled(self, function: Function) -> Function:
        def call(*arguments: Any) -> Any:
            check_process()
            with self.in_precision():
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


def _has_tf32(device: torch.device) -> bool:
    if device.type != "cuda" or torch.version.cuda is None:  # ROCm's GPUs are "cuda", too
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0)


@contextmanager
def _products_in(*, tf32: bool) -> Iterator[None]:
    """TF32 within products and convolutions of float32 on GPUs, which errs by 3e-4, or neither it
    nor bfloat16, anywhere."""
    settings: tuple[Any, ...] = (
        torch.backends.cudnn.conv, torch.backends.cuda.matmul,  # type: ignore[attr-defined]
        torch.backends.mkldnn.conv, torch.backends.mkldnn.matmul,  # type: ignore[attr-defined]
    )  # fmt: skip
    before = [setting.fp32_precision for setting in settings]
    try:
        for index, setting in enumerate(settings):
            setting.fp32_precision = "tf32" if tf32 and index < 2 else "ieee"
        yield
    finally:
        for setting, value in zip(settings, before, strict=True):
            setting.fp32_precision = value


products = ProcessSetting(_products_in)
"""While it is entered, with TF32 or without; then PyTorch's settings are as they were before."""

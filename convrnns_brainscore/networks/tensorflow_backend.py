"""TensorFlow: its start, its devices and its graphs."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from typing import Any

from numpy.typing import ArrayLike

if "tensorflow" not in sys.modules:
    # TensorFlow and Triton, which PyTorch's CUDA builds bring, hold an LLVM each: the process
    # aborts where Triton comes second, as by `import torchvision` after TensorFlow.
    with suppress(ImportError):
        import triton  # noqa: F401
import tensorflow as tf

from convrnns_brainscore.choices import PrecisionName
from convrnns_brainscore.errors import ConvRNNError
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


class TensorFlow(Backend):
    """TensorFlow on a device; its own choice unless one is named.

    It would take all of a GPU's memory at its first touch; it is told to take what it needs, so
    that PyTorch, which Brain-Score loads, finds some left.
    """

    name = "tensorflow"

    def __init__(self, device: str | None = None, precision: str = PrecisionName.float32) -> None:
        if precision == PrecisionName.bfloat16:
            raise ConvRNNError("`precision=bfloat16` needs PyTorch: give `backend=torch`.")
        with suppress(RuntimeError):  # the user has started the GPUs, as it pleased them
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
        self.device, self._place = "", ""
        if device:
            found = re.fullmatch(r"(cpu|gpu|cuda)(?::(\d+))?", str(device))
            kind = "CPU" if device.startswith("cpu") else "GPU"
            there = tf.config.list_logical_devices()
            self._place = f"/device:{kind}:{found[2] or 0}" if found else ""
            if self._place not in [each.name for each in there]:
                kinds = [each.name.removeprefix("/device:").lower() for each in there]
                raise no_such_device(device, [each.replace("gpu", "cuda") for each in kinds])
            self.device = device.replace("gpu", "cuda")
        if precision == PrecisionName.tf32 and not _has_tf32(self._place):
            raise no_tf32("TensorFlow")
        self.precision = precision
        self.zeros((1,))  # finds the devices now instead of at the first image

    @property
    def _version(self) -> str:
        return str(tf.__version__)

    def threads(self) -> int:
        """Set by ``TF_NUM_INTRAOP_THREADS``."""
        asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
        return (
            tf.config.threading.get_intra_op_parallelism_threads()
            or (int(asked) if asked.isdigit() else 0)
            or (
                len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
            )
            or 1
        )

    def free_memory(self) -> None:
        """Not told: TensorFlow knows only what it has taken itself."""

    def _there(self) -> AbstractContextManager[Any]:
        return tf.device(self._place) if self._place else nullcontext()

    def tensor(self, array: ArrayLike | Tensor) -> tf.Tensor:
        if library(array) == "torch":
            array = to_numpy(array)
        with self._there():
            return tf.cast(tf.convert_to_tensor(array), tf.float32)

    def variable(self, array: ArrayLike) -> tf.Tensor:
        with tf.init_scope():  # outlives a graph that is being made
            return self.tensor(array)

    def zeros(self, shape: tuple[int, ...]) -> tf.Tensor:
        with self._there():
            return tf.zeros(shape)

    def in_precision(self) -> AbstractContextManager[Any]:
        return products(tf32=self.precision == PrecisionName.tf32)

    def no_gradients(self) -> AbstractContextManager[Any]:
        return nullcontext()  # a tape is the user's own

    def compiled(self, function: Function) -> Function:
        graphs: dict[int, Any] = {}  # with feedback and without

        def call(*arguments: Any) -> Any:
            check_process()
            with self.in_precision(), self._there():
                if len(arguments) not in graphs:
                    graphs[len(arguments)] = _graph(function, arguments)
                return graphs[len(arguments)](*tf.nest.flatten(arguments))

        return call  # type: ignore[return-value]


def _graph(function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    def any_batch(tensor: tf.Tensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    signature = tf.nest.map_structure(any_batch, arguments)
    with tf.init_scope():  # of its own, even where another graph is being made
        return tf.function(
            lambda *flat: function(*tf.nest.pack_sequence_as(signature, flat)), autograph=False
        ).get_concrete_function(*tf.nest.flatten(signature))


def _has_tf32(place: str) -> bool:
    """Whether the GPU at ``place``, the first one unless one is named, has TF32."""
    if "CPU" in place:
        return False
    index = int(place.rpartition(":")[2] or 0)
    for gpu in tf.config.list_physical_devices("GPU")[index : index + 1]:
        found = tf.config.experimental.get_device_details(gpu).get("compute_capability", (0, 0))
        return bool(found >= (8, 0))
    return False


@contextmanager
def _products_in(*, tf32: bool) -> Iterator[None]:
    """TF32 on GPUs, whose products and convolutions err by 3e-4, or none."""
    allowed = tf.config.experimental.tensor_float_32_execution_enabled()
    tf.config.experimental.enable_tensor_float_32_execution(tf32)
    try:
        yield
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(allowed)


products = ProcessSetting(_products_in)
"""While it is entered, with TF32 or without; then TensorFlow's setting is as it was before."""

"""Keras and its backends: the only module that imports them.

How a backend starts, how a function is compiled, and the operations that networks are written in.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError

if "tensorflow" not in sys.modules:
    # TensorFlow and Triton, which PyTorch's CUDA builds bring, hold an LLVM each: the process
    # aborts where Triton comes second, as by `import torchvision` after TensorFlow.
    with suppress(ImportError):
        import triton  # noqa: F401
import keras
from keras import ops as ops
from keras.backend import standardize_dtype as standardize_dtype
from keras.ops import elu as elu
from keras.ops import relu as relu
from keras.ops import sigmoid as sigmoid
from keras.ops import softmax as softmax
from keras.ops import tanh as tanh

Function = TypeVar("Function", bound=Callable[..., Any])
Tensor = Any
"""A tensor of the running backend: tf.Tensor or torch.Tensor."""


_started_in: int | None = None


def start() -> None:
    """Have the backend find its devices now instead of at the first tensor.

    TensorFlow would take all of a GPU's memory at its first touch; it is told to take what it
    needs, so that PyTorch, which Brain-Score loads, finds some left.

    Raises
    ------
    ConvRNNError
        As `check_process`.
    """
    global _started_in
    check_process()
    _started_in = os.getpid()
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        with suppress(RuntimeError):  # the user has started the GPUs, as it pleased them
            for gpu in tf.config.list_physical_devices("GPU"):
                tf.config.experimental.set_memory_growth(gpu, True)
    keras.ops.zeros(())


def check_process() -> None:
    """Raise where the backend would hang: in a process forked from one that it had started in."""
    if _started_in not in (None, os.getpid()):
        raise ConvRNNError(
            "this process was forked from one that had loaded a network, whose threads are gone. "
            "Start processes with multiprocessing.get_context('spawn')."
        )


def version() -> str:
    """The backend and its version, for provenance: ``tensorflow 2.21.0``."""
    name = keras.backend.backend()
    return f"{name} {import_module(name).__version__}"


def threads() -> int:
    """The number of threads that one operation on the CPU uses.

    TensorFlow's is set by ``TF_NUM_INTRAOP_THREADS``, PyTorch's by ``OMP_NUM_THREADS``.
    """
    if keras.backend.backend() == "torch":
        import torch

        return torch.get_num_threads()
    import tensorflow as tf

    asked = os.environ.get("TF_NUM_INTRAOP_THREADS", "")
    return (
        tf.config.threading.get_intra_op_parallelism_threads()
        or (int(asked) if asked.isdigit() else 0)
        or (len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count())
        or 1
    )


@contextmanager
def float32_is_float32() -> Iterator[None]:
    """No TF32 on GPUs, whose products and convolutions err by 3e-4; then as it was before.

    PyTorch's convolutions on the CPU are its own, too: those of oneDNN err three times as much,
    which the networks amplify over time to more than 1e-4, and are no faster here.
    """
    if keras.backend.backend() == "torch":
        import torch

        settings: tuple[Any, ...] = (torch.backends.cudnn.conv, torch.backends.cuda.matmul)  # type: ignore[attr-defined]
        before = [setting.fp32_precision for setting in settings]
        one_dnn: Any = torch.backends.mkldnn
        enabled = one_dnn.enabled
        try:
            one_dnn.enabled = False
            for setting in settings:
                setting.fp32_precision = "ieee"
            yield
        finally:
            one_dnn.enabled = enabled
            for setting, value in zip(settings, before, strict=True):
                setting.fp32_precision = value
    else:
        import tensorflow as tf

        allowed = tf.config.experimental.tensor_float_32_execution_enabled()
        try:
            tf.config.experimental.enable_tensor_float_32_execution(False)
            yield
        finally:
            tf.config.experimental.enable_tensor_float_32_execution(allowed)


def compiled(function: Function) -> Function:
    """``function`` of tensors, as one graph where the backend gains from it (TensorFlow).

    The graph is made at the first call with as many arguments, and serves every batch size. Tensors
    that the function closes over become the graph's inputs, so weights are not copied into it, and
    nothing lives in TensorFlow's default graph.
    """
    call = _graph(function) if keras.backend.backend() == "tensorflow" else function

    def exact(*arguments: Any) -> Any:
        check_process()
        with float32_is_float32():
            return call(*arguments)

    return exact  # type: ignore[return-value]


def _graph(function: Callable[..., Any]) -> Callable[..., Any]:
    import tensorflow as tf

    def any_batch(tensor: Tensor) -> tf.TensorSpec:
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    graphs: dict[int, Any] = {}  # with feedback and without

    def call(*arguments: Any) -> Any:
        if len(arguments) not in graphs:
            signature = tf.nest.map_structure(any_batch, arguments)
            with tf.init_scope():  # of its own, even where another graph is being made
                graphs[len(arguments)] = tf.function(
                    lambda *flat: function(*tf.nest.pack_sequence_as(signature, flat)),
                    autograph=False,
                ).get_concrete_function(*tf.nest.flatten(signature))
        return graphs[len(arguments)](*tf.nest.flatten(arguments))

    return call


def add_bias(x: Tensor, bias: Tensor) -> Tensor:
    """x + bias; TensorFlow's own operation for it becomes part of the convolution before it."""
    if keras.backend.backend() != "tensorflow":
        return x + bias
    import tensorflow as tf

    return tf.nn.bias_add(x, bias)


def to_numpy(tensor: Tensor) -> NDArray[np.float32]:
    """``tensor`` as a float32 array in main memory."""
    return np.asarray(keras.ops.convert_to_numpy(tensor), np.float32)

"""The number of images that a network computes at a time, chosen from a GPU's free memory."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.networks.forward import Average

AUTO = "auto"
"""In place of a number: chosen by `fitting_batch_size`."""

MOST = 128
"""Images at a time at most; larger batches have not been measured."""

WORKING = 16
"""Values that an unrolling holds for each image beside the requested ones, per value of one step of
all layers. The profiler of PyTorch counted 3 to 8 on the CPU (lstm_intermediate 7.5,
intersectionrnn_intermediate 8.1). A GPU's convolutions need further memory."""

USED = 0.5
"""The part of the free memory that is planned for."""


def check_batch_size(batch_size: int | str) -> None:
    """Raise unless it is a number of images or `AUTO`.

    Raises
    ------
    ConvRNNError
        It is neither.

    Examples
    --------
    >>> check_batch_size(8)
    >>> check_batch_size("auto")
    """
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if batch_size != AUTO and not (whole and int(batch_size) >= 1):
        raise ConvRNNError(
            f"`batch_size={batch_size!r}`: expected a whole number of at least 1, or {AUTO!r}."
        )


def image_bytes(network: ConvRNN, asked: Mapping[str, Sequence[Average]]) -> int:
    """Bytes of memory that an unrolling needs for each image of a batch.

    Parameters
    ----------
    network : ConvRNN
        The network.
    asked : mapping of str to sequence of tuple of (step, weight)
        Layer → averages over steps, as in `ConvRNN.averages`.

    Examples
    --------
    >>> from convrnns_brainscore import load_network
    >>> network = load_network("timedecay_shallow", weights="random", backend="torch")
    >>> image_bytes(network, {"conv5": [((4, 1.0),), ((5, 1.0),)]})
    23935488
    """
    shapes = {layer: math.prod(network.output_shape(layer)) for layer in network.layers}
    outputs = sum(shapes[layer] * len(averages) for layer, averages in asked.items())
    return 4 * (outputs + WORKING * sum(shapes.values()))


def fitting_batch_size(network: ConvRNN, asked: Mapping[str, Sequence[Average]]) -> int:
    """The number of images that fit into half of the free memory of the network's GPU: a power of
    two, at most `MOST`. Where the free memory is not known (on the CPU, in TensorFlow),
    `BATCH_SIZE`.

    Parameters
    ----------
    network, asked
        As in `image_bytes`.
    """
    free = network.backend.free_memory()
    if free is None:
        return BATCH_SIZE
    fitting = max(1, int(USED * free) // image_bytes(network, asked))
    return int(min(MOST, 2 ** int(math.log2(fitting))))

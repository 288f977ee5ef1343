"""What an unrolling has to compute: the convolutions that are left after the savings."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass

import tensorflow as tf

from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.networks.build import build
from convrnns_brainscore.networks.unroll import Network
from convrnns_brainscore.presentation import Presentation


@dataclass(frozen=True)
class Convolution:
    """One convolution (a dense layer is one of 1 × 1) of given shapes."""

    source: tuple[int, ...]  # batch, height, width, depth
    kernel: tuple[int, ...]  # height, width, depth in, depth out (or 1 where it is depthwise)
    output: tuple[int, ...]
    stride: int
    padding: str
    depthwise: bool

    @property
    def operations(self) -> int:
        """Multiplications and additions: two for each output value, kernel position and depth in.

        Positions that padding fills count, as they do for whoever multiplies by zero.
        """
        height, width, depth_in, _ = self.kernel
        summed = height * width * (1 if self.depthwise else depth_in)
        return 2 * math.prod(self.output) * summed


def needed_convolutions(
    network: ConvRNN, steps: dict[str, range], presentation: Presentation, batch: int
) -> Counter[Convolution]:
    """The convolutions and dense layers that `ConvRNN.unroll` computes, and how often each.

    They are read off the graph of the unrolling itself, made for a fixed batch size.
    """
    values = network.weights.values
    layers = build(network.model, lambda name, _: tf.constant(values[f"tnn_model/{name}"]))
    unrolled = Network(layers, tf.zeros)
    off = tf.constant(presentation.fixed_frames[0])

    def outputs(images: tf.Tensor) -> list[tf.Tensor]:
        def stimulus(step: int) -> tf.Tensor:
            return images if presentation.image_is_on(step) else off

        return [output for _, _, output in unrolled.run(stimulus, steps, network.lesion)]

    images = tf.TensorSpec((batch, 224, 224, 3))
    graph = tf.function(outputs, autograph=False).get_concrete_function(images).graph
    found: Counter[Convolution] = Counter()
    for node in graph.get_operations():
        if node.type in ("Conv2D", "DepthwiseConv2dNative"):
            source, kernel = (tuple(tensor.shape) for tensor in node.inputs)
            found[
                Convolution(
                    source,
                    kernel,
                    tuple(node.outputs[0].shape),
                    node.get_attr("strides")[1],
                    node.get_attr("padding").decode(),
                    node.type != "Conv2D",
                )
            ] += 1
        elif node.type in ("MatMul", "BatchMatMulV2"):
            source, kernel = (tuple(tensor.shape) for tensor in node.inputs)
            rows, depth, classes = math.prod(source[:-1]), source[-1], kernel[-1]
            shapes = (rows, 1, 1, depth), (1, 1, depth, classes), (rows, 1, 1, classes)
            found[Convolution(*shapes, 1, "VALID", False)] += 1
    return found

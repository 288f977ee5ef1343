"""How fast the networks run, and how near that is to what the machine can do.

``python benchmarks/speed.py [MODEL …]`` (all 20 without names) measures for each model, in a
process of its own, side by side and in turns: the unrolling; its needed convolutions alone; a plain
unrolling, in which every layer runs at every step for every image; a matrix product. Neural
presentation, the last two convolutional layers, the batch size of `convrnns extract`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

COLUMNS = {
    "s/image": "seconds for one image",
    "GFLOP/image": "needed operations for one image (operations.py)",
    "of convs": "time of the needed convolutions alone / time of the whole",
    "of matmul": "needed operations per second / those of a 2048² matrix product",
    "plain/ours": "time of the plain unrolling / time of the whole",
    "first (s)": "time to the first result of a new network: making the graph, and one batch",
    "peak (GB)": "most memory that the process held, loading and unrolling",
}


def measure(name: str, batch: int, rounds: int) -> dict[str, float]:
    """The row of one model."""
    import numpy as np
    import tensorflow as tf
    from operations import needed_convolutions

    from convrnns_brainscore import Presentation, load_network
    from convrnns_brainscore.networks.backbones import reported_steps

    network = load_network(name, weights="random")
    presentation = Presentation.neural()
    layers = network.layers[-3:-1]
    steps = reported_steps(network.model, layers, presentation.times)
    images = np.random.default_rng(0).uniform(-1, 1, (batch, 224, 224, 3)).astype(np.float32)

    def ours() -> None:
        network.unroll(images, layers, presentation)

    first = seconds(ours)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    needed = needed_convolutions(network, steps, presentation, batch)
    alone = convolutions_alone(needed)
    plain = plainly(network, images, presentation)
    matrix = tf.random.normal((2048, 2048))

    def product() -> None:
        for _ in range(10):
            tf.matmul(matrix, matrix).numpy()

    runs = ours, alone, plain, product
    for warm_up in (alone, product):
        warm_up()
    times = [[seconds(run) for run in runs] for _ in range(rounds)]
    operations = sum(conv.operations * count for conv, count in needed.items())
    rate = 10 * 2 * 2048**3

    def middle(of: Callable[[float, float, float, float], float]) -> float:
        return statistics.median(of(*each) for each in times)

    values = (
        middle(lambda whole, *_: whole / batch),
        operations / batch / 1e9,
        middle(lambda whole, convs, *_: convs / whole),
        middle(lambda whole, _, __, matmul: (operations / whole) / (rate / matmul)),
        middle(lambda whole, _, plain, __: plain / whole),
        first,
        peak,
    )
    row = dict(zip(COLUMNS, values, strict=True))
    return {**row, "matmul": middle(lambda *each: rate / each[-1] / 1e9)}


def seconds(run: Callable[[], object]) -> float:
    """How long ``run`` takes."""
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def convolutions_alone(needed: Counter) -> Callable[[], object]:
    """All needed convolutions in one graph, each call with inputs of its own, and nothing else."""
    import tensorflow as tf

    calls = [conv for conv, count in needed.items() for _ in range(count)]
    tensors = {
        conv: (tf.random.normal(conv.source), tf.random.normal(conv.kernel)) for conv in needed
    }
    arguments = [tensor for conv in calls for tensor in tensors[conv]]

    def outputs(*flat: tf.Tensor) -> tf.Tensor:
        corners = []
        for conv, source, kernel in zip(calls, flat[::2], flat[1::2], strict=True):
            if conv.depthwise:
                y = tf.nn.depthwise_conv2d(source, kernel, [1, 1, 1, 1], conv.padding)
            else:
                y = tf.nn.conv2d(source, kernel, conv.stride, conv.padding)
            corners.append(y[0, 0, 0, 0])
        return tf.add_n(corners)

    specs = [tf.TensorSpec(tensor.shape) for tensor in arguments]
    graph = tf.function(outputs, autograph=False).get_concrete_function(*specs)
    return lambda: graph(*arguments).numpy()


def plainly(network, images, presentation) -> Callable[[], object]:
    """Every layer at every step for every image, one step after the other."""
    import tensorflow as tf

    from convrnns_brainscore.networks.build import build

    values, compiled = network.weights.values, network.backend.compiled
    layers = build(network.model, lambda name, _: tf.constant(values[f"tnn_model/{name}"]))
    drive = {layer.name: compiled(layer.drive) for layer in layers}
    step_of = {layer.name: compiled(layer.step) for layer in layers}
    feedback = {layer.name: compiled(layer.feedback) for layer in layers if layer.feedback}

    def whole_batch(tensor):
        return tf.broadcast_to(tensor, (len(images), *tensor.shape[1:]))

    shown = tf.constant(images)
    off = whole_batch(tf.constant(presentation.fixed_frames[0]))
    zero = {
        layer.name: tuple(whole_batch(tf.zeros((1, *each))) for each in layer.cell.state_shapes())
        for layer in layers
    }
    silence = {layer.name: whole_batch(tf.zeros((1, *layer.output_shape))) for layer in layers}

    def run(times: int) -> None:
        state, before = dict(zero), dict(silence)
        for step in range(times):
            now = {}
            for layer in layers:
                image = shown if presentation.image_is_on(step) else off
                source = before[layer.source] if layer.source else image
                arguments = [drive[layer.name](source), state[layer.name]]
                if layer.feedback:
                    later = [before[name] for name in layer.feedback.sources]
                    arguments.append(feedback[layer.name](*later))
                now[layer.name], state[layer.name] = step_of[layer.name](*arguments)
            before = now
        before[layers[-1].name].numpy()

    run(1)  # makes the graphs
    return lambda: run(presentation.times)


def machine(matmul: float) -> str:
    """The machine in words."""
    cpuinfo = Path("/proc/cpuinfo")
    names = [
        line.split(":", 1)[1].strip()
        for line in (cpuinfo.read_text().splitlines() if cpuinfo.exists() else [])
        if line.startswith("model name")
    ]
    name = names[0] if names else platform.processor()
    return f"{name}, {os.cpu_count()} cores, matmul {matmul:.0f} GFLOP/s"


def main() -> None:
    """Measure each model in a process of its own, and print the table."""
    from rich.console import Console
    from rich.table import Table

    from convrnns_brainscore import list_models
    from convrnns_brainscore.convrnn import BATCH_SIZE

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=list_models())
    parser.add_argument("--batch-size", type=int, default=BATCH_SIZE)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(measure(options.models[0], options.batch_size, options.rounds)))
        return
    table, matmul = Table("model", *COLUMNS), []
    for name in options.models:
        command = [sys.executable, __file__, "--one", name]
        command += ["--batch-size", str(options.batch_size), "--rounds", str(options.rounds)]
        quiet = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        told = subprocess.run(command, check=True, stdout=subprocess.PIPE, env=quiet)
        row = json.loads(told.stdout.splitlines()[-1])
        matmul.append(row.pop("matmul"))
        table.add_row(name, *(f"{value:.3g}" for value in row.values()))
        print(name, {key: round(value, 3) for key, value in row.items()}, file=sys.stderr)
    console = Console(width=110)
    console.print(f"{machine(statistics.median(matmul))}; batches of {options.batch_size}")
    console.print(table)
    for column, meaning in COLUMNS.items():
        console.print(f"{column}: {meaning}", style="dim")


if __name__ == "__main__":
    main()

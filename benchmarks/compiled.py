"""PyTorch with and without `torch.compile`, side by side: the same layers and images, in turns.

`python benchmarks/compiled.py [MODEL …]` prints the ratio of their times for batches of one and of
eight, the duration of the first calls, and the largest difference of their outputs. It needs a C++
compiler. Only the ratios carry over to other machines.
"""

from __future__ import annotations

import sys
import time

import numpy as np
import torch
from speed import machine

from convrnns_brainscore import Presentation, load_network
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.networks.unroll import Network

ROUNDS = 5
BATCHES = (1, 8)
PRESENTATION = Presentation.neural()
NAMES = ("timedecay_shallow", "lstm_shallow")


def unrolled(network: ConvRNN, *, compiled: bool) -> Network:
    """The network's layers, their parts compiled or as they are."""
    layers = list(network._built().network.layers.values())
    wrap = network.backend.compiled
    return Network(
        layers,
        network.backend.zeros,
        (lambda part: wrap(torch.compile(part))) if compiled else wrap,
    )


def run(network: ConvRNN, layers: Network, images: np.ndarray) -> tuple[float, list[torch.Tensor]]:
    """Seconds, and the outputs of the last two layers at each step."""
    steps = {
        layer: range(network.first_step(layer), PRESENTATION.times) for layer in network.layers[-2:]
    }
    shown, off = (
        network.backend.tensor(images),
        network.backend.tensor(PRESENTATION.fixed_frames[0]),
    )

    def stimulus(step: int) -> torch.Tensor:
        return shown if PRESENTATION.image_is_on(step) else off

    start = time.perf_counter()
    with torch.no_grad():
        outputs = [output for _, _, output in layers.run(stimulus, steps)]
    return time.perf_counter() - start, outputs


def main() -> None:
    torch._dynamo.config.recompile_limit = 64  # parts of all layers share their code
    images = np.random.default_rng(0).uniform(-1, 1, (max(BATCHES), 224, 224, 3)).astype("f")
    x = np.ones((2048, 2048), np.float32)
    start = time.perf_counter()
    x @ x
    print(machine(2 * 2048**3 / (time.perf_counter() - start) / 1e9))
    for name in sys.argv[1:] or NAMES:
        network = load_network(name, weights="random", backend="torch", device="cpu")
        both = [unrolled(network, compiled=compiled) for compiled in (False, True)]
        for batch in BATCHES:
            first = [run(network, each, images[:batch])[0] for each in both]
            rounds = [[run(network, each, images[:batch]) for each in both] for _ in range(ROUNDS)]
            eager, compiled = np.median([[taken for taken, _ in pair] for pair in rounds], axis=0)
            off = max(
                float((one - other).abs().max() / one.std())
                for one, other in zip(*(outputs for _, outputs in rounds[0]), strict=True)
            )
            print(
                f"{name}, batch {batch}: compiled/eager {compiled / eager:.2f}; first calls "
                f"{first[0]:.1f}, {first[1]:.1f} s; outputs differ by {off:.1e} std",
                flush=True,
            )


if __name__ == "__main__":
    main()

"""TensorFlow and PyTorch side by side: the same network, images and layers, in turns.

`python benchmarks/backends.py [MODEL …]` prints seconds an image on each, for batches of one and of
eight, and their ratio. Only the ratios carry over to other machines.
"""

from __future__ import annotations

import sys
import time

import numpy as np
from speed import machine

from convrnns_brainscore import Presentation, load_network
from convrnns_brainscore.zoo import MODELS

ROUNDS = 5
BATCHES = (1, 8)


def seconds(network, images: np.ndarray) -> float:
    start = time.perf_counter()
    network.unroll(images, network.layers[-2:], Presentation.neural())
    return time.perf_counter() - start


def main() -> None:
    names = sys.argv[1:] or [*{(m.cell, m.depth): m.name for m in MODELS.values()}.values()]
    images = np.random.default_rng(0).uniform(-1, 1, (max(BATCHES), 224, 224, 3)).astype("f")
    x = np.ones((2048, 2048), np.float32)
    start = time.perf_counter()
    x @ x
    print(machine(2 * 2048**3 / (time.perf_counter() - start) / 1e9))
    for name in names:
        networks = [
            load_network(name, weights="random", backend=backend)
            for backend in ("tensorflow", "torch")
        ]
        told = []
        for batch in BATCHES:
            taken = np.array(
                [[seconds(net, images[:batch]) for net in networks] for _ in range(1 + ROUNDS)]
            )
            first, (ours, theirs) = taken[0], np.median(taken[1:], axis=0) / batch
            told.append(
                f"batch {batch}: TensorFlow {ours:.2f}, PyTorch {theirs:.2f} s/image, ratio "
                f"{theirs / ours:.2f}; first calls {first[0]:.1f}, {first[1]:.1f} s"
            )
        print(f"{name}: " + "; ".join(told), flush=True)


if __name__ == "__main__":
    main()

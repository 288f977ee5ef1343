"""PyTorch on a machine whose cores are busy: the same network with threads that wait in other ways.

`python benchmarks/busy.py [MODEL]` unrolls a network in turns with each number of rounds that
OpenMP's threads wait before they sleep (``GOMP_SPINCOUNT``), first with the cores free, then with
another process on each. It prints seconds and their ratio to those of OpenMP's default with free
cores. Only the ratios carry over to other machines.
"""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys

import numpy as np

from convrnns_brainscore.threads import SPINS

ROUNDS = 3
SETTINGS = ("default", "0", SPINS, "100000")

UNROLL = """
import sys, time
import numpy as np
from convrnns_brainscore import Presentation, load_network
network = load_network(sys.argv[1], weights="random", backend="torch", device="cpu")
images = np.random.default_rng(0).uniform(-1, 1, (1, 224, 224, 3)).astype("f")
taken = []
for _ in range(5):
    start = time.perf_counter()
    network.unroll(images, network.layers[-1:], Presentation.neural())
    taken.append(time.perf_counter() - start)
print(np.median(taken[1:]))
"""


def seconds(model: str, setting: str) -> float:
    rounds = "300000" if setting == "default" else setting  # as libgomp's documentation says
    environment = {**os.environ, "GOMP_SPINCOUNT": rounds}
    command = [sys.executable, "-c", UNROLL, model]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return float(done.stdout)


def occupy() -> None:
    while True:
        pass


def main() -> None:
    model = sys.argv[1] if len(sys.argv) > 1 else "timedecay_shallow"
    first = None
    for said, count in (("free", 0), ("busy", os.cpu_count() or 1)):
        others = [multiprocessing.Process(target=occupy, daemon=True) for _ in range(count)]
        for other in others:
            other.start()
        taken = np.array([[seconds(model, each) for each in SETTINGS] for _ in range(ROUNDS)])
        for other in others:
            other.terminate()
        medians = np.median(taken, axis=0)
        first = medians[0] if first is None else first
        told = ", ".join(
            f"{setting} {value:.3f} s ({value / first:.1f})"
            for setting, value in zip(SETTINGS, medians, strict=True)
        )
        print(f"{model}, cores {said}: {told}", flush=True)


if __name__ == "__main__":
    main()

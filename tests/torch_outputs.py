"""Run by `test_torch` with ``KERAS_BACKEND=torch``: models' outputs to files."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import recipe

from convrnns_brainscore import Presentation, load_network
from convrnns_brainscore.images import normalise
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.zoo import MODELS

folder, *names = sys.argv[1:]
image = normalise(recipe.images(2))[:1]
for name in names:
    model = MODELS[name]
    network = load_network(name, weights=recipe.weights(model, variable_shapes(model)))
    outputs = network.unroll(image, network.layers, Presentation.neural(), all_times=True)
    np.savez(Path(folder) / f"{name}.npz", **outputs, logits=network.logits(image)[:, None])
assert "tensorflow" not in sys.modules

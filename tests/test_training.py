"""The example of docs/pipelines.md: fine-tune on photographs, save, and load again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from convrnns_brainscore import load_network
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92


@pytest.mark.slow
def test_twenty_steps_on_the_photographs_categories(tmp_path: Path) -> None:
    stimuli = load_objects92().stimuli[::3]
    images = load_images(list(stimuli["filename"]))
    labels = torch.tensor(np.unique(stimuli["object_name"], return_inverse=True)[1])
    network = load_network("timedecay_shallow", weights="random", backend="torch")
    tuned = network.trainable(["conv5", "imnetds"])
    optimizer = torch.optim.Adam([p for p in tuned.module.parameters() if p.requires_grad], 1e-4)
    losses = []
    for _ in range(20):
        logits = tuned.module(torch.tensor(images))
        loss = torch.nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.7 * losses[0]
    tuned.save(tmp_path / "tuned.safetensors")
    loaded = load_network(
        "timedecay_shallow", checkpoint=tmp_path / "tuned.safetensors", backend="torch"
    )
    assert loaded.label.startswith("fine-tuned from untrained, seed 0")
    np.testing.assert_allclose(loaded.logits(images[:8]), tuned.logits(images[:8]), atol=1e-5)

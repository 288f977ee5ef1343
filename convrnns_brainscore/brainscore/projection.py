"""Fewer features by random projection, for metrics whose memory all of them would not fit in."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from sklearn.random_projection import SparseRandomProjection

from convrnns_brainscore.brainscore.activations import LOGITS
from convrnns_brainscore.errors import ConvRNNError


def random_projection(
    model: str, neuroids: int
) -> Callable[[dict[str, NDArray[np.float32]]], dict[str, NDArray[np.float32]]]:
    """A batch hook that projects layers' [batch, feature] to ``neuroids`` features, shared out
    among layers, by scikit-learn's sparse random projection, seeded by the model's name.

    Raises
    ------
    ConvRNNError
        Fewer neuroids than layers, or fewer than one.
    """
    whole = isinstance(neuroids, int | np.integer) and not isinstance(neuroids, bool)
    if not whole or neuroids < 1:
        raise ConvRNNError(f"`max_neuroids={neuroids!r}`: expected a whole number of at least 1.")
    seed = zlib.crc32(model.encode())
    projections: dict[tuple[str, int], SparseRandomProjection] = {}

    def project(features: dict[str, NDArray[np.float32]]) -> dict[str, NDArray[np.float32]]:
        if neuroids < len(features):
            raise ConvRNNError(
                f"`max_neuroids={neuroids}`: expected at least one for each of the "
                f"{len(features)} layers."
            )
        share = neuroids // len(features)
        projected = dict(features)
        for layer, values in features.items():
            if layer == LOGITS or values.shape[1] <= share:
                continue
            # Brain-Score may have looked at the layer alone before.
            key = layer, share
            if key not in projections:
                projections[key] = SparseRandomProjection(share, random_state=seed).fit(values)
            projected[layer] = projections[key].transform(values)
        return projected

    return project

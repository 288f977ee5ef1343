"""Region ↔ layer: which layer of a network stands for which area of the ventral stream.

Nayebi et al. (2022) found conv3 to match V4 best, conv4 pIT and conv5 cIT/aIT in the shallow
networks; in the intermediate ones conv5 and conv6 V4, conv7 and conv8 pIT, conv9 and conv10
cIT/aIT. The map here takes one layer a region, the deepest of them, as is Brain-Score's convention.
V1 and V2 are this package's own choice and not from the paper.
"""

from __future__ import annotations

from convrnns_brainscore.errors import unknown
from convrnns_brainscore.zoo import Model

REGION_LAYERS = {
    "shallow": {
        "V1": "conv1",
        "V2": "conv2",
        "V4": "conv3",
        "pIT": "conv4",
        "IT": "conv5",
        "cIT": "conv5",
        "aIT": "conv5",
    },
    "intermediate": {
        "V1": "conv2",
        "V2": "conv4",
        "V4": "conv6",
        "pIT": "conv8",
        "IT": "conv10",
        "cIT": "conv10",
        "aIT": "conv10",
    },
}
"""Depth of the network → region → layer."""


def region_layer(model: Model, region: str) -> str:
    """The layer of ``model`` that stands for ``region``.

    Raises
    ------
    ConvRNNError : the model has no such region.
    """
    layers = REGION_LAYERS[model.depth]
    if not isinstance(region, str) or region not in layers:
        raise unknown(f"region of {model.name}", region, layers)
    return layers[region]

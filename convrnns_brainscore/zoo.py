"""The 20 published ConvRNNs: one row a model.

Top-1 and top-5 are the published ImageNet validation accuracies (percent) of Nayebi et al. (2022),
Neural Computation 34:1652. ``times`` and ``image_off`` are the presentation that the model was
trained with: the number of ~10 ms steps, and the step from which the image is off (None: never).
``gflop`` is what an image takes under the neural presentation for the two last convolutional layers
(10⁹ multiplications and additions; counted by ``benchmarks/operations.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from convrnns_brainscore.errors import unknown


@dataclass(frozen=True)
class Model:
    """One published network: its cell, depth, decoder, training presentation and accuracy."""

    name: str
    cell: str
    depth: str
    decoder: str
    times: int
    image_off: int | None
    top1: float
    top5: float
    gflop: int


# fmt: off
_TABLE = (
    #     name                             cell               depth           decoder    times off   top1   top5   gflop
    Model("timedecay_shallow",             "timedecay",       "shallow",      "last",      16, 12,   50.06, 72.97,   9),
    Model("simplernn_shallow",             "simplernn",       "shallow",      "last",      16, 12,   61.11, 83.15,  27),
    Model("gru_shallow",                   "gru",             "shallow",      "last",      16, 12,   62.16, 84.02, 139),
    Model("lstm_shallow",                  "lstm",            "shallow",      "last",      16, 12,   63.43, 84.89,  87),
    Model("intersectionrnn_shallow",       "intersectionrnn", "shallow",      "last",      16, 12,   65.42, 86.02, 181),
    Model("ugrnn_shallow",                 "ugrnn",           "shallow",      "last",      16, 12,   60.82, 83.23,  95),
    Model("rgc_shallow",                   "rgc",             "shallow",      "last",      16, 12,   66.97, 87.02, 154),
    Model("timedecay_intermediate",        "timedecay",       "intermediate", "last",      17, 12,   67.52, 87.80,  87),
    Model("simplernn_intermediate",        "simplernn",       "intermediate", "last",      17, 12,   70.47, 89.48, 181),
    Model("gru_intermediate",              "gru",             "intermediate", "last",      17, 12,   69.81, 89.25, 370),
    Model("lstm_intermediate",             "lstm",            "intermediate", "last",      17, 12,   69.57, 89.18, 461),
    Model("intersectionrnn_intermediate",  "intersectionrnn", "intermediate", "last",      17, 12,   68.98, 88.67, 461),
    Model("ugrnn_intermediate",            "ugrnn",           "intermediate", "last",      17, 12,   69.78, 89.21, 274),
    Model("ugrnn_intermediate_t30",          "ugrnn",         "intermediate", "last",      30, None, 70.09, 89.29, 274),
    Model("ugrnn_intermediate_t30_dthresh",  "ugrnn",         "intermediate", "dthresh",   30, None, 69.30, 88.97, 274),
    Model("ugrnn_intermediate_t30_tmaxconf", "ugrnn",         "intermediate", "tmaxconf",  30, None, 70.04, 89.29, 274),
    Model("rgc_intermediate",              "rgc",             "intermediate", "last",      17, 12,   73.00, 91.16,  85),
    Model("rgc_intermediate_dthresh",      "rgc",             "intermediate", "dthresh",   17, 12,   71.81, 90.16,  85),
    Model("rgc_intermediate_tmaxconf",     "rgc",             "intermediate", "tmaxconf",  17, 12,   72.29, 90.52,  85),
    Model("rgc_intermediate_t22_tmaxconf", "rgc",             "intermediate", "tmaxconf",  22, None, 72.98, 90.80,  85),
)
# fmt: on

MODELS = {model.name: model for model in _TABLE}


def list_models() -> list[str]:
    """The names of the 20 published models.

    Examples
    --------
    >>> len(list_models())
    20
    """
    return list(MODELS)


def find_model(name: str) -> Model:
    """The row of the model called ``name``.

    Raises
    ------
    ConvRNNError
        No published model has that name.
    """
    if not isinstance(name, str) or name not in MODELS:
        raise unknown("model", name, MODELS)
    return MODELS[name]

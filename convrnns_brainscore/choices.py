"""Choices by name, the same for the library and the command line. Members equal their strings."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeVar

from convrnns_brainscore.errors import unknown

Choice = TypeVar("Choice", bound=StrEnum)


class PresentationName(StrEnum):
    """How the image is shown over time (`presentation.Presentation`)."""

    default = "default"
    neural = "neural"
    constant = "constant"


class MethodName(StrEnum):
    """How responses are predicted from features (`fits.heldout.Method`)."""

    pls = "pls"
    ridge = "ridge"


class TimeName(StrEnum):
    """Whether each time bin has its own weights, or all bins share one set (`fits.fit`)."""

    per_bin = "per-bin"
    shared = "shared"


class MetricName(StrEnum):
    """Brain-Score's regression metrics, for one bin and for several (`brainscore.packages`)."""

    pls = "pls"
    ridge = "ridge"
    spantime_pls = "spantime_pls"
    spantime_ridge = "spantime_ridge"


class SolverName(StrEnum):
    """What carries out the fits of Brain-Score's metrics (`brainscore.scoring`)."""

    brainscore = "brainscore"
    exact = "exact"


class BackendName(StrEnum):
    """Library that computes the networks (`submission.build`)."""

    tensorflow = "tensorflow"
    torch = "torch"


class PrecisionName(StrEnum):
    """How exactly convolutions and matrix products are computed (`networks.backend`)."""

    float32 = "float32"
    tf32 = "tf32"
    bfloat16 = "bfloat16"


class DistanceName(StrEnum):
    """How dissimilarities of a recording are measured (`fits.distances`)."""

    correlation = "correlation"
    crossnobis = "crossnobis"
    decoding = "decoding"


class FigureName(StrEnum):
    """Figures of fits for papers (`report.fit_figures`)."""

    over_time = "over-time"
    layers = "layers"
    neurons = "neurons"
    differences = "differences"
    learning = "learning"
    latency = "latency"
    predicted = "predicted"


def parse_choice(kind: str, value: str, choices: type[Choice]) -> Choice:
    """The member of ``choices`` that is called ``value``.

    Parameters
    ----------
    kind : str
        What is chosen, for the error: ``"solver"``.
    value : str
        Its name, or the member itself.
    choices : type
        The enumeration.

    Raises
    ------
    ConvRNNError
        There is no such member.

    Examples
    --------
    >>> parse_choice("solver", "exact", SolverName) == "exact"
    True
    """
    try:
        return choices(value)
    except ValueError:
        raise unknown(kind, value, choices) from None

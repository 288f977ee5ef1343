"""What a score of Brain-Score's means: its bins, ceilings and formula."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib.metadata import version as installed_version
from typing import Any

import numpy as np
from brainscore_core.metrics import Score
from numpy.typing import NDArray

from convrnns_brainscore.fits.reliability import MIN_CEILING
from convrnns_brainscore.timing import BEFORE_THE_IMAGE, TimeBin

OWN_FORMULA = "as the benchmark gives it"
"""How the formula of a score begins that is not r²/ceiling or r/ceiling."""

TOO_LOW_CEILING = f"ceiling below {MIN_CEILING}"


@dataclass(frozen=True)
class Bin:
    """What a score says of one time bin.

    Attributes
    ----------
    start, end : float
        Ms from image onset.
    raw : float
        Correlation, with its sign.
    ceiling : float
        As Brain-Score estimates it; NaN where the benchmark has one ceiling for all bins.
    ceiled : float
        Ceiled value by the score's formula, with the sign of ``raw``; NaN where it is undefined.
    reason : str
        Why it is undefined, or "".
    """

    start: float
    end: float
    raw: float
    ceiling: float
    ceiled: float
    reason: str


@dataclass(frozen=True)
class Summary:
    """A score in numbers.

    Attributes
    ----------
    raw, ceiling, ceiled : float
        Values of a static benchmark; of a temporal one their means over the bins that have a ceiled
        value.
        ``ceiled`` has the sign of ``raw``.
    brain_score : float
        Brain-Score's own number; the mean of its bins where it gives one a bin.
    formula : str
        How ``ceiled`` follows from the others.
    bins : tuple of Bin, default ()
        A temporal benchmark's time bins.
    counted : int, default 0
        How many of them have a ceiled value.
    undefined : str, default ''
        Why there is no ceiling or no ceiled value, or empty.
    """

    raw: float
    ceiling: float
    ceiled: float
    brain_score: float
    formula: str
    bins: tuple[Bin, ...] = ()
    counted: int = 0
    undefined: str = ""


def summarise(
    given: Score, time_bins: Sequence[TimeBin] = (), first_image_ms: float = 0
) -> Summary:
    """What a score of Brain-Score's says.

    Parameters
    ----------
    given : Score
        Scalar, or one value a time bin; with ``raw`` and ``ceiling`` among its attributes where the
        benchmark has them.
    time_bins : sequence of (start, end), default ()
        Time bins of a temporal benchmark.
    first_image_ms : float, default 0
        When the image reaches the recorded layer. Bins that end before are undefined, whatever a
        metric made of features that are the same for every image.
    """
    per_bin = given.attrs.get("per_bin", given)
    values = _values(per_bin)
    raw = _values(per_bin.attrs.get("raw", per_bin))
    ceiling = _values(per_bin.attrs.get("ceiling", np.nan))
    formula, ceil = _formula(raw, ceiling, values)
    own = float(np.mean(values)) if given is per_bin else float(given.values)
    if len(time_bins) < 2 or raw.ndim != 1:
        ceiled = float(ceil(raw, ceiling, values).reshape(-1)[0]) if raw.size == 1 else own
        undefined = "" if np.isfinite(ceiled) else "the benchmark gives no ceiled value"
        divided = not formula.startswith(OWN_FORMULA)
        if divided and ceiling.size == 1 and ceiling.mean() < MIN_CEILING:
            ceiled, undefined = np.nan, TOO_LOW_CEILING
        elif raw.mean() < 0 < ceiled:
            ceiled = np.nan
            undefined = "raw is negative, and the benchmark's formula hides the sign"
        if time_bins and max(end for _, end in time_bins) <= first_image_ms:
            ceiled, undefined = np.nan, BEFORE_THE_IMAGE
        if not np.isfinite(ceiling).any() and not undefined:
            undefined = "no ceiling: the benchmark gives none"
        return Summary(
            float(raw.mean()), float(np.mean(ceiling)), ceiled, own, formula, undefined=undefined
        )
    ceilings = np.broadcast_to(ceiling, raw.shape)
    one_for_all = ceiling.size == 1  # such as Li2026's, of its best window
    bins = []
    for (start, end), r, c, ceiled in zip(
        sorted(time_bins), raw, ceilings, ceil(raw, ceilings, values), strict=True
    ):
        reason = ""
        if end <= first_image_ms:
            reason = BEFORE_THE_IMAGE
        elif not one_for_all and not c >= MIN_CEILING:
            reason = TOO_LOW_CEILING
        elif not np.isfinite(r):
            reason = "no correlation: a prediction or a neuron does not vary"
        value = np.nan if reason else float(ceiled)
        own_ceiling = np.nan if one_for_all else float(c)
        bins.append(Bin(start, end, float(r), own_ceiling, value, reason))
    defined = [one for one in bins if not one.reason]

    def mean(values: Iterable[float]) -> float:
        return float(np.mean(list(values))) if defined else np.nan

    return Summary(
        mean(one.raw for one in defined),
        float(ceiling) if one_for_all else mean(one.ceiling for one in defined),
        mean(one.ceiled for one in defined),
        own,
        formula,
        tuple(bins),
        len(defined),
        "" if defined else "no bin has a ceiled value; each bin has its reason",
    )


def _values(value: Any) -> NDArray[np.float64]:
    """The values of a score; of one with an ``aggregation``, its center and not its error."""
    if "aggregation" in getattr(value, "dims", ()):
        value = value.sel(aggregation="center")
    return np.asarray(getattr(value, "values", value), float)


def _formula(
    raw: NDArray[np.float64], ceiling: NDArray[np.float64], ceiled: NDArray[np.float64]
) -> tuple[str, Callable[..., NDArray[np.float64]]]:
    """Which formula Brain-Score's ceiled value follows, and the same with the sign of ``raw``."""
    release = installed_version("brainscore-vision")

    def is_close(values: Any) -> bool:
        values = np.broadcast_to(values, ceiled.shape) if np.ndim(values) == 0 else values
        return values.shape == ceiled.shape and bool(
            np.allclose(values, ceiled, rtol=1e-6, atol=1e-9, equal_nan=True)
        )

    with np.errstate(divide="ignore", invalid="ignore"):
        if np.isfinite(ceiling).any() and is_close(raw**2 / ceiling):
            return (
                f"sign(r)·r²/ceiling (r²/ceiling in brainscore_vision {release})",
                lambda r, c, _: np.sign(r) * r**2 / c,
            )
        if np.isfinite(ceiling).any() and is_close(raw / ceiling):
            return f"r/ceiling (brainscore_vision {release})", lambda r, c, _: r / c
    return f"{OWN_FORMULA} (brainscore_vision {release})", lambda r, c, own: own

"""How long the stimuli of each of Brain-Score's stimulus sets were on, and what the model is shown.

One rule for the leaderboard's plugin, `load_brain_model` and `convrnns score`: the model knows the
stimulus set that it is shown.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

import numpy as np

from convrnns_brainscore.coordinates import NOTES
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.presentation import ASSUMED_IMAGE_MS, Presentation, image_duration
from convrnns_brainscore.timing import MS_PER_STEP

COLUMN = "image_on_ms"
"""Of a stimulus set that says itself how long its stimuli were on."""

CONSTANT = float("inf")
"""The stimulus did not go off while responses were recorded."""

ASSUMED = "assumed"
"""How a source begins that does not state the duration."""

_MAJAJ = (100, "Majaj et al. (2015), J Neurosci 35:13402, Methods")
_SANGHAVI = (100, f"{ASSUMED}: the rapid presentation of the laboratory's other sets")
_NSD = (3000, "Allen et al. (2022), Nat Neurosci 25:116, Methods")
_TVSD = (200, "Papale et al. (2025), as benchmarks/papale2025 of Brain-Score quotes it")
_EEG = (100, "Gifford et al. (2022), as benchmarks/gifford2022 of Brain-Score quotes it")
_THINGS = (500, "Hebart et al. (2023), eLife 12:e82580, Methods")
_LI = (150, "data/li2026/README.md of Brain-Score: 150 ms on, 150 ms off")

DURATIONS: dict[str, tuple[float, str]] = {
    "Allen2022_fmri": _NSD,
    "BOLD5000": _SANGHAVI,
    "Cadena2017": (60, "Cadena et al. (2019), PLoS Comput Biol 15:e1006897, Methods"),
    "Cowley2026": (100, f"{ASSUMED}: only the responses' window, 50–150 ms, is stated"),
    "domain_transfer": (100, f"{ASSUMED}: as Igustibagus2024"),
    "FreemanZiemba2013": (100, "Freeman et al. (2013), Nat Neurosci 16:974, Methods"),
    "Gifford2022": _EEG,
    "Hebart2023_fmri": _THINGS,
    "hvm": _MAJAJ,
    "Igustibagus2024": (100, f"{ASSUMED}: the laboratory's rapid presentation"),
    "Kar2019": (100, "Kar et al. (2019), Nat Neurosci 22:974, Methods"),
    "Li2026": _LI,
    "MajajHong2015": _MAJAJ,
    "Marques2020": (CONSTANT, f"{ASSUMED}: gratings drifted for as long as responses were counted"),
    "Papale2025": _TVSD,
    "Rajalingham2020": (100, "Rajalingham et al. (2020), Nat Commun 11:3886, Methods"),
    "Rust2012": _SANGHAVI,
    "Sanghavi": _SANGHAVI,
    "THINGS_EEG2": _EEG,
    "THINGS_fMRI": _THINGS,
    "THINGS_TVSD": _TVSD,
    "Zerbe2026_fmri": (2500, "benchmarks/laion_fmri/METHODS.md of Brain-Score"),
}
"""How the names of stimulus sets, and of the benchmarks that show them, begin → how long each
stimulus was on, in ms, and the source."""


FAMILIES = {
    "hvm": "MajajHong2015",
    "THINGS_EEG2": "Gifford2022",
    "THINGS_fMRI": "Hebart2023_fmri",
    "THINGS_TVSD": "Papale2025",
}
"""How the names of stimulus sets begin that are called otherwise than their benchmarks."""


@dataclass(frozen=True)
class Shown:
    """What the model is shown of a stimulus set.

    Attributes
    ----------
    image_ms : float
        How long each stimulus is on, in ms; `CONSTANT`: throughout.
    rule : str
        Where the duration comes from.
    """

    image_ms: float
    rule: str

    @property
    def in_words(self) -> str:
        """``"150 ms"``, ``"assumed 100 ms"`` or ``"throughout"``."""
        assumed = f"{ASSUMED} " if ASSUMED in self.rule else ""
        return assumed + ("throughout" if self.image_ms == CONSTANT else f"{self.image_ms:g} ms")

    def presentation(self, last_ms: float = 0) -> Presentation:
        """The stimulus over time, for responses up to ``last_ms``.

        A stimulus that outlasts the unrolling is on throughout.

        Examples
        --------
        >>> Shown(100, "") .presentation() == Presentation.neural()
        True
        >>> Shown(2500, "").presentation().image_off is None
        True
        >>> Shown(300, "").presentation(last_ms=400).image_off
        30
        """
        neural = Presentation.neural()
        if self.image_ms >= max(neural.times * MS_PER_STEP, last_ms):
            return Presentation.constant(neural.times)
        steps = int(self.image_ms) // MS_PER_STEP
        if steps == neural.image_off:
            return neural
        return Presentation.custom(max(neural.times, steps), steps)


ImageMs = float | Mapping[str, float] | None
"""How long stimuli are on, or those of stimulus sets by name, in ms; None: it is looked up."""


def check_image_ms(image_ms: ImageMs) -> None:
    """Raise unless durations are a step (10 ms) at least.

    Raises
    ------
    ConvRNNError
        One is shorter, or is not a number.
    """
    given = image_ms if isinstance(image_ms, Mapping) else {"": image_ms}
    for name, duration in given.items():
        number = isinstance(duration, Real) and not isinstance(duration, bool)
        if duration is not None and not (number and MS_PER_STEP <= duration < np.inf):
            of = f" of {name}" if name else ""
            raise ConvRNNError(
                f"`image_ms={duration}`{of}: expected at least {MS_PER_STEP} ms, one step of the "
                "networks."
            )


def shown(stimuli: Any, image_ms: ImageMs = None) -> Shown:
    """What the model is shown of ``stimuli``.

    The stimulus set's own column `COLUMN` decides; then `DURATIONS` by the set's identifier;
    otherwise the stimuli are assumed to have been on for 100 ms.

    Parameters
    ----------
    stimuli : StimulusSet or sequence of path
        What is shown.
    image_ms : float or mapping of str to float, optional
        What the user says: of all stimuli, or of stimulus sets by (the beginning of) their names.

    Raises
    ------
    ConvRNNError
        The column mixes several durations, or says another one than the user.
    """
    name = str(getattr(stimuli, "identifier", None) or "")
    if isinstance(image_ms, Mapping):
        named = _named(name, image_ms)
        asked = None if named is None else image_ms[named]
    else:
        asked = image_ms
    if COLUMN in getattr(stimuli, "columns", ()):
        try:
            measured = np.asarray(stimuli[COLUMN], float)
        except (TypeError, ValueError) as error:
            raise ConvRNNError(
                f"the stimulus set's {COLUMN} contains values that are not numbers."
            ) from error
        if np.isfinite(measured).any():
            duration, _ = image_duration(measured, asked)
            return Shown(duration, f"{COLUMN} of the stimulus set")
        if asked is None:  # the set speaks for itself, and does not know
            return by_identifier(None)
    if asked is not None:
        duration, rounded = image_duration([asked])
        return Shown(duration, f"as asked ({asked:g} ms)" if rounded else "as asked")
    return by_identifier(name)


def asked_duration(presentation: Presentation) -> Shown:
    """How long a presentation that was asked for shows the image.

    Examples
    --------
    >>> asked_duration(Presentation.sequence([("image", 50)])).in_words
    '50 ms'
    >>> asked_duration(Presentation.constant(20)).in_words
    'throughout'
    """
    off = presentation.image_off
    if off is None and presentation.shown:  # a sequence that ends with the image
        off = presentation.times
    return Shown(CONSTANT if off is None else off * MS_PER_STEP, "as asked")


def by_identifier(identifier: str | None) -> Shown:
    """What the model is shown of the stimulus set, or the benchmark, of this name.

    Examples
    --------
    >>> by_identifier("THINGS_TVSD_test_Stimuli").in_words
    '200 ms'
    >>> by_identifier("mine").rule
    "assumed: no duration is known of the stimulus set 'mine'"
    """
    name = str(identifier or "")
    known = _named(name, DURATIONS)
    if known is None:
        told = f"no duration is known of the stimulus set {name!r}" if name else "no stimulus set"
        return Shown(ASSUMED_IMAGE_MS, f"{ASSUMED}: {told}")
    image_ms, source = DURATIONS[known]
    return Shown(image_ms, f"{known}: {source}")


def with_duration(name: str, data: Any) -> Any:
    """A data set of Brain-Score with the attribute `COLUMN`, if it states no duration and one is
    known of it.

    Parameters
    ----------
    name : str
        Its identifier.
    data : xarray.DataArray
        Its responses.

    Examples
    --------
    >>> import xarray as xr
    >>> data = with_duration("Papale2025_test", xr.DataArray([1.0]))
    >>> data.attrs["image_on_ms"]
    200
    >>> with_duration("mine", xr.DataArray([1.0])).attrs
    {}
    """
    known = by_identifier(name)
    if COLUMN in (*data.coords, *data.attrs) or ASSUMED in known.rule or known.image_ms == CONSTANT:
        return data
    note = f"images were on for {known.image_ms:g} ms ({known.rule})"
    notes = [*np.atleast_1d(data.attrs.get(NOTES, [])), note]
    return data.assign_attrs({COLUMN: known.image_ms, NOTES: notes})


def is_named(name: str, begins: str) -> bool:
    """Whether a stimulus set's name begins so, or the name of its benchmarks does.

    Examples
    --------
    >>> is_named("hvm-public", "MajajHong2015"), is_named("MajajHong2015.public", "hvm")
    (True, True)
    """
    return any(
        one.startswith(other)
        for one, other in (
            (name.lower(), begins.lower()),
            (_by_family(name), _by_family(begins)),
        )
    )


def _by_family(name: str) -> str:
    for begins, family in FAMILIES.items():
        if name.lower().startswith(begins.lower()):
            name = family + name[len(begins) :]
    return name.lower()


def _named(name: str, among: Iterable[str]) -> str | None:
    """The longest of ``among`` that ``name`` begins with."""
    return max((known for known in among if is_named(name, known)), key=len, default=None)

"""What this package and Brain-Score need, as their metadata say it, and what of it is not there."""

from __future__ import annotations

from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec
from pathlib import Path

from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from convrnns_brainscore.errors import ConvRNNError

PACKAGE = "convrnns-brainscore"

OWNERS = (PACKAGE, "brainscore-vision", "brainscore-core")
"""Whose bounds have to hold."""


def requirements(owner: str = PACKAGE) -> dict[str, Requirement]:
    """What a package needs here, without its extras: canonical name → requirement.

    Nothing where ``owner`` is not installed.
    """
    if installed_version(owner) is None:
        return {}
    needed = (Requirement(line) for line in requires(owner) or ())
    return {
        canonicalize_name(each.name): each
        for each in needed
        if each.marker is None or each.marker.evaluate({"extra": ""})
    }


def installed_version(package: str) -> str | None:
    """A package's version; None: it is not installed."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def brain_score_folder() -> Path:
    """Where Brain-Score is installed.

    Raises
    ------
    ConvRNNError
        It is not.
    """
    found = find_spec("brainscore_vision")
    if found is None or not found.submodule_search_locations:
        raise ConvRNNError("Brain-Score is not installed: pip install brainscore-vision.")
    return Path(found.submodule_search_locations[0])


@dataclass(frozen=True)
class Misfit:
    """A package that is missing, or out of somebody's bounds.

    Attributes
    ----------
    package, installed
        Its name and version; None: it is missing.
    wanted : SpecifierSet
        What versions all that need it can have.
    by : tuple of str
        Who needs it.
    """

    package: str
    installed: str | None
    wanted: SpecifierSet
    by: tuple[str, ...]

    @property
    def cure(self) -> str:
        """The line that fixes it."""
        return f'pip install "{self.package}{self.wanted}"'

    def __str__(self) -> str:
        what = "is missing" if self.installed is None else f"{self.installed} is out of bounds"
        need = "needs" if len(self.by) == 1 else "need"
        wanted = str(self.wanted) or "it"
        return f"{self.package} {what}: {' and '.join(self.by)} {need} {wanted}. Run {self.cure}"


def misfits() -> list[Misfit]:
    """Packages that do not fit this one or Brain-Score."""
    wanted: dict[str, SpecifierSet] = {}
    by: dict[str, list[str]] = {}
    for owner in OWNERS:
        for name, requirement in requirements(owner).items():
            wanted[name] = wanted.get(name, SpecifierSet()) & requirement.specifier
            by.setdefault(name, []).append(owner)
    found = []
    for name, specifier in sorted(wanted.items()):
        installed = installed_version(name)
        if installed is None or not specifier.contains(installed, prereleases=True):
            found.append(Misfit(name, installed, specifier, tuple(by[name])))
    return found

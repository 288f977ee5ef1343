"""What a check finds, line by line."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Status = Literal["pass", "note", "unchecked", "fail"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes
    ----------
    check : str
        What was looked at.
    status : str
        ``pass``; ``note``, untidy or good to know; ``unchecked``, could not be looked at; ``fail``,
        to be fixed.
    message : str
        What was found, and what to do.
    """

    check: str
    status: Status
    message: str


@dataclass
class Findings:
    """All that was found so far."""

    found: list[Finding] = field(default_factory=list)

    def passed(self, check: str, message: str) -> None:
        """It is as it should be."""
        self.found.append(Finding(check, "pass", message))

    def note(self, check: str, message: str) -> None:
        """It does no harm."""
        self.found.append(Finding(check, "note", message))

    def unchecked(self, check: str, message: str) -> None:
        """It could not be looked at here."""
        self.found.append(Finding(check, "unchecked", message))

    def fail(self, check: str, message: str) -> None:
        """It has to be fixed."""
        self.found.append(Finding(check, "fail", message))

    @property
    def failed(self) -> bool:
        """Whether anything has to be fixed."""
        return any(finding.status == "fail" for finding in self.found)

    def as_json(self) -> dict[str, Any]:
        """Plain values, for other programs."""
        verdict = "fail" if self.failed else "pass"
        return {"verdict": verdict, "findings": [asdict(finding) for finding in self.found]}


@dataclass(frozen=True)
class Check:
    """Findings under the name of one check.

    Attributes
    ----------
    name : str
        Name of the check.
    findings : Findings
        Where they go.
    """

    name: str
    findings: Findings

    def passed(self, message: str) -> None:
        """It is as it should be."""
        self.findings.passed(self.name, message)

    def note(self, message: str) -> None:
        """It does no harm."""
        self.findings.note(self.name, message)

    def unchecked(self, message: str) -> None:
        """It could not be checked here."""
        self.findings.unchecked(self.name, message)

    def fail(self, message: str) -> None:
        """It has to be fixed."""
        self.findings.fail(self.name, message)

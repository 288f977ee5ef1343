"""What `check` found, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.text import Text

from convrnns_brainscore.console import shown
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.submission.findings import Findings

_STYLES = {"pass": "green", "note": "yellow", "unchecked": "yellow", "fail": "bold red"}


def print_findings(findings: Findings, console: Console) -> None:
    """A line for each finding, and the verdict."""
    for each in findings.found:
        status = f"{each.status:<9}", _STYLES[each.status]
        line = Text.assemble(status, shown(f" {each.check}: {each.message}"))
        console.print(line, soft_wrap=True)
    failed = sum(each.status == "fail" for each in findings.found)
    unchecked = sum(each.status == "unchecked" for each in findings.found)
    verdict = f"to fix: {failed}" if failed else "pass"
    if unchecked:
        verdict += f"; could not be checked: {unchecked}"
    console.print(verdict, style="bold")


def write_findings(findings: Findings, path: Path) -> None:
    """The same as JSON: ``verdict``, and ``findings`` with ``check``, ``status``, ``message``."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(findings.as_json(), indent=1) + "\n", encoding="utf-8")

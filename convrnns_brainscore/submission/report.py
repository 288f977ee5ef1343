"""What `check` found, for people and for programs."""

from __future__ import annotations

import json
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.submission.findings import Findings

_STYLES = {"pass": "green", "note": "yellow", "unchecked": "yellow", "fail": "bold red"}


def print_findings(findings: Findings, console: Console) -> None:
    """A line for each finding, and the verdict."""
    for each in findings.found:
        status = f"[{_STYLES[each.status]}]{each.status:<9}[/]"
        line = f"{status} {each.check}: {escape(each.message)}"
        console.print(line, soft_wrap=True, highlight=False)
    failed = sum(each.status == "fail" for each in findings.found)
    unchecked = sum(each.status == "unchecked" for each in findings.found)
    verdict = f"to be mended: {failed}" if failed else "pass"
    if unchecked:
        verdict += f"; could not be checked: {unchecked}"
    console.print(f"[bold]{verdict}[/]", highlight=False)


def write_findings(findings: Findings, path: Path) -> None:
    """The same as JSON: ``verdict``, and ``findings`` with ``check``, ``status``, ``message``."""
    with written_whole(path) as partial:
        partial.write_text(json.dumps(findings.as_json(), indent=1) + "\n", encoding="utf-8")

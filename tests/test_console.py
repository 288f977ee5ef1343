"""Names and paths on a terminal: never markup, never commands to it, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from convrnns_brainscore.console import PlainConsole, shown
from convrnns_brainscore.submission.findings import Findings
from convrnns_brainscore.submission.report import print_findings


def printed(*what: object) -> str:
    console = PlainConsole(file=io.StringIO(), width=200)
    for each in what:
        console.print(each, soft_wrap=isinstance(each, str))
    return console.file.getvalue()


@given(st.text(max_size=20))
def test_all_text_reaches_the_terminal_as_it_is_or_escaped(text: str) -> None:
    safe = shown(text)
    assert not any(ord(sign) < 32 and sign not in "\t\n" for sign in safe)
    assert safe == text or "\\" in safe
    safe.encode()  # no lone surrogates


@pytest.mark.parametrize("name", ["out[/y].zarr", "[bold]x", "a:smile:b", "rates\x1b[31m\x07"])
def test_a_name_is_neither_markup_nor_a_command_to_the_terminal(name: str) -> None:
    table = Table(title="names")
    table.add_column("name")
    table.add_row(name)
    findings = Findings()
    findings.fail("files", name)
    console = PlainConsole(file=io.StringIO(), width=200)
    print_findings(findings, console)
    for output in (printed(name), printed(table), console.file.getvalue()):
        assert shown(name) in output
        assert "\x1b" not in output


def test_a_terminal_that_lacks_a_character_ends_no_command_in_a_traceback(tmp_path) -> None:
    file = tmp_path / "Übersicht→.nc"
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "describe", str(file)]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "bersicht" in done.stderr
    assert "Traceback" not in done.stderr

"""Names and paths on a terminal: never markup, never commands to it, never a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.table import Table

from convrnns_brainscore.cli.messages import said_if_slow
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


def test_a_process_that_is_stuck_in_a_library_ends_when_it_is_told_to() -> None:
    """As HDF5 is on some damaged files: no handler of Python's runs meanwhile."""
    code = (
        "import hashlib, os, signal, sys, threading\n"
        "from convrnns_brainscore import cli\n"
        "cli.GRACE = 0.5\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))\n"
        "cli._end_when_stuck()\n"
        "threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGTERM)).start()\n"
        "hashlib.pbkdf2_hmac('sha256', b'', b'', 2_000_000_000)\n"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 143
    assert "If a file was being read, it may be damaged." in done.stderr


def test_what_takes_long_is_said_and_what_does_not_is_not(capsys) -> None:
    with said_if_slow("slow", seconds=0.05):
        time.sleep(0.3)
    with said_if_slow("quick", seconds=0.3):
        pass
    time.sleep(0.4)
    assert capsys.readouterr().err == "slow\n"

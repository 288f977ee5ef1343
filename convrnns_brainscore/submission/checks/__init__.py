"""Checks of a plugin by its files, without running them; each module but `layout`, which finds the
files, is one check."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import current_thread, main_thread

from convrnns_brainscore.submission.checks import (
    code,
    files,
    metadata,
    names,
    region_map,
    requirements,
    secrets,
    server,
    weights,
)
from convrnns_brainscore.submission.findings import Check, Findings
from convrnns_brainscore.submission.plugin import Plugin

CHECKS: dict[str, Callable[[Plugin, Path, Check], str]] = {
    each.NAME: each.run
    for each in (names, code, files, secrets, requirements, weights, region_map, metadata, server)
}
"""Name → check, in the order in which they run. A check returns a line for when it passes."""


SECONDS = 20
"""That a check takes at most."""


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    """Raise TimeoutError after so long; in the main thread, and where there are alarms."""

    def stop(*_: object) -> None:
        raise TimeoutError

    if not hasattr(signal, "SIGALRM") or current_thread() is not main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def check_plugin(plugin: Plugin, brain_score: Path, findings: Findings) -> None:
    """Run all checks.

    Parameters
    ----------
    brain_score : path
        The folder of Brain-Score's own model plugins.
    """
    for name, run in CHECKS.items():
        own, done = Findings(), ""
        try:
            with _at_most(SECONDS):
                done = run(plugin, brain_score, Check(name, own))
        except TimeoutError:
            own.fail(
                name,
                f"models/{plugin.name} takes longer than {SECONDS} s to check: shorten its long "
                "lines, strings or lists.",
            )
        except Exception as error:  # whatever strange things a file holds
            what = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
            own.fail(name, f"models/{plugin.name} cannot be read ({what}): build it again.")
        findings.found += own.found
        if not own.failed and done:
            findings.passed(name, done)

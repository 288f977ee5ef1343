"""The command line: ``convrnns``.

Each command imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import time
import warnings
from functools import lru_cache
from io import TextIOWrapper
from pathlib import Path
from tempfile import gettempdir
from threading import Thread, current_thread, main_thread
from typing import Annotated

import typer

from convrnns_brainscore._version import __version__
from convrnns_brainscore.cli import (
    decoding,
    first,
    fits,
    networks,
    partition,
    recordings,
    scores,
    submission,
)
from convrnns_brainscore.cli.messages import GIVEN, as_options, say
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.threads import wait_briefly

VERBOSE, DEBUG = "--verbose", "--debug"

GRACE = 30
"""Seconds in which a process that is told to end tidies up."""

WAYS_OUT = {
    errno.ENOSPC: "no space is left on the disk. Free some space, and rerun the same command.",
    errno.EDQUOT: "your quota on this disk is used up. Free some space, or choose another disk.",
    errno.EFBIG: "the file is larger than this shell allows (ulimit -f). Raise the limit, and "
    "rerun the same command.",
    errno.EROFS: "the disk is read-only. Choose a folder on another disk.",
    errno.EACCES: "permission denied. Choose another folder, or ask its owner for access.",
    errno.EPERM: "permission denied. Choose another folder, or ask its owner for access.",
    errno.EEXIST: "a file with this name already exists. Choose another folder.",
    errno.EISDIR: "this is a folder. Choose the name of a file.",
    errno.ENOTDIR: "part of this path is a file, not a folder. Choose another path.",
    errno.ELOOP: "the link points to itself. Give the path of the file itself.",
    errno.ENAMETOOLONG: "the name is too long for this disk. Choose a shorter one.",
    errno.EIO: "the disk reports an input/output error. Check it, or choose another disk.",
}
"""Error of the operating system → what it means, and the way out."""

_log = logging.getLogger("convrnns_brainscore")

app = typer.Typer(
    name="convrnns",
    help="The 20 published ConvRNNs of Nayebi et al. (2022) for Brain-Score and your recordings.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (
    networks.models, networks.download, networks.convert, networks.extract,
    scores.score, scores.benchmarks, fits.fit, fits.geometry, decoding.decode, partition.partition,
    fits.compare, fits.package,
    fits.plot, networks.imagenet, scores.describe, scores.register, first.doctor, first.demo,
):  # fmt: skip
    app.command()(command)
app.add_typer(recordings.app)
app.add_typer(submission.app)


def _print_version(asked: bool) -> None:
    if asked:
        say(__version__)
        raise typer.Exit


@app.callback()
def switches(
    verbose: Annotated[
        bool,
        typer.Option(
            VERBOSE,
            help="Report downloads, cache use, omissions and similar events.",
        ),
    ] = False,
    debug: Annotated[
        bool, typer.Option(DEBUG, help="As --verbose, with the traceback of every error.")
    ] = False,
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Show the version and exit."
        ),
    ] = False,
) -> None:
    """Switches of all commands; they may stand anywhere on the command line."""
    if not (verbose or debug):
        return
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(asctime)s %(name)s: %(message)s", "%H:%M:%S"))
    _log.setLevel(logging.DEBUG if debug else logging.INFO)
    _log.addHandler(handler)


def main(arguments: list[str] | None = None, program: str = "convrnns") -> None:
    """Run the command line; what the user can fix is one line and exit code 2.

    Parameters
    ----------
    arguments : list of str, optional
        None: those of the process.
    program : str, default 'convrnns'
        What its help calls it.
    """
    # As a cluster's scheduler ends a job: it stops as an exception does, which tidies up.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal that lacks a character shows another
            stream.reconfigure(errors="backslashreplace")
    for message in ("Image size", "Corrupt EXIF"):  # Pillow's
        warnings.filterwarnings("ignore", message=message)
    _have_home()
    wait_briefly()
    given = sys.argv[1:] if arguments is None else arguments
    first_ones = [each for each in given if each in (VERBOSE, DEBUG)]
    given = [*first_ones, *(each for each in given if each not in first_ones)]
    GIVEN[:] = given
    _end_when_stuck()
    shown = _Warnings(logging.WARNING)
    if not first_ones:
        _log.addHandler(shown)
    try:
        code = app(given or ["--help"], prog_name=program, standalone_mode=False)
    except (ConvRNNError, OSError) as error:  # OSError: no space left, no permission …
        _log.debug("stopped by an error", exc_info=True)
        message = as_options(str(error)) if isinstance(error, ConvRNNError) else _said(error)
    except typer.Abort:
        raise SystemExit(130) from None
    except Exception as error:
        _log.debug("stopped by an error", exc_info=True)
        # A usage error of typer's, whose class has moved between its versions.
        message = error.format_message() if hasattr(error, "format_message") else _misfits(error)
        message = message.replace(": Value error, ", ": ")
    else:
        raise SystemExit(code)
    finally:
        _log.removeHandler(shown)
    say(f"convrnns: {message}", err=True)
    raise SystemExit(2)


class _Warnings(logging.Handler):
    """Shows what the library warns of."""

    def emit(self, record: logging.LogRecord) -> None:
        """A line on standard error."""
        say(as_options(record.getMessage()), err=True)


@lru_cache(1)
def _end_when_stuck() -> None:
    """End the process some time after a signal to end, where Python cannot: HDF5 can loop for ever
    on a damaged file, and no handler runs meanwhile."""
    if current_thread() is not main_thread() or os.name != "posix":
        return
    read, write = os.pipe()
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)

    def wait() -> None:
        number = 0
        while number not in (signal.SIGINT, signal.SIGTERM):
            number = os.read(read, 1)[0]
        time.sleep(GRACE)
        say(
            f"convrnns: stopped, since a computation did not end within {GRACE} s. If a file was "
            "being read, it may be damaged. Commands that keep finished work resume when rerun.",
            err=True,
        )
        os._exit(128 + number)

    Thread(target=wait, daemon=True).start()


def _have_home() -> None:
    """Name a home folder where the user has none, as in some containers: libraries need one."""
    try:
        Path.home()
    except RuntimeError:
        home = Path(gettempdir()) / f"convrnns-home-{os.getuid()}"
        os.environ["HOME"] = str(home)
        home.mkdir(mode=0o700, exist_ok=True)
        say(f"There is no home folder: caches are kept in {home}. Set HOME to change it.", err=True)


def _said(error: OSError) -> str:
    """What an error of the operating system means, and the way out."""
    if error.errno not in WAYS_OUT:
        return str(error)
    where = f"{error.filename}: " if error.filename else ""
    return f"{where}{WAYS_OUT[error.errno]}"


def _misfits(error: Exception) -> str:
    """What to say of an error that a package of a wrong version is the reason of.

    Raises
    ------
    Exception
        ``error`` itself, where all packages fit.
    """
    from convrnns_brainscore.requirements import misfits

    found = misfits()
    if not found:
        raise error
    said = (str(error).splitlines() or [""])[0]
    return f"{type(error).__name__}: {said}. Likely cause: {found[0]}"

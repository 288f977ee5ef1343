"""Translate the library's error messages to command line options."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from threading import Timer

import typer

from convrnns_brainscore.console import shown
from convrnns_brainscore.errors import PARAMETER

NAMES = {
    "address": "--scheduler",
    "checkpoint": "--checkpoints",
    "degrees": "--stimulus-degrees",
    "first_step": "--lesion-from",
    "frames": "--frame",
    "locations": "--location",
    "region": "--regions",
}
"""Parameters whose options are called otherwise."""

GIVEN: list[str] = []
"""The arguments of this command line, for pages that say how to reproduce them."""

OPEN = "…"
"""The value of a parameter that a message leaves open."""


def say(text: object, *, err: bool = False) -> None:
    """Write a line to standard output or standard error, with control characters shown."""
    typer.echo(shown(str(text)), err=err)


@contextmanager
def said_if_slow(text: str, seconds: float = 60) -> Iterator[None]:
    """Say something where what is done within takes longer than so many seconds."""
    timer = Timer(seconds, partial(say, text, err=True))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def as_options(message: str) -> str:
    """A message with its parameters as options.

    Examples
    --------
    >>> as_options("too few: give `components=3` or fewer, or another `method=…`.")
    'too few: give --components 3 or fewer, or another --method.'
    >>> as_options("package it again with `window=(70, 170)`.")
    'package it again with --window 70 170.'
    """
    return PARAMETER.sub(_option, message)


def _option(found: re.Match[str]) -> str:
    name, text = found.groups()
    option = NAMES.get(name, f"--{name.replace('_', '-')}")
    if text == OPEN:
        return option
    try:
        value = ast.literal_eval(text)
    except (SyntaxError, ValueError):
        value = text
    if isinstance(value, dict):
        return f"{option} " + " ".join(f"'{key}={each}'" for key, each in value.items())
    if isinstance(value, tuple | list):
        return f"{option} " + " ".join(map(str, value))
    return option if value is True else f"{option} {value}"

"""What people read on a terminal: text is shown as it is, never as markup or as commands to it."""

from __future__ import annotations

import re
from typing import Any

from rich.console import Console
from rich.text import Text

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters but for tab and line feed, those that turn the direction of text, and bytes of
file names that are not UTF-8."""


def shown(text: str) -> str:
    r"""Text with its control characters as their escapes.

    Examples
    --------
    >>> print(shown("rates\x1b[31m"))
    rates\x1b[31m
    """
    return CONTROL.sub(lambda found: ascii(found.group())[1:-1], text)


class PlainConsole(Console):
    """A console on which square brackets and control characters of names are shown as they are."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(markup=False, highlight=False, emoji=False, **settings)

    def render_str(self, text: str, **settings: Any) -> Text:
        """All text that is printed, and all cells of tables, come by here."""
        return super().render_str(shown(text), **settings)

"""What went wrong, in one line that names the thing and the way out.

A message writes a parameter as it is given in Python, in backticks: `` `stratify=None` ``, or
`` `window=…` `` where the value is open. The command line shows it as its option.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path

PARAMETER = re.compile(r"`([a-z_0-9]+)=([^`]*)`")
"""A parameter in a message, and its value."""


LONGEST, MOST = 100, 1000
"""Characters of a name, and known names, among which the nearest is looked for."""

LISTED = 30
"""Known names that a message lists."""


class ConvRNNError(ValueError):
    """A mistake that the user can fix. The command line prints it and exits with code 2."""

    @property
    def parameters(self) -> tuple[str, ...]:
        """The parameters that the message names, in their order.

        Examples
        --------
        >>> ConvRNNError("too few stimuli: give `components=3`, or `method='ridge'`.").parameters
        ('components', 'method')
        """
        return tuple(name for name, _ in PARAMETER.findall(str(self)))


def counted(number: int, noun: str) -> str:
    """A number and its noun, in the plural unless the number is 1.

    Examples
    --------
    >>> counted(1, "neuron"), counted(50, "neuron"), counted(2, "stimulus")
    ('1 neuron', '50 neurons', '2 stimuli')
    """
    plural = "stimuli" if noun == "stimulus" else f"{noun}s"
    return f"{number} {noun if number == 1 else plural}"


def unknown(kind: str, name: object, known: Iterable[str], hint: str = "") -> ConvRNNError:
    """The error for a name that is not among the known ones, suggesting the nearest.

    Parameters
    ----------
    kind : str
        What the name stands for, e.g. ``"model"``.
    name
        What the user gave.
    known : iterable of str
        The names that exist, in the order in which they are listed.
    hint : str, default ''
        A sentence put before the list of known names.
    """
    known = [str(each) for each in known]
    comparable = len(str(name)) <= LONGEST and len(known) <= MOST  # it takes long for more
    nearest = get_close_matches(str(name), known, n=1, cutoff=0.5) if comparable else []
    name = name if comparable else f"{str(name)[:LONGEST]}…"
    suggestion = f" Did you mean {nearest[0]!r}?" if nearest else ""
    hint = f" {hint}" if hint else ""
    listed = ", ".join(known[:LISTED]) + (", …" if len(known) > LISTED else "")
    listed = f" Known: {listed}." if known else ""
    return ConvRNNError(f"unknown {kind} {name!r}.{suggestion}{hint}{listed}")


def missing(path: Path, message: str) -> ConvRNNError:
    """The error for a file that is not there: ``message``, or a link's target; and a hint where
    ``path`` was written on Windows."""
    if path.is_symlink():
        return ConvRNNError(
            f"the link {path} is broken: its target {os.readlink(path)} does not exist."
        )
    if "\\" in str(path) and os.sep != "\\":
        message += f" Backslashes separate folders on Windows only: write {os.sep}."
    return ConvRNNError(message)

"""What went wrong, in one line that names the thing and the way out."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class ConvRNNError(ValueError):
    """A mistake that the user can mend. The command line prints it and exits with code 2."""


def unknown(kind: str, name: object, known: Iterable[str], hint: str = "") -> ConvRNNError:
    """The error for a name that is not among the known ones, suggesting the nearest.

    Parameters
    ----------
    kind : what the name stands for, e.g. ``"model"``.
    name : what the user gave.
    known : the names that exist, in the order in which they are listed.
    hint : a sentence put before the list of known names.
    """
    known = list(known)
    nearest = get_close_matches(str(name), known, n=1, cutoff=0.5)
    suggestion = f" Did you mean {nearest[0]!r}?" if nearest else ""
    hint = f" {hint}" if hint else ""
    return ConvRNNError(f"unknown {kind} {name!r}.{suggestion}{hint} Known: {', '.join(known)}.")

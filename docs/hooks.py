"""What the site makes of the code and of other folders: whole pages, and docstrings."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from griffe import Extension, Object

_ROOT = Path(__file__).parents[1]

_ELSEWHERE = re.compile(r"This page is \[(.+)\]\(")
"""In a page that says where its text lies, for those who read it in the repository."""

_SECTION = re.compile(r"^(Parameters|Attributes|Returns|Raises)\n-+\n", re.MULTILINE)
_ENTRY = re.compile(r"^(\S[^\n:]*?) : (.*(?:\n[ ]+\S.*)*)", re.MULTILINE)


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """The commands in typer's own words, and the pages that lie elsewhere."""
    if elsewhere := _ELSEWHERE.search(markdown):
        return (_ROOT / elsewhere[1]).read_text(encoding="utf-8")
    if page.file.src_uri != "commands.md":
        return markdown
    command = [sys.executable, "-m", "typer", "convrnns_brainscore.cli", "utils", "docs"]
    told = subprocess.run([*command, "--name", "convrnns"], capture_output=True, check=True)
    return told.stdout.decode().replace("# `convrnns`", "# Commands", 1)


class TypesStandInSignatures(Extension):
    """Entries ``name : description``, as here, for a parser that wants ``name : type`` and then the
    description."""

    def on_object(self, *, obj: Object, **_: Any) -> None:
        """Each object's docstring."""
        if obj.docstring is None:
            return
        text = obj.docstring.value
        heads = list(_SECTION.finditer(text))
        for head in reversed(heads):
            following = re.search(r"\n\n(?=\S[^\n]*\n-+\n)|\Z", text[head.end() :])
            end = head.end() + (following.start() if following else 0)
            body = text[head.end() : end]
            if head.group(1) == "Returns" and not _ENTRY.match(body):
                body = ":\n" + "\n".join(f"    {line}" for line in body.splitlines())
            else:
                body = _ENTRY.sub(_entry, body)
            text = text[: head.end()] + body + text[end:]
        obj.docstring.value = text


def _entry(found: re.Match[str]) -> str:
    lines = [line.strip() for line in found.group(2).splitlines()]
    return f"{found.group(1)}\n    " + "\n    ".join(lines)

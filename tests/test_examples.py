"""The notebooks in ``examples/`` run in a real kernel, and give the outputs that they show."""

from __future__ import annotations

import re
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbformat import NotebookNode

EXAMPLES = Path(__file__).parents[1] / "examples"


def printed(book: NotebookNode) -> list[str]:
    """What the cells print, and the type and size of what they show."""
    found = []
    for cell in book.cells:
        for output in cell.get("outputs", []):
            if output.get("name") == "stdout":
                found.append(output.text)
            elif output.output_type == "execute_result":
                found.append(re.split(r"\n", output.data["text/plain"])[0])
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", ["features", "fit", "subject"])
def test_a_notebook_gives_what_it_shows(name: str, tmp_path: Path) -> None:
    stored = nbformat.read(EXAMPLES / f"{name}.ipynb", 4)
    book = nbformat.read(EXAMPLES / f"{name}.ipynb", 4)
    resources = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(book, timeout=300, kernel_name="python3", resources=resources).execute()
    assert printed(book) == printed(stored)
    assert printed(book)
    if name == "fit":
        assert any("layer conv5, latency 20 ms" in each for each in printed(book))
    drawn = [
        output
        for cell in book.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(drawn) == 1

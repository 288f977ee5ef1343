"""What the documentation says is so."""

from __future__ import annotations

import doctest
import importlib
import re
from pathlib import Path

import pytest
import typer
import yaml

import convrnns_brainscore
from convrnns_brainscore.cli import app
from convrnns_brainscore.zoo import MODELS

ROOT = Path(__file__).parents[1]
PACKAGE = Path(convrnns_brainscore.__file__).parent
PAGES = [
    ROOT / "README.md",
    ROOT / "submission" / "README.md",
    *sorted((ROOT / "docs").glob("*.md")),
]
WITH_EXAMPLES = [path for path in PACKAGE.rglob("*.py") if ">>> " in path.read_text("utf-8")]


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@pytest.mark.parametrize("path", WITH_EXAMPLES, ids=name_of)
def test_examples_in_docstrings_give_what_they_say(path: Path) -> None:
    found = doctest.testmod(importlib.import_module(name_of(path)))
    assert found.attempted > 0
    assert found.failed == 0


def commands_in(path: Path) -> list[list[str]]:
    """Commands of ours in a page's blocks, line by line."""
    blocks = re.findall(r"^```\w*\n(.*?)^```", path.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    text = "\n".join(blocks).replace("\\\n", " ")
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if words[:1] == ["convrnns"] and words[1:2] != ["brainscore"]:
            found.append(words[1:])
        elif words[:3] == ["python", "-m", "submission"]:
            found.append(["submission", *words[3:]])
    return found


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_commands_and_their_options_exist(path: Path) -> None:
    for words in commands_in(path):
        command = typer.main.get_command(app)
        while words and hasattr(command, "commands"):
            assert words[0] in command.commands, f"{path}: {' '.join(words)}"
            command = command.commands[words.pop(0)]
        known = {option for param in command.params for option in param.opts}
        for word in words:
            if word.startswith("--"):
                assert word in known, f"{path}: {command.name} {word}"


def test_the_page_of_commands_lists_each_command() -> None:
    page = (ROOT / "docs" / "commands.md").read_text("utf-8")
    shown = set(re.findall(r"`(\w+)[^`]*`", "".join(re.findall(r"^\|[^|]+", page, re.M))))
    assert set(typer.main.get_command(app).commands) <= shown


def test_the_tables_of_models_give_the_zoos_numbers() -> None:
    readme = (ROOT / "README.md").read_text("utf-8")
    page = (ROOT / "docs" / "models.md").read_text("utf-8")
    for name, model in MODELS.items():
        off = "never" if model.image_off is None else model.image_off
        told = [f"`{name}`", model.times, off, model.decoder, f"{model.top1:.2f}"]
        assert f"| {' | '.join(map(str, told))} | {model.top5:.2f} |" in page
        assert f"{model.top1:.2f} / {model.top5:.2f}" in readme


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_python_in_the_pages_compiles(path: Path) -> None:
    for block in re.findall(r"^```python\n(.*?)^```", path.read_text("utf-8"), re.M | re.S):
        compile(block, str(path), "exec")


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_between_files_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", path.read_text("utf-8")):
        assert (path.parent / target).exists(), f"{path}: {target}"


def test_versions_agree() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    assert citation["version"] == convrnns_brainscore.__version__
    assert citation["preferred-citation"]["doi"] == "10.1162/neco_a_01506"
    assert f"## {convrnns_brainscore.__version__}\n" in (ROOT / "CHANGELOG.md").read_text("utf-8")

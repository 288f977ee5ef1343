"""Requirements that can be installed beside Brain-Score."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from pathlib import Path

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from convrnns_brainscore.requirements import installed_version, requirements
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin

NAME = "requirements"

MOST = 200
"""Requirements that are read."""


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """Requirements that can be installed beside Brain-Score."""
    where = f"models/{plugin.name}/requirements.txt"
    text = plugin.text("requirements.txt")
    if text is None and "setup.py" not in plugin.files:
        check.fail(f"{where} (or setup.py) is missing: the server needs it to install the plugin.")
        return ""
    if "\0" in (text or "") or "\ufffd" in (text or ""):
        check.fail(f"{where} is not UTF-8 text: save it as UTF-8.")
        return ""
    given = _parsed(where, _lines(text or ""), check)
    given |= _parsed(f"models/{plugin.name}/setup.py", _of_setup(plugin), check)
    if {"tensorflow", "tensorflow-cpu"} & set(given) and "numpy" not in given:
        check.fail(
            f"{where}: TensorFlow's own requirements upgrade numpy to 2, and Brain-Score needs "
            "numpy < 2: add numpy<2.",
        )
    environment = plugin.text("environment.yml")
    if environment is not None:
        _environment(f"models/{plugin.name}/environment.yml", environment, check)
    return ", ".join(map(str, given.values())) or "setup.py"


def _parsed(where: str, lines: Sequence[str], check: Check) -> dict[str, Requirement]:
    """Requirements by their names; those that cannot be are findings."""
    given: dict[str, Requirement] = {}
    if len(lines) > MOST:
        check.fail(f"{where}: {len(lines)} requirements; at most {MOST} are read. Name fewer.")
        return given
    for line in lines:
        if re.match(r"(-{1,2}e(ditable)?\b|file:|\.{0,2}/|[A-Za-z]:\\)", line) or "file:" in line:
            check.fail(f"{where}: {line} is on one machine only.")
        elif line.startswith("-"):
            check.fail(f"{where}: {line}: list only packages from PyPI here.")
        elif "brain-score/" in line.lower():
            check.fail(
                f"{where}: {line} would replace the server's own Brain-Score: omit it.",
            )
        elif re.match(r"(git\+)?https?://", line) or "@" in line:
            check.note(f"{where}: {line}: make sure that the server can download it.")
        else:
            try:
                requirement = Requirement(re.sub(r"\s-{2}hash=\S+", "", line))
            except InvalidRequirement as error:
                what = str(error).splitlines()[0]
                check.fail(f"{where}: {line} is not a valid requirement: {what}.")
                continue
            given[canonicalize_name(requirement.name)] = requirement
    for name, requirement in given.items():
        if name in ("brainscore-vision", "brainscore-core"):
            check.fail(
                f"{where}: {requirement} would replace the server's own Brain-Score: omit it.",
            )
        elif name == "convrnns-brainscore":
            check.fail(
                f"{where}: {requirement} is not on a package index: omit it; `convrnns submission "
                "build` packs its code.",
            )
        elif name == "numpy" and requirement.specifier.contains("2.0"):
            check.fail(f"{where}: {requirement}: Brain-Score needs numpy < 2.")
        elif needed := _contradicted(name, requirement):
            check.fail(f"{where}: {requirement}: Brain-Score needs {needed}.")
    return given


def _contradicted(name: str, requirement: Requirement) -> str:
    """What Brain-Score needs instead; empty: nothing else.

    Of the versions that bounds name, and the installed one, some have to be within all bounds.
    """
    for owner in ("brainscore-vision", "brainscore-core"):
        needed = requirements(owner).get(name)
        if needed is None:
            continue
        bounds = [*needed.specifier, *requirement.specifier]
        versions = {each.version.removesuffix(".*") for each in bounds}
        versions |= {installed_version(name) or "0"}
        both = needed.specifier & requirement.specifier
        if not any(both.contains(each, prereleases=True) for each in versions):
            return f"{name}{needed.specifier}"
    return ""


def _lines(text: str) -> list[str]:
    """Requirements, a line each, without comments."""
    joined = text.lstrip("\ufeff").replace("\\\n", " ")
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line]


def _of_setup(plugin: Plugin) -> list[str]:
    """What ``setup.py`` requires in so many words."""
    tree = plugin.tree("setup.py")
    return [
        each.value
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.keyword) and node.arg == "install_requires"
        for each in ast.walk(node.value)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]


def _environment(where: str, text: str, check: Check) -> None:
    """A conda environment that the server can merge with its own."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        check.fail(f"{where} is not valid YAML: {str(error).splitlines()[0]}.")
        return
    if not isinstance(given, dict):
        check.fail(f"{where}: expected 'dependencies:'.")
        return
    if "name" in given:
        check.fail(f"{where}: 'name:' would create another environment: omit it.")
    listed = given.get("dependencies") or ()
    if not isinstance(listed, list | tuple):
        check.fail(f"{where}: expected 'dependencies:' and a list.")
        return
    for line in listed:
        if isinstance(line, dict):
            _parsed(where, _lines("\n".join(map(str, line.get("pip") or ()))), check)
        pinned = re.match(r"python\s*([=<>~!].*)", line) if isinstance(line, str) else None
        if pinned and not re.match(r"={1,2}\s*3\.11", pinned.group(1)):
            check.fail(f"{where}: {line}: the server has Python 3.11.")

"""The layout: plugins in ``models/<plugin>/``, which register their models by literal lines."""

from __future__ import annotations

import ast
import re
from collections.abc import Mapping
from pathlib import PurePosixPath

from convrnns_brainscore.brainscore.registry import REGISTRATION
from convrnns_brainscore.submission.findings import Check, Findings
from convrnns_brainscore.submission.plugin import FIRST, Plugin

NAME, REGISTERING = "layout", "registration"

KINDS = ("models", "benchmarks", "data", "metrics")
"""What Brain-Score takes plugins of."""


def find_plugins(files: Mapping[str, bytes], findings: Findings) -> list[Plugin]:
    """The plugins of models, if the layout is as the server needs it."""
    folders: dict[str, dict[str, bytes]] = {}
    outside: list[str] = []
    check = Check(NAME, findings)
    problems = len([each for each in findings.found if each.status == "fail"])
    for path, content in files.items():
        parts = PurePosixPath(path).parts
        if parts[0] in KINDS and len(parts) > 2:
            folders.setdefault("/".join(parts[:2]), {})["/".join(parts[2:])] = content
        elif len(parts) == 1 and PurePosixPath(path).suffix in (".md", ".txt", ".rst", ""):
            check.note(f"{path} lies outside models/<plugin>/: the server drops it.")
        elif len(parts) > 3 and parts[1] in KINDS:
            check.fail(
                f"everything is in a folder {parts[0]}/: zip its contents, so that {parts[1]}/… is "
                "at the top level.",
            )
            break
        else:
            outside.append(path)
    if outside:
        more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
        check.fail(
            f"outside models/<plugin>/: {outside[0]}{more}. This prevents an automatic merge.",
        )
    plugins = []
    for folder, inside in folders.items():
        kind, name = folder.split("/")
        if kind != "models":
            check.unchecked(f"{folder}: only plugins of models are checked here.")
            continue
        plugin = Plugin(name, inside)
        check_registration(plugin, findings)
        plugins.append(plugin)
    if not plugins:
        check.fail("the zip has no models/<plugin>/ folder, the only one the server reads.")
    elif len([each for each in findings.found if each.status == "fail"]) == problems:
        check.passed(", ".join(f"models/{plugin.name}" for plugin in plugins))
    return plugins


def check_registration(plugin: Plugin, findings: Findings) -> None:
    """Check that the plugin registers its models as Brain-Score and the server find them."""
    check, where = Check(REGISTERING, findings), f"models/{plugin.name}/{FIRST}"
    if FIRST not in plugin.files:
        Check(NAME, findings).fail(f"{where} is missing: it registers the models.")
        return
    found = []
    lines = plugin.files[FIRST].decode("utf-8", "replace").splitlines()
    for number, line in enumerate(lines, 1):
        if "model_registry[" not in line:
            continue
        literal = REGISTRATION.findall(line)
        greedy = re.findall(r"model_registry\[.*\]", line)  # as the server reads it
        if (
            line.lstrip().startswith("#")
            or len(literal) != 1
            or greedy != [match.group(0) for match in REGISTRATION.finditer(line)]
        ):
            check.fail(
                f"{where}:{number}: the server needs a line for each model, "
                "model_registry['<name>'] = …, with a literal name and no other ']'."
            )
        found += literal
    tree = plugin.tree(FIRST)
    for identifier in dict.fromkeys(found):
        if tree is not None and identifier not in _assigned(tree):
            check.fail(
                f"{where}: the line of {identifier} is not a top-level statement: assign "
                "model_registry['<name>'] at its top level."
            )
    if not found:
        check.fail(f"{where} registers no model: add a line model_registry['<identifier>'] = ….")
    for identifier in sorted({each for each in found if found.count(each) > 1}):
        check.fail(f"{where} registers {identifier} more than once.")


def _assigned(tree: ast.Module) -> set[str]:
    """Names that a module assigns in ``model_registry`` at its top level."""
    return {
        target.slice.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
        and getattr(target.value, "id", "") == "model_registry"
        and isinstance(target.slice, ast.Constant)
        and isinstance(target.slice.value, str)
    }

"""Python that compiles, with a test."""

from __future__ import annotations

import ast
import re
from pathlib import Path, PurePosixPath

from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import FIRST, Plugin

NAME = "code"


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """Python that compiles, with a test."""
    tests = [path for path in plugin.files if re.match(r"test.*\.py$", PurePosixPath(path).name)]
    if "test.py" not in plugin.files:
        check.fail(
            f"models/{plugin.name}/test.py is missing: the server runs it"
            + (f" (and not {tests[0]})." if tests else "."),
        )
    elif not re.search(r"^\s*(async )?def test", plugin.text("test.py") or "", re.MULTILINE):
        check.fail(f"models/{plugin.name}/test.py contains no tests.")
    for path, module in plugin.modules.items():
        if module.tree is None:
            check.fail(f"models/{plugin.name}/{path} is not Python 3.11: {module.error}.")
        for node in ast.walk(module.tree) if module.tree else ():
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelCommitment":
                given = {each.arg for each in node.keywords}
                if len(node.args) < 2 and "activations_model" not in given:
                    check.fail(
                        f"{path}:{node.lineno}: a ModelCommitment without activations_model cannot "
                        "be scored.",
                    )
    for missing in _missing_modules(plugin):
        check.fail(f"models/{plugin.name}/{missing} is imported but missing.")
    if plugin.text("__init__.py") is not None and "model_registry" not in _imported(plugin):
        check.fail(
            f"models/{plugin.name}/__init__.py does not import model_registry from "
            "brainscore_vision.",
        )
    return f"{len(plugin.modules)} modules compile, test.py is there"


def _missing_modules(plugin: Plugin) -> list[str]:
    """Files of its own that modules in the plugin's folder import, and that are not there."""
    own, needed = f"brainscore_vision.models.{plugin.name}.", set()
    at_top = [plugin.tree(path) for path in plugin.modules if "/" not in path]
    for tree in filter(None, at_top):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.level == 1:
                needed.add(node.module)
            elif node.module.startswith(own):
                needed.add(node.module.removeprefix(own))
    paths = {name: name.replace(".", "/") for name in needed}
    return sorted(
        f"{path}.py"
        for path in paths.values()
        if f"{path}.py" not in plugin.files
        and not any(each.startswith(f"{path}/") for each in plugin.files)
    )


def _imported(plugin: Plugin) -> set[str]:
    """Names that ``__init__.py`` imports from Brain-Score."""
    tree = plugin.tree(FIRST)
    if tree is None:
        return {"model_registry"}  # said already
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brainscore_vision")
        for alias in node.names
    }

"""A plugin of models in a submission: its files, its modules, its models."""

from __future__ import annotations

import ast
import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from convrnns_brainscore.brainscore.registry import PREFIX, REGISTRATION
from convrnns_brainscore.submission.build import SETTINGS
from convrnns_brainscore.zoo import list_models

FIRST = "__init__.py"
"""The module that registers the models."""

SERVERS_PYTHON = (3, 11)

LARGEST_MODULE = 500_000
"""Bytes of a Python file; more take minutes to compile, and no reviewer reads them."""


@dataclass(frozen=True)
class Module:
    """A Python file of a plugin.

    Attributes
    ----------
    tree : Module or None
        Its syntax tree; None: it is not Python.
    error : str, default ''
        Why not, or empty.
    """

    tree: ast.Module | None
    error: str = ""


@dataclass(frozen=True)
class Plugin:
    """A plugin of models in a submission.

    Attributes
    ----------
    name : str
        Name of its folder.
    files : mapping of str to bytes
        Path below it → content.
    """

    name: str
    files: Mapping[str, bytes]

    @cached_property
    def modules(self) -> dict[str, Module]:
        """Path → module, of its Python files; each is parsed once."""
        return {
            path: _parse(content, path)
            for path, content in self.files.items()
            if path.endswith(".py")
        }

    @cached_property
    def identifiers(self) -> tuple[str, ...]:
        """Of its models, by their literal lines, as Brain-Score finds them."""
        lines = self.files.get(FIRST, b"").decode("utf-8", "replace").splitlines()
        found = [name for line in lines for name in REGISTRATION.findall(line)]
        return tuple(dict.fromkeys(found))

    def tree(self, path: str) -> ast.Module | None:
        """The syntax tree of a module; None: there is no such file, or it is not Python."""
        return self.modules[path].tree if path in self.modules else None

    def text(self, path: str) -> str | None:
        """A file's text; None: there is none."""
        return self.files[path].decode("utf-8-sig", "replace") if path in self.files else None

    @property
    def settings(self) -> dict[str, Any] | None:
        """What `build` said of backend and weights; None where something else built it."""
        text = self.text(SETTINGS)
        try:
            found = json.loads(text) if text is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def model_of(self, identifier: str) -> str | None:
        """The ConvRNN that an identifier stands for; None: another kind of model."""
        models = (self.settings or {}).get("models")
        meant = models.get(identifier) if isinstance(models, dict) else None
        named = meant.get("model") if isinstance(meant, dict) else None
        name = str(named or identifier.removeprefix(PREFIX))
        return name if name in list_models() else None


def _parse(content: bytes, path: str) -> Module:
    if len(content) > LARGEST_MODULE:
        return Module(None, f"{len(content)} bytes, and at most {LARGEST_MODULE} are read")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            compile(content, path, "exec")
            return Module(ast.parse(content, feature_version=SERVERS_PYTHON))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return Module(None, str(error) or type(error).__name__)

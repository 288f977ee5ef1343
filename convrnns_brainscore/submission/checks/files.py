"""No weights, no programs, no paths of one machine; text that a reviewer can read."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin

NAME = "files"

WEIGHTS = (
    ".safetensors", ".ckpt", ".index", ".h5", ".hdf5", ".keras", ".pb",
    ".pt", ".pth", ".bin", ".npz", ".npy", ".pkl", ".pickle", ".onnx", ".tflite",
)  # fmt: skip

PROGRAMS = (
    ".so", ".dll", ".dylib", ".exe", ".o", ".a", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz",
    ".7z", ".rar", ".whl", ".egg", ".jar",
)  # fmt: skip

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp")

SETTINGS_FILES = (".json", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".env")

_ROOTS = (
    "home|Users|Volumes|root|mnt|media|work|scratch|tmp|private|gpfs|nfs|lustre|afs|oak|om2?|"
    "content/drive|braintree"
)
ABSOLUTE = rf"((file://)?/|(\.\./)+)({_ROOTS})/\S.*|file:///.*|~/\S.*|[A-Z]:[\\/]\w.*|\\\\\w.*"
"""Paths that no other machine has."""

PERHAPS_ABSOLUTE = r"/[\w.-]+(/[\w.-]+)+"
"""Or names in a file, such as of HDF5's groups."""


LONGEST_PATH = 4096
"""Characters that a path has at most."""


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """No weights, no programs, no absolute paths; text that a reviewer can read."""
    for path, content in plugin.files.items():
        where, name = f"models/{plugin.name}/{path}", path.lower()
        if name.endswith(WEIGHTS) or re.search(r"\.data-\d+-of-\d+$", name):
            check.fail(
                f"{where}: do not pack weights: the plugin fetches them when a model is loaded."
            )
        elif name.endswith(PROGRAMS) or re.search(r"\.so(\.\d+)+$", name):
            check.fail(f"{where}: reviewers cannot inspect programs and archives.")
        elif name.endswith(PICTURES):
            check.note(f"{where}: is this picture needed? Otherwise remove it.")
        elif not _is_text(content):
            check.fail(f"{where} is not UTF-8 text, so a reviewer cannot read it.")
        else:
            for text in _strings(plugin, path):
                if len(text) > LONGEST_PATH:
                    continue
                if re.fullmatch(ABSOLUTE, text):
                    check.fail(
                        f"{where}: {text} is a path on one machine, which the server does not have."
                    )
                elif re.fullmatch(PERHAPS_ABSOLUTE, text):
                    check.note(f"{where}: if {text} is a path, the server does not have it.")
    return "no weights, programs or paths of one machine"


def _strings(plugin: Plugin, path: str) -> Iterator[str]:
    """Code's strings, and settings' words."""
    if path.endswith(".py"):
        tree = plugin.tree(path)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                value = node.value
                yield value if isinstance(value, str) else value.decode("utf-8", "replace")
    elif path.endswith(SETTINGS_FILES):
        yield from re.findall(r"""[^\s'",;=]+""", plugin.text(path) or "")


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False

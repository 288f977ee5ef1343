"""Data flows one way: no module imports one that stands below it."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import convrnns_brainscore

ORDER = [
    "errors",
    "files",
    "requirements",
    "zoo",
    "images",
    "timing",
    "stimuli",
    "presentation",
    "networks",
    "checkpoints",
    "download",
    "weights",
    "cluster",
    "convrnn",
    "stores",
    "provenance",
    "features",
    "geometry",
    "regions",
    "nwb",
    "recordings",
    "fits",
    "assemblies",
    "activations",
    "brain_model",
    "benchmarks",
    "imagenet",
    "packages",
    "exact",
    "scoring",
    "registry",
    "submission",
    "simulate",
    "report",
    "doctor",
    "demo",
    "cli",
]
NETWORKS = [
    "backend",
    "backbones",
    "cells",
    "layers",
    "decoders",
    "lesions",
    "build",
    "unroll",
]
FOLDER = Path(convrnns_brainscore.__file__).parent
BRAIN_SCORE = {
    "activations",
    "assemblies",
    "benchmarks",
    "brain_model",
    "demo",
    "exact",
    "packages",
    "plugin",
    "probe",
    "scoring",
    "simulate",
}


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            modules |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Import):
            modules |= {alias.name for alias in node.names}
    return modules


def names_below(modules: set[str], package: str) -> set[str]:
    return {
        module.removeprefix(f"{package}.").split(".")[0]
        for module in modules
        if module.startswith(f"{package}.")
    }


@pytest.mark.parametrize(
    ("package", "order"),
    [("convrnns_brainscore", ORDER), ("convrnns_brainscore.networks", NETWORKS)],
)
def test_no_module_imports_upwards(package: str, order: list[str]) -> None:
    folder = FOLDER.joinpath(*package.split(".")[1:])
    found = {path.stem for path in folder.glob("*.py")} | {
        p.parent.name for p in folder.glob("*/__init__.py")
    }
    assert found - {"__init__"} == set(order)
    for position, name in enumerate(order):
        files = (
            [folder / f"{name}.py"]
            if (folder / f"{name}.py").exists()
            else (folder / name).glob("*.py")
        )
        for path in files:
            later = names_below(imported(path), package) & set(order[position + 1 :])
            assert not later, f"{path.name} imports {later}"


def test_brain_score_is_imported_only_where_it_is_needed() -> None:
    for path in FOLDER.rglob("*.py"):
        uses = {module.split(".")[0] for module in imported(path)}
        assert not uses & {"brainscore_vision", "brainscore_core"} or path.stem in BRAIN_SCORE
        assert "torch" not in uses or path.stem == "backend"

"""The layout shows the architecture: data flows one way, and each thing has its room."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import convrnns_brainscore

FOLDER = Path(convrnns_brainscore.__file__).parent

ORDER = {
    "": [
        "_version", "errors", "choices", "files", "threads", "memory", "requirements", "netcdf",
        "integrity", "console", "progress", "tables", "zoo", "images", "timing", "presentation",
        "movies", "streams", "stimuli", "duration", "networks", "image_batches", "checkpoints",
        "download", "weights", "convrnn", "batch_size", "cluster",
        "provenance", "stores", "features", "geometry", "regions", "objects92", "coordinates",
        "recording_arrays", "recording_tables", "exports", "array_files", "recordings", "nwb",
        "epochs", "recording_files", "fits", "decoding", "brainscore", "imagenet", "report",
        "submission", "doctor", "goldens", "demo",
        "cli",
    ],
    "networks": [
        "tensorflow_operations", "torch_operations", "operations", "process_setting", "backend",
        "tensorflow_backend", "torch_backend", "backends", "trainable", "backbones", "cells",
        "layers", "decoders", "lesions", "build", "unroll", "forward", "tensorflow_module",
        "torch_module",
    ],
    "fits": [
        "blas", "correlation", "gram", "pls", "streamed_pls", "ridge", "control", "splits",
        "learning", "reliability", "heldout", "mapping", "resampling", "selection", "prepare",
        "scratch",
        "blocks", "layer_fits", "encoding", "results", "results_file", "finished", "layer", "fit",
        "estimate", "learning_curves", "statistics", "region_differences", "cross_validated",
        "distances", "reference", "representation", "partition", "partition_study", "lab",
    ],
    "decoding": [
        "measures", "classifier", "behaviour", "question", "populations", "comparison", "study",
    ],
    "brainscore": [
        "internals", "assemblies", "assembly_files", "stimulus_durations", "activations",
        "projection", "readout", "tasks", "brain_model", "digests", "benchmarks",
        "experiment", "memory", "packages", "exact_metric", "plan", "estimate", "summary",
        "scoring", "registry", "simulate", "trial",
    ],
    "report": [
        "style", "files", "heat_map", "tables", "page", "methods", "fit_numbers", "fit_figures",
        "fit_interactive", "fit_report", "geometry_report", "decoding_report",
        "partition_report", "lab_report", "unit_figure", "score_figures", "trials",
    ],
    "demo": ["setting", "geometry", "scores", "fits", "page"],
    "cli": [
        "messages", "options", "groups", "recordings", "first", "fits", "decoding", "partition",
        "networks", "scores", "submission",
    ],
}  # fmt: skip
"""Folder → its modules; a module imports only what stands before it."""

OPTION = re.compile(r"--[a-z]")


def tree_of(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> set[str]:
    modules = set()
    for node in ast.walk(tree_of(path)):
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


def below(folder: Path) -> Iterator[Path]:
    return (path for path in folder.rglob("*.py"))


@pytest.mark.parametrize("folder", ORDER)
def test_no_module_imports_upwards(folder: str) -> None:
    order, place = ORDER[folder], FOLDER / folder
    package = ".".join(filter(None, ["convrnns_brainscore", folder]))
    found = {path.stem for path in place.glob("*.py")}
    found |= {path.parent.name for path in place.glob("*/__init__.py")}
    assert found - {"__init__", "__main__"} == set(order)
    for position, name in enumerate(order):
        module = place / f"{name}.py"
        for path in [module] if module.exists() else below(place / name):
            later = names_below(imported(path), package) & set(order[position + 1 :])
            assert not later, f"{path.relative_to(FOLDER)} imports {later}"


def test_only_its_folder_the_demonstration_and_the_probe_import_brain_score() -> None:
    allowed = {FOLDER / "demo" / "scores.py", FOLDER / "submission" / "probe.py"}
    for path in below(FOLDER):
        uses = {module.split(".")[0] for module in imported(path)}
        if FOLDER / "brainscore" not in path.parents and path not in allowed:
            assert not uses & {"brainscore_vision", "brainscore_core"}, path
        own_kind = path.match("brainscore/trial/sweep.py")  # makes a model of Brain-Score's kind
        # TensorFlow's backend uses Triton; `exports.to_torch` imports the class it returns.
        others = {"tensorflow_backend", "exports"}
        of_torch = path.stem.startswith("torch_") or path.stem in others
        assert not uses & {"torch", "triton"} or of_torch or own_kind
        assert "keras" not in uses, path


def messages(tree: ast.Module) -> Iterator[str]:
    """The strings of a module but for its docstrings."""
    spoken = {
        id(node.value)
        for parent in ast.walk(tree)
        if isinstance(parent, ast.Module | ast.ClassDef | ast.FunctionDef)
        for node in parent.body
        if isinstance(node, ast.Expr)
    }
    for node in ast.walk(tree):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and id(node) not in spoken
        ):
            yield node.value


def test_the_library_names_parameters_and_the_command_line_names_options() -> None:
    """Arguments of other programs, which are a string by themselves, are no messages."""
    for path in below(FOLDER):
        if FOLDER / "cli" in path.parents:
            continue
        for text in messages(tree_of(path)):
            assert not OPTION.search(text) or re.fullmatch(r"--[a-z_-]+", text), (path, text)

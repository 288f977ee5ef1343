"""``metadata.yml`` as Brain-Score reads it, where there is one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from convrnns_brainscore.brainscore.internals import metadata_problems
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin

NAME = "metadata"


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """``metadata.yml`` as Brain-Score reads it, where there is one."""
    for name in ("metadata.yml", "metadata.yaml"):
        text = plugin.text(name)
        if text is None:
            continue
        check.note(
            f"models/{plugin.name}/{name}: with it, a submission waits for a review by hand.",
        )
        for problem in _metadata_problems(text, plugin.identifiers):
            check.fail(f"models/{plugin.name}/{name}: {problem}")
    return ""


def _metadata_problems(text: str, identifiers: Sequence[str]) -> list[str]:
    with TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.yml"
        path.write_text(text, encoding="utf-8")
        problems, data = metadata_problems(path)
    described = data.get("models") if isinstance(data, dict) else None
    if isinstance(described, dict) and set(described) - set(identifiers):
        strange = sorted(map(str, set(described) - set(identifiers)))
        problems = [*problems, f"{strange[0]} is not a model of this plugin"]
    return [str(problem).splitlines()[0] for problem in problems]

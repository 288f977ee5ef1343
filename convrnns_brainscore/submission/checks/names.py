"""Names of plugin and models: possible, and free."""

from __future__ import annotations

import re
from importlib.metadata import version as installed_version
from keyword import iskeyword
from pathlib import Path

from convrnns_brainscore.brainscore.registry import REGISTRATION, registered_models
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin

NAME = "names"


def run(plugin: Plugin, brain_score: Path, check: Check) -> str:
    """Names that are possible, and free."""
    if not re.fullmatch(r"[A-Za-z]\w*", plugin.name, re.ASCII) or iskeyword(plugin.name):
        check.fail(
            f"models/{plugin.name}: the name must consist of letters, digits and '_' and begin "
            "with "
            "a letter, since Python imports it.",
        )
    taken = registered_models(brain_score, leave_out=plugin.name)
    for identifier in plugin.identifiers:
        if identifier in taken:
            check.fail(f"{identifier} is a model of Brain-Score's ({taken[identifier].name}): "
                "choose another name for yours (`suffix=…`).",
            )  # fmt: skip
        if not re.fullmatch(r"[\w.:=-]+", identifier, re.ASCII):
            check.fail(f"{identifier!r}: identifiers may contain only letters, digits and '_.:=-'.")
    theirs = brain_score / plugin.name / "__init__.py"
    text = theirs.read_text(encoding="utf-8") if theirs.is_file() else ""
    if text and not set(REGISTRATION.findall(text)) & set(plugin.identifiers):
        check.fail(f"Brain-Score already has a plugin {plugin.name}: rename the folder.")
    elif text and "convrnns_brainscore" not in text:  # which `convrnns register` put there
        check.note(
            f"Brain-Score has a plugin {plugin.name} with these models already: this one would "
            "replace it, which only its author may.",
        )
    release = installed_version("brainscore-vision")
    return (
        f"identifiers that no other model of brainscore-vision {release} has: "
        f"{len(plugin.identifiers)}; models submitted since then are not known here"
    )

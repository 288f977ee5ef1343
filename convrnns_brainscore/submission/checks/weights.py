"""Where weights come from, with a digest."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from convrnns_brainscore._version import __version__
from convrnns_brainscore.brainscore.registry import PREFIX
from convrnns_brainscore.choices import BackendName
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.submission.build import (
    CODE,
    SETTINGS,
    StoredWeights,
    WeightsAddress,
    needed_code,
)
from convrnns_brainscore.submission.findings import Check
from convrnns_brainscore.submission.plugin import Plugin
from convrnns_brainscore.zoo import list_models

NAME = "weights"


def run(plugin: Plugin, _: Path, check: Check) -> str:
    """Where weights come from, with a digest."""
    text = plugin.text(SETTINGS)
    if text is None:
        check.unchecked(
            f"models/{plugin.name} has no {SETTINGS}: where its weights come from is not known.",
        )
        return ""
    settings = plugin.settings
    models = (settings or {}).get("models")
    if settings is None or not isinstance(models, dict):
        check.fail(f"models/{plugin.name}/{SETTINGS} is damaged: build it again.")
        return ""
    for problem in _settings_problems(settings, plugin):
        check.fail(f"models/{plugin.name}/{SETTINGS}: {problem}: build it again.")
    if set(models) != set(plugin.identifiers):
        check.fail(
            f"models/{plugin.name}/{SETTINGS} is of {', '.join(models)}, and __init__.py registers "
            f"{', '.join(plugin.identifiers) or 'none'}: build it again.",
        )
    if f"{CODE}/convrnns_brainscore/__init__.py" not in plugin.files:
        check.fail(f"models/{plugin.name}/{CODE} is missing: build it again.")
    published = []
    for identifier, meant in models.items():
        given = meant.get("weights") if isinstance(meant, dict) else None
        if given is None:
            published.append(identifier)
            continue
        if not isinstance(given, dict):
            check.fail(f"models/{plugin.name}/{SETTINGS}: weights {given!r}: build it again.")
            continue
        sha256 = str(given.get("sha256"))
        try:
            if "key" in given:
                StoredWeights(str(given["key"]), str(given.get("version_id")), sha256)
                check.note(
                    f"{identifier}: weights are fetched from Brain-Score's storage "
                    f"({given['key']}), where you uploaded them; this cannot be tested before the "
                    "submission."
                )
                continue
            weights = WeightsAddress(str(given.get("url")), sha256)
        except ConvRNNError as error:
            check.fail(f"models/{plugin.name}/{SETTINGS}: {error}")
            continue
        if _is_near(weights.url):
            check.note(
                f"{weights.url} is an address on this machine or its network: the server cannot "
                "reach it."
            )
    return "published checkpoints" if published else "the submitter's, each with its SHA-256"


def _settings_problems(settings: Mapping[str, Any], plugin: Plugin) -> Iterator[str]:
    """What in ``plugin.json`` does not go with the plugin's files."""
    if settings.get("backend") not in list(BackendName):
        yield f"unknown backend {settings.get('backend')!r}"
    code = plugin.text(f"{CODE}/convrnns_brainscore/_version.py") or ""
    if f'__version__ = "{settings.get("version")}"' not in code:
        yield f"version {settings.get('version')!r} is not that of the code"
    elif settings["version"] == __version__:
        needed = needed_code(settings.get("backend", ""))
        missing = sorted(name for name in needed if f"{CODE}/{name}" not in plugin.files)
        if missing:
            yield f"{CODE}/{missing[0]} is missing"
    requirements = plugin.text("requirements.txt") or ""
    if settings.get("backend") == "tensorflow" and "tensorflow" not in requirements:
        yield "the backend is TensorFlow, which requirements.txt does not name"
    without = [name for name, meant in settings["models"].items() if not meant.get("weights")]
    if settings.get("backend") == "torch" and without:
        yield f"{without[0]} has no address of its weights, which PyTorch needs"
    for identifier, meant in settings["models"].items():
        name = meant.get("model") if isinstance(meant, dict) else None
        if name not in list_models():
            yield f"{identifier} names an unknown model ({name!r})"
        elif not identifier.startswith(f"{PREFIX}{name}"):
            yield f"{identifier} stands for {name}, but does not begin with {PREFIX}{name}"


def _is_near(url: str) -> bool:
    """Whether an address is of this machine or its network."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host

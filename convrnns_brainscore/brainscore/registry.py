"""The Brain-Score plugin of the 20 models: its files, and where Brain-Score finds them.

Brain-Score looks for models only in its own folder ``models``, and there for one literal line a
model. So a plugin folder is written there (`register`) and taken away again (`unregister`).
``model_registry/convrnns`` of this project holds the same files. They need this package installed;
what goes to the leaderboard is `submission.build`'s.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from os import PathLike
from pathlib import Path
from textwrap import dedent
from typing import Any

from convrnns_brainscore._version import __version__
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.regions import LATENCY, Latency, region_latencies, region_layers
from convrnns_brainscore.requirements import brain_score_folder
from convrnns_brainscore.zoo import find_model, list_models

PLUGIN = "convrnns"
"""Name of the plugin's folder."""

PREFIX = "convrnn_"
"""What a model's identifier in Brain-Score begins with."""

REQUIREMENTS = "convrnns-brainscore\n"
"""What a machine needs that does not have this package yet, unlike one where `register` runs."""

ANSWERED = "BENCHMARKS.md"
"""In this project's own plugin folder: which benchmarks its models answer."""

REGISTRATION = re.compile(r"model_registry\[['\"]([^'\"]+)['\"]\]")
"""A literal registration of a model."""

_TEMPLATE = Path(__file__).parent / "plugin"
"""``model.py`` and ``test.py`` of every plugin."""

_SIGN = "Written by convrnns_brainscore"


def plugin_files(
    models: Iterable[str] | None = None,
    suffix: str = "",
    region_layer_map: str | PathLike[str] | None = None,
    latency: Latency = None,
) -> dict[str, str]:
    """The plugin's files: path inside the plugin's folder → text.

    Parameters
    ----------
    models : iterable of str, optional
        Names; None: all 20.
    suffix : str, default ''
        Suffix of the identifiers.
    region_layer_map : str or path, optional
        As in `regions.region_layers`; regions that it leaves out keep their default.
    latency : mapping of str to float or 'fitted', optional
        As in `regions.region_latencies`; the maps hold the latencies where they are not the
        default.

    Raises
    ------
    ConvRNNError
        Unknown model, or a map with regions or layers that there are not.
    """
    names = list_models() if models is None else [find_model(name).name for name in models]
    identifiers = {f"{PREFIX}{name}{suffix}": find_model(name) for name in names}
    lines = "\n".join(
        f"model_registry['{each}'] = lambda: get_model('{each}')" for each in identifiers
    )
    head = dedent(f'''\
        """{_SIGN} {__version__}: one literal line a model, as Brain-Score's
        search needs it."""

        from brainscore_vision import model_registry

        from .model import get_model

        ''')
    maps = {}
    latencies = region_latencies(region_layer_map, latency)
    for identifier, model in identifiers.items():
        regions = {**region_layers(model), **region_layers(model, region_layer_map)}
        layers: dict[str, Any] = {
            region: each[0] if len(each) == 1 else each for region, each in regions.items()
        }
        if latencies != region_latencies():
            layers[LATENCY] = latencies
        maps[f"region_layer_map/{identifier}.json"] = json.dumps(layers, indent=2) + "\n"
    code = {
        name: (_TEMPLATE / name).read_text(encoding="utf-8") for name in ("model.py", "test.py")
    }
    return {"__init__.py": f"{head}{lines}\n", **code, **maps}


def write_plugin(folder: Path, models: Iterable[str] | None = None) -> None:
    """Write the plugin's files below ``folder``, which appears when it is whole."""
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    for name, text in plugin_files(models).items():
        path = partial / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    if folder.exists():
        shutil.rmtree(folder)
    partial.replace(folder)


def register() -> Path:
    """Have Brain-Score on this machine find the 20 models; returns the plugin's folder.

    The plugin names no requirements, so that Brain-Score has nothing to install at each load.

    Raises
    ------
    ConvRNNError
        Brain-Score is not installed, or another plugin has one of the names.
    OSError
        Its folder cannot be written.
    """
    folder = _folder()
    taken = registered_models(folder.parent, leave_out=PLUGIN)
    clash = [f"{PREFIX}{name}" for name in list_models() if f"{PREFIX}{name}" in taken]
    if clash:
        raise ConvRNNError(
            f"Brain-Score has a model {clash[0]} already, in {taken[clash[0]]}; remove that plugin."
        )
    write_plugin(folder)
    return folder


def unregister() -> Path:
    """Take the plugin away again; returns the folder that it had.

    Raises
    ------
    ConvRNNError
        Brain-Score is not installed, or there is no plugin to remove.
    OSError
        Its folder cannot be written.
    """
    folder = _folder()
    if not folder.exists():
        raise ConvRNNError(f"nothing to remove: there is no {folder}.")
    shutil.rmtree(folder)
    return folder


def _folder() -> Path:
    """The plugin's folder among Brain-Score's models: absent, or one that `register` wrote."""
    folder = brain_score_folder() / "models" / PLUGIN
    first = folder / "__init__.py"
    if folder.exists() and not (first.is_file() and _SIGN in first.read_text(encoding="utf-8")):
        raise ConvRNNError(f"{folder} exists but was not created by this tool; move it first.")
    return folder


def registered_models(models: Path, leave_out: str = "") -> dict[str, Path]:
    """Identifier → plugin folder, of every model plugin in a folder but one.

    Parameters
    ----------
    models : path
        A folder of plugins, such as Brain-Score's own.
    """
    return {
        name: first.parent
        for first in models.glob("[!._]*/__init__.py")
        if first.parent.name != leave_out
        for name in REGISTRATION.findall(first.read_text(encoding="utf-8"))
    }


if __name__ == "__main__":
    repository = Path(__file__).parents[2] / "model_registry" / PLUGIN
    answered = (repository / ANSWERED).read_text(encoding="utf-8")  # of `benchmarks --try`
    write_plugin(repository)
    (repository / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    (repository / ANSWERED).write_text(answered, encoding="utf-8")

"""The Brain-Score plugin of the 20 models: its files, and where Brain-Score finds them.

Brain-Score looks for models only in its own folder ``models``, and there for one literal line a
model. So a plugin folder is written there (`register`) and taken away again (`unregister`).
``model_registry/convrnns`` of this project holds the same files, as the leaderboard wants them.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterable
from pathlib import Path
from textwrap import dedent

import convrnns_brainscore
from convrnns_brainscore.benchmarks import brain_score_folder
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.zoo import find_model, list_models

PLUGIN = "convrnns"
"""Name of the plugin's folder."""

PREFIX = "convrnn_"
"""What a model's identifier in Brain-Score begins with."""

REQUIREMENTS = "convrnns-brainscore\n"
"""What a machine needs that does not have this package yet, unlike one where `register` runs."""

_SIGN = "Written by convrnns_brainscore"

_MODEL = '''\
"""The ConvRNNs of Nayebi et al. (2022), Neural Computation 34:1652, as Brain-Score subjects."""

from pathlib import Path


def get_model(identifier):
    """The subject, with the published weights, which are downloaded at the first time."""
    from convrnns_brainscore import load_brain_model
    from convrnns_brainscore.checkpoints import checkpoint_folder, find_checkpoint
    from convrnns_brainscore.download import download

    name = identifier.removeprefix("convrnn_")
    if find_checkpoint(checkpoint_folder(), name) is None:
        download(name, checkpoint_folder())
    regions = Path(__file__).parent / "region_layer_map" / f"{identifier}.json"
    return load_brain_model(name, region_layer_map=regions)


def get_bibtex(identifier):
    """The paper to cite."""
    return """@article{nayebi2022recurrent,
    title = {Recurrent Connections in the Primate Ventral Visual Stream Mediate a Trade-Off
             Between Task Performance and Network Size During Core Object Recognition},
    author = {Nayebi, Aran and Sagastuy-Brena, Javier and Bear, Daniel M. and Kar, Kohitij and
              Kubilius, Jonas and Ganguli, Surya and Sussillo, David and DiCarlo, James J. and
              Yamins, Daniel L. K.},
    journal = {Neural Computation},
    volume = {34},
    number = {8},
    pages = {1652--1675},
    year = {2022},
    doi = {10.1162/neco_a_01506}
}"""
'''

_TEST = '''\
"""What the plugin promises, without weights."""

import json
from pathlib import Path

import pytest

MAPS = sorted((Path(__file__).parent / "region_layer_map").glob("*.json"))


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_each_model_has_the_regions_that_brain_score_records(path):
    from convrnns_brainscore.zoo import list_models

    assert path.stem.removeprefix("convrnn_") in list_models()
    regions = json.loads(path.read_text(encoding="utf-8"))
    assert {"V1", "V2", "V4", "IT"} <= set(regions)


def test_each_model_is_registered_and_has_a_map():
    import brainscore_vision
    from brainscore_vision.models import convrnns

    assert convrnns.__name__
    registered = {name for name in brainscore_vision.model_registry if name.startswith("convrnn_")}
    assert registered == {path.stem for path in MAPS}
'''


def plugin_files(models: Iterable[str] | None = None) -> dict[str, str]:
    """The plugin's files: path inside the plugin's folder → text.

    Parameters
    ----------
    models : names; None: all 20.
    """
    names = list_models() if models is None else [find_model(name).name for name in models]
    lines = "\n".join(
        f"model_registry['{PREFIX}{name}'] = lambda: get_model('{PREFIX}{name}')" for name in names
    )
    head = dedent(f'''\
        """{_SIGN} {convrnns_brainscore.__version__}: one literal line a model, as Brain-Score's
        search needs it."""

        from brainscore_vision import model_registry

        from .model import get_model

        ''')
    maps = {}
    for name in names:
        regions = region_layers(find_model(name))
        layers = {region: each[0] for region, each in regions.items()}
        maps[f"region_layer_map/{PREFIX}{name}.json"] = json.dumps(layers, indent=2) + "\n"
    return {"__init__.py": f"{head}{lines}\n", "model.py": _MODEL, "test.py": _TEST, **maps}


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
    ConvRNNError : Brain-Score is not installed, or another plugin has one of the names.
    OSError : its folder cannot be written.
    """
    folder = _folder()
    taken = _registered_elsewhere(folder.parent)
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
    ConvRNNError : Brain-Score is not installed, or there is no plugin to remove.
    OSError : its folder cannot be written.
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
        raise ConvRNNError(f"{folder} is not ours; move it away first.")
    return folder


def _registered_elsewhere(models: Path) -> dict[str, Path]:
    """Identifier → plugin folder, of every other model plugin."""
    pattern = re.compile(r"model_registry\[['\"]([^'\"]+)['\"]\]")
    return {
        name: first.parent
        for first in models.glob("[!._]*/__init__.py")
        if first.parent.name != PLUGIN
        for name in pattern.findall(first.read_text(encoding="utf-8"))
    }


if __name__ == "__main__":
    repository = Path(__file__).parents[1] / "model_registry" / PLUGIN
    write_plugin(repository)
    (repository / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")

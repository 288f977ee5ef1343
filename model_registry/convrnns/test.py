"""What the plugin promises, without weights."""

import json
from importlib import import_module
from pathlib import Path

import pytest

PLUGIN = Path(__file__).parent
MAPS = sorted((PLUGIN / "region_layer_map").glob("*.json"))


@pytest.mark.parametrize("path", MAPS, ids=lambda path: path.stem)
def test_each_model_has_the_regions_that_brain_score_records(path: Path) -> None:
    regions = json.loads(path.read_text(encoding="utf-8"))
    assert {"V1", "V2", "V4", "IT"} <= set(regions)


def test_each_model_is_registered_and_has_a_map() -> None:
    from brainscore_vision import model_registry

    plugin = import_module(f"brainscore_vision.models.{PLUGIN.name}").__name__
    ours = {name for name, make in model_registry.items() if make.__module__ == plugin}
    assert ours == {path.stem for path in MAPS}

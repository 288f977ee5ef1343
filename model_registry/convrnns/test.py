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

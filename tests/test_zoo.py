from __future__ import annotations

import json
from pathlib import Path

import pytest

from convrnns_brainscore import ConvRNNError, list_models
from convrnns_brainscore.networks.backbones import layer_names, output_shape
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.regions import REGIONS, layers_of, region_layers
from convrnns_brainscore.zoo import MODELS, find_model


def test_there_are_twenty_models_of_seven_cells_and_two_depths() -> None:
    assert len(list_models()) == len(set(list_models())) == 20
    assert len({model.cell for model in MODELS.values()}) == 7
    assert {model.depth for model in MODELS.values()} == {"shallow", "intermediate"}


def test_an_unknown_model_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(
        ConvRNNError, match=r"'rgc_intermedate'\. Did you mean 'rgc_intermediate'\?"
    ):
        find_model("rgc_intermedate")


def test_the_variables_are_those_of_the_published_checkpoints(shared: Path) -> None:
    published = json.loads((shared / "reference" / "variables.json").read_text())
    assert set(published) == set(MODELS)
    for name, model in MODELS.items():
        ours = {variable: list(shape) for variable, shape in variable_shapes(model).items()}
        assert ours == published[name], name


@pytest.mark.parametrize("name", list_models())
def test_every_region_has_a_layer_of_the_model(name: str) -> None:
    model = MODELS[name]
    for chosen in (None, "paper"):
        regions = region_layers(model, chosen)
        assert list(regions) == list(REGIONS)
        assert all(layer in layer_names(model) for layers in regions.values() for layer in layers)
        for layer in layer_names(model):
            assert output_shape(model, layer)[-1] > 0


def test_the_maps_are_those_of_the_paper_and_of_brain_scores_convention() -> None:
    shallow, intermediate = MODELS["gru_shallow"], MODELS["rgc_intermediate"]
    assert region_layers(shallow)["V4"] == ["conv3"]
    assert region_layers(shallow)["pIT"] == ["conv4"]
    assert region_layers(intermediate)["IT"] == region_layers(intermediate)["aIT"] == ["conv10"]
    paper = region_layers(intermediate, "paper")
    assert paper["V4"] == ["conv5", "conv6"]
    assert paper["pIT"] == ["conv7", "conv8"]
    assert paper["cIT"] == paper["aIT"] == ["conv9", "conv10"]


def test_a_map_of_the_users_own(tmp_path: Path) -> None:
    model = MODELS["rgc_intermediate"]
    path = tmp_path / "map.json"
    path.write_text(json.dumps({"IT": "conv9", "V4": ["conv4", "conv6"]}))
    assert region_layers(model, path) == {"IT": ["conv9"], "V4": ["conv4", "conv6"]}
    path.write_text(json.dumps({"PFC": "conv10"}))  # as fits of any area write it
    assert region_layers(model, path) == {"PFC": ["conv10"]}
    for wrong, message in (
        ({"it": "conv9"}, "unknown region"),
        ({"IT": "conv11"}, "unknown layer"),
        ({"IT": []}, "one or more"),
        ({"IT": ["conv9", "conv9"]}, "one or more"),
        ({}, "expected"),
        ([1], "expected"),
    ):
        path.write_text(json.dumps(wrong))
        with pytest.raises(ConvRNNError, match=message):
            region_layers(model, path)
    with pytest.raises(ConvRNNError, match="cannot read the region map"):
        region_layers(model, tmp_path / "absent.json")


def test_an_unknown_region_is_refused() -> None:
    model = MODELS["rgc_shallow"]
    with pytest.raises(ConvRNNError, match=r"unknown region of rgc_shallow 'MT'.*V4"):
        layers_of(model, region_layers(model), "MT")


def test_a_cell_of_another_depth_makes_its_layers_output_as_deep() -> None:
    assert output_shape(MODELS["lstm_shallow"], "conv3") == (14, 14, 128)
    assert output_shape(MODELS["simplernn_shallow"], "conv5") == (4, 4, 256)
    assert output_shape(MODELS["gru_shallow"], "conv5") == (4, 4, 512)

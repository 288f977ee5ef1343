from __future__ import annotations

import json
from pathlib import Path

import pytest

from convrnns_brainscore import ConvRNNError, list_models
from convrnns_brainscore.networks.backbones import layer_names
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.regions import REGION_LAYERS, region_layer
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
    for region in REGION_LAYERS[model.depth]:
        assert region_layer(model, region) in layer_names(model)
    assert {"V1", "V2", "V4", "pIT", "IT", "cIT", "aIT"} == set(REGION_LAYERS[model.depth])


def test_an_unknown_region_is_refused() -> None:
    with pytest.raises(ConvRNNError, match=r"unknown region of rgc_shallow 'MT'.*V4"):
        region_layer(MODELS["rgc_shallow"], "MT")

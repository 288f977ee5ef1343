from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.stats
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore import Presentation
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.geometry import (
    dissimilarities,
    dissimilarity_movie,
    noise_ceiling,
    similarity,
)
from convrnns_brainscore.images import load_images
from convrnns_brainscore.objects92 import load_objects92

COUNT = 20


STEPS = 9


@pytest.fixture(scope="module")
def activations(network: ConvRNN, photographs: list[Path]) -> dict[str, NDArray[np.float32]]:
    """Layer → [stimulus, step, unit]; the image is on for 3 of 9 steps."""
    images = load_images(photographs[::4][:COUNT])
    layers = ["conv1", "conv2", "conv3", "conv4", "conv5"]
    outputs = network.unroll(images, layers, Presentation.custom(STEPS, 3), all_times=True)
    return {
        layer: output[:, network.first_step(layer) :].reshape(
            COUNT, STEPS - network.first_step(layer), -1
        )
        for layer, output in outputs.items()
    }


@pytest.fixture(scope="module")
def movie(activations: dict[str, NDArray[np.float32]]) -> xr.DataArray:
    return dissimilarity_movie(activations, STEPS)


def test_the_movie_has_the_dissimilarity_of_the_patterns_at_each_step(
    movie: xr.DataArray, activations: dict[str, NDArray[np.float32]]
) -> None:
    """conv3 has activations from step 2 on."""
    expected = 1 - np.corrcoef(activations["conv3"][:, 2])[np.triu_indices(COUNT, 1)]
    np.testing.assert_array_equal(movie.sel(layer="conv3")[4], expected)
    assert movie["time_bin_start"].values.tolist() == list(range(0, 90, 10))


def test_what_has_no_meaning_is_undefined(movie: xr.DataArray, network: ConvRNN) -> None:
    """Before the image reaches a layer, and after it left a feed-forward one."""
    defined = np.isfinite(movie.values).all(axis=-1)
    assert (np.isnan(movie.values).all(axis=-1) == ~defined).all()
    for layer, row in zip(movie.layer.values, defined, strict=True):
        first = network.first_step(layer)
        assert not row[:first].any()
        assert row[first]
    assert defined[0].tolist() == [True] * 3 + [False] * 6  # conv1 forgets when the image goes off
    assert defined[2].tolist() == [False] * 2 + [True] * 7  # conv3 remembers


def test_similarity_is_spearmans_and_undefined_stays_undefined(movie: xr.DataArray) -> None:
    rng = np.random.default_rng(0)
    brain = rng.random(movie.sizes["pair"])
    subjects = rng.random((3, movie.sizes["pair"]))
    result = similarity(movie, {"one": brain, "three": subjects}, resamples=20)
    values = movie.sel(layer="conv3")[4]
    one = result.similarity.sel(reference="one", layer="conv3")[4]
    assert float(one) == pytest.approx(scipy.stats.spearmanr(values, brain)[0], abs=1e-6)
    three = result.similarity.sel(reference="three", layer="conv3")[4]
    each = [scipy.stats.spearmanr(values, subject)[0] for subject in subjects]
    assert float(three) == pytest.approx(np.mean(each), abs=1e-6)
    undefined = np.isnan(movie.values).any(axis=-1)
    for what in ("similarity", "error"):
        assert (np.isnan(result[what].values) == undefined).all()
    assert 0.02 < float(result.error.sel(reference="one").isel(layer=2, time_bin=4)) < 0.3


def test_the_geometry_itself_is_most_similar(movie: xr.DataArray) -> None:
    itself = movie.sel(layer="conv4")[6].values
    result = similarity(movie, {"itself": itself}, resamples=3)
    found = result.similarity.sel(reference="itself", layer="conv4")[6]
    assert float(found) == pytest.approx(1)
    assert float(result.similarity.max()) <= 1 + 1e-9


def test_patterns_that_do_not_differ_have_no_geometry() -> None:
    assert np.isnan(dissimilarities(np.ones((4, 7)))).all()
    assert np.isnan(dissimilarities(np.tile(np.arange(7.0), (4, 1)))).all()
    distinct = dissimilarities(np.random.default_rng(0).normal(size=(4, 7)))
    assert distinct.shape == (6,)
    assert np.isfinite(distinct).all()


def test_real_it_geometry_ships_with_the_package() -> None:
    objects = load_objects92()
    assert len(objects.stimuli) == 92
    assert all(Path(name).is_file() for name in objects.stimuli["filename"])
    assert objects.macaque_it.shape == (4186,)
    assert objects.human_it.shape == (4, 4186)
    both = scipy.stats.pearsonr(objects.macaque_it, objects.human_it.mean(axis=0))[0]
    assert both == pytest.approx(0.49, abs=0.01)  # Kriegeskorte et al. 2008 report .49
    lower, upper = noise_ceiling(objects.human_it)
    assert 0 < lower < upper < 1


def test_the_shipped_objects_are_the_published_ones(shared: Path) -> None:
    import scipy.io

    folder = shared / "recordings" / "objects92"
    source = scipy.io.loadmat(folder / "stimuli_and_rdms.mat", simplify_cells=True)
    objects = load_objects92()
    from PIL import Image

    for record, row in zip(source["stimuli_92objs"], objects.stimuli.itertuples(), strict=True):
        np.testing.assert_array_equal(np.asarray(Image.open(row.filename)), record["image"])
        assert row.object_name == record["category"]
    macaque = source["RDMs_mIT_hIT_fig1"][0]["RDM"]
    np.testing.assert_allclose(objects.macaque_it, macaque, atol=1e-6)

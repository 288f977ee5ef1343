"""Features of images that a pipeline of the user's own holds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
import torch
from torch.utils.data import DataLoader, TensorDataset

from convrnns_brainscore import ConvRNNError, Presentation, features_in_memory
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.image_batches import image_batches
from convrnns_brainscore.images import load_images

SHORT = Presentation.constant(7)


@pytest.fixture(scope="module")
def shown(photographs: list[Path]) -> tuple[list[Path], np.ndarray]:
    """Five photographs, and what a network sees of them."""
    return photographs[:5], load_images(photographs[:5])


def conv5(network: ConvRNN, images, **options) -> np.ndarray:
    found = network.features(images, "conv5", SHORT, batch_size=2, **options)
    return np.concatenate([batch["conv5"] for batch in found])


def test_loaders_arrays_and_tables_give_the_features_of_the_images(
    network: ConvRNN, shown: tuple[list[Path], np.ndarray]
) -> None:
    files, images = shown
    expected = network.unroll(images, "conv5", SHORT)["conv5"]
    dataset = TensorDataset(torch.tensor(images).permute(0, 3, 1, 2), torch.arange(5))
    table = pd.DataFrame({"stimulus_id": range(5), "filename": map(str, files)})
    for given, options in (
        (images, {}),
        (tf.constant(images), {}),
        (table, {}),
        (dataset, {"channels_first": True}),
        (DataLoader(dataset, batch_size=3), {"channels_first": True}),
        (tf.data.Dataset.from_tensor_slices((images, np.arange(5))).batch(4), {}),
        ([{"pixel_values": image} for image in images], {}),
        ([list(images[:3]), list(images[3:])], {}),  # a collate_fn that leaves lists
        ([[(image, 0) for image in images]], {}),
        ([torch.tensor(images).to(torch.float64)], {}),
        ([str(file) for file in files], {}),
    ):
        np.testing.assert_allclose(conv5(network, given, **options), expected, atol=1e-5)


def test_features_in_memory_are_labelled(
    network: ConvRNN, shown: tuple[list[Path], np.ndarray]
) -> None:
    files, images = shown
    table = pd.DataFrame({"stimulus_id": ["a", "b"], "filename": map(str, files[:2])})
    found = features_in_memory(network, table, ["conv4", "conv5"], SHORT)
    assert list(found) == ["conv4", "conv5"]
    assert found["conv5"]["stimulus_id"].values.tolist() == ["a", "b"]
    assert found["conv5"]["time_bin_end"].values.tolist() == [60, 70]
    assert found["conv5"].attrs["weights"] == "untrained, seed 0"
    unit = found["conv5"].sel(
        neuroid=(found["conv5"].channel == 7) & (found["conv5"].channel_x == 1)
    )
    expected = network.unroll(images[:2], "conv5", SHORT)["conv5"][:, :, :, 1, 7]
    np.testing.assert_array_equal(unit, np.moveaxis(expected, 1, 2))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ([], "the loader gives no images"),
        (np.zeros((2, 3, 224, 224), np.float32), "Give `channels_first=True`"),
        ([np.zeros((2, 200, 200, 3), np.float32)], r"shape \[2, 200, 200, 3\]; expected"),
        (np.zeros((2, 224, 224, 3), np.uint8), r"images\.normalise"),
        (np.full((2, 224, 224, 3), 128.0), "outside what normalised images can hold"),
        ([{"x": 1}], "the loader gives x: expected the images under one of image, images"),
        (7, "int: expected a table of files, an array of images, or a loader"),
        ([np.zeros((224, 224, 3)), np.zeros((224, 3, 3))], "images of different shapes"),
        (pd.DataFrame({"path": ["a.png"]}), "no column filename"),
    ],
)
def test_what_is_no_batch_of_images_is_refused(network: ConvRNN, given, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said) as error:
        list(network.features(given, "conv5", SHORT))
    assert "\n" not in str(error.value)


def test_a_data_set_ends_at_its_length() -> None:
    """Some data sets wrap round or draw anew, and never raise an IndexError."""

    class Endless:
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> np.ndarray:
            return np.zeros((224, 224, 3), np.float32)

    assert [len(batch) for batch in image_batches(Endless(), 2)] == [2, 1]


def test_of_an_image_and_its_mask_the_image_is_read() -> None:
    image = np.zeros((224, 224, 3), np.float32)
    pairs = [(image, image + 1)] * 3
    batches = list(image_batches(pairs, 2))
    assert [len(batch) for batch in batches] == [2, 1]
    assert not any(batch.any() for batch in batches)

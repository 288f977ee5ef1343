"""Checkpoints in the published format, written here with the optimiser's slots."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from safetensors.numpy import save_file

from convrnns_brainscore import ConvRNNError, load_network
from convrnns_brainscore.checkpoints import find_checkpoint, is_there
from convrnns_brainscore.convrnn import ConvRNN


def write_checkpoint(prefix: Path, values: dict[str, np.ndarray]) -> Path:
    """A TensorFlow V2 bundle as training left it: each variable, its momentum, and the step."""
    prefix.parent.mkdir(parents=True, exist_ok=True)
    held = dict(values)
    held |= {f"{name}/Momentum": np.zeros_like(value) for name, value in values.items()}
    held["global_step"] = np.int64(500_000)
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(held),
        shape_and_slices=[""] * len(held),
        tensors=[tf.constant(value) for value in held.values()],
    )
    return prefix


@pytest.fixture(scope="module")
def saved(tmp_path_factory, network: ConvRNN) -> Path:
    prefix = tmp_path_factory.mktemp("ckpts") / "timedecay_shallow" / "model.ckpt"
    write_checkpoint(prefix, network.weights.values)
    Path(f"{prefix}.meta").write_bytes(b"a graph that nobody needs")
    (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/home/author/model.ckpt"\n')
    return prefix


@pytest.fixture
def bundle(saved: Path, tmp_path: Path) -> Path:
    """A copy to be damaged."""
    shutil.copytree(saved.parent, tmp_path / "timedecay_shallow")
    return tmp_path / "timedecay_shallow" / "model.ckpt"


@pytest.mark.parametrize("suffix", ["", ".index", ".data-00000-of-00001", ".meta", "/.."])
def test_a_checkpoint_loads_by_any_of_its_names(saved: Path, suffix: str, network: ConvRNN) -> None:
    path = saved.parent if suffix == "/.." else f"{saved}{suffix}"
    loaded = load_network("timedecay_shallow", checkpoint=path)
    assert loaded.weights.sha256 == network.weights.sha256
    assert "untrained" not in repr(loaded)


def load(prefix: Path) -> ConvRNN:
    return load_network("timedecay_shallow", checkpoint=prefix)


def test_a_truncated_checkpoint_is_refused(bundle: Path) -> None:
    data = Path(f"{bundle}.data-00000-of-00001")
    data.write_bytes(data.read_bytes()[:-1])
    with pytest.raises(ConvRNNError, match=r"model\.ckpt is damaged.*Download the model again"):
        load(bundle)


@pytest.mark.parametrize("where", [0.0, 0.3, 0.6, 1.0])
def test_a_flipped_bit_is_found(bundle: Path, where: float) -> None:
    """Wherever it stands, in a trained variable or in an optimiser's slot."""
    data = Path(f"{bundle}.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[int(where * (len(content) - 1))] ^= 1
    data.write_bytes(content)
    with pytest.raises(ConvRNNError, match=r"is damaged: variable .* cannot be read"):
        load(bundle)


def test_missing_and_empty_files_are_named(bundle: Path) -> None:
    index = Path(f"{bundle}.index")
    index.write_bytes(b"")
    with pytest.raises(ConvRNNError, match=r"model\.ckpt\.index is empty"):
        load(bundle)
    index.unlink()
    with pytest.raises(ConvRNNError, match=r"model\.ckpt\.index does not exist"):
        load(bundle)
    with pytest.raises(ConvRNNError, match=r"expected one \.index file, found none"):
        load(bundle.parent)


def test_another_models_checkpoint_is_refused(saved: Path) -> None:
    with pytest.raises(ConvRNNError, match=r"variable tnn_model/conv3/.* is missing"):
        load_network("ugrnn_shallow", checkpoint=saved)


def test_an_index_with_another_models_data_is_refused(bundle: Path, tmp_path: Path) -> None:
    other = load_network("simplernn_shallow", weights="random").weights.values
    foreign = write_checkpoint(tmp_path / "foreign" / "model.ckpt", other)
    shutil.copy(f"{foreign}.data-00000-of-00001", f"{bundle}.data-00000-of-00001")
    with pytest.raises(ConvRNNError, match="is damaged"):
        load(bundle)


def test_transposed_missing_and_extra_variables_are_named(network: ConvRNN, tmp_path: Path) -> None:
    kernel = "tnn_model/conv2/pre_0/weights_basenet"
    values = network.weights.values
    changed = {
        "transposed": {**values, kernel: np.ascontiguousarray(values[kernel].swapaxes(2, 3))},
        "without": {name: value for name, value in values.items() if name != kernel},
        "extra": {**values, "tnn_model/conv9/bias": np.zeros(3, "f")},
    }
    messages = {
        "transposed": rf"{kernel} has shape \[3, 3, 128, 64\], expected \[3, 3, 64, 128\]",
        "without": rf"{kernel} \[3, 3, 64, 128\] is missing",
        "extra": "tnn_model/conv9/bias is unknown",
    }
    for name, held in changed.items():
        with pytest.raises(ConvRNNError, match=messages[name]):
            load(write_checkpoint(tmp_path / name / "model.ckpt", held))


@pytest.fixture(scope="module")
def converted(saved: Path, tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("converted")
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "convert", "timedecay_shallow"]
    command += ["--checkpoints", saved.parents[1], "--out", out]
    subprocess.run(command, check=True)
    return out / "timedecay_shallow" / "model.safetensors"


def test_converted_weights_are_the_same_in_half_the_bytes(
    saved: Path, converted: Path, network: ConvRNN
) -> None:
    size = Path(f"{saved}.data-00000-of-00001").stat().st_size
    assert converted.stat().st_size == pytest.approx(size / 2, rel=0.01)
    loaded = load(converted)
    assert loaded.weights.sha256 == network.weights.sha256
    for name, value in network.weights.values.items():
        np.testing.assert_array_equal(loaded.weights.values[name], value)


def test_converted_weights_are_read_without_tensorflow(converted: Path) -> None:
    code = """
import sys
from convrnns_brainscore import load_network
load_network("timedecay_shallow", checkpoint=sys.argv[1], backend="torch")
assert "tensorflow" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code, converted], check=True)


@pytest.mark.parametrize("where", [2, 0.0005, 0.3, 0.9999])
def test_a_flipped_bit_in_converted_weights_is_found(
    converted: Path, tmp_path: Path, where: float
) -> None:
    content = bytearray(converted.read_bytes())
    content[where if where > 1 else int(where * len(content))] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    with pytest.raises(ConvRNNError, match=r"model\.safetensors"):
        load(tmp_path / "model.safetensors")


def test_of_several_saved_networks_one_is_named(tmp_path: Path, network: ConvRNN) -> None:
    for name in ("epoch1", "epoch2"):
        network.save(tmp_path / f"{name}.safetensors")
    with pytest.raises(ConvRNNError, match=r"several files \(epoch1\.safetensors, epoch2"):
        load(tmp_path)
    assert load(tmp_path / "epoch1.safetensors").label == "untrained, seed 0"


def test_safetensors_of_other_models_and_hands_are_refused(
    converted: Path, tmp_path: Path, network: ConvRNN
) -> None:
    assert load(converted.parent).weights.sha256 == network.weights.sha256  # by its folder
    with pytest.raises(ConvRNNError, match="weights of timedecay_shallow, not of ugrnn_shallow"):
        load_network("ugrnn_shallow", checkpoint=converted)
    save_file(network.weights.values, tmp_path / "foreign.safetensors")
    with pytest.raises(ConvRNNError, match=r"not written by `convrnns convert`"):
        load(tmp_path / "foreign.safetensors")
    with pytest.raises(ConvRNNError, match="no such checkpoint"):
        load(tmp_path / "absent.safetensors")


def test_a_folder_of_checkpoints_may_hold_either_format(saved: Path, converted: Path) -> None:
    assert find_checkpoint(saved.parents[1], "timedecay_shallow") == saved
    assert find_checkpoint(converted.parents[1], "timedecay_shallow") == converted
    assert find_checkpoint(saved.parents[1], "rgc_shallow") is None


def test_a_checkpoint_that_is_newer_than_its_conversion_is_told(tmp_path: Path, caplog) -> None:
    bundle = tmp_path / "rgc_shallow" / "model.ckpt"
    bundle.parent.mkdir()
    converted = bundle.with_suffix(".safetensors")
    for age, name in enumerate([converted, f"{bundle}.index", f"{bundle}.data-00000-of-00001"]):
        Path(name).touch()
        os.utime(name, (age, age))
    for read, warned in ((bundle, False), (converted, True)):
        with pytest.raises(ConvRNNError):  # the files are empty
            load_network("rgc_shallow", checkpoint=read)
        assert ("`convrnns convert rgc_shallow` converts it again" in caplog.text) == warned
    assert is_there(tmp_path, "rgc_shallow")
    converted.unlink()
    Path(f"{bundle}.index").unlink()
    assert not is_there(tmp_path, "rgc_shallow")

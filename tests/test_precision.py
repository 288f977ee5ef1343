"""Convolutions in less than float32: chosen openly, and written beside every number."""

from __future__ import annotations

import pickle
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

from convrnns_brainscore import ConvRNNError, Presentation, extract, load_network
from convrnns_brainscore.brainscore.activations import identifier_of
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.fits.encoding import check_same
from convrnns_brainscore.networks import tensorflow_backend, torch_backend
from convrnns_brainscore.networks.process_setting import ProcessSetting
from convrnns_brainscore.provenance import display_name

SHORT = Presentation.constant(4)


@pytest.fixture(scope="module")
def coarse() -> ConvRNN:
    return load_network(
        "timedecay_shallow", weights="random", backend="torch", precision="bfloat16"
    )


def test_bfloat16_deviates_a_little_and_gives_float32(coarse: ConvRNN, noise: np.ndarray) -> None:
    exact = load_network("timedecay_shallow", weights="random", backend="torch")
    expected = exact.unroll(noise[:1], ["conv1", "conv2"], SHORT)
    found = coarse.unroll(noise[:1], ["conv1", "conv2"], SHORT)
    for layer, output in found.items():
        assert output.dtype == np.float32
        deviation = np.sqrt(np.mean((output - expected[layer]) ** 2)) / expected[layer].std()
        assert 1e-4 < deviation < 1e-2
    # Networks of both precisions live side by side.
    again = exact.unroll(noise[:1], ["conv1", "conv2"], SHORT)
    for layer, output in again.items():
        np.testing.assert_array_equal(output, expected[layer])


def test_everything_made_with_it_says_so(coarse: ConvRNN) -> None:
    assert repr(coarse) == "<ConvRNN timedecay_shallow (untrained, seed 0, in bfloat16)>"
    assert coarse.describe()["precision"] == "bfloat16"
    assert coarse.backend.version.endswith("(bfloat16)")
    assert identifier_of(coarse) == "convrnn_timedecay_shallow-untrained-seed0-bfloat16"
    shown = display_name(coarse.name, coarse.describe())
    assert shown == "timedecay_shallow (untrained, seed 0, in bfloat16)"


def test_copies_and_modules_keep_it(coarse: ConvRNN) -> None:
    assert pickle.loads(pickle.dumps(coarse)).precision == "bfloat16"
    tuned = coarse.trainable()
    assert tuned.backend.precision == "bfloat16"
    assert tuned.module.built().backend.precision == "bfloat16"


def test_features_of_two_precisions_do_not_mix(
    coarse: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    files = photographs[:1]
    extract(coarse, files, "conv1", tmp_path / "features.zarr", SHORT)
    exact = load_network("timedecay_shallow", weights="random", backend="torch")
    with pytest.raises(ConvRNNError, match=r"was begun with backend 'torch .*\(bfloat16\)'"):
        extract(exact, files, "conv1", tmp_path / "features.zarr", SHORT)


def test_a_fit_is_applied_in_its_own_precision(coarse: ConvRNN) -> None:
    exact = load_network("timedecay_shallow", weights="random", backend="torch")
    check_same(coarse, coarse.describe())
    check_same(exact, exact.describe())
    with pytest.raises(ConvRNNError, match="precision of the network is bfloat16"):
        check_same(coarse, exact.describe())
    with pytest.raises(ConvRNNError, match="precision of the network is float32"):
        check_same(exact, coarse.describe())


@pytest.mark.parametrize(
    ("backend", "precision", "said"),
    [
        ("torch", "tf32", "PyTorch supports TF32 only on NVIDIA GPUs from Ampere on"),
        ("tensorflow", "tf32", "TensorFlow supports TF32 only on NVIDIA GPUs"),
        ("tensorflow", "bfloat16", "`precision=bfloat16` needs PyTorch: give `backend=torch`"),
        ("torch", "float16", "unknown precision 'float16'"),
    ],
)
def test_what_the_machine_does_not_have_is_said(backend: str, precision: str, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        load_network(
            "timedecay_shallow", weights="random", backend=backend, device="cpu",
            precision=precision,
        )  # fmt: skip


def test_the_users_settings_come_back() -> None:
    """TF32 changes nothing on a CPU; the switches are there all the same."""
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    for tf32, said in ((True, "tf32"), (False, "ieee")):
        with torch_backend.products(tf32=tf32):
            assert matmul.fp32_precision == said
        assert matmul.fp32_precision == before
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    with tensorflow_backend.products(tf32=True):
        assert enabled()


def test_threads_wait_for_another_value_of_a_setting() -> None:
    within: list[bool] = []

    class Held:
        def __init__(self, *, tf32: bool) -> None:
            self.tf32 = tf32

        def __enter__(self) -> None:
            within.append(self.tf32)

        def __exit__(self, *_: object) -> None:
            within.pop()

    setting = ProcessSetting(Held)
    mixed = []

    def use(tf32: bool) -> None:
        for _ in range(20):
            with setting(tf32=tf32), setting(tf32=tf32):
                mixed.append(within != [tf32])
                time.sleep(0)

    threads = [threading.Thread(target=use, args=(index % 2 == 0,)) for index in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(mixed) == 80
    assert not any(mixed)
    assert not within


def test_one_thread_cannot_have_two_values_at_once() -> None:
    with (
        torch_backend.products(tf32=False),
        pytest.raises(ConvRNNError, match="give both the same `precision=…`"),
        torch_backend.products(tf32=True),
    ):
        pass
    with torch_backend.products(tf32=True):  # and none is held after it
        pass


def test_the_command_line_chooses_it(convrnns) -> None:
    said = convrnns(
        "doctor", "--exact", "--backend", "torch", "--device", "cpu", "--precision", "tf32", code=2
    )
    assert "--precision tf32: PyTorch supports TF32 only on NVIDIA GPUs" in said
    assert "need --exact" in convrnns("doctor", "--precision", "bfloat16", code=2)

"""What differs between backends and machines: GPUs, threads, processes, memory."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import torch

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.networks import operations, torch_operations
from convrnns_brainscore.networks.backends import _opened, open_backend
from convrnns_brainscore.networks.tensorflow_backend import TensorFlow, products
from convrnns_brainscore.threads import wait_briefly
from convrnns_brainscore.zoo import MODELS

SHORT = Presentation.constant(7)


def test_tensorflow_leaves_gpu_memory_to_others(monkeypatch) -> None:
    """No GPU is here: its list and its switch are replaced."""
    asked = []
    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu 0", "gpu 1"])
    config = SimpleNamespace(set_memory_growth=lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(tf.config, "experimental", config)
    TensorFlow()
    assert asked == [("gpu 0", True), ("gpu 1", True)]


def test_gpus_that_the_user_has_started_stay_as_they_are(monkeypatch) -> None:
    def too_late(*_: object) -> None:
        raise RuntimeError("Physical devices cannot be modified after being initialized")

    monkeypatch.setattr(tf.config, "list_physical_devices", lambda _: ["gpu 0"])
    config = SimpleNamespace(set_memory_growth=too_late)
    monkeypatch.setattr(tf.config, "experimental", config)
    TensorFlow()


@pytest.mark.parametrize("before", [True, False])
def test_float32_is_float32_and_the_users_setting_comes_back(before: bool) -> None:
    enabled = tf.config.experimental.tensor_float_32_execution_enabled
    tf.config.experimental.enable_tensor_float_32_execution(before)
    try:
        with products(tf32=False):
            with products(tf32=False):  # as by another thread, which is done first
                assert not enabled()
            assert not enabled()
        assert enabled() == before
    finally:
        tf.config.experimental.enable_tensor_float_32_execution(True)


@pytest.mark.ci
def test_the_number_of_threads_is_known() -> None:
    code = (
        "from convrnns_brainscore.networks.backends import open_backend\n"
        "print(*(open_backend(name).threads() for name in ('tensorflow', 'torch')))"
    )
    environment = {**os.environ, "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"}
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environment
    )
    assert told.stdout.strip() == "1 1", told.stderr


def test_both_backends_compute_side_by_side_from_threads(noise: np.ndarray) -> None:
    networks = {
        name: load_network("timedecay_shallow", weights="random", backend=name)
        for name in ("tensorflow", "torch")
    }
    alone = {name: net.unroll(noise, "conv5", SHORT)["conv5"] for name, net in networks.items()}
    with ThreadPoolExecutor(4) as pool:
        asked = [*networks.items()] * 4
        found = list(pool.map(lambda each: each[1].unroll(noise, "conv5", SHORT)["conv5"], asked))
    for (name, _), output in zip(asked, found, strict=True):
        np.testing.assert_array_equal(output, alone[name])
    assert networks["torch"].unroll(noise, "conv5", SHORT)["conv5"].std() > 0


def test_kerass_switch_is_said_to_mean_nothing(monkeypatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    with pytest.warns(UserWarning, match="KERAS_BACKEND=torch is not read: .* on tensorflow"):
        assert load_network("timedecay_shallow", weights="random").backend.name == "tensorflow"


@pytest.mark.parametrize(
    ("backend", "device", "said"),
    [
        ("jax", None, "unknown backend 'jax'"),
        ("torch", "cuda:7", "`device=cuda:7`: there is no such device; this machine has cpu"),
        ("torch", "gpu", "`device=gpu`: there is no such device"),
        ("tensorflow", "cuda", "`device=cuda`: there is no such device; this machine has cpu:0"),
        ("tensorflow", "mps", "`device=mps`: there is no such device"),
    ],
)
def test_what_is_not_there_is_named(backend: str, device: str | None, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        open_backend(backend, device)


def test_a_library_that_is_not_installed_is_named(monkeypatch) -> None:
    monkeypatch.setattr("convrnns_brainscore.networks.backends.find_spec", lambda _: None)
    with pytest.raises(ConvRNNError, match=r"`backend=torch`: not installed.*pip install"):
        _opened.__wrapped__("torch", "cpu", "float32")


def test_a_named_device_computes_the_same(network: ConvRNN, noise: np.ndarray) -> None:
    on_cpu = load_network("timedecay_shallow", weights="random", device="cpu")
    expected = network.unroll(noise, "conv5", SHORT)["conv5"]
    np.testing.assert_array_equal(on_cpu.unroll(noise, "conv5", SHORT)["conv5"], expected)


def test_convolutions_pad_as_tensorflows_do() -> None:
    """Any kernel, stride and size, with products of matrices and without."""
    rng = np.random.default_rng(0)
    for size, kernel, strides in [(8, 3, 1), (7, 4, 1), (6, 2, 1), (14, 7, 2), (9, 5, 2)]:
        x = rng.standard_normal((2, size, size, 3)).astype("f")
        weights = rng.standard_normal((kernel, kernel, 3, 4)).astype("f")
        bias = rng.standard_normal(4).astype("f")
        expected = operations.conv(tf.constant(x), weights, bias, strides)
        given = [torch.tensor(each) for each in (x, weights, bias)]
        for large in (2**22, 1):
            with mock.patch.object(torch_operations, "LARGE", large):
                found = operations.conv(*given, strides)
            np.testing.assert_allclose(found, expected, atol=1e-4)
        np.testing.assert_array_equal(
            operations.max_pool(torch.tensor(x)), operations.max_pool(tf.constant(x))
        )


def unroll_in_child(queue: multiprocessing.Queue, network: ConvRNN, images: np.ndarray) -> None:
    try:
        network.unroll(images, "conv5", SHORT)
        queue.put("unrolled")
    except ConvRNNError as error:
        queue.put(str(error))


def test_a_forked_process_is_told_instead_of_hanging(network: ConvRNN, noise: np.ndarray) -> None:
    network.unroll(noise, "conv5", SHORT)
    fork = multiprocessing.get_context("fork")
    queue = fork.Queue()
    child = fork.Process(target=unroll_in_child, args=(queue, network, noise))
    child.start()
    assert "get_context('spawn')" in queue.get(timeout=60)
    child.join(timeout=60)


def test_one_graph_serves_every_number_of_images(network: ConvRNN, photographs: list[Path]) -> None:
    fresh = ConvRNN(network.model, network.weights)
    brain = TemporalBrainModel(fresh, Presentation.neural())
    brain.start_recording("IT", [(70, 90)])
    for count in (1, 9, 3, 8):
        assert brain.look_at(photographs[:count]).sizes["presentation"] == count
    assert fresh._graph.cache_info().misses == 1


@pytest.mark.slow
def test_memory_does_not_grow(photographs: list[Path]) -> None:
    """Stimulus sets of 1…60 images, then ten networks loaded and dropped."""
    code = """
import ctypes, sys, gc, psutil
from convrnns_brainscore import load_brain_model
def resident():
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)  # what the allocator keeps for later is not held
    return psutil.Process().memory_info().rss / 1e6
brain = load_brain_model("timedecay_shallow", weights="random")
brain.start_recording("IT", [(70, 90)])
brain.look_at(sys.argv[1:61])
before = resident()
for count in range(1, 61):
    brain.look_at(sys.argv[1 : count + 1])
for seed in range(10):
    other = load_brain_model("timedecay_shallow", weights="random", seed=seed)
    other.start_recording("IT", [(70, 90)])
    other.look_at(sys.argv[1:9])
del other
print(resident() - before)
"""
    told = subprocess.run(
        [sys.executable, "-c", code, *map(str, photographs)], capture_output=True, text=True
    )
    assert float(told.stdout) < 200, told.stderr


@pytest.mark.slow
@pytest.mark.parametrize("name", {(m.cell, m.depth): m.name for m in MODELS.values()}.values())
def test_results_hardly_depend_on_batch_and_place(name: str) -> None:
    """5 images in batches of 1, 2 and 5, over 20 steps: to 5e-5 of a layer's std.

    Images that differ in the last bit alone move conv5 of two untrained networks by 7e-5
    (lstm_shallow) and 1e-3 (rgc_shallow, whose state grows 200-fold).
    """
    tolerance = {"lstm_shallow": 1e-4, "rgc_shallow": 3e-4}.get(name, 5e-5)
    network = load_network(name, weights="random", seed=1)
    images = np.random.default_rng(1).uniform(-1.5, 1.5, (5, 224, 224, 3)).astype(np.float32)
    layers, presentation = network.layers[-2:], Presentation.constant(20)

    def in_batches(size: int) -> dict[str, np.ndarray]:
        parts = [
            network.unroll(images[i : i + size], layers, presentation) for i in range(0, 5, size)
        ]
        return {layer: np.concatenate([part[layer] for part in parts]) for layer in layers}

    whole = in_batches(5)
    for size in (1, 2):
        for layer, output in in_batches(size).items():
            error = np.abs(output - whole[layer]).max(axis=(0, *range(2, output.ndim)))
            std = whole[layer].std(axis=(0, *range(2, output.ndim)))
            assert (error / std).max() <= tolerance, (layer, size)


@pytest.mark.slow
def test_torchvision_can_be_imported_after_a_network() -> None:
    """TensorFlow and the Triton of PyTorch's CUDA builds abort the process in the other order."""
    code = (
        "from convrnns_brainscore import load_network\n"
        "load_network('timedecay_shallow', weights='random')\n"
        "import torchvision\nprint('fine')"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.splitlines()[-1] == "fine"


@pytest.mark.parametrize(
    ("given", "expected"),
    [({}, "5000"), ({"GOMP_SPINCOUNT": "7"}, "7"), ({"OMP_WAIT_POLICY": "ACTIVE"}, None)],
)
def test_threads_of_pytorch_sleep_when_they_wait(
    given: dict[str, str], expected: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the user has set how they wait: on a busy machine they are many times faster."""
    for name in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.delitem(sys.modules, "torch")
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    wait_briefly()
    assert os.environ.get("GOMP_SPINCOUNT") == expected

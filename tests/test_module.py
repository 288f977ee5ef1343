"""A network as a module of its library: parameters, hooks, gradients, training and saving."""

from __future__ import annotations

import pickle
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
import torch

from convrnns_brainscore import ConvRNNError, Presentation, load_network
from convrnns_brainscore.brainscore.activations import ActivationsExtractor
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.features import extract
from convrnns_brainscore.images import load_images
from convrnns_brainscore.networks.backend import to_numpy
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.provenance import describe, display_name

MODEL = "timedecay_shallow"
SHORT = Presentation.constant(8)


@pytest.fixture(scope="module")
def on_torch() -> ConvRNN:
    return load_network(MODEL, weights="random", backend="torch")


@pytest.fixture(scope="module")
def few() -> tuple[np.ndarray, np.ndarray]:
    """Eight photographs, and their categories as numbers."""
    stimuli = load_objects92().stimuli.iloc[::12]
    names, labels = np.unique(stimuli["object_name"], return_inverse=True)
    assert len(names) > 1
    return load_images(list(stimuli["filename"])), labels


def test_the_module_has_the_checkpoints_names_and_the_networks_logits(
    on_torch: ConvRNN, noise: np.ndarray
) -> None:
    module = on_torch.trainable().module
    assert set(module.state_dict()) == set(on_torch.weights.values)
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value, on_torch.weights.values[name])
    logits = module(torch.tensor(noise))
    np.testing.assert_allclose(logits.detach(), on_torch.logits(noise), atol=1e-5)
    first = module(torch.tensor(noise).permute(0, 3, 1, 2))
    np.testing.assert_array_equal(first.detach(), logits.detach())


def test_hooks_see_and_replace_a_layers_output_at_each_step(
    on_torch: ConvRNN, noise: np.ndarray
) -> None:
    copy, seen = on_torch.trainable(), []
    hook = copy.module.conv4.register_forward_hook(lambda _, __, output: seen.append(output.shape))
    copy.unroll(noise, "conv5", SHORT)
    assert (len(noise), 7, 7, 256) in seen
    hook.remove()
    copy.module.conv4.register_forward_hook(lambda _, __, output: torch.zeros_like(output))
    silenced = copy.unroll(noise, "conv5", SHORT)["conv5"]
    assert np.ptp(silenced, axis=0).max() == 0  # nothing of the images is left


def test_training_lowers_the_loss_and_is_kept(
    on_torch: ConvRNN, few: tuple[np.ndarray, np.ndarray], tmp_path: Path
) -> None:
    images, labels = few
    tuned = on_torch.trainable(["conv5", "imnetds"])
    parameters = [each for each in tuned.module.parameters() if each.requires_grad]
    optimizer = torch.optim.Adam(parameters, lr=1e-4)
    losses = []
    for _ in range(5):
        logits = tuned.module(torch.tensor(images), SHORT)
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor(labels))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    changed = {
        name
        for name, value in tuned.weights.values.items()
        if not np.array_equal(value, on_torch.weights.values[name])
    }
    assert changed
    assert all(name.split("/")[1] in ("conv5", "imnetds") for name in changed)

    assert tuned.label.startswith("fine-tuned from untrained, seed 0 (sha256 ")
    assert on_torch.label == "untrained, seed 0"
    tuned.save(tmp_path / "tuned.safetensors")
    for backend in ("torch", "tensorflow"):
        loaded = load_network(MODEL, checkpoint=tmp_path / "tuned.safetensors", backend=backend)
        assert loaded.label == tuned.label
        np.testing.assert_allclose(
            loaded.logits(images, SHORT), tuned.logits(images, SHORT), atol=1e-4
        )
    made_by = describe(loaded, SHORT)
    assert display_name(MODEL, made_by).startswith(f"{MODEL} (fine-tuned from untrained, seed 0")
    subject = TemporalBrainModel(tuned, SHORT)
    assert subject.identifier != TemporalBrainModel(on_torch, SHORT).identifier


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_copy_trains_the_same_layers(backend: str) -> None:
    tuned = load_network(MODEL, weights="random", backend=backend).trainable(["imnetds"])
    copies = deepcopy(tuned), pickle.loads(pickle.dumps(tuned))
    for each in copies:
        assert each.module.trained() == {
            "tnn_model/imnetds/pre_1/weights", "tnn_model/imnetds/pre_1/bias"
        }  # fmt: skip
        assert each.label == tuned.label


def test_on_tensorflow_the_module_trains_too(few: tuple[np.ndarray, np.ndarray]) -> None:
    images, labels = few
    tuned = load_network(MODEL, weights="random").trainable(["imnetds"])
    assert {each.name.split(":")[0] for each in tuned.module.trainable_variables} == {
        "tnn_model/imnetds/pre_1/weights", "tnn_model/imnetds/pre_1/bias"
    }  # fmt: skip
    before = tuned.logits(images, SHORT)
    losses = []
    for _ in range(2):
        with tf.GradientTape() as tape:
            logits = tuned.module(images, SHORT)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
        for variable, gradient in zip(
            tuned.module.trainable_variables,
            tape.gradient(loss, tuned.module.trainable_variables),
            strict=True,
        ):
            variable.assign_sub(1e-3 * gradient)
        losses.append(float(loss))
    assert losses[1] < losses[0]
    after = tuned.logits(images, SHORT)
    assert not np.allclose(before, after)
    np.testing.assert_allclose(after, tuned.module(images, SHORT), atol=1e-5)


def test_what_was_trained_under_a_lesion_says_so_once_saved(tmp_path: Path) -> None:
    """A file holds weights alone."""
    lesioned = load_network(MODEL, weights="random", backend="torch", lesion="recurrence")
    tuned = lesioned.trainable(["imnetds"])
    with torch.no_grad():
        tuned.module.get_parameter("tnn_model/conv5/pre_0/bias").add_(1)
    with pytest.warns(UserWarning, match=r"does not hold the lesion \(recurrence"):
        tuned.save(tmp_path / "tuned.safetensors")
    loaded = load_network(MODEL, checkpoint=tmp_path / "tuned.safetensors", backend="torch")
    assert loaded.label.startswith("fine-tuned from untrained, seed 0, without recurrence")


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_changed_module_is_what_the_network_computes(backend: str, noise: np.ndarray) -> None:
    network = load_network(MODEL, weights="random", backend=backend)
    before = network.unroll(noise, "conv5", SHORT)["conv5"]
    bias = "tnn_model/conv5/pre_0/bias"
    if backend == "torch":
        with torch.no_grad():
            network.module.get_parameter(bias).add_(1)
    else:
        network.module.by_name[bias].assign_add(np.ones(512, np.float32))
    after = network.unroll(noise, "conv5", SHORT)["conv5"]
    assert not np.allclose(before, after)
    assert network.label.startswith("fine-tuned from untrained, seed 0 (")
    frozen = network.frozen()
    np.testing.assert_allclose(frozen.unroll(noise, "conv5", SHORT)["conv5"], after, atol=1e-5)
    with pytest.raises(ConvRNNError, match="expected normalised float32"):
        network.module(np.zeros((1, 224, 224, 3), np.uint8))
    logits = network.module(np.moveaxis(noise, -1, 1))
    np.testing.assert_allclose(to_numpy(logits), network.logits(noise), atol=1e-4)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_a_network_whose_training_diverged_computes_nothing(
    backend: str, noise: np.ndarray
) -> None:
    network = load_network(MODEL, weights="random", backend=backend)
    bias = "tnn_model/conv2/pre_0/bias"
    if backend == "torch":
        with torch.no_grad():
            network.module.get_parameter(bias)[0] = torch.nan
    else:
        network.module.by_name[bias].assign(np.full(128, np.nan, np.float32))
    for compute in (network.logits, network, lambda x: list(network.features(x, "conv5"))):
        with pytest.raises(ConvRNNError, match=r"pre_0/bias contains NaN .*training diverged"):
            compute(noise)
    assert "NaN" in repr(network)


@pytest.mark.parametrize("kind", ["pre-hook", "module"])
def test_other_ways_to_change_outputs_are_told(
    kind: str, on_torch: ConvRNN, noise: np.ndarray
) -> None:
    copy = on_torch.trainable()
    if kind == "pre-hook":
        copy.module.conv1.register_forward_pre_hook(lambda _, inputs: (inputs[0] * 0,))
    else:
        copy.module.conv1 = torch.nn.Dropout(1.0)
    assert not copy.unroll(noise[:1], "conv1", SHORT)["conv1"].any()
    assert copy.label.endswith("hooks on conv1")
    with pytest.raises(ConvRNNError, match="would lose the forward hooks"):
        copy.frozen()


def test_features_under_hooks_are_not_taken_for_those_of_other_hooks(
    on_torch: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    copy = on_torch.trainable()
    copy.module.conv1.register_forward_hook(lambda _, __, output: output * 0.5)
    extract(copy, photographs[:1], "conv1", tmp_path / "f.zarr", SHORT)
    with pytest.raises(ConvRNNError, match="what hooks on conv1 do is not recorded: remove"):
        extract(copy, photographs[:1], "conv1", tmp_path / "f.zarr", SHORT)


def test_frames_are_computed_in_the_precision_that_was_asked_for(noise: np.ndarray) -> None:
    network = load_network(MODEL, weights="random", backend="torch", precision="bfloat16")
    frames = np.repeat(noise[:1, None], SHORT.times, axis=1)
    before = network.unroll(frames, "conv1")["conv1"]
    assert network.module is not None
    np.testing.assert_array_equal(network.unroll(frames, "conv1")["conv1"], before)


def test_a_modules_tensors_are_weights(on_torch: ConvRNN, noise: np.ndarray) -> None:
    given = dict(on_torch.trainable().module.named_parameters())
    copy = load_network(MODEL, weights=given, backend="torch")
    np.testing.assert_array_equal(copy.logits(noise[:1]), on_torch.logits(noise[:1]))


def test_hooks_may_change_outputs_in_place_and_are_told(
    on_torch: ConvRNN, noise: np.ndarray, photographs: list[Path], tmp_path: Path
) -> None:
    halves = []
    for hook in (lambda _, __, output: output.mul_(0.5), lambda _, __, output: output * 0.5):
        copy = on_torch.trainable()
        copy.module.conv1.register_forward_hook(hook)
        halves.append(copy.unroll(noise, ["conv1", "conv5"], SHORT, all_times=True))
    for layer in halves[0]:
        np.testing.assert_array_equal(halves[0][layer], halves[1][layer])
    assert copy.label == "untrained, seed 0, hooks on conv1"
    assert describe(copy, SHORT)["weights"] == copy.label
    for lost in (lambda: TemporalBrainModel(copy), lambda: copy.save(tmp_path / "x.safetensors")):
        with pytest.raises(ConvRNNError, match="would lose the forward hooks on conv1"):
            lost()


def test_the_process_settings_do_not_change_the_numbers(
    on_torch: ConvRNN, noise: np.ndarray
) -> None:
    expected = on_torch.unroll(noise, "conv5", SHORT)["conv5"]
    logits = on_torch.trainable().module(noise, SHORT).detach()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        np.testing.assert_array_equal(on_torch.unroll(noise, "conv5", SHORT)["conv5"], expected)
        found = on_torch.trainable().module(noise, SHORT)
        np.testing.assert_array_equal(found.detach(), logits)
    torch.set_default_dtype(torch.float64)
    try:
        np.testing.assert_array_equal(on_torch.unroll(noise, "conv5", SHORT)["conv5"], expected)
    finally:
        torch.set_default_dtype(torch.float32)
    with torch.inference_mode():
        module = on_torch.trainable().module
    module(noise, SHORT).sum().backward()


def test_the_usual_tools_take_the_module(on_torch: ConvRNN, noise: np.ndarray) -> None:
    module = on_torch.trainable().module
    vector = torch.nn.utils.parameters_to_vector(module.parameters())
    assert len(vector) == sum(each.numel() for each in module.parameters())
    plain = {name: each.detach() for name, each in module.named_parameters()}
    shown = torch.tensor(noise)
    found = torch.func.functional_call(module, plain, (shown, SHORT))
    np.testing.assert_array_equal(found, module(shown, SHORT).detach())
    with pytest.raises(ConvRNNError, match=r"float64; the networks compute in float32"):
        module.double()(shown, SHORT)


@pytest.mark.parametrize("backend", ["tensorflow", "torch"])
def test_images_that_are_not_normalised_are_said(backend: str, noise: np.ndarray) -> None:
    network = load_network(MODEL, weights="random", backend=backend)
    for wrong in (noise * np.nan, 128 + noise):
        with pytest.raises(ConvRNNError, match="NaN or infinite pixels, or are not normalised"):
            network(wrong, "conv5", SHORT)
    with pytest.warns(UserWarning, match="lie within 0–1: are they not normalised yet"):
        network.unroll(abs(noise) / abs(noise).max(), "conv5", SHORT)


def test_weights_that_training_broke_are_refused(on_torch: ConvRNN, tmp_path: Path) -> None:
    broken = on_torch.trainable()
    with torch.no_grad():
        broken.module.get_parameter("tnn_model/conv1/pre_0/bias")[0] = torch.nan
    with pytest.raises(ConvRNNError, match="pre_0/bias contains NaN"):
        broken.save(tmp_path / "broken.safetensors")
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConvRNNError, match=r"expected a file name that ends in \.safetensors"):
        on_torch.save(tmp_path / "model.pt")
    with pytest.raises(ConvRNNError, match="unknown layer of timedecay_shallow 'conv9'"):
        on_torch.trainable(["conv9"])


def test_a_units_preferred_image_is_found_by_ascent(on_torch: ConvRNN) -> None:
    image = torch.zeros((1, 224, 224, 3), requires_grad=True)
    responses = []
    for _ in range(3):
        response = on_torch(image, "conv5", SHORT)["conv5"][0, -1, 2, 2, 7]
        (gradient,) = torch.autograd.grad(response, image)
        image = (image + 0.5 * gradient / gradient.std()).detach().requires_grad_()
        responses.append(response.item())
    assert responses == sorted(responses)


def test_images_may_be_tensors_of_either_library(on_torch: ConvRNN, noise: np.ndarray) -> None:
    expected = on_torch(noise, "conv5", SHORT)["conv5"]
    for images in (torch.tensor(noise), tf.constant(noise), noise.astype(float)):
        np.testing.assert_array_equal(on_torch(images, "conv5", SHORT)["conv5"], expected)
    first = np.moveaxis(noise, -1, 1)
    found = on_torch(first, "conv5", SHORT, channels_first=True)["conv5"]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(ConvRNNError, match="Give `channels_first=True`"):
        on_torch(first, "conv5", SHORT)
    with pytest.raises(ConvRNNError, match=r"expected \[batch, 3, 224, 224\], channels first"):
        on_torch(noise, "conv5", SHORT, channels_first=True)
    with pytest.raises(ConvRNNError, match=r"of type torch\.uint8; expected normalised float32"):
        on_torch(torch.zeros((1, 224, 224, 3), dtype=torch.uint8), "conv5", SHORT)


def test_brain_score_counts_the_parameters(on_torch: ConvRNN) -> None:
    from brainscore_vision.plugin_management.vision_domain_plugin import VisionDomainPlugin

    plugin = VisionDomainPlugin()
    plugin.get_huggingface_link = lambda _: None
    model = plugin.extract_model_for_analysis(
        type("Subject", (), {"activations_model": ActivationsExtractor(on_torch)})()
    )
    told = plugin.create_model_metadata(model, f"convrnn_{MODEL}", "convrnns")
    total = sum(value.size for value in on_torch.weights.values.values())
    memoryless = sum(
        not each.any()
        for name, each in on_torch.weights.values.items()
        if name.endswith("memory_decay")
    )
    assert told["total_parameter_count"] == total
    assert told["trainable_parameter_count"] == total - memoryless

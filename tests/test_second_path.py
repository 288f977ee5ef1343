"""The numbers of tables and figures a second time, from `unroll`, numpy and scikit-learn alone.

This file reads like the definitions in docs/fits.md. The recording is real: 20 neurons of macaque
V4. The second path uses nothing of the package but the network that sees the images.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from scipy.stats import spearmanr
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge
from sklearn.model_selection import StratifiedShuffleSplit

from convrnns_brainscore import Presentation, fit_recording, load_network, score
from convrnns_brainscore.brainscore.packages import package_benchmark, write_package
from convrnns_brainscore.fits.heldout import Method
from convrnns_brainscore.fits.learning_curves import learning_curves
from convrnns_brainscore.fits.prepare import match_stimuli, prepare
from convrnns_brainscore.fits.reference import reference_of
from convrnns_brainscore.fits.representation import compare_networks
from convrnns_brainscore.fits.results import region_choice, summary
from convrnns_brainscore.images import load_images
from convrnns_brainscore.recordings import as_recording

pytestmark = pytest.mark.slow

MODEL, LAYERS, COMPONENTS = "timedecay_shallow", ("conv3", "conv5"), 5
SPLITS, HALVINGS, NEURONS, PER_OBJECT = 10, 10, 20, 12


def pearson(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """r of each column."""
    return np.array([np.corrcoef(a[:, i], b[:, i])[0, 1] for i in range(a.shape[1])])


def spearman_brown(r: np.ndarray) -> np.ndarray:
    return 2 * r / (1 + r)


@pytest.fixture(scope="module")
def lab(shared: Path, tmp_path_factory) -> SimpleNamespace:
    """96 images, each shown 6 to 10 times, and the counts of 20 neurons at 70–170 ms."""
    source, folder = shared / "recordings" / "v4_objects640", tmp_path_factory.mktemp("v4")
    table = pd.read_csv(source / "objects.csv").groupby("object").head(PER_OBJECT)
    table = table.sort_values("image_file").reset_index(drop=True)
    counts = np.load(source / "v4_counts.npy")[:NEURONS, table["index0"]]
    with zipfile.ZipFile(source / "images.zip") as images:
        images.extractall(folder)
    files = {path.name: str(path) for path in folder.rglob("*.jpg")}
    names = table["image_file"].tolist()
    image, repetition = np.nonzero(np.isfinite(counts[0]))
    data = xr.DataArray(
        counts[:, image, repetition].T[:, :, None],
        {
            "stimulus_id": ("presentation", np.array(names)[image]),
            "object_name": ("presentation", table["object"].to_numpy()[image]),
            "repetition": ("presentation", repetition),
            "neuroid_id": ("neuroid", np.arange(NEURONS)),
            "region": ("neuroid", ["V4"] * NEURONS),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        ("presentation", "neuroid", "time_bin"),
    )
    stimuli = pd.DataFrame(
        {"stimulus_id": names, "filename": [files[name] for name in names], "degrees": 8.0}
    )
    return SimpleNamespace(
        recording=as_recording(data),
        stimuli=stimuli,
        objects=table["object"].tolist(),
        shown=image,  # [presentation], the row of the image
        responses=counts[:, image, repetition].T.astype(np.float32).astype(float),
        folder=folder,
    )


@pytest.fixture(scope="module")
def network():
    return load_network(MODEL, weights="random", seed=0)


@pytest.fixture(scope="module")
def features(lab, network) -> dict[tuple[str, int], np.ndarray]:
    """Layer and latency → the average over the steps that the bin meets, [stimulus, unit]."""
    outputs: dict[str, list[np.ndarray]] = {layer: [] for layer in LAYERS}
    files = lab.stimuli["filename"].tolist()
    shown = Presentation.custom(17, 10)  # the image for 100 of 170 ms
    for start in range(0, len(files), 8):
        images = load_images(files[start : start + 8])
        for layer, values in network.unroll(images, LAYERS, shown, all_times=True).items():
            outputs[layer].append(values.astype(float).reshape(*values.shape[:2], -1))
    found = {}
    for layer, latency in [(layer, latency) for layer in LAYERS for latency in (0, 10)]:
        steps = slice((70 - latency) // 10, (170 - latency) // 10)
        found[layer, latency] = np.concatenate(outputs[layer])[:, steps].mean(axis=1)
    return found


@pytest.fixture(scope="module")
def splits(lab) -> list[tuple[np.ndarray, np.ndarray]]:
    """Ten, a tenth of the stimuli for testing, stratified by object: Brain-Score's."""
    drawn = StratifiedShuffleSplit(SPLITS, train_size=0.9, random_state=1)
    return list(drawn.split(np.zeros(len(lab.objects)), lab.objects))


@pytest.fixture(scope="module")
def halves(lab) -> list[tuple[np.ndarray, np.ndarray]]:
    """Each stimulus's presentations in two halves at random, averaged; the greater half of an odd
    number falls to either side by chance."""
    rng, found = np.random.default_rng(0), []
    for _ in range(HALVINGS):
        chance, coins = rng.random(len(lab.shown)), rng.integers(0, 2, len(lab.objects))
        pair = np.empty((2, len(lab.objects), NEURONS))
        for stimulus in range(len(lab.objects)):
            rows = np.flatnonzero(lab.shown == stimulus)
            rows = rows[np.argsort(chance[rows])]
            first = (len(rows) + len(rows) % 2 * coins[stimulus]) // 2
            pair[0, stimulus] = lab.responses[rows[:first]].mean(axis=0)
            pair[1, stimulus] = lab.responses[rows[first:]].mean(axis=0)
        found.append((pair[0], pair[1]))
    return found


@pytest.fixture(scope="module")
def averages(lab) -> np.ndarray:
    """Over repetitions, [stimulus, neuron]."""
    return np.array([lab.responses[lab.shown == i].mean(axis=0) for i in range(len(lab.objects))])


def predicted(x: np.ndarray, y: np.ndarray, train: np.ndarray, test: np.ndarray) -> np.ndarray:
    """Of test stimuli, by PLS that has converged."""
    pls = PLSRegression(COMPONENTS, scale=False, tol=1e-14, max_iter=20000)
    return pls.fit(x[train], y[train]).predict(x[test])


@pytest.fixture(scope="module")
def results(lab, network):
    prepared = prepare(lab.recording, lab.stimuli, latencies=[0, 10], needed=COMPONENTS)
    return fit_recording(
        {MODEL: lambda: network},
        prepared,
        lab.folder / "fits",
        method=Method("pls", COMPONENTS),
        layers=LAYERS,
    )


def noise_corrected(x, r, splits, halves, reliability) -> float:
    """r over the root of both reliabilities, its median over neurons that are reliable."""
    both = []
    for (one, other), (train, test) in zip(halves, splits, strict=True):
        predictions = predicted(x, one, train, test), predicted(x, other, train, test)
        both.append((pearson(*predictions), pearson(one[test], other[test])))
    predictions, responses = spearman_brown(np.mean(both, axis=0))
    positive = (predictions > 0) & (responses > 0)
    corrected = r.mean(axis=0)[positive] / np.sqrt((predictions * responses)[positive])
    return float(np.median(corrected[reliability[positive] >= 0.3]))


@pytest.mark.parametrize("layer", LAYERS)
def test_fit(layer, results, features, averages, splits, halves) -> None:
    """r, its ceiling, both normalisations, and how many neurons they are over."""
    x = features[layer, 0]
    r = np.array([pearson(predicted(x, averages, *s), averages[s[1]]) for s in splits])
    ceiling = np.mean([np.median(spearman_brown(pearson(*pair))) for pair in halves])
    reliability = spearman_brown(np.mean([pearson(*pair) for pair in halves], axis=0))

    row = summary(results).set_index(["model", "layer"]).loc[(MODEL, layer)]
    score_ = np.median(r, axis=1).mean()
    assert row["score"] == pytest.approx(score_, abs=1e-5)
    assert row["ceiling"] == pytest.approx(ceiling, abs=1e-6)
    assert row["normalised_score"] == pytest.approx(np.sign(score_) * score_**2 / ceiling, abs=1e-5)
    median = noise_corrected(x, r, splits, halves, reliability)
    assert row["noise_corrected_r"] == pytest.approx(median, abs=1e-4)
    assert (row["neurons"], row["reliable_neurons"]) == (NEURONS, (reliability >= 0.3).sum())


def test_learning_curve(results, features, averages, splits, halves) -> None:
    """Fits to nested parts of each split's training stimuli, tested on the split's test stimuli."""
    x = features["conv3", 0]
    reliability = spearman_brown(np.mean([pearson(*pair) for pair in halves], axis=0))
    curve = learning_curves(results).set_index(["model", "layer"]).loc[(MODEL, "conv3")]
    assert curve["extrapolated"].tolist() == [False] * 4 + [True]
    for share, (_, row) in zip((0.25, 0.5, 0.75, 1), curve.iterrows(), strict=False):
        parts = []
        for index, (train, test) in enumerate(splits):
            order = np.random.default_rng((1, index)).permutation(len(train))
            parts.append((train[order[: round(share * len(train))]], test))
        r = np.array([pearson(predicted(x, averages, *s), averages[s[1]]) for s in parts])
        assert row["training_stimuli"] == np.mean([len(train) for train, _ in parts])
        assert row["score"] == pytest.approx(np.median(r, axis=1).mean(), abs=1e-5)
        corrected = noise_corrected(x, r, parts, halves, reliability)
        assert row["noise_corrected_r"] == pytest.approx(corrected, abs=1e-4)


def test_differences_between_layers(results, features, averages, splits) -> None:
    """The mean over neurons of the differences of r."""
    from convrnns_brainscore.fits.statistics import runner_up

    r = {
        layer: np.mean(
            [pearson(predicted(features[layer, 0], averages, *s), averages[s[1]]) for s in splits],
            axis=0,
        )
        for layer in LAYERS
    }
    found = runner_up(results, MODEL, "V4")
    expected = (r[found.first] - r[found.second]).mean()
    assert found.difference == pytest.approx(expected, abs=1e-5)
    assert found.neurons == NEURONS


def test_the_nested_choice(results, features, averages, splits) -> None:
    """Each split's training stimuli choose layer and latency; its test stimuli report them."""
    from sklearn.model_selection import ShuffleSplit

    def median_r(x: np.ndarray, train: np.ndarray, test: np.ndarray) -> float:
        return float(np.median(pearson(predicted(x, averages, train, test), averages[test])))

    reported = []
    for train, test in splits:
        inner = ShuffleSplit(2, test_size=0.25, random_state=1).split(train)
        inner = [(train[fitted], train[held]) for fitted, held in inner]
        validated = {
            key: np.mean([median_r(x, *each) for each in inner]) for key, x in features.items()
        }
        best = max(validated, key=validated.__getitem__)
        reported.append(median_r(features[best], train, test))
    choice = region_choice(results, MODEL, "V4")
    np.testing.assert_allclose(choice.score, reported, atol=1e-5)


def test_geometry(lab, network, features, averages, halves) -> None:
    """1 − r between patterns, compared by Spearman; the reliability of the recording's own."""
    upper = np.triu_indices(len(averages), 1)

    def dissimilarities(patterns: np.ndarray) -> np.ndarray:
        return 1 - np.corrcoef(patterns)[upper]

    reference = reference_of(lab.recording)
    found, _ = compare_networks(
        {MODEL: lambda: network},
        reference,
        match_stimuli(reference.stimuli, lab.stimuli, []),
        Presentation.custom(17, 10),
        lab.folder / "geometry",
        LAYERS,
    )
    brain = dissimilarities(averages)
    for layer in LAYERS:
        expected = spearmanr(dissimilarities(features[layer, 0]), brain).statistic
        measured = found["similarity"].sel(layer=layer).values.item()
        assert measured == pytest.approx(expected, abs=1e-5)
    r = [spearmanr(*map(dissimilarities, pair)).statistic for pair in halves]
    expected = spearman_brown(np.mean(r))
    assert found["reliability"].values.item() == pytest.approx(expected, abs=1e-6)


def test_score(lab, network, features, averages, splits) -> None:
    """Brain-Score's ridge: r, its ceiling, and r² over the ceiling."""
    recording = lab.recording
    package = lab.folder / "package"
    write_package(recording, match_stimuli(recording.stimuli, lab.stimuli, []), package)
    benchmark = package_benchmark(package / "V4.nc", "ridge")
    summary_ = score(network, benchmark, region_layer_map={"V4": "conv3"}, solver="exact").summary
    x = features["conv3", 0]
    r = [
        np.median(
            pearson(Ridge(1.0).fit(x[train], averages[train]).predict(x[test]), averages[test])
        )
        for train, test in splits
    ]
    assert summary_.raw == pytest.approx(np.mean(r), abs=1e-5)
    assert summary_.ceiled == pytest.approx(
        np.sign(summary_.raw) * summary_.raw**2 / summary_.ceiling, rel=1e-9
    )

"""Geometry of layers against a recording's, bin by bin."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from rsatoolbox.data import Dataset
from rsatoolbox.rdm import calc_rdm
from scipy.stats import spearmanr
from sklearn.neighbors import NearestCentroid

from convrnns_brainscore import ConvRNNError, Presentation, cli
from convrnns_brainscore.fits.cross_validated import (
    crossnobis,
    fold_means,
    left_out,
    pairwise_decoding,
    whitening,
)
from convrnns_brainscore.fits.reference import Reference, given_reference, pooled, reference_of
from convrnns_brainscore.fits.reliability import Trials
from convrnns_brainscore.fits.representation import compare_movies, movie_of
from convrnns_brainscore.fits.scratch import layer_bins
from convrnns_brainscore.geometry import dissimilarities
from convrnns_brainscore.images import load_images
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.recording_files import open_data
from convrnns_brainscore.recordings import Recording

BINS = [(-10.0, 0.0), (70.0, 80.0), (80.0, 90.0)]
STIMULI = 30
RNG = np.random.default_rng(0)
LATENT = RNG.standard_normal((STIMULI, 6))


def recording(neurons: int = 20, repetitions: int = 8, stimuli: int = STIMULI) -> Recording:
    """IT that mixes what is latent in the stimuli; before onset it is noise."""
    rng = np.random.default_rng(1)
    mean = (LATENT[:stimuli] @ rng.standard_normal((6, neurons)))[..., None] * [0, 1, 1]
    values = mean + 2 * rng.standard_normal((repetitions, stimuli, neurons, 3))
    return Recording(
        values.reshape(-1, neurons, 3).astype(np.float32),
        np.tile(np.arange(stimuli), repetitions),
        pd.DataFrame({"stimulus_id": [f"s{index:02d}" for index in range(stimuli)]}),
        pd.DataFrame(
            {
                "neuroid_id": [str(index) for index in range(neurons)],
                "region": "IT",
                "subject": np.where(np.arange(neurons) % 2, "A", "B"),
            }
        ),
        BINS,
    )


def movie(noise: float, seed: int = 0, stimuli: int = STIMULI) -> xr.DataArray:
    """Two layers: the first is noise, the second knows the latent; undefined before onset."""
    rng = np.random.default_rng(seed)
    units = LATENT[:stimuli] @ np.random.default_rng(9).standard_normal((6, 50))
    values = [
        dissimilarities(rng.standard_normal(units.shape)),
        dissimilarities(units + noise * rng.standard_normal(units.shape)),
    ]
    both = np.stack([np.full_like(np.array(values), np.nan), values, values], axis=1)
    return xr.DataArray(both, {"layer": ["conv1", "conv2"]}, ("layer", "time_bin", "pair"))


def test_what_made_the_recording_is_similar_and_noise_is_not() -> None:
    reference = reference_of(recording())
    found, _ = compare_movies({"model": movie(0.5)}, reference)
    average = recording().values.reshape(8, STIMULI, 20, 3).mean(axis=0)[..., 1]
    one = found.sel(model="model", region="IT")
    expected = spearmanr(movie(0.5).values[1, 1], dissimilarities(average))[0]
    assert float(one["similarity"].sel(layer="conv2")[1]) == pytest.approx(expected, abs=1e-6)
    assert (one["p"].sel(layer="conv2")[1:] < 0.01).all()
    assert (one["p"].sel(layer="conv1")[1:] > 0.05).all()
    assert np.isnan(one["similarity"].values[:, 0]).all()
    assert np.isnan(one["p"].values[:, 0]).all()
    assert 0.01 < float(one["error"].sel(layer="conv2")[1]) < 0.2
    reliability = found["reliability"].sel(region="IT").values
    assert abs(reliability[0]) < 0.3
    assert (reliability[1:] > 0.5).all()


def test_two_models_are_different_if_one_knows_more() -> None:
    models = {"good": movie(0.2), "same": movie(0.2, seed=5), "worse": movie(12, seed=2)}
    _, table = compare_movies(models, reference_of(recording()))
    p = table.set_index(["first", "second"])["p"]
    assert p["good", "worse"] < 0.05
    assert p["good", "same"] > 0.05
    assert table.set_index("second").loc["worse", "bins"].iloc[0] == "70–80 ms, 80–90 ms"


def test_many_models_can_differ_and_undefined_layers_never_win() -> None:
    negative = -movie(0.2)
    undefined = xr.DataArray(np.full((1, 3, 435), np.nan), {"layer": ["conv9"]}, negative.dims)
    models = {f"noise{seed}": movie(30, seed) for seed in range(4)}
    models |= {"good": movie(0.2), "negative": xr.concat([negative, undefined], "layer")}
    _, table = compare_movies({**models, "nothing": undefined}, reference_of(recording()))
    rows = table.set_index(["first", "second"])
    assert len(rows) == 21
    assert (rows.xs("good", level="second")["p"] < 0.05).all()
    assert rows.loc[("good", "negative"), "second_layer"] != "conv9"
    said = rows.xs("nothing", level="second")["untested"]
    assert (said == "no bin in which both are defined").all()


@pytest.mark.slow
def test_p_without_a_relation_is_uniform() -> None:
    """5 % of unrelated geometries have p < .05, over all layers and bins together."""
    reference = reference_of(recording())
    wrong = 0
    for seed in range(20):
        rng = np.random.default_rng(seed)
        noise = dissimilarities(rng.standard_normal((STIMULI, 30)))
        cells = np.stack([np.full((2, len(noise)), np.nan), [noise] * 2, [noise] * 2], axis=1)
        unrelated = xr.DataArray(cells, {"layer": ["a", "b"]}, ("layer", "time_bin", "pair"))
        found, _ = compare_movies({"model": unrelated}, reference)
        wrong += bool((found["p"] < 0.05).any())
    assert wrong <= 4  # of 20; more has a chance of 0.3 %


def test_few_stimuli_and_neurons_are_said_and_not_tested() -> None:
    few = recording(stimuli=5)
    found, _ = compare_movies({"model": movie(0.5, stimuli=5)}, reference_of(few))
    assert np.isfinite(found["similarity"].values[..., 1:]).all()
    assert np.isnan(found["p"].values).all()
    assert np.isnan(found["error"].values).all()
    assert "5 stimuli are too few for errors and tests: 8 are needed" in reference_of(few).notes
    with pytest.raises(ConvRNNError, match=r"IT has 2 neurons: too few for a geometry"):
        reference_of(recording(neurons=2))


def test_a_duplicated_neuron_leaves_p_in_range() -> None:
    one = recording()
    values = np.concatenate([one.values, one.values[:, :1]], axis=1)
    neurons = pd.concat([one.neurons, one.neurons.iloc[:1].assign(neuroid_id="twice")])
    twice = Recording(values, one.stimulus, one.stimuli, neurons.reset_index(drop=True), BINS)
    found, _ = compare_movies({"model": movie(0.5)}, reference_of(twice))
    p = found["p"].values[..., 1:]
    assert ((p > 0) & (p <= 1)).all()


def given(path: Path, values: np.ndarray, stimuli: int) -> Path:
    xr.Dataset(
        {
            "dissimilarity": (("subject", "time_bin", "pair"), values),
            "stimulus_id": ("stimulus", [f"s{index:02d}" for index in range(stimuli)]),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [80]),
        },
        attrs={"region": "human IT"},
    ).to_netcdf(path)
    return path


def read(path: Path) -> Reference | None:
    return given_reference(open_data(path), path)


def test_given_dissimilarities_are_a_reference(tmp_path: Path) -> None:
    values = RNG.random((4, 1, 435))
    reference = read(given(tmp_path / "rdm.nc", values, STIMULI))
    assert isinstance(reference, Reference)
    assert reference.regions == ["human IT"]
    np.testing.assert_allclose(reference.dissimilarities(-1)[0], values.mean(axis=0))
    with xr.open_dataset(tmp_path / "rdm.nc") as held:
        held = held.load()
    held.assign(time_bin_start=("time_bin", [0.07]), time_bin_end=("time_bin", [0.08])).to_netcdf(
        tmp_path / "seconds.nc"
    )
    with pytest.raises(ConvRNNError, match="look like seconds"):
        read(tmp_path / "seconds.nc")
    held.drop_vars("dissimilarity").to_netcdf(tmp_path / "none.nc")
    assert read(tmp_path / "none.nc") is None
    held.isel(time_bin=0).to_netcdf(tmp_path / "one.nc")
    with pytest.raises(ConvRNNError, match="have no dim time_bin"):
        read(tmp_path / "one.nc")
    with pytest.raises(ConvRNNError, match=r"has 435 pairs; its 10 stimuli have 45"):
        read(given(tmp_path / "wrong.nc", values, 10))
    twice = held.assign(stimulus_id=("stimulus", ["s00", *held["stimulus_id"].values[:-1]]))
    twice.to_netcdf(tmp_path / "twice.nc")
    with pytest.raises(ConvRNNError, match=r"twice\.nc has the stimulus s00 twice"):
        read(tmp_path / "twice.nc")


def test_one_variable_of_dissimilarities_is_compared(tmp_path: Path) -> None:
    path = given(tmp_path / "rdm.nc", RNG.random((1, 1, 435)), STIMULI)
    with xr.open_dataset(path) as held:
        held.load().assign(sd=held["dissimilarity"]).to_netcdf(tmp_path / "two.nc")
    with pytest.raises(ConvRNNError, match=r"several variables .* \(dissimilarity, sd\)"):
        read(tmp_path / "two.nc")


def test_missing_dissimilarities_are_noted(tmp_path: Path) -> None:
    values = RNG.random((1, 2, 435))
    values[0, 1, :5] = np.nan
    path = given(tmp_path / "rdm.nc", values[:, :1], STIMULI)
    with xr.open_dataset(path) as held:
        held = held.load().drop_dims("time_bin")
    held["dissimilarity"] = (("subject", "time_bin", "pair"), values)
    held["time_bin_start"], held["time_bin_end"] = ("time_bin", [70, 80]), ("time_bin", [80, 90])
    held.to_netcdf(tmp_path / "nan.nc")
    reference = read(tmp_path / "nan.nc")
    assert reference is not None
    assert "5 of 435 dissimilarities are missing (NaN) in 80–90 ms" in " ".join(reference.notes)


def test_layers_are_averaged_over_the_steps_of_a_bin_as_documented(
    network, photographs: list[Path], tmp_path: Path
) -> None:
    """Feed-forward layers too, in a bin in which the image goes off."""
    chosen = photographs[:6]
    stimuli = pd.DataFrame(
        {"stimulus_id": range(6), "filename": [str(path) for path in chosen], "degrees": 8.0}
    )
    shown = Presentation.custom(17, 10)
    layers = ["conv1", "conv2", "conv3", "conv5"]
    found = movie_of(network, layers, [(70, 170), (20, 50)], shown, stimuli, tmp_path)
    outputs = network.unroll(load_images(chosen), layers, shown, all_times=True)
    for layer, (index, steps) in product(layers, enumerate([range(7, 17), range(2, 5)])):
        values = outputs[layer].astype(np.float64)[:, list(steps)].mean(axis=1).reshape(6, -1)
        plain = 1 - np.corrcoef(values)[np.triu_indices(6, 1)]
        measured = found.sel(layer=layer).values[index]
        if steps.stop <= network.first_step(layer):
            assert np.isnan(measured).all()
        else:
            np.testing.assert_allclose(measured, plain, atol=1e-5)


def test_a_shortcut_for_linear_fits_reaches_nothing_else(network) -> None:
    """Centring takes out of a bin what all images share; 1 − r between patterns does not."""
    shown = Presentation.custom(17, 10)
    (average,) = layer_bins(network.model, "conv1", [(70, 170)], shown).averages
    assert average == tuple((step, 0.1) for step in range(7, 17))
    (scaled,) = layer_bins(network.model, "conv1", [(70, 170)], shown, centred=True).averages
    assert scaled == ((0, 0.3),)  # of ten steps it sees the image in three


def test_a_flat_pattern_in_a_resample_costs_that_draw_alone() -> None:
    """Sparse spikes: some draws of neurons are silent for a stimulus."""
    sparse = recording(neurons=6)
    values = sparse.values.copy()
    values[:, 1:, :][sparse.stimulus == 0] = 0  # one neuron alone answers to the first stimulus
    values[:, 0, 1:][sparse.stimulus == 0] = 9
    silent = replace(sparse, values=values)
    found, table = compare_movies(
        {"good": movie(0.5), "noise": movie(50, seed=3)}, reference_of(silent)
    )
    defined = np.isfinite(found["similarity"].sel(model="good", layer="conv2").values[0])
    errors = found["error"].sel(model="good", layer="conv2").values[0]
    assert defined.any()
    assert np.isfinite(errors[defined]).all()
    incomplete = np.isnan(found["similarity"]) | np.isnan(found["error"]) | np.isnan(found["p"])
    assert ((found["undefined"] != "") == incomplete).all()  # a reason where any is undefined
    (row,) = table.to_dict("records")
    assert np.isfinite(row["p"]) or row["untested"]


def test_the_command(photographs: list[Path], tmp_path: Path, monkeypatch, capsys) -> None:
    chosen = photographs[:10]
    rng = np.random.default_rng(0)
    one = xr.DataArray(
        rng.random((40, 5, 2)),
        {
            "stimulus_id": ("presentation", [path.stem for path in chosen] * 4),
            "neuroid_id": ("neuroid", range(5)),
            "region": "IT",
            "time_bin_start": ("time_bin", [30, 50]),
            "time_bin_end": ("time_bin", [50, 60]),
        },
        ["presentation", "neuroid", "time_bin"],
    ).to_dataset(name="rates")
    one.to_netcdf(tmp_path / "it.nc")
    (one + rng.random(one["rates"].shape)).to_netcdf(tmp_path / "other.nc")
    monkeypatch.chdir(tmp_path)
    command = ["convrnns", "geometry", "timedecay_shallow", "it.nc", "other.nc"]
    command += ["--distance", "crossnobis", "--weights", "random"]
    command += ["--stimuli", str(chosen[0].parent), "--layers", "conv1,conv5"]
    monkeypatch.setattr(sys, "argv", [*command, "--lesion", "recurrence"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code in (0, None), capsys.readouterr().err
    told = capsys.readouterr().out
    assert "Most similar layer and bin" in told
    assert "timedecay_shallow (untrained, seed 0)" in told
    table = pd.read_csv("geometry/geometry.csv")
    assert set(table["model"]) == {"timedecay_shallow", "timedecay_shallow-without-recurrence"}
    conv5 = table[(table["layer"] == "conv5") & (table["model"] == "timedecay_shallow")]
    assert np.isfinite(conv5["similarity"]).tolist() == [True, True]
    assert set(table["weights"]) == {"untrained, seed 0"}
    reasons = table["undefined"].fillna("")
    assert ((reasons != "") == table[["similarity", "error", "p"]].isna().any(axis=1)).all()
    assert set(pd.read_csv("geometry/differences.csv")["first_weights"]) == {"untrained, seed 0"}
    for name in ("geometry.nc", "geometry.png"):
        assert "untrained, seed 0" in str(read_provenance(Path("geometry") / name))
    assert {path.name for path in Path("geometry").iterdir()} == {
        "geometry.nc", "geometry.csv", "differences.csv",
        *(
            f"{stem}.{kind}"
            for stem in ("geometry", "geometry-layers", "geometry-dissimilarities")
            for kind in ("png", "pdf", "svg")
        ),
    }  # fmt: skip
    assert {"subject_similarity", "ceiling_lower", "ceiling_upper"} <= set(table)
    assert "Recording's dissimilarities: crossnobis" in Path("geometry/geometry.svg").read_text()
    again = [each if each != "crossnobis" else "decoding" for each in command]
    monkeypatch.setattr(sys, "argv", again)
    with pytest.raises(SystemExit):
        cli.main()
    assert (
        "geometry holds results that differ in: recording or --distance" in capsys.readouterr().err
    )
    monkeypatch.setattr(sys, "argv", [*command[:-1], "conv99"])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert ended.value.code == 2
    assert "conv99" in capsys.readouterr().err


# Dissimilarities that are cross-validated over repetitions, and several subjects


def unequal(noise: float = 2) -> Recording:
    """Stimulus 0 was shown twice as often, neuron 3 misses one presentation of stimulus 1, and
    stimuli 4 and 5 have the same response."""
    one = recording()
    more = one.values[one.stimulus == 0]
    values = np.concatenate([one.values, more])
    stimulus = np.concatenate([one.stimulus, np.zeros(len(more), np.intp)])
    values[np.flatnonzero(stimulus == 1)[2], 3] = np.nan
    rng = np.random.default_rng(5)
    for same in (4, 5):
        rows = np.flatnonzero(stimulus == same)
        values[rows] = 2 * rng.standard_normal((len(rows), *values.shape[1:]))
    values += noise * rng.standard_normal(values.shape).astype(np.float32)
    return replace(one, values=values, stimulus=stimulus)


def test_folds_have_as_many_repetitions_of_every_stimulus() -> None:
    one = unequal()
    means, repetitions = fold_means(Trials(one.values, one.stimulus, STIMULI))
    assert means.shape == (7, STIMULI, 20, 3)  # neuron 3 saw stimulus 1 seven times
    assert repetitions == 1
    rows = np.flatnonzero(one.stimulus == 0)
    np.testing.assert_allclose(means[2, 0, 0], one.values[rows[2], 0])
    more = np.concatenate([one.values] * 3), np.concatenate([one.stimulus] * 3)
    means, repetitions = fold_means(Trials(*more, STIMULI))
    assert (len(means), repetitions) == (10, 2)
    notes = reference_of(one, distance="crossnobis").notes
    assert "crossnobis is cross-validated over 7 folds" in notes
    assert any("the same number of presentations of every stimulus: 38 " in n for n in notes)


def test_crossnobis_is_that_of_rsatoolbox() -> None:
    """With the noise of other folds, which is rsatoolbox's fixed noise precision."""
    rng = np.random.default_rng(0)
    folds, noise = rng.standard_normal((2, 5, 12, 8)) @ rng.standard_normal((8, 8))
    transform = whitening(noise)
    data = Dataset(
        folds.reshape(-1, 8),
        obs_descriptors={
            "stimulus": np.tile(np.arange(12), 5), "fold": np.repeat(np.arange(5), 12)
        },
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        theirs = calc_rdm(
            data, "crossnobis", "stimulus", noise=transform @ transform.T, cv_descriptor="fold"
        )
    np.testing.assert_allclose(crossnobis(left_out(folds, noise)), theirs.dissimilarities[0])
    deviations = (noise - noise.mean(axis=0)).reshape(-1, 8) @ transform
    covariance = deviations.T @ deviations / (4 * 12)
    assert abs(covariance - np.eye(8)).max() < 0.5  # but for the shrinkage


def test_pairwise_decoding_is_scikit_learns_nearest_centroid() -> None:
    folds = np.random.default_rng(0).standard_normal((6, 4, 5)) + LATENT[:4, :5]
    pairs = left_out(folds)
    correct = []
    for first, second in zip(*np.triu_indices(4, 1), strict=True):
        right = 0.0
        for fold, (test, _) in enumerate(pairs):
            train = np.delete(folds, fold, axis=0) @ whitening(np.delete(folds, fold, axis=0))
            both = train[:, [first, second]].reshape(-1, 5)
            decoder = NearestCentroid().fit(both, [0, 1] * 5)
            right += (decoder.predict(test[[first, second]]) == [0, 1]).mean() / 6
        correct.append(right)
    np.testing.assert_allclose(pairwise_decoding(pairs), correct)


@pytest.mark.parametrize(("measure", "chance"), [(crossnobis, 0), (pairwise_decoding, 0.5)])
@pytest.mark.parametrize("folds", [3, 7])
def test_noise_alone_gives_chance(measure, chance: float, folds: int) -> None:
    """Also with more neurons than deviations to estimate their noise from."""
    rng = np.random.default_rng(0)
    mixed = rng.standard_normal((200, folds, 12, 30)) @ rng.standard_normal((30, 30))
    found = [measure(left_out(each)).mean() for each in mixed]
    error = np.std(found) / len(found) ** 0.5
    assert np.mean(found) == pytest.approx(chance, abs=3 * error)
    assert error < 0.02 * (1 if chance else 40)


@pytest.mark.parametrize("distance", ["crossnobis", "decoding"])
def test_cross_validated_dissimilarities_know_the_latent(distance: str) -> None:
    reference = reference_of(unequal(), distance=distance)
    after = reference.whole[0, 1]
    chance = 0.5 if distance == "decoding" else 0.0
    apart = LATENT[:, None] - LATENT[None]
    distances = (apart**2).sum(axis=-1)[np.triu_indices(STIMULI, 1)]
    assert spearmanr(after, distances)[0] > {"crossnobis": 0.6, "decoding": 0.45}[distance]
    same = np.flatnonzero(np.equal(np.triu_indices(STIMULI, 1), [[4], [5]]).all(axis=0))
    assert after[same] == pytest.approx(chance, abs=0.25)
    assert reference.distance == distance
    assert (reference.reliability[0, 1:] > 0.4).all()
    found, _ = compare_movies({"model": movie(0.5)}, reference)
    one = found.sel(model="model", region="IT")
    assert (one["p"].sel(layer="conv2")[1:] < 0.01).all()


def test_cross_validation_needs_repetitions_and_noise() -> None:
    with pytest.raises(ConvRNNError, match=r"30 stimuli have fewer \(s00, s01, s02, …\)"):
        reference_of(recording(repetitions=2), distance="crossnobis")
    with pytest.raises(ConvRNNError, match="correlation"):
        reference_of(recording(), distance="euclid")
    few = reference_of(recording(repetitions=3), distance="decoding")
    assert np.isnan(few.reliability).all()
    assert "the reliability of decoding needs 4 presentations of every stimulus" in few.notes
    one = recording()
    values = one.values.copy()
    values[:, 2] = values[one.stimulus.argsort(kind="stable")[::8], 2][one.stimulus]
    noiseless = reference_of(replace(one, values=values), distance="crossnobis")
    assert any(
        "1 neurons respond identically in all repetitions" in note for note in noiseless.notes
    )
    values[:, 5, 1] = np.nan
    missing = reference_of(replace(one, values=values), distance="crossnobis")
    assert np.isfinite(missing.whole[0]).all(axis=1).tolist() == [True, False, True]


def test_one_missing_response_costs_one_presentation() -> None:
    one = recording()
    values = one.values.copy()
    values[5, 3, 1] = np.nan
    reference = reference_of(replace(one, values=values), distance="crossnobis")
    assert np.isfinite(reference.whole).all()
    assert "crossnobis is cross-validated over 7 folds" in reference.notes
    assert not any("respond identically" in note for note in reference.notes)


def test_stimuli_that_were_shown_once_do_not_take_the_reliability() -> None:
    one = recording()
    kept = (one.stimulus > 0) | (np.arange(len(one.stimulus)) == 0)
    once = replace(one, values=one.values[kept], stimulus=one.stimulus[kept])
    reference = reference_of(once)
    assert (reference.reliability[0, 1:] > 0.5).all()
    assert any("the 29 stimuli of which all" in n for n in reference.notes)


def test_dissimilarities_that_are_all_equal_have_no_correlation() -> None:
    """rsatoolbox gives 0 for them."""
    one = reference_of(recording())
    flat = replace(one, dissimilarities=lambda draw: np.ones_like(one.dissimilarities(draw)))
    with pytest.raises(ConvRNNError, match="geometry is undefined in every bin"):
        compare_movies({"model": movie(0.5)}, flat)
    values = one.whole.copy()
    values[:, 2] = 1
    found, _ = compare_movies(
        {"model": movie(0.5)}, replace(one, dissimilarities=lambda draw: values)
    )
    last = found.sel(model="model", region="IT", layer="conv2")[{"time_bin": 2}]
    assert np.isnan(last["similarity"])
    assert last["undefined"].item() == "all dissimilarities are equal"


def subject(seed: int, stimuli: slice = slice(None), region: str = "MEG") -> Recording:
    """A subject's sensors, which mix the latent in their own way."""
    rng = np.random.default_rng(seed)
    mean = (LATENT[stimuli] @ rng.standard_normal((6, 15)))[..., None] * [0, 1, 1]
    values = mean + 3 * rng.standard_normal((6, *mean.shape))
    names = [f"s{index:02d}" for index in range(STIMULI)][stimuli]
    neurons = {"neuroid_id": [str(i) for i in range(15)], "region": region, "subject": "one"}
    return Recording(
        values.reshape(-1, 15, 3).astype(np.float32),
        np.tile(np.arange(len(names)), 6),
        pd.DataFrame({"stimulus_id": names}),
        pd.DataFrame(neurons),
        BINS,
    )


def test_several_subjects_have_a_noise_ceiling() -> None:
    """Of each subject's own geometry, as rsatoolbox and Nili et al. (2014) define it."""
    parts = {"a": slice(2, None), "b": slice(None), "c": slice(None, 28)}
    subjects = {name: subject(seed, part) for seed, (name, part) in enumerate(parts.items())}
    reference = pooled({name: reference_of(each) for name, each in subjects.items()})
    assert reference.stimuli["stimulus_id"].tolist() == [f"s{index:02d}" for index in range(2, 28)]
    assert "26 stimuli are in all recordings: others are excluded" in reference.notes
    alone = [
        dissimilarities(each.values.reshape(6, -1, 15, 3).mean(axis=0)[rows][..., 1])
        for each, rows in zip(
            subjects.values(), [slice(26), slice(2, 28), slice(2, None)], strict=True
        )
    ]
    np.testing.assert_allclose(reference.dissimilarities(-1)[0, 1], np.mean(alone, axis=0))

    units = LATENT[2:28] @ np.random.default_rng(9).standard_normal((6, 50))
    model = xr.DataArray(
        np.broadcast_to(dissimilarities(units), (1, 3, 325)),
        {"layer": ["conv2"]},
        ("layer", "time_bin", "pair"),
    )
    found, _ = compare_movies({"model": model}, reference)
    here = found.isel(model=0, region=0, layer=0, time_bin=1)
    each = [spearmanr(dissimilarities(units), one)[0] for one in alone]
    assert float(here["subject_similarity"]) == pytest.approx(np.mean(each), abs=1e-6)
    assert float(here["subject_error"]) == pytest.approx(np.std(each, ddof=1) / 3**0.5, abs=1e-6)
    others = [
        spearmanr(one, np.mean([spearmanr_ranks(o) for o in alone if o is not one], axis=0))[0]
        for one in alone
    ]
    assert float(here["ceiling_lower"]) == pytest.approx(np.mean(others), abs=1e-6)
    assert float(here["ceiling_lower"]) < float(here["ceiling_upper"]) <= 1
    assert float(here["subject_similarity"]) <= float(here["ceiling_upper"])
    assert here["most_similar"].item().startswith("conv2, ")


def spearmanr_ranks(values: np.ndarray) -> np.ndarray:
    return values.argsort().argsort().astype(float)


def test_subjects_of_one_recording_have_a_ceiling_too() -> None:
    reference = reference_of(recording())  # subjects A and B
    assert reference.subjects["IT"].shape == (2, 3, 435)
    found, _ = compare_movies({"model": movie(0.5)}, reference)
    assert np.isfinite(found["ceiling_lower"].values[0, 1:]).all()
    alone = recording()
    alone = replace(alone, neurons=alone.neurons.assign(subject="A"))
    assert "ceiling_lower" not in compare_movies({"m": movie(0.5)}, reference_of(alone))[0]


def test_subjects_that_do_not_fit_together_are_refused() -> None:
    one = reference_of(subject(0))
    with pytest.raises(ConvRNNError, match="a and b hold the same data"):
        pooled({"a": one, "b": reference_of(subject(0))})
    with pytest.raises(ConvRNNError, match="b holds dissimilarities: several files have to be"):
        pooled({"a": one, "b": replace(one, distance="as given")})
    with pytest.raises(ConvRNNError, match="no region is in all recordings"):
        pooled({"a": one, "b": reference_of(subject(1, region="EEG"))})
    later = replace(subject(1), time_bins=[(0.0, 10.0), (10.0, 20.0), (20.0, 30.0)])
    with pytest.raises(ConvRNNError, match="different time bins: 3 from -10 to 90 ms and 3 from 0"):
        pooled({"a": one, "b": reference_of(later)})
    widths = [replace(each, stimuli=each.stimuli.assign(degrees=size)) for each, size in
              ((subject(0), 8.0), (subject(1), 5.0))]  # fmt: skip
    with pytest.raises(ConvRNNError, match="s00 is 8 degrees wide by a, and 5 by b"):
        pooled({name: reference_of(each) for name, each in zip("ab", widths, strict=True)})
    stated = pooled({"a": one, "b": reference_of(widths[1])}).stimuli["degrees"]
    assert set(stated) == {5}
    first, last = (reference_of(subject(1, part)) for part in (slice(16), slice(14, None)))
    with pytest.raises(ConvRNNError, match="2 stimuli are in all recordings"):
        pooled({"a": first, "b": last})
    with pytest.raises(ConvRNNError, match="a showed images for 100 ms and b for 200 ms"):
        pooled({"a": one, "b": reference_of(subject(1), 200)})


def test_a_response_that_is_missing_costs_its_stimulus_and_not_the_reliability() -> None:
    whole = recording()
    reliable = reference_of(whole).reliability
    values = whole.values.copy()
    values[np.flatnonzero(whole.stimulus == 0)[1:], 0] = np.nan  # one neuron saw it once
    values[whole.stimulus > 0, 1] = np.nan  # this one is excluded
    found = reference_of(replace(whole, values=values))
    assert "the reliability of IT is that of the 29 stimuli of which" in "; ".join(found.notes)
    np.testing.assert_allclose(found.reliability, reliable, atol=0.1)
    values[whole.stimulus < 25, 0] = whole.values[whole.stimulus < 25, 0]
    first = np.unique(whole.stimulus, return_index=True)[1]
    later = np.setdiff1d(np.flatnonzero(whole.stimulus < 25), first)
    values[later, 0] = np.nan
    found = reference_of(replace(whole, values=values))
    assert "is not known: there are 5 stimuli of which" in "; ".join(found.notes)
    assert np.isnan(found.reliability).all()

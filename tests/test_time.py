"""Times of recordings: edges, widths, and how long images were on."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.fits.prepare import prepare
from convrnns_brainscore.fits.reference import given_reference, reference_of
from convrnns_brainscore.fits.scratch import layer_bins
from convrnns_brainscore.presentation import Presentation, image_duration
from convrnns_brainscore.recordings import as_recording, recorded_apart
from convrnns_brainscore.timing import BEFORE_THE_IMAGE, parse_time_bins
from convrnns_brainscore.zoo import find_model

STIMULI, REPETITIONS = 30, 3


def lab(edges: list[float], ends: list[float] | None = None, **coords) -> xr.DataArray:
    """Six neurons of IT; each stimulus comes three times."""
    start, end = (edges[:-1], edges[1:]) if ends is None else (edges, ends)
    shape = STIMULI * REPETITIONS, 6, len(start)
    return xr.DataArray(
        np.random.default_rng(0).random(shape),
        {
            "stimulus_id": ("presentation", [f"s{i:02d}" for i in range(STIMULI)] * REPETITIONS),
            "neuroid_id": ("neuroid", np.arange(6)),
            "region": ("neuroid", ["IT"] * 6),
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", end),
            **coords,
        },
        ("presentation", "neuroid", "time_bin"),
    )


def files() -> pd.DataFrame:
    names = [f"s{i:02d}" for i in range(STIMULI)]
    return pd.DataFrame({"stimulus_id": names, "filename": names, "degrees": 8.0})


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(-1e-9, 1e-9), min_size=6, max_size=6))
def test_edges_with_rounding_in_them_are_the_whole_edges(noise: list[float]) -> None:
    whole = [-10.0, 0.0, 10.0, 20.0, 30.0, 40.0]
    noisy = as_recording(lab([edge + each for edge, each in zip(whole, noise, strict=True)]))
    exact = as_recording(lab(whole))
    assert noisy.time_bins == exact.time_bins
    assert noisy.sha256 == exact.sha256
    assert noisy.no_finer_than_steps() is noisy


def test_a_hair_does_not_reach_into_the_next_step() -> None:
    """conv4 sees the image from 30 ms on; 30.000000000000004 would have leaked it."""
    edges = as_recording(lab([20.0, 30.000000000000004])).time_bins
    found = layer_bins(find_model("rgc_shallow"), "conv4", edges, Presentation.neural())
    assert found.undefined == {(20.0, 30.0): BEFORE_THE_IMAGE}
    assert parse_time_bins([(-1e-15, 20.000000000000004)]) == [(0.0, 20.0)]
    joined = recorded_apart([lab([20.0, 30.0]), lab([20.000000000000004, 30.0])])
    assert joined.sizes["time_bin"] == 1


def test_bins_of_unequal_width_stay_as_they_are() -> None:
    edges = [0.0, 50, 100, 150, 200, 250, 255]
    recording = as_recording(lab(edges))
    assert recording.no_finer_than_steps() is recording


def test_only_narrow_neighbours_are_merged_and_the_rest_keeps_its_width() -> None:
    edges = [0.0, 50, 54, 58, 62, 66, 67]
    recording = as_recording(lab(edges))
    merged = recording.no_finer_than_steps()
    assert merged.time_bins == [(0, 50), (50, 60), (60, 67)]
    np.testing.assert_array_equal(merged.values[..., 0], recording.values[..., 0])
    narrow = recording.values[..., 1:].astype(float)
    expected = (4 * narrow[..., 0] + 4 * narrow[..., 1] + 2 * narrow[..., 2]) / 10
    np.testing.assert_allclose(merged.values[..., 1], expected, rtol=1e-6)
    apart = as_recording(lab([0.0, 20.0], [4.0, 24.0]))  # with a gap between them
    assert apart.no_finer_than_steps().time_bins == [(0, 4), (20, 24)]


def test_a_window_that_cuts_a_wide_bin_is_refused_with_both_named() -> None:
    recording = as_recording(lab([0.0, 50, 100, 150]))
    assert recording.selected(window=(50, 150)).time_bins == [(50, 150)]
    with pytest.raises(ConvRNNError, match=r"`window=\(70.0, 150.0\)` cuts .* 50–100 ms"):
        recording.selected(window=(70, 150))


def with_durations(durations: list[float]) -> xr.DataArray:
    repeated = np.resize(durations, STIMULI * REPETITIONS)
    return lab([0.0, 50, 100, 150], image_on_ms=("presentation", repeated))


def test_measured_durations_jitter_and_are_taken_in_steps() -> None:
    data = with_durations([199.7, 200.0, 200.3, 199.9])
    prepared = prepare(as_recording(data), files(), latencies=[0])
    assert prepared.presentation == Presentation.custom(15)  # on throughout 150 ms
    assert any("199.7 to 200.3 ms" in note and "200 ms" in note for note in prepared.notes)
    assert image_duration([np.nan, 149.6])[0] == 150.0


def test_a_mixture_of_durations_is_refused_and_fitted_in_parts_if_asked() -> None:
    recording = as_recording(with_durations([100.0] * 60 + [200.0] * 30))
    with pytest.raises(ConvRNNError, match=r"100 ms in 60, 200 ms in 30 .*`image_ms=100`"):
        prepare(recording, files())
    part = prepare(recording, files(), image_ms=100, latencies=[0])
    assert part.presentation.image_off == 10
    assert len(part.recording.stimulus) == 60
    assert "only the 60 of 90 presentations with images of 100 ms are used" in part.notes


def test_two_durations_that_disagree_are_refused_with_both_named() -> None:
    recording = as_recording(with_durations([200]))
    with pytest.raises(ConvRNNError, match=r"`image_ms=100`, but .* is 200"):
        prepare(recording, files(), image_ms=100)
    assert prepare(recording, files(), image_ms=200).notes == prepare(recording, files()).notes
    with pytest.raises(ConvRNNError, match="in seconds"):
        prepare(as_recording(with_durations([0.2])), files())


def test_geometry_takes_the_recordings_duration_as_fits_do() -> None:
    assert reference_of(as_recording(with_durations([149.8]))).image_ms == 150
    unknown = reference_of(as_recording(lab([0.0, 50, 100])))
    assert unknown.image_ms == 100
    assert "no image duration is stated: 100 ms is assumed" in unknown.notes
    held = xr.Dataset(
        {
            "dissimilarity": (("time_bin", "pair"), np.random.default_rng(0).random((1, 28))),
            "stimulus_id": ("stimulus", np.arange(8.0)),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        attrs={"image_on_ms": 200},
    )
    reference = given_reference(held, "rdm.nc")
    assert reference.image_ms == 200
    assert reference.stimuli["stimulus_id"].tolist() == list("01234567")


def test_sizes_that_disagree_are_refused_and_unknown_ones_are_unknown() -> None:
    degrees = ("presentation", np.full(STIMULI * REPETITIONS, 5.0))
    recording = as_recording(lab([0.0, 50, 100], degrees=degrees))
    with pytest.raises(ConvRNNError, match=r"8 degrees wide by `degrees=…`.* 5 by the"):
        prepare(recording, files())
    assumed = files()
    assumed.attrs["degrees"] = "assumed"  # as `read_stimuli` says where nobody stated a size
    assert (prepare(recording, assumed).stimuli["degrees"] == 5).all()
    nothing = ("presentation", np.full(STIMULI * REPETITIONS, np.nan))
    unknown = as_recording(lab([0.0, 50, 100], degrees=nothing))
    assert (prepare(unknown, assumed).stimuli["degrees"] == 8).all()
    mixed = ("presentation", [*np.resize([4.0, 8.0], STIMULI * REPETITIONS - 1).tolist(), 8.0])
    varying = lab([0.0, 50, 100], degrees=mixed)
    varying["stimulus_id"] = ("presentation", ["same"] * STIMULI * REPETITIONS)
    with pytest.raises(ConvRNNError, match="stimulus same was shown at 4 and 8 degrees"):
        as_recording(varying)


def test_presentations_of_nothing_are_left_out_and_counted() -> None:
    data = lab([0.0, 50, 100])
    ids = data["stimulus_id"].values.astype(object)
    ids[[3, 40]] = "-1", "nan"
    recording = as_recording(data.assign_coords(stimulus_id=("presentation", ids)))
    assert recording.values.shape[0] == STIMULI * REPETITIONS - 2
    assert recording.notes == ("excluded: 2 presentations without a stimulus",)
    numbers = np.repeat(np.arange(STIMULI, dtype=float), REPETITIONS)
    numbers[:6] = np.nan
    recording = as_recording(data.assign_coords(stimulus_id=("presentation", numbers)))
    assert recording.stimuli["stimulus_id"].tolist()[:2] == ["10", "11"]
    assert "6 presentations" in recording.notes[0]


def test_days_of_one_animal_that_number_their_neurons_alike_join() -> None:
    days = [lab([0.0, 50, 100]).assign_coords(subject="bert") for _ in range(2)]
    recording = as_recording(recorded_apart(days))
    assert len(set(recording.neurons["neuroid_id"])) == 12
    named = [day.assign_coords(session=f"day{i}") for i, day in enumerate(days)]
    recording = as_recording(recorded_apart(named))
    assert recording.neurons["neuroid_id"].tolist()[0] == "day0.0"
    half = as_recording(recorded_apart([*days, named[0]]))  # those without a name are numbered
    assert len(set(half.neurons["neuroid_id"])) == 18
    noted = days[0].assign_attrs(notes=["3 presentations are excluded"])
    assert "3 presentations are excluded" in as_recording(recorded_apart([noted, days[1]])).notes
    with pytest.raises(ConvRNNError, match="recordings in a list"):
        recorded_apart([])


def test_only_the_regions_asked_for_are_read_and_the_others_counted() -> None:
    named = ["IT", "PFC", "it", "TEO", "CA1", "V4"]
    data = lab([0.0, 50, 100]).assign_coords(region=("neuroid", named))
    recording = as_recording(data, regions=["it"])
    assert recording.neurons["neuroid_id"].tolist() == ["0", "2"]
    assert recording.notes == ("excluded: 4 neurons of other regions (PFC, TEO, CA1, V4)",)
    named = as_recording(data, regions=["IT", "V4"], locations={"TEO": "IT"})
    assert named.neurons["region"].tolist() == ["IT", "IT", "IT", "V4"]
    every = as_recording(data)
    assert every.regions == ["V4", "IT", "PFC", "TEO", "CA1"]
    assert any("no layers are assigned to PFC" in note for note in every.notes)
    with pytest.raises(ConvRNNError, match=r"unknown region of the recording 'V1'.*Known: IT, PFC"):
        as_recording(data, regions=["V1"])

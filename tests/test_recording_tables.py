"""Tables of responses and of spikes become recordings."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from convrnns_brainscore import ConvRNNError, read_recording
from convrnns_brainscore.cli import app
from convrnns_brainscore.recording_tables import (
    is_spikes,
    recording_of_responses,
    recording_of_spikes,
)
from convrnns_brainscore.recordings import as_recording

BINS = [(0, 50), (50, 100)]


def responses() -> pd.DataFrame:
    """Three stimuli twice, two neurons of two regions, two bins; the response says where it is."""
    rows = [
        {
            "stimulus_id": stimulus, "repetition": repetition, "neuroid_id": neuron,
            "region": {"n1": "V4", "n2": "IT"}[neuron], "time_bin_start": start,
            "time_bin_end": end, "response": 100 * i + 10 * repetition + j + start / 100,
            "object_name": stimulus[0], "depth": j,
        }
        for i, stimulus in enumerate(["face", "house", "tree"])
        for repetition in (0, 1)
        for j, neuron in enumerate(["n1", "n2"])
        for start, end in BINS
    ]  # fmt: skip
    return pd.DataFrame(rows).sample(frac=1, random_state=0)


def test_each_response_stands_in_its_place() -> None:
    recording = recording_of_responses(responses())
    assert recording.sizes == {"presentation": 6, "neuroid": 2, "time_bin": 2}
    one = recording.isel(
        presentation=((recording.stimulus_id == "house") & (recording.repetition == "1")).values,
        neuroid=(recording.neuroid_id == "n2").values,
    )
    assert one.values.ravel().tolist() == pytest.approx([111, 111.5])
    assert recording["object_name"].dims == ("presentation",)
    assert "depth" not in recording.coords  # it is not a property of presentations
    assert "differ between the rows of a presentation: depth" in recording.attrs["notes"][0]


def test_durations_that_were_measured_in_several_sessions_are_medians() -> None:
    table = responses()
    measured = np.where(table["neuroid_id"] == "n1", 200.1, 199.8)
    made = recording_of_responses(table.assign(image_on_ms=measured))
    assert as_recording(made).shown_for()[1] == 200
    for column, said in (("image_on_ms", "100 to 200"), ("degrees", "5 to 8")):
        values = [float(each) for each in said.split(" to ")]
        other = np.where(table["neuroid_id"] == "n1", *values)
        with pytest.raises(ConvRNNError, match=f"column {column}: the rows .* are from {said}"):
            recording_of_responses(table.assign(**{column: other}))


def test_rows_without_repetitions_are_numbered_and_gaps_are_counted() -> None:
    table = responses().drop(columns="repetition")[:-1]
    recording = recording_of_responses(table)
    assert recording.sizes["presentation"] == 6
    notes = "; ".join(recording.attrs["notes"])
    assert "are its repetitions, in their order" in notes
    assert "1 of 24 responses are missing" in notes


def spikes() -> tuple[pd.DataFrame, pd.DataFrame]:
    table = pd.DataFrame(
        [("1", "n1", 10.0), ("1", "n1", 49.9), ("1", "n1", 50.0), ("3", "n2", 99.0),
         ("3", "n2", 100.0), ("3", "n1", -5.0)],
        columns=["trial", "neuroid_id", "time_ms"],
    )  # fmt: skip
    trials = pd.DataFrame({"trial": [1, 2, 3], "stimulus_id": ["a", "b", "a"]})
    return table, trials


def test_spikes_are_counted_from_the_start_of_a_bin_to_before_its_end() -> None:
    recording = recording_of_spikes(*spikes(), BINS, "IT")
    assert recording.values[:, 0].tolist() == [[2, 1], [0, 0], [0, 0]]
    assert recording.values[:, 1].tolist() == [[0, 0], [0, 0], [0, 1]]
    assert recording["stimulus_id"].values.tolist() == ["a", "b", "a"]
    assert "4 of 6 spikes are in time bins" in recording.attrs["notes"]
    table, trials = spikes()
    seconds = table.assign(time_s=table["time_ms"] / 1000).drop(columns="time_ms")
    assert recording_of_spikes(seconds, trials, BINS, "IT").sum() == 4


def test_spikes_that_are_repeated_or_have_no_time_are_said() -> None:
    table, trials = spikes()
    table = pd.concat([table, table[:2], table[:1].assign(time_ms=np.nan)], ignore_index=True)
    notes = recording_of_spikes(table, trials, BINS, "IT").attrs["notes"]
    assert "1 spikes have no time, and are not counted" in notes
    assert any(note.startswith("2 spikes have the neuron, trial and time") for note in notes)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="response"), "no column response"),
        (lambda t: t[:0], "no rows"),
        (lambda t: t.drop(columns="region"), "column region, or with `regions=…`"),
        (lambda t: t.drop(columns=["time_bin_start", "time_bin_end"]), "found neither"),
        (
            lambda t: t.astype(object).assign(response="1,234"),
            "'1,234'.*write numbers with a decimal point",
        ),
        (lambda t: t.astype(object).assign(response="lost"), "'lost'.*leave it empty"),
        (lambda t: pd.concat([t, t[:1]]), "two responses in one time bin"),
        (lambda t: t.assign(region=["V4", "IT"] * 12), "has several regions"),
    ],
)
def test_tables_that_make_no_sense_are_refused(change, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        recording_of_responses(change(responses()))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda s, t: (s, t[:2]), "1 trials of the spikes are not in the table of trials: 3"),
        (lambda s, t: (s, pd.concat([t, t])), "trial 1 is in two rows"),
        (lambda s, t: (s.assign(time_ms=s["time_ms"] + 1e4), t), "no spike is in any time bin"),
        (lambda s, t: (s.drop(columns="time_ms"), t), "time_ms or time_s"),
    ],
)
def test_spikes_that_make_no_sense_are_refused(change, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        recording_of_spikes(*change(*spikes()), BINS, "IT")


def test_the_command_makes_recordings_of_tables(tmp_path: Path) -> None:
    responses().to_csv(tmp_path / "rates.csv", index=False, sep=";")
    table, trials = spikes()
    table.to_csv(tmp_path / "spikes.csv", index=False)
    trials.to_csv(tmp_path / "trials.csv", index=False)
    run = CliRunner().invoke
    arguments = ["recording", "make", f"{tmp_path}/rates.csv", "--out", f"{tmp_path}/rates.nc"]
    done = run(app, arguments)
    assert done.exit_code == 0, done.output
    assert "6 presentations of 3 stimuli, 1 neuron of V4, 1 neuron of IT, 2 time bins" in (
        done.output
    )
    assert read_recording(tmp_path / "rates.nc").values.shape == (6, 2, 2)
    arguments = ["recording", "make", f"{tmp_path}/spikes.csv", "--out", f"{tmp_path}/spikes.nc"]
    arguments += ["--stimulus-ids", f"{tmp_path}/trials.csv", "--time-bins", "0:100:50"]
    done = run(app, [*arguments, "--regions", "IT", "--image-ms", "100"])
    assert done.exit_code == 0, done.output
    recording = read_recording(tmp_path / "spikes.nc")
    np.testing.assert_array_equal(recording.values.sum(axis=(0, 1)), [2, 2])
    assert (recording.image_on_ms == 100).all()


@pytest.mark.parametrize(
    ("file", "options", "said"),
    [
        ("spikes.csv", [], "give --stimulus-ids"),
        ("rates.csv", ["--stimulus-ids", "x.csv"], "omit --stimulus-ids"),
        ("rates.csv", ["--axes", "neuroid"], "--axes applies only to arrays"),
        ("rates.csv", ["--time-bins", "0:100:50"], "has one time bin"),
    ],
)
def test_options_that_do_not_fit_a_table(
    tmp_path: Path, file: str, options: list[str], said: str
) -> None:
    responses().to_csv(tmp_path / "rates.csv", index=False)
    spikes()[0].to_csv(tmp_path / "spikes.csv", index=False)
    done = CliRunner().invoke(
        app, ["recording", "make", str(tmp_path / file), "--out", str(tmp_path / "o.nc"), *options]
    )
    assert isinstance(done.exception, ConvRNNError)
    assert said in str(done.exception)
    assert not (tmp_path / "o.nc").exists()


def test_ids_are_text_and_trials_hold_neurons_together() -> None:
    rows = [(1, "n1", 1.0), (2.0, "n1 ", 2.0), ("2", "n2", 3.0), ("3", "n1", 4.0)]
    table = pd.DataFrame(rows, columns=["trial", "neuroid_id", "response"])
    recording = recording_of_responses(table.assign(stimulus_id=7.0), "IT", (70, 170))
    np.testing.assert_array_equal(recording.values[..., 0], [[1, np.nan], [2, 3], [4, np.nan]])
    assert set(recording["stimulus_id"].values) == {"7"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (
            lambda t: t.assign(neuroid_id=[None, *t["neuroid_id"][1:]]),
            "neuroid_id is empty in data row",
        ),
        (
            lambda t: t.assign(time_bin_start=[np.nan, *t["time_bin_start"][1:]]),
            "is empty in data row 1",
        ),
        (lambda t: t.drop(columns="time_bin_end"), "only one of time_bin_start"),
        (lambda t: t.assign(time_bin=1), "a name of an axis"),
        (lambda t: pd.concat([t, t[["response"]]], axis=1), "column response twice"),
    ],
)
def test_ids_and_columns_that_make_no_sense_are_refused(change, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said):
        recording_of_responses(change(responses()))


def test_two_subjects_may_have_the_same_ids() -> None:
    """As the arrays of many labs do: unit 1 of either monkey."""
    table = responses().replace({"neuroid_id": {"n1": "1", "n2": "1"}})
    table["subject"] = table["region"].map({"V4": "A", "IT": "B"})
    recording = recording_of_responses(table)
    assert recording.sizes["neuroid"] == 2
    assert sorted(recording["subject"].values) == ["A", "B"]
    of_b = recording[:, (recording["subject"] == "B").values]
    assert of_b.values.max() == pytest.approx(100 * 2 + 10 + 1.5)


def test_seconds_under_the_name_of_milliseconds_are_refused() -> None:
    times, trials = spikes()
    times = times.assign(time_ms=times["time_ms"] / 1000)
    with pytest.raises(ConvRNNError, match="if it is in seconds, call the column time_s"):
        recording_of_spikes(times, trials, BINS, "IT")


def test_numbers_of_trials_are_the_same_with_decimals() -> None:
    """As pandas writes them after a merge that left gaps; other ids stay as they are."""
    table, trials = spikes()
    table["trial"] = table["trial"].astype(float).astype(str)  # 1.0, 3.0
    recording = recording_of_spikes(table, trials, BINS, "IT")
    assert recording.sizes["presentation"] == 3
    named = responses().replace({"stimulus_id": {"face": "007", "house": " 1.5", "tree": "2.0 "}})
    ids = recording_of_responses(named)["stimulus_id"].values
    assert sorted(set(ids)) == ["007", "1.5", "2.0"]


def test_decimal_commas_are_read_and_noted(caplog: pytest.LogCaptureFixture) -> None:
    expected = recording_of_responses(responses().assign(response=np.arange(24) + 0.25))
    texts = [f"{each},25" for each in range(24)]
    found = recording_of_responses(responses().assign(response=texts))
    np.testing.assert_array_equal(found, expected)
    assert "response: 24 decimal commas are read as points" in caplog.text


@pytest.mark.parametrize("others", ["1,234", "2.5"], ids=["thousands", "points"])
def test_commas_that_may_be_something_else_are_refused(others: str) -> None:
    first = "1,234" if others == "1,234" else "3,5"
    table = responses().assign(response=[first, *[others] * 23])
    with pytest.raises(
        ConvRNNError, match=f"data row 1 is '{first}'.*write numbers with a decimal point"
    ):
        recording_of_responses(table)


def test_missing_responses_may_be_written_as_in_bids() -> None:
    recording = recording_of_responses(responses().assign(response=["n/a", *["1"] * 23]))
    assert int(recording.isnull().sum()) == 1


def test_days_with_the_same_ids_have_different_neurons() -> None:
    days = pd.concat([responses().assign(session=day) for day in ("monday", "tuesday")])
    recording = recording_of_responses(days)
    assert recording.sizes["neuroid"] == 2 * recording_of_responses(responses()).sizes["neuroid"]
    assert sorted(set(recording["session"].values)) == ["monday", "tuesday"]
    assert any("different sessions" in note for note in recording.attrs["notes"])


def test_rows_without_a_stimulus_are_blanks() -> None:
    table = responses()
    table.loc[table["stimulus_id"] == table["stimulus_id"].iloc[0], "stimulus_id"] = ""
    recording = as_recording(recording_of_responses(table))
    assert len(recording.stimuli) == responses()["stimulus_id"].nunique() - 1
    assert any("without a stimulus" in note for note in recording.notes)


def test_responses_at_times_are_not_counted_as_spikes() -> None:
    with pytest.raises(ConvRNNError, match="columns time_ms and response"):
        is_spikes(responses().assign(time_ms=5.0))

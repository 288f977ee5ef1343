"""NWB files, written by pynwb itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pynwb import NWBHDF5IO, NWBFile
from pynwb.epoch import TimeIntervals
from pynwb.file import Subject

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.nwb import read_nwb
from convrnns_brainscore.recording_files import read_recording
from convrnns_brainscore.recordings import as_recording

ONSETS = np.array([1.0, 1.4, 1.8, 2.2])
SHOWN = ["a", "b", "a", "c"]
Unit = dict[str, Any]


def lab(locations: Sequence[str] = ("V4", "IT")) -> NWBFile:
    """A file with an electrode in each location."""
    file = NWBFile("a session", "session", datetime(2026, 1, 1, tzinfo=UTC))
    file.subject = Subject(subject_id="bert", species="Macaca mulatta")
    device = file.create_device("array")
    for location in locations:
        group = file.create_electrode_group(location, location, location, device)
        file.add_electrode(location=location, group=group)
    return file


def with_presentations(
    file: NWBFile,
    name: str = "stimulus_presentations",
    column: str = "image",
    stimuli: Sequence[Any] = SHOWN,
    onsets: np.ndarray = ONSETS,
    on: float = 0.1,
) -> NWBFile:
    table = TimeIntervals(name, "presentations")
    table.add_column(column, "what was shown")
    for onset, stimulus in zip(onsets, stimuli, strict=True):
        table.add_row(start_time=onset, stop_time=onset + on, **{column: stimulus})
    file.add_time_intervals(table)
    return file


def with_units(file: NWBFile, units: Sequence[Unit]) -> NWBFile:
    for unit in units:
        file.add_unit(**{"electrodes": [0], **unit})
    return file


UNITS: list[Unit] = [
    {"id": 7, "spike_times": [1.05, 1.0599, 1.06, 1.85], "electrodes": [0]},
    {"id": 3, "spike_times": [], "electrodes": [1]},
]


@pytest.fixture
def written(tmp_path: Path) -> Callable[[NWBFile], Path]:
    def write(file: NWBFile) -> Path:
        path = tmp_path / "session.nwb"
        with NWBHDF5IO(path, "w") as io:
            io.write(file)
        return path

    return write


def test_spikes_are_binned_from_onset_and_silence_is_zero(written) -> None:
    """Ids with gaps stay ids; edges belong to the later bin, whatever rounding does."""
    data = read_nwb(written(with_units(with_presentations(lab()), UNITS)), first=0, last=100)
    assert data.dims == ("presentation", "neuroid", "time_bin")
    assert data["neuroid_id"].values.tolist() == [7, 3]
    assert data["region"].values.tolist() == ["V4", "IT"]
    assert data["subject"].values.tolist() == ["bert", "bert"]
    assert data["stimulus_id"].values.tolist() == SHOWN
    assert data["image_on_ms"].values.tolist() == [100] * 4
    spikes = data.values * 0.01
    assert spikes[0, 0].tolist() == [0, 0, 0, 0, 0, 2, 1, 0, 0, 0]
    assert spikes[2, 0].tolist() == [0, 0, 0, 0, 0, 1, 0, 0, 0, 0]
    assert (spikes[:, 1] == 0).all()
    assert as_recording(data).neurons["region"].tolist() == ["V4", "IT"]


def test_what_was_not_observed_is_missing(written) -> None:
    file = with_presentations(lab())
    observed = {**UNITS[0], "obs_intervals": [[0.9, 1.45], [1.79, 3.0]]}
    with_units(file, [observed, {**UNITS[1], "obs_intervals": [[0.0, 9.0]]}])
    file.add_invalid_time_interval(start_time=2.205, stop_time=2.225)
    values = read_nwb(written(file), first=0, last=100).values
    assert np.isfinite(values[0]).all()
    assert np.isnan(values[1, 0]).tolist() == [False] * 5 + [True] * 5  # until 1.45 s
    assert np.isfinite(values[1, 1]).all()
    assert np.isnan(values[3, 1]).tolist() == [True] * 3 + [False] * 7  # invalid times


def test_intervals_may_have_no_end(written) -> None:
    """Of observation from 1.4 s, and of trouble from 2 s."""
    units = [{"id": 1, "spike_times": [1.45, 1.85], "obs_intervals": [[1.4, np.inf]]}]
    file = with_units(with_presentations(lab()), units)
    file.add_invalid_time_interval(start_time=2.0, stop_time=np.inf)
    values = read_nwb(written(file), first=0, last=100).values[:, 0]
    assert np.isfinite(values).all(axis=1).tolist() == [False, True, True, False]
    file = with_units(with_presentations(lab()), UNITS)
    file.add_invalid_time_interval(start_time=3.0, stop_time=1.0)
    with pytest.raises(
        ConvRNNError, match=r"invalid_times .* an interval starts at 3 s and ends at 1 s"
    ):
        read_nwb(written(file))


def test_of_several_tables_the_one_with_stimuli_is_taken_or_one_is_named(written) -> None:
    file = with_presentations(lab())
    file.add_trial_column("outcome", "of the trial")
    file.add_trial(start_time=0.0, stop_time=5.0, outcome="good")
    with_units(file, UNITS)
    path = written(file)
    assert read_nwb(path).sizes["presentation"] == 4
    assert read_nwb(path, intervals="trials", stimulus_column="outcome").sizes["presentation"] == 1
    with pytest.raises(ConvRNNError, match=r"no table scenes; it has stimulus_presentations \("):
        read_nwb(path, intervals="scenes")
    with pytest.raises(ConvRNNError, match=r"table trials .* no column of stimuli; .*outcome"):
        read_nwb(path, intervals="trials")


def test_where_the_table_is_unclear_all_are_listed(written) -> None:
    file = with_units(with_presentations(with_presentations(lab()), "again"), UNITS)
    with pytest.raises(ConvRNNError, match=r"`intervals=….*: again \(.*; stimulus_"):
        read_nwb(written(file))


def test_columns_are_read_by_name_beside_ragged_ones(written) -> None:
    """A ragged column before another, and ids that are no row numbers."""
    file = with_presentations(lab(), column="stimulus_id", stimuli=[3.0, 1.0, 3.0, np.nan])
    file.add_unit_column("waveforms_of", "ragged", index=True)
    file.add_unit_column("quality", "after it")
    units = [
        {**unit, "waveforms_of": list(range(index + 2)), "quality": "good"}
        for index, unit in enumerate(UNITS)
    ]
    data = read_nwb(written(with_units(file, units)))
    assert data["stimulus_id"].values.tolist() == ["3", "1", "3"]  # what is no stimulus is excluded
    assert data["region"].values.tolist() == ["V4", "IT"]


def test_a_unit_on_electrodes_of_two_regions(written) -> None:
    both = {"id": 9, "spike_times": [1.0], "electrodes": [1, 0]}
    path = written(with_units(with_presentations(lab()), [*UNITS, both]))
    with pytest.raises(ConvRNNError, match=r"unit 9 .* of IT and V4; .*`region_of='first'`"):
        read_nwb(path)
    assert read_nwb(path, region_of="first")["region"].values.tolist() == ["V4", "IT", "IT"]
    assert read_nwb(path, region_of="leave-out")["neuroid_id"].values.tolist() == [7, 3]
    of_v4 = read_nwb(path, region_of="first", regions=["V4"])  # not the unit that is IT by the rule
    assert of_v4["neuroid_id"].values.tolist() == [7]


def test_other_names_of_regions(written) -> None:
    path = written(with_units(with_presentations(lab(("area V4, left", "TE"))), UNITS))
    assert read_nwb(path)["region"].values.tolist() == ["V4", "TE"]
    assert any("`locations={'TE': 'IT'}`" in note for note in read_recording(path).notes)
    regions = read_nwb(path, locations={"te": "IT"})["region"].values.tolist()
    assert regions == ["V4", "IT"]
    chained = read_recording(path, locations={"TE": "IT", "area V4, left": "V4"})
    assert chained.regions == ["V4", "IT"]
    with pytest.raises(ConvRNNError, match=r"unknown location in the recording 'TEO'"):
        read_nwb(path, locations={"TE": "IT", "TEO": "IT"})


def test_each_name_of_an_area_is_read_once(written) -> None:
    path = written(with_units(with_presentations(lab(("TE", "IT"))), UNITS))
    recording = read_recording(path, locations={"TE": "IT", "IT": "pIT"})
    assert recording.neurons["region"].tolist() == ["IT", "pIT"]


@pytest.mark.parametrize(
    ("onsets", "on", "spikes"),
    [
        (ONSETS, 100.0, [1.05]),  # images on for 100 s
        (ONSETS * 1000, 0.1, [1.05]),
        (ONSETS, 0.1, [1050.0]),
    ],
)
def test_times_in_ms_are_refused(written, onsets, on, spikes) -> None:
    file = with_presentations(lab(), onsets=onsets, on=on)
    path = written(with_units(file, [{"id": 1, "spike_times": spikes}]))
    with pytest.raises(ConvRNNError, match=r"ms.* NWB.s times are in seconds"):
        read_nwb(path)


@pytest.mark.parametrize("scale", [1000, 1])
def test_a_session_in_ms_is_refused_and_one_without_spikes_noted(written, scale: int) -> None:
    """Where each time is in ms, they agree with each other."""
    file = lab()
    file.add_trial_column("image", "image")
    file.add_trial_column("stim_on_time", "onset")
    for start, image in zip([1, 3, 5], "abc", strict=True):
        times = scale * np.array([start, start + 0.6, start + 0.1])
        file.add_trial(start_time=times[0], stop_time=times[1], stim_on_time=times[2], image=image)
    spikes = scale * np.array([2.5, 4.5])  # between the trials
    path = written(with_units(file, [{"id": 1, "spike_times": spikes}]))
    if scale > 1:
        with pytest.raises(ConvRNNError, match=r"rows of table trials last 600 s .* ms\? NWB's"):
            read_nwb(path)
    else:
        assert "no spike lies within -50 to 400 ms" in as_recording(read_nwb(path)).notes[-1]


def test_bad_files(written, tmp_path: Path) -> None:
    (tmp_path / "text.nwb").write_text("no HDF5")
    with pytest.raises(ConvRNNError, match=r"text\.nwb is not an NWB file"):
        read_nwb(tmp_path / "text.nwb")
    with pytest.raises(ConvRNNError, match="does not exist"):
        read_nwb(tmp_path / "none.nwb")
    with pytest.raises(ConvRNNError, match="has no units"):
        read_nwb(written(with_presentations(lab())))


# Real recordings, from beside the clone


def test_real_face_cells_come_back_as_the_same_spikes(written, shared: Path) -> None:
    """Freiwald & Tsao (2010), each site's trials one after another, 400 ms apart."""
    with np.load(shared / "recordings" / "am_faces" / "bert_1ms_packed.npz") as held:
        site, stimulus = held["site"], held["stim"]
        spikes = np.unpackbits(held["spikes_packed"], axis=1)[:, :400]
    first = np.flatnonzero(site == site[0])[:300]
    onsets = 5 + 0.4 * np.arange(len(first))
    rows, times = np.nonzero(spikes[first])
    file = with_presentations(
        lab(["aIT"]), column="stimulus_id", stimuli=stimulus[first].tolist(), onsets=onsets
    )
    with_units(file, [{"id": 12, "spike_times": np.sort(onsets[rows] + times / 1000)}])
    data = read_nwb(written(file), first=0, last=400)
    expected = spikes[first].reshape(len(first), 40, 10).sum(axis=2)
    np.testing.assert_array_equal(np.round(data.values[:, 0] * 0.01), expected)
    assert data["stimulus_id"].values.tolist() == [str(each) for each in stimulus[first]]


def test_real_it_units_come_back_as_the_same_spikes(written, shared: Path) -> None:
    """Zhang et al. (2011): two units with trials of their own, the others not observed then."""
    from scipy.io import loadmat

    folder = shared / "recordings" / "it_objects7" / "raster_mat"
    rasters, shown, units, start = [], [], [], 1.0
    for index, path in enumerate(sorted(folder.rglob("*.mat"))[:2]):
        held = loadmat(path)
        raster = held["raster_data"][:, 500:900]
        labels = held["raster_labels"][0, 0]["stimulus_ID"].ravel()
        onsets = start + np.arange(len(raster))
        rows, times = np.nonzero(raster)
        spikes = np.sort(onsets[rows] + times / 1000)
        observed = [[start - 0.1, start + len(raster)]]
        units.append({"id": index, "spike_times": spikes, "obs_intervals": observed})
        rasters.append(raster)
        shown += [str(np.squeeze(each)) for each in labels]
        start += len(raster)
    file = with_presentations(
        lab(["IT"]), stimuli=shown, onsets=1.0 + np.arange(len(shown)), on=0.5
    )
    data = read_nwb(written(with_units(file, units)), first=0, last=400)
    count = len(rasters[0])
    for index, (raster, part) in enumerate(
        zip(rasters, (slice(count), slice(count, None)), strict=True)
    ):
        expected = raster.reshape(len(raster), 40, 10).sum(axis=2)
        np.testing.assert_array_equal(np.round(data.values[part, index] * 0.01), expected)
        assert np.isnan(data.values[part, 1 - index]).all()
    assert data["image_on_ms"].values[0] == 500


def with_trials(file: NWBFile, columns: dict[str, Sequence[Any]], length: float = 0.5) -> NWBFile:
    """A table of trials in which stimuli come and go at times of their own."""
    table = TimeIntervals("stimulus_presentations", "trials")
    for name in columns:
        table.add_column(name, name)
    for row, onset in enumerate(ONSETS):
        values = {name: each[row] for name, each in columns.items()}
        table.add_row(start_time=onset - 0.1, stop_time=onset - 0.1 + length, **values)
    file.add_time_intervals(table)
    return file


def test_onset_is_the_stimulus_and_not_the_trial(written) -> None:
    columns = {"image": SHOWN, "stim_on_time": ONSETS, "stim_off_time": ONSETS + 0.2}
    path = written(with_units(with_trials(lab(), columns), UNITS))
    data = read_nwb(path, first=0, last=100)
    assert (data.values[0, 0] * 0.01).tolist() == [0, 0, 0, 0, 0, 2, 1, 0, 0, 0]
    assert data["image_on_ms"].values.tolist() == [200] * 4
    (note,) = as_recording(data).notes
    assert note == (
        "images are on from stim_on_time of table stimulus_presentations, until stim_off_time"
    )
    trial = read_nwb(path, onset_column="start_time", first=0, last=200)
    assert (trial.values[0, 0] * 0.01)[15] == 2


def test_several_or_strange_onsets_are_asked_for(written) -> None:
    columns = {"image": SHOWN, "stim_on_time": ONSETS, "image_onset": ONSETS}
    path = written(with_units(with_trials(lab(), columns), UNITS))
    with pytest.raises(ConvRNNError, match=r"stim_on_time, image_onset.*`onset_column=…`"):
        read_nwb(path)
    assert read_nwb(path, onset_column="image_onset").sizes["presentation"] == 4
    relative = {"image": SHOWN, "stim_on_time": [0.1] * 4}
    with pytest.raises(ConvRNNError, match="times within the row"):
        read_nwb(written(with_units(with_trials(lab(), relative), UNITS)))


def test_columns_that_describe_stimuli_can_stratify_splits(written) -> None:
    kinds = {name: f"kind of {name}" for name in SHOWN}
    columns = {
        "image": SHOWN,
        "object_name": [kinds[name] for name in SHOWN],
        "reaction": [0.1, 0.2, 0.3, 0.4],
        "degrees": [90.0] * 4,  # of orientation, perhaps
    }
    file = with_units(with_trials(lab(), columns), UNITS)
    stimuli = as_recording(read_nwb(written(file))).stimuli
    assert stimuli["object_name"].tolist() == [kinds[name] for name in stimuli["stimulus_id"]]
    assert not {"reaction", "degrees"} & {*stimuli}


def test_a_column_that_may_be_the_onset_is_named(written) -> None:
    """Its name says nothing to us; IBL's does."""
    columns = {"image": SHOWN, "photodiode": ONSETS, "contrast": [0.1, 1.0, 0.5, 1.0]}
    file = with_trials(lab(), columns)
    licks = [[1.0], [], [1.9, 2.0], [2.3]]
    file.intervals["stimulus_presentations"].add_column("licks", "ragged", data=licks, index=True)
    shown, note = as_recording(read_nwb(written(with_units(file, UNITS)))).notes
    assert shown == "images are on from start_time of table stimulus_presentations, until stop_time"
    assert "its rows: photodiode (`onset_column=…`" in note
    columns = {"image": SHOWN, "stimOn_times": ONSETS}
    (note,) = as_recording(read_nwb(written(with_units(with_trials(lab(), columns), UNITS)))).notes
    assert note.startswith("images are on from stimOn_times")


def test_the_column_that_tells_presentations_apart_is_proposed(written) -> None:
    columns = {"stimulus_name": ["movie"] * 4, "frame": [3, 1, 3, 2]}
    path = written(with_units(with_trials(lab(), columns), UNITS))
    with pytest.raises(ConvRNNError, match=r"stimulus_name \(1 different\), frame \(3 different\)"):
        read_nwb(path)
    assert read_nwb(path, stimulus_column="frame")["stimulus_id"].values.tolist() == list("3132")
    alike = {"stimulus_name": SHOWN, "image_id": [10, 11, 10, 12]}
    data = read_nwb(written(with_units(with_trials(lab(), alike), UNITS)))
    assert data["stimulus_id"].values.tolist() == SHOWN


def test_blank_frames_are_dropped_and_counted(written) -> None:
    columns = {"frame": [3.0, -1.0, np.nan, 2.0]}
    data = read_nwb(written(with_units(with_trials(lab(), columns), UNITS)))
    assert data["stimulus_id"].values.tolist() == ["3", "2"]
    assert "excluded: 2 presentations without a stimulus" in as_recording(data).notes


def test_units_without_electrodes_have_their_groups_region_or_the_one_that_is_given(
    written,
) -> None:
    file = with_presentations(lab())
    for index, location in enumerate(("V4", "IT")):
        group = file.electrode_groups[location]
        file.add_unit(id=index, spike_times=[1.05], electrode_group=group)
    assert read_nwb(written(file))["region"].values.tolist() == ["V4", "IT"]
    bare = with_presentations(lab())
    bare.add_unit(id=1, spike_times=[1.05])
    path = written(bare)
    with pytest.raises(ConvRNNError, match="`region_of_all=…`"):
        read_nwb(path)
    assert read_nwb(path, region_of_all="IT")["region"].values.tolist() == ["IT"]


def test_units_of_other_regions_need_no_name_of_ours(written) -> None:
    units = [{"spike_times": [1.05], "electrodes": [row]} for row in range(3)]
    path = written(with_units(with_presentations(lab(("IT", "PFC", "CA1"))), units))
    assert read_nwb(path)["region"].values.tolist() == ["IT", "PFC", "CA1"]
    data = read_nwb(path, regions=["IT"])
    assert data["region"].values.tolist() == ["IT"]
    assert "excluded: 2 units of other regions (PFC, CA1)" in as_recording(data).notes


def test_the_command_makes_a_recording_of_a_session(
    written: Callable[[NWBFile], Path],
    tmp_path: Path,
    convrnns: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The same numbers as from the session itself, which need not be read again."""
    path = written(with_units(with_presentations(lab()), UNITS))
    monkeypatch.chdir(tmp_path)
    said = convrnns(
        "recording", "make", path, "--intervals", "stimulus_presentations", "--out", "v4.nc"
    )
    assert "v4.nc:" in said
    made, direct = read_recording(tmp_path / "v4.nc"), read_recording(path)
    np.testing.assert_array_equal(made.values, direct.values)
    assert made.neurons.equals(direct.neurons)
    assert made.time_bins == direct.time_bins
    wrong = convrnns("recording", "make", path, "--axes", "neuroid", "--out", "x.nc", code=2)
    assert "--axes applies only to arrays and tables" in wrong
    np.save("counts.npy", np.zeros((2, 2)))
    wrong = convrnns("recording", "make", "counts.npy", "--intervals", "t", "--out", "x.nc", code=2)
    assert "--intervals applies only to NWB files" in wrong
    absent = convrnns("recording", "make", "absent.nwb", "--out", "x.nc", code=2)
    assert "absent.nwb does not exist" in absent


def test_a_fit_of_a_session_with_two_tables_names_the_command_that_chooses(
    written: Callable[[NWBFile], Path],
    tmp_path: Path,
    photographs: list[Path],
    convrnns: Callable[..., str],
) -> None:
    path = written(with_units(with_presentations(with_presentations(lab()), "again"), UNITS))
    folder = str(photographs[0].parent)
    said = convrnns("fit", "timedecay_shallow", path, "--stimuli", folder, code=2)
    assert "--intervals" in said
    assert f"Give this option to `convrnns recording make {path}`" in said
    out = tmp_path / "it.nc"
    options = ["--intervals", "again", "--location", "IT=pIT", "--regions", "pIT"]
    assert "1 neuron of pIT" in convrnns("recording", "make", path, *options, "--out", out)

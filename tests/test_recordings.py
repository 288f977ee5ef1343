"""Labs' recordings are read as they come, or refused with a line that says what is wrong."""

from __future__ import annotations

import unicodedata
import zipfile
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.fits.correlation import nanmean
from convrnns_brainscore.fits.prepare import match_stimuli, prepare
from convrnns_brainscore.fits.reliability import Trials, half_correlations
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.recording_files import open_recording, read_recording
from convrnns_brainscore.recordings import Recording, as_recording, recorded_apart
from convrnns_brainscore.stimuli import ASSUMED, DEGREES, check_stimuli
from convrnns_brainscore.streams import CLIPS, Clip


def plain(
    stimuli: int = 30, repetitions: int = 3, neurons: int = 6, bins: int = 4, **changes
) -> xr.DataArray:
    """A recording as the contract has it; ``changes`` replace coordinates (None: left out)."""
    rng = np.random.default_rng(0)
    shown = np.tile(np.arange(stimuli), repetitions)
    coords = {
        "stimulus_id": ("presentation", [f"image{index:02d}" for index in shown]),
        "repetition": ("presentation", np.repeat(np.arange(repetitions), stimuli)),
        "object_name": ("presentation", [f"object{index % 2}" for index in shown]),
        "neuroid_id": ("neuroid", np.arange(neurons)),
        "region": ("neuroid", ["V4"] * (neurons // 2) + ["IT"] * (neurons - neurons // 2)),
        "time_bin_start": ("time_bin", 70 + 10 * np.arange(bins)),
        "time_bin_end": ("time_bin", 80 + 10 * np.arange(bins)),
    }
    coords = {name: value for name, value in {**coords, **changes}.items() if value is not None}
    values = rng.poisson(5, (len(shown), neurons, bins)).astype(float)
    return xr.DataArray(values, coords, ["presentation", "neuroid", "time_bin"])


def files(stimuli: int = 30) -> pd.DataFrame:
    names = [f"image{index:02d}" for index in range(stimuli)]
    return pd.DataFrame(
        {"stimulus_id": names, "filename": [f"/x/{n}.png" for n in names], "degrees": 8.0}
    )


@pytest.mark.parametrize("form", ["netcdf", "zarr", "variables", "brain-score", "transposed"])
def test_all_forms_give_the_same_recording(form: str, tmp_path: Path) -> None:
    data = plain()
    expected = as_recording(data)
    if form == "netcdf":
        data.to_dataset(name="spikes").to_netcdf(tmp_path / "x.nc")
        data = open_recording(tmp_path / "x.nc")
    elif form == "zarr":
        data.to_dataset(name="rates").to_zarr(tmp_path / "x.zarr")
        data = open_recording(tmp_path / "x.zarr")
    elif form == "variables":  # coordinates beside the data
        data.to_dataset(name="x").reset_coords().to_netcdf(tmp_path / "x.nc")
        data = open_recording(tmp_path / "x.nc")
    elif form == "brain-score":
        from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly

        coords = {name: (each.dims, each.values) for name, each in data.coords.items()}
        data = NeuroidAssembly(data.values, coords=coords, dims=data.dims)
        assert isinstance(data.indexes["presentation"], pd.MultiIndex)
    else:
        data = data.transpose("time_bin", "neuroid", "presentation")
    recording = as_recording(data)
    np.testing.assert_array_equal(recording.values, expected.values)
    pd.testing.assert_frame_equal(recording.stimuli, expected.stimuli)
    pd.testing.assert_frame_equal(recording.neurons, expected.neurons)
    assert recording.sha256 == expected.sha256
    assert recording.regions == ["V4", "IT"]
    assert recording.time_bins[0] == (70, 80)
    assert "repetition" not in recording.stimuli  # not the same each time a stimulus is shown


def test_zeros_of_a_store_that_zarr_wrote_are_zeros(tmp_path: Path) -> None:
    """Zarr's own fill value is 0, which xarray takes for missing."""
    data = plain(neuroid_id=("neuroid", np.arange(6)))
    data.values[:4] = 0
    store = zarr.open_group(str(tmp_path / "x.zarr"), mode="w")
    held = {"spikes": data, **data.coords}
    for name, each in held.items():
        values = np.asarray(each.values, int if each.dtype.kind in "fi" else each.dtype)
        store.create_dataset(name, data=values).attrs["_ARRAY_DIMENSIONS"] = list(each.dims)
    assert store["spikes"].fill_value == 0
    recording, expected = read_recording(tmp_path / "x.zarr"), as_recording(data)
    np.testing.assert_array_equal(recording.values, expected.values)
    assert recording.neurons.equals(expected.neurons)
    assert recording.notes == ()


def test_cells_that_were_never_written_are_missing(tmp_path: Path) -> None:
    data = plain()
    for kind in ("f4", "f8", "i4"):
        with netCDF4.Dataset(tmp_path / f"{kind}.nc", "w") as file:
            for dim, size in data.sizes.items():
                file.createDimension(dim, size)
            file.createVariable("spikes", kind, data.dims)[:60] = data.values[:60]
            for name, each in data.coords.items():
                of_text = each.dtype.kind == "U"
                file.createVariable(name, str if of_text else "i4", each.dims)[:] = (
                    each.values.astype(object) if of_text else each.values
                )
        read = read_recording(tmp_path / f"{kind}.nc").values
        np.testing.assert_array_equal(read[:60], data.values[:60])
        assert np.isnan(read[60:]).all()


@pytest.mark.parametrize(
    ("units", "factor"),
    [("s", 1000), ("seconds", 1000), ("us", 0.001), ("ms", 1), ("ms since stimulus onset", 1)],
)
def test_times_are_in_the_units_that_the_file_says(
    units: str, factor: float, tmp_path: Path
) -> None:
    data = plain(image_on_ms=("presentation", np.full(90, 100.0)))
    expected = as_recording(data)
    for name in ("time_bin_start", "time_bin_end", "image_on_ms"):
        data[name] = data[name] / factor
        data[name].attrs["units"] = units
    data.to_dataset(name="spikes").to_netcdf(tmp_path / "x.nc")
    data.to_dataset(name="spikes").to_zarr(tmp_path / "x.zarr")
    for name in ("x.nc", "x.zarr"):
        read = read_recording(tmp_path / name)
        assert read.time_bins == expected.time_bins
        np.testing.assert_allclose(read.image_on_ms, 100)


def test_units_that_are_no_time_are_refused(tmp_path: Path) -> None:
    data = plain()
    data["time_bin_start"].attrs["units"] = "frames"
    data.to_dataset(name="spikes").to_netcdf(tmp_path / "x.nc")
    with pytest.raises(ConvRNNError, match=r"units of time_bin_start are 'frames': expected ms"):
        read_recording(tmp_path / "x.nc")


def test_locations_are_of_the_recording_and_of_one_region() -> None:
    data = plain(region=("neuroid", ["TE"] * 3 + ["V4"] * 3))
    assert as_recording(data, locations={"te": "IT"}).regions == ["V4", "IT"]
    with pytest.raises(ConvRNNError, match=r"unknown location in the recording 'XX'.*TE, V4"):
        as_recording(data, locations={"TE": "IT", "XX": "V2"})
    with pytest.raises(ConvRNNError, match="gives te two regions, IT and V4"):
        as_recording(data, locations={"TE": "IT", "te": "V4"})


def test_two_subjects_may_number_alike() -> None:
    data = plain(neurons=20, neuroid_id=("neuroid", [*range(10)] * 2))
    assert as_recording(data.isel(neuroid=[0, 10])).neurons["neuroid_id"].tolist() == [
        "V4.0",
        "IT.0",
    ]
    with pytest.raises(ConvRNNError, match=r"neuroid_id IT\.0 comes twice"):
        as_recording(data.assign_coords(region=("neuroid", ["IT"] * 20)))
    data = data.assign_coords(subject=("neuroid", ["A"] * 10 + ["B"] * 10))
    neurons = as_recording(data).neurons
    assert neurons["neuroid_id"].nunique() == 20
    assert neurons["neuroid_id"].tolist()[::10] == ["A.0", "B.0"]
    assert neurons["subject"].tolist()[::10] == ["A", "B"]


def test_regions_are_known_however_they_are_spelled() -> None:
    names = ["it", "IT ", "aIT", "v4", "pit", "cIT"]
    recording = as_recording(plain(region=("neuroid", names)))
    assert recording.neurons["region"].tolist() == ["IT", "IT", "aIT", "V4", "pIT", "cIT"]
    one = as_recording(plain(region=None), region="IT")
    assert one.regions == ["IT"]


BROKEN = {
    "no stimulus_id": (lambda: plain(stimulus_id=None), "no coordinate stimulus_id"),
    "no region": (lambda: plain(region=None), "give `region=…`"),
    "empty region": (lambda: plain(region=("neuroid", [""] * 6)), "without a region"),
    "no times": (lambda: plain(time_bin_start=None), "no coordinate time_bin_start"),
    "seconds": (
        lambda: plain(
            time_bin_start=("time_bin", 0.07 + 0.01 * np.arange(4)),
            time_bin_end=("time_bin", 0.08 + 0.01 * np.arange(4)),
        ),
        "multiply them by 1000",
    ),
    "seconds of wide bins": (
        lambda: plain(
            bins=2, time_bin_start=("time_bin", [0, 1]), time_bin_end=("time_bin", [1, 2])
        ),
        "multiply them by 1000",
    ),
    "a bin twice": (
        lambda: plain(
            bins=2, time_bin_start=("time_bin", [70, 70]), time_bin_end=("time_bin", [170, 170])
        ),
        "time bin 70–170 ms is given twice",
    ),
    "unsorted": (
        lambda: plain().isel(time_bin=[2, 0, 1, 3]),
        "not sorted: give recording.sortby",
    ),
    "backwards": (
        lambda: plain(time_bin_end=("time_bin", 60 + 10 * np.arange(4))),
        "70–60 ms must end after it starts",
    ),
    "microseconds": (
        lambda: plain(
            time_bin_start=("time_bin", 70_000 + 10_000 * np.arange(4)),
            time_bin_end=("time_bin", 80_000 + 10_000 * np.arange(4)),
        ),
        "ms from image onset",
    ),
    "NaN time": (
        lambda: plain(time_bin_end=("time_bin", [80, 90, np.nan, 110])),
        "have no start or no end",
    ),
    "other dims": (lambda: plain().rename(neuroid="unit"), "has presentation × unit × time_bin"),
    "all NaN": (lambda: plain() * np.nan, "all is NaN"),
    "infinite": (lambda: plain() / 0, "infinite responses"),
    "text": (lambda: plain().astype(str), "not numbers"),
    "empty": (lambda: plain().isel(neuroid=[]), "has no neuroid"),
    "an array": (lambda: plain().values, "expected an xarray.DataArray"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_makes_no_sense_is_refused_in_one_line(case: str) -> None:
    make, said = BROKEN[case]
    with np.errstate(all="ignore"), pytest.raises(ConvRNNError) as error:
        as_recording(make())
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_recording(tmp_path: Path) -> None:
    (tmp_path / "x.nc").write_text("no")
    with pytest.raises(ConvRNNError, match=r"x\.nc is not a recording"):
        open_recording(tmp_path / "x.nc")
    with pytest.raises(ConvRNNError, match="does not exist"):
        open_recording(tmp_path / "y.nc")
    xr.Dataset({"a": ("x", [1, 2])}).to_netcdf(tmp_path / "z.nc")
    with pytest.raises(ConvRNNError, match=r"none has the dims .* a \('x',\)"):
        open_recording(tmp_path / "z.nc")
    both = xr.Dataset({"a": plain(), "b": plain()})
    both.to_netcdf(tmp_path / "b.nc")
    with pytest.raises(ConvRNNError, match=r"several \(a, b\)"):
        open_recording(tmp_path / "b.nc")


def test_fine_bins_become_steps_and_windows_average() -> None:
    starts = np.arange(60, 100)
    edges = {"time_bin_start": ("time_bin", starts), "time_bin_end": ("time_bin", starts + 1)}
    data = plain(bins=40, **edges)
    fine = as_recording(data)
    steps = fine.no_finer_than_steps()
    assert steps.time_bins == [(60, 70), (70, 80), (80, 90), (90, 100)]
    np.testing.assert_allclose(steps.values[..., 1], fine.values[..., 10:20].mean(-1), rtol=1e-6)
    window = steps.in_bins([(65, 85)])
    expected = fine.values[..., 5:25].mean(-1)
    assert window.values.shape[-1] == 1
    halves = (0.25 * steps.values[..., 0] + 0.5 * steps.values[..., 1]) + (
        0.25 * steps.values[..., 2]
    )
    np.testing.assert_allclose(window.values[..., 0], halves, rtol=1e-6)
    np.testing.assert_allclose(fine.in_bins([(65, 85)]).values[..., 0], expected, rtol=1e-6)
    with pytest.raises(ConvRNNError, match="does not cover 50–70 ms"):
        fine.in_bins([(50, 70)])


def test_stimuli_without_files_are_listed_on_either_side() -> None:
    recorded = as_recording(plain()).stimuli
    notes: list[str] = []
    assert match_stimuli(recorded, files(40), notes)["stimulus_id"].tolist() == [
        f"image{index:02d}" for index in range(30)
    ]
    assert notes == ["not used, since no analysed presentation shows them: 10 images"]
    with pytest.raises(ConvRNNError) as error:
        match_stimuli(recorded, files().replace("image03", "other"), [])
    assert "1 of 30 stimuli of the recording have no image: image03" in str(error.value)
    assert "Images without a stimulus: other" in str(error.value)
    whole_names = recorded.assign(stimulus_id=recorded["stimulus_id"] + ".png")
    assert len(match_stimuli(whole_names, files(), [])) == 30


@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_whole_file_names_match_in_either_form_of_accents(form: str) -> None:
    names = [unicodedata.normalize(form, name) for name in ("café.png", "thé.png")]
    both = pd.DataFrame({"stimulus_id": ["café", "thé"], "filename": names, "degrees": 8.0})
    recorded = pd.DataFrame({"stimulus_id": ["thé.png", "café.png"]})
    assert match_stimuli(recorded, both, [])["filename"].tolist() == names[::-1]


def test_movies_and_streams_have_the_width_that_the_recording_gives() -> None:
    recorded = pd.DataFrame({"stimulus_id": ["a", "b"], "degrees": [5.0, np.nan]})
    streams = [(Clip(f"{name}.mp4", 8.0, 0, 50),) for name in "ab"]
    files = pd.DataFrame(
        {"stimulus_id": ["a", "b"], "filename": ["a.mp4", "b.mp4"], "degrees": 8.0, CLIPS: streams}
    )
    with pytest.raises(ConvRNNError, match=r"image of stimulus a is 8 degrees wide by .* and 5"):
        match_stimuli(recorded, files, [])
    files.attrs[DEGREES] = ASSUMED
    matched = match_stimuli(recorded, files, [])
    assert matched["degrees"].tolist() == [5, 8]
    assert [stream[0].degrees for stream in matched[CLIPS]] == [5, 8]


def test_a_movie_may_be_longer_than_responses_to_an_image() -> None:
    starts = ("time_bin", 100 * np.arange(120))
    movie = plain(bins=120, time_bin_start=starts, time_bin_end=("time_bin", starts[1] + 100))
    assert as_recording(movie).time_bins[-1] == (11_900, 12_000)


@pytest.mark.parametrize("stated", ["variable", "attribute"])
def test_a_file_may_state_duration_and_width_once(stated: str, tmp_path: Path) -> None:
    held = plain().to_dataset(name="rates")
    once = {"image_on_ms": 200.0, "degrees": 5.0}
    held = held.assign(once) if stated == "variable" else held.assign_attrs(once)
    held.to_netcdf(tmp_path / "lab.nc")
    recording = read_recording(tmp_path / "lab.nc")
    assert recording.shown_for()[1] == 200
    assert set(recording.stimuli["degrees"]) == {5}


def test_a_store_of_format_3_is_named(tmp_path: Path) -> None:
    (tmp_path / "lab.zarr").mkdir()
    (tmp_path / "lab.zarr" / "zarr.json").write_text("{}")
    with pytest.raises(ConvRNNError, match="is a Zarr store of format 3: write it with"):
        read_recording(tmp_path / "lab.zarr")


def test_labels_that_differ_within_a_stimulus_are_not_used_and_that_is_told() -> None:
    recording = as_recording(plain())
    names = np.where(np.arange(len(recording.stimulus)) % 7, "face", "house")
    labelled = plain(object_name=("presentation", names))
    assert any("not used: object_name, which differs" in n for n in as_recording(labelled).notes)


def test_two_files_of_one_name_do_not_change_the_ids_of_others() -> None:
    recorded = as_recording(plain()).stimuli
    names = [*[f"/x/image{index:02d}.png" for index in range(31)], "/x/image30.jpg"]
    ids = [name.rpartition("/")[2] for name in names]  # as `read_stimuli` names such files
    both = pd.DataFrame({"stimulus_id": ids, "filename": names, "degrees": 8.0})
    assert match_stimuli(recorded, both, [])["filename"].tolist() == names[:30]
    clash = both.replace({"/x/image30.jpg": "/x/image03.jpg", "image30.jpg": "image03.jpg"})
    with pytest.raises(ConvRNNError, match=r"image03 could be /x/image03.png or /x/image03.jpg"):
        match_stimuli(recorded, clash, [])
    other = recorded.assign(stimulus_id=recorded["stimulus_id"] + ".tif")
    with pytest.raises(ConvRNNError, match="Some names agree apart from the suffix"):
        match_stimuli(other, both, [])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"image_ms": 95}, "multiple of that"),
        ({"regions": ["V1"]}, "unknown region of the recording 'V1'"),
        ({"group": "scene_id"}, "`group='scene_id'`"),
        ({"stratify": "repetition"}, "`stratify='repetition'`"),
        ({"needed": 27}, "Give `components="),
        ({"window": (0.0, 70.0)}, "does not cover"),
        ({"window": (100.0, 100.0)}, "must end after it starts"),
        ({"window": (0.07, 0.17)}, "in ms, not in seconds"),
        ({"group": "object_name"}, "2 groups cannot be split: at least 4"),
    ],
)
def test_settings_that_do_not_fit_the_recording(options: dict, said: str) -> None:
    with pytest.raises(ConvRNNError) as error:
        prepare(as_recording(plain()), files(), **options)
    assert said in str(error.value)


def test_the_presentation_follows_the_recording() -> None:
    prepared = prepare(as_recording(plain()), files(), latencies=[0])
    assert (prepared.presentation.times, prepared.presentation.image_off) == (11, 10)
    assert "no image duration is stated: 100 ms is assumed" in prepared.notes
    shifted = prepare(as_recording(plain()), files(), image_ms=50)
    assert (shifted.presentation.times, shifted.presentation.image_off) == (16, 5)
    said = plain().assign_coords(image_on_ms=("presentation", [200] * 90))
    assert prepare(as_recording(said), files(), latencies=[0]).presentation.image_off is None


def test_stimuli_in_time_are_shown_as_they_were_to_the_neurons() -> None:
    masked = [("image", 30), ("gray", 20), ((0, 0, 0), 40)]
    shown = prepare(as_recording(plain()), files(), frames=masked, latencies=[0]).presentation
    assert shown.times == 11  # until the last bin ends
    assert shown.off_label.endswith("rgb 0,0,0 50–90 ms, 0.5 (normalised) 90–110 ms")
    odd = [("image", 30), ("gray", 74)]  # until 104 ms: the last step shows what comes then
    shown = prepare(as_recording(plain()), files(), frames=odd, off=(255, 0, 0), latencies=[0])
    assert shown.presentation.off_label.endswith("rgb 255,0,0 100–110 ms")
    photographs = load_objects92().stimuli["filename"].to_numpy()[:30]
    streams = check_stimuli(files().assign(filename=photographs, onset_ms=0, offset_ms=40))
    prepared = prepare(as_recording(plain()), streams, latencies=[0])
    assert prepared.presentation == Presentation.stream(11)
    assert prepared.stimuli["clips"].iloc[0][0].offset_ms == 40


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"frames": [("image", 40)]}, "for 40 ms at first, and the recording's image_on_ms is 100"),
        ({"frames": [("image", 100)], "image_ms": 100}, "omit `image_ms=…`"),
    ],
)
def test_times_that_disagree_with_the_recording(options: dict, said: str) -> None:
    recording = as_recording(plain().assign_coords(image_on_ms=("presentation", [100] * 90)))
    with pytest.raises(ConvRNNError, match=said):
        prepare(recording, files(), **options)
    photographs = load_objects92().stimuli["filename"].to_numpy()[:30]
    in_time = check_stimuli(files().assign(filename=photographs, onset_ms=0, offset_ms=40))
    with pytest.raises(ConvRNNError, match="stimuli have times of their own"):
        prepare(recording, in_time, **options)


def test_recordings_made_apart_become_one() -> None:
    """Regions with presentations and numbers of their own."""
    v4 = plain(neurons=4, region=("neuroid", ["V4"] * 4))
    it = plain(neurons=3, repetitions=5, region=("neuroid", ["IT"] * 3))
    recording = as_recording(recorded_apart([v4, it]))
    assert recording.values.shape == (90 + 150, 7, 4)
    assert len(recording.stimuli) == 30
    assert recording.neurons["neuroid_id"].tolist()[3:5] == ["V4.3", "IT.0"]
    prepared = prepare(recording, files())
    alone = prepare(as_recording(it), files())
    np.testing.assert_allclose(
        prepared.responses(prepared.neurons("IT"), [0, 1]), alone.responses(slice(None), [0, 1])
    )
    with pytest.raises(ConvRNNError, match="the same time bins"):
        recorded_apart([v4, it.isel(time_bin=[0])])


def test_ids_and_objects_survive_a_merge() -> None:
    """Whole numbers that became floating-point, and a value that is missing here and there."""
    data = plain(stimulus_id=("presentation", np.tile(np.arange(30.0), 3)))
    assert as_recording(data).stimuli["stimulus_id"].tolist()[:2] == ["0", "1"]
    names = data["object_name"].values.astype(object)
    names[35] = np.nan
    assert (
        "object_name"
        in as_recording(data.assign_coords(object_name=("presentation", names))).stimuli
    )


def test_a_bin_without_responses_is_said() -> None:
    data = plain()
    data[..., 3] = np.nan
    prepared = prepare(as_recording(data), files())
    assert "no responses at 100–110 ms" in prepared.notes
    assert prepared.choosing_bins("V4") == [0, 1, 2]


def test_single_presentations_have_no_ceiling() -> None:
    prepared = prepare(as_recording(plain(repetitions=1)), files())
    assert "no stimulus was shown twice: there is no ceiling and no reliability" in prepared.notes
    assert np.isnan(prepared.reliability).all()
    assert np.isnan(prepared.ceiling(slice(None))).all()


# Real recordings, from beside the clone


def trials_of(recording: Recording) -> Trials:
    return Trials(recording.values, recording.stimulus, len(recording.stimuli))


def test_real_v4_is_as_reliable_as_its_authors_say(shared: Path) -> None:
    counts = np.load(shared / "recordings" / "v4_objects640" / "v4_counts.npy")
    neuron, image, repetition = counts.shape
    shown = np.isfinite(counts).any(axis=0)
    stimulus, _ = np.nonzero(shown)
    data = xr.DataArray(
        np.moveaxis(counts, 0, 2)[shown][..., None],
        {
            "stimulus_id": ("presentation", stimulus),
            "neuroid_id": ("neuroid", np.arange(neuron)),
            "region": "V4",
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        ["presentation", "neuroid", "time_bin"],
    )
    recording = as_recording(data)
    assert (len(recording.stimuli), repetition) == (image, 10)
    halves = half_correlations(trials_of(recording))
    assert np.median(nanmean(halves)) == pytest.approx(0.62, abs=0.03)


def spikes_of_faces(path: Path) -> xr.DataArray:
    """Freiwald & Tsao (2010): sites with trials of their own, as one recording with NaN."""
    with np.load(path) as held:
        site, stimulus = held["site"], held["stim"]
        spikes = np.unpackbits(held["spikes_packed"], axis=1)[:, :400].astype(np.float32)
    sites = np.unique(site)
    table = pd.DataFrame({"site": site, "stimulus": stimulus})
    table["repetition"] = table.groupby(["site", "stimulus"]).cumcount()
    rows = table.groupby(["stimulus", "repetition"], sort=True).ngroup().to_numpy()
    shown = table.assign(row=rows).drop_duplicates("row").sort_values("row")
    values = np.full((len(shown), len(sites), 400), np.nan, np.float32)
    values[rows, np.searchsorted(sites, site)] = spikes
    return xr.DataArray(
        values,
        {
            "stimulus_id": ("presentation", shown["stimulus"].to_numpy()),
            "neuroid_id": ("neuroid", sites),
            "region": "aIT",
            "time_bin_start": ("time_bin", np.arange(400)),
            "time_bin_end": ("time_bin", np.arange(1, 401)),
        },
        ["presentation", "neuroid", "time_bin"],
    )


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bert", [0, 0, 0.18, 0.40, 0.28, 0.24, 0.25, 0.22]),
        ("lupo", [0, 0.02, 0.05, 0.18, 0.35, 0.33, 0.27, 0.22]),
    ],
)
def test_real_face_cells_agree_with_themselves_over_time(shared, name, expected) -> None:
    """Spikes of 1 ms are read at 10 ms and averaged to 50; sites miss stimuli and trials."""
    data = spikes_of_faces(shared / "recordings" / "am_faces" / f"{name}_1ms_packed.npz")
    steps = as_recording(data).no_finer_than_steps()
    assert len(steps.time_bins) == 40
    coarse = steps.in_bins([(start, start + 50) for start in range(0, 400, 50)])
    halves = nanmean(half_correlations(trials_of(coarse)))  # [site, bin]
    np.testing.assert_allclose(nanmean(halves), expected, atol=0.03)


def test_real_it_units_agree_with_themselves_over_time(shared: Path) -> None:
    """Zhang et al. (2011): one file a unit, 7 objects at 3 positions, image on from 500 ms."""
    from scipy.io import loadmat

    expected = [0.33, 0.42, 0.37, 0.34, 0.34, 0.27, 0.26, 0.25]
    found = []
    folder = shared / "recordings" / "it_objects7" / "raster_mat"
    for path in sorted(folder.rglob("*.mat")):
        held = loadmat(path)
        labels = held["raster_labels"][0, 0]
        names = [
            np.array([str(np.squeeze(each)) for each in labels[key].ravel()])
            for key in ("stimulus_ID", "stimulus_position")
        ]
        conditions = [f"{a}/{b}" for a, b in zip(*names, strict=True)]
        data = xr.DataArray(
            held["raster_data"][:, None, 500:].astype(np.float32),
            {
                "stimulus_id": ("presentation", conditions),
                "neuroid_id": ("neuroid", [path.stem]),
                "region": "IT",
                "time_bin_start": ("time_bin", np.arange(500)),
                "time_bin_end": ("time_bin", np.arange(1, 501)),
            },
            ["presentation", "neuroid", "time_bin"],
        )
        coarse = as_recording(data).no_finer_than_steps()
        coarse = coarse.in_bins([(start, start + 50) for start in range(100, 500, 50)])
        found.append(nanmean(half_correlations(trials_of(coarse)))[0])
    np.testing.assert_allclose(nanmean(np.array(found)), expected, atol=0.04)


def test_the_control_predicts_real_v4(shared: Path, tmp_path: Path) -> None:
    """Gabor energy and colour: r .47 ± .07 by ridge; shuffled images nothing."""
    from convrnns_brainscore.fits.control import image_features
    from convrnns_brainscore.fits.gram import gram_matrix
    from convrnns_brainscore.fits.heldout import Method, held_out, predictor
    from convrnns_brainscore.fits.splits import make_splits

    folder = shared / "recordings" / "v4_objects640"
    with zipfile.ZipFile(folder / "images.zip") as images:
        images.extractall(tmp_path)
    table = pd.read_csv(folder / "objects.csv")
    paths = [str(next(tmp_path.rglob(name))) for name in table["image_file"]]
    counts = np.load(folder / "v4_counts.npy")
    responses = np.nanmean(counts, axis=2).T[..., None]
    features = image_features(
        check_stimuli(pd.DataFrame({"filename": paths})), np.zeros((1, 224, 224, 3))
    )
    assert features.shape == (640, 1029)
    predict = predictor(Method("ridge"), gram_matrix([features]))
    splits, _ = make_splits(640, 10, table["object"].astype(str).tolist())
    result = held_out(predict, responses, [], splits, 1)
    assert np.median(nanmean(result.r)) == pytest.approx(0.47, abs=0.07)
    order = np.random.default_rng(0).permutation(640)
    shuffled = held_out(predict, responses[order], [], splits, 1)
    assert np.median(nanmean(shuffled.r)) == pytest.approx(0, abs=0.03)


def test_widths_and_durations_may_be_stated_once() -> None:
    """As an attribute, or as a coordinate without a dim, also where recordings are combined."""
    for once in (
        plain().assign_attrs(degrees=4.0, image_on_ms=200),
        plain().assign_coords(degrees=4.0, image_on_ms=200),
    ):
        for data in (once, recorded_apart([once, once])):
            recording = as_recording(data)
            assert (recording.stimuli["degrees"] == 4).all()
            assert recording.image_on_ms is not None
            assert (recording.image_on_ms == 200).all()


def test_widths_may_be_text_with_a_comma() -> None:
    stimuli = plain().sizes["presentation"]
    text = plain().assign_coords(degrees=("presentation", ["4,5"] * stimuli))
    assert (as_recording(text).stimuli["degrees"] == 4.5).all()
    wrong = plain().assign_coords(degrees=("presentation", ["wide"] * stimuli))
    with pytest.raises(ConvRNNError, match="degrees holds 'wide'; expected numbers"):
        as_recording(wrong)


def test_bins_of_different_widths_are_averaged_with_a_word() -> None:
    data = plain()
    data = data.isel(time_bin=[0, 0]).assign_coords(
        time_bin_start=("time_bin", [70, 100]), time_bin_end=("time_bin", [100, 170])
    )
    (note,) = [n for n in as_recording(data).averaged((70, 170)).notes if "widths" in n]
    assert "right for rates; for spike counts, divide by the width first" in note
    assert not any("widths" in note for note in as_recording(plain()).notes)


def test_groups_and_strata_are_known_for_all_stimuli() -> None:
    names = plain()["object_name"].values.astype(object)
    first = plain()["stimulus_id"].values[0]
    names[plain()["stimulus_id"].values == first] = None
    data = plain().assign_coords(object_name=("presentation", names))
    with pytest.raises(ConvRNNError, match="stimuli have no object_name, the first is"):
        prepare(as_recording(data), files(), stratify="object_name")
    notes = prepare(as_recording(data), files()).notes
    assert "the splits are not stratified: some stimuli have no object_name" in notes


def test_a_missing_region_is_not_a_region() -> None:
    names = plain()["region"].values.astype(object)
    names[0] = None
    data = plain().assign_coords(region=("neuroid", names))
    with pytest.raises(ConvRNNError, match="1 neuron without a region"):
        as_recording(data)
    assert any("without a region" in note for note in as_recording(data, regions=["IT"]).notes)


def test_stimuli_that_share_an_image_are_noted() -> None:
    shared = files().copy()
    shared["filename"] = [shared["filename"].iloc[0]] * 2 + shared["filename"].tolist()[2:]
    notes = prepare(as_recording(plain()), shared).notes
    assert any("2 stimuli share their image with another, such as" in note for note in notes)


def test_durations_in_other_units_are_refused() -> None:
    with pytest.raises(ConvRNNError, match="more than 60 s: durations are in ms"):
        prepare(as_recording(plain().assign_coords(image_on_ms=100_000.0)), files())

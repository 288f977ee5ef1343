"""A lab's arrays become a recording: what each axis is, is said or follows from the lengths."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat
from typer.testing import CliRunner

from convrnns_brainscore import ConvRNNError, read_recording
from convrnns_brainscore.array_files import read_arrays
from convrnns_brainscore.cli import app
from convrnns_brainscore.recording_arrays import recording_from_arrays
from convrnns_brainscore.recordings import Recording, as_recording

IDS = ["face", "house", "tree", "car"]
COUNTS = np.random.default_rng(0).poisson(3.0, (5, 4, 3, 2)).astype(float)
"""Neuroid × stimulus × repetition × time bin."""
BINS = [(70, 120), (120, 170)]
AXES = "stimulus, neuroid"


@given(st.permutations(["neuroid", "stimulus", "repetition", "time_bin"]))
@settings(max_examples=24, deadline=None)
def test_axes_may_stand_in_any_order(order: list[str]) -> None:
    names = ["neuroid", "stimulus", "repetition", "time_bin"]
    turned = COUNTS.transpose([names.index(name) for name in order])
    said = recording_from_arrays(turned, IDS, "V4", BINS, axes=order)
    guessed = recording_from_arrays(turned, IDS, ["V4"] * 5, BINS)
    for data in (said, guessed):
        assert data.sizes == {"presentation": 12, "neuroid": 5, "time_bin": 2}
        one = data.isel(presentation=(data.stimulus_id == "tree") & (data.repetition == 1))
        np.testing.assert_array_equal(one.squeeze("presentation"), COUNTS[:, 2, 1])


def test_what_was_not_shown_is_left_out_and_said() -> None:
    counts = COUNTS[..., 0].copy()
    counts[:, 1, 2] = np.nan
    recording = Recording.from_arrays(
        counts,
        pd.DataFrame({"stimulus_id": IDS, "object_name": ["animate", "not", "not", "not"]}),
        ["V4", "V4", "IT", "IT", "IT"],
        (70, 170),
        subjects="monkey",
        image_on_ms=100,
    )
    assert recording.values.shape == (11, 5, 1)
    assert recording.notes == (
        "responses [5, 4, 3] are neuroid × stimulus × repetition",
        "excluded: 1 presentation without a response",
        "all neurons are of subject monkey",
    )
    assert recording.regions == ["V4", "IT"]
    assert recording.stimuli["object_name"].tolist() == ["not", "animate", "not", "not"]
    assert (recording.image_on_ms == 100).all()


BROKEN = [
    ((COUNTS, IDS, "V4", BINS), {}, "Give `axes=[a-z_,]+` or `axes=[a-z_,]+`"),
    ((COUNTS[..., 0], IDS * 2, ["V4"] * 4, (70, 170)), {}, "no order of the axes fits"),
    ((COUNTS, IDS, "V4", BINS), {"axes": "unit,stimulus"}, "unknown axis 'unit'"),
    ((COUNTS, IDS, "V4", BINS), {"axes": "neuroid,stimulus"}, "expected a name for each axis"),
    (
        (COUNTS, IDS, "V4", BINS),
        {"axes": "stimulus,neuroid,repetition,time_bin"},
        "axis stimulus .*length 5, but 4 stimuli are listed",
    ),
    ((COUNTS[..., 0], IDS, ["V4"] * 5, (70,)), {}, r"expected \(start, end\) in ms"),
    ((COUNTS * np.nan, IDS, ["V4"] * 5, BINS), {}, "nothing was recorded"),
    ((COUNTS.astype(str), IDS, ["V4"] * 5, BINS), {}, "expected numbers"),
    ((COUNTS, pd.DataFrame({"name": IDS}), ["V4"] * 5, BINS), {}, "no column stimulus_id"),
    (
        (COUNTS, ["face", "house", "face", "car"], ["V4"] * 5, BINS),
        {},
        "face is listed twice .rows 1",
    ),
    ((COUNTS, IDS, ["V4"] * 5, BINS), {"subjects": ["a", "b"]}, "2 subjects for 5 neurons"),
    ((COUNTS, IDS, ["V4"] * 5, BINS), {"image_on_ms": [1, 2]}, "2 durations of 4 stimuli"),
]


@pytest.mark.parametrize(("arguments", "options", "said"), BROKEN)
def test_what_is_not_clear_is_asked_for(arguments, options, said: str) -> None:
    with pytest.raises(ConvRNNError, match=said) as error:
        recording_from_arrays(*arguments, **options)
    assert "\n" not in str(error.value)


def write(kind: str, folder: Path) -> Path:
    """The counts and ids as a lab's program writes them."""
    path = folder / f"lab.{'mat' if 'mat' in kind else kind}"
    regions = np.array(["V4", "V4", "IT", "IT", "IT"])
    if kind == "npz":
        np.savez(path, counts=COUNTS, ids=np.array(IDS), areas=regions)
    elif kind == "mat 5":
        cells = {name: np.array(v, object) for name, v in (("ids", IDS), ("areas", regions))}
        savemat(path, {"counts": COUNTS, **cells})
    else:
        with h5py.File(path, "w", userblock_size=512) as file:
            file.create_dataset("counts", data=COUNTS.T).attrs["MATLAB_class"] = np.bytes_("double")
            for name, texts in (("ids", IDS), ("areas", regions)):
                cells = file.create_dataset(name, (1, len(texts)), h5py.ref_dtype)
                cells.attrs["MATLAB_class"] = np.bytes_("cell")
                for index, text in enumerate(texts):
                    codes = np.array([[ord(sign)] for sign in text], np.uint16)
                    cells[0, index] = file.create_dataset(f"#refs#/{name}{index}", data=codes).ref
        with path.open("r+b") as file:
            file.write(b"MATLAB 7.3 MAT-file".ljust(512))
    return path


@pytest.mark.parametrize("kind", ["npz", "mat 5", "mat 7.3"])
def test_the_command_makes_a_recording_of_a_labs_file(kind: str, tmp_path: Path) -> None:
    path, out = write(kind, tmp_path), tmp_path / "lab.nc"
    command = [
        "recording", "make", str(path), "--out", str(out), "--stimulus-ids", "ids",
        "--regions", "areas", "--time-bins", "70:170:50", "--image-ms", "100",
    ]  # fmt: skip
    told = CliRunner().invoke(app, command, catch_exceptions=False)
    assert "responses [5, 4, 3, 2] are neuroid × stimulus × repetition × time_bin" in told.output
    assert "12 presentations of 4 stimuli, 2 neurons of V4, 3 neurons of IT" in told.output
    recording = read_recording(out)
    assert recording.time_bins == [(70, 120), (120, 170)]
    face = recording.values[
        recording.stimulus == recording.stimuli["stimulus_id"].tolist().index("face")
    ]
    np.testing.assert_array_equal(
        np.sort(face, axis=0), np.sort(COUNTS[:, 0].swapaxes(0, 1), axis=0)
    )


def test_python_objects_and_strange_files_are_refused(tmp_path: Path) -> None:
    np.save(tmp_path / "objects.npy", np.array([{"a": 1}], object), allow_pickle=True)
    (tmp_path / "torn.mat").write_bytes(b"MATLAB 5.0 MAT-file".ljust(128) + b"\0\1")
    (tmp_path / "table.txt").write_text("1 2 3")
    for name, said in (
        ("objects.npy", "cannot be read: Object arrays cannot be loaded"),
        ("torn.mat", "cannot be read"),
        ("table.txt", "expected a file of arrays"),
        ("absent.npz", "absent.npz does not exist"),
    ):
        with pytest.raises(ConvRNNError, match=said):
            read_arrays(tmp_path / name)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--time-bins", "170:70"], "expected start:end"),
        (["--time-bins", "0:100:30"], "bins of 30 ms do not fill 0–100 ms"),
        (["--stimulus-ids", "names"], "unknown array or file 'names'"),
        (["--regions", "V4"], "do not determine the axes"),
        (["--responses", "rates"], "unknown array of"),
        (["--out", "x.csv"], r"ends in \.nc"),
    ],
)
def test_a_wrong_option_is_one_line(options: list[str], said: str, tmp_path: Path) -> None:
    path = write("npz", tmp_path)
    given = {
        "--out": str(tmp_path / "x.nc"), "--stimulus-ids": "ids", "--regions": "areas",
        "--time-bins": "70:170:50",
    }  # fmt: skip
    given |= dict([options])
    flat = [word for option in given.items() for word in option]
    with pytest.raises(ConvRNNError, match=said):
        CliRunner().invoke(app, ["recording", "make", str(path), *flat], catch_exceptions=False)
    assert not (tmp_path / "x.nc").exists()


def test_responses_are_not_their_own_labels(tmp_path: Path) -> None:
    """The array of V4.npy has the name V4, which is the region."""
    np.save(tmp_path / "V4.npy", COUNTS)
    (tmp_path / "ids.csv").write_text("stimulus_id\n" + "\n".join(IDS) + "\n")
    options = ["--stimulus-ids", str(tmp_path / "ids.csv"), "--time-bins", "70:170:50"]
    options += ["--axes", "neuroid,stimulus,repetition,time_bin", "--regions", "V4"]
    command = ["recording", "make", str(tmp_path / "V4.npy"), *options]
    made = [*command, "--subjects", "V4", "--out", str(tmp_path / "x.nc")]
    CliRunner().invoke(app, made, catch_exceptions=False)
    recording = read_recording(tmp_path / "x.nc")
    assert recording.regions == ["V4"]
    assert recording.values.shape == (12, 5, 2)
    np.savez(tmp_path / "both.npz", counts=COUNTS, wide=COUNTS[0, :, :, 0])
    given = [*command[:2], str(tmp_path / "both.npz"), *options, "--responses", "counts"]
    given += ["--subjects", "wide", "--out", str(tmp_path / "y.nc")]
    with pytest.raises(
        ConvRNNError, match=r"array wide has the shape \[4, 3\]: expected labels with one axis"
    ):
        CliRunner().invoke(app, given, catch_exceptions=False)


def test_options_may_stand_in_a_yaml_file(
    tmp_path: Path, convrnns: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """0:50:10 is a number to YAML itself, minutes and seconds; here it stays five bins."""
    monkeypatch.chdir(tmp_path)
    np.save("counts.npy", np.random.default_rng(0).poisson(3, (4, 6, 5)))
    pd.DataFrame({"stimulus_id": IDS}).to_csv("ids.csv", index=False)
    Path("lab.yaml").write_text(
        "stimulus-ids: ids.csv\nregions: V4\ntime-bins: 0:50:10\nimage_ms: 100\n"
        "axes: stimulus,neuroid,time_bin\nlocation: TE=IT\nout: v4.nc\n"
    )
    refused = convrnns("recording", "make", "counts.npy", "--config", "lab.yaml", code=2)
    assert "--location applies only to NWB files" in refused
    given = Path("lab.yaml").read_text()
    Path("lab.yaml").write_text(given.replace("location: TE=IT\n", ""))
    said = convrnns("recording", "make", "counts.npy", "--config", "lab.yaml")
    assert "6 neurons of V4, 5 time bins (0–50 ms)" in said
    assert read_recording("v4.nc").image_on_ms.tolist() == [100] * 4
    convrnns("recording", "make", "counts.npy", "--config", "lab.yaml", "--regions", "IT")
    assert read_recording("v4.nc").regions == ["IT"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("time-bin: 0:50", "unknown option in lab.yaml 'time-bin'. Did you mean 'time-bins'?"),
        ("regions: [V4, IT]", "expected text or a number"),
        ("just a sentence", "expected lines such as"),
        ("a: [", "cannot read --config lab.yaml"),
        (None, "cannot read --config lab.yaml"),
    ],
)
def test_yaml_that_makes_no_sense_is_one_line(
    text: str | None,
    said: str,
    tmp_path: Path,
    convrnns: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    if text is not None:
        Path("lab.yaml").write_text(text)
    command = ["recording", "make", "counts.npy", "--config", "lab.yaml", "--out", "v4.nc"]
    assert said in convrnns(*command, code=2)
    assert not Path("v4.nc").exists()


def hdf5(path: Path, **variables: tuple[str, object]) -> Path:
    """A MATLAB 7.3 file of variables, each a class and its values as MATLAB stores them."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, (kind, values) in variables.items():
            if kind == "cell":
                held = file.create_dataset(name, (len(values), 1), h5py.ref_dtype)
                for index, (of, value) in enumerate(values):
                    cell = file.create_dataset(f"#refs#/{name}{index}", data=value)
                    cell.attrs["MATLAB_class"] = of
                    held[index, 0] = cell.ref
            else:
                held = file.create_dataset(name, data=values)
            held.attrs["MATLAB_class"] = kind  # text, as h5py writes it
    with path.open("r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))
    return path


def test_cells_of_numbers_and_matrices_of_characters_are_ids(tmp_path: Path) -> None:
    numbers = [("double", np.array([[float(number)]])) for number in (1, 2, 30)]
    letters = np.array([[ord(sign) for sign in text] for text in ("cat  ", "house")], np.uint16).T
    path = hdf5(tmp_path / "new.mat", cells=("cell", numbers), names=("char", letters))
    found = read_arrays(path)
    assert found["cells"].tolist() == [1, 2, 30]
    assert found["names"].tolist() == ["cat", "house"]
    savemat(tmp_path / "old.mat", {"cells": np.array([1.0, 2.0, 30.0], object)})
    old = read_arrays(tmp_path / "old.mat")["cells"]
    assert old.tolist() == [1, 2, 30]
    made = recording_from_arrays(np.ones((2, 3)), old, "IT", (70, 170), axes="neuroid,stimulus")
    assert made["stimulus_id"].values.tolist() == ["1", "2", "30"]
    savemat(tmp_path / "structure.mat", {"session": {"counts": COUNTS}})
    with pytest.raises(ConvRNNError, match=r"holds no array .*\(session\)\. Save the fields of a"):
        read_arrays(tmp_path / "structure.mat")


def test_strings_of_matlab_are_not_read_as_numbers(tmp_path: Path, caplog) -> None:
    path = hdf5(
        tmp_path / "new.mat",
        ids=("string", np.array([[3707764736, 2, 1, 1, 1, 1]], np.uint32)),
        rates=("double", np.ones((3, 4))),
    )
    with h5py.File(path, "r+") as file:
        file["ids"].attrs["MATLAB_object_decode"] = np.int32(3)
    assert set(read_arrays(path)) == {"rates"}
    assert "ids is a MATLAB string, which cannot be read; save it as a cell" in caplog.text


def test_a_blank_in_a_cell_array_is_an_empty_text(tmp_path: Path) -> None:
    savemat(tmp_path / "old.mat", {"ids": np.array(["cat", "", "house"], object)})
    assert read_arrays(tmp_path / "old.mat")["ids"].tolist() == ["cat", "", "house"]


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((5, 4), "neuroid,stimulus,repetition"),  # MATLAB drops a last axis of length one
        ((1, 4, 3), "neuroid,stimulus,repetition"),
        ((4, 3), "neuroid,stimulus,repetition"),  # one neuron
        ((4,), "stimulus,neuroid"),
    ],
)
def test_axes_of_length_one_may_be_missing(shape: tuple[int, ...], axes: str) -> None:
    regions = ["V4"] * (5 if 5 in shape else 1)
    made = recording_from_arrays(np.ones(shape), IDS, regions, (70, 170), axes=axes)
    assert made.sizes["neuroid"] == len(regions)
    assert made.sizes["presentation"] == 4 * (3 if 3 in shape else 1)


def test_labels_of_neurons_are_columns_of_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, convrnns: Callable[..., str]
) -> None:
    monkeypatch.chdir(tmp_path)
    np.savez("lab.npz", counts=COUNTS[..., 0], ids=np.array(IDS))
    table = pd.DataFrame({"neuroid_id": list("abcde"), "region": ["V4"] * 2 + ["IT"] * 3})
    table.assign(subject="Tim").to_csv("neurons.csv", index=False)
    files = [f"--{name}=neurons.csv" for name in ("neuron-ids", "regions", "subjects")]
    command = ["recording", "make", "lab.npz", "--stimulus-ids=ids", "--time-bins=70:170"]
    assert "2 neurons of V4, 3 neurons of IT" in convrnns(*command, *files, "--out=lab.nc")
    assert read_recording("lab.nc").neurons["neuroid_id"].tolist() == list("abcde")

    def refused(*options: str) -> str:
        return convrnns(*command, *options, "--out=other.nc", code=2)

    assert "expected one region for all neurons" in refused("--regions=V4,IT")
    Path("areas.txt").write_text("V4")
    assert "areas.txt: expected a table or arrays" in refused("--regions=areas.txt")
    said = convrnns(*command, "--regions=IT", "--out=none/lab.nc", code=2)
    assert "there is no folder" in said
    Path("plain.fif").write_bytes(b"")
    said = convrnns("recording", "make", "plain.fif", "--out=lab.nc", code=2)
    assert "names of epochs files must end in -epo.fif" in said


def test_masked_responses_are_missing() -> None:
    """As netCDF4 gives a variable with a fill value."""
    masked = np.ma.masked_values(np.where(np.arange(40).reshape(5, 4, 2) == 7, -999, 1.5), -999)
    recording = recording_from_arrays(masked, IDS, ["V4"] * 5, (70, 170))
    assert int(recording.isnull().sum()) == 1
    assert float(recording.min()) == 1.5
    counts = np.ma.masked_equal(np.arange(20).reshape(5, 4), 3)  # whole numbers have no NaN
    recording = recording_from_arrays(counts, IDS, ["V4"] * 5, (70, 170))
    assert int(recording.isnull().sum()) == 1


def test_the_dims_of_a_labelled_array_state_its_axes() -> None:
    responses = xr.DataArray(np.arange(16.0).reshape(4, 4), dims=("neuroid", "stimulus"))
    recording = recording_from_arrays(responses, IDS, "V4", (70, 170))
    np.testing.assert_array_equal(recording.squeeze("time_bin"), responses.T)
    with pytest.raises(ConvRNNError, match="but the responses have the dims neuroid, stimulus"):
        recording_from_arrays(responses, IDS, "V4", (70, 170), axes="stimulus, neuroid")


def test_responses_that_single_precision_would_round_are_refused() -> None:
    differences = np.random.default_rng(0).standard_normal((4, 5))
    expected = recording_from_arrays(differences, IDS, ["V4"] * 5, (70, 170), axes=AXES)
    near = recording_from_arrays(differences + 1000, IDS, ["V4"] * 5, (70, 170), axes=AXES)
    np.testing.assert_allclose(near - 1000, expected, atol=1e-3)
    with pytest.raises(ConvRNNError, match="subtract each neuron's mean"):
        recording_from_arrays(differences + 1e7, IDS, ["V4"] * 5, (70, 170), axes=AXES)
    constant = np.full((4, 5), 0.1)  # whose rounding changes no difference
    assert recording_from_arrays(constant, IDS, ["V4"] * 5, (70, 170), axes=AXES).size == 20


def test_infinite_responses_are_refused_when_the_recording_is_made() -> None:
    with pytest.raises(ConvRNNError, match="missing responses must be NaN"):
        recording_from_arrays(COUNTS + np.inf, IDS, ["V4"] * 5, BINS)


def test_a_number_in_the_place_of_missing_responses_is_noted() -> None:
    responses = np.random.default_rng(0).poisson(3, (4, 3, 5)).astype(float)
    responses[:, 2] = -999
    recording = recording_from_arrays(
        responses, IDS, ["V4"] * 5, (70, 170), axes="stimulus, repetition, neuroid"
    )
    notes = as_recording(recording).notes
    assert any(
        "in 4 presentations, all neurons and time bins have the same response" in n
        and "(-999)" in n
        for n in notes
    )


def test_bins_may_be_a_row_of_starts_and_a_row_of_ends() -> None:
    """As MATLAB has them; edges or centres alone are not bins."""
    counts = np.ones((2, 3, 4))
    starts, ends = [0, 20, 40, 60], [100, 120, 140, 160]
    axes = "neuroid, stimulus, time_bin"
    made = recording_from_arrays(counts, IDS[:3], "IT", [starts, ends], axes=axes)
    assert made["time_bin_end"].values.tolist() == ends
    with pytest.raises(ConvRNNError, match="not edges or centres"):
        recording_from_arrays(counts, IDS[:3], "IT", starts, axes=axes)
    two = np.array([[0, 100], [50, 150]])
    with pytest.raises(ConvRNNError, match="is either two bins that overlap, one in each row, or"):
        recording_from_arrays(counts[..., :2], IDS[:3], "IT", two, axes=axes)
    for bins in (two.tolist(), [[0, 50], [50, 100]], np.array([[0, 50], [100, 150]])):
        made = recording_from_arrays(counts[..., :2], IDS[:3], "IT", bins, axes=axes)
        assert made["time_bin_end"].values.tolist() == [end for _, end in bins]


def test_labels_of_the_responses_have_to_agree() -> None:
    values = xr.DataArray(
        [[1.0, 2.0], [3.0, 4.0]],
        {"stimulus": ["b", "a"], "neuroid": ["n1", "n2"]},
        ("stimulus", "neuroid"),
    )
    for labelled, axes in ((values, None), (values.to_pandas(), "stimulus, neuroid")):
        with pytest.raises(ConvRNNError, match="list them in the order of the responses"):
            recording_from_arrays(labelled, ["a", "b"], "IT", (70, 170), axes=axes)
        made = recording_from_arrays(labelled, ["b", "a"], "IT", (70, 170), axes=axes)
        assert made["neuroid_id"].values.tolist() == ["n1", "n2"]


def test_columns_that_cannot_be_coordinates_are_left_out_with_a_note() -> None:
    for name in ("time_bin", "x/y", "responses", "region"):
        table = pd.DataFrame({"stimulus_id": IDS, name: 1})
        made = recording_from_arrays(COUNTS[..., 0], table, ["V4"] * 5, (70, 170))
        assert set(made["region"].values) == {"V4"}
        assert any(f"({name})" in note for note in made.attrs["notes"])


def test_labels_may_be_columns_of_matlab() -> None:
    counts = COUNTS[..., 0]
    made = recording_from_arrays(
        counts, IDS, np.array(["IT"]), (70, 170), neuroid_ids=np.arange(5)[:, None]
    )
    assert made["region"].values.tolist() == ["IT"] * 5
    regions = np.array([["V4"]] * 5)
    made = recording_from_arrays(counts, IDS, regions, (70, 170))
    assert made["region"].values.tolist() == ["V4"] * 5

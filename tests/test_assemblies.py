"""Assemblies and scores survive being saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import (
    NeuroidAssembly,
    walk_coords,
)

from convrnns_brainscore import ConvRNNError, Presentation
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.brainscore.assembly_files import read_assembly, write_assembly
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.streams import CLIPS, Clip


def same(one: object, other: object) -> bool:
    coords = [{name: (dims, list(v)) for name, dims, v in walk_coords(a)} for a in (one, other)]
    return (
        type(one) is type(other)
        and one.dims == other.dims
        and np.array_equal(one.values, other.values, equal_nan=True)
        and coords[0] == coords[1]
    )


def test_a_recording_is_read_back_whole_and_by_plain_xarray(
    network: ConvRNN, photographs: list[Path], tmp_path: Path
) -> None:
    brain = TemporalBrainModel(network, Presentation.neural())
    brain.start_recording("IT", [(60, 80), (80, 100)])
    recording = brain.look_at(photographs[:3])
    write_assembly(recording, tmp_path / "recording.nc")
    restored = read_assembly(tmp_path / "recording.nc")
    assert same(restored, recording)
    assert restored.attrs == recording.attrs
    plain = xr.open_dataset(tmp_path / "recording.nc")
    assert plain["neuroid_id"].dims == ("neuroid",)
    assert plain["time_bin_end"].values.tolist() == [80, 100]


def test_a_temporal_score_keeps_its_raw_values_and_ceiling(tmp_path: Path) -> None:
    coords = {
        "time_bin_start": ("time_bin", [70, 80]),
        "time_bin_end": ("time_bin", [80, 90]),
    }
    score = Score([0.25, np.nan], coords=coords, dims=["time_bin"])
    raw = Score(
        np.ones((2, 2)),
        coords={
            **coords,
            "neuroid_id": ("neuroid", ["a", "b"]),
            "alive": ("neuroid", [True, False]),
        },
        dims=["time_bin", "neuroid"],
    )
    raw.attrs["ceiling"] = Score(0.8)
    score.attrs |= {"raw": raw, "ceiling": Score(0.8), "model": None, "cached": True, "error": 0.1}
    write_assembly(score, tmp_path / "score.nc")
    restored = read_assembly(tmp_path / "score.nc")
    assert same(restored, score)
    assert same(restored.attrs["raw"], raw)
    assert float(restored.attrs["raw"].attrs["ceiling"]) == 0.8
    assert restored.attrs["error"] == 0.1
    assert (restored.attrs["model"], restored.attrs["cached"]) == ("None", "True")


COLUMNS = {
    "missing text": ["a", None, "None"],
    "text that is not a number": ["a", float("nan"), "nan"],
    "both": ["a", None, float("nan")],
    "some are known to be true": [True, None, False],
    "of several types": [1, "1", 1.5],
    "large": [2**63, 2**64, 1],
    "pairs": [(70, 170), (0, 10), (10, 20)],
    "numbers, one missing": [1.0, float("nan"), 3.0],
    "values": [1, 2, 3],
    "two words": ["x", "y", "z"],
    "a/b": ["x\0", "y", ""],
}


@pytest.mark.parametrize("name", COLUMNS)
def test_coordinates_keep_names_types_and_what_is_missing(name: str, tmp_path: Path) -> None:
    levels = np.empty(3, object)
    levels[:] = COLUMNS[name]
    original = NeuroidAssembly(
        np.eye(3),
        coords={
            "stimulus_id": ("presentation", ["s0", "s1", "s2"]),
            name: ("presentation", levels),
            "neuroid_id": ("neuroid", ["n0", "n1", "n2"]),
            "layer": ("neuroid", ["conv5"] * 3),
        },
        dims=["presentation", "neuroid"],
    )
    write_assembly(original, tmp_path / "one.nc")
    restored = read_assembly(tmp_path / "one.nc")
    held = [assembly[name].values.tolist() for assembly in (original, restored)]
    assert repr(held[0]) == repr(held[1])
    assert restored["neuroid_id"].values.tolist() == ["n0", "n1", "n2"]


def test_a_squeezed_time_bin_is_kept(network: ConvRNN, photographs, tmp_path: Path) -> None:
    brain = TemporalBrainModel(network)
    brain.start_recording("IT", [(70, 170)])
    recording = brain.look_at(photographs[:2])
    write_assembly(recording, tmp_path / "one.nc")
    assert read_assembly(tmp_path / "one.nc")["time_bin"].item() == (70, 170)


def test_scores_within_a_score_have_keys_of_any_kind(tmp_path: Path) -> None:
    score = Score(0.5)
    keys = [1, 2.5, None, ("V4", 1), np.int64(7), "", "two words", "values", "a/b", "subject 1"]
    for index, key in enumerate(keys):
        score.attrs[key] = Score(float(index))
        score.attrs[key].attrs["within it"] = Score(-1.0)
    score.attrs |= {"large": 2**70, 3: "three", "assembly": "of ours", "nothing": "\0"}
    write_assembly(score, tmp_path / "score.nc")
    restored = read_assembly(tmp_path / "score.nc")
    for index, key in enumerate(keys):
        assert float(restored.attrs[key]) == index
        assert float(restored.attrs[key].attrs["within it"]) == -1
    for key in ("large", 3, "assembly", "nothing"):
        assert restored.attrs[key] == score.attrs[key]


def test_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("no netCDF")
    for name, told in (("text", "holds no assembly"), ("absent", "there is no file")):
        with pytest.raises(ConvRNNError, match=told):
            read_assembly(tmp_path / f"{name}.nc")
    with pytest.raises(ConvRNNError, match="cannot save a DataArray"):
        write_assembly(xr.DataArray([1.0]), tmp_path / "array.nc")
    write_assembly(NeuroidAssembly([1.0], dims=["neuroid"]), tmp_path / "bare.nc")
    assert read_assembly(tmp_path / "bare.nc").dims == ("neuroid",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.nc", "text.nc"]


def test_a_coordinate_of_the_whole_score_is_kept(tmp_path: Path) -> None:
    score = Score(0.2).assign_coords(max_neuroids=5)
    write_assembly(score, tmp_path / "score.nc")
    assert read_assembly(tmp_path / "score.nc")["max_neuroids"].item() == 5


def test_stimuli_that_a_stimulus_set_cannot_hold_are_refused() -> None:
    two = pd.DataFrame({"stimulus_id": ["a", "b"], "filename": ["a/1.png", "b/1.png"]})
    assert len(stimulus_set("mine", two.assign(degrees=8.0))) == 2
    assert len(stimulus_set("mine", two.assign(degrees=5.0, filename="a/1.png"))) == 2
    for alike in (two.assign(degrees=5.0), two.assign(degrees=[4.0, 6.0], filename="a/1.png")):
        with pytest.raises(ConvRNNError, match=r"several images, or widths .* called 1\.png"):
            stimulus_set("mine", alike)
    streams = [(Clip("a/1.png", 8.0, 0, 50), Clip("b/1.png", 8.0, 50, 100))] * 2
    with pytest.raises(ConvRNNError, match="stimulus a has times of its own"):
        stimulus_set("mine", two.assign(degrees=8.0, **{CLIPS: streams}))

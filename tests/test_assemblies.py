"""Assemblies and scores survive being saved."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import (
    NeuroidAssembly,
    walk_coords,
)

from convrnns_brainscore import ConvRNNError, Presentation
from convrnns_brainscore.brainscore.assembly_files import read_assembly, write_assembly
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.convrnn import ConvRNN


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


def test_other_things_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.nc").write_text("no netCDF")
    for path in (tmp_path / "text.nc", tmp_path / "absent.nc"):
        with pytest.raises(ConvRNNError, match="holds no assembly"):
            read_assembly(path)
    with pytest.raises(ConvRNNError, match="cannot save a DataArray"):
        write_assembly(xr.DataArray([1.0]), tmp_path / "array.nc")
    write_assembly(NeuroidAssembly([1.0], dims=["neuroid"]), tmp_path / "bare.nc")
    assert read_assembly(tmp_path / "bare.nc").dims == ("neuroid",)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bare.nc", "text.nc"]


def test_a_coordinate_of_the_whole_score_is_kept(tmp_path: Path) -> None:
    score = Score(0.2).assign_coords(max_neuroids=5)
    write_assembly(score, tmp_path / "score.nc")
    assert read_assembly(tmp_path / "score.nc")["max_neuroids"].item() == 5

"""The memory that is free, and recordings that do not fit into it or are read in part."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest
import xarray as xr

from convrnns_brainscore import ConvRNNError, memory, recordings
from convrnns_brainscore.recording_files import read_recording


def control_group(folder: Path, files: dict[str, str]) -> Path:
    folder.mkdir(parents=True)
    for name, text in files.items():
        (folder / name).write_text(f"{text}\n")
    return folder


def test_the_memory_of_a_control_group_is_what_is_left_in_it(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path)
    job = control_group(
        tmp_path / "slurm" / "job7",
        {
            "memory.max": "4000000000",
            "memory.current": "1500000000",
            "memory.stat": "anon 500000000\ninactive_file 1000000000",
        },
    )
    (tmp_path / "self").write_text("0::/slurm/job7\n")
    assert memory.available_memory(tmp_path / "self") == 3_500_000_000
    (job / "memory.max").write_text("max\n")
    assert memory.available_memory(tmp_path / "self") > 0
    assert memory.available_memory(tmp_path / "absent") > 0


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A recording of 80 GB, of which hardly anything is written: its chunks are empty."""
    path = tmp_path / "large.nc"
    sizes = {"presentation": 20_000, "neuroid": 5_000, "time_bin": 200}
    with netCDF4.Dataset(path, "w") as file:
        for name, size in sizes.items():
            file.createDimension(name, size)
        rates = file.createVariable("rates", "f4", tuple(sizes), chunksizes=(20_000, 10, 1))
        rates.coordinates = "stimulus_id neuroid_id region time_bin_start time_bin_end"
        file.createVariable("stimulus_id", "i4", "presentation")[:] = np.arange(20_000) % 100
        file.createVariable("neuroid_id", "i4", "neuroid")[:] = np.arange(5_000)
        region = np.where(np.arange(5_000) < 30, "V4", "PFC")
        file.createVariable("region", str, "neuroid")[:] = region.astype(object)
        file.createVariable("time_bin_start", "f8", "time_bin")[:] = 10 * np.arange(200)
        file.createVariable("time_bin_end", "f8", "time_bin")[:] = 10 * np.arange(1, 201)
        rates[:, :10, 7] = 1.0
        rates[:, :10, 8] = 2.0
    return path


def test_a_region_and_a_window_are_read_without_the_rest(large: Path) -> None:
    found = read_recording(large, regions=["V4"], window=(70, 90))
    assert found.values.shape == (20_000, 30, 2)
    assert found.time_bins == [(70.0, 80.0), (80.0, 90.0)]
    assert found.values[:, :10].mean(axis=(0, 1)).tolist() == [1.0, 2.0]
    assert found.notes == ("excluded: 4970 neurons of other regions (PFC)",)


def test_too_little_memory_is_called_so_before_anything_is_read(large: Path, monkeypatch) -> None:
    with pytest.raises(ConvRNNError, match=r"needs about .* of memory, and .* is free.*window"):
        read_recording(large, locations={"PFC": "IT"})
    monkeypatch.setattr(recordings, "available_memory", lambda: 1_000_000)
    with pytest.raises(ConvRNNError, match="name fewer `regions"):
        read_recording(large, regions=["V4"], window=(70, 90))


@pytest.fixture(params=[".nc", ".zarr"])
def grouped(request, tmp_path: Path) -> Path:
    """Two recordings in groups of one file."""
    path = tmp_path / f"session{request.param}"
    for group, region in (("monkey A/IT", "IT"), ("V4", "V4")):
        rates = xr.DataArray(
            np.random.default_rng(0).random((6, 3, 1)),
            {
                "stimulus_id": ("presentation", ["a", "b", "c"] * 2),
                "neuroid_id": ("neuroid", [1, 2, 3]),
                "region": ("neuroid", [region] * 3),
                "time_bin_start": ("time_bin", [70]),
                "time_bin_end": ("time_bin", [170]),
            },
            ("presentation", "neuroid", "time_bin"),
        ).to_dataset(name="rates")
        if request.param == ".nc":
            rates.to_netcdf(path, group=group, mode="a" if path.exists() else "w")
        else:
            rates.to_zarr(path, group=group, mode="a")
    return path


def test_a_recording_in_a_group_is_named_with_its_file(grouped: Path) -> None:
    assert read_recording(f"{grouped}::monkey A/IT").regions == ["IT"]
    assert read_recording(f"{grouped}::/V4/").regions == ["V4"]
    with pytest.raises(ConvRNNError, match=r"It has groups \(.*V4.*name one as .*session.*::"):
        read_recording(grouped)
    with pytest.raises(ConvRNNError, match=r"unknown group of .* 'V5'.*Did you mean 'V4'"):
        read_recording(f"{grouped}::V5")
    folder = grouped.parent / "day::1"
    folder.mkdir()
    moved = grouped.rename(folder / grouped.name)
    assert read_recording(f"{moved}::V4").regions == ["V4"]


def test_a_link_that_leads_nowhere_is_named(tmp_path: Path) -> None:
    (tmp_path / "it.nc").symlink_to(tmp_path / "moved.nc")
    with pytest.raises(ConvRNNError, match=r"it\.nc is broken"):
        read_recording(tmp_path / "it.nc")


def test_control_groups_of_version_1_count_too(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(memory, "CONTROL_GROUPS", tmp_path)
    control_group(
        tmp_path / "memory" / "slurm" / "job7",
        {
            "memory.limit_in_bytes": "2000000000",
            "memory.usage_in_bytes": "1500000000",
            "memory.stat": "cache 700000000\ntotal_inactive_file 500000000",
        },
    )
    (tmp_path / "self").write_text("9:name=systemd:/\n4:memory:/slurm/job7\n0::/\n")
    assert memory.available_memory(tmp_path / "self") == 1_000_000_000

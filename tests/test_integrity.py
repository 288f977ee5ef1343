"""Finished stores and files are compared with the digests that were recorded in them."""

from __future__ import annotations

import os
from pathlib import Path

import numcodecs
import numpy as np
import pytest
import zarr

from convrnns_brainscore import ConvRNNError, Presentation
from convrnns_brainscore.features import extract
from convrnns_brainscore.images import load_image
from convrnns_brainscore.integrity import seal, verify
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.recording_files import open_recording


@pytest.fixture(params=["features.zarr", "features.nc"])
def made(request, network, photographs, tmp_path: Path):
    """A finished store, and what makes it again."""
    out = tmp_path / request.param

    def make() -> list[str]:
        return extract(network, photographs[:2], "conv3", out, Presentation.custom(6))

    make()
    return out, make


def flip_a_bit(path: Path) -> None:
    """In the middle of the file, or of the largest file of a store."""
    if path.is_dir():
        path = max(
            (file for file in path.rglob("*") if file.is_file()), key=lambda f: f.stat().st_size
        )
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def test_a_finished_store_is_as_it_was_written(made) -> None:
    out, make = made
    assert verify(out) > 1
    assert make() == []  # complete already


def test_a_flipped_bit_is_found_by_name_and_not_taken_for_complete(made) -> None:
    out, make = made
    flip_a_bit(out)
    with pytest.raises(ConvRNNError, match=r"conv3.* damaged\. Remove it, and make it again"):
        verify(out)
    with pytest.raises(ConvRNNError, match="damaged"):
        make()


def test_a_missing_chunk_is_found(network, photographs, tmp_path: Path) -> None:
    out = tmp_path / "features.zarr"
    extract(network, photographs[:2], "conv3", out, Presentation.custom(6))
    (out / "conv3" / "activations" / "0.0.0").unlink()
    with pytest.raises(ConvRNNError, match=r"conv3/activations/0\.0\.0 of .* is missing"):
        verify(out)


def test_what_was_never_sealed_cannot_be_verified(tmp_path: Path) -> None:
    (tmp_path / "old.zarr").mkdir()
    (tmp_path / "old.zarr" / "chunk").write_bytes(np.arange(9).tobytes())
    with pytest.raises(ConvRNNError, match="no recorded digests"):
        verify(tmp_path / "old.zarr")
    seal(tmp_path / "old.zarr")
    assert verify(tmp_path / "old.zarr") == 1


def test_a_store_that_would_run_code_is_not_read(tmp_path: Path) -> None:
    """numcodecs' pickle executes what its author wrote, as soon as a chunk is decoded."""
    ran = tmp_path / "ran"

    class Attack:
        def __reduce__(self):
            return Path.touch, (ran,)

    root = zarr.open_group(str(tmp_path / "lab.zarr"), mode="w")
    values = np.array([Attack()], object)
    array = root.create_dataset("rates", data=values, object_codec=numcodecs.Pickle())
    array.attrs["_ARRAY_DIMENSIONS"] = ["presentation"]
    for consolidated in (False, True):
        if consolidated:
            zarr.consolidate_metadata(str(tmp_path / "lab.zarr"))
        for read in (open_recording, read_provenance):
            with pytest.raises(ConvRNNError, match=r"rates by the codec pickle, .* not read"):
                read(tmp_path / "lab.zarr")
    assert not ran.exists()


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(ConvRNNError, match="a device or a pipe"):
        load_image(tmp_path / "pipe.png")
    os.mkfifo(tmp_path / "pipe.nc")
    with pytest.raises(ConvRNNError, match="a device or a pipe"):
        open_recording(tmp_path / "pipe.nc")


def test_digests_do_not_depend_on_how_much_is_read_at_a_time(made, monkeypatch) -> None:
    out, _ = made
    monkeypatch.setattr("convrnns_brainscore.integrity.BLOCK", 1)
    assert verify(out) > 1


def test_a_chunk_is_smaller_than_blosc_takes(
    network, photographs, tmp_path: Path, monkeypatch
) -> None:
    shown, whole = Presentation.custom(6), tmp_path / "whole.zarr"
    extract(network, photographs[:2], "conv3", whole, shown)
    first = zarr.open_group(str(whole))["conv3/activations"]
    monkeypatch.setattr("convrnns_brainscore.stores.MOST_IN_CHUNK", 2 * first.shape[1])
    extract(network, photographs[:2], "conv3", tmp_path / "small.zarr", shown)
    small = zarr.open_group(str(tmp_path / "small.zarr"))["conv3/activations"]
    assert small.chunks == (2, first.shape[1], 1)
    assert first.chunks[2] > 1
    np.testing.assert_array_equal(small[:], first[:])

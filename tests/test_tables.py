"""Tables, names and texts in whatever form programs write them."""

from __future__ import annotations

import os
import subprocess
import sys
import unicodedata
from pathlib import Path

import netCDF4
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.fits.prepare import match_stimuli
from convrnns_brainscore.recording_files import read_recording
from convrnns_brainscore.stimuli import check_images, read_stimuli
from convrnns_brainscore.tables import read_table

COMPOSED = "caf\u00e9.png"
DECOMPOSED = unicodedata.normalize("NFD", COMPOSED)
ROWS = [("stimulus_id", "filename", "degrees"), ("001", "été.png", "8"), ("a,b", "n.png", "6.5")]


def written(separator: str, quote: bool = True) -> str:
    quoted = [[f'"{cell}"' if quote and "," in cell else cell for cell in row] for row in ROWS]
    return "".join(separator.join(row) + "\r\n" for row in quoted)


@pytest.mark.parametrize(
    "content",
    [
        written(",").encode(),
        written(";").replace("6.5", "6,5").encode("cp1252"),  # Excel in most of Europe
        written("\t", quote=False).encode("utf-16"),  # Excel's "Unicode text"
        b"\xef\xbb\xbf" + written(",").encode(),
        ("sep=;\r\n" + written(";")).encode(),
        (written(",") + ",,\r\n,,\r\n").encode(),
        "".join(line + ",,\r\n" for line in written(",").splitlines()).encode(),
        written(",").replace("stimulus_id", " stimulus_id ").encode(),
        written(",").replace("\r\n", "\r").encode(),  # of old Macs
        written(",").replace("stimulus_id", "Stimulus_ID").replace("degrees", "Degrees").encode(),
    ],
    ids=[
        "comma", "semicolons and commas in numbers", "tabs, UTF-16", "with a byte-order mark",
        "sep=;", "empty rows", "empty columns", "blanks in the header", "carriage returns",
        "another case",
    ],
)  # fmt: skip
def test_a_table_is_read_as_spreadsheets_write_it(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    for name in ("été.png", "n.png"):
        Image.new("RGB", (8, 8)).save(tmp_path / name)
    stimuli, _ = read_stimuli(tmp_path / "table.csv")
    assert stimuli["stimulus_id"].tolist() == ["001", "a,b"]
    assert [Path(name).name for name in stimuli["filename"]] == ["été.png", "n.png"]
    assert stimuli["degrees"].tolist() == [8.0, 6.5]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"PK\x03\x04\x14\0\0\0", "it is not text. Save it as CSV"),
        (b"", "cannot read table"),
        (b"stimulus_id,filename\na,b,c\n", "more values than the header has columns"),
        (b"stimulus_id,filename,degrees\na,b,6,5\n", "decimal point"),
        (b"stimulus_id,filename,FileName\na,b,c\n", "several columns filename: keep one"),
        (b'stimulus_id,filename\na,"b\n', "need double quotes"),
        (b"id;file\na;b\n", "has no column stimulus_id; it has id"),
    ],
)
def test_what_is_no_table_is_refused_in_one_line(content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(ConvRNNError, match=said) as error:
        read_table(tmp_path / "table.csv", ["stimulus_id", "filename"])
    assert "\n" not in str(error.value)


def test_a_comma_that_may_be_of_thousands_is_refused(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text('stimulus_id,filename,degrees\na,n.png,"1,000"\n')
    with pytest.raises(
        ConvRNNError, match=r"'1,000' in data row 1 .*write numbers with a decimal point"
    ):
        read_stimuli(tmp_path / "table.csv")


def test_spreadsheets_and_names_that_no_file_has_are_named(tmp_path: Path) -> None:
    (tmp_path / "table.xlsx").write_bytes(b"PK\x03\x04")
    with pytest.raises(ConvRNNError, match="save it as CSV, UTF-8"):
        read_stimuli(tmp_path / "table.xlsx")
    (tmp_path / "table.csv").write_text("stimulus_id,filename\na," + "n" * 500 + ".png\n")
    with pytest.raises(ConvRNNError, match="which cannot be a file name"):
        read_stimuli(tmp_path / "table.csv")
    with pytest.raises(ConvRNNError, match="cannot be read: File name too long"):
        read_recording("x" * 300 + ".nc")


@pytest.mark.parametrize("there", [COMPOSED, DECOMPOSED])
@pytest.mark.parametrize("named", [COMPOSED, DECOMPOSED])
def test_names_match_in_either_unicode_form(there: str, named: str, tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / there)
    (tmp_path / "table.csv").write_text(f"stimulus_id,filename\n1,{named}\n", encoding="utf-8")
    stimuli, _ = read_stimuli(tmp_path / "table.csv")
    assert Path(stimuli["filename"][0]).exists()
    stem = named.removesuffix(".png")
    found, _ = read_stimuli(tmp_path / there)
    matched = match_stimuli(pd.DataFrame({"stimulus_id": [stem]}), found, [])
    assert matched["stimulus_id"].tolist() == [stem]


@pytest.mark.parametrize("place", ["file", "folder"])
def test_a_name_that_is_no_text_is_refused_before_anything_is_computed(
    place: str, tmp_path: Path
) -> None:
    raw = os.fsencode(tmp_path) + b"/" + (b"caf\xe9" if place == "folder" else b"cafe")
    os.makedirs(raw)
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.png")
    image = raw + (b"/caf\xe9.png" if place == "file" else b"/a.png")
    os.rename(tmp_path / "plain.png", image)
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "extract", "timedecay_shallow"]
    command += [os.fsdecode(raw), "--layers", "conv5", "--weights", "random", "--out"]
    done = subprocess.run([*command, str(tmp_path / "out.zarr")], capture_output=True, check=False)
    assert done.returncode == 2
    assert b"is not UTF-8, and could not be written to results: rename" in done.stderr
    assert b"\\udce9" in done.stderr
    assert not list(tmp_path.glob("*.zarr*"))


def test_links_that_lead_nowhere_are_named_or_skipped(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.png").symlink_to(tmp_path / "moved" / "b.png")
    for source in (tmp_path, tmp_path / "b.png", f"{tmp_path}/*.png"):
        with pytest.raises(ConvRNNError, match=r"the link .*b\.png is broken: its target .*moved"):
            check_images(read_stimuli(source)[0])
    stimuli, skipped = check_images(read_stimuli(tmp_path)[0], skip_broken=True)
    assert stimuli["stimulus_id"].tolist() == ["a"]
    assert len(skipped) == 1
    (tmp_path / "folder").symlink_to(tmp_path / "moved")
    with pytest.raises(ConvRNNError, match=r"the link .*folder is broken"):
        read_stimuli(tmp_path / "folder")


def test_paths_written_on_windows_are_read_or_explained(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    Image.new("RGB", (8, 8)).save(tmp_path / "images" / "a.png")
    table = tmp_path / "table.csv"
    table.write_text("stimulus_id,filename\n1,images\\a.png\n", encoding="utf-8")
    check_images(read_stimuli(table)[0])
    table.write_text("stimulus_id,filename\n1,D:\\images\\a.png\n", encoding="utf-8")
    with pytest.raises(ConvRNNError, match="Backslashes separate folders on Windows only: write /"):
        check_images(read_stimuli(table)[0])


def test_texts_of_matlab_r_and_fortran_in_netcdf_are_read(tmp_path: Path) -> None:
    """Arrays of characters, filled up with blanks or NULs, in UTF-8 or Latin-1."""
    path = tmp_path / "recording.nc"
    names = [b"face    ", "fa\u00e7ade".encode(), b"fa\xe7on\0\0", b"face    "]
    with netCDF4.Dataset(path, "w") as file:
        for name, size in {"presentation": 4, "neuroid": 2, "time_bin": 1, "length": 8}.items():
            file.createDimension(name, size)
        file.createVariable("rates", "f8", ("presentation", "neuroid", "time_bin"))[:] = 1.5
        characters = np.array([list(name.ljust(8)) for name in names], np.uint8)
        file.createVariable("stimulus_id", "S1", ("presentation", "length"))[:] = characters.view(
            "S1"
        ).reshape(4, 8)
        region = np.array([list(b"IT      ")] * 2, np.uint8).view("S1").reshape(2, 8)
        file.createVariable("region", "S1", ("neuroid", "length"))[:] = region
        file.createVariable("neuroid_id", "i4", "neuroid")[:] = [1, 2]
        file.createVariable("time_bin_start", "f8", "time_bin")[:] = 70
        file.createVariable("time_bin_end", "f8", "time_bin")[:] = 170
    found = read_recording(path)
    assert found.stimuli["stimulus_id"].tolist() == ["face", "fa\u00e7ade", "fa\u00e7on"]
    assert found.regions == ["IT"]

"""Which images, in which order, under which names."""

from __future__ import annotations

from pathlib import Path

import pytest

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.stimuli import check_stimuli, note_on_width, read_stimuli


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "sub").mkdir(parents=True)
    (folder / "folder.png").mkdir()
    for name in ("img1.png", "img2.png", "img10.JPG", "sub/img1.png", ".DS_Store", "._img1.png"):
        (folder / name).write_bytes(b"")
    (folder / "Thumbs.db").write_bytes(b"")
    return folder


def test_a_folder_gives_its_images_by_name_and_says_what_it_leaves_out(folder: Path) -> None:
    stimuli, left_out = read_stimuli(folder)
    assert stimuli["stimulus_id"].tolist() == ["img1", "img10", "img2"]
    assert [Path(name).name for name in stimuli["filename"]] == [
        "img1.png",
        "img10.JPG",
        "img2.png",
    ]
    assert (stimuli["degrees"] == 8).all()
    names = {Path(name).name for name in left_out}
    assert names == {".DS_Store", "._img1.png", "Thumbs.db", "sub", "folder.png"}


def test_a_pattern_reaches_into_subfolders_and_ids_stay_unique(folder: Path) -> None:
    stimuli, _ = read_stimuli(str(folder / "**" / "*.*"))
    assert stimuli["stimulus_id"].tolist() == [
        "img1.png",
        "img10.JPG",
        "img2.png",
        "sub/img1.png",
    ]


def test_ids_of_a_table_stay_as_written(tmp_path: Path) -> None:
    ids = ["001", "1.0", "NA", " é漢", "nan", '"quoted"']
    rows = ["stimulus_id,filename,degrees"]
    quoted = [name.replace('"', '""') for name in ids]
    rows += [f'"{name}",a/{n}.png,{n + 1}' for n, name in enumerate(quoted)]
    (tmp_path / "t.csv").write_text("\n".join(rows), encoding="utf-8-sig")
    stimuli, _ = read_stimuli(tmp_path / "t.csv")
    assert stimuli["stimulus_id"].tolist() == ids
    assert stimuli["filename"][1] == str(tmp_path / "a" / "1.png")
    assert stimuli["degrees"].tolist() == [1, 2, 3, 4, 5, 6]


def test_ids_that_differ_by_blanks_alone_are_refused(tmp_path: Path) -> None:
    """In a stream, they would be two stimuli."""
    (tmp_path / "t.csv").write_text("stimulus_id,filename\nfh,a.png\nfh , b.png\n")
    with pytest.raises(ConvRNNError, match="'fh' and 'fh ' differ only by blanks"):
        read_stimuli(tmp_path / "t.csv")


def test_two_ids_may_name_one_file(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("stimulus_id,filename\na,x.png\nb,x.png\n")
    assert read_stimuli(tmp_path / "t.csv")[0]["stimulus_id"].tolist() == ["a", "b"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("stimulus_id,filename\na,x.png\na,y.png\n", "stimulus_id a comes twice: .*x.png and"),
        ("id,filename\na,x.png\n", "no column stimulus_id; it has id, filename"),
        ("stimulus_id,filename\na,\n", "no filename in data row 1"),
        ("stimulus_id,filename\n,x.png\n", "no stimulus_id in data row 1"),
        ("stimulus_id,filename\n", "has no rows"),
        ("", "cannot read table"),
        (
            "stimulus_id,filename,degrees\na,x.png,wide\n",
            "degrees 'wide' in data row 1 is not a number",
        ),
        ("stimulus_id,filename,degrees\na,x.png,-2\n", "stimulus a: -2 degrees"),
        ('stimulus_id,filename\n"a,x.png\n', "cannot read table"),
        ("stimulus_id,filename\na,x.png,1\nb,y.png,1\n", "cannot read table"),
        ("stimulus_id,filename\na,x.png,1,2\nb,y.png,1,2,3\n", "cannot read table"),
    ],
)
def test_tables_that_say_too_little_are_refused(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "t.csv").write_text(content)
    with pytest.raises(ConvRNNError, match=message):
        read_stimuli(tmp_path / "t.csv")


def test_sizes_are_given_once(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("stimulus_id,filename,degrees\na,x.png,2\n")
    with pytest.raises(ConvRNNError, match="omit `degrees=…`"):
        read_stimuli(tmp_path / "t.csv", degrees=3)
    (tmp_path / "x.png").touch()
    with pytest.raises(ConvRNNError, match="stimulus x: nan degrees"):
        read_stimuli(tmp_path / "x.png", degrees=float("nan"))


def test_an_assumed_width_is_noted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Of all stimuli by whoever uses them; of some of them at once."""
    (tmp_path / "x.png").write_bytes(b"")
    (tmp_path / "t.csv").write_text("stimulus_id,filename,degrees\na,a.png,2\n")
    files, _ = read_stimuli(tmp_path / "x.png")
    assert note_on_width(check_stimuli(files)) == note_on_width(check_stimuli(files[["filename"]]))
    assert "assumed to fill 8 degrees" in note_on_width(files)[0]
    stated, _ = read_stimuli(tmp_path / "x.png", degrees=8)
    assert note_on_width(check_stimuli(stated)) == []
    assert not caplog.messages
    both, _ = read_stimuli([tmp_path / "t.csv", tmp_path / "x.png"])
    assert both["degrees"].tolist() == [2, 8]
    assert "the width of 1 of 2 stimuli is not stated" in caplog.text


def test_stimuli_that_are_wider_than_the_field_are_noted(
    photographs: list[Path], caplog: pytest.LogCaptureFixture
) -> None:
    """Perhaps their width is in pixels."""
    read_stimuli(photographs[:2], degrees=8)
    assert not caplog.text
    read_stimuli(photographs[:2], degrees=500)
    assert "2 of 2 stimuli are wider than the networks' 8 degrees" in caplog.text


def test_empty_folders_absent_paths_and_repeated_files_are_refused(folder: Path) -> None:
    for source, message in (
        (folder / "folder.png", "no images in folder"),
        (folder / "absent", "no such image file or folder"),
        (folder / "*.tif", "no images in pattern"),
        ([folder / "img1.png", folder], "img1.png is named twice"),
        ([folder / "img1.png", folder / "sub" / ".." / "img1.png"], "img1.png is named twice"),
        ([], "no images"),
        (5, "5: expected image files"),
        ([None], "None is not the path"),
        ("", "'' is not the path"),
    ):
        with pytest.raises(ConvRNNError, match=message):
            read_stimuli(source)

"""Accuracy on labelled images: their classes, a stop, and what is said of it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from convrnns_brainscore import ConvRNN, ConvRNNError, load_network
from convrnns_brainscore.imagenet import Accuracy, _begun, measure, read_labelled, wordnet_ids
from convrnns_brainscore.images import load_cropped, normalise

MODEL = "timedecay_shallow"


def photograph(path: Path, seed: int, size: tuple[int, int] = (300, 260)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 9, 3), dtype=np.uint8)
    Image.fromarray(coarse).resize(size).save(path)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three classes with four images each, made in an order that is not theirs."""
    root = tmp_path_factory.mktemp("validation")
    for seed, position in enumerate((500, 999, 3)):
        for number in range(4):
            photograph(root / wordnet_ids()[position] / f"{number}.png", 10 * seed + number)
    return root


@pytest.fixture(scope="module")
def network() -> ConvRNN:
    return load_network(MODEL, weights="random", seed=0)


def test_folders_are_classes_by_their_wordnet_ids(folders: Path) -> None:
    table = read_labelled(folders)
    assert table["label"].tolist() == [3] * 4 + [500] * 4 + [999] * 4
    assert Path(table["filename"][0]).parent.name == wordnet_ids()[3]


@pytest.mark.parametrize(
    ("labels", "first", "found"),
    [
        (["n01440764", "n01484850"], None, [0, 2]),
        (["0", "999", "7"], None, [0, 999, 7]),
        (["1", "1000"], 1, [0, 999]),
        (["5", "6"], 0, [5, 6]),
        (["5", "6"], 1, [4, 5]),
    ],
)
def test_a_table_names_classes_or_counts_them(
    tmp_path: Path, labels: list[str], first: int | None, found: list[int]
) -> None:
    for name in labels:
        photograph(tmp_path / f"{name}.png", 0)
    pd.DataFrame({"filename": [f"{n}.png" for n in labels], "label": labels}).to_csv(
        tmp_path / "t.csv", index=False
    )
    table = read_labelled(tmp_path / "t.csv", first)
    assert table["label"].tolist() == found
    assert table["filename"][0] == str(tmp_path / f"{labels[0]}.png")


@pytest.mark.parametrize(
    ("labels", "first", "message"),
    [
        (["1", "1000"], None, "count from 1. Give `first_label=…`"),
        (["1", "1000"], 0, "outside 0 to 999"),
        (["5", "6"], None, "may count from 0 or from 1"),
        (["0", "1000"], None, "1,001 classes"),
        (["0", "1"], 1, "outside 1 to 1000"),
        (["0", "1001"], None, "1,001 classes"),
        (["n99999999"], None, "'n99999999' .row 1. is not one of"),
        (["dog"], None, "'dog' .row 1. is not one of"),
        (["99999999999999999999"], None, "1,001 classes"),
        (["n01440764", ""], None, "'' .row 2. is not one of"),
        (["n01440764", "3"], None, "'3' .row 2. is not one of"),
        ([], None, "no images"),
    ],
)
def test_labels_that_could_mean_another_class_are_refused(
    tmp_path: Path, labels: list[str], first: int | None, message: str
) -> None:
    pd.DataFrame({"filename": ["a.png"] * len(labels), "label": labels}).to_csv(
        tmp_path / "t.csv", index=False
    )
    with pytest.raises(ConvRNNError, match=message):
        read_labelled(tmp_path / "t.csv", first)


def test_what_is_no_set_of_images_is_refused(tmp_path: Path) -> None:
    for source, message in (
        (tmp_path, "no images"),
        (tmp_path / "none", "expected a folder of class folders"),
    ):
        with pytest.raises(ConvRNNError, match=message):
            read_labelled(source)
    (tmp_path / "t.csv").write_text("filename\na.png\n")
    with pytest.raises(ConvRNNError, match="no column label"):
        read_labelled(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text("filename,label\nmissing.png,0\n")
    with pytest.raises(ConvRNNError, match=r"1 files are missing; the first is .*missing\.png"):
        read_labelled(tmp_path / "t.csv")
    for content in (b"", b"filename,label\n\0\xe9.png,0\n"):
        (tmp_path / "t.csv").write_bytes(content)
        with pytest.raises(ConvRNNError, match="cannot read table"):
            read_labelled(tmp_path / "t.csv")


def test_the_middle_of_the_image_is_seen_at_a_shorter_side_of_256(tmp_path: Path) -> None:
    """A frame of 16 pixels of 256 is cut off on each side; of a wide image, more at its sides."""
    for size, name in (((256, 256), "square"), ((512, 256), "wide"), ((256, 400), "tall")):
        image = np.zeros((size[1], size[0], 3), np.uint8)
        top, left = (size[1] - 224) // 2, (size[0] - 224) // 2
        image[top : top + 224, left : left + 224] = 200
        Image.fromarray(image).save(tmp_path / f"{name}.png")
        seen = load_cropped(tmp_path / f"{name}.png")
        assert seen.shape == (224, 224, 3)
        np.testing.assert_allclose(seen, np.broadcast_to(normalise([200] * 3), seen.shape))
    photograph(tmp_path / "small.png", 0, (100, 80))
    assert load_cropped(tmp_path / "small.png").shape == (224, 224, 3)


def test_accuracy_is_that_of_the_logits(folders: Path, network: ConvRNN, tmp_path: Path) -> None:
    table = read_labelled(folders)
    logits = network.logits(np.stack([load_cropped(name) for name in table["filename"]]))
    best = np.argsort(-logits, axis=1)[:, :5]
    table["label"] = best[:, 0]
    table.loc[0, "label"] = best[0, 3]  # among five
    table.loc[1, "label"] = (set(range(1000)) - set(best[1])).pop()  # not even that
    found = measure(network, table, tmp_path, batch_size=5)
    assert (found.images, found.top1, found.top5) == (12, 10 / 12, 11 / 12)
    assert found.error(found.top1) == pytest.approx((10 / 12 * 2 / 12 / 12) ** 0.5)
    made_by = json.loads((tmp_path / f"{MODEL}.json").read_text())["made_by"]
    assert made_by["weights"] == "untrained, seed 0"
    assert made_by["preprocessing"] == "shorter side 256, middle 224"


def test_a_stop_costs_a_batch_at_most(folders: Path, network: ConvRNN, tmp_path: Path) -> None:
    table = read_labelled(folders)
    measure(network, table, tmp_path / "whole", batch_size=5)
    whole = (tmp_path / "whole" / f"{MODEL}.csv").read_bytes()
    stopped = tmp_path / "stopped" / f"{MODEL}.csv"
    seen = []
    kept = network.logits

    def stopped_at_the_second(images):
        seen.append(len(images))
        if len(seen) == 2:
            raise KeyboardInterrupt
        return kept(images)

    network.logits = stopped_at_the_second
    try:
        with pytest.raises(KeyboardInterrupt):
            measure(network, table, tmp_path / "stopped", batch_size=5)
        with stopped.open("ab") as torn:
            torn.write(whole[stopped.stat().st_size :][:20])  # a kill in the middle of a line
        measure(network, table, tmp_path / "stopped", batch_size=5)
        assert stopped.read_bytes() == whole
        assert seen == [5, 5, 5, 2]
        damaged = bytearray(whole)
        damaged[-2] ^= 1  # another class at the last rank
        stopped.write_bytes(damaged)
        with pytest.raises(ConvRNNError, match="were changed after they were written"):
            measure(network, table, tmp_path / "stopped", batch_size=5)
    finally:
        del network.logits


def test_damaged_work_under_way_is_done_again(
    folders: Path, network: ConvRNN, tmp_path: Path
) -> None:
    table = read_labelled(folders)
    measure(network, table, tmp_path / "whole", batch_size=5)
    out, kept = tmp_path / "out", network.logits
    network.logits = lambda images: kept(images) if len(images) == 5 else 1 / 0
    with pytest.raises(ZeroDivisionError):
        measure(network, table, out, batch_size=5)
    del network.logits
    flipped = bytearray((out / f"{MODEL}.csv").read_bytes())
    flipped[-2] ^= 1
    (out / f"{MODEL}.csv").write_bytes(flipped)
    measure(network, table, out, batch_size=5)
    assert (out / f"{MODEL}.csv").read_bytes() == (tmp_path / "whole" / f"{MODEL}.csv").read_bytes()


def test_other_images_or_weights_do_not_go_on(
    folders: Path, network: ConvRNN, tmp_path: Path
) -> None:
    table = read_labelled(folders)
    measure(network, table, tmp_path)
    with pytest.raises(ConvRNNError, match="was begun with other images"):
        measure(network, table.iloc[:3], tmp_path)
    kept = Path(table["filename"][0]).read_bytes()
    photograph(Path(table["filename"][0]), 99)  # of the same name
    with pytest.raises(ConvRNNError, match="was begun with other images"):
        measure(network, read_labelled(folders), tmp_path)
    Path(table["filename"][0]).write_bytes(kept)
    with pytest.raises(ConvRNNError, match="was begun with weights"):
        measure(load_network(MODEL, weights="random", seed=1), table, tmp_path)


def test_a_broken_image_is_named_before_anything_is_computed(tmp_path: Path) -> None:
    photograph(tmp_path / "n01440764" / "a.png", 0)
    whole = (tmp_path / "n01440764" / "a.png").read_bytes()
    (tmp_path / "n01440764" / "b.png").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(ConvRNNError, match=r"cannot read image .*b\.png"):
        read_labelled(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("json", "", "is damaged"),
        ("json", "{}", "is damaged"),
        ("csv", "", "were changed after they were written"),
        ("csv", "twice", "were changed after they were written"),
    ],
)
def test_what_was_begun_and_damaged_is_refused(
    folders: Path, network: ConvRNN, tmp_path: Path, name: str, content: str, message: str
) -> None:
    table = read_labelled(folders)
    measure(network, table, tmp_path)
    begun = tmp_path / f"{MODEL}.{name}"
    begun.write_text(begun.read_text() * 2 if content == "twice" else content)
    with pytest.raises(ConvRNNError, match=message):
        measure(network, table, tmp_path)


def test_a_table_of_something_else_is_not_replaced(
    folders: Path, network: ConvRNN, tmp_path: Path
) -> None:
    table = tmp_path / "timedecay_shallow.csv"
    table.write_text("mine\n")
    with pytest.raises(ConvRNNError, match="which records how it was made, is not beside it"):
        _begun(table, {}, 3)
    assert table.read_text() == "mine\n"


def test_accuracy_near_chance_is_suspect() -> None:
    assert Accuracy(MODEL, "", 50_000, 0.001, 0.005).suspect
    assert not Accuracy(MODEL, "", 50_000, 0.5, 0.7).suspect
    assert not Accuracy(MODEL, "", 20, 0.0, 0.0).suspect  # too few to say


@pytest.mark.slow
def test_the_command_prints_both_figures(folders: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "convrnns_brainscore.cli", "imagenet", str(folders), MODEL]
    told = subprocess.run(
        [*command, "--weights", "random"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    (row,) = (line for line in told.stdout.splitlines() if MODEL in line)
    assert "untrained, seed 0" in row
    assert "50.06" in row
    assert "72.97" in row
    assert "12" in row
    assert (tmp_path / "imagenet" / f"{MODEL}.csv").exists()

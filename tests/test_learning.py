"""Learning curves on data whose truth is known, and the blocks that a resumed fit reads back."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.fits.blocks import Done, RegionFit
from convrnns_brainscore.fits.correlation import nanmean, nanmedian
from convrnns_brainscore.fits.finished import FinishedBlocks
from convrnns_brainscore.fits.gram import gram_matrix
from convrnns_brainscore.fits.heldout import HeldOut, Method, held_out, predictor
from convrnns_brainscore.fits.learning import SHARES, extrapolated, training_parts
from convrnns_brainscore.fits.splits import make_splits


@given(st.integers(30, 200), st.booleans())
def test_parts_of_the_training_stimuli_are_nested_and_as_large_as_asked(
    stimuli: int, by_group: bool
) -> None:
    groups = [f"object {index // 3}" for index in range(stimuli)] if by_group else None
    splits, _ = make_splits(stimuli, 3, groups=groups)
    before = [set() for _ in splits]
    for share in SHARES:
        parts = training_parts(splits, share, groups)
        for split, part, smaller in zip(splits, parts, before, strict=True):
            assert smaller <= set(part.train) <= set(split.train)
            assert part.test.tolist() == split.test.tolist()
            spare = len(part.train) - round(share * len(split.train))
            assert 0 <= spare <= (2 if by_group else 0)
            if groups is not None:
                taken = {groups[index] for index in part.train}
                left = {groups[index] for index in set(split.train) - set(part.train)}
                assert not taken & left
        before = [set(part.train) for part in parts]


@pytest.mark.parametrize("exponent", [0.3, 0.5, 1.0])
def test_a_power_law_is_extrapolated_exactly(exponent: float) -> None:
    sizes = np.array([150, 300, 450, 600])

    def score(n):
        return 0.9 - 3 * n**-exponent / 150**-exponent / 6

    assert extrapolated(sizes, score(sizes), 1200) == pytest.approx(score(1200), abs=1e-6)


def test_an_extrapolation_keeps_within_what_is_possible() -> None:
    sizes = [100, 200, 300, 400]
    assert extrapolated(sizes, [0.5, 0.5, 0.5, 0.5], 800) == pytest.approx(0.5)
    assert np.isnan(extrapolated(sizes, [0.6, 0.55, 0.5, 0.45], 800))
    assert extrapolated(sizes, [0.51, 0.5, 0.49, 0.5], 800) == pytest.approx(0.5, abs=0.01)
    assert extrapolated(sizes, [0.4, 0.6, 0.75, 0.88], 800, highest=0.9) <= 0.9
    assert extrapolated(sizes, [0.8, 0.95, 1.01, 1.03], 800) == pytest.approx(1.03, abs=0.01)
    assert np.isnan(extrapolated(sizes, [np.nan, np.nan, 0.7, 0.8], 800))


def test_twice_the_stimuli_give_what_the_curve_says() -> None:
    """Neurons that read a few of many features of rapidly falling variance, as layers have them."""
    rng = np.random.default_rng(0)
    features = rng.standard_normal((600, 300)) * np.arange(1, 301) ** -0.6
    truth = features @ rng.standard_normal((300, 30))
    measured = truth + 0.5 * truth.std(axis=0) * rng.standard_normal(truth.shape)
    method = Method("ridge")

    def score(stimuli: int, share: float) -> tuple[float, float]:
        splits, _ = make_splits(stimuli, 5)
        parts = training_parts(splits, share)
        predict = predictor(method, gram_matrix([features[:stimuli]]))
        fitted = held_out(predict, measured[:stimuli, :, None], [], parts, method.needed)
        return len(parts[0].train), float(nanmean(nanmedian(fitted.r[..., 0], axis=1)))

    sizes, scores = zip(*(score(300, share) for share in (*SHARES, 1)), strict=True)
    _, with_more = score(600, 1)
    assert scores[-1] < with_more - 0.02
    assert extrapolated(sizes, scores, 2 * sizes[-1]) == pytest.approx(with_more, abs=0.02)


def some_done() -> Done:
    rng = np.random.default_rng(0)

    def fitted() -> HeldOut:
        found = HeldOut.undefined(4, 3, 2)
        found.r[:] = rng.random(found.r.shape)
        found.r[0, 0, 0] = np.nan
        found.notes[1] = "misses 2 responses: fitted separately – ‘é’"
        return found

    resampled = rng.random((2, 1, 500, 2), np.float32)
    return Done(
        [RegionFit("V4/é", (0, 3), fitted(), resampled)],
        {"IT": rng.random((4, 5))},
        {"IT": (rng.random((4, 2)), rng.random((4, 2)))},
        [None, fitted()],
    )


def test_a_finished_block_is_read_back_to_the_bit(tmp_path) -> None:
    finished, done = FinishedBlocks(tmp_path / "blocks", {}), some_done()
    assert len(finished) == 0
    assert finished.read("fit_bin 0") is None
    finished.keep("fit_bin 0", done)
    again = finished.read("fit_bin 0")
    assert again is not None
    assert len(finished) == 1
    for one, other in ((done.fits[0], again.fits[0]),):
        assert (one.region, one.bins) == (other.region, other.bins)
        assert one.resampled.tobytes() == other.resampled.tobytes()
        assert one.held_out.r.tobytes() == other.held_out.r.tobytes()
        assert one.held_out.notes.tolist() == other.held_out.notes.tolist()
    assert again.crossed["IT"].tobytes() == done.crossed["IT"].tobytes()
    assert again.chosen["IT"][1].tobytes() == done.chosen["IT"][1].tobytes()
    assert [part is None for part in again.learning] == [True, False]
    finished.remove()
    assert len(finished) == 0


@pytest.mark.parametrize("damage", ["flipped", "cut", "empty", "pickled"])
def test_a_damaged_block_counts_as_not_finished(damage: str, tmp_path, caplog) -> None:
    finished = FinishedBlocks(tmp_path, {})
    finished.keep("fit_bin 0", some_done())
    path = tmp_path / "fit_bin 0.npz"
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 8
    elif damage == "cut":
        content = content[: len(content) // 2]
    elif damage == "empty":
        content = bytearray()
    path.write_bytes(content)
    if damage == "pickled":
        np.savez(path, contents=np.array([{"code": "run"}], object))
    assert finished.read("fit_bin 0") is None
    assert "is fitted again" in caplog.text


@pytest.mark.parametrize("damaged", ["", "null", "[]"])
def test_blocks_of_other_weights_are_refused(damaged: str, tmp_path, caplog) -> None:
    folder, weights = tmp_path / "blocks", "weights_sha256"
    FinishedBlocks(folder, {weights: "a"}).check(tmp_path)  # there are none
    FinishedBlocks(folder, {weights: "a"}).keep("fit_bin 0", some_done())
    FinishedBlocks(folder, {weights: "a"}).check(tmp_path)
    with pytest.raises(ConvRNNError, match="was begun with"):
        FinishedBlocks(folder, {weights: "b"}).check(tmp_path)
    (folder / "made_by.json").write_text(damaged)
    FinishedBlocks(folder, {weights: "b"}).check(tmp_path)
    assert "its blocks are fitted again" in caplog.text
    assert not folder.exists()

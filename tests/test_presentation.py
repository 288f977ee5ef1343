from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from convrnns_brainscore import ConvRNNError, Presentation
from convrnns_brainscore.images import normalise
from convrnns_brainscore.timing import bins_of_steps


def test_models_are_shown_images_as_they_were_trained() -> None:
    shown = {
        name: (Presentation.default(name).times, Presentation.default(name).image_off)
        for name in ("rgc_shallow", "rgc_intermediate", "rgc_intermediate_t22_tmaxconf")
    }
    assert shown == {
        "rgc_shallow": (16, 12),
        "rgc_intermediate": (17, 12),
        "rgc_intermediate_t22_tmaxconf": (22, None),
    }
    assert (Presentation.neural().times, Presentation.neural().image_off) == (26, 10)


@given(times=st.integers(1, 60), image_off=st.integers(1, 60))
def test_the_image_is_on_until_it_goes_off(times: int, image_off: int) -> None:
    if image_off > times:
        with pytest.raises(ConvRNNError, match=f"image_off={image_off}"):
            Presentation.custom(times, image_off)
        return
    presentation = Presentation.custom(times, image_off)
    assert sum(presentation.image_is_on(step) for step in range(times)) == image_off


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"times": 0}, "at least one step"),
        ({"times": -3}, "at least one step"),
        ({"times": 2.5}, "whole number"),
        ({"times": True}, "whole number"),
        ({"times": 5, "image_off": 0}, "at least 1 and at most"),
        ({"times": 5, "image_off": 6}, "at least 1 and at most 5 steps"),
        ({"times": 5, "image_off": 2, "off": 128}, r"give an RGB triple such as \(128, 128, 128\)"),
        ({"times": 5, "image_off": 2, "off": (0, 0, 256)}, "RGB values lie in 0–255"),
        ({"times": 5, "image_off": 2, "off": (0.5, 0.5, 0.5)}, "lie in 0–255, not in 0–1"),
        ({"times": 5, "image_off": 2, "off": (1, 2)}, "one number"),
        ({"times": 5, "image_off": 2, "off": float("nan")}, "NaN"),
        ({"times": 5, "image_off": 2, "off": "nowhere.png"}, "no such image file: nowhere.png"),
        ({"times": 5, "image_off": 2, "off": np.zeros((9, 9, 3))}, "expected one number"),
        ({"times": 5, "image_off": 2, "off": [(1, 2), 3]}, "expected one number"),
        ({"times": 5, "image_off": 2, "off": np.ones((224, 224, 3), int)}, "uint8 or normalised"),
    ],
)
def test_impossible_presentations_are_refused(arguments: dict, message: str) -> None:
    with pytest.raises(ConvRNNError, match=message):
        Presentation.custom(**arguments)


def test_a_name_says_how_a_presentation_is_shown() -> None:
    with pytest.raises(ConvRNNError, match="Did you mean 'neural'"):
        Presentation("neutral", 26, 10)
    for name, shown in (("sequence", ()), ("custom", [("image", 100)])):
        with pytest.raises(ConvRNNError, match=r"use Presentation\.sequence"):
            Presentation(name, 10, 5, shown=shown)


def test_the_off_stimulus_may_be_a_number_a_colour_or_an_image(photographs) -> None:
    def frame(off: object) -> np.ndarray:
        return Presentation.custom(20, 5, off).fixed_frames[0]

    assert frame(0.5).shape == (1, 224, 224, 3)
    assert np.unique(frame(0.5)).tolist() == [0.5]  # of the normalised space, as in training
    np.testing.assert_array_equal(frame((128, 128, 128))[0, 0, 0], normalise([128, 128, 128]))
    mask = np.full((224, 224, 3), 7, np.uint8)
    np.testing.assert_array_equal(frame(mask), frame((7, 7, 7)))
    assert frame(photographs[0]).std() > 0.1


def test_a_mask_of_another_width_than_the_stimuli_is_noted(photographs) -> None:
    masked = Presentation.sequence([("image", 30), (photographs[0], 50)])
    (note,) = masked.mask_notes([5.0, 8.0])
    assert "fill 8 degrees" in note
    assert not masked.mask_notes([8.0])
    assert not Presentation.custom(20, 5).mask_notes([5.0])


def test_presentations_are_equal_where_they_show_the_same() -> None:
    assert Presentation.custom(20, 5, 0.5) == Presentation.custom(20, 5)
    assert Presentation.custom(20, 5, (0, 0, 0)) != Presentation.custom(20, 5)
    assert Presentation.custom(20, 5, 0.1234567) != Presentation.custom(20, 5, 0.1234568)
    assert Presentation.custom(26, 10) == Presentation.neural()
    assert len({Presentation.neural(), Presentation.neural(), Presentation.constant(26)}) == 2


def test_a_step_is_the_ten_milliseconds_that_begin_with_it() -> None:
    start, end = bins_of_steps(9, 12)
    assert start.tolist() == [90, 100, 110]
    assert end.tolist() == [100, 110, 120]

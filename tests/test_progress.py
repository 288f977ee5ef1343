"""Progress on a terminal and in a file, and the duration that is estimated beforehand."""

from __future__ import annotations

import io
import time

import pytest

from convrnns_brainscore import progress
from convrnns_brainscore.console import PlainConsole
from convrnns_brainscore.duration import Duration, feature_seconds
from convrnns_brainscore.zoo import find_model


@pytest.fixture
def often(monkeypatch) -> None:
    monkeypatch.setattr(progress, "EVERY", 0.02)


def output_of(console: PlainConsole, *, shown: bool = True) -> str:
    with progress.progress_bar(console, shown=shown) as bar:
        task = bar.add_task("conv5 [/odd]: fitting", total=4)
        for _ in range(4):
            time.sleep(0.03)
            bar.advance(task)
    return console.file.getvalue()


def test_a_file_gets_lines_that_say_how_far_it_is(often) -> None:
    lines = output_of(PlainConsole(file=io.StringIO())).splitlines()
    assert "conv5 [/odd]: fitting 0/4" in lines
    assert any(line.startswith("conv5 [/odd]: fitting 3/4, about 0:00:0") for line in lines)


def test_a_terminal_gets_a_bar_and_no_lines(often) -> None:
    console = PlainConsole(file=io.StringIO(), force_terminal=True, width=100)
    assert "fitting 3/4" not in output_of(console)


@pytest.mark.parametrize("console", [{"quiet": True}, {}])
def test_nothing_is_written_where_no_bar_is_shown(console, often) -> None:
    shown = bool(console)
    assert output_of(PlainConsole(file=io.StringIO(), **console), shown=shown) == ""


def test_features_take_longer_with_more_stimuli_steps_and_operations() -> None:
    small, large = find_model("timedecay_shallow"), find_model("rgc_shallow")
    assert feature_seconds(small, 200, 26) == pytest.approx(2 * feature_seconds(small, 100, 26))
    assert feature_seconds(small, 100, 13) == pytest.approx(feature_seconds(small, 100, 26) / 2)
    assert feature_seconds(large, 100, 26) > 10 * feature_seconds(small, 100, 26)


@pytest.mark.parametrize(
    ("features", "fits", "said"),
    [
        (0.2, 20, "20 s (features 1 s, fits 20 s)"),
        (300, 300, "10 min (features 5 min, fits 5 min)"),
        (7200, None, "2.0 h for the features; the fits are not estimated"),
    ],
)
def test_a_duration_is_rounded(features: float, fits: float | None, said: str) -> None:
    assert str(Duration(features, fits)) == said

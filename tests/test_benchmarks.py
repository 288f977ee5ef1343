"""Brain-Score's benchmarks by name."""

from __future__ import annotations

import brainscore_vision
import pytest
from brainscore_vision.benchmark_helpers import memory

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.brainscore.benchmarks import (
    LI2026_TEMPORAL,
    TEMPORAL_BINS,
    find_benchmark,
    list_benchmarks,
)
from convrnns_brainscore.brainscore.memory import needed_memory
from convrnns_brainscore.brainscore.stimulus_durations import by_identifier


def test_all_temporal_benchmarks_come_first() -> None:
    temporal = [one.name for one in list_benchmarks().values() if one.bins > 1]
    assert set(temporal) == set(TEMPORAL_BINS)
    assert list(list_benchmarks())[: len(temporal)] == temporal
    li2026 = find_benchmark("Li2026.V2-temporal-pls")
    assert (li2026.bins, li2026.window, li2026.shown.image_ms) == (30, (0, 300), 150)
    kar2019 = find_benchmark("Kar2019-ost")
    assert (kar2019.bins, kar2019.region, kar2019.shown.image_ms) == (18, "IT", 100)
    majaj = find_benchmark("MajajHong2015public.IT-temporal-pls")
    assert (majaj.bins, majaj.window) == (29, (0, 290))


def test_every_literal_registration_of_brain_score_is_listed() -> None:
    listed = list_benchmarks()
    assert len(listed) > 250
    for name in ("MajajHong2015public.IT-pls", "FreemanZiemba2013.V1-pls", "ImageNet-top1"):
        assert name in listed
    assert find_benchmark("MajajHong2015public.IT-pls").public is True
    assert find_benchmark("MajajHong2015.IT-pls").public is False
    assert find_benchmark("Rajalingham2018-i2n").kind == "behavioural"
    assert not any(name in brainscore_vision.benchmark_registry for name in LI2026_TEMPORAL)


def test_a_benchmark_of_another_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConvRNNError, match=r"Did you mean 'Kar2019-ost'"):
        find_benchmark("Kar2019-osd")


def test_how_long_images_were_on_is_known_or_said_to_be_assumed() -> None:
    for name, words in (
        ("Kar2019-ost", "100 ms"),
        ("Li2026.V1-rdm", "150 ms"),
        ("Allen2022_fmri.IT-ridge", "3000 ms"),
        ("Sanghavi2020.IT-pls", "assumed 100 ms"),
        ("Marques2020_Cavanaugh2002-surround_diameter", "assumed throughout"),
        ("Bracci2019.anteriorVTC-rdm", "assumed 100 ms"),
    ):
        assert find_benchmark(name).shown.in_words == words
    assert by_identifier("Marques2020_size").in_words == "assumed throughout"


def test_the_memory_asked_for_is_that_of_the_recording_and_the_metrics_copies() -> None:
    """Kar2019 with 8192 neuroids: less than Brain-Score's own estimate, which squares the bins."""
    ours = needed_memory(1320, 8192, 18, "ost")
    recording = 1320 * 8192 * 18 * 4
    assert recording < ours < 10 * recording
    theirs = recording * 18 * memory._PLS_OVERHEAD_FACTOR
    assert needed_memory(1320, 8192, 18, "spantime_pls") < theirs

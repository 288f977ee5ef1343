"""What this package relies on in Brain-Score and Brain-Score does not promise."""

from __future__ import annotations

import inspect
import os

import brainscore_vision
import pytest
from brainscore_vision.benchmark_helpers import screen
from brainscore_vision.benchmarks.kar2019 import benchmark as kar2019
from brainscore_vision.utils import LazyLoad

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.benchmarks import loading_data


def test_each_says_where_it_was_read() -> None:
    for name, function in inspect.getmembers(internals, inspect.isfunction):
        if function.__module__ == internals.__name__ and not name.startswith(("_", "set_")):
            text = function.__doc__ or ""
            assert "2.4.2" in text or "2.5.0" in text or name in ("failed_data", "quieten"), name


def test_an_error_of_loading_data_names_the_data_set_and_no_other_error_does(monkeypatch) -> None:
    def missing() -> None:
        raise OSError("no network")

    monkeypatch.setitem(brainscore_vision.data_registry, "Lab2030", missing)
    monkeypatch.setattr(brainscore_vision, "import_plugin", lambda *_, **__: None)
    internals.name_failed_data()
    internals.name_failed_data()  # once is enough
    for load in (brainscore_vision.load_dataset, kar2019.load_dataset):  # imported before
        named = pytest.raises(ConvRNNError, match=r"data set Lab2030, .* \(OSError: no network\)")
        with named, loading_data("Lab2030-pls"):
            load("Lab2030")
    with pytest.raises(OSError, match="the disk is full"), loading_data("Lab2030-pls"):
        raise OSError("the disk is full")


def test_switches_are_put_back(monkeypatch) -> None:
    monkeypatch.setenv("RESULTCACHING_DISABLE", "mine")
    monkeypatch.delenv("BS_INSTALL_DEPENDENCIES", raising=False)
    before = screen.root_path
    with internals.without_unsafe_stores(), internals.no_installing():
        assert os.environ["RESULTCACHING_DISABLE"] == "mine,brainscore_vision"
        assert os.environ["BS_INSTALL_DEPENDENCIES"] == "no"
        assert screen.root_path != before
        own = screen.root_path
    assert screen.root_path == before
    assert not own.exists()
    assert os.environ["RESULTCACHING_DISABLE"] == "mine"
    assert "BS_INSTALL_DEPENDENCIES" not in os.environ


def test_what_is_loaded_late_is_loaded() -> None:
    assert internals.loaded(LazyLoad(lambda: 7)) == 7
    assert internals.loaded(8) == 8

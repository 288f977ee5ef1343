"""Every registered benchmark of Brain-Score, run with a model on synthetic stimuli."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from convrnns_brainscore import ConvRNNError
from convrnns_brainscore.brainscore.activations import Rows
from convrnns_brainscore.brainscore.benchmarks import (
    LI2026_TEMPORAL,
    list_benchmarks,
    load_benchmark,
    matching_benchmarks,
    one_of_each_family,
)
from convrnns_brainscore.brainscore.brain_model import TemporalBrainModel
from convrnns_brainscore.brainscore.plan import make_plan
from convrnns_brainscore.brainscore.trial import FAILS, FAILS_FOR_ALL, SCORES
from convrnns_brainscore.brainscore.trial.data import made_data
from convrnns_brainscore.brainscore.trial.families import UNPROJECTED
from convrnns_brainscore.brainscore.trial.sweep import Trial, sweep
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.report.tables import benchmark_list, wide_console
from convrnns_brainscore.report.trials import write_trials

ODD = (
    "Zerbe2026_fmri.IT-tau-ridgecv",  # asks for an instant, (0, 0)
    "Gifford2022.IT-ridge",  # bins in seconds
    "Malania2007.short2-threshold_elevation",  # variance over trials
    "Islam2021-shape_v4_dimensionality",  # a single bin without its dimension
    "Kato2026Sil-error_consistency",  # aggregation='max'
    "Hebart2023-match",  # rows that repeat
)


@pytest.fixture(scope="module")
def trials(network: ConvRNN) -> dict[str, Trial]:
    found = [next(one.name for one in matching_benchmarks(name)) for name in ODD]
    return {trial.name: trial for trial in sweep(lambda _: TemporalBrainModel(network), found)}


def test_what_benchmarks_ask_for_is_answered(trials: dict[str, Trial]) -> None:
    assert {name: trial.reason for name, trial in trials.items() if trial.outcome != SCORES} == {}
    instant, seconds, varied, *_ = trials.values()
    assert "time_bins=[(0, 0)]" in instant.requests[0]
    assert instant.shown == "2500 ms"
    assert "(0.0, 0.6" in seconds.requests[0]
    assert seconds.shown == "100 ms"
    assert "require_variance=True" in varied.requests[1]


def test_what_is_imported_meanwhile_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """PyTorch's modules cannot be imported a second time."""
    monkeypatch.delitem(sys.modules, "this", raising=False)
    with made_data():
        importlib.import_module("this")
        assert "laion_fmri.splits" in sys.modules
    assert "this" in sys.modules
    assert "laion_fmri" not in sys.modules


def test_the_list_of_benchmarks_shows_whole_names(capsys) -> None:
    listed = list(matching_benchmarks("*"))
    wide_console(200).print(benchmark_list(listed, "timedecay_shallow", rate=100))
    said = capsys.readouterr().out
    assert "…" not in said
    assert [one.name for one in listed if one.name not in said] == []


def test_whose_doing_it_is_is_told(network: ConvRNN, capsys) -> None:
    class Silent(TemporalBrainModel):
        def look_at(self, *arguments: object, **options: object) -> object:
            raise ConvRNNError("says nothing")

    trials = []
    for each in sweep(lambda _: Silent(network), ["Cadena2017-pls"]):
        print("heard")
        trials.append(each)
    (trial,) = trials
    assert capsys.readouterr().out == "heard\n"
    assert trial.outcome == FAILS
    assert trial.reason == "ConvRNNError in the model's answer: says nothing"


def test_dissimilarities_of_a_region_have_no_time_bins(network: ConvRNN) -> None:
    name = "tong.Coggan2024_fMRI.V1-rdm"
    with made_data():
        plan = make_plan(network, name, load_benchmark(name))
    assert plan.experiment.region == "V1"
    assert plan.time_bins == ()


def test_tables_name_benchmark_presentation_and_reason(
    trials: dict[str, Trial], tmp_path: Path
) -> None:
    for name in ("table.md", "table.csv"):
        write_trials(list(trials.values()), tmp_path / name)
        text = (tmp_path / name).read_text()
        assert all(trial in text for trial in trials)
        assert "2500 ms" in text
        assert "takes neuroids for presentations" in text


def test_benchmarks_are_chosen_by_pattern() -> None:
    assert len(one_of_each_family()) == 36
    assert not set(one_of_each_family()) & set(LI2026_TEMPORAL)
    assert {one.region for one in matching_benchmarks("Papale2025*V4*")} == {"V4"}
    assert {one.region for one in matching_benchmarks("papale2025*v4*")} == {"V4"}
    with pytest.raises(ConvRNNError, match=r"no benchmark matches 'Papale\*V9'"):
        matching_benchmarks("Papale*V9")
    with pytest.raises(ConvRNNError, match="unknown benchmark 'Papale2035'"):
        matching_benchmarks("Papale2035")


def registered() -> Sequence[str]:
    return [name for name in list_benchmarks() if name not in LI2026_TEMPORAL]


@pytest.mark.slow
def test_all_registered_benchmarks_are_answered(network: ConvRNN) -> None:
    names = registered()
    assert len(names) == 289
    rows = Rows()

    def subject(name: str) -> TemporalBrainModel:
        neuroids = None if re.fullmatch(UNPROJECTED, name) else 500
        brain = TemporalBrainModel(network, max_neuroids=neuroids)
        brain.keep(rows)
        return brain

    outcomes = list(sweep(subject, names))
    failing = {each.name: each.outcome for each in outcomes if each.outcome != SCORES}
    assert failing in ({}, {"Malania2007.vernieracuity-threshold": FAILS_FOR_ALL})


@pytest.mark.slow
def test_all_registered_benchmarks_are_planned(network: ConvRNN) -> None:
    """`convrnns score` reads a benchmark before it runs it."""
    failing = {}
    with made_data():
        for name in registered():
            try:
                assert make_plan(network, name, load_benchmark(name)).made_by
            except Exception as error:
                failing[name] = repr(error)
    assert failing == {}

"""The commands around scores, as a user types them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from brainscore_core.metrics import Score
from rich.console import Console

from convrnns_brainscore import ConvRNNError, cli
from convrnns_brainscore.brainscore import scoring
from convrnns_brainscore.brainscore.scoring import Result, as_record
from convrnns_brainscore.brainscore.summary import summarise
from convrnns_brainscore.provenance import read_provenance
from convrnns_brainscore.report.score_figures import draw_scores
from convrnns_brainscore.report.tables import number, score_table, write_scores

MADE_BY = {"model": "gru_shallow", "weights": "untrained, seed 1", "lesion": "none"}
RANDOM = ["score", "rgc_shallow", "Kar2019-ost", "--weights", "random"]
BINS = [(start, start + 10) for start in range(30, 70, 10)]


def run(*arguments: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "convrnns_brainscore.cli", *arguments]
    environment = {**os.environ, "COLUMNS": "120"}
    return subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )


def records() -> list[dict]:
    raw, ceiling = np.array([0.1, -0.3, np.nan, 0.9]), np.array([0.02, 0.5, 0.6, 0.6])
    given = Score(raw**2 / ceiling, attrs={"raw": Score(raw), "ceiling": Score(ceiling)})
    summary = summarise(given, BINS)
    return [as_record(Result("convrnn_gru_shallow-untrained-seed1", "x", summary, MADE_BY, given))]


def test_the_table_shows_signs_and_marks_what_is_above_one(tmp_path: Path) -> None:
    console = Console(record=True, width=120)
    above = json.loads(json.dumps(records()[0]))
    above["ceiled"] = 1.35
    score_table([records()[0], above], console)
    shown = console.export_text()
    assert "untrained, seed 1" in shown
    assert "1.35 >1" in shown
    assert "2/4" in shown
    assert "sign(r)·r²/ceiling" in shown
    write_scores([records()[0], above], tmp_path / "scores.csv")
    assert "model,benchmark,raw" in (tmp_path / "scores.csv").read_text()
    assert number(None) == number(float("nan")) == "–"
    assert number(-0.304) == "-0.30"


def test_the_figure_is_drawn_with_gaps_where_it_is_undefined(tmp_path: Path) -> None:
    draw_scores(records(), tmp_path / "score.svg")
    drawn = (tmp_path / "score.svg").read_text()
    assert drawn.startswith("<?xml")


def test_benchmarks_are_listed(tmp_path: Path) -> None:
    told = run("benchmarks", "--temporal", "--model", "gru_shallow", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    shown = told.stdout.replace("\n", "")
    for part in ("Kar2019-ost", "150 ms", "18: 70–250 ms", "1000", "min"):
        assert part in shown, part
    assert not told.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["score", "rgc_shallow", "MajajHong2015public.IT-plss"], "Did you mean"),
        (["score", "rgc_shalow", "Kar2019-ost"], "unknown model"),
        (["score", "rgc_shallow", "Kar2019-ost"], "no weights for rgc_shallow"),
        (
            [
                "score",
                "rgc_shallow",
                "Kar2019-ost",
                "--weights",
                "random",
                "--region-layer-map",
                "absent.json",
            ],
            "cannot read the region map absent.json",
        ),
        (["describe", "absent.nc"], "absent.nc does not exist"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(
    tmp_path: Path, arguments: list[str], message: str
) -> None:
    told = run(*arguments, folder=tmp_path)
    assert told.returncode == 2
    assert message in told.stderr
    assert told.stderr.count("\n") == 1, told.stderr
    assert not any(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--frame", "image:100", "--image-ms", "100"], "give either --image-ms or your own"),
        (["--frame", "image:100", "--off", "0"], "--frame states the whole presentation"),
        (["--off", "0"], "--times and --off need --image-off or --presentation"),
    ],
)
def test_a_sequence_of_frames_is_a_presentation_of_its_own(
    convrnns, arguments: list[str], message: str
) -> None:
    """Its other presentations are said to be too many; by itself it is taken."""
    asked = ["rgc_shallow,gru_shallow", "Kar2019-ost", "--weights", "random", *arguments]
    assert message in convrnns("score", *asked, code=2)


def test_without_network_the_missing_data_set_is_named_and_others_go_on(tmp_path: Path) -> None:
    told = run(
        *["score", "timedecay_shallow,gru_shallow", "Kar2019-ost", "--weights", "random"],
        folder=tmp_path,
    )
    assert told.returncode == 2
    lines = told.stderr.strip().splitlines()
    assert len(lines) == 3, told.stderr
    assert "timedecay_shallow on Kar2019-ost" in lines[0]
    assert "data set Kar2019, which cannot be fetched here" in lines[0]
    assert "gru_shallow on Kar2019-ost" in lines[1]
    assert lines[2] == "convrnns: 2 of 2 scores failed."


def test_a_bug_does_not_look_like_a_mistake_of_the_user(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    def broken(self) -> None:
        raise ZeroDivisionError("somewhere deep")

    (tmp_path / "IT.nc").write_text("never read")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(scoring, "package_benchmark", lambda *_: broken(None))
    with pytest.raises(SystemExit) as ended:
        cli.main(["score", "timedecay_shallow", "IT.nc", "--weights", "random"])
    assert ended.value.code == 1
    told = capsys.readouterr().err.splitlines()
    assert told[0] == "convrnns: timedecay_shallow on IT.nc: ZeroDivisionError: somewhere deep"
    assert "internal errors" in told[1]
    log = (tmp_path / "scores" / "failures.log").read_text()
    assert "in broken" in log


def test_describe_tells_what_made_a_file(tmp_path: Path) -> None:
    path = tmp_path / "score.json"
    path.write_text(json.dumps({"made_by": {**MADE_BY, "convrnns_brainscore": "0.1.0"}}))
    told = run("describe", str(path), folder=tmp_path)
    assert "weights: untrained, seed 1" in told.stdout.splitlines()
    foreign = tmp_path / "foreign.json"
    foreign.write_text("[1]")
    with pytest.raises(ConvRNNError, match="has no record of how it was computed"):
        read_provenance(foreign)
    (tmp_path / "broken.nc").write_text("no netCDF")
    with pytest.raises(ConvRNNError, match=r"cannot read .*broken\.nc"):
        read_provenance(tmp_path / "broken.nc")

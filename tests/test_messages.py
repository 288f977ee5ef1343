"""What people read: errors, logs, and which of the two speaks of parameters or of options."""

from __future__ import annotations

import logging
import subprocess
import sys
from collections.abc import Callable

import pytest

from convrnns_brainscore import ConvRNNError, cli, zoo
from convrnns_brainscore._version import __version__
from convrnns_brainscore.choices import SolverName, parse_choice
from convrnns_brainscore.cli.messages import as_options
from convrnns_brainscore.networks import backbones


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("Give `components=12` or fewer.", "Give --components 12 or fewer."),
        ("Give `stratify='none'`.", "Give --stratify none."),
        ("another `out=…`, or", "another --out, or"),
        ("`locations={'TE': 'IT'}`", "--location 'TE=IT'"),
        ("`window=(70, 170)`", "--window 70 170"),
        ("give `region=…` if", "give --regions if"),
        ("`convrnns models` lists them", "`convrnns models` lists them"),
    ],
)
def test_the_command_line_shows_parameters_as_options(message: str, shown: str) -> None:
    assert as_options(message) == shown


def test_an_error_names_the_parameters_that_it_is_about() -> None:
    error = ConvRNNError("too few: give `components=3`, or `method='ridge'`.")
    assert error.parameters == ("components", "method")
    with pytest.raises(ConvRNNError) as raised:
        backbones.reported_steps(zoo.find_model("rgc_shallow"), "conv5", times=3)
    assert raised.value.parameters == ("times",)


def test_a_choice_is_a_string_or_a_member() -> None:
    assert parse_choice("solver", SolverName.exact, SolverName) is SolverName.exact
    assert parse_choice("solver", "exact", SolverName) == "exact"
    with pytest.raises(ConvRNNError, match=r"unknown solver 'exac'. Did you mean 'exact'\?"):
        parse_choice("solver", "exac", SolverName)


@pytest.fixture
def switched_back():
    log = logging.getLogger("convrnns_brainscore")
    handlers, level = list(log.handlers), log.level
    yield
    log.handlers[:], log.level = handlers, level


def told(arguments: list[str], capsys) -> tuple[int, str]:
    with pytest.raises(SystemExit) as ended:
        cli.main(arguments)
    return ended.value.code, capsys.readouterr().err


def test_debug_shows_where_an_error_comes_from(capsys, switched_back) -> None:
    command = ["extract", "rgc_shallow", "absent.png", "--layers", "conv5", "--out", "f.zarr"]
    code, quiet = told(command, capsys)
    assert code == 2
    assert quiet.count("\n") == 1
    code, loud = told([*command, "--debug"], capsys)  # in any place
    assert code == 2
    assert "Traceback" in loud
    assert loud.endswith(quiet)


def test_the_library_is_silent_and_verbose_tells_what_it_leaves_out(
    tmp_path, photographs, capsys, switched_back
) -> None:
    (tmp_path / "notes.txt").write_text("no image")
    (tmp_path / "one.png").write_bytes(photographs[0].read_bytes())
    command = ["extract", "rgc_shallow", str(tmp_path), "--layers", "no", "--out", "f.zarr"]
    _, quiet = told(command, capsys)
    assert "excluded" not in quiet
    _, loud = told(["--verbose", *command], capsys)
    assert f"1 of {tmp_path} are not images by their names: excluded" in loud


def test_an_application_that_sets_nothing_up_reads_nothing() -> None:
    code = "import logging, convrnns_brainscore as c; logging.getLogger(c.__name__).error('loud')"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not ended.stderr


def test_figures_are_drawn_without_tensorflow() -> None:
    code = (
        "import sys, convrnns_brainscore.report.fit_figures, convrnns_brainscore.fits.results_file;"
        "print(sorted({'keras', 'tensorflow', 'torch'} & set(sys.modules)))"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"


def test_the_version_is_printed(convrnns: Callable[..., str]) -> None:
    assert convrnns("--version").strip() == __version__

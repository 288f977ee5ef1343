"""Check a submission as the server would, and further."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from convrnns_brainscore.brainscore import trial
from convrnns_brainscore.brainscore.benchmarks import one_of_each_family
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.requirements import brain_score_folder
from convrnns_brainscore.submission import probe
from convrnns_brainscore.submission.archive import read_archive, unpack
from convrnns_brainscore.submission.build import CODE, SETTINGS
from convrnns_brainscore.submission.checks import check_plugin
from convrnns_brainscore.submission.checks.layout import find_plugins
from convrnns_brainscore.submission.environment import Environment, make_environment
from convrnns_brainscore.submission.findings import Finding, Findings
from convrnns_brainscore.submission.plugin import SERVERS_PYTHON, Plugin

ANNOUNCEMENT = (
    "Brain-Score removed its TensorFlow and Keras wrappers in 2.1 (github.com/brain-score/vision, "
    "pull request 1199) and announced PyTorch only; plugins of TensorFlow have failed on the "
    "server before (issues 522, 526). Ask the maintainers in an issue there before you submit one."
)

_MAKE_WEIGHTS = """
import sys
from pathlib import Path
code, out, *names = sys.argv[1:]
sys.path.insert(0, code)
from convrnns_brainscore.checkpoints import write_safetensors
from convrnns_brainscore.networks.build import variable_shapes
from convrnns_brainscore.weights import load_weights
from convrnns_brainscore.zoo import find_model
for name in names:
    model = find_model(name)
    values = load_weights(model, variable_shapes(model), weights="random").values
    write_safetensors(Path(out) / f"{name}.safetensors", name, values)
"""

Say = Callable[[str], None]


def check(
    path: Path,
    *,
    random_weights: bool = False,
    environment: Path | None = None,
    say: Say = lambda _: None,
) -> Findings:
    """Check a zip: its files, and, where these are in order, in an environment of its own.

    Parameters
    ----------
    path : path
        The zip.
    random_weights : bool, default False
        Untrained weights from this machine stand in for those that the server would fetch; what
        follows from that is said.
    environment : path, optional
        A folder to make the environment in, and to keep it for the next check; None: one that is
        removed at the end.
    say : callable, default lambda _: None
        Is told what is being done.

    Raises
    ------
    ConvRNNError
        There is no such file, or no environment can be made.
    """
    if path.is_dir():
        raise ConvRNNError(f"{path} is a folder: give the zip file.")
    if not path.is_file():
        raise ConvRNNError(f"there is no file {path}.")
    findings = Findings()
    files = read_archive(path, findings)
    plugins = find_plugins(files, findings) if files else []
    for plugin in plugins:
        check_plugin(plugin, brain_score_folder() / "models", findings)
    if sys.version_info[:2] != SERVERS_PYTHON:
        here, there = (".".join(map(str, v)) for v in (sys.version_info[:2], SERVERS_PYTHON))
        findings.unchecked(
            "Python", f"this machine has Python {here}, and the server {there}, which is not tried."
        )
    names = [name for plugin in plugins for name in plugin.identifiers]
    for name in sorted({each for each in names if names.count(each) > 1}):
        findings.fail("names", f"{name} is registered by several plugins of this zip.")
    if findings.failed:
        findings.unchecked("running", "no model was loaded: fix the findings above first.")
        return findings
    with TemporaryDirectory() as scratch:
        say("creating an environment like the server's (several GB, takes minutes)")
        made = make_environment(environment or Path(scratch) / "environment")
        for plugin in plugins:
            with _in_brain_score(made, plugin) as folder:
                _run(made, plugin, folder, random_weights, Path(scratch), findings, say)
    if any("tensorflow" in (plugin.text("requirements.txt") or "") for plugin in plugins):
        findings.note("TensorFlow", ANNOUNCEMENT)
    return findings


@contextmanager
def _in_brain_score(environment: Environment, plugin: Plugin) -> Iterator[Path]:
    """The plugin among the environment's model plugins."""
    folder = environment.brain_score / "models" / plugin.name
    shutil.rmtree(folder, ignore_errors=True)
    try:
        unpack(dict(plugin.files), folder)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _run(
    environment: Environment,
    plugin: Plugin,
    folder: Path,
    random_weights: bool,
    scratch: Path,
    findings: Findings,
    say: Say,
) -> None:
    """Install a plugin, and run Brain-Score's tests, the plugin's own, and ours."""
    say(f"{plugin.name}: installing what it needs")
    if (folder / "environment.yml").exists():
        findings.unchecked(
            "installing",
            f"{plugin.name}: environment.yml is read only by the server's conda; it is not used "
            "here.",
        )
    for arguments in (
        [str(folder)] if (folder / "setup.py").exists() else [],
        ["-r", str(folder / "requirements.txt")] if (folder / "requirements.txt").exists() else [],
    ):
        told = environment.install(*arguments) if arguments else None
        if told and not told.ok:
            findings.fail("installing", f"{plugin.name}: {told.last_line}")
            return
    conflicts = environment.conflicts()
    if conflicts:
        cure = (
            "add a bound to requirements.txt, the only requirements that the server's pip considers"
        )
        findings.fail("installing", f"{plugin.name}: {conflicts[0].rstrip('.')}: {cure}.")
        return
    told = environment.run("-c", "import brainscore_vision, numpy; print(numpy.__version__)")
    if not told.ok:
        findings.fail(
            "installing",
            f"{plugin.name}: Brain-Score cannot be imported any more: {told.last_line}",
        )
        return
    findings.passed("installing", f"{plugin.name}, beside Brain-Score and numpy {told.last_line}")
    cache = scratch / f"cache of {plugin.name}"
    variables = {
        "CONVRNNS_CHECKPOINTS": str(cache / "checkpoints"),
        "RESULTCACHING_HOME": str(cache / "results"),
    }
    with _stand_in(environment, plugin, folder, random_weights, cache, findings, say) as ready:
        if not ready:
            return
        generic = environment.brain_score / "model_helpers" / "generic_plugin_tests.py"
        say(f"{plugin.name}: Brain-Score's generic plugin tests")
        _tests(
            "generic tests", environment, findings, variables,
            str(generic), "--plugin_directory", str(folder),
        )  # fmt: skip
        say(f"{plugin.name}: its own tests")
        _tests("plugin's tests", environment, findings, variables, str(folder / "test.py"))
        say(f"{plugin.name}: each model over time, and loaded again")
        told = environment.run(Path(probe.__file__), plugin.name, *plugin.identifiers, **variables)
        lines = [line for line in told.text.splitlines() if line.startswith('{"check"')]
        findings.found += [Finding(**json.loads(line)) for line in lines]
        if not told.ok or not lines:
            findings.fail("model", f"{plugin.name}: the process ended: {told.last_line}")
        if plugin.identifiers:
            say(f"{plugin.name}: a benchmark of each family, on synthetic stimuli")
            _benchmarks(plugin, environment, findings, variables)


_SWEEP = """
import dataclasses, json, re, sys
import brainscore_vision
model = brainscore_vision.load_model(sys.argv[2])  # before anything else named `trial`
sys.path.append(sys.argv[1])
from trial.families import UNPROJECTED
from trial.sweep import sweep
hooks = []
def subject(name):
    while hooks:
        hooks.pop().remove()
    if hasattr(model, "keep") and not model.max_neuroids and not re.fullmatch(UNPROJECTED, name):
        from convrnns_brainscore.brainscore.projection import random_projection
        few = random_projection("trial", 500)
        hooks.append(model.activations_model.register_batch_activations_hook(few))
    return model
if hasattr(model, "keep"):
    from convrnns_brainscore.brainscore.activations import Rows
    model.keep(Rows())
for trial in sweep(subject, json.loads(sys.argv[3])):
    print("trial", json.dumps(dataclasses.asdict(trial)), flush=True)
"""
"""Of another plugin's model, all features are taken."""


def _benchmarks(
    plugin: Plugin, environment: Environment, findings: Findings, variables: dict[str, str]
) -> None:
    """Put the requests of a benchmark of each family to the first of the plugin's models."""
    identifier, names = plugin.identifiers[0], one_of_each_family()
    folder = Path(trial.__file__).parents[1]
    told = environment.run("-c", _SWEEP, folder, identifier, json.dumps(names), **variables)
    tried = [json.loads(line[6:]) for line in told.text.splitlines() if line.startswith("trial ")]
    if not told.ok or len(tried) < len(names):
        findings.fail("benchmarks", f"{identifier}: the process ended: {told.last_line}")
        return
    for each in tried:
        if each["outcome"] != trial.SCORES:
            tell = findings.fail if each["outcome"] == trial.FAILS else findings.note
            tell("benchmarks", f"{identifier} on {each['name']}: {each['reason']}")
    scored = sum(each["outcome"] == trial.SCORES for each in tried)
    failed = any(each["outcome"] == trial.FAILS for each in tried)
    tell = findings.note if failed else findings.passed
    tell(
        "benchmarks",
        f"{identifier} scores on {scored} of {len(tried)} benchmarks, one of each family, with "
        "synthetic stimuli in place of their data",
    )


def _tests(
    check: str,
    environment: Environment,
    findings: Findings,
    variables: dict[str, str],
    *arguments: str,
) -> None:
    """Run pytest as the server does; each failure is a finding."""
    told = environment.run(
        "-m",
        "pytest",
        "-q",
        "-m",
        "not slow",
        "-rfE",
        "-p",
        "no:cacheprovider",
        *arguments,
        **variables,
    )
    if told.ok:
        findings.passed(check, told.last_line.strip("= "))
        return
    failed = re.findall(r"^(?:FAILED|ERROR) (?:\S*/)?(\S+\.py.*)$", told.text, re.MULTILINE)
    reasons = re.findall(r"^E +(\S.*)$", told.text, re.MULTILINE)
    for line in failed or [told.last_line]:
        reason = f" - {reasons[-1]}" if reasons and " - " not in line else ""
        findings.fail(check, line + reason)


@contextmanager
def _stand_in(
    environment: Environment,
    plugin: Plugin,
    folder: Path,
    wanted: bool,
    cache: Path,
    findings: Findings,
    say: Say,
) -> Iterator[bool]:
    """Have the plugin fetch random weights from this machine, if wanted; whether it can be run."""
    if not wanted:
        yield True
        return
    settings = plugin.settings
    if settings is None:
        findings.fail(
            "weights",
            f"{plugin.name} has no {SETTINGS}: random weights cannot stand in for its own.",
        )
        yield False
        return
    say(f"{plugin.name}: random weights")
    served = cache / "served"
    served.mkdir(parents=True)
    names = sorted({meant["model"] for meant in settings["models"].values()})
    told = environment.run("-c", _MAKE_WEIGHTS, folder / CODE, served, *names)
    if not told.ok:
        findings.fail("model", f"{plugin.name}: no network can be made: {told.last_line}")
        yield False
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(served)))
    Thread(target=server.serve_forever, daemon=True).start()
    for meant in settings["models"].values():
        file = served / f"{meant['model']}.safetensors"
        meant["weights"] = {
            "url": f"http://127.0.0.1:{server.server_port}/{file.name}",
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
        }
    (folder / SETTINGS).write_text(json.dumps(settings), encoding="utf-8")
    findings.unchecked(
        "weights", f"{plugin.name}: its weights were not fetched; random ones stood in for them."
    )
    try:
        yield True
    finally:
        server.shutdown()
        server.server_close()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *arguments: object) -> None:
        """Nothing: the report has what matters."""

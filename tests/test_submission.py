"""Submissions: built reproducibly, and refused where the server would."""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import stat
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from functools import cache, partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import SimpleNamespace

import numpy as np
import pytest
import xarray as xr
import yaml

from convrnns_brainscore import ConvRNNError, load_brain_model, load_network, submission
from convrnns_brainscore.brainscore import trial
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.brainscore.benchmarks import one_of_each_family
from convrnns_brainscore.brainscore.packages import write_package
from convrnns_brainscore.checkpoints import write_safetensors
from convrnns_brainscore.cli import main
from convrnns_brainscore.objects92 import load_objects92
from convrnns_brainscore.recordings import as_recording
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.requirements import brain_score_folder
from convrnns_brainscore.submission import checks
from convrnns_brainscore.submission.archive import LARGEST, MOST_FILES, read_archive
from convrnns_brainscore.submission.build import (
    StoredWeights,
    WeightsAddress,
    build,
    needed_code,
    submission_files,
)
from convrnns_brainscore.submission.check import ANNOUNCEMENT, _benchmarks, check
from convrnns_brainscore.submission.checks import check_plugin
from convrnns_brainscore.submission.checks.layout import find_plugins
from convrnns_brainscore.submission.environment import Environment, Told, make_environment
from convrnns_brainscore.submission.findings import Findings
from convrnns_brainscore.submission.plugin import Plugin
from convrnns_brainscore.zoo import find_model

MODEL, IDENTIFIER = "timedecay_shallow", "convrnn_timedecay_shallow"
PLUGIN = "models/convrnns"
DIGEST = "0" * 64

Files = dict[str, bytes]


def built(models: Sequence[str] = (MODEL,), **options) -> Files:
    defaults = {"backend": "tensorflow", "suffix": "", "region_layer_map": None, "weights": {}}
    files = submission_files(models, **{**defaults, "metadata": False, **options})
    return {name: text.encode() for name, text in files.items()}


def zipped(
    files: Files, path: Path, change: Callable[[zipfile.ZipInfo], None] | None = None
) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = 0o100644 << 16
            if change:
                change(entry)
            archive.writestr(entry, content)
    return path


def looked_at(path: Path) -> Findings:
    """All that is found without running anything."""
    findings = Findings()
    for plugin in find_plugins(files, findings) if (files := read_archive(path, findings)) else []:
        check_plugin(plugin, brain_score_folder() / "models", findings)
    return findings


@pytest.fixture(scope="module", autouse=True)
def parsed_once() -> Iterator[None]:
    """Nearly all plugins here hold the same code."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(submission.plugin, "_parse", cache(submission.plugin._parse))
        yield


def said(findings: Findings, status: str) -> list[str]:
    return [each.message for each in findings.found if each.status == status]


def test_a_submission_holds_all_that_its_code_imports() -> None:
    code = needed_code("tensorflow")
    assert "convrnns_brainscore/networks/cells.py" in code
    of_tensorflow = {name for name in code if "/tensorflow_" in name}
    assert code.keys() - needed_code("torch").keys() == of_tensorflow
    extraction = {"features.py", "stores.py", "cluster.py", "netcdf.py"}
    parts = {name.split("/")[1] for name in code}
    assert not parts & {"fits", "report", "cli", "submission", *extraction}
    assert sum(map(len, code.values())) < 430_000  # or an import brings in too much


def test_its_code_comes_with_its_licence() -> None:
    licence = (Path(__file__).parents[1] / "LICENSE").read_bytes()
    assert built()[f"{PLUGIN}/code/LICENSE"] == licence


def test_the_same_input_gives_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.zip", "b.zip"):
        assert build([MODEL], tmp_path / name, backend="tensorflow") == [IDENTIFIER]
    several = built([MODEL, "rgc_shallow"])
    assert several == built(["rgc_shallow", MODEL, MODEL])  # in whatever order they are named
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    assert looked_at(tmp_path / "a.zip").failed is False


def test_all_20_models_go_into_one_plugin(tmp_path: Path) -> None:
    from convrnns_brainscore import list_models

    build(list_models(), tmp_path / "all.zip", backend="tensorflow")
    findings = looked_at(tmp_path / "all.zip")
    assert not findings.failed, said(findings, "fail")
    assert any(
        re.search("no other model of brainscore-vision .*: 20;", each)
        for each in said(findings, "pass")
    )


def test_requirements_are_what_the_backend_needs() -> None:
    weights = {MODEL: WeightsAddress("https://lab.org/w.safetensors", DIGEST)}
    for backend, given in (("tensorflow", {}), ("tensorflow", weights), ("torch", weights)):
        lines = built(backend=backend, weights=given)[f"{PLUGIN}/requirements.txt"].decode()
        assert ("tensorflow" in lines) == (backend == "tensorflow")
        for of_torch in ("torch>=2.9\n", "ml-dtypes<0.6"):
            assert (of_torch in lines) == (backend == "torch")
        assert "keras" not in lines
        assert "brainscore" not in lines
        assert "numpy<2" in lines  # TensorFlow by itself would bring 2
        assert "zarr" not in lines
        assert "dask" not in lines


def test_torch_needs_weights_that_it_can_read(tmp_path: Path) -> None:
    said = rf"no address for the weights of {MODEL}: .*`convrnns convert {MODEL}`.*weights_url"
    with pytest.raises(ConvRNNError, match=said):
        build([MODEL], tmp_path / "s.zip")
    assert not list(tmp_path.iterdir())


def test_a_refitted_region_map_is_taken(tmp_path: Path) -> None:
    refitted = tmp_path / "region_layer_map.json"
    refitted.write_text(json.dumps({"IT": ["conv4"], "V4": ["conv2", "conv3"]}))
    files = built(region_layer_map=refitted, suffix="_lab")
    text = files["models/convrnns_lab/region_layer_map/convrnn_timedecay_shallow_lab.json"]
    assert json.loads(text)["IT"] == "conv4"
    assert json.loads(text)["V4"] == ["conv2", "conv3"]
    assert set(json.loads(text)) > {"V1", "V2"}  # as by default
    path = zipped(files, tmp_path / "s.zip")
    assert not looked_at(path).failed, said(looked_at(path), "fail")


def test_the_plugin_scores_as_it_was_built_to(tmp_path: Path) -> None:
    files = built(
        latency={"IT": 20}, max_neuroids=1000, behavioural_readout="conv5:50-250",
        weights={MODEL: StoredWeights("user_1/w.safetensors", "v1", DIGEST)},
    )  # fmt: skip
    settings = json.loads(files[f"{PLUGIN}/plugin.json"])
    assert settings["subject"].items() >= {
        "max_neuroids": 1000, "behavioural_readout": "conv5:50-250"
    }.items()  # fmt: skip
    assert settings["subject"]["latency"]["IT"] == 20
    assert settings["models"][IDENTIFIER]["weights"] == {
        "key": "user_1/w.safetensors", "version_id": "v1", "sha256": DIGEST
    }  # fmt: skip
    regions = json.loads(files[f"{PLUGIN}/region_layer_map/{IDENTIFIER}.json"])
    assert regions["latency_ms"]["IT"] == 20
    findings = looked_at(zipped(files, tmp_path / "s.zip"))
    assert not findings.failed, said(findings, "fail")
    assert any("Brain-Score's storage" in message for message in said(findings, "note"))
    assert not any("MemoryError" in message for message in said(findings, "note"))
    assert "latency_ms" not in built()[f"{PLUGIN}/region_layer_map/{IDENTIFIER}.json"].decode()


@pytest.mark.parametrize("outcome", [trial.FAILS, trial.FAILS_FOR_ALL])
def test_a_benchmark_that_fails_for_the_model_alone_fails_the_check(outcome: str) -> None:
    first, *others = one_of_each_family()
    trials = [{"name": name, "outcome": trial.SCORES, "reason": ""} for name in others]
    trials.append({"name": first, "outcome": outcome, "reason": "IndexError"})
    told = "\n".join(f"trial {json.dumps(each)}" for each in trials)
    environment = SimpleNamespace(run=lambda *_, **__: Told(True, told))
    findings = Findings()
    _benchmarks(SimpleNamespace(identifiers=[IDENTIFIER]), environment, findings, {})  # type: ignore[arg-type]
    assert findings.failed == (outcome == trial.FAILS)
    assert f"{IDENTIFIER} on {first}: IndexError" in findings.found[0].message


def test_layers_and_memory_are_told_beforehand(tmp_path: Path) -> None:
    files = built()
    told = said(looked_at(zipped(files, tmp_path / "s.zip")), "note")
    assert any("IT has 8192 neuroids" in message and "575 GiB" in message for message in told)
    code = files[f"{PLUGIN}/model.py"]
    files[f"{PLUGIN}/model.py"] = code.replace(b"def get_layers", b"def others")
    told = said(looked_at(zipped(files, tmp_path / "s.zip")), "note")
    assert any("has no get_layers" in message for message in told)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"IT": "conv4", "IT": "conv5"}', "IT is in it 2 times"),
        ('{"IT": "conv99"}', r"map\.json: IT: unknown layer"),
        ("[" * 100_000, "cannot read the region map"),
    ],
)
def test_a_map_that_cannot_be_meant_is_refused(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "map.json").write_text(text)
    with pytest.raises(ConvRNNError, match=message):
        built(region_layer_map=tmp_path / "map.json")


def test_a_map_of_an_editor_that_marks_its_files_is_read(tmp_path: Path) -> None:
    (tmp_path / "map.json").write_text('{"IT": "conv4"}', encoding="utf-8-sig")
    assert built(region_layer_map=tmp_path / "map.json")


def test_metadata_only_when_asked_and_as_brain_score_wants_it(tmp_path: Path) -> None:
    assert f"{PLUGIN}/metadata.yml" not in built()
    files = built(metadata=True)
    entry = yaml.safe_load(files[f"{PLUGIN}/metadata.yml"])["models"][IDENTIFIER]
    assert entry["total_parameter_count"] > 1e6
    findings = looked_at(zipped(files, tmp_path / "s.zip"))
    assert not findings.failed
    assert any("waits for a review" in message for message in said(findings, "note"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([MODEL, "--out", "s.tar"], "ends in .zip"),
        (["rgc", "--out", "s.zip"], "unknown model 'rgc'"),
        ([MODEL, "--out", "s.zip", "--suffix", "-x"], "suffix '-x'"),
        ([MODEL, "--out", "s.zip", "--sha256", DIGEST], "--sha256 needs"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://a.b/w.safetensors"], "is missing"),
        ([MODEL, "--out", "s.zip", "--weights-url", "w.pt", "--sha256", DIGEST], "expected https"),
        ([MODEL, "--out", "s.zip", "--weights-key", "u/w", "--sha256", DIGEST],
         "--weights-version is missing for timedecay_shallow"),
        ([MODEL, "--out", "s.zip", "--weights-key", "../w", "--weights-version", "1", "--sha256",
          DIGEST], "expected the path"),
        ([MODEL, "--out", "s.zip", "--weights-key", "u/w", "--weights-url", "https://a.b/w"],
         "give either"),
        ([MODEL, "--out", "s.zip", "--weights-version", "1"], "needs --weights-key"),
        ([MODEL, "--out", "s.zip", "--latency", "IT=900"], "from −260 to 260"),
        ([MODEL, "--out", "s.zip", "--behavioural-readout", "conv77"], "unknown layer"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://me:pw@a.b/w", "--sha256", DIGEST],
         "without a password"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://a.b/w", "--sha256", DIGEST, "--sha256",
          DIGEST], "given twice"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://a.b/w.safetensors", "--sha256", "12"],
         "64 hexadecimal digits"),
        ([MODEL, "rgc_shallow", "--out", "s.zip", "--weights-url", "https://a.b/w.safetensors"],
         "put {model} in it"),
        ([MODEL, "--out", "s.zip", "--region-layer-map", "none.json"], "none.json"),
        (["--out", "s.zip"], "name one or more models"),
        ([MODEL, "--out", "missing/s.zip", "--backend", "tensorflow"],
         "cannot write missing/s.zip"),
        (["rgc_intermediate", "--out", "s.zip", "--suffix", "_dthresh"], "another model"),
        ([MODEL, "--out", "s.zip", "--suffix", "_" + "x" * 60], "at most 60"),
        ([MODEL, "--all", "--out", "s.zip"], "not both"),
        ([",", "--out", "s.zip"], "name one or more models"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://a.b/{modle}", "--sha256", DIGEST],
         "expected https"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://a.b/w?X-Amz-Signature=" + DIGEST,
          "--sha256", DIGEST], "a signed address"),
        ([MODEL, "--out", "s.zip", "--weights-url", "https://huggingface.co/lab/blob/main/w",
          "--sha256", DIGEST], "Write /resolve/ instead of /blob/"),
        ([f"{MODEL},rgc_shallow", "--out", "s.zip", "--weights-url", "https://a.b/{model}",
          "--sha256", f"{MODEL}={DIGEST}", "--sha256", f"rgc_shallow={DIGEST}"], "its own file"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch, capsys, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["submission", "build", *arguments])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert message in told, told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def replaced(name: str, content: str | bytes) -> Callable[[Files], Files]:
    """A submission in which a file of the plugin says something else."""
    encoded = content.encode() if isinstance(content, str) else content
    return lambda files: {**files, f"{PLUGIN}/{name}": encoded}


def without(name: str) -> Callable[[Files], Files]:
    return lambda files: {path: text for path, text in files.items() if path != f"{PLUGIN}/{name}"}


def added(text: str, name: str = "__init__.py") -> Callable[[Files], Files]:
    """A submission in which a file of the plugin goes on."""
    return lambda files: {
        **files, f"{PLUGIN}/{name}": files.get(f"{PLUGIN}/{name}", b"") + f"\n{text}\n".encode()
    }  # fmt: skip


def moved(move: Callable[[str], str]) -> Callable[[Files], Files]:
    return lambda files: {move(path): content for path, content in files.items()}


SETTINGS = json.loads(built()[f"{PLUGIN}/plugin.json"])
MAP = f"region_layer_map/{IDENTIFIER}.json"
IMPORT = "from brainscore_vision import model_registry\n"


def settings_with(weights: object, model: str = MODEL) -> str:
    models = {IDENTIFIER: {"model": model, "weights": weights}}
    return json.dumps({**SETTINGS, "models": models})


BROKEN: dict[str, tuple[Callable[[Files], Files], str]] = {
    "nothing in it": (lambda files: {}, "it holds no files"),
    "a path that leaves the folder": (moved(lambda p: f"../{p}"), "points outside the folder"),
    "an absolute path": (moved(lambda p: f"/{p}"), "is an absolute or a Windows path"),
    "a name that Windows cannot have": (added("", "a. "), "must not end with"),
    "a name with a blank": (added("", "my notes.md"), "names may contain only letters"),
    "a name of other letters": (added("", "modèle.py"), "names may contain only letters"),
    "a file that is a folder too": (replaced("code", ""), "at the same time the folder of"),
    "a path of Windows": (moved(lambda p: p.replace("/", "\\")), "a Windows path"),
    "a drive": (moved(lambda p: f"C:/{p}"), "a Windows path"),
    "a name with a line break": (added("", "a\nb.py"), "control characters"),
    "names that differ in case alone": (replaced("MODEL.py", ""), "would be one file on some "
    "systems"),
    "too many files": (
        lambda files: {**files, **{f"{PLUGIN}/{i}.txt": b"" for i in range(MOST_FILES)}},
        "at most 2000",
    ),
    "a large file": (replaced("big.txt", bytes(LARGEST + 1)), "at most 5 are accepted"),
    "weights": (replaced("w.safetensors", b"x"), "do not pack weights"),
    "a program": (replaced("tool.so", b"x"), "programs and archives"),
    "no plugin": (moved(lambda p: p.replace("models/", "model/")), "no models/<plugin>/"),
    "the plugin at the top": (moved(lambda p: p.removeprefix("models/")), "no models/<plugin>/"),
    "a folder around all": (moved(lambda p: f"submission/{p}"), "zip its contents"),
    "code outside the plugin": (lambda f: {**f, "setup.py": b""}, "prevents an automatic merge"),
    "a helper of Brain-Score's": (
        lambda f: {**f, "models/__init__.py": b""}, "prevents an automatic merge"
    ),
    "no __init__.py": (without("__init__.py"), "__init__.py is missing"),
    "no test": (without("test.py"), "test.py is missing"),
    "a test of nothing": (replaced("test.py", "# later\n"), "contains no tests"),
    "no registration": (replaced("__init__.py", IMPORT), "registers no model"),
    "a registration in a loop": (
        replaced("__init__.py", f"{IMPORT}for n in 'a':\n    model_registry[n] = None\n"),
        "a literal name",
    ),
    "a formatted name": (
        replaced("__init__.py", IMPORT + "model_registry[f'convrnn_{1}'] = None\n"),
        "a literal name",
    ),
    "a registration that is not carried out": (
        replaced(
            "__init__.py", f"{IMPORT}if False:\n    model_registry['{IDENTIFIER}'] = None\n"
        ),
        "at its top level",
    ),
    "a registration in a text": (
        replaced("__init__.py", f'{IMPORT}"""\nmodel_registry[\'{IDENTIFIER}\'] = None\n"""\n'),
        "at its top level",
    ),
    "a second bracket": (
        replaced("__init__.py", IMPORT + f"model_registry['{IDENTIFIER}'] = [None][0]\n"),
        "no other ']'",
    ),
    "a model twice": (
        added(f"model_registry['{IDENTIFIER}'] = None"), "registers convrnn_timedecay_shallow more"
    ),
    "a name of Brain-Score's": (
        added("model_registry['alexnet'] = None"), "alexnet is a model of Brain-Score's"
    ),
    "a plugin of Brain-Score's": (
        moved(lambda p: p.replace("convrnns/", "alexnet/", 1)),
        "Brain-Score already has a plugin alexnet",
    ),
    "a folder that cannot be imported": (
        moved(lambda p: p.replace("convrnns/", "conv-rnns/", 1)), "letters, digits and '_'"
    ),
    "no import of the registry": (
        replaced("__init__.py", f"model_registry['{IDENTIFIER}'] = None\n"), "does not import"
    ),
    "code that is no Python": (replaced("model.py", "def get_model(:\n"), "is not Python"),
    "code that does not compile": (replaced("model.py", "return 1\n"), "is not Python 3.11"),
    "code that is nested without end": (replaced("model.py", "(" * 5000), "is not Python 3.11"),
    "a file that is no text": (replaced("notes.txt", b"\xff\xfe\x00"), "is not UTF-8 text"),
    "an empty ModelCommitment": (
        replaced("model.py", "def get_model(i):\n    return ModelCommitment(identifier=i)\n"),
        "cannot be scored",
    ),
    "a path of one machine": (
        added("FOLDER = '/home/anna/weights'", "model.py"), "/home/anna/weights is a path on one"
    ),
    "a path of Windows in code": (added("W = 'C:/Users/me/w.txt'", "model.py"), "a path on one"),
    "a path as an address": (added("W = 'file:///home/me/w'", "model.py"), "a path on one"),
    "a path out of the folder": (added("W = '../../../home/me/w'", "model.py"), "a path on one"),
    "a path of Colab": (added("W = '/content/drive/MyDrive/w'", "model.py"), "a path on one"),
    "a path in bytes": (added("W = b'/scratch/me/w.h5'", "model.py"), "a path on one"),
    "a path in settings": (replaced("c.yml", "weights: /home/me/w\n"), "a path on one"),
    "a password in settings": (replaced("c.yml", "password: hunter2hunter2\n"), "a password"),
    "a key in an environment's file": (
        replaced(".env", "AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7MDENG\n"), "a password"
    ),
    "a key": (added("KEY = 'AKIA" + "ABCDEFGHIJKLMNOP'", "model.py"), "an AWS key"),
    "a password in a table": (
        replaced("settings.json", '{"password": "correct-horse"}'), "a password"
    ),
    "a key in a file of its own": (replaced(".env", "K=AKIA" + "ABCDEFGHIJKLMNOP"), "an AWS key"),
    "a password": (added("password = 'correct-horse'", "model.py"), "a password"),
    "no map": (without(MAP), "convrnn_timedecay_shallow.json is missing"),
    "a map that is no JSON": (replaced(MAP, "{"), "is not valid JSON"),
    "a map without V1": (replaced(MAP, '{"V2": "conv2", "V4": "conv3", "IT": "conv5"}'), "for V1"),
    "a map of layers that there are not": (
        replaced(MAP, '{"V1": "conv1", "V2": "conv2", "V4": "conv3", "IT": "conv9"}'), "conv9"
    ),
    "a map of numbers": (
        replaced(MAP, '{"V1": 1, "V2": "conv2", "V4": "conv3", "IT": "conv5"}'), "is 1; expected"
    ),
    "a map that is nested without end": (replaced(MAP, "[" * 100000), "is not valid JSON"),
    "a map of no model": (replaced("region_layer_map/x.json", "{}"), "no registered model"),
    "no requirements": (without("requirements.txt"), "requirements.txt (or setup.py) is missing"),
    "numpy without a bound": (replaced("requirements.txt", "numpy\n"), "needs numpy < 2"),
    "TensorFlow without a bound on numpy": (
        replaced("requirements.txt", "tensorflow\n"), "upgrade numpy to 2"
    ),
    "a requirement that is none": (
        replaced("requirements.txt", "pooch >>= 1\n"), "not a valid requirement"
    ),
    "a requirement of one machine": (
        replaced("requirements.txt", "-e ../convrnns\n"), "on one machine only"
    ),
    "another Brain-Score": (
        replaced("requirements.txt", "brainscore-vision==2.3\n"), "the server's own Brain-Score"
    ),
    "numpy 2": (replaced("requirements.txt", "numpy>=2.0\n"), "needs numpy < 2"),
    "numpy 2.1": (replaced("requirements.txt", "numpy==2.1.0\n"), "Brain-Score needs numpy"),
    "a later xarray": (replaced("requirements.txt", "xarray>=2024\n"), "Brain-Score needs xarray"),
    "numpy 2 in setup.py": (
        replaced("setup.py", "setup(install_requires=['numpy>=2.1'])\n"), "Brain-Score needs numpy"
    ),
    "requirements of another encoding": (
        replaced("requirements.txt", "keras\n".encode("utf-16")), "is not UTF-8 text"
    ),
    "another file of requirements": (
        replaced("requirements.txt", "-r other.txt\n"), "list only packages from PyPI"
    ),
    "a module of its own that is missing": (without("model.py"), "imported but missing"),
    "this package from an index": (
        replaced("requirements.txt", "convrnns-brainscore\n"), "not on a package index"
    ),
    "an environment of another name": (
        replaced("environment.yml", "name: mine\ndependencies: []\n"), "would create another"
    ),
    "an environment with numpy 2": (
        replaced("environment.yml", "dependencies: [{pip: [numpy>=2]}]\n"), "needs numpy < 2"
    ),
    "Brain-Score from its repository": (
        replaced("requirements.txt", "git+https://github.com/brain-score/vision\n"),
        "the server's own",
    ),
    "an environment of another Python": (
        replaced("environment.yml", "dependencies: [python=3.9]\n"), "has Python 3.11"
    ),
    "weights without a digest": (
        replaced("plugin.json", settings_with({"url": "https://a.b/w.safetensors", "sha256": ""})),
        "64 hexadecimal digits",
    ),
    "weights of one machine": (
        replaced("plugin.json", settings_with({"url": "file:///w.safetensors", "sha256": DIGEST})),
        "expected https",
    ),
    "settings of another kind": (replaced("plugin.json", '{"models": ["a"]}'), "build it again"),
    "settings of another backend": (
        replaced("plugin.json", json.dumps({**SETTINGS, "backend": "jax"})), "backend 'jax'"
    ),
    "settings of another model": (
        replaced("plugin.json", settings_with(None, "lstm_shallow")), "stands for lstm_shallow"
    ),
    "settings of another version": (
        replaced("plugin.json", json.dumps({**SETTINGS, "version": "9"})), "not that of the code"
    ),
    "a module that is missing": (
        without("code/convrnns_brainscore/networks/cells.py"), "cells.py is missing"
    ),
    "weights that are a word": (replaced("plugin.json", settings_with("mine")), "weights 'mine'"),
    "settings of other models": (
        replaced("plugin.json", json.dumps({**SETTINGS, "models": {}})), "build it again"
    ),
    "code that is missing": (
        without("code/convrnns_brainscore/__init__.py"), "code is missing: build it again"
    ),
    "metadata with an unknown key": (
        replaced("metadata.yml", "models:\n  m:\n    colour: blue\n"), "extra keys"
    ),
    "metadata of another model": (
        replaced("metadata.yml", "models:\n  alexnet:\n    runnable: true\n"), "not a model of this"
    ),
    "an environment of a strange kind": (
        replaced("environment.yml", "dependencies: 3\n"), "expected 'dependencies:' and a list"
    ),
    "metadata that is no YAML": (replaced("metadata.yml", "a: [\n"), "YAML parsing error"),
}  # fmt: skip


@pytest.fixture(scope="module")
def whole() -> Files:
    return built()


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_zip_is_refused_with_its_reason(whole: Files, tmp_path: Path, name: str) -> None:
    break_it, reason = BROKEN[name]
    path = zipped(break_it(dict(whole)), tmp_path / "submission.zip")
    findings = check(path)  # ends before any environment is made
    failures = said(findings, "fail")
    assert any(reason in each for each in failures), failures
    assert all("\n" not in each for each in failures)
    assert any("no model was loaded" in each for each in said(findings, "unchecked"))


def test_what_is_no_zip_is_refused(tmp_path: Path) -> None:
    for content in (b"", b"no zip", (zipped(built(), tmp_path / "whole.zip")).read_bytes()[:-300]):
        (tmp_path / "s.zip").write_bytes(content)
        assert any("not a zip file" in each for each in said(looked_at(tmp_path / "s.zip"), "fail"))


def test_a_flipped_bit_is_found(tmp_path: Path) -> None:
    path = zipped(built(), tmp_path / "s.zip")
    content = bytearray(path.read_bytes())
    content[content.index(b"Nayebi")] ^= 1
    path.write_bytes(content)
    assert any("is damaged" in each for each in said(looked_at(path), "fail"))


def test_damaged_compression_is_told(tmp_path: Path) -> None:
    for kind in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2):
        path = tmp_path / f"{kind}.zip"
        with zipfile.ZipFile(path, "w", kind) as archive:
            for name, text in built().items():
                archive.writestr(name, text)
        content = bytearray(path.read_bytes())
        content[60:400] = bytes(340)
        path.write_bytes(content)
        assert looked_at(path).failed


def test_links_bombs_and_encrypted_files_are_refused(tmp_path: Path) -> None:
    def link(entry: zipfile.ZipInfo) -> None:
        entry.external_attr = (stat.S_IFLNK | 0o777) << 16

    def bomb(entry: zipfile.ZipInfo) -> None:
        entry.compress_type = zipfile.ZIP_DEFLATED

    linked = zipped({f"{PLUGIN}/__init__.py": b"/etc/passwd"}, tmp_path / "link.zip", link)
    assert "is a link" in said(looked_at(linked), "fail")[0]
    grown = zipped({f"{PLUGIN}/a.txt": bytes(4_000_000)}, tmp_path / "bomb.zip", bomb)
    assert "looks like a zip bomb" in said(looked_at(grown), "fail")[0]
    locked = bytearray(zipped(built(), tmp_path / "locked.zip").read_bytes())
    for place in (b"PK\x03\x04", b"PK\x01\x02"):  # the flag that says so, in both headers
        start = locked.index(place) + (6 if place.endswith(b"\x04") else 8)
        locked[start] |= 1
    (tmp_path / "locked.zip").write_bytes(locked)
    assert "is encrypted" in said(looked_at(tmp_path / "locked.zip"), "fail")[0]


def test_a_file_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr(f"{PLUGIN}/__init__.py", "")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr(f"{PLUGIN}/__init__.py", "")
    (tmp_path / "s.zip").write_bytes(packed.getvalue())
    assert "occurs twice" in said(looked_at(tmp_path / "s.zip"), "fail")[0]


def test_a_model_in_two_plugins_is_refused(tmp_path: Path) -> None:
    files = built()
    again = {path.replace("convrnns/", "convrnns2/", 1): text for path, text in files.items()}
    findings = check(zipped({**files, **again}, tmp_path / "s.zip"))
    assert any("by several plugins" in each for each in said(findings, "fail"))


def test_what_is_only_untidy_passes_with_a_note(tmp_path: Path) -> None:
    untidy = {
        "__MACOSX/models/._convrnns": b"x",
        f"{PLUGIN}/.DS_Store": b"x",
        f"{PLUGIN}/__pycache__/model.cpython-311.pyc": b"x",
        ".git/config": b"x",
        "README.md": b"# Mine",
    }
    findings = looked_at(zipped({**built(), **untidy}, tmp_path / "s.zip"))
    assert not findings.failed, said(findings, "fail")
    notes = said(findings, "note")
    assert any("4 unnecessary files" in each for each in notes)
    assert any("README.md" in each for each in notes)


def test_paths_in_comments_and_in_sentences_are_no_paths_of_one_machine(tmp_path: Path) -> None:
    """Nor are what a tokenizer takes, and patterns; names in a file are asked about."""
    code = b"""
# Made with '/home/anna/fit.py'.
WHY = "what lay in '/data/it' was moved"
MORE = "/home/ is where it lay"
tokenizer = "openai/clip-vit-base-patch32"
pad_token = "<|endoftext|>"
PATTERN = r"t:\\d+"
GROUP = "/data/responses"
"""
    files = built()
    files[f"{PLUGIN}/model.py"] += code
    findings = looked_at(zipped(files, tmp_path / "s.zip"))
    assert not findings.failed, said(findings, "fail")
    (asked,) = (message for message in said(findings, "note") if "GiB" not in message)
    assert "/data/responses" in asked


def test_the_command_says_it_line_by_line_and_as_json(tmp_path: Path) -> None:
    path = zipped(without("test.py")(built()), tmp_path / "s.zip")
    for module in ("submission", "convrnns_brainscore.cli submission"):
        command = [sys.executable, "-m", *module.split(), "check", str(path), "--json", "r.json"]
        told = subprocess.run(
            command,
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[1])},
            capture_output=True,
            text=True,
            check=False,
        )
        assert told.returncode == 1, told.stderr
        assert "fail      code: models/convrnns/test.py is missing" in told.stdout
        assert "to fix: 1; could not be checked: 1" in told.stdout
        report = json.loads((tmp_path / "r.json").read_text())
        assert report["verdict"] == "fail"
        assert {"check", "status", "message"} == set(report["findings"][0])


def test_no_such_file_is_a_mistake_of_the_call(tmp_path: Path, capsys) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["submission", "check", str(tmp_path / "none.zip")])
    assert ended.value.code == 2
    assert "there is no file" in capsys.readouterr().err


def test_an_environment_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "file").write_text("mine")
    (tmp_path / "mine" / "pyvenv.cfg").write_text("home = /usr/bin")  # a virtual environment
    path = zipped(built(), tmp_path / "s.zip")
    with pytest.raises(ConvRNNError, match="not an environment that this check made"):
        check(path, environment=tmp_path / "mine")
    assert (tmp_path / "mine" / "file").read_text() == "mine"


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One environment for the checks of this run, which the first of them makes."""
    return tmp_path_factory.mktemp("submission") / "environment"


@pytest.fixture
def as_on_the_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Brain-Score installs the requirements of its plugins."""
    monkeypatch.delenv("BS_INSTALL_DEPENDENCIES")


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[str, str]]:
    """The address and the digest of weights that a server of this machine gives."""
    path = tmp_path / "served" / "weights.safetensors"
    path.parent.mkdir()
    write_safetensors(path, MODEL, load_network(MODEL, weights="random", seed=3).weights.values)
    handler = partial(SimpleHTTPRequestHandler, directory=str(path.parent))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    yield f"http://127.0.0.1:{server.server_port}/{path.name}", digest
    server.shutdown()


@pytest.mark.slow
@pytest.mark.usefixtures("as_on_the_server")
def test_a_submission_on_torch_needs_no_tensorflow(
    tmp_path: Path, environment: Path, served: tuple[str, str]
) -> None:
    """Built, installed as the server does, tested by Brain-Score, with weights over HTTP."""
    build([MODEL], tmp_path / "s.zip", backend="torch", weights={MODEL: WeightsAddress(*served)})
    findings = check(tmp_path / "s.zip", environment=environment)
    assert not findings.failed, said(findings, "fail")
    assert not said(findings, "unchecked")
    passed = said(findings, "pass")
    assert "models/convrnns: TensorFlow is not installed, and not imported" in passed
    assert any("nothing was installed or downloaded" in each for each in passed)
    # The metric brings its own TensorFlow.
    assert "Brain-Score's ost metric runs beside the models (Kar2019-ost)" in passed

    build(
        [MODEL],
        tmp_path / "s.zip",
        weights={MODEL: WeightsAddress(served[0], DIGEST)},
        backend="torch",
    )
    findings = check(tmp_path / "s.zip", environment=environment)
    assert any("not the file with the SHA-256" in each for each in said(findings, "fail"))


@pytest.mark.slow
@pytest.mark.usefixtures("as_on_the_server")
def test_a_submission_on_tensorflow_brings_it_itself(tmp_path: Path, environment: Path) -> None:
    models = [MODEL, "rgc_intermediate"]
    build(models, tmp_path / "s.zip", backend="tensorflow", suffix="_lab")
    findings = check(tmp_path / "s.zip", random_weights=True, environment=environment)
    assert not findings.failed, said(findings, "fail")
    assert any("random ones stood in" in each for each in said(findings, "unchecked"))
    assert ANNOUNCEMENT in said(findings, "note")
    passed = said(findings, "pass")
    assert "models/convrnns_lab: TensorFlow is installed, and imported" in passed
    assert "Brain-Score's ost metric runs beside the models (Kar2019-ost)" in passed
    for model in models:
        assert any(f"convrnn_{model}_lab: V1, V2, V4, IT recorded" in each for each in passed)

    # What its files do not show: a requirement of a requirement.
    lifted = built(backend="torch", weights={MODEL: WeightsAddress("https://a.b/w", DIGEST)})
    lifted[f"{PLUGIN}/requirements.txt"] = b"ml-dtypes>=0.6\nsafetensors\n"
    findings = check(zipped(lifted, tmp_path / "lifted.zip"), environment=environment)
    assert any("numpy" in each for each in said(findings, "fail"))


@pytest.mark.slow
def test_scores_on_torch_and_on_tensorflow_agree(tmp_path: Path) -> None:
    """A recording that reads out the network's IT, scored by ridge on 92 photographs."""
    stimuli = load_objects92().stimuli
    subject = load_brain_model(MODEL, weights="random", seed=0)
    subject.start_recording("IT", [(70, 170)])
    features = subject.look_at(stimulus_set("objects92", stimuli)).values
    rng = np.random.default_rng(0)
    rates = features @ rng.standard_normal((features.shape[1], 8))
    rates = rates / rates.std(axis=0) + rng.standard_normal((2, *rates.shape))
    lab = xr.DataArray(
        rates.reshape(-1, 8, 1),
        {
            "stimulus_id": ("presentation", [*stimuli["stimulus_id"]] * 2),
            "neuroid_id": ("neuroid", np.arange(8)),
            "region": ("neuroid", ["IT"] * 8),
            "time_bin_start": ("time_bin", [70]),
            "time_bin_end": ("time_bin", [170]),
        },
        ["presentation", "neuroid", "time_bin"],
    )
    write_package(as_recording(lab), stimuli.assign(degrees=8.0), tmp_path / "lab")
    raw = {}
    for backend in ("tensorflow", "torch"):
        command = [
            sys.executable, "-m", "convrnns_brainscore.cli", "score", MODEL, "lab/IT.nc",
            "--metric", "ridge", "--weights", "random", "--out", backend, "--backend", backend,
        ]  # fmt: skip
        subprocess.run(command, cwd=tmp_path, check=True)
        (record,) = (tmp_path / backend).glob("*.json")
        raw[backend] = json.loads(record.read_text())["raw"]
    assert raw["torch"] == pytest.approx(raw["tensorflow"], abs=1e-3)
    assert abs(raw["torch"]) > 0.05


@pytest.mark.ci
def test_an_environment_that_was_not_made_to_its_end_is_made_anew(
    tmp_path: Path, monkeypatch
) -> None:
    """What is installed stands in for Brain-Score: the folder and its marks are real."""
    asked = []

    def install(self: Environment, *arguments: str) -> Told:
        asked.append(arguments[-1])
        return Told(len(asked) != 2, "no network")

    monkeypatch.setattr(Environment, "install", install)
    monkeypatch.setattr(Environment, "brain_score", tmp_path / "brain_score")
    (tmp_path / "brain_score" / "model_helpers").mkdir(parents=True)
    folder = tmp_path / "environment"
    with pytest.raises(ConvRNNError, match=r"cannot install brainscore-vision.*: no network"):
        make_environment(folder)
    made = make_environment(folder)  # anew
    assert [name.split("[")[0] for name in asked] == ["setuptools", "brainscore-vision"] * 2
    assert made.run("-c", "print(1)").last_line == "1"
    (folder / "kept").touch()
    assert make_environment(folder).packages() == made.packages()
    assert (folder / "kept").exists()


def looked_at_within(seconds: float, files: dict[str, bytes], folder: Path) -> list[str]:
    """What fails of a plugin with more files, found within so long."""
    plugin = Plugin("convrnns", {"__init__.py": b"", "test.py": b"def test(): pass\n", **files})
    findings, began = Findings(), time.process_time()
    check_plugin(plugin, folder, findings)
    assert time.process_time() - began < seconds
    return said(findings, "fail")


@pytest.mark.parametrize(
    "text",
    [
        b"password" * 150_000,
        b"x" * 1_000_000,
        b"password" + b" " * 1_000_000,
        b"api_key_" * 150_000 + b"=",
        b"http://" + b"a" * 1_000_000,
        b"a://b:c" * 150_000,
        b"-----BEGIN " + b"A" * 1_000_000,
        b"sk-" + b"-" * 1_000_000,
        b"https://host/?sig=" + b"=" * 1_000_000,
        b"/home/" * 150_000,
    ],
    ids=lambda text: text[:12].decode(),
)
@pytest.mark.parametrize("name", ["long.json", "long.md"])
def test_long_lines_are_checked_in_linear_time(text: bytes, name: str, tmp_path: Path) -> None:
    """Seconds of processor time, hundreds of times what a slow machine needs."""
    looked_at_within(10, {name: text, "requirements.txt": b"numpy<2\n"}, tmp_path)


def test_more_requirements_or_lines_than_anybody_reads_are_refused(tmp_path: Path) -> None:
    lines = "\n".join(f"package{index}" for index in range(20_000)).encode()
    assert any("20000 requirements; at most" in each for each in looked_at_within(
        20, {"requirements.txt": lines}, tmp_path
    ))  # fmt: skip
    module = b"x = 1\n" * 500_000
    assert any("bytes, and at most" in each for each in looked_at_within(
        20, {"requirements.txt": b"numpy<2\n", "model.py": module}, tmp_path
    ))  # fmt: skip


def test_a_check_that_takes_too_long_is_stopped_and_said(monkeypatch, tmp_path: Path) -> None:
    def for_ever(*_: object) -> str:
        while True:
            re.search("(a+)+b", "a" * 24)

    monkeypatch.setattr(checks, "SECONDS", 1)
    monkeypatch.setitem(checks.CHECKS, "files", for_ever)
    failed = looked_at_within(60, {"requirements.txt": b"numpy<2\n"}, tmp_path)
    said_so = "models/convrnns takes longer than 1 s to check: shorten its long lines"
    assert any(said_so in each for each in failed)


def test_a_region_map_of_many_names_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "map.json"
    areas = {f"area{index}": "conv1" for index in range(60_000)}
    path.write_text(json.dumps({**areas, "it": "conv5"}))
    began = time.process_time()
    with pytest.raises(ConvRNNError, match="unknown region"):
        region_layers(find_model("timedecay_shallow"), path)
    assert time.process_time() - began < 10


@pytest.mark.parametrize(
    ("direct", "expected"),
    [("example.org", "example.org,127.0.0.1"), ("*", "*"), ("", "127.0.0.1")],
)
def test_weights_from_this_machine_pass_no_proxy(
    direct: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.setenv("NO_PROXY", direct)
    names = "import os; print(os.environ['NO_PROXY'], os.environ['no_proxy'])"
    told = Environment(Path(sys.prefix)).run("-c", names)
    assert told.text.split() == [expected, expected]

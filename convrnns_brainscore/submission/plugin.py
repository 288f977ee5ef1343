"""What can be said of a plugin from its files, without running them."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import yaml

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.registry import PREFIX, REGISTRATION, registered_models
from convrnns_brainscore.submission.build import CODE, SETTINGS, Weights
from convrnns_brainscore.submission.findings import Findings
from convrnns_brainscore.zoo import find_model, list_models

KINDS = ("models", "benchmarks", "data", "metrics")
"""What Brain-Score takes plugins of."""

RECORDED = ("V1", "V2", "V4", "IT")
"""Regions that Brain-Score's benchmarks record from."""

TEXT = (
    ".py",
    ".txt",
    ".json",
    ".yml",
    ".yaml",
    ".toml",
    ".cfg",
    ".ini",
    ".md",
    ".sh",
    ".bib",
    ".csv",
)

WEIGHTS = (
    ".safetensors", ".ckpt", ".index", ".data-00000-of-00001", ".h5", ".hdf5", ".keras", ".pb",
    ".pt", ".pth", ".bin", ".npz", ".npy", ".pkl", ".pickle", ".onnx", ".tflite",
)  # fmt: skip

PROGRAMS = (".so", ".dll", ".dylib", ".exe", ".zip", ".tar", ".gz", ".whl", ".egg", ".jar")

SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,}\b",
    "a password in an address": r"\b[a-z]+://[^/\s:@'\"]+:[^/\s:@'\"]+@",
    "a password": r"(?i)\b(password|passwd|secret|api_?key|token)\b\s*[:=]\s*['\"][^'\"\s]{8,}",
}

_ROOTS = "home|Users|root|mnt|data|work|scratch|tmp|var|opt|usr|srv"
ABSOLUTE = rf"""['"](/(?:{_ROOTS})/[^'"]*|[A-Za-z]:\\[^'"]*)['"]"""
"""Paths in quotes that no other machine has."""


@dataclass(frozen=True)
class Plugin:
    """A plugin of models in a submission.

    Attributes
    ----------
    name : of its folder.
    files : path below it → content.
    identifiers : of its models, by their literal lines.
    """

    name: str
    files: Mapping[str, bytes]
    identifiers: tuple[str, ...]

    def text(self, path: str) -> str | None:
        """A file's text; None: there is none."""
        return self.files[path].decode("utf-8", "replace") if path in self.files else None

    @property
    def settings(self) -> dict[str, Any] | None:
        """What `build` said of backend and weights; None where something else built it."""
        text = self.text(SETTINGS)
        try:
            found = json.loads(text) if text is not None else None
        except json.JSONDecodeError:
            return None
        return found if isinstance(found, dict) else None

    def model_of(self, identifier: str) -> str | None:
        """The ConvRNN that an identifier stands for; None: another kind of model."""
        meant = ((self.settings or {}).get("models") or {}).get(identifier) or {}
        name = meant.get("model", identifier.removeprefix(PREFIX))
        return name if name in list_models() else None


def find_plugins(files: Mapping[str, bytes], findings: Findings) -> list[Plugin]:
    """The plugins of models, if the layout is as the server needs it."""
    folders: dict[str, dict[str, bytes]] = {}
    problems = len([each for each in findings.found if each.status == "fail"])
    for path, content in files.items():
        parts = PurePosixPath(path).parts
        if parts[0] in KINDS and len(parts) > 2:
            folders.setdefault("/".join(parts[:2]), {})["/".join(parts[2:])] = content
        elif len(parts) == 1 and PurePosixPath(path).suffix in (".md", ".txt", ".rst", ""):
            findings.note("layout", f"{path} lies outside models/<plugin>/: the server drops it.")
        elif len(parts) > 3 and parts[1] in KINDS:
            findings.fail(
                "layout",
                f"all is in a folder {parts[0]}/: pack what is in it, {parts[1]}/… at the top.",
            )
            break
        else:
            findings.fail(
                "layout",
                f"{path} lies outside models/<plugin>/: with it, nothing is merged by itself.",
            )
    plugins = []
    for folder, inside in folders.items():
        kind, name = folder.split("/")
        if kind != "models":
            findings.unchecked("layout", f"{folder}: only plugins of models are checked here.")
            continue
        plugins.append(Plugin(name, inside, _identifiers(name, inside, findings)))
    if not plugins:
        findings.fail(
            "layout", "no models/<plugin>/ is in it, which is all that the server looks at."
        )
    elif len([each for each in findings.found if each.status == "fail"]) == problems:
        findings.passed("layout", ", ".join(f"models/{plugin.name}" for plugin in plugins))
    return plugins


def check_plugin(plugin: Plugin, brain_score: Path, findings: Findings) -> None:
    """All that its files tell.

    Parameters
    ----------
    brain_score : the folder of Brain-Score's own model plugins.
    """
    for check in (_names, _code, _packed, _secrets, _requirements, _weights, _maps, _metadata):
        own = Findings()
        done = check(plugin, brain_score, own)
        findings.found += own.found
        if not own.failed and done:
            findings.passed(check.__name__.strip("_"), done)


def _identifiers(name: str, files: Mapping[str, bytes], findings: Findings) -> tuple[str, ...]:
    """The models' identifiers, as Brain-Score finds them."""
    where = f"models/{name}/__init__.py"
    if "__init__.py" not in files:
        findings.fail("layout", f"{where} is missing: it registers the models.")
        return ()
    lines = files["__init__.py"].decode("utf-8", "replace").splitlines()
    found = []
    for number, line in enumerate(lines, 1):
        if "model_registry[" not in line:
            continue
        literal = REGISTRATION.findall(line)
        greedy = re.findall(r"model_registry\[.*\]", line)  # as the server reads it
        if (
            line.lstrip().startswith("#")
            or len(literal) != 1
            or greedy != [match.group(0) for match in REGISTRATION.finditer(line)]
        ):
            findings.fail(
                "registration",
                f"{where}:{number}: the server needs a line for each model, "
                "model_registry['<name>'] = …, with a literal name and no other ']'.",
            )
        found += literal
    if not found:
        findings.fail(
            "registration", f"{where} registers no model: model_registry['<identifier>'] = …."
        )
    for identifier in sorted({each for each in found if found.count(each) > 1}):
        findings.fail("registration", f"{where} registers {identifier} more than once.")
    return tuple(dict.fromkeys(found))


def _names(plugin: Plugin, brain_score: Path, findings: Findings) -> str:
    """Names that are possible, and free."""
    if not plugin.name.isidentifier():
        findings.fail(
            "names", f"models/{plugin.name}: Python imports it, so letters, digits and '_' only."
        )
    taken = registered_models(brain_score, leave_out=plugin.name)
    for identifier in plugin.identifiers:
        if identifier in taken:
            findings.fail(
                "names", f"{identifier} is a model of Brain-Score's ({taken[identifier].name}): "
                "name yours otherwise (build --suffix).",
            )  # fmt: skip
        if not re.fullmatch(r"[\w.:=-]+", identifier, re.ASCII):
            findings.fail("names", f"{identifier!r}: a name without blanks, slashes or quotes.")
    theirs = brain_score / plugin.name / "__init__.py"
    if theirs.is_file() and not set(REGISTRATION.findall(theirs.read_text(encoding="utf-8"))) & set(
        plugin.identifiers
    ):
        findings.fail(
            "names", f"Brain-Score has a plugin {plugin.name} already: name the folder otherwise."
        )
    return f"{len(plugin.identifiers)} identifiers, none of them taken"


def _code(plugin: Plugin, _: Path, findings: Findings) -> str:
    """Python that compiles, with a test."""
    tests = [path for path in plugin.files if re.match(r"test.*\.py$", PurePosixPath(path).name)]
    if "test.py" not in plugin.files:
        findings.fail(
            "code",
            f"models/{plugin.name}/test.py is missing: the server runs it"
            + (f" (and not {tests[0]})." if tests else "."),
        )
    elif not re.search(r"^\s*(async )?def test", plugin.text("test.py") or "", re.MULTILINE):
        findings.fail("code", f"models/{plugin.name}/test.py tests nothing.")
    for path, tree in _trees(plugin, findings):
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "ModelCommitment":
                given = {each.arg for each in node.keywords}
                if len(node.args) < 2 and "activations_model" not in given:
                    findings.fail(
                        "code",
                        f"{path}:{node.lineno}: a ModelCommitment without activations_model cannot "
                        "be scored.",
                    )
    if plugin.text("__init__.py") is not None and "model_registry" not in _imported(plugin):
        findings.fail(
            "code",
            f"models/{plugin.name}/__init__.py does not import model_registry from "
            "brainscore_vision.",
        )
    return f"{sum(path.endswith('.py') for path in plugin.files)} modules compile, test.py is there"


def _trees(plugin: Plugin, findings: Findings) -> Iterator[tuple[str, ast.Module]]:
    for path, content in plugin.files.items():
        if path.endswith(".py"):
            try:
                yield path, ast.parse(content)
            except (SyntaxError, ValueError) as error:
                findings.fail("code", f"models/{plugin.name}/{path} is no Python: {error}.")


def _imported(plugin: Plugin) -> set[str]:
    """Names that ``__init__.py`` imports from Brain-Score."""
    try:
        tree = ast.parse(plugin.files["__init__.py"])
    except (SyntaxError, ValueError):
        return {"model_registry"}  # said already
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brainscore_vision")
        for alias in node.names
    }


def _packed(plugin: Plugin, _: Path, findings: Findings) -> str:
    """No weights, no programs, no absolute paths."""
    for path, content in plugin.files.items():
        where = f"models/{plugin.name}/{path}"
        if path.endswith(WEIGHTS):
            findings.fail(
                "files", f"{where}: weights are fetched when a model is loaded, not packed."
            )
        elif path.endswith(PROGRAMS):
            findings.fail("files", f"{where}: programs and archives are not read by a reviewer.")
        elif path.endswith(".py") or PurePosixPath(path).name in ("requirements.txt", SETTINGS):
            for found in re.finditer(ABSOLUTE, content.decode("utf-8", "replace")):
                findings.fail(
                    "files",
                    f"{where}: {found.group(1)} is a path of one machine: the server has none.",
                )
    return "no weights, programs or paths of one machine"


def _secrets(plugin: Plugin, _: Path, findings: Findings) -> str:
    for path, content in plugin.files.items():
        if not path.endswith(TEXT):
            continue
        text = content.decode("utf-8", "replace")
        for what, pattern in SECRETS.items():
            found = re.search(pattern, text)
            if found:
                line = text.count("\n", 0, found.start()) + 1
                findings.fail(
                    "secrets",
                    f"models/{plugin.name}/{path}:{line} has {what}: submissions are public. "
                    "Remove it, and have it revoked.",
                )
    return "none found"


def _requirements(plugin: Plugin, _: Path, findings: Findings) -> str:
    """Requirements that can be installed beside Brain-Score."""
    where = f"models/{plugin.name}/requirements.txt"
    text = plugin.text("requirements.txt")
    if text is None and "setup.py" not in plugin.files:
        findings.fail(
            "requirements", f"{where} (or setup.py) is missing: the server installs by it."
        )
        return ""
    for line in (text or "").splitlines():
        line = line.partition("#")[0].strip()
        if not line:
            continue
        name = re.split(r"[\s<>=!~;\[@]", line)[0].lower().replace("_", "-")
        if re.match(r"(-e|--editable|file:|\.{0,2}/|[A-Za-z]:\\)", line) or "@ file:" in line:
            findings.fail("requirements", f"{where}: {line} is on one machine only.")
        elif line.startswith("-"):
            findings.fail("requirements", f"{where}: {line}: the server installs from PyPI.")
        elif name in ("brainscore-vision", "brainscore-core"):
            findings.fail(
                "requirements",
                f"{where}: {line} would replace the server's own Brain-Score: omit it.",
            )
        elif name == "numpy" and re.search(r"(==|>=|~=|>)\s*([2-9]|\d\d)", line):
            findings.fail("requirements", f"{where}: {line}: Brain-Score needs numpy < 2.")
        elif name == "convrnns-brainscore":
            findings.fail(
                "requirements",
                f"{where}: {line} is on no package index: build packs its code instead.",
            )
    environment = plugin.text("environment.yml")
    if environment is not None:
        _environment(f"models/{plugin.name}/environment.yml", environment, findings)
    return (text or "setup.py").strip().replace("\n", ", ")


def _environment(where: str, text: str, findings: Findings) -> None:
    """A conda environment that the server can merge with its own."""
    try:
        given = yaml.safe_load(text)
    except yaml.YAMLError as error:
        findings.fail("requirements", f"{where} is no YAML: {str(error).splitlines()[0]}.")
        return
    if not isinstance(given, dict):
        findings.fail("requirements", f"{where}: expected 'dependencies:'.")
        return
    if "name" in given:
        findings.fail("requirements", f"{where}: 'name:' would make another environment: omit it.")
    for line in given.get("dependencies") or ():
        if isinstance(line, str) and re.match(r"python\s*=", line) and "=3.11" not in line:
            findings.fail("requirements", f"{where}: {line}: the server has Python 3.11.")


def _weights(plugin: Plugin, _: Path, findings: Findings) -> str:
    """Where weights come from, with a digest."""
    text = plugin.text(SETTINGS)
    if text is None:
        findings.unchecked(
            "weights",
            f"models/{plugin.name} has no {SETTINGS}: where its weights come from is not known.",
        )
        return ""
    settings = plugin.settings
    models = (settings or {}).get("models")
    if settings is None or not isinstance(models, dict):
        findings.fail("weights", f"models/{plugin.name}/{SETTINGS} is damaged: build it anew.")
        return ""
    if set(models) != set(plugin.identifiers):
        findings.fail(
            "weights",
            f"models/{plugin.name}/{SETTINGS} is of {', '.join(models)}, and __init__.py registers "
            f"{', '.join(plugin.identifiers) or 'none'}: build it anew.",
        )
    if f"{CODE}/convrnns_brainscore/__init__.py" not in plugin.files:
        findings.fail("weights", f"models/{plugin.name}/{CODE} is missing: build it anew.")
    published = []
    for identifier, meant in models.items():
        given = meant.get("weights") if isinstance(meant, dict) else None
        if given is None:
            published.append(identifier)
            continue
        try:
            Weights(str(given.get("url")), str(given.get("sha256")))
        except ConvRNNError as error:
            findings.fail("weights", f"models/{plugin.name}/{SETTINGS}: {error}")
    return "published checkpoints" if published else "the submitter's, each with its SHA-256"


def _maps(plugin: Plugin, _: Path, findings: Findings) -> str:
    """Region maps that are whole, with layers that exist."""
    folder = f"models/{plugin.name}/region_layer_map"
    for identifier in plugin.identifiers:
        path = f"region_layer_map/{identifier}.json"
        text = plugin.text(path)
        if text is None:
            findings.fail("region map", f"{folder}/{identifier}.json is missing.")
            continue
        try:
            given = json.loads(text)
        except json.JSONDecodeError as error:
            findings.fail("region map", f"{folder}/{identifier}.json is no JSON: {error}.")
            continue
        missing = [
            region for region in RECORDED if not isinstance(given, dict) or not given.get(region)
        ]
        if missing:
            findings.fail(
                "region map", f"{folder}/{identifier}.json has no layer for {', '.join(missing)}."
            )
            continue
        name = plugin.model_of(identifier)
        if name is None:
            findings.unchecked(
                "region map", f"{identifier} is no ConvRNN: its layers are not known."
            )
            continue
        try:
            region_layers(find_model(name), given)
        except ConvRNNError as error:
            findings.fail("region map", f"{folder}/{identifier}.json: {error}")
    for path in plugin.files:
        if path.startswith("region_layer_map/") and Path(path).stem not in plugin.identifiers:
            findings.fail(
                "region map", f"models/{plugin.name}/{path} is of no model that is registered."
            )
    return f"{len(plugin.identifiers)} maps with {', '.join(RECORDED)}, of layers that exist"


def _metadata(plugin: Plugin, _: Path, findings: Findings) -> str:
    """``metadata.yml`` as Brain-Score reads it, where there is one."""
    for name in ("metadata.yml", "metadata.yaml"):
        text = plugin.text(name)
        if text is None:
            continue
        findings.note(
            "metadata",
            f"models/{plugin.name}/{name}: with it, a submission waits for a review by hand.",
        )
        for problem in _metadata_problems(text):
            findings.fail("metadata", f"models/{plugin.name}/{name}: {problem}")
    return ""


def _metadata_problems(text: str) -> list[str]:
    from tempfile import TemporaryDirectory

    from brainscore_core.plugin_management.handle_metadata import validate_metadata_file

    with TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.yml"
        path.write_text(text, encoding="utf-8")
        problems, _ = validate_metadata_file(str(path))
    return [str(problem).splitlines()[0] for problem in problems]

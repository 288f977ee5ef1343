"""What can be said of a plugin from its files, without running them."""

from __future__ import annotations

import ast
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from keyword import iskeyword
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

import yaml
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

import convrnns_brainscore
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.regions import region_layers
from convrnns_brainscore.registry import PREFIX, REGISTRATION, registered_models
from convrnns_brainscore.requirements import installed_version, requirements
from convrnns_brainscore.submission.build import (
    BACKENDS,
    CODE,
    SETTINGS,
    SIGNED,
    Weights,
    needed_code,
)
from convrnns_brainscore.submission.findings import Findings
from convrnns_brainscore.zoo import find_model, list_models

KINDS = ("models", "benchmarks", "data", "metrics")
"""What Brain-Score takes plugins of."""

RECORDED = ("V1", "V2", "V4", "IT")
"""Regions that Brain-Score's benchmarks record from."""

WEIGHTS = (
    ".safetensors", ".ckpt", ".index", ".h5", ".hdf5", ".keras", ".pb",
    ".pt", ".pth", ".bin", ".npz", ".npy", ".pkl", ".pickle", ".onnx", ".tflite",
)  # fmt: skip

PROGRAMS = (
    ".so", ".dll", ".dylib", ".exe", ".o", ".a", ".zip", ".tar", ".gz", ".tgz", ".bz2", ".xz",
    ".7z", ".rar", ".whl", ".egg", ".jar",
)  # fmt: skip

PICTURES = (".png", ".jpg", ".jpeg", ".gif", ".webp", ".tif", ".tiff", ".bmp")

SECRETS = {
    "a private key": r"-----BEGIN [A-Z ]*PRIVATE KEY-----",
    "an AWS key": r"\b(AKIA|ASIA)[0-9A-Z]{16}\b",
    "a GitHub token": r"\b(gh[pousr]_[A-Za-z0-9]{36,}|github_pat_\w{40,})",
    "a Hugging Face token": r"\bhf_[A-Za-z0-9]{30,}\b",
    "an API key": r"\bsk-[A-Za-z0-9_-]{32,}\b",
    "a password in an address": r"\b[a-z]+://[^/\s:@'\"]+:[^/\s:@'\"]+@",
    "a Slack token": r"\bxox[abprs]-[A-Za-z0-9-]{10,}",
    "a Google key": r"\bAIza[0-9A-Za-z_-]{35}",
    "a signed address": SIGNED,
}

_SECRET = r"(?im)\b\w*(password|passwd|secret|api_?key|(access|auth|api|bearer)_?token)\w*"
IN_CODE = _SECRET + r"""['"]?\s*[:=]\s*['"][^'"\s]{8,}['"]"""
IN_SETTINGS = _SECRET + r"""['"]?\s*[:=]\s*['"]?[^'"\s$<{][^'"\s]{7,}"""
"""A password, where code or settings name one."""

SETTINGS_FILES = (".json", ".yml", ".yaml", ".toml", ".cfg", ".ini", ".env")

_ROOTS = (
    "home|Users|Volumes|root|mnt|media|work|scratch|tmp|private|gpfs|nfs|lustre|afs|oak|om2?|"
    "content/drive|braintree"
)
ABSOLUTE = rf"((file://)?/|(\.\./)+)({_ROOTS})/\S.*|file:///.*|~/\S.*|[A-Z]:[\\/]\w.*|\\\\\w.*"
"""Paths that no other machine has."""

PERHAPS_ABSOLUTE = r"/[\w.-]+(/[\w.-]+)+"
"""Or names in a file, such as of HDF5's groups."""


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
        return self.files[path].decode("utf-8-sig", "replace") if path in self.files else None

    @property
    def settings(self) -> dict[str, Any] | None:
        """What `build` said of backend and weights; None where something else built it."""
        text = self.text(SETTINGS)
        try:
            found = json.loads(text) if text is not None else None
        except (ValueError, RecursionError):
            return None
        return found if isinstance(found, dict) else None

    def model_of(self, identifier: str) -> str | None:
        """The ConvRNN that an identifier stands for; None: another kind of model."""
        models = (self.settings or {}).get("models")
        meant = models.get(identifier) if isinstance(models, dict) else None
        named = meant.get("model") if isinstance(meant, dict) else None
        name = str(named or identifier.removeprefix(PREFIX))
        return name if name in list_models() else None


def find_plugins(files: Mapping[str, bytes], findings: Findings) -> list[Plugin]:
    """The plugins of models, if the layout is as the server needs it."""
    folders: dict[str, dict[str, bytes]] = {}
    outside: list[str] = []
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
            outside.append(path)
    if outside:
        more = f", and {len(outside) - 1} more" if len(outside) > 1 else ""
        findings.fail(
            "layout",
            f"{outside[0]}{more} outside models/<plugin>/: nothing is merged by itself then.",
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
    for check in (_names, _code, _files, _secrets, _requirements, _weights, _region_map, _metadata):
        own, done, name = Findings(), "", check.__name__.strip("_").replace("_", " ")
        try:
            done = check(plugin, brain_score, own)
        except Exception as error:  # whatever strange things a file holds
            what = f"{type(error).__name__}: {str(error).splitlines()[:1]}"
            own.fail(name, f"models/{plugin.name} cannot be read ({what}): build it anew.")
        findings.found += own.found
        if not own.failed and done:
            findings.passed(name, done)


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
    carried_out = _assigned(files["__init__.py"])
    for identifier in dict.fromkeys(found):
        if carried_out is not None and identifier not in carried_out:
            findings.fail(
                "registration",
                f"{where}: the line of {identifier} is no statement of the module's own: assign "
                "model_registry['<name>'] at its top level.",
            )
    if not found:
        findings.fail(
            "registration", f"{where} registers no model: model_registry['<identifier>'] = …."
        )
    for identifier in sorted({each for each in found if found.count(each) > 1}):
        findings.fail("registration", f"{where} registers {identifier} more than once.")
    return tuple(dict.fromkeys(found))


def _tree(code: str | bytes) -> ast.Module | None:
    """A module's syntax tree; None: it is no Python, which `_trees` says."""
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _assigned(code: bytes) -> set[str] | None:
    """Names that a module assigns in ``model_registry`` at its top level; None: it is no Python."""
    tree = _tree(code)
    if tree is None:
        return None  # said elsewhere
    return {
        target.slice.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Subscript)
        and getattr(target.value, "id", "") == "model_registry"
        and isinstance(target.slice, ast.Constant)
        and isinstance(target.slice.value, str)
    }


def _names(plugin: Plugin, brain_score: Path, findings: Findings) -> str:
    """Names that are possible, and free."""
    if not re.fullmatch(r"[A-Za-z]\w*", plugin.name, re.ASCII) or iskeyword(plugin.name):
        findings.fail(
            "names",
            f"models/{plugin.name}: Python imports it, so letters, digits and '_' only, a letter "
            "first.",
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
    text = theirs.read_text(encoding="utf-8") if theirs.is_file() else ""
    if text and not set(REGISTRATION.findall(text)) & set(plugin.identifiers):
        findings.fail(
            "names", f"Brain-Score has a plugin {plugin.name} already: name the folder otherwise."
        )
    elif text and "convrnns_brainscore" not in text:  # which `convrnns register` put there
        findings.note(
            "names",
            f"Brain-Score has a plugin {plugin.name} with these models already: this one would "
            "replace it, which only its author may.",
        )
    return f"identifiers that no other model has: {len(plugin.identifiers)}"


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
    for missing in _missing_modules(plugin):
        findings.fail("code", f"models/{plugin.name}/{missing} is missing, which is imported.")
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
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    compile(content, path, "exec")
                    tree = ast.parse(content, feature_version=(3, 11))  # the server's
            except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
                what = str(error) or type(error).__name__
                findings.fail("code", f"models/{plugin.name}/{path} is no Python 3.11: {what}.")
            else:
                yield path, tree


def _missing_modules(plugin: Plugin) -> list[str]:
    """Files of its own that modules in the plugin's folder import, and that are not there."""
    own, needed = f"brainscore_vision.models.{plugin.name}.", set()
    at_top = [path for path in plugin.files if path.endswith(".py") and "/" not in path]
    for tree in filter(None, (_tree(plugin.files[path]) for path in at_top)):
        for node in ast.walk(tree):
            if not isinstance(node, ast.ImportFrom) or not node.module:
                continue
            if node.level == 1:
                needed.add(node.module)
            elif node.module.startswith(own):
                needed.add(node.module.removeprefix(own))
    paths = {name: name.replace(".", "/") for name in needed}
    return sorted(
        f"{path}.py"
        for path in paths.values()
        if f"{path}.py" not in plugin.files
        and not any(each.startswith(f"{path}/") for each in plugin.files)
    )


def _imported(plugin: Plugin) -> set[str]:
    """Names that ``__init__.py`` imports from Brain-Score."""
    tree = _tree(plugin.files["__init__.py"])
    if tree is None:
        return {"model_registry"}  # said already
    return {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("brainscore_vision")
        for alias in node.names
    }


def _files(plugin: Plugin, _: Path, findings: Findings) -> str:
    """No weights, no programs, no absolute paths; text that a reviewer can read."""
    for path, content in plugin.files.items():
        where, name = f"models/{plugin.name}/{path}", path.lower()
        if name.endswith(WEIGHTS) or re.search(r"\.data-\d+-of-\d+$", name):
            findings.fail("files", f"{where}: weights are fetched when it is loaded, not packed.")
        elif name.endswith(PROGRAMS) or re.search(r"\.so(\.\d+)+$", name):
            findings.fail("files", f"{where}: programs and archives are not read by a reviewer.")
        elif name.endswith(PICTURES):
            findings.note("files", f"{where}: a picture; is it needed?")
        elif not _is_text(content):
            findings.fail("files", f"{where} is no text (UTF-8), which a reviewer could read.")
        else:
            for text in _strings(path, content.decode("utf-8")):
                if re.fullmatch(ABSOLUTE, text):
                    findings.fail(
                        "files", f"{where}: {text} is a path of one machine: the server has none."
                    )
                elif re.fullmatch(PERHAPS_ABSOLUTE, text):
                    findings.note("files", f"{where}: is {text} a path? The server has none such.")
    return "no weights, programs or paths of one machine"


def _strings(path: str, text: str) -> Iterator[str]:
    """Code's strings, and settings' words."""
    if path.endswith(".py"):
        tree = _tree(text)
        for node in ast.walk(tree) if tree else ():
            if isinstance(node, ast.Constant) and isinstance(node.value, str | bytes):
                value = node.value
                yield value if isinstance(value, str) else value.decode("utf-8", "replace")
    elif path.endswith(SETTINGS_FILES):
        yield from re.findall(r"""[^\s'",;=]+""", text)


def _is_text(content: bytes) -> bool:
    try:
        return "\0" not in content.decode("utf-8")
    except UnicodeDecodeError:
        return False


def _secrets(plugin: Plugin, _: Path, findings: Findings) -> str:
    for path, content in plugin.files.items():
        text = content.decode("utf-8", "replace")
        named = IN_SETTINGS if path.endswith(SETTINGS_FILES) else IN_CODE
        for what, pattern in {**SECRETS, "a password": named}.items():
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
    if "\0" in (text or "") or "\ufffd" in (text or ""):
        findings.fail("requirements", f"{where} is no UTF-8: save it as such.")
        return ""
    given = _parsed(where, _lines(text or ""), findings)
    given |= _parsed(f"models/{plugin.name}/setup.py", _of_setup(plugin), findings)
    if {"tensorflow", "tensorflow-cpu"} & set(given) and "numpy" not in given:
        findings.fail(
            "requirements",
            f"{where}: TensorFlow's own requirements lift numpy to 2, and Brain-Score needs "
            "numpy < 2: name numpy<2 beside it.",
        )
    environment = plugin.text("environment.yml")
    if environment is not None:
        _environment(f"models/{plugin.name}/environment.yml", environment, findings)
    return ", ".join(map(str, given.values())) or "setup.py"


def _parsed(where: str, lines: Sequence[str], findings: Findings) -> dict[str, Requirement]:
    """Requirements by their names; those that cannot be are findings."""
    given: dict[str, Requirement] = {}
    for line in lines:
        if re.match(r"(-e|--editable|file:|\.{0,2}/|[A-Za-z]:\\)", line) or "file:" in line:
            findings.fail("requirements", f"{where}: {line} is on one machine only.")
        elif line.startswith("-"):
            findings.fail(
                "requirements", f"{where}: {line}: name packages of PyPI here, and nothing else."
            )
        elif "brain-score/" in line.lower():
            findings.fail(
                "requirements",
                f"{where}: {line} would replace the server's own Brain-Score: omit it.",
            )
        elif re.match(r"(git\+)?https?://", line) or "@" in line:
            findings.note("requirements", f"{where}: {line}: see that the server can fetch it.")
        else:
            try:
                requirement = Requirement(re.sub(r"\s--hash=\S+", "", line))
            except InvalidRequirement as error:
                what = str(error).splitlines()[0]
                findings.fail("requirements", f"{where}: {line} is no requirement: {what}.")
                continue
            given[canonicalize_name(requirement.name)] = requirement
    for name, requirement in given.items():
        if name in ("brainscore-vision", "brainscore-core"):
            findings.fail(
                "requirements",
                f"{where}: {requirement} would replace the server's own Brain-Score: omit it.",
            )
        elif name == "convrnns-brainscore":
            findings.fail(
                "requirements",
                f"{where}: {requirement} is on no package index: build packs its code instead.",
            )
        elif name == "numpy" and requirement.specifier.contains("2.0"):
            findings.fail("requirements", f"{where}: {requirement}: Brain-Score needs numpy < 2.")
        elif needed := _contradicted(name, requirement):
            findings.fail("requirements", f"{where}: {requirement}: Brain-Score needs {needed}.")
    return given


def _contradicted(name: str, requirement: Requirement) -> str:
    """What Brain-Score needs instead; empty: nothing else.

    Of the versions that bounds name, and the installed one, some have to be within all bounds.
    """
    for owner in ("brainscore-vision", "brainscore-core"):
        needed = requirements(owner).get(name)
        if needed is None:
            continue
        bounds = [*needed.specifier, *requirement.specifier]
        versions = {each.version.removesuffix(".*") for each in bounds}
        versions |= {installed_version(name) or "0"}
        both = needed.specifier & requirement.specifier
        if not any(both.contains(each, prereleases=True) for each in versions):
            return f"{name}{needed.specifier}"
    return ""


def _lines(text: str) -> list[str]:
    """Requirements, a line each, without comments."""
    joined = text.lstrip("\ufeff").replace("\\\n", " ")
    lines = [re.sub(r"(^|\s)#.*", "", line).strip() for line in joined.splitlines()]
    return [line for line in lines if line]


def _of_setup(plugin: Plugin) -> list[str]:
    """What ``setup.py`` requires in so many words."""
    tree = _tree(plugin.files.get("setup.py", b""))
    return [
        each.value
        for node in (ast.walk(tree) if tree else ())
        if isinstance(node, ast.keyword) and node.arg == "install_requires"
        for each in ast.walk(node.value)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    ]


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
    listed = given.get("dependencies") or ()
    if not isinstance(listed, list | tuple):
        findings.fail("requirements", f"{where}: expected 'dependencies:' and a list.")
        return
    for line in listed:
        if isinstance(line, dict):
            _parsed(where, _lines("\n".join(map(str, line.get("pip") or ()))), findings)
        pinned = re.match(r"python\s*([=<>~!].*)", line) if isinstance(line, str) else None
        if pinned and not re.match(r"={1,2}\s*3\.11", pinned.group(1)):
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
    for problem in _settings_problems(settings, plugin):
        findings.fail("weights", f"models/{plugin.name}/{SETTINGS}: {problem}: build it anew.")
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
        if not isinstance(given, dict):
            findings.fail(
                "weights", f"models/{plugin.name}/{SETTINGS}: weights {given!r}: build it anew."
            )
            continue
        try:
            weights = Weights(str(given.get("url")), str(given.get("sha256")))
        except ConvRNNError as error:
            findings.fail("weights", f"models/{plugin.name}/{SETTINGS}: {error}")
            continue
        if _is_near(weights.url):
            findings.note(
                "weights", f"{weights.url} is of this machine: the server has none there."
            )
    return "published checkpoints" if published else "the submitter's, each with its SHA-256"


def _settings_problems(settings: Mapping[str, Any], plugin: Plugin) -> Iterator[str]:
    """What in ``plugin.json`` does not go with the plugin's files."""
    if settings.get("backend") not in BACKENDS:
        yield f"backend {settings.get('backend')!r}"
    code = plugin.text(f"{CODE}/convrnns_brainscore/__init__.py") or ""
    if f'__version__ = "{settings.get("version")}"' not in code:
        yield f"version {settings.get('version')!r} is not that of the code"
    elif settings["version"] == convrnns_brainscore.__version__:
        missing = sorted(name for name in needed_code() if f"{CODE}/{name}" not in plugin.files)
        if missing:
            yield f"{CODE}/{missing[0]} is missing"
    requirements = plugin.text("requirements.txt") or ""
    if settings.get("backend") == "tensorflow" and "tensorflow" not in requirements:
        yield "the backend is TensorFlow, which requirements.txt does not name"
    for identifier, meant in settings["models"].items():
        name = meant.get("model") if isinstance(meant, dict) else None
        if name not in list_models():
            yield f"{identifier} is of no model ({name!r})"
        elif not identifier.startswith(f"{PREFIX}{name}"):
            yield f"{identifier} would be {name}"


def _is_near(url: str) -> bool:
    """Whether an address is of this machine or its network."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_private
    except ValueError:
        return host == "localhost" or "." not in host


def _region_map(plugin: Plugin, _: Path, findings: Findings) -> str:
    """Region maps that are whole, with layers that exist."""
    folder = f"models/{plugin.name}/region_layer_map"
    for identifier in plugin.identifiers:
        path = f"region_layer_map/{identifier}.json"
        text = plugin.text(path)
        if text is None:
            tell = findings.note if plugin.model_of(identifier) is None else findings.fail
            tell("region map", f"{folder}/{identifier}.json is missing.")
            continue
        try:
            given = json.loads(text)
        except (ValueError, RecursionError) as error:
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
    if findings.found:
        return ""
    return f"{', '.join(RECORDED)}, of layers that exist; maps: {len(plugin.identifiers)}"


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
        for problem in _metadata_problems(text, plugin.identifiers):
            findings.fail("metadata", f"models/{plugin.name}/{name}: {problem}")
    return ""


def _metadata_problems(text: str, identifiers: Sequence[str]) -> list[str]:
    from tempfile import TemporaryDirectory

    from brainscore_core.plugin_management.handle_metadata import validate_metadata_file

    with TemporaryDirectory() as folder:
        path = Path(folder) / "metadata.yml"
        path.write_text(text, encoding="utf-8")
        problems, data = validate_metadata_file(str(path))
    described = data.get("models") if isinstance(data, dict) else None
    if isinstance(described, dict) and set(described) - set(identifiers):
        strange = sorted(map(str, set(described) - set(identifiers)))
        problems = [*problems, f"{strange[0]} is no model of this plugin"]
    return [str(problem).splitlines()[0] for problem in problems]

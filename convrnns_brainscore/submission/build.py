"""Build the zip that the Brain-Score website takes.

It holds one plugin, ``models/<plugin>/…``, which is self-contained: this package's code travels in
it, the server installs its requirements, and weights are fetched when a model is first loaded.
"""

from __future__ import annotations

import ast
import json
import re
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cache
from math import prod
from os import PathLike
from pathlib import Path
from typing import Any

import yaml
from packaging.specifiers import SpecifierSet

from convrnns_brainscore._version import __version__
from convrnns_brainscore.brainscore.registry import PLUGIN, PREFIX, plugin_files
from convrnns_brainscore.choices import BackendName, parse_choice
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.regions import Latency, check_readout, region_latencies
from convrnns_brainscore.requirements import requirements
from convrnns_brainscore.zoo import find_model, list_models

SETTINGS = "plugin.json"
"""Beside the plugin's ``__init__.py``: backend, and each model's weights."""

CODE = "code"
"""The folder in the plugin where this package's code lies."""

_PACKAGE = "convrnns_brainscore"
_ROOT = Path(__file__).parents[1]

_ENTRIES = ("__init__", "brainscore.brain_model", "checkpoints", "download")
"""Modules that the plugin imports."""

_NEEDED = ("filelock", "numpy", "pooch", "rich", "safetensors")
"""What their code needs beside Brain-Score's own requirements. NumPy, since the server's pip would
lift it to 2 for TensorFlow's sake, with which Brain-Score cannot be imported."""

_OF_BACKEND = {
    BackendName.tensorflow: ("tensorflow",),
    # ml_dtypes from 0.6 on needs NumPy 2, and comes with the TensorFlow that Brain-Score's ost
    # metric installs, unless an older one is there.
    BackendName.torch: ("ml-dtypes", "torch"),
}
"""What they need on a backend."""

SIGNED = r"(?i)[?&](X-Amz-Signature|Signature|sig)=[A-Za-z0-9%+/=_-]{16}"
"""An address that lets in whoever has it."""

LONGEST_SUFFIX = 60

_LINK = "https://github.com/brain-score/vision/tree/master/brainscore_vision/models"


PAGES = {
    r"//huggingface\.co/.*/blob/": "Write /resolve/ instead of /blob/.",
    r"//github\.com/.*/blob/": "Write /raw/ instead of /blob/.",
    r"//www\.dropbox\.com/.*\bdl=0": "Write dl=1 instead of dl=0.",
    r"//drive\.google\.com/": "Google Drive gives large files after a question only: choose "
    "another host, such as Zenodo, OSF or Hugging Face.",
}
"""Addresses that a browser shows of a file → the address of the file."""


@dataclass(frozen=True)
class WeightsAddress:
    """Weights at an address of the submitter's.

    Attributes
    ----------
    url : str
        ``https://…``, where a ``.safetensors`` of `convrnns convert` is, whatever its name.
    sha256 : str
        64 hexadecimal digits.

    Raises
    ------
    ConvRNNError
        It is no such address, or that of a web page about the file, or no such digest.
    """

    url: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"https?://[^/\s@{}]+/[^\s{}]+", self.url):
            raise ConvRNNError(
                f"weights at {self.url!r}: expected https://…, without a password, of a "
                ".safetensors that `convrnns convert` wrote."
            )
        if re.search(SIGNED, self.url):
            raise ConvRNNError(
                f"weights at {self.url!r}: a signed address is secret, and expires. Put them at a "
                "public address."
            )
        for page, file in PAGES.items():
            if re.search(page, self.url):
                raise ConvRNNError(
                    f"weights at {self.url!r}: this address gives a web page, not the file. {file}"
                )
        _check_digest(self.sha256, self.url)


@dataclass(frozen=True)
class StoredWeights:
    """Weights on Brain-Score's own storage, where its large-file upload put them.

    Attributes
    ----------
    key : str
        Path below ``brainscore-vision/models/``, as the upload names it.
    version_id : str
        Of the uploaded object.
    sha256 : str
        64 hexadecimal digits, of the ``.safetensors`` that was uploaded.

    Raises
    ------
    ConvRNNError
        It is no such path, version or digest.
    """

    key: str
    version_id: str
    sha256: str

    def __post_init__(self) -> None:
        if not re.fullmatch(r"(?!/)(?!.*\.\.)[\w./-]+", self.key, re.ASCII):
            raise ConvRNNError(
                f"weights key {self.key!r}: expected the path that Brain-Score's upload names, "
                "such as user_123/rgc_intermediate.safetensors."
            )
        if not re.fullmatch(r"[\w.-]+", self.version_id, re.ASCII):
            raise ConvRNNError(
                f"version {self.version_id!r} of {self.key}: expected the version id of the "
                "uploaded file."
            )
        _check_digest(self.sha256, self.key)


def _check_digest(sha256: str, of: str) -> None:
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise ConvRNNError(
            f"SHA-256 {sha256!r} of {of}: expected 64 hexadecimal digits, as `sha256sum` prints."
        )


Subject = dict[str, Any]
"""Settings of `load_brain_model` that a plugin passes on."""


def build(
    models: Sequence[str],
    out: Path,
    *,
    backend: str = BackendName.torch,
    suffix: str = "",
    region_layer_map: str | PathLike[str] | None = None,
    weights: Mapping[str, WeightsAddress | StoredWeights] | None = None,
    latency: Latency = None,
    max_neuroids: int | None = None,
    behavioural_readout: str = "logits",
    metadata: bool = False,
) -> list[str]:
    """Write a submission; the same input gives the same bytes.

    Parameters
    ----------
    models : sequence of str
        Names of the zoo, in any order.
    out : path
        ``….zip``.
    backend : {'torch', 'tensorflow'}, default 'torch'
        The library that the server computes the networks with.
    suffix : str, default ''
        Suffix of the identifiers and of the plugin's name; Brain-Score takes each name once.
    region_layer_map : str or path, optional
        As in `regions.region_layers`, for all models.
    weights : mapping of str to WeightsAddress or StoredWeights, optional
        Model → where its weights are. On TensorFlow, the published ones are fetched of others; on
        PyTorch each model needs its own.
    latency, max_neuroids, behavioural_readout
        As in `load_brain_model`.
    metadata : bool, default False
        Add ``metadata.yml``, which has to be reviewed before a submission is merged.

    Returns
    -------
    list of str
        Identifiers in Brain-Score.

    Raises
    ------
    ConvRNNError
        Unknown models or layers, settings that do not go together, or ``out`` cannot be written.
    """
    if out.suffix != ".zip":
        raise ConvRNNError(f"{out}: expected a name that ends in .zip.")
    files = submission_files(
        models,
        backend=backend,
        suffix=suffix,
        region_layer_map=region_layer_map,
        weights=weights or {},
        latency=latency,
        max_neuroids=max_neuroids,
        behavioural_readout=behavioural_readout,
        metadata=metadata,
    )
    try:
        with written_whole(out) as partial:
            write_zip(files, partial)
    except OSError as error:
        raise ConvRNNError(f"cannot write {out}: {error.strerror}.") from error
    return list(json.loads(files[f"{_folder(suffix)}/{SETTINGS}"])["models"])


def submission_files(
    models: Sequence[str],
    *,
    backend: str,
    suffix: str,
    region_layer_map: str | PathLike[str] | None,
    weights: Mapping[str, WeightsAddress | StoredWeights],
    latency: Latency = None,
    max_neuroids: int | None = None,
    behavioural_readout: str = "logits",
    metadata: bool,
) -> dict[str, str]:
    """Path in the zip → text; parameters as of `build`."""
    chosen = parse_choice("backend", backend, BackendName)
    if not re.fullmatch(r"(_\w+)?", suffix, re.ASCII) or len(suffix) > LONGEST_SUFFIX:
        raise ConvRNNError(
            f"suffix {suffix!r}: expected '_' and letters, digits or '_', at most {LONGEST_SUFFIX}."
        )
    asked = {find_model(name).name for name in models}
    names = [name for name in list_models() if name in asked]
    if not names:
        raise ConvRNNError("name one or more models.")
    others = [f"{name}{suffix}" for name in names if f"{name}{suffix}" in list_models() and suffix]
    if others:
        raise ConvRNNError(f"suffix {suffix!r} gives the name of another model, {others[0]}.")
    digests = [each.sha256 for each in weights.values()]
    if len(set(digests)) < len(digests):
        raise ConvRNNError("two models have weights with one SHA-256: each needs its own file.")
    strangers = sorted(set(weights) - set(names))
    if strangers:
        raise ConvRNNError(
            f"weights are given for {', '.join(strangers)}, but no such model is submitted: omit "
            "them, or add the model."
        )
    if max_neuroids is not None and max_neuroids < 1:
        raise ConvRNNError(f"`max_neuroids={max_neuroids}`: expected 1 or more.")
    for name in names:
        check_readout(find_model(name), behavioural_readout)
    latencies = region_latencies(region_layer_map, latency)
    subject: Subject = {
        "max_neuroids": max_neuroids,
        "behavioural_readout": behavioural_readout,
        # In the maps too, which the server's layer mapping may write anew.
        "latency": None if latencies == region_latencies() else latencies,
    }
    settings: dict[str, Any] = {
        "version": __version__,
        "backend": str(chosen),
        "subject": subject,
        "models": {
            f"{PREFIX}{name}{suffix}": {
                "model": name,
                "weights": asdict(weights[name]) if name in weights else None,
            }
            for name in names
        },
    }
    without = [name for name in names if name not in weights]
    if chosen is BackendName.torch and without:
        raise ConvRNNError(
            f"no address for the weights of {', '.join(without)}: the published checkpoints are in "
            f"TensorFlow's format. `convrnns convert {without[0]}` writes a "
            ".safetensors: put it at a public address, and give `weights_url=…` and its "
            "`sha256=…`. Or give `backend=tensorflow`, which reads the published ones."
        )
    plugin = {
        **plugin_files(names, suffix, region_layer_map, latency),
        SETTINGS: json.dumps(settings, indent=1) + "\n",
        "requirements.txt": _requirements([*_NEEDED, *_OF_BACKEND[chosen]]),
        **{f"{CODE}/{name}": text for name, text in needed_code(chosen).items()},
        f"{CODE}/LICENSE": (_ROOT / "LICENSE").read_text(encoding="utf-8"),
    }
    if metadata:
        plugin["metadata.yml"] = _metadata(settings["models"], _folder(suffix))
    return {f"{_folder(suffix)}/{name}": text for name, text in plugin.items()}


def write_zip(files: Mapping[str, str | bytes], path: Path) -> None:
    """A zip of ``files`` that depends on them alone: no dates, no owners, not compressed (what zlib
    makes differs between its versions)."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # of 1980
            entry.create_system, entry.external_attr = 3, 0o100644 << 16
            archive.writestr(entry, files[name])


def needed_code(backend: str) -> dict[str, str]:
    """The modules of this package that a plugin needs: path → text.

    Those that its modules import, and those that these import, inside functions as well; but not
    those of TensorFlow where the backend is PyTorch.
    """
    waiting, found = [_PACKAGE, *(f"{_PACKAGE}.{entry}" for entry in _ENTRIES[1:])], {}
    while waiting:
        module = waiting.pop()
        path = _file_of(module)
        if path is None or path in found:
            continue
        if backend == BackendName.torch and path.stem.startswith("tensorflow_"):
            continue
        found[path] = path.read_text(encoding="utf-8")
        # A module's package is imported with it.
        waiting += [module.rpartition(".")[0], *_imports(found[path])]
    return {
        f"{_PACKAGE}/{path.relative_to(_ROOT).as_posix()}": text for path, text in found.items()
    }


@cache  # several models are built, and several submissions checked, in one process
def _imports(code: str) -> list[str]:
    """What a module imports from this package: modules, and names that may be modules."""
    found = []
    for node in _run(ast.parse(code)):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(_PACKAGE):
            found += [node.module or "", *(f"{node.module}.{a.name}" for a in node.names)]
        elif isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith(_PACKAGE)]
    return found


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """The nodes of a syntax tree but for those that only type checkers read."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING":
            continue
        yield node
        yield from _run(node)


def _file_of(module: str) -> Path | None:
    """A module's file; None: it is none of this package's."""
    path = _ROOT.joinpath(*module.split(".")[1:]) if module else _ROOT / "none"
    candidates = [path / "__init__.py", path.with_suffix(".py")]
    return next((each for each in candidates if each.is_file()), None)


def _folder(suffix: str) -> str:
    return f"models/{PLUGIN}{suffix}"


def _requirements(names: Sequence[str]) -> str:
    """Lines of ``requirements.txt``, with this package's own bounds.

    But for PyTorch's upper one, which is for processes that import TensorFlow first: another
    PyTorch than the server's would be a download of gigabytes.
    """
    bounds = {name: requirements()[name].specifier for name in names}
    if "torch" in bounds:
        bounds["torch"] = SpecifierSet(
            ",".join(str(each) for each in bounds["torch"] if each.operator == ">=")
        )
    return "".join(f"{name}{bounds[name]}\n" for name in sorted(bounds))


def _metadata(models: Mapping[str, Any], folder: str) -> str:
    """Brain-Score's ``metadata.yml``."""
    from convrnns_brainscore.networks.backbones import layer_names
    from convrnns_brainscore.networks.build import variable_shapes
    from convrnns_brainscore.networks.trainable import trains
    from convrnns_brainscore.weights import random_values

    entries = {}
    for identifier, meant in models.items():
        model = find_model(meant["model"])
        shapes = variable_shapes(model)
        trained = [
            shapes[name]
            for name, value in random_values(model, shapes, 0).items()
            if trains(name, value)
        ]
        total = sum(map(prod, shapes.values()))
        entries[identifier] = {
            "architecture": "DCNN, RNN, SKIP_CONNECTIONS",
            "model_family": "ConvRNN",
            "total_parameter_count": total,
            "trainable_parameter_count": sum(map(prod, trained)),
            "total_layers": 1 + len(layer_names(model)),
            "trainable_layers": sum(len(shape) > 1 for shape in trained),
            "model_size_mb": round(4 * total / 1e6, 2),
            "training_dataset": "ImageNet",
            "task_specialization": None,
            "brainscore_link": f"{_LINK}/{Path(folder).name}",
            "huggingface_link": None,
            "extra_notes": "Nayebi et al. 2022, doi:10.1162/neco_a_01506",
            "runnable": True,
        }
    return yaml.safe_dump({"models": entries}, sort_keys=False)

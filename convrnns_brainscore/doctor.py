"""Is this installation whole? What is there, what is out of bounds, and how to fix it.

Nothing here imports TensorFlow, PyTorch or Brain-Score: each is tried in a process of its own, so
that one that fails, or ends its process, is told of and not met. NumPy, which reading checkpoints
needs, is imported where it is.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import why_no_locks, why_not_writable
from convrnns_brainscore.requirements import installed_version, misfits
from convrnns_brainscore.zoo import list_models

PACKAGES = (
    "convrnns-brainscore", "brainscore-vision", "brainscore-core", "tensorflow", "keras", "torch",
    "numpy", "pandas", "xarray", "scikit-learn", "zarr", "netCDF4", "rsatoolbox", "distributed",
    "pynwb",
)  # fmt: skip

SECONDS = 180
"""For an import to end."""

_TENSORFLOW = """
import importlib.util, pathlib, sys, types
from importlib.metadata import version
first = pathlib.Path(importlib.util.find_spec("tensorflow").origin)
folder = first.parent
if not (folder / "python" / "eager").is_dir():
    import tensorflow
for name, place in (("tensorflow", folder), ("tensorflow.python", folder / "python")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [str(place)]
from tensorflow.python.eager import context
found = version("tensorflow"), [each.name for each in context.context().list_physical_devices()]
for name in ("tensorflow", "tensorflow.python"):
    del sys.modules[name]
"""
"""TensorFlow's runtime starts and finds its devices, without its modules in Python and Keras, whose
import takes ten times as long. An installation of another layout is imported as a whole."""

_TRITON = "try: import triton\nexcept ImportError: pass\n"

_PROBES = {
    "TensorFlow": _TRITON + _TENSORFLOW,  # in the order that works, see below
    "PyTorch": (
        "import torch\nn = torch.cuda.device_count()\n"
        "found = torch.__version__, [torch.cuda.get_device_name(i) for i in range(n)] or ['CPU']"
    ),
    "Brain-Score": "import brainscore_vision\nfound = ('imports',)",
}
"""What is imported in one process, one after another; each says what it found."""

_OTHER_ORDER = f"""
try:
    exec({_TENSORFLOW!r})
except Exception: pass
{_TRITON}
print("works")
"""
"""TensorFlow and Triton, which comes with PyTorch's CUDA builds, each hold an LLVM, and which is
loaded first decides."""

_STEP = """
try:
    exec({code!r})
    print({name!r}, "ok", *found, sep="\\t", flush=True)
except BaseException as error:
    said = f"{{type(error).__name__}}: {{error}}".splitlines()[0]
    print({name!r}, "failed", said, sep="\\t", flush=True)
"""


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; ``cure`` is empty where there is nothing to fix."""

    name: str
    found: str
    cure: str = ""


def versions() -> list[Line]:
    """Python and packages, with how to fix those that do not fit."""
    found = [Line("Python", f"{platform.python_version()} ({sys.executable})")]
    wrong = {misfit.package: misfit for misfit in misfits()}
    for package in PACKAGES:
        name = canonicalize_name(package)
        misfit = wrong.pop(name, None)
        found.append(
            Line(package, installed_version(package) or "–", str(misfit) if misfit else "")
        )
    return found + [
        Line(name, misfit.installed or "–", str(misfit)) for name, misfit in wrong.items()
    ]


def backends() -> Iterator[Line]:
    """What imports, and on which devices; and whether the order of imports matters."""
    asked = os.environ.get("KERAS_BACKEND")
    if asked:
        yield Line("KERAS_BACKEND", f"{asked}: ignored; commands have an option for the library")
    waiting = list(_PROBES)
    while waiting:  # once, unless an import ends the process
        code = "".join(_STEP.format(name=name, code=_PROBES[name]) for name in waiting)
        ended, lines = _run(code)
        told = dict(line.split("\t", 1) for line in lines if line.split("\t")[0] in waiting)
        for name, found in told.items():
            how, _, said = found.partition("\t")
            said = said.replace("\t", " ")
            yield Line(name, said) if how == "ok" else Line(name, "–", f"does not import: {said}")
        left = [name for name in waiting if name not in told]
        if left:
            said = ended if told or not lines else lines[-1]
            yield Line(left[0], "–", f"does not import: {said}")
        waiting = left[1:]
    ended, lines = _run(_OTHER_ORDER) if installed_version("tensorflow") else ("", ["works"])
    if not lines or lines[-1] != "works":
        yield Line(
            "TensorFlow before PyTorch",
            f"ends the process ({ended}): import convrnns_brainscore's networks, or torchvision, "
            "before tensorflow",
        )


def _run(code: str) -> tuple[str, list[str]]:
    """How a process of its own ended, and the lines that it printed."""
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    try:
        told = subprocess.run(
            [sys.executable, "-c", code],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            env=environment,
        )
    except subprocess.TimeoutExpired as error:
        so_far = error.stdout.decode() if isinstance(error.stdout, bytes) else error.stdout or ""
        return f"no answer within {SECONDS} s", so_far.splitlines()
    lines = [line for line in told.stdout.splitlines() if line.strip()]
    return f"exit code {told.returncode}", lines


def caches() -> list[Line]:
    """Folders that this package and Brain-Score keep things in, their size, and whether they can be
    written; downloads lock theirs as well."""
    from convrnns_brainscore.brainscore.internals import data_folder, store_folder
    from convrnns_brainscore.checkpoints import checkpoint_folder

    places = {
        "checkpoints ($CONVRNNS_CHECKPOINTS)": checkpoint_folder(),
        "Brain-Score's results ($RESULTCACHING_HOME)": store_folder(),
        "Brain-Score's data ($BRAINIO_HOME)": data_folder(),
    }
    found = []
    for name, path in places.items():
        why = why_not_writable(path)
        if not why and "CONVRNNS_CHECKPOINTS" in name:
            why = why_no_locks(path)
        variable = name.partition("$")[2].rstrip(")")
        cure = f"it cannot be written ({why}): set {variable} to another folder" if why else ""
        found.append(Line(name, f"{path}: {_size(path)}", cure))
    return found


def _size(folder: Path) -> str:
    if not folder.exists():
        return "does not exist yet"
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{total / 1e9:.2f} GB"


def checkpoints() -> list[Line]:
    """Each model's checkpoint: there, or as it was when it was downloaded; and who has none."""
    from convrnns_brainscore.checkpoints import (
        check_record,
        checkpoint_folder,
        find_checkpoint,
        read_record,
    )

    folder, found, without = checkpoint_folder(), [], []
    for model in list_models():
        place = find_checkpoint(folder, model)
        if place is None:
            without.append(model)
            continue
        try:
            recorded = place.suffix != ".safetensors" and bool(read_record(place))
            check_record(place)
        except (ConvRNNError, OSError) as error:
            found.append(Line(model, str(place), str(error)))
            continue
        verified = "unchanged since the download" if recorded else "verified on loading"
        found.append(Line(model, f"{place}: {verified}"))
    if len(without) == len(list_models()):
        return [Line("none yet", "`convrnns download MODEL` fetches one")]
    return found + [Line("not there", ", ".join(without))] * bool(without)

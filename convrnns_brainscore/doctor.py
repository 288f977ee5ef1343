"""Is this installation whole? What is there, what is out of bounds, and what mends it.

Nothing here imports TensorFlow, PyTorch or Brain-Score: each is tried in a process of its own, so
that one that fails, or ends its process, is told of and not met. NumPy, which reading checkpoints
needs, is imported where it is.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from packaging.utils import canonicalize_name

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.requirements import installed_version, misfits
from convrnns_brainscore.zoo import list_models

PACKAGES = (
    "convrnns-brainscore", "brainscore-vision", "brainscore-core", "tensorflow", "keras", "torch",
    "numpy", "pandas", "xarray", "scikit-learn", "zarr", "netCDF4", "rsatoolbox", "distributed",
    "pynwb",
)  # fmt: skip

SECONDS = 180
"""For an import to end."""

_PROBES = {
    "TensorFlow": (
        "import tensorflow as tf; "
        "print(tf.__version__, [d.name for d in tf.config.list_physical_devices()])"
    ),
    "PyTorch": (
        "import torch; n = torch.cuda.device_count(); "
        "print(torch.__version__, [torch.cuda.get_device_name(i) for i in range(n)] or ['CPU'])"
    ),
    "Keras": "import keras; print(keras.__version__, 'on', keras.config.backend())",
    "Brain-Score": "import brainscore_vision; print('imports')",
}


@dataclass(frozen=True)
class Line:
    """One thing that was looked at; ``cure`` is empty where there is nothing to mend."""

    name: str
    found: str
    cure: str = ""


def versions() -> list[Line]:
    """Python and packages, with what mends those that do not fit."""
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
    """What imports, and on which devices."""
    for name, code in _PROBES.items():
        environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
        asked = environment.get("KERAS_BACKEND", "tensorflow")
        if name != "Keras":
            environment.pop("KERAS_BACKEND", None)
        elif asked not in ("tensorflow", "torch"):
            yield Line(name, "–", f"KERAS_BACKEND={asked}: expected tensorflow or torch")
            continue
        try:
            told = subprocess.run(
                [sys.executable, "-c", code],
                capture_output=True,
                text=True,
                timeout=SECONDS,
                check=False,
                env=environment,
            )
        except subprocess.TimeoutExpired:
            yield Line(name, "–", f"did not import within {SECONDS} s")
            continue
        lines = [line for line in (told.stdout or told.stderr).splitlines() if line.strip()]
        said = lines[-1].strip() if lines else f"exit code {told.returncode}"
        ok = told.returncode == 0
        yield Line(name, said if ok else "–", "" if ok else f"does not import: {said}")


def caches() -> list[Line]:
    """Folders that this package and Brain-Score keep things in, and their size."""
    from convrnns_brainscore.checkpoints import checkpoint_folder

    home = Path.home()
    places = {
        "checkpoints ($CONVRNNS_CHECKPOINTS)": checkpoint_folder(),
        "Brain-Score's results ($RESULTCACHING_HOME)": Path(
            os.environ.get("RESULTCACHING_HOME", home / ".result_caching")
        ),
        "Brain-Score's data ($BRAINIO_HOME)": Path(
            os.environ.get("BRAINIO_HOME", home / ".brainio")
        ),
    }
    return [
        Line(name, f"{path}: {_size(path)}", "it is a file: name a folder" * path.is_file())
        for name, path in places.items()
    ]


def _size(folder: Path) -> str:
    if not folder.exists():
        return "not there yet"
    total = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    return f"{total / 1e9:.2f} GB"


def matrix_product_rate() -> float:
    """GFLOP/s of a float32 matrix product on this machine, the better of two."""
    import numpy as np

    size = 2048
    values = np.ones((size, size), np.float32)
    times = []
    for _ in range(2):
        began = time.perf_counter()
        values @ values
        times.append(time.perf_counter() - began)
    return 2 * size**3 / min(times) / 1e9


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
        verified = "as it was downloaded" if recorded else "checked when it is loaded"
        found.append(Line(model, f"{place}: {verified}"))
    if len(without) == len(list_models()):
        return [Line("none yet", "`convrnns download MODEL` fetches one")]
    return found + [Line("not there", ", ".join(without))] * bool(without)

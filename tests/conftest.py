"""What the tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

# Before anything imports Brain-Score: its progress bars off, and its caches, which are keyed by
# identifier alone, unused.
os.environ["TQDM_DISABLE"] = "1"
os.environ["RESULTCACHING_DISABLE"] = "1"
# Brain-Score's `load_metric` runs the first pip on the path, which may be that of another Python:
# in a fresh clone it installed TensorFlow and PyTorch there.
os.environ["BS_INSTALL_DEPENDENCIES"] = "no"
# What the developer has downloaded is not what is tested.
os.environ["CONVRNNS_CHECKPOINTS"] = "/nonexistent/checkpoints"

import numpy as np
import pytest

from convrnns_brainscore import cli, load_network
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.images import normalise
from convrnns_brainscore.objects92 import OBJECTS92

SHARED = Path(__file__).parents[1] / ".." / "shared"


@pytest.fixture
def convrnns(capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """``convrnns`` in this process, which saves the start of another: what it says, in one piece,
    where it ends with the expected code."""

    def run(*arguments: object, code: int = 0) -> str:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([str(argument) for argument in arguments])
        said = capsys.readouterr()
        assert (ended.value.code or 0) == code, said.err
        return said.out + said.err

    return run


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of goldens and recordings that lies beside a developer's clone."""
    if not SHARED.is_dir():
        pytest.skip(f"NOT CHECKED HERE: {SHARED.resolve()} is absent (goldens, real recordings)")
    return SHARED


@pytest.fixture(scope="session")
def network() -> ConvRNN:
    """A small network: the fastest of the 20, untrained."""
    return load_network("timedecay_shallow", weights="random", seed=0)


@pytest.fixture(scope="session")
def noise() -> np.ndarray:
    """Three normalised images of noise, float32 [3, 224, 224, 3]."""
    return normalise(np.random.default_rng(0).integers(0, 256, (3, 224, 224, 3)))


@pytest.fixture(scope="session")
def photographs() -> list[Path]:
    """The files of the 92 object photographs."""
    return sorted((OBJECTS92 / "stimuli").glob("*.png"))

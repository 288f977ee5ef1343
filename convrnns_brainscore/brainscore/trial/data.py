"""Brain-Score without its data: what it loads is made."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import tempfile
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from operator import attrgetter
from pathlib import Path
from typing import Any
from unittest import mock

import brainscore_vision
import pandas as pd
from brainscore_vision.benchmark_helpers import screen

from .arrays import FOLDERS
from .families import DEFAULTS, SETTINGS, data, split_masks, stimuli

ENVIRONMENT = {"BS_INSTALL_DEPENDENCIES": "no", "RESULTCACHING_DISABLE": "1"}


class _Registry(dict[str, Any]):
    """Makes what it is asked for; what plugins register meanwhile goes to the real registry."""

    def __init__(self, real: dict[str, Any], make: Callable[[str], Any]) -> None:
        super().__init__()
        self._real, self._make = real, make

    def __getitem__(self, identifier: str) -> Callable[[], Any]:
        return lambda: self._make(identifier)

    def __setitem__(self, identifier: str, loader: Any) -> None:
        self._real[identifier] = loader


def _put_back(name: str, module: types.ModuleType | None) -> None:
    """``module`` is what ``import name`` finds again; None: nothing is."""
    if module is None:
        sys.modules.pop(name, None)
    else:
        sys.modules[name] = module


@contextmanager
def made_data() -> Iterator[None]:
    """Meanwhile Brain-Score's benchmarks get made data; nothing is fetched, and nothing is written
    but to a folder that is removed at the end.

    Brain-Score reads data by two registries, which are replaced by ones that make what they are
    asked for: every module is served, however it imported the functions that load.
    """
    real_plugin, real_read = brainscore_vision.import_plugin, pd.read_csv

    def import_plugin(library: str, kind: str, *args: Any, **kwargs: Any) -> None:
        if kind != "data":
            real_plugin(library, kind, *args, **kwargs)

    def read_csv(source: Any, *args: Any, **kwargs: Any) -> pd.DataFrame:
        if Path(str(source)).name != "imagenet2012.csv":  # ImageNet's own list of images
            return real_read(source, *args, **kwargs)
        made = stimuli("imagenet2012")
        return pd.DataFrame(made).assign(
            filepath=[str(made.get_stimulus(key)) for key in made["stimulus_id"]]
        )

    splits = types.ModuleType("laion_fmri.splits")
    setattr(splits, "get_split_masks", split_masks)  # noqa: B010
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="made-data-")))
        (folder / "images").mkdir()
        FOLDERS.append(folder / "images")
        stack.callback(FOLDERS.pop)
        stack.enter_context(
            mock.patch.dict(os.environ, ENVIRONMENT | {"RESULTCACHING_HOME": str(folder / "cache")})
        )
        # Not `mock.patch.dict`, which removes what is imported meanwhile: PyTorch's modules cannot
        # be imported a second time.
        for made in (types.ModuleType("laion_fmri"), splits):
            stack.callback(_put_back, made.__name__, sys.modules.get(made.__name__))
            sys.modules[made.__name__] = made
        for target, name, value in (
            (brainscore_vision, "data_registry", _Registry(brainscore_vision.data_registry, data)),
            (
                brainscore_vision,
                "stimulus_set_registry",
                _Registry(brainscore_vision.stimulus_set_registry, stimuli),
            ),
            (brainscore_vision, "import_plugin", import_plugin),
            (pd, "read_csv", read_csv),
            (screen, "root_path", folder / "on-screen"),
        ):
            stack.enter_context(mock.patch.object(target, name, value))
        for path, values in DEFAULTS.items():
            module, name = path.split(":")
            function = attrgetter(name)(importlib.import_module(f"brainscore_vision.{module}"))
            parameters = inspect.signature(function).parameters.values()
            smaller = tuple(
                values.get(p.name, p.default) for p in parameters if p.default is not p.empty
            )
            stack.enter_context(mock.patch.object(function, "__defaults__", smaller))
        for path, values in SETTINGS.items():
            imported = importlib.import_module(f"brainscore_vision.benchmarks.{path}")
            for name, value in values.items():
                stack.enter_context(mock.patch.object(imported, name, value))
        yield

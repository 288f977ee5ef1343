"""Put every benchmark's requests to a model, and say of each whether it scores, or why not."""

from __future__ import annotations

import contextlib
import io
import logging
import re
import time
import warnings
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import brainscore_vision
import numpy as np
from brainscore_vision.benchmarks import BenchmarkBase
from brainscore_vision.model_interface import BrainModel

from . import FAILS, FAILS_FOR_ALL, INCONCLUSIVE, SCORES
from .data import made_data

NOTES = {
    r"Islam2021-.*": "Brain-Score takes neuroids for presentations here: it indexes the second "
    "dimension of a recording that its own models give as presentation × neuroid",
}
"""Patterns of names → an error of Brain-Score's that a score does not show (2.4.2)."""

BUGS = {
    r"Malania2007\.vernieracuity-threshold": "Brain-Score compares the model's threshold with the "
    "names in a dict of its data sets; it scores 0 where no threshold can be fitted",
}
"""Patterns of names → errors of Brain-Score's that depend on the model's answer (2.4.2)."""


@dataclass(frozen=True)
class Trial:
    """What became of a benchmark.

    Attributes
    ----------
    name : str
        In Brain-Score's registry.
    requests : tuple of str
        What the benchmark asked of the model, each kind once.
    shown : str
        How long stimuli were on, as the model's recordings say; empty: they do not say.
    latency_ms : float
        As the model's recordings say.
    outcome : str
        `SCORES`, `FAILS_FOR_ALL`, `FAILS` or `INCONCLUSIVE`.
    score : float
        On made data, where it means nothing; NaN: there is none.
    reason : str
        Why there is none, or what else is to be known; else empty.
    seconds : float
        What it took.
    """

    name: str
    requests: tuple[str, ...]
    shown: str
    latency_ms: float
    outcome: str
    score: float
    reason: str
    seconds: float


class _Watched(BrainModel):  # type: ignore[misc]
    """A model, and what is asked of it."""

    def __init__(self, model: BrainModel) -> None:
        self._model = model
        self.requests: list[str] = []
        self.recorded: dict[str, Any] = {}
        self.answering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)

    @property
    def identifier(self) -> str:
        return str(self._model.identifier)

    def visual_degrees(self) -> Any:
        return self._model.visual_degrees()

    def start_task(self, *arguments: Any, **options: Any) -> Any:
        return self._ask("start_task", *arguments, **options)

    def start_recording(self, *arguments: Any, **options: Any) -> Any:
        return self._ask("start_recording", *arguments, **options)

    def look_at(self, *arguments: Any, **options: Any) -> Any:
        answer = self._ask("look_at", *arguments, **options)
        self.recorded = dict(getattr(answer, "attrs", {})) or self.recorded
        return answer

    def _ask(self, name: str, *arguments: Any, **options: Any) -> Any:
        told = [_in_words(each) for each in arguments]
        told += [f"{key}={_in_words(value)}" for key, value in options.items()]
        self.requests.append(f"{name}({', '.join(told)})")
        self.answering = True
        answer = getattr(self._model, name)(*arguments, **options)
        self.answering = False
        return answer


def sweep(subject: Callable[[str], BrainModel], names: Sequence[str]) -> Iterator[Trial]:
    """Try benchmarks, one after another.

    Parameters
    ----------
    subject : callable
        Name of a benchmark → the model, made anew.
    names : sequence of str
        In Brain-Score's registry.

    Yields
    ------
    Trial
        Of each name, in order.
    """
    with made_data():
        for name in names:
            with _quiet():  # and not where the caller goes on, who may print
                trial = _try(name, subject)
            yield trial


def _try(name: str, subject: Callable[[str], BrainModel]) -> Trial:
    began = time.monotonic()
    watched = _Watched(subject(name))
    score, why = _run(name, watched)
    outcome = SCORES
    note = next((note for pattern, note in NOTES.items() if re.fullmatch(pattern, name)), "")
    known = next((bug for pattern, bug in BUGS.items() if re.fullmatch(pattern, name)), "")
    if why and known and not watched.answering:
        outcome, why = FAILS_FOR_ALL, known
    elif why and not watched.requests:
        outcome = INCONCLUSIVE
    elif why:
        theirs, their_why = _run(name, _Watched(_own_model()))
        alike = not np.isfinite(theirs) and their_why == why
        outcome = FAILS_FOR_ALL if alike else FAILS
        if alike:
            why += "; Brain-Score's own models fail in the same way"
    return Trial(
        name,
        tuple(dict.fromkeys(watched.requests)),
        str(watched.recorded.get("image_duration", "")),
        float(watched.recorded.get("latency_ms", 0)),
        outcome,
        score,
        why or note,
        time.monotonic() - began,
    )


def _run(name: str, watched: _Watched) -> tuple[float, str]:
    """The score; and why there is none, or empty."""
    np.random.seed(0)
    try:
        benchmark = brainscore_vision.load_benchmark(name)
        inherited = getattr(type(benchmark), "_ceiling", None) is BenchmarkBase._ceiling
        if inherited and "_ceiling" not in vars(benchmark):
            # It is asked for several times, and here no store keeps it.
            benchmark._ceiling = cache(benchmark._ceiling)
        given = benchmark(watched)
        score = _number(given)
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]
        where = "the model's answer" if watched.answering else "the benchmark"
        return np.nan, f"{type(error).__name__} in {where}: {first[:200]}"
    return score, "" if np.isfinite(score) else "NaN"


def _number(score: Any) -> float:
    """A score as one number. Of one for each time bin, the mean of those that are defined: before
    the image reaches a layer, r is NaN or, where rounding differs between images, arbitrary."""
    values = np.asarray(score.values, float).ravel()
    if "time_bin" in getattr(score.attrs.get("raw"), "dims", ()):
        values = values[np.isfinite(values)]
        return float(values.mean()) if values.size else np.nan
    return float(values[0])


def _own_model() -> BrainModel:
    """A model in the form of Brain-Score's own, of two convolutions in PyTorch."""
    import torch
    from brainscore_vision.model_helpers.activations.pytorch import (
        PytorchWrapper,
        load_preprocess_images,
    )
    from brainscore_vision.model_helpers.brain_transformation import ModelCommitment

    torch.manual_seed(0)
    layers = OrderedDict(
        early=torch.nn.Conv2d(3, 4, 7, stride=8, padding=3),
        relu1=torch.nn.ReLU(),
        late=torch.nn.Conv2d(4, 16, 3, stride=2, padding=1),
        relu2=torch.nn.ReLU(),
        flat=torch.nn.Flatten(),
        logits=torch.nn.Linear(16 * 4 * 4, 1000),
    )
    wrapper = PytorchWrapper(
        torch.nn.Sequential(layers),
        partial(load_preprocess_images, image_size=64),
        identifier="brain-score-own",
    )
    wrapper.image_size = 64
    return ModelCommitment(
        "brain-score-own",
        wrapper,
        ["relu1", "relu2", "logits"],
        behavioral_readout_layer="logits",
        region_layer_map={"V1": "relu1", "V2": "relu2", "V4": "relu2", "IT": "relu2"},
    )


def _in_words(value: Any) -> str:
    if hasattr(value, "stimulus_paths"):
        return "stimuli"
    if isinstance(value, np.ndarray):
        return _in_words(value.tolist())
    if isinstance(value, list) and len(value) > 3:
        return f"[{_in_words(value[0])}, … {_in_words(value[-1])}]"
    if isinstance(value, list):
        return f"[{', '.join(map(_in_words, value))}]"
    return str(getattr(value, "name", value))


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what benchmarks and metrics print and warn of."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            with np.errstate(all="ignore"):
                yield
    finally:
        logging.disable(before)

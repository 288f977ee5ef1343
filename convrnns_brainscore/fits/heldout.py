"""Fits of one time bin, and their predictions of held-out stimuli.

Neurons that were observed for every stimulus are fitted together, as Brain-Score does: PLS's
components are common to them. A neuron that misses stimuli, or does not vary over some training
set, is fitted separately, so that it does not affect the other neurons.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from joblib import cpu_count  # type: ignore[import-untyped]
from numpy.typing import NDArray
from rich.filesize import decimal

from convrnns_brainscore.choices import MethodName, parse_choice
from convrnns_brainscore.errors import ConvRNNError, counted
from convrnns_brainscore.fits.blas import blas_threads
from convrnns_brainscore.fits.correlation import nanmean, pearson
from convrnns_brainscore.fits.gram import gram_of, split_gram
from convrnns_brainscore.fits.pls import COMPONENTS, kernel_pls
from convrnns_brainscore.fits.reliability import HALVINGS
from convrnns_brainscore.fits.ridge import KernelRidge
from convrnns_brainscore.fits.splits import FEWEST, Split
from convrnns_brainscore.fits.streamed_pls import MOST_ROWS, Blocks, streamed_pls

Array = NDArray[np.float64]
Item = TypeVar("Item")
Found = TypeVar("Found")
Halves = Sequence[tuple[Array, Array]]
"""Responses [stimulus, neuron, bin] averaged over either half of the repetitions, for each
halving."""

NOT_OBSERVED = "not observed"

IN_MEMORY = 2**30
"""Bytes of features of which inner products between rows are formed where bins share weights."""

CROSS_PRODUCTS = 2**29
"""Bytes of features × neurons that are held at a time where features are streamed."""


@dataclass(frozen=True)
class Method:
    """How responses are predicted from features.

    Attributes
    ----------
    name : str, default 'pls'
        ``"pls"`` or ``"ridge"``.
    components : int, default COMPONENTS
        Components of PLS.
    penalty : float, optional
        Penalty of ridge; None: chosen for each neuron by leave-one-out.

    Raises
    ------
    ConvRNNError
        No such method, or settings that it cannot have.
    """

    name: str = "pls"
    components: int = COMPONENTS
    penalty: float | None = None

    def __post_init__(self) -> None:
        parse_choice("method", self.name, MethodName)
        if self.name == "pls" and self.components < 1:
            raise ConvRNNError(f"`components={self.components}`: expected 1 or more.")
        if self.penalty is not None and not (self.name == "ridge" and 0 < self.penalty < np.inf):
            raise ConvRNNError(
                f"`penalty={self.penalty}`: expected a positive number and `method='ridge'`."
            )

    @property
    def needed(self) -> int:
        """Training stimuli must be more than this."""
        return self.components if self.name == "pls" else 1

    @property
    def label(self) -> str:
        """In words."""
        if self.name == "pls":
            return f"PLS, {self.components} components"
        chosen = "chosen per neuron by leave-one-out" if self.penalty is None else self.penalty
        return f"ridge, penalty {chosen}"


@dataclass(frozen=True)
class Task:
    """One fit: to the training rows of ``responses`` [row, neuron], to predict its test rows."""

    responses: Array
    split: Split


@dataclass(frozen=True)
class Predicted:
    """Of test rows: responses [row, neuron], and ridge's penalty of each neuron."""

    responses: Array
    penalty: Array


Predict = Callable[[Sequence[Task]], list[Predicted]]
"""What carries out fits of one method to the same features."""


def predictor(method: Method, gram: Array) -> Predict:
    """What fits ``method`` to features with the inner products ``gram`` [row, row]."""
    if method.name == "pls":

        def by_pls(tasks: Sequence[Task]) -> list[Predicted]:
            def fit(task: Task) -> Predicted:
                split = task.split
                inner, across = split_gram(gram, split.train, split.test)
                fitted = kernel_pls(inner, task.responses[split.train], method.components)
                return _without_penalty(fitted.predict(across))

            return _in_threads(fit, tasks)

        return by_pls
    factors: dict[bytes, KernelRidge] = {}

    def by_ridge(tasks: Sequence[Task]) -> list[Predicted]:
        alike: dict[bytes, list[int]] = {}
        for index, task in enumerate(tasks):
            key = task.split.train.tobytes() + b"|" + task.split.test.tobytes()
            alike.setdefault(key, []).append(index)
        results: dict[int, Predicted] = {}

        def fit(key: bytes) -> None:  # one factorisation for all responses to a split
            members = alike[key]
            split = tasks[members[0]].split
            if key not in factors:
                factors[key] = KernelRidge.of(*split_gram(gram, split.train, split.test))
            targets = [tasks[index].responses[split.train] for index in members]
            predicted, penalty = factors[key].predict(np.hstack(targets), method.penalty)
            ends = np.cumsum([each.shape[1] for each in targets])[:-1]
            for index, *both in zip(
                members, np.hsplit(predicted, ends), np.split(penalty, ends), strict=True
            ):
                results[index] = Predicted(*both)

        _in_threads(fit, list(alike))
        return [results[index] for index in range(len(tasks))]

    return by_ridge


def _in_threads(function: Callable[[Item], Found], items: Sequence[Item]) -> list[Found]:
    """One thread an item: its products are small, and threads would wait for each other."""
    with blas_threads(1), ThreadPoolExecutor(cpu_count()) as pool:
        return list(pool.map(function, items))


def streaming_predictor(
    method: Method, blocks: Blocks, rows: int, features: int
) -> tuple[Predict, Array | None]:
    """What fits ``method`` to features that are read some rows at a time, and the inner products
    [row, row] by which it does, where they are few enough; PLS else by streaming.

    Raises
    ------
    ConvRNNError
        Ridge on more.
    """
    if rows <= MOST_ROWS and 4 * rows * features <= IN_MEMORY:
        together = np.empty((rows, features), np.float32)
        for where, read in blocks():
            together[where] = read()
        gram = gram_of(together)
        return predictor(method, gram), gram
    if method.name == "ridge":
        raise ConvRNNError(
            f"ridge with weights shared over time has {rows} rows (stimuli × bins) of {features} "
            f"features; at most {MOST_ROWS} rows, and {decimal(IN_MEMORY)} of features, can be "
            "fitted. Give `method='pls'`, `time='per-bin'`, or fewer or wider bins."
        )

    def by_pls(tasks: Sequence[Task]) -> list[Predicted]:
        results = []
        neurons = max(task.responses.shape[1] for task in tasks)
        at_a_time = max(1, CROSS_PRODUCTS // (8 * features * neurons))
        for start in range(0, len(tasks), at_a_time):
            some = tasks[start : start + at_a_time]
            fits = streamed_pls(
                blocks, [(task.responses, task.split.train) for task in some], method.components
            )
            results += [
                _without_penalty(fit.predict_rows(task.split.test))
                for fit, task in zip(fits, some, strict=True)
            ]
        return results

    return by_pls, None


def _without_penalty(responses: Array) -> Predicted:
    return Predicted(responses, np.full(responses.shape[1], np.nan))


@dataclass(frozen=True)
class Together:
    """Neurons that are fitted together: their positions, and the rows that all of them have."""

    neurons: NDArray[np.intp]
    present: NDArray[np.bool_]


def fitted_together(
    responses: Array, splits: Sequence[Split], needed: int
) -> tuple[list[Together], NDArray[Any]]:
    """Which neurons are fitted together, and what is to be said of each: text [neuron], empty
    where there is nothing.

    Parameters
    ----------
    responses : float64 array [row, neuron]
        NaN where nothing was observed.
    needed : int
        Training rows must be more than this.
    """
    observed = np.isfinite(responses)
    notes = np.full(responses.shape[1], "", object)
    usual = observed.all(axis=0)
    for split in splits:
        usual &= np.ptp(responses[split.train], axis=0) > 0
    apart: dict[tuple[bytes, int], list[int]] = {}
    for neuron in np.flatnonzero(~usual):
        present, values = observed[:, neuron], responses[:, neuron]
        missing = int((~present).sum())
        if not present.any():
            notes[neuron] = NOT_OBSERVED
            continue
        if not _varies(values[present]):
            notes[neuron] = "does not vary"
            continue
        left = [split.among(present) for split in splits]
        if any(len(split.train) <= needed or len(split.test) < FEWEST for split in left):
            notes[neuron] = f"misses {counted(missing, 'response')}: too few are left"
            continue
        still = [index for index, split in enumerate(left) if not _varies(values[split.train])]
        what = (
            f"does not vary in training set {still[0]}"
            if still
            else f"misses {counted(missing, 'response')}"
        )
        notes[neuron] = f"{what}: fitted separately"
        apart.setdefault((present.tobytes(), neuron if still else -1), []).append(neuron)
    groups = [Together(np.array(each), observed[:, each[0]]) for each in apart.values()]
    if usual.any():
        groups.insert(0, Together(np.flatnonzero(usual), np.full(len(responses), True)))
    return groups, notes


def _varies(values: Array) -> bool:
    return bool(len(values)) and bool((values != values[0]).any())


@dataclass
class HeldOut:
    """How well responses are predicted. All but the penalty are Pearson's r over test stimuli, NaN
    where it is undefined.

    Attributes
    ----------
    r : float64 array [split, neuron, bin]
        r of predicted and observed responses.
    prediction_halves : float64 array [halving, neuron, bin]
        r of what the fits to either half of the repetitions predict.
    response_halves : float64 array [halving, neuron, bin]
        r of the responses averaged over either half.
    penalty : float64 array
        [split, neuron, bin] of ridge.
    notes : array [neuron]
        What is to be said of a neuron, or empty.
    predicted : list of float64 array
        For each split [test stimulus, neuron, bin]; NaN where nothing was.
    """

    r: Array
    prediction_halves: Array
    response_halves: Array
    penalty: Array
    notes: NDArray[Any]
    predicted: list[Array] = field(default_factory=list)

    @classmethod
    def undefined(cls, splits: int, neurons: int, bins: int) -> HeldOut:
        """Nothing yet."""
        sizes = (splits, halving_count(splits), halving_count(splits), splits)
        r, prediction_halves, response_halves, penalty = (
            np.full((size, neurons, bins), np.nan) for size in sizes
        )
        notes = np.full(neurons, "", object)
        return cls(r, prediction_halves, response_halves, penalty, notes)

    def put(self, other: HeldOut, neurons: NDArray[np.intp], bins: Sequence[int]) -> None:
        """Fill in some neurons and bins, but for what was predicted."""
        columns = np.asarray(bins, np.intp)
        for name in ("r", "prediction_halves", "response_halves", "penalty"):
            getattr(self, name)[:, neurons[:, None], columns] = getattr(other, name)


def halving_count(splits: int) -> int:
    """Halvings that are fitted: one a split at least, and `reliability.HALVINGS` at least."""
    return max(HALVINGS, splits)


def held_out(
    predict: Predict,
    responses: Array,
    halves: Halves,
    splits: Sequence[Split],
    needed: int,
) -> HeldOut:
    """Fit each split's training stimuli, and correlate its test stimuli, bin by bin.

    Parameters
    ----------
    predict : callable
        What fits rows, which are the stimuli of the first bin, of the second, ….
    responses : float64 array [stimulus, neuron, bin]
        Averaged over repetitions; NaN where nothing was observed.
    halves : pairs of float64 arrays
        The same over either half of the repetitions, for each halving; none: there are no
        repetitions.
    splits : sequence of Split
        Splits of stimuli; all bins of a stimulus stand on the same side.
    needed : int
        Training rows must be more than this.
    """
    stimuli, neurons, bins = responses.shape
    result = HeldOut.undefined(len(splits), neurons, bins)
    result.predicted = [np.full((len(split.test), neurons, bins), np.nan) for split in splits]
    rows = as_rows(responses)
    over_bins = [split.repeated(bins, stimuli) for split in splits]
    groups, result.notes = fitted_together(rows, over_bins, needed)
    for group in groups:
        chosen = group.neurons
        target = rows if len(chosen) == neurons else rows[:, chosen]
        tasks = [Task(target, split.among(group.present)) for split in over_bins]
        for index, (task, predicted) in enumerate(zip(tasks, predict(tasks), strict=True)):
            test = task.split.test
            result.r[index, chosen] = _by_bin(
                predicted.responses, target[test], test, stimuli, bins
            )
            result.penalty[index, chosen] = predicted.penalty[:, None]
            place = np.empty(stimuli, np.intp)
            place[splits[index].test] = np.arange(len(splits[index].test))
            where = place[test % stimuli, None], chosen[None], test[:, None] // stimuli
            result.predicted[index][where] = predicted.responses
        halvings, tasks = [], []
        for halving in range(halving_count(len(splits))) if halves else ():
            first, second = (as_rows(each)[:, chosen] for each in halves[halving % len(halves)])
            # A stimulus without either half in most neurons is excluded; in the others it counts
            # as the mean, so that no neuron's gaps take stimuli from the rest.
            missing = ~(np.isfinite(first) & np.isfinite(second))
            both = missing.mean(axis=1) < 0.5
            split = over_bins[halving % len(splits)].among(group.present)
            split = Split(split.train[both[split.train]], split.test)
            if len(split.train) > needed:
                halvings.append(halving)
                tasks += [Task(filled(each, split), split) for each in (first, second)]
                result.response_halves[halving, chosen] = _by_bin(
                    first[split.test], second[split.test], split.test, stimuli, bins
                )
        predictions = predict(tasks) if tasks else []
        for halving, task, one, other in zip(
            halvings, tasks[::2], predictions[::2], predictions[1::2], strict=True
        ):
            result.prediction_halves[halving, chosen] = _by_bin(
                one.responses, other.responses, task.split.test, stimuli, bins
            )
    return result


def filled(responses: Array, split: Split) -> Array:
    """Responses with each neuron's mean over the training rows where it misses a row."""
    missing = ~np.isfinite(responses)
    if not missing.any():
        return responses
    return np.where(missing, np.nan_to_num(nanmean(responses[split.train])), responses)


def as_rows(responses: Array) -> Array:
    """[stimulus, neuron, bin] as [row, neuron], bin after bin."""
    return np.ascontiguousarray(np.moveaxis(responses, 2, 0).reshape(-1, responses.shape[1]))


def _by_bin(a: Array, b: Array, rows: NDArray[np.intp], stimuli: int, bins: int) -> Array:
    """Pearson's r [neuron, bin] of rows that stand for stimuli in bins."""
    of_bin = rows // stimuli
    return np.stack(
        [pearson(a[of_bin == index], b[of_bin == index]) for index in range(bins)], axis=1
    )

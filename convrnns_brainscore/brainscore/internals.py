"""Everything of Brain-Score that this package relies on and that Brain-Score does not promise.

Private attributes, environment switches and replaced functions, one function each. Read in
brainscore_vision 2.4.2, brainscore_core 2.5.0 and result_caching 0.5. With a newer release, this is
the file to look through: each docstring says what breaks if the thing goes. Brain-Score is imported
inside the functions, so that `quieten` can come before it.
"""

from __future__ import annotations

import inspect
import logging
import os
import pickle
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.files import why_not_writable

if TYPE_CHECKING:
    from brainscore_core.metrics import Score
    from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
    from brainscore_vision.model_helpers.activations.core import ActivationsExtractorHelper
    from brainscore_vision.model_helpers.activations.pca import LayerPCA

T = TypeVar("T")

_log = logging.getLogger(__name__)

Hook = Callable[[Any], Any]

LOADERS = ("load_dataset", "load_stimulus_set")
"""Brain-Score's functions that load data."""

_DATA_SET = "_data_set_being_loaded"


def quieten() -> None:
    """Turn off progress bars and warnings that would break up tables on a terminal.

    tqdm's environment variable ``TQDM_DISABLE``, which has to be set before tqdm is imported, and
    Python's ``PYTHONWARNINGS`` for the processes that Brain-Score's metrics start. If they go, the
    terminal is untidy and nothing else.
    """
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Of scikit-learn's ridge, for each split and bin: conditions of 1e8 leave half of the digits.
    warnings.filterwarnings("ignore", message="An ill-conditioned matrix")
    # Of Brain-Score's `place_on_screen`.
    warnings.filterwarnings("ignore", message="Pandas doesn't allow columns to be created")


# --- activations -----------------------------------------------------------------------------


def batch_hooks(extractor: ActivationsExtractorHelper) -> list[Hook]:
    """The batch activations hooks of an extractor.

    brainscore_vision 2.4.2, ``ActivationsExtractorHelper._batch_activations_hooks``. If it goes,
    registered hooks (`LayerPCA`, the random projection) have no effect.
    """
    return list(extractor._batch_activations_hooks.values())


def stimulus_set_hooks(extractor: ActivationsExtractorHelper) -> list[Callable[[Any], StimulusSet]]:
    """The stimulus-set hooks of an extractor.

    brainscore_vision 2.4.2, ``ActivationsExtractorHelper._stimulus_set_hooks``. If it goes,
    registered hooks have no effect.
    """
    return list(extractor._stimulus_set_hooks.values())


def batch_size(extractor: ActivationsExtractorHelper) -> int:
    """The number of images that an extractor takes at a time.

    brainscore_vision 2.4.2, ``ActivationsExtractorHelper._batch_size``. If it goes, the batch size
    has to be kept by our own class.
    """
    return int(extractor._batch_size)


def set_extractor(pca: LayerPCA, extractor: Any) -> None:
    """Have ``pca`` ask ``extractor`` for the ImageNet activations that its bases are fitted to.

    brainscore_vision 2.4.2, ``LayerPCA._extractor``. If it goes, the bases would be fitted to
    assemblies with time bins, for which `LayerPCA` has no place.
    """
    pca._extractor = extractor


@dataclass(frozen=True)
class Microsaccades:
    """Shifts of an image, one for each presentation, the first of them none.

    Attributes
    ----------
    pixels, degrees : tuple of (float, float)
        To the right and down.
    """

    pixels: tuple[tuple[float, float], ...]
    degrees: tuple[tuple[float, float], ...]

    def moved(self, images: NDArray[np.float32], trial: int) -> NDArray[np.float32]:
        """``images`` [batch, height, width, 3], moved by the shift of presentation ``trial``.

        brainscore_vision 2.4.2, ``MicrosaccadeHelper.translate``: interpolated between pixels, the
        border repeated. If it goes, benchmarks that require a variance cannot be answered.
        """
        from brainscore_vision.model_helpers.activations.core import MicrosaccadeHelper

        shift, size = self.pixels[trial], images.shape[1:3]
        return np.stack([MicrosaccadeHelper.translate(each, shift, size, False) for each in images])


def microsaccades(trials: int, size: int, visual_degrees: float) -> Microsaccades:
    """The shifts of ``trials`` presentations of an image of ``size`` pixels.

    brainscore_vision 2.4.2, ``MicrosaccadeHelper.build_microsaccades``: a spiral within 0.05° that
    depends on the number of presentations alone. If it goes, benchmarks that require a variance
    cannot be answered.
    """
    from brainscore_vision.model_helpers.activations.core import MicrosaccadeHelper

    helper = MicrosaccadeHelper()
    helper.number_of_trials, helper.visual_degrees = trials, visual_degrees
    helper.build_microsaccades("image", (size, size))
    made = helper.microsaccades
    return Microsaccades(tuple(made["pixels"]["image"]), tuple(made["degrees"]["image"]))


def set_trials(extractor: ActivationsExtractorHelper) -> int:
    """The number of presentations that an extractor was set to.

    brainscore_vision 2.4.2, ``ActivationsExtractorHelper._microsaccade_helper.number_of_trials``.
    If it goes, calls by stimulus set or paths show each stimulus once.
    """
    return int(extractor._microsaccade_helper.number_of_trials)


def set_degrees(extractor: ActivationsExtractorHelper) -> float | None:
    """The visual degrees that Brain-Score's `ModelCommitment` set; None: it set none.

    brainscore_vision 2.4.2, ``ActivationsExtractorHelper._microsaccade_helper.visual_degrees``. If
    it goes, microsaccades are those of 8 degrees.
    """
    degrees = extractor._microsaccade_helper.visual_degrees
    return None if degrees is None else float(degrees)


# --- benchmarks and their data ---------------------------------------------------------------


@contextmanager
def no_installing() -> Iterator[None]:
    """Brain-Score installs no plugin's requirements meanwhile.

    brainscore_core 2.5.0, the environment variable ``BS_INSTALL_DEPENDENCIES``. If it goes, loading
    a benchmark or a metric runs pip.
    """
    with _environment("BS_INSTALL_DEPENDENCIES", os.environ.get("BS_INSTALL_DEPENDENCIES", "no")):
        yield


def name_failed_data() -> None:
    """From now on an error from loading data carries the data set's name (`failed_data`).

    brainscore_vision 2.4.2, ``load_dataset`` and ``load_stimulus_set``, replaced wherever
    Brain-Score's modules have them. If they go, errors about missing data name no data set.
    """
    import brainscore_vision

    for name in LOADERS:
        original = getattr(brainscore_vision, name)
        if hasattr(original, "__wrapped__"):
            continue
        naming = _naming(original)
        for module in list(sys.modules.values()):
            here = getattr(module, "__name__", "").startswith("brainscore_vision")
            if here and vars(module).get(name) is original:
                setattr(module, name, naming)


def failed_data(error: BaseException) -> str | None:
    """The data set that was being loaded when ``error`` was raised; None: none was."""
    return getattr(error, _DATA_SET, None)


def _naming(load: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(load)
    def naming(identifier: str, *arguments: Any, **options: Any) -> Any:
        try:
            return load(identifier, *arguments, **options)
        except Exception as error:
            setattr(error, _DATA_SET, str(identifier))  # in the end, the outermost
            raise

    return naming


def data_folder() -> Path:
    """Where Brain-Score keeps data sets.

    brainscore_core 2.5.0, the environment variable ``BRAINIO_HOME``. If it goes, a folder that
    cannot be written is taken for a missing network.
    """
    return Path(os.environ.get("BRAINIO_HOME", Path.home() / ".brainio")).expanduser()


def loaded(value: Any) -> Any:
    """The content of a `LazyLoad`; anything else as it is.

    brainscore_vision 2.4.2, ``LazyLoad._ensure_loaded`` and ``LazyLoad.content``. If they go, the
    digest of a benchmark's data leaves out what the benchmark loads late.
    """
    from brainscore_vision.utils import LazyLoad

    if not isinstance(value, LazyLoad):
        return value
    value._ensure_loaded()
    return value.content


def similarity_metric(benchmark: Any) -> Any:
    """The metric of a benchmark; None: it has none of its own.

    brainscore_vision 2.4.2, ``NeuralBenchmark._similarity_metric``. If it goes, no benchmark takes
    the exact solver, and the metric's name in scores comes from the identifier alone.
    """
    return getattr(benchmark, "_similarity_metric", None)


def set_similarity_metric(benchmark: Any, metric: Any) -> None:
    """Have a benchmark use another metric (see `similarity_metric`)."""
    benchmark._similarity_metric = metric


def regression_of(metric: Any) -> Any:
    """The estimator inside a regression of Brain-Score's; None: it has none.

    brainscore_vision 2.4.2, ``_regression`` of ``XarrayRegression`` and ``SpanTimeRegression``. If
    it goes, the exact solver suits no metric.
    """
    return getattr(metric, "_regression", None)


def recorded_data(benchmark: Any) -> Any:
    """The assembly that a neural benchmark predicts; None: it does not say.

    brainscore_vision 2.4.2, ``NeuralBenchmark._assembly``. If it goes, the time bins of benchmarks
    that do not name them, and the need for memory, are not known beforehand.
    """
    return getattr(benchmark, "_assembly", None)


def named_time_bins(benchmark: Any) -> Any:
    """The time bins that a benchmark names; None: it names none.

    brainscore_vision 2.4.2, ``timebins`` and ``_time_bins``. If they go, `recorded_data` has to
    say.
    """
    for name in ("timebins", "_time_bins"):
        if hasattr(benchmark, name):
            return getattr(benchmark, name)
    return None


def visual_degrees(benchmark: Any) -> Any:
    """The width at which a benchmark shows its stimuli, in degrees; None: it does not say.

    brainscore_vision 2.4.2, ``NeuralBenchmark._visual_degrees``. If it goes, scores of one
    recording at two widths cannot be told apart.
    """
    return getattr(benchmark, "_visual_degrees", None)


def ceiling_estimate(benchmark: Any) -> Callable[[], Score] | None:
    """What estimates a benchmark's ceiling, without Brain-Score's store; None: nothing to replace.

    brainscore_vision 2.4.2, ``BenchmarkBase._ceiling``, a method that result_caching 0.5 stores by
    the identifier alone. If it goes, ceilings are estimated anew for each model.
    """
    from brainscore_vision.benchmarks import BenchmarkBase

    if not isinstance(benchmark, BenchmarkBase) or "_ceiling" in vars(benchmark):
        return None
    unstored = inspect.unwrap(type(benchmark)._ceiling)
    return lambda: unstored(benchmark, benchmark.identifier)


def set_ceiling(benchmark: Any, estimate: Callable[[], Score]) -> None:
    """Have a benchmark take its ceiling from ``estimate`` (see `ceiling_estimate`)."""
    benchmark._ceiling = lambda identifier: estimate()


@contextmanager
def counted_loops(count: Callable[..., Iterator[Any]]) -> Iterator[None]:
    """Have ``count`` carry out the loops of metrics and ceilings that tqdm would count.

    brainscore_vision 2.4.2, the name ``tqdm`` in the modules of cross-validation and of ceilings.
    If it goes, long scores show no progress.

    Parameters
    ----------
    count : callable
        Called as tqdm is: with an iterable, ``total`` and ``desc``.
    """
    from brainscore_vision.metric_helpers import transformations
    from brainscore_vision.metrics.internal_consistency import ceiling

    modules = transformations, ceiling
    before = [module.tqdm for module in modules]
    try:
        for module in modules:
            module.tqdm = count
        yield
    finally:
        for module, original in zip(modules, before, strict=True):
            module.tqdm = original


# --- stores ----------------------------------------------------------------------------------


def kept(stored: Callable[[str, Callable[[], T]], T], key: str, compute: Callable[[], T]) -> T:
    """A result from Brain-Score's store, or computed and stored; where the store fails (it is
    damaged, full, not writable, or another process renames its file), the result is not lost.

    result_caching 0.5, which brainscore_core 2.5.0 uses, raises the errors of reading and writing.
    If it goes on without its store instead, this function is not needed.

    Parameters
    ----------
    stored : callable
        A function of ``result_caching.store``: key, compute → result.
    key : str
        What the store knows the result by.
    compute : callable
        Called at most once; what it raises is raised.
    """
    done: list[T] = []
    raised: list[Exception] = []

    def once() -> T:
        try:
            done.append(compute())
        except Exception as error:
            raised.append(error)
            raise
        return done[0]

    try:
        return stored(key, once)
    except (OSError, EOFError, pickle.UnpicklingError) as error:
        if raised:
            raise
        _log.warning(
            "Brain-Score's store in %s cannot be used (%s: %s), and nothing is kept: remove the "
            "file of %s there, or set RESULTCACHING_HOME",
            store_folder(), type(error).__name__, error, key,
        )  # fmt: skip
        return done[0] if done else compute()


def store_folder() -> Path:
    """Where Brain-Score's stores are.

    result_caching 0.5, which brainscore_core 2.5.0 uses, the environment variable
    ``RESULTCACHING_HOME``. If it goes, a folder that cannot be written is found only after what was
    to be stored is computed.
    """
    folder = os.environ.get("RESULTCACHING_HOME", Path.home() / ".result_caching")
    return Path(folder).expanduser()


@contextmanager
def without_unsafe_stores() -> Iterator[None]:
    """Brain-Score without those of its stores whose keys omit inputs that affect the result.

    result_caching 0.5, the environment variable ``RESULTCACHING_DISABLE``, and brainscore_vision
    2.4.2, ``benchmark_helpers.screen.root_path``: ceilings and resized stimuli are stored by
    identifier alone. If either goes, a score may use another recording's ceiling or another set's
    images. Resized stimuli get a folder of this run, which is removed at the end.
    """
    from brainscore_vision.benchmark_helpers import screen

    before = os.environ.get("RESULTCACHING_DISABLE", "")
    if why := why_not_writable(store_folder()):
        _log.warning(
            "%s cannot be written (%s): nothing is kept there. Set RESULTCACHING_HOME to a folder "
            "that can be.", store_folder(), why,
        )  # fmt: skip
        before = "1"
    disabled = before if before == "1" else ",".join(filter(None, [before, "brainscore_vision"]))
    folder = screen.root_path
    with (
        _environment("RESULTCACHING_DISABLE", disabled),
        TemporaryDirectory(prefix="convrnns-stimuli-") as own,
    ):
        try:
            screen.root_path = Path(own)
            yield
        finally:
            screen.root_path = folder


# --- plugins ---------------------------------------------------------------------------------


def metadata_problems(path: Path) -> tuple[list[str], Any]:
    """What Brain-Score finds wrong with a ``metadata.yml``, and what the file holds.

    brainscore_core 2.5.0, ``plugin_management.handle_metadata.validate_metadata_file``. If it goes,
    metadata is checked by the server only.
    """
    from brainscore_core.plugin_management.handle_metadata import validate_metadata_file

    problems, data = validate_metadata_file(str(path))
    return list(problems), data


@contextmanager
def _environment(name: str, value: str) -> Iterator[None]:
    """An environment variable meanwhile; then as it was before."""
    before = os.environ.get(name)
    os.environ[name] = value
    try:
        yield
    finally:
        if before is None:
            del os.environ[name]
        else:
            os.environ[name] = before

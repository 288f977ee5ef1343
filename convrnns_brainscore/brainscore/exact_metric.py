"""Brain-Score's regression metrics with this package's exact fits inside.

The metric object stays Brain-Score's own: its splits, its correlation, its aggregation. What it
fits with is replaced, and reads the model's recording where it lies, without the copies that the
metric would make of it.
"""

from __future__ import annotations

import copy
import logging
from functools import partial
from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import (
    NeuroidAssembly,
    walk_coords,
)
from brainscore_vision.metric_helpers.temporal import SpanTimeRegression
from brainscore_vision.metrics.regression_correlation.metric import CrossRegressedCorrelation
from sklearn.cross_decomposition import PLSRegression
from sklearn.linear_model import Ridge

from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.gram import gram_of
from convrnns_brainscore.fits.heldout import (
    Method,
    Predict,
    Task,
    predictor,
    streaming_predictor,
)
from convrnns_brainscore.fits.splits import Split
from convrnns_brainscore.fits.streamed_pls import bin_after_bin

_log = logging.getLogger(__name__)


class ExactMetric:
    """One of Brain-Score's cross-validated regression metrics, fitted exactly.

    Parameters
    ----------
    metric
        ``pls``, ``ridge``, ``spantime_pls`` or ``spantime_ridge``, as Brain-Score loads them.

    Raises
    ------
    ConvRNNError
        Another metric.
    """

    def __init__(self, metric: Any) -> None:
        self._metric = metric
        self._shared = False
        if type(metric) is not CrossRegressedCorrelation:  # its reverse is a subclass
            raise _unsuited(metric)
        regression = metric.regression
        if isinstance(regression, SpanTimeRegression):
            self._shared, regression = True, internals.regression_of(regression)
        estimator: Any = internals.regression_of(regression)
        if isinstance(estimator, PLSRegression) and not estimator.scale:
            self._method = Method("pls", estimator.n_components)
        elif type(estimator) is Ridge:
            self._method = Method("ridge", penalty=float(estimator.alpha))
        else:
            raise _unsuited(metric)

    def __call__(self, source: NeuroidAssembly, target: NeuroidAssembly) -> Any:
        """The metric's own score of ``target`` predicted from ``source``."""
        missing = ~np.isfinite(target.transpose("neuroid", ...).values)
        incomplete = missing.reshape(len(missing), -1).any(axis=1).sum()
        if incomplete:
            _log.warning("%d neurons lack responses, and do not count in the score", incomplete)
        metric = copy.copy(self._metric)
        metric.regression = _Regression(source, self._method, self._shared)
        # The metric cuts up what it is given; one neuroid tells the stimuli as well as all do.
        return metric(source.isel(neuroid=[0]), target)


class _Regression:
    """What the metric fits with. It is given stimuli, and looks up their features itself."""

    def __init__(self, source: NeuroidAssembly, method: Method, shared: bool) -> None:
        self._row = {key: row for row, key in enumerate(source["stimulus_id"].values)}
        dims = ("presentation", "neuroid", "time_bin")[: 3 if shared else 2]
        values = source.transpose(*dims).values
        self._stimuli, self._bins = len(values), values.shape[2] if shared else 1
        self._shared = shared
        self._predict: Predict
        if shared:
            rows = self._stimuli * self._bins
            blocks = partial(bin_after_bin, values, range(self._bins))
            self._predict, _ = streaming_predictor(method, blocks, rows, values.shape[1])
        else:
            self._predict = predictor(method, gram_of(values))

    def fit(self, source: NeuroidAssembly, target: NeuroidAssembly) -> None:
        chosen = [self._row[key] for key in source["stimulus_id"].values]
        order = target.sortby("stimulus_id")
        dims = ("time_bin", "presentation", "neuroid")[0 if self._shared else 1 :]
        values = np.asarray(order.transpose(*dims).values, np.float64)
        rows = np.array([self._row[key] for key in order["stimulus_id"].values])
        responses = np.zeros((self._bins, self._stimuli, values.shape[-1]))
        responses[:, rows] = values
        rest = np.setdiff1d(np.arange(self._stimuli), chosen)
        self._split = Split(np.sort(np.array(chosen)), rest)
        task = Task(
            responses.reshape(-1, values.shape[-1]), self._split.repeated(self._bins, self._stimuli)
        )
        (predicted,) = self._predict([task])
        self._predicted = predicted.responses.reshape(self._bins, len(rest), -1)
        self._neurons = _on(("neuroid",), target)

    def predict(self, source: NeuroidAssembly) -> NeuroidAssembly:
        place = {row: index for index, row in enumerate(self._split.test)}
        rows = [place[self._row[key]] for key in source["stimulus_id"].values]
        values = np.moveaxis(self._predicted[:, rows], 0, 2)
        coords = {**_on(("presentation", "time_bin"), source), **self._neurons}
        if not self._shared:
            return NeuroidAssembly(values[..., 0], coords=coords, dims=["presentation", "neuroid"])
        return NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid", "time_bin"])


def _on(wanted: tuple[str, ...], assembly: NeuroidAssembly) -> dict[str, Any]:
    """The coordinates that lie on one of the ``wanted`` dims."""
    return {
        name: (dims, held)
        for name, dims, held in walk_coords(assembly)
        if len(dims) == 1 and dims[0] in wanted
    }


def _unsuited(metric: Any) -> ConvRNNError:
    kind = "has none of them" if metric is None else f"has a {type(metric).__name__}"
    return ConvRNNError(
        "`solver='exact'` fits Brain-Score's metrics pls, ridge, spantime_pls and spantime_ridge; "
        f"this benchmark {kind}. Give `solver='brainscore'`."
    )

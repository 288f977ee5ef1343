"""Brain-Score benchmarks on recordings at hand, with Brain-Score's own classes and metrics."""

from __future__ import annotations

import hashlib

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision import load_ceiling, load_metric
from brainscore_vision.benchmark_helpers.neural_common import NeuralBenchmark, average_repetition

from convrnns_brainscore.errors import ConvRNNError, unknown
from convrnns_brainscore.images import VISUAL_DEGREES

METRICS = ("pls", "ridge", "spantime_pls", "spantime_ridge")
"""Brain-Score's regression metrics: for one time bin, and for several."""


def neural_benchmark(
    name: str, recording: NeuroidAssembly, metric: str, *, stratify_by: str = "object_name"
) -> NeuralBenchmark:
    """A Brain-Score benchmark on a recording of one region.

    The ceiling is the recording's split-half reliability over repetitions (Spearman–Brown),
    Brain-Score's ``internal_consistency``, per bin for the ``spantime_`` metrics.

    Parameters
    ----------
    name : begins the benchmark's identifier. The identifier ends with a digest of the data, since
        Brain-Score stores ceilings by identifier alone.
    recording : presentation × neuroid × time_bin, with ``stimulus_id``, ``repetition`` (at least
        two) and ``stratify_by`` on presentation, ``region`` (one value) on neuroid, and its
        ``stimulus_set``. Stimuli are shown as they fill the model's 8°.
    metric : ``"pls"`` or ``"ridge"`` for one time bin, ``"spantime_pls"`` or ``"spantime_ridge"``
        for several.
    stratify_by : the coordinate over whose values the train and test splits are balanced.

    Raises
    ------
    ConvRNNError : the metric does not fit the number of bins, or no repetitions.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    for coordinate in ("stimulus_id", "repetition", "region", stratify_by):
        if not hasattr(recording, coordinate):
            raise ConvRNNError(f"the recording has no coordinate {coordinate!r}.")
    temporal = metric.startswith("spantime_")
    bins = recording.sizes.get("time_bin", 1)
    if temporal != (bins > 1):
        wanted = "several time bins" if temporal else "one time bin"
        raise ConvRNNError(f"metric {metric} wants {wanted}; the recording has {bins}.")
    if len(np.unique(recording["repetition"].values)) < 2:
        raise ConvRNNError("the recording has no repetitions, so no ceiling can be estimated.")
    if not temporal and "time_bin" in recording.dims:
        recording = recording.squeeze("time_bin")
    region = str(recording["region"].values[0])
    ceiler = load_ceiling("internal_consistency_temporal" if temporal else "internal_consistency")
    digest = hashlib.sha256(np.ascontiguousarray(recording.values).tobytes()).hexdigest()[:12]
    return NeuralBenchmark(
        identifier=f"{name}.{region}-{metric}-{digest}",
        version=1,
        assembly=average_repetition(recording),
        similarity_metric=load_metric(
            metric, crossvalidation_kwargs={"stratification_coord": stratify_by}
        ),
        visual_degrees=VISUAL_DEGREES,
        number_of_trials=1,
        ceiling_func=lambda: ceiler(recording),
        parent=region,
    )

"""A lab's recording in Brain-Score's own format, as a benchmark on this machine.

A package is a folder: ``<region>.nc``, a ``NeuroidAssembly`` with its repetitions;
``stimuli.csv``, the table of its stimulus set; ``stimuli/``, their images.
"""

from __future__ import annotations

import errno
import hashlib
import logging
import math
import shutil
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.metrics import Score
from brainscore_core.supported_data_standards.brainio.assemblies import NeuroidAssembly
from brainscore_vision import load_ceiling, load_metric
from brainscore_vision.benchmark_helpers.neural_common import NeuralBenchmark, average_repetition

from convrnns_brainscore._version import __version__
from convrnns_brainscore.brainscore import internals
from convrnns_brainscore.brainscore.assemblies import stimulus_set
from convrnns_brainscore.brainscore.assembly_files import read_assembly, write_assembly
from convrnns_brainscore.brainscore.digests import update_digest
from convrnns_brainscore.brainscore.stimulus_durations import COLUMN
from convrnns_brainscore.choices import MetricName, parse_choice
from convrnns_brainscore.coordinates import names_of
from convrnns_brainscore.errors import ConvRNNError, counted
from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.reliability import Trials, ceiling, half_correlations
from convrnns_brainscore.fits.splits import TEST_SHARE
from convrnns_brainscore.images import VISUAL_DEGREES, is_plain, upright_rgb
from convrnns_brainscore.presentation import image_duration
from convrnns_brainscore.provenance import PACKAGE
from convrnns_brainscore.recordings import Recording
from convrnns_brainscore.regions import REGIONS
from convrnns_brainscore.streams import CLIPS

TABLE, IMAGES = "stimuli.csv", "stimuli"
_log = logging.getLogger(__name__)

FEWEST_STIMULI = 20
"""A tenth of them are a test set."""

STATIC, TEMPORAL = "pls", "spantime_pls"
"""Metrics where none is named, for one bin and for several."""


def is_package(name: str) -> bool:
    """Whether a benchmark's name is that of a packaged recording's file."""
    return name.endswith(".nc")


def write_package(
    recording: Recording, stimuli: pd.DataFrame, folder: Path, image_ms: float | None = None
) -> list[str]:
    """Write a recording as a package.

    Parameters
    ----------
    recording : Recording
        Recording of one region or more, each of which becomes a file.
    stimuli : DataFrame
        ``stimulus_id``, ``filename``, ``degrees`` of all its stimuli, in their order
        (`fits.prepare.match_stimuli`); their size is the same.
    folder : path
        Folder that is made; it must not exist, or be empty.
    image_ms : float, optional
        How long images were on, in ms; None: as the recording says, or not known.

    Returns
    -------
    list of str
        What was excluded, in words.

    Raises
    ------
    ConvRNNError
        ``folder`` is not empty; a region that no subject records from; stimuli of several sizes;
        nothing is left; durations as in
        `presentation.image_duration`.
    """
    folder = Path(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConvRNNError(f"{folder} exists already: give a new folder, or remove it.")
    if CLIPS in stimuli:
        raise ConvRNNError(
            "the stimuli have times of their own, and a package holds images that are shown alike: "
            "give the images without onset_ms, or use fit."
        )
    sizes = stimuli["degrees"].unique()
    if len(sizes) != 1:
        raise ConvRNNError(
            f"stimuli of {len(sizes)} sizes ({', '.join(f'{s:g}' for s in sizes[:5])} degrees): "
            "Brain-Score shows all stimuli of a benchmark at one size. Package each size "
            "separately."
        )
    measured = recording.image_on_ms
    if measured is not None and np.isfinite(measured).any():
        image_ms, _ = image_duration(measured, image_ms)
    others = [region for region in recording.regions if region not in REGIONS]
    if others:
        raise ConvRNNError(
            f"no Brain-Score subject records from {', '.join(others)}: name the `regions=…` to "
            f"package, or give `locations={{{others[0]!r}: 'IT'}}` if it is one of "
            f"{', '.join(REGIONS)}."
        )
    assemblies, notes = {}, []
    for region in recording.regions:
        assemblies[region], left_out = _assembly(recording.only([region]), region)
        notes += left_out
    folder.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(assemblies, recording, stimuli, folder, image_ms)
    except OSError as error:
        if error.errno in OF_THE_DISK:  # and not of an image that is copied
            raise OSError(error.errno, error.strerror, str(folder)) from error
        raise
    return notes


OF_THE_DISK = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
"""Errors of the disk that is written to, whichever file they name."""


def _write(
    assemblies: Mapping[str, NeuroidAssembly],
    recording: Recording,
    stimuli: pd.DataFrame,
    folder: Path,
    image_ms: float | None,
) -> None:
    """Write the package beside ``folder``, and give it that name when it is whole."""
    sizes = stimuli["degrees"].unique()
    with TemporaryDirectory(dir=folder.parent, prefix=f".{folder.name}.") as made:
        whole = Path(made) / "package"
        (whole / IMAGES).mkdir(parents=True)
        # Brain-Score's screen, which images of other widths are placed on, reads neither EXIF nor
        # transparency, and saves JPEGs anew.
        placed = sizes[0] != VISUAL_DEGREES
        names = []
        for index, filename in enumerate(stimuli["filename"]):
            converted = placed and not is_plain(filename)
            suffix = ".png" if converted else Path(filename).suffix.lower()
            names.append(f"{index:05d}{suffix}")
            if converted:
                upright_rgb(filename).save(whole / IMAGES / names[-1])
            else:
                shutil.copyfile(filename, whole / IMAGES / names[-1])
        known = recording.stimuli.drop(columns="degrees", errors="ignore")
        table = known.assign(filename=names, degrees=stimuli["degrees"].to_numpy())
        with written_whole(whole / TABLE) as partial:
            table.to_csv(partial, index=False)
        for region, assembly in assemblies.items():
            assembly.attrs |= {"degrees": float(sizes[0]), PACKAGE: __version__}
            if image_ms is not None:
                assembly.attrs[COLUMN] = float(image_ms)
            write_assembly(assembly, whole / f"{region}.nc")
        if folder.exists():
            folder.rmdir()
        whole.rename(folder)


def read_package(path: Path) -> NeuroidAssembly:
    """The assembly of a package's ``<region>.nc``, with its ``stimulus_set``.

    Raises
    ------
    ConvRNNError
        It is none, or its stimuli are not beside it.
    """
    path = Path(path)
    table = path.parent / TABLE
    if not path.is_file() or not table.is_file():
        raise ConvRNNError(
            f"{path} is not a packaged recording with its {TABLE} beside it. `convrnns package` "
            "makes one."
        )
    assembly = read_assembly(path)
    as_written = {"dtype": {"stimulus_id": str, "filename": str}, "keep_default_na": False}
    stimuli = pd.read_csv(table, **as_written)  # an id may be NA, or nan
    files = [path.parent / IMAGES / name for name in stimuli["filename"]]
    missing = [file for file in files if not file.is_file()]
    if missing:
        raise ConvRNNError(f"{len(missing)} images of {path} are missing, {missing[0]} first.")
    stimuli["filename"] = [str(file) for file in files]
    # Brain-Score takes their size from the benchmark, or from this column, and not from both.
    stimuli = stimuli.drop(columns="degrees")
    stimuli = stimuli.drop(columns=COLUMN, errors="ignore")
    stimuli[COLUMN] = assembly.attrs.get(COLUMN, np.nan)
    name = package_name(path)
    assembly.attrs["stimulus_set"] = stimulus_set(name, stimuli)
    assembly.attrs["stimulus_set_identifier"] = name
    return assembly


def package_name(path: Path) -> str:
    """The name of a package: that of its folder, however its ``<region>.nc`` is reached."""
    return Path(path).parent.resolve().name


def package_benchmark(path: Path, metric: str | None = None) -> Any:
    """A package's recording as a benchmark of Brain-Score's.

    Parameters
    ----------
    path : path
        Path of ``<region>.nc``.
    metric : str, optional
        ``pls``, ``ridge``, ``spantime_pls`` or ``spantime_ridge``; None: `STATIC` for one time bin,
        `TEMPORAL` for several.

    Returns
    -------
    NeuralBenchmark
        Its stimulus set has the column ``image_on_ms`` where this is known.

    Raises
    ------
    ConvRNNError
        As `read_package` and `neural_benchmark`.
    """
    assembly = read_package(path)
    if metric is None:
        metric = STATIC if assembly.sizes["time_bin"] == 1 else TEMPORAL
    stimuli = len(assembly.attrs["stimulus_set"])
    if stimuli < FEWEST_STIMULI:
        raise ConvRNNError(
            f"{path} has {stimuli} stimuli; Brain-Score's cross-validation needs "
            f"{FEWEST_STIMULI} at least."
        )
    stratified = "object_name" in assembly.attrs["stimulus_set"]
    if stratified:
        counts = assembly.attrs["stimulus_set"]["object_name"].value_counts()
        tested = math.ceil(TEST_SHARE * stimuli)
        if counts.min() < 2 or tested < len(counts):
            _log.warning(
                "%s: the splits are not stratified: %d stimuli of %d values of object_name are too "
                "few", path, stimuli, len(counts),
            )  # fmt: skip
            stratified = False
    return neural_benchmark(
        package_name(path),
        assembly,
        metric,
        stratify_by="object_name" if stratified else None,
        visual_degrees=float(assembly.attrs["degrees"]),
    )


def neural_benchmark(
    name: str,
    recording: Any,
    metric: str,
    *,
    stratify_by: str | None = "object_name",
    visual_degrees: float = VISUAL_DEGREES,
) -> Any:
    """A Brain-Score benchmark on a recording of one region.

    The ceiling is the recording's split-half reliability over repetitions (Spearman–Brown), per
    bin for the ``spantime_`` metrics: Brain-Score's ``internal_consistency`` where all stimuli have
    as many repetitions. Where they have not, that would compare halves of other stimuli, and the
    ceiling is this package's (`fits.reliability`); without repetitions it is undefined.

    Parameters
    ----------
    name : str
        Begins the benchmark's identifier. The identifier ends with a digest of the data, since
        Brain-Score stores ceilings by identifier alone.
    recording
        Presentation × neuroid × time_bin, with ``stimulus_id``, ``repetition`` and ``stratify_by``
        on presentation, ``region`` (one value) on neuroid, and its ``stimulus_set``.
    metric : str
        ``"pls"`` or ``"ridge"`` for one time bin, ``"spantime_pls"`` or ``"spantime_ridge"`` for
        several.
    stratify_by : str or None, default 'object_name'
        The coordinate over whose values the train and test splits are balanced; None: there is
        none.
    visual_degrees : float, default VISUAL_DEGREES
        The size at which the stimuli were seen; 8 fills the model's field.

    Raises
    ------
    ConvRNNError
        The metric does not fit the number of bins, or a coordinate is missing.
    """
    metric = parse_choice("metric", metric, MetricName).value
    for coordinate in filter(None, ("stimulus_id", "repetition", "region", stratify_by)):
        if not hasattr(recording, coordinate):
            raise ConvRNNError(f"the recording has no coordinate {coordinate!r}.")
    if not hasattr(recording, "time_bin_start"):
        raise ConvRNNError("the recording has no coordinate 'time_bin_start'.")
    temporal = metric.startswith("spantime_")
    bins = recording.sizes.get("time_bin", 1)
    if temporal != (bins > 1):
        wanted = "several time bins" if temporal else "one time bin"
        way = "a recording of several bins" if temporal else "`window=(70, 170)`"
        raise ConvRNNError(
            f"metric {metric} needs {wanted}; the recording has {bins}. Give another `metric=…`, "
            f"or package it again with {way}."
        )
    if not temporal and "time_bin" in recording.dims:
        recording = recording.squeeze("time_bin")
    if temporal:
        # Metrics sort the bins, and Brain-Score divides by the ceilings in their order.
        starts = recording["time_bin_start"].values
        if (np.diff(starts) < 0).any():
            recording = recording.isel(time_bin=np.argsort(starts, kind="stable"))
    region = str(recording["region"].values[0])
    ceiler = _own_ceiling
    # What these plugins require is installed with this package.
    with internals.no_installing():
        similarity_metric = load_metric(
            metric, crossvalidation_kwargs={"stratification_coord": stratify_by}
        )
        if _repeated_alike(recording):
            kind = "internal_consistency_temporal" if temporal else "internal_consistency"
            ceiler = load_ceiling(kind)
    digest = hashlib.sha256()
    update_digest(digest, recording)
    return NeuralBenchmark(
        identifier=f"{name}.{region}-{metric}-{digest.hexdigest()[:12]}",
        version=1,
        assembly=average_repetition(recording),
        similarity_metric=similarity_metric,
        visual_degrees=visual_degrees,
        number_of_trials=1,
        ceiling_func=lambda: ceiler(recording),
        parent=region,
    )


def _repeated_alike(recording: Any) -> bool:
    """Whether every stimulus has the same repetitions, two at least, and nothing is missing."""
    pairs = zip(recording["stimulus_id"].values, recording["repetition"].values, strict=True)
    shown = set(pairs)
    repetitions = {repetition for _, repetition in shown}
    stimuli = {stimulus for stimulus, _ in shown}
    whole = len(shown) == len(stimuli) * len(repetitions) == recording.sizes["presentation"]
    return whole and len(repetitions) > 1 and bool(np.isfinite(recording.values).all())


def _own_ceiling(recording: Any) -> Any:
    """Each stimulus's own presentations halved, as a score of Brain-Score's; one value a bin."""
    ids, stimulus = np.unique(recording["stimulus_id"].values, return_inverse=True)
    dims = [dim for dim in ("presentation", "neuroid", "time_bin") if dim in recording.dims]
    values = recording.transpose(*dims).values
    halves = half_correlations(Trials(values, stimulus, len(ids)))
    if "time_bin" not in dims:
        return Score(float(ceiling(halves[..., None])[0]))
    edges = {
        name: ("time_bin", recording[name].values) for name in ("time_bin_start", "time_bin_end")
    }
    return Score(ceiling(halves), coords=edges, dims=["time_bin"])


def _assembly(recording: Recording, region: str) -> tuple[NeuroidAssembly, list[str]]:
    """Of one region, and what was excluded."""
    notes = []
    trials = Trials(recording.values, recording.stimulus, len(recording.stimuli))
    seen = np.isfinite(trials.average()).all(axis=(0, 2))
    if not seen.any():
        raise ConvRNNError(f"no neuron of {region} was recorded for every stimulus in every bin.")
    if not seen.all():
        notes.append(
            f"{(~seen).sum()} of {len(seen)} neurons of {region} lack responses and are excluded: "
            "Brain-Score's metrics do not accept missing values"
        )
    after = [index for index, (start, _) in enumerate(recording.time_bins) if start >= 0]
    if not after:
        raise ConvRNNError("all bins are before image onset.")
    if len(after) < len(recording.time_bins):
        notes.append(
            f"excluded: {counted(len(recording.time_bins) - len(after), 'bin')} before onset"
        )
    shown = np.isfinite(recording.values[:, seen]).any(axis=(1, 2))
    values = recording.values[shown][:, seen][:, :, after]
    stimulus = recording.stimulus[shown]
    repetition = pd.Series(stimulus).groupby(stimulus).cumcount().to_numpy()
    start, end = np.array([recording.time_bins[index] for index in after], float).T
    neurons = recording.neurons[seen]
    assembly = NeuroidAssembly(
        values,
        coords={
            **{
                # Brain-Score averages over no presentation in which a coordinate is NaN.
                str(name): (
                    "presentation",
                    (names_of(column.to_numpy()) if column.isna().any() else column.to_numpy())[
                        stimulus
                    ],
                )
                for name, column in recording.stimuli.items()
                if name not in ("degrees", COLUMN)
            },
            # Brain-Score averages over repetitions by all other coordinates, of which it needs two.
            "stimulus_number": ("presentation", stimulus),
            "repetition": ("presentation", repetition),
            **{str(name): ("neuroid", column.to_numpy()) for name, column in neurons.items()},
            "time_bin_start": ("time_bin", start),
            "time_bin_end": ("time_bin", end),
        },
        dims=["presentation", "neuroid", "time_bin"],
    )
    return assembly, notes

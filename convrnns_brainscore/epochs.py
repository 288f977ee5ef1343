"""Epochs of EEG, MEG or ECoG, as MNE-Python saves them (``-epo.fif``), as recordings.

Each channel is a neuroid. Reading needs the extra ``sensors``.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
from numpy.typing import NDArray

from convrnns_brainscore.coordinates import NOTES, as_ids
from convrnns_brainscore.errors import ConvRNNError, counted, unknown
from convrnns_brainscore.recording_arrays import recording_from_arrays
from convrnns_brainscore.timing import MS_PER_STEP

ENDINGS = ("-epo.fif", "_epo.fif", "-epo.fif.gz", "_epo.fif.gz")
"""How names of epochs' files end."""

STIMULUS = "stimulus_id"


def is_epochs(path: Path) -> bool:
    """Whether a path has the name of a file of epochs."""
    return path.name.lower().endswith(ENDINGS)


def read_epochs(
    path: Path, *, stimulus_column: str | None = None, region: str | None = None
) -> xr.DataArray:
    """Epochs as a recording, presentation × neuroid × time_bin.

    Bad channels and bad epochs are excluded, as MNE-Python marks them; channels that are no sensors
    (such as EOG and stimulus channels) too. Samples are averaged to bins of 10 ms that begin at
    image onset; samples that fill no bin are excluded. Each channel is divided by its standard
    deviation. The baseline stays as it was applied before saving. Projections of the
    file are applied, as MNE-Python does by default.

    Parameters
    ----------
    path : path
        The file.
    stimulus_column : str, optional
        Column of the epochs' metadata with the id of each stimulus; None: ``stimulus_id``, or
        without this column the names of the events.
    region : str, optional
        Name of the region; None: the channels' type (``EEG``, ``MEG`` magnetometers as ``MAG`` and
        gradiometers as ``GRAD``, ``ECOG``, ``SEEG``).

    Returns
    -------
    DataArray
        The columns of the metadata are coordinates of the presentations.

    Raises
    ------
    ConvRNNError
        MNE-Python is not installed; the file cannot be read; no such column; no good channel or
        epoch; fewer than 10 ms of samples.
    """
    try:
        import mne
    except ImportError as error:
        raise ConvRNNError(
            f"{path}: reading epochs needs MNE-Python: pip install 'convrnns_brainscore[sensors]'."
        ) from error
    try:
        epochs = mne.read_epochs(path, preload=True, verbose="error")
    except Exception as error:  # of any kind, where a file is damaged
        said = (str(error).splitlines() or [type(error).__name__])[0][:100]
        raise ConvRNNError(f"{path} cannot be read as epochs: {said}.") from error
    bad = list(epochs.info["bads"])
    dropped = sum(bool(reason) and reason != ("IGNORED",) for reason in epochs.drop_log)
    picked = mne.pick_types(
        epochs.info, meg=True, eeg=True, ecog=True, seeg=True, dbs=True, fnirs=True, exclude="bads"
    )
    if not len(picked) or not len(epochs):
        raise ConvRNNError(f"{path} has no good channel of a sensor, or no good epoch.")
    table = _presentations(epochs.metadata, epochs.events, epochs.event_id, stimulus_column, path)
    data = epochs.get_data(picks=picked)  # [epoch, channel, sample], in V or T
    starts, values = _in_bins(data, 1000 * epochs.times, path)
    types = [mne.channel_type(epochs.info, index).upper() for index in picked]
    recording = recording_from_arrays(
        _scaled(values),
        table,
        region if region is not None else types,
        np.stack([starts, starts + MS_PER_STEP], axis=1),
        axes="presentation, neuroid, time_bin",
        neuroid_ids=[epochs.ch_names[index] for index in picked],
    )
    notes = [*recording.attrs[NOTES]]
    if bad:
        more = ", …" if len(bad) > 5 else ""
        notes.append(f"excluded: {counted(len(bad), 'bad channel')} ({', '.join(bad[:5])}{more})")
    if stimulus_column is None and epochs.metadata is not None and STIMULUS not in epochs.metadata:
        notes.append(
            f"the names of the events are the stimulus ids: the metadata has no column {STIMULUS}, "
            f"but {', '.join(map(str, epochs.metadata))} (`stimulus_column=…` chooses one)"
        )
    projected = [each["desc"] for each in epochs.info["projs"] if each["active"]]
    if projected:
        notes.append(f"the file's projections are applied ({', '.join(projected)})")
    if dropped:
        notes.append(f"rejected before the file was saved: {counted(dropped, 'epoch')}")
    notes.append("the responses of each channel are divided by their standard deviation")
    baseline = epochs.baseline
    notes.append(
        "no baseline was subtracted"
        if baseline is None
        else f"baseline: {1000 * baseline[0]:g} to {1000 * baseline[1]:g} ms"
    )
    recording.attrs[NOTES] = notes
    return recording


def _presentations(
    metadata: pd.DataFrame | None,
    events: NDArray[Any],
    event_id: dict[str, int],
    column: str | None,
    path: Path,
) -> pd.DataFrame:
    """What each epoch showed."""
    if metadata is not None and (column or STIMULUS) in metadata:
        table = metadata.reset_index(drop=True)
        return table.assign(**{STIMULUS: as_ids(table[column or STIMULUS].to_numpy())})
    if column is not None:
        if metadata is not None:
            raise unknown(f"stimulus column of {path.name}", column, list(metadata))
        raise ConvRNNError(
            f"{path.name} has no metadata, and so no column {column}: omit `stimulus_column=…` to "
            "use the names of the events."
        )
    names = {code: name for name, code in event_id.items()}
    table = pd.DataFrame() if metadata is None else metadata.reset_index(drop=True)
    return table.assign(**{STIMULUS: [names[code] for code in events[:, 2]]})


def _in_bins(
    data: NDArray[Any], times: NDArray[Any], path: Path
) -> tuple[NDArray[Any], NDArray[Any]]:
    """Starts of bins in ms, and means over the samples in each: [epoch, channel, bin]."""
    if len(times) < 2:
        raise ConvRNNError(f"{path}: each epoch has a single sample; two or more are needed.")
    rate = 1000 / np.median(np.diff(times))
    if rate < 1000 / MS_PER_STEP * (1 - 1e-6):
        raise ConvRNNError(
            f"{path} is sampled at {rate:g} Hz: bins of {MS_PER_STEP} ms need 100 Hz or more."
        )
    # A sample stands for the time until the next; 1e-6 ms is its rounding.
    place = np.floor((times + 1e-6) / MS_PER_STEP).astype(int)
    bins, counts = np.unique(place, return_counts=True)
    first, last = times[0] - 1e-6, times[-1] + 1000 / rate + 1e-6
    covered = (bins * MS_PER_STEP >= first) & ((bins + 1) * MS_PER_STEP <= last)
    whole = bins[covered & (counts >= np.floor(rate * MS_PER_STEP / 1000))]
    if not len(whole):
        raise ConvRNNError(f"{path}: no {MS_PER_STEP} ms bin is completely sampled.")
    values = np.stack([data[..., place == each].mean(axis=-1) for each in whole], axis=-1)
    return whole * float(MS_PER_STEP), values


def _scaled(values: NDArray[Any]) -> NDArray[Any]:
    """Values over each channel's standard deviation: volts and teslas are too small for float32
    sums, and fits and correlations do not depend on the unit."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a channel of NaN alone
        spread = np.nanstd(values, axis=(0, 2), keepdims=True)
    return values / np.where(spread > 0, spread, 1)

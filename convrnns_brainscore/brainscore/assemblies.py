"""Brain-Score's assemblies and stimulus sets, made from arrays and tables."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio.assemblies import (
    NeuroidAssembly,
    walk_coords,
)
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.movies import is_video
from convrnns_brainscore.networks.backbones import neuroid_coordinates
from convrnns_brainscore.streams import CLIPS, whole_movie
from convrnns_brainscore.timing import RESPONSE, TimeBin


class TimeCourse(NeuroidAssembly):  # type: ignore[misc]
    """Activations at every step, for Brain-Score's classes, which ask for no time bins.

    Its behaviours transpose what they read to presentation × neuroid; of a time course that is the
    response, its mean from 70 to 170 ms.
    """

    __slots__ = ()

    def transpose(self, *dims: Any, **options: Any) -> NeuroidAssembly:
        """As xarray's; without ``time_bin`` among ``dims``, of the response."""
        left_out = "time_bin" in self.dims and dims and not {"time_bin", ...} & set(dims)
        if not left_out:
            return super().transpose(*dims, **options)
        start, end = RESPONSE
        bins = np.array(self["time_bin"].values.tolist())
        within = (bins[:, 0] >= start) & (bins[:, 1] <= end)
        if not within.any():
            within[:] = True
        axis = self.dims.index("time_bin")
        values = self.values.compress(within, axis).mean(axis, dtype=np.float32)
        coords = {
            name: (names, each)
            for name, names, each in walk_coords(self)
            if "time_bin" not in names
        }
        kept = [dim for dim in self.dims if dim != "time_bin"]
        response = NeuroidAssembly(values, coords=coords, dims=kept)
        response.attrs.update(self.attrs)
        return response.transpose(*dims, **options)


def neuroid_assembly(
    values: NDArray[np.float32],
    made_by: dict[str, Any],
    columns: dict[str, NDArray[Any]],
    shapes: dict[str, tuple[int, ...]],
    time_bins: Sequence[TimeBin] | None,
) -> NeuroidAssembly:
    """``values`` with their coordinates.

    Parameters
    ----------
    values : float32 array [presentation, neuroid, time_bin]
        Or [presentation, neuroid] where there are no bins.
    made_by : dict of str to object
        Attributes.
    columns : dict of str to array
        What is known of the presentations.
    shapes : dict of str to tuple of int
        Layer → shape of one step's output, (height, width, channel) or (channel,); their neuroids
        follow each other.
    """
    neuroids = pd.concat([_neuroids(layer, shape) for layer, shape in shapes.items()])
    coords: dict[str, Any] = {
        **{name: ("presentation", column) for name, column in columns.items()},
        **{name: ("neuroid", neuroids[name].to_numpy()) for name in neuroids.columns},
    }
    dims = ["presentation", "neuroid"]
    if time_bins is not None:
        edges = np.array(time_bins, float)
        if (edges == edges.round()).all():  # whole numbers, as Brain-Score's `ost` selects by them
            edges = edges.astype(int)
        coords |= {"time_bin_start": ("time_bin", edges[:, 0])}
        coords |= {"time_bin_end": ("time_bin", edges[:, 1])}
        dims.append("time_bin")
    assembly = NeuroidAssembly(values, coords=coords, dims=dims)
    assembly.attrs.update(made_by)
    return assembly


def in_region(recording: NeuroidAssembly, region: str) -> NeuroidAssembly:
    """The recording with ``region`` among the neuroids' coordinates; its values are shared."""
    coords = {name: (dims, values) for name, dims, values in walk_coords(recording)}
    coords["region"] = ("neuroid", np.full(recording.sizes["neuroid"], region))
    named = NeuroidAssembly(recording.values, coords=coords, dims=recording.dims)
    named.attrs.update(recording.attrs)
    return named


def _neuroids(layer: str, shape: tuple[int, ...]) -> pd.DataFrame:
    """The coordinates of a layer's neuroids; where there is no place, it is −1."""
    number = np.arange(int(np.prod(shape)))
    return pd.DataFrame(
        {
            "neuroid_num": number,
            "neuroid_id": [f"{layer}.{index}" for index in number],
            "layer": layer,
            "channel_x": -1,
            "channel_y": -1,
        }
    ).assign(**neuroid_coordinates(shape))


def stimulus_set(identifier: str, stimuli: pd.DataFrame) -> StimulusSet:
    """A Brain-Score stimulus set of images that lie in files.

    Parameters
    ----------
    identifier : str
        Name of the set.
    stimuli : DataFrame
        A row for each stimulus, with ``stimulus_id`` and ``filename`` (a path), as `read_stimuli`
        returns it. The other columns, such as ``degrees`` and ``object_name``, are kept.

    Returns
    -------
    StimulusSet

    Raises
    ------
    ConvRNNError
        Stimuli that change in time, other than whole videos; files of one name that are not 8
        degrees wide, which Brain-Score's ``place_on_screen`` would take for one another.

    Examples
    --------
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> stimuli = stimulus_set("objects92", load_objects92().stimuli)
    >>> stimuli.identifier, len(stimuli)
    ('objects92', 92)
    """
    streams = stimuli[CLIPS] if CLIPS in stimuli else pd.Series()
    for name, (first, *others) in zip(stimuli["stimulus_id"], streams, strict=CLIPS in stimuli):
        if others or not is_video(first.filename) or first != whole_movie(*first[:2])[0]:
            raise ConvRNNError(
                f"stimulus {name} has times of its own, and Brain-Score's stimulus sets hold "
                "images and whole videos: extract its features instead."
            )
    widths = stimuli.get("degrees", pd.Series(VISUAL_DEGREES, stimuli.index))
    placed = pd.DataFrame({"file": stimuli["filename"].map(str), "degrees": widths})
    placed = placed[widths != VISUAL_DEGREES].drop_duplicates()
    names = placed["file"].map(lambda path: Path(path).name)
    if names.duplicated().any():
        raise ConvRNNError(
            f"several images, or widths of one image, are called "
            f"{names[names.duplicated()].iloc[0]}, and Brain-Score places images on the screen by "
            "their file names: give each its own file name."
        )
    kept = stimuli.drop(columns=["filename", *({CLIPS} & {*stimuli})])
    result = StimulusSet(kept.reset_index(drop=True))
    result.stimulus_paths = dict(zip(stimuli["stimulus_id"], stimuli["filename"], strict=True))
    result.identifier = identifier
    return result


def files_of(stimuli: StimulusSet) -> list[str]:
    """The file of each stimulus of a set.

    Raises
    ------
    ConvRNNError
        No stimuli, or no files.
    """
    try:
        paths = [str(stimuli.get_stimulus(key)) for key in stimuli["stimulus_id"]]
    except (AttributeError, KeyError) as error:
        raise ConvRNNError(f"the stimulus set does not say where its files are: {error}") from error
    if not paths:
        raise ConvRNNError("no stimuli to look at.")
    return paths

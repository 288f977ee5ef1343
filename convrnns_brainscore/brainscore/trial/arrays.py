"""Small made stimulus sets and assemblies."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    DataAssembly,
    NeuroidAssembly,
)
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from PIL import Image

Columns = dict[str, list[Any]]
Coordinates = dict[str, tuple[str, Any]]
IMAGE_SIZE = 64
REGIONS = ("V1", "V2", "V4", "IT")
FOLDERS: list[Path] = []
"""Where the images of the innermost `made_data` lie, last."""


def cross(**levels: Sequence[Any]) -> Columns:
    """Columns of all combinations of the levels, the last one changing fastest."""
    rows = list(product(*levels.values()))
    return {name: [row[k] for row in rows] for k, name in enumerate(levels)}


def cycle(n: int, **levels: Sequence[Any]) -> Columns:
    """`n` rows in which every column runs through its own levels again and again."""
    return {name: [values[i % len(values)] for i in range(n)] for name, values in levels.items()}


def draw(n: int, **levels: Sequence[Any]) -> Columns:
    """`n` rows of levels drawn at random (the same ones each time)."""
    generator = np.random.default_rng(n)
    return {
        name: [values[k] for k in generator.integers(len(values), size=n)]
        for name, values in levels.items()
    }


def picture(number: int) -> Path:
    """The file of image ``number``: coarse coloured noise of its own contrast; −1 is plain gray."""
    path = FOLDERS[-1] / f"{number}.png"
    if not path.exists():
        generator = np.random.default_rng(number + 1)
        noise = generator.normal(0, 20 + 60 * generator.random(), (8, 8, 3)) + generator.normal(
            128, 30, 3
        )
        pixels = np.full((8, 8, 3), 128) if number < 0 else noise.clip(0, 255)
        Image.fromarray(pixels.astype(np.uint8)).resize(
            (IMAGE_SIZE, IMAGE_SIZE), Image.Resampling.BICUBIC
        ).save(path)
    return path


def stimulus_set(identifier: str, columns: Columns) -> StimulusSet:
    """A stimulus set with these columns, and an image for each row."""
    n = len(next(iter(columns.values())))
    ids = columns.get("stimulus_id", [f"{identifier}-{i:03d}" for i in range(n)])
    names = [f"{i}.png" for i in range(n)]
    made = StimulusSet(
        {
            "stimulus_id": ids,
            "image_id": ids,
            "filename": names,
            "image_number": range(n),
            **columns,
        }
    )
    made.stimulus_paths = {
        key: picture(-1 if identifier.endswith("_blank") else i) for i, key in enumerate(ids)
    }
    made.identifier = identifier
    return made


def generator_of(identifier: str) -> np.random.Generator:
    """A generator of random numbers of its own for each identifier."""
    return np.random.default_rng(zlib.crc32(identifier.encode()))


def presentations(stimuli: StimulusSet, **outer: Sequence[Any]) -> Coordinates:
    """All columns of the stimuli as coordinates, once per combination of the outer levels."""
    repeats = cross(**outer) if outer else {}
    times = len(next(iter(repeats.values()))) if repeats else 1
    coords = {name: np.tile(stimuli[name].values, times) for name in stimuli.columns}
    coords |= {name: np.repeat(np.array(values), len(stimuli)) for name, values in repeats.items()}
    return {name: ("presentation", values) for name, values in coords.items()}


def attach(assembly: DataAssembly, stimuli: StimulusSet, **attrs: Any) -> DataAssembly:
    """The assembly with its stimulus set among the attributes."""
    assembly.attrs.update(stimulus_set=stimuli, stimulus_set_identifier=stimuli.identifier, **attrs)
    return assembly


def recording(
    identifier: str,
    columns: Columns,
    regions: Sequence[str] = REGIONS,
    *,
    subject: str = "subject",
    subjects: Sequence[str] = ("s1", "s2"),
    units: int = 2,
    repetitions: int = 0,
    noise: float = 0.4,
    repetition: str = "repetition",
    bins: Sequence[tuple[float, float]] | None = ((70, 170),),
    bin_id: bool = False,
    without: Sequence[str] = (),
    degrees: float = 8,
    **constants: Any,
) -> NeuroidAssembly:
    """Responses of a few units per region and subject: random tuning, and noise per repetition.

    ``constants`` become coordinates of the units; ``without`` names those that they lack.
    """
    stimuli = stimulus_set(identifier, columns)
    where = cross(region=regions, **{subject: subjects}, unit=range(units))
    neuroids = {"neuroid_id": list(range(len(where.pop("unit")))), **where}
    neuroids |= {name: [value] * len(neuroids["neuroid_id"]) for name, value in constants.items()}
    neuroids = {name: column for name, column in neuroids.items() if name not in without}
    generator = generator_of(identifier)
    shape = (len(stimuli), len(neuroids["neuroid_id"]), len(bins or [0]))
    tuning = generator.normal(size=(*shape[:2], 1)) + 0.3 * generator.normal(size=shape)
    values = np.concatenate(
        [tuning + noise * generator.normal(size=shape) for _ in range(max(repetitions, 1))]
    )
    coords = presentations(stimuli, **({repetition: range(repetitions)} if repetitions else {}))
    coords |= {name: ("neuroid", column) for name, column in neuroids.items()}
    if bins is None:
        return attach(
            NeuroidAssembly(values[..., 0], coords=coords, dims=["presentation", "neuroid"]),
            stimuli,
        )
    coords |= {
        "time_bin_start": ("time_bin", [a for a, _ in bins]),
        "time_bin_end": ("time_bin", [b for _, b in bins]),
    }
    coords |= {"time_bin_id": ("time_bin", list(range(len(bins))))} if bin_id else {}
    made = NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid", "time_bin"])
    return attach(made, stimuli, image_size_degree=degrees)


def choices(
    stimuli: StimulusSet,
    subjects: Sequence[Any] = ("s1", "s2", "s3"),
    truth: str = "truth",
    correct: bool = False,
) -> BehavioralAssembly:
    """What a few subjects answered, the truth in about two of three cases.

    With ``correct`` 1 or 0 in place of labels.
    """
    labels = sorted(set(stimuli[truth]))
    coords = presentations(stimuli, subject=subjects)
    index = np.array(
        [(i * 7 + s * 3) // 2 % 3 == 0 for s in range(len(subjects)) for i in range(len(stimuli))]
    )
    index &= (
        (coords["image_type"][1] != "w") if correct else True
    )  # Baker2022 divides by what distortion costs
    truths = coords[truth][1]
    wrong = [labels[(labels.index(label) + 1) % len(labels)] for label in truths]
    values = (~index).astype(float) if correct else np.where(index, wrong, truths)
    return attach(BehavioralAssembly(values, coords=coords, dims=["presentation"]), stimuli)

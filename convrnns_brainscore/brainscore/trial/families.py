"""Which data each of Brain-Score's benchmarks expects: the knowledge of `trial`, as tables.

Read in brainscore_vision 2.4.2. Identifiers are patterns; the first that fits holds.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from brainscore_core.supported_data_standards.brainio.assemblies import (
    BehavioralAssembly,
    DataAssembly,
    NeuroidAssembly,
    PropertyAssembly,
)
from brainscore_core.supported_data_standards.brainio.stimuli import StimulusSet
from numpy.typing import NDArray

from .arrays import (
    REGIONS,
    Columns,
    attach,
    choices,
    cross,
    cycle,
    draw,
    generator_of,
    presentations,
    recording,
    stimulus_set,
)

GEIRHOS = ("airplane", "bear", "dog", "truck")
KATO = (
    "kato2026_others",
    "kato2026_dog",
)  # an untrained model mostly says "others", and must be right on some image
PICTURE_SOURCES = {
    "original": "Silhouette",
    "cartoon": "Art",
    "line_drawing": "Art",
    "mosaic": "Art",
    "painting": "Art",
    "sketch": "Art",
    "convex_hull": "Silhouette",
    "outline": "Silhouette",
    "skeleton": "Silhouette",
    "silhouette": "Silhouette",
    "cococolor": "COCOColor",
    "cocogray": "COCOGray",
    "tdw": "TDW",
}
MANIQUET = {
    "control": ("control", "control"),
    "clutter_heavy": ("clutter", "heavy"),
    "clutter_light": ("clutter", "light"),
    "scrambling_highpass": ("phasescrambling", "highpass"),
    "occlusion_few_large_blobs_high": ("occluder", "fewlarge-high"),
}
GRATING = {
    "position_y": [0.0],
    "position_x": [0.0],
    "contrast": [1.0],
    "radius": [0.5],
    "spatial_frequency": [2.0],
    "orientation": [0.0],
    "phase": [0.0, 90.0],
}
ANGLES, FREQUENCIES = [0.0, 45.0, 90.0, 135.0], [1.0, 2.0, 4.0, 8.0]
MARQUES = {  # what the gratings of each data set of Marques2020 vary
    "Cavanaugh2002a": {"radius": [0.25, 0.5, 1.0, 2.0]},
    "Schiller1976c": {"spatial_frequency": FREQUENCIES},
    "DeValois1982a": {"orientation": ANGLES},
    "DeValois1982b": {"spatial_frequency": FREQUENCIES},
    "Ringach2002": {"orientation": ANGLES},
    "FreemanZiemba2013_V1_properties": {},
}


def gratings(identifier: str, **levels: Sequence[float]) -> StimulusSet:
    """Gratings of Marques2020 that vary in these levels; textures of FreemanZiemba2013."""
    if identifier.startswith("FreemanZiemba"):
        columns = cross(type=["noise", "texture"], family=[1, 2], sample=[1, 2, 3])
        columns |= cycle(12, position_y=[0.0], position_x=[0.0])
    else:
        columns = cross(**{**GRATING, **levels})
    return stimulus_set(identifier, {**columns, "degrees": [8] * len(columns["position_y"])})


def properties(identifier: str) -> PropertyAssembly:
    """Random values of every neuronal property that the benchmark of this data set knows."""
    name = {
        "Cavanaugh2002a": "cavanaugh2002a",
        "DeValois1982a": "devalois1982a",
        "DeValois1982b": "devalois1982b",
        "Ringach2002": "ringach2002",
        "Schiller1976c": "schiller1976",
    }.get(identifier, "freemanZiemba2013")
    module = sys.modules[f"brainscore_vision.benchmarks.marques2020.benchmarks.{name}_benchmark"]
    names, units = module.PROPERTY_NAMES, 12
    made = PropertyAssembly(
        generator_of(identifier).random((units, len(names))),
        dims=["neuroid", "neuronal_property"],
        coords={
            "neuroid_id": ("neuroid", list(range(units))),
            "region": ("neuroid", ["V1"] * units),
            "neuronal_property": names,
        },
    )
    made.attrs.update({f"{each}_bins": np.linspace(0, 1, 6) for each in names})
    return attach(made, stimuli(identifier), number_of_trials=2)


def geirhos(identifier: str) -> StimulusSet:
    """Two conditions that the benchmark keeps, and all of those that it wants to find and drop."""
    dataset = identifier.removeprefix("Geirhos2021_")
    module = importlib.import_module("brainscore_vision.benchmarks.geirhos2021.benchmark")
    dropped = module.EXCLUDE_CONDITIONS.get(dataset, [])
    kept = ["a", "b"] if not dropped or isinstance(dropped[0], str) else [0.25, 0.3]
    columns = cross(condition=[*dropped, *kept], truth=GEIRHOS, copy=range(3))
    texture = [GEIRHOS[i % 4] for i in range(len(columns["truth"]))]
    return stimulus_set(
        identifier,
        {
            **columns,
            "original_image_category": columns["truth"],
            "conflict_image_category": texture,
        },
    )


def two_way(identifier: str) -> BehavioralAssembly:
    """Rajalingham2018: many trials in which one of two objects is chosen for each image."""
    made, generator = (
        stimulus_set(identifier, cycle(24, image_label=GEIRHOS)),
        generator_of(identifier),
    )
    rows = [
        (image, truth, other, truth if generator.random() < ease else other)
        for image, truth in zip(made["stimulus_id"], made["image_label"], strict=True)
        for other in GEIRHOS
        if other != truth
        for ease in [generator.uniform(0.5, 0.95)]
        for _ in range(16)
    ]
    image, truth, other, choice = map(np.array, zip(*rows, strict=True))
    columns = {
        "stimulus_id": image,
        "truth": truth,
        "sample_obj": truth,
        "dist_obj": other,
        "choice": choice,
    }
    coords = {name: ("presentation", values) for name, values in columns.items()}
    return attach(BehavioralAssembly(choice, coords=coords, dims=["presentation"]), made)


def ferguson(identifier: str) -> BehavioralAssembly:
    """Two blocks of 24 displays with 1, 5 or 11 distractors."""
    columns = cross(block=["first", "second"], image_number=range(24))
    made = stimulus_set(identifier, columns)
    numbers = [
        "1.0" if i % 6 < 2 else "5.0" if i % 6 < 4 else "11.0" for i in columns["image_number"]
    ]
    coords = presentations(made, participant_id=["p1", "p2"])
    right = generator_of(identifier).random(96) < 0.8
    coords |= {
        "trial_type": ("presentation", ["normal"] * 96),
        "distractor_nums": ("presentation", numbers * 2),
        "correct": ("presentation", right),
    }
    return attach(BehavioralAssembly(right.astype(int), coords=coords, dims=["presentation"]), made)


def occluded(identifier: str) -> BehavioralAssembly:
    """Coggan2024_behavior: every subject has images of its own in each condition of occlusion."""
    columns = cross(
        subject=[1, 2, 3],
        occluder_type=["bars", "blobs", "noise"],
        occluder_color=["black", "white"],
        visibility=[0.5, 1.0],
        copy=range(3),
    )
    columns |= draw(108, object_class=GEIRHOS, human_accuracy=[0, 1])
    made = stimulus_set(identifier, columns)
    return attach(
        BehavioralAssembly(
            np.array(columns["object_class"]), coords=presentations(made), dims=["presentation"]
        ),
        made,
    )


def similarities(identifier: str) -> DataAssembly:
    """Coggan2024_fMRI: per subject and region, how alike the patterns for 24 images are."""
    made, shape = stimulus_set(identifier, cycle(24, object_name=GEIRHOS)), (24, 24, 3, 4)
    values = generator_of(identifier).normal(size=(24, 24, 1, 4)) + generator_of(
        identifier + "-"
    ).normal(size=shape)
    return attach(
        DataAssembly(
            values,
            dims=["presentation", "other", "subject", "region"],
            coords={
                "stimulus_id": ("presentation", made["stimulus_id"].values),
                "subject": ["s1", "s2", "s3"],
                "region": list(REGIONS),
            },
        ),
        made,
    )


def thresholds(identifier: str) -> PropertyAssembly:
    """Malania2007: the thresholds of five subjects."""
    values = 100 + 400 * generator_of(identifier).random(5)
    return PropertyAssembly(
        values, dims=["subject"], coords={"subject": [f"s{i}" for i in range(5)]}
    )


def solution_times(identifier: str) -> DataAssembly:
    """Kar2019: when each image was solved, by the decoder that the benchmark selects."""
    made = stimulus_set(identifier, cycle(60, image_label=GEIRHOS[:2]))
    coords: dict[str, Any] = {
        name: ("presentation", made[name].values) for name in ("stimulus_id", "image_label")
    }
    coords |= {
        "i1": ("presentation", generator_of(identifier).uniform(-1, 1, 60)),
        "decoder": ["svm"],
    }
    values = 100 + 100 * generator_of(identifier).random((60, 1))
    return attach(DataAssembly(values, coords=coords, dims=["presentation", "decoder"]), made)


def triplets(identifier: str) -> BehavioralAssembly:
    """Hebart2023: which images were shown together."""
    coords = {
        f"image_{k + 1}": ("presentation", [(i + k * (1 + i % 3)) % 12 for i in range(24)])
        for k in range(3)
    }
    return BehavioralAssembly(np.ones(24), coords=coords, dims=["presentation"])


def maniquet(identifier: str) -> BehavioralAssembly:
    """Maniquet2024: what two subjects named in each manipulation."""
    columns = cross(subject_id=[1, 2], task=list(MANIQUET), copy=range(8))
    columns |= draw(80, image_label=GEIRHOS, prediction=GEIRHOS)
    coords = {name: ("presentation", values) for name, values in columns.items()}
    return BehavioralAssembly(np.ones(80), coords=coords, dims=["presentation"])


def patterns(identifier: str) -> NeuroidAssembly:
    """Bracci2019: voxels of two subjects in the three regions that it numbers."""
    made = stimuli(identifier)
    where = cross(roi=[0, 1, 2], subject=[1, 2, 3], voxels=range(4))
    shape = (len(made), len(where["roi"]))
    values = generator_of(identifier).normal(size=(*shape[:1], 4))[
        :, where["voxels"]
    ] + generator_of("noise").normal(size=shape)
    coords = presentations(made) | {name: ("neuroid", column) for name, column in where.items()}
    return attach(NeuroidAssembly(values, coords=coords, dims=["presentation", "neuroid"]), made)


def sanghavi(identifier: str) -> dict[str, Any]:
    """The repetitions and the size of images that the benchmark checks its data to have."""
    module = sys.modules[
        f"brainscore_vision.benchmarks.sanghavi2020.benchmarks.{identifier.lower()}_benchmark"
    ]
    return {"repetitions": module.NUMBER_OF_TRIALS, "degrees": module.VISUAL_DEGREES}


def split_masks(
    trials: pd.DataFrame, split: str, **_: Any
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """In place of the package laion_fmri: the last third of the images tests."""
    number = trials["label"].str.rsplit("-", n=1).str[-1].astype(int).to_numpy()
    return number < 12, number >= 12


OBJECTS = cycle(
    48, object_name=GEIRHOS, image_label=GEIRHOS
)  # enough images for 25 PLS components in each split
MALANIA = cycle(
    8, image_label=[0, 1]
)  # numbers: the metric also fits its psychometric curve over this column
SYNSETS = ("n01440764", "n01443537")
LAION = cycle(18, category=["natural"])

STIMULI: dict[str, Columns | Callable[[str], StimulusSet]] = {
    r"BarbuMayo2019|imagenet2012": cycle(12, synset=SYNSETS, label=[0, 1]),
    r"imagenet_c\..*": cross(
        noise_type=[
            "gaussian_noise",
            "shot_noise",
            "impulse_noise",
            "glass_blur",
            "motion_blur",
            "zoom_blur",
            "defocus_blur",
            "snow",
            "frost",
            "fog",
            "brightness",
            "pixelate",
            "contrast",
            "elastic_transform",
            "jpeg_compression",
        ],
        noise_level=range(1, 6),
        synset=SYNSETS,
    ),
    r"Islam2021": cross(original_image_id=range(20), texture=range(5))
    | {"shape": [i // 5 for i in range(100)]},
    r"Bracci2019": cycle(
        12, stimulus_name=["x"], exemplar_number=[1, 2], image_label=GEIRHOS, image_group=["g"]
    ),
    r"Coggan2024_behavior_fitting|objectome\.public|Maniquet2024-train": cycle(
        24, image_label=GEIRHOS
    ),
    r"Maniquet2024-test": cross(manipulation=["x"], task=list(MANIQUET), copy=range(8))
    | {
        "manipulation": [MANIQUET[task][0] for task in MANIQUET for _ in range(8)],
        "manipulation_details": [MANIQUET[task][1] for task in MANIQUET for _ in range(8)],
        # How often each label occurs differs between tasks, so that accuracies do for any answers.
        "image_label": [
            label
            for counts in ((4, 2, 1, 1), (1, 4, 2, 1), (1, 1, 4, 2), (2, 1, 1, 4), (2, 2, 2, 2))
            for label, count in zip(GEIRHOS, counts, strict=True)
            for _ in range(count)
        ],
    },
    r"Ferguson2024_.*_training_stimuli": cycle(24, block=["first", "second"]),
    r"Geirhos2021_.*": geirhos,
    r"Hebart2023": {"stimulus_id": list(range(12))},
    r"Igustibagus2024": cross(object_style=list(PICTURE_SOURCES), number=range(10))
    | {
        "stimulus_source": [source for source in PICTURE_SOURCES.values() for _ in range(10)],
        **cycle(
            130, object_label=["apple", "bear", "bird", "car", "chair"], background_id=range(1, 11)
        ),
    },
    r"Lonnqvist2024_.*": cycle(16, truth=["left", "right"], image_label=["left", "right"]),
    r"Malania2007\..*": MALANIA,
    r"Zerbe2026_fmri_.*": LAION,
    r"Marques2020_blank": lambda identifier: gratings(identifier, phase=[0.0]),
    r"Marques2020_receptive_field": lambda identifier: gratings(
        identifier, position_y=[-2.0, -1.0, 0.0, 1.0, 2.0], position_x=[-2.0, -1.0, 0.0, 1.0, 2.0]
    ),
    r"Marques2020_orientation": lambda identifier: gratings(identifier, orientation=ANGLES),
    "|".join(MARQUES): lambda identifier: gratings(identifier, **MARQUES[identifier]),
}

DATA: dict[str, Callable[[str], DataAssembly]] = {
    r"Allen2022_fmri.*_train|Hebart2023_fmri_train|Papale2025_train": lambda i: recording(
        i,
        cycle(24, object_name=GEIRHOS),
        bins=((0, 0) if "fmri" in i else (70, 170),),
        nc_testset=80.0,
        reliability=0.9,
    ),
    r"Allen2022_fmri.*_test|Hebart2023_fmri_test|Papale2025_test": lambda i: recording(
        i,
        cycle(8, object_name=GEIRHOS),
        repetitions=4,
        bins=((0, 0) if "fmri" in i else (70, 170),),
        nc_testset=80.0,
        reliability=0.9,
    ),
    r"Gifford2022_(train|test)": lambda i: recording(
        i,
        cycle(16, object_name=GEIRHOS),
        ["IT"],
        units=1,
        repetitions=4,
        channel="O1",
        without=["region"],
        bins=[(t / 100, (t + 1) / 100) for t in range(-2, 62)],
    ),
    r"Li2026": lambda i: recording(
        i, OBJECTS, subject="animal", reliability=0.9, reliability_window=0.9
    ),
    r"Cadena2017": lambda i: recording(
        i, OBJECTS, ["V1"], repetitions=4, repetition="repetition_id"
    ),
    r"Cowley2026\..*": lambda i: recording(
        i,
        cycle(48, session=[i]),
        ["V4"],
        without=["subject"],
        repetitions=4,
        bins=((50, 150),) if i.endswith("190923") else None,
    ),
    r"FreemanZiemba2013\.(private|public)": lambda i: recording(
        i,
        cycle(48, texture_type=["noise", "texture"]),
        ["V1", "V2"],
        without=["subject"],
        repetitions=4,
        noise=4,
        bins=[(t, t + 1) for t in range(50, 200)],
    ),
    r"MajajHong2015\.(private|public)": lambda i: recording(
        i, OBJECTS, ["V4", "IT"], subject="animal", repetitions=4, units=13
    ),  # reverse_pls maps from 25 units or more
    r"MajajHong2015\.temporal\..*": lambda i: recording(
        i,
        OBJECTS,
        ["V4", "IT"],
        subject="animal",
        repetitions=4,
        bins=[(t, t + 10) for t in range(0, 100, 10)],
    ),
    r"Rajalingham2020": lambda i: recording(
        i, OBJECTS, ["IT"], subject="animal", repetitions=33, noise=2
    ),
    r"Sanghavi(Jozwik|Murty)?2020": lambda i: recording(
        i, OBJECTS, ["V4", "IT"], subject="animal", noise=2, bin_id=True, **sanghavi(i)
    ),
    r"Igustibagus2024": lambda i: recording(
        i,
        cycle(
            60,
            object_label=["apple", "bear", "bird", "car"],
            background_id=[0, 0, 1, 2, 0, 3, 0],
            object_style=["sketch"],
            stimulus_source=["Art"],
        ),
        ["IT"],
        subject="animal",
        repetitions=4,
        bin_id=True,
    ),
    r"Zerbe2026_fmri_.*full_sub-..": lambda i: recording(
        f"{i.split('_full_')[0]}_stim_full",
        LAION | {"subject_id_pres": [i[-6:]] * 18},
        subject="subject_id",
        subjects=[i[-6:]],
        repetitions=1,
        roi="r",
        nc_4rep=80.0,
        nc_12rep=80.0,
        bins=((0, 0),),
    ),
    r"Kar2019": solution_times,
    r"Baker2022_.*_distortion": lambda i: choices(
        stimulus_set(
            i,
            {
                **(
                    c := cross(
                        orientation=[i.split("_")[1]],
                        image_type=["w", "f", "o"],
                        animal=GEIRHOS[1:3],
                        copy=range(3),
                    )
                ),
                "truth": c["animal"],
            },
        ),
        subjects=range(1, 5),
        correct=True,
    ),
    r"BMD2024\..*|Scialom2024_.*": lambda i: choices(
        stimulus_set(
            i, cross(condition=["a", "b"], truth=["banana", "boot", "lamp", "truck"], copy=range(3))
        )
    ),
    r"Geirhos2021_.*": lambda i: choices(stimuli(i)),
    r"Kato2026\..*": lambda i: choices(
        stimulus_set(
            i,
            {
                "stimulus_id": [f"item{k:02d}_{i}" for k in range(24)],
                **cycle(24, truth=KATO, condition=["a"]),
            },
        )
    ),
    r"Lonnqvist2024_.*": lambda i: choices(stimuli("Lonnqvist2024_test")),
    r"Bracci2019": patterns,
    r"Coggan2024_behavior": occluded,
    r"Coggan2024_fMRI": similarities,
    r"Ferguson2024_.*": ferguson,
    r"Hebart2023": triplets,
    r"Malania2007\..*": thresholds,
    r"Maniquet2024": maniquet,
    r"Rajalingham2018\..*": two_way,
    "|".join(MARQUES): properties,
}

SETTINGS: dict[str, dict[str, Any]] = {
    "igustibagus2024.domain_transfer_analysis": {
        "NUM_SPLITS": 2,
        "HVM_TEST_IMAGES_NUM": 5,
        "OOD_TEST_IMAGES_NUM": 10,
    },
}

DEFAULTS: dict[str, dict[str, Any]] = {
    # Malania2007: one start, not fifty
    "metrics.threshold.metric:grid_search": {"alpha_values": np.array([0.1])},
    # Cadena2017-mask: one epoch, not forty
    "metrics.mask_regression.metric:MaskRegression.__init__": {"max_epochs": 1},
    **{
        f"benchmarks.laion_fmri.benchmark:{function}": {"subjects": ("sub-01", "sub-03")}  # of five
        for function in ("LAIONfMRI", "LAIONfMRIRSA", "LAIONfMRICKA")
    },
}


UNPROJECTED = r"tong\.Coggan2024_fMRI.*"
"""Benchmarks that choose units by their mean response: projected features have no such units."""


def _find(table: Mapping[str, Any], identifier: str) -> Any:
    for pattern, made in table.items():
        if re.fullmatch(pattern, identifier):
            return made
    raise KeyError(f"no made data for {identifier!r}")


def stimuli(identifier: str) -> StimulusSet:
    """The made stimulus set of an identifier."""
    made = _find(STIMULI, identifier)
    return made(identifier) if callable(made) else stimulus_set(identifier, made)


def data(identifier: str) -> DataAssembly:
    """The made data set of an identifier."""
    return _find(DATA, identifier)(identifier)

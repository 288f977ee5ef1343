"""The 92 object photographs of Kriegeskorte et al. (2008), and the geometry of IT.

They are part of the package (MIT licence), for the demonstration and for tests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

OBJECTS92 = Path(__file__).parent / "data" / "objects92"
"""Folder of the 92 objects of Kriegeskorte et al. (2008); its README says what lies there."""


@dataclass(frozen=True)
class Objects92:
    """The 92 objects and the geometry of IT (Kriegeskorte et al. 2008).

    Attributes
    ----------
    stimuli : DataFrame
        One row an object: ``stimulus_id``, ``filename`` (a full path), ``object_name`` (one of six
        categories) and the flags ``human``, ``face``, ``animal``, ``natural``.
    macaque_it : float64 array
        [4186] dissimilarities (1 − Pearson r, upper triangle row by row) of 674 cells in macaque
        IT, spikes 71–210 ms after onset.
    human_it : float64 array
        [4, 4186] of human IT (fMRI), one row a subject, mean of two sessions.
    """

    stimuli: pd.DataFrame
    macaque_it: NDArray[np.float64]
    human_it: NDArray[np.float64]


def load_objects92() -> Objects92:
    """The 92 object photographs and the dissimilarities of macaque and human IT."""
    stimuli = pd.read_csv(OBJECTS92 / "objects.csv").rename(columns={"category": "object_name"})
    stimuli["filename"] = [str(OBJECTS92 / name) for name in stimuli["filename"]]
    with np.load(OBJECTS92 / "rdms.npz") as rdms:
        return Objects92(
            stimuli,
            rdms["macaque_it"].astype(np.float64),
            rdms["human_it"].mean(axis=1, dtype=np.float64),
        )

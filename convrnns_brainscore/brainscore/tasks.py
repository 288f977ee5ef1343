"""Checks of the arguments of Brain-Score's tasks, which it would only notice in a computation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from brainscore_vision.model_helpers.brain_transformation.behavior import LabelToImagenetIndices
from brainscore_vision.model_interface import BrainModel

from convrnns_brainscore.coordinates import names_of
from convrnns_brainscore.errors import ConvRNNError, unknown

_INDICES = "_indices"
"""How Brain-Score's attributes of a label's ImageNet classes end."""


def check_task(task: str, arguments: Sequence[Any], options: Mapping[str, Any]) -> None:
    """Check the arguments of ``start_task``, as far as they are given.

    Raises
    ------
    ConvRNNError
        Labels that Brain-Score does not know, or fitting stimuli without two classes.
    """
    if task == BrainModel.Task.label:
        labels = arguments[0] if arguments else options.get("choice_labels", "imagenet")
        if isinstance(labels, str):
            if labels != "imagenet":
                raise ConvRNNError(f"labels {labels!r}: expected 'imagenet', or a list of labels.")
            return
        if not len(labels):
            raise ConvRNNError("the list of labels to choose from is empty.")
        known = [
            name.removesuffix(_INDICES)
            for name in vars(LabelToImagenetIndices)
            if name.endswith(_INDICES) and not name.startswith("label_to")
        ]
        for label in labels:
            if str(label).lower().replace(" ", "") not in known:
                raise unknown("label of Brain-Score", str(label), known)
    if task == BrainModel.Task.probabilities:
        fitting = arguments[0] if arguments else options.get("fitting_stimuli")
        if not isinstance(fitting, pd.DataFrame):
            return
        if "image_label" not in fitting:
            raise ConvRNNError(
                "the fitting stimuli have no column image_label; they have "
                f"{', '.join(map(str, fitting.columns))}."
            )
        labels = fitting["image_label"]
        missing = int((names_of(labels.to_numpy()) == "").sum())
        if missing:
            raise ConvRNNError(
                f"{missing} of {len(labels)} fitting stimuli have no image_label: leave them out."
            )
        if labels.nunique() < 2:
            raise ConvRNNError("the fitting stimuli have one image_label: two or more are needed.")


def check_triplets(stimuli: Any) -> None:
    """Check the stimuli of an odd-one-out task.

    Raises
    ------
    ConvRNNError
        They are not triplets of a stimulus set.
    """
    if not isinstance(stimuli, pd.DataFrame):
        raise ConvRNNError("odd_one_out needs a stimulus set of triplets, not a list of files.")
    if len(stimuli) % 3:
        raise ConvRNNError(
            f"odd_one_out needs triplets, three rows each; the stimulus set has {len(stimuli)}."
        )

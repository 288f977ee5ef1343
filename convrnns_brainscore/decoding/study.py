"""Decode a label from layers and from neurons, bin by bin, and compare the two."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import xarray as xr

from convrnns_brainscore._version import __version__
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.decoding.behaviour import Behaviour
from convrnns_brainscore.decoding.comparison import compared
from convrnns_brainscore.decoding.populations import (
    Decoded,
    decode_half,
    decode_layers,
    decode_neurons,
    halved,
    kept,
)
from convrnns_brainscore.decoding.question import Across, Question
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import only_process
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.provenance import PACKAGE, describe, digest, seen_digest


def decode(
    networks: Mapping[str, Callable[[], ConvRNN]],
    question: Question,
    out: Path,
    stimuli: pd.DataFrame | None = None,
    presentation: Presentation | None = None,
    layers: Sequence[str] | None = None,
    behaviour: Behaviour | None = None,
    *,
    progress: bool = False,
) -> xr.Dataset:
    """Decode the label from each region's neurons and from layers of networks.

    Every layer or region that is done is kept in a folder in ``out`` until all are: the same call
    resumes.

    Parameters
    ----------
    networks : mapping of str to callable
        Name → what loads the network; may be empty.
    question : Question
        Of `ask`.
    out : path
        Folder, which is made.
    stimuli : DataFrame, optional
        Files of the recording's stimuli, in their order (`fits.prepare.match_stimuli`).
    presentation : Presentation, optional
        What the networks are shown.
    layers : sequence of str, optional
        None: all.
    behaviour : Behaviour, optional
        Choices of observers: decoders are compared with them, and objects are solved from the bin
        on in which i1 reaches the observers'.
    progress : bool, default False
        Show progress bars.

    Returns
    -------
    Dataset
        By decoder (``IT neurons``, ``rgc_shallow conv5``), stimulus and time bin: ``accuracy`` with
        its ``accuracy_error`` over resampled stimuli, ``p`` (against permuted labels, corrected
        over bins), ``d_prime``, ``i1``, ``solution_ms``, ``generalisation`` (train_bin ×
        time_bin), ``onset_ms``; and how layers agree with neurons, with ceilings.

    Raises
    ------
    ConvRNNError
        Networks and decoding across repetitions; the disk has too little room; another process
        decodes to ``out``.
    """
    if networks and (stimuli is None or presentation is None):
        raise ConvRNNError("decoding from networks needs the stimuli's images: give `stimuli=…`.")
    if networks and question.across is Across.repetitions:
        raise ConvRNNError(
            "networks have no repetitions: give `across='stimuli'`, or decode neurons alone."
        )
    out.mkdir(parents=True, exist_ok=True)
    with only_process(out / ".decoding.lock", out):
        work = out / f".decoding-{_digest(question)}"
        work.mkdir(exist_ok=True)
        found: dict[str, Decoded] = {}
        halves: dict[str, list[tuple[Decoded, Decoded]]] = {}
        made_by: dict[str, Any] = {}
        for region in question.neurons:
            name = f"{region} neurons"
            found[name] = kept(work, name, partial(decode_neurons, question, region, progress))
            halves[region] = [
                (
                    kept(work, f"{name} {n} first", partial(decode_half, question, region, first)),
                    kept(
                        work, f"{name} {n} second", partial(decode_half, question, region, second)
                    ),
                )
                for n, (first, second) in enumerate(halved(question, region))
            ]
        why: dict[str, list[str]] = {}
        seen = ""
        if networks and stimuli is not None:
            seen = seen_digest(stimuli)
        for model, load in networks.items():
            assert stimuli is not None
            assert presentation is not None
            network = load()
            network.check_lesion(presentation)
            made_by[model] = {**describe(network, presentation), "label": network.label}
            for layer, decoded, undefined in decode_layers(
                question, network, model, stimuli, seen, presentation, layers, work, progress
            ):
                found[f"{model} {layer}"] = decoded
                why[f"{model} {layer}"] = undefined
        result = compared(question, found, halves, why, behaviour)
        result.attrs |= {
            PACKAGE: __version__, "made_by": json.dumps(made_by), "label": question.label,
            "across": str(question.across), "units": question.units,
            "recording": question.recording.sha256, "notes": "\n".join(question.notes),
        }  # fmt: skip
        shutil.rmtree(work)
    (out / ".decoding.lock").unlink(missing_ok=True)
    return result


def _digest(question: Question) -> str:
    made_of = (
        question.recording.sha256, question.labels.tolist(), question.groups, str(question.across),
        question.units, question.folds, question.draws,
    )  # fmt: skip
    return digest(made_of)[:12]

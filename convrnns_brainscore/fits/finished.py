"""Finished blocks of a layer, on disk until the whole layer is finished.

A fit that is killed within a layer resumes with the blocks that are missing.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.files import written_whole
from convrnns_brainscore.fits.blocks import Done, RegionFit
from convrnns_brainscore.fits.heldout import HeldOut
from convrnns_brainscore.fits.mapping import Coefficients
from convrnns_brainscore.provenance import check_made_alike

_log = logging.getLogger(__name__)

MADE_BY = "made_by.json"

HELD_OUT = ("r", "prediction_halves", "response_halves", "penalty", "notes")


class FinishedBlocks:
    """The finished blocks of one layer, a file each.

    Parameters
    ----------
    folder : path
        Made when the first block is kept.
    made_by : mapping of str to object
        All that makes the layer's features, kept beside the blocks.
    """

    def __init__(self, folder: Path, made_by: Mapping[str, Any]) -> None:
        self._folder, self._made_by = folder, dict(made_by)

    def check(self, where: Path) -> None:
        """Refuse blocks of other features: other weights, lesions, precisions, backends or devices.

        Blocks that nothing is known of are removed.

        Parameters
        ----------
        where : path
            What the user calls the folder of results.

        Raises
        ------
        ConvRNNError
            The blocks were made by something else.
        """
        if not self._folder.exists():
            return
        try:
            held = json.loads((self._folder / MADE_BY).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            held = None
        if not isinstance(held, dict):
            _log.warning(
                "%s has no readable record of what made it: its blocks are fitted again",
                self._folder,
            )
            self.remove()
            return
        check_made_alike(held, self._made_by, where)

    def __len__(self) -> int:
        return len(list(self._folder.glob("*.npz")))

    def read(self, name: str) -> Done | None:
        """What a block found; None where it is not finished, or its file is damaged."""
        path = self._folder / f"{name}.npz"
        if not path.exists():
            return None
        try:
            with np.load(path, allow_pickle=False) as held:
                return _done({key: held[key] for key in held.files})
        except Exception as error:  # a damaged archive raises a dozen kinds of them
            _log.warning("%s is damaged (%s): this block is fitted again", path, error)
            return None

    def keep(self, name: str, done: Done) -> None:
        """Write what a block found."""
        if not (self._folder / MADE_BY).exists():
            self._folder.mkdir(exist_ok=True)
            with written_whole(self._folder / MADE_BY) as partial:
                partial.write_text(json.dumps(self._made_by), encoding="utf-8")
        with (
            written_whole(self._folder / f"{name}.npz") as partial,
            partial.open("wb") as file,
        ):
            np.savez(file, **_arrays(done))

    def remove(self) -> None:
        """Remove all of them."""
        shutil.rmtree(self._folder, ignore_errors=True)


def _arrays(done: Done) -> dict[str, NDArray[Any]]:
    """All arrays by name; ``contents`` is JSON that says what they are."""
    contents = {
        "fits": [(fit.region, fit.bins) for fit in done.fits],
        "crossed": list(done.crossed),
        "chosen": list(done.chosen),
        "learning": [part is not None for part in done.learning],
    }
    arrays = {"contents": np.array(json.dumps(contents))}
    for index, fit in enumerate(done.fits):
        arrays |= _of_held_out(f"fit {index}", fit.held_out)
        arrays[f"fit {index} resampled"] = fit.resampled
        for split, predicted in enumerate(fit.held_out.predicted):
            arrays[f"fit {index} predicted {split}"] = predicted
        if fit.coefficients is not None:
            arrays[f"fit {index} coefficients"] = fit.coefficients.stimuli
            arrays[f"fit {index} intercept"] = fit.coefficients.intercept
    for index, medians in enumerate(done.crossed.values()):
        arrays[f"crossed {index}"] = medians
    for index, both in enumerate(done.chosen.values()):
        arrays[f"chosen {index}"] = np.stack(both)
    for index, part in enumerate(done.learning):
        arrays |= _of_held_out(f"learning {index}", part) if part is not None else {}
    return arrays


def _done(arrays: dict[str, NDArray[Any]]) -> Done:
    contents = json.loads(arrays["contents"].item())
    return Done(
        [
            RegionFit(
                region,
                tuple(bins),
                _held_out(f"fit {index}", arrays),
                arrays[f"fit {index} resampled"],
                _coefficients(f"fit {index}", arrays),
            )
            for index, (region, bins) in enumerate(contents["fits"])
        ],
        {region: arrays[f"crossed {index}"] for index, region in enumerate(contents["crossed"])},
        {
            region: (arrays[f"chosen {index}"][0], arrays[f"chosen {index}"][1])
            for index, region in enumerate(contents["chosen"])
        },
        [
            _held_out(f"learning {index}", arrays) if known else None
            for index, known in enumerate(contents["learning"])
        ],
    )


def _of_held_out(prefix: str, fitted: HeldOut) -> dict[str, NDArray[Any]]:
    found = {f"{prefix} {name}": getattr(fitted, name) for name in HELD_OUT}
    return {**found, f"{prefix} notes": fitted.notes.astype(str)}


def _held_out(prefix: str, arrays: dict[str, NDArray[Any]]) -> HeldOut:
    values: dict[str, Any] = {name: arrays[f"{prefix} {name}"] for name in HELD_OUT}
    predicted: list[NDArray[np.float64]] = []
    while (name := f"{prefix} predicted {len(predicted)}") in arrays:
        predicted.append(arrays[name])
    return HeldOut(**{**values, "notes": values["notes"].astype(object), "predicted": predicted})


def _coefficients(prefix: str, arrays: dict[str, NDArray[Any]]) -> Coefficients | None:
    if f"{prefix} coefficients" not in arrays:
        return None
    return Coefficients(arrays[f"{prefix} coefficients"], arrays[f"{prefix} intercept"])

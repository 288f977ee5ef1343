"""What made a number: written beside it, and read back from any file of ours."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convrnns_brainscore._version import __version__
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.integrity import SEAL, check_plain
from convrnns_brainscore.presentation import Presentation
from convrnns_brainscore.stimuli import check_images
from convrnns_brainscore.weights import FINE_TUNED, UNTRAINED

if TYPE_CHECKING:
    import pandas as pd

    from convrnns_brainscore.convrnn import ConvRNN


def describe(network: ConvRNN, presentation: Presentation) -> dict[str, Any]:
    """All that made a number, as plain values: model, weights, presentation, versions."""
    return {
        **network.describe(),
        **presentation.describe(),
        "backend": network.backend.version,
        "convrnns_brainscore": __version__,
    }


def digest(values: Any) -> str:
    """SHA-256 of plain values, such as nested lists of numbers and text."""
    return hashlib.sha256(repr(values).encode()).hexdigest()


def images_digest(stimuli: pd.DataFrame) -> str:
    """SHA-256 of the contents of all images of a table, in its order; every file is read."""
    return digest(check_images(stimuli)[0]["image_sha256"].tolist())


def seen_digest(stimuli: pd.DataFrame) -> str:
    """SHA-256 of the contents and widths of all images of a table; every file is read."""
    return digest([images_digest(stimuli), stimuli["degrees"].tolist()])


PACKAGE = "convrnns_brainscore"
"""Among the attributes of everything that this package writes: its version."""


def display_name(name: str, made_by: Mapping[str, Any]) -> str:
    """The name of a model wherever its numbers stand: one that is not as published says so.

    Examples
    --------
    >>> display_name("rgc_shallow", {"weights": "untrained, seed 0"})
    'rgc_shallow (untrained, seed 0)'
    >>> display_name("rgc_shallow", {"weights": "given"})
    'rgc_shallow'
    >>> display_name("rgc_shallow", {"weights": "given", "precision": "bfloat16"})
    'rgc_shallow (in bfloat16)'
    """
    weights = str(made_by.get("weights", ""))
    notes = [weights] if weights.startswith((UNTRAINED, FINE_TUNED)) else []
    notes += [f"in {made_by['precision']}"] if "precision" in made_by else []
    return f"{name} ({', '.join(notes)})" if notes else name


_DIGESTS = {
    "recording": "responses",
    "images": "images",
    "degrees": "sizes of the images",
    "splits": "splits",
    "weights_sha256": "weights",
    "stimulus_id": "images or another order (stimulus_id)",
    "image_sha256": "images or another order (image_sha256)",
}
"""What is kept as a digest alone or is long, and what it is of."""

_SET_BY = {"threads": " (TF_NUM_INTRAOP_THREADS or OMP_NUM_THREADS set their number)"}


def check_made_alike(
    held: Mapping[str, Any], wanted: Mapping[str, Any], where: Path, remove: Path | None = None
) -> None:
    """Raise unless ``where``, which ``held`` made, is made by all of ``wanted``.

    Parameters
    ----------
    held, wanted : mapping of str to object
        Name → value, of what was made and of what is to be made.
    where : path
        What the user calls it.
    remove : path, optional
        What to remove to begin again; None: ``where``.

    Raises
    ------
    ConvRNNError
        It names the first thing that differs.
    """
    for name, value in wanted.items():
        if held.get(name) == value:
            continue
        other = f"{name} {held.get(name)!r}, not {value!r}{_SET_BY.get(name, '')}"
        if name in _DIGESTS:
            other = f"other {_DIGESTS[name]}"
        raise ConvRNNError(
            f"{where} was begun with {other}. Give another `out=…`, or remove {remove or where} "
            "first."
        )


def read_provenance(path: Path) -> dict[str, Any]:
    """What made the features, the score or the fits in ``path``.

    Parameters
    ----------
    path : path
        Anything that this package writes: a ``.zarr`` store or ``.nc`` file of features, a
        ``.json``
        or ``.nc`` of a score, the ``results.nc`` and region map of fits, a ``geometry.nc``, a
        package's ``<region>.nc``, or a ``.png`` figure.

    Raises
    ------
    ConvRNNError
        There is no such file, or it was not made by this package.
    """
    path = Path(path)
    if not path.exists():
        raise ConvRNNError(f"{path} does not exist.")
    if path.is_dir() and path.suffix != ".zarr" and not (path / "results.nc").exists():
        raise ConvRNNError(f"{path} is a folder: name a file or a .zarr store in it.")
    try:
        attributes = _attributes(path)
    except Exception as error:
        raise ConvRNNError(f"cannot read {path}: {error}") from error
    if PACKAGE not in attributes:
        raise ConvRNNError(
            f"{path} has no record of how it was computed. `describe` reads features, scores, "
            "fits, geometry.nc, decoding.nc, partition.nc, region maps and figures of this package."
        )
    return attributes


def _attributes(path: Path) -> dict[str, Any]:
    if path.suffix == ".json":
        record = json.loads(path.read_text(encoding="utf-8"))
        return dict(record["made_by"]) if isinstance(record, dict) and "made_by" in record else {}
    if path.suffix == ".zarr":
        import zarr

        check_plain(path)
        return dict(zarr.open_group(str(path), mode="r").attrs)
    if path.suffix == ".png":
        from PIL import Image

        with Image.open(path) as image:
            return dict(getattr(image, "text", {}))
    if path.is_file() and path.suffix != ".nc":
        return {}
    import netCDF4

    with netCDF4.Dataset(path) as opened:
        found = {name: opened.getncattr(name) for name in opened.ncattrs() if name != SEAL}
        # Of a score, Brain-Score's own arrays stand beside as text.
        found = {name: each for name, each in found.items() if "<xarray" not in str(each)}
        for model in str(found.get("models", "")).split(", "):  # fits: each model's own
            for layer in list(opened[model].groups.values())[:1] if model in opened.groups else ():
                found |= {
                    f"{model}: {name}": layer.getncattr(name)
                    for name in layer.ncattrs()
                    if name != SEAL
                }
    for model, made_by in json.loads(found.pop("made_by", "{}")).items():  # geometry
        found |= {f"{model}: {name}": value for name, value in made_by.items()}
        found[PACKAGE] = made_by[PACKAGE]
    return found

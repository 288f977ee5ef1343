"""What options mean, for several commands: presentations, networks, recordings.

Each function imports what it needs when it runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convrnns_brainscore.cli.options import PresentationName
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.convrnn import ConvRNN
    from convrnns_brainscore.networks.lesions import Lesion
    from convrnns_brainscore.presentation import Presentation
    from convrnns_brainscore.recordings import Recording


def presentation_of(
    model: str,
    name: PresentationName,
    times: int | None,
    image_off: int | None,
    off: str | None,
) -> Presentation:
    """The named presentation, with what the user asked to be different."""
    from convrnns_brainscore.presentation import Presentation

    if name is PresentationName.constant:
        if times is None:
            raise ConvRNNError("--presentation constant needs --times, the number of steps.")
        if image_off is not None or off is not None:
            raise ConvRNNError(
                "--presentation constant never turns the image off: omit --image-off and --off."
            )
        return Presentation.constant(times)
    base = Presentation.neural() if name is PresentationName.neural else Presentation.default(model)
    if times is None and image_off is None and off is None:
        return base
    if off is not None and image_off is None and base.image_off is None:
        raise ConvRNNError(
            f"--off needs --image-off: {model} was trained with the image always on."
        )
    times = base.times if times is None else times
    if image_off is None and base.image_off is not None:
        image_off = min(base.image_off, max(times, 1))  # a shorter presentation may end before
    return Presentation.custom(times, image_off, 0.5 if off is None else parse_off(off))


def parse_off(text: str) -> Any:
    """One number, R,G,B, or an image file."""
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return Path(text)
    return values[0] if len(values) == 1 else values


def split_names(names: str) -> list[str]:
    """Names that are separated by commas."""
    return [name.strip() for name in names.split(",") if name.strip()]


def model_names(models: list[str] | None, all_models: bool) -> list[str]:
    """The models asked for, each once; names may be separated by commas as well."""
    from convrnns_brainscore.zoo import find_model, list_models

    asked = [name for names in models or () for name in split_names(names)]
    if asked and all_models:
        raise ConvRNNError("name models or give --all, not both.")
    if all_models:
        return list_models()
    if not asked:
        raise ConvRNNError("name one or more models, or give --all.")
    return [find_model(name).name for name in dict.fromkeys(asked)]


def checkpoints_in(checkpoints: Path | None) -> Path:
    """The folder of the checkpoints, named or not."""
    from convrnns_brainscore.checkpoints import checkpoint_folder

    return checkpoint_folder() if checkpoints is None else checkpoints


def checkpoint_of(folder: Path, model: str) -> Path:
    """The model's checkpoint below ``folder``."""
    from convrnns_brainscore.checkpoints import find_checkpoint, how_to_get

    checkpoint = find_checkpoint(folder, model)
    if checkpoint is None:
        raise ConvRNNError(
            f"no weights for {model}: there is no {folder / model / 'model.ckpt.index'}. "
            f"{how_to_get(model)} Or name the folder of the checkpoints with --checkpoints, or "
            "give --weights random."
        )
    return checkpoint


def lesion_asked(
    model: str, kind: str | None, layers: str | None, first: int | None
) -> Lesion | None:
    """The lesion asked for, if the model has what it takes away."""
    from convrnns_brainscore.networks.lesions import Lesion, lesion_of
    from convrnns_brainscore.zoo import find_model

    if kind is None:
        if layers is not None or first is not None:
            raise ConvRNNError("--lesion-layers and --lesion-from need --lesion.")
        return None
    lesion = Lesion(kind, None if layers is None else split_names(layers), first or 0)
    return lesion_of(find_model(model), lesion)


def with_lesions(
    names: list[str],
    kind: str | None,
    layers: str | None,
    first: int | None,
    weights: str | None,
    seed: int,
    checkpoints: Path | None,
) -> dict[str, Callable[[], ConvRNN]]:
    """Name → what loads the network; beside each whole one, with which it is compared, the same
    with the lesion asked for."""
    from functools import partial

    networks: dict[str, Callable[[], ConvRNN]] = {}
    for name in names:
        if weights is None:
            checkpoint_of(checkpoints_in(checkpoints), name)
        networks[name] = partial(network_of, name, weights, seed, checkpoints, None)
        taken = lesion_asked(name, kind, layers, first)
        if taken is not None:
            lesioned = partial(network_of, name, weights, seed, checkpoints, taken)
            networks[f"{name}-without-{taken.kind}"] = lesioned
    return networks


def network_of(
    model: str, weights: str | None, seed: int, checkpoints: Path | None, lesion: Lesion | None
) -> ConvRNN:
    """The network with random weights or its checkpoint below ``checkpoints``."""
    if weights not in (None, "random"):
        raise ConvRNNError(f"--weights {weights}: the only choice is 'random'.")
    checkpoint = None if weights else checkpoint_of(checkpoints_in(checkpoints), model)
    start_quietly()

    from convrnns_brainscore.convrnn import load_network

    if checkpoint is None:
        return load_network(model, weights="random", seed=seed, lesion=lesion)
    return load_network(model, checkpoint=checkpoint, lesion=lesion)


def read_recording(
    recording: str,
    regions: list[str] | None,
    intervals: str | None,
    stimulus_column: str | None,
    region_of: str | None,
    locations: list[str] | None,
) -> Recording:
    """The recording of a file, a store, or one of Brain-Score's data sets.

    Parameters
    ----------
    regions : asked for; one by itself is where all neurons come from, if the file does not say it.
    """
    from convrnns_brainscore.recordings import as_recording, open_recording

    path = Path(recording)
    if path.suffix == ".nwb":
        from convrnns_brainscore.nwb import read_nwb

        for each in locations or ():
            if "=" not in each:
                raise ConvRNNError(
                    f"--location {each}: expected the file's name = region: 'TE=IT'."
                )
        data = read_nwb(
            path,
            intervals=intervals,
            stimulus_column=stimulus_column,
            region_of=region_of,
            locations=dict(each.partition("=")[::2] for each in locations or ()),
        )
    elif intervals or stimulus_column or region_of or locations:
        raise ConvRNNError(
            "--intervals, --stimulus-column, --region-of and --location are of NWB files "
            f"(.nwb); {recording} is none."
        )
    elif path.exists() or path.suffix in (".nc", ".zarr", ".h5"):
        data = open_recording(path)
    else:
        from convrnns_brainscore.benchmarks import load_data

        data = load_data(recording)
    return as_recording(data, regions[0] if regions and len(regions) == 1 else None)


def quiet_brain_score() -> None:
    """Brain-Score's progress bars and warnings about itself would cut up the tables."""
    os.environ.setdefault("TQDM_DISABLE", "1")
    os.environ.setdefault("PYTHONWARNINGS", "ignore")  # of the processes that its metrics start
    warnings.filterwarnings("ignore", category=FutureWarning)
    # Of its ridge, for each split and bin: conditions of 1e8 leave half of the digits.
    warnings.filterwarnings("ignore", message="An ill-conditioned matrix")


def start_quietly() -> None:
    """Start TensorFlow without its C++ notes about absent GPUs, which would bury what we say.

    They are written before TensorFlow's own switch for them takes effect, so the file descriptor is
    closed to them. ``TF_CPP_MIN_LOG_LEVEL=0`` shows them.
    """
    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            from convrnns_brainscore.networks import backend

            backend.start()
        except (ImportError, ValueError) as error:  # Keras knows no such backend
            name = os.environ.get("KERAS_BACKEND", "tensorflow")
            raise ConvRNNError(f"cannot start KERAS_BACKEND={name}: {error}") from error
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)

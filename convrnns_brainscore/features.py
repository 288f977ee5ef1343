"""Time-resolved features of image files → a Zarr store, or a netCDF file.

One group a layer (`stores` has the layout)::

    xarray.open_zarr("features.zarr", group="conv9")
    xarray.open_dataset("features.nc", group="conv9")

What is under way lies in a folder ``.features.zarr.partial`` beside the store, with a journal of
the batches that are done. The store appears under its name when it is whole.
"""

from __future__ import annotations

import logging
import os
import platform
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr
from numpy.typing import NDArray
from rich.console import Console
from rich.filesize import decimal

from convrnns_brainscore.batch_size import AUTO, check_batch_size, fitting_batch_size
from convrnns_brainscore.cluster import HERE, Workers
from convrnns_brainscore.console import PlainConsole
from convrnns_brainscore.convrnn import BATCH_SIZE, ConvRNN
from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.files import only_process
from convrnns_brainscore.image_batches import shown_by, table_of
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.integrity import is_sealed, seal, verify
from convrnns_brainscore.memory import available_memory
from convrnns_brainscore.networks.backbones import neuroid_coordinates, reported_steps
from convrnns_brainscore.networks.forward import Average, single
from convrnns_brainscore.presentation import Presentation, as_presentation
from convrnns_brainscore.progress import progress_bar
from convrnns_brainscore.provenance import describe, read_provenance
from convrnns_brainscore.stimuli import (
    check_images,
    check_stimuli,
    check_unchanged,
    note_on_frames,
    note_on_width,
    read_stimuli,
)
from convrnns_brainscore.stores import (
    Bins,
    Journal,
    check_out,
    check_same,
    chunk_names,
    compressed_in_order,
    create_store,
    open_activations,
    remove_torn,
    write_netcdf,
)
from convrnns_brainscore.streams import CLIPS, Shown, notes, presentation_of, with_labels
from convrnns_brainscore.timing import bins_of_steps

_log = logging.getLogger(__name__)

BINS_IN_CHUNK = 26
"""Of stimuli that have times of their own: so many bins are in memory, however long they last."""


def extract(
    network: ConvRNN,
    stimuli: pd.DataFrame | str | Path | Sequence[str | Path],
    layers: str | Iterable[str],
    out: str | Path,
    presentation: Presentation | None = None,
    *,
    all_times: bool = False,
    batch_size: int | str = BATCH_SIZE,
    skip_broken: bool = False,
    progress: bool = False,
    workers: Workers = HERE,
) -> list[str]:
    """Write the features of images to ``out``, or resume an interrupted call.

    Memory holds one batch at a time. An interrupted extraction that is started again gives the
    same bytes as one that was not interrupted.

    Parameters
    ----------
    network : ConvRNN
        The network.
    stimuli : DataFrame, str, path or sequence of str or path
        ``stimulus_id``, ``filename`` and ``degrees`` as `read_stimuli` gives them, or what it
        takes: image files, folders, patterns, tables.
    layers : str or iterable of str
        The layers to extract.
    out : str or path
        ``….zarr`` or ``….nc``.
    presentation : Presentation, optional
        None: as the model was trained.
    all_times : bool, default False
        Every step from 0, instead of from the first that the published zoo reports.
    batch_size : int or {'auto'}, default BATCH_SIZE
        Images at a time. ``"auto"``: as many as fit into a GPU's free memory
        (`batch_size.fitting_batch_size`), or as ``out`` was begun with.
    skip_broken : bool, default False
        Exclude files that cannot be read as images, instead of stopping at the first.
    progress : bool, default False
        Show progress bars, and say beforehand how much will be written.
    workers : Workers, default HERE
        Who unrolls the batches (`cluster.workers`); they see images and ``out`` under the same
        paths.

    Returns
    -------
    list of str
        One line for each excluded file, with the reason.

    Raises
    ------
    ConvRNNError
        Bad layers, presentation or stimuli; an image cannot be read; ``out``, or what is under way
        beside it, was begun with other settings, weights or images, or is being written by another
        process; the disk has too little room. Nothing is written then.
    OSError
        ``out`` cannot be written.

    Examples
    --------
    >>> from tempfile import TemporaryDirectory
    >>> import xarray as xr
    >>> from convrnns_brainscore import Presentation, load_network
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> network = load_network("timedecay_shallow", weights="random")
    >>> files = load_objects92().stimuli["filename"][:2]
    >>> with TemporaryDirectory() as folder:
    ...     skipped = extract(
    ...         network, files, "conv3", f"{folder}/features.nc", Presentation.custom(times=6)
    ...     )
    ...     with xr.open_dataset(f"{folder}/features.nc", group="conv3") as features:
    ...         activations = features["activations"].load()
    >>> activations.dims, activations.shape
    (('presentation', 'neuroid', 'time_bin'), (2, 50176, 3))
    >>> activations["time_bin_start"].values  # in ms
    array([30, 40, 50])
    """
    stimuli = _as_table(stimuli)
    presentation = presentation_of(stimuli, presentation, Presentation.default(network.name))
    steps = reported_steps(network.model, layers, presentation.times, all_times)
    averages = {layer: single(steps[layer]) for layer in steps}
    for note in presentation.mask_notes(stimuli["degrees"]):
        _log.warning(note)
    request = Request(
        network,
        presentation,
        averages,
        {layer: bins_of_steps(each.start, each.stop) for layer, each in steps.items()},
        ", ".join(f"{layer} {each.start}–{each.stop - 1}" for layer, each in steps.items()),
        _batch_size(batch_size, network, averages, Path(out)),
    )
    return write_features(
        request, stimuli, out, skip_broken=skip_broken, progress=progress, workers=workers
    )


def features_in_memory(
    network: ConvRNN,
    images: Any,
    layers: str | Iterable[str],
    presentation: Presentation | None = None,
    *,
    all_times: bool = False,
    batch_size: int = BATCH_SIZE,
    channels_first: bool = False,
) -> dict[str, xr.DataArray]:
    """The features of a few images, labelled, without a store on disk.

    Parameters
    ----------
    network : ConvRNN
        The network.
    images : DataFrame, path, array, or iterable of images or batches
        As `ConvRNN.features` takes them.
    layers, presentation, all_times, batch_size, channels_first
        As in `ConvRNN.features`.

    Returns
    -------
    dict
        Layer → DataArray (presentation × neuroid × time_bin), with the coordinates that `extract`
        writes, and what made it in its attributes.

    Raises
    ------
    ConvRNNError
        As `ConvRNN.features`; or the features do not fit into memory.

    Examples
    --------
    >>> from convrnns_brainscore import load_network
    >>> from convrnns_brainscore.objects92 import load_objects92
    >>> network = load_network("timedecay_shallow", weights="random")
    >>> found = features_in_memory(network, load_objects92().stimuli[:2], ["conv4", "conv5"])
    >>> found["conv5"].sizes["neuroid"], found["conv5"]["time_bin_start"].values[:2]
    (8192, array([50, 60]))
    """
    images, default = table_of(images), Presentation.default(network.name)
    coordinates: dict[str, Any] = {}
    if isinstance(images, pd.DataFrame):
        presentation = presentation_of(images, presentation, default)
        _warn_of_times(images, presentation)
        for note in [*note_on_frames(images), *presentation.mask_notes(images["degrees"])]:
            _log.warning(note)
        labelled = with_labels(images)
        for name in labelled:
            coordinates[name] = ("presentation", labelled[name].to_numpy())
    presentation = as_presentation(presentation, default)
    steps = reported_steps(network.model, layers, presentation.times, all_times)
    sizes = {layer: int(np.prod(network.output_shape(layer))) for layer in steps}
    count = len(images) if hasattr(images, "shape") else 1
    need = 8 * count * sum(sizes[layer] * len(each) for layer, each in steps.items())
    if need > available_memory():
        raise ConvRNNError(
            f"the features need about {decimal(need)} of memory, and {decimal(available_memory())} "
            "is free: ask for fewer layers, or write them to a store with extract."
        )
    parts: dict[str, list[NDArray[np.float32]]] = {layer: [] for layer in steps}
    found = network.features(
        images, list(steps), presentation, all_times,
        batch_size=batch_size, channels_first=channels_first,
    )  # fmt: skip
    for batch in found:
        for layer, output in batch.items():
            parts[layer].append(np.moveaxis(output.reshape(*output.shape[:2], -1), 1, 2))
    made_by = describe(network, presentation)
    arrays = {}
    for layer, each in steps.items():
        start, end = bins_of_steps(each.start, each.stop)
        neuroids = neuroid_coordinates(network.output_shape(layer))
        arrays[layer] = xr.DataArray(
            np.concatenate(parts.pop(layer)),
            {
                **coordinates,
                **{name: ("neuroid", values) for name, values in neuroids.items()},
                "time_bin_start": ("time_bin", start),
                "time_bin_end": ("time_bin", end),
            },
            ("presentation", "neuroid", "time_bin"),
            name=layer,
            attrs=made_by,
        )
    return arrays


def _warn_of_times(stimuli: pd.DataFrame, presentation: Presentation) -> None:
    """Log where the steps do not follow the stimuli's own times."""
    for note in notes(stimuli[CLIPS], presentation.times) if CLIPS in stimuli else ():
        _log.warning(note)


@dataclass(frozen=True)
class Request:
    """What features are asked of a network.

    Attributes
    ----------
    network, presentation
        What is shown, to whom.
    averages : mapping of str to sequence of tuple of (step, weight)
        Layer → averages over steps, as `ConvRNN.averages` takes them.
    bins : mapping of str to pair of arrays
        Layer → the averages' start and end in ms.
    label : str
        Layers and averages in words, exact enough to tell any two apart.
    batch_size : int, default BATCH_SIZE
        Images at a time.
    apart : bool, default False
        Each average is to be read by itself.
    """

    network: ConvRNN
    presentation: Presentation
    averages: Mapping[str, Sequence[Average]]
    bins: Mapping[str, Bins]
    label: str
    batch_size: int = BATCH_SIZE
    apart: bool = False


def write_features(
    request: Request,
    stimuli: pd.DataFrame | str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    skip_broken: bool = False,
    progress: bool = False,
    workers: Workers = HERE,
) -> list[str]:
    """`extract`, for any averages over steps."""
    network, presentation = request.network, request.presentation
    batch_size, out = request.batch_size, Path(out)
    check_out(out)
    network.check_lesion(presentation)
    stimuli = _as_table(stimuli)
    _warn_of_times(stimuli, presentation)
    console = PlainConsole(stderr=True, quiet=not progress)
    with progress_bar(console, unit="images", transient=True) as bar:
        stimuli, skipped = check_images(stimuli, skip_broken=skip_broken, bar=bar)

    attributes: dict[str, str | int] = {
        **describe(network, presentation),
        "layers": request.label,
        "batch_size": request.batch_size,
        "threads": workers.threads() or network.backend.threads(),
        "field_degrees": VISUAL_DEGREES,
        "skipped": "\n".join(skipped) or "none",
    }
    shapes = {layer: network.output_shape(layer) for layer in request.averages}
    work = _work_beside(out)
    if network.hooked and (os.path.lexists(out) or Journal(work).begun):
        held = out if os.path.lexists(out) else work
        raise ConvRNNError(
            f"{held} may hold features made under other hooks, since what hooks on "
            f"{', '.join(network.hooked)} do is not recorded: remove it, or choose another `out=…`."
        )
    if os.path.lexists(out):
        check_same(out, attributes, stimuli, out)
        if is_sealed(out):  # of an earlier version, it is not
            verify(out)
        _clear(work, out)
        console.print(f"{out} is complete already.", soft_wrap=True)
        return skipped
    _log.info("%d images, %d at a time, by %s", len(stimuli), batch_size, workers)
    sizes = [4 * int(np.prod(shapes[layer])) * len(a) for layer, a in request.averages.items()]
    with _only_process(work, out):
        store, journal = work / "store.zarr", Journal(work)
        if os.path.lexists(out):
            raise ConvRNNError(f"another process has just written {out}.")
        if journal.begun:
            check_same(store, attributes, stimuli, out)
            _log.info("resuming %s: %d batches are done", out, len(journal.done()))
        to_write = len(stimuli) * sum(sizes)
        _check_room(out, to_write * (2 if out.suffix == ".nc" else 1), store, console)
        for note in note_on_width(stimuli):
            console.print(f"{note[0].upper()}{note[1:]}.", soft_wrap=True)
        if not journal.begun:
            create_store(
                store,
                attributes,
                with_labels(stimuli),
                shapes,
                request.bins,
                request.batch_size,
                apart=request.apart,
                most_bins=BINS_IN_CHUNK if CLIPS in stimuli else None,
            )
            journal.begin()
        _fill(store, journal, request, stimuli, console, workers)
        remove_torn(store)
        zarr.consolidate_metadata(zarr.DirectoryStore(str(store)))
        if out.suffix == ".nc":
            write_netcdf(store, list(shapes), work / out.name)
            seal(work / out.name)
            (work / out.name).replace(out)
        else:
            seal(store)
            store.rename(out)
    return skipped


def _work_beside(out: Path) -> Path:
    """The folder of what is under way."""
    return out.with_name(f".{out.name}.partial")


def _batch_size(
    batch_size: int | str, network: ConvRNN, asked: Mapping[str, Sequence[Average]], out: Path
) -> int:
    """The number of images in a batch. ``"auto"`` keeps the size that ``out`` was begun with, since
    batches of other sizes round differently and the free memory may have changed."""
    if batch_size != AUTO:
        check_batch_size(batch_size)
        return int(batch_size)
    journal = Journal(_work_beside(out))
    begun = journal.store if journal.begun else out
    if os.path.lexists(begun):
        return int(read_provenance(begun).get("batch_size", BATCH_SIZE))
    return fitting_batch_size(network, asked)


def _as_table(stimuli: Any) -> pd.DataFrame:
    return check_stimuli(stimuli) if isinstance(stimuli, pd.DataFrame) else read_stimuli(stimuli)[0]


def _fill(
    store: Path,
    journal: Journal,
    request: Request,
    stimuli: pd.DataFrame,
    console: Console,
    workers: Workers,
) -> None:
    """Extract the batches that the journal does not have."""
    batch_size, done = request.batch_size, journal.done()
    waiting = [index for index in range(-(-len(stimuli) // batch_size)) if index not in done]
    try:
        with progress_bar(console, unit="images") as bar:
            task = bar.add_task(f"{request.network.name}: extracting", total=len(stimuli))
            bar.update(task, completed=min(len(done) * batch_size, len(stimuli)))
            files = [os.path.abspath(name) for name in stimuli["filename"]]
            common = store.absolute(), request, stimuli.assign(filename=files)
            for index, chunks in workers.each_done(_extract_batch, common, waiting):
                journal.write(index, chunks)
                done.add(index)
                bar.advance(task, min(batch_size, len(stimuli) - index * batch_size))
    except BaseException:
        if done:
            kept = min(len(done) * batch_size, len(stimuli))
            console.print(
                f"Stopped after {kept} of {len(stimuli)} images; their features are kept in "
                f"{store.parent}: "
                "rerun the same command to resume.",
                soft_wrap=True,
            )
        raise


def _extract_batch(store: Path, request: Request, stimuli: pd.DataFrame, index: int) -> list[str]:
    """Extract one batch into the store, and name the chunks that were written, all of them its
    own."""
    if not store.exists():
        raise ConvRNNError(
            f"a worker on {platform.node()} cannot find {store}: scheduler, workers and the "
            "command need a shared file system."
        )
    start = index * request.batch_size
    rows = stimuli.iloc[start : start + request.batch_size]
    images = shown_by(rows, request.presentation.fixed_frames[0])
    check_unchanged(rows)
    arrays = open_activations(store, request.averages)
    chunks = [name for array in arrays.values() for name in chunk_names(array, index)]
    for name in chunks:
        (store / name).unlink(missing_ok=True)  # torn, perhaps
    if isinstance(images, Shown):
        found = request.network.averages_over_time(images, request.averages)
        for layer, bins, block in _blocks(found, request, len(rows), arrays):
            with compressed_in_order():
                arrays[layer][start : start + len(rows), :, bins] = block
        check_unchanged(rows)  # its frames were read meanwhile
        return chunks
    outputs = request.network.averages(images, request.averages, request.presentation)
    with compressed_in_order():
        for layer, output in outputs.items():
            flat = output.reshape(*output.shape[:2], -1)
            arrays[layer][start : start + len(rows)] = np.moveaxis(flat, 1, 2)
    return chunks


def _blocks(
    found: Iterable[tuple[str, int, NDArray[np.float32]]],
    request: Request,
    count: int,
    arrays: Mapping[str, zarr.Array],
) -> Iterator[tuple[str, slice, NDArray[np.float32]]]:
    """The averages of a batch, one chunk of bins after the other: layer, bins, and
    [stimulus, neuroid, bin]."""
    filling: dict[tuple[str, int], tuple[NDArray[np.float32], list[int]]] = {}
    for layer, index, output in found:
        width, total = arrays[layer].chunks[2], len(request.averages[layer])
        block, place = divmod(index, width)
        bins = slice(block * width, min((block + 1) * width, total))
        if (layer, block) not in filling:
            shape = count, arrays[layer].shape[1], bins.stop - bins.start
            filling[layer, block] = np.empty(shape, np.float32), []
        values, there = filling[layer, block]
        values[:, :, place] = output.reshape(count, -1)
        there.append(place)
        if len(there) == values.shape[2]:
            yield layer, bins, filling.pop((layer, block))[0]


@contextmanager
def _only_process(work: Path, out: Path) -> Iterator[None]:
    """Hold the folder ``work``, and remove it if nothing is under way in it."""
    try:
        work.mkdir(exist_ok=True)
    except OSError as error:
        raise ConvRNNError(f"cannot write {out}: {error.strerror}.") from error
    with only_process(work / "lock", out):
        try:
            yield
        finally:
            if Journal(work).empty or out.exists():
                _clear(work, out)


def _clear(work: Path, out: Path) -> None:
    """Remove what we wrote to ``work``, and the folder if nothing else is in it."""
    shutil.rmtree(work / "store.zarr", ignore_errors=True)
    for name in ("journal.jsonl", out.name, "lock"):
        (work / name).unlink(missing_ok=True)
    with suppress(OSError):
        work.rmdir()


def _check_room(out: Path, need: int, store: Path, console: Console) -> None:
    """Say how much will be written, and raise if the disk has not as much."""
    there = sum(file.stat().st_size for file in store.rglob("*") if file.is_file())
    free = shutil.disk_usage(out.absolute().parent).free
    console.print(
        f"Writing up to {decimal(need)} to {out} ({decimal(free)} is free).", soft_wrap=True
    )
    if need - there > free:
        raise ConvRNNError(
            f"{out} needs up to {decimal(need - there)}, and {decimal(free)} is free. Extract "
            "fewer layers or steps, or write to another disk."
        )

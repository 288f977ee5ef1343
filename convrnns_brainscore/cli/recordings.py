"""``convrnns recording``: make a recording of a lab's arrays."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convrnns_brainscore.cli.groups import named_locations, split_names
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.cli.options import (
    Intervals,
    Locations,
    OnsetColumn,
    RegionOf,
    RegionOfAll,
    StimulusColumn,
)
from convrnns_brainscore.errors import ConvRNNError, counted, unknown

if TYPE_CHECKING:
    import xarray as xr

app = typer.Typer(
    name="recording",
    help="Convert arrays, tables, NWB files or epochs to a recording.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def recording() -> None:
    """Convert arrays, tables, NWB files or epochs to a recording."""


def _read_config(context: typer.Context, path: Path | None) -> Path | None:
    """Take the options of a YAML file as defaults."""
    if path is None:
        return None
    import yaml

    try:
        # All values as text: YAML would read the bins 0:50:10 as a number to the base of 60.
        given = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConvRNNError(f"cannot read --config {path}: {error}") from None
    if not isinstance(given, dict):
        raise ConvRNNError(f"--config {path}: expected lines such as 'time-bins: 70:170'.")
    options = {
        option.removeprefix("--"): each
        for each in context.command.params
        for option in each.opts
        if each.name not in ("config", "source")
    }
    found: dict[str, Any] = {}
    for name, value in given.items():
        option = options.get(str(name).replace("_", "-"))
        if option is None:
            raise unknown(f"option in {path}", name, sorted(options))
        several = getattr(option, "multiple", False)
        values = value if several and isinstance(value, list) else [value]
        if not all(isinstance(each, str) for each in values):
            raise ConvRNNError(f"--config {path}: {name} is {value!r}; expected text or a number.")
        found[str(option.name)] = values if several else value
    context.default_map = found
    return path


@app.command()
def make(
    source: Annotated[
        Path,
        typer.Argument(
            help="The responses: .npy, .npz or MATLAB's .mat (5 or 7.3); a .csv with the columns "
            "stimulus_id, neuroid_id and response; a .csv of spikes with the columns trial, "
            "neuroid_id and time_ms or time_s; an NWB file (.nwb); or epochs of MNE-Python "
            "(-epo.fif)."
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The recording to write: ….nc.")],
    stimulus_ids: Annotated[
        str | None,
        typer.Option(
            "--stimulus-ids",
            help="Ids of the stimuli (or presentations) in their order: the name of an array in "
            "the file, an array file, or a .csv with a column stimulus_id, whose other columns are "
            "kept. For spikes: a .csv with the columns trial and stimulus_id.",
            show_default=False,
        ),
    ] = None,
    regions: Annotated[
        str | None,
        typer.Option(
            "--regions",
            help="Arrays and tables: region of all neurons, such as V4, or an array, one per "
            "neuron; a .csv may have a column region instead. NWB and epochs: the regions "
            "to read, separated by commas.",
            show_default=False,
        ),
    ] = None,
    time_bins: Annotated[
        str | None,
        typer.Option(
            "--time-bins",
            help="Arrays and tables: bins in ms from image onset. '70:170' is one bin, '0:300:10' "
            "are bins of 10 ms; or give an array of starts and ends. A .csv of responses may have "
            "columns time_bin_start and time_bin_end instead.",
            show_default=False,
        ),
    ] = None,
    responses: Annotated[
        str | None,
        typer.Option(
            "--responses",
            help="Name of the array of responses in the file. [default: the only array]",
            show_default=False,
        ),
    ] = None,
    axes: Annotated[
        str | None,
        typer.Option(
            "--axes",
            help="Names of the axes, out of stimulus, repetition, presentation, neuroid and "
            "time_bin: 'neuroid,stimulus,repetition'. [default: inferred from the array's shape, "
            "if unambiguous]",
            show_default=False,
        ),
    ] = None,
    neuron_ids: Annotated[
        str | None,
        typer.Option(
            "--neuron-ids",
            help="Ids of the neurons, as for --stimulus-ids; a .csv needs a column neuroid_id. "
            "[default: numbers from 0]",
            show_default=False,
        ),
    ] = None,
    subjects: Annotated[
        str | None,
        typer.Option("--subjects", help="Subject of all neurons, or an array: one per neuron."),
    ] = None,
    image_ms: Annotated[
        float | None,
        typer.Option("--image-ms", help="Duration of the images, in ms.", min=0),
    ] = None,
    intervals: Intervals = None,
    stimulus_column: StimulusColumn = None,
    onset_column: OnsetColumn = None,
    region_of: RegionOf = None,
    region_of_all: RegionOfAll = None,
    locations: Locations = None,
    config: Annotated[
        Path | None,
        typer.Option(
            "--config",
            help="A YAML file of these options, such as 'time-bins: 70:170'. Options on the "
            "command line replace those of the file.",
            callback=_read_config,
            is_eager=True,
            show_default=False,
        ),
    ] = None,
) -> None:
    """Convert responses to a recording for fit, geometry, decode, partition and package."""
    from convrnns_brainscore.files import check_folder_of, written_whole
    from convrnns_brainscore.netcdf import write_group
    from convrnns_brainscore.recording_arrays import RESPONSES
    from convrnns_brainscore.recording_files import is_labelled, read_labelled
    from convrnns_brainscore.recordings import as_recording
    from convrnns_brainscore.tables import SUFFIXES

    if out.suffix != ".nc":
        raise ConvRNNError(f"{out}: expected a name that ends in .nc.")
    of_files = {
        "intervals": intervals, "stimulus-column": stimulus_column, "onset-column": onset_column,
        "region-of": region_of, "region-of-all": region_of_all, "location": locations,
    }  # fmt: skip
    in_arrays = {
        "stimulus-ids": stimulus_ids, "time-bins": time_bins, "responses": responses, "axes": axes,
        "neuron-ids": neuron_ids, "subjects": subjects,
    }  # fmt: skip
    check_folder_of(out)
    labelled = is_labelled(source)
    if source.suffix.lower() in (".fif", ".gz") and not labelled:
        raise ConvRNNError(f"{source}: names of epochs files must end in -epo.fif: rename it.")
    for name, value in (in_arrays if labelled else of_files).items():
        if value is not None:
            raise ConvRNNError(
                f"--{name} applies only to "
                f"{'arrays and tables' if labelled else 'NWB files and epochs'}: not to {source}."
            )
    if labelled:
        data = read_labelled(
            source,
            regions=split_names(regions) if regions else None,
            region_of_all=region_of_all,
            locations=named_locations(locations),
            intervals=intervals,
            stimulus_column=stimulus_column,
            onset_column=onset_column,
            region_of=region_of,
        )
    elif source.suffix.lower() in SUFFIXES:
        other = {"responses": responses, "axes": axes, "neuron-ids": neuron_ids}
        other |= {"subjects": subjects}
        for name, value in other.items():
            if value is not None:
                raise ConvRNNError(f"--{name} applies only to arrays; {source} is a table.")
        data = _of_table(source, stimulus_ids, regions, time_bins)
    else:
        data = _of_arrays(
            source, stimulus_ids, regions, time_bins, responses, axes, neuron_ids, subjects
        )
    if image_ms is not None:
        if "image_on_ms" in data.coords:
            raise ConvRNNError(f"{source} says how long images were on: omit --image-ms.")
        data = data.assign_coords(
            image_on_ms=("presentation", [image_ms] * data.sizes["presentation"])
        )
    checked = as_recording(data)
    for note in checked.notes:
        say(as_options(note))
    with written_whole(out) as partial:
        write_group(data.to_dataset(name=RESPONSES), partial)
    neurons = checked.neurons["region"].value_counts(sort=False)
    counts = ", ".join(
        f"{counted(neurons[region], 'neuron')} of {region}" for region in checked.regions
    )
    presentations = counted(len(checked.stimulus), "presentation")
    first, last = checked.time_bins[0][0], checked.time_bins[-1][1]
    bins = f"{counted(len(checked.time_bins), 'time bin')} ({first:g}–{last:g} ms)"
    say(f"{out}: {presentations} of {len(checked.stimuli)} stimuli, {counts}, {bins}")


def _of_arrays(
    source: Path,
    stimulus_ids: str | None,
    regions: str | None,
    time_bins: str | None,
    responses: str | None,
    axes: str | None,
    neuron_ids: str | None,
    subjects: str | None,
) -> xr.DataArray:
    """The recording of a file of arrays."""
    from convrnns_brainscore.array_files import only_array, read_arrays, read_labels
    from convrnns_brainscore.recording_arrays import recording_from_arrays

    needed = {"stimulus-ids": stimulus_ids, "regions": regions, "time-bins": time_bins}
    for name, value in needed.items():
        if value is None:
            raise ConvRNNError(f"--{name} is missing: arrays have no labels.")
    held = read_arrays(source)
    values = only_array(held, responses, source)
    arrays = {name: each for name, each in held.items() if each is not values}

    def given(text: str | None, column: str, plain: bool) -> Any:
        """An array by its name, or the text itself where one value may stand for all."""
        if text is None or (plain and text not in arrays and not Path(text).suffix):
            return text
        return read_labels(text, arrays, column)

    if regions is not None and "," in regions and regions not in arrays:
        raise ConvRNNError(
            f"--regions {regions}: expected one region for all neurons, or the name of an array or "
            "file with one region per neuron."
        )

    return recording_from_arrays(
        values,
        given(stimulus_ids, "stimulus_id", plain=False),
        given(regions, "region", plain=True),
        _time_bins(str(time_bins), arrays),
        axes=axes,
        neuroid_ids=given(neuron_ids, "neuroid_id", plain=False),
        subjects=given(subjects, "subject", plain=True),
    )


def _of_table(
    source: Path, stimulus_ids: str | None, regions: str | None, time_bins: str | None
) -> xr.DataArray:
    """The recording of a table of responses, or of spikes."""
    from convrnns_brainscore.recording_tables import (
        KNOWN,
        NEURON,
        is_spikes,
        recording_of_responses,
        recording_of_spikes,
    )
    from convrnns_brainscore.tables import read_table

    table = read_table(source, [NEURON], KNOWN)
    bins = None if time_bins is None else [tuple(each) for each in _time_bins(time_bins, {})]
    if is_spikes(table):
        if stimulus_ids is None or bins is None:
            raise ConvRNNError(
                f"{source} holds spikes: give --stimulus-ids, a table with the columns trial and "
                "stimulus_id, and --time-bins."
            )
        trials = read_table(Path(stimulus_ids), ["trial", "stimulus_id"])
        return recording_of_spikes(table, trials, bins, regions)
    if stimulus_ids is not None:
        if "stimulus_id" not in table:
            raise ConvRNNError(
                f"{source} has neither a column stimulus_id nor, for spikes, time_ms or time_s; it "
                f"has {', '.join(map(str, table))}."
            )
        raise ConvRNNError(f"{source} names the stimuli in its rows: omit --stimulus-ids.")
    if bins is not None and len(bins) > 1:
        raise ConvRNNError(
            "--time-bins: a table of responses has one time bin, or the columns time_bin_start and "
            "time_bin_end."
        )
    return recording_of_responses(table, regions, None if bins is None else bins[0])


def _time_bins(text: str, arrays: dict[str, Any]) -> Any:
    """Bins by the name of their array, or as start:end or start:end:width in ms."""
    import numpy as np

    if text in arrays:
        return arrays[text]
    try:
        start, end, *width = (float(part) for part in text.split(":"))
    except ValueError:
        start, end, width = 0.0, 0.0, []
    if not start < end or len(width) > 1 or (width and not 0 < width[0] <= end - start):
        raise ConvRNNError(
            f"--time-bins {text}: expected start:end or start:end:width in ms, or the name of an "
            "array."
        )
    step = width[0] if width else end - start
    count = round((end - start) / step)
    if abs(count * step - (end - start)) > 1e-6:
        raise ConvRNNError(
            f"--time-bins {text}: bins of {step:g} ms do not fill {start:g}–{end:g} ms."
        )
    edges = start + step * np.arange(count + 1)
    return np.stack([edges[:-1], edges[1:]], axis=1)

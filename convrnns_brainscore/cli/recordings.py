"""``convrnns recording``: make a recording of a lab's arrays."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from convrnns_brainscore.cli.groups import split_names
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.errors import ConvRNNError

app = typer.Typer(
    name="recording",
    help="Make a recording from your own arrays.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


@app.callback()
def recording() -> None:
    """Make a recording from your own arrays."""


@app.command()
def make(
    source: Annotated[
        Path, typer.Argument(help="The responses: .npy, .npz or MATLAB's .mat (5 or 7.3).")
    ],
    stimulus_ids: Annotated[
        str,
        typer.Option(
            "--stimulus-ids",
            help="Ids of the stimuli (or presentations) in their order: the name of an array in "
            "the file, an array file, or a .csv with a column stimulus_id, whose other columns are "
            "kept.",
        ),
    ],
    regions: Annotated[
        str,
        typer.Option(
            "--regions", help="Region of all neurons, such as V4, or an array, one per neuron."
        ),
    ],
    time_bins: Annotated[
        str,
        typer.Option(
            "--time-bins",
            help="In ms from image onset: '70:170' is one bin, '0:300:10' are bins of 10 ms; or an "
            "array of starts and ends.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="The recording to write: ….nc.")],
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
            "time_bin: 'neuroid,stimulus,repetition'. [default: found from the axis lengths, if "
            "these are unambiguous]",
            show_default=False,
        ),
    ] = None,
    neuron_ids: Annotated[
        str | None,
        typer.Option(
            "--neuron-ids",
            help="Ids of the neurons, as for --stimulus-ids. [default: numbers from 0]",
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
) -> None:
    """Label an array of responses, and write it as a recording for fit, geometry and package."""
    from convrnns_brainscore.array_files import only_array, read_arrays, read_labels
    from convrnns_brainscore.files import written_whole
    from convrnns_brainscore.netcdf import write_group
    from convrnns_brainscore.recording_arrays import recording_from_arrays
    from convrnns_brainscore.recordings import as_recording

    if out.suffix != ".nc":
        raise ConvRNNError(f"{out}: expected a name that ends in .nc.")
    arrays = read_arrays(source)

    def given(text: str | None, plain: bool) -> Any:
        """An array by its name, or the text itself where one value may stand for all."""
        if text is None or (plain and text not in arrays and not Path(text).suffix):
            return text
        return read_labels(text, arrays, "stimulus_id")

    data = recording_from_arrays(
        only_array(arrays, responses, source),
        given(stimulus_ids, plain=False),
        given(regions, plain=True),
        _time_bins(time_bins, arrays),
        axes=None if axes is None else split_names(axes),
        neuroid_ids=given(neuron_ids, plain=False),
        subjects=given(subjects, plain=True),
        image_on_ms=image_ms,
    )
    checked = as_recording(data)
    for note in checked.notes:
        say(as_options(note))
    with written_whole(out) as partial:
        write_group(data.to_dataset(name="responses"), partial)
    counts = ", ".join(
        f"{(checked.neurons['region'] == region).sum()} neurons of {region}"
        for region in checked.regions
    )
    first, last = checked.time_bins[0][0], checked.time_bins[-1][1]
    shown = f"{len(checked.stimulus)} presentations of {len(checked.stimuli)} stimuli"
    count = len(checked.time_bins)
    bins = f"{count} time bin{'s' if count > 1 else ''} ({first:g}–{last:g} ms)"
    say(f"{out}: {shown}, {counts}, {bins}")


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

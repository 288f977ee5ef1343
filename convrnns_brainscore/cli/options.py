"""Single arguments and options that several commands have; `groups` puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.choices import BackendName

Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        help="Folder of the checkpoints, <model>/model.ckpt.… or <model>/model.safetensors. "
        "[default: $CONVRNNS_CHECKPOINTS, or the user's cache folder]",
        show_default=False,
    ),
]

Models = Annotated[
    list[str] | None,
    typer.Argument(help="Models; `convrnns models` lists them.", show_default=False),
]

All = Annotated[bool, typer.Option("--all", help="All 20 models.")]

Weights = Annotated[
    str | None,
    typer.Option(
        "--weights", help="'random': an untrained network instead of a checkpoint's weights."
    ),
]

Backend = Annotated[
    BackendName, typer.Option("--backend", help="The library that networks are computed with.")
]

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:1 or, with torch, mps. [default: a GPU where there is one]",
        show_default=False,
    ),
]

Seed = Annotated[int, typer.Option("--seed", help="Seed of random weights.", min=0)]

Times = Annotated[
    int | None,
    typer.Option("--times", help="Number of 10 ms steps, in place of the presentation's."),
]

ImageOff = Annotated[
    int | None,
    typer.Option(
        "--image-off", help="Step from which the image is off, in place of the presentation's."
    ),
]

Off = Annotated[
    str | None,
    typer.Option(
        "--off",
        help="What is shown when the image is off: a number in the normalised space (0.5, as in "
        "training), R,G,B in 0–255, or an image file.",
    ),
]

StimulusDegrees = Annotated[
    float | None,
    typer.Option(
        "--stimulus-degrees",
        help="Width of the stimuli in degrees: they are placed at that size on the model's "
        "8-degree field, on gray. [default: they fill it]",
        show_default=False,
    ),
]

LesionKind = Annotated[
    str | None,
    typer.Option(
        "--lesion",
        help="'feedback': no long-range feedback; 'recurrence': cell states zero.",
        show_default=False,
    ),
]

LesionLayers = Annotated[
    str | None,
    typer.Option(
        "--lesion-layers",
        help="Layers of the lesion, separated by commas. [default: all that have any]",
        show_default=False,
    ),
]

LesionFrom = Annotated[
    int | None,
    typer.Option(
        "--lesion-from",
        help="Step from which the lesion holds. [default: 0]",
        show_default=False,
    ),
]

Stimuli = Annotated[
    list[str],
    typer.Option(
        "--stimuli",
        help="The stimuli: a folder of images, a pattern in quotes, or a .csv with columns "
        "stimulus_id, filename and, if sizes differ, degrees.",
    ),
]

ImageMs = Annotated[
    float | None,
    typer.Option(
        "--image-ms",
        help="How long images were on, in ms. [default: as the recording says, or 100]",
        show_default=False,
    ),
]

Regions = Annotated[
    str | None,
    typer.Option(
        "--regions",
        help="Regions, separated by commas. [default: all in the recording]",
        show_default=False,
    ),
]

Window = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        help="Average to one bin, start and end in ms. [default: the recording's bins]",
        show_default=False,
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="A Dask scheduler, tcp://host:8786, whose workers do the work. [default: here]",
        show_default=False,
    ),
]

Intervals = Annotated[
    str | None,
    typer.Option(
        "--intervals",
        help="NWB: the table of presentations. [default: the one that has stimuli]",
        show_default=False,
    ),
]

StimulusColumn = Annotated[
    str | None,
    typer.Option(
        "--stimulus-column",
        help="NWB: its column of what was shown. [default: stimulus_id, image, …]",
        show_default=False,
    ),
]

OnsetColumn = Annotated[
    str | None,
    typer.Option(
        "--onset-column",
        help="NWB: its column of when a stimulus came on. [default: stim_on_time, …, or the row's "
        "start]",
        show_default=False,
    ),
]

RegionOfAll = Annotated[
    str | None,
    typer.Option(
        "--region-of-all",
        help="The region that all neurons come from, where the recording does not say it.",
        show_default=False,
    ),
]

RegionOf = Annotated[
    str | None,
    typer.Option(
        "--region-of",
        help="NWB: units on electrodes of several regions: 'first' electrode's, or 'leave-out'.",
        show_default=False,
    ),
]

Locations = Annotated[
    list[str] | None,
    typer.Option(
        "--location",
        help="What the recording calls an area, and its region: 'TE=IT'. As often as needed.",
        show_default=False,
    ),
]

DurationsShown = Annotated[
    str | None,
    typer.Option(
        "--image-ms",
        help="How long stimuli are on in recordings, in ms: one number, or of stimulus sets, "
        "SET=MS,…; the set of a package is its folder. [default: as the subjects of each stimulus "
        "set saw them]",
        show_default=False,
    ),
]

Latencies = Annotated[
    str | None,
    typer.Option(
        "--latency",
        help="How much later a region's neurons answer than its layers, in ms (-260 to 260): "
        "V1=50,IT=10, or 'fitted', those of the region map. [default: V1 and V2 50, others 0]",
        show_default=False,
    ),
]

BehaviouralReadout = Annotated[
    str,
    typer.Option(
        "--behavioural-readout",
        help="What tasks other than ImageNet labels read: logits, or a layer, averaged over space "
        "and 70–170 ms, or other times: conv10:50-250.",
    ),
]

RegionLayerMap = Annotated[
    str | None,
    typer.Option(
        "--region-layer-map",
        help="'paper' (several layers a region) or a JSON file, region → layer or layers. "
        "[default: one layer a region]",
        show_default=False,
    ),
]

MaxNeuroids = Annotated[
    int | None,
    typer.Option(
        "--max-neuroids",
        help="Project each bin's features to so many, at random. [default: all of them]",
        min=1,
        show_default=False,
    ),
]

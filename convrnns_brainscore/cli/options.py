"""Single arguments and options that several commands have; `groups` puts them together."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.choices import BackendName, PrecisionName

Checkpoints = Annotated[
    Path | None,
    typer.Option(
        "--checkpoints",
        help="Folder that holds the checkpoints, as <model>/model.ckpt.… or "
        "<model>/model.safetensors; or one .safetensors file. "
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
    typer.Option("--weights", help="'random' uses an untrained network instead of a checkpoint."),
]

Backend = Annotated[
    BackendName, typer.Option("--backend", help="Library that computes the networks.")
]

Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        help="cpu, cuda, cuda:1 or, with torch, mps. [default: a GPU if there is one]",
        show_default=False,
    ),
]

Precision = Annotated[
    PrecisionName,
    typer.Option(
        "--precision",
        help="Precision of convolutions and matrix products. tf32 (NVIDIA GPUs) and bfloat16 "
        "(torch) deviate from the published networks; outputs are labelled with them.",
    ),
]

Seed = Annotated[int, typer.Option("--seed", help="Seed of random weights.", min=0)]

Times = Annotated[
    int | None,
    typer.Option("--times", help="Number of 10 ms steps, instead of the presentation's."),
]

ImageOff = Annotated[
    int | None,
    typer.Option(
        "--image-off", help="Step from which the image is off, instead of the presentation's."
    ),
]

Off = Annotated[
    str | None,
    typer.Option(
        "--off",
        help="Stimulus shown when the image is off: a number in normalised pixel space (0.5, as in "
        "training), R,G,B in 0–255, or an image file.",
    ),
]

Frames = Annotated[
    list[str] | None,
    typer.Option(
        "--frame",
        help="One frame of a sequence and its duration, as FRAME:MS; repeat for each frame. "
        "FRAME is image, gray, off, a number, R,G,B or an image file: --frame image:30 "
        "--frame gray:20 --frame mask.png:100.",
        show_default=False,
    ),
]

Movie = Annotated[
    bool, typer.Option("--movie", help="Treat each GIF, and each folder of frames, as one movie.")
]

FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        "--frames-per-second",
        help="Frame rate of movies. [default: as their files state]",
        show_default=False,
    ),
]

StimulusDegrees = Annotated[
    float | None,
    typer.Option(
        "--stimulus-degrees",
        help="Width of the stimuli in degrees. They are placed at this size in the model's gray "
        "8-degree field. [default: they fill the field]",
        show_default=False,
    ),
]

LesionKind = Annotated[
    str | None,
    typer.Option(
        "--lesion",
        help="'feedback' removes long-range feedback; 'recurrence' sets cell states to zero.",
        show_default=False,
    ),
]

LesionLayers = Annotated[
    str | None,
    typer.Option(
        "--lesion-layers",
        help="Layers to lesion, separated by commas. [default: all to which the lesion applies]",
        show_default=False,
    ),
]

LesionFrom = Annotated[
    int | None,
    typer.Option(
        "--lesion-from",
        help="First step of the lesion. [default: 0]",
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
        help="Duration of the images, in ms, a multiple of 10. In a recording with several "
        "durations, only presentations of this duration are used. [default: as stated in the "
        "recording, or 100]",
        show_default=False,
    ),
]

Regions = Annotated[
    str | None,
    typer.Option(
        "--regions",
        help="Regions, separated by commas. If the recording does not state regions: the one "
        "region of all neurons. [default: all in the recording]",
        show_default=False,
    ),
]

Window = Annotated[
    tuple[float, float] | None,
    typer.Option(
        "--window",
        help="Average responses over one time bin; give its start and end in ms. [default: the "
        "recording's bins]",
        show_default=False,
    ),
]

Scheduler = Annotated[
    str | None,
    typer.Option(
        "--scheduler",
        help="Address of a Dask scheduler whose workers run the computation, such as "
        "tcp://host:8786. [default: run locally]",
        show_default=False,
    ),
]

Intervals = Annotated[
    str | None,
    typer.Option(
        "--intervals",
        help="NWB: name of the presentations table. [default: the only table with stimuli]",
        show_default=False,
    ),
]

StimulusColumn = Annotated[
    str | None,
    typer.Option(
        "--stimulus-column",
        help="NWB and epochs: column of the table of presentations or of the metadata with the "
        "stimuli. [default: stimulus_id, image, …]",
        show_default=False,
    ),
]

OnsetColumn = Annotated[
    str | None,
    typer.Option(
        "--onset-column",
        help="NWB: column of the presentations table with the stimulus onset. [default: "
        "stim_on_time, …, or the row's start]",
        show_default=False,
    ),
]

RegionOfAll = Annotated[
    str | None,
    typer.Option(
        "--region-of-all",
        help="Region of all neurons, if the recording does not state it.",
        show_default=False,
    ),
]

RegionOf = Annotated[
    str | None,
    typer.Option(
        "--region-of",
        help="NWB: treatment of units on electrodes in several regions: 'first' uses the region of "
        "the first electrode, 'leave-out' omits them.",
        show_default=False,
    ),
]

Locations = Annotated[
    list[str] | None,
    typer.Option(
        "--location",
        help="NAME=REGION, such as TE=IT: neurons that the recording places in NAME are neurons of "
        "REGION. Can be repeated.",
        show_default=False,
    ),
]

DurationsShown = Annotated[
    str | None,
    typer.Option(
        "--image-ms",
        help="Duration of the stimuli in recordings, in ms: one number, or SET=MS,… for single "
        "stimulus sets; a package's set has the name of its folder. [default: the duration used "
        "in each experiment, or 100 if it is unknown]",
        show_default=False,
    ),
]

Latencies = Annotated[
    str | None,
    typer.Option(
        "--latency",
        help="Delay of a region's neurons relative to its layers, in ms (-260 to 260): "
        "V1=50,IT=10; 'fitted': the latencies in the file given with --region-layer-map. "
        "[default: those in the file; otherwise V1 and V2 50, others 0]",
        show_default=False,
    ),
]

BehaviouralReadout = Annotated[
    str,
    typer.Option(
        "--behavioural-readout",
        help="Readout for tasks other than ImageNet labels: logits, or a layer averaged over space "
        "and 70–170 ms. For other times give, for example, conv10:50-250.",
    ),
]

RegionLayerMap = Annotated[
    str | None,
    typer.Option(
        "--region-layer-map",
        help="'paper' (several layers per region), or a JSON file, region → layer or layers. "
        "[default: one layer per region]",
        show_default=False,
    ),
]

MaxNeuroids = Annotated[
    int | None,
    typer.Option(
        "--max-neuroids",
        help="Reduce the features of each time bin to this number by random projection. "
        "[default: no projection]",
        min=1,
        show_default=False,
    ),
]

Splits = Annotated[int, typer.Option("--splits", help="Number of train/test splits.")]

Stratify = Annotated[
    str | None,
    typer.Option(
        "--stratify",
        help="Coordinate of the presentations whose values are balanced between training and "
        "test stimuli, or 'none'. [default: object_name; none with --group]",
        show_default=False,
    ),
]

Group = Annotated[
    str | None,
    typer.Option(
        "--group",
        help="Coordinate of the presentations: stimuli with the same value stay together on "
        "one side of a split.",
        show_default=False,
    ),
]

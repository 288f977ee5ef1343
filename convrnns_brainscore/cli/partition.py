"""The command that partitions variance between two sets of features."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from convrnns_brainscore.cli.groups import (
    FitOptions,
    LesionOptions,
    RecordingOptions,
    StimulusOptions,
    WeightOptions,
    grouped,
)
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.errors import ConvRNNError


@grouped
def partition(
    recording: Annotated[str, typer.Argument(help="A recording, as for fit.")],
    first: Annotated[
        str,
        typer.Option(
            "--first",
            help="The first set of features: NETWORK/LAYER, such as rgc_intermediate/conv10, in "
            "the recording's time bins; NETWORK/LAYER@first for the first step at which the image "
            "is in the layer; or NETWORK/LAYER@START-END for a window in ms.",
        ),
    ],
    second: Annotated[str, typer.Option("--second", help="The second set, as for --first.")],
    stimuli: StimulusOptions,
    parts: RecordingOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    shown: FitOptions,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the results. Rerun the same command to resume.",
        ),
    ] = Path("partition"),
) -> None:
    """Partition explained variance between two sets of features.

    The two sets can be of different models, layers or time windows.

    With --lesion, name the network with the lesion NETWORK-without-feedback or
    NETWORK-without-recurrence.
    """
    from convrnns_brainscore.fits.partition_study import FeatureSet, partition_recording
    from convrnns_brainscore.provenance import digest, seen_digest
    from convrnns_brainscore.report.files import check_question
    from convrnns_brainscore.report.partition_report import (
        PARTITION,
        partition_table,
        write_partition,
    )
    from convrnns_brainscore.report.tables import wide_console
    from convrnns_brainscore.streams import CLIPS

    sets = FeatureSet.parse(first), FeatureSet.parse(second)
    names = list(dict.fromkeys(each.network.split("-without-")[0] for each in sets))
    networks = lesion.beside_whole(names, weights)
    lesioned = f"-without-{lesion.lesion}"
    if lesion.lesion and not any(each.network.endswith(lesioned) for each in sets):
        raise ConvRNNError(
            f"--lesion {lesion.lesion}: neither set uses the lesioned network: name it "
            f"NETWORK{lesioned}."
        )
    files = stimuli.read()
    measured = parts.read(recording, shown.duration_given or CLIPS in files)
    prepared = shown.prepare(measured, files, parts, needed=1, latencies=[0])
    question = {
        "first set": str(sets[0]),
        "second set": str(sets[1]),
        "recording": prepared.recording.sha256,
        "weights": weights.label,
        "lesion": lesion.label,
        "images": seen_digest(prepared.stimuli),
        "splits": digest([split.test.tolist() for split in prepared.splits]),
        **prepared.presentation.describe(),
    }
    check_question(out / PARTITION, question)
    for note in prepared.notes:
        say(as_options(note), err=True)
    weights.start()
    work = out / ".partition.partial"
    found = partition_recording(sets, networks, prepared, work, progress=True)
    written = write_partition(found, out, question)
    wide_console().print(partition_table(found))
    say("\n".join(map(str, written)))

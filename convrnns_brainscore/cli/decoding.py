"""The command that decodes labels from layers and from neurons."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from convrnns_brainscore.cli.groups import (
    LesionOptions,
    RecordingOptions,
    StimulusOptions,
    WeightOptions,
    asked_layers,
    grouped,
    models_or_all,
    parse_frames,
    parse_off,
)
from convrnns_brainscore.cli.messages import as_options, say
from convrnns_brainscore.cli.options import (
    Frames,
    FramesPerSecond,
    ImageMs,
    Movie,
    Off,
    StimulusDegrees,
)
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    from convrnns_brainscore.recordings import Recording

NONE = "none"


@grouped
def decode(
    model: Annotated[
        str,
        typer.Argument(
            help="A model, several separated by commas, 'all', or 'none' for the neurons alone."
        ),
    ],
    recording: Annotated[str, typer.Argument(help="A recording, as for fit.")],
    label: Annotated[
        str,
        typer.Option(
            "--label", help="Label to decode: a column of the recording or of the stimuli's table."
        ),
    ],
    parts: RecordingOptions,
    weights: WeightOptions,
    lesion: LesionOptions,
    stimuli: Annotated[
        list[str] | None,
        typer.Option(
            "--stimuli",
            help="The stimuli, as for fit. Not needed for neurons alone.",
            show_default=False,
        ),
    ] = None,
    stimulus_degrees: StimulusDegrees = None,
    movie: Movie = False,
    frames_per_second: FramesPerSecond = None,
    image_ms: ImageMs = None,
    off: Off = None,
    frame: Frames = None,
    layers: Annotated[
        str | None,
        typer.Option(
            "--layers", help="Layers, separated by commas. [default: all]", show_default=False
        ),
    ] = None,
    across: Annotated[
        str,
        typer.Option(
            "--across",
            help="Hold out 'stimuli', or 'repetitions' of the same stimuli (neurons only).",
        ),
    ] = "stimuli",
    group: Annotated[
        str | None,
        typer.Option(
            "--group",
            help="Column of the recording: stimuli with the same value stay in one fold.",
            show_default=False,
        ),
    ] = None,
    units: Annotated[
        int | None,
        typer.Option(
            "--units",
            help="Number of units per decoder. [default: the neurons of the smallest region]",
            show_default=False,
        ),
    ] = None,
    folds: Annotated[int, typer.Option("--folds", help="Number of folds.")] = 10,
    draws: Annotated[
        int,
        typer.Option(
            "--draws",
            help="Number of random draws of units from every layer or region that has more units "
            "than --units.",
        ),
    ] = 5,
    behaviour: Annotated[
        Path | None,
        typer.Option(
            "--behaviour",
            help="Choices of observers: a .csv with columns stimulus_id, choice and, if a trial "
            "offered two classes, distractor.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            "--out",
            file_okay=False,
            help="Folder for the results. Rerun the same command to resume.",
        ),
    ] = Path("decoding"),
) -> None:
    """Decode labels from layers and neurons over time."""
    from convrnns_brainscore.decoding.question import Across, ask
    from convrnns_brainscore.provenance import seen_digest
    from convrnns_brainscore.report.decoding_report import (
        DECODING,
        decoding_table,
        write_decoding,
    )
    from convrnns_brainscore.report.files import check_question

    if across not in list(Across):
        raise ConvRNNError(f"--across {across}: expected stimuli or repetitions.")
    wanted = asked_layers(layers)
    networks = {}
    if model != NONE:
        if stimuli is None:
            raise ConvRNNError("--stimuli is missing: the networks need the images of the stimuli.")
        networks = lesion.beside_whole(models_or_all(model), weights)
    else:
        _check_unused(
            {
                "--layers": layers, "--lesion": lesion.lesion, "--weights": weights.weights,
                "--seed": weights.seed, "--checkpoints": weights.checkpoints, "--frame": frame,
                "--off": off, "--stimulus-degrees": stimulus_degrees, "--movie": movie,
                "--frames-per-second": frames_per_second,
            }
        )  # fmt: skip
    frames, on = parse_frames(frame) if frame else None, None
    measured = parts.read(recording, bool(frames) or image_ms is not None)
    measured = measured.selected(parts.asked, parts.window)
    notes: list[str] = []
    if stimuli is None or not networks:
        measured, note = _shown_for(measured, image_ms)
        notes += [note] if note else []
    else:
        from convrnns_brainscore.fits.prepare import (
            check_times,
            duration_of,
            match_stimuli,
            presentation_until,
        )
        from convrnns_brainscore.streams import CLIPS

        files = StimulusOptions(stimuli, stimulus_degrees, movie, frames_per_second).read()
        check_times(files, image_ms, frames, measured)
        if CLIPS not in files:
            measured, on, note = measured.shown_for(duration_of(frames, image_ms))
            notes += [note] if note else []
    values = _labels(measured, label, stimuli or [])
    question = ask(
        measured, label, values, across=across, group=group, units=units, folds=folds, draws=draws
    )
    matched = presentation = None
    if networks:
        matched = match_stimuli(question.recording.stimuli, files, notes)
        latest = max(end for _, end in question.recording.time_bins)
        presentation = presentation_until(latest, on, parse_off(off), frames)
        notes += [presentation.note] if presentation.note else []
        notes += presentation.mask_notes(matched["degrees"])
    observers = None
    if behaviour is not None:
        from convrnns_brainscore.decoding.behaviour import behaviour_of
        from convrnns_brainscore.tables import read_table

        observers, left_out = behaviour_of(
            read_table(behaviour, ["stimulus_id", "choice"], ["distractor"]),
            question.recording.stimuli["stimulus_id"].astype(str).tolist(),
            question.labels,
            question.classes,
        )
        notes += left_out
    question.notes.extend(notes)
    asked: dict[str, str | int] = {
        "recording": measured.sha256,
        "models": model,
        "--label": label,
        "--across": across,
        "--group": str(group),
        "--units": str(units),
        "--folds": folds,
        "--draws": draws,
    }
    if matched is not None and presentation is not None:
        asked |= presentation.describe()
        asked |= {
            "weights": weights.label,
            "--layers": str(layers),
            "lesion": lesion.label,
            "images": seen_digest(matched),
        }
    check_question(out / DECODING, asked)
    for note in question.notes:
        say(as_options(note), err=True)
    if networks:
        weights.start()

    from convrnns_brainscore.decoding.study import decode as run
    from convrnns_brainscore.report.tables import wide_console

    found = run(networks, question, out, matched, presentation, wanted, observers, progress=True)
    written = write_decoding(found, out, asked)
    wide_console().print(decoding_table(found))
    say("\n".join(map(str, written)))


def _check_unused(given: Mapping[str, Any]) -> None:
    """Refuse options of networks where there are none."""
    for option, value in given.items():
        if value:
            raise ConvRNNError(f"{option} applies only to networks: name a model, or omit it.")


def _shown_for(recording: Recording, image_ms: float | None) -> tuple[Recording, str]:
    """The presentations that are decoded where no network is shown the images."""
    from convrnns_brainscore.presentation import has_mixed_durations

    if image_ms is not None:
        recording, _, note = recording.shown_for(image_ms)
        return recording, note
    durations = recording.image_on_ms
    if durations is None or not has_mixed_durations(durations):
        return recording, ""
    return recording, (
        "images were on for several durations, which are decoded together (`image_ms=…` selects "
        "one)"
    )


def _labels(recording: Recording, label: str, sources: list[str]) -> list[str] | None:
    """The label of each stimulus by the tables of stimuli, where the recording has none.

    Raises
    ------
    ConvRNNError
        The tables, or a table and the recording, state different labels of a stimulus.
    """
    from convrnns_brainscore.coordinates import as_ids
    from convrnns_brainscore.tables import composed, is_table, read_table

    known: dict[str, str] = {}
    for source in sources:
        if not is_table(Path(source)):
            continue
        table = read_table(Path(source), ["stimulus_id"], [label])
        if label not in table:
            continue
        for name, value in zip(map(composed, table["stimulus_id"]), table[label], strict=True):
            if known.setdefault(name, value) != value:
                raise ConvRNNError(
                    f"--stimuli {source}: stimulus {name} has the {label} {known[name]} and "
                    f"{value}: correct one of them."
                )
    if not known:
        return None
    names = [composed(each) for each in recording.stimuli["stimulus_id"].astype(str)]
    if label not in recording.stimuli:
        return [known.get(name, "") for name in names]
    recorded = as_ids(recording.stimuli[label].to_numpy())
    for name, value in zip(names, recorded, strict=True):
        if name in known and not _same(known[name], value):
            raise ConvRNNError(
                f"stimulus {name} has the {label} {known[name]} in the table of stimuli, and "
                f"{value} in the recording: correct one of them, or give the column another name."
            )
    return None


def _same(one: str, other: str) -> bool:
    """Whether two labels are the same, as a table and a recording may write it."""
    from convrnns_brainscore.coordinates import BLANK

    one, other = one.strip(), other.strip()
    if {one, other} <= {*BLANK}:
        return True
    try:
        return float(one) == float(other)
    except ValueError:
        return one.casefold() == other.casefold()

"""Options that belong together, and what they mean: weights, lesions, presentations, recordings.

A command that takes a group as a parameter has all of its options (`grouped`). Each group imports
what it needs when it is used, so that ``--help`` answers at once.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Sequence
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import partial, wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from convrnns_brainscore.choices import BackendName, DistanceName, PrecisionName, PresentationName
from convrnns_brainscore.cli import options
from convrnns_brainscore.cli.messages import said_if_slow
from convrnns_brainscore.errors import ConvRNNError

if TYPE_CHECKING:
    import pandas as pd

    from convrnns_brainscore.convrnn import ConvRNN
    from convrnns_brainscore.fits.prepare import Prepared
    from convrnns_brainscore.fits.reference import Reference
    from convrnns_brainscore.networks.backend import Backend
    from convrnns_brainscore.networks.lesions import Lesion
    from convrnns_brainscore.presentation import Presentation
    from convrnns_brainscore.recordings import Recording

Command = Callable[..., None]


def grouped(command: Command) -> Command:
    """A command with the options of its groups in the place of each parameter that is a group."""
    groups: dict[str, Any] = {}
    parameters: list[inspect.Parameter] = []
    for parameter in inspect.signature(command, eval_str=True).parameters.values():
        if not is_dataclass(parameter.annotation):
            parameters.append(parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY))
            continue
        groups[parameter.name] = parameter.annotation
        hints = get_type_hints(parameter.annotation, include_extras=True)
        for field in fields(parameter.annotation):
            required = field.default is MISSING
            default = inspect.Parameter.empty if required else field.default
            parameters.append(
                inspect.Parameter(
                    field.name,
                    inspect.Parameter.KEYWORD_ONLY,
                    default=default,
                    annotation=hints[field.name],
                )
            )

    @wraps(command)
    def with_groups(**given: Any) -> None:
        for name, group in groups.items():
            members = {field.name: given.pop(field.name) for field in fields(group)}
            given[name] = group(**members)
        command(**given)

    with_groups.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    with_groups.__annotations__ = {each.name: each.annotation for each in parameters}
    return with_groups


@dataclass(frozen=True)
class WeightOptions:
    """Where a network's weights come from, and where it is computed."""

    weights: options.Weights = None
    seed: options.Seed = 0
    checkpoints: options.Checkpoints = None
    backend: options.Backend = BackendName.tensorflow
    device: options.Device = None
    precision: options.Precision = PrecisionName.float32

    @property
    def folder(self) -> Path:
        """The folder of the checkpoints."""
        return checkpoints_in(self.checkpoints)

    @property
    def label(self) -> str:
        """The weights in words, so that results of others are not replaced."""
        untrained = f"untrained, seed {self.seed}"
        return untrained if self.weights is not None else str(self.folder.resolve())

    def check(self, model: str) -> None:
        """Raise where ``model`` has no weights."""
        self.check_choice()
        if self.weights is None:
            checkpoint_of(self.folder, model, self.backend)

    def check_choice(self) -> None:
        """Raise where the options contradict each other."""
        if self.weights not in (None, "random"):
            raise ConvRNNError(f"--weights {self.weights}: the only choice is 'random'.")
        if self.weights is None and self.seed:
            raise ConvRNNError("--seed applies only to --weights random: give both, or neither.")
        if self.weights is not None and self.checkpoints is not None:
            raise ConvRNNError("give either --checkpoints or --weights random, not both.")

    def network(self, model: str, lesion: Lesion | None = None) -> ConvRNN:
        """The network with its checkpoint, or with random weights."""
        self.check(model)
        checkpoint = None if self.weights else checkpoint_of(self.folder, model, self.backend)
        self.start()

        from convrnns_brainscore.convrnn import load_network

        load = partial(
            load_network,
            model,
            lesion=lesion,
            backend=self.backend,
            device=self.device,
            precision=self.precision,
        )
        if checkpoint is None:
            return load(weights="random", seed=self.seed)
        return load(checkpoint=checkpoint)

    def start(self) -> Backend:
        """Start the backend, without its notes."""
        return start_quietly(self.backend, self.device, self.precision)


@dataclass(frozen=True)
class LesionOptions:
    """What is taken out of a network."""

    lesion: options.LesionKind = None
    lesion_layers: options.LesionLayers = None
    lesion_from: options.LesionFrom = None

    @property
    def label(self) -> str:
        """The lesion in words, so that results of others are not replaced."""
        return f"{self.lesion} of {self.lesion_layers} from {self.lesion_from}"

    def of(self, model: str) -> Lesion | None:
        """The lesion asked for, if the model has what it takes away."""
        from convrnns_brainscore.networks.lesions import Lesion, lesion_of
        from convrnns_brainscore.zoo import find_model

        if self.lesion is None:
            if self.lesion_layers is not None or self.lesion_from is not None:
                raise ConvRNNError("--lesion-layers and --lesion-from need --lesion.")
            return None
        layers = None if self.lesion_layers is None else split_names(self.lesion_layers)
        return lesion_of(find_model(model), Lesion(self.lesion, layers, self.lesion_from or 0))

    def beside_whole(
        self, names: list[str], weights: WeightOptions
    ) -> dict[str, Callable[[], ConvRNN]]:
        """Name → what loads the network; beside each whole one, with which it is compared, the same
        with the lesion asked for."""
        networks: dict[str, Callable[[], ConvRNN]] = {}
        for name in names:
            weights.check(name)
            networks[name] = partial(weights.network, name)
            lesion = self.of(name)
            if lesion is not None:
                networks[f"{name}-without-{lesion.kind}"] = partial(weights.network, name, lesion)
        return networks


@dataclass(frozen=True)
class TimeOptions:
    """What differs from a named presentation."""

    times: options.Times = None
    image_off: options.ImageOff = None
    off: options.Off = None
    frames: options.Frames = None

    @property
    def given(self) -> bool:
        """Whether anything differs."""
        differing = (self.times, self.image_off, self.off, self.frames)
        return any(each is not None for each in differing)

    def presentation(
        self, model: str, name: PresentationName, stimuli: pd.DataFrame | None = None
    ) -> Presentation:
        """The named presentation, with what the user asked to be different; or that of stimuli
        that have times of their own."""
        from convrnns_brainscore.presentation import Presentation
        from convrnns_brainscore.streams import CLIPS, steps_of

        times, image_off = self.times, self.image_off
        if stimuli is not None and CLIPS in stimuli:
            if name is not PresentationName.default or self.frames or image_off is not None:
                raise ConvRNNError(
                    "the stimuli state their own times: omit --presentation, --image-off and "
                    "--frame."
                )
            return Presentation.stream(
                steps_of(stimuli[CLIPS]) if times is None else times, parse_off(self.off)
            )
        if self.frames:
            others = (times, image_off, self.off)
            if name is not PresentationName.default or any(each is not None for each in others):
                raise ConvRNNError(
                    "--frame states the whole presentation: omit --presentation, --times, "
                    "--image-off and --off."
                )
            return Presentation.sequence(parse_frames(self.frames))
        if name is PresentationName.constant:
            if times is None:
                raise ConvRNNError("--presentation constant needs --times, the number of steps.")
            if image_off is not None or self.off is not None:
                raise ConvRNNError(
                    "--presentation constant never turns the image off: omit --image-off and --off."
                )
            return Presentation.constant(times)
        neural = name is PresentationName.neural
        base = Presentation.neural() if neural else Presentation.default(model)
        if not self.given:
            return base
        if self.off is not None and image_off is None and base.image_off is None:
            raise ConvRNNError(
                f"--off needs --image-off: {model} was trained with the image always on."
            )
        times = base.times if times is None else times
        if image_off is None and base.image_off is not None:
            image_off = min(base.image_off, max(times, 1))  # a shorter presentation may end before
        if self.off is not None and image_off == times:
            raise ConvRNNError(
                f"--off is not shown: the image is on for all {times} steps. Omit it, or give a "
                "smaller --image-off."
            )
        return Presentation.custom(times, image_off, parse_off(self.off))


@dataclass(frozen=True)
class StimulusOptions:
    """The stimuli of a recording."""

    stimuli: options.Stimuli
    stimulus_degrees: options.StimulusDegrees = None
    movie: options.Movie = False
    frames_per_second: options.FramesPerSecond = None

    def read(self) -> pd.DataFrame:
        """``stimulus_id``, ``filename`` and ``degrees`` of each; ``clips``, of those in time."""
        from convrnns_brainscore.stimuli import read_stimuli

        return read_stimuli(
            self.stimuli,
            self.stimulus_degrees,
            movies=self.movie,
            frames_per_second=self.frames_per_second,
        )[0]


OF_FILES = ("intervals", "stimulus_column", "onset_column", "region_of")
"""Settings of ``recording make`` for files with labels of their own."""


@dataclass(frozen=True)
class RecordingOptions:
    """How a recording is read, and which part of it."""

    regions: options.Regions = None
    window: options.Window = None
    region_of_all: options.RegionOfAll = None
    locations: options.Locations = None

    @property
    def asked(self) -> list[str] | None:
        """The regions asked for; None: all."""
        if self.regions is None:
            return None
        asked = split_names(self.regions)
        if not asked:
            raise ConvRNNError("--regions is empty: name regions, or omit it to read all.")
        return asked

    @property
    def _only_region(self) -> str | None:
        """Where all neurons come from, if the file does not say it: the one region asked for."""
        asked = self.asked
        return asked[0] if asked and len(asked) == 1 else None

    def read(self, source: str, duration_given: bool = False) -> Recording:
        """The recording of a file, a store, or one of Brain-Score's data sets.

        The known duration of a data set is used unless the user has given one.
        """
        from convrnns_brainscore.recording_files import is_labelled, read_recording, split_group

        path, _ = split_group(source)
        if not path.exists() and path.suffix not in (".nc", ".zarr", ".h5", ".nwb"):
            from convrnns_brainscore.brainscore.benchmarks import load_data
            from convrnns_brainscore.brainscore.stimulus_durations import with_duration
            from convrnns_brainscore.recordings import as_recording

            data = load_data(source)
            return as_recording(
                data if duration_given else with_duration(source, data),
                self.region_of_all or self._only_region,
                regions=self.asked,
                locations=named_locations(self.locations),
                window=self.window,
            )
        slow = f"Still reading {source}. If this takes too long for its size, it may be damaged."
        with said_if_slow(slow):
            try:
                return read_recording(
                    source,
                    region=self._only_region,
                    regions=self.asked,
                    region_of_all=self.region_of_all,
                    locations=named_locations(self.locations),
                    window=self.window,
                )
            except ConvRNNError as error:
                asks = any(f"`{name}=" in str(error) for name in OF_FILES)
                if not (is_labelled(path) and asks):
                    raise
                raise ConvRNNError(
                    f"{error} Give this option to `convrnns recording make {source}`, and use the "
                    "file that it writes."
                ) from error

    def reference(
        self,
        sources: list[str],
        distance: DistanceName,
        image_ms: float | None,
        *,
        in_time: bool = False,
    ) -> Reference:
        """The geometry of recordings, or given dissimilarities; several are several subjects."""
        from convrnns_brainscore.fits.reference import pooled

        found = {
            source: self._one_reference(source, distance, image_ms, in_time=in_time)
            for source in sources
        }
        if len(found) < len(sources):
            raise ConvRNNError(
                "a recording is given twice: give each once, since each file is one subject."
            )
        return pooled(found) if len(found) > 1 else found[sources[0]]

    def _one_reference(
        self, source: str, distance: DistanceName, image_ms: float | None, *, in_time: bool
    ) -> Reference:
        from convrnns_brainscore.fits.reference import given_reference, reference_of
        from convrnns_brainscore.recording_files import opened, split_group

        path, _ = split_group(source)
        given = None
        if path.suffix == ".nc" and path.is_file():
            with opened(source) as held:
                given = given_reference(held, path, image_ms)
        if given is None:
            recording = self.read(source, in_time or image_ms is not None)
            recording = recording.selected(self.asked, self.window)
            return reference_of(recording, image_ms, distance=distance, in_time=in_time)
        if self.regions is not None or self.window is not None:
            raise ConvRNNError(
                "--regions and --window apply only to recordings, and not to dissimilarities."
            )
        if distance is not DistanceName.correlation:
            raise ConvRNNError(
                f"--distance {distance} applies only to recordings: {source} holds dissimilarities."
            )
        return given


@dataclass(frozen=True)
class FitOptions:
    """What the networks are shown, and how stimuli are split for training and test."""

    image_ms: options.ImageMs = None
    off: options.Off = None
    frame: options.Frames = None
    splits: options.Splits = 10
    stratify: options.Stratify = None
    group: options.Group = None

    @property
    def duration_given(self) -> bool:
        """Whether the user states how long images are on."""
        return self.image_ms is not None or self.frame is not None

    def prepare(
        self,
        recording: Recording,
        stimuli: pd.DataFrame,
        parts: RecordingOptions,
        needed: int,
        latencies: Sequence[int],
    ) -> Prepared:
        """The recording as it is fitted; ``needed`` and ``latencies`` as of `prepare.prepare`."""
        from convrnns_brainscore.fits.prepare import prepare

        return prepare(
            recording,
            stimuli,
            regions=parts.asked,
            window=parts.window,
            image_ms=self.image_ms,
            off=parse_off(self.off),
            frames=parse_frames(self.frame) if self.frame else None,
            splits=self.splits,
            stratify=self.stratify,
            group=self.group,
            needed=needed,
            latencies=latencies,
        )


def named_locations(locations: list[str] | None) -> dict[str, str]:
    """A recording's names of regions → V1, V2, V4, IT, …, each NAME=REGION."""
    from convrnns_brainscore.regions import region_name

    named: dict[str, str] = {}
    for each in locations or ():
        name, sign, region = each.partition("=")
        if not (name and sign and region.strip()):
            raise ConvRNNError(f"--location {each}: expected NAME=REGION, such as 'TE=IT'.")
        meant = region_name(region)
        if named.setdefault(name, meant) != meant:
            raise ConvRNNError(
                f"--location gives {name} two regions, {named[name]} and {meant}: give one."
            )
    return named


def parse_off(text: str | None) -> Any:
    """One number, R,G,B, or an image file; None: as in training."""
    from convrnns_brainscore.presentation import NAMED

    if text is None or text.lower() in NAMED:
        return NAMED[(text or "off").lower()]
    try:
        values = [float(part) for part in text.split(",")]
    except ValueError:
        return Path(text)
    return values[0] if len(values) == 1 else values


def parse_frames(texts: list[str]) -> list[tuple[Any, float]]:
    """The frames of a sequence, each FRAME:MS."""
    from convrnns_brainscore.presentation import IMAGE

    frames: list[tuple[Any, float]] = []
    for text in texts:
        frame, _, duration = text.rpartition(":")
        try:
            shown = IMAGE if frame.lower() == IMAGE else parse_off(frame)
            frames.append((shown, float(duration)))
        except ValueError:
            frame = ""
        if not frame:
            raise ConvRNNError(f"--frame {text}: expected FRAME:MS, such as image:30.")
    return frames


def split_names(names: str) -> list[str]:
    """Names that are separated by commas, each once."""
    return list(dict.fromkeys(name.strip() for name in names.split(",") if name.strip()))


def asked_layers(layers: str | None) -> list[str] | None:
    """The layers of ``--layers``; None if it is omitted."""
    if layers is None:
        return None
    asked = split_names(layers)
    if not asked:
        raise ConvRNNError("--layers is empty: name layers, or omit it.")
    return asked


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


def models_or_all(models: str) -> list[str]:
    """Models separated by commas, or ``"all"``."""
    if models == "all":
        return model_names(None, True)
    if not split_names(models):
        raise ConvRNNError("name a model, several separated by commas, or 'all'.")
    return model_names([models], False)


def checkpoints_in(checkpoints: Path | None) -> Path:
    """The folder of the checkpoints, named or not."""
    from convrnns_brainscore.checkpoints import checkpoint_folder

    return checkpoint_folder() if checkpoints is None else checkpoints


def checkpoint_of(folder: Path, model: str, backend: str = BackendName.tensorflow) -> Path:
    """The model's checkpoint below ``folder``."""
    from convrnns_brainscore.checkpoints import find_checkpoint, how_to_get

    if folder.suffix == ".safetensors" and folder.is_file():
        return folder
    checkpoint = find_checkpoint(folder, model, prefer_converted=backend == BackendName.torch)
    if checkpoint is None:
        raise ConvRNNError(
            f"no weights for {model}: there is no {folder / model / 'model.ckpt.index'}. "
            f"{how_to_get(model)} Or name the folder of the checkpoints with --checkpoints, or "
            "give --weights random."
        )
    return checkpoint


def start_quietly(
    name: BackendName = BackendName.tensorflow,
    device: str | None = None,
    precision: PrecisionName = PrecisionName.float32,
) -> Backend:
    """Start a backend without TensorFlow's C++ notes about absent GPUs, which would bury what we
    say.

    They are written before TensorFlow's own switch for them takes effect, so the file descriptor is
    closed to them. ``TF_CPP_MIN_LOG_LEVEL=0`` shows them.
    """
    from convrnns_brainscore.networks.backends import open_backend

    if os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3") == "0":
        return open_backend(name, device, precision)
    stderr = os.dup(2)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)
        try:
            return open_backend(name, device, precision)
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)


@dataclass(frozen=True)
class SubjectOptions:
    """What a network is as Brain-Score's subject, beside its weights."""

    image_ms: options.DurationsShown = None
    region_layer_map: options.RegionLayerMap = None
    latency: options.Latencies = None
    max_neuroids: options.MaxNeuroids = None
    behavioural_readout: options.BehaviouralReadout = "logits"

    def settings(self, benchmarks: list[str]) -> dict[str, Any]:
        """As of `brain_model.load_brain_model`."""
        return {
            "image_ms": self._durations(benchmarks),
            "region_layer_map": self.region_layer_map,
            "latency": self.latencies(),
            "max_neuroids": self.max_neuroids,
            "behavioural_readout": self.behavioural_readout,
        }

    def latencies(self) -> str | dict[str, float] | None:
        """Region → ms, 'fitted' or None.

        Raises
        ------
        ConvRNNError
            It is neither.
        """
        from convrnns_brainscore.regions import FITTED, region_latencies

        if self.latency is None:
            return None
        given = FITTED if self.latency == FITTED else _numbers("--latency", self.latency)
        region_latencies(self.region_layer_map, given)
        return given

    def _durations(self, benchmarks: list[str]) -> float | dict[str, float] | None:
        if self.image_ms is None:
            return None
        from convrnns_brainscore.brainscore.benchmarks import stimulus_set_names
        from convrnns_brainscore.brainscore.packages import package_name
        from convrnns_brainscore.brainscore.stimulus_durations import (
            FAMILIES,
            check_image_ms,
            is_named,
        )
        from convrnns_brainscore.errors import unknown

        if "=" not in self.image_ms:
            duration = _number("--image-ms", self.image_ms)
            check_image_ms(duration)
            return duration
        given = _numbers("--image-ms", self.image_ms)
        packages = [package_name(Path(each)) for each in benchmarks if each.endswith(".nc")]
        known = [*packages, *FAMILIES.values(), *FAMILIES, *stimulus_set_names()]
        for name in given:
            if not any(is_named(each, name) for each in known):
                raise unknown("stimulus set in --image-ms", name, known)
        check_image_ms(given)
        return given


def _numbers(option: str, text: str) -> dict[str, float]:
    """``V1=50,IT=10`` → name → number."""
    found = {}
    for part in text.split(","):
        name, equals, number = part.strip().partition("=")
        if not equals or not name:
            raise ConvRNNError(f"{option} {text}: expected NAME=MS, separated by commas.")
        if name in found:
            raise ConvRNNError(f"{option} {text}: {name} is given twice.")
        found[name] = _number(option, number)
    return found


def _number(option: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not abs(number) < float("inf"):
        raise ConvRNNError(f"{option} {text}: expected a number of ms.")
    return number

"""The second part of the demo: Brain-Score's temporal benchmark on a simulated recording."""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from brainscore_vision.benchmark_helpers import PrecomputedFeatures

from convrnns_brainscore.brainscore.activations import identifier_of
from convrnns_brainscore.brainscore.assemblies import in_region, neuroid_assembly, stimulus_set
from convrnns_brainscore.brainscore.packages import neural_benchmark
from convrnns_brainscore.brainscore.projection import random_projection
from convrnns_brainscore.brainscore.scoring import Result, as_record
from convrnns_brainscore.brainscore.simulate import regions_together, simulate_recording
from convrnns_brainscore.brainscore.summary import summarise
from convrnns_brainscore.convrnn import ConvRNN
from convrnns_brainscore.demo.geometry import Responses
from convrnns_brainscore.demo.setting import (
    NEURONS,
    PRESENTATION,
    PROJECTED,
    REGIONS,
    REPETITIONS,
    TRUTH,
    paired_steps,
    region_layer,
)
from convrnns_brainscore.images import VISUAL_DEGREES
from convrnns_brainscore.objects92 import Objects92
from convrnns_brainscore.provenance import describe
from convrnns_brainscore.timing import MS_PER_STEP


def score(
    networks: list[ConvRNN],
    responses: dict[str, Responses],
    objects: Objects92,
    seed: int,
) -> tuple[list[dict[str, Any]], xr.DataArray]:
    """Score each network on a recording simulated from one of them, region by region.

    Returns
    -------
    (list of dict, DataArray)
        The scores' records, and the recording of all regions.
    """
    stimuli = stimulus_set(f"objects92-{TRUTH}", objects.stimuli)
    columns = {name: stimuli[name].to_numpy() for name in stimuli.columns}
    records, recordings = [], {}
    for region in REGIONS:
        features = {}
        bins = [
            (first * MS_PER_STEP, (second + 1) * MS_PER_STEP)
            for first, second in paired_steps(networks, region)
        ]
        for network in networks:
            layer = region_layer(network, region)
            values = responses[network.name][region]
            made_by = describe(network, PRESENTATION)
            shapes = {layer: network.output_shape(layer)}
            if network.name == TRUTH:
                truth = neuroid_assembly(values, made_by, columns, shapes, bins)
            project = random_projection(network.name, PROJECTED)
            few = np.stack(
                [project({layer: values[..., index]})[layer] for index in range(len(bins))], axis=2
            )
            features[network.name] = neuroid_assembly(
                few, made_by, columns, {layer: (PROJECTED,)}, bins
            )
        recording = simulate_recording(
            in_region(truth, region),
            stimuli,
            neurons=NEURONS,
            repetitions=REPETITIONS,
            seed=seed,
        )
        recordings[region] = recording
        benchmark = neural_benchmark(f"simulated-{TRUTH}", recording, "spantime_pls")
        for network in networks:
            subject = PrecomputedFeatures(
                in_region(features[network.name], region), visual_degrees=VISUAL_DEGREES
            )
            scored = benchmark(subject)
            made_by = {**describe(network, PRESENTATION), "max_neuroids": PROJECTED}
            name = f"simulated {region}, {PROJECTED} projected neuroids"
            result = Result(identifier_of(network), name, summarise(scored, bins), made_by, scored)
            records.append(as_record(result))
    return records, regions_together(recordings)

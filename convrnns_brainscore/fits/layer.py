"""Fit one layer, block by block, on this process or a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
import xarray as xr
from rich.console import Console

from convrnns_brainscore.choices import TimeName
from convrnns_brainscore.cluster import Workers
from convrnns_brainscore.fits.blocks import (
    Done,
    Features,
    LearningBlock,
    Setting,
    SharedBlock,
    fit_bin,
    fit_parts,
    fit_shared,
    plan_blocks,
)
from convrnns_brainscore.fits.finished import FinishedBlocks
from convrnns_brainscore.fits.layer_fits import Choices, LayerFits
from convrnns_brainscore.fits.results_file import layer_dataset
from convrnns_brainscore.fits.scratch import LayerBins
from convrnns_brainscore.progress import progress_bar

AnyBlock = TypeVar("AnyBlock")


def fit_layer(
    setting: Setting,
    features: Features,
    bins: LayerBins,
    regions: Sequence[str],
    latencies: Sequence[int],
    *,
    time: TimeName,
    cross_temporal: bool,
    name: str,
    finished: FinishedBlocks,
    workers: Workers,
    console: Console,
) -> xr.Dataset:
    """All fits of one layer, as `results_file.layer_dataset` lays them out.

    Parameters
    ----------
    setting : Setting
        The recording, the method and the resamples.
    features : Features
        Features of the layer.
    bins : LayerBins
        Where the features of each time bin are.
    regions : sequence of str
        Regions that the layer is fitted to.
    latencies : sequence of int
        Shifts to choose among, in ms.
    time : TimeName
        Whether each bin has its own weights.
    cross_temporal : bool
        Fit the features of each bin to the responses of every bin as well.
    name : str
        The layer, in messages.
    finished : FinishedBlocks
        Blocks that an earlier run finished are read there; each block is kept there when it is
        done.
    workers : Workers
        Who fits.
    console : Console
        Where progress is shown.
    """
    prepared = setting.prepared
    count = len(prepared.time_bins)
    fits = LayerFits(setting, regions)
    choosing = {region: prepared.choosing_bins(region) for region in regions}
    choices = Choices(regions, latencies, len(prepared.splits), choosing)
    crossed = np.full((len(regions), len(prepared.splits), count, count), np.nan)
    place = bins.sharing(prepared.time_bins)
    blocks = plan_blocks(
        prepared.time_bins,
        bins,
        regions,
        {(latency, region): choosing[region] for latency in latencies for region in regions},
        fitted=time is TimeName.per_bin,
        crossed=cross_temporal,
    )
    shared = []
    if time is TimeName.shared and place:
        defined = tuple(sorted(index for indices in place.values() for index in indices))
        positions = tuple(bins.position[prepared.time_bins[index]] for index in defined)
        shared = [SharedBlock(region, defined, positions) for region in regions]
    curves = len(regions) if time is TimeName.per_bin and place else 0
    total = len(blocks) + len(shared) + curves
    if before := len(finished):
        console.print(f"Resuming {name}: {before} of {total} parts were fitted before.")

    def each_done(
        function: Callable[[Setting, Features, Any], Done], blocks: Sequence[AnyBlock]
    ) -> Iterator[tuple[AnyBlock, Done]]:
        """What each block found; those that were finished before come first."""
        names = [f"{function.__name__} {index}" for index in range(len(blocks))]
        missing = []
        for block, file in zip(blocks, names, strict=True):
            done = finished.read(file)
            if done is None:
                missing.append(block)
            else:
                bar.advance(task)
                yield block, done
        for block, done in workers.each_done(function, (setting, features), missing):
            finished.keep(names[blocks.index(block)], done)
            bar.advance(task)
            yield block, done

    with progress_bar(console) as bar:
        task = bar.add_task(f"{name}: fitting", total=total)
        for block, done in each_done(fit_bin, blocks):
            for fit in done.fits:
                fits.put(fit)
            for region, medians in done.crossed.items():
                crossed[regions.index(region), :, place[block.position]] = medians
            for region, both in done.chosen.items():
                choices.put(region, block.chosen[region], *both)
        for _, done in each_done(fit_shared, shared):
            fits.put(done.fits[0])
        best = {region: fits.learning.best_bin(region) for region in regions[:curves]}
        parts = [
            LearningBlock(region, index, bins.position[prepared.time_bins[index]])
            for region, index in best.items()
            if index is not None
        ]
        for part, done in each_done(fit_parts, parts):
            fits.learning.put(part.region, part.time_bin, done.learning)
        bar.advance(task, curves - len(parts))
    return layer_dataset(fits, bins, choices, crossed if cross_temporal else None)

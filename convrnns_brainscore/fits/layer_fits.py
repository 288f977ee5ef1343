"""The fits of one layer, put together from the blocks that they are computed in."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits.correlation import nanmean, nanmedian
from convrnns_brainscore.fits.heldout import HeldOut
from convrnns_brainscore.fits.learning import SHARES, training_parts
from convrnns_brainscore.fits.resampling import RESAMPLES

if TYPE_CHECKING:
    from convrnns_brainscore.fits.blocks import RegionFit, Setting


class LayerFits:
    """The fits of one layer, as they are put together."""

    def __init__(self, setting: Setting, regions: Sequence[str]) -> None:
        self.setting = setting
        prepared, populations = setting.prepared, setting.populations
        bins = len(prepared.time_bins)
        self.neurons = np.sort(np.concatenate([prepared.neurons(region) for region in regions]))
        self.result = HeldOut.undefined(len(prepared.splits), len(self.neurons), bins)
        self.notes = np.full((len(self.neurons), bins), "", object)
        self.populations = [(r, subject) for r in regions for subject in populations[r]]
        shape = 2, len(self.populations), RESAMPLES, bins
        self.resampled = np.full(shape, np.nan, np.float32)
        self.learning = Learning(self)
        self.kept = Kept(self) if setting.predictions else None

    def place(self, region: str) -> NDArray[np.intp]:
        """Positions of a region's neurons among those fitted."""
        return np.searchsorted(self.neurons, self.setting.prepared.neurons(region))

    def put(self, fit: RegionFit) -> None:
        """Fill in a region's neurons in some bins."""
        place = self.place(fit.region)
        columns = np.array(fit.bins)
        self.result.put(fit.held_out, place, fit.bins)
        self.notes[place[:, None], columns] = fit.held_out.notes[:, None]
        if self.kept is not None:
            self.kept.put(fit, place, columns)
        rows = [row for row, (region, _) in enumerate(self.populations) if region == fit.region]
        for row, values in zip(rows, np.moveaxis(fit.resampled, 1, 0), strict=True):
            self.resampled[:, row, :, columns] = np.moveaxis(values, 2, 0)


class Kept:
    """Held-out predictions and mappings, where they are kept.

    Attributes
    ----------
    predicted : float32 array [split, test stimulus, neuron, bin]
        Test stimuli in the recording's order; NaN after the last.
    coefficients : float64 array [stimulus, neuron, bin]
    intercept : float64 array [neuron, bin]
        As of `mapping.Coefficients`; NaN where weights are shared over time by too many rows for
        their inner products.
    """

    def __init__(self, fits: LayerFits) -> None:
        prepared = fits.setting.prepared
        self._order = [np.argsort(split.test) for split in prepared.splits]
        tested = max(len(order) for order in self._order)
        size = len(fits.neurons), len(prepared.time_bins)
        self.predicted = np.full((len(self._order), tested, *size), np.nan, np.float32)
        self.coefficients = np.full((len(prepared.stimuli), *size), np.nan)
        self.intercept = np.full(size, np.nan)

    def put(self, fit: RegionFit, place: NDArray[np.intp], columns: NDArray[np.intp]) -> None:
        """Fill in a region's neurons in some bins."""
        for row, (order, predicted) in enumerate(
            zip(self._order, fit.held_out.predicted, strict=True)
        ):
            where = row, np.arange(len(order))[:, None, None], place[:, None], columns
            self.predicted[where] = predicted[order]
        if fit.coefficients is not None:
            rows = fit.coefficients.stimuli.reshape(len(columns), -1, len(place))
            self.coefficients[:, place[:, None], columns] = np.moveaxis(rows, 0, 2)
            self.intercept[place[:, None], columns] = fit.coefficients.intercept[:, None]


class Learning:
    """Learning curves of the regions, each in the bin that the layer predicts best.

    Attributes
    ----------
    bins : dict of str to int
        Region → its bin.
    stimuli : int array [part, split]
        Numbers of training stimuli: of `learning.SHARES`, and all.
    r : float64 array [part, split, neuron]
    prediction_halves : float64 array [part, halving, neuron]
        As of `HeldOut`.
    """

    def __init__(self, fits: LayerFits) -> None:
        self._fits = fits
        whole, parts = fits.result, len(SHARES) + 1
        self.bins: dict[str, int] = {}
        self.stimuli = np.zeros((parts, len(whole.r)), np.intp)
        self.r = np.full((parts, *whole.r.shape[:2]), np.nan)
        self.prediction_halves = np.full((parts, *whole.prediction_halves.shape[:2]), np.nan)
        prepared = fits.setting.prepared
        for row, share in enumerate((*SHARES, 1)):
            parts_of = training_parts(prepared.splits, share, prepared.groups)
            self.stimuli[row] = [len(part.train) for part in parts_of]

    def best_bin(self, region: str) -> int | None:
        """The bin with a region's highest r; None: no bin has one."""
        place = self._fits.place(region)
        r = nanmean(nanmedian(self._fits.result.r[:, place], axis=1))
        return int(np.nanargmax(r)) if np.isfinite(r).any() else None

    def put(self, region: str, time_bin: int, parts: Sequence[HeldOut | None]) -> None:
        """Fill in a region: its fits to parts, and that to all, which is there already."""
        self.bins[region] = time_bin
        place, whole = self._fits.place(region), self._fits.result
        self.r[-1, :, place] = whole.r[:, place, time_bin].T
        self.prediction_halves[-1, :, place] = whole.prediction_halves[:, place, time_bin].T
        for row, fitted in enumerate(parts):
            if fitted is not None:
                self.r[row, :, place] = fitted.r[:, :, 0].T
                self.prediction_halves[row, :, place] = fitted.prediction_halves[:, :, 0].T


class Choices:
    """What layer and latency of each region are chosen by, as it is filled in.

    Attributes
    ----------
    validated, tested : float array [region, latency, split, choosing bin]
        As `selection.validate` gives them.
    bins : int array [region, choosing bin]
        Positions of time bins; −1 where a region has fewer.
    """

    def __init__(
        self,
        regions: Sequence[str],
        latencies: Sequence[int],
        splits: int,
        bins: Mapping[str, list[int]],
    ) -> None:
        self.regions, self.latencies = list(regions), list(latencies)
        most = max(len(each) for each in bins.values())
        self.bins = np.full((len(regions), most), -1)
        for row, region in enumerate(regions):
            self.bins[row, : len(bins[region])] = bins[region]
        shape = (len(regions), len(latencies), splits, self.bins.shape[1])
        self.validated, self.tested = np.full(shape, np.nan), np.full(shape, np.nan)

    def put(
        self,
        region: str,
        pairs: Sequence[tuple[int, int]],
        validated: NDArray[np.float64],
        tested: NDArray[np.float64],
    ) -> None:
        """Fill in what `selection.validate` gives of latencies and bins, [split, pair] each."""
        row = self.regions.index(region)
        for column, (latency, index) in enumerate(pairs):
            where = row, self.latencies.index(latency), slice(None), self._place(row, index)
            self.validated[where] = validated[:, column]
            self.tested[where] = tested[:, column]

    def _place(self, row: int, time_bin: int) -> int:
        return int(np.flatnonzero(self.bins[row] == time_bin)[0])

"""Learning curves: predictivity as a function of the number of training stimuli.

A layer is fitted to nested parts of each split's training stimuli and tested on the split's own
test stimuli. Even a layer that the neurons read directly does not reach a noise-corrected r of 1 at
the sizes of most recordings, so the score should be reported with its learning curve.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from convrnns_brainscore.fits.splits import SEED, Split

SHARES = (0.25, 0.5, 0.75)
"""Parts of the training stimuli that are fitted beside all of them."""

MORE = 2
"""How many times as many stimuli the curve is extrapolated to."""

EXPONENTS = np.linspace(0.1, 2, 39)
"""Exponents of the power law that are tried."""


def training_parts(
    splits: Sequence[Split], share: float, groups: Sequence[str] | None = None
) -> list[Split]:
    """The splits with a part of their training stimuli. Smaller parts lie within larger ones.

    Parameters
    ----------
    splits : sequence of Split
    share : float
        Between 0 and 1.
    groups : sequence of str, optional
        Group of each stimulus; a part consists of whole groups.

    Examples
    --------
    >>> split = Split(np.arange(8), np.arange(8, 10))
    >>> half, most = (training_parts([split], share)[0].train for share in (0.5, 0.75))
    >>> len(half), len(most), set(half) < set(most)
    (4, 6, True)
    """
    found = []
    for index, split in enumerate(splits):
        members = split.train if groups is None else np.asarray(groups)[split.train]
        codes = pd.factorize(members)[0]
        order = np.random.default_rng((SEED, index)).permutation(codes.max() + 1)
        rank = np.empty_like(order)
        rank[order] = np.arange(len(order))
        ranked = np.argsort(rank[codes], kind="stable")
        wanted = round(share * len(ranked))
        taken = rank[codes] <= rank[codes][ranked[wanted - 1]]
        found.append(Split(split.train[taken], split.test))
    return found


FALL = 0.02
"""A smaller fall from the fewest to the most stimuli is taken for noise."""


def extrapolated(sizes: ArrayLike, scores: ArrayLike, size: float, highest: float = 1) -> float:
    """The score that a learning curve leads to at ``size``.

    By an inverse power law, ``score = a - b * size**-c`` (Cortes et al. 1994, NeurIPS 6; Figueroa
    et al. 2012, BMC Med. Inform. Decis. Mak. 12:8), fitted by least squares with ``b >= 0`` and
    ``a <= highest``.

    Parameters
    ----------
    sizes, scores : array-like [size]
        Numbers of stimuli, and the scores with them; NaN where a score is undefined.
    size : float
        The number of stimuli asked about.
    highest : float, default 1
        The highest score that is possible; a score above it raises it.

    Returns
    -------
    float
        NaN where fewer than three scores are defined, and where they fall by more than `FALL` as
        stimuli are added: the score with more stimuli is then not determined.

    Examples
    --------
    >>> sizes = np.array([100, 200, 300, 400])
    >>> round(extrapolated(sizes, 0.8 - 3 * sizes**-0.5, 800), 2)
    0.69
    """
    all_sizes, all_scores = np.asarray(sizes, float), np.asarray(scores, float)
    known = np.isfinite(all_scores)
    if known.sum() < 3:
        return np.nan
    n, score = all_sizes[known], all_scores[known]
    rise = np.polyfit(np.log(n), score, 1)[0] * np.log(n[-1] / n[0])
    if rise < -FALL:
        return np.nan
    highest = max(highest, float(score.max()))
    best = np.inf, np.nan
    for exponent in EXPONENTS:
        x = (n / size) ** -exponent  # 1 at the size asked about
        centred = x - x.mean()
        fall = max(-float(centred @ score) / float(centred @ centred), 0.0)
        limit = float(score.mean()) + fall * float(x.mean())
        if limit > highest:  # on the bound, one coefficient is left
            limit = highest
            fall = max(float(x @ (limit - score)) / float(x @ x), 0.0)
        error = float(((limit - fall * x - score) ** 2).sum())
        best = min(best, (error, limit - fall))
    return float(best[1])

"""One linear decoder for layers and neurons alike: held-out class probabilities.

A multinomial logistic regression on standardised responses, with the weight decay of Brain-Score's
decoders of object solution times (0.463 of the mean loss; Kar et al. 2019), and classes that count
alike however many stimuli they have.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from convrnns_brainscore.errors import ConvRNNError
from convrnns_brainscore.fits.splits import Split

WEIGHT_DECAY = 0.463
SEED = 1
DIVISIONS = 20
"""Random divisions of groups that are tried for a number of folds."""

Array = NDArray[np.float64]


def make_folds(
    labels: NDArray[np.intp], count: int, groups: Sequence[str] | None = None
) -> list[Split]:
    """Folds of which each holds its share of every class; each row is tested once.

    Parameters
    ----------
    labels : int array [row]
        Class of each row.
    count : int
        Number of folds; fewer where a class has fewer rows.
    groups : sequence of str, optional
        Rows of one group are in one fold.

    Raises
    ------
    ConvRNNError
        Fewer than two folds; groups that cannot be divided so that every class is trained on.
    """
    if count < 2:
        raise ConvRNNError(f"`folds={count}`: expected 2 or more.")
    count = min(count, int(np.bincount(labels).min()))
    if groups is None:
        made = StratifiedKFold(count, shuffle=True, random_state=SEED).split(labels, labels)
        return [Split(train, test) for train, test in made]
    names = np.asarray(groups)
    each = min(len(set(names[labels == one])) for one in np.unique(labels))
    if each < 2:
        raise ConvRNNError(
            "a class has all its stimuli in one group: it cannot be trained on some groups and "
            "tested on others. Omit `group=…`, or choose another label."
        )
    classes = set(labels.tolist())
    for fewer in range(min(count, each), 1, -1):  # a fold may take all that there is of a class
        for seed in range(SEED, SEED + DIVISIONS):
            grouped = StratifiedGroupKFold(fewer, shuffle=True, random_state=seed)
            made = [Split(train, test) for train, test in grouped.split(labels, labels, names)]
            if all(len(one.test) and classes <= set(labels[one.train].tolist()) for one in made):
                return made
    raise ConvRNNError(
        "the groups cannot be divided into folds that train on every class. Omit `group=…`, or "
        "choose another label."
    )


def decoder(rows: int) -> Pipeline:
    """The decoder for so many training rows."""
    return make_pipeline(
        StandardScaler(),
        LogisticRegression(C=1 / (WEIGHT_DECAY * rows), class_weight="balanced", max_iter=1000),
    )


def held_out(
    responses: Array, labels: NDArray[np.intp], folds: Sequence[Split], others: Sequence[Array] = ()
) -> Array:
    """The class probabilities of each row, from decoders that were trained on other rows.

    Parameters
    ----------
    responses : float64 array [row, unit]
        Of one time bin.
    labels : int array [row]
        Class of each row: 0 … classes − 1.
    folds : list of Split
        Of `make_folds`.
    others : sequence of float64 array [row, unit], optional
        Responses in other bins, to which the same decoders are applied.

    Returns
    -------
    float64 array [1 + others, row, class]
    """
    classes = int(labels.max()) + 1
    tested = [responses, *others]
    found = np.full((len(tested), len(labels), classes), np.nan)
    with threadpool_limits(1):  # threads cost ten times as much as such small products
        for fold in folds:
            fitted = decoder(len(fold.train)).fit(responses[fold.train], labels[fold.train])
            for index, each in enumerate(tested):
                found[index][fold.test[:, None], fitted.classes_] = fitted.predict_proba(
                    each[fold.test]
                )
    return found

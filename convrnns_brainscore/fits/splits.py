"""Repeated splits of stimuli into training and test, shared by layers, bins and models.

By scikit-learn. With strata and 10 splits they are those of Brain-Score's cross-validation
(`StratifiedShuffleSplit`, a tenth of the stimuli for testing, random state 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.model_selection import (
    GroupShuffleSplit,
    ShuffleSplit,
    StratifiedGroupKFold,
    StratifiedShuffleSplit,
)

from convrnns_brainscore.errors import ConvRNNError

TEST_SHARE = 0.1
SEED = 1
FEWEST = 3
"""A correlation over fewer test stimuli says nothing."""


@dataclass(frozen=True)
class Split:
    """Positions of training and of test stimuli."""

    train: NDArray[np.intp]
    test: NDArray[np.intp]

    def repeated(self, bins: int, stimuli: int) -> Split:
        """The same split of rows that are the stimuli of one bin after another."""
        return Split(
            *(
                (np.arange(bins)[:, None] * stimuli + each).ravel()
                for each in (self.train, self.test)
            )
        )

    def among(self, present: NDArray[np.bool_]) -> Split:
        """The same split without the stimuli that are not ``present``."""
        return Split(self.train[present[self.train]], self.test[present[self.test]])


def make_splits(
    stimuli: int,
    count: int = 10,
    strata: Sequence[str] | None = None,
    groups: Sequence[str] | None = None,
    *,
    needed: int = 0,
) -> tuple[list[Split], str]:
    """Splits, and how they were made in words.

    Parameters
    ----------
    stimuli : int
        Their number. A stimulus is one row, however often it was shown.
    count : int, default 10
        Number of splits.
    strata : sequence of str, optional
        Strata of each stimulus; every stratum has its share in training and test.
    groups : sequence of str, optional
        Groups of each stimulus; a group stands on one side of a split only.
    needed : int, default 0
        Training stimuli must be more than this.

    Raises
    ------
    ConvRNNError
        Too few stimuli, strata or groups.
    """
    if count < 2:
        raise ConvRNNError(f"`splits={count}`: expected 2 or more.")
    test = int(np.ceil(TEST_SHARE * stimuli))
    if test < FEWEST:
        least = int((FEWEST - 1) / TEST_SHARE) + 1
        raise ConvRNNError(
            f"{stimuli} stimuli leave {test} for testing, too few for a correlation: at least "
            f"{least} stimuli are needed."
        )
    rows = np.zeros(stimuli)
    if strata is not None:
        _check_strata(pd.Series(strata), stimuli, test)
    if groups is not None:
        _check_groups(pd.Series(groups), count if strata is not None else 4)
    if strata is not None and groups is not None:
        chosen = StratifiedGroupKFold(count, shuffle=True, random_state=SEED)
        how = f"{count} folds that keep groups together and strata balanced (StratifiedGroupKFold)"
    elif groups is not None:
        chosen = GroupShuffleSplit(count, test_size=TEST_SHARE, random_state=SEED)
        how = f"{count} random splits of groups, a tenth of them for testing (GroupShuffleSplit)"
    elif strata is not None:
        chosen = StratifiedShuffleSplit(count, train_size=1 - TEST_SHARE, random_state=SEED)
        how = f"{count} random splits, stratified, a tenth for testing (StratifiedShuffleSplit)"
    else:
        chosen = ShuffleSplit(count, train_size=1 - TEST_SHARE, random_state=SEED)
        how = f"{count} random splits, a tenth for testing (ShuffleSplit)"
    splits = [Split(*each) for each in chosen.split(rows, strata, groups)]
    fewest = min(len(split.train) for split in splits)
    if fewest <= needed:
        raise ConvRNNError(
            f"{stimuli} stimuli leave {fewest} for training, too few for {needed} components. "
            f"Give `components={max(1, fewest - 1)}` or fewer, or `method='ridge'`."
        )
    least_tested = min(len(split.test) for split in splits)
    if least_tested < FEWEST:
        raise ConvRNNError(
            f"a split has {least_tested} test stimuli, too few for a correlation. Make "
            "the groups smaller, or use fewer splits."
        )
    return splits, how


def _check_strata(strata: pd.Series, stimuli: int, test: int) -> None:
    counts = strata.value_counts()
    way_out = "Give `stratify='none'`, or more stimuli."
    few = counts[counts < 2]
    if len(few):
        raise ConvRNNError(
            f"cannot stratify: {_named(few)}; each stratum needs at least 2 stimuli, one for "
            f"training and one for testing. {way_out}"
        )
    if test < len(counts):
        least = int((len(counts) - 1) / TEST_SHARE) + 1
        raise ConvRNNError(
            f"cannot stratify: {test} test stimuli of {stimuli} cannot hold one of each of "
            f"{len(counts)} strata ({_named(counts)}); {least} stimuli are needed at least. "
            f"{way_out}"
        )


def rarely_tested(splits: Sequence[Split], strata: Sequence[str]) -> dict[str, int]:
    """Stratum → the number of splits that do not test it, where there are any."""
    names = np.asarray(strata)
    missing = {
        str(name): sum(name not in names[split.test] for split in splits)
        for name in pd.unique(names)
    }
    return {name: count for name, count in missing.items() if count}


def _check_groups(groups: pd.Series, least: int) -> None:
    if groups.nunique() < least:
        raise ConvRNNError(
            f"{groups.nunique()} groups cannot be split: at least {least} are needed. Use smaller "
            "groups, or omit `group=…`."
        )


def _named(counts: pd.Series) -> str:
    shown = [f"{name} ({count})" for name, count in counts.head(10).items()]
    return ", ".join(shown) + (", …" if len(counts) > 10 else "")

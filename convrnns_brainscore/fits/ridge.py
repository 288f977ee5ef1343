"""Ridge regression by scikit-learn, on coordinates that stand for the features.

The penalty is chosen for each neuron by leave-one-out over the training stimuli: scikit-learn's
``RidgeCV(alpha_per_target=True)``. It is neither "generalised" cross-validation nor himalaya's
``RidgeCV``, which is k-fold and has no intercept.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import Ridge, RidgeCV

PENALTIES = np.logspace(-2, 9, 23)
"""The grid of penalties, in scikit-learn's units (squared features, summed): 0.01 … 10⁹, two a
decade."""

Array = NDArray[np.float64]


def ridge(
    train: Array, responses: Array, test: Array, penalty: float | None = None
) -> tuple[Array, Array]:
    """Predictions [test stimulus, neuron], and each neuron's penalty.

    Parameters
    ----------
    train, test : float64 array
        [stimulus, coordinate] (`gram.coordinates`), or features.
    responses : float64 array [train stimulus, neuron]
    penalty : float, optional
        Penalty of all neurons; None: for each neuron the one among `PENALTIES` with the least error
        in leave-one-out.
    """
    if penalty is not None:
        model = Ridge(alpha=penalty).fit(train, responses)
        return model.predict(test), np.full(responses.shape[1], float(penalty))
    model = RidgeCV(alphas=PENALTIES, alpha_per_target=True).fit(train, responses)
    return model.predict(test), np.broadcast_to(model.alpha_, responses.shape[1])

"""The mapping from features to responses, fitted to all stimuli, in terms of the stimuli.

A linear prediction of a neuron is ``(f − M) · W + intercept`` with the features f of an image,
their mean M over the recording's stimuli, and weights ``W = Σᵢ fᵢ cᵢ``: a sum over the stimuli i.
The coefficients c are few whatever the number of features, so that results can hold them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from convrnns_brainscore.fits.gram import split_gram
from convrnns_brainscore.fits.heldout import Method, fitted_together
from convrnns_brainscore.fits.pls import kernel_pls
from convrnns_brainscore.fits.ridge import KernelRidge
from convrnns_brainscore.fits.splits import Split

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Coefficients:
    """Coefficients of stimuli.

    Attributes
    ----------
    stimuli : float64 array [stimulus, neuron]
        c, which sum to 0 over stimuli; 0 where a neuron misses a stimulus. NaN for a neuron that
        cannot be fitted.
    intercept : float64 array [neuron]
        The prediction for an image with the mean features of all stimuli.
    """

    stimuli: Array
    intercept: Array


def fit_to_all(method: Method, gram: Array, responses: Array) -> Coefficients:
    """Fit responses to all stimuli.

    Parameters
    ----------
    method : Method
        How responses are predicted from features.
    gram : float64 array [stimulus, stimulus]
        Inner products of the centred features (`gram.gram_matrix`).
    responses : float64 array [stimulus, neuron]
        NaN where nothing was observed.
    """
    count, neurons = responses.shape
    found = Coefficients(np.full((count, neurons), np.nan), np.full(neurons, np.nan))
    every = np.arange(count)
    groups, _ = fitted_together(responses, [Split(every, every)], method.needed)
    for group in groups:
        present = np.flatnonzero(group.present)
        inner, _ = split_gram(gram, present, present)
        target = responses[np.ix_(present, group.neurons)]
        if method.name == "pls":
            pls = kernel_pls(inner, target, method.components)
            dual = pls.dual @ pls.loadings
        else:
            dual = KernelRidge.of(inner, inner).dual(target, method.penalty)[0]
        whole = np.zeros((count, len(group.neurons)))
        # The features are centred, so that a constant makes no difference to the weights.
        whole[present] = dual - dual.mean(axis=0)
        found.stimuli[:, group.neurons] = whole
        shift = (gram[present] @ whole).mean(axis=0)
        found.intercept[group.neurons] = target.mean(axis=0) - shift
    return found

"""From the readout over time to 1000 logits (Nayebi et al. 2022, "decoders").

A decoder takes the readout's outputs [batch, step, class], from the first that the published zoo
reports on, and gives logits [batch, class].
"""

from __future__ import annotations

from convrnns_brainscore.networks.cells import Variable
from convrnns_brainscore.networks.operations import (
    Tensor,
    argmax,
    at_step,
    first_true,
    largest,
    softmax,
)
from convrnns_brainscore.zoo import Model


class Last:
    """The logits of the last step."""

    def __call__(self, logits: Tensor) -> Tensor:
        return logits[:, -1]


class MaxConfidence:
    """The logits of the first step at which the largest probability, softmax(β·logits), peaks."""

    def __init__(self, variable: Variable) -> None:
        self.beta = variable("normalize/softmax_beta", (1,))
        # In the checkpoints, and used by nothing.
        variable("probs/softmax_beta", (1,))
        variable("alpha/softmax_beta", (1,))

    def __call__(self, logits: Tensor) -> Tensor:
        return at_step(logits, self.step(self.confidence(logits)))

    def confidence(self, logits: Tensor) -> Tensor:
        """The largest probability at each step, [batch, step]."""
        return largest(softmax(self.beta * logits))

    def step(self, confidence: Tensor) -> Tensor:
        """The step to read out, [batch]."""
        return argmax(confidence)


class Threshold(MaxConfidence):
    """The logits of the first step at which the largest probability reaches the threshold, or,
    where none does, of the step at which it peaks."""

    def __init__(self, variable: Variable) -> None:
        super().__init__(variable)
        self.threshold = variable("decoder_threshold", (1,))

    def step(self, confidence: Tensor) -> Tensor:
        return first_true(confidence >= self.threshold, otherwise=super().step(confidence))


def build_decoder(model: Model, variable: Variable) -> Last | MaxConfidence | Threshold:
    """The decoder of ``model``; ``variable`` as in `build.build`."""
    if model.decoder == "last":
        return Last()
    return {"tmaxconf": MaxConfidence, "dthresh": Threshold}[model.decoder](variable)

"""From the readout over time to 1000 logits (Nayebi et al. 2022, "decoders").

A decoder takes the readout's outputs [batch, step, class], from the first that the published zoo
reports on, and gives logits [batch, class].
"""

from __future__ import annotations

from convrnns_brainscore.networks.backend import Tensor, ops, softmax
from convrnns_brainscore.networks.cells import Variable
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
        return _at_step(logits, self.step(self.confidence(logits)))

    def confidence(self, logits: Tensor) -> Tensor:
        """The largest probability at each step, [batch, step]."""
        return ops.max(softmax(self.beta * logits, axis=-1), axis=-1)

    def step(self, confidence: Tensor) -> Tensor:
        """The step to read out, [batch]."""
        return ops.argmax(confidence, axis=1)


class Threshold(MaxConfidence):
    """The logits of the first step at which the largest probability reaches the threshold, or,
    where none does, of the step at which it peaks."""

    def __init__(self, variable: Variable) -> None:
        super().__init__(variable)
        self.threshold = variable("decoder_threshold", (1,))

    def step(self, confidence: Tensor) -> Tensor:
        peak = super().step(confidence)[:, None]
        steps = ops.arange(confidence.shape[1], dtype=peak.dtype)[None]
        return ops.min(ops.where(confidence >= self.threshold, steps, peak), axis=1)


def build_decoder(model: Model, variable: Variable) -> Last | MaxConfidence | Threshold:
    """The decoder of ``model``; ``variable`` as in `build.build`."""
    if model.decoder == "last":
        return Last()
    return {"tmaxconf": MaxConfidence, "dthresh": Threshold}[model.decoder](variable)


def _at_step(logits: Tensor, step: Tensor) -> Tensor:
    """logits[b, step[b]] for each b."""
    return ops.squeeze(ops.take_along_axis(logits, step[:, None, None], axis=1), axis=1)

"""The network unrolled in time: what to compute when.

*Biological unrolling*: at step t a layer reads the outputs that its predecessors had at t − 1
(zeros at t = 0); only the first layer reads the stimulus of step t itself (Nayebi et al. 2022).

Nothing is computed twice and nothing that nobody asked for. This follows from three things:

* a plan, made backwards from the outputs asked for, of the steps each layer must run;
* a layer that is given the very same tensors again returns the very same result, so a feed-forward
  layer runs once for as long as its input stays, and so does the part of a cell that depends on the
  input alone;
* what does not depend on the image (zeros, the off stimulus, and all that follows from these alone)
  has a batch of one, and grows to the batch's size only where it meets the image.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from convrnns_brainscore.networks.layers import Layer
from convrnns_brainscore.networks.lesions import Lesion
from convrnns_brainscore.networks.operations import Tensor


class Network:
    """Layers in the order in which the image reaches them, each fed by the one before it.

    Parameters
    ----------
    layers : list of Layer
        From the image on.
    zeros : callable
        Gives zeros of a shape [1, …].
    compiled : callable, optional
        Makes each layer's parts graphs of their own; None: they are called as they are.
    observed : callable, optional
        Is given each layer's name and output, and gives the output that goes on.
    """

    def __init__(
        self,
        layers: list[Layer],
        zeros: Callable[[tuple[int, ...]], Tensor],
        compiled: Callable[[Callable[..., Any]], Callable[..., Any]] | None = None,
        observed: Callable[[str, Tensor], Tensor] | None = None,
    ) -> None:
        compiled = compiled or _as_it_is
        self.layers = {layer.name: layer for layer in layers}
        self._zeros, self._observed = zeros, observed
        self._drive = {layer.name: compiled(layer.drive) for layer in layers}
        self._step = {layer.name: compiled(layer.step) for layer in layers}
        self._feedback = {
            layer.name: compiled(layer.feedback) for layer in layers if layer.feedback
        }

    def plan(
        self, asked: Mapping[str, Iterable[int]], lesion: Lesion | None = None
    ) -> dict[str, set[int]]:
        """The steps that each layer must run, so that the outputs ``asked`` for can be given."""
        needed: dict[str, set[int]] = {name: set() for name in self.layers}
        pending = [(name, step) for name, steps in asked.items() for step in steps]
        while pending:
            name, step = pending.pop()
            if step < 0 or step in needed[name]:
                continue
            needed[name].add(step)
            layer = self.layers[name]
            if layer.remembers and not (lesion and lesion.silences("recurrence", name, step)):
                pending.append((name, step - 1))
            if layer.source:
                pending.append((layer.source, step - 1))
            if layer.feedback and not (lesion and lesion.silences("feedback", name, step)):
                pending += [(source, step - 1) for source in layer.feedback.sources]
        return needed

    def run(
        self,
        stimulus: Callable[[int], Tensor],
        asked: Mapping[str, Iterable[int]],
        lesion: Lesion | None = None,
    ) -> Iterator[tuple[str, int, Tensor]]:
        """Unroll, and give the outputs asked for as they are made.

        Parameters
        ----------
        stimulus : callable
            The input [batch or 1, 224, 224, 3] at a step; the same tensor while it stays.
        asked : mapping of str to iterable of int
            Layer → the steps whose output is wanted.
        lesion : Lesion, optional
            What is silenced, its layers by name.

        Yields
        ------
        (str, int, tensor)
            Layer, step, output [batch, …], or [1, …] where the output is the same for every image.
        """
        asked = {name: set(steps) for name, steps in asked.items()}
        needed = self.plan(asked, lesion)
        zero = {
            name: tuple(self._zeros((1, *shape)) for shape in layer.cell.state_shapes())
            for name, layer in self.layers.items()
        }
        state = dict(zero)
        before = {
            name: self._zeros((1, *layer.output_shape)) for name, layer in self.layers.items()
        }
        once = _Once()
        for step in range(1 + max((s for steps in needed.values() for s in steps), default=-1)):
            now: dict[str, Tensor] = {}
            for name, layer in self.layers.items():
                if step not in needed[name]:
                    continue
                source = stimulus(step) if layer.source is None else before[layer.source]
                feedback = []
                if layer.feedback and not (lesion and lesion.silences("feedback", name, step)):
                    later = [before[source] for source in layer.feedback.sources]
                    feedback.append(self._feedback[name](*later))
                if not layer.remembers:
                    now[name] = once(name, self._feedforward(name), source, *feedback)
                else:
                    drive = once((name, "drive"), self._drive[name], source)
                    if lesion and lesion.silences("recurrence", name, step):
                        now[name], state[name] = once(
                            (name, "step"), self._step[name], drive, zero[name], *feedback
                        )
                    else:
                        now[name], state[name] = self._step[name](drive, state[name], *feedback)
                if self._observed:
                    now[name] = self._observed(name, now[name])
                if step in asked.get(name, ()):
                    yield name, step, now[name]
            for name, layer in self.layers.items():
                if layer.source and now.get(layer.source) is not before.get(layer.source):
                    once.forget(name, (name, "drive"), (name, "step"))
            before = now

    def _feedforward(self, name: str) -> Callable[..., Tensor]:
        """Source and feedback → output of a layer without a state."""
        drive, step = self._drive[name], self._step[name]
        return lambda source, *feedback: step(drive(source), (), *feedback)[0]


def _as_it_is(function: Callable[..., Any]) -> Callable[..., Any]:
    return function


class _Once:
    """Calls functions, and gives the last result again for the very same arguments."""

    def __init__(self) -> None:
        self._last: dict[Any, tuple[tuple[Any, ...], Any]] = {}

    def __call__(self, key: Any, function: Callable[..., Any], *arguments: Any) -> Any:
        if key in self._last:
            before, result = self._last[key]
            if all(a is b for a, b in zip(before, arguments, strict=True)):
                return result
        result = function(*arguments)
        self._last[key] = arguments, result
        return result

    def forget(self, *keys: Any) -> None:
        """Release results whose arguments will not come again."""
        for key in keys:
            self._last.pop(key, None)

"""The recurrent cells. Each is a class that reads like its equation.

Throughout, x is what the layer's feed-forward convolution gives at this step, r the layer's own
input (before that convolution), h and c the cell's state of the step before; ∗ is a convolution
with SAME padding, σ the sigmoid. Activations are [batch, height, width, channel].

A cell has two halves, so that what depends on the feed-forward input alone is computed once for as
long as that input stays the same:

* ``drive(x, r)``: the terms of x and r;
* ``__call__(drive, state, feedback)`` → (output, next state): one step. ``feedback`` is added where
  the cell takes long-range feedback, and None elsewhere.

A convolution of the concatenation [x, h] is the sum of two convolutions, which is how it stands
here; the checkpoints hold the concatenation's kernel.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from convrnns_brainscore.networks.operations import (
    Tensor,
    conv,
    depthwise_conv,
    elu,
    is_zero,
    kernel,
    moments,
    relu,
    sigmoid,
    split,
    sqrt,
    tanh,
)

Variable = Callable[[str, tuple[int, ...]], Any]
"""Gives the variable of a name and shape; names are relative to where the cell or layer stands."""

State = tuple[Tensor, ...]


@dataclass(frozen=True)
class Sizes:
    """Height = width of a cell's maps, its depth, and the depths of x and r."""

    size: int
    depth: int
    x_depth: int
    r_depth: int


def scoped(variable: Variable, scope: str) -> Variable:
    """``variable`` for names below ``scope``."""
    return lambda name, shape: variable(f"{scope}/{name}", shape)


def of_x_and_h(weights: Tensor, x_depth: int) -> tuple[Tensor, Tensor]:
    """The kernel of the concatenation [x, h] as that of x and that of h."""
    return kernel(weights[:, :, :x_depth]), kernel(weights[:, :, x_depth:])


class Cell:
    """What all cells share: a state of ``state_count`` maps that starts at zero."""

    state_count = 1

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        self.size, self.depth = sizes.size, sizes.depth

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        """The shape (height, width, depth) of each map of the state."""
        return ((self.size, self.size, self.depth),) * self.state_count

    def drive(self, x: Tensor, r: Tensor) -> Any:
        """The terms of the feed-forward input."""
        raise NotImplementedError

    def __call__(self, drive: Any, state: State, feedback: Tensor | None) -> tuple[Tensor, State]:
        """One step: the cell's output and its next state."""
        raise NotImplementedError


class Memory(Cell):
    """s' = d·s + x, output s' (the time decay cell; with d = 0 nothing is remembered)."""

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        self.decay = variable("memory_decay", (1,))
        # Known before the first step, so that a layer without memory is computed once an image.
        self.state_count = 0 if is_zero(self.decay) else 1

    def drive(self, x: Tensor, r: Tensor) -> Tensor:
        return x

    def __call__(self, drive: Tensor, state: State, feedback: None) -> tuple[Tensor, State]:
        if not state:
            return drive, ()
        s = self.decay * state[0] + drive
        return s, (s,)


class SimpleRNN(Cell):
    """h' = elu(N(i∗x + b_i + s∗h + b_s)); N is layer norm in the shallow networks, else nothing."""

    def __init__(self, variable: Variable, sizes: Sizes, normalised: bool = False) -> None:
        super().__init__(variable, sizes)
        x_depth, depth = sizes.x_depth, sizes.depth
        variable = scoped(variable, "ConvNormBasicCell")
        self.i = variable("i/weights", (3, 3, x_depth, depth))
        self.b_i = variable("i/bias", (depth,))
        self.s = variable("s/weights", (3, 3, depth, depth))
        self.b_s = variable("s/bias", (depth,))
        self.norm = LayerNorm(scoped(variable, "layer_norm"), depth) if normalised else None

    def drive(self, x: Tensor, r: Tensor) -> Tensor:
        return conv(x, self.i, self.b_i)

    def __call__(self, drive: Tensor, state: State, feedback: None) -> tuple[Tensor, State]:
        (h,) = state
        total = drive + conv(h, self.s, self.b_s)
        h = elu(self.norm(total) if self.norm else total)
        return h, (h,)


class GRU(Cell):
    """reset = σ(ρ + 1), update = σ(υ), where [ρ, υ] = W∗[x, h] + b;
    h' = update·h + (1 − update)·tanh(V∗[x, reset·h] + b_v)."""

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        x_depth, depth = sizes.x_depth, sizes.depth
        variable = scoped(variable, "ConvGRUCell")
        both = x_depth + depth
        gates = variable("gates/weights", (3, 3, both, 2 * depth))
        candidates = variable("candidates/weights", (3, 3, both, depth))
        self.w_x, self.w_h = of_x_and_h(gates, x_depth)
        self.v_x, self.v_h = of_x_and_h(candidates, x_depth)
        self.b = variable("gates/bias", (2 * depth,))
        self.b_v = variable("candidates/bias", (depth,))

    def drive(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        return conv(x, self.w_x, self.b), conv(x, self.v_x, self.b_v)

    def __call__(
        self, drive: tuple[Tensor, Tensor], state: State, feedback: None
    ) -> tuple[Tensor, State]:
        (h,) = state
        gates, candidate = drive
        reset, update = split(gates + conv(h, self.w_h), 2)
        reset, update = sigmoid(reset + 1.0), sigmoid(update)
        h = update * h + (1.0 - update) * tanh(candidate + conv(reset * h, self.v_h))
        return h, (h,)


class LSTM(Cell):
    """[i, j, f, o] = W∗[x, h] + b; c' = c·σ(f + b_f) + σ(i)·tanh(j); h' = tanh(c')·σ(o).

    In the shallow networks i, j, f, o and c' are layer-normed, and with peepholes w_i·c, w_f·c and
    w_o·c (of the old c) are added to i, f and o.
    """

    state_count = 2

    def __init__(
        self,
        variable: Variable,
        sizes: Sizes,
        kernel: int = 3,
        forget_bias: float = 1.0,
        normalised: bool = False,
        peepholes: bool = False,
    ) -> None:
        super().__init__(variable, sizes)
        size, depth, x_depth = sizes.size, sizes.depth, sizes.x_depth
        variable = scoped(variable, "ConvLSTMCell")
        w = variable("weights", (kernel, kernel, x_depth + depth, 4 * depth))
        self.w_x, self.w_h = of_x_and_h(w, x_depth)
        self.b = variable("bias", (4 * depth,))
        self.b_f = forget_bias
        self.norms, self.norm_c, self.peepholes = None, None, None
        if normalised:
            parts = ("input", "transform", "forget", "output")
            self.norms = [LayerNorm(scoped(variable, part), depth) for part in parts]
            self.norm_c = LayerNorm(scoped(variable, "state"), depth)
        if peepholes:
            shape = (size, size, depth)
            self.peepholes = [variable(f"peepholes/w_{gate}_diag", shape) for gate in "ifo"]

    def drive(self, x: Tensor, r: Tensor) -> Tensor:
        return conv(x, self.w_x, self.b)

    def __call__(self, drive: Tensor, state: State, feedback: None) -> tuple[Tensor, State]:
        c, h = state
        gates = split(drive + conv(h, self.w_h), 4)
        if self.norms:
            gates = [norm(gate) for norm, gate in zip(self.norms, gates, strict=True)]
        i, j, f, o = gates
        f = f + self.b_f
        if self.peepholes:
            w_i, w_f, w_o = self.peepholes
            i, f, o = i + w_i * c, f + w_f * c, o + w_o * c
        c = c * sigmoid(f) + sigmoid(i) * tanh(j)
        if self.norm_c:
            c = self.norm_c(c)
        h = tanh(c) * sigmoid(o)
        return h, (c, h)


class UGRNN(Cell):
    """[g, c] = W∗[x, h] + b; h' = σ(g + 1)·h + (1 − σ(g + 1))·tanh(c)."""

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        x_depth, depth = sizes.x_depth, sizes.depth
        variable = scoped(variable, "ConvUGRNNCell")
        w = variable("weights", (3, 3, x_depth + depth, 2 * depth))
        self.w_x, self.w_h = of_x_and_h(w, x_depth)
        self.b = variable("bias", (2 * depth,))

    def drive(self, x: Tensor, r: Tensor) -> Tensor:
        return conv(x, self.w_x, self.b)

    def __call__(self, drive: Tensor, state: State, feedback: None) -> tuple[Tensor, State]:
        (h,) = state
        g, c = split(drive + conv(h, self.w_h), 2)
        g = sigmoid(g + 1.0)
        h = g * h + (1.0 - g) * tanh(c)
        return h, (h,)


class IntersectionRNN(Cell):
    """[p, h̃, q, ỹ] = W∗[x, h] + b; h' = σ(p + 1)·h + (1 − σ(p + 1))·tanh(h̃) goes on in time;
    the output is y = σ(q + 1)·x + (1 − σ(q + 1))·relu(ỹ)."""

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        x_depth, depth = sizes.x_depth, sizes.depth
        variable = scoped(variable, "ConvIntersectionRNNCell")
        w = variable("weights", (3, 3, x_depth + depth, 4 * depth))
        self.w_x, self.w_h = of_x_and_h(w, x_depth)
        self.b = variable("bias", (4 * depth,))

    def drive(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        return x, conv(x, self.w_x, self.b)

    def __call__(
        self, drive: tuple[Tensor, Tensor], state: State, feedback: None
    ) -> tuple[Tensor, State]:
        (h,) = state
        x, gates = drive
        p, h_new, q, y_new = split(gates + conv(h, self.w_h), 4)
        p, q = sigmoid(p + 1.0), sigmoid(q + 1.0)
        h = p * h + (1.0 - p) * tanh(h_new)
        y = q * x + (1.0 - q) * relu(y_new)
        return y, (h,)


class ReciprocalGate(Cell):
    """The reciprocal gated cell of the shallow network (without biases), with x ← elu(x):

    c' = elu((1 − σ(τ_c∗c))·c + (1 − σ(g_c∗h))·(i∗x));
    h' = elu((1 − σ(τ_h∗h))·h + (1 − σ(g_h∗c + g_r∗r))·x).
    """

    state_count = 2

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        x_depth, r_depth, depth = sizes.x_depth, sizes.r_depth, sizes.depth
        variable = scoped(variable, "ReciprocalGateCell")

        def weights(name: str, depth_in: int) -> Tensor:
            return variable(f"{name}/weights", (3, 3, depth_in, depth))

        self.i = weights("cell/input_to_cell", x_depth)
        self.tau_c, self.gate_c = weights("cell/tau", depth), weights("cell/gate", depth)
        self.tau_h, self.gate_h = weights("out/tau", depth), weights("out/gate", depth)
        self.gate_r = weights("out/residual_to_out_gate", r_depth)

    def drive(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x = elu(x)
        return x, conv(x, self.i), conv(r, self.gate_r)

    def __call__(
        self, drive: tuple[Tensor, Tensor, Tensor], state: State, feedback: None
    ) -> tuple[Tensor, State]:
        c, h = state
        x, x_to_c, r_to_gate = drive
        keep_c, keep_h = 1.0 - sigmoid(conv(c, self.tau_c)), 1.0 - sigmoid(conv(h, self.tau_h))
        pass_c = 1.0 - sigmoid(conv(h, self.gate_c))
        pass_h = 1.0 - sigmoid(conv(c, self.gate_h) + r_to_gate)
        c, h = elu(keep_c * c + pass_c * x_to_c), elu(keep_h * h + pass_h * x)
        return h, (c, h)


class ReciprocalGateFeedback(Cell):
    """The reciprocal gated cell of the intermediate network, with x ← elu(x) and separable S:

    c' = elu((T − T·σ(S_τc(c)))·c + (G − G·tanh(S_gc(h)))·(i_c∗x));
    h' = elu((T − T·σ(S_τh(h)))·h + (G − G·tanh(S_gh(c)))·(i_h∗x + r + feedback)).

    r goes through a 1 × 1 convolution where its depth differs from h's.
    """

    T = 0.9219348064291611
    G = 0.7006566684988862
    CELL_DEPTH = 64

    def __init__(self, variable: Variable, sizes: Sizes) -> None:
        super().__init__(variable, sizes)
        x_depth, r_depth, depth = sizes.x_depth, sizes.r_depth, sizes.depth
        variable = scoped(variable, "ReciprocalGateCell")
        cell_depth = self.CELL_DEPTH
        self.i_c = variable("cell/input_to_cell_weights", (2, 2, x_depth, cell_depth))
        self.b_c = variable("cell/input_to_cell_bias", (cell_depth,))
        self.tau_c = Separable(scoped(variable, "cell/tau"), cell_depth, cell_depth)
        self.gate_c = Separable(scoped(variable, "cell/out_to_cell"), depth, cell_depth)
        self.i_h = variable("out/input_to_out_weights", (3, 3, x_depth, depth))
        self.b_h = variable("out/input_to_out_bias", (depth,))
        self.tau_h = Separable(scoped(variable, "out/tau"), depth, depth)
        self.gate_h = Separable(scoped(variable, "out/gate"), cell_depth, depth)
        self.r_to_h = None
        if r_depth != depth:
            self.r_to_h = variable("out/residual_add_weights", (1, 1, r_depth, depth))

    def state_shapes(self) -> tuple[tuple[int, ...], ...]:
        return tuple((self.size, self.size, depth) for depth in (self.CELL_DEPTH, self.depth))

    def drive(self, x: Tensor, r: Tensor) -> tuple[Tensor, Tensor]:
        x = elu(x)
        residual = r if self.r_to_h is None else conv(r, self.r_to_h)
        return conv(x, self.i_c, self.b_c), conv(x, self.i_h, self.b_h) + residual

    def __call__(
        self, drive: tuple[Tensor, Tensor], state: State, feedback: Tensor | None
    ) -> tuple[Tensor, State]:
        c, h = state
        x_to_c, x_to_h = drive
        if feedback is not None:
            x_to_h = x_to_h + feedback
        keep_c = self.T - self.T * sigmoid(self.tau_c(c))
        keep_h = self.T - self.T * sigmoid(self.tau_h(h))
        pass_c = self.G - self.G * tanh(self.gate_c(h))
        pass_h = self.G - self.G * tanh(self.gate_h(c))
        c, h = elu(keep_c * c + pass_c * x_to_c), elu(keep_h * h + pass_h * x_to_h)
        return h, (c, h)


class Separable:
    """S(x): depthwise 7 × 7, then 1 × 1, then bias."""

    def __init__(self, variable: Variable, depth_in: int, depth: int) -> None:
        self.depthwise = variable("depthwise_weights", (7, 7, depth_in, 1))
        self.pointwise = variable("pointwise_weights", (1, 1, depth_in, depth))
        self.bias = variable("bias", (depth,))

    def __call__(self, x: Tensor) -> Tensor:
        return conv(depthwise_conv(x, self.depthwise), self.pointwise, self.bias)


class LayerNorm:
    """γ·(x − mean)/√(variance + 1e−12) + β; mean and variance over height, width and channels."""

    def __init__(self, variable: Variable, depth: int) -> None:
        self.gamma, self.beta = variable("gamma", (depth,)), variable("beta", (depth,))

    def __call__(self, x: Tensor) -> Tensor:
        mean, variance = moments(x, axis=(1, 2, 3))
        return self.gamma * (x - mean) / sqrt(variance + 1e-12) + self.beta

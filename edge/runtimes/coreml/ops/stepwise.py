"""Recurrent layers that torch does not have: peepholes, clipping, other activations, another place of the reset gate.

One step after the other, in place in a few buffers: at the sizes of a phone's layers a new tensor, or a view of one,
takes as long as what is computed in it. An LSTM, which has most to do beside its products, does that in NumPy on the
same memory: a call takes a third of torch's time. What comes in is never written into.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from torch import Tensor

Activation = Callable[[Tensor], Tensor]  # changes the tensor and gives it back
HALF = torch.tensor(0.5)
WORTH_A_COPY = 10  # steps, from which on it pays to lay the weights out anew for the products


def hard_sigmoid(x: Tensor) -> Tensor:
    return torch.add(HALF, x, alpha=0.2, out=x).clamp_(0, 1)


def linear(x: Tensor) -> Tensor:
    return x


# Of those with parameters Core ML takes the defaults: scaled_tanh is tanh, hard_sigmoid is 0.2 x + 0.5, cut to 0..1.
ACTIVATIONS: dict[str, Activation] = {
    "tanh": torch.tanh_,
    "scaled_tanh": torch.tanh_,
    "sigmoid": torch.sigmoid_,
    "hard_sigmoid": hard_sigmoid,
    "sigmoid_hard": hard_sigmoid,
    "relu": torch.relu_,
    "linear": linear,
}


def activation_of(name: str) -> Activation:
    if name.lower() not in ACTIVATIONS:
        raise ValueError(f"the activation {name} is not one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name.lower()]


FIFTH, ZERO, MIDDLE, ONE = (np.array(value, np.float32) for value in (0.2, 0, 0.5, 1))  # faster than numbers


def hard_sigmoid_into(source: np.ndarray, target: np.ndarray) -> None:
    np.add(np.multiply(source, FIFTH, target), MIDDLE, target)
    np.minimum(np.maximum(target, ZERO, out=target), ONE, out=target)


IN_NUMPY: dict[Activation, Callable[[np.ndarray, np.ndarray], object]] = {
    torch.tanh_: np.tanh,
    hard_sigmoid: hard_sigmoid_into,
}


def prepared(activation: Activation, source: Tensor, target: Tensor) -> Callable[[], object]:
    """What writes the activation of one buffer into another, or into itself, each time that it is called."""
    if activation in IN_NUMPY:
        return partial(IN_NUMPY[activation], source.numpy(), target.numpy())
    if source is target:
        return partial(activation, target)
    return lambda: activation(target.copy_(source))


def lstm_steps(
    products: Tensor,
    h: Tensor,
    c: Tensor,
    weight_hh: Tensor,
    peephole: Tensor | None,
    clip: float | None,
    activations: tuple[Activation, Activation, Activation],
) -> tuple[Tensor, Tensor, Tensor]:
    """All hidden states (steps, batch, size), the last one, and the last cell state.

    `products` (steps, batch, 4 size) of x with its weights; gates are input, forget, cell, output. `peephole` (3 size)
    is of the input, forget and output gate. `activations` of the gates, of the cell's input, of its output.
    """
    steps, batch, size = len(products), *h.shape
    recurrent = weight_hh.t().contiguous() if steps >= WORTH_A_COPY else weight_hh.t()
    sums = products.new_empty(batch, 4, size)
    flat, both, z, o = sums.view(batch, 4 * size), sums[:, :2], sums[:, 2], sums[:, 3]
    c, states = c.clone(), products.new_empty(steps, batch, size)
    seen = torch.empty_like(c)
    gate, cell, final = activations
    open_both, take, open_output, look = (
        prepared(gate, both, both), prepared(cell, z, z), prepared(gate, o, o), prepared(final, c, seen)
    )  # fmt: skip
    # The same memory as NumPy has it: the gates, what the cell takes, what it holds, what is seen of it.
    ins, outs, taken, held, shown = both.numpy(), o.numpy(), z.numpy(), c.numpy(), seen.numpy()
    i, f = ins[:, 0], ins[:, 1]
    beside = held[:, None]  # the cell state, for all gates together
    if peephole is not None:
        to_gates = peephole.view(3, size).numpy()
        glances = beside * to_gates
        into_both, into_output = glances[:, :2], glances[:, 2]
    if clip is not None:
        highest = np.array(clip, held.dtype)
        lowest = -highest
    with np.errstate(all="ignore"):  # what overflows is infinite, as in torch
        for product, state, result in zip(products.unbind(), states.unbind(), states.numpy(), strict=True):
            torch.addmm(product, h, recurrent, out=flat)
            if peephole is not None:
                np.add(ins, into_both, ins)
            open_both()
            take()
            np.multiply(held, f, held)
            np.add(held, np.multiply(taken, i, taken), held)
            if clip is not None:
                np.maximum(np.minimum(held, highest, out=held), lowest, out=held)
            if peephole is not None:
                np.multiply(beside, to_gates, glances)
                np.add(outs, into_output, outs)
            open_output()
            look()
            np.multiply(outs, shown, result)
            h = state
    return states, h, c


def gru_steps(
    products: Tensor, h: Tensor, weight_hh: Tensor, bias: Tensor | None, gate: Activation, final: Activation
) -> tuple[Tensor, Tensor]:
    """All hidden states (steps, batch, size), and the last one.

    `products` (steps, batch, 3 size) of x with its weights; gates are reset, update, new. `bias` (3 size) of the hidden
    state: with it the reset gate comes behind the product with the hidden state; without (None), before it.
    """
    steps, batch, size = len(products), *h.shape
    to_gates, to_new = weight_hh[: 2 * size].t(), weight_hh[2 * size :].t()
    if bias is not None:
        products = products + torch.cat([bias[: 2 * size], bias.new_zeros(size)])
    gates, inner = products.new_empty(batch, 2 * size), products.new_empty(batch, size)
    r, z = gates.chunk(2, 1)
    before, after = products.split([2 * size, size], 2)
    states = products.new_empty(steps, batch, size)
    for to_both, new, state in zip(before.unbind(), after.unbind(), states.unbind(), strict=True):
        torch.addmm(to_both, h, to_gates, out=gates)
        gate(gates)
        if bias is None:
            torch.addmm(new, torch.mul(r, h, out=inner), to_new, out=state)
        else:
            torch.addcmul(new, r, torch.addmm(bias[2 * size :], h, to_new, out=inner), out=state)
        h = torch.lerp(final(state), h, z, out=state)
    return states, h


def rnn_steps(products: Tensor, h: Tensor, weight_hh: Tensor, final: Activation) -> tuple[Tensor, Tensor]:
    """All hidden states (steps, batch, size), and the last one; `products` (steps, batch, size) of x."""
    states = torch.empty_like(products)
    recurrent = weight_hh.t()
    for product, state in zip(products.unbind(), states.unbind(), strict=True):
        h = final(torch.addmm(product, h, recurrent, out=state))
    return states, h

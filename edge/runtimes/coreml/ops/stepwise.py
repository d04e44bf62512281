"""Recurrent layers that torch does not have: peepholes, clipping, other activations, another place of the reset gate.

One step after the other, in place in a few buffers: at the sizes of a phone's layers a new tensor, or a view of one,
takes as long as what is computed in it. What comes in is never written into.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

Activation = Callable[[Tensor], Tensor]  # changes the tensor and gives it back
HALF = torch.tensor(0.5)


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
    gate, cell, final = activations
    recurrent = weight_hh.t()
    sums = products.new_empty(batch, 4, size)
    flat, both, z, o = sums.view(batch, 4 * size), sums[:, :2], sums[:, 2], sums[:, 3]
    i, f = both.unbind(1)
    c, seen = c.clone(), c.new_empty(batch, size)
    beside = c.unsqueeze(1)  # the cell state, for the input and forget gate together
    to_both, to_output = (None, None) if peephole is None else (peephole.view(3, size)[:2], peephole[2 * size :])
    states = products.new_empty(steps, batch, size)
    for product, state in zip(products.unbind(), states.unbind(), strict=True):
        torch.addmm(product, h, recurrent, out=flat)
        if to_both is not None:
            both.addcmul_(beside, to_both)
        gate(both)
        c.mul_(f).addcmul_(i, cell(z))
        if clip is not None:
            c.clamp_(-clip, clip)
        if to_output is not None:
            o.addcmul_(c, to_output)
        torch.mul(gate(o), final(seen.copy_(c)), out=state)
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

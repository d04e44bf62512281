"""Recurrent layers that torch does not have: peepholes, clipping, other activations, another place of the reset gate.

One step after the other, in place in a few buffers: at the sizes of a phone's layers a new tensor, or a view of one,
takes as long as what is computed in it. An LSTM, which has most to do beside its products, does that in NumPy: a call
takes a third of torch's time. What comes in is never written into.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.weak import WeakTensorKeyDictionary

Activation = Callable[[Tensor], Tensor]  # changes the tensor and gives it back
HALF = torch.tensor(0.5)
_columns = WeakTensorKeyDictionary()  # forgets what belongs to weights that are gone


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
SMALL = 8192  # numbers in the weights, up to which NumPy's product takes less time than torch's
Step = Callable[[], object]  # changes a buffer


def in_place(activation: Activation, x: np.ndarray) -> list[Step]:
    """What makes the activation of a buffer's values, in order."""
    if activation is torch.tanh_:
        return [partial(np.tanh, x, x)]
    if activation is hard_sigmoid:
        scaled = partial(np.multiply, x, FIFTH, x), partial(np.add, x, MIDDLE, x)
        return [*scaled, partial(np.maximum, x, ZERO, out=x), partial(np.minimum, x, ONE, out=x)]
    return [] if activation is linear else [partial(activation, torch.from_numpy(x))]


def into(target: np.ndarray, activation: Activation, x: np.ndarray) -> list[Step]:
    """What makes the activation of a buffer's values in another buffer."""
    if activation is torch.tanh_:
        return [partial(np.tanh, x, target)]
    return [partial(np.copyto, target, x), *in_place(activation, target)]


def columns(weight: Tensor) -> Tensor:
    """The weights as a product with the hidden state reads them, contiguous; of one tensor made once.

    A program hands over the same constant in every prediction, and to lay it out takes as long as tens of steps.
    """
    if weight not in _columns:
        _columns[weight] = weight.t().contiguous()
    return _columns[weight]


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
    (steps, batch, _), size = products.shape, h.shape[1]
    gate, cell, final = activations
    # A sigmoid divides what it lets through by 1 + exp(-x): the sums of such a layer are held as -x.
    negative = gate is torch.sigmoid_
    through, joined = (np.divide, np.subtract) if negative else (np.multiply, np.add)
    # The values of a gate lie together, for all of the batch: NumPy is quick where there is nothing to jump over.
    of_x = products.numpy().reshape(steps, batch, 4, size).swapaxes(1, 2)
    of_x = np.negative(of_x, order="C") if negative else np.ascontiguousarray(of_x)
    rows, sums = np.empty((batch, 4 * size), np.float32), np.empty((4, batch, size), np.float32)
    of_h, both, (i, f, z, o) = rows.reshape(batch, 4, size).swapaxes(0, 1), sums[:2].reshape(-1), sums.reshape(4, -1)
    held = c.numpy().flatten()
    shown = np.empty_like(held)

    def opened(x: np.ndarray) -> list[Step]:
        return [partial(np.exp, x, x), partial(np.add, x, ONE, x)] if negative else in_place(gate, x)

    odd = cell in (torch.tanh_, linear)  # of -x they give the same with a minus
    turned = [partial(np.negative, z, z)] if negative and not odd else []
    gained = np.subtract if negative and odd else np.add
    work: list[Step] = [
        *opened(both), *turned, *in_place(cell, z), partial(through, z, i, z), partial(through, held, f, held),
        partial(gained, held, z, held),
    ]  # fmt: skip
    if clip is not None:
        highest, lowest = np.array(clip, np.float32), np.array(-clip, np.float32)
        work += [partial(np.minimum, held, highest, out=held), partial(np.maximum, held, lowest, out=held)]
    if peephole is not None:
        to_gates = peephole.numpy().reshape(3, 1, size).repeat(batch, 1).reshape(3, -1)
        glances = np.empty_like(to_gates)
        looks = [partial(np.multiply, held, to_gates[row], glances[row]) for row in range(3)]
        for look in looks:
            look()
        into_both = partial(joined, both, glances[:2].reshape(-1), both)
        work = [into_both, *work, *looks, partial(joined, o, glances[2], o)]
    work += [*opened(o), *into(shown, final, held)]
    states = products.new_empty(steps, batch, size)
    results = states.numpy().reshape(steps, -1)
    weights = columns(weight_hh)
    product: Callable[..., object] = torch.mm
    parts: tuple[Any, Any, Any, Any] = (h, weights, torch.from_numpy(rows), states.unbind())
    if weights.numel() <= SMALL:
        product, parts = np.dot, (h.numpy(), weights.numpy(), rows, states.numpy())
    before, known, target, following = parts
    with np.errstate(all="ignore"):  # what overflows is infinite, as in torch
        for so_far, result, state in zip(of_x, results, following, strict=True):
            product(before, known, out=target)
            joined(so_far, of_h, sums)
            for step in work:
                step()
            through(shown, o, result)
            before = state
    return states, states[-1], torch.from_numpy(held).view(batch, size)


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

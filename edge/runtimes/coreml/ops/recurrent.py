"""Recurrent layers. x is (steps, batch, features); a hidden state is (batch, size).

Where torch has the layer, torch computes it; otherwise the products with x are made for all steps at once, and
`stepwise` takes what is left. A layer of direction `reverse` goes from the last step to the first and gives its
results in the order in which it made them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from .kinds import GruRows, LstmRows
from .stepwise import activation_of, gru_steps, lstm_steps, rnn_steps


def in_order(x: Tensor, direction: str) -> Tensor:
    """The steps in the order in which the layer takes them."""
    if direction not in {"forward", "reverse"}:
        raise ValueError(f"the direction {direction} is not one of forward, reverse")
    return x.flip(0) if direction == "reverse" else x


def check(x: Tensor, initial: Tensor, weight_ih: Tensor, weight_hh: Tensor, gates: int) -> int:
    """The size of the hidden state. ValueError where the shapes do not belong together."""
    size = weight_hh.shape[-1]
    wanted = (gates * size, x.shape[-1]), (gates * size, size), (x.shape[1], size)
    if x.ndim != 3 or (weight_ih.shape, weight_hh.shape, initial.shape) != wanted:
        raise ValueError(
            f"x {tuple(x.shape)}, weights {tuple(weight_ih.shape)} and {tuple(weight_hh.shape)} and the state "
            f"{tuple(initial.shape)} do not belong together; expected x (steps, batch, features)"
        )
    if len(x) == 0:
        raise ValueError("there is no step")
    return size


def bias_or_zeros(bias: Tensor | None, like: Tensor, length: int) -> Tensor:
    if bias is None:
        return like.new_zeros(length)
    if bias.shape != (length,):
        raise ValueError(f"a bias of shape {tuple(bias.shape)}, expected ({length},)")
    return bias


def lstm(
    x: Tensor,
    initial_h: Tensor,
    initial_c: Tensor,
    weight_ih: LstmRows,
    weight_hh: LstmRows,
    bias: LstmRows | None = None,
    peephole: Tensor | None = None,
    weight_ih_back: LstmRows | None = None,
    weight_hh_back: LstmRows | None = None,
    bias_back: LstmRows | None = None,
    peephole_back: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    cell_activation: str = "tanh",
    activation: str = "tanh",
    clip: float | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """All steps or the last, the last hidden state, the last cell state; both directions lie side by side."""
    names = (recurrent_activation, cell_activation, activation)
    if direction != "bidirectional":
        steps, h, c = one_way(
            in_order(x, direction), initial_h, initial_c, weight_ih, weight_hh, bias, peephole, names, clip
        )
        return steps if output_sequence else steps[-1:], h, c
    if weight_ih_back is None or weight_hh_back is None:
        raise ValueError("direction bidirectional needs weight_ih_back and weight_hh_back")
    (h0, h1), (c0, c1) = halves(initial_h), halves(initial_c)
    ahead, h0, c0 = one_way(x, h0, c0, weight_ih, weight_hh, bias, peephole, names, clip)
    back, h1, c1 = one_way(x.flip(0), h1, c1, weight_ih_back, weight_hh_back, bias_back, peephole_back, names, clip)
    # The last step of either direction where only that is wanted, else the results beside the steps that they are of.
    steps = torch.cat([ahead, back.flip(0)] if output_sequence else [ahead[-1:], back[-1:]], 2)
    return steps, torch.cat([h0, h1], 1), torch.cat([c0, c1], 1)


def halves(state: Tensor) -> tuple[Tensor, Tensor]:
    if state.ndim != 2 or state.shape[1] % 2:
        raise ValueError(f"a state of both directions is (batch, 2 x size), got {tuple(state.shape)}")
    first, second = state.chunk(2, 1)
    return first, second


def one_way(
    x: Tensor,
    h: Tensor,
    c: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None,
    peephole: Tensor | None,
    names: tuple[str, str, str],
    clip: float | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """One direction; rows of the weights are input, forget, cell, output gate, as in torch."""
    size = check(x, h, weight_ih, weight_hh, 4)
    if c.shape != h.shape:
        raise ValueError(f"the cell state is {tuple(c.shape)}, the hidden state {tuple(h.shape)}; expected the same")
    bias = bias_or_zeros(bias, x, 4 * size)
    activations = activation_of(names[0]), activation_of(names[1]), activation_of(names[2])
    if activations == (torch.sigmoid_, torch.tanh_, torch.tanh_) and peephole is None and clip is None:
        weights = [weight_ih, weight_hh, bias, torch.zeros_like(bias)]
        steps, last_h, last_c = torch.lstm(x, (h[None], c[None]), weights, True, 1, 0.0, False, False, False)
        return steps, last_h[0], last_c[0]
    if peephole is not None and peephole.shape != (3 * size,):
        raise ValueError(f"a peephole of shape {tuple(peephole.shape)}, expected ({3 * size},)")
    return lstm_steps(F.linear(x, weight_ih, bias), h, c, weight_hh, peephole, clip, activations)


def gru(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: GruRows,
    weight_hh: GruRows,
    bias: GruRows | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
    reset_after: bool = False,
    input_bias: GruRows | None = None,
) -> tuple[Tensor, Tensor]:
    """All steps or the last, and the last hidden state.

    The reset gate multiplies the hidden state before the product with the weights; with `reset_after` (iOS 18) that
    product with its bias, as in torch.
    """
    size = check(x, initial_h, weight_ih, weight_hh, 3)
    x = in_order(x, direction)
    bias, input_bias = (bias_or_zeros(values, x, 3 * size) for values in (bias, input_bias))
    gate, final = activation_of(recurrent_activation), activation_of(activation)
    if reset_after and (gate, final) == (torch.sigmoid_, torch.tanh_):
        weights = [weight_ih, weight_hh, input_bias, bias]
        steps, last = torch.gru(x, initial_h[None], weights, True, 1, 0.0, False, False, False)
        return steps if output_sequence else steps[-1:], last[0]
    products = F.linear(x, weight_ih, input_bias if reset_after else input_bias + bias)
    steps, last = gru_steps(products, initial_h, weight_hh, bias if reset_after else None, gate, final)
    return steps if output_sequence else steps[-1:], last


def gru_before_18(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: GruRows,
    weight_hh: GruRows,
    bias: GruRows | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    recurrent_activation: str = "sigmoid",
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    return gru(x, initial_h, weight_ih, weight_hh, bias, direction, output_sequence, recurrent_activation, activation)


def rnn(
    x: Tensor,
    initial_h: Tensor,
    weight_ih: Tensor,
    weight_hh: Tensor,
    bias: Tensor | None = None,
    direction: str = "forward",
    output_sequence: bool = False,
    activation: str = "tanh",
) -> tuple[Tensor, Tensor]:
    """All steps or the last, and the last hidden state."""
    size = check(x, initial_h, weight_ih, weight_hh, 1)
    x = in_order(x, direction)
    bias = bias_or_zeros(bias, x, size)
    final = activation_of(activation)
    if final is torch.tanh_ or final is torch.relu_:
        torchs = torch.rnn_tanh if final is torch.tanh_ else torch.rnn_relu
        weights = [weight_ih, weight_hh, bias, torch.zeros_like(bias)]
        steps, last = torchs(x, initial_h[None], weights, True, 1, 0.0, False, False, False)
        return steps if output_sequence else steps[-1:], last[0]
    steps, last = rnn_steps(F.linear(x, weight_ih, bias), initial_h, weight_hh, final)
    return steps if output_sequence else steps[-1:], last


TABLE: dict[str, Callable[..., Any] | Mapping[str, Callable[..., Any]]] = {
    "lstm": lstm,
    "gru": {"CoreML5": gru_before_18, "CoreML8": gru},
    "rnn": rnn,
}
EXACT: frozenset[str] = frozenset()

"""lstm, gru and rnn, against torch's layers where it has them, and against the written equations where it has not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from coremltools.converters.mil import Builder as mb

from edge.errors import InputError
from edge.runtimes.coreml.ops import stepwise
from edge.runtimes.coreml.ops.recurrent import lstm
from tests.edge.runtimes.coreml._programs import run

STEPS, BATCH, FEATURES, SIZE = 5, 3, 4, 6


def drawn(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng([seed, *shape]).normal(size=shape).astype(np.float32)


X, H = drawn(STEPS, BATCH, FEATURES), drawn(BATCH, SIZE, seed=1)


def by_gate(rows: torch.Tensor, order: tuple[int, ...]) -> np.ndarray:
    """torch's rows in Core ML's order of gates."""
    parts = rows.detach().chunk(len(order))
    return torch.cat([parts[gate] for gate in order]).numpy()


def torch_lstm(both: bool) -> tuple[torch.nn.LSTM, dict[str, np.ndarray]]:
    torch.manual_seed(0)
    layer = torch.nn.LSTM(FEATURES, SIZE, bidirectional=both)
    weights = {}
    for end, name in (("_l0", ""), ("_l0_reverse", "_back"))[: 2 if both else 1]:
        for part in ("weight_ih", "weight_hh"):
            weights[part + name] = by_gate(getattr(layer, part + end), (0, 1, 3, 2))
        weights["bias" + name] = by_gate(
            getattr(layer, "bias_ih" + end) + getattr(layer, "bias_hh" + end), (0, 1, 3, 2)
        )
    return layer, weights


@pytest.mark.parametrize("whole", [True, False])
def test_both_directions_of_an_lstm(whole: bool) -> None:
    layer, weights = torch_lstm(both=True)
    h, c = drawn(BATCH, 2 * SIZE, seed=2), drawn(BATCH, 2 * SIZE, seed=3)
    results = run(
        lambda x, h, c: mb.lstm(
            x=x, initial_h=h, initial_c=c, direction="bidirectional", output_sequence=whole, **weights
        ),
        {"x": X, "h": h, "c": c},
    )
    with torch.no_grad():
        start = tuple(torch.stack(torch.from_numpy(state).chunk(2, 1)) for state in (h, c))
        steps, (last_h, last_c) = layer(torch.from_numpy(X), start)
    if not whole:  # the last step of each direction
        steps = torch.cat([steps[-1:, :, :SIZE], steps[:1, :, SIZE:]], 2)
    for mine, right in zip(results, (steps, torch.cat([*last_h], 1), torch.cat([*last_c], 1)), strict=True):
        np.testing.assert_allclose(mine, right.numpy(), atol=2e-6)


def test_a_reversed_lstm_gives_its_results_in_the_order_in_which_it_made_them() -> None:
    """As Apple's own test of the operation expects."""
    layer, weights = torch_lstm(both=False)
    steps, h, c = run(
        lambda x, h: mb.lstm(x=x, initial_h=h, initial_c=h, direction="reverse", output_sequence=True, **weights),
        {"x": X, "h": H},
    )
    with torch.no_grad():
        state = torch.from_numpy(H)[None]
        right, (last_h, last_c) = layer(torch.from_numpy(X).flip(0), (state, state))
    np.testing.assert_allclose(steps, right.numpy(), atol=2e-6)
    np.testing.assert_allclose(h, last_h[0].numpy(), atol=2e-6)
    np.testing.assert_allclose(c, last_c[0].numpy(), atol=2e-6)


def logistic(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Any] = {
    "tanh": np.tanh, "scaled_tanh": np.tanh, "sigmoid": logistic, "linear": lambda x: x,
    "hard_sigmoid": lambda x: np.clip(0.2 * x + 0.5, 0, 1), "relu": lambda x: np.maximum(x, 0),
}  # fmt: skip


@pytest.mark.parametrize(
    ("gate", "cell", "final", "peephole", "clip"),
    [
        ("sigmoid", "tanh", "tanh", True, None), ("sigmoid", "tanh", "relu", False, 0.2),
        ("hard_sigmoid", "scaled_tanh", "linear", True, 0.5), ("tanh", "relu", "sigmoid", False, None),
        ("sigmoid", "relu", "tanh", True, None), ("sigmoid", "linear", "hard_sigmoid", False, None),
    ],
)  # fmt: skip
@pytest.mark.parametrize("small", [True, False])
def test_an_lstm_with_other_activations_peepholes_and_a_limit(
    gate, cell, final, peephole, clip, small, monkeypatch
) -> None:
    """Apple's equations, in float64: the peephole of the output gate sees the new cell state, after it was limited.

    Also with the products of a layer that is not small.
    """
    if not small:
        monkeypatch.setattr(stepwise, "SMALL", 0)
    w, r, b = drawn(4 * SIZE, FEATURES), drawn(4 * SIZE, SIZE) / 2, drawn(4 * SIZE)
    p = drawn(3 * SIZE) if peephole else np.zeros(3 * SIZE, np.float32)
    options: dict[str, Any] = {"recurrent_activation": gate, "cell_activation": cell, "activation": final}
    options |= {"peephole": p} if peephole else {}
    options |= {"clip": np.float32(clip)} if clip else {}
    steps, _, last = run(
        lambda x, h: mb.lstm(
            x=x, initial_h=h, initial_c=h, weight_ih=w, weight_hh=r, bias=b, output_sequence=True, **options
        ),
        {"x": X, "h": H},
    )
    h, c, right = H.astype(float), H.astype(float), []
    gates, inner, outer = FUNCTIONS[gate], FUNCTIONS[cell], FUNCTIONS[final]
    for x in X.astype(float):
        i, f, o, z = np.split(x @ w.T.astype(float) + h @ r.T.astype(float) + b, 4, axis=1)
        to_i, to_f, to_o = np.split(p.astype(float), 3)
        c = gates(f + c * to_f) * c + gates(i + c * to_i) * inner(z)
        c = np.clip(c, -clip, clip) if clip else c
        h = gates(o + c * to_o) * outer(c)
        right.append(h)
    np.testing.assert_allclose(steps, np.array(right), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last, c, rtol=1e-5, atol=1e-5)


def test_an_lstm_whose_gates_are_shut_or_open_for_large_numbers() -> None:
    """What a shut gate leaves of a large cell state is right to float32's digits, and nothing overflows to nan."""
    shut = np.array([0, -30, 0, 0], np.float32).repeat(SIZE)
    steps, _, cell = run(
        lambda x, h: mb.lstm(
            x=x, initial_h=h, initial_c=np.full((BATCH, SIZE), 1e6, np.float32), bias=shut, clip=np.float32(1e30),
            weight_ih=np.zeros((4 * SIZE, FEATURES), np.float32), weight_hh=np.zeros((4 * SIZE, SIZE), np.float32),
        ),
        {"x": X[:1], "h": H},
    )  # fmt: skip
    np.testing.assert_allclose(cell, 1e6 * logistic(-30.0), rtol=1e-6)
    np.testing.assert_allclose(steps[0], logistic(0.0) * np.tanh(cell), rtol=1e-6)
    for far in (-3e4, 3e4):
        moved = np.full(4 * SIZE, far, np.float32)
        h = run(
            lambda x, h, bias=moved: mb.lstm(
                x=x, initial_h=h, initial_c=h, bias=bias, clip=np.float32(1e30), weight_ih=drawn(4 * SIZE, FEATURES),
                weight_hh=drawn(4 * SIZE, SIZE),
            ),
            {"x": X[:1], "h": H},
        )[1]  # fmt: skip
        np.testing.assert_allclose(h, np.tanh(H + 1) if far > 0 else np.zeros_like(H), rtol=1e-6, atol=1e-30)


def test_weights_that_are_no_constants_are_read_anew() -> None:
    """The weights of each call count, whatever tensor lay in their place before."""
    x, h, zero = (torch.from_numpy(value) for value in (X, H, np.zeros_like(H)))
    ends = []
    for number in range(3):
        r = torch.from_numpy(drawn(4 * SIZE, SIZE, seed=number))
        w = torch.from_numpy(drawn(4 * SIZE, FEATURES))
        own = lstm(x, h, zero, w, r, clip=1e30)[1]
        theirs = lstm(x, h, zero, w, r)[1]  # torch's layer
        torch.testing.assert_close(own, theirs, atol=2e-6, rtol=1e-5)
        ends.append(own)
    assert not torch.equal(ends[0], ends[1])


def test_a_gru_of_ios_18_with_the_reset_after_the_product_is_torchs() -> None:
    torch.manual_seed(0)
    layer = torch.nn.GRU(FEATURES, SIZE)
    weights = {part: by_gate(getattr(layer, part + "_l0"), (0, 2, 1)) for part in ("weight_ih", "weight_hh")}
    biases = {"input_bias": by_gate(layer.bias_ih_l0, (0, 2, 1)), "bias": by_gate(layer.bias_hh_l0, (0, 2, 1))}
    results = run(
        lambda x, h: mb.gru(x=x, initial_h=h, reset_after=True, output_sequence=True, **weights, **biases),
        {"x": X, "h": H},
        ios=18,
    )
    with torch.no_grad():
        steps, last = layer(torch.from_numpy(X), torch.from_numpy(H)[None])
    np.testing.assert_allclose(results[0], steps.numpy(), atol=2e-6)
    np.testing.assert_allclose(results[1], last[0].numpy(), atol=2e-6)


@pytest.mark.parametrize(
    ("after", "gate", "final"), [(False, "sigmoid", "tanh"), (False, "tanh", "sigmoid"), (True, "hard_sigmoid", "relu")]
)
def test_a_gru_whose_reset_comes_before_the_product_or_with_other_activations(after, gate, final) -> None:
    w, r, b, to_input = drawn(3 * SIZE, FEATURES), drawn(3 * SIZE, SIZE) / 2, drawn(3 * SIZE), drawn(3 * SIZE, seed=4)
    newer: dict[str, Any] = {"reset_after": after, "input_bias": to_input} if after else {}
    steps, _ = run(
        lambda x, h: mb.gru(
            x=x, initial_h=h, weight_ih=w, weight_hh=r, bias=b, output_sequence=True, direction="reverse",
            recurrent_activation=gate, activation=final, **newer,
        ),
        {"x": X, "h": H},
        ios=18 if after else 15,
    )  # fmt: skip
    w_r, w_o, w_z = np.split(w.astype(float), 3)
    r_r, r_o, r_z = np.split(r.astype(float), 3)
    b_r, b_o, b_z = np.split(b.astype(float), 3)
    i_r, i_o, i_z = np.split(to_input.astype(float) if after else np.zeros(3 * SIZE), 3)
    h, right = H.astype(float), []
    for x in X[::-1].astype(float):
        reset = FUNCTIONS[gate](x @ w_r.T + h @ r_r.T + b_r + i_r)
        update = FUNCTIONS[gate](x @ w_z.T + h @ r_z.T + b_z + i_z)
        inner = reset * (h @ r_o.T + b_o) if after else (reset * h) @ r_o.T + b_o
        h = (1 - update) * FUNCTIONS[final](x @ w_o.T + i_o + inner) + update * h
        right.append(h)
    np.testing.assert_allclose(steps, np.array(right), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("final", ["tanh", "relu", "sigmoid", "linear"])
def test_a_plain_recurrent_layer(final: str) -> None:
    w, r, b = drawn(SIZE, FEATURES), drawn(SIZE, SIZE) / 3, drawn(SIZE)
    steps, last = run(
        lambda x, h: mb.rnn(x=x, initial_h=h, weight_ih=w, weight_hh=r, bias=b, activation=final, output_sequence=True),
        {"x": X, "h": H},
    )
    h, right = H.astype(float), []
    for x in X.astype(float):
        h = FUNCTIONS[final](x @ w.T.astype(float) + h @ r.T.astype(float) + b)
        right.append(h)
    np.testing.assert_allclose(steps, np.array(right), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(last, right[-1], rtol=1e-5, atol=1e-5)


def test_shapes_that_do_not_belong_together_are_named() -> None:
    """The converter does not compare the state with the weights."""
    w, r = drawn(SIZE, FEATURES), drawn(SIZE, SIZE)
    with pytest.raises(InputError, match=r"rnn .*the state \(3, 2\) do not belong together"):
        run(lambda x, h: mb.rnn(x=x, initial_h=h, weight_ih=w, weight_hh=r), {"x": X, "h": H[:, :2]})

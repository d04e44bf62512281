"""Streams between layer norms are centred beforehand, and the norms then need no mean."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, fx, nn

from convert._graph.passes import plain_layer_norm, rewrite, zero_mean_streams
from tests.convert._rewriting import D, Of, count, file_of_pass, norm, rewritten

_plain_layer_norm = file_of_pass(plain_layer_norm)
_zero_mean_streams = file_of_pass(zero_mean_streams)


def stream(m: nn.Module, x: Tensor) -> Tensor:
    x = m.enter(x)
    x = x + m.a(m.norm1(x))
    x = x + m.b(m.norm2(x))
    return m.leave(m.norm3(x))


def stream_layers(**more: nn.Module) -> dict[str, nn.Module]:
    layers = {"enter": nn.Linear(D, D), "a": nn.Linear(D, D), "b": nn.Linear(D, D, bias=False)}
    return layers | {"leave": nn.Linear(D, 3)} | {f"norm{i}": norm() for i in (1, 2, 3)} | more


def test_a_stream_between_linears_is_centred(tokens):
    graph = rewritten(zero_mean_streams, Of(stream, **stream_layers()), tokens, fires=3)
    sums = [n for n in graph.graph.nodes if n.target is torch.ops.aten.add.Tensor]
    seen = {}
    interpreter = fx.Interpreter(graph)
    interpreter.run_node = lambda n, run=interpreter.run_node: seen.setdefault(n.name, run(n))
    interpreter.run(tokens)
    assert len(sums) == 2 and all(seen[n.name].mean(-1).abs().max() < 1e-12 for n in sums)


def test_a_stream_through_a_convolution_and_rearrangements_is_centred(picture):
    def forward(m, x):
        y = m.widen(x).flatten(2).transpose(1, 2)  # (N, H W, D)
        y = y + m.a(m.norm1(y))
        return m.norm3(y)

    layers = stream_layers(widen=nn.Conv2d(4, D, 3, padding=1))
    rewritten(zero_mean_streams, Of(forward, **layers), picture, fires=2)


@pytest.mark.parametrize(
    "leak",
    [
        lambda m, x: m.norm1(x),
        lambda m, x: m.leave(m.norm1(y := m.enter(x))) + m.leave(y),
        lambda m, x: m.norm1(torch.relu(m.enter(x))),
        lambda m, x: m.norm1(m.enter(x) + x[:, :, :1]),
        lambda m, x: m.norm1(m.enter(x).reshape(2, 3, 2 * D).reshape(2, 6, D) * 1.0 + m.enter(x).transpose(1, 2).sum()),
    ],
    ids=["from outside", "read elsewhere", "not linear", "broadcast", "read by a sum"],
)
def test_other_streams_are_left(tokens, leak):
    rewritten(zero_mean_streams, Of(leak, **stream_layers()), tokens, fires=0)


@pytest.mark.parametrize("groups", [2, D])
def test_a_convolution_in_groups_is_not_centred(picture, groups):
    """The mean over its outputs is a sum over inputs that no single group sees."""
    layers = {"a": nn.Conv2d(4, D, 1), "b": nn.Conv2d(D, D, 3, padding=1, groups=groups), "n": norm()}
    net = Of(lambda m, x: m.n(m.b(m.a(x)).permute(0, 2, 3, 1)), **layers)
    rewritten(zero_mean_streams, net, picture, fires=0)


def test_a_layer_that_writes_twice_is_centred_in_the_stream_alone(tokens):
    """Its weight is shared with a reader outside, which must not notice."""
    net = Of(lambda m, x: m.leave(m.norm1(m.enter(x))) + m.leave(m.enter(x) * 2), **stream_layers())
    rewritten(zero_mean_streams, net, tokens, fires=1)


def test_a_centring_over_the_wrong_axis_is_noticed(tokens, monkeypatch):
    monkeypatch.setattr(_zero_mean_streams, "without_mean", lambda w: w - w.mean(-1, keepdim=True))
    with pytest.raises(AssertionError):
        both(Of(stream, **stream_layers()), tokens)


def both(module: nn.Module, x: Tensor) -> fx.GraphModule:
    def run(graph):
        graph, fired = rewrite(graph, (zero_mean_streams, plain_layer_norm))
        return graph, sum(fired.values())

    return rewritten(run, module, x, fires=6)


def test_centred_norms_need_no_mean(tokens):
    """Three norms without a subtraction, a scale or a shift of their own: five operations each."""
    graph = both(Of(stream, **stream_layers()), tokens)
    assert count(graph, "layer_norm", "sub") == 0
    assert count(graph, "aten.mean") == 3 and count(graph, "aten.mul") == 6


@pytest.mark.parametrize("options", [{}, {"bias": False}, {"elementwise_affine": False}, {"eps": 0.3}], ids=str)
@pytest.mark.parametrize("reader", ["linear", "two linears", "convolution", "nothing", "padded convolution"])
def test_norms_are_spelled_out(tokens, options, reader):
    def forward(m, x):
        y = m.norm1(x)
        if reader == "linear":
            return m.leave(y)
        if reader == "two linears":
            return m.leave(y) + m.leave2(y)
        if reader == "nothing":
            return y * 2
        return m.conv(y.transpose(1, 2).reshape(2, D, 3, 2))

    padding = 1 if reader == "padded convolution" else 0
    layers = {
        "norm1": norm(**options), "leave": nn.Linear(D, 3), "leave2": nn.Linear(D, 3, bias=False),
        "conv": nn.Conv2d(D, 5, 1, padding=padding),
    }  # fmt: skip
    used = {"linear": ["leave"], "two linears": ["leave", "leave2"], "nothing": []}.get(reader, ["conv"])
    graph = rewritten(plain_layer_norm, Of(forward, **{k: layers[k] for k in ["norm1", *used]}), tokens, fires=1)
    assert count(graph, "layer_norm") == 0
    spelled = reader in {"nothing", "padded convolution"} and options.get("elementwise_affine", True)
    assert count(graph, "aten.mul") == 2 + bool(spelled) + (reader == "nothing")


def test_a_norm_over_two_axes_is_left(tokens):
    rewritten(plain_layer_norm, Of(lambda m, x: m.n(x), n=nn.LayerNorm([6, D])), tokens, fires=0)


def test_a_forgotten_shift_is_noticed(tokens, monkeypatch):
    absorb = _plain_layer_norm.absorb
    monkeypatch.setattr(_plain_layer_norm, "absorb", lambda graph, layer, g, b: absorb(graph, layer, g, None))
    with pytest.raises(AssertionError):
        rewritten(plain_layer_norm, Of(lambda m, x: m.l(m.n(x)), n=norm(), l=nn.Linear(D, 3)), tokens, fires=1)

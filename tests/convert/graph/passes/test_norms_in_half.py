"""Norms in half precision, in a graph: what they add up, and that float answers stay bit for bit."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, fx

from convert._extremes import drawn
from convert._graph.graph import trace
from convert._graph.passes import HALF_SUM_PASSES, ONNX_PASSES, PASSES, rewrite
from convert._half_steps import LARGEST, Step
from tests.convert._loud_streams import SIDE, Streams
from tests.convert._rewriting import count, file_of_pass

(norms_in_half,) = HALF_SUM_PASSES
_norms_in_half = file_of_pass(norms_in_half)
PICTURES = torch.from_numpy(drawn(SIDE).astype(np.float32))


def spelled_out(**options) -> fx.GraphModule:
    graph, _ = rewrite(trace(Streams(**options), torch.zeros(1, SIDE, SIDE, 3)), (*PASSES, *ONNX_PASSES))
    return graph


def answers(graph: fx.GraphModule) -> Tensor:
    with torch.no_grad():
        return torch.cat([graph(picture[None]) for picture in PICTURES])


def largest_sum(graph: fx.GraphModule) -> float:
    return max(sums.largest for _, sums in _norms_in_half.sums_of(graph, _norms_in_half.norms_of(graph)))


@pytest.mark.parametrize("rms", [False, True])
def test_a_stream_that_only_norms_read_is_smaller_with_no_operation_more(rms: bool) -> None:
    graph = spelled_out(rms=rms)
    smaller, fired = norms_in_half(graph)
    assert fired == 3 and len(smaller.graph.nodes) == len(graph.graph.nodes)
    assert largest_sum(graph) > LARGEST and largest_sum(smaller) < LARGEST / 2
    assert torch.equal(answers(smaller), answers(graph))
    assert np.ptp(answers(graph).numpy(), axis=0).max() > 0.01  # the pictures make a difference
    stored = [set(dict(one.named_buffers())) | set(dict(one.named_parameters())) for one in (graph, smaller)]
    assert stored[0] == stored[1]  # what was measured of a weight is found by its name


@pytest.mark.parametrize("options", [{"leak": True}, {"gelu": True}], ids=str)
def test_a_stream_with_other_readers_or_writers_is_made_smaller_in_front_of_its_norms(options: dict) -> None:
    graph = spelled_out(**options)
    smaller, fired = norms_in_half(graph)
    assert fired == 3 and count(smaller, "aten.mul") == count(graph, "aten.mul") + 3
    assert torch.equal(answers(smaller), answers(graph)) and largest_sum(smaller) < LARGEST / 2


def test_small_weights_are_not_made_smaller(monkeypatch) -> None:
    """Where half precision would lose their digits, x is multiplied in front of the norms."""
    value = _norms_in_half.Stream.graph_value
    monkeypatch.setattr(_norms_in_half.Stream, "graph_value", lambda stream, name: 1e-6 * value(stream, name))
    graph = spelled_out()
    smaller, fired = norms_in_half(graph)
    assert fired == 3 and len(smaller.graph.nodes) == len(graph.graph.nodes) + 3
    assert torch.equal(answers(smaller), answers(graph))


def test_a_quiet_norm_of_a_stream_keeps_its_digits(monkeypatch) -> None:
    """A norm that bears no factor keeps the others of its stream from putting one into the weights."""
    steps = iter([Step(0, 0), Step(4, 4), Step(4, 4)])
    monkeypatch.setattr(_norms_in_half, "step_of", lambda sums, eps: next(steps))
    graph = spelled_out()
    smaller, fired = norms_in_half(graph)
    assert fired == 2 and len(smaller.graph.nodes) == len(graph.graph.nodes) + 2
    assert torch.equal(answers(smaller), answers(graph))


def test_a_weight_that_others_read_is_left() -> None:
    class Shared(Streams):
        def forward(self, picture):
            return (super().forward(picture) + torch.softmax(self.a.weight.sum(1)[:3], 0)) / 2

    graph, _ = rewrite(trace(Shared(), torch.zeros(1, SIDE, SIDE, 3)), PASSES[:1])
    own = _norms_in_half.Stream(graph, [])
    node = next(one for one in graph.graph.find_nodes(op="get_attr") if one.target == "a.weight")
    linear = next(user for user in node.users if user.target is torch.ops.aten.linear.default)
    assert own.note(linear, node) and not own.is_own("a.weight")


def test_small_numbers_are_left() -> None:
    graph = spelled_out(size=1.0)
    smaller, fired = norms_in_half(graph)
    assert fired == 0 and torch.equal(answers(smaller), answers(graph))


def test_an_epsilon_that_is_left_as_it_was_is_noticed(monkeypatch) -> None:
    graph = spelled_out()
    update = fx.Node.update_arg
    monkeypatch.setattr(fx.Node, "update_arg", lambda node, place, value: None)
    smaller, _ = norms_in_half(graph)
    monkeypatch.setattr(fx.Node, "update_arg", update)
    assert (answers(smaller) - answers(graph)).abs().max() > 1e-4

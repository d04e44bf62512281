"""Operations without a name of ours, in torch's smaller ones: what each computes stays, and where it comes from."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import aten, trace
from convert._graph.take_apart import take_apart
from tests.convert._rewriting import Of, count, rewritten, settled


@pytest.fixture
def x() -> torch.Tensor:
    return torch.randn(2, 4, 6, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize(
    ("target", "forward"),
    [
        (aten.reshape_as.default, lambda m, x: x.tanh().reshape_as(x.flatten(1))),
        (aten.einsum.default, lambda m, x: torch.einsum("bchw,bdhw->bcd", x, x)),
        (aten.einsum.default, lambda m, x: torch.einsum("...ij,...ij->...", x.mT, x.flip(1).mT)),
        (aten.addcmul.default, lambda m, x: torch.addcmul(x, x, x.sin(), value=0.3)),
        (aten.repeat.default, lambda m, x: x.repeat(1, 2, 1, 3)),
        (aten.baddbmm.default, lambda m, x: torch.baddbmm(x[0, :, :5, :5], x[0, :, :5], x[1, :, :5], alpha=0.5)),
        (aten.glu.default, lambda m, x: F.glu(x, 1)),
        (aten.pad.default, lambda m, x: F.pad(x, (1, 2, 1, 0), mode="replicate")),
        (aten.aminmax.default, lambda m, x: (both := torch.aminmax(x, dim=1))[0] * both[1]),
    ],
)
def test_computes_what_it_did(x, target, forward):
    graph = rewritten(lambda graph: take_apart(graph, {target}), Of(forward), x, fires=1)
    assert target not in {node.target for node in graph.graph.nodes}


def test_what_was_not_asked_for_stays(x):
    net = Of(lambda m, x: torch.addcmul(x, x, x).reshape_as(x))
    graph = rewritten(lambda graph: take_apart(graph, {aten.reshape_as.default}), net, x, fires=1)
    assert count(graph, "addcmul") == 1


@pytest.mark.parametrize(
    ("target", "forward"),
    [
        (aten.erf.default, lambda m, x: torch.erf(x)),  # torch has no smaller operations
        (aten.flip.default, lambda m, x: x.flip(1)),  # they are not ATen's
    ],
)
def test_what_has_no_parts_is_left(x, target, forward):
    rewritten(lambda graph: take_apart(graph, {target}), Of(forward), x, fires=0)


def test_parts_come_from_where_the_whole_came_from(x):
    """A refusal of a part has to name the module that asked for the whole."""
    inner = Of(lambda m, x: torch.einsum("bchw,bdhw->bcd", x, x))
    graph, _ = take_apart(trace(settled(nn.Sequential(nn.Tanh(), inner)), x), {aten.einsum.default})
    paths = {node.name: list(node.meta["nn_module_stack"].values())[-1][0] for node in graph.graph.nodes
             if node.op == "call_function"}  # fmt: skip
    assert paths.pop("tanh") == "0" and len(paths) > 1 and set(paths.values()) == {"1"}


@pytest.mark.filterwarnings("ignore:The tensor attribute:UserWarning")
def test_what_changes_in_place_inside_is_left(x):
    """A GRU's parts do; torch.export refuses them later without a name."""
    net = Of(lambda m, x: m.layer(x[0])[0], layer=nn.GRU(5, 3)).requires_grad_(False)
    rewritten(lambda graph: take_apart(graph, {aten.gru.input}), net, x, fires=0)

"""Rolls for Core ML: slices instead of gathers, and nothing else is spelled out."""

from __future__ import annotations

import torch
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import NEURAL_ENGINE_PASSES, plain_rolls, rewrite
from tests.convert._rewriting import Of, count, rewritten


def test_rolls_become_slices_and_all_else_stays() -> None:
    x = torch.randn(1, 4, 6, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    net = Of(lambda m, x: m.c(torch.roll(x, (-2, 3), (2, 3))).roll(1, 1).softmax(1), c=nn.Conv2d(4, 4, 1))
    graph = rewritten(plain_rolls, net, x, fires=2)
    assert count(graph, "roll") == 0 and count(graph, "cat") == 3 and count(graph, "softmax") == 1


def test_what_core_ml_is_given_gathers_nothing() -> None:
    """The exporter spells a roll out as a gather; what goes to Core ML holds none to spell out."""
    x = torch.randn(1, 4, 6, 8)
    module = Of(lambda m, x: torch.roll(m.c(x), (-2, 3), (2, 3)), c=nn.Conv2d(4, 4, 1)).eval()
    graph, _ = rewrite(trace(module, x), NEURAL_ENGINE_PASSES)
    program = torch.export.export(graph, (x,)).run_decompositions({})
    assert not [node for node in program.graph.nodes if "index" in str(node.target) or "roll" in str(node.target)]

"""What does nothing goes, what depends on constants alone is a constant, and nothing is computed twice."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import drop_identities, fold_constants, share_results
from edge.errors import InputError
from tests.convert._rewriting import D, Of, count, rewritten


def test_identities_go(tokens):
    def forward(m, x):
        return F.pad((m.drop(x).contiguous().clone() + 0) / 1.0 * m.a(x), (0, 0, 0, 0))

    graph = rewritten(drop_identities, Of(forward, drop=nn.Dropout(0.5), a=nn.Linear(D, D)), tokens, fires=5)
    assert count(graph, "pad", "dropout", "clone", "contiguous", "div") == 0


def test_a_cast_to_the_same_type_goes_with_its_check(tokens):
    """The tracer puts a check of the type before a cast, which no runtime has an operator for."""
    graph = rewritten(drop_identities, Of(lambda m, x: (x + 1).to(x.dtype) * x.sum().to(x.dtype)), tokens, fires=4)
    assert count(graph, "_assert", "aten.to.") == 0


def test_tables_made_in_the_forward_pass_become_constants(tokens):
    """What tracing asserts of their types goes too: it keeps them, and no file has an operator for it."""

    def forward(m, x):
        table = torch.from_numpy(np.eye(D, dtype=np.float32)).to(x)
        return x @ (table * 2)

    graph = rewritten(drop_identities, Of(forward), tokens, fires=2)
    assert count(graph, "lift", "assert") == 0
    folded, _ = fold_constants(graph)
    assert [str(node.target) for node in folded.graph.nodes if node.op == "call_function"] == ["aten.matmul.default"]


def test_what_does_something_stays(tokens):
    rewritten(drop_identities, Of(lambda m, x: torch.zeros(3, 2, 6, D, dtype=x.dtype) + (x + 1) * 2), tokens, fires=0)


def test_a_dropout_in_place_goes(tokens):
    graph = rewritten(drop_identities, Of(lambda m, x: F.dropout(x * 2, training=False, inplace=True)), tokens, fires=1)
    assert count(graph, "dropout") == 0


def test_a_view_that_needed_its_copy_still_runs(tokens):
    """Without the copy the view's memory is in another order, which a view refuses and a reshape does not."""
    graph = rewritten(drop_identities, Of(lambda m, x: x.transpose(1, 2).contiguous().view(2, -1)), tokens, fires=1)
    assert count(graph, "contiguous") == 0


def test_what_depends_on_constants_alone_is_computed(tokens):
    """Five operations on a table, and a mask made of numbers."""

    def forward(m, x):
        bias = m.table[m.index].reshape(6, 6).t().unsqueeze(0)
        return x @ x.transpose(1, 2) + bias + torch.ones(6, 6, dtype=x.dtype).tril()

    net = Of(forward)
    net.register_buffer("table", torch.randn(11, dtype=torch.float64))
    net.register_buffer("index", torch.arange(36) % 11)
    graph = rewritten(fold_constants, net, tokens, fires=6)
    assert count(graph, "aten.") == 4  # the product with its transpose, two sums


def test_random_numbers_are_not_constants(tokens):
    """They never come as far as the folding, which would draw them once for all pictures."""
    with pytest.raises(InputError, match=r"aten\.rand\.default.*draws random numbers"):
        trace(Of(lambda m, x: x + torch.rand(6, D, dtype=x.dtype)), tokens)


def test_the_same_is_computed_once(picture):
    net = Of(lambda m, x: m.c(x).mean((2, 3)) + m.c(x).mean((2, 3)).tanh() + m.c(x).mean(2).sum(), c=nn.Conv2d(4, 4, 1))
    graph = rewritten(share_results, net, picture, fires=3)  # two convolutions and a mean
    assert count(graph, "conv2d") == 1 and count(graph, "aten.mean") == 2


def test_what_differs_is_computed_twice(picture):
    net = Of(
        lambda m, x: m.c(x) + m.d(x) + m.c(x + 1) + F.avg_pool2d(x, 1, 1), c=nn.Conv2d(4, 4, 1), d=nn.Conv2d(4, 4, 1)
    )
    rewritten(share_results, net, picture, fires=0)

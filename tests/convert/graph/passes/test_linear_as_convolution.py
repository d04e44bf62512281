"""Linear layers become 1x1 convolutions, for the Neural Engine."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.passes import linear_as_convolution, pooling_matrices
from tests.convert._rewriting import Of, count, file_of_pass, rewritten

_linear_as_convolution = file_of_pass(linear_as_convolution)
_pooling_matrices = file_of_pass(pooling_matrices)


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (3, 5), (1, 7, 5), (2, 3, 4, 5)])
def test_linear_layers_are_convolutions(shape, bias):
    module = Of(lambda m, x: m.layer(x), layer=nn.Linear(5, 6, bias=bias))
    new = rewritten(linear_as_convolution, module, torch.randn(shape, dtype=torch.float64), fires=1)
    assert count(new, "linear") == 0 and count(new, "conv2d") == 1
    (convolution,) = new.graph.find_nodes(op="call_function", target=torch.ops.aten.conv2d.default)
    assert convolution.meta["module"] == "layer"


def test_a_layer_that_is_used_twice_is_two_convolutions():
    module = Of(lambda m, x: m.layer(m.layer(x)), layer=nn.Linear(5, 5))
    new = rewritten(linear_as_convolution, module, torch.randn(2, 5, dtype=torch.float64), fires=2)
    assert count(new, "linear") == 0


def test_a_computed_weight_is_left():
    module = Of(lambda m, x: F.linear(x, x), layer=nn.Identity())
    rewritten(linear_as_convolution, module, torch.randn(3, 5, dtype=torch.float64), fires=0)


def test_a_wrong_convolution_is_noticed(monkeypatch):
    monkeypatch.setattr(_linear_as_convolution, "add_constant", lambda g, n, v: _add_twice(g, n, v))
    module = Of(lambda m, x: m.layer(x), layer=nn.Linear(5, 6))
    with pytest.raises(AssertionError):
        rewritten(linear_as_convolution, module, torch.randn(3, 5, dtype=torch.float64), fires=1)


def _add_twice(graph, name, value):
    return _pooling_matrices.add_constant(graph, name, 2 * value)

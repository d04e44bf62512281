"""Functions without an operator become plain arithmetic, and compute alike in float64."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from convert._graph.graph import trace
from convert._graph.passes import plain_functions, unknown_functions
from tests.convert._rewriting import Of, count, rewritten

BOTH = {
    "hardshrink": lambda x: F.hardshrink(x, 0.3),
    "addcmul": lambda x: torch.addcmul(x, x + 1, x * 2, value=0.5),
    "addcdiv": lambda x: torch.addcdiv(x, x, x.abs() + 1),
    "lerp": lambda x: torch.lerp(x, x.square(), 0.3) + torch.lerp(x, x.square(), x.sigmoid()),
    "logit": lambda x: torch.logit(x.sigmoid()) + torch.logit(x, 1e-3),
    "sinc": lambda x: torch.sinc(F.relu(x)),  # half of the places are 0
    "hypot": lambda x: torch.hypot(x, x + 1),
    "logaddexp": lambda x: torch.logaddexp(40 * x, x + 1),
    "remainder": lambda x: x % 0.7 + (3 * x) % 1.0 + x % -1.3,
    "clamp.Tensor": lambda x: torch.clamp(x, x.mean(1, keepdim=True), x.flip(2) + 0.5),
}
TRAINED = nn.Parameter(torch.tensor([2.5], dtype=torch.float64))
TFLITE = {
    "pow.Tensor_Tensor": lambda x: (x.abs() + 0.1) ** TRAINED,
    "exp2": torch.exp2,
    "softshrink": lambda x: F.softshrink(x, 0.3),
    "rrelu": lambda x: F.rrelu(x, 0.1, 0.5),
}
COREML = {
    "celu": lambda x: F.celu(x, 0.6),
    "log_sigmoid": lambda x: F.logsigmoid(20 * x),
    "channel_shuffle": nn.ChannelShuffle(2),
    "std": lambda x: x.std() * x + x.std((2, 3), keepdim=True, correction=0),
    "var": lambda x: x.var() * x + x.var((2, 3), keepdim=True),
    "var_mean": lambda x: torch.stack(torch.var_mean(x, (2, 3))).sum(0),
}


@pytest.mark.parametrize(
    ("spelled", "name"),
    [(plain_functions, name) for name in BOTH | TFLITE] + [(unknown_functions, name) for name in BOTH | COREML],
)
def test_functions_are_spelled_out(picture, spelled, name):
    function = (BOTH | TFLITE | COREML)[name]
    times = {"lerp": 2, "logit": 2, "remainder": 3, "std": 2, "var": 2}.get(name, 1)
    graph = rewritten(spelled, Of(lambda _, x: function(x)), picture, fires=times)
    assert count(graph, f"aten.{name}") == 0


def test_what_coremltools_knows_is_left(picture):
    net = Of(lambda _, x: torch.exp2(x) + F.rrelu(x) + F.elu(x))
    rewritten(unknown_functions, net, picture, fires=0)


def test_random_slopes_of_training_are_left():
    x = torch.rand(1, 2, 3, 3)
    graph = trace(Of(lambda _, x: F.rrelu(x)), x)
    (node,) = [node for node in graph.graph.nodes if "rrelu" in str(node.target)]
    node.args = (node.args[0], 0.1, 0.3, True)
    assert plain_functions(graph)[1] == 0

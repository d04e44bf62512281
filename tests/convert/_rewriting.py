"""What the tests of graph rewrites share."""

from __future__ import annotations

import copy
import sys
from types import ModuleType

import torch
from torch import Tensor, fx, nn

from convert._graph.graph import trace

D = 8  # width of the tokens that passes are tried on
TOLERANCE = 1e-9  # float64: the order of a few additions differs, nothing else


class Of(nn.Module):
    """A module from a function and the layers that it uses."""

    def __init__(self, function, **layers: nn.Module) -> None:
        super().__init__()
        self.function = function
        for name, layer in layers.items():
            self.add_module(name, layer)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(self, x)


def norm(size: int = D, **options) -> nn.LayerNorm:
    """A layer norm whose scale and shift, where it has any, matter."""
    made = nn.LayerNorm(size, **options)
    if made.elementwise_affine:
        nn.init.normal_(made.weight)
        if made.bias is not None:
            nn.init.normal_(made.bias)
    return made


def settled(module: nn.Module) -> nn.Module:
    """The module in float64, with running statistics and scales as after a training, from a seed."""
    torch.manual_seed(0)
    module = module.double()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_()
            part.running_var.uniform_(0.3, 3.0)
            if part.affine:
                part.weight.data.normal_(1.0, 0.5)
                part.bias.data.normal_()
    return module.eval()


def count(graph: fx.GraphModule, *words: str) -> int:
    """The calls whose target has one of the words in its name, counted in the printed graph."""
    return sum(any(word in str(node.target) for word in words) for node in graph.graph.nodes if node.op != "get_attr")


def ranks(graph: fx.GraphModule) -> int:
    """The highest rank of a value in the graph."""
    values = [node.meta["val"] for node in graph.graph.nodes if node.op == "call_function"]
    return max(value.ndim for value in values if isinstance(value, Tensor))


def rewritten(rewrite, module: nn.Module, x: torch.Tensor, *, fires: int) -> fx.GraphModule:
    """The rewritten graph, after the pass fired so often, left its input alone, and changed no answer."""
    module = settled(module)
    expected = module(x)
    graph = trace(module, x)
    code, state = graph.code, copy.deepcopy(graph.state_dict())
    new, fired = rewrite(graph)
    assert fired == fires
    assert new is not graph
    assert graph.code == code
    assert graph.state_dict().keys() == state.keys()
    assert all(torch.equal(graph.state_dict()[key], value) for key, value in state.items())
    assert torch.equal(graph(x), expected)
    assert (new(x) - expected).abs().max() <= TOLERANCE
    other = x.flip(-1) * 1.7 + 0.3  # what was folded must not be the example's own numbers
    assert (new(other) - module(other)).abs().max() <= TOLERANCE
    assert new(x).shape == expected.shape and new(x).dtype == expected.dtype
    return new


def file_of_pass(rewrite) -> ModuleType:
    """The module of a pass, which has the pass's own name and so is hidden behind it."""
    return sys.modules[rewrite.__module__]

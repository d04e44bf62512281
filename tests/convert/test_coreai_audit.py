"""What the audit of a Core AI file in half precision names, and in which module of the network."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from convert._coreai.audit import known_faults
from convert._graph.graph import trace

SIDE = 16


class Scaled(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x) * self.factor


class Planted(nn.Module):
    def __init__(self, factor: float) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.stem, self.block, self.head = nn.Conv2d(3, 8, 3, 2), Scaled(factor), nn.Linear(8, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.block(self.stem(x)).mean((2, 3)) / self.block.factor)


@pytest.mark.parametrize("factor", [1.0, 1e6])
def test_what_overflows_is_named_with_its_module_and_nothing_else_is(factor: float) -> None:
    """Half precision ends at 65504; that of the chip that is wrong by default is said of every such file."""
    net = trace(Planted(factor).eval(), torch.zeros(1, 3, SIDE, SIDE))
    like: Any = SimpleNamespace(preprocess=SimpleNamespace(side=SIDE, mean=(0.5,) * 3, std=(0.25,) * 3))
    lines = known_faults(net, like)
    assert "coreai-torch#115" in lines[0] and "(whole file)" in lines[0]
    assert len(lines) == 1 + (factor > 1)
    if factor > 1:  # the product, and the mean behind it
        assert lines[1].startswith("known-fault: 2 results, first of aten.mul.Tensor (mul in block), ")
        assert "coreai-torch#106" in lines[1]

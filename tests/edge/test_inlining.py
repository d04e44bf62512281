"""Blocks of `torch.no_grad` and `torch.autocast` become plain operations; what is none is refused in words."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from edge.errors import InputError
from edge.exporting import exported
from edge.program import from_bytes, to_bytes

pytestmark = pytest.mark.filterwarnings("ignore:CUDA is not available:UserWarning")
SIDE = 4


class Net(nn.Module):
    def __init__(self, body: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.layer, self.body = nn.Conv2d(3, 3, 1), body

    def forward(self, x: Tensor) -> Tensor:
        return self.body(self.layer(x)).mean((2, 3))


def no_grad(x: Tensor) -> Tensor:
    with torch.no_grad():
        y, z = x.sin(), x.cos()
    return x * y + z


def nested(x: Tensor) -> Tensor:
    with torch.no_grad():
        y = x.sin()
        with torch.autocast("cuda"):
            y = y @ y
    return x + y


def switched_off(x: Tensor) -> Tensor:
    with torch.autocast("cpu", enabled=False):
        return x.exp()


class WholeForward(Net):
    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)


def test_a_block_may_give_the_networks_answer() -> None:
    torch.manual_seed(0)
    net, picture = WholeForward(torch.sin).eval(), torch.rand(1, 3, SIDE, SIDE)
    assert torch.equal(from_bytes(to_bytes(net, SIDE), where="the network")(picture), net(picture))


@pytest.mark.parametrize("body", [no_grad, nested, switched_off])
def test_a_block_is_its_operations(body: Callable[[Tensor], Tensor]) -> None:
    torch.manual_seed(0)
    net, picture = Net(body).eval(), torch.rand(1, 3, SIDE, SIDE)
    program = exported(net, picture)
    calls = [node.target for node in program.graph.nodes if node.op == "call_function"]
    assert all(isinstance(call, torch._ops.OpOverload) for call in calls)
    assert torch.equal(from_bytes(to_bytes(net, SIDE), where="the network")(picture), net(picture))


def in_half(x: Tensor) -> Tensor:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        return (x @ x).float()


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (in_half, r"computes in bfloat16 \(torch.autocast on the CPU\)"),
        (lambda x: x * x.mean().item(), r"a Python number of a tensor \(test_inlining.py:\d+\)"),
        (lambda x: x * x.mean((2, 3)).tolist()[0][0], r"a Python number of a tensor"),
        (lambda x: torch.cond(x.mean() > 0, torch.sin, torch.cos, (x,)), r"calls cond \(test_inlining.py:\d+\)"),
    ],
    ids=["half", "item", "tolist", "cond"],
)
def test_what_is_no_operation_is_said(body: Callable[[Tensor], Tensor], words: str) -> None:
    torch.manual_seed(0)
    with pytest.raises(InputError, match=words):
        to_bytes(Net(body).eval().requires_grad_(False), SIDE)

"""Masks that no picture changes, against those that one does: only the first become places."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from edge.constant_masks import masks_of
from edge.errors import InputError
from edge.exporting import exported, has_open_shape

SIDE = 6
ROWS = torch.arange(SIDE)


class Net(nn.Module):
    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function
        self.register_buffer("kept", ROWS % 2 == 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.function(x) if self.function is not own_buffer else x[:, :, self.get_buffer("kept")]


def own_buffer(x: Tensor) -> Tensor:
    raise AssertionError("the network takes its own buffer")


def overwritten(x: Tensor) -> Tensor:
    mask = torch.zeros(SIDE, dtype=torch.bool)
    mask.copy_(x[0, 0, 0] > 0)
    return x[:, :, mask]


def of_a_part(x: Tensor) -> Tensor:
    """A view of memory that the picture reached."""
    table = torch.zeros(2, SIDE)
    table[0] = x[0, 0, 0]
    return x[:, :, table[1] > 0]


CONSTANT = {
    "made on the way": lambda x: x[:, :, ROWS % 3 != 0],
    "a buffer": own_buffer,
    "a list": lambda x: x[:, [True, False, True]],
    "numpy": lambda x: x[..., np.arange(SIDE) > 2],
    "of two axes": lambda x: x[:, :, ROWS[:, None] > ROWS],
    "nothing left": lambda x: x[:, :, ROWS > 99],
    "two in turn": lambda x: x[:, :, ROWS > 1][:, :, ROWS[:4] < 3],
    "places": lambda x: x[:, :, (ROWS > 3).nonzero()[:, 0]] + x[..., torch.where(ROWS % 3 == 1)[0]].mT,
    "places of two axes": lambda x: x[:, :, *torch.nonzero(ROWS[:, None] > ROWS, as_tuple=True)],
    "selected": lambda x: torch.masked_select(x, ROWS > 3),
}
OF_THE_PICTURE = {
    "compared": lambda x: x[:, :, x[0, 0, 0] > 0],
    "by its place": lambda x: x[:, :, x[0, 0, 0].argmax() > ROWS],
    "a number for Python": lambda x: x[:, :, x.mean().item() < ROWS],
    "numbers for Python": lambda x: x[:, :, x.tolist()[0][0][0][0] < ROWS],
    "overwritten": overwritten,
    "a view": of_a_part,
    "its length": lambda x: x[:, :, torch.arange(SIDE) < len(x[x > 0])],
}


@pytest.mark.parametrize("name", CONSTANT)
def test_a_mask_that_no_picture_changes_has_a_fixed_shape(name: str) -> None:
    net, example = Net(CONSTANT[name]).eval(), torch.zeros(1, 3, SIDE, SIDE)
    program = exported(net, example)
    assert not any(has_open_shape(node) for node in program.graph.nodes)
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(program.module()(picture), net(picture))


@pytest.mark.parametrize("name", OF_THE_PICTURE)
def test_a_mask_that_depends_on_the_picture_stays(name: str) -> None:
    net, example = Net(OF_THE_PICTURE[name]).eval(), torch.zeros(1, 3, SIDE, SIDE)
    assert not any(masks_of(net, example))
    try:
        program = exported(net, example)
    except InputError:
        return
    assert any(has_open_shape(node) for node in program.graph.nodes)


def test_what_the_picture_decides_stands_between_the_others() -> None:
    def both(x: Tensor) -> Tensor:
        y = x.clone()
        y[x > 0] = 0.5
        return y[:, :, ROWS > 1] * y[..., ROWS > 99].sum()

    assert masks_of(Net(both).eval(), torch.zeros(1, 3, SIDE, SIDE)) == [None, [[[2, 3, 4, 5]]], [[[]]]]
    program = exported(Net(both), torch.zeros(1, 3, SIDE, SIDE))
    picture = torch.randn(1, 3, SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    assert torch.equal(program.module()(picture), Net(both)(picture))

"""Rounded quotients, remainders and choices become plain arithmetic, and compute alike in float64."""

from __future__ import annotations

import math

import pytest
import torch

from convert._graph.passes import plain_choices, plain_quotients
from tests.convert._rewriting import Of, count, rewritten

QUOTIENTS = {
    "trunc": lambda x: (3 * x).trunc() + torch.fix(5 * x),
    "div.Tensor_mode": lambda x: (
        torch.div(5 * x, 2.0, rounding_mode="floor") + torch.div(5 * x, x.abs() + 0.7, rounding_mode="trunc")
    ),
    "floor_divide": lambda x: (5 * x) // -2 + (5 * x) // (x.abs() + 0.7),
    "remainder": lambda x: torch.remainder(5 * x, x.abs() + 0.7) + torch.remainder(5 * x, -0.7 - x.abs()),
    "fmod": lambda x: torch.fmod(5 * x, -1.3) + torch.fmod(5 * x, x.abs() + 0.7),
    "round.decimals": lambda x: x.round(decimals=1) + (900 * x).round(decimals=-2),
}
CHOICES = {
    "where.Scalar": lambda x: torch.where(x > 0.2, 0, x) + torch.where(x > 0.2, x, 1) + torch.where(x > 0, 1, 0.5),
    "where.self": lambda x: torch.where(x > 0.2, (3 * x).int(), x),
    "nan_to_num": lambda x: torch.nan_to_num((x / x.relu().floor()).log(), 0.3, 3.0, -4.0) + torch.nan_to_num(x.log()),
    "__and__": lambda x: ((x > 0) & (x < 1) | (x < -0.5) ^ (x > -1)) * x,
}


@pytest.mark.parametrize("name", QUOTIENTS)
def test_quotients_are_spelled_out(picture, name: str) -> None:
    graph = rewritten(plain_quotients, Of(lambda _, x: QUOTIENTS[name](x)), picture, fires=2)
    assert count(graph, f"aten.{name}") == 0


@pytest.mark.parametrize(("name", "fires"), [("where.Scalar", 3), ("where.self", 1), ("nan_to_num", 2), ("__and__", 3)])
def test_choices_are_of_one_type(picture, name: str, fires: int) -> None:
    graph = rewritten(plain_choices, Of(lambda _, x: CHOICES[name](x)), picture, fires=fires)
    choices = [node for node in graph.graph.nodes if str(node.target) == "aten.where.self"]
    assert all(len({part.meta["val"].dtype for part in node.args[1:]}) == 1 for node in choices)
    assert name.startswith("where") or count(graph, f"aten.{name}") == 0


def test_whole_numbers_are_left(picture) -> None:
    net = Of(lambda _, x: ((3 * x).int() // 2 + torch.div((9 * x).int(), 4, rounding_mode="trunc")) * x)
    rewritten(plain_quotients, net, picture, fires=0)


def test_infinity_is_put_off_and_the_rest_is_not(picture) -> None:
    x = torch.tensor([math.inf, -math.inf, math.nan, 100.0, -100.0])
    net = Of(lambda _, picture: torch.nan_to_num(picture.sum() * 0 + x.to(picture.dtype), 1.0, 2.0, 3.0))
    rewritten(plain_choices, net, picture, fires=1)

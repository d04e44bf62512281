"""Slices with steps become reshapes, slices without steps and transposes."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from convert._graph.graph import trace
from convert._graph.passes import rearrange, strided_slices
from tests.convert._rewriting import Of, count, file_of_pass, ranks, rewritten

_strided_slices = file_of_pass(strided_slices)


def patches_merged(x: Tensor) -> Tensor:
    return torch.cat([x[:, a::2, b::2] for b in (0, 1) for a in (0, 1)], -1)


@pytest.mark.parametrize(
    "forward",
    [
        patches_merged,
        lambda x: torch.cat([x[:, :, a::2, b::3] for a in range(2) for b in range(3)], 1),
        lambda x: torch.cat([x[..., a::3] for a in range(3)], 2),
        lambda x: torch.cat([x[:, a::2, :, b::2] for b in (0, 1) for a in (0, 1)], 0),
        lambda x: torch.cat([x[:, :, a - 2 :: 2, b::2] for a in (0, 1) for b in (0, 1)], 1)[:, :, :1],
        lambda x: torch.cat([x[::2], x[1::2]], 1),
    ],
    ids=["patch merging", "two and three", "one axis", "along the batch", "from behind", "the batch itself"],
)
def test_all_residues_side_by_side_are_transposed(forward):
    x = torch.randn(2, 4, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))

    def run(graph):
        graph, fired = strided_slices(graph)
        return rearrange(graph)[0], fired

    graph = rewritten(run, Of(lambda m, x: forward(x) * 2), x, fires=1)
    assert count(graph, "permute") <= 2 and count(graph, "cat") == 0 and ranks(graph) <= 4


def test_patches_are_merged_by_one_transpose_of_whole_rows():
    x = torch.randn(1, 8, 6, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    graph, _ = rearrange(strided_slices(trace(Of(lambda m, x: patches_merged(x) * 2), x))[0])
    (move,) = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.permute.default)
    assert move.meta["val"].shape == (4, 6, 2, 4) and move.args[1] in ([0, 2, 1, 3], (0, 2, 1, 3))


@pytest.mark.parametrize(
    ("forward", "fires"),
    [
        (lambda x: x[:, :, ::2, 1::3], 2),
        (lambda x: x[:, :, 1::3], 1),  # 1, 4, 7 of 8: cut in front
        (lambda x: x[:, :, ::3], 1),  # 0, 3, 6 of 8: a zero behind
        (lambda x: x[:, :, 1:6:2] + x[:, :, -6:-1:2], 2),
        (lambda x: x[:, :, 5::4], 1),
        (lambda x: x[:, 1::2, ::5], 2),
        (lambda x: torch.cat([x[:, :, ::2], x[:, :, ::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, 1::2], x[:, :, ::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, ::2], x.tanh()[:, :, 1::2]], 1), 2),
        (lambda x: torch.cat([x[:, :, ::2], x[:, :, 1::2]], 2), 2),
        (lambda x: torch.cat([x[:, :, ::4], x[:, :, 1::4]], 1), 2),
    ],
    ids=[
        "two axes", "cut", "padded", "both ends", "one place", "channels", "twice the same", "another order",
        "two values", "along their own axis", "not all",
    ],
)  # fmt: skip
def test_a_step_is_a_reshape_and_a_slice(picture, forward, fires):
    graph = rewritten(strided_slices, Of(lambda m, x: forward(x)), picture, fires=fires)
    slices = graph.graph.find_nodes(op="call_function", target=torch.ops.aten.slice.Tensor)
    assert all(len(node.args) < 5 or node.args[4] == 1 for node in slices)


def test_slices_without_a_step_stay(picture):
    rewritten(strided_slices, Of(lambda m, x: torch.cat([x[:, :, 2:], x[:, :, :2]], 2)), picture, fires=0)


def test_a_wrong_order_of_residues_would_be_noticed(monkeypatch):
    monkeypatch.setattr(_strided_slices, "running", lambda firsts, steps: tuple(sorted(steps)))
    x = torch.randn(2, 4, 2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    with pytest.raises(AssertionError):
        rewritten(strided_slices, Of(lambda m, x: patches_merged(x)), x, fires=1)

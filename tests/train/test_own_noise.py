"""What a network draws at random in training: its probability at the ends, and what draws inside itself."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edge.models.layers import StochasticDepth
from train._own_noise import OwnNoise, keys_of

X = torch.ones(4, 8, 6)
ATTENTION = nn.MultiheadAttention(6, 2, dropout=0.5, batch_first=True)
INSIDE: dict[str, Callable[[Tensor], Tensor]] = {
    "MultiheadAttention": lambda x: ATTENTION(x, x, x)[0],
    "scaled_dot_product_attention": lambda x: F.scaled_dot_product_attention(x, x, x, dropout_p=0.5),
    "alpha_dropout": lambda x: F.alpha_dropout(x, 0.5, training=True),
    "feature_alpha_dropout": lambda x: F.feature_alpha_dropout(x, 0.5, training=True),
    "rrelu": lambda x: F.rrelu(-x, training=True),
    "rows of noise": lambda x: x * (torch.rand(len(x), 1, 1) < 0.5),
    "rows of bernoulli": lambda x: x * torch.bernoulli(torch.full((len(x), 8, 1), 0.5)),
}


@pytest.mark.parametrize("probability", [0.0, 1.0])
def test_what_is_certain_is_certain(probability: float) -> None:
    """As torch has it: with probability 1 every place is 1, with 0 none is."""
    with OwnNoise(keys_of(0, 0, range(4))):
        assert torch.empty(4, 3).bernoulli_(probability).unique().tolist() == [probability]


def test_next_to_nothing_is_dropped_with_next_to_no_probability() -> None:
    with OwnNoise(keys_of(0, 0, range(4))):
        assert torch.equal(F.dropout(X, 1e-11), X)
        assert torch.equal(StochasticDepth(1e-11).train()(X), X)
        with pytest.raises(RuntimeError, match=r"p=1\.5"):  # torch's own words
            torch.empty(4, 3).bernoulli_(1.5)


@pytest.mark.parametrize("name", INSIDE)
def test_processes_with_one_seed_draw_apart_and_a_resumed_one_draws_again(name: str) -> None:
    def drawn(places: range) -> tuple[Tensor, Tensor]:
        torch.manual_seed(5)  # the same in all processes
        with OwnNoise(keys_of(0, 0, places)), torch.no_grad():
            return INSIDE[name](X), torch.randperm(100)

    (first, shuffled), (second, also_shuffled), (again, _) = drawn(range(4)), drawn(range(4, 8)), drawn(range(4))
    assert torch.equal(first, again) and not torch.equal(first, second)
    if not name.startswith("rows"):  # whose first draw only tells how large they are
        torch.manual_seed(5)
        assert torch.equal(shuffled, torch.randperm(100))
    assert torch.equal(shuffled, also_shuffled)  # what is for all samples alike is the same everywhere


def test_dropout_of_torch_itself_is_by_sample() -> None:
    with OwnNoise(keys_of(0, 0, range(4))):
        usual = F.dropout(X, 0.5)
    with OwnNoise(keys_of(0, 0, range(4))):
        assert torch.equal(torch.dropout(X, p=0.5, train=True), usual)
    with OwnNoise(keys_of(0, 0, range(4))):
        assert torch.equal(torch.dropout(X, 0.5, True), usual) and torch.equal(torch.dropout(X, 0.5, False), X)

"""A batch that would not fit is refused before the first step."""

from __future__ import annotations

import re

import pytest
import torch
from torch import nn

from edge.errors import InputError
from train import _memory
from train._memory import check_fits_the_set, check_memory, kept_bytes
from train._recipe import Recipe


def small_net() -> nn.Module:
    return nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Flatten(1), nn.LazyLinear(2))


@pytest.mark.parametrize("side", [32, 64])
def test_what_a_step_keeps_is_counted_by_hand(side):
    """The convolution keeps its input, 3 values a pixel, the ReLU its output, 4, of which the linear layer has a copy
    (channels last to rows); a float32 has 4 bytes."""
    torch.manual_seed(0)
    net = small_net()
    net(torch.zeros(2, 3, side, side))
    by_hand = (3 + 4 + 4) * 4 * side * side
    before = {name: value.clone() for name, value in net.state_dict().items()}
    assert kept_bytes(net, side) == pytest.approx(by_hand, rel=0.01)
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_norms_and_random_numbers_are_left_as_they_are():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout())
    before, state = net[1].running_mean.clone(), torch.random.get_rng_state()
    kept_bytes(net, 32)
    assert torch.equal(net[1].running_mean, before) and torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("batch", "photographs", "fits"), [(16, 3, True), (17, 3, False), (170, 170, True), (171, 170, False)]
)
def test_no_batch_is_larger_than_the_set(batch, photographs, fits):
    recipe = Recipe(batch=batch)
    if fits:
        check_fits_the_set(recipe, photographs)
    else:
        with pytest.raises(InputError, match=f"`batch` {batch} is more than the {photographs} photographs"):
            check_fits_the_set(recipe, photographs)


def test_a_batch_beyond_the_memory_names_one_that_fits(monkeypatch):
    torch.manual_seed(0)
    net, cpu = nn.Conv2d(3, 4, 1), torch.device("cpu")
    monkeypatch.setattr(_memory, "free_bytes", lambda device: 100_000_000)
    recipe = Recipe(stages=((64, 1), (256, 1)), batch=2000)
    with pytest.raises(InputError, match=r"`batch` 2000 needs about 2.2 GB to learn at 256 pixels") as refused:
        check_memory(net, recipe, 5000, cpu)
    named = re.search(r"give about (\d+) at most", str(refused.value))
    assert named
    check_memory(net, Recipe(stages=recipe.stages, batch=int(named[1])), 5000, cpu)
    with pytest.raises(InputError, match="`variants` 10 keeps"):
        check_memory(net, Recipe(stages=recipe.stages, variants=10), 5000, cpu)
    kept = Recipe(stages=recipe.stages, variants=1)  # of 100 MB: 98.3 of views, and 2 x 2 of what teachers say of them
    check_memory(net, kept, 500, cpu)
    with pytest.raises(InputError, match="`variants` 1 keeps"):
        check_memory(net, kept, 500, cpu, told=1000)


def test_the_memory_that_is_free_is_that_of_this_machine():
    assert 10_000_000 < _memory.free_bytes(torch.device("cpu")) < 2**44

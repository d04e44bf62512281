"""A network that answers by what it saw before is refused with the value's name; what is only written is none."""

from __future__ import annotations

from collections import deque

import numpy as np
import pytest
import torch
from torch import nn

from edge.errors import InputError
from edge.models.foreign import Foreign, tried_out

SIDE, LATE = 8, 100  # pixels, pictures after which the answer changes


class Keeping(nn.Module):
    """A linear classifier, and a value that changes with every picture."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.layer, self.norm = kind, nn.Linear(3, 3), nn.BatchNorm1d(3)
        self.register_buffer("calls", torch.zeros(()))
        self.register_buffer("memory", torch.zeros(1, 3))
        self.tensor, self.number, self.values = torch.zeros(()), 0, [0.0]
        self.by_name, self.latest, self.array = {}, deque([0], maxlen=3), np.zeros(1)

    def forward(self, x):
        return getattr(self, self.kind)(self.layer(x.mean((2, 3))))

    def buffer(self, scores):
        self.calls += 1
        return scores * torch.where(self.calls > LATE, 2.0, 1.0)

    def buffer_put_anew(self, scores):
        self.calls = self.calls + 1
        return scores * torch.where(self.calls > LATE, 2.0, 1.0)

    def part_of_a_buffer(self, scores):
        self.memory[:, 1].add_(1)
        return scores + (self.memory > LATE)

    def attribute(self, scores):
        self.tensor = self.tensor + 1
        return scores * torch.where(self.tensor > LATE, 2.0, 1.0)

    def count(self, scores):
        self.number += 1
        return scores * (2.0 if self.number > LATE else 1.0)

    def list_of_values(self, scores):
        self.values.append(1.0)
        return scores * (2.0 if len(self.values) > LATE else 1.0)

    def place_in_a_list(self, scores):
        self.values[0] += 1
        return scores * (2.0 if self.values[0] > LATE else 1.0)

    def dictionary(self, scores):
        self.by_name["calls"] = self.by_name.get("calls", 0) + 1
        return scores * (2.0 if self.by_name["calls"] > LATE else 1.0)

    def queue(self, scores):
        self.latest.append(self.latest[-1] + 1)
        return scores * (2.0 if self.latest[-1] > LATE else 1.0)

    def array_of_numbers(self, scores):
        self.array[0] += 1
        return scores * (2.0 if self.array[0] > LATE else 1.0)

    def cache(self, scores):
        size = self.by_name.setdefault(tuple(scores.shape), torch.ones(scores.shape))
        return scores * size

    def only_written(self, scores):
        self.calls += 1
        self.number += 1
        self.last = scores.detach()
        return scores

    def written_over(self, scores):
        self.memory.copy_(scores)
        return self.memory * 2

    def statistics(self, scores):
        norm = nn.functional.batch_norm
        norm(torch.cat([scores, 2 * scores]), self.norm.running_mean, self.norm.running_var, training=True)
        return scores


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("buffer", "calls"), ("buffer_put_anew", "calls"), ("part_of_a_buffer", "memory"), ("attribute", "tensor"),
        ("count", "number"), ("list_of_values", "values"),
        ("place_in_a_list", "values"), ("dictionary", "by_name"), ("queue", "latest"), ("array_of_numbers", "array"),
    ],
)  # fmt: skip
def test_a_value_that_is_read_is_named(kind: str, name: str) -> None:
    torch.manual_seed(0)
    net = Foreign(nn.Sequential(Keeping(kind))).eval()
    with pytest.raises(InputError, match=rf"keeps 0\.{name} \(Keeping\) from one picture to the next"):
        tried_out(net, SIDE)


@pytest.mark.parametrize("kind", ["only_written", "written_over", "statistics", "cache"])
def test_what_is_only_written_is_no_state(kind: str) -> None:
    torch.manual_seed(0)
    net = Foreign(Keeping(kind)).eval()
    assert tried_out(net, SIDE).classes == 3
    assert float(net.net.calls.abs()) < LATE and net.net.number < LATE  # not left as it was disturbed

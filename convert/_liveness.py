"""How much of a graph is alive at once."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TypeVar

Name = TypeVar("Name", bound=Hashable)


def peak_bytes(
    steps: Sequence[tuple[Iterable[Name], Iterable[Name]]],
    sizes: Mapping[Name, int],
    inputs: Iterable[Name],
    answers: Iterable[Name],
) -> int:
    """The largest sum of bytes of tensors alive at once; each step reads some and makes some, in this order.

    Only tensors with a size count: weights are left out of `sizes`.
    """
    last = dict.fromkeys(answers, len(steps))
    for number, (reads, _) in enumerate(steps):
        for name in reads:
            last[name] = max(last.get(name, 0), number)
    alive = {name for name in inputs if name in sizes}
    most = sum(sizes[name] for name in alive)
    for number, (_, makes) in enumerate(steps):
        alive |= {name for name in makes if name in sizes}
        most = max(most, sum(sizes[name] for name in alive))
        alive = {name for name in alive if last.get(name, -1) > number}
    return most

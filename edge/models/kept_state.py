"""What a network keeps from one picture to the next and reads for its answer: a file keeps nothing."""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from edge.errors import InputError

TORCHS_OWN = set(vars(nn.Module()))  # attributes of every module
FAR = 1000.0  # further than a counter or a running mean gets while a network is tried out
Place = tuple[nn.Module, str]
KEPT = Tensor | int | float | np.ndarray | list | dict | deque


@torch.no_grad()
def read_state(net: nn.Module, answer: Callable[[], Tensor]) -> str | None:
    """The path of a tensor, number or list that `net` changes with each picture and reads for its answer, if any.

    `answer` runs the network on one picture and gives its scores. A value that changes is given others; where the
    answer changes too, it is read: counters, running means, memories. What is only written, as the statistics of a
    batch norm in training mode or an attention map that is kept for a look, does not count. The network is left as it
    was.
    """
    before = {place: (value, mark(value)) for place, value in values_of(net).items()}
    answer()
    filled = {place: mark(value) for place, value in values_of(net).items()}
    answer()
    after = values_of(net)
    changed = [place for place, (value, old) in before.items() if place in after and differs(value, old, after[place])]
    # a collection that changed with the first picture alone is a cache
    changed = [p for p in changed if not is_collection(after[p]) or differs(after[p], filled.get(p, []), after[p])]
    kept = {place: copied(after[place]) for place in changed}
    try:
        expected = answered(answer, kept) if changed else None
        for place in changed:
            if any(answered(answer, {**kept, place: value}) != expected for value in disturbed(kept[place])):
                return path_of(net, place)
        return None
    finally:
        put_back(kept)


def values_of(net: nn.Module) -> dict[Place, Any]:
    """Tensors (but parameters), numbers, arrays and collections that a module holds, by module and attribute."""
    values: dict[Place, Any] = {}
    for module in net.modules():
        own = {name: value for name, value in vars(module).items() if name not in TORCHS_OWN}
        for name, value in (own | dict(module.named_buffers(recurse=False))).items():
            if isinstance(value, KEPT):
                values[module, name] = value
    return values


def mark(value: Any) -> Any:
    """What changes with a value that is changed in place."""
    if isinstance(value, Tensor):
        return 0 if value.is_inference() else value._version
    if isinstance(value, np.ndarray):
        return value.tobytes()
    return contents(value) if is_collection(value) else value


def is_collection(value: Any) -> bool:
    return isinstance(value, list | dict | deque)


def contents(value: Any) -> list[Any]:
    return [part for item in value.items() for part in item] if isinstance(value, dict) else list(value)


def differs(old: Any, old_mark: Any, new: Any) -> bool:
    if type(new) is not type(old):
        return True
    if is_collection(new):
        parts = contents(new)
        same = len(parts) == len(old_mark) and all(a is b for a, b in zip(parts, old_mark, strict=True))
        return new is not old or not same
    return (isinstance(new, Tensor) and new is not old) or mark(new) != old_mark


def copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return copy.copy(value) if isinstance(value, np.ndarray) or is_collection(value) else value


def disturbed(value: Any) -> list[Any]:
    """Other values in the place of one."""
    if isinstance(value, dict):
        return [{}, {key: further(part) for key, part in value.items()}]
    if isinstance(value, list | deque):
        return [type(value)(), value * int(FAR), type(value)(further(part) for part in value)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Tensor) and value.dtype is torch.bool:
        return [~value]
    return [value + FAR, value - FAR, value * 0]


def further(part: Any) -> Any:
    return part + FAR if isinstance(part, int | float | Tensor) else part


def put_back(values: dict[Place, Any]) -> None:
    for (module, name), value in values.items():
        holder = module._buffers if name in module._buffers else vars(module)
        holder[name] = copied(value)


def answered(answer: Callable[[], Tensor], values: dict[Place, Any]) -> list | None:
    """The scores with these values in place; None where the network fails with them."""
    put_back(values)
    try:
        return answer().tolist()
    except InputError:
        return None


def path_of(net: nn.Module, place: Place) -> str:
    """`block.calls (Counter)`, without the name under which the network lies in its wrapper."""
    module, name = place
    path = next(path for path, part in net.named_modules() if part is module)
    return f"{f'{path}.{name}'.removeprefix('net.')} ({type(module).__name__})"

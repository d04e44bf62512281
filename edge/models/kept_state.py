"""What a network keeps from one picture to the next and reads for its answer: a file keeps nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from edge.errors import InputError

TORCHS_OWN = set(vars(nn.Module()))  # attributes of every module
FAR = 1000.0  # further than a counter or a running mean gets while a network is tried out
Place = tuple[nn.Module, str]


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
    after = values_of(net)
    changed = [place for place, (value, old) in before.items() if place in after and differs(value, old, after[place])]
    kept = {place: copied(after[place]) for place in changed}
    try:
        for place in changed:
            expected = answered(answer, kept)
            if any(answered(answer, {**kept, place: value}) != expected for value in disturbed(kept[place])):
                return path_of(net, place)
        return None
    finally:
        put_back(kept)


def values_of(net: nn.Module) -> dict[Place, Any]:
    """Tensors (but parameters), numbers and lists that a module holds, by module and attribute."""
    values: dict[Place, Any] = {}
    for module in net.modules():
        own = {name: value for name, value in vars(module).items() if name not in TORCHS_OWN}
        for name, value in (own | dict(module.named_buffers(recurse=False))).items():
            if isinstance(value, Tensor | int | float | list):
                values[module, name] = value
    return values


def mark(value: Any) -> int:
    """What changes with a value that is changed in place."""
    if isinstance(value, Tensor):
        return 0 if value.is_inference() else value._version
    return len(value) if isinstance(value, list) else 0


def differs(old: Any, old_mark: int, new: Any) -> bool:
    if isinstance(new, Tensor | list) or type(new) is not type(old):
        return new is not old or mark(new) != old_mark
    return new != old


def copied(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().clone()
    return list(value) if isinstance(value, list) else value


def disturbed(value: Any) -> list[Any]:
    """Other values in the place of one."""
    if isinstance(value, list):
        return [[], value * int(FAR)]
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, Tensor) and value.dtype is torch.bool:
        return [~value]
    return [value + FAR, value - FAR, value * 0]


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

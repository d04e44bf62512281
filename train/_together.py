"""What the processes of a run do together, by torch's own collectives; a run of one process is alone with itself.

Every process calls these in the same order, as often as the others: none of them may stand behind a question that
processes can answer differently.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, distributed, nn


def are_several() -> bool:
    """Whether this run has more processes than this one."""
    return distributed.is_available() and distributed.is_initialized() and distributed.get_world_size() > 1


def world() -> int:
    """How many processes there are."""
    return distributed.get_world_size() if are_several() else 1


def rank() -> int:
    """Which of them this one is, from 0."""
    return distributed.get_rank() if are_several() else 0


def total(own: Tensor) -> Tensor:
    """The sum of all processes' `own`, any shape; equal in all, and differentiable.

    The gradient of every process is of the sum, as many times as there are processes: their mean, which DDP takes, is
    then that of one process with the joined batch. This holds where all compute the same from the sum.
    """
    return Total.apply(own) if are_several() else own


class Total(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        whole = own.clone()
        distributed.all_reduce(whole)
        return whole

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient * world()


def mean(values: Tensor, count: Tensor | None = None) -> Tensor:
    """The mean of all processes' values, any shape, in their type: their sum by `count`, else by how many they are.

    0 where there are none at all.
    """
    own = torch.as_tensor(values.numel() if count is None else count, dtype=values.dtype, device=values.device)
    parts = total(torch.stack([values.sum(), own]))
    return parts[0] / parts[1].detach().clamp(min=1)


def joined(own: Tensor) -> Tensor:
    """The rows of all processes, (N, ...) each -> (processes * N, ...); equal in all, and differentiable as `total`."""
    return Joined.apply(own) if are_several() else own


class Joined(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, own: Tensor) -> Tensor:
        return gathered(own, len(own) * world())

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        return gradient.chunk(world())[rank()] * world()


def any_asks(own: bool, device: torch.device) -> bool:
    """Whether any process answers yes; the same in all."""
    if not are_several():
        return own
    asked = reachable(torch.tensor(float(own), device=device))
    distributed.all_reduce(asked)
    return bool(asked > 0)


def reachable(own: Tensor) -> Tensor:
    """The tensor, on a device whose tensors the processes can exchange: NCCL takes none of the CPU's."""
    kinds = [pair.partition(":")[0] for pair in distributed.get_backend_config().split(",")]
    return own if own.device.type in kinds else own.to(kinds[0])


def share(count: int) -> list[int]:
    """Which of `count` rows this process takes; all take equally many, so that some may be taken twice."""
    size = -(-count // world())
    return [min(place, count - 1) for place in range(rank() * size, (rank() + 1) * size)]


def gathered(own: Tensor, count: int) -> Tensor:
    """The `count` rows of which each process has its `share`, in order, (count, ...), on the device of `own`."""
    if not are_several():
        return own
    sent = reachable(own).contiguous()
    parts = [torch.empty_like(sent) for _ in range(world())]
    distributed.all_gather(parts, sent)
    return torch.cat(parts)[:count].to(own.device)


def take_buffers_of_first(net: nn.Module) -> None:
    """Give the first process's buffers to all: what normalisation has counted differs from process to process."""
    if are_several():
        for buffer in net.buffers():
            sent = reachable(buffer)
            distributed.broadcast(sent, 0)
            buffer.copy_(sent)

"""Whether a batch fits: into the set of photographs, and into the memory that is free."""

from __future__ import annotations

import copy
import os
from pathlib import Path

import torch
from torch import Tensor, nn

from edge.errors import InputError

from ._recipe import Recipe

TRIAL = 2  # pictures; batch norm takes no single one
WORKING_SHARE = 1.4  # gradients, buffers of the kernels, and gaps in memory that is kept, beside what a step keeps


def check_fits_the_set(recipe: Recipe, photographs: int) -> None:
    """InputError for a batch beyond the photographs to learn from: it would hold every one several times.

    The recipe's own batch is let be, however few they are.
    """
    most = max(photographs, Recipe().batch)
    if recipe.batch > most:
        raise InputError(
            f"`batch` {recipe.batch} is more than the {photographs} photographs to learn from; give {most} at most"
        )


def check_memory(net: nn.Module, recipe: Recipe, photographs: int, device: torch.device, *, told: int = 0) -> None:
    """InputError where a step on the largest pictures, or the views that are kept, would fill the memory.

    `told`: float32 numbers that teachers say of a view, kept with it at every side of the recipe.
    """
    side = max(side for side, _ in recipe.stages)
    free = free_bytes(device)
    needed = WORKING_SHARE * kept_bytes(net, side)  # of a picture
    if recipe.batch * needed > free:
        raise InputError(
            f"`batch` {recipe.batch} needs about {gigabytes(recipe.batch * needed)} to learn at {side} pixels, and "
            f"{gigabytes(free)} are free; give about {max(2, int(free / needed))} at most"
        )
    views = recipe.variants * photographs * (3 * side * side + 4 * told * len({side for side, _ in recipe.stages}))
    if views > free_bytes(torch.device("cpu")):
        raise InputError(
            f"`variants` {recipe.variants} keeps {gigabytes(views)} of views in memory, and "
            f"{gigabytes(free_bytes(torch.device('cpu')))} are free; give fewer, or 0 to draw them anew"
        )


def kept_bytes(net: nn.Module, side: int) -> float:
    """Bytes that a training step keeps for each picture, in float32, until its gradients are there."""
    net = copy.deepcopy(net).cpu().train()
    kept: dict[int, Tensor] = {}
    own = {value.untyped_storage().data_ptr() for value in [*net.parameters(), *net.buffers()]}

    def keep(value: Tensor) -> Tensor:
        place = value.untyped_storage().data_ptr()
        if place not in own:
            kept[place] = value  # held, so that no other takes its place
        return value

    with torch.random.fork_rng(devices=[]), torch.autograd.graph.saved_tensors_hooks(keep, lambda value: value):
        net(torch.zeros(TRIAL, 3, side, side).contiguous(memory_format=torch.channels_last))
    return sum(value.untyped_storage().nbytes() for value in kept.values()) / TRIAL


def free_bytes(device: torch.device) -> int:
    """Bytes that are free on a GPU, or for this process on the machine."""
    if device.type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    free = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    counted = read_lines("/proc/meminfo", "MemAvailable:")
    if counted:
        free = min(free, 1024 * int(counted.split()[1]))
    limit, used = (read_lines(f"/sys/fs/cgroup/memory.{name}") for name in ("max", "current"))
    if limit.isdecimal() and used.isdecimal():
        free = min(free, max(0, int(limit) - int(used)))
    return free


def read_lines(path: str, start: str = "") -> str:
    """The first line of a file of the kernel's that begins so; nothing where there is none."""
    try:
        lines = Path(path).read_text(encoding="ascii").splitlines()
    except (OSError, ValueError):
        return ""
    return next((line.strip() for line in lines if line.startswith(start)), "")


def gigabytes(count: float) -> str:
    return f"{count / 1e9:.1f} GB"

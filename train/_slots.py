"""What of this machine each of several runs at a time gets: one GPU, or some cores."""

from __future__ import annotations

import os

from edge.errors import at_least_one

GPUS = "CUDA_VISIBLE_DEVICES"


def gpus() -> list[str]:
    """The GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    stated = os.environ.get(GPUS)
    names = [name.strip() for name in stated.split(",")] if stated else []
    count = torch.cuda.device_count()
    return names[:count] if names else [str(number) for number in range(count)]


def cores() -> int:
    """Those that the system lets this process use, not those that the machine has."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def slots(jobs: int) -> list[dict[str, str]]:
    """For each of `jobs` runs at a time what to add to its environment: GPUs are dealt out in turn, where there are."""
    at_least_one(jobs=jobs)
    devices = gpus()
    return [{GPUS: devices[job % len(devices)]} if devices else {} for job in range(jobs)]

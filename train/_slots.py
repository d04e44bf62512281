"""What of this machine each of several runs at a time gets: GPUs of its own, or some cores."""

from __future__ import annotations

import os

from edge.errors import InputError, at_least_one

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


def slots(jobs: int, processes: int = 1) -> list[dict[str, str]]:
    """For each of `jobs` runs at a time what to add to its environment: a GPU for each of its processes, in turn.

    InputError where a run has more processes than there are GPUs; without any they share the cores.
    """
    at_least_one(jobs=jobs, processes=processes)
    devices = gpus()
    if not devices:
        return [{} for _ in range(jobs)]
    if processes > len(devices):
        raise InputError(f"`processes` are at most the {len(devices)} GPU(s) of this machine, got {processes}")
    shares = [devices[start : start + processes] for start in range(0, len(devices) - processes + 1, processes)]
    return [{GPUS: ",".join(shares[job % len(shares)])} for job in range(jobs)]

"""Where a network's maps are an eighth and a sixteenth of the picture: earlier classifiers read them in training."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edge.errors import InputError

STRIDES = (8, 16)  # pixels of the picture to a place of the map


@dataclass(frozen=True)
class Stage:
    """The last part of a network whose map has a stride."""

    name: str  # of the module
    stride: int
    channels: int


@dataclass(frozen=True)
class Passed:
    """A module that a picture went through."""

    name: str
    before: int  # stride of what it took, 0 where that was no map
    after: int  # stride of its map
    channels: int


def stages_of(net: nn.Module, side: int) -> tuple[Stage, ...]:
    """The end of the network's stages of the `STRIDES`, early ones first, found with one picture of `side` pixels.

    Of the modules whose map (N, C, H, W) has a stride it is the last one before the network goes on to smaller maps;
    parts of a block that halves its map do not count. Raises InputError for a network without any.
    """
    passed = modules_passed(net, side)
    ends = [stage for stride in STRIDES if (stage := end_of(passed, stride))]
    if not ends:
        raise InputError(
            f"{type(net).__name__} has no map (N, C, H, W) of an eighth or a sixteenth of {side} pixels, off which "
            "`deep_supervision` could read the class; set it to 0"
        )
    return tuple(ends)


def note_on(stages: Sequence[Stage]) -> str:
    """What a person should know of stages that lack one of the `STRIDES`; nothing where all are there."""
    lacking = [stride for stride in STRIDES if stride not in {stage.stride for stage in stages}]
    if not lacking:
        return ""
    read = ", ".join(f"{stage.name}, at 1/{stage.stride} of the side" for stage in stages)
    missing = " and ".join(f"1/{stride}" for stride in lacking)
    return f"the network has no map of {missing} of the side; `deep_supervision` reads the class off {read} alone"


def end_of(passed: list[Passed], stride: int) -> Stage | None:
    """The last module with this stride before there are larger ones; None where none has it."""
    halving = [own.name for own in passed if own.before == stride < own.after]
    last = None
    for own in passed:  # in the order in which they ended
        inside = any(own.name.startswith(f"{block}.") for block in halving)
        if inside or not own.after:
            continue
        if own.after > stride and last:
            break
        if own.after == stride:
            last = Stage(own.name, stride, own.channels)
    return last


def modules_passed(net: nn.Module, side: int) -> list[Passed]:
    """Every module of the network but itself that a picture went through, in the order in which they ended."""
    net = copy.deepcopy(net).cpu().eval()
    passed: list[Passed] = []

    def note(name: str) -> None:
        def hook(_module: nn.Module, inputs: tuple[object, ...], output: object) -> None:
            taken = inputs[0] if inputs else None
            channels = output.shape[1] if isinstance(output, Tensor) and output.ndim > 1 else 0
            passed.append(Passed(name, stride_of(taken, side), stride_of(output, side), channels))

        net.get_submodule(name).register_forward_hook(hook)

    for name, _ in net.named_modules():
        if name:
            note(name)
    dtype = next((value.dtype for value in net.parameters()), torch.float32)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        net(torch.zeros(1, 3, side, side, dtype=dtype))
    return passed


def stride_of(value: object, side: int) -> int:
    """Pixels to a place of a map (1, C, H, H); 0 for what is none, and for a single place, which may be an average."""
    if not isinstance(value, Tensor) or value.ndim != 4 or value.shape[2] != value.shape[3]:
        return 0
    places = value.shape[2]
    return side // places if places > 1 and side % places == 0 else 0

"""Gradients of depthwise convolutions in bfloat16 on a CPU, computed in a way that oneDNN has fast kernels for.

PyTorch 2.13.0 (oneDNN) computes two of them slowly in bfloat16: the weight's of kernels larger than 3 x 3 (3 to 18
times the time of the way below, x86-64 with AVX-512), and the input's of strided ones (4 to 23 times that of float32).
They were 58 % of a training step of EfficientNet-Lite0. Here the weight's is put together from those of 3 x 3 kernels
over shifted inputs, which is the same sum, and the input's is computed in float32. Answers are the operator's own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

TILE = 3  # pixels: the largest side of a kernel whose gradient is fast
Pair = tuple[int, int]


class FastDepthwise(TorchFunctionMode):
    """In this block, depthwise convolutions that train in bfloat16 on a CPU get their gradients the fast way."""

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        if func is torch.conv2d:
            return conv2d(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Sequence[int] = 1,
    padding: str | int | Sequence[int] = 0,
    dilation: int | Sequence[int] = 1,
    groups: int = 1,
) -> Tensor:
    """`torch.conv2d` with the same arguments and answer; its gradients the fast way where there is one."""
    mixed = torch.is_autocast_enabled("cpu") and torch.get_autocast_dtype("cpu") == torch.bfloat16
    slow = (
        input.device.type == "cpu"
        and input.ndim == 4
        and (mixed or input.dtype == torch.bfloat16)
        and torch.is_grad_enabled()
        and groups == weight.shape[0] == input.shape[1]
        and not isinstance(padding, str)
        and pair(dilation) == (1, 1)
        and (pair(stride) != (1, 1) or has_tiles(weight))
    )
    if not slow:
        return torch.conv2d(input, weight, bias, stride, padding, dilation, groups)
    assert not isinstance(padding, str)  # it would not be slow
    half = [None if value is None else value.to(torch.bfloat16) for value in (input, weight, bias)]
    return Depthwise.apply(*half, pair(stride), pair(padding))


class Depthwise(torch.autograd.Function):
    """Input (N, C, H, W), weight (C, 1, KH, KW), bias (C,) or None, all bfloat16; stride, padding."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, stride: Pair, padding: Pair) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride, ctx.padding = stride, padding
        return F.conv2d(x, weight, bias, stride, padding, 1, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        (x, weight), (of_input, of_weight, of_bias, *_) = ctx.saved_tensors, ctx.needs_input_grad
        return (
            input_gradient(gradient, x, weight, ctx.stride, ctx.padding) if of_input else None,
            weight_gradient(gradient, x, weight, ctx.stride, ctx.padding) if of_weight else None,
            gradient.sum(dim=(0, 2, 3), dtype=torch.float32).to(gradient.dtype) if of_bias else None,
            None,
            None,
        )


def input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    if stride == (1, 1):
        return backward(gradient, x, weight, stride, padding, wanted=0)
    empty = torch.empty_like(x, dtype=torch.float32)  # of the input, only its shape is read
    return backward(gradient.float(), empty, weight.float(), stride, padding, wanted=0).to(x.dtype)


def weight_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair) -> Tensor:
    if not has_tiles(weight):
        return backward(gradient, x, weight, stride, padding, wanted=1)
    padded = F.pad(x, (padding[1], padding[1], padding[0], padding[0])) if any(padding) else x
    rows, columns = (TILE + (count - 1) * step for count, step in zip(gradient.shape[2:], stride, strict=True))
    whole, tile = torch.empty_like(weight), weight[..., :TILE, :TILE].contiguous()
    for top in starts(weight.shape[2]):
        for left in starts(weight.shape[3]):
            part = padded[..., top : top + rows, left : left + columns]
            part = part.contiguous(memory_format=torch.channels_last)
            whole[..., top : top + TILE, left : left + TILE] = backward(gradient, part, tile, stride, (0, 0), wanted=1)
    return whole


def starts(side: int) -> list[int]:
    """Where tiles begin that cover a kernel's side; the last two may overlap."""
    return [*range(0, side - TILE, TILE), side - TILE]


def has_tiles(weight: Tensor) -> bool:
    return min(weight.shape[2:]) >= TILE < max(weight.shape[2:])


def backward(gradient: Tensor, x: Tensor, weight: Tensor, stride: Pair, padding: Pair, *, wanted: int) -> Tensor:
    """PyTorch's own gradient of a depthwise convolution: of the input (`wanted` 0) or of the weight (1)."""
    mask = [wanted == 0, wanted == 1, False]
    return torch.ops.aten.convolution_backward(
        gradient, x, weight, None, stride, padding, (1, 1), False, (0, 0), len(weight), mask
    )[wanted]


def pair(value: int | Sequence[int]) -> Pair:
    return (value, value) if isinstance(value, int) else (value[0], value[-1])

"""A network that computes as its 8-bit file does: values are rounded to 256 levels, gradients pass straight through.

What LiteRT does at run time, by the scheme that the conversion chose: weights in int8, symmetric, one scale per output
channel; static activations in int8, one scale per tensor, at fixed ranges; dynamic ones at the range of each row.

Not imitated, because it is far below a rounding step or undone by the scale per channel:
* the batch norm that the file folds into a convolution scales whole output channels, so that rounding before or after
  it is the same; biases are int32
* the file also folds the gain of a layer norm and the 1/sqrt(d) of attention into the linear layers that follow. The
  gain scales input channels, so there the file's weights are rounded on slightly other grids than here
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import ExitStack

import torch
from torch import Tensor, nn

from edge.errors import InputError
from edge.scheme import Layer, Range

LEVELS = 255  # steps between the lowest and the highest of 256 values
LOWEST, HIGHEST = -128, 127  # of int8
WEIGHT_LIMIT = 127  # weights are symmetric: -127 to 127
TINY = torch.finfo(torch.float32).tiny  # keeps the scale of a row of zeros from being zero


class FakeQuantised(nn.Module):
    """`net`, with the layers of a scheme in 8 bits: images (N, 3, S, S) -> logits (N, K).

    `net` itself stays in float: its parameters, state dict and forward are untouched, and gradients reach it.
    """

    def __init__(self, net: nn.Module, layers: Iterable[Layer]) -> None:
        super().__init__()
        self.net = net
        self.layers = by_module(net, layers)  # path of the module -> layer

    def forward(self, images: Tensor) -> Tensor:
        weights = {name: rounded_weight(self.net.get_parameter(name)) for name in (f"{p}.weight" for p in self.layers)}
        with ExitStack() as hooks:
            for path, layer in self.layers.items():
                module = self.net.get_submodule(path)
                if layer.kind == "dynamic":
                    hooks.enter_context(module.register_forward_pre_hook(round_rows))
                    continue
                assert layer.input and layer.output
                hooks.enter_context(module.register_forward_pre_hook(Inputs(layer.input, images)))
                last = self.net.get_submodule(layer.normalised_by) if layer.normalised_by else module
                hooks.enter_context(last.register_forward_hook(Outputs(layer.output)))
            return torch.func.functional_call(self.net, weights, (images,))


class Inputs:
    """Forward pre-hook: the input of a static layer."""

    def __init__(self, limits: Range, images: Tensor) -> None:
        self.limits, self.images = limits, images

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if inputs[0] is self.images:  # the photograph: bytes already, and the range is of those
            return None
        return (rounded(inputs[0], self.limits),)


class Outputs:
    """Forward hook: the output of a static layer, before its activation function."""

    def __init__(self, limits: Range) -> None:
        self.limits = limits

    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return rounded(output, self.limits)


def by_module(net: nn.Module, layers: Iterable[Layer]) -> dict[str, Layer]:
    """The 8-bit layers of a scheme by the module that owns the weight; InputError where `net` has no such module.

    Operators that the conversion could not trace to a module stay in float. A module may have become several operators
    (the three parts of an attention's projection), as long as they are quantised alike.
    """
    modules = dict(net.named_modules())
    by_module: dict[str, Layer] = {}
    for layer in layers:
        if layer.kind == "float" or layer.module is None:
            continue
        if not isinstance(modules.get(layer.module), nn.Conv2d | nn.Linear):
            raise InputError(f"the scheme quantises {layer.module}; it is no convolution or linear layer of the model")
        norm = layer.normalised_by
        if norm and not isinstance(modules.get(norm), nn.BatchNorm2d):
            raise InputError(f"the scheme folds {norm} into {layer.module}; it is no batch norm of the model")
        before = by_module.setdefault(layer.module, layer)
        if (before.kind, before.input, before.output) != (layer.kind, layer.input, layer.output):
            raise InputError(f"the scheme quantises {layer.module} in two ways ({before.tensor}, {layer.tensor})")
    if not by_module:
        raise InputError("the scheme has no 8-bit layer with a module of the model; there is nothing to imitate")
    return by_module


def rounded(x: Tensor, limits: Range) -> Tensor:
    """Float `x` at the 256 values that int8 has in `limits`, one of which is 0; no gradient from beyond the limits."""
    low, high = min(limits[0], 0.0), max(limits[1], 0.0)
    scale = max((high - low) / LEVELS, TINY)
    zero = max(LOWEST, min(HIGHEST, round(LOWEST - low / scale)))
    return torch.fake_quantize_per_tensor_affine(x.float(), scale, zero, LOWEST, HIGHEST)


def rounded_weight(weight: Tensor) -> Tensor:
    """Float weight (outputs, ...) at the 255 values of int8 without -128, one scale per output."""
    scale = weight.detach().float().abs().flatten(1).amax(1).clamp(min=TINY) / WEIGHT_LIMIT
    zero = torch.zeros_like(scale, dtype=torch.int32)
    return torch.fake_quantize_per_channel_affine(weight.float(), scale, zero, 0, -WEIGHT_LIMIT, WEIGHT_LIMIT)


def round_rows(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor]:
    """Forward pre-hook: the input of a dynamic layer, each row at its own range.

    A row is what the file's operator takes as one: the features of a token or of a pixel (linear layers and 1x1
    convolutions), a whole image for larger kernels.
    """
    x = inputs[0].float()
    if isinstance(module, nn.Linear):
        axes: tuple[int, ...] = (-1,)
    else:
        axes = (1,) if module.kernel_size == (1, 1) else (1, 2, 3)
    still = x.detach()
    low, high = still.amin(axes, keepdim=True).clamp(max=0), still.amax(axes, keepdim=True).clamp(min=0)
    scale = ((high - low) / LEVELS).clamp(min=TINY)
    zero = (LOWEST - low / scale).round()
    levels = ((still / scale).round() + zero).clamp(LOWEST, HIGHEST) - zero
    return (x + (levels * scale - still),)

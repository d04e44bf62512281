"""Convolutions, also transposed."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F

from .kinds import Ints
from .padding import amounts, padded, reach, spatial, split

CONV = {1: F.conv1d, 2: F.conv2d, 3: F.conv3d}
TRANSPOSED = {1: F.conv_transpose1d, 2: F.conv_transpose2d, 3: F.conv_transpose3d}
UNSET: Ints = []


def conv(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    strides: Ints = UNSET,
    pad_type: str = "valid",
    pad: Ints = UNSET,
    dilations: Ints = UNSET,
    groups: int = 1,
) -> Tensor:
    """Equal padding on both sides is left to the convolution itself, which need not copy the input for it."""
    rank = spatial(x)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    pads = amounts(pad_type, pad, x.shape[2:], reach(weight.shape[2:], dilations), strides)
    if all(before == after for before, after in pads):
        inner = [before for before, _ in pads]
    else:
        x, inner = padded(x, pads), [0] * rank
    return CONV[rank](x, weight, bias, strides, inner, dilations, groups)


def conv_quantized(
    x: Tensor,
    weight: Tensor,
    quantization_type: str,
    quant_scale: Tensor,
    quant_bias: Tensor,
    bias: Tensor | None = None,
    nbits: int = 8,
    strides: Ints = UNSET,
    pad_type: str = "valid",
    pad: Ints = UNSET,
    dilations: Ints = UNSET,
    groups: int = 1,
) -> Tensor:
    """The weight is value * quant_scale + quant_bias, each one number or one for each output channel."""
    if quantization_type != "linear":
        raise ValueError(f"quantization_type {quantization_type} is not run; expected linear")
    shape = [-1] + [1] * (weight.ndim - 1)
    real = weight.float() * quant_scale.reshape(shape) + quant_bias.reshape(shape)
    return conv(x, real, None if bias is None else bias.float(), strides, pad_type, pad, dilations, groups)


def conv_transpose(
    x: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    pad: Ints = UNSET,
    output_shape: Ints = UNSET,
    pad_type: str = "valid",
    strides: Ints = UNSET,
    dilations: Ints = UNSET,
    groups: int = 1,
) -> Tensor:
    """The full result with its ends cut off by the padding; `output_shape` sets the length that is left."""
    rank = spatial(x)
    strides, dilations = strides or [1] * rank, dilations or [1] * rank
    kernel = reach(weight.shape[2:], dilations)
    full = [(n - 1) * s + k for n, s, k in zip(x.shape[2:], strides, kernel, strict=True)]
    if pad_type.startswith("same"):
        wanted = output_shape[2:] or [n * s for n, s in zip(x.shape[2:], strides, strict=True)]
        befores = [split(max(0, f - w), pad_type)[0] for f, w in zip(full, wanted, strict=True)]
    else:
        pads = amounts(pad_type, pad, full, kernel, strides)
        befores = [before for before, _ in pads]
        wanted = output_shape[2:] or [f - sum(pair) for f, pair in zip(full, pads, strict=True)]
    cuts = [(before, f - before - w) for before, f, w in zip(befores, full, wanted, strict=True)]
    extra = [before - after for before, after in cuts]
    if all(
        before >= 0 and 0 <= e < max(s, d) for (before, _), e, s, d in zip(cuts, extra, strides, dilations, strict=True)
    ):
        return TRANSPOSED[rank](x, weight, bias, strides, befores, extra, groups, dilations)
    whole = TRANSPOSED[rank](x, weight, None, strides, 0, 0, groups, dilations)
    whole = padded(whole, [(-before, -after) for before, after in cuts])
    return whole if bias is None else whole + bias.reshape([-1] + [1] * rank)


TABLE = {"conv": conv, "conv_quantized": conv_quantized, "conv_transpose": conv_transpose}
EXACT: frozenset[str] = frozenset()

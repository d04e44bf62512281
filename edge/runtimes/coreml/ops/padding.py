"""How much is padded before and after each spatial dimension: one rule for convolutions and pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor
from torch.nn import functional as F

Pads = list[tuple[int, int]]  # before, after


def amounts(
    pad_type: str, pad: Sequence[int], sizes: Sequence[int], kernel: Sequence[int], strides: Sequence[int]
) -> Pads:
    """`same` gives ceil(size / stride) results; if its padding is odd, the extra place is at the end, for `same_lower`
    at the start. `kernel` is the reach of the window, with dilation."""
    pad_type = pad_type.lower()
    if pad_type == "valid":
        return [(0, 0)] * len(sizes)
    if pad_type == "custom":
        ends = list(pad) or [0] * (2 * len(sizes))
        if len(ends) != 2 * len(sizes):
            raise ValueError(f"pad has {len(ends)} numbers, expected {2 * len(sizes)}")
        return list(zip(ends[::2], ends[1::2], strict=True))
    if pad_type not in {"same", "same_lower"}:
        raise ValueError(f"pad_type {pad_type} is not known; known are valid, same, same_lower and custom")
    totals = [max(0, (-(-n // s) - 1) * s + k - n) for n, k, s in zip(sizes, kernel, strides, strict=True)]
    return [split(total, pad_type) for total in totals]


def split(total: int, pad_type: str) -> tuple[int, int]:
    small, large = total // 2, total - total // 2
    return (large, small) if pad_type == "same_lower" else (small, large)


def padded(x: Tensor, pads: Pads, value: float = 0.0) -> Tensor:
    """Negative amounts cut off."""
    flat = [n for pair in reversed(pads) for n in pair]
    return F.pad(x, flat, value=value) if any(flat) else x


def reach(kernel: Sequence[int], dilations: Sequence[int]) -> list[int]:
    return [(k - 1) * d + 1 for k, d in zip(kernel, dilations, strict=True)]


def spatial(x: Tensor) -> int:
    """1, 2 or 3 dimensions after batch and channel."""
    if not 3 <= x.ndim <= 5:
        raise ValueError(f"an input of {x.ndim} dimensions; expected batch, channel and 1 to 3 spatial dimensions")
    return x.ndim - 2

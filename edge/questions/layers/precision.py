"""What a precision explains: the same torch layers, from the same inputs, with everything rounded as the file rounds.

No number is set by hand. The torch nodes between the file's inputs and its result are run again in float32 with

* results rounded to the significand that the file states (24 or 11 bits), or to its 8-bit step, or to that of 256
  values over all of the result where this is more (a range that clips is chosen because it loses less than that),
* weights rounded to as many values as the file keeps, evenly spaced: from -max to max of each output channel for
  8-bit scales, from min to max of the tensor for a palette (k-means finds no worse places than evenly spaced ones),
* what a layer reads rounded to 8 bits where the kernel does that (dynamic quantisation).

What comes out differs from the exact result by the loss that is explained. The range of a format is not rounded:
overflow is never explained, and clipping only as far as it loses no more than a range without clipping would. A file
may be one bit (6.02 dB) worse than that, because it may add in another order and round in other places. No result of n
bits is asked for more than n bits. Where all is float32, the order of a sum is all there is: summed one after the
other, K terms lose about sqrt(K) times one rounding, and torch's own order loses less, so a sum may be 10 log10(K) dB
below torch's; what torch makes in one step and the file in several (a SiLU) is rounded as often. Elsewhere the rounding
is one draw and the file's another: the ratio of two noises of n independent values has the F distribution with (n, n)
degrees of freedom, and the file may be as far above as one in a thousand are. Rounded weights give n output channels,
rounded results n values.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edge.runtimes.inside import FLOAT16, FLOAT32, Precision

ONE_BIT = 20 * math.log10(2)  # dB
SURE = 0.999
SUBNORMAL = 2.0**-24  # the smallest step of float16


@dataclass(frozen=True)
class Rounded:
    """How `Precision` rounds. `around`: of operations that torch goes through on the way, which have no place."""

    precision: Precision
    around: Precision | None = None

    def between(self, value: Tensor) -> Tensor:
        """A value inside: of one operation it has no step of its own, of several it may have been held in 8 bits."""
        if self.around is not None and self.around.step:
            step = ((value.max() - value.min()) / 255).clamp_min(1e-30)
            return torch.round(value / step) * step
        return to_significand(value, FLOAT16) if self.precision.result == FLOAT16 else value

    def weights(self, value: Tensor) -> Tensor:
        bits = self.precision.weights
        if bits is None:
            return value
        if bits == FLOAT16:
            return to_significand(value, FLOAT16)
        if self.precision.by_channel:
            largest = value.abs().amax(dim=tuple(range(1, value.ndim)), keepdim=True).clamp_min(1e-30)
            step = largest / (2 ** (bits - 1) - 1)
            return torch.round(value / step) * step
        low, high = value.min(), value.max()
        step = ((high - low) / (2**bits - 1)).clamp_min(1e-30)
        return low + torch.round((value - low) / step) * step

    def result(self, value: Tensor) -> Tensor:
        if self.precision.step:
            step = max(self.precision.step, float(value.max() - value.min()) / 255)
            return torch.round(value / step) * step
        return to_significand(value, FLOAT16) if self.precision.result == FLOAT16 else value

    def read(self, value: Tensor) -> Tensor:
        if self.precision.given is None:
            return value
        step = (value.abs().amax() / (2 ** (self.precision.given - 1) - 1)).clamp_min(1e-30)
        return torch.round(value / step) * step


def to_significand(value: Tensor, bits: int) -> Tensor:
    """Rounded to so many bits of significand, without a largest value; float16's smallest steps are kept."""
    mantissa, exponent = torch.frexp(value.double())
    rounded = torch.ldexp(torch.round(mantissa * 2.0**bits), exponent - bits)
    if bits == FLOAT16:
        tiny = rounded.abs() < 2.0**-14
        rounded = torch.where(tiny, torch.round(value.double() / SUBNORMAL) * SUBNORMAL, rounded)
    return torch.where(torch.isfinite(value), rounded.to(value.dtype), value)


def sqnr_db(exact: Sequence[Tensor], other: Sequence[Tensor]) -> float:
    """10 log10 of signal to noise over all images; -inf where one is not finite and the other is."""
    signal = noise = 0.0
    for right, changed in zip(exact, other, strict=True):
        right, changed = right.double(), changed.double()
        power, loss = float(right.square().sum()), float((right - changed).square_().sum())
        if math.isfinite(power + loss):
            signal, noise = signal + power, noise + loss
            continue
        finite = torch.isfinite(right)
        if not bool((finite == torch.isfinite(changed)).all()):
            return -math.inf
        signal += float(right[finite].square().sum())
        noise += float((right[finite] - changed[finite]).square().sum())
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal else -math.inf


def explained_db(
    exact: Sequence[Tensor], rounded: Sequence[Tensor], precision: Precision, *, terms: int, independent: int
) -> float:
    """The least SQNR that the precision explains, the bit of grace included.

    `terms` of the longest sum on the way, and roundings that torch does not make; `independent`: values whose noise has
    nothing to do with each other.
    """
    from scipy.special import fdtri

    bits = 8 if precision.step else min(precision.result, FLOAT32)
    level = min(sqnr_db(exact, rounded), ONE_BIT * bits) - ONE_BIT
    if plain(precision):
        return level - 10 * math.log10(terms)
    return level - 10 * math.log10(float(fdtri(independent, independent, SURE)))


def plain(precision: Precision) -> bool:
    """Float32 throughout."""
    return precision == Precision(by_channel=precision.by_channel)

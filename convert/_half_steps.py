"""By which power of two a norm's operand is made smaller, so that the squares that it adds up fit half precision.

The derivation is in `_tflite/half_norms.py`: x / sqrt(mean(x x) + eps) is the same of s x and s^2 eps, with s = 2^-k.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, inf, isfinite, log2

import numpy as np

LARGEST = 65504.0  # of half precision
SMALLEST = 2.0**-14  # that has all digits
HEADROOM = 2.0


@dataclass(frozen=True)
class Sums:
    """What one operator adds up, over `drawn` pictures; `largest` is infinite if float32 cannot hold it either."""

    largest: float
    quietest: float  # result of the operator, the smallest above zero; infinite if none is


@dataclass(frozen=True)
class Step:
    """What the norms of one name need and bear; of s = 2^-k the k."""

    needed: int  # so that the sums stay in half precision, as far as eps allows
    borne: int  # the largest that loses no digit


NO_STEP = Step(0, 0)


def step_of(sums: Sums, eps: float) -> Step:
    if not isfinite(sums.largest):  # not to be mended by a factor
        return NO_STEP
    needed = with_eps(ceil(log2(max(sums.largest * HEADROOM / LARGEST, 1)) / 2), eps)
    quiet = sums.quietest + eps
    full = floor(log2(quiet / SMALLEST) / 2) if SMALLEST <= quiet < inf else 0
    return Step(needed, max(needed, with_eps(full, eps)))


def with_eps(k: int, eps: float) -> int:
    """The largest step up to k that leaves something of eps in half precision; k where it has nothing of it anyway."""
    if np.float16(eps) == 0:
        return k
    return next((fewer for fewer in range(k, 0, -1) if np.float16(eps * 4.0**-fewer) > 0), 0)

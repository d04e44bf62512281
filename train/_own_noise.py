"""Random numbers inside the network that belong to the sample: on which process it is, and beside which others, is of
no matter.

Dropout and stochastic depth draw from the state of a generator, so that what a sample gets depends on its place in the
batch and on the process. Here every draw is a hash of (key of the sample, number of the draw, place in the sample).
What else a network draws, such as a shuffle of channels, is seeded by the step and alike in all processes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode

STEPS = ((16, 0x7FEB352D), (15, 0x846CA68B), (16, 1))  # shifts and factors of lowbias32 (Chris Wellons, public domain)
STRIDE = 0x9E3779B9  # of places; odd, so that none meet, near 2^32 / golden ratio
BITS = 31  # of a draw
MAPS = (F.dropout1d, F.dropout2d, F.dropout3d)  # drop whole channels


def keys_of(seed: int, epoch: int, places: Sequence[int]) -> Tensor:
    """Keys of samples, int64 (N,), 0 to 2^32 - 1, by the run's seed, the epoch and their places in its order."""
    digests = [hashlib.blake2b(f"{seed} {epoch} {place}".encode(), digest_size=4).digest() for place in places]
    return torch.from_numpy(np.frombuffer(b"".join(digests), "<u4").astype(np.int64))


class OwnNoise(TorchFunctionMode):
    """In this block, dropout and what fills a tensor with 0 and 1 draw for each sample by its key, int64 (N,).

    Samples come first: a tensor's first side is N, or a multiple where each sample has several rows in sequence.
    Others (and draws with a generator of their own) are left as they are.
    """

    def __init__(self, keys: Tensor) -> None:
        super().__init__()
        self.keys, self.draws = keys, 0

    def __torch_function__(
        self, func: Callable, types: Sequence[type], args: tuple = (), kwargs: dict | None = None
    ) -> Any:
        kwargs = kwargs or {}
        if func is F.dropout or func in MAPS:
            return self.dropout(func, *args, **kwargs)
        if func is Tensor.bernoulli_ and kwargs.get("generator") is None:
            return self.filled(func, *args, **kwargs)
        return func(*args, **kwargs)

    def dropout(
        self, func: Callable, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        fits = input.ndim > 1 and input.shape[0] and input.shape[0] % len(self.keys) == 0
        if not training or not 0 < p < 1 or not fits:
            return func(input, p, training, inplace)
        shape = (*input.shape[:2], *[1] * (input.ndim - 2)) if func in MAPS else tuple(input.shape)
        kept = self.kept(shape, 1 - p, input.device).to(input.dtype) / (1 - p)
        return input.mul_(kept) if inplace else input * kept

    def filled(self, func: Callable, target: Tensor, p: float | Tensor = 0.5, **others: Any) -> Tensor:
        fits = target.ndim > 0 and target.shape[0] and target.shape[0] % len(self.keys) == 0
        if isinstance(p, Tensor) or not fits:
            return func(target, p, **others)
        return target.copy_(self.kept(tuple(target.shape), float(p), target.device))

    def kept(self, shape: tuple[int, ...], probability: float, device: torch.device) -> Tensor:
        """Which places are 1, bool of this shape, each with this probability."""
        self.draws += 1
        keys = as_int32(mixed(self.keys.to(device) ^ mixed_number(self.draws)))
        count = int(np.prod(shape)) // len(keys)  # places of a sample
        places = torch.arange(count, dtype=torch.int64, device=device) * STRIDE
        drawn = hashed(as_int32(places) ^ keys[:, None]) & (2**BITS - 1)
        return (drawn < round(probability * 2**BITS)).reshape(shape)


def as_int32(values: Tensor) -> Tensor:
    """The lowest 32 bits of int64, as they lie in int32."""
    return ((values + 2**31) % 2**32 - 2**31).to(torch.int32)


def hashed(values: Tensor) -> Tensor:
    """The hash of each int32, in place."""
    for shift, factor in STEPS:
        values ^= (values >> shift) & ((1 << (32 - shift)) - 1)
        if factor != 1:
            values *= factor - 2**32 if factor >= 2**31 else factor
    return values


def mixed(values: Tensor) -> Tensor:
    """The hash of each number from 0 to 2^32 - 1, int64."""
    return hashed(as_int32(values)).to(torch.int64) % 2**32


def mixed_number(value: int) -> int:
    return int(mixed(torch.tensor([value]))[0])

"""Random numbers inside the network that belong to the sample: on which process it is, and beside which others, is of
no matter.

Dropout and stochastic depth draw from the state of a generator, so that what a sample gets depends on its place in the
batch and on the process. Here every draw is a hash of (key of the sample, number of the draw, place in the sample).
Functions that draw inside themselves, such as attention with dropout, draw from a seed of all keys of the batch: no two
processes draw the same, and a resumed run repeats it. What else a network draws, such as a shuffle of channels, is
seeded by the step and alike in all processes.
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
NAMES = {"train": "training"}  # of an argument of torch.dropout, in functional
MAPS = (F.dropout1d, F.dropout2d, F.dropout3d)  # drop whole channels
DRAW_INSIDE = (
    F.multi_head_attention_forward,
    F.scaled_dot_product_attention,
    F.alpha_dropout,
    F.feature_alpha_dropout,
    F.rrelu,
    torch.feature_dropout,
)
NOISE = (
    torch.rand,
    torch.rand_like,
    torch.randn,
    torch.randn_like,
    torch.bernoulli,
    Tensor.bernoulli,
)  # where their rows are the samples'


def keys_of(seed: int, epoch: int, places: Sequence[int]) -> Tensor:
    """Keys of samples, int64 (N,), 0 to 2^32 - 1, by the run's seed, the epoch and their places in its order."""
    digests = [hashlib.blake2b(f"{seed} {epoch} {place}".encode(), digest_size=4).digest() for place in places]
    return torch.from_numpy(np.frombuffer(b"".join(digests), "<u4").astype(np.int64))


class OwnNoise(TorchFunctionMode):
    """In this block, dropout and what fills a tensor with 0 and 1 draw for each sample by its key, int64 (N,).

    What else draws for samples does so by all keys together. Samples come first: a tensor's first side is N, or a
    multiple where each sample has several rows in sequence. Others (and draws with a generator of their own) are left
    as they are.
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
        if func is torch.dropout:
            return self.dropout(F.dropout, *args, **{NAMES.get(name, name): value for name, value in kwargs.items()})
        if func in DRAW_INSIDE:
            return self.by_batch(func, *args, **kwargs)
        if func in NOISE and kwargs.get("generator") is None:
            drawn = func(*args, **kwargs)
            return self.by_batch(func, *args, **kwargs) if drawn.ndim > 1 and self.fits(drawn) else drawn
        if func is Tensor.bernoulli_ and kwargs.get("generator") is None:
            return self.filled(func, *args, **kwargs)
        return func(*args, **kwargs)

    def dropout(
        self, func: Callable, input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
    ) -> Tensor:
        if not training or not 0 < p < 1 or input.ndim < 2 or not self.fits(input):
            return func(input, p, training, inplace)
        shape = (*input.shape[:2], *[1] * (input.ndim - 2)) if func in MAPS else tuple(input.shape)
        kept = self.kept(shape, 1 - p, input.device).to(input.dtype) / (1 - p)
        return input.mul_(kept) if inplace else input * kept

    def filled(self, func: Callable, target: Tensor, p: float | Tensor = 0.5, **others: Any) -> Tensor:
        if isinstance(p, Tensor) or not 0 <= p <= 1 or target.ndim < 1 or not self.fits(target):
            return func(target, p, **others)
        return target.copy_(self.kept(tuple(target.shape), float(p), target.device))

    def fits(self, values: Tensor) -> bool:
        """Whether the first side is as many samples as there are keys, or a multiple of them."""
        return values.shape[0] > 0 and values.shape[0] % len(self.keys) == 0

    def by_batch(self, func: Callable, *args: Any, **kwargs: Any) -> Any:
        """What `func` gives with a generator that is seeded by all keys; the usual one stays as it is."""
        self.draws += 1
        digest = hashlib.blake2b(self.keys.cpu().numpy().tobytes() + b"%d" % self.draws, digest_size=7).digest()
        devices = {value.device for value in (*args, *kwargs.values()) if isinstance(value, Tensor)}
        with torch.random.fork_rng(devices=[device for device in devices if device.type == "cuda"]):
            torch.manual_seed(int.from_bytes(digest, "big"))
            return func(*args, **kwargs)

    def kept(self, shape: tuple[int, ...], probability: float, device: torch.device) -> Tensor:
        """Which places are 1, bool of this shape, each with this probability."""
        self.draws += 1
        limit = round(probability * 2**BITS)
        if limit >= 2**BITS:  # which int32 does not hold
            return torch.ones(shape, dtype=torch.bool, device=device)
        keys = as_int32(mixed(self.keys.to(device) ^ mixed_number(self.draws)))
        count = int(np.prod(shape)) // len(keys)  # places of a sample
        places = torch.arange(count, dtype=torch.int64, device=device) * STRIDE
        drawn = hashed(as_int32(places) ^ keys[:, None]) & (2**BITS - 1)
        return (drawn < limit).reshape(shape)


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

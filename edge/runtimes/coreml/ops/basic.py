"""Types and identity."""

from __future__ import annotations

import torch
from torch import Tensor

CASTS = {
    "fp16": torch.float16, "fp32": torch.float32, "fp64": torch.float64, "bool": torch.bool,
    "int32": torch.int32, "int64": torch.int64, "int16": torch.int16, "int8": torch.int8,
    "uint8": torch.uint8, "uint16": torch.uint16,
}  # fmt: skip


def cast(x: Tensor, dtype: str) -> Tensor:
    """To another type: floats lose their fraction towards zero, anything but zero is true."""
    if dtype not in CASTS:
        raise ValueError(f"the type {dtype} is not one of {', '.join(CASTS)}")
    if dtype in {"fp16", "fp32", "fp64"}:
        return x.half().float() if dtype == "fp16" else x.to(CASTS[dtype])
    return x.to(CASTS[dtype])


def identity(x: Tensor) -> Tensor:
    return x


TABLE = {"cast": cast, "identity": identity}
EXACT = frozenset({"identity"})

"""Weights for a smaller file: two bytes a number where that can be, computed with as float32 again after loading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edge.errors import InputError

if TYPE_CHECKING:
    from torch import Tensor


def in_half_precision(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a network with matrices and kernels in float16, each number rounded to the nearest.

    What has one dimension or none stays: biases, scales and the statistics of norms are few numbers of any size. Raises
    InputError for a number that float16 has not: NaN, infinite, or beyond 65504.
    """
    import torch

    halves = {
        name: value.to(torch.float16) if value.is_floating_point() and value.dim() > 1 else value
        for name, value in state.items()
    }
    beyond = [name for name, value in halves.items() if value.dtype == torch.float16 and not value.isfinite().all()]
    if beyond:
        raise InputError(
            f"{beyond[0]} has a number that float16 does not hold, and {len(beyond) - 1} other tensors: keep float32"
        )
    return halves

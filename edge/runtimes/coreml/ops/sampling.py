"""Values of a map between its pixels."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

PADDING = {"constant": "zeros", "border": "border", "reflection": "reflection", "symmetric": "reflection"}


def bilinear(x: Tensor, images: Tensor, ys: Tensor, xs: Tensor) -> Tensor:
    """Of image, row and column numbers that broadcast to (N, height, width): (N, C, height, width)."""
    height, width = x.shape[-2:]
    ys, xs = ys.clamp(0, height - 1), xs.clamp(0, width - 1)
    top, left = ys.floor().long(), xs.floor().long()
    bottom, right = (top + 1).clamp(max=height - 1), (left + 1).clamp(max=width - 1)
    down, across = (ys - top)[..., None], (xs - left)[..., None]
    planes = x.permute(0, 2, 3, 1)  # a view; picking by three indices then gives channels last
    upper = torch.lerp(planes[images, top, left], planes[images, top, right], across)
    lower = torch.lerp(planes[images, bottom, left], planes[images, bottom, right], across)
    return torch.lerp(upper, lower, down).permute(0, 3, 1, 2)


def resample(
    x: Tensor, coordinates: Tensor, mode: str, padding: str, value: float, coordinates_mode: str, aligned: bool
) -> Tensor:
    """At (x, y) coordinates of (B, height, width, 2).

    torch mirrors at pixel centres where corners are aligned, and at pixel edges where they are not; `reflection` and
    `symmetric` say it themselves, so coordinates are restated where the two disagree.
    """
    mode, padding = mode.lower(), padding.lower()
    if mode not in {"bilinear", "nearest"} or padding not in PADDING:
        raise ValueError(f"sampling_mode {mode} with padding_mode {padding} is not known")
    kept = {"reflection": True, "symmetric": False}.get(padding, aligned)
    grid = restated(coordinates, coordinates_mode.lower(), aligned, kept, x.shape[-1], x.shape[-2])
    shift = value if padding == "constant" else 0.0
    sampled = F.grid_sample(x - shift if shift else x, grid, mode, PADDING[padding], kept)
    return sampled + shift if shift else sampled


def restated(coordinates: Tensor, mode: str, aligned: bool, kept: bool, width: int, height: int) -> Tensor:
    """As torch takes them: -1 to 1 from centre to centre (`kept`) or from edge to edge."""
    if mode == "normalized_minus_one_to_one" and aligned == kept:
        return coordinates
    if mode == "normalized_zero_to_one" and aligned == kept:
        return coordinates * 2 - 1
    size = torch.tensor([width, height], dtype=coordinates.dtype, device=coordinates.device)
    if mode == "unnormalized":
        pixels = coordinates
    elif mode in {"normalized_minus_one_to_one", "normalized_zero_to_one"}:
        part = (coordinates + 1) / 2 if mode == "normalized_minus_one_to_one" else coordinates
        pixels = part * (size - 1) if aligned else part * size - 0.5
    else:
        raise ValueError(f"coordinates_mode {mode} is not known")
    # One pixel has its centre everywhere: any number stands for it.
    return 2 * pixels / (size - 1).clamp(min=1) - 1 if kept else (2 * pixels + 1) / size - 1

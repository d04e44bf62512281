"""Resizes that converters get wrong, and drawn ones: F.interpolate's arguments, on any small map."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from hypothesis import assume
from hypothesis import strategies as st
from torch import Tensor, nn

# name -> (rows, columns), arguments. What `scale_factor` gives is not what the sides say, or the operator has no form.
RESIZES: dict[str, tuple[tuple[int, int], dict[str, Any]]] = {
    "bilinear x1.5": ((7, 7), {"mode": "bilinear", "scale_factor": 1.5}),
    "bilinear x1.3": ((7, 9), {"mode": "bilinear", "scale_factor": 1.3}),
    "bilinear x0.4": ((14, 14), {"mode": "bilinear", "scale_factor": 0.4}),
    "bilinear x1.05, the same size": ((7, 7), {"mode": "bilinear", "scale_factor": 1.05}),
    "bilinear x1.3, recomputed": (
        (7, 9),
        {"mode": "bilinear", "scale_factor": 1.3, "recompute_scale_factor": True},
    ),
    "bilinear by size": ((7, 9), {"mode": "bilinear", "size": (12, 5)}),
    "bilinear, corners": ((7, 9), {"mode": "bilinear", "size": (12, 5), "align_corners": True}),
    "bilinear, corners, x1.3": ((7, 9), {"mode": "bilinear", "scale_factor": 1.3, "align_corners": True}),
    "bilinear x2": ((5, 3), {"mode": "bilinear", "scale_factor": 2}),
    "bilinear x3, corners": ((5, 3), {"mode": "bilinear", "size": (15, 9), "align_corners": True}),
    "antialias, smaller": ((15, 12), {"mode": "bilinear", "size": (4, 5), "antialias": True}),
    "antialias, x0.4": ((15, 12), {"mode": "bilinear", "scale_factor": 0.4, "antialias": True}),
    "antialias, larger": ((5, 4), {"mode": "bilinear", "size": (9, 11), "antialias": True}),
    "bicubic": ((7, 9), {"mode": "bicubic", "size": (12, 5)}),
    "bicubic x1.5": ((7, 9), {"mode": "bicubic", "scale_factor": 1.5}),
    "bicubic, corners": ((7, 9), {"mode": "bicubic", "size": (12, 5), "align_corners": True}),
    "bicubic, antialias": ((15, 12), {"mode": "bicubic", "scale_factor": (0.5, 0.3), "antialias": True}),
    "nearest x0.5": ((15, 15), {"mode": "nearest", "scale_factor": 0.5}),
    "nearest x1.5": ((15, 12), {"mode": "nearest", "scale_factor": 1.5}),
    "nearest x0.25": ((14, 14), {"mode": "nearest", "scale_factor": 0.25}),
    "nearest by size": ((7, 9), {"mode": "nearest", "size": (12, 5)}),
    "nearest x2": ((5, 3), {"mode": "nearest", "scale_factor": 2}),
    "nearest-exact": ((7, 9), {"mode": "nearest-exact", "size": (12, 5)}),
    "nearest-exact x1.5": ((15, 12), {"mode": "nearest-exact", "scale_factor": 1.5}),
    "area": ((15, 12), {"mode": "area", "scale_factor": 0.4}),
    "one axis alone": ((7, 9), {"mode": "bilinear", "scale_factor": (1, 1.3)}),
    "to one place": ((7, 9), {"mode": "bilinear", "size": (1, 1)}),
    "of one row": ((1, 9), {"mode": "bicubic", "size": (4, 5)}),
}
ROWS: dict[str, dict[str, Any]] = {
    "linear x1.3": {"mode": "linear", "scale_factor": 1.3},
    "linear by size": {"mode": "linear", "size": 14},
    "linear, corners": {"mode": "linear", "size": 5, "align_corners": True},
    "nearest x1.5": {"mode": "nearest", "scale_factor": 1.5},
    "nearest x3": {"mode": "nearest", "scale_factor": 3},
    "nearest-exact": {"mode": "nearest-exact", "size": 7},
}


class Resizing(nn.Module):
    """(1, C, H, W) -> (1, K): all resizes of a map's first rows and columns, one after the other."""

    def forward(self, x: Tensor) -> Tensor:
        maps = [F.interpolate(x[:, :, :h, :w], **options) for (h, w), options in RESIZES.values()]
        rows = [F.interpolate(x[:, :, 0], **options) for options in ROWS.values()]
        return torch.cat([value.flatten(1) for value in (*maps, *rows)], 1)


@st.composite
def resizes(draw) -> tuple[tuple[int, int], dict[str, Any]]:
    """A map's sides and arguments that torch takes."""
    sides = draw(st.tuples(st.integers(1, 16), st.integers(1, 16)))
    mode = draw(st.sampled_from(("nearest", "nearest-exact", "bilinear", "bicubic", "area")))
    options: dict[str, Any] = {"mode": mode}
    if draw(st.booleans()):
        options["size"] = draw(st.tuples(st.integers(1, 24), st.integers(1, 24)))
    else:
        factors = st.one_of(st.sampled_from((0.25, 0.5, 1.0, 1.5, 2.0, 3.0)), st.floats(0.2, 3.5))
        options["scale_factor"] = draw(st.tuples(factors, factors))
        options["recompute_scale_factor"] = draw(st.sampled_from((None, True)))
        assume(all(int(side * factor) >= 1 for side, factor in zip(sides, options["scale_factor"], strict=True)))
    if mode in {"bilinear", "bicubic"}:
        options["align_corners"] = draw(st.booleans())
        options["antialias"] = draw(st.booleans())
    return sides, options

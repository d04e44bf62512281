"""Which part of a tensor's range 256 steps are best spent on."""

from __future__ import annotations

import numpy as np

from edge.scheme import Range

SAMPLED = 1024  # values of a tensor per image, for the least-squares range
GRID = 16  # tried ends of a range, on each side


def least_squares(values: np.ndarray, widest: Range) -> Range:
    """The part of `widest` whose 256 steps give the least squared error on `values` (clipping and rounding)."""
    best, least = widest, np.inf
    shares = np.linspace(0.25, 1.0, GRID)
    for low in [widest[0]] if widest[0] > -0.3 else widest[0] * shares:  # SiLU's floor of -0.28 is never cut
        for high in widest[1] * shares:
            step = max((high - low) / 255, 1e-12)
            grid = np.clip(np.round(values / step), np.round(low / step), np.round(high / step)) * step
            error = float(np.square(grid - values).sum())
            if error < least:
                best, least = (float(low), float(high)), error
    return best

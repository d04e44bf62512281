"""Runtimes: each opens a file (or a checkpoint), runs uint8 squares and gives probabilities.

`run(images_u8)` takes uint8 (N, S, S, 3) RGB and returns float64 (N, K); `run_all` gives the lesions' masks beside
them where the network has them; `close()` frees what is held.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np


class Found(NamedTuple):
    """What a network says of N images."""

    probabilities: np.ndarray  # float64 (N, K)
    masks: np.ndarray | None  # float32 (N, S, S), probability of each pixel; None: the network gives none


def joined(parts: Sequence[Found]) -> Found:
    """What was said of several lots of images, one after the other."""
    masks = [part.masks for part in parts if part.masks is not None]
    return Found(np.concatenate([part.probabilities for part in parts]), np.concatenate(masks) if masks else None)

"""Upright RGB -> model input: centred square crop, then one resize. The same for training, judging and phones."""

from __future__ import annotations

import numpy as np

from edge.errors import InputError

# Part of every cache key and manifest: it changes whenever the same photograph would give other bytes.
PREPROCESS_VERSION = "opencv-area-1"
MAX_INPUT_SIDE = 4096  # pixels; no phone model comes near


def square(rgb: np.ndarray) -> np.ndarray:
    """The largest centred square of a uint8 RGB (H, W, 3) array, a view.

    Where the margins cannot be equal, the upper or left one is the smaller by a pixel.
    """
    check_rgb(rgb)
    height, width = rgb.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return rgb[top : top + side, left : left + side]


def to_input(rgb: np.ndarray, side: int) -> np.ndarray:
    """uint8 RGB (side, side, 3) of an upright uint8 RGB (H, W, 3): centred square, pixel areas averaged.

    Shrinks with OpenCV's INTER_AREA, enlarges with INTER_LINEAR; at the same size the bytes are copied.
    """
    import cv2

    if not isinstance(side, int) or isinstance(side, bool) or not 1 <= side <= MAX_INPUT_SIDE:
        raise InputError(f"the side of a model input is a whole number of 1 to {MAX_INPUT_SIDE} pixels, got {side!r}")
    crop = np.ascontiguousarray(square(rgb))
    if len(crop) == side:
        return crop.copy()
    how = cv2.INTER_AREA if len(crop) > side else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(crop, (side, side), interpolation=how), np.uint8)


def check_rgb(rgb: np.ndarray) -> None:
    """InputError unless this is a uint8 array (H, W, 3) with at least one pixel."""
    if not isinstance(rgb, np.ndarray):
        raise InputError(f"expected RGB as a uint8 array (height, width, 3), got {type(rgb).__name__}")
    if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or 0 in rgb.shape:
        raise InputError(
            f"expected RGB as a uint8 array (height, width, 3), got {rgb.dtype} {rgb.shape}; "
            "edge.capture.read_photo gives one"
        )

"""How a file takes a picture: size, order of the axes, type, and what a pixel becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from edge.errors import InputError

Three = tuple[float, float, float]
IMAGENET_MEAN, IMAGENET_STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)  # 255 times torchvision's
# What a float input may expect, by the name that a person gives: mean and standard deviation of (pixel - mean) / std
PIXELS: dict[str, tuple[Three, Three]] = {
    "0..255": ((0.0,) * 3, (1.0,) * 3),
    "0..1": ((0.0,) * 3, (255.0,) * 3),
    "-1..1": ((127.5,) * 3, (127.5,) * 3),
    "imagenet": (IMAGENET_MEAN, IMAGENET_STD),
}
MAX_SIDE = 4096  # pixels
CODES = {np.dtype(np.uint8): 0, np.dtype(np.int8): -128}  # type -> the code of a black pixel


@dataclass(frozen=True)
class Pixels:
    """How a file takes a picture."""

    height: int
    width: int
    layout: str  # "NHWC", "NCHW", or "picture" where the runtime takes pixels itself
    dtype: Any  # float32, or uint8 and int8, whose codes are the pixels' own
    mean: Three
    std: Three
    source: str  # where `mean` and `std` come from, in words

    def tensor(self, picture: np.ndarray) -> np.ndarray:
        """uint8 (height, width, 3) RGB -> the file's input of one picture."""
        if self.dtype == np.float32:
            scaled = (picture.astype(np.float32) - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        else:
            scaled = (picture.astype(np.int16) + CODES[np.dtype(self.dtype)]).astype(self.dtype)
        axes = scaled.transpose(2, 0, 1) if self.layout == "NCHW" else scaled
        return np.ascontiguousarray(axes[None])


def pixels_of(
    name: str, shape: tuple[int, ...], dtype: Any, *, stated: tuple[Three, Three, str] | None, asked: str | None
) -> Pixels:
    """How an input of that shape and type takes a picture.

    `stated`: mean, standard deviation and place, where the file says them. `asked`: a key of `PIXELS`, which counts
    before what the file says. InputError for an input that is no RGB picture, and for a float input of which nobody
    says what it expects.
    """
    layout = "NHWC" if len(shape) == 4 and shape[3] == 3 else "NCHW"
    channels, sides = (shape[3], shape[1:3]) if layout == "NHWC" and len(shape) == 4 else (shape[1:2], shape[2:4])
    kind = np.dtype(dtype)
    fits = len(shape) == 4 and shape[0] == 1 and channels in (3, (3,)) and all(1 <= side <= MAX_SIDE for side in sides)
    if not fits or (kind != np.float32 and kind not in CODES):
        raise InputError(
            f"{name}: expected one RGB picture as input, (1, H, W, 3) or (1, 3, H, W) of float32, uint8 or int8; got "
            f"{shape} of {kind.name}"
        )
    height, width = int(sides[0]), int(sides[1])
    if kind in CODES:
        return Pixels(height, width, layout, kind, (0.0,) * 3, (1.0,) * 3, f"{kind.name} codes, black to white")
    if asked is not None:
        if asked not in PIXELS:
            raise InputError(f"`pixels` is one of {', '.join(PIXELS)}, got {asked!r:.60}")
        return Pixels(height, width, layout, kind, *PIXELS[asked], f"as asked: {asked}")
    if stated is None:
        raise InputError(
            f"{name} takes float32 and says nowhere what a pixel is: tell it with `pixels`, one of {', '.join(PIXELS)}"
        )
    return Pixels(height, width, layout, kind, *stated)

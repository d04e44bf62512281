"""A photograph as it is stored: opened, its size checked, decoded when its first strip is asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image

STRIP_PIXELS = 2**18  # at a time, so that intermediate pictures stay small


@dataclass(frozen=True)
class Stored:
    """Pixels in the order of the file, at the scale that docs/preprocess.md says."""

    in_file: tuple[int, int]  # width and height that the file has
    width: int  # and those that it is decoded to
    height: int
    mode: str  # Pillow's
    info: dict  # what the file says beside its pixels, by Pillow's names
    orientation: int  # EXIF 2.32: 1 to 8
    rows: Callable[[int, int], Image.Image]  # the rows from one to before another, with `info`

    def strips(self) -> Iterator[tuple[slice, Image.Image]]:
        """All rows from the top, a few at a time."""
        step = max(1, STRIP_PIXELS // self.width)
        for top in range(0, self.height, step):
            bottom = min(top + step, self.height)
            yield slice(top, bottom), self.rows(top, bottom)


def of_image(image: Image.Image, orientation: int, in_file: tuple[int, int] | None = None) -> Stored:
    """An image of Pillow, decoded or not. `in_file`: its size in the file, where it is decoded to another."""
    width, height = image.size
    return Stored(
        in_file or image.size, width, height, image.mode, dict(image.info), orientation,
        lambda top, bottom: image.crop((0, top, width, bottom)),
    )  # fmt: skip


# EXIF 2.32, 4.6.4 A: of which orientations the rows, the columns, or both in exchange run the other way.
SIDEWAYS = frozenset({5, 6, 7, 8})
ROWS_REVERSED = frozenset({3, 4, 6, 7})
COLUMNS_REVERSED = frozenset({2, 3, 7, 8})


def as_stored(upright: np.ndarray, orientation: int) -> np.ndarray:
    """A view of an upright picture (H, W, …) in the order in which a file of that orientation stores it."""
    rows = upright.swapaxes(0, 1) if orientation in SIDEWAYS else upright
    return rows[:: -1 if orientation in ROWS_REVERSED else 1, :: -1 if orientation in COLUMNS_REVERSED else 1]

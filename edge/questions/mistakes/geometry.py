"""Wrong ways to the right size: another resize, no crop, a picture on its side. Each gives uint8 (S, S, 3)."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from edge.preprocess import square, to_input
from edge.questions.mistakes.scene import Scene

# What EXIF 2.32 says about how an upright picture is stored, by orientation. 3, 6 and 8 are what phones write.
STORED: dict[int, Callable[[np.ndarray], np.ndarray]] = {
    2: lambda rgb: rgb[:, ::-1],
    3: lambda rgb: rgb[::-1, ::-1],
    4: lambda rgb: rgb[::-1],
    5: lambda rgb: rgb.transpose(1, 0, 2),
    6: lambda rgb: np.rot90(rgb),  # to be turned clockwise by the viewer
    7: lambda rgb: rgb[::-1, ::-1].transpose(1, 0, 2),
    8: lambda rgb: np.rot90(rgb, -1),
}


def nearest(scene: Scene) -> np.ndarray:
    """Of each result pixel the one source pixel that its centre lies in."""
    crop = square(scene.upright)
    side = scene.target.side
    index = (2 * np.arange(side) + 1) * len(crop) // (2 * side)
    return np.ascontiguousarray(crop[index][:, index])


def bilinear(scene: Scene) -> np.ndarray:
    """Of each result pixel the four source pixels around its centre, however many lie in it."""
    import cv2

    side = scene.target.side
    return cv2.resize(np.ascontiguousarray(square(scene.upright)), (side, side), interpolation=cv2.INTER_LINEAR)


def bilinear_antialiased(scene: Scene) -> np.ndarray:
    """A triangle as wide as two result pixels, as Pillow and torchvision do it."""
    from PIL import Image

    side = scene.target.side
    crop = Image.fromarray(np.ascontiguousarray(square(scene.upright)))
    return np.asarray(crop.resize((side, side), Image.Resampling.BILINEAR))


def stretched(scene: Scene) -> np.ndarray:
    """The whole picture pressed into the square. A square picture is not harmed."""
    height, width = scene.upright.shape[:2]
    return scene.right if height == width else area_to(scene.upright, scene.target.side, scene.target.side)


def letterboxed(scene: Scene) -> np.ndarray:
    """The whole picture in its proportions, black beside it. A square picture is not harmed."""
    height, width = scene.upright.shape[:2]
    side = scene.target.side
    if height == width:
        return scene.right
    rows, columns = (max(1, (2 * n * side + max(height, width)) // (2 * max(height, width))) for n in (height, width))
    top, left = (side - rows) // 2, (side - columns) // 2
    boxed = np.zeros((side, side, 3), np.uint8)
    boxed[top : top + rows, left : left + columns] = area_to(scene.upright, rows, columns)
    return boxed


def lying(scene: Scene, *, orientation: int) -> np.ndarray:
    """The pixels as a file of this EXIF orientation stores them, not turned."""
    return to_input(np.ascontiguousarray(STORED[orientation](scene.upright)), scene.target.side)


def area_to(rgb: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """Mean over areas, also where height and width shrink differently; `preprocess.area` takes squares only."""
    import cv2

    return cv2.resize(np.ascontiguousarray(rgb), (columns, rows), interpolation=cv2.INTER_AREA)

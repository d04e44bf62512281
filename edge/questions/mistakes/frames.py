"""A photograph as a camera frame: RGB -> YUV 4:2:0 -> RGB, with the colours read rightly or wrongly."""

from __future__ import annotations

import numpy as np

from edge.camera import frame_to_input, nv12, nv21
from edge.preprocess import area, square
from edge.questions.mistakes.scene import Scene

LUMA = {"bt601": (0.299, 0.114), "bt709": (0.2126, 0.0722)}  # of R and B; ITU-R BT.601-7, BT.709-6
FRAME_SIDE = 1080  # pixels; larger pictures are made as small as the frames that apps analyse
Colour = tuple[str, bool]  # matrix, full range


def by_camera(scene: Scene, *, sent: Colour, read: Colour, swapped: bool = False) -> np.ndarray:
    """uint8 (S, S, 3) of the photograph sent as an NV12 frame of one colour and read as one of another.

    `swapped`: read as NV21, whose U and V change places.
    """
    crop = square(scene.upright)
    if len(crop) > FRAME_SIDE:
        crop = area(crop, FRAME_SIDE)
    form = nv21 if swapped else nv12
    frame = form(to_nv12(crop, *sent), crop.shape[1], crop.shape[0], matrix=read[0], full_range=read[1])
    return frame_to_input(frame, scene.target.side)


def to_nv12(rgb: np.ndarray, matrix: str, full_range: bool) -> bytes:
    """Luma, then U and V in turns; chroma is the mean of 2 x 2 pixels, at odd edges of those that are there."""
    red, green, blue = np.moveaxis(rgb.astype(np.float32), 2, 0)
    kr, kb = LUMA[matrix]
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    chroma = np.stack(((blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)), axis=-1)
    height, width = luma.shape
    chroma = np.pad(chroma, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    chroma = chroma.reshape(chroma.shape[0] // 2, 2, chroma.shape[1] // 2, 2, 2).mean(axis=(1, 3))
    if not full_range:
        luma, chroma = 16 + luma * (219 / 255), chroma * (224 / 255)
    return b"".join(np.clip(np.rint(plane), 0, 255).astype(np.uint8).tobytes() for plane in (luma, chroma + 128))

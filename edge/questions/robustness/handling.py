"""What happens to a picture on its way: saved small, saved badly, held askew."""

from __future__ import annotations

import io

import numpy as np

from edge.preprocess import area
from edge.questions.robustness.levels import level


def jpeg(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    from PIL import Image

    with Image.open(io.BytesIO(saved(rgb, int(level("jpeg", severity))))) as image:
        return np.array(image)


def saved(rgb: np.ndarray, quality: int) -> bytes:
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(rgb).save(buffer, "JPEG", quality=quality, subsampling="4:2:0")
    return buffer.getvalue()


def downscale(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    import cv2

    side, left = len(rgb), int(level("downscale", severity))
    if left >= side:
        return rgb.copy()
    return cv2.resize(area(rgb, left), (side, side), interpolation=cv2.INTER_LINEAR)


def rotation(rgb: np.ndarray, severity: int, rng: np.random.Generator) -> np.ndarray:
    return turned(rgb, float(rng.choice((-1, 1)) * level("rotation", severity)))


def turned(rgb: np.ndarray, degrees: float) -> np.ndarray:
    """Anticlockwise about the centre; what comes in at the corners is the picture mirrored."""
    import cv2

    centre = (len(rgb) - 1) / 2
    matrix = cv2.getRotationMatrix2D((centre, centre), degrees, 1.0)
    return cv2.warpAffine(rgb, matrix, (len(rgb), len(rgb)), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)

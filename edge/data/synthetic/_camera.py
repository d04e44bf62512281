"""How a phone photographs a patch of skin: framing, light, blur, noise and a JPEG with an orientation."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from ._noise import Noise, Rng
from ._skin import PATCH, WINDOW, Patch

SIZES = ((960, 1280), (840, 1120), (900, 1200), (1080, 1440), (960, 960))  # upright width, height of the files
WORK = 0.5  # photographs are lit and blurred at this share of their size: phones' pictures are no sharper
QUALITY = 88  # JPEG, what phones commonly use
UPRIGHT, UPSIDE_DOWN, QUARTER_RIGHT, QUARTER_LEFT = 1, 3, 6, 8  # EXIF orientation


def photograph(rng: Rng, patch: Patch, noise: Noise) -> tuple[np.ndarray, np.ndarray]:
    """The patch as a phone sees it, upright uint8 RGB (H, W, 3), and where in it the lesion is, bool (H, W).

    The mask is the lesion's outline under the camera's geometry; light, blur and a ruler do not change it.
    """
    width, height = SIZES[rng.integers(len(SIZES))]
    if rng.random() < 0.25:
        width, height = height, width
    size = (round(width * WORK), round(height * WORK))
    colour, relief, gloss, lesion = frame(rng, patch, size)
    light_up(rng, colour, relief, gloss)
    expose(rng, colour)
    blur(rng, colour)
    if rng.random() < 0.1:
        lay_ruler(rng, colour)
    picture = cv2.resize(colour, (width, height), interpolation=cv2.INTER_CUBIC)
    top, left = rng.integers(0, noise.TILE - np.array((height, width)) + 1)
    grain = noise.sensor[top : top + height, left : left + width]
    picture = cv2.addWeighted(picture, 255, grain, 255 * rng.uniform(0.002, 0.016), 0, dtype=cv2.CV_8U)  # saturates
    return picture, cv2.resize(lesion, (width, height), interpolation=cv2.INTER_LINEAR) >= 0.5


def frame(rng: Rng, patch: Patch, size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Colour, relief, gloss and lesion under a camera that is turned, shifted, nearer or farther, and tilted."""
    scale = min(size) / (WINDOW * np.exp(rng.uniform(-0.22, 0.22)))
    turn = rng.uniform(0, 2 * np.pi)
    shift = np.array(size) / 2 + rng.normal(0, 0.05, 2) * min(size)
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    matrix = np.eye(3)
    matrix[:2, :2] = linear
    matrix[:2, 2] = shift - linear @ (PATCH / 2, PATCH / 2)
    tilt = np.eye(3)
    tilt[2, :2] = rng.normal(0, 0.1, 2) / np.array(size)
    matrix = tilt @ matrix

    def seen(layer: np.ndarray) -> np.ndarray:
        # Mirrored, because a corner of the photograph may look beyond the patch.
        how = cv2.BORDER_REFLECT_101
        return np.asarray(cv2.warpPerspective(layer, matrix, size, flags=cv2.INTER_LINEAR, borderMode=how), np.float32)

    return seen(patch.colour), seen(patch.relief) * np.float32(scale), seen(patch.gloss), seen(patch.lesion)


def light_up(rng: Rng, colour: np.ndarray, relief: np.ndarray, gloss: np.ndarray) -> None:
    """Shade by the slope of the relief, add highlights, let the light fall off across a curved body; in place."""
    height, width = relief.shape
    angle = rng.uniform(0, 2 * np.pi)
    dx, dy = cv2.Sobel(relief, cv2.CV_32F, 1, 0, scale=1 / 8), cv2.Sobel(relief, cv2.CV_32F, 0, 1, scale=1 / 8)
    slope = dx * np.float32(np.cos(angle)) + dy * np.float32(np.sin(angle))
    shading = 1 + np.clip(slope * np.float32(rng.uniform(0.1, 0.35)), -0.4, 0.35)
    x, y = np.linspace(-1, 1, width, dtype=np.float32)[None], np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    fall = rng.normal(0, 0.1, 2)
    body = 1 + np.float32(fall[0]) * x + np.float32(fall[1]) * y
    vignette = 1 - np.float32(rng.uniform(0, 0.28)) * (x * x + y * y) / 2
    colour *= (shading * body * vignette)[:, :, None]
    # A highlight is narrow: only slopes that face the lamp shine.
    facing = np.float32(rng.uniform(0.3, 0.8))
    shine = np.exp(-((slope - facing) ** 2 + (dx * dx + dy * dy - slope * slope)) / 0.12) * gloss
    colour += (shine * np.float32(rng.uniform(0.1, 0.9)))[:, :, None]


def expose(rng: Rng, colour: np.ndarray) -> None:
    """Exposure, contrast and a wrong white balance, in place."""
    warm, green = rng.normal(0, 0.08), rng.normal(0, 0.025)
    gains = np.exp(rng.normal(0, 0.12) + np.array((warm, green, -warm))) * rng.uniform(0.92, 1.05)
    np.clip(colour, 0, None, out=colour)
    contrast = rng.uniform(0.85, 1.25)
    colour *= gains.astype(np.float32)
    colour += np.float32(contrast - 1) * (colour - np.float32(0.5)) * np.float32(0.6)
    # A soft shoulder instead of hard clipping, as cameras have.
    high = colour > 0.85
    colour[high] = 0.85 + 0.15 * (1 - np.exp(-(colour[high] - 0.85) / 0.15))


def blur(rng: Rng, colour: np.ndarray) -> None:
    """Defocus on most photographs, a shaken hand on some, in place."""
    sigma = 0.4 + rng.exponential(0.7)
    cv2.GaussianBlur(colour, (0, 0), min(sigma, 4.0), dst=colour)
    if rng.random() < 0.15:
        length = int(rng.integers(5, 15))
        kernel = np.zeros((length, length), np.uint8)
        reach = length / 2 * np.array([np.cos(angle := rng.uniform(0, np.pi)), np.sin(angle)])
        middle = np.array((length // 2, length // 2))
        cv2.line(kernel, tuple((middle - reach).astype(int)), tuple((middle + reach).astype(int)), 255, 1, cv2.LINE_AA)
        cv2.filter2D(colour, -1, kernel.astype(np.float32) / kernel.sum(dtype=np.float32), dst=colour)


def lay_ruler(rng: Rng, colour: np.ndarray) -> None:
    """The edge of a paper ruler along one side of the photograph, in place."""
    side = int(rng.integers(4))
    view = np.rot90(colour, side)
    height, width = view.shape[:2]
    strip = np.ones((height, width), np.float32)
    lean, depth = rng.normal(0, 0.04), rng.uniform(0.05, 0.13) * height
    corners = np.array([(0, 0), (width, 0), (width, depth + lean * width), (0, depth)])
    cover = np.zeros((height, width), np.uint8)
    cv2.fillPoly(cover, [np.rint(corners * 16).astype(np.int32)], 255, cv2.LINE_AA, shift=4)
    step = rng.uniform(0.018, 0.03) * width  # a millimetre
    for tick in range(int(width / step) + 1):
        x, bottom = round(tick * step), depth + lean * tick * step
        reach = (0.5 if tick % 10 == 0 else 0.35 if tick % 5 == 0 else 0.22) * depth
        cv2.line(strip, (x, round(bottom)), (x, round(bottom - reach)), 0.15, 1, cv2.LINE_AA)
    paper = np.array((0.93, 0.92, 0.88), np.float32) * np.float32(rng.uniform(0.75, 1))
    share = cv2.GaussianBlur(cover, (0, 0), 1).astype(np.float32) / 255
    view += share[:, :, None] * (paper * cv2.GaussianBlur(strip, (0, 0), 0.6)[:, :, None] - view)


def save_mask(mask: np.ndarray, path: Path) -> None:
    """A grey PNG that lies over the upright photograph: 255 is lesion."""
    from PIL import Image

    Image.fromarray(np.where(mask, 255, 0).astype(np.uint8)).save(path, "PNG", optimize=True)


def save(picture: np.ndarray, rng: Rng, path: Path) -> None:
    """JPEG as a phone stores it: pixels in the sensor's orientation, EXIF that says how to turn them."""
    from PIL import Image

    orientation = int(rng.choice((UPRIGHT, UPSIDE_DOWN, QUARTER_RIGHT, QUARTER_LEFT), p=(0.35, 0.1, 0.4, 0.15)))
    undone_by_the_reader = {
        UPSIDE_DOWN: cv2.ROTATE_180,
        QUARTER_RIGHT: cv2.ROTATE_90_COUNTERCLOCKWISE,
        QUARTER_LEFT: cv2.ROTATE_90_CLOCKWISE,
    }
    if orientation != UPRIGHT:
        picture = cv2.rotate(picture, undone_by_the_reader[orientation])
    block = Image.Exif()
    block[0x010F], block[0x0110], block[0x0112] = "dermedge", "synthetic sample, drawn by a computer", orientation
    Image.fromarray(picture).save(path, "JPEG", quality=QUALITY, exif=block.tobytes())

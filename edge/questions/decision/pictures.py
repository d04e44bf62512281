"""Pictures that the gate should send back: photographs made worse, and drawings of what is no skin. Deterministic.

Light is added up in linear light (IEC 61966-2-1), as lens and sensor do. Lengths are given for squares of 128 pixels
and grow with the side. What is not imitated: the noise of a dark sensor and the tone curve of a phone's own processing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

import numpy as np

from edge.preprocess import area, to_input

Picture = np.ndarray  # uint8 (S, S, 3) RGB
UNIT = 128  # pixels of the square that lengths are given for
FINER = 8  # in which a pixel is divided to draw a kernel
DRAWN_EACH = 25
CORNER = 22  # per cent of the shorter side
CUTS = 4  # rows and columns of squares that a photograph is cut into


def linear(square_u8: Picture) -> np.ndarray:
    """sRGB bytes -> light, 0..1."""
    v = square_u8.astype(np.float64) / 255
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def as_bytes(light: np.ndarray) -> Picture:
    """Light -> sRGB bytes; what is more than 1 is cut off, as a sensor does."""
    v = np.clip(light, 0, 1)
    return np.rint(255 * np.where(v <= 0.0031308, 12.92 * v, 1.055 * v ** (1 / 2.4) - 0.055)).astype(np.uint8)


def brighter(square_u8: Picture, times: float) -> Picture:
    return as_bytes(linear(square_u8) * times)


def out_of_focus(square_u8: Picture, radius: float) -> Picture:
    """A point becomes an even disc, as behind a lens that is out of focus."""
    reach = radius * len(square_u8) / UNIT
    return spread(square_u8, reach, lambda x, y: x * x + y * y <= reach * reach)


def shaken(square_u8: Picture, length: float, degrees: float) -> Picture:
    """A point becomes a line, as of a hand that moves."""
    reach = length * len(square_u8) / UNIT / 2
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return spread(square_u8, reach + 1, lambda x, y: (abs(c * x + s * y) <= reach) & (abs(c * y - s * x) <= 0.5))


def spread(square_u8: Picture, reach: float, inside: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Picture:
    """Every point becomes the shape, in pixels about it; edges are reflected."""
    import cv2

    half = math.ceil(reach)
    side = 2 * half + 1
    y, x = (np.mgrid[: side * FINER, : side * FINER] + 0.5) / FINER - side / 2
    kernel = inside(x, y).reshape(side, FINER, side, FINER).sum(axis=(1, 3)).astype(np.float64)
    return as_bytes(cv2.filter2D(linear(square_u8), -1, kernel / kernel.sum(), borderType=cv2.BORDER_REFLECT))


# What was done -> the worse copy of a photograph, the n-th of a set. Lengths in pixels of 128.
WORSE: dict[str, Callable[[Picture, int], Picture]] = {
    "out of focus, radius 1.5": lambda square, n: out_of_focus(square, 1.5),
    "out of focus, radius 2": lambda square, n: out_of_focus(square, 2),
    "out of focus, radius 3": lambda square, n: out_of_focus(square, 3),
    "shaken over 5, any direction": lambda square, n: shaken(square, 5, 30 * (n % 6)),
    "shaken over 9, any direction": lambda square, n: shaken(square, 9, 30 * (n % 6)),
    "a quarter of the light": lambda square, n: brighter(square, 1 / 4),
    "an eighth of the light": lambda square, n: brighter(square, 1 / 8),
    "four times the light": lambda square, n: brighter(square, 4),
    "eight times the light": lambda square, n: brighter(square, 8),
}


def corners(photo: Picture, side: int) -> list[Picture]:
    """What lies beside the spot, mostly bare skin: model inputs of the corners of a photograph, uint8 (H, W, 3)."""
    height, width = photo.shape[:2]
    cut = max(1, min(height, width) * CORNER // 100)
    return [
        to_input(np.ascontiguousarray(photo[top : top + cut, left : left + cut]), side)
        for top in (0, height - cut)
        for left in (0, width - cut)
    ]


def drawings(side: int) -> Iterator[tuple[str, list[Picture]]]:
    """What is no skin, drawn in many variations."""
    for n, (name, draw) in enumerate(DRAWN.items()):
        yield name, [draw(np.random.default_rng([n, i]), side) for i in range(DRAWN_EACH)]


def colour_noise(rng: np.random.Generator, side: int) -> Picture:
    return rng.integers(0, 256, (side, side, 3)).astype(np.uint8)


def grey_noise(rng: np.random.Generator, side: int) -> Picture:
    return np.repeat(rng.integers(0, 256, (side, side, 1)), 3, axis=2).astype(np.uint8)


def gradient(rng: np.random.Generator, side: int) -> Picture:
    """From any colour to any other, in any direction."""
    first, second = rng.uniform(0, 255, (2, 3))
    angle = rng.uniform(0, 2 * math.pi)
    y, x = np.mgrid[:side, :side] / (side - 1) - 0.5
    way = np.clip(0.5 + (math.cos(angle) * x + math.sin(angle) * y) / math.sqrt(2), 0, 1)[..., None]
    return np.rint(first + (second - first) * way).astype(np.uint8)


def wall(rng: np.random.Generator, side: int) -> Picture:
    """Pale, evenly lit, with a sensor's faint noise."""
    colour = rng.uniform(150, 235) + rng.uniform(-12, 12, 3)
    return np.clip(np.rint(colour + rng.normal(0, 1, (side, side, 3))), 0, 255).astype(np.uint8)


def finger(rng: np.random.Generator, side: int) -> Picture:
    """Before the lens: red, dim, without any detail."""
    y = np.linspace(0, 1, side)[:, None, None]
    colour = np.array([rng.uniform(90, 200), rng.uniform(15, 60), rng.uniform(10, 50)])
    return np.clip(np.rint(colour + rng.uniform(0, 20) * y + rng.normal(0, 1, (side, side, 3))), 0, 255).astype(
        np.uint8
    )


def stripes(rng: np.random.Generator, side: int) -> Picture:
    width, (dark, light) = int(rng.integers(2, 13)), (rng.uniform(0, 80, 3), rng.uniform(150, 255, 3))
    picture = np.where((np.arange(side) // width % 2)[:, None, None], light, dark) + np.zeros((side, side, 3))
    return np.rint(picture if rng.random() < 0.5 else picture.swapaxes(0, 1)).astype(np.uint8)


def text(rng: np.random.Generator, side: int) -> Picture:
    """Dark words on paper."""
    import cv2

    page = np.full((512, 512, 3), np.rint(rng.uniform(215, 250)), np.uint8)
    scale = rng.uniform(0.5, 1.3)
    step = round(38 * scale)
    for row in range(step, 512 + step, step):
        line = "".join(chr(97 + k) if k < 26 else " " for k in rng.integers(0, 31, 60))
        cv2.putText(page, line, (8, row), cv2.FONT_HERSHEY_SIMPLEX, scale, (25, 25, 25), 2, cv2.LINE_AA)
    return area(page, side)


def keyboard(rng: np.random.Generator, side: int) -> Picture:
    """Grey keys with letters."""
    import cv2

    ground, key, ink = (rng.uniform(20, 60), rng.uniform(60, 130), rng.uniform(200, 255))
    board = np.full((512, 512, 3), round(ground), np.uint8)
    pitch = int(rng.integers(50, 110))
    for top in range(0, 512, pitch):
        for left in range(0, 512, pitch):
            cv2.rectangle(board, (left + 4, top + 4), (left + pitch - 5, top + pitch - 5), (round(key),) * 3, -1)
            letter = chr(65 + int(rng.integers(26)))
            where = (left + pitch // 3, top + 2 * pitch // 3)
            cv2.putText(board, letter, where, cv2.FONT_HERSHEY_SIMPLEX, pitch / 90, (round(ink),) * 3, 2, cv2.LINE_AA)
    return area(board, side)


DRAWN: dict[str, Callable[[np.random.Generator, int], Picture]] = {
    "coloured noise": colour_noise,
    "grey noise": grey_noise,
    "gradients of any colours": gradient,
    "a pale wall": wall,
    "a finger on the lens": finger,
    "stripes of any colours": stripes,
    "text on paper": text,
    "a grey keyboard": keyboard,
}


def cuts_of_other_photographs(side: int) -> dict[str, list[Picture]]:
    """Real photographs of what is no skin: cuts of the two that come with scikit-learn; none where it is missing."""
    try:
        from sklearn.datasets import load_sample_image
    except ModuleNotFoundError:
        return {}
    cuts = {}
    for name, file in (
        ("cuts of a photograph of a temple", "china.jpg"),
        ("cuts of a photograph of a flower", "flower.jpg"),
    ):
        photo = load_sample_image(file)
        high, wide = photo.shape[0] // CUTS, photo.shape[1] // CUTS
        cuts[name] = [
            to_input(photo[high * r : high * (r + 1), wide * q : wide * (q + 1)], side)
            for r in range(CUTS)
            for q in range(CUTS)
        ]
    return cuts

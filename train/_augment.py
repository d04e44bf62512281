"""Augmentation: what another snapshot of the same lesion could have looked like."""

from __future__ import annotations

import cv2
import numpy as np

HALF = 128
MARGIN = 1.25  # squares are cached this much larger than the network's input, for rotation and zoom to draw on


def wide_side(side: int) -> int:
    """Of the squares that views of a side in pixels are drawn on."""
    return round(side * MARGIN)


def augment(square: np.ndarray, side: int, rng: np.random.Generator, *, strength: float = 1.0) -> np.ndarray:
    """One random view, uint8 (side, side, 3), of a cached square, uint8 (C, C, 3) RGB.

    Geometry: any rotation and flip (a lesion has no upright), zoom, shift and a little shear. Camera: white
    balance, exposure, contrast, saturation, defocus or motion blur, lower resolution, noise, JPEG.
    `strength` 0 gives the plain central view.
    """
    return augment_both(square, None, side, rng, strength=strength)[0]


def augment_both(
    square: np.ndarray, mask: np.ndarray | None, side: int, rng: np.random.Generator, *, strength: float = 1.0
) -> tuple[np.ndarray, np.ndarray | None]:
    """The same view with its mask, uint8 (side, side) of 0 and 255, of one (C, C) that lies over the square.

    The mask gets the photograph's geometry, and a pixel where at least half of it is lesion.
    """
    matrix = geometry(square.shape[0], side, rng, strength)
    view = warp(square, matrix, side)
    seen = None if mask is None else np.where(warp(mask, matrix, side) >= HALF, 255, 0).astype(np.uint8)
    return camera(view, side, rng, strength), seen


def camera(view: np.ndarray, side: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """What a camera does to a view, without moving anything in it."""
    if strength == 0.0:
        return view
    view = colour(view, rng, strength)
    chance = rng.random(4) < np.array([0.25, 0.25, 0.2, 0.25]) * strength
    if chance[0]:
        view = blur(view, rng)
    if chance[1]:  # photographs come in many resolutions, and which one is correlated with the class
        small = int(side * rng.uniform(0.35, 0.9))
        view = cv2.resize(cv2.resize(view, (small, small), interpolation=cv2.INTER_AREA), (side, side))
    if chance[2]:
        noise = rng.normal(0, rng.uniform(2, 10), view.shape)
        view = np.clip(view + noise, 0, 255).astype(np.uint8)
    if chance[3]:
        quality = int(rng.integers(30, 90))
        _, coded = cv2.imencode(".jpg", view[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
        decoded = cv2.imdecode(coded, cv2.IMREAD_COLOR)
        assert decoded is not None  # it was encoded two lines above
        view = np.ascontiguousarray(decoded[..., ::-1])
    return view


def geometry(size: int, side: int, rng: np.random.Generator, strength: float) -> np.ndarray:
    """Where a square of `size` goes in a view of `side` pixels, (2, 3)."""
    angle = rng.uniform(0, 2 * np.pi) if strength else 0.0
    zoom = side / size * (np.exp(rng.uniform(-0.2, 0.3) * strength))
    shear = rng.uniform(-0.1, 0.1) * strength
    shift = rng.uniform(-0.08, 0.08, 2) * side * strength
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    linear = zoom * turn @ np.array([[1.0, shear], [0.0, 1.0]])
    if strength and rng.random() < 0.5:
        linear[:, 0] *= -1
    centre = np.full(2, (size - 1) / 2)
    offset = np.full(2, (side - 1) / 2) + shift - linear @ centre
    return np.column_stack([linear, offset])


def warp(square: np.ndarray, matrix: np.ndarray, side: int) -> np.ndarray:
    return cv2.warpAffine(square, matrix, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT_101)


def colour(view: np.ndarray, rng: np.random.Generator, strength: float) -> np.ndarray:
    levels = (np.arange(256) / 255) ** np.exp(rng.uniform(-0.3, 0.3) * strength)  # exposure, roughly
    balance = np.exp(rng.uniform(-0.08, 0.08, 3) * strength)
    x = cv2.LUT(view, (levels[:, None] * balance).astype(np.float32)[None])
    contrast, light = np.exp(rng.uniform(-0.3, 0.3) * strength), rng.uniform(-0.08, 0.08) * strength
    mean = float(x.mean())
    x = (x - mean) * float(contrast) + (mean + light)  # Python's numbers keep float32, NumPy's would make it float64
    grey = x @ np.array([0.299, 0.587, 0.114], np.float32)
    x = grey[..., None] + (x - grey[..., None]) * float(np.exp(rng.uniform(-0.35, 0.35) * strength))
    return (np.clip(x, 0, 1) * 255 + 0.5).astype(np.uint8)


def blur(view: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    side = view.shape[0]
    if rng.random() < 0.5:
        return cv2.GaussianBlur(view, (0, 0), rng.uniform(0.3, 1.2) * side / 128)
    length = max(3, int(rng.uniform(0.01, 0.04) * side) * 2 + 1)
    kernel = np.zeros((length, length), np.float32)
    angle = rng.uniform(0, np.pi)
    middle = length // 2
    reach = np.array([np.cos(angle), np.sin(angle)]) * middle
    start, end = (tuple(round(v) for v in middle + sign * reach) for sign in (-1, 1))
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(view, -1, kernel / kernel.sum())

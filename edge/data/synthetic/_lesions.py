"""The six diagnoses, each painted after a textbook's one-line description."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from ._noise import Noise, Rng
from ._skin import PATCH, Patch, mix, stroke


@dataclass(frozen=True)
class Spot:
    """Where a lesion lies, in a square of the patch, and noise to paint with; all float32 of one shape."""

    where: tuple[slice, slice]
    depth: np.ndarray  # 1 in the middle, 0 at the border, negative outside
    coarse: np.ndarray  # noise of unit variance; blobs of about a third of the lesion
    middle: np.ndarray
    fine: np.ndarray
    lean: np.ndarray  # -1..1 across the lesion, in a random direction


def draw_lesion(rng: Rng, code: str, patch: Patch, diameter: float, darkness: float, noise: Noise) -> None:
    """One lesion of the class in the middle of the patch. `diameter` in pixels of the patch."""
    painter, wobble, ragged = PAINTERS[code]
    spot = place(rng, diameter, wobble * rng.uniform(0.5, 1.6), ragged * rng.uniform(0.5, 1.6), noise)
    y, x = spot.where
    views = (layer[y, x] for layer in (patch.colour, patch.relief, patch.gloss, patch.lesion))
    piece = Patch(*views)  # painted in place
    piece.lesion[...] = spot.depth >= 0
    if rng.random() < 0.5:  # any lesion may be inflamed or rubbed
        mix(piece.colour, smoothstep(-0.9, 0.3, spot.depth) * rng.uniform(0, 0.25), reddened(piece.colour))
    painter(rng, piece, spot, darkness)
    np.clip(piece.colour, 0.02, 1, out=piece.colour)


def place(rng: Rng, diameter: float, wobble: float, ragged: float, noise: Noise) -> Spot:
    """The outline: an ellipse, bent by a few harmonics (`wobble`) and by noise (`ragged`)."""
    radius = diameter / 2
    side = int(min(PATCH, 2 * int(radius * 2.1) + 1))
    start = (PATCH - side) // 2
    axis = (np.arange(side, dtype=np.float32) - side / 2) / radius
    x, y = np.meshgrid(axis, axis)
    turn = rng.uniform(0, 2 * np.pi)
    along, across = x * np.cos(turn) + y * np.sin(turn), y * np.cos(turn) - x * np.sin(turn)
    stretch = rng.uniform(1, 1.45)
    along, across = along / np.sqrt(stretch), across * np.sqrt(stretch)
    angle, distance = np.arctan2(across, along), np.hypot(along, across)
    border = np.ones_like(distance)
    for harmonic in range(2, 8):
        border += wobble * 2 / harmonic**2 * rng.normal() * np.cos(harmonic * angle + rng.uniform(0, 2 * np.pi))
    coarse, middle, fine = (noise.field(rng, side, scale) for scale in (radius / 3, radius / 8, max(1.2, radius / 30)))
    depth = 1 - distance / np.maximum(border, 0.35) + ragged * (0.6 * middle + 0.4 * coarse)
    lean = np.clip(x * np.cos(2 * turn) + y * np.sin(2 * turn), -1, 1)
    where = slice(start, start + side)
    # Nothing may end at the edge of the square.
    depth = np.minimum(depth, (2.0 - np.maximum(np.abs(x), np.abs(y))) * 2 - 0.6)
    return Spot((where, where), *(np.ascontiguousarray(f, np.float32) for f in (depth, coarse, middle, fine, lean)))


def smoothstep(low: float, high: float, values: np.ndarray) -> np.ndarray:
    """0 below `low`, 1 above `high`, smooth between."""
    t = np.clip((values - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)


def dome(depth: np.ndarray) -> np.ndarray:
    """A cap of height 1 over the lesion, less steep at the border than half a sphere."""
    return (1 - (1 - np.clip(depth, 0, 1)) ** 2) ** 0.7


def reddened(colour: np.ndarray) -> np.ndarray:
    return colour * np.array((1.02, 0.66, 0.66), np.float32)


def shade(paint: tuple[float, float, float], darkness: float) -> np.ndarray:
    """Pigment looks darker in darker skin."""
    return np.array(paint, np.float32) * (1 - 0.35 * darkness)


def paint_ack(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Actinic keratosis: a flat, ill-defined, rough pink patch with whitish scale."""
    body = smoothstep(-0.15, rng.uniform(0.25, 0.6), spot.depth + 0.12 * spot.middle)
    mix(patch.colour, body * rng.uniform(0.35, 0.95), reddened(patch.colour))
    if rng.random() < 0.25:  # pigmented
        mix(patch.colour, body * rng.uniform(0.2, 0.45), shade((0.55, 0.38, 0.28), darkness))
    scale = smoothstep(rng.uniform(-0.2, 0.9), 1.7, spot.middle + 0.7 * spot.fine) * smoothstep(0, 0.4, spot.depth)
    mix(patch.colour, scale * rng.uniform(0.25, 0.85), (0.93, 0.88, 0.8))
    patch.relief += body * (0.9 * spot.fine + 0.8 * spot.middle) * rng.uniform(0.2, 0.7) + 0.8 * scale
    patch.gloss *= 1 - 0.7 * body


def paint_bcc(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Basal cell carcinoma: a pearly pink nodule with a rolled border and small vessels, at times an ulcer."""
    body = smoothstep(-0.12, rng.uniform(0.15, 0.4), spot.depth)
    pink = shade((0.86, 0.56, 0.52), darkness) * rng.uniform(0.9, 1.06, 3)
    mix(patch.colour, body * rng.uniform(0.35, 0.8), pink)
    mix(
        patch.colour,
        body * smoothstep(-0.3, 1.6, spot.coarse + 0.4 * spot.middle) * 0.45,
        shade((0.74, 0.36, 0.34), darkness),
    )
    rim = np.exp(-(((spot.depth - 0.2) / 0.16) ** 2)) * smoothstep(-1.2, 0.8, spot.coarse)
    mix(patch.colour, rim * rng.uniform(0.1, 0.35), shade((0.95, 0.8, 0.75), darkness))
    patch.relief *= 1 - 0.7 * body  # stretched skin has no furrows
    patch.relief += 15 * dome(spot.depth) * rng.uniform(0.5, 1.3) + 6 * rim * rng.uniform(0.3, 1.2) + body * spot.middle
    mix(patch.colour, vessels(rng, spot) * rng.uniform(0.2, 0.75), (0.68, 0.2, 0.2))
    if rng.random() < 0.45:
        ulcer = smoothstep(rng.uniform(0.45, 0.75), 0.9, spot.depth + 0.15 * spot.middle)
        mix(patch.colour, ulcer * rng.uniform(0.5, 0.95), (0.33, 0.12, 0.1))
        mix(patch.colour, ulcer * smoothstep(0.4, 1.4, spot.fine + spot.coarse) * 0.6, (0.72, 0.5, 0.25))
        patch.relief -= 5 * ulcer
    if rng.random() < 0.25:  # pigmented
        dots = smoothstep(0.7, 1.5, spot.middle + 0.5 * spot.coarse) * body
        mix(patch.colour, dots * rng.uniform(0.4, 0.8), (0.3, 0.27, 0.32))
    patch.gloss += body * rng.uniform(0.3, 0.9)


def paint_mel(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Melanoma: asymmetric, irregular, several of tan, brown, black, blue-grey, red and white."""
    soft = rng.uniform(0.12, 0.38)
    body = smoothstep(-soft, soft, spot.depth)
    mix(patch.colour, body * rng.uniform(0.6, 0.95), shade((0.42, 0.27, 0.19), darkness))
    dark = smoothstep(-1.0, 1.2, spot.coarse + rng.uniform(0.2, 1.1) * spot.lean + 0.4 * spot.middle)
    mix(patch.colour, body * dark * rng.uniform(0.5, 0.95), shade((0.13, 0.09, 0.09), darkness))
    for paint, chance in (((0.36, 0.38, 0.45), 0.5), ((0.66, 0.3, 0.28), 0.4), ((0.82, 0.74, 0.7), 0.35)):
        if rng.random() < chance:
            mask = smoothstep(0.1, 1.5, np.roll(spot.coarse, int(rng.integers(20, 200)), int(rng.integers(2))))
            mix(patch.colour, body * mask * rng.uniform(0.3, 0.75), paint)
    patch.colour *= (1 + body * (0.06 * spot.middle + 0.05 * spot.fine))[:, :, None]
    patch.relief += 5 * rng.uniform(0, 1.4) * dome(spot.depth) * dark + body * spot.middle * rng.uniform(0, 0.8)
    patch.gloss += body * rng.uniform(-0.1, 0.2)


def paint_nev(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Nevus: round, even brown (now and then pink or nearly black), with a smooth border."""
    soft = rng.uniform(0.07, 0.28)
    body = smoothstep(-soft, soft, spot.depth)
    tan, brown, black = np.array((0.68, 0.44, 0.3)), np.array((0.43, 0.24, 0.16)), np.array((0.2, 0.12, 0.1))
    level = rng.beta(1.6, 1.8)
    paint = tan + (brown - tan) * min(1, 2 * level) + (black - brown) * max(0, 2 * level - 1)
    if rng.random() < 0.15:
        paint = np.array((0.78, 0.5, 0.44))
    mix(patch.colour, body * rng.uniform(0.65, 0.95), shade(tuple(paint), darkness))
    centre = smoothstep(0.2, 0.9, spot.depth) * rng.uniform(-0.15, 0.35)
    patch.colour *= (1 - centre * body + 0.04 * body * spot.middle + 0.05 * body * spot.coarse)[:, :, None]
    if rng.random() < 0.55:
        patch.relief += 12 * dome(spot.depth) * rng.uniform(0.2, 1.2)
        patch.gloss += body * rng.uniform(0, 0.25)


def paint_scc(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Squamous cell carcinoma: a red, firm nodule with a yellowish crust, at times bleeding."""
    mix(patch.colour, smoothstep(-0.8, 0.2, spot.depth) * rng.uniform(0.1, 0.5), reddened(patch.colour))
    body = smoothstep(-0.1, 0.2, spot.depth)
    mix(patch.colour, body * rng.uniform(0.45, 0.85), shade((0.76, 0.38, 0.35), darkness))
    crust = smoothstep(rng.uniform(0.15, 0.5), rng.uniform(0.6, 0.9), spot.depth + 0.3 * spot.middle + 0.1 * spot.fine)
    crust *= smoothstep(-0.08, 0.12, spot.depth)
    keratin = np.array((0.80, 0.68, 0.49)) * rng.uniform(0.7, 1.1) + rng.uniform(-0.04, 0.14)
    mix(patch.colour, crust * rng.uniform(0.4, 0.95), keratin)
    patch.colour *= (1 + crust * (0.12 * spot.fine + 0.12 * spot.middle))[:, :, None]
    if rng.random() < 0.6:
        blood = smoothstep(0.5, 1.3, spot.coarse - 0.4 * spot.middle) * body
        mix(patch.colour, blood * rng.uniform(0.25, 0.8) * (0.75 + 0.25 * np.tanh(spot.fine)), (0.38, 0.1, 0.09))
    patch.relief += 12 * dome(spot.depth) * rng.uniform(0.4, 1.2) + crust * (4 + 3 * spot.middle + 1.5 * spot.fine)
    patch.gloss += body * rng.uniform(-0.1, 0.4) - 0.4 * crust


def paint_sek(rng: Rng, patch: Patch, spot: Spot, darkness: float) -> None:
    """Seborrhoeic keratosis: stuck on, sharp, waxy brown, speckled with dark plugs and pale grains."""
    body = smoothstep(-0.02, rng.uniform(0.05, 0.14), spot.depth)
    tan, grey = np.array((0.66, 0.43, 0.27)), np.array((0.3, 0.22, 0.17))
    paint = tan + (grey - tan) * rng.beta(1.2, 1.5)
    mix(patch.colour, body * rng.uniform(0.6, 0.92), shade(tuple(paint), darkness))
    folds = np.exp(-3 * np.abs(spot.middle)) * rng.uniform(0.05, 0.4)  # dark clefts, as on a brain
    patch.colour *= (1 - body * folds)[:, :, None]
    plugs = smoothstep(1.2, 2.0, spot.fine + 0.5 * spot.middle) * body
    mix(patch.colour, plugs * rng.uniform(0.1, 0.7), (0.14, 0.1, 0.08))
    grains = smoothstep(1.3, 2.0, -spot.fine + 0.4 * spot.coarse) * body
    mix(patch.colour, grains * rng.uniform(0.05, 0.5), (0.85, 0.78, 0.62))
    edge = smoothstep(-0.02, 0.14, spot.depth)
    patch.relief += edge * (8 * rng.uniform(0.3, 1.2) + rng.uniform(0.2, 1.2) * (spot.middle + 0.6 * spot.fine))
    patch.gloss += body * rng.uniform(0, 0.5)


def vessels(rng: Rng, spot: Spot) -> np.ndarray:
    """Thin branching lines over the lesion, float32 0..1."""
    side = spot.depth.shape[0]
    cover = np.zeros((side, side), np.uint8)
    along = np.arange(14)
    for _ in range(int(rng.integers(2, 8))):
        start, heading = rng.uniform(0.3, 0.7, 2) * side, rng.uniform(0, 2 * np.pi)
        for _ in range(int(rng.integers(1, 4))):
            angle = heading + rng.normal(0, 0.5) + np.cumsum(rng.normal(0, 0.35, len(along)))
            points = start + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * side / 90, 0)
            stroke(cover, points, 1, 255)
    return cv2.GaussianBlur(cover, (0, 0), 0.8).astype(np.float32) / 255 * smoothstep(-0.1, 0.2, spot.depth)


# How a class is painted, how far its outline bends, how ragged it is.
PAINTERS: dict[str, tuple[Callable[[Rng, Patch, Spot, float], None], float, float]] = {
    "ACK": (paint_ack, 0.25, 0.16),
    "BCC": (paint_bcc, 0.10, 0.03),
    "MEL": (paint_mel, 0.26, 0.10),
    "NEV": (paint_nev, 0.07, 0.025),
    "SCC": (paint_scc, 0.18, 0.08),
    "SEK": (paint_sek, 0.12, 0.05),
}

"""Skin without a lesion: tone, relief, freckles, hairs and pen marks."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from ._noise import Noise, Rng

PATCH = 1100  # pixels of a drawn patch of skin, a side
WINDOW = 500  # pixels of the patch along the short side of an average photograph

# sRGB of skin from very fair to very dark, set by eye against photographs with the Fitzpatrick types I, III, V and VI.
TONES = np.array([(233, 198, 182), (214, 168, 140), (168, 118, 88), (106, 70, 52)], np.float32) / 255


@dataclass
class Patch:
    """A drawn piece of skin, float32: colour (PATCH, PATCH, 3) sRGB 0..1, relief, gloss and where there is a lesion
    (1, else 0), all (PATCH, PATCH)."""

    colour: np.ndarray
    relief: np.ndarray
    gloss: np.ndarray
    lesion: np.ndarray


def draw_skin(rng: Rng, darkness: float, noise: Noise) -> Patch:
    tone = np.array([np.interp(darkness * 3, range(4), TONES[:, c]) for c in range(3)], np.float32)
    tone *= rng.uniform(0.95, 1.04, 3).astype(np.float32)

    def some(scale: float, least: float, most: float) -> np.ndarray:
        return noise.field(rng, PATCH, scale) * np.float32(rng.uniform(least, most))

    light = 1 + some(110, 0.01, 0.05) + some(36, 0, 0.03) + some(6, 0.005, 0.025) + some(2.5, 0.005, 0.02)
    redness = some(110, 0.005, 0.04) + some(14, 0.005, 0.02)
    colour = np.empty((PATCH, PATCH, 3), np.float32)
    for channel, share in enumerate((0.3, -0.9, -0.7)):
        np.multiply(light + share * redness, tone[channel], out=colour[:, :, channel])
    # Furrows: where two fields of noise cross zero, stretched along one direction as the lines of skin are.
    stretch = rng.uniform(1.0, 2.5)
    side = int(PATCH / stretch)
    furrows = -np.exp(-4 * np.abs(noise.field(rng, PATCH, 6)))
    lines = cv2.resize(-np.exp(-5 * np.abs(noise.field(rng, side, 6))), (PATCH, PATCH), interpolation=cv2.INTER_LINEAR)
    if rng.random() < 0.5:
        lines = lines.T
    relief = np.float32(rng.choice((0.15, 0.4, 0.9), p=(0.5, 0.35, 0.15))) * (furrows + lines) + some(2.5, 0.02, 0.12)
    relief += some(36, 0.2, 1.2)
    draw_freckles(rng, colour, darkness)
    gloss = np.full((PATCH, PATCH), rng.uniform(0, 0.35), np.float32)
    return Patch(colour, relief, gloss, np.zeros((PATCH, PATCH), np.float32))


def draw_freckles(rng: Rng, colour: np.ndarray, darkness: float) -> None:
    """Lentigines and red points, on some people."""
    cover = np.zeros((PATCH, PATCH), np.uint8)
    number = int(rng.exponential(18)) if rng.random() < 0.6 else 0
    for _ in range(number):
        x, y = (int(v) for v in rng.integers(0, PATCH, 2))
        axes = tuple(int(v) for v in rng.uniform(2, 9, 2))
        cv2.ellipse(cover, (x, y), axes, rng.uniform(0, 180), 0, 360, int(rng.integers(40, 160)), -1, cv2.LINE_AA)
    if number:
        kind = np.array((0.5, 0.34, 0.26) if rng.random() < 0.8 else (0.72, 0.34, 0.32)) * (1 - 0.5 * darkness)
        lay_on(colour, cv2.GaussianBlur(cover, (0, 0), 1.8), 0.7, kind)


def draw_hairs(rng: Rng, patch: Patch, darkness: float) -> None:
    """None, a few or many hairs, combed one way, dark or fair."""
    number = int(rng.choice((0, 12, 40, 110), p=(0.45, 0.25, 0.2, 0.1)) * rng.uniform(0.6, 1.3))
    if not number:
        return
    cover = np.zeros((PATCH, PATCH), np.uint8)
    comb, along = rng.uniform(0, 2 * np.pi), np.linspace(0, 1, 12)
    length = rng.uniform(60, 320)
    for _ in range(number):
        angle = comb + rng.normal(0, 0.5) + rng.normal(0, 0.9) * along
        steps = length * rng.uniform(0.5, 1.3) / len(along)
        points = rng.uniform(0, PATCH, 2) + np.cumsum(np.stack([np.cos(angle), np.sin(angle)], 1) * steps, 0)
        stroke(cover, points, 1 if rng.random() < 0.75 else 2, int(rng.integers(120, 256)))
    grey = np.array((0.78, 0.76, 0.72) if rng.random() < 0.2 else (0.16, 0.11, 0.09), np.float32) * (1 - 0.3 * darkness)
    lay_on(patch.colour, cv2.GaussianBlur(cover, (0, 0), 0.7), rng.uniform(0.5, 0.95), grey)


def draw_pen(rng: Rng, patch: Patch, diameter: float) -> None:
    """What a surgeon draws around a lesion: a wobbly ring or a few dashes of blue or black ink."""
    cover = np.zeros((PATCH, PATCH), np.uint8)
    turn = np.linspace(0, 2 * np.pi, 60) + rng.uniform(0, 6)
    radius = diameter * rng.uniform(0.6, 0.85) * (1 + 0.08 * np.sin(2 * turn + 1) + 0.04 * np.sin(5 * turn))
    ring = PATCH / 2 + np.stack([np.cos(turn) * radius, np.sin(turn) * radius * rng.uniform(0.7, 1)], 1)
    width = int(rng.integers(4, 9))
    if rng.random() < 0.6:
        stroke(cover, ring[: int(rng.integers(40, 61))], width, 255)
    else:
        for start in range(0, 60, 15):
            stroke(cover, ring[start : start + 5], width, 255)
    ink = np.array((0.2, 0.22, 0.45) if rng.random() < 0.7 else (0.15, 0.14, 0.17), np.float32)
    lay_on(patch.colour, cv2.GaussianBlur(cover, (0, 0), 1.4), rng.uniform(0.4, 0.85), ink)


def stroke(cover: np.ndarray, points: np.ndarray, width: int, value: int) -> None:
    """A smooth line through `points` (x, y) on a uint8 mask."""
    cv2.polylines(cover, [np.rint(points * 16).astype(np.int32)], False, value, width, cv2.LINE_AA, shift=4)


def mix(colour: np.ndarray, share: np.ndarray, paint: np.ndarray | tuple[float, float, float]) -> None:
    """Move `colour` (H, W, 3) towards `paint`, a colour or an image, by `share` (H, W) of the way, in place."""
    colour += share[:, :, None] * (np.asarray(paint, np.float32) - colour)


def lay_on(colour: np.ndarray, cover: np.ndarray, share: float, paint: np.ndarray) -> None:
    """`mix` for thin things: `cover` is uint8 and mostly 0, and only the pixels that it touches are worked on."""
    y, x = np.nonzero(cover)
    some = colour[y, x]
    colour[y, x] = some + (cover[y, x, None] * np.float32(share / 255)) * (paint.astype(np.float32) - some)

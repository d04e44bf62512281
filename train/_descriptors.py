"""Hand-made descriptors of colour and texture: what the network learns to read off a photograph beside its class.

A few hundred labels teach little about which features to look at. Colour histograms relative to the surrounding
skin, local binary patterns and the energy of a Laplacian pyramid, each in rings around the centre, are known for
every view of every photograph without a label; a network that predicts them has found colour, texture and where
they are. Sources: local binary patterns, Ojala et al., IEEE TPAMI 24(7), 2002; Laplacian pyramid, Burt and
Adelson, IEEE Trans. Comm. 31(4), 1983; descriptors as further targets, Caruana, Machine Learning 28, 1997.
"""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np

SIDE = 128  # pixels; descriptors are taken at one scale, whatever side the network sees
RING_EDGES = (0.25, 0.5, 0.75, 1.05)  # radii as shares of half the side; the last ring stands for the skin
RINGS = len(RING_EDGES)
COLOUR_EDGES = np.array([-45, -30, -20, -13, -8, -4, -1.5, 1.5, 4, 8, 13, 20, 30, 45], np.float32)  # CIE Lab units
COLOUR_BINS = len(COLOUR_EDGES) + 1
RADII = (1, 2, 4)  # of the local binary patterns, pixels
PATTERNS = 10  # number of brighter neighbours 0 to 8 in uniform patterns; 9 for all others
PATTERN_MARGIN = 2.0  # lightness by which a neighbour must be brighter
LEVELS = 5  # of the Laplacian pyramid
SECTORS = 8


def describe(view: np.ndarray) -> np.ndarray:
    """Descriptors, float32 (DESCRIPTORS,), of a square view, uint8 (S, S, 3) RGB."""
    if view.shape[0] != SIDE:
        view = cv2.resize(view, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    lab = cv2.cvtColor(view.astype(np.float32) * np.float32(1 / 255), cv2.COLOR_RGB2LAB)
    ring = rings(SIDE)
    skin = np.median(lab[ring == RINGS - 1][::3], axis=0)
    relative = lab - skin
    parts = [
        skin,
        moments(relative),
        histograms(relative, ring),
        np.concatenate([patterns(lab[..., 0], ring, radius) for radius in RADII]),
        bands(lab),
        asymmetry(relative),
    ]
    return np.concatenate(parts).astype(np.float32)


def moments(relative: np.ndarray) -> np.ndarray:
    """Mean, spread and correlation of the channels in every ring."""
    x = relative.reshape(-1, 3)
    mean = ring_mean(x)
    spread = np.sqrt(np.maximum(ring_mean(x * x) - mean * mean, 1e-3))
    products = ring_mean(x * x[:, [1, 2, 0]]) - mean * mean[:, [1, 2, 0]]
    correlation = products / (spread * spread[:, [1, 2, 0]])
    return np.concatenate([mean, spread, correlation]).ravel()


def histograms(relative: np.ndarray, ring: np.ndarray) -> np.ndarray:
    """Square root of the share of pixels per colour bin, channel and ring."""
    histograms = []
    for channel in range(3):
        bins = np.searchsorted(COLOUR_EDGES, relative[..., channel])
        histograms.append(per_ring(bins, ring, COLOUR_BINS))
    return np.sqrt(np.concatenate(histograms))


def patterns(lightness: np.ndarray, ring: np.ndarray, radius: int) -> np.ndarray:
    """Square root of the share of rotation-invariant uniform local binary patterns per ring."""
    smooth = cv2.GaussianBlur(lightness, (0, 0), 0.6 * radius)
    padded = cv2.copyMakeBorder(smooth, radius, radius, radius, radius, cv2.BORDER_REFLECT_101)
    code = np.zeros(lightness.shape, np.uint8)
    for bit, (down, right) in enumerate(neighbours(radius)):
        shifted = padded[radius + down :, radius + right :][: lightness.shape[0], : lightness.shape[1]]
        code |= (shifted > smooth + PATTERN_MARGIN).astype(np.uint8) << bit
    return np.sqrt(per_ring(uniform_patterns()[code], ring, PATTERNS))


def bands(lab: np.ndarray) -> np.ndarray:
    """Log energy of every channel, and skewness of lightness, per Laplacian level and ring."""
    moments = []
    for _ in range(LEVELS):
        small = cv2.pyrDown(lab)
        band = (lab - cv2.pyrUp(small, dstsize=lab.shape[1::-1])).reshape(-1, 3)
        spread = np.sqrt(ring_mean(band * band)) + 0.05
        lightness = band[:, :1]
        skewness = ring_mean(lightness * lightness * lightness)[:, 0] / spread[:, 0] ** 3
        moments += [np.log(spread).ravel(), np.tanh(skewness / 2)]
        lab = small
    return np.concatenate(moments)


def asymmetry(relative: np.ndarray) -> np.ndarray:
    """How much the middle differs from itself half turned, and how much the colour changes around each ring."""
    small = cv2.resize(relative, (32, 32), interpolation=cv2.INTER_AREA)
    ring, sector = rings(32), sectors(32)
    difference = np.abs(small - small[::-1, ::-1])
    textures = [np.log(0.2 + difference[ring == number].mean(axis=0)) for number in range(RINGS)]
    for number in range(RINGS):
        means = np.array([small[(ring == number) & (sector == k)].mean(axis=0) for k in range(SECTORS)])
        textures.append(np.log(0.2 + means.std(axis=0)))
    return np.concatenate(textures)


def per_ring(bins: np.ndarray, ring: np.ndarray, count: int) -> np.ndarray:
    inside = ring < RINGS
    counts = np.bincount(ring[inside] * count + bins[inside], minlength=RINGS * count).reshape(RINGS, count)
    return (counts / counts.sum(axis=1, keepdims=True)).ravel()


@cache
def rings(side: int) -> np.ndarray:
    """Number of the ring of every pixel, int64 (side, side); RINGS for the corners."""
    place = (np.arange(side) + 0.5) / side * 2 - 1
    radius = np.hypot(place[:, None], place[None, :])
    return np.searchsorted(np.array(RING_EDGES), radius, side="right")


def ring_mean(values: np.ndarray) -> np.ndarray:
    """Mean over every ring, (RINGS, C), of one row a pixel, (side * side, C)."""
    return ring_weights(round(len(values) ** 0.5)) @ values


@cache
def ring_weights(side: int) -> np.ndarray:
    inside = (rings(side).reshape(1, -1) == np.arange(RINGS)[:, None]).astype(np.float32)
    return inside / inside.sum(axis=1, keepdims=True)


@cache
def sectors(side: int) -> np.ndarray:
    place = (np.arange(side) + 0.5) / side * 2 - 1
    angle = np.arctan2(place[:, None], place[None, :])
    return np.floor((angle + np.pi) / (2 * np.pi) * SECTORS).astype(int).clip(0, SECTORS - 1)


@cache
def neighbours(radius: int) -> list[tuple[int, int]]:
    angles = 2 * np.pi * np.arange(8) / 8
    return [(round(radius * np.sin(a)), round(radius * np.cos(a))) for a in angles]


@cache
def uniform_patterns() -> np.ndarray:
    """The bin of every 8-bit pattern: its number of ones, or 9 if it changes more than twice around the circle."""
    bits = (np.arange(256)[:, None] >> np.arange(8)) & 1
    changes = (bits != np.roll(bits, 1, axis=1)).sum(axis=1)
    return np.where(changes <= 2, bits.sum(axis=1), 9)


DESCRIPTORS = len(describe(np.zeros((SIDE, SIDE, 3), np.uint8)))

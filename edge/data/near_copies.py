"""Photographs that show the same picture in other bytes: encoded anew, scaled, cropped a little, turned, mirrored.

The perceptual hash is that of C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010),
section 3.2.1, with 16 x 16 coefficients instead of 8 x 8: the signs of a cosine transform of the grey picture, seen
from its median. Two pictures count as near-copies where at most MOST_BITS of 255 bits differ.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import suppress

import cv2
import numpy as np

from edge.data.hash_search import similar
from edge.data.identity import patient_key
from edge.data.squares import cache_folder, key
from edge.data.table import Photo
from edge.files import moved_into_place

SIDE = 64  # pixels of the grey picture that is transformed
KEPT = 16  # coefficients of each direction, without the first of all: 255 bits
MOST_BITS = 38  # docs/your_own_model.md says what this finds and how often it is wrong
VERSION = f"near-{KEPT}-{MOST_BITS}"  # of what is kept in the cache
LEAST_CONTRAST = 2.0  # standard deviation in levels; a picture of one colour is like every other
SMALLEST = 32  # side in pixels of a square that is looked at
MOST_PHOTOS = 1_000_000
NAMES_SHOWN = 3


def near_copies(squares: Iterable[np.ndarray]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of uint8 RGB squares (S, S, 3) that show the same picture; none below SMALLEST."""
    return alike([hash_of(square) for square in squares])


def alike(hashes: Sequence[np.ndarray | None]) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of pictures whose `hash_of` shows the same; none with None. See `edge.data.hash_search`."""
    places = [place for place, packed in enumerate(hashes) if packed is not None]
    if len(places) < 2:
        return []
    kept = np.stack([packed for packed in hashes if packed is not None])
    return [(places[i], places[j]) for i, j in similar(kept, MOST_BITS)]


def hash_of(square: np.ndarray) -> np.ndarray | None:
    """uint8 (8, 32), the bits of a square in its eight orientations, packed; None as `spectrum`."""
    coefficients = spectrum(square)
    if coefficients is None:
        return None
    return np.packbits(bits(np.concatenate(turned(coefficients[None]))) > 0, axis=1)


def spectrum(square: np.ndarray) -> np.ndarray | None:
    """The lowest coefficients, float32 (KEPT, KEPT), of a uint8 square, RGB (S, S, 3) or grey (S, S).

    None for a picture without contrast or too small.
    """
    if len(square) < SMALLEST:
        return None
    grey = cv2.cvtColor(np.ascontiguousarray(square), cv2.COLOR_RGB2GRAY) if square.ndim > 2 else square
    grey = cv2.resize(grey, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    if grey.std() < LEAST_CONTRAST:
        return None
    return np.asarray(cv2.dct(grey.astype(np.float32))[:KEPT, :KEPT])


def turned(coefficients: np.ndarray) -> list[np.ndarray]:
    """(n, KEPT, KEPT) of the picture as it is and in its seven other quarter turns and mirror images.

    A mirrored picture has the odd coefficients of that direction with the other sign, a transposed one is transposed.
    """
    sign = np.where(np.arange(KEPT) % 2, -1, 1).astype(np.float32)
    mirrored = [coefficients, coefficients * sign, coefficients * sign[:, None], coefficients * sign * sign[:, None]]
    return [*mirrored, *(view.transpose(0, 2, 1) for view in mirrored)]


def bits(coefficients: np.ndarray) -> np.ndarray:
    """float32 (n, KEPT² - 1) of -1 and 1: below or above the median of all but the first."""
    flat = coefficients.reshape(len(coefficients), -1)[:, 1:]
    return np.where(flat > np.median(flat, axis=1, keepdims=True), 1, -1).astype(np.float32)


def notes_on_near_copies(photos: Sequence[Photo], squares: Iterable[np.ndarray], side: int) -> list[str]:
    """What a person should know of near-copies in two classes, and of two patients: a split may part those.

    `squares` are those of `photos`, in their order, uint8 (side, side, 3). Near-copies of one patient and class are no
    fault. What was found is kept beside the cached squares.
    """
    if len(photos) > MOST_PHOTOS:
        return [f"near-copies are not looked for among more than {MOST_PHOTOS} photographs"]
    pairs = [(photos[i], photos[j]) for i, j in kept_near_copies(photos, squares, side)]
    torn = [pair for pair in pairs if pair[0].label != pair[1].label]
    apart = [pair for pair in pairs if pair not in torn and patient_key(pair[0]) != patient_key(pair[1])]
    notes = []
    if torn:
        notes.append(
            f"{counted(torn)} the same picture in two classes: {listed(torn)}; one label is wrong, or one file too many"
        )
    if apart:
        notes.append(
            f"{counted(apart)} the same picture of two patients: {listed(apart)}; a split by patient may part them. "
            "Remove one of each, or give both to one patient"
        )
    return notes


def kept_near_copies(photos: Sequence[Photo], squares: Iterable[np.ndarray], side: int) -> list[tuple[int, int]]:
    """`near_copies`, from the cache where the same files were looked at before."""
    target = cache_folder() / f"{key(tuple(photos), side)}-{VERSION}.npy"
    if target.is_file():
        with suppress(ValueError, EOFError):  # a damaged entry is written again
            pairs = np.load(target, allow_pickle=False)
            if pairs.dtype == np.int64 and pairs.shape == (len(pairs), 2) and (pairs < len(photos)).all():
                return [(int(i), int(j)) for i, j in pairs if 0 <= i < j]
    pairs = near_copies(squares)
    with moved_into_place(target) as path, path.open("wb") as file:
        np.save(file, np.array(pairs, np.int64).reshape(-1, 2), allow_pickle=False)
    return pairs


def counted(pairs: list[tuple[Photo, Photo]]) -> str:
    several = f"{len(pairs)} pairs of photographs probably show"
    return several if len(pairs) > 1 else "1 pair of photographs probably shows"


def listed(pairs: list[tuple[Photo, Photo]]) -> str:
    shown = (
        " and ".join(f"{photo.image_id} ({photo.label or 'no class'}, {photo.patient})" for photo in pair)
        for pair in pairs[:NAMES_SHOWN]
    )
    return "; ".join(shown) + ("; …" if len(pairs) > NAMES_SHOWN else "")

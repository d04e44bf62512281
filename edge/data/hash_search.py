"""Pairs of similar hashes among many: exactly where they are few, by equal samples of their bits where they are not.

A hash is uint8 (8, 32): the 255 bits of a picture in its eight orientations, packed, the first as it is.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from edge.progress import track

BITS = 255  # of a hash; a 256th is zero
VIEWS = (0, 1, 2, 3, 4, 5, 7)  # without the rotation that is the inverse of the other: what it finds is found there
EXACT = 40_000  # hashes up to which every pair is compared: the time grows with the square of their number
BLOCK = 2048
ENOUGH = 0.97  # chance to find a pair that differs in just as many bits as it may; nearer ones are found more surely
MOST_TABLES = 512
MOST_CANDIDATES = 2**21  # pairs that are compared at a time
CROWDED = 64  # candidates a hash from which on samples of bits are made longer


def similar(hashes: np.ndarray, most_bits: int) -> list[tuple[int, int]]:
    """Pairs (i, j), i < j, of hashes uint8 (n, 8, 32) that differ in `most_bits` at most in some orientation.

    Of more than EXACT hashes, pairs that differ in just `most_bits` are found with a chance of ENOUGH.
    """
    return sorted(compared_with_all(hashes, most_bits) if len(hashes) <= EXACT else sampled(hashes, most_bits))


def compared_with_all(hashes: np.ndarray, most_bits: int) -> set[tuple[int, int]]:
    limit = BITS + 1 - 2 * most_bits  # a product of signs: bits alike minus bits that differ
    own, pairs = signs(hashes[:, 0]), set[tuple[int, int]]()
    for start in track(range(0, len(own), BLOCK), "comparing pictures", math.ceil(len(own) / BLOCK)):
        for view in range(hashes.shape[1]):
            rows, columns = np.nonzero(signs(hashes[start : start + BLOCK, view]) @ own[start:].T >= limit)
            later = columns > rows
            pairs.update(zip((rows[later] + start).tolist(), (columns[later] + start).tolist(), strict=True))
    return pairs


def signs(packed: np.ndarray) -> np.ndarray:
    """float32 (n, 256) of -1 and 1 from uint8 (n, 32)."""
    return np.unpackbits(packed, axis=1).astype(np.float32) * 2 - 1


def sampled(hashes: np.ndarray, most_bits: int) -> set[tuple[int, int]]:
    """Compare pairs that are equal in a random sample of bits, over and over with other samples.

    P. Indyk and R. Motwani, "Approximate nearest neighbors" (1998), section 4.2. A sample of w of 255 bits misses all d
    that differ with the chance C(255 - d, w) / C(255, w), whichever these are: the chance to find a pair is known.
    """
    rng = np.random.default_rng(0)
    width, missed, pairs = math.ceil(math.log2(len(hashes))) + 2, 1.0, set[tuple[int, int]]()
    for _ in track(range(MOST_TABLES), "comparing pictures", MOST_TABLES):
        chosen = rng.choice(BITS, width, replace=False)
        own = keys(hashes[:, 0], chosen)
        order = np.argsort(own, kind="stable")
        ordered = own[order]
        if len(own) * CROWDED < candidates(ordered):
            width += 1
            continue  # a sample that says little, as where all pictures are alike in it
        for view in VIEWS:
            for rows, columns in equal_keys(keys(hashes[:, view], chosen), ordered, order):
                near = rows < columns if view == 0 else rows != columns
                rows, columns = rows[near], columns[near]
                close = differing(hashes[rows, view], hashes[columns, 0]) <= most_bits
                low, high = np.minimum(rows, columns)[close], np.maximum(rows, columns)[close]
                pairs.update(zip(low.tolist(), high.tolist(), strict=True))
        missed *= 1 - chance(width, most_bits)
        if 1 - missed >= ENOUGH:
            break
    return pairs


def chance(width: int, differing_bits: int) -> float:
    """That a random sample of `width` bits has none of those in which two hashes differ."""
    return math.comb(BITS - differing_bits, width) / math.comb(BITS, width)


def keys(packed: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """uint64 (n,): the chosen bits of uint8 (n, 32), as a number."""
    value = np.zeros(len(packed), np.uint64)
    for place in chosen.tolist():
        value <<= np.uint64(1)
        value |= ((packed[:, place // 8] >> (7 - place % 8)) & 1).astype(np.uint64)
    return value


def candidates(ordered: np.ndarray) -> int:
    """How many ordered pairs of a sorted array are equal, each with itself too."""
    starts = np.flatnonzero(np.diff(ordered, prepend=ordered[0] + np.uint64(1)))
    return int(np.square(np.diff(starts, append=len(ordered)).astype(np.int64)).sum())


def equal_keys(wanted: np.ndarray, ordered: np.ndarray, order: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Rows of `wanted` and places of equal keys, at most about MOST_CANDIDATES at a time."""
    by_key = np.argsort(wanted, kind="stable")  # neighbours look in the same place of memory
    first = np.searchsorted(ordered, wanted[by_key], "left")
    counts = np.searchsorted(ordered, wanted[by_key], "right") - first
    some = counts > 0
    by_key, first, counts = by_key[some], first[some], counts[some]
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        before = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, before + MOST_CANDIDATES, "right")))
        own = counts[start:stop]
        offsets = np.arange(own.sum()) - np.repeat(np.cumsum(own) - own, own)
        yield np.repeat(by_key[start:stop], own), order[np.repeat(first[start:stop], own) + offsets]
        start = stop


def differing(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Bits in which uint8 (n, 32) differ, int64 (n,)."""
    return np.bitwise_count(first.view(np.uint64) ^ second.view(np.uint64)).sum(axis=1, dtype=np.int64)

"""Similar hashes among many are those that a comparison of every pair has."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from edge.data import hash_search
from edge.data.hash_search import BITS, chance, compared_with_all, sampled, similar
from edge.data.near_copies import MOST_BITS, hash_of

VIEWS = 8


def hashes(number: int, seed: int = 0) -> np.ndarray:
    """Random ones, uint8 (number, 8, 32), whose last bit is zero; some bits are mostly 1, as in real ones."""
    rng = np.random.default_rng(seed)
    bits = rng.random((number, VIEWS, BITS)) < rng.uniform(0.2, 0.8, BITS)
    return np.packbits(bits, axis=2)


def with_copies(own: np.ndarray, number: int, differing: int) -> set[tuple[int, int]]:
    """Make the last `number` hashes copies of the first, in one of the views and `differing` bits off; the pairs."""
    rng = np.random.default_rng(1)
    for place in range(number):
        bits = np.unpackbits(own[place, rng.choice(hash_search.VIEWS)])
        bits[rng.choice(BITS, differing, replace=False)] ^= 1
        own[-1 - place, 0] = np.packbits(bits)
    return {(place, len(own) - 1 - place) for place in range(number)}


def test_samples_find_what_all_pairs_have() -> None:
    own = hashes(1000)
    planted = with_copies(own, 100, 25)
    exact = compared_with_all(own, MOST_BITS)
    assert planted <= exact
    assert sampled(own, MOST_BITS) == exact


def test_copies_at_the_limit_are_found_as_often_as_is_said() -> None:
    own = hashes(1500, seed=2)
    planted = with_copies(own, 600, MOST_BITS)
    located = sampled(own, MOST_BITS)
    assert len(planted & located) >= 0.95 * len(planted)  # 0.97 is said; 2.9 standard deviations below
    assert with_copies(own, 600, MOST_BITS + 1).isdisjoint(sampled(own, MOST_BITS))


def test_the_chance_is_that_of_drawing_without_replacement() -> None:
    rng = np.random.default_rng(0)
    hits = [not (rng.choice(BITS, 6, replace=False) < MOST_BITS).any() for _ in range(4000)]
    assert chance(6, MOST_BITS) == pytest.approx(np.mean(hits), abs=0.03)


def test_pictures_that_are_alike_in_most_samples_do_not_fill_the_memory() -> None:
    """A thousand hashes in one heap: samples grow until few are equal, and the pairs are still those of all."""
    rng = np.random.default_rng(3)
    heap = rng.random(BITS) < 0.5
    off = rng.random((1000, BITS)) < 0.2
    own = np.repeat(np.packbits(heap ^ off, axis=1)[:, None], VIEWS, axis=1)
    planted = with_copies(own, 20, 10)
    assert planted <= sampled(own, MOST_BITS) <= compared_with_all(own, MOST_BITS)


@pytest.mark.parametrize("turn", range(VIEWS))
def test_every_orientation_is_found(turn: int) -> None:
    """Turned and mirrored by NumPy, and so known to be the same picture."""
    rng = np.random.default_rng(turn)
    squares = [cv2.resize(rng.integers(0, 256, (9, 9, 3), np.uint8), (64, 64)) for _ in range(40)]
    squares.append(np.rot90(squares[7][:, ::-1] if turn % 2 else squares[7], turn // 2))
    hashed = [packed for square in squares if (packed := hash_of(square)) is not None]
    assert sampled(np.stack(hashed), MOST_BITS) == compared_with_all(np.stack(hashed), MOST_BITS) == {(7, 40)}


def test_few_hashes_are_compared_with_all(monkeypatch: pytest.MonkeyPatch) -> None:
    own = hashes(50)
    planted = with_copies(own, 10, MOST_BITS)
    assert set(similar(own, MOST_BITS)) >= planted
    monkeypatch.setattr(hash_search, "EXACT", 10)
    assert len(set(similar(own, MOST_BITS)) & planted) >= 8

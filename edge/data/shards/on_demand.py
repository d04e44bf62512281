"""The squares of photographs in shards: decoded when they are asked for, so that a set need not fit into memory."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np

from edge.capture import read_photo
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.preprocess import to_input
from edge.shards import is_member

MOST_AT_ONCE = 2**32  # bytes that are decoded into one array
LARGE_SLICE = 2**28  # bytes from which a slice stays on demand itself: each process judges its part of a large set


class Squares(Sequence[np.ndarray]):
    """Stands for uint8 (N, side, side, 3) RGB: a number gives a square, a slice or array of numbers an array of them.

    A slice of LARGE_SLICE or more is another of these. Reading raises InputError for a shard that was changed. `read`
    reads a square from its path; None: that of a photograph. `channels`: of its shape.
    """

    dtype = np.dtype(np.uint8)

    def __init__(
        self,
        paths: Sequence[Path],
        side: int,
        *,
        read: Callable[[Path, int], np.ndarray] | None = None,
        channels: tuple[int, ...] = (3,),
    ) -> None:
        self.paths, self.side = paths, side
        self.read, self.channels = read or square_of, channels

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def shape(self) -> tuple[int, ...]:
        return len(self.paths), self.side, self.side, *self.channels

    @property
    def ndim(self) -> int:
        return len(self.shape)

    def __getitem__(self, key):
        if isinstance(key, int | np.integer):
            return self.read(self.paths[int(key)], self.side)
        places = range(len(self.paths))[key] if isinstance(key, slice) else np.arange(len(self.paths))[key].tolist()
        paths = [self.paths[place] for place in places]
        part = Squares(paths, self.side, read=self.read, channels=self.channels)
        return part if isinstance(key, slice) and part.nbytes >= LARGE_SLICE else np.array(part)

    @property
    def nbytes(self) -> int:
        """That they would take in one array."""
        return math.prod(self.shape)

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[place] for place in range(len(self.paths)))

    def __array__(self, dtype: object = None, copy: bool | None = None) -> np.ndarray:
        check_at_once(len(self), self.side, channels=math.prod(self.channels))
        array = np.empty(self.shape, np.uint8)
        for place, square in enumerate(self):
            array[place] = square
        return array if dtype is None else array.astype(dtype)  # type: ignore[call-overload]


def square_of(path: Path, side: int) -> np.ndarray:
    return to_input(read_photo(path), side)


class Joined(Sequence[np.ndarray]):
    """Squares of several sets, one after the other, as if in one array; by number alone."""

    def __init__(self, parts: Sequence[Sequence[np.ndarray] | np.ndarray]) -> None:
        self.parts, self.ends = parts, np.cumsum([len(part) for part in parts])

    def __len__(self) -> int:
        return int(self.ends[-1])

    def __getitem__(self, key):
        if not isinstance(key, int | np.integer):
            return np.stack([self[int(place)] for place in np.arange(len(self))[key]])
        place = range(len(self))[int(key)]  # which counts negative numbers from the end
        part = int(np.searchsorted(self.ends, place, side="right"))
        return self.parts[part][place - int(self.ends[part]) + len(self.parts[part])]


def on_demand(photos: PhotoSet) -> bool:
    """Whether the set lies in shards."""
    return bool(photos.photos) and is_member(photos.photos[0].path)


def check_at_once(squares: int, side: int, *, channels: int = 3) -> None:
    """InputError for more squares than are decoded into one array."""
    if squares * side**2 * channels > MOST_AT_ONCE:
        raise InputError(
            f"{squares} squares of {side} pixels are more than {MOST_AT_ONCE >> 30} GiB in memory, and "
            "something wants all of them at once; give it fewer photographs"
        )


def check_packed_side(photos: PhotoSet, side: int, *, wanted_for: str) -> None:
    """InputError where the shards' squares are smaller than those that are asked for, which would be blurred ones."""
    if 0 < photos.packed_side < side:
        raise InputError(
            f"{photos.name} lies in shards of {photos.packed_side} pixels, and {wanted_for} {side}; pack the "
            f"photographs again with `dermedge prepare --shards --side {side}`"
        )


def joined(parts: Sequence[np.ndarray]) -> np.ndarray | Joined:
    """The squares of several sets as one; a single one as it is, so that nothing is copied."""
    if len(parts) == 1:
        return parts[0]
    return Joined(parts) if any(isinstance(part, Squares) for part in parts) else np.concatenate(parts)

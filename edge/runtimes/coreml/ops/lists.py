"""Lists of tensors of one shape. A write gives a new list and leaves the old one as it was, without copying it."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .kinds import Ints, Sizes
from .slicing import bounded

DTYPES = {"fp16": torch.float32, "fp32": torch.float32, "int32": torch.int32, "bool": torch.bool}  # as ops hold them


@dataclass(frozen=True)
class Elements:
    """What all elements of a list have in common."""

    shape: tuple[int | None, ...]  # None: not known before something is written
    dtype: torch.dtype
    grows: bool  # where something is written beyond its end

    def check(self, value: Tensor, place: int, length: int) -> None:
        """ValueError where the value cannot be written at the place of a list of that length."""
        same = len(self.shape) == value.ndim and all(
            wanted in {None, size} for wanted, size in zip(self.shape, value.shape, strict=True)
        )
        if not same or value.dtype != self.dtype:
            raise ValueError(
                f"an element {value.dtype} of shape {tuple(value.shape)} for a list of {self.dtype} of {self.shape}"
            )
        if place < 0 or (place >= length and not self.grows):
            raise ValueError(f"the place {place} of a list of {length}, which keeps its length")
        bounded([place + 1, *value.shape])


class TensorList:
    """A version of a list. The newest holds the places; an older one knows which place it has otherwise.

    Whoever reads an older version makes it the one that holds them, and those around it know the difference (Baker's
    persistent array). Programs nearly always read only the newest, so a read or write takes as long for any length.
    """

    def __init__(self, places: list[Tensor | None], kind: Elements) -> None:
        self.places = places  # None: never written; empty in a version that does not hold them
        self.kind = kind
        # Of a version that does not hold the places: which one does or knows, and what is otherwise than there.
        self.other: TensorList | None = None
        self.place, self.length = 0, 0
        self.value: Tensor | None = None

    def held(self) -> list[Tensor | None]:
        """The places of this version, for use before any other version is read or written."""
        path = [self]
        while (following := path[-1].other) is not None:
            path.append(following)
        for holder, heir in zip(path[:0:-1], path[-2::-1], strict=True):
            places = holder.places
            place, value, length = heir.place, heir.value, heir.length
            holder.differs(heir, place, places[place] if place < len(places) else None, len(places))
            del places[length:]
            places.extend([None] * (length - len(places)))
            if place < length:
                places[place] = value
            heir.places, heir.other, heir.value = places, None, None
        return self.places

    def differs(self, other: TensorList, place: int, value: Tensor | None, length: int) -> None:
        self.places, self.other, self.place, self.value, self.length = [], other, place, value, length

    def written(self, place: int, value: Tensor) -> TensorList:
        """The list with the value at a place. ValueError for a place or a value that it does not take."""
        places = self.held()
        self.kind.check(value, place, len(places))
        version = TensorList(places, self.kind)
        self.differs(version, place, places[place] if place < len(places) else None, len(places))
        places.extend([None] * (place + 1 - len(places)))
        places[place] = value
        return version

    def read(self, place: int) -> Tensor:
        """ValueError for a place that the list does not have."""
        places = self.held()
        if not 0 <= place < len(places):
            raise ValueError(f"the place {place} of a list of {len(places)}")
        value = places[place]
        return self.blank(places) if value is None else value

    def blank(self, places: list[Tensor | None]) -> Tensor:
        """What lies in a place that was never written: zeros."""
        shape = self.kind.shape
        if None in shape:
            like = next((value for value in places if value is not None), None)
            if like is None:
                raise ValueError("an element is read of a list of unknown shape into which nothing was written")
            shape = tuple(like.shape)
        return torch.zeros([size or 0 for size in shape], dtype=self.kind.dtype)


def make_list(
    init_length: int = 1, dynamic_length: bool = True, elem_shape: Sizes | None = None, dtype: str = "fp32"
) -> TensorList:
    if dtype not in DTYPES:
        raise ValueError(f"a list of {dtype}; expected one of {', '.join(DTYPES)}")
    shape = tuple(size if isinstance(size, int) and size >= 0 else None for size in elem_shape or [])
    bounded([init_length, *(size or 1 for size in shape)])
    return TensorList([None] * init_length, Elements(shape, DTYPES[dtype], dynamic_length))


def list_length(ls: TensorList) -> Tensor:
    return torch.tensor(len(ls.held()), dtype=torch.int32)


def list_write(ls: TensorList, index: int, value: Tensor) -> TensorList:
    return ls.written(index, value)


def list_read(ls: TensorList, index: int) -> Tensor:
    return ls.read(index)


def list_gather(ls: TensorList, indices: Ints) -> Tensor:
    """(K, *element): the elements at the places."""
    if not indices:
        return ls.blank(ls.held()).new_zeros(0, *ls.blank(ls.held()).shape)
    return torch.stack([ls.read(place) for place in indices])


def list_scatter(ls: TensorList, indices: Ints, value: Tensor) -> TensorList:
    """Row k of the value at place k of the indices; of two rows for one place the later stays."""
    if len(indices) != len(value):
        raise ValueError(f"{len(value)} values for {len(indices)} places")
    for place, row in zip(indices, value.unbind(), strict=True):
        ls = ls.written(place, row)
    return ls


TABLE = {
    "make_list": make_list,
    "list_length": list_length,
    "list_write": list_write,
    "list_read": list_read,
    "list_gather": list_gather,
    "list_scatter": list_scatter,
}
EXACT: frozenset[str] = frozenset(TABLE)

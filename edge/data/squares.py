"""Photographs as model input, decoded once and cached as small squares."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast

import numpy as np

from edge.capture import READING, read_photo
from edge.data.shards.on_demand import Squares, check_packed_side, on_demand
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place
from edge.preprocess import MAX_INPUT_SIDE, PREPROCESS_VERSION, to_input
from edge.progress import track
from edge.shards import digest_of, is_member

log = logging.getLogger("dermedge")

T = TypeVar("T")


def cache_folder() -> Path:
    """`$DERMEDGE_CACHE`, or `dermedge` in the user's cache folder."""
    own = os.environ.get("DERMEDGE_CACHE")
    return Path(own) if own else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "dermedge"


def load_squares(
    photos: PhotoSet, side: int, *, skip_unreadable: bool = False, cache: bool = True, enlarged: bool = False
) -> tuple[PhotoSet, np.ndarray]:
    """The photographs that could be read and their squares, uint8 (N, side, side, 3) RGB, read-only.

    Every square is `preprocess.to_input` of the decoded file. Squares are cached by name, size and time of
    the files and by the version of the preprocessing; those of photographs in shards are not kept, but decoded when
    they are asked for (`edge.data.shards.on_demand`). Raises InputError that names the unreadable photographs, unless
    `skip_unreadable`, and for shards of smaller squares, unless they may be `enlarged`.
    """
    if not enlarged:
        check_packed_side(photos, side, wanted_for="this wants")
    if on_demand(photos) and 1 <= side <= MAX_INPUT_SIDE:
        return photos, cast(np.ndarray, Squares([photo.path for photo in photos.photos], side))
    return kept_squares(
        photos, (side, side, 3), lambda photo: to_input(read_photo(photo.path), side),
        kind="", side=side, task=f"reading {photos.name}", skip_unreadable=skip_unreadable, cache=cache,
    )  # fmt: skip


def kept_squares(
    photos: PhotoSet,
    shape: tuple[int, ...],
    make: Callable[[Photo], np.ndarray],
    *,
    kind: str,
    side: int,
    task: str,
    skip_unreadable: bool = False,
    cache: bool = True,
) -> tuple[PhotoSet, np.ndarray]:
    """What `make` gives of each photograph that can be read, uint8 (N, *shape), read-only; from the cache if there.

    `kind` tells apart in the cache what is made of the same photographs and `side`; empty for the plain square.
    """
    if not 1 <= side <= MAX_INPUT_SIDE:
        raise InputError(f"the side of a square is 1 to {MAX_INPUT_SIDE} pixels, got {side}")
    if not photos.photos:
        raise InputError(f"{photos.name}: no photographs to read")
    target = cache_folder() / f"{key(photos.photos, side, kind)}.npy"
    if cache and target.is_file():
        with suppress(ValueError, EOFError):  # a damaged entry is written again
            squares = np.load(target, mmap_mode="r", allow_pickle=False)
            if squares.shape == (len(photos), *shape) and squares.dtype == np.uint8:
                return photos, squares
    squares = np.empty((len(photos), *shape), np.uint8)
    filled = 0

    def keep(_photo: Photo, made: np.ndarray) -> None:
        nonlocal filled
        squares[filled] = made
        filled += 1

    readable = read_each(photos, make, keep, task=task, skip_unreadable=skip_unreadable)
    squares.flags.writeable = False  # as a cached one
    if len(readable) < len(photos):
        return readable, squares[:filled]
    if cache:
        with moved_into_place(target) as path, path.open("wb") as file:
            np.save(file, squares, allow_pickle=False)
    return photos, squares


def read_each(
    photos: PhotoSet,
    read: Callable[[Photo], T],
    use: Callable[[Photo, T], None],
    *,
    task: str,
    skip_unreadable: bool = False,
) -> PhotoSet:
    """Read one photograph after the other and use what was read; the set without those that cannot be read.

    Raises InputError that counts the photographs for which `read` raised one and names the first: if there is any, or
    with `skip_unreadable` if none is left. What the others were used for is then incomplete. `task` names the work to
    whoever listens to the progress.
    """
    kept: list[Photo] = []
    unreadable: list[str] = []
    for photo in track(photos.photos, task, len(photos)):
        try:
            content = read(photo)
        except InputError as error:
            unreadable.append(f"{photo.image_id}: {error}")
            continue
        if skip_unreadable or not unreadable:  # if not, the rest is only counted
            use(photo, content)
            kept.append(photo)
    if not unreadable:
        return photos
    text = f"{len(unreadable)} of {len(photos)} photographs of {photos.name} cannot be read: {unreadable[0]}"
    if not skip_unreadable or not kept:
        raise InputError(f"{text}. Mend or remove them, or go on without them with `skip_unreadable`")
    log.warning("skipped %s", text)
    return replace(photos, photos=tuple(kept), notes=(*photos.notes, text))


def key(photos: tuple[Photo, ...], side: int, kind: str = "") -> str:
    digest = hashlib.sha256(" ".join([PREPROCESS_VERSION, str(READING), str(side), *kind.split()]).encode())
    for photo in photos:
        if is_member(photo.path):
            digest.update(digest_of(photo.path).encode())
        elif photo.path.is_file():  # a missing file is reported when it is read
            stat = photo.path.stat()
            digest.update(
                f"{photo.path.resolve()} {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape")
            )
    return digest.hexdigest()[:32]

"""Masks of lesions as model input: the same centred square as the photograph's, a pixel where half of it is lesion."""

from __future__ import annotations

import hashlib
import io
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

from edge.capture import upright_size
from edge.data.shards.on_demand import Squares, check_packed_side, on_demand
from edge.data.squares import cache_folder
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError
from edge.files import moved_into_place
from edge.preprocess import area, check_side, square_in
from edge.progress import track
from edge.shards import AGAIN, content_of, is_member

VERSION = "half-1"  # part of the cache's key
LESION = 255
HALF = 128
MAX_PIXELS = 100_000_000
NONE = Path()  # stands for the mask of a photograph that has none


def load_masks(photos: PhotoSet, side: int, *, cache: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Masks, uint8 (N, side, side) of 0 and 255, and for which photographs there is one, bool (N,).

    Where there is none, the mask is 0. Cut and scaled as `edge.preprocess.to_input` does with the photograph. Those in
    shards are decoded when they are asked for. Raises InputError for a mask that cannot be read or has another size
    than its upright photograph, and for shards of smaller squares.
    """
    check_side(side)
    known = np.array([photo.mask is not None for photo in photos.photos])
    check_packed_side(photos, side, wanted_for="this wants")
    if on_demand(photos):
        paths = [photo.mask or NONE for photo in photos.photos]
        return cast(np.ndarray, Squares(paths, side, read=packed_mask, channels=())), known
    if not known.any():
        return np.zeros((len(photos), side, side), np.uint8), known
    target = cache_folder() / f"{key(photos.photos, side)}.npy"
    if cache and target.is_file():
        with suppress(ValueError, EOFError):  # a damaged entry is written again
            masks = np.load(target, mmap_mode="r", allow_pickle=False)
            if masks.shape == (len(photos), side, side) and masks.dtype == np.uint8:
                return masks, known
    masks = np.zeros((len(photos), side, side), np.uint8)
    for number, photo in track(list(enumerate(photos.photos)), f"reading masks of {photos.name}", len(photos)):
        if photo.mask is not None:
            masks[number] = to_square(read_mask(photo.mask, photo.path), side)
    if cache:
        with moved_into_place(target) as path, path.open("wb") as file:
            np.save(file, masks, allow_pickle=False)
    return masks, known


def read_mask(path: Path, photo: Path) -> np.ndarray:
    """uint8 (H, W) of 0 and 255 as it lies over the upright photograph; grey values from 128 on are lesion."""
    grey = decoded(path, path, f"the mask of {photo.name}")
    size = upright_size(photo)
    if grey.shape != size[::-1]:
        raise InputError(
            f"{path} is {grey.shape[1]}x{grey.shape[0]} pixels, its photograph upright {size[0]}x{size[1]}; "
            "a mask lies over the photograph pixel by pixel"
        )
    if 0 < grey.max() < HALF:
        raise InputError(f"{path} has values up to {grey.max()}; expected 255 where there is lesion, 0 elsewhere")
    return np.where(grey >= HALF, LESION, 0).astype(np.uint8)


def decoded(file: Path | BinaryIO, path: Path, kind: str) -> np.ndarray:
    """The grey values of a picture, uint8 (H, W); InputError that says of what `kind` the `path` should be."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            if image.width * image.height > MAX_PIXELS:
                raise InputError(f"{path} is larger than {MAX_PIXELS} pixels; expected a mask of a photograph")
            return np.asarray(image.convert("L"))
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(f"{path} cannot be read as {kind} ({error}); mend or remove it") from error


def to_square(mask: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side) of 0 and 255: the centred square, lesion where it covers half of a pixel or more."""
    return np.where(shares(mask, side) >= HALF, LESION, 0).astype(np.uint8)


def shares(mask: np.ndarray, side: int) -> np.ndarray:
    """uint8 (side, side): how much of each pixel of the centred square is lesion, 255 for all of it."""
    top, left, length = square_in(*mask.shape)
    return area(mask[top : top + length, left : left + length, None], side)[..., 0]


def packed_mask(path: Path, side: int) -> np.ndarray:
    """As `to_square`, of a mask in shards; 0 of NONE."""
    return np.zeros((side, side), np.uint8) if path == NONE else to_square(packed_shares(path, side), side)


def packed_shares(path: Path, side: int) -> np.ndarray:
    """The `shares` that `edge.data.shards` packed, at their own side; InputError where it is less than `side`."""
    own = decoded(io.BytesIO(content_of(path)), path, "the mask of a photograph in shards")
    if own.shape[0] != own.shape[1] or len(own) < side:
        size = f"{own.shape[1]}x{own.shape[0]}"
        raise InputError(f"{path} is {size} pixels; expected a square of {side} or more. {AGAIN}")
    return own


def shares_of(photo: Photo, side: int) -> np.ndarray:
    """The `shares` of the mask that a photograph has, also in shards; InputError as `read_mask`."""
    assert photo.mask is not None
    if is_member(photo.mask):
        return shares(packed_shares(photo.mask, side), side)
    return shares(read_mask(photo.mask, photo.path), side)


def key(photos: tuple[Photo, ...], side: int) -> str:
    digest = hashlib.sha256(f"masks {VERSION} {side}".encode())
    for photo in photos:
        digest.update(f"{photo.mask and photo.mask.resolve()}".encode("utf-8", "surrogateescape"))
        if photo.mask is not None and photo.mask.is_file():
            stat = photo.mask.stat()
            digest.update(f" {stat.st_size} {stat.st_mtime_ns}\n".encode("utf-8", "surrogateescape"))
    return digest.hexdigest()[:32]

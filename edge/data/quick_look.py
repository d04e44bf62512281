"""A small grey square of a photograph, quickly: to tell near-copies, not to run models on."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Lock
from typing import TypeVar

import cv2
import numpy as np

from edge.capture import HEAD_BYTES, read_bounded, read_photo
from edge.decoding import jpeg
from edge.decoding.kinds import tell_format
from edge.decoding.limits import FULL_PIXELS, MAX_PIXELS, check_size
from edge.errors import InputError
from edge.paths import printable
from edge.preprocess import square_in
from edge.progress import track

T = TypeVar("T")

LEAST_SIDE = 128  # pixels; a JPEG is decoded at a half, a quarter or an eighth where its sides stay as long
REDUCED = {8: cv2.IMREAD_REDUCED_GRAYSCALE_8, 4: cv2.IMREAD_REDUCED_GRAYSCALE_4, 2: cv2.IMREAD_REDUCED_GRAYSCALE_2}

_one_at_a_time = Lock()  # `read_photo` sets the filters of warnings, which all threads share


def grey_square(path: Path) -> np.ndarray:
    """uint8 (S, S), the centred square of a photograph; colours that its file states are not converted.

    Raises InputError for what is no photograph, is too large or cannot be decoded.
    """
    grey = decoded(read_bounded(path, str(path)), printable(str(path)))
    if grey is None:
        with _one_at_a_time:
            grey = cv2.cvtColor(read_photo(path), cv2.COLOR_RGB2GRAY)
    top, left, side = square_in(*grey.shape)
    return np.ascontiguousarray(grey[top : top + side, left : left + side])


def decoded(contents: bytes, name: str) -> np.ndarray | None:
    """uint8 (H, W) of a JPEG or PNG file by OpenCV, reduced if it may be; None for what `read_photo` has to read."""
    try:
        form = tell_format(contents[:HEAD_BYTES], name)
        if form == "JPEG":
            header = jpeg.read_header(io.BytesIO(contents), name)
            width, height = header.width, header.height
        elif form == "PNG":
            width, height = (int.from_bytes(contents[at : at + 4], "big") for at in (16, 20))
        else:
            return None
        check_size(width, height, MAX_PIXELS if form == "JPEG" else FULL_PIXELS, name)
        factor = next((own for own in REDUCED if min(width, height) >= own * LEAST_SIDE), 1) if form == "JPEG" else 1
        return cv2.imdecode(np.frombuffer(contents, np.uint8), REDUCED.get(factor, cv2.IMREAD_GRAYSCALE))
    except (ValueError, cv2.error):  # damaged, which `read_photo` says in words
        return None


def looked_at(paths: Sequence[Path], look: Callable[[np.ndarray], T]) -> Iterator[T | InputError]:
    """`look` at the grey square of each photograph, on all cores; the error in the place of what cannot be read."""

    def result(path: Path) -> T | InputError:
        try:
            return look(grey_square(path))
        except InputError as error:
            return error

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        yield from track(pool.map(result, paths), "looking at photographs", len(paths))

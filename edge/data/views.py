"""A photograph as a hand-held phone would have taken it again: turned, shifted, nearer or farther, brighter or darker.

Views are made of the decoded photograph, before preprocessing, so that every runtime is given the same bytes. View 0
is the photograph itself.
"""

from __future__ import annotations

import hashlib

import numpy as np

from edge.capture import read_photo
from edge.colour.light import to_linear, to_srgb
from edge.data.shards.on_demand import check_at_once, check_packed_side, on_demand
from edge.data.squares import kept_squares, load_squares
from edge.data.table import Photo, PhotoSet
from edge.preprocess import square_in, to_input

VIEWS_VERSION = "views-1"  # part of the key of cached views: rises whenever the same photograph would give other views
TILT = 15.0  # degrees to either side, beside the quarter turn in which the phone is held
SHIFT = 0.08  # of the square's side, to either side, in both directions
NEARER = 0.15  # logarithm of the distance, to either side
STOPS = 0.5  # of exposure, to either side
FEWEST, MOST = 4, 16  # views of a photograph
IMAGES = 768  # photographs times views that settle the usual gates (docs/parity.md), where patients are enough
FINER = 2  # views are drawn on so many times the pixels of the model's input, which preprocessing then averages


def usual_views(photographs: int) -> int:
    """How many views of so many photographs are judged: more of few, since another view tells less than a patient."""
    return min(MOST, max(FEWEST, round(IMAGES / max(1, photographs))))


def load_views(
    photos: PhotoSet, side: int, views: int, *, skip_unreadable: bool = False, cache: bool = True
) -> tuple[PhotoSet, np.ndarray]:
    """The photographs that could be read and their views, uint8 (views, N, side, side, 3) RGB, read-only.

    Row 0 holds what `load_squares` gives. The views of a photograph depend on its id alone, not on the others. Cached
    and refused as squares are.
    """
    if views == 1:
        photos, plain = load_squares(photos, side, skip_unreadable=skip_unreadable, cache=cache)
        return photos, np.asarray(plain)[None]  # those of photographs in shards are not in an array yet
    check_packed_side(photos, side, wanted_for="views are of")
    if on_demand(photos):
        check_at_once(views * len(photos), side)

    def drawn(photo: Photo) -> np.ndarray:
        rgb = read_photo(photo.path)
        others = (view_of(rgb, side, rng_of(photo, number)) for number in range(1, views))
        return np.stack([to_input(picture, side) for picture in (rgb, *others)])

    photos, drawings = kept_squares(
        photos, (views, side, side, 3), drawn, kind=f"{VIEWS_VERSION} {views}",
        side=side, task=f"views of {photos.name}", skip_unreadable=skip_unreadable, cache=cache,
    )  # fmt: skip
    return photos, drawings.swapaxes(0, 1)


def rng_of(photo: Photo, number: int) -> np.random.Generator:
    """The random numbers of one view."""
    digest = hashlib.sha256(f"{photo.domain}/{photo.image_id}/{number}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:8], "little"))


def view_of(rgb: np.ndarray, side: int, rng: np.random.Generator) -> np.ndarray:
    """Another snapshot of an upright photograph, uint8 (H, W, 3): uint8 (FINER * side, FINER * side, 3).

    Its centred square, turned by a quarter turn and a tilt, shifted, enlarged or reduced. What lies beyond the
    photograph is its mirror image. The exposure changes in linear light.
    """
    import cv2

    turn = np.deg2rad(90.0 * rng.integers(4) + rng.uniform(-TILT, TILT))
    shift = rng.uniform(-SHIFT, SHIFT, 2)
    distance = np.exp(rng.uniform(-NEARER, NEARER))
    gain = np.float32(2.0 ** rng.uniform(-STOPS, STOPS))

    wanted = FINER * side
    height, width = rgb.shape[:2]
    _, _, short = square_in(height, width)
    if short > wanted:  # an average, so that fine structure does not alias
        scale = wanted / short
        size = (max(wanted, round(width * scale)), max(wanted, round(height * scale)))
        rgb = cv2.resize(rgb, size, interpolation=cv2.INTER_AREA)
        height, width = rgb.shape[:2]
        _, _, short = square_in(height, width)
    scale = distance * short / wanted  # pixels of the photograph in one of the view
    linear = scale * np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
    centre = np.array([(width - 1) / 2, (height - 1) / 2]) + shift * short
    matrix = np.column_stack([linear, centre - linear @ np.full(2, (wanted - 1) / 2)])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    view = cv2.warpAffine(rgb, matrix, (wanted, wanted), flags=flags, borderMode=cv2.BORDER_REFLECT_101)
    levels = to_srgb(to_linear(np.arange(256)) * gain)
    return np.asarray(cv2.LUT(view, levels))

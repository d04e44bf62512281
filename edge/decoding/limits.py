"""How large a photograph may be, and at what scale it is decoded (docs/preprocess.md, Large photographs)."""

from __future__ import annotations

from edge.errors import InputError

MAX_BYTES = 128 * 2**20  # a 200-megapixel JPEG of a phone has 30 to 100 MB
FULL_PIXELS = 50_000_000  # up to here every pixel is decoded: 8160 x 6120, which phones commonly save
HALF_PIXELS = 128_000_000  # up to here half the width and height, above a quarter
MAX_PIXELS = 256_000_000  # the largest sensors of phones have 200 megapixels
MAX_SIDE = 20_000  # pixels; longer strips are panoramas or attacks

# What a process that reads one JPEG or HEIC file takes, as the operating system counts it: 400 MB in all, of which
# Python, NumPy and Pillow have 35 before they begin.
MEMORY = 400_000_000
OWN_MEMORY = 45_000_000


def scale_of(width: int, height: int) -> int:
    """1, 2 or 4: a picture of so many stored pixels is decoded to one of that width and height, rounded up."""
    pixels = width * height
    return 1 if pixels <= FULL_PIXELS else 2 if pixels <= HALF_PIXELS else 4


def check_size(width: int, height: int, limit: int, name: str) -> None:
    """InputError for a picture without pixels, or with more than are decoded."""
    if width * height > limit or max(width, height) > MAX_SIDE:
        raise InputError(
            f"{name} says that it has {width} x {height} pixels; at most {limit} pixels and {MAX_SIDE} a side "
            "are decoded. Save it smaller"
        )
    if min(width, height) < 1:
        raise InputError(f"{name} says that it has {width} x {height} pixels; expected a photograph")


def fits(needed: float) -> bool:
    """Whether there is room for so many bytes beside the program's own."""
    return needed <= MEMORY - OWN_MEMORY


def check_memory(needed: float, kind: str, name: str, advice: str) -> None:
    """InputError unless `needed` bytes fit. `kind`: of picture, and its size."""
    if not fits(needed):
        raise InputError(
            f"{name} is {kind}, which takes about {(needed + OWN_MEMORY) / 1e6:.0f} MB of memory to decode; at most "
            f"{MEMORY / 1e6:.0f} MB are used. {advice}"
        )

"""What an EXIF block states about the colour of a photograph (EXIF 2.32, 4.6.5 and 4.6.8; DCF 2.0)."""

from __future__ import annotations

from edge.errors import InputError

from .numbers import of_numbers
from .spaces import ADOBE_RGB, SRGB, Space

INNER, INTEROPERABILITY = 0x8769, 0xA005  # the tags that point to the inner blocks
COLOR_SPACE, GAMMA, INDEX = 0xA001, 0xA500, 0x0001
WHITE_POINT, PRIMARY_CHROMATICITIES = 0x013E, 0x013F
SPACES = {1: SRGB, 2: ADOBE_RGB}  # 2 is in no edition of EXIF, but what Adobe's and Canon's programs write
INDICES = {"R98": SRGB, "R03": ADOBE_RGB}  # R03: "DCF optional file", Adobe RGB. THM says nothing of colour
WIDE_GAMUT = 0xFFFD  # Sony's, without a definition


def space_in(block: bytes, name: str) -> Space | None:
    """The colour space that an EXIF block states; None if it states none or cannot be read.

    ColorSpace 1 or 2 decides. Where it says "uncalibrated" or is missing, the interoperability index does, and then
    PrimaryChromaticities with WhitePoint, whose curve is Gamma or else sRGB's. Raises InputError for Sony's wide gamut.
    """
    try:
        space, index, gamma, numbers = tags_of(block)
    except Exception:  # metadata is never a reason to refuse a picture that decodes
        return None
    if space == WIDE_GAMUT:
        raise InputError(
            f"{name}: its EXIF ColorSpace is 65533 (a wide gamut without a definition), and it has no colour profile; "
            "save it again in sRGB"
        )
    return SPACES.get(space) or INDICES.get(index) or (of_numbers(gamma, numbers) if numbers else None)


def tags_of(block: bytes) -> tuple[int, str, float | None, tuple[float, ...] | None]:
    """ColorSpace (0 if missing), InteroperabilityIndex, 1 / Gamma, and the x, y of white, red, green, blue."""
    from PIL import Image

    exif = Image.Exif()
    exif.load(block)
    inner = exif.get_ifd(INNER)
    space = inner.get(COLOR_SPACE)
    index = exif.get_ifd(INTEROPERABILITY).get(INDEX, "")
    if isinstance(index, bytes):
        index = index.decode("latin-1")
    gamma, white, primaries = inner.get(GAMMA), exif.get(WHITE_POINT), exif.get(PRIMARY_CHROMATICITIES)
    numbers = tuple(map(float, (*white, *primaries))) if white and primaries else None
    return (
        space if isinstance(space, int) else 0,
        str(index).strip(" \0"),
        1 / float(gamma) if gamma and float(gamma) > 0 else None,
        numbers,
    )

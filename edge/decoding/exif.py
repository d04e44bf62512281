"""How a stored picture is turned, by its EXIF block."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

ORIENTATION_TAG = 0x0112  # EXIF 2.32, 4.6.4 A


def orientation(image: Image.Image) -> int:
    """1 to 8 from the EXIF block of an image; 1 where there is none or where it is damaged."""
    from PIL import Image

    # Not `image.getexif()`, which would also believe an XMP block; phones and browsers do not.
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        value = exif.get(ORIENTATION_TAG)
    except Exception:  # metadata is never a reason to refuse a picture that decodes
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1

"""An embedded colour profile -> sRGB, by LittleCMS: iPhones save Display P3, studios Adobe RGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20  # those of printing presses have up to 3 MB, a phone's less than 1 kB
SPACES = {"RGB": "RGB", "L": "GRAY", "CMYK": "CMYK"}  # mode -> what the profile has to be of
SAME = 1  # levels; a profile that moves no colour further is sRGB under another name


def to_srgb(image: Image.Image) -> Image.Image:
    """An RGB, L or CMYK image in sRGB, mode RGB, if it brings a profile of another colour space; else as it is.

    Relative colorimetric with black point compensation, 8 bits a channel. A profile that is damaged, too large or of
    another kind of colour than the image counts as none, as in browsers.
    """
    transform = transform_for(image)
    if transform is None:
        return image
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def transform_for(image: Image.Image) -> ImageCms.ImageCmsTransform | None:
    """What `to_srgb` applies; None where the image stays as it is."""
    profile = image.info.get("icc_profile")
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES or image.mode not in SPACES:
        return None
    return transform_of(profile, image.mode)


@lru_cache(maxsize=8)  # a folder of photographs has one or two profiles
def transform_of(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB; None where that changes nothing, or where the profile is unusable."""
    from PIL import Image, ImageCms

    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        if source.profile.xcolor_space.strip() != SPACES[mode]:
            return None
        transform = ImageCms.buildTransform(
            source, ImageCms.createProfile("sRGB"), mode, "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
        if mode == "RGB":
            steps = np.arange(0, 256, 17, dtype=np.uint8)
            probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(64, 64, 3)
            seen = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
            if int(abs(seen.astype(int) - probe).max()) <= SAME:
                return None
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None
    return transform

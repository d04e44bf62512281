"""Colours of a profile -> sRGB, by LittleCMS: iPhones save Display P3, studios Adobe RGB."""

from __future__ import annotations

import io
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from PIL import Image, ImageCms

MAX_PROFILE_BYTES = 4 * 2**20  # those of printing presses have up to 3 MB, a phone's less than 1 kB
# Mode -> what the profile has to be of. Of other modes `to_srgb` is given the RGB form.
KINDS = {"L": "GRAY", "LA": "GRAY", "1": "GRAY", "I": "GRAY", "I;16": "GRAY", "I;16B": "GRAY", "CMYK": "CMYK"}
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # the kind of a profile -> the mode that it converts
SAME = 1  # levels; a profile that moves no colour further is sRGB under another name


def to_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    """An RGB, L or CMYK image in sRGB, mode RGB, if the profile is of another colour space; else as it is.

    Relative colorimetric with black point compensation, 8 bits a channel. Grey is converted as R = G = B where the
    profile is one of RGB. A profile that is damaged, too large or of another kind of colour counts as none, as in
    browsers.
    """
    if profile is None:
        return image
    if image.mode == "L" and kind_of(profile) == "RGB":
        image = image.convert("RGB")
    transform = transform_of(profile, image.mode)
    if transform is None:
        return image
    from PIL import ImageCms

    converted = ImageCms.applyTransform(image, transform)
    assert converted is not None
    return converted


def changes(profile: bytes | None) -> bool:
    """Whether it is a profile of another colour space than sRGB."""
    return profile is not None and transform_of(profile, MODES.get(kind_of(profile), "")) is not None


def usable(profile: bytes | None, kind: str) -> bool:
    """Whether LittleCMS can convert with the profile and it is of this kind of colour: "RGB", "GRAY" or "CMYK".

    A header may be whole where what it announces is cut off or missing.
    """
    if not isinstance(profile, bytes) or not 0 < len(profile) <= MAX_PROFILE_BYTES:
        return False
    return kind_of(profile) == kind and built(profile, MODES[kind]) is not None


@lru_cache(maxsize=8)
def kind_of(profile: bytes) -> str:
    """As in the profile's header; empty where LittleCMS cannot read it."""
    from PIL import ImageCms

    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return ""


@lru_cache(maxsize=8)  # a folder of photographs has one or two profiles
def transform_of(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """From the profile's colours to sRGB; None where that changes nothing, or where the profile is unusable."""
    if mode not in MODES.values() or not usable(profile, KINDS.get(mode, "RGB")):
        return None
    transform = built(profile, mode)
    return None if mode == "RGB" and transform is not None and is_srgb(transform) else transform


@lru_cache(maxsize=8)
def built(profile: bytes, mode: str) -> ImageCms.ImageCmsTransform | None:
    """LittleCMS's conversion to sRGB; None where it finds the profile damaged."""
    from PIL import ImageCms

    try:
        return ImageCms.buildTransform(
            ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"), mode, "RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC, flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )  # fmt: skip
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError, AttributeError):
        return None


def is_srgb(transform: ImageCms.ImageCmsTransform) -> bool:
    """Whether it moves no colour by more than SAME."""
    from PIL import Image, ImageCms

    steps = np.arange(0, 256, 17, dtype=np.uint8)
    probe = np.stack(np.meshgrid(steps, steps, steps, indexing="ij"), -1).reshape(64, 64, 3)
    seen = np.asarray(ImageCms.applyTransform(Image.fromarray(probe), transform))
    return int(abs(seen.astype(int) - probe).max()) <= SAME

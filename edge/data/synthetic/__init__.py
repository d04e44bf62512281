"""A sample of computer-drawn lesion photographs in the layout of PAD-UFES-20, so that the chain runs without data.

It imitates what a smartphone does to a picture (framing, light, white balance, blur, noise, JPEG, EXIF orientation),
and of each of the six diagnoses only a textbook's one-line description. It proves nothing about skin.

A lesion is drawn once as a patch of skin with colour, relief and gloss; every photograph of it is that patch under
another camera and light, and its mask is the lesion's outline under that camera, pixel by pixel. All randomness comes
from (seed, lesion) and (seed, lesion, photograph), so that the same seed gives the same files with the same library
versions on the same kind of CPU.
"""

from __future__ import annotations

from ._sample import write_sample

__all__ = ["SAMPLE_VERSION", "write_sample"]

SAMPLE_VERSION = 2  # 2: with masks; the photographs are those of 1

"""What every path to the model starts from, the right one and the wrong ones."""

from __future__ import annotations

import io
import warnings
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from edge import capture
from edge.colour import changes
from edge.decoding.stored import Stored
from edge.preprocess import to_input

WITH_ALPHA = frozenset({"RGBA", "RGBa", "LA", "La", "PA"})  # Pillow's modes
OPAQUE = 255  # alpha; many programs write it for every pixel
Numbers = tuple[float, float, float]  # of R, G, B, of values in 0..1


@dataclass(frozen=True)
class Target:
    """What the model is made for. `mean` and `std` are inside its graph; None where no checkpoint tells them."""

    side: int  # pixels
    mean: Numbers | None = None
    std: Numbers | None = None


@dataclass(frozen=True)
class Scene:
    """An upright photograph, uint8 RGB (H, W, 3), on its way to a model."""

    upright: np.ndarray
    target: Target

    @cached_property
    def right(self) -> np.ndarray:
        """uint8 (S, S, 3): docs/preprocess.md, kept to."""
        return to_input(self.upright, self.target.side)


def right(scene: Scene) -> np.ndarray:
    return scene.right


def photographed(path: Path, target: Target) -> tuple[Scene, int]:
    """The photograph, upright, and the EXIF orientation (1 to 8) that it was stored with."""
    name = str(path)
    contents = capture.read_bounded(path, name)
    upright = capture.read_photo(contents, name=name)
    return Scene(upright, target), stored_in(contents, name)[0].orientation


def stored_in(contents: bytes, name: str) -> tuple[Stored, bytes | None]:
    """The photograph as it is stored, and the profile of its colours."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about metadata that nobody needs
        form = capture.tell_format(contents[: capture.HEAD_BYTES], name)
        return capture.open_stored(io.BytesIO(contents), form, name)


def remarks(path: Path) -> list[str]:
    """What a photograph brings that none of the paths imitates, and that an app has to heed: profile, transparency."""
    name = str(path)
    stored, profile = stored_in(capture.read_bounded(path, name), name)
    notes = []
    if changes(profile):
        notes.append("states another colour space than sRGB; an app has to convert it (docs/preprocess.md)")
    if translucent(stored):
        notes.append("is translucent; it has to be laid over white")
    return notes


def translucent(stored: Stored) -> bool:
    key = stored.info.get("transparency")
    if stored.mode not in WITH_ALPHA and key is None:
        return False
    if stored.mode not in (*WITH_ALPHA, "P"):
        masks = (capture.of_key(strip, key) for _, strip in stored.strips())
        return any(mask is not None and bool(mask.any()) for mask in masks)
    return any(np.asarray(strip.convert("RGBA").getchannel("A")).min() < OPAQUE for _, strip in stored.strips())

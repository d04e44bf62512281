"""A .aimodel as dermedge writes them, by Core AI's own runtime."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.runtimes.coreai import CoreAI

from .pixels import Pixels


class AIModel:
    """One .aimodel. InputError of one that takes answers beside the picture, and where Core AI is not installed."""

    def __init__(self, path: Path) -> None:
        self.runtime = CoreAI(path)
        self.name, self.classes = path.name, self.runtime.classes
        if self.runtime.answer_places:
            self.close()
            raise InputError(f"{path.name} takes answers beside the picture; name the file without them")
        side = self.runtime.side
        self.pixels = Pixels(side, side, "picture", np.uint8, (0.0,) * 3, (1.0,) * 3, "a picture, scaled inside")
        self.half = self.runtime.recipe == "fp16"  # its arithmetic

    def run(self, pictures_u8: np.ndarray) -> np.ndarray:
        return self.runtime.run(pictures_u8).probabilities

    def close(self) -> None:
        self.runtime.close()

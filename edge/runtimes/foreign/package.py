"""Anybody's .mlpackage with a picture in and a vector out, by our interpreter."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError

from .pixels import Pixels, pixels_of
from .tflite import is_vector


class Package:
    """One .mlpackage. `pixels`: a key of PIXELS, for an input that is an array."""

    def __init__(self, path: Path, pixels: str | None = None) -> None:
        from PIL import Image

        from edge.runtimes.coreml.saved import RuntimeDependentWarning, load

        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeDependentWarning)
            self.model: Any = load(path)
        self.name, self.make = path.name, Image.fromarray
        if len(self.model.input_description) != 1:
            raise InputError(f"{path.name} has {len(self.model.input_description)} inputs; expected one, a picture")
        feature = self.model.input_description[0]
        self.input = feature.name
        if feature.type.WhichOneof("Type") == "imageType":
            kind = feature.type.imageType
            size = (int(kind.height), int(kind.width))
            self.pixels = Pixels(*size, "picture", np.uint8, (0.0,) * 3, (1.0,) * 3, "a picture, scaled inside")
        else:
            shape = tuple(int(side) for side in feature.type.multiArrayType.shape)
            self.pixels = pixels_of(path.name, shape, np.float32, stated=None, asked=pixels)
        kinds = kinds_of(self.model)
        elements = {output.element for call in self.model.calls for output in call.operation.outputs}
        rounded = any(kind.startswith("constexpr_") or "quantize" in kind for kind in kinds)
        self.half = None if rounded else "FLOAT16" in elements  # its arithmetic; None: with rounded weights
        blank = np.zeros((self.pixels.height, self.pixels.width, 3), np.uint8)
        self.classes = len(self.answer(blank))

    def run(self, pictures_u8: np.ndarray) -> np.ndarray:
        return np.array([self.answer(picture) for picture in pictures_u8], np.float64)

    def answer(self, picture: np.ndarray) -> np.ndarray:
        value = self.make(picture) if self.pixels.layout == "picture" else self.pixels.tensor(picture)
        answers = self.model.predict({self.input: value})
        vectors = [v for v in map(vector_of, answers.values()) if v is not None]
        if len(vectors) != 1:
            raise InputError(f"{self.name}: expected one output that is a vector; it gives {', '.join(answers)}")
        return vectors[0]

    def close(self) -> None:
        del self.model


def kinds_of(model: Any) -> set[str]:
    """The operations of a program or of all programs of a pipeline, those too that are done once when it opens."""
    stages = getattr(model, "stages", None)
    if stages is not None:
        return set().union(*map(kinds_of, stages.values()))
    program = getattr(model, "program", None)
    return {operation.kind for operation in program.operations} if program is not None else set()


def vector_of(value: Any) -> np.ndarray | None:
    """A classifier's probabilities, in the order of the package, or an array that is a vector."""
    if isinstance(value, dict):
        return np.array(list(value.values()), np.float64)
    if isinstance(value, np.ndarray) and is_vector(value.shape):
        return value.astype(np.float64).reshape(-1)
    return None

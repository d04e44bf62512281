"""A Core ML image classifier with the interface of the other runtimes: uint8 squares in, probabilities out."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.runtimes import Outputs, check_images, checked_answers

from .features import ARRAYS
from .saved import RuntimeDependentWarning, load_program

# How a package can be run: by our interpreter anywhere, by Core ML itself on macOS.
INTERPRETER = "interpreter"
ANSWERS = "answers"  # name of the second input
NATIVE = {"core-ml-cpu": "CPU_ONLY", "core-ml-gpu": "CPU_AND_GPU", "core-ml-ane": "CPU_AND_NE"}


def modes() -> tuple[str, ...]:
    """The modes that this machine has."""
    return (INTERPRETER, *NATIVE) if sys.platform == "darwin" else (INTERPRETER,)


class CoreML:
    """One .mlpackage with the contract: an RGB image in, `probabilities` by class out, from some networks a `mask`.

    Some take `answers`, an array (1, Q), as well.
    """

    def __init__(self, path: Path, *, mode: str = INTERPRETER, threads: int = 1) -> None:
        from PIL import Image

        if mode not in modes():
            raise InputError(f"a .mlpackage runs here as {', '.join(modes())}; got {mode!r}")
        self.path, self.name, self.mode, self.threads = Path(path), Path(path).name, mode, threads
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeDependentWarning)  # `notices` has it
            model = load_program(path)
        self.notices = model.notices if mode == INTERPRETER else []
        self.engine: Any = model if mode == INTERPRETER else native(path, NATIVE[mode])
        images = [feature for feature in model.input_description if feature.type.WhichOneof("Type") == "imageType"]
        others = [feature for feature in model.input_description if feature not in images]
        self.answer_places = sum(map(places_of, others))
        if len(images) != 1 or len(others) > 1 or (others and not self.answer_places):
            raise InputError(
                f"{path}: expected an input that is an image, beside it {ANSWERS}, float32 (1, Q), or nothing; got "
                f"{', '.join(feature.name for feature in model.input_description)}; convert it with dermedge"
            )
        self.image, kind = images[0].name, images[0].type.imageType
        if kind.width != kind.height:
            raise InputError(f"{path}: expected a square image, it takes {kind.width}x{kind.height}")
        self.side = int(kind.width)
        self.probabilities = model.spec.description.predictedProbabilitiesName
        self.labels = tuple(class_labels(model))
        if not self.probabilities or not self.labels:
            raise InputError(f"{path} is no classifier: it has no class labels; convert it with dermedge")
        self.mask = mask_of(model)
        self.make = Image.fromarray

    def run(self, images_u8: np.ndarray, answers: np.ndarray | None = None) -> Outputs:
        """uint8 (N, S, S, 3) RGB -> probabilities, float64 (N, K), in the order of `labels`, and masks."""
        check_images(images_u8, self.side, self.name)
        vectors = checked_answers(answers, len(images_u8), self.answer_places, self.name)
        outputs = []
        with torch_threads(self.threads):
            for image, row in zip(images_u8, vectors, strict=True):
                second = {ANSWERS: row[None]} if self.answer_places else {}
                outputs.append(self.engine.predict({self.image: self.make(image), **second}))
        rows = [[output[self.probabilities][label] for label in self.labels] for output in outputs]
        masks = None
        if self.mask is not None:
            masks = np.array([output[self.mask].reshape(self.side, self.side) for output in outputs])
        return Outputs(np.array(rows, np.float64), masks)

    def run_floats(self, images: np.ndarray) -> Outputs:
        """Always InputError: a package takes a picture."""
        raise InputError(f"{self.name} takes a picture's bytes, no other numbers; give a .tflite")

    def close(self) -> None:
        """Free the runtime's memory."""
        del self.engine


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Sets torch's number of threads for a while: operations on one photograph are too small to divide among many."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def class_labels(model: Any) -> list[str]:
    """The labels of the program's classifier, in the order of its probabilities."""
    for call in model.calls:
        if call.operation.kind == "classify":
            return [str(label) for label in call.fixed["classes"]]
    return []


def places_of(feature: Any) -> int:
    """Q of the input `answers`, an array (1, Q) of float32; 0 of any other input."""
    kind = feature.type.multiArrayType
    wanted = feature.name == ANSWERS and feature.type.WhichOneof("Type") == "multiArrayType"
    shape = tuple(kind.shape)
    fits = wanted and len(shape) == 2 and shape[0] == 1 and ARRAYS.get(int(kind.dataType)) is np.float32
    return int(shape[1]) if fits else 0


def mask_of(model: Any) -> str | None:
    """The name of the mask, the one output that is an array; None where there is none."""
    arrays = [
        feature.name for feature in model.output_description if feature.type.WhichOneof("Type") == "multiArrayType"
    ]
    return arrays[0] if len(arrays) == 1 else None


def native(path: Path, units: str) -> Any:
    """Core ML itself; macOS only."""
    import coremltools as ct

    return ct.models.MLModel(str(path), compute_units=ct.ComputeUnit[units])

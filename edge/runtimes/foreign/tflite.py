"""Anybody's .tflite, in any of the runtimes that open such files here."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line
from edge.runtimes import Refused
from edge.runtimes.engine import Engine
from edge.runtimes.litert import check_tflite, engine_of
from edge.tflite.graph import DAMAGED, unpacked
from edge.tflite.versions import FLOAT32, INT8, UINT8

from .metadata import stated_in
from .pixels import Pixels, pixels_of

NUMPY = {FLOAT32: np.float32, UINT8: np.uint8, INT8: np.int8}


@dataclass(frozen=True)
class Contents:
    """A .tflite, read: the schema's objects, how it takes a picture, and which of its outputs is the vector."""

    path: Path
    model: Any  # edge.tflite.flatbuffer.unpack
    pixels: Pixels
    output: int  # among its outputs, from 0
    classes: int
    scale: float  # a code's step; 1 of float32
    zero: int  # the code of 0


def read(path: Path, pixels: str | None = None) -> Contents:
    """InputError where it is no .tflite with an image in and a vector out, or where `pixels` are needed."""
    check_tflite(path)
    model = unpacked(path.read_bytes(), path.name)
    try:
        return described(path, model, pixels)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{path.name} is damaged ({type(error).__name__}: {first_line(error)}); get it again"
        ) from error


def described(path: Path, model: Any, pixels: str | None) -> Contents:
    """What an unpacked file takes and gives."""
    graph = model.subgraphs[0]
    inputs, outputs = ([graph.tensors[t] for t in places] for places in (graph.inputs, graph.outputs))
    if len(inputs) != 1:
        raise InputError(f"{path.name} has {len(inputs)} inputs; expected one, a picture")
    takes = pixels_of(
        path.name, shape_of(inputs[0]), NUMPY.get(inputs[0].type, np.void), stated=stated_in(model), asked=pixels
    )
    vectors = [place for place, tensor in enumerate(outputs) if is_vector(shape_of(tensor)) and tensor.type in NUMPY]
    if len(vectors) != 1:
        shapes = ", ".join(map(str, map(shape_of, outputs)))
        raise InputError(f"{path.name}: expected one output that is a vector, (1, K); it gives {shapes}")
    tensor = outputs[vectors[0]]
    steps = tensor.quantization.scale if tensor.quantization is not None else None
    scale, zero = 1.0, 0
    if tensor.type != FLOAT32 and steps is not None and len(steps) == 1:
        scale, zero = float(steps[0]), int(tensor.quantization.zeroPoint[0])
    return Contents(path, model, takes, vectors[0], int(np.prod(shape_of(tensor))), scale, zero)


def shape_of(tensor: Any) -> tuple[int, ...]:
    return tuple(int(side) for side in tensor.shape) if tensor.shape is not None else ()


def is_vector(shape: tuple[int, ...]) -> bool:
    """(K,), (1, K), (1, 1, 1, K) and the like."""
    return bool(shape) and 2 <= shape[-1] <= 100_000 and all(side == 1 for side in shape[:-1])


class TFLite:
    """One file in one runtime; `mode` as edge.runtimes.litert names them."""

    def __init__(self, contents: Contents, mode: str, *, threads: int = 1) -> None:
        self.contents, self.mode, self.name = contents, mode, contents.path.name
        self.pixels, self.classes = contents.pixels, contents.classes
        self.engine: Engine = opened(contents.path, mode, threads)

    @property
    def version(self) -> str:
        """Of a phone's own library; empty where it is LiteRT in this process."""
        return str(getattr(self.engine, "version", ""))

    def run(self, pictures_u8: np.ndarray) -> np.ndarray:
        rows = []
        for picture in pictures_u8:
            values = invoked(self.engine, [self.pixels.tensor(picture)], f"{self.name} in {self.mode}")
            codes = np.asarray(values[self.contents.output], np.float64).reshape(-1)
            rows.append((codes - self.contents.zero) * self.contents.scale)
        return np.array(rows)

    def close(self) -> None:
        if hasattr(self.engine, "close"):
            self.engine.close()


def opened(path: Path, mode: str, threads: int = 1) -> Engine:
    """The file in a runtime; Refused with the runtime's words where it does not take it."""
    try:
        return engine_of(path, mode, threads)
    except InputError:
        raise
    except (RuntimeError, ValueError) as error:
        raise Refused(f"{path.name}: {mode} does not open it: {first_line(error)}") from error


def invoked(engine: Engine, tensors: list[np.ndarray], name: str) -> list[np.ndarray]:
    """What it answers; Refused where it stops."""
    try:
        return engine.invoke(tensors)
    except InputError:
        raise
    except (RuntimeError, ValueError) as error:
        raise Refused(f"{name} stops: {first_line(error)}") from error

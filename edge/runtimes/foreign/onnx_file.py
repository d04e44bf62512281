"""Anybody's .onnx with a picture in and a vector out, by ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import InputError, install
from edge.exporting import first_line
from edge.runtimes import Refused
from edge.runtimes.onnx import own_facts

from .pixels import PIXELS, pixels_of
from .tflite import is_vector

TYPES = {"tensor(float)": np.float32, "tensor(uint8)": np.uint8, "tensor(int8)": np.int8}
MAX_BYTES = 2**31


class Onnx:
    """One .onnx. `pixels`: a key of PIXELS, for a float input."""

    def __init__(self, path: Path, pixels: str | None = None, *, threads: int = 1) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise InputError(f"running .onnx files needs ONNX Runtime: {install('onnx')}") from error
        if not path.is_file() or path.stat().st_size > MAX_BYTES:
            raise InputError(f"no .onnx file of at most {MAX_BYTES // 2**30} GiB at {path}")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.log_severity_level = 4  # what goes wrong is raised
        try:
            self.session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        except Exception as error:  # its own classes, which it does not export
            raise Refused(f"{path.name}: ONNX Runtime does not open it: {first_line(error)}") from error
        self.name, self.version = path.name, str(onnxruntime.__version__)
        inputs = self.session.get_inputs()
        if len(inputs) != 1:
            raise InputError(f"{path.name} has {len(inputs)} inputs; expected one, a picture")
        # a batch of any size has a name there, or None
        sides = [side if isinstance(side, int) else -1 for side in inputs[0].shape]
        shape = tuple([1 if side == -1 else side for side in sides[:1]] + sides[1:])
        self.input = inputs[0].name
        ours = own_facts(self.session.get_modelmeta().custom_metadata_map)
        stated = (*PIXELS["0..255"], "0..255, as dermedge writes it") if ours else None
        self.pixels = pixels_of(path.name, shape, TYPES.get(inputs[0].type, np.void), stated=stated, asked=pixels)
        self.half = half(path)
        self.classes = len(self.answer(np.zeros((self.pixels.height, self.pixels.width, 3), np.uint8)))

    def run(self, pictures_u8: np.ndarray) -> np.ndarray:
        return np.array([self.answer(picture) for picture in pictures_u8], np.float64)

    def answer(self, picture: np.ndarray) -> np.ndarray:
        try:
            values = self.session.run(None, {self.input: self.pixels.tensor(picture)})
        except Exception as error:
            raise Refused(f"{self.name}: ONNX Runtime stops in it: {first_line(error)}") from error
        vectors = [value for value in values if isinstance(value, np.ndarray) and is_vector(value.shape)]
        if len(vectors) != 1:
            shapes = ", ".join(str(getattr(value, "shape", "?")) for value in values)
            raise InputError(f"{self.name}: expected one output that is a vector, (1, K); it gives {shapes}")
        return vectors[0].astype(np.float64).reshape(-1)

    def close(self) -> None:
        del self.session


def half(path: Path) -> bool | None:
    """Whether it holds numbers of half precision; None where it rounds to 8 bits, or without the package `onnx`."""
    try:
        import onnx
    except ImportError:
        return None
    model = onnx.load(str(path), load_external_data=False)
    if any("Quantize" in node.op_type or node.op_type.endswith("Integer") for node in model.graph.node):
        return None
    return any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)

"""Inner values of a file: its operations in order, the precision that each states, and every result.

A .tflite is run by LiteRT's own kernels without XNNPACK, which keeps no inner values; a Core ML package by our
interpreter; an .aimodel and an .onnx by Core AI's and ONNX's own runtimes, with every inner value as an output. Values
are dequantised: they are what the next operation reads.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line

from .operations import FLOAT16, FLOAT32, Inside, Op, Precision

DAMAGED = (RuntimeError, ValueError, LookupError, TypeError, AttributeError)  # of runtimes that read nonsense

__all__ = ["FLOAT16", "FLOAT32", "Inside", "Op", "Precision", "look_inside"]


def look_inside(path: Path, form: str, images_u8: np.ndarray) -> Inside:
    """Run uint8 images (N, S, S, 3) and keep all that is computed; `form` is tflite, mlpackage, aimodel or onnx.

    InputError for another format, and for a file that its runtime cannot read or run to the end.
    """
    if form == "tflite":
        from .tflite import of_tflite as look
    elif form == "mlpackage":
        from .coreml import of_package as look
    elif form == "aimodel":
        from .coreai import of_aimodel as look
    elif form == "onnx":
        from .onnx import of_onnx as look
    else:
        raise InputError(
            f"no runtime here looks into files of the format `{form}`; known are tflite, mlpackage, aimodel, onnx"
        )
    try:
        return look(path, images_u8)
    except InputError:
        raise
    except DAMAGED as error:
        raise InputError(
            f"{path} is damaged ({type(error).__name__}: {first_line(error)}); convert it again"
        ) from error

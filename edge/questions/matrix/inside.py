"""Every inner value of a .tflite on one picture, in the types that the file states, by LiteRT's own kernels here."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line
from edge.runtimes.litert import load_runtime


def inner_values(path: Path, picture: np.ndarray, tensors: set[int]) -> dict[int, np.ndarray]:
    """Tensor of the first subgraph -> its value, for those of `tensors` that LiteRT keeps; `picture`: the input.

    XNNPACK keeps no inner values, so that it is left out. InputError where LiteRT cannot run the file so.
    """
    interpreter_of, resolvers = load_runtime()
    try:
        with warnings.catch_warnings():  # that keeping every tensor takes memory
            warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
            interpreter = interpreter_of(
                str(path), num_threads=1, experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )  # fmt: skip
            interpreter.allocate_tensors()
        interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture)
        interpreter.invoke()
    except (RuntimeError, ValueError) as error:
        raise InputError(f"{path.name}: LiteRT's plain kernels do not run it ({first_line(error)})") from error
    values = {}
    for tensor in tensors:
        try:
            values[tensor] = np.array(interpreter.get_tensor(tensor))
        except ValueError:  # of no size, or text
            continue
    return values

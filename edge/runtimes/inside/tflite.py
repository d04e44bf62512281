"""Inner values of a .tflite, from LiteRT's own kernels, and the precision that each operation states."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError

from .operations import FLOAT16, Inside, Op, Precision

LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}


def of_tflite(path: Path, images_u8: np.ndarray) -> Inside:
    import warnings

    from edge.runtimes.litert import check_tflite, load_runtime

    check_tflite(path)
    interpreter_of, resolvers = load_runtime()
    with warnings.catch_warnings():  # that keeping every tensor takes memory
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
        try:
            runtime = interpreter_of(
                str(path), num_threads=1, experimental_preserve_all_tensors=True,
                experimental_op_resolver_type=resolvers.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
            )  # fmt: skip
            runtime.allocate_tensors()
        except (RuntimeError, ValueError) as error:
            raise InputError(
                f"{path}: LiteRT cannot open it ({str(error).splitlines()[0]}); convert it again"
            ) from error
    tensors = {tensor["index"]: tensor for tensor in runtime.get_tensor_details()}
    image_input = runtime.get_input_details()[0]
    computed = {image_input["index"]}
    stored: dict[int, Any] = {}  # constant -> type that the file holds it in
    ops = []
    for place, op in enumerate(runtime._get_ops_details()):  # the one way to the operators without parsing the file
        reads = [int(i) for i in op["inputs"] if i >= 0]
        makes = [int(i) for i in op["outputs"] if i >= 0]
        live = [i for i in reads if i in computed]
        if not live:  # weights made ready
            held = next((stored.get(i, tensors[i]["dtype"]) for i in reads if i in tensors), np.float32)
            stored |= dict.fromkeys(makes, held)
            continue
        computed.update(makes)
        constants = [stored.get(i, tensors[i]["dtype"]) for i in reads if i not in computed and i in tensors]
        dynamic = any(tensors[i]["dtype"] == np.int8 for i in reads if i not in computed and i in tensors)
        precision = tflite_precision(op["op_name"], tensors[live[0]], tensors[makes[0]], constants, dynamic)
        if precision.weights is None and op["op_name"] in LAYERS and len(reads) > 1 and reads[1] not in computed:
            axis = 3 if op["op_name"] == "DEPTHWISE_CONV_2D" else 0
            precision = replace(precision, weights=8 if on_grid(runtime.get_tensor(reads[1]), axis) else None)
        ops.append(Op(
            place, op["op_name"], tensors[makes[0]]["name"], tuple(map(str, live)), tuple(map(str, makes)), precision
        ))  # fmt: skip
    values: dict[str, list[np.ndarray]] = {str(index): [] for index in computed}
    for image in images_u8:
        runtime.set_tensor(image_input["index"], image[None].astype(image_input["dtype"]))
        runtime.invoke()
        for index in computed:
            values[str(index)].append(dequantised(runtime.get_tensor(index), tensors[index]))
    return Inside(str(image_input["index"]), tuple(ops), values)


def tflite_precision(kind: str, source: dict, result: dict, constants: list[Any], dynamic: bool) -> Precision:
    """`constants`: types that the file holds them in; `dynamic`: the kernel itself gets 8-bit weights."""
    steps = [
        float(tensor["quantization_parameters"]["scales"][0])
        for tensor in ((source, result) if kind == "DEQUANTIZE" else (result,))
        if tensor["dtype"] in (np.int8, np.uint8) and len(tensor["quantization_parameters"]["scales"])
    ]
    precision = Precision(step=max(steps, default=None))
    if kind in LAYERS:
        if np.int8 in constants:
            precision = replace(precision, weights=8)
        elif np.float16 in constants:
            precision = replace(precision, weights=FLOAT16)
        if dynamic and source["dtype"] == np.float32:
            precision = replace(precision, given=8)
    elif np.float16 in constants:
        precision = replace(precision, weights=FLOAT16)
    return precision


def on_grid(weights: np.ndarray, axis: int) -> bool:
    """Whether float weights lie on an 8-bit grid in every output channel: rounded, but stored as floats."""
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    steps = rows / (np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127)
    return rows.shape[1] > 1 and bool((np.abs(steps - np.round(steps)) < 1e-3).all())


def dequantised(value: np.ndarray, tensor: dict) -> np.ndarray:
    quantisation = tensor["quantization_parameters"]
    if value.dtype in (np.int8, np.uint8, np.int16) and len(quantisation["scales"]) == 1:
        return ((value.astype(np.float64) - quantisation["zero_points"][0]) * quantisation["scales"][0]).astype(
            np.float32
        )
    return value.astype(np.float32)

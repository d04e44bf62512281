"""What a file computes on the way: its operations in order, the precision that each states, and every inner value.

A .tflite is run by LiteRT's own kernels without XNNPACK, which keeps no inner values; a Core ML package by our
interpreter. Values are dequantised: they are what the next operation reads.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError

LAYERS = {"CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV", "BATCH_MATMUL"}
FLOAT32, FLOAT16 = 24, 11  # bits of the significand, the hidden one counted


@dataclass(frozen=True)
class Precision:
    """How finely an operation may compute, as the file states it."""

    result: int = FLOAT32  # bits of the significand of its result
    step: float | None = None  # between two values of an 8-bit result
    weights: int | None = None  # None: float32; FLOAT16; fewer: so many bits a weight
    by_channel: bool = True  # weights of few bits: a grid for each output channel, or one for the tensor
    given: int | None = None  # bits to which the operation itself rounds what it reads (dynamic quantisation)

    def coarser(self, other: Precision) -> Precision:
        """What may be lost where both compute, one after the other."""
        steps = [step for step in (self.step, other.step) if step]
        return Precision(
            min(self.result, other.result),
            max(steps, default=None),
            min((bits for bits in (self.weights, other.weights) if bits), default=None),
            self.by_channel and other.by_channel,
            min((bits for bits in (self.given, other.given) if bits), default=None),
        )


@dataclass(frozen=True)
class Op:
    """One operation with its results; constants are not among `inputs`."""

    place: int  # in the file, from 0
    kind: str  # the format's name of it
    name: str  # of its first result
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    precision: Precision


@dataclass(frozen=True)
class Inside:
    """A file that was looked into; a value is known by its key."""

    image: str  # key of the input
    ops: tuple[Op, ...]
    values: dict[str, list[np.ndarray]]  # key -> the value for each image, float32


def look_inside(path: Path, form: str, images_u8: np.ndarray) -> Inside:
    """Run uint8 images (N, S, S, 3) and keep all that is computed; InputError where the runtime does not give it."""
    if form == "tflite":
        return of_tflite(path, images_u8)
    if form == "mlpackage":
        return of_package(path, images_u8)
    raise InputError(
        f"{path.name}: the runtime of {form} files gives no inner values, so its layers cannot be compared"
    )


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
            raise InputError(f"{path}: LiteRT cannot open it ({str(error).splitlines()[0]})") from error
    tensors = {one["index"]: one for one in runtime.get_tensor_details()}
    given = runtime.get_input_details()[0]
    computed = {given["index"]}
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
        runtime.set_tensor(given["index"], image[None].astype(given["dtype"]))
        runtime.invoke()
        for index in computed:
            values[str(index)].append(dequantised(runtime.get_tensor(index), tensors[index]))
    return Inside(str(given["index"]), tuple(ops), values)


def tflite_precision(kind: str, given: dict, result: dict, constants: list[Any], dynamic: bool) -> Precision:
    """`constants`: types that the file holds them in; `dynamic`: the kernel itself gets 8-bit weights."""
    steps = [
        float(one["quantization_parameters"]["scales"][0])
        for one in ((given, result) if kind == "DEQUANTIZE" else (result,))
        if one["dtype"] in (np.int8, np.uint8) and len(one["quantization_parameters"]["scales"])
    ]
    found = Precision(step=max(steps, default=None))
    if kind in LAYERS:
        if np.int8 in constants:
            found = replace(found, weights=8)
        elif np.float16 in constants:
            found = replace(found, weights=FLOAT16)
        if dynamic and given["dtype"] == np.float32:
            found = replace(found, given=8)
    elif np.float16 in constants:
        found = replace(found, weights=FLOAT16)
    return found


def on_grid(weights: np.ndarray, axis: int) -> bool:
    """Whether float weights are on an 8-bit grid in every output channel: rounded, and then stored as floats."""
    rows = np.moveaxis(weights, axis, 0).reshape(weights.shape[axis], -1).astype(np.float64)
    steps = rows / (np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-30) / 127)
    return rows.shape[1] > 1 and bool((np.abs(steps - np.round(steps)) < 1e-3).all())


def dequantised(value: np.ndarray, tensor: dict) -> np.ndarray:
    found = tensor["quantization_parameters"]
    if value.dtype in (np.int8, np.uint8, np.int16) and len(found["scales"]) == 1:
        return ((value.astype(np.float64) - found["zero_points"][0]) * found["scales"][0]).astype(np.float32)
    return value.astype(np.float32)


def of_package(path: Path, images_u8: np.ndarray) -> Inside:
    import torch
    from PIL import Image

    from edge.runtimes.coreml.classifier import CoreML
    from edge.runtimes.coreml.program import Operation, Ref

    package = CoreML(path)
    model = package.engine
    weights = stored_weights(model.program)
    made = {name for name in (one.name for one in model.program.inputs)}
    image = next(iter(made))
    ops = []
    for call in model.calls:
        op = call.operation
        flat = [one for value in op.inputs.values() for one in (value if isinstance(value, list) else [value])]
        names = [one.name for one in flat if isinstance(one, Ref)]
        live = tuple(name for name in names if name in made)
        if not live:
            continue
        made.update(output.name for output in op.outputs)
        held = [weights[name] for name in names if name in weights]
        half = op.outputs[0].element == "FLOAT16"
        precision = Precision(result=FLOAT16 if half else FLOAT32)
        for bits, by_channel in held:
            precision = precision.coarser(Precision(weights=bits, by_channel=by_channel))
        ops.append(Op(op.place, op.kind, op.name, live, tuple(o.name for o in op.outputs), precision))
    values: dict[str, list[np.ndarray]] = {name: [] for name in made}

    def keep(op: Operation, results: tuple[Any, ...]) -> None:
        for output, result in zip(op.outputs, results, strict=True):
            if isinstance(result, torch.Tensor) and result.dtype.is_floating_point and output.name in values:
                values[output.name].append(result.numpy().astype(np.float32))

    for picture in images_u8:
        values[image].append(picture.astype(np.float32).transpose(2, 0, 1)[None])
        model.predict({package.image: Image.fromarray(picture)}, observe=keep)
    return Inside(image, tuple(ops), {key: value for key, value in values.items() if len(value) == len(images_u8)})


def stored_weights(program: Any) -> dict[str, tuple[int, bool]]:
    """Constant -> bits of one stored value, and whether every output channel has a grid of its own."""
    import torch

    from edge.runtimes.coreml.program import Ref

    found = {
        name: (FLOAT16, True)
        for name, value in program.constants.items()
        if isinstance(value, torch.Tensor) and value.dtype == torch.float16
    }
    for op in program.operations:
        if op.kind.startswith("constexpr_"):
            table = op.inputs.get("lut")
            if isinstance(table, Ref):
                table = program.constants.get(table.name)
            bits = 8 if table is None else max(1, (table.shape[-2 if table.ndim > 1 else -1] - 1).bit_length())
            found |= {output.name: (bits, table is None) for output in op.outputs}
    return found

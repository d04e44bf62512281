"""Inner values of an .onnx file: the same graph with every float result as an output, run node by node by ONNX Runtime
without its own rewrites, and the precision that each operation states."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line
from edge.runtimes.onnx import IMAGE, MODES, check_installed, opened, read

from .operations import FLOAT16, FLOAT32, Inside, Op, Precision

LAYERS = {"Conv", "ConvTranspose", "Gemm", "MatMul"}
# Integers, whose results are no numbers of the network yet: what they lose shows in the Mul that scales them back.
INTEGERS = {
    "DynamicQuantizeLinear": Precision(given=8),
    "MatMulInteger": Precision(weights=8),
    "ConvInteger": Precision(weights=8),
}
EXPANDING = {"Cast", "DequantizeLinear"}  # of a constant: stored weights made float again


def of_onnx(path: Path, images_u8: np.ndarray) -> Inside:
    content = read(path)
    check_installed(converting=True)
    model = parsed(path, content)
    ops, floats = operations(model)
    outputs = {entry.name for entry in model.graph.output}
    session = opened(path, with_outputs(model, [name for name in floats if name not in outputs]), MODES[1], 1)
    wanted = [entry.name for entry in session.get_outputs()]
    values: dict[str, list[np.ndarray]] = {IMAGE: [], **{name: [] for name in wanted}}
    second = {
        entry.name: np.zeros(entry.shape, np.float32) for entry in session.get_inputs() if entry.name != IMAGE
    }  # nothing answered
    for image in images_u8:
        picture = np.ascontiguousarray(image[None], np.float32)
        values[IMAGE].append(picture)
        for name, value in zip(wanted, session.run(wanted, {IMAGE: picture, **second}), strict=True):
            values[name].append(np.asarray(value, np.float32))
    return Inside(IMAGE, tuple(ops), values)


def parsed(path: Path, content: bytes) -> Any:
    from onnx import ModelProto, TensorProto

    try:
        model = ModelProto.FromString(content)
    except Exception as error:  # protobuf has classes of its own
        raise InputError(f"{path} is no .onnx file ({first_line(error)}); convert it again") from error
    if any(entry.data_location == TensorProto.EXTERNAL for entry in model.graph.initializer):
        raise InputError(f"{path} keeps its weights in other files; expected one file with everything inside")
    return model


def operations(model: Any) -> tuple[list[Op], list[str]]:
    """The operations that the picture reaches, in the file's order, and which of their results are floats."""
    from onnx import TensorProto, numpy_helper

    stored = {entry.name: entry for entry in model.graph.initializer}
    kinds = {name: entry.data_type for name, entry in stored.items()}  # constant -> the type that the file holds it in
    by_channel = {name: True for name in stored}
    steps: dict[str, float] = {}  # value -> the step of the grid that it lies on
    live = {IMAGE}
    sums: set[str] = set()  # of integers, and the same as floats
    readers: dict[str, list[Any]] = {}
    for node in model.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    ops: list[Op] = []
    floats: list[str] = []
    for place, node in enumerate(model.graph.node):
        reads, makes = [name for name in node.input if name], list(node.output)
        computed = tuple(name for name in reads if name in live)
        if not computed:
            if node.op_type in EXPANDING:
                kinds |= dict.fromkeys(makes, kinds.get(reads[0], TensorProto.FLOAT))
                grids = 1 if len(reads) < 2 or reads[1] not in stored else numpy_helper.to_array(stored[reads[1]]).size
                by_channel |= dict.fromkeys(makes, node.op_type == "Cast" or grids > 1)
            continue
        live.update(makes)
        held = [name for name in reads if name in kinds]
        precision = Precision()
        if node.op_type in {"QuantizeLinear", "DequantizeLinear"}:
            step = float(np.max(numpy_helper.to_array(stored[reads[1]])))
            steps |= dict.fromkeys(makes, step)
            precision = Precision(step=step)
        elif node.op_type in INTEGERS:
            sums.update(makes)
            ops.append(Op(place, node.op_type, makes[0], computed, tuple(makes), INTEGERS[node.op_type]))
            continue
        elif node.op_type == "Cast" and sums & set(reads):
            sums.update(makes)
        else:
            floats += makes
        half = any(kinds[name] == TensorProto.FLOAT16 for name in held)
        eighth = [name for name in held if kinds[name] in {TensorProto.INT8, TensorProto.UINT8}]
        if node.op_type in LAYERS and eighth:
            precision = Precision(FLOAT32, precision.step, 8, all(by_channel[name] for name in eighth))
        elif half:
            precision = Precision(FLOAT32, precision.step, FLOAT16)
        if node.op_type == "DequantizeLinear":
            floats += makes
        product = (node.op_type == "MatMul" and (half or eighth)) or (node.op_type == "Mul" and sums & set(reads))
        if product and is_without_bias(makes[0], readers, kinds):
            floats.remove(makes[0])
        ops.append(Op(place, node.op_type, makes[0], computed, tuple(makes), precision))
    return ops, floats


def is_without_bias(product: str, readers: Mapping[str, list[Any]], constants: Mapping[str, int]) -> bool:
    """Whether a product's bias is added behind it: with rounded weights the two are one layer, whose bias makes up for
    what rounding does to the mean of the product."""
    behind = readers.get(product, [])
    return len(behind) == 1 and behind[0].op_type == "Add" and any(name in constants for name in behind[0].input)


def with_outputs(model: Any, names: list[str]) -> bytes:
    """The model that gives these values as well; their types are those that the file states for what lies between."""
    from onnx import ModelProto, TensorProto, helper

    longer = ModelProto()
    longer.CopyFrom(model)
    known = {entry.name: entry for entry in model.graph.value_info}
    longer.graph.output.extend(
        known[name] if name in known else helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in names
    )
    return longer.SerializeToString()

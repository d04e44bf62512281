"""The multiplying operations of a Core ML program, and their cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from torch import Tensor

from edge.runtimes.coreml.program import Operation, Program, Ref
from edge.runtimes.coreml.values import Value

WEIGHTED = {"conv", "linear"}  # what Apple's passes quantise the activations of
PRODUCTS = {*WEIGHTED, "conv_transpose", "matmul", "einsum", "scaled_dot_product_attention"}
# A layer followed by one of these is quantised after it, because runtimes fuse the two (coremltools 9.0, Apple's list).
FUSED = {"leaky_relu", "tanh", "scaled_tanh", "sigmoid", "hard_sigmoid", "relu", "relu6"}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weighted:
    """One convolution or linear layer with stored weights."""

    operation: Operation
    input: str  # name of the tensor it takes
    output: str | None  # name of the tensor that is quantised after it; None where nothing reads it
    macs: int


def shapes_of(program: Program) -> dict[str, Shape]:
    """Name -> shape of every tensor whose shape is fixed, constants included."""
    shapes = {tensor.name: tensor.shape for tensor in program.inputs if tensor.shape is not None}
    shapes |= {name: tuple(value.shape) for name, value in program.constants.items() if hasattr(value, "shape")}
    for operation in program.operations:
        shapes |= {output.name: output.shape for output in operation.outputs if output.shape is not None}
    return shapes


def shape_of(value: object, shapes: Mapping[str, Shape]) -> Shape:
    if isinstance(value, Ref):
        return shapes.get(value.name, ())
    return tuple(getattr(value, "shape", ()))


def stored(program: Program) -> set[str]:
    """Names of constants, and of tensors that are only expanded from them."""
    return set(program.constants) | {
        output.name
        for operation in program.operations
        if operation.kind.startswith("constexpr_")
        for output in operation.outputs
    }


def macs_of(operation: Operation, shapes: Mapping[str, Shape], constants: Mapping[str, Value]) -> int:
    """Multiply-accumulates of one operation; 0 if it is not a product."""
    if operation.kind not in PRODUCTS:
        return 0
    results = prod(operation.outputs[0].shape or (0,))
    input_shapes = {name: shape_of(value, shapes) for name, value in operation.inputs.items()}
    if operation.kind == "conv":
        return results * prod(input_shapes["weight"][1:])
    if operation.kind == "conv_transpose":
        return prod(input_shapes["x"]) * prod(input_shapes["weight"][1:])
    if operation.kind == "linear":
        return results * input_shapes["weight"][-1]
    if operation.kind == "matmul":
        transposed = bool(numbers_of(operation, "transpose_x", constants)[:1] == [1])
        return results * input_shapes["x"][-2 if transposed and len(input_shapes["x"]) > 1 else -1]
    if operation.kind == "scaled_dot_product_attention":
        keys = input_shapes["key"]
        return prod(input_shapes["query"]) * keys[-2] + results * keys[-2]
    values = operation.inputs.get("values")  # einsum of two tensors sums over the axes that the result lacks
    both = [shape_of(value, shapes) for value in values] if isinstance(values, list) else []
    return results * max((shape[-1] for shape in both if shape), default=0)


def numbers_of(operation: Operation, key: str, constants: Mapping[str, Value]) -> list[int]:
    """A constant input as whole numbers; empty where it is left out or computed."""
    value = operation.inputs.get(key)
    if isinstance(value, Ref):
        value = constants.get(value.name)
    return [int(v) for v in value.reshape(-1).tolist()] if isinstance(value, Tensor) else []


def has_weight(operation: Operation, constants: set[str]) -> bool:
    """Whether an operand of a product is a stored weight; in attention neither is."""
    sides = [operation.inputs[key] for key in ("weight", "x", "y") if key in operation.inputs]
    return any(not isinstance(side, Ref) or side.name in constants for side in sides)


def macs_with_weights(program: Program) -> int:
    """Multiply-accumulates of all operations with stored weights: of these the gate wants a share on 8 bits."""
    shapes, constants = shapes_of(program), stored(program)
    return sum(
        macs_of(operation, shapes, program.constants)
        for operation in program.operations
        if operation.kind in PRODUCTS and has_weight(operation, constants)
    )


def weighted(program: Program) -> list[Weighted]:
    """The convolutions and linear layers whose input is computed and whose weight is stored, in order."""
    shapes, constants = shapes_of(program), stored(program)
    values = program.constants
    users: dict[str, list[Operation]] = {}
    for operation in program.operations:
        for argument in operation.inputs.values():
            for value in argument if isinstance(argument, list) else [argument]:
                if isinstance(value, Ref):
                    users.setdefault(value.name, []).append(operation)
    layers = []
    for operation in program.operations:
        if operation.kind not in WEIGHTED:
            continue
        x, weight = operation.inputs["x"], operation.inputs["weight"]
        if not isinstance(x, Ref) or x.name in constants or (isinstance(weight, Ref) and weight.name not in constants):
            continue
        layers.append(Weighted(operation, x.name, end_of(operation, users), macs_of(operation, shapes, values)))
    return layers


def end_of(operation: Operation, users: Mapping[str, list[Operation]]) -> str | None:
    """The tensor to quantise after a layer: its own result, or that of the activation function it is fused with."""
    own = operation.outputs[0].name
    readers = users.get(own, [])
    if not readers:
        return None
    if readers[0].kind in FUSED and users.get(readers[0].outputs[0].name):
        return readers[0].outputs[0].name
    return own

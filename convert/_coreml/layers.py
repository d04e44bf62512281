"""The operations of a Core ML program that multiply, and what one of them costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod

from torch import Tensor

from edge.runtimes.coreml.program import Operation, Program, Ref
from edge.runtimes.coreml.values import Value

WEIGHTED = {"conv", "linear"}  # what Apple's passes quantise the activations of
PRODUCTS = {*WEIGHTED, "conv_transpose", "matmul", "einsum", "scaled_dot_product_attention"}
# Behind these a suffix goes behind the activation function, which runtimes fuse (coremltools 9.0, Apple's own list).
FUSED = {"leaky_relu", "tanh", "scaled_tanh", "sigmoid", "hard_sigmoid", "relu", "relu6"}
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Weighted:
    """One convolution or linear layer with stored weights."""

    operation: Operation
    input: str  # name of the tensor it takes
    output: str | None  # of the one that is quantised behind it; None where nothing reads it
    macs: int


def shapes_of(program: Program) -> dict[str, Shape]:
    """Every tensor whose shape is closed, constants among them."""
    found = {one.name: one.shape for one in program.inputs if one.shape is not None}
    found |= {name: tuple(value.shape) for name, value in program.constants.items() if hasattr(value, "shape")}
    for operation in program.operations:
        found |= {one.name: one.shape for one in operation.outputs if one.shape is not None}
    return found


def shape_of(given: object, shapes: Mapping[str, Shape]) -> Shape:
    if isinstance(given, Ref):
        return shapes.get(given.name, ())
    return tuple(getattr(given, "shape", ()))


def stored(program: Program) -> set[str]:
    """Names of constants, and of what is only expanded from them."""
    return set(program.constants) | {
        one.name
        for operation in program.operations
        if operation.kind.startswith("constexpr_")
        for one in operation.outputs
    }


def macs_of(operation: Operation, shapes: Mapping[str, Shape], constants: Mapping[str, Value]) -> int:
    """Multiply-accumulates of one operation; 0 for all that are no products."""
    if operation.kind not in PRODUCTS:
        return 0
    made = prod(operation.outputs[0].shape or (0,))
    given = {name: shape_of(value, shapes) for name, value in operation.inputs.items()}
    if operation.kind == "conv":
        return made * prod(given["weight"][1:])
    if operation.kind == "conv_transpose":
        return prod(given["x"]) * prod(given["weight"][1:])
    if operation.kind == "linear":
        return made * given["weight"][-1]
    if operation.kind == "matmul":
        transposed = bool(numbers_of(operation, "transpose_x", constants)[:1] == [1])
        return made * given["x"][-2 if transposed and len(given["x"]) > 1 else -1]
    if operation.kind == "scaled_dot_product_attention":
        keys = given["key"]
        return prod(given["query"]) * keys[-2] + made * keys[-2]
    values = operation.inputs.get("values")  # einsum: two tensors, the axes that the result has not are summed over
    both = [shape_of(one, shapes) for one in values] if isinstance(values, list) else []
    return made * max((shape[-1] for shape in both if shape), default=0)


def numbers_of(operation: Operation, key: str, constants: Mapping[str, Value]) -> list[int]:
    """A constant input as whole numbers; empty where it is left out or computed."""
    given = operation.inputs.get(key)
    if isinstance(given, Ref):
        given = constants.get(given.name)
    return [int(v) for v in given.reshape(-1).tolist()] if isinstance(given, Tensor) else []


def weighted(program: Program) -> list[Weighted]:
    """The convolutions and linear layers whose input is computed and whose weight is stored, in order."""
    shapes, constants = shapes_of(program), stored(program)
    values = program.constants
    users: dict[str, list[Operation]] = {}
    for operation in program.operations:
        for given in operation.inputs.values():
            for one in given if isinstance(given, list) else [given]:
                if isinstance(one, Ref):
                    users.setdefault(one.name, []).append(operation)
    found = []
    for operation in program.operations:
        if operation.kind not in WEIGHTED:
            continue
        x, weight = operation.inputs["x"], operation.inputs["weight"]
        if not isinstance(x, Ref) or x.name in constants or (isinstance(weight, Ref) and weight.name not in constants):
            continue
        found.append(Weighted(operation, x.name, end_of(operation, users), macs_of(operation, shapes, values)))
    return found


def end_of(operation: Operation, users: Mapping[str, list[Operation]]) -> str | None:
    """The tensor behind a layer that a suffix quantises: its own result, or that of the activation it is fused with."""
    own = operation.outputs[0].name
    readers = users.get(own, [])
    if not readers:
        return None
    if readers[0].kind in FUSED and users.get(readers[0].outputs[0].name):
        return readers[0].outputs[0].name
    return own

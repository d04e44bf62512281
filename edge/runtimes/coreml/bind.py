"""Turns an operation of a program into a Python call: constants are prepared once, types are those the program states.

An op is a function whose parameters are named as MIL names its inputs, with MIL's defaults. The annotation of a
parameter tells what it wants: Tensor, Tensors (several), int, float, bool, str, Ints or Floats (lists). Floats reach it
in float32; its result is rounded to the type that the program states, unless the op only moves values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from edge.errors import InputError

from .ops import EXACT, TABLE
from .ops.states import State
from .program import OPSETS, Argument, Operation, Program, Ref

DTYPES = {
    "FLOAT64": torch.float64, "FLOAT32": torch.float32, "FLOAT16": torch.float16, "BOOL": torch.bool,
    "INT64": torch.int64, "INT32": torch.int32, "INT16": torch.int16, "INT8": torch.int8, "INT4": torch.int8,
    "UINT64": torch.uint64, "UINT32": torch.uint32, "UINT16": torch.uint16, "UINT8": torch.uint8,
    "UINT6": torch.uint8, "UINT4": torch.uint8, "UINT3": torch.uint8, "UINT2": torch.uint8, "UINT1": torch.uint8,
}  # fmt: skip
HELD_IN = {torch.float16: torch.float32, torch.uint16: torch.int32}


class PredictionError(InputError, RuntimeError):
    """An operation that cannot be computed on what it was given; coremltools' `predict` raises a RuntimeError there."""


def widened(value: Any) -> Any:
    """fp16 as float32, in which sums and products are computed; uint16, for which torch has few ops, as int32."""
    if not isinstance(value, Tensor):
        return value
    return value.to(HELD_IN[value.dtype]) if value.dtype in HELD_IN else value


def wanted(value: Any, kind: str) -> Any:
    """A value as a parameter annotated with `kind` takes it."""
    if not isinstance(value, Tensor):
        return value
    if kind in {"int", "float", "bool"}:
        return value.item() if value.numel() == 1 else value
    if kind in {"Ints", "Floats"}:
        return value.reshape(-1).tolist()
    return value


# What a parameter declares -> words for it, and whether a value that is ready for it fits.
KINDS: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "Tensor": ("a tensor", lambda value: isinstance(value, Tensor)),
    "Tensors": ("tensors", lambda value: isinstance(value, list) and all(isinstance(one, Tensor) for one in value)),
    "int": ("a whole number", lambda value: isinstance(value, int)),
    "float": ("a number", lambda value: isinstance(value, int | float)),
    "bool": ("true or false", lambda value: isinstance(value, bool)),
    "str": ("a text", lambda value: isinstance(value, str)),
    "Ints": ("whole numbers", lambda value: isinstance(value, list) and all(isinstance(one, int) for one in value)),
    "State": ("a state of the function", lambda value: isinstance(value, State)),
    "Floats": ("numbers", lambda value: isinstance(value, list) and all(isinstance(n, int | float) for n in value)),
}


def checked(value: Any, kind: str, operation: Operation, name: str) -> Any:
    """The value if it is of the kind that the operation's parameter declares; InputError that names both otherwise."""
    words, fits = KINDS.get(kind.split(" | ")[0], ("", lambda _value: True))
    if not fits(value):
        came = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.60}"
        raise InputError(f"{where(operation)}: its {name} is {came}, expected {words}; convert the model again")
    return value


@dataclass(frozen=True)
class Call:
    """An operation that is ready to run on an environment of named values."""

    operation: Operation
    function: Callable[..., Any]
    fixed: Mapping[str, Any]  # parameter -> constant, converted
    open: tuple[tuple[str, str, Any], ...]  # parameter, kind, Ref or list
    rounds: bool

    def run(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        arguments = {}
        for name, kind, ref in self.open:
            value = (
                wanted(values[ref.name], kind)
                if isinstance(ref, Ref)
                else [values[item.name] if isinstance(item, Ref) else item for item in ref]
            )
            arguments[name] = checked(value, kind, self.operation, name)
        try:
            result = self.function(**self.fixed, **arguments)
        except (RuntimeError, ValueError, IndexError, TypeError) as error:
            shapes = {k: tuple(v.shape) for k, v in {**self.fixed, **arguments}.items() if isinstance(v, Tensor)}
            raise PredictionError(
                f"Unable to compute the prediction using ML Program: {where(self.operation)} failed on {shapes}: "
                f"{str(error).splitlines()[0]}"
            ) from error
        results = result if isinstance(result, tuple | list) else (result,)
        if len(results) != len(self.operation.outputs):
            raise InputError(f"{where(self.operation)} gave {len(results)} results, not {len(self.operation.outputs)}")
        return tuple(self.typed(r, o.element) for r, o in zip(results, self.operation.outputs, strict=True))

    def typed(self, value: Any, element: str) -> Any:
        """Rounded to the stated type, and held as the next op wants it: fp16's values in float32, uint16's in int32."""
        if not isinstance(value, Tensor):
            return value
        if element == "FLOAT16":
            value = value.float()
            return value.half().float() if self.rounds else value
        dtype = DTYPES.get(element)
        return widened(value if dtype is None or value.dtype == dtype else value.to(dtype))


def where(operation: Operation) -> str:
    return f"op {operation.place}, {operation.kind} ({operation.name})"


def bind(program: Program) -> tuple[list[Call], dict[str, Any]]:
    """Every operation of the program, ready to run, and the constants it starts with, compressed weights expanded.

    InputError that names the op for one that is not known.
    """
    constants = {name: widened(value) for name, value in program.constants.items()}
    calls = []
    for operation in program.operations:
        call = ready(operation, program.opset, constants)
        if operation.kind.startswith("constexpr_") and not call.open:
            constants |= zip((output.name for output in operation.outputs), call.run({}), strict=True)
        else:
            calls.append(call)
    return calls, constants


def ready(operation: Operation, opset: str, constants: Mapping[str, Any]) -> Call:
    if operation.blocks:
        raise InputError(f"{where(operation)} holds blocks of its own; control flow is not run")
    function = implementation(operation, opset)
    parameters = inspect.signature(function).parameters
    fixed: dict[str, Any] = {}
    open_: list[tuple[str, str, Any]] = []
    for name, argument in operation.inputs.items():
        if name not in parameters:
            raise InputError(
                f"{where(operation)} has an input {name}, which is not known of {operation.kind} in {opset}; "
                "report it, or convert for an older iOS"
            )
        kind = str(parameters[name].annotation).removesuffix(" | None")
        resolved = resolve(argument, constants)
        if kind == "Tensors" and not isinstance(resolved, list):
            resolved = [resolved]
        if has_refs(resolved):
            open_.append((name, kind, resolved))
        else:
            value = [widened(v) for v in resolved] if kind == "Tensors" else wanted(widened(resolved), kind)
            fixed[name] = checked(value, kind, operation, name)
    lacking = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in operation.inputs
    ]
    if lacking:
        raise InputError(f"{where(operation)} lacks its input {lacking[0]}")
    return Call(operation, function, fixed, tuple(open_), operation.kind not in EXACT)


def resolve(argument: Argument, constants: Mapping[str, Any]) -> Any:
    if isinstance(argument, Ref):
        return constants.get(argument.name, argument)
    if isinstance(argument, list) and any(isinstance(item, Ref | Tensor) for item in argument):
        return [resolve(item, constants) for item in argument]
    return argument


def has_refs(value: Any) -> bool:
    return isinstance(value, Ref) or (isinstance(value, list) and any(isinstance(item, Ref) for item in value))


def implementation(operation: Operation, opset: str) -> Callable[..., Any]:
    """The op's function for this op set: the newest that is not newer than the program."""
    versions = TABLE.get(operation.kind)
    if versions is None:
        raise InputError(
            f"{where(operation)}: this op is not known here; {len(TABLE)} are (edge/runtimes/coreml/ops). "
            "Report it, or convert the model without it"
        )
    if callable(versions):
        return versions
    fitting = [version for version in versions if OPSETS.index(version) <= OPSETS.index(opset)]
    if not fitting:
        raise InputError(f"{where(operation)} is newer than the program's op set {opset}")
    return versions[max(fitting, key=OPSETS.index)]

"""Turns an operation of a program into a Python call: constants are prepared once, types are those the program states.

An op is a function whose parameters are named as MIL names its inputs, with MIL's defaults. The annotation of a
parameter tells what it wants: Tensor, Tensors (several), int, float, bool, str, Ints or Floats (lists). Floats reach it
in float32; its result is rounded to the type that the program states, unless the op only moves values.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache, cached_property, partial
from typing import Any

import torch
from torch import Tensor

from edge.errors import InputError

from .control import BLOCKS, CONTROL, Body
from .ops import EXACT, TABLE
from .ops.kinds import LAYOUTS
from .ops.lists import TensorList
from .ops.states import State
from .program import OPSETS, Argument, Block, Operation, Program, Ref, where
from .stated import DTYPES, HELD_IN, misfit, shape_test

STATE = "STATE"  # stands for the element type of a state of the function
SEVERAL = {"Tensors", "Values"}  # kinds that take several values


class PredictionError(InputError, RuntimeError):
    """An operation that cannot be computed on what it was given; coremltools' `predict` raises a RuntimeError there."""


def widened(value: Any) -> Any:
    """fp16 as float32, in which sums and products are computed; uint16, for which torch has few ops, as int32."""
    if not isinstance(value, Tensor):
        return value
    return value.to(HELD_IN[value.dtype]) if value.dtype in HELD_IN else value


def wanted(value: Any, kind: str) -> Any:
    """A value as a parameter annotated with `kind` takes it."""
    if kind == "Sizes":
        parts = value if isinstance(value, list) else [value]
        return [n for part in parts for n in (part.reshape(-1).tolist() if isinstance(part, Tensor) else [part])]
    if not isinstance(value, Tensor):
        return value
    if kind in {"int", "float", "bool"}:
        return value.item() if value.numel() == 1 else value
    if kind in {"Ints", "Floats"}:
        return value.reshape(-1).tolist()
    layout = LAYOUTS.get(kind)
    return value if layout is None else layout(value)


def is_tensor(value: Any) -> bool:
    return isinstance(value, Tensor)


def each(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and all(isinstance(part, kinds) for part in value)


def one(*kinds: type) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, kinds)


NUMBERS = frozenset(DTYPES)
# What a parameter declares -> words for it, whether a value that is ready for it fits, and the element types that a
# value may state which another operation makes for it (None: any).
KINDS: dict[str, tuple[str, Callable[[Any], bool], frozenset[str] | None]] = {
    "Tensor": ("a tensor", is_tensor, NUMBERS),
    "LstmRows": ("a tensor", is_tensor, NUMBERS),
    "GruRows": ("a tensor", is_tensor, NUMBERS),
    "Tensors": ("tensors", each(Tensor), NUMBERS),
    "Values": ("values", each(object), None),
    "int": ("a whole number", one(int), NUMBERS),
    "float": ("a number", one(int, float), NUMBERS),
    "bool": ("true or false", one(bool), NUMBERS),
    "str": ("a text", one(str), frozenset({"STRING"})),
    "Ints": ("whole numbers", each(int), NUMBERS),
    "Floats": ("numbers", each(int, float), NUMBERS),
    "Sizes": ("the sizes of a tensor", each(int, str), NUMBERS),
    "State": ("a state of the function", one(State), frozenset({STATE})),
    "TensorList": ("a list of tensors", one(TensorList), frozenset({"LIST"})),
}


@cache
def declared(kind: str) -> tuple[str, Callable[[Any], bool], frozenset[str] | None]:
    """The row of KINDS for a parameter's annotation, of which the first alternative counts."""
    return KINDS.get(kind.split(" | ")[0], ("", one(object), None))


def checked(value: Any, kind: str, operation: Operation, name: str) -> Any:
    """The value if it is of the kind that the operation's parameter declares; InputError that names both otherwise."""
    words, fits, _ = declared(kind)
    if not fits(value):
        came = f"a tensor of shape {tuple(value.shape)}" if isinstance(value, Tensor) else f"{value!r:.60}"
        raise InputError(f"{where(operation)}: its {name} is {came}, expected {words}; convert the model again")
    return value


def check_stated(refs: Iterable[Ref], stated: Mapping[str, str], kind: str, operation: Operation, name: str) -> None:
    """InputError where a value that is made when the program runs states a type that can never fit the parameter."""
    words, _, elements = declared(kind)
    for ref in refs:
        element = stated.get(ref.name)
        if element is not None and elements is not None and element not in elements:
            raise InputError(
                f"{where(operation)}: its {name} is {ref.name}, a {element.lower()}, expected {words}; "
                "convert the model again"
            )


@dataclass(frozen=True)
class Call:
    """An operation that is ready to run on an environment of named values."""

    operation: Operation
    function: Callable[..., Any]
    fixed: Mapping[str, Any]  # parameter -> constant, converted
    open: tuple[tuple[str, str, Any], ...]  # parameter, kind, Ref or list
    rounds: bool
    bodies: tuple[Body, ...] = ()  # its blocks, which run in the surroundings of the operation

    def reads(self) -> Iterator[str]:
        """Names of the values that it needs, with those that its blocks need."""
        for _, _, ref in self.open:
            yield from (item.name for item in (ref if isinstance(ref, list) else [ref]) if isinstance(item, Ref))
        for body in self.bodies:
            yield from body.captured

    @cached_property
    def arguments(self) -> list[tuple[str, str, str | None, list | None]]:
        """Parameter, its kind (empty for a tensor), and the name of its value, or several values and names."""
        return [
            (name, "" if kind == "Tensor" else kind, *((ref.name, None) if isinstance(ref, Ref) else (None, ref)))
            for name, kind, ref in self.open
        ]

    @cached_property
    def sources(self) -> tuple[str, ...] | None:
        """Names of its values if they are single tensors and its first parameters in order, as nearly always."""
        names = [name for name, _, _, _ in self.arguments]
        plain = all(not kind and several is None for _, kind, _, several in self.arguments)
        if self.bodies or not plain or names != list(inspect.signature(self.function).parameters)[: len(names)]:
            return None
        return tuple(source for _, _, source, _ in self.arguments if source is not None)

    @cached_property
    def quick(self) -> Callable[..., Any]:
        """The function with its constants, which takes the tensors that `sources` names."""
        return partial(self.function, **self.fixed) if self.fixed else self.function

    @cached_property
    def finished(self) -> torch.dtype | None:
        """The type in which the result, if it is a single tensor, is already as the next operation wants it."""
        elements = [output.element for output in self.operation.outputs]
        dtype = DTYPES.get(elements[0]) if len(elements) == 1 else None
        if dtype is None or (dtype in HELD_IN and (dtype != torch.float16 or self.rounds)):
            return None
        return HELD_IN.get(dtype, dtype)

    @cached_property
    def shape_fits(self) -> Callable[[tuple[int, ...]], bool]:
        """Whether a tensor can be the first result."""
        return shape_test(self.operation.outputs[0].sides if self.operation.outputs else None)

    @cached_property
    def halved(self) -> bool:
        """Whether the result is a single tensor that is rounded to float16."""
        return self.rounds and [output.element for output in self.operation.outputs] == ["FLOAT16"]

    @cached_property
    def single(self) -> Callable[[Mapping[str, Any]], Any]:
        """What gives the result of a call that has one, as `run` does, with few questions: for the rounds of a loop."""
        sources, quick, finished, shape_fits = self.sources, self.quick, self.finished, self.shape_fits
        if sources is None or not 1 <= len(sources) <= 2:
            return lambda values: self.run(values)[0]
        alone, first, second = len(sources) == 1, sources[0], sources[-1]

        def single(values: Mapping[str, Any]) -> Any:
            x, y = values[first], values[second]
            if x.__class__ is not Tensor or y.__class__ is not Tensor:
                return self.run(values)[0]
            try:
                result = quick(x) if alone else quick(x, y)
            except Exception:
                return self.run(values)[0]  # which says what failed on what
            if result.__class__ is Tensor and result.dtype is finished and shape_fits(result.shape):
                return result
            return self.finish(result)[0]

        return single

    def run(self, values: Mapping[str, Any]) -> tuple[Any, ...]:
        arguments: dict[str, Any] = {}
        tensors: list[Any] = []
        try:
            sources = self.sources
            tensors = [values[source] for source in sources] if sources is not None else [None]
            for tensor in tensors:
                if tensor.__class__ is not Tensor:
                    arguments = self.gathered(values)
                    around = (self.bodies, values) if self.bodies else ()
                    result = self.function(*around, **arguments)
                    break
            else:
                result = self.quick(*tensors)
        except InputError:  # which names the argument, or an operation in one of its blocks
            raise
        except (RuntimeError, ValueError, LookupError, TypeError, ArithmeticError, MemoryError) as error:
            arguments = arguments or {**self.fixed, **dict(zip((n for n, *_ in self.arguments), tensors, strict=False))}
            shapes = {k: tuple(v.shape) for k, v in arguments.items() if isinstance(v, Tensor)}
            taken = f" on {shapes}" if shapes else ""
            raise PredictionError(
                f"Unable to compute the prediction using ML Program: {where(self.operation)} failed{taken}: "
                f"{(str(error).splitlines() or [type(error).__name__])[0]}"
            ) from error
        return self.finish(result)

    def finish(self, result: Any) -> tuple[Any, ...]:
        """What the function gave, a value of the stated type for each output; InputError if it gave another."""
        if result.__class__ is Tensor and self.shape_fits(result.shape):
            if result.dtype is self.finished:
                return (result,)
            if self.halved and result.dtype is torch.float32:
                return (result.half().float(),)
        results = result if isinstance(result, tuple | list) else (result,)
        if len(results) != len(self.operation.outputs):
            raise InputError(f"{where(self.operation)} gave {len(results)} results, not {len(self.operation.outputs)}")
        for value, output in zip(results, self.operation.outputs, strict=True):
            came = misfit(value, output, self.operation.kind)
            if came is not None:
                raise InputError(
                    f"{where(self.operation)}: its result {output.name} is stated to be {output.words}, it is {came}; "
                    "the package is damaged or its converter was wrong: convert the model again"
                )
        return tuple(self.typed(r, o.element) for r, o in zip(results, self.operation.outputs, strict=True))

    def gathered(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Its arguments by parameter; InputError for one of the wrong kind."""
        arguments = dict(self.fixed)
        for name, kind, source, several in self.arguments:
            if several is not None:
                value = [values[item.name] if isinstance(item, Ref) else item for item in several]
            else:
                value = wanted(values[source], kind)  # type: ignore[index]  # one of both is there
            arguments[name] = checked(value, kind or "Tensor", self.operation, name)
        return arguments

    def typed(self, value: Any, element: str) -> Any:
        """Rounded to the stated type, and held as the next op wants it: fp16's values in float32, uint16's in int32."""
        if not isinstance(value, Tensor):
            return value
        if element == "FLOAT16":
            value = value.float()
            return value.half().float() if self.rounds else value
        dtype = DTYPES.get(element)
        return widened(value if dtype is None or value.dtype == dtype else value.to(dtype))


def bind(program: Program) -> tuple[list[Call], dict[str, Any]]:
    """Every operation of the program, ready to run, and the constants it starts with, compressed weights expanded.

    InputError that names the op for one that is not known.
    """
    return bound(program, program.opset, {}, {state.name: STATE for state in program.states})


def bound(
    block: Block, opset: str, around: Mapping[str, Any], stated: Mapping[str, str]
) -> tuple[list[Call], dict[str, Any]]:
    """A block's calls and constants. `around`: constants, `stated`: element types, both of its surroundings."""
    stated = {**stated, **{value.name: value.element for value in block.inputs}}
    constants = {name: widened(value) for name, value in block.constants.items()}
    visible = {**around, **constants}
    for value in block.inputs:  # an inner name hides an outer one
        visible.pop(value.name, None)
    calls = []
    for operation in block.operations:
        call = ready(operation, opset, visible, stated)
        if operation.kind.startswith("constexpr_") and not call.open:
            expanded = dict(zip((output.name for output in operation.outputs), call.run({}), strict=True))
            constants |= expanded
            visible |= expanded
        else:
            calls.append(call)
            for output in operation.outputs:
                visible.pop(output.name, None)
                stated[output.name] = output.element
    return calls, constants


def body_of(block: Block, opset: str, around: Mapping[str, Any], stated: Mapping[str, str]) -> Body:
    """A block inside an operation, ready to run."""
    calls, constants = bound(block, opset, around, stated)
    inner = {value.name for value in block.inputs}  # names of values that the block makes
    captured: dict[str, None] = {}
    for call in calls:
        captured |= dict.fromkeys(name for name in call.reads() if name not in inner)
        inner |= {output.name for output in call.operation.outputs}
    visible = {**around, **constants}
    held = {name: visible[name] for name in block.outputs if name in visible and name not in inner}
    captured |= dict.fromkeys(name for name in block.outputs if name not in inner and name not in held)
    return Body(block.inputs, calls, held, block.outputs, tuple(captured))


def ready(operation: Operation, opset: str, constants: Mapping[str, Any], stated: Mapping[str, str]) -> Call:
    """The operation as a call. `constants` and `stated` element types are those of the values before it."""
    control = CONTROL.get(operation.kind)
    if len(operation.blocks) != (BLOCKS if control else 0):
        raise InputError(
            f"{where(operation)} holds {len(operation.blocks)} blocks, expected {BLOCKS if control else 'none'}"
        )
    function = control or implementation(operation, opset)
    parameters = dict(list(inspect.signature(function).parameters.items())[2 if control else 0 :])
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
        if kind in SEVERAL and not isinstance(resolved, list):
            resolved = [resolved]
        if has_refs(resolved):
            refs = resolved if isinstance(resolved, list) else [resolved]
            check_stated((ref for ref in refs if isinstance(ref, Ref)), stated, kind, operation, name)
            open_.append((name, kind, resolved))
        else:
            try:
                value = [widened(v) for v in resolved] if kind in SEVERAL else wanted(widened(resolved), kind)
            except ValueError as error:
                raise InputError(f"{where(operation)}: its {name}: {error}; convert the model again") from error
            fixed[name] = checked(value, kind, operation, name)
    lacking = [
        name
        for name, parameter in parameters.items()
        if parameter.default is inspect.Parameter.empty and name not in operation.inputs
    ]
    if lacking:
        raise InputError(f"{where(operation)} lacks its input {lacking[0]}")
    bodies = tuple(body_of(block, opset, constants, stated) for block in operation.blocks)
    return Call(operation, function, fixed, tuple(open_), operation.kind not in EXACT, bodies)


def all_calls(calls: Iterable[Any]) -> Iterator[Call]:
    """The calls and those in their blocks."""
    for call in calls:
        yield call
        for body in call.bodies:
            yield from all_calls(body.calls)


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

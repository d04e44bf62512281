"""Shapes that coremltools 9.0 itself states wrongly, which a right package therefore has.

`select` is stated without the shape of its condition, `matmul` of a vector and a stack of matrices without the stack,
and pools with `ceil_mode` and no padding have a window more than in torch, as which they are described. What is
computed from them is stated wrongly too.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from torch import Tensor

from .program import Block, Operation, Output, Program, Ref, Sides

POOLS = {"avg_pool", "l2_pool", "max_pool"}


def trusted(program: Program) -> Program:
    """The program, with all shapes left out that follow from one that coremltools states wrongly."""
    everything = list(all_blocks(program))
    constants: dict[str, Any] = {}
    sides: dict[str, Sides | None] = {value.name: value.sides for value in program.states}
    for block in everything:
        constants |= block.constants
        sides |= {name: tuple(value.shape) for name, value in block.constants.items() if isinstance(value, Tensor)}
        sides |= {value.name: value.sides for value in block.inputs}
        sides |= {output.name: output.sides for operation in block.operations for output in operation.outputs}
    operations = [operation for block in everything for operation in block.operations]
    wrong = [operation for operation in operations if stated_wrongly(operation, sides, constants)]
    return without(program, followers(operations, wrong)) if wrong else program


def all_blocks(block: Block) -> Iterator[Block]:
    yield block
    for operation in block.operations:
        for inner in operation.blocks:
            yield from all_blocks(inner)


def stated_wrongly(operation: Operation, sides: dict[str, Sides | None], constants: dict[str, Any]) -> bool:
    if not operation.outputs or operation.outputs[0].sides is None:
        return False
    result = operation.outputs[0].sides
    if operation.kind == "select":
        cond = of(operation, "cond", sides)
        if cond is None or len(cond) > len(result):
            return True
        return any(n == 1 and c != 1 for c, n in zip(reversed(cond), reversed(result), strict=False))
    if operation.kind == "matmul":
        x, y = of(operation, "x", sides), of(operation, "y", sides)
        return x is not None and len(x) == 1 and (y is None or len(y) > 2)
    if operation.kind in POOLS and numbers(operation, "ceil_mode", constants) == [True]:
        before = of(operation, "x", sides) or ()
        strides = numbers(operation, "strides", constants) or [1] * len(result[2:])
        pads = (numbers(operation, "pad", constants) or [0] * 2 * len(strides))[::2]
        ends = zip(before[2:], result[2:], strides, pads, strict=False)
        return any(n is not None and count is not None and (count - 1) * s >= n + pad for n, count, s, pad in ends)
    return False


def of(operation: Operation, name: str, sides: dict[str, Sides | None]) -> Sides | None:
    """The stated shape of an input."""
    value = operation.inputs.get(name)
    if isinstance(value, Ref):
        return sides.get(value.name)
    return tuple(value.shape) if isinstance(value, Tensor) else None


def numbers(operation: Operation, name: str, constants: dict[str, Any]) -> list[Any]:
    value = operation.inputs.get(name)
    value = constants.get(value.name) if isinstance(value, Ref) else value
    return value.reshape(-1).tolist() if isinstance(value, Tensor) else []


def followers(operations: list[Operation], wrong: list[Operation]) -> set[str]:
    """Names of the results of `wrong`, and of all that is computed from them."""
    readers: dict[str, list[Operation]] = {}
    for operation in operations:
        for name in reads(operation):
            readers.setdefault(name, []).append(operation)
    names: set[str] = set()
    reached = {id(operation) for operation in wrong}
    waiting = list(wrong)
    while waiting:
        operation = waiting.pop()
        makes = [output.name for output in operation.outputs]
        makes += [value.name for block in operation.blocks for value in block.inputs]
        for name in makes:
            if name not in names:
                names.add(name)
                fresh = [reader for reader in readers.get(name, ()) if id(reader) not in reached]
                reached |= {id(reader) for reader in fresh}
                waiting += fresh
    return names


def reads(operation: Operation) -> Iterator[str]:
    """Names of what it takes, and of what its blocks give, which a loop takes again."""
    for argument in operation.inputs.values():
        yield from (
            item.name for item in (argument if isinstance(argument, list) else [argument]) if isinstance(item, Ref)
        )
    for block in operation.blocks:
        yield from block.outputs


def without(block: Any, names: set[str]) -> Any:
    """A block or program in which these values state no shape."""

    def left_open(values: tuple[Output, ...]) -> tuple[Output, ...]:
        return tuple(replace(value, sides=None) if value.name in names else value for value in values)

    operations = tuple(
        replace(
            operation,
            outputs=left_open(operation.outputs),
            blocks=tuple(without(inner, names) for inner in operation.blocks),
        )
        for operation in block.operations
    )
    return replace(block, inputs=left_open(block.inputs), operations=operations)

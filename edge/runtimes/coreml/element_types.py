"""Types that a program states of results, against those of what the operations take, before anything runs.

Here an operation computes in float32 whichever float it is handed, so only what the program says tells float16 and
float32 apart. In MIL a result has the type of one of its operation's tensors, or the type that the operation names.
What goes into a block of control flow, or comes out of one, keeps its type.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from edge.errors import InputError

from .control import BLOCKS, CONTROL
from .program import Argument, Block, Operation, Output, Ref, where
from .stated import DTYPES, IN_FLOATS
from .values import FLOATS

ELEMENT_OF = {dtype: element for element, dtype in reversed(DTYPES.items())}
# Operation -> its input that names the type of its result, as `fp16` or `int8`.
NAMED_BY = {"cast": "dtype", "constexpr_cast": "output_dtype", "quantize": "output_dtype"}
BINARY = (
    "add", "sub", "mul", "real_div", "floor_div", "mod", "pow", "maximum", "minimum", "equal", "not_equal", "less",
    "less_equal", "greater", "greater_equal", "logical_and", "logical_or", "logical_xor",
)  # fmt: skip
# Operation -> its inputs that have the same type, of operations that would compute something from other ones.
ALIKE = {
    **dict.fromkeys(BINARY, ("x", "y")),
    **dict.fromkeys(("scatter", "scatter_along_axis", "scatter_nd"), ("data", "updates")),
    "select": ("a", "b"),
    "slice_update": ("x", "update"),
    "scaled_dot_product_attention": ("query", "key", "value"),
}
ORDER = ("first", "second")  # of the blocks of an operation


def check_element_types(block: Block, around: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """InputError that names an operation, its result, the type that is stated and those that it can have.

    `around`: element types by name, and texts, that the block's surroundings have; returns those that it has itself.
    """
    known: dict[str, Any] = {**(around or {}), **{name: held(value) for name, value in block.constants.items()}}
    known |= {value.name: value.element for value in block.inputs}
    for operation in block.operations:
        check(operation, known)
        insides = [check_element_types(inner, known) for inner in operation.blocks]
        if operation.kind in CONTROL and len(insides) == BLOCKS:
            check_blocks(operation, known, insides)
        known |= {output.name: output.element for output in operation.outputs}
    return known


def held(value: Any) -> Any:
    """The element type of a constant tensor; other constants as they are."""
    return ELEMENT_OF.get(value.dtype) if isinstance(value, Tensor) else value


def check(operation: Operation, known: Mapping[str, Any]) -> None:
    if operation.kind in CONTROL:  # its results are those of its blocks: `check_blocks`
        return
    check_alike(operation, known)
    named = NAMED_BY.get(operation.kind)
    if named is not None:
        text = next(types_of(operation.inputs.get(named), known), None)
        if isinstance(text, str) and (element := text.upper().replace("FP", "FLOAT")) in DTYPES:
            for output in operation.outputs:
                if (element in FLOATS or operation.kind == "quantize") and output.element != element:
                    raise InputError(f"{misstated(operation, output)}, its {named} is {text}; convert the model again")
        return
    taken = {t for argument in operation.inputs.values() for t in types_of(argument, known) if t in DTYPES}
    floats = sorted(taken & FLOATS)
    for output in operation.outputs:
        fits = output.element in floats
        if output.element not in FLOATS:  # a product has the type of the factor that is computed, the other is stored
            fits = operation.kind not in IN_FLOATS or (operation.kind == "matmul" and output.element in taken)
        if floats and not fits:
            came = " and ".join(floats).lower()
            raise InputError(f"{misstated(operation, output)}, it takes {came}; convert the model again")


def check_alike(operation: Operation, known: Mapping[str, Any]) -> None:
    """InputError where inputs that have the same type in MIL state different ones."""
    names = ALIKE.get(operation.kind, ())
    types = {name: t for name in names for t in types_of(operation.inputs.get(name), known) if is_number(t)}
    if len({kept_in(t) for t in types.values()}) > 1:
        came = " and ".join(f"its {name} {t.lower()}" for name, t in types.items())
        raise InputError(f"{where(operation)}: {came}, expected the same type of them; convert the model again")


def check_blocks(operation: Operation, known: Mapping[str, Any], insides: Sequence[Mapping[str, Any]]) -> None:
    """InputError where an operation of control flow and its blocks do not state the same of a value that they hand on.

    `known`: types around the operation; `insides`: those in each of its blocks.
    """
    takes = [[(value.name, value.element) for value in block.inputs] for block in operation.blocks]
    gives = [
        [(name, inside.get(name)) for name in block.outputs]
        for block, inside in zip(operation.blocks, insides, strict=True)
    ]
    results = [(output.name, output.element) for output in operation.outputs]
    stated = [element for _, element in results]
    if operation.kind == "cond":
        for number, order in enumerate(ORDER):
            agree(operation, f"its {order} block takes", takes[number], "a branch is handed", [])
            agree(operation, f"its {order} block gives", gives[number], "its results are stated to be", stated)
    elif "loop_vars" in operation.inputs:
        loop_vars = list(types_of(operation.inputs["loop_vars"], known))
        agree(operation, "its first block gives", gives[0], "the loop asks it for", ["BOOL"])
        for number, order in enumerate(ORDER):
            agree(operation, f"its {order} block takes", takes[number], "its loop_vars hold", loop_vars)
        agree(operation, "its second block gives", gives[1], "its loop_vars hold", loop_vars)
        agree(operation, "it gives", results, "its loop_vars hold", loop_vars)


def agree(operation: Operation, who: str, values: Sequence[tuple[str, Any]], other: str, wanted: Sequence[Any]) -> None:
    """InputError unless the values, names with types, are as many as the wanted types, and of these types."""
    if len(values) != len(wanted):
        raise InputError(
            f"{where(operation)}: {who} {counted(values)}, {other} {counted(wanted)}; convert the model again"
        )
    for (name, element), asked in zip(values, wanted, strict=True):
        if kept_in(element) != kept_in(asked):
            raise InputError(
                f"{where(operation)}: {who} {name} as {str(element).lower():.40}, {other} {str(asked).lower():.40}; "
                "convert the model again"
            )


def is_number(element: Any) -> bool:
    return isinstance(element, str) and element in DTYPES


def counted(values: Sequence[Any]) -> str:
    return "1 value" if len(values) == 1 else f"{len(values) or 'no'} values"


def kept_in(element: Any) -> Any:
    """The type in which numbers of an element type are kept, which constants of less than a byte share with others."""
    return DTYPES.get(element, element) if isinstance(element, str) else element


def misstated(operation: Operation, output: Output) -> str:
    return f"{where(operation)}: its result {output.name} is stated to be {output.element.lower()}"


def types_of(argument: Argument | None, known: Mapping[str, Any]) -> Iterator[Any]:
    for item in argument if isinstance(argument, list) else [argument]:
        yield known.get(item.name) if isinstance(item, Ref) else held(item)

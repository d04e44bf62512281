"""Float types that a program states of results, against those of what the operations take, before anything runs.

Here an operation computes in float32 whichever float it is handed, so only what the program says tells float16 and
float32 apart. In MIL a result has the type of one of its operation's tensors, or the type that the operation names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from edge.errors import InputError

from .control import CONTROL
from .program import Argument, Block, Operation, Output, Ref, where
from .stated import DTYPES, IN_FLOATS
from .values import FLOATS

ELEMENT_OF = {dtype: element for element, dtype in reversed(DTYPES.items())}
# Operation -> its input that names the type of its result, as `fp16` or `int8`.
NAMED_BY = {"cast": "dtype", "constexpr_cast": "output_dtype", "quantize": "output_dtype"}


def check_element_types(block: Block, around: Mapping[str, Any] | None = None) -> None:
    """InputError that names an operation, its result, the type that is stated and those that it can have.

    `around`: element types by name, and texts, that the block's surroundings have.
    """
    known: dict[str, Any] = {**(around or {}), **{name: held(value) for name, value in block.constants.items()}}
    known |= {value.name: value.element for value in block.inputs}
    for operation in block.operations:
        check(operation, known)
        for inner in operation.blocks:
            check_element_types(inner, known)
        known |= {output.name: output.element for output in operation.outputs}


def held(value: Any) -> Any:
    """The element type of a constant tensor; other constants as they are."""
    return ELEMENT_OF.get(value.dtype) if isinstance(value, Tensor) else value


def check(operation: Operation, known: Mapping[str, Any]) -> None:
    if operation.kind in CONTROL:  # its results are those of its blocks
        return
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


def misstated(operation: Operation, output: Output) -> str:
    return f"{where(operation)}: its result {output.name} is stated to be {output.element.lower()}"


def types_of(argument: Argument | None, known: Mapping[str, Any]) -> Iterator[Any]:
    for item in argument if isinstance(argument, list) else [argument]:
        yield known.get(item.name) if isinstance(item, Ref) else held(item)

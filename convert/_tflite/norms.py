"""Layer norms and RMS norms in a .tflite, as conversions write them: five operators around an RSQRT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ai_edge_litert import schema_py_generated as schema

from edge.tflite.flatbuffer import code_name, constant_of, readers_in


@dataclass(frozen=True)
class Norm:
    """The operators of x / sqrt(mean(x x) + eps)."""

    name: str  # of the RSQRT's result
    x: int
    square: Any
    mean: Any
    plus: Any
    eps: int  # place of the constant among the inputs of `plus`
    products: tuple[Any, ...]  # of x and the RSQRT


def norms_of(model: Any) -> list[Norm]:
    """Norms over any axes, as conversions write them."""
    readers = readers_in(model)
    makers: dict[int, Any] = {int(tensor): o for o in model.subgraphs[0].operators for tensor in o.outputs}

    def kind(operator: Any) -> str:
        return "" if operator is None else code_name(model.operatorCodes[operator.opcodeIndex])

    norms = []
    for root in model.subgraphs[0].operators:
        plus: Any = makers.get(int(root.inputs[0])) if kind(root) == "RSQRT" else None
        if kind(plus) != "ADD":
            continue
        held = [place for place, tensor in enumerate(plus.inputs) if is_number(model, int(tensor))]
        mean: Any = makers.get(int(plus.inputs[1 - held[0]])) if len(held) == 1 else None
        square: Any = makers.get(int(mean.inputs[0])) if kind(mean) == "MEAN" else None
        if kind(square) != "MUL" or square.inputs[0] != square.inputs[1]:
            continue
        x, products = int(square.inputs[0]), readers[int(root.outputs[0])]
        alone = all(len(readers[int(one.outputs[0])]) == 1 for one in (square, mean, plus))
        if alone and all(kind(one) == "MUL" and x in one.inputs and one.inputs[0] != one.inputs[1] for one in products):
            name = model.subgraphs[0].tensors[int(root.outputs[0])].name.decode()
            norms.append(Norm(name, x, square, mean, plus, held[0], tuple(products)))
    return norms


def is_number(model: Any, tensor: int) -> bool:
    """Whether it is a float32 constant of one value."""
    entry = model.subgraphs[0].tensors[tensor]
    return entry.type == schema.TensorType.FLOAT32 and holds(model, tensor) and constant_of(model, tensor).size == 1


def holds(model: Any, tensor: int) -> bool:
    data = model.buffers[model.subgraphs[0].tensors[tensor].buffer].data
    return data is not None and len(data) > 0

"""How large sums inside a file become, on pictures that span what cameras give: half precision ends at 65504.

XNNPACK adds squares in float32 whatever it computes in, so that forced half precision here does not show what happens
on a phone's GPU, which adds in half precision.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Any

import numpy as np

from edge.accelerators import HALF_SUM, notice
from edge.tflite.flatbuffer import code_name, pack, unpack

from .._extremes import drawn
from .._half_steps import LARGEST, Sums
from .known_faults import place_of

FLOAT32 = 0  # of the schema's TensorType


def sums_in(content: bytes, results: Sequence[int]) -> list[Sums]:
    """The sums behind each of these results of MEAN or SUM. Runs the file; inputs beside the picture are zero."""
    if not results:
        return []
    from ai_edge_litert.interpreter import Interpreter

    model = unpack(content)
    graph = model.subgraphs[0]
    terms = {int(o.outputs[0]): terms_of(model, o) for o in graph.operators if int(o.outputs[0]) in set(results)}
    graph.outputs, model.signatureDefs = np.array(sorted(terms), np.int32), None
    interpreter = Interpreter(model_content=pack(model), num_threads=1)
    interpreter.allocate_tensors()
    inputs = interpreter.get_input_details()
    image = next((one for one in inputs if one["name"] == "image"), inputs[0])
    for other in inputs:
        interpreter.set_tensor(other["index"], np.zeros(other["shape"], other["dtype"]))
    places = {name: entry["index"] for name, entry in zip(sorted(terms), interpreter.get_output_details(), strict=True)}
    largest, quietest = dict.fromkeys(terms, 0.0), dict.fromkeys(terms, np.inf)
    for picture in drawn(int(image["shape"][1])):
        interpreter.set_tensor(image["index"], np.broadcast_to(picture.astype(image["dtype"]), image["shape"]))
        interpreter.invoke()
        for tensor, place in places.items():
            values = interpreter.get_tensor(place)
            total = float(values.max()) * terms[tensor]
            largest[tensor] = max(largest[tensor], total) if np.isfinite(values).all() else np.inf
            quietest[tensor] = min(quietest[tensor], float(values.min(where=values > 0, initial=np.inf)))
    return [Sums(largest[tensor], quietest[tensor]) for tensor in results]


def terms_of(model: Any, operator: Any) -> int:
    """By how much the sum is larger than the operator's result: the numbers that a MEAN has averaged, 1 of a SUM."""
    if code_name(model.operatorCodes[operator.opcodeIndex]) == "SUM":
        return 1
    before, after = (model.subgraphs[0].tensors[int(n)].shape for n in (operator.inputs[0], operator.outputs[0]))
    return prod(before) // max(1, prod(after))


def infinite_in_half(content: bytes, modules: Mapping[str, tuple[str, str | None]]) -> list[str]:
    """A notice if sums of squares in the file go beyond half precision, with how many and the first one's place.

    `modules`: name of a tensor -> the network's module that it is computed in. Runs files that have such sums.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    sums = sums_of_squares(model)
    measured = sums_in(content, sums)
    hits = [(tensor, one.largest) for tensor, one in zip(sums, measured, strict=True) if one.largest > LARGEST]
    if not hits:
        return []
    first = hits[0][0]
    counted = f"{len(hits)} sums of squares up to {max(total for _, total in hits):.3g}"
    return [notice(HALF_SUM, counted, place_of(graph.tensors[first].name.decode(), modules))]


def sums_of_squares(model: Any) -> list[int]:
    """Results of MEAN and SUM, in float, over squares; of sums over one axis after the other each."""
    graph = model.subgraphs[0]
    squares, sums = set(), []
    for operator in graph.operators:
        kind = code_name(model.operatorCodes[operator.opcodeIndex])
        inputs, result = [int(tensor) for tensor in operator.inputs], int(operator.outputs[0])
        if kind in {"SQUARE", "SQUARED_DIFFERENCE"} or (kind == "MUL" and inputs[0] == inputs[1]):
            squares.add(result)
        elif kind in {"MEAN", "SUM"} and inputs[0] in squares and graph.tensors[result].type == FLOAT32:
            squares.add(result)
            sums.append(result)
    return sums

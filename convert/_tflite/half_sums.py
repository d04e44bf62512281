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
from .known_faults import place_of

LARGEST = 65504.0  # of half precision
FLOAT32 = 0  # of the schema's TensorType


def largest_sums(content: bytes, means: Sequence[int]) -> list[float]:
    """The largest sum behind each of these results of MEAN, or result of SUM, over `drawn` pictures; runs the file."""
    if not means:
        return []
    from ai_edge_litert.interpreter import Interpreter

    model = unpack(content)
    graph = model.subgraphs[0]
    terms = {
        int(o.outputs[0]): prod(graph.tensors[int(o.inputs[0])].shape)
        // max(1, prod(graph.tensors[int(o.outputs[0])].shape))
        for o in graph.operators
        if int(o.outputs[0]) in set(means)
    }
    graph.outputs, model.signatureDefs = np.array(sorted(terms), np.int32), None
    interpreter = Interpreter(model_content=pack(model), num_threads=1)
    interpreter.allocate_tensors()
    image, *others = interpreter.get_input_details()
    for other in others:
        interpreter.set_tensor(other["index"], np.zeros(other["shape"], other["dtype"]))
    places = {name: entry["index"] for name, entry in zip(sorted(terms), interpreter.get_output_details(), strict=True)}
    largest = dict.fromkeys(terms, 0.0)
    for picture in drawn(int(image["shape"][1])):
        interpreter.set_tensor(image["index"], picture[None].astype(image["dtype"]))
        interpreter.invoke()
        for tensor, place in places.items():
            largest[tensor] = max(largest[tensor], float(interpreter.get_tensor(place).max()))
    return [largest[tensor] * terms[tensor] for tensor in means]


def infinite_in_half(content: bytes, modules: Mapping[str, tuple[str, str | None]]) -> list[str]:
    """A notice if sums of squares in the file go beyond half precision, with how many and the first one's place.

    `modules`: name of a tensor -> the network's module that it is computed in. Runs files that have such sums.
    """
    model = unpack(content)
    graph = model.subgraphs[0]
    sums = sums_of_squares(model)
    largest = largest_sums(content, sums)
    hits = [(tensor, total) for tensor, total in zip(sums, largest, strict=True) if not total <= LARGEST]
    if not hits:
        return []
    first = hits[0][0]
    counted = f"{len(hits)} sums of squares up to {max(total for _, total in hits):.3g}"
    return [notice(HALF_SUM, counted, place_of(graph.tensors[first].name.decode(), modules))]


def sums_of_squares(model: Any) -> list[int]:
    """Results of MEAN and SUM, in float, over squares; of sums over one axis after the other the first."""
    graph = model.subgraphs[0]
    squares, sums = set(), []
    for operator in graph.operators:
        kind = code_name(model.operatorCodes[operator.opcodeIndex])
        inputs, result = [int(tensor) for tensor in operator.inputs], int(operator.outputs[0])
        if kind in {"SQUARE", "SQUARED_DIFFERENCE"} or (kind == "MUL" and inputs[0] == inputs[1]):
            squares.add(result)
        elif kind in {"MEAN", "SUM"} and inputs[0] in squares and graph.tensors[result].type == FLOAT32:
            sums.append(result)
    return sums

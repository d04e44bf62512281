"""A few operators of a .tflite as a file of their own: what each reads is an input of it, what each makes an output."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import numpy as np

from .flatbuffer import pack
from .graph import Node


def alone(model, nodes: Sequence[Node]) -> tuple[bytes, list[int], list[int]]:
    """The file of these operators, none of which reads what another makes; its inputs and outputs as the tensors of
    `model`, an unpacked file, in order.

    Where two operators read one tensor, it is one input. Constants come along, and the operators that make them.
    """
    graph = model.subgraphs[0]
    inputs = list(dict.fromkeys(tensor for node in nodes for tensor in node.live))
    outputs = [tensor for node in nodes for tensor in node.makes]
    places = {node.place for node in nodes} | made_ready(model, nodes)
    operators = [graph.operators[place] for place in sorted(places)]
    used = sorted({int(t) for o in operators for t in (*o.inputs, *o.outputs) if t >= 0} | set(inputs))
    new = {tensor: number for number, tensor in enumerate(used)} | {-1: -1}
    buffers = sorted({graph.tensors[tensor].buffer for tensor in used} | {0})
    part = copy.copy(model)
    part.metadata, part.metadataBuffer, part.signatureDefs = None, None, None
    part.buffers = [model.buffers[number] for number in buffers]
    inside = copy.copy(graph)
    inside.tensors = [copy.copy(graph.tensors[tensor]) for tensor in used]
    for tensor in inside.tensors:
        tensor.buffer = buffers.index(tensor.buffer)
    inside.operators = [copy.copy(operator) for operator in operators]
    for operator in inside.operators:
        operator.inputs = np.array([new[int(tensor)] for tensor in operator.inputs], np.int32)
        operator.outputs = np.array([new[int(tensor)] for tensor in operator.outputs], np.int32)
        operator.intermediates = None
    inside.inputs = np.array([new[tensor] for tensor in inputs], np.int32)
    inside.outputs = np.array([new[tensor] for tensor in outputs], np.int32)
    part.subgraphs = [inside, *model.subgraphs[1:]]
    return pack(part), inputs, outputs


def made_ready(model, nodes: Sequence[Node]) -> set[int]:
    """Places of the operators that make constants which these read, such as DEQUANTIZE of weights."""
    makers = {
        int(tensor): place for place, operator in enumerate(model.subgraphs[0].operators) for tensor in operator.outputs
    }
    wanted = [tensor for node in nodes for tensor in node.reads if tensor >= 0 and tensor not in node.live]
    places: set[int] = set()
    while wanted:
        place = makers.get(wanted.pop())
        if place is not None and place not in places:
            places.add(place)
            wanted += [int(tensor) for tensor in model.subgraphs[0].operators[place].inputs if tensor >= 0]
    return places

"""The operators of a .tflite that depend on its input, in order; constants and what is made of them are beside them."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from edge.errors import InputError

from .flatbuffer import code_name, unpack

DAMAGED = (RuntimeError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, MemoryError, struct.error)


@dataclass(frozen=True)
class Node:
    """One operator; tensors are places in the first subgraph."""

    place: int  # among the file's operators, from 0
    kind: str  # the schema's name
    version: int
    live: tuple[int, ...]  # tensors it reads that depend on the file's input, each once
    reads: tuple[int, ...]  # all that it reads, in its order; -1 where one is left out
    makes: tuple[int, ...]


def unpacked(content: bytes, name: str):
    """The file as the schema's objects; InputError where it is damaged or holds no network."""
    try:
        model = unpack(content)
        if not model.subgraphs or not model.subgraphs[0].operators:
            raise ValueError("it has no operators")
    except DAMAGED as error:
        raise InputError(f"{name} is damaged ({type(error).__name__}: {str(error)[:120]}); get it again") from error
    return model


def nodes_of(model) -> list[Node]:
    """The operators of the first subgraph that depend on its inputs."""
    graph = model.subgraphs[0]
    live = {int(tensor) for tensor in graph.inputs}
    nodes = []
    for place, operator in enumerate(graph.operators):
        reads = tuple(int(tensor) for tensor in operator.inputs)
        depends = tuple(dict.fromkeys(tensor for tensor in reads if tensor in live))
        if not depends:
            continue  # weights made ready
        makes = tuple(int(tensor) for tensor in operator.outputs)
        live.update(makes)
        code = model.operatorCodes[operator.opcodeIndex]
        nodes.append(Node(place, code_name(code), int(code.version), depends, reads, makes))
    return nodes


def stored(model, tensor: int) -> int:
    """The tensor that holds the numbers of a constant: itself, or what a DEQUANTIZE makes it of."""
    expands = {place for place, code in enumerate(model.operatorCodes) if code_name(code) == "DEQUANTIZE"}
    for operator in model.subgraphs[0].operators:
        if operator.opcodeIndex in expands and tensor in operator.outputs:
            return int(operator.inputs[0])
    return tensor

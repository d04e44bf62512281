"""Operators, cost and compatibility warnings of a .tflite file, read from the file itself.

The rules: no tensor above rank 4 and no GATHER_ND for the GPU delegate (litert-torch pull request 1079 and issue 925),
closed shapes for NPUs, one piece for XNNPACK. What parts of phones refuse or are reported to get wrong
(`known_faults.py`) is a notice among the warnings. XNNPACK's pieces are counted by opening the file: every operator
that it does not support ends one. A file without warnings probably runs on a GPU or an NPU, but that is not certain.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import prod
from pathlib import Path

from edge.manifest import Audit
from edge.tflite.flatbuffer import operator_names, unpack

from .._liveness import peak_bytes
from .._resize_names import is_matrix
from .half_sums import infinite_in_half
from .known_faults import known_faults

LAYOUT = {"TRANSPOSE", "RESHAPE"}
GPU_RANK = 4
GPU_REFUSED = {"GATHER_ND"}  # litert-torch issue 925
BYTES = {0: 4, 1: 2, 2: 4, 3: 1, 4: 8, 6: 1, 7: 2, 9: 1}  # of an element, by the schema's TensorType
INT8, UINT8 = 9, 3


def audit(path: Path, modules: Mapping[str, tuple[str, str | None]] | None = None) -> Audit:
    """Operators by type, ranks, layout operations, MACs, memory and broken rules of one file.

    `modules`: name of a tensor -> the network's module that it is computed in, for the rules' places.

    `peak_activation_bytes` is the largest sum of tensors alive at once, in the file's order of operators, weights not
    counted. `macs_8bit` are those whose activations are 8-bit numbers: stored so, or quantised while the model runs.
    `macs_weights` are those of layers with weights; the rest are products of two activations, as in attention, or with
    the constant matrix of a resize.
    """
    content = path.read_bytes()
    model = unpack(content)
    graph = model.subgraphs[0]
    names = operator_names()
    operators = [names[model.operatorCodes[o.opcodeIndex].builtinCode] for o in graph.operators]
    shapes = [shape_of(t) for t in graph.tensors]
    held = [has_data(model.buffers[t.buffer]) for t in graph.tensors]
    sizes = [prod(shape) * BYTES.get(t.type, 4) for shape, t in zip(shapes, graph.tensors, strict=True)]
    macs, macs_8bit, layout_bytes = 0, 0, 0
    for name, o in zip(operators, graph.operators, strict=True):
        work = macs_of(name, [shapes[i] for i in o.inputs if i >= 0], shapes[o.outputs[0]])
        macs += work
        input_type = graph.tensors[o.inputs[operand_of(name)]].type
        weight = graph.tensors[o.inputs[1]].type if work else None
        if INT8 in (input_type, weight) or input_type == UINT8:
            macs_8bit += work
        if name in LAYOUT:
            layout_bytes += sizes[o.outputs[0]]
    ranks = [len(shape) for shape in shapes]
    partitions = xnnpack_partitions(path)
    return Audit(
        operators=dict(sorted(Counter(operators).items())),
        largest_rank=max(ranks),
        layout_operators=sum(name in LAYOUT for name in operators),
        layout_bytes=layout_bytes,
        macs=macs,
        macs_8bit=macs_8bit,
        macs_weights=macs_with_weights(model),
        peak_activation_bytes=peak(graph, sizes, held),
        xnnpack_partitions=partitions,
        warnings=(
            *warnings_of(partitions, operators, graph, shapes),
            *known_faults(model, modules),
            *infinite_in_half(content, modules or {}),
        ),
    )


def macs_with_weights(model) -> int:
    """Multiply-accumulates of an unpacked file's layers with weights: of these the gate wants a share on 8 bits."""
    graph, names = model.subgraphs[0], operator_names()
    held = [has_data(model.buffers[t.buffer]) for t in graph.tensors]
    made_by = {int(t): o for o in graph.operators for t in o.outputs}
    total = 0
    for o in graph.operators:
        shapes = [
            [] if (s := graph.tensors[i].shape) is None else [int(n) for n in s]
            for i in (*o.inputs, o.outputs[0])
            if i >= 0
        ]
        work = macs_of(names[model.operatorCodes[o.opcodeIndex].builtinCode], shapes[:-1], shapes[-1])
        if not work or is_matrix(graph.tensors[o.inputs[1]].name.decode()):
            continue
        total += work if fed_by_constant(graph, made_by, held, int(o.inputs[1])) else 0
    return total


def shape_of(tensor) -> list[int]:
    return [] if tensor.shape is None else [int(n) for n in tensor.shape]


def fed_by_constant(graph, made_by: dict, held: list, tensor: int) -> bool:
    """Whether a tensor is a constant, or one that an operator only expands (DEQUANTIZE of stored weights)."""
    maker = made_by.get(tensor)
    return held[tensor] or (maker is not None and len(maker.inputs) == 1 and held[int(maker.inputs[0])])


def has_data(buffer) -> bool:
    return buffer.data is not None and len(buffer.data) > 0


def macs_of(name: str, inputs: list[list[int]], output: list[int]) -> int:
    """Multiply-accumulates of one operator; 0 for all that are not products."""
    if name == "CONV_2D":
        return prod(output) * prod(inputs[1][1:])
    if name == "DEPTHWISE_CONV_2D":
        return prod(output) * prod(inputs[1][1:3])
    if name in {"FULLY_CONNECTED", "BATCH_MATMUL"}:
        return prod(output) * inputs[0][-1]
    if name == "TRANSPOSE_CONV":
        return prod(inputs[2]) * prod(inputs[1][:3])
    return 0


def operand_of(name: str) -> int:
    """Place of an operator's first computed input; the inputs of a transposed convolution begin with its shape."""
    return 2 if name == "TRANSPOSE_CONV" else 0


def peak(graph, sizes: list[int], held: list) -> int:
    """The largest sum of activations alive at once."""
    steps = [([int(i) for i in o.inputs], [int(i) for i in o.outputs]) for o in graph.operators]
    activations = {number: size for number, size in enumerate(sizes) if not held[number]}
    return peak_bytes(steps, activations, [int(i) for i in graph.inputs], [int(i) for i in graph.outputs])


def xnnpack_partitions(path: Path) -> int:
    """Number of pieces into which XNNPACK divides the file."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=1)
    interpreter.allocate_tensors()
    nodes = interpreter._get_ops_details()  # the one place where the Python interface shows the delegate's nodes
    pieces = sum(node["op_name"] == "DELEGATE" for node in nodes)
    return pieces


def warnings_of(partitions: int, operators: list[str], graph, shapes: list[list[int]]) -> list[str]:
    """One line for each broken rule, naming what breaks it first."""
    lines = [
        f"gpu-operator: {operators.count(name)} {name}, which the GPU delegate refuses"
        for name in sorted(GPU_REFUSED & set(operators))
    ]
    for name, o in zip(operators, graph.operators, strict=True):
        rank = max(len(shapes[i]) for i in (*o.inputs, *o.outputs) if i >= 0)
        if rank > GPU_RANK:
            tensor = graph.tensors[o.outputs[0]].name.decode()
            lines.append(f"gpu-rank: {name} ({tensor}) has rank {rank}, the GPU delegate takes {GPU_RANK}")
            break
    if any(n < 0 for t in graph.tensors if t.shapeSignature is not None for n in t.shapeSignature):
        lines.append("static-shapes: a tensor's shape is open; NPUs and XNNPACK want it closed")
    if partitions != 1:
        lines.append(f"xnnpack-partitions: {partitions} pieces, not one; each border costs copies")
    return lines

"""What an .onnx file is made of: operators, multiply-accumulates, memory, and who takes it."""

from __future__ import annotations

from collections import Counter
from math import prod
from pathlib import Path

from onnx import TensorProto

from edge.manifest import Audit

from .._liveness import peak_bytes
from .._resize_names import is_matrix
from .layers import Graph, macs_of
from .providers import provider_notices

LAYOUT = {"Transpose", "Reshape", "Concat", "Slice", "Split", "Pad", "Gather", "Expand"}
INTEGER = {"MatMulInteger", "ConvInteger"}
BYTES: dict[int, int] = {TensorProto.UINT8: 1, TensorProto.INT8: 1, TensorProto.INT64: 8, TensorProto.FLOAT16: 2}


def audit(path: Path) -> Audit:
    """Operators, sizes and multiply-accumulates of one file of ours.

    `macs_8bit` are those whose activations are 8-bit numbers. `macs_weights` are those of layers with weights; the rest
    are products of two activations, as in attention, or with the constant matrix of a resize. What only expands stored
    weights is no operator of these counts, for a runtime does it once, when it opens the file.
    """
    content = path.read_bytes()
    graph = Graph(content)
    shapes, types = inferred(graph)
    constant = set(graph.entries)
    steps, kinds, macs, macs_8bit, macs_weights, layout_bytes = [], [], 0, 0, 0, 0
    for node in graph.nodes:
        reads = [name for name in node.input if name]
        if all(name in constant for name in reads):
            constant |= set(node.output)
            continue
        kinds.append(node.op_type)
        steps.append((reads, list(node.output)))
        size = [prod(shapes[name]) * BYTES.get(types.get(name, 0), 4) for name in node.output]
        layout_bytes += sum(size) if node.op_type in LAYOUT else 0
        work = macs_of(node, [shapes[name] for name in reads], shapes[node.output[0]])
        macs += work
        if work and reads[1] in constant and not is_matrix(reads[1]):
            macs_weights += work
        maker = graph.makers.get(reads[0])
        fixed = maker is not None and maker.op_type == "DequantizeLinear" and reads[0] not in constant
        eighth = reads[1:] and origin(graph, reads[1]) in {TensorProto.INT8, TensorProto.UINT8}
        macs_8bit += work if node.op_type in INTEGER or (fixed and eighth) else 0
    sizes = {
        name: prod(shapes[name]) * BYTES.get(types.get(name, 0), 4)
        for _, makes in steps for name in makes
    } | {entry.name: 4 * prod(shapes[entry.name]) for entry in graph.model.graph.input}  # fmt: skip
    return Audit(
        operators=dict(sorted(Counter(kinds).items())),
        largest_rank=max(len(shapes[name]) for _, makes in steps for name in makes),
        layout_operators=sum(kind in LAYOUT for kind in kinds),
        layout_bytes=layout_bytes,
        macs=macs,
        macs_8bit=macs_8bit,
        macs_weights=macs_weights,
        peak_activation_bytes=peak_bytes(
            steps, sizes, [entry.name for entry in graph.model.graph.input], sorted(graph.outputs)
        ),
        warnings=tuple(provider_notices(content)),
    )


def inferred(graph: Graph) -> tuple[dict[str, tuple[int, ...]], dict[str, int]]:
    """Shapes and types of all values, those that the file does not state worked out by ONNX itself."""
    from onnx.shape_inference import infer_shapes

    whole = infer_shapes(graph.model).graph
    entries = [*whole.value_info, *whole.input, *whole.output]
    shapes = {entry.name: tuple(int(d.dim_value) for d in entry.type.tensor_type.shape.dim) for entry in entries}
    types = {entry.name: int(entry.type.tensor_type.elem_type) for entry in entries}
    return shapes | {name: tuple(entry.dims) for name, entry in graph.entries.items()}, types


def origin(graph: Graph, name: str) -> int:
    """The type in which the file holds a constant that is expanded, 0 of what is computed."""
    maker = graph.makers.get(name)
    stored = maker.input[0] if maker is not None else name
    return int(graph.entries[stored].data_type) if stored in graph.entries else 0

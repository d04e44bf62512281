"""Which operators of an .onnx file ONNX Runtime's execution providers for phones and browsers take, by their own lists.

One row per provider, with the list that it is from. What a provider does not take, ONNX Runtime computes on the CPU,
and each border between the two costs copies. The CPU itself takes every operator that dermedge writes, in WebAssembly
too.
"""

from __future__ import annotations

import tempfile
from collections import Counter, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from edge.accelerators import provider_notice
from edge.runtimes.onnx import QUIET

from .emit.writer import attribute
from .layers import Graph, macs_of

NAMED = 5  # operators in a notice, those left to the CPU most often
Limit = Callable[[Graph, Any], bool]  # whether a node keeps what the list says of its operator


def constant(place: int) -> Limit:
    """The operand at this place, if there is one, is stored in the file."""
    return lambda graph, node: len(node.input) <= place or not node.input[place] or node.input[place] in graph.entries


def all_constant(graph: Graph, node: Any) -> bool:
    return all(not name or name in graph.entries for name in node.input[1:])


def of_rank(rank: int) -> Limit:
    return lambda graph, node: len(graph.shapes.get(node.input[0], ())) == rank


def even_split(graph: Graph, node: Any) -> bool:
    return len({graph.shapes.get(name) for name in node.output}) == 1 and all_constant(graph, node)


def constant_padding(graph: Graph, node: Any) -> bool:
    mode = attribute(node, "mode", b"constant")
    return mode in {b"constant", "constant"} and all_constant(graph, node)


def last_two_padded(graph: Graph, node: Any) -> bool:
    if not constant_padding(graph, node):
        return False
    pads = graph.stored(node.input[1])
    front, end = pads[: len(pads) // 2], pads[len(pads) // 2 :]
    return not front[:-2].any() and not end[:-2].any()


def resized_from_the_corner(graph: Graph, node: Any) -> bool:
    modes = {key: attribute(node, key, b"") for key in ("coordinate_transformation_mode", "mode", "nearest_mode")}
    return (
        modes["coordinate_transformation_mode"] == b"asymmetric"
        and (modes["mode"] == b"linear" or modes["nearest_mode"] == b"floor")
        and all_constant(graph, node)
    )


def bilinear(graph: Graph, node: Any) -> bool:
    return attribute(node, "mode", b"nearest") == b"linear"


def last_axis(graph: Graph, node: Any) -> bool:
    rank = len(graph.shapes.get(node.output[0], ()))
    return attribute(node, "axis", -1) in {-1, rank - 1}


def float_convolution(graph: Graph, node: Any) -> bool:
    """With constant weights and bias, and not between the operators of 8 bits, of which uint8 with int8 is refused."""
    maker = graph.makers.get(node.input[0])
    return all_constant(graph, node) and of_rank(4)(graph, node) and (
        maker is None or maker.op_type != "DequantizeLinear"
    )  # fmt: skip


def named(operators: str) -> frozenset[str]:
    return frozenset(operators.split())


@dataclass(frozen=True)
class Provider:
    name: str
    source: str
    operators: frozenset[str]
    limits: Mapping[str, Limit] = field(default_factory=dict)  # of operators that are taken in some forms only

    def takes(self, graph: Graph, node: Any) -> bool:
        limit = self.limits.get(node.op_type)
        return node.domain == "" and node.op_type in self.operators and (limit is None or limit(graph, node))


WHEEL = "onnxruntime/tools/mobile_helpers of ONNX Runtime 1.32.0"
PROVIDERS = (
    Provider(
        "XNNPACK",
        "docs/execution-providers/Xnnpack-ExecutionProvider.md of ONNX Runtime, and xnnpack/detail/utils.cc (no uint8 "
        "with int8), read 2026-11-29",
        named("AveragePool Conv ConvTranspose Gemm MatMul MaxPool Resize Softmax"),
        {
            "AveragePool": of_rank(4), "MaxPool": of_rank(4), "Conv": float_convolution,
            "ConvTranspose": float_convolution, "Gemm": of_rank(2), "MatMul": of_rank(2), "Resize": bilinear,
            "Softmax": last_axis,
        },
    ),
    Provider(
        "NNAPI",
        f"nnapi_supported_ops.md in {WHEEL}",
        named(
            "Abs Add AveragePool BatchNormalization Cast Clip Concat Conv DepthToSpace DequantizeLinear Div Elu Exp "
            "Flatten Floor Gather Gemm GlobalAveragePool GlobalMaxPool Identity LeakyRelu Log LRN MatMul MaxPool Max "
            "Min Mul Neg Pad Pow PRelu QLinearConv QLinearMatMul QuantizeLinear ReduceMean Relu Reshape Resize Sigmoid "
            "Sin Slice Softmax Split Sqrt Squeeze Sub Tanh Transpose Unsqueeze"
        ),
        {
            "AveragePool": of_rank(4), "MaxPool": of_rank(4), "Conv": of_rank(4), "Gather": constant(1),
            "Pad": constant_padding, "Split": even_split, "QuantizeLinear": all_constant,
            "DequantizeLinear": all_constant,
        },
    ),
    Provider(
        "Core ML (MLProgram)",
        f"coreml_supported_mlprogram_ops.md in {WHEEL}",
        named(
            "Add And Argmax AveragePool Cast Clip Concat Conv ConvTranspose Cos DepthToSpace Ceil Div Elu Erf Exp "
            "GatherND Gemm Gelu GlobalAveragePool GlobalMaxPool GridSample GroupNormalization HardSigmoid Identity "
            "InstanceNormalization LayerNormalization LeakyRelu MatMul MaxPool Max Mul Pow PRelu Reciprocal ReduceSum "
            "ReduceMean ReduceMax Relu Reshape Resize Round Shape Sin Slice Softplus Split Sub Sigmoid Softmax Sqrt "
            "Squeeze Tanh Tile Transpose Unsqueeze Where"
        ),
        {
            "AveragePool": of_rank(4), "MaxPool": of_rank(4), "Gemm": constant(1), "Slice": all_constant,
            "Split": all_constant, "ConvTranspose": all_constant,
        },
    ),
    Provider(
        "Core ML (NeuralNetwork)",
        f"coreml_supported_neuralnetwork_ops.md in {WHEEL}",
        named(
            "Add ArgMax AveragePool BatchNormalization Cast Clip Concat Conv DepthToSpace Div Flatten Gather Gemm "
            "GlobalAveragePool GlobalMaxPool LeakyRelu LRN MatMul MaxPool Mul Pad Pow PRelu Reciprocal ReduceSum Relu "
            "Reshape Resize Shape Sigmoid Slice Softmax Split Squeeze Sqrt Sub Tanh Transpose"
        ),
        {
            "AveragePool": of_rank(4), "MaxPool": of_rank(4), "Conv": all_constant, "Gemm": constant(1),
            "MatMul": constant(1), "Pad": last_two_padded, "PRelu": constant(1), "Slice": all_constant,
            "Split": all_constant, "Resize": resized_from_the_corner,
        },
    ),
    Provider(
        "WebGPU",
        "js/web/docs/webgpu-operators.md of ONNX Runtime, read 2026-11-29",
        named(
            "Abs Acos Acosh Add ArgMax ArgMin Asin Asinh Atan Atanh AveragePool BatchNormalization Cast Ceil Clip "
            "Concat Conv ConvTranspose Cos Cosh CumSum DepthToSpace Div Einsum Elu Equal Erf Exp Expand Flatten Floor "
            "Gather GatherElements Gemm GlobalAveragePool GlobalMaxPool Greater GreaterOrEqual HardSigmoid If "
            "InstanceNormalization LayerNormalization LeakyRelu Less LessOrEqual Log MatMul MaxPool Mul Neg Not Pad "
            "Pow Range Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin "
            "ReduceProd ReduceSum ReduceSumSquare Relu Reshape Resize Sigmoid Sin Sinh Slice Softmax Split Sqrt "
            "Squeeze Sub Tan Tanh ThresholdedRelu Tile Transpose Unsqueeze Where"
        ),
    ),
)  # fmt: skip


def provider_notices(content: bytes) -> list[str]:
    """A line for each provider: how much of the file it takes, in how many pieces, and what is left to the CPU."""
    graph = seen_by_providers(content)
    work = {id(node): macs_in(graph, node) for node in graph.nodes}
    total = max(1, sum(work.values()))
    lines = []
    for provider in PROVIDERS:
        places = {place for place, node in enumerate(graph.nodes) if provider.takes(graph, node)}
        left = Counter(node.op_type for place, node in enumerate(graph.nodes) if place not in places)
        share = sum(work[id(graph.nodes[place])] for place in places) / total
        most = ", ".join(f"{count} {kind}" for kind, count in left.most_common(NAMED))
        more = f" and {len(left) - NAMED} kinds more" if len(left) > NAMED else ""
        lines.append(
            provider_notice(
                provider.name,
                f"{len(places)} of {len(graph.nodes)} operators, {share:.0%} of the MACs, in {pieces(graph, places)} "
                f"pieces; on the CPU: {most or 'nothing'}{more}",
                provider.source,
            )
        )
    return lines


def macs_in(graph: Graph, node: Any) -> int:
    shapes = [graph.shapes.get(name, ()) for name in node.input if name]
    return macs_of(node, shapes, graph.shapes.get(node.output[0], ()))


def seen_by_providers(content: bytes) -> Graph:
    """The graph as providers are asked about it: after the runtime's basic rewrites, with constants folded."""
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = QUIET
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    with tempfile.TemporaryDirectory(prefix="dermedge-") as folder:
        options.optimized_model_filepath = str(Path(folder, "basic.onnx"))
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
        model = onnx.load(options.optimized_model_filepath)
    return Graph(onnx.shape_inference.infer_shapes(model).SerializeToString())


def pieces(graph: Graph, places: set[int]) -> int:
    """Into how many groups ONNX Runtime puts the nodes at these places.

    It goes through the nodes as their operands become known, and takes what it can into one group; a node that is not
    taken and reads from the group waits until the group is closed (CreateSupportedPartitionNodeGroups of its sources).
    """
    makers = {name: place for place, node in enumerate(graph.nodes) for name in node.output}
    reads = [{makers[name] for name in node.input if name in makers} for node in graph.nodes]
    readers: list[set[int]] = [set() for _ in graph.nodes]
    for place, before in enumerate(reads):
        for maker in before:
            readers[maker].add(place)
    missing = [len(before) for before in reads]
    ready, later = deque(place for place, count in enumerate(missing) if not count), deque[int]()
    groups, is_open, border = 0, False, set[int]()
    while ready or later:
        if not ready:
            groups, is_open = groups + is_open, False
            border.clear()
            ready, later = later, ready
            continue
        place = ready.popleft()
        if place in places:
            is_open = True
            border.discard(place)
            border |= readers[place]
        elif place in border:
            later.append(place)
            continue
        for reader in sorted(readers[place]):
            missing[reader] -= 1
            if not missing[reader]:
                ready.append(reader)
    return groups + is_open

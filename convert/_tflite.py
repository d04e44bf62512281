"""Checkpoint -> TFLite bytes: trace, rewrite, lower, then one quantisation per recipe."""

from __future__ import annotations

import hashlib
import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
from torch import fx

from edge.checkpoint import Checkpoint
from edge.models.deployed import deployed
from edge.scheme import Layer

from ._emit import emit
from ._graph import trace
from ._passes import MOBILE_PASSES, PASSES, rewrite

SIGNATURE = "serving_default"
INPUT, OUTPUT = "image", "probabilities"
METADATA = "dermedge"  # name of the metadata entry inside the file


@dataclass(frozen=True)
class Lowered:
    """A float32 file, how often each rewrite fired, and in words who wrote it.

    `modules`: output tensor -> the network's module that the layer comes from, the batch norm folded into it.
    """

    content: bytes
    fired: dict[str, int]
    by: str
    modules: dict[str, tuple[str, str | None]] = field(default_factory=dict)


def float_model(checkpoint: Checkpoint) -> Lowered:
    """The float32 file of a checkpoint.

    Written operator by operator from the rewritten graph. Where that holds an operation without an operator in
    `_emit`, litert-torch lowers the graph as it is before the rewrites that are for our own operators.
    """
    import torch

    side = checkpoint.preprocess.side
    example = torch.zeros(1, side, side, 3)
    graph, fired = rewrite(trace(deployed(checkpoint, layout="NHWC"), example), PASSES)
    mobile, more = rewrite(graph, MOBILE_PASSES)
    try:
        content = emit(mobile, inputs=[INPUT], outputs=[OUTPUT])
        return Lowered(content, fired | more, "operator by operator", modules_of(mobile))
    except NotImplementedError as missing:
        import litert_torch

        lowered = litert_torch.convert(graph, (example,))
        return Lowered(named(lowered.model_content()), fired, f"by litert-torch, because there is {missing}")


def modules_of(graph: fx.GraphModule) -> dict[str, tuple[str, str | None]]:
    """Node -> path of its module in the network, without the wrapper's own name."""
    inside = {
        node.name: (node.meta["module"], node.meta.get("normalised_by"))
        for node in graph.graph.nodes
        if node.meta.get("module")
    }
    return {
        name: (module.removeprefix("net."), norm and norm.removeprefix("net."))
        for name, (module, norm) in inside.items()
    }


def named(content: bytes) -> bytes:
    """The file with the tensor contract's names: input `image`, output `probabilities`."""
    model = unpack(content)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    graph.tensors[graph.outputs[0]].name = OUTPUT.encode()
    signature.inputs[0].name = INPUT.encode()
    signature.outputs[0].name = OUTPUT.encode()
    return pack(model)


def with_metadata(content: bytes, facts: Mapping[str, object]) -> bytes:
    """The file with the manifest's facts inside, as JSON under the metadata name `dermedge`.

    The metadata entry that lets XNNPACK compute a float file in fp16 is left out on purpose: without it a phone's CPU
    computes in float32, which is what the gate was held to.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = np.frombuffer(json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode(), np.uint8)
    entry.name, entry.buffer = METADATA.encode(), len(model.buffers)
    model.buffers.append(buffer)
    model.metadata = [*(m for m in model.metadata or [] if m.name.decode() != METADATA), entry]
    return pack(model)


def read_metadata(content: bytes) -> dict:
    """The facts that `with_metadata` stored; empty if there are none."""
    model = unpack(content)
    for entry in model.metadata or []:
        if entry.name.decode() == METADATA:
            return json.loads(bytes(model.buffers[entry.buffer].data))
    return {}


def unpack(content: bytes):
    """The file as objects. The quantiser puts buffers behind the flatbuffer (offset, size); they are taken back in."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(bytes(content), 0)
    for buffer in model.buffers:
        if buffer.offset > 1:  # 0 and 1 mean that there is no such data
            buffer.data = np.frombuffer(content, np.uint8, count=buffer.size, offset=buffer.offset)
            buffer.offset = buffer.size = 0
    return model


def pack(model) -> bytes:
    import flatbuffers

    builder = flatbuffers.Builder(2**20)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def graph_key(content: bytes) -> str:
    """Digest of a file's structure, operations and tensor names with shapes, but not of its weights."""
    model = unpack(content)
    digest = hashlib.sha256()
    for graph in model.subgraphs:
        for tensor in graph.tensors:
            shape = tensor.shape.tolist() if tensor.shape is not None else []
            digest.update(f"{tensor.name.decode()} {shape} {tensor.type}\n".encode())
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex].builtinCode
            digest.update(f"{code} {list(operator.inputs)} {list(operator.outputs)}\n".encode())
    return digest.hexdigest()


def quantise(content: bytes, recipe: str) -> bytes:
    """A float32 file in a recipe that needs no measurement: fp32, fp16, int8-weights, int8-dynamic."""
    if recipe == "fp32":
        return content
    from ai_edge_quantizer import recipe as known

    rules = {"fp16": half_floats, "int8-weights": known.weight_only_wi8_afp32, "int8-dynamic": dynamic_int8}
    return quantised(content, rules[recipe](), None)


def apply(content: bytes, layers: Sequence[Layer]) -> bytes:
    """A float32 file with every layer as the scheme says; float32 input and output."""
    statistics: dict[str, tuple[float, float]] = {}
    inputs = inputs_by_output(content)
    for layer in layers:
        if layer.kind == "static" and layer.input and layer.output:
            statistics |= {inputs[layer.tensor]: layer.input, layer.tensor: layer.output}
    wanted = [rule_for(layer) for layer in layers if layer.kind != "float"]
    return quantised(content, wanted, as_statistics(content, statistics)) if wanted else content


def inputs_by_output(content: bytes) -> dict[str, str]:
    """Name of every operator's first output -> name of its first input."""
    graph = unpack(content).subgraphs[0]
    names = [tensor.name.decode() for tensor in graph.tensors]
    return {names[o.outputs[0]]: names[o.inputs[0]] for o in graph.operators}


def rule_for(layer: Layer) -> dict:
    """The quantiser's rule for one layer, found by its output tensor."""
    from ai_edge_quantizer import recipe as known

    (rule,) = known.static_wi8_ai8() if layer.kind == "static" else known.dynamic_wi8_afp32()
    return {**rule, "operation": layer.operator, "regex": f"^{re.escape(layer.tensor)};?$"}


def quantised(content: bytes, rules: list[dict], statistics: dict | None) -> bytes:
    from ai_edge_quantizer import quantizer

    worker = quantizer.Quantizer(content, rules)
    with preserved_tensors():
        result = worker.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


def with_byte_input(content: bytes) -> bytes:
    """The file with a uint8 input in front: the camera's bytes, taken as the numbers 0 to 255 that they are.

    The new input has scale 1 and zero point 0, and one DEQUANTIZE makes the old input of it, which is exact: the
    answers are those of the float input, bit for bit.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    old = graph.inputs[0]
    given = schema.TensorT()
    given.shape, given.type, given.hasRank = graph.tensors[old].shape, schema.TensorType.UINT8, True
    given.name, graph.tensors[old].name = graph.tensors[old].name, b"numbers"
    given.quantization = schema.QuantizationParametersT()
    given.quantization.scale, given.quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    graph.tensors.append(given)
    new = len(graph.tensors) - 1
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
    code.version = 2
    model.operatorCodes.append(code)
    reader = schema.OperatorT()
    reader.opcodeIndex = len(model.operatorCodes) - 1
    reader.inputs, reader.outputs = np.array([new], np.int32), np.array([old], np.int32)
    reader.builtinOptionsType, reader.builtinOptions = (
        schema.BuiltinOptions.DequantizeOptions,
        schema.DequantizeOptionsT(),
    )
    graph.operators.insert(0, reader)
    graph.inputs = np.array([new], np.int32)
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex = new
    return pack(model)


@contextmanager
def preserved_tensors() -> Iterator[None]:
    """The quantiser keeps every tensor to look at its range; the runtime warns that this takes memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
        yield


def as_statistics(content: bytes, ranges: Mapping[str, tuple[float, float]]) -> dict[str, dict[str, np.ndarray]]:
    """Ranges as the quantiser keeps them: one value, with as many axes as the tensor has."""
    axes = {t.name.decode(): max(1, len(t.shape)) for g in unpack(content).subgraphs for t in g.tensors}
    return {
        name: {"min": np.full((1,) * axes[name], low, np.float32), "max": np.full((1,) * axes[name], high, np.float32)}
        for name, (low, high) in ranges.items()
    }


def dynamic_int8() -> list[dict]:
    """8-bit weights, activations quantised while the model runs; depthwise convolutions stay in float32.

    XNNPACK has no dynamically quantised depthwise convolution: each would end its partition and go to slow kernels, for
    weights that are hardly a hundredth of the file.
    """
    from ai_edge_quantizer import recipe as known

    depthwise = known.TFLOperationName.DEPTHWISE_CONV_2D
    left_alone = {"algorithm_key": known.AlgorithmName.NO_QUANTIZE, "op_config": {}}
    return [*known.dynamic_wi8_afp32(), {"regex": ".*", "operation": depthwise, **left_alone}]


def half_floats() -> list[dict]:
    """Weights stored in fp16, arithmetic as the runtime likes."""
    from ai_edge_quantizer import recipe as known

    rules = known.weight_only_wi8_afp32()
    for rule in rules:
        rule["algorithm_key"] = known.AlgorithmName.FLOAT_CASTING
        rule["op_config"]["weight_tensor_config"] = {
            "num_bits": 16,
            "symmetric": True,
            "granularity": known.QuantGranularity.TENSORWISE,
            "dtype": known.qtyping.TensorDataType.FLOAT,
        }
    return rules

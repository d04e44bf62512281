"""Checkpoint -> TFLite bytes: trace, rewrite, lower, then one quantisation per recipe."""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edge.checkpoint import Checkpoint
from edge.models.deployed import deployed

from ._emit import emit
from ._graph import trace
from ._passes import MOBILE_PASSES, PASSES, rewrite

if TYPE_CHECKING:
    from torch import Tensor, nn

Ranges = dict[str, tuple[float, float]]  # tensor -> smallest and largest value
SIGNATURE = "serving_default"
INPUT, OUTPUT = "image", "probabilities"
METADATA = "dermedge"  # name of the metadata entry inside the file


@dataclass(frozen=True)
class Lowered:
    """A float32 file, how often each rewrite fired, and in words who wrote it."""

    content: bytes
    fired: dict[str, int]
    by: str


def float_model(checkpoint: Checkpoint) -> Lowered:
    """The float32 file of a checkpoint."""
    import torch

    side = checkpoint.preprocess.side
    return lower(deployed(checkpoint, layout="NHWC"), torch.zeros(1, side, side, 3))


def lower(module: nn.Module, example: Tensor) -> Lowered:
    """The float32 file of a module that keeps the tensor contract: `example` (1, S, S, 3) in, (1, K) out.

    Written operator by operator from the rewritten graph. Where that holds an operation without an operator in
    `_emit`, litert-torch lowers the graph as it is before the rewrites that are for our own operators.
    """
    graph, fired = rewrite(trace(module, example), PASSES)
    mobile, more = rewrite(graph, MOBILE_PASSES)
    try:
        return Lowered(emit(mobile, inputs=[INPUT], outputs=[OUTPUT]), fired | more, "operator by operator")
    except NotImplementedError as missing:
        import litert_torch

        lowered = litert_torch.convert(graph, (example,))
        return Lowered(named(lowered.model_content()), fired, f"by litert-torch, because there is {missing}")


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


def calibrate(content: bytes, images: np.ndarray) -> Ranges:
    """The smallest and largest value of every tensor of a float32 file on uint8 images (N, S, S, 3)."""
    from ai_edge_quantizer import quantizer

    worker = quantizer.Quantizer(content, static_int8())
    samples = [{INPUT: image[None].astype(np.float32)} for image in images]
    with preserved_tensors():
        found = worker.calibrate({SIGNATURE: samples}, num_threads=2)
    return {name: (float(v["min"].min()), float(v["max"].max())) for name, v in found.items()}


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


def quantise(content: bytes, recipe: str, *, ranges: Ranges | None = None) -> bytes:
    """A float32 file in another recipe. `int8` needs the `ranges` that `calibrate` found."""
    from ai_edge_quantizer import quantizer
    from ai_edge_quantizer import recipe as known

    if recipe == "fp32":
        return content
    rules = {
        "fp16": half_floats,
        "int8-weights": known.weight_only_wi8_afp32,
        "int8-dynamic": dynamic_int8,
        "int8": static_int8,
    }
    statistics = None
    if recipe == "int8":
        if not ranges:
            raise ValueError("the int8 recipe needs calibrated ranges")
        statistics = as_statistics(content, ranges)
    worker = quantizer.Quantizer(content, rules[recipe]())
    with preserved_tensors():
        result = worker.quantize(statistics, enable_progress_bar=False, enable_progress_report=False)
    return bytes(result.quantized_model)


@contextmanager
def preserved_tensors() -> Iterator[None]:
    """The quantiser keeps every tensor to look at its range; the runtime warns that this takes memory."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
        yield


def as_statistics(content: bytes, ranges: Ranges) -> dict[str, dict[str, np.ndarray]]:
    """Ranges as the quantiser keeps them: one value, with as many axes as the tensor has."""
    axes = {t.name.decode(): max(1, len(t.shape)) for g in unpack(content).subgraphs for t in g.tensors}
    return {
        name: {"min": np.full((1,) * axes[name], low, np.float32), "max": np.full((1,) * axes[name], high, np.float32)}
        for name, (low, high) in ranges.items()
    }


def static_int8() -> list[dict]:
    """8-bit weights and activations, float32 input and output, softmax computed in float32."""
    from ai_edge_quantizer import recipe as known

    rules = known.static_wi8_ai8()
    names = known.TFLOperationName
    for operation in (names.INPUT, names.OUTPUT, names.SOFTMAX):
        rules.append(
            {"regex": ".*", "operation": operation, "algorithm_key": known.AlgorithmName.NO_QUANTIZE, "op_config": {}}
        )
    return rules


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

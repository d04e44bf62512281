"""Checkpoint -> TFLite bytes: trace, rewrite, lower, then one quantisation per recipe."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from torch import fx

from edge.checkpoint import Checkpoint
from edge.models.deployed import OUTPUTS

from .._graph.graph import results, trace
from .._graph.passes import MOBILE_PASSES, PASSES, rewrite
from .emit import emit

if TYPE_CHECKING:
    from torch import Tensor, nn

SIGNATURE = "serving_default"
INPUT, OUTPUT = "image", OUTPUTS[0]
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
    """The float32 file of a checkpoint."""
    import torch

    side = checkpoint.preprocess.side
    return lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, side, side, 3))


def lower(module: nn.Module, example: Tensor) -> Lowered:
    """The float32 file of a module that keeps the tensor contract: `example` (1, S, S, 3) in, (1, K) out, and behind
    it, where the module gives one, a mask (1, S, S, 1).

    Written operator by operator from the rewritten graph. Where that holds an operation without an operator in
    `_emit`, litert-torch lowers the graph as it is before the rewrites that are for our own operators.
    """
    graph, fired = rewrite(trace(module, example), PASSES)
    mobile, more = rewrite(graph, MOBILE_PASSES)
    try:
        content = emit(mobile, inputs=[INPUT], outputs=OUTPUTS[: len(results(mobile))])
        return Lowered(content, fired | more, "operator by operator", modules_of(mobile))
    except NotImplementedError as missing:
        import litert_torch

        try:
            lowered = litert_torch.convert(graph, (example,))
        except Exception as error:
            said = (str(error).splitlines() or ["?"])[0]
            raise RuntimeError(f"{missing}, and litert-torch gives up too ({type(error).__name__}: {said})") from error
        content = named(lowered.model_content())
        try:
            open_in_runtime(content)
        except Exception as error:
            said = (str(error).splitlines() or ["?"])[0]
            raise RuntimeError(
                f"{missing}, and what litert-torch makes of it LiteRT cannot open ({said}); change the network there"
            ) from error
        return Lowered(content, fired, f"by litert-torch, because there is {missing}")


def open_in_runtime(content: bytes) -> None:
    """Raise what LiteRT raises for a file that it cannot run."""
    from ai_edge_litert.interpreter import Interpreter

    Interpreter(model_content=content, num_threads=1).allocate_tensors()


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
    """The file with the tensor contract's names: input `image`, outputs `probabilities` and, if it is there, `mask`."""
    model = unpack(content)
    graph, signature = model.subgraphs[0], model.signatureDefs[0]
    graph.tensors[graph.inputs[0]].name = INPUT.encode()
    signature.inputs[0].name = INPUT.encode()
    entries = {entry.tensorIndex: entry for entry in signature.outputs}
    for tensor, name in zip(graph.outputs, OUTPUTS, strict=False):
        graph.tensors[tensor].name = entries[tensor].name = name.encode()
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

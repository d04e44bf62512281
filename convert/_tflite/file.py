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
from edge.exporting import first_line
from edge.models.deployed import OUTPUTS
from edge.tflite.flatbuffer import pack, unpack

from .._graph.graph import results, trace
from .._graph.lowering import NoOperator, Unwritten, written
from .._graph.passes import MOBILE_PASSES
from .._graph.refusals import module_of, refused
from .emit import TABLE, emit

if TYPE_CHECKING:
    from torch import Tensor, nn

SIGNATURE = "serving_default"
INPUT, OUTPUT = "image", OUTPUTS[0]
METADATA = "dermedge"  # name of the metadata entry inside the file
OTHER_ANSWER = 1e-2  # of a probability; what rounding does in float32 is far below, the gate judges the rest


@dataclass(frozen=True)
class Lowered:
    """A float32 file, how often each rewrite fired, and in words how it was lowered.

    `modules`: output tensor -> the network's module that the layer comes from, the batch norm folded into it. `called`:
    the same of every operator, where it is known.
    """

    content: bytes
    fired: dict[str, int]
    by: str
    modules: dict[str, tuple[str, str | None]] = field(default_factory=dict)
    called: dict[str, str] = field(default_factory=dict)

    @property
    def places(self) -> dict[str, tuple[str, str | None]]:
        """`modules`, and of what is no layer the module that made it."""
        return {name: (path, None) for name, path in self.called.items()} | self.modules


def float_model(checkpoint: Checkpoint) -> Lowered:
    """The float32 file of a checkpoint."""
    import torch

    side = checkpoint.preprocess.side
    return lower(checkpoint.deployed(layout="NHWC"), torch.zeros(1, side, side, 3))


def lower(module: nn.Module, example: Tensor) -> Lowered:
    """The float32 file of a module that keeps the tensor contract: `example` (1, S, S, 3) in, (1, K) out, and behind
    it, where the module gives one, a mask (1, S, S, 1).

    Written operator by operator from the rewritten graph. Operations without an operator in `emit` are taken apart as
    torch does. Where one remains, litert-torch lowers the graph as it is before the rewrites that are for our own
    operators. Raises InputError with the operation, its arguments and its module where that cannot either, or gives
    other answers than the graph.
    """

    def write(graph: fx.GraphModule) -> bytes:
        return emit(graph, inputs=[INPUT], outputs=OUTPUTS[: len(results(graph))])

    try:
        done = written(trace(module, example), MOBILE_PASSES, TABLE, write)
    except Unwritten as stop:
        return by_litert_torch(stop.graph, example, stop.fired, stop.missing)
    return Lowered(done.content, done.fired, "operator by operator", modules_of(done.graph), called_in(done.graph))


def by_litert_torch(graph: fx.GraphModule, example: Tensor, fired: dict[str, int], missing: NoOperator) -> Lowered:
    """The file that litert-torch writes, if it can be opened and answers as the graph does."""
    import litert_torch

    why = f"there is no TFLite operator for {missing.why}"
    try:
        lowered = litert_torch.convert(graph, (example,))
    except Exception as error:
        raise refused(
            missing.node, f"{why}, and litert-torch gives up too ({type(error).__name__}: {first_line(error)})"
        ) from error
    content = named(lowered.model_content())
    try:
        apart = largest_difference(content, graph, example)
    except Exception as error:
        raise refused(
            missing.node, f"{why}, and what litert-torch makes of it LiteRT cannot open ({first_line(error)})"
        ) from error
    if not apart <= OTHER_ANSWER:
        raise refused(missing.node, f"{why}, and the file that litert-torch writes is wrong by {apart:.2g}")
    return Lowered(content, fired, f"by litert-torch, because there is {missing}")


def largest_difference(content: bytes, graph: fx.GraphModule, example: Tensor) -> float:
    """Between the probabilities of a file and of its graph, on one picture of random colours; runs the file."""
    import torch
    from ai_edge_litert.interpreter import Interpreter

    picture = 255 * torch.rand(example.shape, generator=torch.Generator().manual_seed(0))
    interpreter = Interpreter(model_content=content, num_threads=1)
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], picture.numpy())
    interpreter.invoke()
    with torch.no_grad():
        wanted = graph(picture)
    wanted = wanted[0] if isinstance(wanted, (list, tuple)) else wanted
    places = (entry["index"] for entry in interpreter.get_output_details() if len(entry["shape"]) == wanted.ndim)
    return float(np.abs(interpreter.get_tensor(next(places)) - wanted.numpy()).max())


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


def called_in(graph: fx.GraphModule) -> dict[str, str]:
    """Call -> path of the innermost module of the network that made it, where the trace says so."""
    paths = {node.name: module_of(node)[0] for node in graph.graph.nodes if node.op == "call_function"}
    return {name: path for name, path in paths.items() if path}


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


def with_metadata(content: bytes, facts: Mapping[str, object], others: Mapping[bytes, bytes] | None = None) -> bytes:
    """The file with the manifest's facts inside, as JSON under the metadata name `dermedge`, and `others` by name.

    The metadata entry that lets XNNPACK compute a float file in fp16 is left out on purpose: without it a phone's CPU
    computes in float32, as in the comparison of the gate.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    entries = {METADATA.encode(): json.dumps(facts, separators=(",", ":"), ensure_ascii=False).encode()}
    entries |= others or {}
    known = {entry.name: entry for entry in model.metadata or []}
    for name, data in entries.items():
        if name not in known:
            entry = known[name] = schema.MetadataT()
            entry.name, entry.buffer = name, len(model.buffers)
            model.buffers.append(schema.BufferT())
        model.buffers[known[name].buffer].data = np.frombuffer(data, np.uint8)
    model.metadata = list(known.values())
    return pack(model)


def read_metadata(content: bytes) -> dict:
    """The facts that `with_metadata` stored; empty if there are none."""
    model = unpack(content)
    for entry in model.metadata or []:
        if entry.name.decode() == METADATA:
            return json.loads(bytes(model.buffers[entry.buffer].data))
    return {}


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

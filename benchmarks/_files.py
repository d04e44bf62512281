"""The files to measure: the plain conversion, ours by recipe, and peers with random weights, one after another."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from convert._aim import Aim
from convert._untrained import settled
from edge.checkpoint import Checkpoint, Preprocess, check_side, load, shipped
from edge.data.selection import calibration_set
from edge.data.squares import load_squares
from edge.errors import InputError
from edge.labels import PAD_UFES_20
from edge.models import create_model, family_name, normalisation
from edge.preprocess import PREPROCESS_VERSION
from edge.recipes import TFLITE
from edge.tflite.flatbuffer import code_of, pack, unpack

from ._peers import PEERS, peer

if TYPE_CHECKING:
    from convert._tflite.measured import Measured

PLAIN = "plain"
PLAIN_STATIC = "plain static"
CALIBRATED_ON = 64  # photographs of training patients, from which ai-edge-quantizer takes plain static's ranges
PEER_RECIPE = "int8-dynamic"


@dataclass(frozen=True)
class Candidate:
    """One file that is measured."""

    name: str
    content: bytes
    by: str  # in words: how the float file that it comes from was lowered
    parameters: int  # learnt numbers of the torch module
    compared_with: str | None = None  # name of the file that its answers are compared with; None: the float torch model


def checkpoint_at(model: str, side: int) -> Checkpoint:
    """The shipped checkpoint for another input side, in pixels; random weights where none is shipped."""
    check_side(side, where="--side")
    try:
        path = shipped(model)
    except InputError:
        family_name(model)  # raises for an unknown name, and lists the known ones
        state = create_model(model, len(PAD_UFES_20)).state_dict()
        return Checkpoint(model, PAD_UFES_20, Preprocess(PREPROCESS_VERSION, side, *normalisation(model)), state)
    checkpoint = load(path)
    return replace(checkpoint, preprocess=replace(checkpoint.preprocess, side=side))


def trained(checkpoint: Checkpoint) -> bool:
    """Whether its weights were read from a file."""
    return bool(checkpoint.sha256)


def settled_on(images: np.ndarray, checkpoint: Checkpoint) -> Checkpoint:
    """An untrained checkpoint, settled on `images`, uint8 (N, S, S, 3), so that its answers depend on the image."""
    import torch

    torch.manual_seed(0)
    return replace(checkpoint, state=settled(checkpoint.network(), images, checkpoint.preprocess).state_dict())


def count(*, peers: bool) -> int:
    """How many files `candidates` gives at most."""
    return 2 + len(TFLITE) + 2 * len(PEERS) * peers


def candidates(checkpoint: Checkpoint, images: np.ndarray, *, peers: bool, data: Path | None) -> Iterator[Candidate]:
    """Every file, converted when it is asked for. `images`: uint8 (N, S, S, 3), which settle the peers' weights."""
    import litert_torch
    import torch

    from convert._tflite.file import lower
    from convert._tflite.quantise import quantise

    side = checkpoint.preprocess.side
    example = torch.zeros(1, side, side, 3)
    module = checkpoint.deployed(layout="NHWC")
    learnt = parameters(module)
    content = litert_torch.convert(module, (example,)).model_content()
    yield Candidate(PLAIN, content, "by litert-torch, from the module as it is", learnt)
    yield Candidate(PLAIN_STATIC, plain_static(content, calibrating(checkpoint, data)), "as plain", learnt)
    by, files = ours(checkpoint, data)
    for recipe, content in files:
        yield Candidate(recipe, content, by, learnt)
    for name in PEERS if peers else ():
        module = peer(name, len(checkpoint.labels), images)
        lowered, learnt = lower(module, example), parameters(module)
        yield Candidate(name, lowered.content, lowered.by, learnt, compared_with=name)
        content = quantise(lowered.content, PEER_RECIPE)
        yield Candidate(f"{name} {PEER_RECIPE}", content, lowered.by, learnt, compared_with=name)


def calibrating(checkpoint: Checkpoint, data: Path | None) -> np.ndarray:
    """uint8 (N, S, S, 3): photographs of training patients, or drawn ones."""
    photos = calibration_set(checkpoint, data, limit=CALIBRATED_ON)
    return load_squares(photos, checkpoint.preprocess.side)[1]


def plain_static(content: bytes, images: np.ndarray) -> bytes:
    """What ai-edge-quantizer makes of a float file with its recipe `static_wi8_ai8` and float32 in and out.

    Its own calibration on `images`, uint8 (N, S, S, 3), nothing else: the usual way to an 8-bit file.
    """
    from ai_edge_quantizer import quantizer, recipe

    from convert._tflite.layers import preserved_tensors

    worker = quantizer.Quantizer(content, recipe.static_wi8_ai8())
    signature = unpack(content).signatureDefs[0]
    key, name = signature.signatureKey.decode(), signature.inputs[0].name.decode()
    with preserved_tensors():
        ranges = worker.calibrate({key: [{name: image[None].astype(np.float32)} for image in images]})
        result = worker.quantize(ranges)
    return with_float_ends(bytes(result.quantized_model))


def with_float_ends(content: bytes) -> bytes:
    """The file with a QUANTIZE in front and a DEQUANTIZE behind, for the same float32 tensors as all other files."""
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    for inner, builtin in ((int(graph.inputs[0]), "QUANTIZE"), (int(graph.outputs[0]), "DEQUANTIZE")):
        outer = schema.TensorT()
        outer.shape, outer.type, outer.hasRank = graph.tensors[inner].shape, schema.TensorType.FLOAT32, True
        outer.name, outer.buffer = graph.tensors[inner].name + b"_float", 0
        graph.tensors.append(outer)
        added = len(graph.tensors) - 1
        operator = schema.OperatorT()
        operator.opcodeIndex = code_of(model, getattr(schema.BuiltinOperator, builtin))
        forward = builtin == "QUANTIZE"
        pair = (added, inner) if forward else (inner, added)
        operator.inputs, operator.outputs = (np.array([tensor], np.int32) for tensor in pair)
        graph.operators.insert(0 if forward else len(graph.operators), operator)
        if forward:
            graph.inputs = np.array([added], np.int32)
        else:
            graph.outputs = np.array([added], np.int32)
    for signature in model.signatureDefs or []:
        signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex = int(graph.inputs[0]), int(graph.outputs[0])
    return pack(model)


def ours(checkpoint: Checkpoint, data: Path | None) -> tuple[str, Iterator[tuple[str, bytes]]]:
    """How the float file was lowered, and (recipe, bytes) of each recipe; 8-bit schemes are measured for this side."""
    from convert._tflite.file import float_model
    from convert._tflite.measured import measure

    lowered = float_model(checkpoint)
    aim = Aim(TFLITE["int8"].gate_for(untrained=not trained(checkpoint)))
    measurement = measure(checkpoint, lowered, data=data, aim=aim)
    return lowered.by, files_of(lowered.content, measurement)


def files_of(content: bytes, measurement: Measured) -> Iterator[tuple[str, bytes]]:
    """(recipe, bytes) of each recipe that a network can have; `content`: its float file."""
    from convert._tflite.quantise import CHOSEN, FULL, recipe_file
    from convert._tflite.whole import chain_file

    scheme, whole = measurement.scheme, measurement.whole
    for recipe in TFLITE:
        chain = None
        if scheme and whole and recipe in CHOSEN:
            chain = chain_file(whole.floats(content), whole.on_grid(content), scheme, whole=recipe == FULL)
        if recipe != FULL or chain is not None:
            layers = scheme.layers if scheme else None
            yield recipe, recipe_file(recipe, content, measurement.rounded, layers, chain=chain)


def parameters(module) -> int:
    """How many numbers a torch module has learnt; the running statistics of its norms are not counted."""
    return sum(value.numel() for value in module.parameters())

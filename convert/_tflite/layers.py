"""The operators of a float file that have weights, and the activations around them."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from edge.progress import track
from edge.recipes import TFLITE
from edge.scheme import Layer
from edge.tflite.flatbuffer import operator_names, unpack

from .._resize_names import is_matrix
from .audit import has_data, macs_of, macs_with_weights, operand_of

WEIGHTED = ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED", "TRANSPOSE_CONV")
CONVOLUTIONS = {"CONV_2D", "TRANSPOSE_CONV"}  # that may compute in 8 bits
STAY_FLOAT = {"DEPTHWISE_CONV_2D"}  # in every file with 8-bit activations: see `described`
# A convolution that multiplies each input value less often than this is faster in float: quantising a large map takes
# longer than 8-bit products win. hierattn_xs at 256 pixels on AVX-512 VNNI, int8-dynamic against float: 0.90 with every
# convolution in 8 bits, 0.75 so; a limit of 20, 33, 49 or 65 gave 0.87, 0.80, 0.73, 0.75, the last two with less than
# the wanted 80 % of the multiply-accumulates in 8 bits.
PAYS = 40
WANTED_SHARE = TFLITE["int8"].gate.mac_share_int8 or 0.0  # of the multiply-accumulates: what the gate asks for
Modules = Mapping[str, tuple[str, str | None]]  # output tensor -> module with the weight, batch norm folded into it


@dataclass(frozen=True)
class Weighted:
    """One operator with constant weights; numbers are places in the file's lists."""

    operator: str
    options: Any  # the schema's options of a convolution
    input: int  # tensor
    output: int
    weight: int
    bias: int  # -1 where it has none, or one that is computed
    place: int  # of the operator, in the file's order
    shape: tuple[
        int, ...
    ]  # of the weight: (O, kh, kw, I), transposed too, depthwise (1, kh, kw, C), fully connected (O, I)
    macs: int
    per_value: float  # multiply-accumulates for each value of the input

    @property
    def channel_axis(self) -> int:
        """The axis of the weight that has a scale of its own for every place."""
        return 3 if self.operator == "DEPTHWISE_CONV_2D" else 0


def weighted(model) -> list[Weighted]:
    """All operators with learned weights, in the file's order; a resize's matrix is none. `model`: an unpacked file."""
    graph, names = model.subgraphs[0], operator_names()
    layers = []
    for place, o in enumerate(graph.operators):
        name = names[model.operatorCodes[o.opcodeIndex].builtinCode]
        if name not in WEIGHTED or not has_data(model.buffers[graph.tensors[o.inputs[1]].buffer]):
            continue
        if is_matrix(name_of(model, o.inputs[1])):
            continue
        shapes = [[int(n) for n in graph.tensors[i].shape] for i in (*o.inputs[:3], o.outputs[0])]
        operand = operand_of(name)
        layers.append(
            Weighted(
                name,
                o.builtinOptions,
                input=int(o.inputs[operand]),
                output=int(o.outputs[0]),
                weight=int(o.inputs[1]),
                bias=bias_of(model, o, operand),
                place=place,
                shape=tuple(shapes[1]),
                macs=(macs := macs_of(name, shapes[:-1], shapes[-1])),
                per_value=macs / prod(shapes[operand]),
            )
        )
    return layers


def bias_of(model, operator, operand: int) -> int:
    """The tensor of an operator's stored bias, which follows weights and input; -1 where it has none."""
    place = max(operand, 1) + 1
    bias = int(operator.inputs[place]) if len(operator.inputs) > place else -1
    return bias if bias >= 0 and has_data(model.buffers[model.subgraphs[0].tensors[bias].buffer]) else -1


def described(content: bytes, modules: Modules | None = None) -> list[Layer]:
    """Every layer with the least harmful 8-bit kind: dynamic, or float where 8 bits are no faster or have no kernel.

    As many convolutions as `WANTED_SHARE` of the multiply-accumulates needs are taken even if they do not pay.
    XNNPACK has no dynamically quantised depthwise convolution: each would end its piece of the graph and go to slow
    kernels, for weights that are hardly a hundredth of the file.
    """
    model = unpack(content)
    layers = weighted(model)
    total, done = macs_with_weights(model), 0
    taken = set()
    order = sorted(range(len(layers)), key=lambda n: (layers[n].operator != "FULLY_CONNECTED", -layers[n].per_value))
    for number in order:
        layer = layers[number]
        worth = layer.per_value >= PAYS or done < WANTED_SHARE * total
        if layer.operator == "FULLY_CONNECTED" or (layer.operator in CONVOLUTIONS and worth):
            taken.add(number)
            done += layer.macs
    descriptions = []
    for number, layer in enumerate(layers):
        name = name_of(model, layer.output)
        module, norm = (modules or {}).get(name, (None, None))
        kind = "dynamic" if number in taken else "float"
        descriptions.append(Layer(name, layer.operator, kind, layer.macs, module=module, normalised_by=norm))
    return descriptions


def reachable_share(content: bytes) -> float:
    """Of the multiply-accumulates of layers with weights, those that can be on 8-bit activations, 0..1."""
    total = max(1, macs_with_weights(unpack(content)))
    return sum(layer.macs for layer in described(content) if layer.kind != "float") / total


def resizing(model) -> list[str]:
    """The results of products with a resize's matrix, by tensor name."""
    return [
        name_of(model, o.outputs[0])
        for o in model.subgraphs[0].operators
        if len(o.inputs) > 1 and is_matrix(name_of(model, o.inputs[1]))
    ]


def values_of(model, layer: Weighted) -> np.ndarray:
    """The layer's weights, float64 in their shape."""
    data = model.buffers[model.subgraphs[0].tensors[layer.weight].buffer].data
    return np.frombuffer(bytes(data), np.float32).reshape(layer.shape).astype(np.float64)


def name_of(model, tensor: int) -> str:
    return model.subgraphs[0].tensors[tensor].name.decode()


def activations(content: bytes, images: np.ndarray, doing: str) -> Iterator:
    """Run uint8 images (N, S, S, 3); after each, give a function that returns any float tensor by its number."""
    from ai_edge_litert.interpreter import Interpreter

    with preserved_tensors():
        interpreter = Interpreter(model_content=content, num_threads=1, experimental_preserve_all_tensors=True)
        interpreter.allocate_tensors()
    image_index = interpreter.get_input_details()[0]["index"]
    for image in track(images, doing, len(images)):
        interpreter.set_tensor(image_index, image[None].astype(np.float32))
        interpreter.invoke()
        yield interpreter.get_tensor


@contextmanager
def preserved_tensors() -> Iterator[None]:
    """Silences the runtime's warning that keeping every tensor takes memory; the quantiser does so for their ranges."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*experimental_preserve_all_tensors", UserWarning)
        yield

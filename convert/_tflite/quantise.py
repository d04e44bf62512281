"""From the float32 file to every other recipe: rules for the quantiser, layer by layer, and the byte input."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from edge.recipes import TFLITE
from edge.scheme import Layer
from edge.tflite.flatbuffer import pack, unpack
from edge.tflite.versions import with_versions

from .channel_scales import with_scales_behind
from .half_constants import with_half_constants
from .half_norms import steps_of, with_half_norms
from .layers import described, preserved_tensors, resizing
from .rank_four import with_rank_four
from .rounding import with_float_depthwise
from .whole_products import with_products_as_convolutions

ROUNDED = {name for name, recipe in TFLITE.items() if recipe.weights == 8}  # from the file with rounded weights
CHOSEN = {name for name, recipe in TFLITE.items() if recipe.measured}  # made by a scheme
HALF = {name for name, recipe in TFLITE.items() if recipe.weights == 16}
FULL = "int8-full"
OPERATIONS = {"TRANSPOSE_CONV": "CONV_2D_TRANSPOSE"}  # the quantiser's names where they are not the schema's


def recipe_file(
    recipe: str,
    float32: bytes,
    rounded: bytes,
    layers: Sequence[Layer] | None,
    *,
    halves: bytes | None = None,
    chain: bytes | None = None,
) -> bytes:
    """The file of a recipe. `layers`: those of the scheme, which int8 and int8-io need.

    `rounded`, `halves`: the float file with the weights that 8 bits or half precision hold, None for the nearest.
    `chain`: the file with a chain in 8 bits (`whole.py`), where the scheme has one; of int8-full the file itself.
    """
    if recipe == FULL:
        if chain is None:
            raise ValueError(f"{recipe} needs a scheme with ranges")
        return with_versions(with_products_as_convolutions(chain))
    content = rounded if recipe in ROUNDED else float32
    if recipe in HALF and halves is not None:
        content = halves
    if recipe in CHOSEN or recipe == "int8-dynamic":
        content = with_float_depthwise(content, float32)
    norms = steps_of(float32)
    if recipe not in CHOSEN:
        content = with_half_norms(with_scales_behind(quantise(content, recipe)), norms)
        return with_versions(with_rank_four(content) if recipe in ROUNDED else content)
    if layers is None:
        raise ValueError(f"{recipe} needs a scheme")
    content = shipped(with_half_constants(apply(content, layers)) if chain is None else chain)
    content = with_half_norms(content, norms)
    return with_versions(with_byte_input(content) if recipe == "int8-io" else content)


def shipped(content: bytes) -> bytes:
    """A file with its layers in 8 bits as `int8` is shipped: products that old runtimes get right."""
    content = with_rank_four(with_scales_behind(with_products_as_convolutions(content)))
    return with_versions(content)


def quantise(content: bytes, recipe: str) -> bytes:
    """A float32 file in a recipe that needs no measurement: fp32, fp16, int8-weights, int8-dynamic."""
    if recipe == "fp32":
        return content
    from ai_edge_quantizer import recipe as known

    if recipe == "int8-dynamic":
        return with_half_constants(apply(content, described(content)))
    if recipe == "fp16":
        return with_half_constants(FloatFile(content).quantised(half_floats()))
    left = [untouched(name) for name in resizing(unpack(content))]
    return with_half_constants(FloatFile(content).quantised(known.weight_only_wi8_afp32() + left))


def apply(content: bytes, layers: Sequence[Layer]) -> bytes:
    """A float32 file with every layer as the scheme says; float32 input and output."""
    return FloatFile(content).with_layers(layers)


class FloatFile:
    """A float32 file, parsed once, from which files with other layers in 8 bits are made."""

    def __init__(self, content: bytes) -> None:
        from ai_edge_quantizer import quantizer

        graph = unpack(content).subgraphs[0]
        names = [tensor.name.decode() for tensor in graph.tensors]
        self.content = content
        self.input_of = {names[o.outputs[0]]: names[o.inputs[0]] for o in graph.operators}  # by its first output
        self.axes = {name: max(1, len(tensor.shape)) for name, tensor in zip(names, graph.tensors, strict=True)}
        self.worker = quantizer.Quantizer(content)

    def with_layers(self, layers: Sequence[Layer]) -> bytes:
        """The file with every layer as given; float32 input and output."""
        statistics: dict[str, tuple[float, float]] = {}
        for layer in layers:
            if layer.kind == "static" and layer.input and layer.output:
                statistics |= {self.input_of[layer.tensor]: layer.input, layer.tensor: layer.output}
        rules = [rule_for(layer) for layer in layers if layer.kind != "float"]
        return self.quantised(rules, statistics) if rules else self.content

    def quantised(self, rules: list[dict], ranges: Mapping[str, tuple[float, float]] | None = None) -> bytes:
        """The file by the quantiser's own rules; `ranges` of the tensors that static rules ask for."""
        self.worker.load_quantization_recipe(rules)
        with preserved_tensors():
            result = self.worker.quantize(
                {name: self.statistics(name, *limits) for name, limits in (ranges or {}).items()} or None,
                enable_progress_bar=False,
                enable_progress_report=False,
            )
        return bytes(result.quantized_model)

    def statistics(self, tensor: str, low: float, high: float) -> dict[str, np.ndarray]:
        """A range as the quantiser keeps it: one value, with as many axes as the tensor has."""
        shape = (1,) * self.axes[tensor]
        return {"min": np.full(shape, low, np.float32), "max": np.full(shape, high, np.float32)}


def rule_for(layer: Layer) -> dict:
    """The quantiser's rule for one layer, found by its output tensor."""
    from ai_edge_quantizer import recipe as known

    (rule,) = known.static_wi8_ai8() if layer.kind == "static" else known.dynamic_wi8_afp32()
    return {
        **rule,
        "operation": OPERATIONS.get(layer.operator, layer.operator),
        "regex": of_tensor(layer.tensor),
    }


def untouched(tensor: str) -> dict:
    """The quantiser's rule that leaves the operator of an output tensor as it is, behind rules for all."""
    from ai_edge_quantizer import recipe as known

    return {
        "regex": of_tensor(tensor),
        "operation": "*",
        "algorithm_key": known.AlgorithmName.NO_QUANTIZE,
        "op_config": {},
    }


def of_tensor(tensor: str) -> str:
    """The quantiser's pattern for the operator with this output."""
    return of_tensors([tensor])


def of_tensors(tensors: Sequence[str]) -> str:
    """The quantiser's pattern for the operator with these outputs."""
    return f"^{';'.join(map(re.escape, tensors))};?$"


def with_byte_input(content: bytes) -> bytes:
    """The file with a uint8 input in front: the camera's bytes, used as numbers from 0 to 255.

    The new input has scale 1 and zero point 0, and one DEQUANTIZE turns it into the old input. That is exact: the
    answers are those of the float input, bit for bit.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = unpack(content)
    graph = model.subgraphs[0]
    old = graph.inputs[0]
    byte_input = schema.TensorT()
    byte_input.shape, byte_input.type, byte_input.hasRank = graph.tensors[old].shape, schema.TensorType.UINT8, True
    byte_input.name, graph.tensors[old].name = graph.tensors[old].name, b"numbers"
    byte_input.quantization = schema.QuantizationParametersT()
    byte_input.quantization.scale, byte_input.quantization.zeroPoint = np.ones(1, np.float32), np.zeros(1, np.int64)
    graph.tensors.append(byte_input)
    new = len(graph.tensors) - 1
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEQUANTIZE
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


def half_floats() -> list[dict]:
    """Rules that store weights in fp16 and leave the precision of arithmetic to the runtime."""
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

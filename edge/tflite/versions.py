"""The version of every operator, by the rules of TensorFlow (tensorflow/lite/tools/versioning/op_version.cc).

A runtime refuses a version that it does not know, and computes whatever it finds under one that it knows. A version
that is too low is therefore wrong in silence on old runtimes: TFLite up to 2.16 takes a float FULLY_CONNECTED with a
scale for each channel, version 12, for one with a single scale if it is called version 5, and on ARM answers nonsense.

Three rules are stricter than TensorFlow's. It has two by mistake for 16-bit weights only: 16-bit activations with 8-bit
weights of convolutions are version 4 and 5, of fully connected layers version 7. And it has none for float activations
with weights of fewer than 8 bits, of which Android's library 2.14 and 2.16.1 makes wrong answers or NaN: fully
connected layers get version 12, which both refuse, and convolutions 8, the highest that LiteRT opens, which
2.14 refuses.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from .flatbuffer import code_name, pack, unpack

FLOAT32, FLOAT16, INT32, UINT8, INT64, STRING, BOOL, INT16, COMPLEX64, INT8, FLOAT64 = range(11)  # schema's TensorType
UINT32, UINT16, INT4, BFLOAT16, INT2 = 15, 16, 17, 18, 19
SHUFFLED = 1  # FullyConnectedOptionsWeightsFormat
BASIC_KERNEL = 1  # LSTMKernelType


@dataclass(frozen=True)
class Tensor:
    """What the rules ask of a tensor."""

    type: int
    shape: tuple[int, ...] = ()
    scales: tuple[float, ...] = ()  # none: not quantised; several: one per channel
    sparse: bool = False


@dataclass(frozen=True)
class Use:
    """One operator of a file: its tensors (None: left out) and its options, the schema's object or None."""

    inputs: tuple[Tensor | None, ...]
    outputs: tuple[Tensor | None, ...]
    options: Any = None

    def type(self, place: int) -> int | None:
        tensor = self.inputs[place] if place < len(self.inputs) else None
        return None if tensor is None else tensor.type

    def rank(self, place: int) -> int:
        tensor = self.inputs[place] if place < len(self.inputs) else None
        return 0 if tensor is None else len(tensor.shape)

    @property
    def output(self) -> int | None:
        return self.outputs[0].type if self.outputs and self.outputs[0] else None

    def option(self, name: str) -> Any:
        return getattr(self.options, name, None)


Condition = Callable[[Use], Any]
Rules = tuple[tuple[int, Condition], ...]  # the first that holds gives the version


def takes(*types: int, place: int = 0) -> Condition:
    return lambda use: use.type(place) in types


def types(first: int, second: int, output: int) -> Condition:
    return lambda use: (use.type(0), use.type(1), use.output) == (first, second, output)


def in_and_out(kind: int) -> Condition:
    return lambda use: use.type(0) == use.output == kind


def gives(*types: int) -> Condition:
    return lambda use: use.output in types


def option(*names: str) -> Condition:
    return lambda use: any(use.option(name) for name in names)


def both(*conditions: Condition) -> Condition:
    return lambda use: all(condition(use) for condition in conditions)


def either(*conditions: Condition) -> Condition:
    return lambda use: any(condition(use) for condition in conditions)


def per_channel(place: int) -> Condition:
    return lambda use: len(getattr(use.inputs[place], "scales", ())) > 1


def quantised(use: Use) -> bool:
    return bool(use.inputs[0] and use.inputs[0].scales)


def unquantised(use: Use) -> bool:
    return not quantised(use)


def above_rank(rank: int) -> Condition:
    return lambda use: use.rank(0) > rank


def grouped(use: Use) -> bool:
    """A convolution whose filters see a part of the input's channels."""
    shapes = [tensor.shape for tensor in use.inputs[:2] if tensor]
    return [len(shape) for shape in shapes] == [4, 4] and shapes[0][3] != shapes[1][3]


def broadcast_above_rank_4(use: Use) -> bool:
    shapes = [tensor.shape for tensor in use.inputs[:2] if tensor]
    return len(shapes) == 2 and shapes[0] != shapes[1] and max(map(len, shapes)) > 4


def scale_grows(use: Use) -> bool:
    """Of a product in fixed point: it has to be multiplied by 1 or more to fit the output's scale."""
    scales = [tensor.scales[0] if tensor and tensor.scales else 0.0 for tensor in (*use.inputs[:2], *use.outputs[:1])]
    return all(scales) and scales[0] * scales[1] / scales[2] >= 1


def bias_of_32_bits(use: Use) -> bool:
    return use.option("quantizedBiasType") not in (None, FLOAT32)  # the schema's default stands for "not said"


HYBRID = types(FLOAT32, INT8, FLOAT32)
ALL_INT8 = types(INT8, INT8, INT8)
INT4_WEIGHTS = types(INT8, INT4, INT8)
FEW_BITS = either(types(FLOAT32, INT4, FLOAT32), types(FLOAT32, INT2, FLOAT32))
INT16_WITH_INT8 = types(INT16, INT8, INT16)
ALL_INT16 = either(types(INT16, INT16, INT16), INT16_WITH_INT8)
ASYMMETRIC = option("asymmetricQuantizeInputs")
BYTES: Rules = ((2, takes(INT8)),)
BYTES_AND_SHORTS: Rules = ((3, takes(INT16)), (2, takes(INT8)))
RECURRENT: Rules = (
    (3, both(takes(INT8, place=1), gives(FLOAT32), ASYMMETRIC)),
    (2, both(takes(INT8, place=1), gives(FLOAT32))),
)
POOLING: Rules = ((3, in_and_out(INT16)), (2, takes(INT8)))
EXTREMES: Rules = ((4, in_and_out(INT16)), (3, broadcast_above_rank_4), (2, takes(INT8)))
BLOCKS: Rules = ((4, takes(INT16)), (3, lambda use: use.rank(0) != 4), (2, takes(INT8)))
PADDING: Rules = ((5, takes(BOOL)), (4, above_rank(4)), (3, takes(INT16)), (2, takes(INT8)))
PLACES: Rules = ((3, takes(BOOL)), (2, takes(INT8)))
SHORT_OR_BYTE: Rules = ((2, takes(INT8, INT16)),)

RULES: dict[str, Rules] = {
    "ABS": (
        (5, takes(INT32)), (3, both(takes(INT16), quantised)), (4, takes(INT16)), (2, takes(INT8, UINT8)),
    ),
    "ADD": (
        (5, both(takes(INT16), unquantised)), (4, takes(INT64)),
        (3, lambda use: in_and_out(INT16)(use) and use.option("potScaleInt16") is False), (2, takes(INT8)),
    ),
    "ARG_MAX": PLACES,
    "ARG_MIN": PLACES,
    "AVERAGE_POOL_2D": POOLING,
    "BATCH_MATMUL": ((3, takes(INT16)), (2, takes(INT8)), (4, both(HYBRID, ASYMMETRIC))),
    "BATCH_TO_SPACE_ND": BLOCKS,
    "BIDIRECTIONAL_SEQUENCE_LSTM": RECURRENT,
    "BIDIRECTIONAL_SEQUENCE_RNN": RECURRENT,
    "BROADCAST_TO": ((3, takes(INT8, INT16)), (2, lambda use: True)),
    "CAST": (
        (7, either(takes(BFLOAT16), gives(BFLOAT16))), (6, both(takes(INT4), gives(FLOAT32))),
        (5, either(takes(FLOAT64, FLOAT16), gives(FLOAT64, FLOAT16))), (4, either(takes(UINT16), gives(UINT16))),
        (3, either(takes(INT8), gives(INT8))), (2, either(takes(UINT32), gives(UINT32))),
    ),
    "CONCATENATION": ((4, takes(UINT32)), *BYTES_AND_SHORTS),
    "CONV_2D": (
        (8, either(both(INT16_WITH_INT8, bias_of_32_bits), FEW_BITS)), (6, grouped), (4, ALL_INT16), (3, ALL_INT8),
        (7, INT4_WEIGHTS), (5, both(HYBRID, per_channel(1))), (2, HYBRID),
    ),
    "DEPTHWISE_CONV_2D": (
        (5, ALL_INT16), (6, both(HYBRID, per_channel(1))), (4, HYBRID), (3, ALL_INT8), (7, INT4_WEIGHTS),
        (2, lambda use: {use.option("dilationWFactor"), use.option("dilationHFactor")} - {None, 1}),
    ),
    "DEPTH_TO_SPACE": BYTES,
    "DEQUANTIZE": (
        (6, takes(INT4)), (3, takes(INT16, FLOAT16)), (5, both(takes(INT8), per_channel(0))), (2, takes(INT8)),
    ),
    "DIV": ((2, broadcast_above_rank_4),),
    "DYNAMIC_UPDATE_SLICE": ((4, takes(INT16)), (3, takes(FLOAT16)), (2, takes(INT64, place=2))),
    "EMBEDDING_LOOKUP": ((4, either(takes(INT4, place=1), per_channel(1))),),
    "EQUAL": ((4, takes(INT16)), (3, takes(STRING)), (2, takes(INT8))),
    "EXP": SHORT_OR_BYTE,
    "FAKE_QUANT": ((2, option("narrowRange")),),
    "FILL": (
        (4, takes(FLOAT16, place=1)), (3, takes(INT8, INT16, place=1)), (2, takes(BOOL, STRING, place=1)),
    ),
    "FLOOR_DIV": ((3, takes(INT16, INT8)), (2, takes(FLOAT32))),
    "FLOOR_MOD": SHORT_OR_BYTE,
    "FULLY_CONNECTED": (
        (13, types(INT16, INT4, INT16)), (12, either(both(HYBRID, per_channel(1)), FEW_BITS)),
        (11, both(INT16_WITH_INT8, bias_of_32_bits)), (8, lambda use: use.inputs[1] and use.inputs[1].sparse),
        (7, ALL_INT16), (6, lambda use: len(use.inputs) == 2), (5, option("keepNumDims")), (4, ALL_INT8),
        (10, INT4_WEIGHTS), (9, both(HYBRID, ASYMMETRIC)), (3, HYBRID),
        (2, lambda use: use.option("weightsFormat") == SHUFFLED),
    ),
    "GATHER": (
        (7, takes(INT4)), (6, takes(INT16, place=1)), (5, option("batchDims")), (4, takes(INT16)), (3, takes(BOOL)),
        (2, takes(INT8)),
    ),
    "GATHER_ND": ((5, takes(BOOL)), (4, takes(INT16, place=1)), (3, takes(INT16)), (2, takes(STRING))),
    "GELU": ((2, takes(INT8, UINT8)),),
    "GREATER": BYTES,
    "GREATER_EQUAL": BYTES_AND_SHORTS,
    "L2_NORMALIZATION": ((2, gives(INT8)),),
    "LEAKY_RELU": ((2, takes(INT16)),),
    "LESS": BYTES_AND_SHORTS,
    "LESS_EQUAL": BYTES,
    "LOG": SHORT_OR_BYTE,
    "LOGISTIC": POOLING,
    "LOG_SOFTMAX": BYTES,
    "LSTM": (
        (5, lambda use: (use.type(0), use.type(2), use.output) == (INT16, INT8, INT16)),
        (4, lambda use: (use.type(0), use.type(2), use.output) == (FLOAT32, INT8, FLOAT32) and ASYMMETRIC(use)),
        (3, lambda use: (use.type(0), use.type(2), use.output) == (FLOAT32, INT8, FLOAT32)),
        (2, lambda use: use.option("kernelType") == BASIC_KERNEL),
    ),
    "MAXIMUM": EXTREMES,
    "MAX_POOL_2D": POOLING,
    "MEAN": BYTES_AND_SHORTS,
    "MINIMUM": EXTREMES,
    "MIRROR_PAD": BYTES_AND_SHORTS,
    "MUL": (
        (7, either(both(takes(INT16), unquantised), takes(UINT32))), (6, takes(COMPLEX64)), (5, takes(INT64)),
        (4, takes(INT16)), (3, scale_grows), (2, takes(INT8)),
    ),
    "NOT_EQUAL": ((3, takes(STRING)), (2, takes(INT8))),
    "PACK": ((2, takes(INT8)), (3, in_and_out(INT16)), (4, takes(UINT32))),
    "PAD": PADDING,
    "PADV2": PADDING,
    "QUANTIZE": (
        (4, either(takes(INT4), gives(INT4))),
        (3, lambda use: len(use.outputs[0].scales) > 1 if use.outputs[0] else False), (2, gives(INT16)),
    ),
    "RANGE": ((2, takes(INT64)),),
    "REDUCE_MAX": BYTES_AND_SHORTS,
    "REDUCE_MIN": BYTES_AND_SHORTS,
    "REDUCE_PROD": SHORT_OR_BYTE,
    "RELU": ((3, takes(INT16)), (2, takes(INT8, UINT8))),
    "RELU6": BYTES_AND_SHORTS,
    "RESIZE_BILINEAR": ((4, takes(INT16)), (3, option("halfPixelCenters")), (2, takes(INT8))),
    "RESIZE_NEAREST_NEIGHBOR": (
        (4, takes(INT16)), (3, option("halfPixelCenters", "alignCorners")), (2, takes(INT8)),
    ),
    "REVERSE_V2": ((3, takes(INT8)), (2, takes(BOOL))),
    "RNN": RECURRENT,
    "RSQRT": BYTES_AND_SHORTS,
    "SELECT": (
        (4, takes(UINT32)), (3, lambda use: 5 in {use.rank(place) for place in range(3)}), (2, takes(INT8)),
    ),
    "SELECT_V2": ((2, takes(UINT32)),),
    "SIGN": ((2, takes(INT32)),),
    "SLICE": (
        (6, takes(UINT32)), (5, above_rank(4)), (4, takes(INT16)), (3, takes(STRING)), (2, takes(INT8)),
    ),
    "SOFTMAX": BYTES_AND_SHORTS,
    "SPACE_TO_BATCH_ND": BLOCKS,
    "SPACE_TO_DEPTH": BYTES,
    "SPARSE_TO_DENSE": ((3, takes(INT8, UINT8, place=2)), (2, takes(INT64, place=2))),
    "SPLIT": ((4, takes(INT16, place=1)), (3, takes(INT32, place=1)), (2, takes(INT8, place=1))),
    "SPLIT_V": BYTES,
    "SQUARED_DIFFERENCE": BYTES,
    "SQUEEZE": ((2, takes(STRING)),),
    "STRIDED_SLICE": (
        (8, option("offset")), (7, takes(UINT32)), (6, option("ellipsisMask", "newAxisMask")), (5, takes(STRING)),
        (4, above_rank(4)), (3, takes(BOOL)), (2, takes(INT8)),
    ),
    "SUB": (
        (5, lambda use: in_and_out(INT16)(use) and use.option("potScaleInt16") is False), (4, takes(INT64)),
        (3, broadcast_above_rank_4), (2, takes(INT8)),
    ),
    "SUM": BYTES,
    "SVDF": ((3, takes(INT8)), (4, both(HYBRID, ASYMMETRIC)), (2, HYBRID)),
    "TANH": POOLING,
    "TILE": ((3, takes(INT8)), (2, takes(STRING))),
    "TOPK_V2": (
        (3, either(takes(INT16), takes(INT16, place=1), lambda use: INT16 in {t.type for t in use.outputs[1:] if t})),
        (2, takes(INT8)),
    ),
    "TRANSPOSE": (
        (7, takes(INT4)), (6, above_rank(5)), (5, takes(INT16)), (4, above_rank(4)), (3, takes(BOOL)),
        (2, takes(INT8)),
    ),
    "TRANSPOSE_CONV": (
        (5, both(lambda use: (use.type(2), use.type(1), use.output) == (INT16, INT8, INT16), bias_of_32_bits)),
        (4, option("fusedActivationFunction")), (3, lambda use: use.type(3) is not None), (2, takes(INT8, place=1)),
    ),
    "UNIDIRECTIONAL_SEQUENCE_LSTM": (
        (5, lambda use: (use.type(0), use.type(2), use.output) == (INT16, INT8, INT16)),
        (4, option("diagonalRecurrentTensors")),
        (3, lambda use: (use.type(0), use.type(2), use.output) == (FLOAT32, INT8, FLOAT32) and ASYMMETRIC(use)),
        (2, lambda use: (use.type(0), use.type(2), use.output) == (FLOAT32, INT8, FLOAT32)),
    ),
    "UNIDIRECTIONAL_SEQUENCE_RNN": RECURRENT,
    "UNPACK": ((2, takes(INT8, UINT8)), (3, takes(BOOL)), (4, in_and_out(INT16))),
    "WHERE": ((1, takes(BOOL)), (2, lambda use: True)),
}  # fmt: skip


def version_of(operator: str, use: Use) -> int:
    """The version that TensorFlow's rules give to an operator, by the schema's name of it."""
    return next((version for version, holds in RULES.get(operator, ()) if holds(use)), 1)


def with_versions(content: bytes) -> bytes:
    """The file with every operator's version by the rules, or the higher one that it has."""
    model = unpack(content)
    set_versions(model)
    return pack(model)


def set_versions(model) -> None:
    """Give every operator of an unpacked file its version.

    Operators of one kind and different versions get operator codes of their own, so that each says what it needs.
    """
    codes: list = []
    places: dict[tuple, int] = {}
    for graph in model.subgraphs:
        tensors = [described(tensor) for tensor in graph.tensors]
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            version = max(code.version, version_of(code_name(code), use_of(operator, tensors)))
            key = (code.builtinCode, code.customCode, version)
            if key not in places:
                places[key] = len(codes)
                codes.append(copy_of(code, version))
            operator.opcodeIndex = places[key]
    model.operatorCodes = codes


def described(tensor) -> Tensor:
    shape = () if tensor.shape is None else tuple(int(n) for n in tensor.shape)
    scale = None if tensor.quantization is None else tensor.quantization.scale
    scales = () if scale is None else tuple(float(s) for s in scale)
    return Tensor(int(tensor.type), shape, scales, tensor.sparsity is not None)


def use_of(operator, tensors: list[Tensor]) -> Use:
    def at(places) -> tuple[Tensor | None, ...]:
        return tuple(tensors[int(place)] if place >= 0 else None for place in (() if places is None else places))

    return Use(at(operator.inputs), at(operator.outputs), operator.builtinOptions)


def copy_of(code, version: int):
    new = copy.copy(code)
    new.version = version
    return new

"""Operator versions: one case for each rule, as TensorFlow's op_version.cc has them, and files of our own."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from edge.tflite.versions import (
    BFLOAT16,
    BOOL,
    COMPLEX64,
    FLOAT16,
    FLOAT32,
    FLOAT64,
    INT2,
    INT4,
    INT8,
    INT16,
    INT32,
    INT64,
    RULES,
    STRING,
    UINT8,
    UINT16,
    UINT32,
    Tensor,
    Use,
    version_of,
)  # fmt: skip

F, H, D, B, U, S, I, L = FLOAT32, FLOAT16, FLOAT64, INT8, UINT8, INT16, INT32, INT64  # noqa: E741
HYBRID, FIXED, NIBBLES, SHORTS, MIXED = (F, B, F), (B, B, B), (B, INT4, B), (S, S, S), (S, B, S)
RANK = {rank: (2,) * rank for rank in range(7)}


def t(kind: int, rank: int = 2, scales: int = 0, *, scale: float = 1.0, shape: tuple[int, ...] = (), sparse=False):
    return Tensor(kind, shape or RANK[rank], (scale,) * scales, sparse)


def use(*kinds: int, out: int | None = None, rank: int = 2, **options) -> Use:
    """An operator of plain tensors; `out`: type of its output, that of the first input by default."""
    inputs = tuple(t(kind, rank) for kind in kinds)
    return Use(inputs, (t(kinds[0] if out is None else out, rank),), SimpleNamespace(**options))


def weighted(kinds: tuple[int, int, int], *, channels: int = 1, bias: bool = True, **options) -> Use:
    image, weight, out = (t(kind, 4) for kind in kinds)
    weight = t(weight.type, 4, channels)
    return Use((image, weight, t(F, 1)) if bias else (image, weight), (out,), SimpleNamespace(**options))


GROUPED = Use((t(F, shape=(1, 8, 8, 4)), t(F, shape=(6, 3, 3, 2)), t(F, 1)), (t(F, 4),), None)
WIDE = Use((t(F, 5), t(F, shape=(1, 1, 1, 1, 2))), (t(F, 5),), None)  # broadcasts above rank 4
FILTERS = {"keepNumDims": True, "asymmetricQuantizeInputs": False}
DILATED = {"dilationWFactor": 2, "dilationHFactor": 1}
PLAIN = {"dilationWFactor": 1, "dilationHFactor": 1}
BIAS_32 = {"quantizedBiasType": INT32}
ASYMMETRIC = {"asymmetricQuantizeInputs": True}
TRANSPOSED = Use((t(I, 1), t(F, 4), t(F, 4)), (t(F, 4),), SimpleNamespace(fusedActivationFunction=0))
TRANSPOSED_BYTES = Use((t(I, 1), t(B, 4), t(B, 4)), (t(B, 4),), SimpleNamespace(fusedActivationFunction=0))
TRANSPOSED_BIAS = Use((*TRANSPOSED.inputs, t(F, 1)), TRANSPOSED.outputs, TRANSPOSED.options)
TRANSPOSED_SHORTS = Use((t(I, 1), t(B, 4), t(S, 4)), (t(S, 4),), SimpleNamespace(**BIAS_32))
SCALED = [Use((t(B, scales=1, scale=s), t(B, scales=1)), (t(B, scales=1),), None) for s in (0.5, 1.0)]


def recurrent(**options) -> Use:
    return use(F, B, out=F, **options)


CASES: dict[str, list[tuple[Use, int]]] = {
    "ABS": [(use(F), 1), (use(B), 2), (Use((t(S, scales=1),), (t(S),)), 3), (use(S), 4), (use(I), 5)],
    "ADD": [
        (use(F, F), 1), (use(B, B), 2), (use(L, L), 4), (use(S, S), 5),
        (Use((t(S, scales=1), t(S, scales=1)), (t(S, scales=1),), SimpleNamespace(potScaleInt16=False)), 3),
    ],
    "ARG_MAX": [(use(F), 1), (use(B), 2), (use(BOOL), 3)],
    "ARG_MIN": [(use(F), 1), (use(B), 2), (use(BOOL), 3)],
    "AVERAGE_POOL_2D": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "BATCH_MATMUL": [(use(F, F), 1), (use(B, B), 2), (use(S, S), 3), (use(F, B, out=F, **ASYMMETRIC), 4)],
    "BATCH_TO_SPACE_ND": [(use(F, rank=4), 1), (use(B, rank=4), 2), (use(F, rank=3), 3), (use(S, rank=4), 4)],
    "BIDIRECTIONAL_SEQUENCE_LSTM": [(use(F, F), 1), (recurrent(), 2), (recurrent(**ASYMMETRIC), 3)],
    "BIDIRECTIONAL_SEQUENCE_RNN": [(use(F, F), 1), (recurrent(), 2), (recurrent(**ASYMMETRIC), 3)],
    "BROADCAST_TO": [(use(F), 2), (use(B), 3), (use(S), 3)],
    "CAST": [
        (use(F, out=I), 1), (use(UINT32, out=F), 2), (use(F, out=B), 3), (use(UINT16, out=F), 4), (use(H, out=F), 5),
        (use(F, out=D), 5), (use(INT4, out=F), 6), (use(F, out=BFLOAT16), 7),
    ],
    "CONCATENATION": [(use(F), 1), (use(B), 2), (use(S), 3), (use(UINT32), 4)],
    "CONV_2D": [
        (weighted((F, F, F)), 1), (weighted(HYBRID), 2), (weighted(FIXED, channels=4), 3), (weighted(SHORTS), 4),
        (weighted(MIXED, quantizedBiasType=FLOAT32), 4), (weighted(HYBRID, channels=4), 5), (GROUPED, 6),
        (weighted(NIBBLES), 7), (weighted(MIXED, **BIAS_32), 8), (weighted((F, INT4, F), channels=4), 8),
        (weighted((F, INT2, F)), 8),
    ],
    "DEPTHWISE_CONV_2D": [
        (weighted((F, F, F), **PLAIN), 1), (weighted((F, F, F), **DILATED), 2), (weighted(FIXED, **PLAIN), 3),
        (weighted(HYBRID, **PLAIN), 4), (weighted(SHORTS, **PLAIN), 5), (weighted(MIXED, **PLAIN), 5),
        (weighted(HYBRID, channels=4, **PLAIN), 6), (weighted(NIBBLES, **PLAIN), 7),
    ],
    "DEPTH_TO_SPACE": [(use(F), 1), (use(B), 2)],
    "DEQUANTIZE": [
        (use(U, out=F), 1), (use(B, out=F), 2), (use(H, out=F), 3), (use(S, out=F), 3),
        (Use((t(B, scales=4),), (t(F),)), 5), (use(INT4, out=F), 6),
    ],
    "DIV": [(use(F, F), 1), (WIDE, 2)],
    "DYNAMIC_UPDATE_SLICE": [(use(F, F, I), 1), (use(F, F, L), 2), (use(H, H, I), 3), (use(S, S, I), 4)],
    "EMBEDDING_LOOKUP": [
        (use(I, F), 1), (use(I, INT4), 4), (Use((t(I), t(B, scales=4)), (t(F),)), 4),
    ],
    "EQUAL": [(use(F), 1), (use(B), 2), (use(STRING), 3), (use(S), 4)],
    "EXP": [(use(F), 1), (use(B), 2), (use(S), 2)],
    "FAKE_QUANT": [(use(F, narrowRange=False), 1), (use(F, narrowRange=True), 2)],
    "FILL": [(use(I, F), 1), (use(I, BOOL), 2), (use(I, STRING), 2), (use(I, B), 3), (use(I, S), 3), (use(I, H), 4)],
    "FLOOR_DIV": [(use(I, I), 1), (use(F, F), 2), (use(B, B), 3), (use(S, S), 3)],
    "FLOOR_MOD": [(use(F, F), 1), (use(B, B), 2), (use(S, S), 2)],
    "FULLY_CONNECTED": [
        (weighted((F, F, F)), 1), (weighted((F, F, F), weightsFormat=1), 2), (weighted(HYBRID), 3),
        (weighted(FIXED), 4), (weighted(HYBRID, **FILTERS), 5), (weighted((F, F, F), bias=False, **FILTERS), 6),
        (weighted(SHORTS), 7), (weighted(MIXED, quantizedBiasType=FLOAT32), 7),
        (Use((t(F), t(F, sparse=True), t(F, 1)), (t(F),)), 8), (weighted(HYBRID, **ASYMMETRIC), 9),
        (weighted(NIBBLES), 10), (weighted(MIXED, **BIAS_32), 11), (weighted(HYBRID, channels=4, **FILTERS), 12),
        (weighted((S, INT4, S)), 13), (weighted((F, INT4, F), channels=4, **FILTERS), 12), (weighted((F, INT2, F)), 12),
    ],
    "GATHER": [
        (use(F, I), 1), (use(B, I), 2), (use(BOOL, I), 3), (use(S, I), 4), (use(F, I, batchDims=1), 5), (use(F, S), 6),
        (use(INT4, I), 7),
    ],
    "GATHER_ND": [(use(F, I), 1), (use(STRING, I), 2), (use(S, I), 3), (use(F, S), 4), (use(BOOL, I), 5)],
    "GELU": [(use(F), 1), (use(B), 2), (use(U), 2)],
    "GREATER": [(use(F), 1), (use(B), 2)],
    "GREATER_EQUAL": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "L2_NORMALIZATION": [(use(F), 1), (use(B), 2)],
    "LEAKY_RELU": [(use(F), 1), (use(S), 2)],
    "LESS": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "LESS_EQUAL": [(use(F), 1), (use(B), 2)],
    "LOG": [(use(F), 1), (use(B), 2), (use(S), 2)],
    "LOGISTIC": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "LOG_SOFTMAX": [(use(F), 1), (use(B), 2)],
    "LSTM": [
        (use(F, F, F, kernelType=0), 1), (use(F, F, F, kernelType=1), 2), (use(F, F, B, out=F, kernelType=0), 3),
        (use(F, F, B, out=F, kernelType=0, **ASYMMETRIC), 4), (use(S, B, B, out=S, kernelType=0), 5),
    ],
    "MAXIMUM": [(use(F, F), 1), (use(B, B), 2), (WIDE, 3), (use(S, S), 4)],
    "MAX_POOL_2D": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "MEAN": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "MINIMUM": [(use(F, F), 1), (use(B, B), 2), (WIDE, 3), (use(S, S), 4)],
    "MIRROR_PAD": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "MUL": [
        (use(F, F), 1), (SCALED[0], 2), (SCALED[1], 3), (Use((t(S, scales=1), t(S, scales=1)), (t(S),)), 4),
        (use(L, L), 5), (use(COMPLEX64, COMPLEX64), 6), (use(S, S), 7), (use(UINT32, UINT32), 7),
    ],
    "NOT_EQUAL": [(use(F), 1), (use(B), 2), (use(STRING), 3)],
    "PACK": [(use(F), 1), (use(B), 2), (use(S), 3), (use(UINT32), 4)],
    "PAD": [(use(F), 1), (use(B), 2), (use(S), 3), (use(F, rank=5), 4), (use(BOOL), 5)],
    "PADV2": [(use(F), 1), (use(B), 2), (use(S), 3), (use(F, rank=5), 4), (use(BOOL), 5)],
    "QUANTIZE": [
        (use(F, out=B), 1), (use(F, out=S), 2), (Use((t(F),), (t(B, scales=4),)), 3), (use(F, out=INT4), 4),
    ],
    "RANGE": [(use(I), 1), (use(L), 2)],
    "REDUCE_MAX": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "REDUCE_MIN": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "REDUCE_PROD": [(use(F), 1), (use(B), 2), (use(S), 2)],
    "RELU": [(use(F), 1), (use(B), 2), (use(U), 2), (use(S), 3)],
    "RELU6": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "RESIZE_BILINEAR": [
        (use(F, halfPixelCenters=False), 1), (use(B, halfPixelCenters=False), 2), (use(F, halfPixelCenters=True), 3),
        (use(S, halfPixelCenters=True), 4),
    ],
    "RESIZE_NEAREST_NEIGHBOR": [
        (use(F), 1), (use(B), 2), (use(F, halfPixelCenters=True), 3), (use(F, alignCorners=True), 3), (use(S), 4),
    ],
    "REVERSE_V2": [(use(F), 1), (use(BOOL), 2), (use(B), 3)],
    "RNN": [(use(F, F), 1), (recurrent(), 2), (recurrent(**ASYMMETRIC), 3)],
    "RSQRT": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "SELECT": [
        (use(BOOL, F, F), 1), (use(B, F, F), 2), (use(BOOL, F, F, rank=5), 3), (use(UINT32, UINT32, UINT32), 4),
    ],
    "SELECT_V2": [(use(BOOL), 1), (use(UINT32), 2)],
    "SIGN": [(use(F), 1), (use(I), 2)],
    "SLICE": [
        (use(F), 1), (use(B), 2), (use(STRING), 3), (use(S), 4), (use(F, rank=5), 5), (use(UINT32), 6),
    ],
    "SOFTMAX": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "SPACE_TO_BATCH_ND": [(use(F, rank=4), 1), (use(B, rank=4), 2), (use(F, rank=3), 3), (use(S, rank=4), 4)],
    "SPACE_TO_DEPTH": [(use(F), 1), (use(B), 2)],
    "SPARSE_TO_DENSE": [(use(I, I, F), 1), (use(I, I, L), 2), (use(I, I, B), 3), (use(I, I, U), 3)],
    "SPLIT": [(use(I, F), 1), (use(I, B), 2), (use(I, I), 3), (use(I, S), 4)],
    "SPLIT_V": [(use(F), 1), (use(B), 2)],
    "SQUARED_DIFFERENCE": [(use(F, F), 1), (use(B, B), 2)],
    "SQUEEZE": [(use(F), 1), (use(STRING), 2)],
    "STRIDED_SLICE": [
        (use(F), 1), (use(B), 2), (use(BOOL), 3), (use(F, rank=5), 4), (use(STRING), 5), (use(F, ellipsisMask=1), 6),
        (use(F, newAxisMask=1), 6), (use(UINT32), 7), (use(F, offset=True), 8),
    ],
    "SUB": [(use(F, F), 1), (use(B, B), 2), (WIDE, 3), (use(L, L), 4), (use(S, S, potScaleInt16=False), 5)],
    "SUM": [(use(F), 1), (use(B), 2)],
    "SVDF": [(use(F, F), 1), (use(F, B, out=F), 2), (use(B, B), 3), (use(F, B, out=F, **ASYMMETRIC), 4)],
    "TANH": [(use(F), 1), (use(B), 2), (use(S), 3)],
    "TILE": [(use(F), 1), (use(STRING), 2), (use(B), 3)],
    "TOPK_V2": [(use(F, I), 1), (use(B, I), 2), (use(S, I), 3), (use(F, S), 3), (Use((t(F), t(I)), (t(F), t(S))), 3)],
    "TRANSPOSE": [
        (use(F), 1), (use(B), 2), (use(BOOL), 3), (use(F, rank=5), 4), (use(S), 5), (use(F, rank=6), 6), (use(INT4), 7),
    ],
    "TRANSPOSE_CONV": [
        (TRANSPOSED, 1), (TRANSPOSED_BYTES, 2), (TRANSPOSED_BIAS, 3), (TRANSPOSED_SHORTS, 5),
        (Use(TRANSPOSED.inputs, TRANSPOSED.outputs, SimpleNamespace(fusedActivationFunction=1)), 4),
    ],
    "UNIDIRECTIONAL_SEQUENCE_LSTM": [
        (use(F, F, F), 1), (use(F, F, B, out=F), 2), (use(F, F, B, out=F, **ASYMMETRIC), 3),
        (use(F, F, F, diagonalRecurrentTensors=True), 4), (use(S, B, B, out=S), 5),
    ],
    "UNIDIRECTIONAL_SEQUENCE_RNN": [(use(F, F), 1), (recurrent(), 2), (recurrent(**ASYMMETRIC), 3)],
    "UNPACK": [(use(F), 1), (use(B), 2), (use(U), 2), (use(BOOL), 3), (use(S), 4)],
    "WHERE": [(use(BOOL), 1), (use(F), 2)],
}  # fmt: skip


@pytest.mark.parametrize("operator", CASES)
def test_each_rule_gives_its_version(operator: str) -> None:
    assert [version_of(operator, case) for case, _ in CASES[operator]] == [version for _, version in CASES[operator]]


def test_no_rule_is_without_a_case() -> None:
    assert CASES.keys() == RULES.keys()
    for operator, rules in RULES.items():
        tried = {version for _, version in CASES[operator]}
        assert {version for version, _ in rules} <= tried, operator


def test_an_operator_without_rules_is_version_1() -> None:
    assert version_of("RESHAPE", use(B)) == version_of("NEG", use(F)) == 1

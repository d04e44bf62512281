"""The oldest TFLite that opens a file and computes it rightly: the release that brought the newest of its operators'
versions, or a kind of operands that older ones open and then get wrong.

The table began as TensorFlow's own (tensorflow/lite/tools/versioning/runtime_version.cc). Where Android's library, from
2.5 to 2.16.1, was seen to do otherwise, it says what that library does; a test asks the libraries that are set up.
"""

from __future__ import annotations

from .flatbuffer import code_name, operators_of, unpack
from .versions import ALL_INT8, FLOAT32, INT2, INT4, INT8, Use, described, per_channel, use_of

# Releases of TensorFlow by operator, for its versions 1, 2, 3, ...; `never` was given to none.
RELEASES: dict[str, str] = {
    "ABS": "1.13 2.4 2.5 2.6 2.12",
    "ADD": "1.5 1.14 2.4 2.6 2.13",
    "ADD_N": "1.14",
    "ARG_MAX": "1.9 1.14 2.9",
    "ARG_MIN": "1.9 1.14 2.9",
    "ASSIGN_VARIABLE": "2.6",
    "ATAN2": "2.10",
    "AVERAGE_POOL_2D": "1.5 1.14 2.3",
    "BATCH_MATMUL": "2.3 2.3 2.4 2.5",
    "BATCH_TO_SPACE_ND": "1.6 1.14 2.3 2.13",
    "BIDIRECTIONAL_SEQUENCE_LSTM": "1.14 1.14 1.14",
    "BIDIRECTIONAL_SEQUENCE_RNN": "1.14 1.14 2.3",
    "BITCAST": "2.13",
    "BITWISE_XOR": "2.13",
    "BROADCAST_ARGS": "2.7",
    "BROADCAST_TO": "never 2.5 2.5",
    "BUCKETIZE": "2.8",
    "CALL_ONCE": "2.5",
    "CAST": "1.5 2.7 2.8 2.9 2.13 2.15 2.17",
    "CEIL": "1.14",
    "COMPLEX_ABS": "2.5",
    "CONCATENATION": "1.5 1.14 2.3 2.14",
    "CONV_2D": "1.5 1.14 1.14 2.3 2.4 2.9 2.12 2.15",
    "CONV_3D": "2.5",
    "CONV_3D_TRANSPOSE": "2.6",
    "COS": "1.14",
    "CUMSUM": "2.4",
    "DENSIFY": "2.2",
    "DEPTHWISE_CONV_2D": "1.5 1.12 1.14 2.2 2.3 2.3 2.13",
    "DEPTH_TO_SPACE": "2.1 2.5",
    "DEQUANTIZE": "1.13 1.14 1.15 2.2 2.7 2.18",
    "DILATE": "2.15",
    "DIV": "1.6 2.3",
    "DYNAMIC_UPDATE_SLICE": "2.9 2.17 2.19 2.20",
    "ELU": "1.14",
    "EMBEDDING_LOOKUP": "1.13 1.14 1.14 2.18",
    "EQUAL": "1.14 1.14 2.3 2.13",
    "EXP": "1.7 2.13",
    "EXPAND_DIMS": "1.10",
    "FAKE_QUANT": "1.5 1.10",
    "FILL": "1.13 2.3 2.5 2.12",
    "FLOOR": "1.9",
    "FLOOR_DIV": "1.14 1.14 2.13",
    "FLOOR_MOD": "1.13 2.13",
    "FULLY_CONNECTED": "1.5 1.10 1.14 1.14 2.0 2.1 2.3 2.3 2.3 2.13 2.15 2.17 2.18",
    "GATHER": "1.6 1.14 1.15 2.4 2.5 2.13 2.15",
    "GATHER_ND": "1.14 2.3 2.5 2.13 2.16",
    "GELU": "2.8 2.9",
    "GREATER": "1.14 1.14",
    "GREATER_EQUAL": "1.14 1.14 2.13",
    "HARD_SWISH": "1.15",
    "IF": "1.15",
    "IMAG": "2.5",
    "L2_NORMALIZATION": "1.5 1.14",
    "L2_POOL_2D": "1.5",
    "LEAKY_RELU": "1.13 2.3",
    "LESS": "1.14 1.14 2.13",
    "LESS_EQUAL": "1.14 1.14",
    "LOCAL_RESPONSE_NORMALIZATION": "1.5",
    "LOG": "1.14 2.15",
    "LOGICAL_AND": "1.11",
    "LOGICAL_NOT": "1.11",
    "LOGICAL_OR": "1.11",
    "LOGISTIC": "1.14 1.14 2.3",
    "LOG_SOFTMAX": "1.14 1.14",
    "LSTM": "1.7 1.10 1.14 2.3",
    "MATRIX_DIAG": "1.14",
    "MATRIX_SET_DIAG": "1.14",
    "MAXIMUM": "1.14 1.14 2.3 2.3",
    "MAX_POOL_2D": "1.5 1.14 2.3",
    "MEAN": "1.6 1.14 2.4",
    "MINIMUM": "1.14 1.14 2.3 2.3",
    "MIRROR_PAD": "1.13 2.3 2.13",
    "MUL": "1.5 1.14 1.15 2.3 2.6 2.11 2.13",
    "MULTINOMIAL": "2.8",
    "NEG": "1.9",
    "NON_MAX_SUPPRESSION_V4": "2.1",
    "NON_MAX_SUPPRESSION_V5": "2.1",
    "NOT_EQUAL": "1.14 1.14 2.3",
    "ONE_HOT": "1.11",
    "PACK": "1.11 1.14 2.3 2.14",
    "PAD": "1.5 1.14 2.4 2.6",
    "PADV2": "1.9 1.14 2.4 2.6",
    "POW": "1.10",
    "PRELU": "1.8",
    "QUANTIZE": "1.14 1.15 2.7",
    "RANDOM_STANDARD_NORMAL": "2.7",
    "RANDOM_UNIFORM": "2.8",
    "RANGE": "1.13 2.14",
    "RANK": "1.14",
    "READ_VARIABLE": "2.6",
    "REAL": "2.5",
    "REDUCE_ALL": "2.6",
    "REDUCE_ANY": "1.11",
    "REDUCE_MAX": "1.11 1.14 2.5",
    "REDUCE_MIN": "1.11 1.14 2.5",
    "REDUCE_PROD": "1.11 2.7",
    "RELU": "1.5 2.1 2.5",
    "RELU6": "1.5 1.14 2.5",
    "RELU_0_TO_1": "2.10",
    "RELU_N1_TO_1": "1.5",
    "RESHAPE": "1.5",
    "RESIZE_BILINEAR": "1.7 1.14 2.2 2.5",
    "RESIZE_NEAREST_NEIGHBOR": "1.13 1.14 2.3 2.4",
    "REVERSE_SEQUENCE": "1.14",
    "REVERSE_V2": "1.14 2.2 2.5",
    "RFFT2D": "2.5",
    "RIGHT_SHIFT": "2.13",
    "RNN": "1.5 1.14 2.3",
    "ROUND": "1.14",
    "RSQRT": "1.10 2.5 2.15",
    "SCATTER_ND": "2.1",
    "SEGMENT_SUM": "2.2",
    "SELECT": "1.14 1.14 2.12 2.14",
    "SELECT_V2": "2.2 2.14",
    "SHAPE": "1.10",
    "SIGN": "2.11 2.12",
    "SIN": "1.9",
    "SLICE": "1.14 1.14 1.14 2.4 2.5 2.14",
    "SOFTMAX": "1.5 1.14 2.3",
    "SPACE_TO_BATCH_ND": "1.6 1.14 2.3 2.13",
    "SPACE_TO_DEPTH": "1.5 1.14",
    "SPARSE_TO_DENSE": "1.9 1.14 1.15",
    "SPLIT": "1.5 1.14 1.14 2.3",
    "SPLIT_V": "1.13 2.3",
    "SQRT": "1.10",
    "SQUARE": "1.12",
    "SQUARED_DIFFERENCE": "1.13 2.5",
    "SQUEEZE": "1.6 2.5",
    "STABLEHLO_COMPOSITE": "2.17",
    "STRIDED_SLICE": "1.6 1.14 2.1 2.2 2.5 2.6 2.14 2.14",
    "SUB": "1.6 1.14 2.3 2.4 2.4",
    "SUM": "1.10 1.15",
    "SVDF": "1.5 1.14 2.2 2.3",
    "TANH": "1.14 1.14 2.3",
    "TILE": "1.10 2.2 2.8",
    "TOPK_V2": "1.7 1.14 2.13",
    "TRANSPOSE": "1.6 1.14 1.15 2.3 2.4 2.12 2.17",
    "TRANSPOSE_CONV": "1.9 2.2 2.3 2.12 2.15",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "1.13 1.14 2.3 2.12",
    "UNIDIRECTIONAL_SEQUENCE_RNN": "1.14 1.14 2.3",
    "UNIQUE": "1.14",
    "UNPACK": "1.11 1.14 2.2 2.3",
    "UNSORTED_SEGMENT_MAX": "2.10",
    "UNSORTED_SEGMENT_MIN": "2.11",
    "UNSORTED_SEGMENT_PROD": "2.10",
    "UNSORTED_SEGMENT_SUM": "2.10",
    "VAR_HANDLE": "2.6",
    "WHERE": "1.14 2.8",
    "WHILE": "1.15",
    "ZEROS_LIKE": "1.12",
}
NEVER = "never"
FOUR_BITS = (2, 14)  # 2.8 refuses such tensors, 2.14 opens them; those between were not tried
WHOLE_BY_CHANNEL = (2, 10)  # 2.8 and 2.9 take one scale for all channels, 2.10 to 2.12 were seen right
NEWEST = "a LiteRT that knows {}"


def opens_from(content: bytes) -> str:
    """In words, the oldest runtime that opens the file and computes it rightly, as the manifest says it."""
    newest, unknown = (0, 0), []
    model = unpack(content)
    stored = {int(tensor.type) for graph in model.subgraphs for tensor in graph.tensors}
    if INT4 in stored:
        newest = FOUR_BITS
    if any(map(is_whole_by_channel, uses_of(model, "FULLY_CONNECTED"))):
        newest = max(newest, WHOLE_BY_CHANNEL)
    if INT2 in stored:
        unknown.append("tensors of 2 bits")
    if any(map(is_hybrid_transposed, uses_of(model, "TRANSPOSE_CONV"))):
        unknown.append("TRANSPOSE_CONV of float32 with weights of int8")
    for name, version in operators_of(model):
        release = release_of(name, version)
        if release is None:
            unknown.append(f"{name} version {version}")
        else:
            newest = max(newest, release)
    return NEWEST.format(", ".join(unknown)) if unknown else f"LiteRT / TFLite {newest[0]}.{newest[1]}"


def release_of(operator: str, version: int) -> tuple[int, int] | None:
    """The first release, as (2, 16), whose library opens that version; None where the table does not know it."""
    releases = RELEASES.get(operator, "").split()
    if not 1 <= version <= len(releases) or releases[version - 1] == NEVER:
        return None
    major, minor = releases[version - 1].split(".")
    return int(major), int(minor)


def is_hybrid_transposed(use: Use) -> bool:
    """Of a transposed convolution: 2.16.1 and before open its version, and then refuse its types."""
    return (use.type(1), use.type(2)) in {(INT8, FLOAT32), (INT4, FLOAT32)}


def is_whole_by_channel(use: Use) -> bool:
    """Of a product: operand, weights and result in int8, the weights with several scales, which its version hides."""
    return ALL_INT8(use) and per_channel(1)(use)


def uses_of(model, name: str) -> list[Use]:
    """Every operator of that name, with its tensors."""
    uses = []
    for graph in model.subgraphs:
        tensors = [described(tensor) for tensor in graph.tensors]
        for operator in graph.operators:
            if code_name(model.operatorCodes[operator.opcodeIndex]) == name:
                uses.append(use_of(operator, tensors))
    return uses

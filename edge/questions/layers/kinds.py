"""Which ATen operations an operation of a file may be, where the values do not tell."""

from __future__ import annotations

# These move values and compute none.
MOVING = {
    "RESHAPE", "TRANSPOSE", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "SLICE", "CONCATENATION", "SQUEEZE", "EXPAND_DIMS",
    "QUANTIZE", "DEQUANTIZE", "CAST", "PAD", "GATHER", "PACK", "UNPACK", "BROADCAST_TO",
    "reshape", "transpose", "split", "slice_by_index", "slice_by_size", "concat", "squeeze", "expand_dims", "cast",
    "pad", "gather", "stack", "identity", "quantize", "dequantize",
    "Reshape", "Transpose", "Split", "Slice", "Concat", "Cast", "Pad", "Gather", "Expand", "QuantizeLinear",
    "DequantizeLinear",
}  # fmt: skip
QUANTISING = {
    "QUANTIZE",
    "DEQUANTIZE",
    "quantize",
    "dequantize",
    "QuantizeLinear",
    "DequantizeLinear",
}  # of these, those that also round, and may clip
# These have a counterpart in torch whatever was rewritten around them.
ANCHORS = {
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
    "BATCH_MATMUL",
    "conv",
    "conv_transpose",
    "linear",
    "matmul",
    "conv2d",
    "batch_matmul",
    "Conv",
    "ConvTranspose",
    "Gemm",
    "MatMul",
}
NORMS = {"batch_norm", "_native_batch_norm_legit_no_training", "getitem"}
ACTIVATIONS = {"relu", "relu6", "hardtanh", "clamp", "silu", "hardswish", "hardsigmoid", "gelu"}
CONVOLUTION = {"conv1d", "conv2d", "conv_transpose2d", "convolution"} | NORMS | ACTIVATIONS
PRODUCT = {"linear", "addmm", "matmul", "bmm", "mm"} | ACTIVATIONS
# What a product with a constant matrix may stand for.
RESIZES = {f"upsample_{mode}2d" for mode in ("nearest", "bilinear", "bicubic")}
RESIZES |= {f"_upsample_{mode}" for mode in ("nearest_exact2d", "bilinear2d_aa", "bicubic2d_aa")}
RESIZES |= {"upsample_linear1d", "upsample_nearest1d", "_upsample_nearest_exact1d", "adaptive_avg_pool2d"}
KINDS = {
    "conv_2d": CONVOLUTION, "depthwise_conv_2d": CONVOLUTION, "conv": CONVOLUTION,
    "transpose_conv": CONVOLUTION, "conv_transpose": CONVOLUTION, "convtranspose": CONVOLUTION, "gemm": PRODUCT,
    "conv2d": CONVOLUTION | PRODUCT, "divide": {"div"},
    "fully_connected": PRODUCT | RESIZES, "linear": PRODUCT,
    "batch_matmul": PRODUCT, "matmul": PRODUCT | RESIZES,
    "softmax": {"softmax", "_softmax"}, "logistic": {"sigmoid", "silu"}, "sigmoid": {"sigmoid"},
    "mul": {"mul", "div", "silu", "pow", "square", "layer_norm", "native_layer_norm", "sigmoid"},
    "add": {"add", "layer_norm"},
    "sub": {"sub", "rsub"}, "div": {"div"}, "real_div": {"div"},
    "mean": {"mean", "avg_pool2d", "adaptive_avg_pool2d"},
    "reduce_mean": {"mean"}, "reduce_sum": {"sum"}, "sum": {"sum"},
    "average_pool_2d": {"avg_pool2d", "adaptive_avg_pool2d"},
    "avg_pool": {"avg_pool2d", "adaptive_avg_pool2d"}, "max_pool_2d": {"max_pool2d"}, "max_pool": {"max_pool2d"},
    "resize_bilinear": RESIZES, "resize_nearest_neighbor": RESIZES, "upsample_bilinear": RESIZES,
    "upsample_nearest_neighbor": RESIZES, "hard_swish": {"hardswish"}, "leaky_relu": {"leaky_relu"},
    "reducemean": {"mean", "avg_pool2d", "adaptive_avg_pool2d"}, "reducesum": {"sum"}, "reducemax": {"amax", "max"},
    "averagepool": {"avg_pool2d", "adaptive_avg_pool2d"}, "maxpool": {"max_pool2d"}, "resize": RESIZES,
    "clip": {"clamp", "relu6", "hardtanh"}, "leakyrelu": {"leaky_relu"}, "reciprocal": {"rsqrt", "reciprocal"},
    "batch_norm": NORMS, "square": {"pow", "square"},
}  # fmt: skip


def kinds_of(kind: str) -> set[str]:
    """Plain ATen names for the operation's name in its format; that name itself where nothing else is known."""
    return KINDS.get(kind.lower(), {kind.lower()})

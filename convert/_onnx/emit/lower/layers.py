"""Layers with weights, matrix products, windows, resizes; maps are (N, C, H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from torch import fx

from ...._graph.graph import CONVOLUTION, TRANSPOSED, arguments, aten, filled
from ...._graph.passes.average_borders import average_of
from ...._graph.passes.pool_borders import max_pool_of
from .scope import Scope, shape_of

# torch's resize -> the attributes of Resize that mean the same; `resizes` has left whole factors alone
RESIZES: dict[object, dict[str, str]] = {
    aten.upsample_bilinear2d.vec: {"mode": "linear", "coordinate_transformation_mode": "half_pixel"},
    aten.upsample_nearest2d.vec: {
        "mode": "nearest", "coordinate_transformation_mode": "asymmetric", "nearest_mode": "floor",
    },
    # its place in the old map is floor((i + 1/2) old / new)
    aten._upsample_nearest_exact2d.vec: {
        "mode": "nearest", "coordinate_transformation_mode": "half_pixel", "nearest_mode": "round_prefer_ceil",
    },
}  # fmt: skip


def linear(s: Scope, node: fx.Node) -> str:
    x, weight, bias = filled(node, None, None, None)
    shape = shape_of(node)
    if weight not in s.constants:
        raise NotImplementedError("a linear layer with a weight that is computed")
    if len(shape) == 2:
        operands = [s[x], s[weight], *([s[bias]] if bias is not None else [])]
        return s.one("Gemm", operands, shape, node.name, transB=1)
    turned = s.writer.constant(s.constants[weight].T, weight.name)
    product = s.one("MatMul", [s[x], turned], shape, node.name)
    return product if bias is None else s.one("Add", [product, s[bias]], shape, f"{node.name}_shifted")


def product(s: Scope, node: fx.Node) -> str:
    return s.one("MatMul", [s[a] for a in arguments(node)], shape_of(node), node.name)


def windows(kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], behind: Sequence[int]) -> dict:
    return {"kernel_shape": list(kernel), "strides": list(stride), "pads": [*padding, *behind]}


def conv2d(s: Scope, node: fx.Node) -> str:
    x, weight, bias, stride, padding, dilation, groups = filled(node, *CONVOLUTION)
    kernel = s.held(weight, "a kernel")  # (outputs, inputs / groups, rows, columns)
    operands = [s[x], s[weight], *([s[bias]] if bias is not None else [])]
    return s.one(
        "Conv", operands, shape_of(node), node.name,
        **windows(kernel.shape[2:], stride, padding, padding), dilations=list(dilation), group=groups,
    )  # fmt: skip


def conv_transpose2d(s: Scope, node: fx.Node) -> str:
    x, weight, bias, stride, padding, extra, groups, dilation = filled(node, *TRANSPOSED)
    kernel = s.held(weight, "a kernel")  # (inputs, outputs / groups, rows, columns)
    operands = [s[x], s[weight], *([s[bias]] if bias is not None else [])]
    return s.one(
        "ConvTranspose", operands, shape_of(node), node.name, **windows(kernel.shape[2:], stride, padding, padding),
        dilations=list(dilation), group=groups, output_padding=list(extra),
    )  # fmt: skip


def behind(node: fx.Node, x: fx.Node, kernel, stride, padding, dilation=(1, 1)) -> list[int]:
    """Places behind the map that the last window reaches, so that rounding up is not left to a runtime."""
    old, new = shape_of(x)[2:], shape_of(node)[2:]
    reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
    return [
        max((count - 1) * st + k - length - p, 0)
        for length, count, k, st, p in zip(old, new, reach, stride, padding, strict=True)
    ]


def average_pool(s: Scope, node: fx.Node) -> str:
    pool = average_of(node)
    end = behind(node, pool.x, pool.kernel, pool.stride, pool.padding)
    counted = pool.counted and any(pool.padding)  # what rounding up adds behind the map torch counts nowhere
    if pool.divisor or (pool.ceiling and counted):
        raise NotImplementedError("an average pool with a divisor of its own")
    return s.one(
        "AveragePool", [s[pool.x]], shape_of(node), node.name,
        **windows(pool.kernel, pool.stride, pool.padding, end), count_include_pad=int(counted),
    )  # fmt: skip


def max_pool(s: Scope, node: fx.Node) -> str:
    x, kernel, stride, padding, dilation, _ = max_pool_of(node)
    end = behind(node, x, kernel, stride, padding, dilation)
    spread: dict[str, Any] = {} if list(dilation) == [1, 1] else {"dilations": list(dilation)}
    return s.one(
        "MaxPool", [s[x]], shape_of(node), node.name, **windows(kernel, stride, padding, end), **spread
    )  # fmt: skip


def resize(s: Scope, node: fx.Node) -> str:
    x, corners = arguments(node)[0], arguments(node)[2] if node.target is aten.upsample_bilinear2d.vec else False
    attributes = dict(RESIZES[node.target])
    if corners:
        attributes["coordinate_transformation_mode"] = "align_corners"
    empty = s.writer.constant(np.zeros(0, np.float32), "nothing")
    operands = [s[x], empty, empty, s.integers(shape_of(node), "size")]
    return s.one("Resize", operands, shape_of(node), node.name, **attributes)

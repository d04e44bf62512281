"""Each operator of a file by itself: what is joined stays joined, and the table adds up."""

from __future__ import annotations

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from benchmarks import operators
from convert._tflite.emit.writer import Code, Writer
from edge.tflite.flatbuffer import operators_of, unpack


def padded() -> bytes:
    """PAD and CONV_2D of weights that a DEQUANTIZE expands, then RELU."""
    w = Writer()
    x = w.tensor([1, 4, 4, 2], "image")
    weight = w.constant(np.ones((3, 3, 3, 2), np.float32), "weight")
    w.graph.tensors[weight].type = schema.TensorType.FLOAT16
    w.buffers[w.graph.tensors[weight].buffer].data = np.ones(54, np.float16).view(np.uint8)
    (expanded,) = w.operator(Code.DEQUANTIZE, [weight], [[3, 3, 3, 2]], "expanded")
    amounts = w.constant(np.array([[0, 0], [1, 1], [1, 1], [0, 0]], np.int32), "amounts")
    (y,) = w.operator(Code.PAD, [x, amounts], [[1, 6, 6, 2]], "padded")
    options = schema.Conv2DOptionsT()
    options.strideH = options.strideW = options.dilationHFactor = options.dilationWFactor = 1
    options.padding = schema.Padding.VALID
    inputs = [y, expanded, w.constant(np.zeros(3, np.float32), "bias")]
    (z,) = w.operator(Code.CONV_2D, inputs, [[1, 4, 4, 3]], "conv", options, schema.BuiltinOptions.Conv2DOptions)
    (z,) = w.operator(Code.RELU, [z], [[1, 4, 4, 3]], "relu")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def test_what_is_joined_to_a_product_is_timed_with_it() -> None:
    alone = operators.files_of(padded())
    held = [(kind, [name for name, _ in operators_of(unpack(content))]) for kind, content in alone]
    assert held == [("CONV_2D", ["PAD", "DEQUANTIZE", "CONV_2D"]), ("RELU", ["RELU"])]
    for _, content in alone:
        operators.runner(content)()  # LiteRT opens and runs it


def test_the_table_has_kinds_by_cost_and_products_together() -> None:
    page = operators.table("x.tflite", ["CONV_2D", "MUL", "CONV_2D", "SOFTMAX"], [3.0, 2.0, 1.0, 0.5], 10.0)
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in page.splitlines()[2:]]
    assert rows == [
        ["CONV_2D", "2", "40.0%"], ["MUL", "1", "20.0%"], ["SOFTMAX", "1", "5.0%"],
        ["products together", "2", "40.0%"], ["all, each alone", "4", "65.0%"],
    ]  # fmt: skip

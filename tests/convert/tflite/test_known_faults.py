"""Each rule of phones' processors: a file that breaks it, and one that differs in the one thing that matters."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert._judge import broken_rules
from convert._tflite.audit import audit
from convert._tflite.emit.writer import Code, Writer
from convert._tflite.known_faults import known_faults
from edge.accelerators import FAULTS
from edge.tflite.flatbuffer import unpack


def product_into_sum(*, rank: int = 3, eight: bool = True, into: int = Code.ADD, scaled: bool = False) -> bytes:
    w = Writer()
    shape = [1] * (rank - 1) + [4]
    x = w.tensor(shape, "image")
    weight = w.constant(np.eye(4, dtype=np.float32), "weight")
    (y,) = w.operator(Code.FULLY_CONNECTED, [x, weight], [shape], "fc", schema.FullyConnectedOptionsT(), 8)
    if scaled:
        (y,) = w.operator(Code.MUL, [y, w.constant(np.float32([2, 2, 2, 2]))], [shape], "scaled")
    (z,) = w.operator(into, [y, x], [shape], "z")
    if eight:
        w.graph.tensors[weight].type = schema.TensorType.INT8
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def attention(*, rank: int = 3, softmax: bool = True) -> bytes:
    w = Writer()
    shape = [1] * (rank - 3) + [2, 3, 3]
    x = w.tensor(shape, "image")
    (y,) = w.operator(Code.BATCH_MATMUL, [x, x], [shape], "scores")
    (y,) = w.operator(Code.MUL, [y, w.constant(np.float32([2]))], [shape], "scaled")
    (z,) = w.operator(Code.SOFTMAX if softmax else Code.ABS, [y], [shape], "z")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def gate(code: int, *, into_map: bool = True, size: int = 8) -> bytes:
    w = Writer()
    x = w.tensor([1, size, size, 4], "image")
    (m,) = w.operator(code, [x, w.constant(np.array([1, 2]))], [[1, 1, 1, 4]], "squeezed")
    (m,) = w.operator(Code.LOGISTIC, [m], [[1, 1, 1, 4]], "gate")
    (z,) = w.operator(Code.MUL, [x if into_map else m, m], [[1, size, size, 4] if into_map else [1, 1, 1, 4]], "z")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def broadcast(*, rank: int = 3, constant: bool = False) -> bytes:
    w = Writer()
    x = w.tensor([1, 2, 3, 4], "image")
    if constant:
        other = w.constant(np.ones((4,), np.float32))
    else:
        shape = [1, 2, 3, 4][4 - rank :]
        (other,) = w.operator(Code.RESHAPE, [w.tensor(shape, "second")], [shape], "other")
    (z,) = w.operator(Code.ADD, [x, other], [[1, 2, 3, 4]], "z")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def product(*, scales: int = 1, expanded: bool = False, eight: bool = True, whole: bool = False) -> bytes:
    """A FULLY_CONNECTED of rank 2, with weights in 8 bits that it reads itself, or that a DEQUANTIZE expands.

    `whole`: operand and result in 8 bits, too.
    """
    w = Writer()
    x, weight = w.tensor([1, 4], "image"), w.constant(np.eye(4, dtype=np.float32), "weight")
    read = w.operator(Code.DEQUANTIZE, [weight], [[4, 4]], "expanded")[0] if expanded else weight
    (y,) = w.operator(Code.FULLY_CONNECTED, [x, read], [[1, 4]], "fc", schema.FullyConnectedOptionsT(), 8)
    if eight:
        w.graph.tensors[weight].type = schema.TensorType.INT8
    for tensor in (x, y) if whole else ():
        w.graph.tensors[tensor].type = schema.TensorType.INT8
    w.graph.tensors[weight].quantization = schema.QuantizationParametersT()
    w.graph.tensors[weight].quantization.scale = np.ones(scales, np.float32)
    return w.finish({"image": x}, {"probabilities": y}, description="x")


def masked(*, same: bool = False) -> bytes:
    w = Writer()
    x, mask = w.tensor([1, 2, 3, 3], "image"), w.tensor([1, 2 if same else 1, 3, 3], "mask")
    (y,) = w.operator(Code.BATCH_MATMUL, [x, x], [[1, 2, 3, 3]], "scores")
    (z,) = w.operator(Code.ADD, [y, mask], [[1, 2, 3, 3]], "z")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def sum_out(*, read: bool = True) -> bytes:
    w = Writer()
    x = w.tensor([1, 4], "image")
    (y,) = w.operator(Code.ADD, [x, x], [[1, 4]], "sum")
    (z,) = w.operator(Code.ABS, [y if read else x], [[1, 4]], "z")
    return w.finish({"image": x}, {"probabilities": z, "sum": y}, description="x")


def padded(*, amounts: tuple = ((0, 0), (1, 1), (0, 0))) -> bytes:
    w = Writer()
    shape = [2, 3, 4, 4][-len(amounts) :]
    x, padding = w.tensor(shape, "image"), w.constant(np.array(amounts, np.int32))
    (z,) = w.operator(Code.PAD, [x, padding], [[n + sum(p) for n, p in zip(shape, amounts, strict=True)]], "z")
    return w.finish({"image": x}, {"probabilities": z}, description="x")


def single(code: int, shapes: list, options=None, kind: int = 0) -> bytes:
    """One operator on computed values of these shapes, the last of what it gives."""
    w = Writer()
    inputs = {f"image{number or ''}": w.tensor(shape, f"x{number}") for number, shape in enumerate(shapes[:-1])}
    (z,) = w.operator(code, list(inputs.values()), [shapes[-1]], "z", options, kind)
    return w.finish(inputs, {"probabilities": z}, description="x")


def transposed(rows: int, others: int, *, adjoint: bool = True) -> bytes:
    options = schema.BatchMatMulOptionsT()
    options.adjY = adjoint
    second = [1, others, 8] if adjoint else [1, 8, others]
    return single(Code.BATCH_MATMUL, [[1, rows, 8], second, [1, rows, others]], options, 101)


def whole(*, relu: str = "INT8", sides: tuple = (1, 2, 2, 3)) -> bytes:
    """A convolution in whole numbers with an activation of that type behind it."""
    w = Writer()
    shape = list(sides)
    x, weight = w.tensor(shape, "image"), w.constant(np.ones((3, 1, 1, 3), np.float32), "weight")
    (y,) = w.operator(Code.CONV_2D, [x, weight], [shape], "conv", schema.Conv2DOptionsT(), 1)
    (z,) = w.operator(Code.RELU, [y], [shape], "z")
    for tensor in (x, weight, y):
        w.graph.tensors[tensor].type = schema.TensorType.INT8
    w.graph.tensors[z].type = getattr(schema.TensorType, relu)
    return w.finish({"image": x}, {"probabilities": z}, description="x")


CASES = [
    ("arm-product-per-channel", product(scales=4), "1 FULLY_CONNECTED (probabilities)"),
    (None, product(), ""),
    ("whole-product-per-channel", product(scales=4, whole=True), "1 FULLY_CONNECTED (probabilities)"),
    (None, product(whole=True), ""),
    (None, product(scales=4, eight=False), ""),
    ("LiteRT#9523", product(expanded=True), "1 FULLY_CONNECTED (probabilities)"),
    (None, product(expanded=True, eight=False), ""),
    ("LiteRT#9277", product_into_sum(scaled=True), "1 FULLY_CONNECTED (fc)"),
    ("LiteRT#8593", masked(), "1 BATCH_MATMUL (scores)"),
    (None, masked(same=True), ""),
    ("LiteRT#8599", sum_out(), "1 ADD (sum)"),
    (None, sum_out(read=False), ""),
    ("LiteRT#9272", padded(), "1 PAD (probabilities)"),
    (None, padded(amounts=((0, 0), (0, 0), (1, 1))), ""),
    (None, padded(amounts=((0, 0), (0, 0), (1, 1), (0, 0))), ""),
    ("LiteRT#9191", single(Code.BROADCAST_TO, [[1, 1, 3, 4], [1, 2, 3, 4]]), "1 BROADCAST_TO (probabilities)"),
    ("LiteRT#6518", transposed(2, 5), "1 BATCH_MATMUL (probabilities)"),
    (None, transposed(2, 8), ""),
    (None, transposed(5, 2), ""),
    (None, transposed(2, 5, adjoint=False), ""),
    ("whole-integers", whole(relu="FLOAT32"), "1 RELU (probabilities)"),
    (None, whole(), ""),
    ("edge-tpu-rank", whole(sides=(2, 2, 2, 3)), "2 CONV_2D and RELU (conv)"),
    ("LiteRT#9277", product_into_sum(), "1 FULLY_CONNECTED (fc)"),
    (None, product_into_sum(rank=2), ""),
    (None, product_into_sum(eight=False), ""),
    (None, product_into_sum(into=Code.MUL), ""),
    ("LiteRT#8619", attention(), "1 BATCH_MATMUL (scores)"),
    (None, attention(rank=4), ""),
    (None, attention(softmax=False), ""),
    ("LiteRT#9249", gate(Code.MEAN), "1 MEAN (squeezed)"),
    ("LiteRT#9249", gate(Code.SUM, into_map=False), "1 SUM (squeezed)"),
    (None, gate(Code.MEAN, into_map=False), ""),
    ("LiteRT#8980", broadcast(), "1 ADD (probabilities)"),
    (None, broadcast(rank=4), ""),
    (None, broadcast(constant=True), ""),
]


@pytest.mark.parametrize(("fault", "content", "words"), CASES)
def test_a_fault_is_named_with_its_operator_place_and_link(fault: str | None, content: bytes, words: str) -> None:
    lines = known_faults(unpack(content))
    assert len(lines) == (fault is not None)
    for line in lines:
        assert line.startswith(f"known-fault: {words}") and FAULTS[fault].link in line and f"({fault}, " in line


def test_a_notice_is_in_the_audit_and_keeps_no_file_back(tmp_path) -> None:
    (tmp_path / "x.tflite").write_bytes(attention())
    made_of = audit(tmp_path / "x.tflite")
    assert sum(line.startswith("known-fault: ") for line in made_of.warnings) == 1
    assert not [line for line in broken_rules(made_of, "fp32") if "8619" in line]


def test_the_module_of_the_first_operator_is_named() -> None:
    (line,) = known_faults(unpack(product_into_sum()), {"fc": ("stages.3.attention.out", None)})
    assert line.startswith("known-fault: 1 FULLY_CONNECTED (fc in stages.3.attention.out), ")


def test_every_rule_says_where_when_and_in_which_versions_it_was_seen_and_the_page_has_it() -> None:
    page = (Path(__file__).parents[3] / "docs" / "accelerators.md").read_text(encoding="utf-8")
    rows = {line[3:].partition("]")[0]: line for line in page.splitlines() if line.startswith("| [")}
    for fault in FAULTS.values():
        told = (fault.part, fault.versions, fault.reported, fault.happens, fault.link.rpartition("/")[2])
        assert all(words and words in rows[fault.name] for words in told), fault.name
    assert list(FAULTS) == [name for name in rows if name in FAULTS]  # in the table's order

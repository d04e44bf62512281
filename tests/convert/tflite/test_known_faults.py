"""Each reported fault of phones' GPUs: a file that has it, and one that differs in the one thing that matters."""

from __future__ import annotations

import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema

from convert._judge import broken_rules
from convert._tflite.audit import audit
from convert._tflite.emit.writer import Code, Writer
from convert._tflite.known_faults import known_faults
from edge.accelerators import FAULTS
from edge.tflite.flatbuffer import unpack


def product_into_sum(*, rank: int = 3, eight: bool = True, into: int = Code.ADD) -> bytes:
    w = Writer()
    shape = [1] * (rank - 1) + [4]
    x = w.tensor(shape, "image")
    weight = w.constant(np.eye(4, dtype=np.float32), "weight")
    (y,) = w.operator(Code.FULLY_CONNECTED, [x, weight], [shape], "fc", schema.FullyConnectedOptionsT(), 8)
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


CASES = [
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

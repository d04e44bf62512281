"""The audit: figures counted by hand on small files, and each rule broken once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from convert._graph.graph import trace
from convert._graph.passes import MOBILE_PASSES, PASSES, rewrite
from convert._tflite.audit import audit, has_data, warnings_of
from convert._tflite.emit import emit
from convert._tflite.emit.writer import Code, Writer
from convert._tflite.quantise import quantise
from edge.manifest import Audit
from edge.tflite.flatbuffer import pack, unpack


class Small(nn.Module):
    """8 x 6 x 4 in; a convolution, a depthwise one, a mean, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Conv2d(4, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.l = nn.Linear(8, 3)

    def forward(self, image: Tensor) -> Tensor:
        return self.l(self.b(self.a(image.permute(0, 3, 1, 2))).mean((2, 3), keepdim=True).flatten(1))


@pytest.fixture(scope="module")
def content() -> bytes:
    torch.manual_seed(0)
    graph, _ = rewrite(trace(Small(), torch.zeros(1, 8, 6, 4)), PASSES + MOBILE_PASSES)
    return emit(graph, inputs=["image"], outputs=["probabilities"])


def audited(content: bytes, folder: Path) -> Audit:
    path = folder / "x.tflite"
    path.write_bytes(content)
    return audit(path)


def test_figures_by_hand(content, tmp_path):
    found = audited(content, tmp_path)
    assert found.operators == {"CONV_2D": 1, "DEPTHWISE_CONV_2D": 1, "FULLY_CONNECTED": 1, "MEAN": 1, "RESHAPE": 1}
    assert found.macs == 48 * 8 * 9 * 4 + 48 * 8 * 9 + 8 * 3
    assert found.macs_8bit == 0
    assert (found.largest_rank, found.layout_operators, found.layout_bytes) == (4, 1, 8 * 4)
    assert found.peak_activation_bytes == 2 * 48 * 8 * 4  # both sides of the depthwise convolution
    assert found.xnnpack_partitions == 1 and found.warnings == ()


def test_products_on_eight_bits_are_counted(content, tmp_path):
    """Dynamic: all but the depthwise convolution, which stays in float. Weights alone: none."""
    dynamic = audited(quantise(content, "int8-dynamic"), tmp_path)
    assert 0 < dynamic.macs_8bit <= dynamic.macs - 48 * 8 * 9
    assert audited(quantise(content, "int8-weights"), tmp_path).macs_8bit == 0
    assert audited(quantise(content, "fp16"), tmp_path).macs_8bit == 0


def test_a_rank_of_five_is_a_warning(tmp_path):
    w = Writer()
    x = w.tensor([1, 2, 3, 2, 2], "image")
    (y,) = w.operator(Code.ABS, [x], [[1, 2, 3, 2, 2]], "much")
    found = audited(w.finish({"image": x}, {"probabilities": y}, description="x"), tmp_path)
    assert found.largest_rank == 5
    assert any(line.startswith("gpu-rank: ABS (probabilities) has rank 5") for line in found.warnings)


def test_an_operator_outside_xnnpack_is_a_border(tmp_path):
    w = Writer()
    x = w.tensor([1, 4], "image")
    (a,) = w.operator(Code.ABS, [x], [[1, 4]], "a")
    (b,) = w.operator(Code.SIGN, [a], [[1, 4]], "b")
    (c,) = w.operator(Code.ABS, [b], [[1, 4]], "c")
    found = audited(w.finish({"image": x}, {"probabilities": c}, description="x"), tmp_path)
    assert found.xnnpack_partitions == 2
    assert found.warnings == ("xnnpack-partitions: 2 pieces, not one; each border costs copies",)


def test_refused_operators_and_open_shapes_are_named(content):
    graph = unpack(content).subgraphs[0]
    graph.tensors[0].shapeSignature = np.array([-1, 8, 6, 4], np.int32)
    shapes = [[int(n) for n in t.shape] for t in graph.tensors]
    lines = warnings_of(1, ["GATHER_ND"] * len(graph.operators), graph, shapes)
    assert [line.split(":")[0] for line in lines] == ["gpu-operator", "static-shapes"]
    assert "5 GATHER_ND" in lines[0]


def test_data_is_not_memory_of_activations(content):
    model = unpack(pack(unpack(content)))
    held = [has_data(model.buffers[t.buffer]) for t in model.subgraphs[0].tensors]
    produced = {int(i) for o in model.subgraphs[0].operators for i in o.outputs}
    assert any(held) and not any(held[i] for i in produced)

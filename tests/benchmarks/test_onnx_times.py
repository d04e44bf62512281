"""Processor times of .onnx files, side by side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from benchmarks import onnx_times
from edge.errors import BAD_INPUT

onnx = pytest.importorskip("onnx")


def network(path: Path, side: int, products: int) -> Path:
    """So many products of a large matrix with itself, and the mean of the picture."""
    helper = onnx.helper
    chain = [helper.make_node("MatMul", [f"p{n}", "big"], [f"p{n + 1}"]) for n in range(products)]
    nodes = [
        helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["mean"], ["one"], axes=[1], keepdims=1),
        helper.make_node("Mul", ["big", "one"], ["p0"]),
        *chain,
        helper.make_node("ReduceMean", [f"p{products}"], ["row"], axes=[0], keepdims=1),
        helper.make_node("Slice", ["row", "first", "third", "axis"], ["probabilities"]),
    ]
    stored = {"big": np.eye(256, dtype=np.float32) * 0.5, "first": [0], "third": [2], "axis": [1]}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, [1, side, side, 3])],
        [helper.make_tensor_value_info("probabilities", onnx.TensorProto.FLOAT, [1, 2])],
        [onnx.numpy_helper.from_array(np.array(values), name) for name, values in stored.items()],
    )
    model = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    path.write_bytes(model.SerializeToString())
    return path


def test_more_work_takes_more_time(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    few, many = network(tmp_path / "few.onnx", 32, 1), network(tmp_path / "many.onnx", 32, 40)
    assert onnx_times.main([str(few), str(many), "--rounds", "5"]) == 0
    ratios = {line.split()[0]: float(line.split()[1]) for line in capsys.readouterr().out.splitlines()[1:]}
    assert ratios["few.onnx"] == 1.0 and ratios["many.onnx"] > 3


def test_files_of_other_sides_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [str(network(tmp_path / f"{side}.onnx", side, 1)) for side in (32, 48)]
    assert onnx_times.main(files) == BAD_INPUT
    assert "32, 48 pixels" in capsys.readouterr().err
    assert onnx_times.main(files[:1]) == BAD_INPUT

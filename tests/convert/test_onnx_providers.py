"""What ONNX Runtime's execution providers take of a file, against ONNX Runtime's own lists and its own grouping."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.tools.mobile_helpers import usability_checker

from convert._judge import broken_rules
from convert._onnx.audit import audit
from convert._onnx.layers import Graph
from convert._onnx.providers import PROVIDERS, pieces, provider_notices
from edge.accelerators import is_notice

LISTS = {
    "NNAPI": "nnapi_supported_ops.md",
    "Core ML (MLProgram)": "coreml_supported_mlprogram_ops.md",
    "Core ML (NeuralNetwork)": "coreml_supported_neuralnetwork_ops.md",
}
BY_NAME = {provider.name: provider for provider in PROVIDERS}


def list_of(provider: str) -> Path:
    spec = importlib.util.find_spec("onnxruntime.tools.mobile_helpers")
    assert spec is not None and spec.submodule_search_locations is not None
    return Path(spec.submodule_search_locations[0], LISTS[provider])


def model(*nodes: onnx.NodeProto, stored: dict[str, np.ndarray], shape: list[int] | None = None) -> onnx.ModelProto:
    """From `x` to `y`."""
    graph = helper.make_graph(
        list(nodes),
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape or [1, 4, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(values, name) for name, values in stored.items()],
    )
    made_of = helper.make_model(graph, ir_version=7, opset_imports=[helper.make_opsetid("", 13)])
    return onnx.shape_inference.infer_shapes(made_of)


def branches() -> onnx.ModelProto:
    """Some of it no list has, in two branches that meet."""
    node = helper.make_node
    return model(
        node("Conv", ["x", "w"], ["a"]), node("Erf", ["a"], ["b"]), node("Relu", ["a"], ["c"]),
        node("Mul", ["b", "c"], ["d"]), node("Sign", ["d"], ["e"]), node("Add", ["d", "e"], ["f"]),
        node("Reciprocal", ["f"], ["g"]), node("Softmax", ["g"], ["h"], axis=3), node("HardSigmoid", ["h"], ["i"]),
        node("Sub", ["i", "c"], ["y"]), stored={"w": np.ones((4, 4, 1, 1), np.float32)},
    )  # fmt: skip


@pytest.mark.parametrize("name", LISTS)
def test_the_operators_are_those_of_onnx_runtimes_own_list(name: str) -> None:
    """A newer ONNX Runtime with another list fails here: the table and its source are then to be brought up to date."""
    rows = [line.split("|")[1] for line in list_of(name).read_text("utf-8").splitlines() if line.startswith("|ai.onnx")]
    listed = {row[len("ai.onnx:") :] for row in rows}  # one row has a dot in place of the colon
    assert BY_NAME[name].operators == listed


@pytest.mark.parametrize("name", LISTS)
def test_pieces_are_those_that_onnx_runtimes_own_checker_counts(name: str) -> None:
    file = branches()
    theirs = usability_checker.check_partitioning(
        file.graph, usability_checker._SupportedOpsChecker(list_of(name)), require_fixed_input_sizes=False
    )
    graph = Graph(file.SerializeToString())
    places = {n for n, node in enumerate(graph.nodes) if node.op_type in BY_NAME[name].operators}
    assert (len(places), pieces(graph, places)) == (theirs.num_supported_nodes, theirs.num_partitions)
    assert pieces(graph, set()) == 0 and pieces(graph, set(range(len(graph.nodes)))) == 1


FORMS = {
    "a split in unlike parts": (
        "NNAPI", model(
            helper.make_node("Split", ["x", "n"], ["a", "b"], axis=1), helper.make_node("Relu", ["b"], ["y"]),
            stored={"n": np.array([1, 3])},
        ), model(
            helper.make_node("Split", ["x", "n"], ["a", "b"], axis=1), helper.make_node("Relu", ["b"], ["y"]),
            stored={"n": np.array([2, 2])},
        ),
    ),
    "a product of two results": (
        "Core ML (NeuralNetwork)", model(helper.make_node("MatMul", ["x", "x"], ["y"]), stored={}),
        model(helper.make_node("MatMul", ["x", "w"], ["y"]), stored={"w": np.ones((6, 6), np.float32)}),
    ),
    "padded channels": (
        "Core ML (NeuralNetwork)",
        model(helper.make_node("Pad", ["x", "p"], ["y"]), stored={"p": np.array([0, 1, 0, 0, 0, 0, 0, 0])}),
        model(helper.make_node("Pad", ["x", "p"], ["y"]), stored={"p": np.array([0, 0, 1, 0, 0, 0, 0, 0])}),
    ),
    "a product of maps": (
        "XNNPACK", model(helper.make_node("MatMul", ["x", "w"], ["y"]), stored={"w": np.ones((6, 6), np.float32)}),
        model(
            helper.make_node("MatMul", ["x", "w"], ["y"]), stored={"w": np.ones((6, 6), np.float32)}, shape=[2, 6],
        ),
    ),
    "softmax over channels": (
        "XNNPACK", model(helper.make_node("Softmax", ["x"], ["y"], axis=1), stored={}),
        model(helper.make_node("Softmax", ["x"], ["y"], axis=3), stored={}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_a_form_that_a_list_excludes_is_not_taken(form: str) -> None:
    name, refused, taken = FORMS[form]
    for file, wanted in ((refused, False), (taken, True)):
        graph = Graph(file.SerializeToString())
        assert BY_NAME[name].takes(graph, graph.nodes[0]) is wanted


def test_xnnpack_leaves_uint8_with_int8_to_the_cpu() -> None:
    step, zero = np.float32(0.1), np.uint8(3)
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["n"]),
        helper.make_node("DequantizeLinear", ["n", "s", "z"], ["r"]),
        helper.make_node("Conv", ["r", "w"], ["y"]),
    ]
    file = model(*nodes, stored={"s": np.array(step), "z": np.array(zero), "w": np.ones((4, 4, 1, 1), np.float32)})
    graph = Graph(file.SerializeToString())
    assert not BY_NAME["XNNPACK"].takes(graph, graph.nodes[2]) and BY_NAME["NNAPI"].takes(graph, graph.nodes[2])


def test_the_audit_says_it_and_strict_keeps_the_file(tmp_path: Path) -> None:
    path = tmp_path / "x.onnx"
    path.write_bytes(branches().SerializeToString())
    made_of = audit(path)
    lines = [line for line in made_of.warnings if is_notice(line)]
    assert len(lines) == len(PROVIDERS) and provider_notices(path.read_bytes()) == lines
    assert not broken_rules(made_of, "fp32")
    nnapi = next(line for line in lines if "NNAPI" in line)
    assert "6 of 10 operators, 100% of the MACs" in nnapi and all(f"1 {kind}" in nnapi for kind in ("Erf", "Sign"))

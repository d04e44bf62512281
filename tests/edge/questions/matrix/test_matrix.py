"""Others find in their own files what this product found in its own: right on this machine, wrong on a phone."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

import dermedge
from edge.questions.matrix.limits import limits_of
from edge.questions.matrix.measure import MatrixReport
from edge.questions.matrix.operators import search
from edge.questions.matrix.rounding import FLOAT16_UNIT, FLOAT32_UNIT
from edge.runtimes.foreign import probabilities_of
from edge.runtimes.foreign.tflite import TFLite, read
from edge.tflite.versions import with_versions
from tests._phones import needs_android, needs_arm
from tests.edge.questions.matrix._files import dynamic_file, float_file, pictures

HERE = ["xnnpack", "xnnpack-fp16", "reference"]
IMAGES = 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("matrix")
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures(IMAGES)):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture[..., ::-1])
    (folder / "float.tflite").write_bytes(float_file())
    (folder / "dynamic.tflite").write_bytes(dynamic_file())
    (folder / "versions.tflite").write_bytes(with_versions(dynamic_file()))
    return folder


def asked(folder: Path, *names: str, **options) -> MatrixReport:
    files = [folder / name for name in names]
    return dermedge.matrix(files, folder / "pictures", **{"pixels": "0..255", "count": IMAGES, **options})


def row_of(report: MatrixReport, runtime: str) -> dict:
    return next(row for row in report.report["rows"] if row["runtime"] == runtime)


@pytest.mark.parametrize("name", ["float.tflite", "dynamic.tflite"])
def test_right_runtimes_give_the_same_answer(folder, name):
    report = asked(folder, name, modes=HERE)
    assert report.verdict == "pass" and not report.failed
    assert [row["state"] for row in report.report["rows"]] == ["reported", "same", "same"]
    assert all(0 <= row["largest"] < row["limit"] for row in report.report["rows"][1:])


def test_the_limit_of_a_float_file_is_that_of_float32(folder):
    """Sharp enough to see what the fp32 gate of 1e-4 would not."""
    limits = limits_of(read(folder / "float.tflite", "0..255"), pictures(IMAGES), FLOAT32_UNIT, gives="probabilities")
    assert limits.shape == (IMAGES,) and (limits > 1e-7).all() and (limits < 5e-5).all()


def test_the_limit_of_forced_half_precision_is_no_more_than_its_roundings(folder):
    """A thousand times a rounding of the answer would see nothing; one alone would call right runtimes wrong."""
    contents = read(folder / "float.tflite", "0..255")
    limits = limits_of(contents, pictures(IMAGES), FLOAT16_UNIT, gives="probabilities")
    assert (limits > 10 * FLOAT16_UNIT / 2**5).all() and (limits < 0.02).all()


def test_no_operator_is_called_wrong_in_forced_half_precision(folder, tmp_path):
    """Each alone gets what half precision has of its inputs, as in the network."""
    contents = read(folder / "float.tflite", "0..255")
    searched = search(contents, "xnnpack-fp16", pictures(1)[0], FLOAT16_UNIT, tmp_path)
    assert searched.compared > 5 and not searched.different


def test_a_file_that_a_runtime_computes_otherwise_is_caught(folder, monkeypatch):
    """A weight of the first layer is another in the file that one runtime opens: the operator is named."""
    content = bytearray(float_file())
    model = read(folder / "float.tflite", "0..255").model
    graph = model.subgraphs[0]
    conv = next(o for o in graph.operators if len(graph.tensors[o.inputs[1]].shape) == 4)
    weights = bytes(np.asarray(model.buffers[graph.tensors[conv.inputs[1]].buffer].data, np.uint8))
    place = bytes(content).index(weights)
    content[place : place + 4] = np.float32(0.9).tobytes()
    other = folder / "changed.tflite"
    other.write_bytes(bytes(content))

    from edge.questions.matrix import operators
    from edge.runtimes.foreign import tflite

    def changed(contents, mode, *, threads=1):
        return TFLite(read(other, "0..255") if mode == "reference" else contents, mode, threads=threads)

    monkeypatch.setattr("edge.questions.matrix.measure.tflite_files.TFLite", changed)
    plain = operators.alone
    monkeypatch.setattr(operators, "alone", lambda model, nodes: plain(read(other, "0..255").model, nodes))
    report = asked(folder, "float.tflite", modes=["xnnpack", "reference"])
    assert report.verdict == "fail" and report.failed == ["float.tflite on reference"]
    first = row_of(report, "reference")["operators"]["first"]
    assert first["kind"] == "CONV_2D" and first["times"] > 1
    assert tflite.TFLite is changed


@needs_android
@pytest.mark.parametrize(
    "runtime",
    [
        "android",
        "android:2.14.0",
        pytest.param("tflite-runtime:2.14.0:cortex-a76", marks=pytest.mark.slow(reason="Python on an emulated ARM")),
    ],
)
def test_a_plain_dynamic_file_is_found_wrong_in_androids_library(folder, runtime):
    """The fault that our own files had: a float FULLY_CONNECTED with a scale per channel, called version 5."""
    report = asked(folder, "dynamic.tflite", modes=["xnnpack", runtime], count=1)
    row = row_of(report, runtime)
    if row["state"] == "not set up":
        pytest.skip(row["why"])
    assert report.verdict == "fail" and row["state"] == "differs"
    first = row["operators"]["first"]
    assert first["kind"] == "FULLY_CONNECTED" and (first["version"], first["version_by_rules"]) == (5, 12)
    assert first["weights"].startswith("int8, a scale for each of") and first["reads"] == "float32"
    said = " ".join(map(str, report.tables()))
    assert "FULLY_CONNECTED" in said and "version 12" in said and "2.17" in said


@needs_android
def test_with_the_versions_that_the_rules_give_the_library_refuses(folder):
    report = asked(folder, "versions.tflite", modes=["xnnpack", "android"], count=1)
    row = row_of(report, "android")
    assert row["state"] in {"refused", "not set up"} and report.verdict == "pass" and row["why"]


@needs_arm
def test_arm_gives_the_same_answer(folder):
    report = asked(folder, "dynamic.tflite", modes=["xnnpack", "arm64"], count=1)
    row = row_of(report, "arm64")
    assert row["state"] == "same" and row["largest"] < row["limit"]


def test_what_is_not_set_up_is_named_with_its_command(folder, monkeypatch, tmp_path):
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))
    report = asked(folder, "float.tflite", modes=["xnnpack", "arm64", "android"], count=1)
    commands = {row["runtime"]: row.get("command") for row in report.report["rows"]}
    assert commands == {"xnnpack": None, "arm64": "dermedge setup arm", "android": "dermedge setup android"}
    assert report.verdict == "pass"


def test_files_of_one_network_and_of_another(folder):
    """The dynamic file is that network within its roundings; with other weights it is another."""
    report = asked(folder, "float.tflite", "dynamic.tflite", modes=["xnnpack"])
    (pair,) = report.report["pairs"]
    assert pair["state"] == "same" and 0 < pair["largest"] < pair["limit"]
    other = bytearray(dynamic_file())
    model = read(folder / "dynamic.tflite", "0..255").model
    graph = model.subgraphs[0]
    head = graph.tensors[graph.operators[-2].inputs[1]]
    codes = bytes(np.asarray(model.buffers[head.buffer].data, np.uint8))
    place = bytes(other).index(codes)
    other[place : place + len(codes)] = codes[::-1]
    (folder / "other.tflite").write_bytes(bytes(other))
    report = asked(folder, "float.tflite", "other.tflite", modes=["xnnpack"])
    assert report.report["pairs"][0]["state"] == "differs" and report.verdict == "fail"


def test_an_onnx_file_of_the_same_network(folder):
    onnx = pytest.importorskip("onnx")
    pytest.importorskip("onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    content = read(folder / "float.tflite", "0..255")
    graph = content.model.subgraphs[0]
    layers = [o for o in graph.operators if len(o.inputs) == 3]

    def array(tensor: int) -> np.ndarray:
        entry = graph.tensors[tensor]
        data = np.asarray(content.model.buffers[entry.buffer].data, np.uint8)
        return np.frombuffer(data.tobytes(), np.float32).reshape(entry.shape)

    kernels = [(array(int(o.inputs[1])), array(int(o.inputs[2]))) for o in layers]
    (first, a), (second, b), (hidden, c), (head, d) = kernels
    constants = {
        "first": first.transpose(0, 3, 1, 2), "a": a, "second": second.transpose(0, 3, 1, 2), "b": b,
        "hidden": hidden, "c": c, "head": head, "d": d,
    }  # fmt: skip
    nodes = [
        helper.make_node("Transpose", ["image"], ["x0"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x0", "first", "a"], ["x2"], strides=[2, 2], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["x2"], ["x3"]),
        helper.make_node("Conv", ["x3", "second", "b"], ["x4"]),
        helper.make_node("Relu", ["x4"], ["x5"]),
        helper.make_node("GlobalAveragePool", ["x5"], ["x6"]),
        helper.make_node("Flatten", ["x6"], ["x7"]),
        helper.make_node("Gemm", ["x7", "hidden", "c"], ["x8"], transB=1),
        helper.make_node("Relu", ["x8"], ["x9"]),
        helper.make_node("Gemm", ["x9", "head", "d"], ["x10"], transB=1),
        helper.make_node("Softmax", ["x10"], ["answer"], axis=1),
    ]
    side = graph.tensors[graph.inputs[0]].shape[1]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", int(side), int(side), 3])
    answer = helper.make_tensor_value_info("answer", TensorProto.FLOAT, ["N", 7])
    held = [numpy_helper.from_array(np.ascontiguousarray(value), name) for name, value in constants.items()]
    made = helper.make_graph(nodes, "net", [image], [answer], held)
    onnx.save(helper.make_model(made, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), folder / "net.onnx")
    report = asked(folder, "float.tflite", "net.onnx", modes=["xnnpack"])
    (pair,) = report.report["pairs"]
    assert pair["state"] == "same" and pair["largest"] < 1e-5


def test_each_operator_alone_is_the_operator_in_the_file(folder):
    """Not one differs where the file's answers do not, and all of them are looked at."""
    contents = read(folder / "dynamic.tflite", "0..255")
    result = search(contents, "xnnpack", pictures(1)[0], FLOAT32_UNIT, folder)
    assert not result.different and result.compared == len(contents.model.subgraphs[0].operators) - result.left_out


@pytest.mark.parametrize(
    ("values", "kind"),
    [
        ([[0.2, 0.8]], "probabilities"), ([[0.9, 0.8]], "shares"), ([[2.0, -1.0]], "logits"),
        ([[np.nan, 0]], "not finite"),
    ],
)  # fmt: skip
def test_what_a_vector_is(values, kind):
    numbers, said = probabilities_of(np.array(values))
    assert said == kind
    if kind == "logits":
        assert numbers[0] == pytest.approx([0.952574, 0.047426], abs=1e-6)  # 1 / (1 + exp(-3))


def test_bad_input_is_refused_by_name(folder, tmp_path):
    with pytest.raises(dermedge.InputError, match=r"none of \.tflite"):
        dermedge.matrix(tmp_path / "x.txt")
    (tmp_path / "bad.tflite").write_bytes(float_file()[:2000])
    with pytest.raises(dermedge.InputError, match=r"bad\.tflite"):
        dermedge.matrix(tmp_path / "bad.tflite", folder / "pictures", pixels="0..255")
    with pytest.raises(dermedge.InputError, match="`pixels`"):
        dermedge.matrix(folder / "float.tflite", folder / "pictures")

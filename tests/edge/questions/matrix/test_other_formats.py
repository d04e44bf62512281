"""Packages and .aimodel files in the matrix: what their place shows, and that a missing Core AI stops nothing."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

import dermedge
from edge import artifact
from edge.errors import InputError
from edge.files import sha256, size
from edge.manifest import Parity
from edge.questions.matrix import measure
from edge.questions.matrix.section import section
from edge.runtimes import Outputs
from edge.runtimes.foreign import aimodel
from tests.edge._manifests import entry, manifest
from tests.edge.questions.matrix._files import float_file
from tests.edge.questions.matrix._files import pictures as drawn

SIDE, CLASSES = 8, 3


class Runtime:
    """Core AI's, as edge.runtimes.coreai has it."""

    answer_places = 0

    def __init__(self, path: Path) -> None:
        self.side, self.classes, self.recipe, self.closed = SIDE, CLASSES, "fp16", False

    def run(self, pictures: np.ndarray) -> Outputs:
        assert pictures.dtype == np.uint8
        return Outputs(np.full((len(pictures), CLASSES), 1 / CLASSES), None)

    def close(self) -> None:
        self.closed = True


def test_an_aimodel_takes_pictures_as_they_are(monkeypatch):
    monkeypatch.setattr(aimodel, "CoreAI", Runtime)
    opened, mode, contents = measure.open_first(Path("net-fp16.aimodel"), None, 1)
    assert (mode, contents, opened.classes, measure.halves(opened)) == ("core-ai", None, CLASSES, True)
    assert (opened.pixels.height, opened.pixels.width) == (SIDE, SIDE)
    assert opened.run(np.zeros((2, SIDE, SIDE, 3), np.uint8)).shape == (2, CLASSES)
    monkeypatch.setattr(Runtime, "answer_places", 4)
    with pytest.raises(InputError, match="takes answers"):
        aimodel.AIModel(Path("net-answers-fp16.aimodel"))


def test_without_core_ai_a_folder_is_looked_at_all_the_same(tmp_path, monkeypatch, messages):
    (tmp_path / "net-fp32.tflite").write_bytes(float_file())
    (tmp_path / "net-fp16.aimodel").mkdir()
    monkeypatch.setattr(measure, "missing", lambda: "running .aimodel files needs Core AI")
    assert [path.name for path in measure.files_in([tmp_path])] == ["net-fp32.tflite"]
    assert "needs Core AI" in messages[-1]
    monkeypatch.setattr(measure, "missing", lambda: None)
    assert len(measure.files_in([tmp_path])) == 2


def test_files_of_a_folder_are_held_against_its_float32_tflite(tmp_path, monkeypatch):
    monkeypatch.setattr(measure, "missing", lambda: None)
    for name in ("n-fp16.aimodel", "n-fp32.mlpackage", "n-int8.tflite", "n-fp16.tflite", "n-fp32.tflite", "n.txt"):
        (tmp_path / name).mkdir()
    assert [path.name for path in measure.files_in([tmp_path])] == [
        "n-fp32.tflite", "n-fp16.tflite", "n-int8.tflite", "n-fp32.mlpackage", "n-fp16.aimodel",
    ]  # fmt: skip


def test_several_folders_are_several_networks_in_one_report(tmp_path):
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number, picture in enumerate(drawn(2)):
        cv2.imwrite(str(pictures / f"{number}.png"), picture)
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        for recipe in ("fp32", "int8"):
            (tmp_path / name / f"{name}-{recipe}.tflite").write_bytes(float_file())
    asked = {"pixels": "0..255", "modes": ["xnnpack", "reference"], "count": 2}
    report = dermedge.matrix([tmp_path / "a", tmp_path / "b"], pictures, **asked)
    assert [row["file"] for row in report.report["rows"]] == [
        f"{name}-{recipe}.tflite" for name in "ab" for recipe in ("fp32", "int8") for _ in range(2)
    ]
    assert {(pair["file"], pair["other"]) for pair in report.report["pairs"]} == {
        ("a-int8.tflite", "a-fp32.tflite"), ("b-int8.tflite", "b-fp32.tflite"),
    }  # fmt: skip
    assert report.verdict == "pass" and "b-int8.tflite" in section(report.report, {})
    assert len(measure.networks_in([tmp_path / "a", tmp_path / "b" / "b-fp32.tflite"])) == 1
    for name in ("a", "b"):
        (tmp_path / name / f"{name}-fp32.tflite").rename(tmp_path / name / "net-fp32.tflite")
    twins = dermedge.matrix([tmp_path / "a", tmp_path / "b"], pictures, **asked).report  # two versions of one network
    assert {row["file"] for row in twins["rows"]} == {
        "a/net-fp32.tflite", "a-int8.tflite", "b/net-fp32.tflite", "b-int8.tflite",
    }  # fmt: skip
    assert ("b-int8.tflite", "b/net-fp32.tflite") in {(pair["file"], pair["other"]) for pair in twins["pairs"]}
    same = tmp_path / "other" / "a"
    same.mkdir(parents=True)
    shutil.copy(tmp_path / "a" / "net-fp32.tflite", same)
    alike = [tmp_path / "a" / "net-fp32.tflite", same / "net-fp32.tflite"]
    assert list(measure.names_of(alike).values()) == [f"{tmp_path.name}/a/net-fp32.tflite", "other/a/net-fp32.tflite"]
    with pytest.raises(InputError, match=r"net-fp32\.tflite is named twice"):
        dermedge.matrix([alike[0], same / ".." / ".." / "a" / "net-fp32.tflite"], pictures, **asked)
    assert len(measure.networks_in([tmp_path / "a" / "net-fp32.tflite", tmp_path / "a", tmp_path / "b"])) == 3


@pytest.mark.parametrize("facts", ['{"model": "net"}', None, "[", "[]"])
def test_an_onnx_of_our_own_says_what_a_pixel_is(tmp_path, facts):
    """Others say it nowhere, and it is asked for."""
    onnx, helper = pytest.importorskip("onnx"), pytest.importorskip("onnx.helper")
    picture = helper.make_tensor_value_info("image", 1, [1, SIDE, SIDE, 3])
    answer = helper.make_tensor_value_info("probabilities", 1, [1, 3])
    axes = helper.make_tensor("axes", 7, [2], [1, 2])
    nodes = [helper.make_node("ReduceSum", ["image", "axes"], ["probabilities"], keepdims=0)]
    model = helper.make_model(
        helper.make_graph(nodes, "net", [picture], [answer], [axes]), opset_imports=[helper.make_opsetid("", 13)]
    )
    model.ir_version = 7
    if facts is not None:
        onnx.helper.set_model_props(model, {"dermedge": facts})
    path = tmp_path / "net.onnx"
    onnx.save(model, str(path))
    if facts != '{"model": "net"}':
        with pytest.raises(InputError, match="says nowhere what a pixel is"):
            measure.open_first(path, None, 1)
        return
    opened = measure.open_first(path, None, 1)[0]
    np.testing.assert_array_equal(opened.run(np.full((1, SIDE, SIDE, 3), 255, np.uint8)), [[255 * SIDE * SIDE] * 3])


def test_the_place_of_a_package_shows_how_it_stands_to_the_first_file():
    """It has one runtime here, so that nothing else could stand there."""
    rows = [
        {"file": file, "format": form, "runtime": mode, "version": "", "state": "reported", "why": ""}
        for file, form, mode in (("a.tflite", "tflite", "xnnpack"), ("b.mlpackage", "mlpackage", "interpreter"))
    ]
    files = [
        {"file": row["file"], "format": row["format"], "sha256": "0" * 64, "bytes": 1, "pixels": "", "classes": 3,
         "gives": "probabilities", "opens_from": None, "gate": "inconclusive"}
        for row in rows
    ]  # fmt: skip
    pair = {"file": "b.mlpackage", "other": "a.tflite", "state": "same", "agreement": 1.0, "largest": 0.00123,
            "limit": 0.01, "image": 0, "why": ""}  # fmt: skip
    report = {"model": "a", "data": {"name": "x", "images": 2, "synthetic": False, "note": "", "names": []},
              "files": files, "rows": rows, "pairs": [pair], "counts": {}, "dermedge": "1", "schema": "1"}  # fmt: skip
    table = section(report, {}).partition("<h3>")[0]
    assert "|Δp| 0.0012 of 0.01, 100% same class" in table and "held against a.tflite" in table
    assert "gate: inconclusive" in table


def test_the_gate_is_that_of_the_manifest_beside_the_very_file(tmp_path):
    path = tmp_path / "net-fp32.tflite"
    path.write_bytes(float_file())
    assert measure.gate_of(path) is None
    parity = Parity("litert", 8, "photographs", synthetic=False, verdict="pass", binding=True, sqnr_db_median=None,
                    agreement=1.0, largest_delta_p=0.0)  # fmt: skip
    made = entry(path.name, sha256=sha256(path), bytes=size(path), parity=parity)
    artifact.write(tmp_path, manifest(files=(made,)))
    assert measure.gate_of(path) == "pass"
    path.write_bytes(float_file() + b"changed")
    assert measure.gate_of(path) is None
    (tmp_path / artifact.MANIFEST).write_text("[")
    assert measure.gate_of(path) is None

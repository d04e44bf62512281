"""A phone's library that is further from XNNPACK here than rounding explains fails the report, with its name."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest

from edge.questions.parity.explained import explained
from edge.questions.parity.explained import lines as explained_lines
from edge.questions.parity.measure import ParityReport, seen_right
from edge.questions.parity.runtimes import PICTURES, apart, differing, lines
from edge.runtimes.foreign.tflite import TFLite, read
from tests._phones import needs_android
from tests.edge.questions.matrix._files import dynamic_file, float_file, pictures


@pytest.fixture(scope="module")
def judged(tmp_path_factory):
    """A build with one file, its answers here, and the pictures."""
    folder = tmp_path_factory.mktemp("runtimes")
    (folder / "net.tflite").write_bytes(with_facts(dynamic_file()))
    squares = pictures(PICTURES)
    runtime = TFLite(read(folder / "net.tflite"), "xnnpack")
    yield SimpleNamespace(folder=folder), runtime.run(squares), squares
    runtime.close()


def with_facts(content: bytes) -> bytes:
    """As dermedge's converters leave it: it takes 0..255 and says so."""
    from convert._tflite.file import with_metadata

    return with_metadata(content, {})


def entry(runtime: str) -> SimpleNamespace:
    return SimpleNamespace(file="net.tflite", format="tflite", runtime=runtime, answered=None)


def asked(judged, answers: np.ndarray, runtime: str = "android") -> dict:
    build, here, squares = judged
    return {"files": [], "runtimes": apart(build, [entry("xnnpack"), entry(runtime)], [here, answers], squares)}


def test_rounding_passes(judged):
    _, here, _ = judged
    report = asked(judged, here + 1e-7)
    (row,) = report["runtimes"]
    assert row["state"] == "same" and row["largest"] == pytest.approx(1e-7) and row["images"] == PICTURES
    assert not differing(report) and "rounding explains" in next(iter(lines(report)))


def test_another_answer_fails_and_is_not_called_right(judged, monkeypatch, tmp_path):
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))  # so that no operator can be asked
    _, here, _ = judged
    report = asked(judged, np.roll(here, 1, axis=1))
    row = {"file": "net.tflite", "runtime": "android", "recipe": "int8-dynamic", "verdict": "pass", "binding": True}
    report["files"] = [row]
    assert differing(report) == [("net.tflite", "android")]
    proof = ParityReport(report)
    assert proof.verdict == "fail" and proof.failed == ["net.tflite on android"]
    assert not seen_right(report) and "another answer" in next(iter(lines(report)))


def test_a_finished_run_is_kept_where_no_limit_can_be_derived(judged, monkeypatch):
    """Files of anybody's hold what nobody thought of: the row says so, and the report stays."""

    def broken(*_, **__):
        raise IndexError("list index out of range")

    monkeypatch.setattr("edge.questions.matrix.limits.spread_of", broken)
    report = asked(judged, judged[1])
    (row,) = report["runtimes"]
    assert row["state"] == "reported" and "no limit can be derived (IndexError" in row["why"]
    assert "no limit" in next(iter(lines(report)))


def test_an_8_bit_file_is_as_far_from_its_float_network_as_its_roundings_explain(judged, tmp_path):
    """And another network's answers are not explained; a file in another format is not asked."""
    build, here, squares = judged
    (tmp_path / "float.tflite").write_bytes(with_facts(float_file()))
    runtime = TFLite(read(tmp_path / "float.tflite"), "xnnpack")
    source = runtime.run(squares)
    runtime.close()
    entries = [entry("xnnpack"), SimpleNamespace(file="net.onnx", format="onnx", runtime="onnxruntime", answered=None)]
    rows = explained(build, entries, [here, here], source, squares)
    assert rows[1] is None
    assert rows[0]["state"] == "same" and 0 < rows[0]["largest"] < rows[0]["limit"] < 0.5
    other = explained(build, entries[:1], [here], np.roll(source, 1, axis=1), squares)
    report = {"files": [{"file": "net.tflite", "runtime": "xnnpack", "explained": row} for row in (*rows, *other)]}
    said = list(explained_lines(report))
    assert said[0].startswith("net.tflite on xnnpack against PyTorch") and "--layers" in said[0] and "1 of 2" in said[1]


@needs_android
def test_the_operator_is_named(judged):
    build, _, squares = judged
    runtime = TFLite(read(build.folder / "net.tflite"), "android")
    answers = runtime.run(squares[:1])
    runtime.close()
    report = asked(judged, answers)
    assert report["runtimes"][0]["operators"]["first"]["kind"] == "FULLY_CONNECTED"

"""No way to "same" but by numbers that were compared: what cannot be judged is said to be so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest

import dermedge
from dermedge.commands import matrix as command
from edge.questions.matrix import measure
from edge.questions.matrix.compare import compared
from edge.questions.matrix.limits import limits_of
from edge.questions.matrix.rounding import FLOAT32_UNIT
from edge.questions.matrix.tables import sentences
from edge.questions.matrix.ways import ways
from edge.runtimes import Refused
from edge.runtimes.foreign import as_kind
from edge.runtimes.foreign.tflite import TFLite, read
from edge.runtimes.litert import engine_of
from tests.edge.questions.matrix._files import CLASSES, float_file, pictures

IMAGES = 2
SURE = np.float32([40, 0, 0, 0, 0, 0, 0])  # biases of the last layer: the first class has all of the probability


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("verdicts")
    (folder / "pictures").mkdir()
    for number, picture in enumerate(pictures(IMAGES)):
        cv2.imwrite(str(folder / "pictures" / f"{number}.png"), picture[..., ::-1])
    (folder / "float.tflite").write_bytes(float_file())
    (folder / "sure.tflite").write_bytes(with_biases(folder / "float.tflite", SURE))
    (folder / "nan.tflite").write_bytes(with_biases(folder / "float.tflite", np.full(CLASSES, np.nan, np.float32)))
    return folder


def with_biases(path: Path, biases: np.ndarray) -> bytes:
    """The file with other biases in its last layer."""
    content, model = bytearray(path.read_bytes()), read(path, "0..255").model
    graph = model.subgraphs[0]
    tensor = graph.tensors[graph.operators[-2].inputs[2]]
    codes = bytes(np.asarray(model.buffers[tensor.buffer].data, np.uint8))
    assert len(codes) == biases.nbytes and bytes(content).count(codes) == 1
    place = bytes(content).index(codes)
    content[place : place + len(codes)] = biases.tobytes()
    return bytes(content)


def asked(folder: Path, *names: str, **options):
    files = [folder / name for name in names]
    return dermedge.matrix(files, folder / "pictures", **{"pixels": "0..255", "count": IMAGES, **options})


def test_probabilities_near_1_stay_probabilities_under_noise(folder):
    """With 1 + 3e-6 taken for a logit, and a softmax of it, no difference between runtimes would be too large."""
    limits = limits_of(read(folder / "sure.tflite", "0..255"), pictures(IMAGES), FLOAT32_UNIT, gives="probabilities")
    assert (limits < 1e-3).all()


def test_what_a_file_gives_is_decided_once():
    assert as_kind(np.array([[1.1, -0.1]]), "probabilities").tolist() == [[1.1, -0.1]]
    assert as_kind(np.array([[0.5, 0.5 - np.log(3)]]), "logits")[0] == pytest.approx([0.75, 0.25])
    assert np.isnan(as_kind(np.array([[np.nan, 0.0]]), "logits")).any()


RIGHT = np.array([[0.2, 0.8], [0.6, 0.4]])
WRONG = np.array([[0.2, 0.8], [0.4, 0.6]])
NAN = np.array([[0.2, 0.8], [np.nan, 0.4]])


@pytest.mark.parametrize(
    ("wanted", "numbers", "limits", "state", "why", "image"),
    [
        (RIGHT, NAN, [1.0, 1.0], "differs", "its answers are not finite", 1),
        (NAN, RIGHT, [1.0, 1.0], "differs", "that it is held against are not finite", 1),
        (NAN, NAN, [1.0, 1.0], "reported", "that it is held against are not finite", 1),
        (RIGHT, RIGHT, [0.1, np.nan], "reported", "no finite limit", 0),
        (RIGHT, WRONG, [0.1, np.inf], "reported", "no finite limit", 1),
        (RIGHT, WRONG, [np.nan, 0.1], "differs", "", 1),
        (RIGHT, WRONG, [0.1, 0.3], "same", "", 1),
    ],
)
def test_what_is_not_finite_is_never_the_same(wanted, numbers, limits, state, why, image):
    row = compared(wanted, numbers, np.array(limits))
    assert (row["state"], row["image"]) == (state, image) and why in row["why"] and bool(row["why"]) == bool(why)


def test_a_file_that_answers_nan_is_told_as_such(folder):
    report = asked(folder, "nan.tflite", modes=["reference"])
    assert report.report["rows"][1]["state"] == "reported"
    assert any("where phones run it are not finite" in str(line) for line in report.tables())


def test_a_runtime_that_there_is_not_is_refused(folder, capsys):
    flags = ["--images", str(folder / "pictures"), "--pixels", "0..255", "--out", str(folder / "out")]
    assert command.main([str(folder / "float.tflite"), *flags, "--runtime", "refrence"]) == 2
    assert "did you mean reference?" in capsys.readouterr().err
    with pytest.raises(dermedge.InputError, match="xnnpack-fp16, reference"):
        engine_of(folder / "float.tflite", "nnapi", 1)
    with pytest.raises(dermedge.InputError, match="expected arm64"):
        asked(folder, "float.tflite", modes=["android:2.14.0:2.15.0"])


def test_shares_are_not_judged_against_logits(folder):
    contents = read(folder / "float.tflite", "0..255")
    files = [
        measure.Subject(
            path := folder / f"{gives}.tflite", path.name, "tflite", contents, "xnnpack", RIGHT, gives, "", False
        )
        for gives in ("shares", "logits")
    ]
    pair = measure.pair_of(*files, pictures(IMAGES))
    assert pair["state"] == "reported" and pair["limit"] is None
    (line,) = sentences({"files": [], "rows": [], "pairs": [pair]})
    assert "shares.tflite gives shares, logits.tflite logits" in line


def test_elsewhere_than_on_linux_the_other_runtimes_are_listed(monkeypatch):
    monkeypatch.setattr("edge.environments.sys", SimpleNamespace(platform="darwin"))
    assert ways()[:3] == ["xnnpack", "xnnpack-fp16", "reference"]


@pytest.mark.parametrize("error", [IndexError, TypeError, ZeroDivisionError, RuntimeError])
def test_what_no_limit_can_be_derived_of_is_reported_with_the_reason(folder, monkeypatch, error):
    def broken(*_, **__):
        raise error("of nobody's doing")

    monkeypatch.setattr("edge.questions.matrix.limits.Disturbed.answer", broken)
    report = asked(folder, "float.tflite", "sure.tflite", modes=["reference"])
    for row in (report.report["rows"][1], *report.report["pairs"]):
        assert row["state"] == "reported" and f"({error.__name__}: of nobody's doing)" in row["why"]


def test_operators_that_cannot_be_compared_do_not_lose_the_run(folder, monkeypatch):
    def broken(*_, **__):
        raise ZeroDivisionError("division by zero")

    def otherwise(self, squares):
        answers = run(self, squares)
        return answers if self.mode == "xnnpack" else np.roll(answers, 1, axis=1)

    run = TFLite.run
    monkeypatch.setattr(TFLite, "run", otherwise)
    monkeypatch.setattr("edge.questions.matrix.against.search", broken)
    row = asked(folder, "float.tflite", modes=["reference"]).report["rows"][1]
    assert row["state"] == "differs" and "ZeroDivisionError" in row["operators"]["why"]


def test_every_file_is_opened_before_the_first_is_run_everywhere(folder, monkeypatch):
    """What is wrong with the last file is said at once, not after the hour that the others take."""
    (folder / "bad.tflite").write_bytes(float_file()[:2000])

    def too_early(*_):
        raise AssertionError("the matrix of the first file was run")

    monkeypatch.setattr(measure, "rows_of", too_early)
    with pytest.raises(dermedge.InputError, match=r"bad\.tflite"):
        asked(folder, "float.tflite", "bad.tflite", modes=["reference"])


def test_a_file_that_xnnpack_stops_in_is_held_against_the_plain_kernels(folder, monkeypatch):
    run = TFLite.run

    def stops(self, squares):
        if self.mode == "xnnpack":
            raise Refused("float.tflite in xnnpack stops: failed to invoke")
        return run(self, squares)

    monkeypatch.setattr(TFLite, "run", stops)
    rows = asked(folder, "float.tflite", modes=["xnnpack", "reference"]).report["rows"]
    assert [(row["runtime"], row["state"]) for row in rows] == [("reference", "reported"), ("xnnpack", "refused")]

"""What a manifest says of phones' libraries: where a file was right, and where it was slower than the float file."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from edge import artifact
from edge.build import Build, remember
from edge.manifest import Run
from edge.questions.parity import slower
from edge.questions.parity.measure import seen_right, seen_slow, seen_wrong
from edge.runtimes.phone import Refused
from tests.edge.test_manifest import WHOLE as MANIFEST

HERE = Run("android-x86_64", "2.16.1", "x86_64")


def row(verdict: str, ratio: float | None, runtime: str = "android-x86_64") -> dict:
    return {"file": "a.tflite", "runtime": runtime, "verdict": verdict, "times_fp32": ratio}


@pytest.mark.parametrize(
    ("rows", "right", "slow"),
    [
        ([row("pass", 3.5)], True, True),
        ([row("inconclusive", 1.0)], True, False),
        ([row("pass", None)], True, False),
        ([row("fail", 3.5)], False, False),
        ([row("pass", 3.5, "xnnpack")], False, False),
    ],
)
def test_what_is_remembered_of_a_report(rows: list[dict], right: bool, slow: bool) -> None:
    assert bool(seen_right({"files": rows})) == right
    assert bool(seen_slow({"files": rows})) == slow
    assert bool(seen_wrong({"files": rows})) == (not right and rows[0]["runtime"] == "android-x86_64")


def test_a_file_that_became_fast_is_no_longer_called_slow(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    monkeypatch.setattr(artifact, "write", lambda folder, manifest: written.append(manifest))
    monkeypatch.setattr(artifact, "read", lambda folder: written[-1] if written else build.manifest)
    elsewhere = Run("android-java", "2.16.1", "x86_64")
    files = (replace(MANIFEST.files[0], seen_right=(HERE, elsewhere), seen_slow=(HERE, elsewhere)), *MANIFEST.files[1:])
    build = Build(tmp_path, replace(MANIFEST, files=files), checkpoint=None)
    remember(build, [(files[0].file, HERE)], wrong=())
    assert written[0].files[0].seen_slow == (elsewhere,)
    assert written[0].files[0].seen_right == (HERE, elsewhere)
    remember(build, [(files[0].file, HERE)], [(files[0].file, HERE)], wrong=())
    assert written[1].files[0].seen_slow == (elsewhere, HERE)
    remember(build, [], wrong=[(files[0].file, HERE)])  # one that was right once and is wrong now
    assert written[2].files[0].seen_right == written[2].files[0].seen_slow == (elsewhere,)


def refuses_fp32(path, mode) -> SimpleNamespace:
    if "fp32" in path.name:
        raise Refused("x-fp32.tflite: android-x86_64 does not open it")
    return SimpleNamespace(name=path.name, close=lambda: None)


def test_time_is_taken_beside_the_float_file_and_only_on_this_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    took = {"x-fp32.tflite": 2.0, "x-int8.tflite": 7.0}
    monkeypatch.setattr(slower, "LiteRT", lambda path, mode: SimpleNamespace(name=path.name, close=lambda: None))
    monkeypatch.setattr(slower, "seconds", lambda runtime, square: took[runtime.name])
    fp32, int8 = (
        replace(MANIFEST.files[0], file=f"x-{recipe}.tflite", format="tflite", recipe=recipe, answers=False)
        for recipe in ("fp32", "int8")
    )
    square = np.zeros((8, 8, 3), np.uint8)
    build = SimpleNamespace(
        manifest=SimpleNamespace(files=[fp32, int8]), path=lambda entry: SimpleNamespace(name=entry.file)
    )
    assert slower.times_fp32(build, int8, "android-x86_64", square) == 3.5
    assert slower.times_fp32(build, int8, "android", square) is None
    assert slower.times_fp32(build, fp32, "android-x86_64", square) is None
    monkeypatch.setattr(slower, "LiteRT", refuses_fp32)
    assert slower.times_fp32(build, int8, "android-x86_64", square) is None  # its own answer counts all the same
    build.manifest.files = [int8]
    assert slower.times_fp32(build, int8, "android-x86_64", square) is None

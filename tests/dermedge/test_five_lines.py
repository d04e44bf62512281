"""The screen after a conversion: what to ship and why, in five lines, red only where something was rejected."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from rich.text import Text

from convert import _beside_float
from convert._judge import Judged
from convert._recommend import recommended
from dermedge.commands.to_tflite import main
from edge.artifact import read


def result(recipe: str, verdict: str = "pass", time_ratio: float | None = None, **more: object) -> Judged:
    from pathlib import Path

    return Judged(recipe, Path(f"m-{recipe}.tflite"), rejected=verdict == "fail", verdict=verdict,
                  time_ratio=time_ratio, **more)  # fmt: skip


def test_what_passed_is_shipped_and_what_is_slower_than_float_comes_later():
    judged = [result("fp32"), result("fp16", time_ratio=1.2), result("int8", time_ratio=0.7), result("int8-dynamic")]
    assert [r.recipe for r in recommended("tflite", judged)] == ["int8", "int8-dynamic", "fp16", "fp32"]
    slow = [result("fp32"), result("fp16", time_ratio=1.03), result("int8", time_ratio=1.67)]
    assert [r.recipe for r in recommended("tflite", slow)] == ["fp16", "fp32", "int8"]
    undecided = [result("fp32"), result("int8", "inconclusive"), result("int8-io", "fail"), result("x", answers=True)]
    assert [r.recipe for r in recommended("tflite", undecided)] == ["fp32"]
    assert recommended("tflite", [result("int8", "fail")]) == []


def test_a_file_that_cannot_be_timed_costs_no_conversion(monkeypatch, messages):
    """Times only order what is shipped; the files are judged by then."""
    judged = [result("fp32"), result("fp16")]

    def opened(*_):
        raise RuntimeError("no memory for another interpreter\nand more")

    monkeypatch.setattr(_beside_float, "opened", opened)
    source = SimpleNamespace(images=np.zeros((1, 8, 8, 3), np.uint8), photos=["a"])
    assert _beside_float.timed_beside_float(judged, SimpleNamespace(name="tflite"), source) == judged
    assert messages == ["no times beside the float32 file: no memory for another interpreter"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    return tmp_path_factory.mktemp("five") / "build"


@pytest.mark.slow(reason="converts hierattn_xs")
def test_at_most_five_lines_and_the_rest_in_the_log(converted, capsys, monkeypatch):
    monkeypatch.delenv("DERMEDGE_PHOTOS", raising=False)
    timed = []
    monkeypatch.setattr(  # this machine's times decide nothing in a test
        _beside_float, "time_ratio", lambda file, floats, images, **_: timed.append((file, floats)) or 1.2
    )
    assert main(["--model", "hierattn_xs", "--recipe", "fp32", "--recipe", "fp16", "--out", str(converted)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line]
    assert 1 <= len(lines) <= 5
    assert lines[0].startswith("ship hierattn_xs-fp16.tflite (2.26 MB") and "pass on drawn images: " in lines[0]
    assert lines[1].startswith("next hierattn_xs-fp32.tflite")
    assert len(timed) == 1 and timed[0][0] is not timed[0][1]  # fp16 beside fp32
    assert "rejected" not in "".join(lines) and lines[-1].startswith("2 file(s) and manifest.json in ")
    assert {entry.recipe for entry in read(converted).files} == {"fp32", "fp16"}
    log = (converted / "convert.log").read_text("utf-8")
    assert "what the files are made of" in log and "graph rewrites: " in log and Text.from_ansi(log).plain == log

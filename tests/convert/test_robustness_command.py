"""`dermedge robustness` on a real build folder, with LiteRT and nothing in its place."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from convert import to_tflite
from dermedge.commands import robustness


@pytest.mark.slow(reason="converts, then draws every corruption")
def test_a_converted_model_on_bad_photographs(given: list[str], tmp_path: Path) -> None:
    build = tmp_path / "build"
    assert to_tflite.main([*given, "--recipe", "fp32", "--recipe", "fp16", "--out", str(build)]) == 0
    flags = ["--images", "3", "--severities", "2", "5", "--file", "fp16"]
    assert robustness.main([str(build), *given, *flags]) == 0
    report = json.loads((build / "robustness.json").read_text())
    model, half = report["files"]
    assert (model["name"], model["file"]) == ("float32", "hierattn_xs-fp32.tflite")
    assert (half["name"], half["file"]) == ("fp16", "hierattn_xs-fp16.tflite")
    assert len(half["conditions"]) == 1 + 11 * 2
    assert max(c["mean_largest_delta_p"] for c in half["conditions"]) < 0.01
    assert (build / "report.html").read_text().count("<svg") == 11 * 4

    # Without the fp32 file the torch model answers, the same within what fp32 files may differ by.
    manifest = json.loads((build / "manifest.json").read_text())
    manifest["files"] = [entry for entry in manifest["files"] if entry["recipe"] != "fp32"]
    (build / "manifest.json").write_text(json.dumps(manifest))
    assert robustness.main([str(build), *given, *flags, "--corruption", "hair", "--out", str(tmp_path / "torch")]) == 0
    by_torch = json.loads((tmp_path / "torch" / "robustness.json").read_text())
    assert by_torch["files"][0]["file"] == "the float32 torch model"
    same = {(c["corruption"], c["severity"]): c["mean_largest_delta_p"] for c in half["conditions"]}
    for c in by_torch["files"][1]["conditions"]:
        assert c["mean_largest_delta_p"] == pytest.approx(same[c["corruption"], c["severity"]], abs=1e-4)

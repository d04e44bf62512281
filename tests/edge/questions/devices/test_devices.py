"""Reports of devices on the page: each with what it answered, beside earlier ones, none that was changed since."""

from __future__ import annotations

import copy
import json
import re
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest

from dermedge.commands import parity
from edge import artifact
from edge.files import sha256, size
from edge.questions.devices.measure import judge
from edge.report.page import render
from tests.edge._device_reports import body_for, build_in, sealed
from tests.edge._manifests import entry

PHONE = {"device": {"model": "iPhone17,1", "system": "iOS 19.1"}, "memory_bytes": 187_000_000}


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return build_in(tmp_path / "build")


def words_of(page: Path) -> str:
    """What a person reads: without markup, each space once."""
    body = page.read_text("utf-8").partition("<body>")[2]
    text = unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", body, flags=re.DOTALL))
    return " ".join(text.split()).replace(" ,", ",")


def row_words(page: Path, model: str) -> str:
    """The device's own part of the page."""
    return words_of(page).split(f" {model} ")[-1].partition("SHA-256")[0]


def test_the_page_says_what_a_device_answered(build: Path, tmp_path: Path) -> None:
    body = body_for(build) | PHONE
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, body))]) == 0
    said = row_words(build / "report.html", "iPhone17,1")
    for wanted in (
        "✓ pass 1 self-test image, largest |Δp| 0.030", "System iOS 19.1", "Runtime tflite 2.16.1", "Accelerator cpu",
        "File net-int8.tflite", "Latency median 4.5 ms, ninetieth percentile 5.0 ms of 10 runs",
        "Cold start 102.5 ms: loading 90.0 ms, first run 12.5 ms", "Memory 187 MB",
        "self_test_0.png right, |Δp| 0.030 expected ACK 88.0 % BCC * 12.0 % obtained ACK 85.0 % BCC * 15.0 %",
    ):  # fmt: skip
        assert wanted in said, said


def test_a_wrong_answer_is_shown_and_fails(build: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    body = body_for(build)
    body["images"][0]["probabilities"] = [0.4, 0.6]
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, body))]) == 1
    assert "failed net-int8.tflite on Pixel 9" in capsys.readouterr().out
    assert "Not every device gave the classes" in words_of(build / "report.html")
    said = row_words(build / "report.html", "Pixel 9")
    assert "1 of 1 self-test images is answered wrongly" in said and "✗ wrong, |Δp| 0.480" in said
    assert "<details open>" in (build / "report.html").read_text("utf-8")


@pytest.mark.parametrize("silent", [None, 0])
def test_memory_that_a_system_does_not_say_is_no_number(build: Path, tmp_path: Path, silent: int | None) -> None:
    body = body_for(build) | {"memory_bytes": silent}
    report, _ = judge(build, [sealed(tmp_path, body)])
    assert report.report["rows"][0]["memory_bytes"] is None
    assert "Memory – the system does not say" in row_words(report.write(build), "Pixel 9")


def test_reports_of_other_days_stay_until_the_device_reports_again(build: Path, tmp_path: Path) -> None:
    first = body_for(build)
    wrong = copy.deepcopy(first)
    wrong["images"][0]["probabilities"] = [0.4, 0.6]
    pixel, phone = sealed(tmp_path, wrong), sealed(tmp_path, first | PHONE, name="phone.json")
    assert parity.main([str(build), "--device-report", str(pixel)]) == 1
    assert parity.main([str(build), "--device-report", str(phone)]) == 1  # the first is wrong as before
    rows = json.loads((build / "devices.json").read_text())["rows"]
    assert [(row["model"], row["verdict"]) for row in rows] == [("Pixel 9", "fail"), ("iPhone17,1", "pass")]
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, first))]) == 0
    rows = json.loads((build / "devices.json").read_text())["rows"]
    assert [(row["model"], row["verdict"]) for row in rows] == [("Pixel 9", "pass"), ("iPhone17,1", "pass")]


def test_earlier_reports_are_judged_again_from_what_was_sealed(
    build: Path, tmp_path: Path, messages: list[str]
) -> None:
    wrong = body_for(build)
    wrong["images"][0]["probabilities"] = [0.4, 0.6]
    parity.main([str(build), "--device-report", str(sealed(tmp_path, wrong))])
    kept = json.loads((build / "devices.json").read_text())
    kept["rows"][0]["verdict"] = "pass"  # by hand
    (build / "devices.json").write_text(json.dumps(kept))
    phone = sealed(tmp_path, body_for(build) | PHONE, name="phone.json")
    assert judge(build, [phone])[0].failed == ["net-int8.tflite on Pixel 9"]
    kept["rows"][0]["report"]["body"] = kept["rows"][0]["report"]["body"].replace("0.6", "0.1")
    (build / "devices.json").write_text(json.dumps(kept))
    assert [row["model"] for row in judge(build, [phone])[0].report["rows"]] == ["iPhone17,1"]
    assert "was changed after the app saved it" in " ".join(messages)


def test_a_file_that_was_converted_again_has_no_devices(build: Path, tmp_path: Path, messages: list[str]) -> None:
    judge(build, [sealed(tmp_path, body_for(build))])[0].write(build)
    changed = json.loads((build / artifact.MANIFEST).read_text())
    changed["files"][0]["sha256"] = "b" * 64
    (build / artifact.MANIFEST).write_text(json.dumps(changed))
    new = sealed(tmp_path, body_for(build) | PHONE)
    assert [row["model"] for row in judge(build, [new])[0].report["rows"]] == ["iPhone17,1"]
    assert "manifest does not have" in " ".join(messages)


def test_reports_of_a_file_that_stayed_stay_when_another_is_converted_again(
    build: Path, tmp_path: Path, messages: list[str]
) -> None:
    kept = build / "net-fp32.tflite"
    kept.write_bytes(b"fp32")
    facts = artifact.read(build)
    (test,) = facts.self_test
    expected = {**test.expected, kept.name: test.expected["net-int8.tflite"]}
    files = (*facts.files, entry(kept.name, sha256=sha256(kept), bytes=size(kept)))
    artifact.write(build, replace(facts, files=files, self_test=(replace(test, expected=expected),)))
    body = body_for(build)
    fp32 = body | {"file": {"name": kept.name, "sha256": sha256(kept)}}
    devices = ["Phone 0", "Phone 1", "Phone 2"]
    reports = [sealed(tmp_path, body)]
    for model in devices:
        reports.append(sealed(tmp_path, fp32 | {"device": {"model": model, "system": "x"}}, name=f"{model}.json"))
    judge(build, reports)[0].write(build)
    assert json.loads((build / "devices.json").read_text())["rows"][0]["file"] == "net-int8.tflite"  # before the others
    changed = json.loads((build / artifact.MANIFEST).read_text())
    changed["files"][0]["sha256"] = "b" * 64
    (build / artifact.MANIFEST).write_text(json.dumps(changed))
    new = sealed(tmp_path, fp32 | {"device": {"model": "New", "system": "x"}})
    assert [row["model"] for row in judge(build, [new])[0].report["rows"]] == [*devices, "New"]
    assert len([text for text in messages if "is left out" in text]) == 1
    devices_json = json.loads((build / "devices.json").read_text())
    devices_json["rows"][1] = None  # by hand
    (build / "devices.json").write_text(json.dumps(devices_json))
    assert [row["model"] for row in judge(build, [new])[0].report["rows"]] == [*devices[1:], "New"]


def test_names_from_outside_are_text_on_the_page(build: Path, tmp_path: Path) -> None:
    body = body_for(build) | {"device": {"model": "<script>alert(1)</script>", "system": "<b>x</b> [red]"}}
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, body))]) == 0
    page = (build / "report.html").read_text("utf-8")
    assert "<script>alert" not in page and "&lt;script&gt;alert(1)" in page


def test_the_page_is_made_again_from_the_json_alone(build: Path, tmp_path: Path) -> None:
    report, _ = judge(build, [sealed(tmp_path, body_for(build))], out=tmp_path / "out")
    page = report.write(tmp_path / "out")
    before = page.read_text("utf-8")
    page.unlink()
    assert render(tmp_path / "out").read_text("utf-8") == before

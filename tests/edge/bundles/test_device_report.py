"""What a phone is said to have answered: judged by its numbers, refused where it was changed or is of another file."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from dermedge.commands import parity
from edge import artifact
from edge.bundles.app_runtimes import app_runtime
from edge.bundles.device_report import certified, read_device_report
from edge.errors import InputError
from edge.manifest import Run
from tests.edge._device_reports import body_for, build_in, sealed


@pytest.fixture
def build(tmp_path: Path) -> Path:
    return build_in(tmp_path / "build")


@pytest.fixture
def body(build: Path) -> dict:
    return body_for(build)


def test_a_device_that_is_right_is_remembered(build: Path, tmp_path: Path, body: dict, capsys) -> None:
    path = sealed(tmp_path, body)
    result = certified(read_device_report(path), artifact.read(build), where="here")
    assert (result.verdict, result.largest_delta_p) == ("pass", pytest.approx(0.03))
    for _ in range(2):  # the second time changes nothing
        assert parity.main([str(build), "--device-report", str(path)]) == 0
        seen = artifact.read(build).files[0].seen_right
        assert seen == (Run("device-tflite", "2.16.1", "Pixel 9, cpu, Android 16"),)
    said = " ".join(capsys.readouterr().out.split())
    assert "it is no signature" in said and "pass" in said
    assert app_runtime("tflite-2.16.1", "android").saw_right(artifact.read(build).files[0]) == seen


def test_a_device_that_is_wrong_fails_and_is_not_remembered(build: Path, tmp_path: Path, body: dict) -> None:
    body["images"][0]["probabilities"] = [0.4, 0.6]
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, body))]) == 1
    assert not artifact.read(build).files[0].seen_right


def test_a_device_that_was_right_and_is_wrong_now_is_no_longer_called_right(
    build: Path, tmp_path: Path, body: dict
) -> None:
    wrong = copy.deepcopy(body)
    wrong["images"][0]["probabilities"] = [0.4, 0.6]
    right_path, wrong_path = sealed(tmp_path, body), sealed(tmp_path, wrong, name="wrong.json")
    other = sealed(tmp_path, body | {"device": {"model": "Pixel 6", "system": "Android 14"}}, name="other.json")
    assert parity.main([str(build), "--device-report", str(right_path), str(other)]) == 0
    assert parity.main([str(build), "--device-report", str(wrong_path)]) == 1
    seen = artifact.read(build).files[0].seen_right
    assert [run.processor for run in seen] == ["Pixel 6, cpu, Android 14"]
    assert parity.main([str(build), "--device-report", str(wrong_path), str(right_path)]) == 0  # the last one counts
    assert len(artifact.read(build).files[0].seen_right) == 2
    assert parity.main([str(build), "--device-report", str(right_path), str(wrong_path)]) == 1
    assert artifact.read(build).files[0].seen_right == seen


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b["file"].update(sha256="0" * 64), "manifest does not have"),
        (lambda b: b["file"].update(name="other.tflite"), "has that SHA-256 under the name net-int8.tflite"),
        (lambda b: b["runtime"].update(library="coreml"), "coreml ran net-int8.tflite; it runs .mlpackage files"),
        (lambda b: b["images"][0].update(rgb_sha256="0" * 64), "which are not the 1 of the self-test"),
        (lambda b: b["images"][0].update(answers=[1.0]), "which are not the 1 of the self-test"),
        (lambda b: b["images"].append(b["images"][0]), "which are not the 1 of the self-test"),
        (lambda b: b["images"][0].update(probabilities=[0.2, 0.3, 0.5]), "has 3 probabilities"),
        (lambda b: b["images"][0].update(probabilities=[2.0, 0.1]), "greater than the maximum"),
        (lambda b: b.update(schema="dermedge/device-report/2"), "'dermedge/device-report/1' was expected"),
        (lambda b: b.update(verdict="pass"), "'verdict' was unexpected"),
        (lambda b: b["runtime"].update(version="2.16.1; x"), "does not match"),
        (lambda b: b["device"].update(model="x" * 1000), "device/model: 'xxx"),
        (lambda b: b["milliseconds"].update(median=-1), "less than the minimum"),
        (lambda b: b["milliseconds"].update(median=float("nan")), "is not of type 'number'"),
    ],
)
def test_another_report_is_refused(build: Path, tmp_path: Path, body: dict, change: Callable, words: str) -> None:
    changed = copy.deepcopy(body)
    change(changed)
    with pytest.raises(InputError, match=words):
        certified(read_device_report(sealed(tmp_path, changed)), artifact.read(build), where="here")
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, changed))]) == 2
    assert not artifact.read(build).files[0].seen_right


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "does not exist"), ("[]", "no JSON object"), ("{", "is not JSON"),
        ('{"body": 1, "sha256": "x"}', "two texts"),
        ('{"body": "{}", "sha256": "x", "more": 1}', "two texts"), ("x" * (4 * 2**20 + 1), "is larger than"),
    ],
)  # fmt: skip
def test_what_is_no_report_is_named(tmp_path: Path, text: str | None, words: str) -> None:
    path = tmp_path / "device-report.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=words):
        read_device_report(path)


def test_a_report_that_was_changed_is_refused(tmp_path: Path, body: dict) -> None:
    text = json.dumps(body).replace("0.85", "0.86")
    with pytest.raises(InputError, match="was changed after the app saved it"):
        read_device_report(sealed(tmp_path, body, body=text))


def test_a_report_needs_nothing_run(build: Path, tmp_path: Path, body: dict, capsys) -> None:
    assert parity.main([str(build), "--device-report", str(sealed(tmp_path, body)), "--simulate"]) == 2
    assert "runs nothing here" in capsys.readouterr().err

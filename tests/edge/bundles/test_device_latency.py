"""Times that phones reported are what latencies are foretold from, after the checks that answers get."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from dermedge.commands import latency as command
from edge import artifact
from edge.bundles import device_latency
from edge.bundles.device_latency import reported
from edge.errors import InputError
from edge.files import sha256, size
from edge.latency import foretell
from edge.manifest import Audit, SelfTest
from edge.phones.legacy import PROBE
from tests.edge._device_reports import EXPECTED, SIDE, SURE, sealed
from tests.edge._manifests import entry, manifest

ATTENTION = Audit(
    operators={"CONV_2D": 30, "BATCH_MATMUL": 18, "GELU": 9}, largest_rank=4, layout_operators=0, layout_bytes=0,
    macs=100_000_000, macs_8bit=0, macs_weights=100_000_000, peak_activation_bytes=0,
)  # fmt: skip
SETTING = ("Pixel 9", "cpu, tflite 2.16.1", "float32")


def a_build(folder: Path, family: str, audit: Audit, content: bytes = b"") -> Path:
    folder.mkdir()
    path = folder / f"{folder.name}-fp32.tflite"
    path.write_bytes(content or folder.name.encode())
    pixels = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), np.uint8)
    Image.fromarray(pixels).save(folder / "self_test_0.png")
    rgb = hashlib.sha256(pixels.tobytes()).hexdigest()
    test = SelfTest("self_test_0.png", sha256(folder / "self_test_0.png"), rgb, SURE, {path.name: EXPECTED})
    files = (entry(path.name, sha256=sha256(path), bytes=size(path), audit=audit),)
    artifact.write(
        folder, manifest(model=folder.name, family=family, side=SIDE, files=files, self_test=(test,))
    )  # fmt: skip
    return folder


def a_report(build: Path, milliseconds: float, change: Callable[[dict], object] = lambda body: None) -> Path:
    facts = artifact.read(build)
    body = {
        "schema": "dermedge/device-report/1",
        "device": {"model": "Pixel 9", "system": "Android 16"},
        "runtime": {"library": "tflite", "version": "2.16.1", "accelerator": "cpu"},
        "file": {"name": facts.files[0].file, "sha256": facts.files[0].sha256},
        "images": [{"rgb_sha256": facts.self_test[0].rgb_sha256, "answers": None, "probabilities": [0.85, 0.15]}],
        "milliseconds": {"load": 90, "first": 99, "median": milliseconds, "p90": 99, "runs": 10},
        "memory_bytes": None,
    }
    change(body)
    return sealed(build, body)


def three(folder: Path, *, last_family: str = "c") -> tuple[list[Path], list[Path]]:
    """Builds of three networks with attention, 100, 150 and 200 million multiply-accumulates, and their reports."""
    builds = [
        a_build(folder / name, family, replace(ATTENTION, macs=macs * 1_000_000))
        for name, family, macs in (("one", "a", 100), ("two", "b", 150), ("three", last_family, 200))
    ]
    return builds, [a_report(build, time) for build, time in zip(builds, (10, 15, 24), strict=True)]


def test_three_networks_that_a_phone_ran_foretell_a_fourth_with_their_operators(tmp_path: Path) -> None:
    builds, reports = three(tmp_path)
    asked = replace(ATTENTION, macs=120_000_000)
    row = next(row for row in foretell(asked, reported(reports, builds)) if row.device == "Pixel 9")
    assert (row.device, row.processor, row.arithmetic) == SETTING and row.figures == row.networks == 3
    # by hand: 0.1, 0.1 and 0.12 ms for a million; the last is missed most, by a factor of 1.2
    assert row.off == pytest.approx(1.2) and row.milliseconds == pytest.approx(12 * 1.2 ** (1 / 3))
    assert row.lowest == pytest.approx(10 * 1.2 ** (1 / 3)) and row.sources[0].startswith("device report ")
    # the published networks stay unlike it
    assert all(other.milliseconds is None for other in foretell(asked, reported(reports, builds)) if other is not row
               and other.device != "Pixel 9")  # fmt: skip
    strange = next(row for row in foretell(replace(asked, operators={"EXP": 2}), reported(reports, builds))
                   if row.device == "Pixel 9")  # fmt: skip
    assert strange.milliseconds is None and strange.reason == "none of the reported networks has 2 EXP"


def test_two_sizes_of_one_network_show_no_error(tmp_path: Path) -> None:
    builds, reports = three(tmp_path, last_family="b")
    row = next(row for row in foretell(ATTENTION, reported(reports, builds)) if row.device == "Pixel 9")
    assert row.milliseconds is None and row.off is None and "of a, b alone" in row.reason


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda b: b["images"][0].update(probabilities=[0.1, 0.9]), "the device answered self_test_0.png wrongly"),
        (lambda b: b["file"].update(sha256="0" * 64), "name the folder of its build too"),
        (lambda b: b["images"][0].update(rgb_sha256="0" * 64), "are not the 1 of the self-test"),
        (lambda b: b["milliseconds"].update(median=0), "a median of 0 ms"),
        (lambda b: b["runtime"].update(library="coreml"), "it runs .mlpackage files"),
    ],
)
def test_a_report_that_parity_would_not_take_says_nothing_of_time(
    tmp_path: Path, change: Callable[[dict], object], words: str
) -> None:
    build = a_build(tmp_path / "one", "a", ATTENTION)
    with pytest.raises(InputError, match=words):
        reported([a_report(build, 10, change)], [build])


def test_a_mixture_is_left_out_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(device_latency.log, "warning", lambda text, *parts: said.append(text % parts))
    build = a_build(tmp_path / "one", "a", replace(ATTENTION, macs_8bit=50_000_000))
    assert reported([a_report(build, 10)], [build]) == []
    assert len(said) == 1 and "is left out: its file computes partly in 8 bits" in said[0]


def test_the_command_takes_reports_and_says_what_was_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build = a_build(tmp_path / "probe", "a", ATTENTION, PROBE.read_bytes())
    path, report = build / "probe-fp32.tflite", a_report(build, 10)
    assert command.main([str(path), "--device-report", str(report), "--json"]) == 0
    row = next(row for row in json.loads(capsys.readouterr().out) if row["device"] == "Pixel 9")
    assert row["measured"] == 10 and row["milliseconds"] is None and "this very file took 10 ms" in row["reason"]
    assert command.main([str(path), "--device-report", str(report), str(report)]) == 0
    assert "Pixel 9, cpu, tflite 2.16.1, float32: no number, because this" in " ".join(capsys.readouterr().out.split())
    report.write_text(report.read_text().replace("10", "11", 1))
    assert command.main([str(path), "--device-report", str(report)]) == 2
    assert command.main([str(path), "--builds", str(build)]) == 2

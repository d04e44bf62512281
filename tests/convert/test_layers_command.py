"""`dermedge parity --layers` on a build folder: what it writes, what it refuses, its exit codes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert._tflite import file as _tflite
from convert._tflite.layers import weighted
from dermedge.commands import parity, predict
from edge import artifact
from edge.files import sha256
from edge.questions.layers.measure import LayersReport
from edge.runtimes import coreai

NAME = "hierattn_xs-fp32.tflite"


def run(given: list[str], build: Path, out: Path, *more: str) -> int:
    return parity.main([str(build), *given, "--layers", "--images", "2", "--out", str(out), *more])


@pytest.mark.slow(reason="walks through a network")
def test_an_intact_file_passes(fp32_build: Path, given: list[str], tmp_path: Path, capsys) -> None:
    assert run(given, fp32_build, tmp_path) == 0
    assert "no operation loses more than its precision explains" in " ".join(capsys.readouterr().out.split())
    report = json.loads((tmp_path / "layers.json").read_text())
    (file,) = report["files"]
    assert (report["data"]["images"], report["data"]["synthetic"]) == (2, True)
    assert (file["file"], file["first"], file["binding"]) == (NAME, None, True)
    assert file["counts"]["ok"] > 280  # of 423 operations; the rest are parts of layer norm and SiLU, and moves
    html = (tmp_path / "report.html").read_text()
    assert "<svg" in html and "SQNR, dB" in html and "<b>synthetic</b>" in html


@pytest.mark.slow(reason="converts a network and looks at each layer")
def test_a_broken_layer_is_named_and_fails(fp32_build: Path, given: list[str], tmp_path: Path, capsys) -> None:
    model = _tflite.unpack((fp32_build / NAME).read_bytes())
    layer = weighted(model)[16]
    buffer = model.buffers[model.subgraphs[0].tensors[layer.weight].buffer]
    buffer.data = np.frombuffer(bytes(buffer.data), np.float32)[::-1].copy().view(np.uint8)
    (tmp_path / NAME).write_bytes(_tflite.pack(model))
    manifest = artifact.read(fp32_build)
    (entry,) = manifest.files
    entry = replace(entry, sha256=sha256(tmp_path / NAME), bytes=(tmp_path / NAME).stat().st_size)
    artifact.write(tmp_path, replace(manifest, self_test=(), files=(entry,)))
    assert run(given, tmp_path, tmp_path) == 1
    said = " ".join(capsys.readouterr().out.split())
    (file,) = json.loads((tmp_path / "layers.json").read_text())["files"]
    first = file["rows"][file["first"]]
    tensor = model.subgraphs[0].tensors[layer.output].name.decode()
    assert (first["kind"], first["name"]) == (layer.operator, tensor)
    assert f"leaves the torch model at op {first['op']}, {layer.operator} ({tensor})" in said
    assert f"module {first['module']}" in said and first["module"].startswith("layer3.")


def test_only_binding_gates_fail() -> None:
    files = [
        {"file": f"{first} {binding}", "first": first, "binding": binding} for first in (None, 3) for binding in (0, 1)
    ]
    assert LayersReport({"files": files}).failed == ["3 1"]
    assert LayersReport({"files": files}).failing(strict=True) == ["3 0", "3 1"]


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--file", "int9"], "no file or recipe int9"),
        (["--mode", "xnnpack"], "leave out --mode"),
        (["--images", "0"], "at least 1"),
    ],
)
def test_what_is_refused(
    fp32_build: Path, given: list[str], tmp_path: Path, capsys, more: list[str], words: str
) -> None:
    assert run(given, fp32_build, tmp_path, *more) == 2
    assert words in " ".join(capsys.readouterr().err.split())
    assert not list(tmp_path.glob("layers.*"))


def test_one_file_without_layers_is_refused(fp32_build: Path, given: list[str], capsys) -> None:
    assert parity.main([str(fp32_build), *given, "--file", "fp32"]) == 2
    assert "--file goes with --layers" in capsys.readouterr().err


@pytest.mark.slow(reason="looks into every layer of a second file")
def test_a_core_ai_file_is_left_out_in_words_where_core_ai_is_missing(
    fp32_build: Path, given: list[str], tmp_path: Path, monkeypatch, capsys
) -> None:
    """The other files of the folder are looked into all the same."""
    manifest = artifact.read(fp32_build)
    other = replace(manifest.files[0], file="hierattn_xs-fp32.aimodel", format="aimodel")
    monkeypatch.setattr(artifact, "verify", lambda folder, manifest: None)  # there is no such file
    monkeypatch.setattr(coreai, "missing", lambda: "running .aimodel files needs Core AI: '.[coreai]'")
    monkeypatch.setattr(artifact, "read", lambda folder: replace(manifest, files=(other, *manifest.files)))
    assert run(given, fp32_build, tmp_path) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "not looked into: running .aimodel files needs Core AI: '.[coreai]'" in said
    assert "no operation loses more than its precision explains" in said
    monkeypatch.setattr(artifact, "read", lambda folder: replace(manifest, files=(other,)))
    (tmp_path / "report.html").write_text("the page before")
    assert run(given, fp32_build, tmp_path) == 2  # nothing was looked into
    assert (tmp_path / "report.html").read_text() == "the page before"


@pytest.mark.parametrize("more", [[], ["--layers"]])
def test_a_build_of_another_preprocessing_is_refused(
    fp32_build: Path, given: list[str], sample: Path, monkeypatch, capsys, more
) -> None:
    """Its files were judged on other pictures than those that would be made now."""
    manifest = artifact.read(fp32_build)
    other = replace(manifest, preprocess="opencv-area-1")
    monkeypatch.setattr(artifact, "read", lambda folder: other)
    assert parity.main([str(fp32_build), *given, *more]) == 2
    assert "preprocessing 'opencv-area-1'" in capsys.readouterr().err
    photo = str(next(sample.rglob("*.jpg")))
    assert predict.main([photo, "--with", str(fp32_build / NAME)]) == 2
    assert "preprocessing 'opencv-area-1'" in capsys.readouterr().err

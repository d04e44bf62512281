"""Converted files in the commands: wrong, damaged and foreign ones are told apart from good ones."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from convert._tflite import file as _tflite
from dermedge import cli
from dermedge.commands import parity, predict
from edge import artifact, checkpoint
from edge.data.readers import open_photos
from edge.files import sha256
from edge.runtimes import Outputs, litert
from edge.runtimes.reference import Reference

NAME = "hierattn_xs-fp32.tflite"


@pytest.mark.slow(reason="converts and judges a network")
def test_parity_fails_on_a_wrong_file(fp32_build: Path, weights: Path, given: list[str], tmp_path: Path) -> None:
    """The same network with red and blue swapped in the first layer passes as a file and must fail as an answer."""
    right = checkpoint.load(weights)
    state = dict(right.state)
    state["stem.0.weight"] = state["stem.0.weight"].flip(1)
    content = _tflite.float_model(replace(right, state=state)).content
    manifest = artifact.read(fp32_build)
    (entry,) = manifest.files
    target = tmp_path / entry.file
    target.write_bytes(content)
    entry = replace(entry, sha256=sha256(target), bytes=target.stat().st_size)
    artifact.write(tmp_path, replace(manifest, files=(entry,)))
    assert parity.main([str(tmp_path), *given, "--images", "12"]) == 1
    assert "<failure" in (tmp_path / "parity.xml").read_text()


@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "missing"])
def test_a_damaged_file_is_named(fp32_build: Path, sample: Path, tmp_path: Path, damage: str, capsys) -> None:
    path = tmp_path / "model.tflite"
    content = (fp32_build / "hierattn_xs-fp32.tflite").read_bytes()
    if damage != "missing":
        path.write_bytes({"truncated": content[: len(content) // 3], "text": b"hello world", "empty": b""}[damage])
    photo = next(iter(open_photos(sample).photos)).path
    assert predict.main([str(photo), "--with", str(path)]) == 2
    assert "model.tflite" in capsys.readouterr().err


def test_a_changed_file_is_noticed(fp32_build: Path, given: list[str], tmp_path: Path, capsys) -> None:
    for part in fp32_build.iterdir():
        if part.is_file():
            (tmp_path / part.name).write_bytes(part.read_bytes())
    with (tmp_path / "hierattn_xs-fp32.tflite").open("ab") as file:
        file.write(b"x")
    assert parity.main([str(tmp_path), *given, "--simulate"]) == 2
    assert "hierattn_xs-fp32.tflite" in capsys.readouterr().err


def test_predict_gives_the_same_answer_by_file_and_by_checkpoint(
    fp32_build: Path, weights: Path, sample: Path, capsys
) -> None:
    photo = str(open_photos(sample).photos[0].path)
    answers = []
    for file in (weights, fp32_build / "hierattn_xs-fp32.tflite"):
        assert predict.main([photo, "--with", str(file), "--json"]) == 0
        answers.append(json.loads(capsys.readouterr().out)[0]["probabilities"])
    assert answers[0].keys() == answers[1].keys()
    assert max(abs(answers[0][code] - answers[1][code]) for code in answers[0]) < 2e-6


def test_predict_refuses_a_file_that_is_not_the_one_described(
    fp32_build: Path, sample: Path, tmp_path: Path, capsys
) -> None:
    photo, name = str(open_photos(sample).photos[0].path), "hierattn_xs-fp32.tflite"
    shutil.copytree(fp32_build, tmp_path / "build")
    content = bytearray((fp32_build / name).read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "build" / name).write_bytes(content)
    assert predict.main([photo, "--with", str(tmp_path / "build" / name)]) == 2
    assert "is not the file that the manifest describes" in capsys.readouterr().err
    shutil.copy(fp32_build / name, tmp_path / name)
    assert predict.main([photo, "--with", str(tmp_path / name)]) == 2
    assert "leave the two together" in capsys.readouterr().err


def test_predict_gives_no_answer_that_is_not_finite(weights: Path, sample: Path, monkeypatch, capsys) -> None:
    photo = str(open_photos(sample).photos[0].path)
    nothing = Outputs(np.full((1, 6), np.nan), None)
    monkeypatch.setattr(Reference, "run", lambda self, images, answers=None: nothing)
    for more in ([], ["--json"]):
        assert predict.main([photo, "--with", str(weights), *more]) == 2
        seen = capsys.readouterr()
        assert "no finite answer" in seen.err and "NaN" not in seen.out


def test_files_for_core_ai_are_left_out_where_it_is_not_installed(
    fp32_build: Path, given: list[str], tmp_path: Path, monkeypatch, capfd
) -> None:
    """One line says which files and what to install; the others are judged as ever."""
    folder, name = tmp_path / "build", "hierattn_xs-fp32.aimodel"
    shutil.copytree(fp32_build, folder)
    (folder / name).mkdir()
    (folder / name / "main.mlirb").write_bytes(b"anything")
    manifest = artifact.read(folder)
    (kept,) = manifest.files
    other = replace(kept, file=name, format="aimodel", sha256=sha256(folder / name), bytes=8)
    artifact.write(folder, replace(manifest, files=(other, kept)))
    monkeypatch.setitem(sys.modules, "coreai", None)  # importing it fails
    monkeypatch.setitem(sys.modules, "coreai.authoring", None)
    for command in ("simulate", "parity"):
        assert cli.main([command, str(folder), *given, "--images", "2"]) == 0
        lines = capfd.readouterr().out.splitlines()
        assert any("page:" in line for line in lines) == (command == "parity")
        assert [line for line in lines if "left out" in line or ".aimodel" in line] == [
            f"left out {name}: running .aimodel files needs Core AI: pip install -e '.[coreai]' in dermedge's folder"
        ]
        assert any("hierattn_xs-fp32.tflite" in line for line in lines)


def test_simulate_runs_every_way_and_leaves_no_report(
    fp32_build: Path, given: list[str], tmp_path: Path, capsys
) -> None:
    folder = tmp_path / "build"
    shutil.copytree(fp32_build, folder)
    before = {path.name for path in folder.iterdir()}
    assert "report.html" not in before
    assert parity.main([str(folder), *given, "--simulate", "--images", "2"]) == 0
    said = capsys.readouterr().out
    assert all(f" {mode} " in said for mode in ("xnnpack", "xnnpack-fp16", "reference")) and "page:" not in said
    assert {path.name for path in folder.iterdir()} == before | {"runtime.log"}


def test_an_operator_that_the_plain_kernels_lack_costs_that_row_alone(
    fp32_build: Path, given: list[str], monkeypatch, capfd
) -> None:
    """CEIL and ROUND are known to XNNPACK and not to the plain kernels."""
    opened = litert.Interpreted.__init__

    def without_ceil(self, path: Path, mode: str, threads: int) -> None:
        if mode == "reference":  # what LiteRT 2.3 says of such a file
            raise ValueError("Didn't find op for builtin opcode 'CEIL' version '1'. An older version …")
        opened(self, path, mode, threads)

    monkeypatch.setattr(litert.Interpreted, "__init__", without_ceil)
    asked = [str(fp32_build), *given, "--images", "2"]
    assert parity.main([*asked, "--simulate"]) == 0
    said = capfd.readouterr().out
    assert "left out: hierattn_xs-fp32.tflite in mode reference: LiteRT's plain kernels have no CEIL" in said
    assert " xnnpack " in said and " xnnpack-fp16 " in said
    assert parity.main([*asked, "--mode", "reference"]) == 2
    assert "run here: hierattn_xs-fp32.tflite in mode reference: LiteRT's plain" in capfd.readouterr().err


@pytest.mark.parametrize(
    "more", [pytest.param(["--layers"], marks=pytest.mark.slow(reason="walks through a network")), ["--simulate"], []]
)
def test_a_file_that_its_runtime_reads_as_nonsense_is_named(
    fp32_build: Path, given, tmp_path: Path, more, capfd
) -> None:
    """A tensor's name that is no text: LiteRT opens the file and cannot say what is in it."""
    content = (fp32_build / NAME).read_bytes()
    assert b"probabilities" in content
    shutil.copytree(fp32_build, tmp_path / "build")
    folder = tmp_path / "build"
    (folder / NAME).write_bytes(content.replace(b"probabilities", b"\xff" * 13))
    manifest = artifact.read(folder)
    (entry,) = manifest.files
    artifact.write(folder, replace(manifest, files=(replace(entry, sha256=sha256(folder / NAME)),)))
    assert parity.main([str(folder), *given, "--images", "2", *more]) == 2
    said = capfd.readouterr().err
    assert said.startswith("error: ") and NAME in said and "convert it again" in said


def test_one_file_in_place_of_its_folder_is_told(fp32_build: Path, given: list[str], capsys) -> None:
    assert parity.main([str(fp32_build / NAME), *given]) == 2
    assert f"give the folder that it lies in: {fp32_build}" in capsys.readouterr().err

"""What conversion refuses or rejects, in words, and that nothing half made is left behind."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from convert import to_tflite
from convert._tflite import file as _tflite
from convert._tflite import format as _tflite_format
from edge import artifact, checkpoint
from edge.runtimes.litert import LiteRT
from edge.runtimes.reference import Reference
from tests.convert._random_weights import SIDE

ROOT = Path(__file__).parents[2]
LITERT_TORCH = pytest.mark.slow(reason="litert-torch lowers the whole network")


@pytest.fixture
def good_float_model(fp32_build: Path, monkeypatch) -> None:
    """Whatever the checkpoint, the float file is the good one of `weights`."""
    good = (fp32_build / "hierattn_xs-fp32.tflite").read_bytes()
    monkeypatch.setattr(_tflite_format, "float_model", lambda checkpoint: _tflite.Lowered(good, {}, "by hand"))


def with_a_warning(monkeypatch) -> None:
    audit = _tflite_format.audit
    monkeypatch.setattr(
        _tflite_format, "audit", lambda *said: replace(audit(*said), warnings=("gpu-rank: ABS has rank 7",))
    )


def test_existing_output_is_not_overwritten(fp32_build: Path, given: list[str], capsys) -> None:
    before = artifact.read(fp32_build)
    assert to_tflite.main([*given, "--out", str(fp32_build), "--recipe", "fp32"]) == 2
    assert "--force" in capsys.readouterr().err
    assert artifact.read(fp32_build) == before


@pytest.mark.slow(reason="converts a network")
def test_a_file_that_fails_its_gate_is_not_kept(
    good_float_model: None, weights: Path, sample: Path, tmp_path: Path, capsys
) -> None:
    """Conversion that loses something (here: the temperature) exits 1 and leaves no file of that recipe."""
    checkpoint.save(replace(checkpoint.load(weights), temperature=2.0), tmp_path / "other")
    arguments = ["--checkpoint", str(tmp_path / "other.safetensors"), "--data", str(sample), "--recipe", "fp32"]
    assert to_tflite.main([*arguments, "--out", str(tmp_path / "out")]) == 1
    assert "rejected" in capsys.readouterr().out
    assert not (tmp_path / "out" / "hierattn_xs-fp32.tflite").exists()
    assert artifact.read(tmp_path / "out").files == ()


@LITERT_TORCH
def test_an_operation_without_an_operator_goes_through_litert_torch(weights: Path, tmp_path: Path, monkeypatch) -> None:
    from convert._graph.graph import aten
    from convert._tflite.emit.lower import TABLE

    monkeypatch.delitem(TABLE, aten.gelu.default)
    lowered = _tflite.float_model(checkpoint.load(weights))
    assert "litert-torch" in lowered.by and "aten.gelu" in lowered.by
    (tmp_path / "x.tflite").write_bytes(lowered.content)
    images = np.random.default_rng(1).integers(0, 256, (3, SIDE, SIDE, 3), dtype=np.uint8)
    runtime = LiteRT(tmp_path / "x.tflite")
    np.testing.assert_allclose(
        runtime.run(images).probabilities, Reference(checkpoint.load(weights)).run(images).probabilities, atol=2e-6
    )
    runtime.close()


@torch.library.custom_op("dermedge_tests::twice", mutates_args=())
def twice(x: torch.Tensor) -> torch.Tensor:
    return 2 * x


@twice.register_fake
def _(x: torch.Tensor) -> torch.Tensor:
    return torch.empty_like(x)


@pytest.mark.parametrize(
    ("operation", "words"),
    [
        pytest.param(lambda x: twice(x), "no TFLite operator for dermedge_tests.twice", marks=LITERT_TORCH),
        pytest.param(lambda x: x + torch.nonzero(x).float().mean(), "aten.nonzero.default(", marks=LITERT_TORCH),
        (lambda x: x + 1 if x.sum() > 0 else x, "data-dependent"),
    ],
    ids=[
        "a custom operation",
        "a shape that depends on data",
        "a branch that depends on data",
    ],
)
def test_an_operation_that_nobody_can_express_ends_in_words(
    given: list[str], tmp_path: Path, monkeypatch, capsys, operation, words: str
) -> None:
    class Changed(torch.nn.Module):
        def __init__(self, inner: torch.nn.Module) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.softmax(operation(self.inner(image)), -1)

    right = _tflite.lower
    monkeypatch.setattr(_tflite, "lower", lambda module, example: right(Changed(module).eval(), example))
    out = tmp_path / "out"
    assert to_tflite.main([*given, "--recipe", "fp32", "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert words in " ".join(said.split())
    assert "test_export_refused.py:" in " ".join(said.split())  # the line that asked for it
    assert {path.name for path in out.iterdir()} <= {"convert.log"}


def test_a_warning_binds_with_strict_alone(
    good_float_model: None, given: list[str], tmp_path: Path, monkeypatch, capsys
) -> None:
    with_a_warning(monkeypatch)
    arguments = [*given, "--recipe", "fp32", "--verbose", "--out"]
    assert to_tflite.main([*arguments, str(tmp_path / "lenient")]) == 0
    assert "gpu-rank: ABS has rank 7" in capsys.readouterr().out
    assert artifact.read(tmp_path / "lenient").files[0].audit.warnings == ("gpu-rank: ABS has rank 7",)
    assert to_tflite.main([*arguments, str(tmp_path / "strict"), "--strict"]) == 1
    assert "rejected" in capsys.readouterr().out
    assert not (tmp_path / "strict" / "hierattn_xs-fp32.tflite").exists()


def test_what_fails_takes_the_file_it_should_have_replaced_along(
    good_float_model: None, given: list[str], tmp_path: Path, monkeypatch
) -> None:
    """With --force: an app that picks up every .tflite of the folder must not ship the old one."""
    arguments = [*given, "--recipe", "fp32", "--out", str(tmp_path)]
    assert to_tflite.main(arguments) == 0 and (tmp_path / "hierattn_xs-fp32.tflite").exists()
    with_a_warning(monkeypatch)
    assert to_tflite.main([*arguments, "--force", "--strict"]) == 1
    assert not (tmp_path / "hierattn_xs-fp32.tflite").exists() and not artifact.read(tmp_path).files


def test_weights_that_are_no_numbers_are_named_before_anything_is_measured(
    weights: Path, sample: Path, tmp_path: Path, capsys
) -> None:
    held = checkpoint.load(weights)
    state = dict(held.state)
    state["classifier.bias"] = state["classifier.bias"] * float("nan")
    checkpoint.save(replace(held, state=state), tmp_path / "broken")
    out = tmp_path / "out"
    arguments = ["--checkpoint", str(tmp_path / "broken.safetensors"), "--data", str(sample), "--out", str(out)]
    assert to_tflite.main([*arguments, "--recipe", "int8-weights"]) == 2
    said = capsys.readouterr().err
    assert "broken.safetensors" in said and "NaN" in said
    assert not out.exists()


@pytest.mark.slow(reason="a process of its own")
def test_terminated_it_leaves_nothing_unfinished(given: list[str], tmp_path: Path) -> None:
    """What a CI job's time limit sends."""
    out = tmp_path / "out"
    command = [sys.executable, str(ROOT / "convert" / "to_tflite.py"), *given, "--out", str(out)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as job:
        deadline = time.monotonic() + 60
        while not list(out.glob(".unfinished*")) and job.poll() is None and time.monotonic() < deadline:
            time.sleep(0.02)
        assert list(out.glob(".unfinished*"))
        job.terminate()
        _, said = job.communicate(timeout=60)
    assert job.returncode == 143 and "terminated" in said and "Traceback" not in said
    assert not list(out.glob(".unfinished*"))


def test_a_broken_converter_leaves_nothing(given: list[str], tmp_path: Path, monkeypatch, capsys) -> None:
    def explode(checkpoint):
        raise RuntimeError("unsupported op aten.made_up")

    monkeypatch.setattr(_tflite_format, "float_model", explode)
    assert to_tflite.main([*given, "--recipe", "fp32", "--out", str(tmp_path / "out")]) == 2
    message = capsys.readouterr().err
    assert "aten.made_up" in message and "convert.log" in message
    assert not [p for p in (tmp_path / "out").iterdir() if p.name != "convert.log"]


def test_unknown_model_lists_the_known(capsys) -> None:
    assert to_tflite.main(["--model", "resnet_9000"]) == 2
    assert "hierattn_xs" in capsys.readouterr().err


def test_a_model_that_is_not_shipped_says_so(capsys) -> None:
    assert to_tflite.main(["--model", "hierattn_m"]) == 2
    assert "train" in capsys.readouterr().err

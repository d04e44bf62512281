"""Earlier interpreters: which are locked, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from dermedge.commands import setup
from edge import environments
from edge.environments import PINNED
from edge.errors import InputError
from edge.phones import arm, legacy

WHEELS = {"tflite-runtime": "tflite-runtime", "tensorflow": "tensorflow-cpu", "litert": "ai-edge-litert"}


@pytest.mark.parametrize(
    ("library", "version"), [(name, version) for name, known in legacy.LIBRARIES.items() for version in known.versions]
)
def test_a_version_has_a_lock_with_that_very_version(library: str, version: str) -> None:
    lock = legacy.environment_of(library, version).lock
    assert dict(PINNED.findall(lock.read_text()))[WHEELS[library]] == version


def test_what_runs_on_an_emulated_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(environments.platform, "machine", lambda: "x86_64")
    foreign = [made.name for _, made in legacy.every_environment() if made.foreign]
    assert foreign == ["tflite-runtime-2.14.0", "litert-1.1.2", "litert-1.2.0", "litert-1.4.0", "litert-2.0.3"]
    with pytest.raises(InputError, match=r"tensorflow 2\.15\.1 is not set up for ARM; android:VERSION"):
        legacy.environment_of("tensorflow", "2.15.1", "aarch64")
    with pytest.raises(InputError, match=r"no locked litert 1\.3\.0; there is 1\.0\.1"):
        legacy.environment_of("litert", "1.3.0")


def test_without_the_emulated_python_those_for_arm_are_named_as_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))
    monkeypatch.setattr(legacy, "set_up", lambda made, check: tmp_path / made.name)
    monkeypatch.setattr(legacy.platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(environments.platform, "machine", lambda: "x86_64")
    said: list[str] = []
    monkeypatch.setattr(legacy.log, "info", lambda text, *words: said.append(text % words))
    assert legacy.set_up_all("tflite-runtime") == [tmp_path / "tflite-runtime-2.14.0"]
    assert said == ["left out for ARM: tflite-runtime-2.14.0; `dermedge setup arm` first, then this again"]
    monkeypatch.setattr(arm, "is_set_up", lambda: True)
    assert len(legacy.set_up_all("tflite-runtime")) == 2 and len(said) == 1


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["arm", "--only", "litert"], "--only goes with legacy"),
        (["legacy", "--tflite", "2.12.0"], "--tflite and --aar go with android"),
        (["legacy", "--only", "torch"], "--only is one of tflite-runtime, tensorflow, litert; got 'torch'"),
    ],
)
def test_wrong_flags_are_2(flags: list[str], words: str, capsys) -> None:
    assert setup.main(flags) == 2
    assert words in " ".join(capsys.readouterr().err.split())

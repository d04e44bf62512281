"""Earlier interpreters: which are locked, and what is said of those that are not."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from dermedge.commands import setup
from edge import environments
from edge.environments import PINNED, Environment
from edge.errors import InputError
from edge.phones import arm, legacy
from edge.runtimes.litert import EARLIER
from edge.runtimes.phone import Phone, environment_of
from tests._phones import needs_legacy

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


def test_the_runtimes_are_those_that_are_locked() -> None:
    assert set(EARLIER) == set(legacy.LIBRARIES)


def test_the_file_that_every_environment_is_tried_with_doubles_its_numbers() -> None:
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(str(legacy.PROBE))
    interpreter.allocate_tensors()
    numbers = np.frombuffer(legacy.ASKED, np.float32)[None]
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], numbers)
    interpreter.invoke()
    doubled = interpreter.get_tensor(interpreter.get_output_details()[0]["index"])
    assert doubled.tobytes() == legacy.ANSWER == (2 * numbers).tobytes()


# Stand-ins for an interpreter's package: one that cannot run beside this NumPy, and one that answers something else.
FAULTY = """
import numpy as np
class Interpreter:
    def __init__(self, model_path, num_threads): {fault}
    def allocate_tensors(self): pass
    def get_input_details(self): return [dict(name="image", dtype=np.float32, shape=np.array([1, 4]), index=0)]
    get_output_details = get_input_details
    def set_tensor(self, index, value): self.value = value {answer}
    def invoke(self): pass
    def get_tensor(self, index): return self.value
"""


@pytest.mark.parametrize(
    ("source", "works"),
    [
        (FAULTY.format(fault="pass", answer="* 2"), True),
        (FAULTY.format(fault="pass", answer="* np.float32(1.99)"), False),
        (FAULTY.format(fault="raise RuntimeError('built for NumPy 1')", answer=""), False),
        ("raise ImportError('built for NumPy 1')", False),
    ],
)
def test_an_environment_is_tried_before_it_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str, works: bool
) -> None:
    (tmp_path / "old_interpreter.py").write_text(source)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(legacy, "python_in", lambda folder: [sys.executable])
    env = Environment("old")
    if works:
        legacy.starts("old_interpreter", env, tmp_path)
        return
    with pytest.raises(InputError, match=r"old does not run a file here: "):
        legacy.starts("old_interpreter", env, tmp_path)


@needs_legacy
def test_its_time_is_that_of_its_own_process_and_a_report_names_its_lock() -> None:
    with_time = Phone(legacy.PROBE, "tflite-runtime", 1)
    before = with_time.processor_seconds()
    assert 0 < before == with_time.processor_seconds()  # it waits
    for _ in range(20):
        (doubled,) = with_time.invoke([np.array([[1, 2, 3, 4]], np.float32)])
    assert doubled.tolist() == [[2, 4, 6, 8]]
    assert with_time.processor_seconds() > before
    with_time.close()
    environment = environment_of("tflite-runtime")
    assert environment and environment["packages"]["tflite-runtime"] == with_time.version == "2.14.0"
    assert len(environment["lock_sha256"]) == 64
    assert environment_of("android") is None

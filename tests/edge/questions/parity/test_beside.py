"""Phones' libraries that are set up are asked without a flag, in bounded time, and a wrong answer fails the report."""

from __future__ import annotations

import threading
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dermedge.commands._shipping import five_lines
from edge.errors import InputError
from edge.questions.parity import beside
from edge.questions.parity.measure import ParityReport
from edge.runtimes import Refused
from edge.runtimes.foreign.tflite import TFLite, read
from tests._phones import needs_android
from tests.edge.questions.matrix._files import dynamic_file, pictures
from tests.edge.questions.parity.test_runtimes import with_facts

FILE = "net-int8-dynamic.tflite"


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """A folder with a file, what it says here, and the pictures."""
    folder = tmp_path_factory.mktemp("beside")
    (folder / FILE).write_bytes(with_facts(dynamic_file()))
    squares = pictures(2)
    runtime = TFLite(read(folder / FILE), "xnnpack")
    yield folder, runtime.run(squares), squares
    runtime.close()


def looked(build, monkeypatch, answer, *, files=(FILE,), seconds=60.0) -> dict:
    """With one library that says of the pictures what `answer` makes of this machine's answers."""
    folder, here, squares = build
    monkeypatch.setattr(beside, "set_up_here", lambda: ["android"])
    monkeypatch.setattr(beside, "answers_within", lambda contents, mode, pictures, end: answer(here[: len(pictures)]))
    return beside.look(folder, dict.fromkeys(files, here), squares, seconds=seconds).document()


def test_a_library_that_answers_as_this_machine_does(build, monkeypatch):
    phones = looked(build, monkeypatch, lambda here: (here + 1e-7, "2.16.1"))
    (row,) = phones["rows"]
    assert (row["state"], row["version"], row["images"]) == ("same", "2.16.1", 1)
    assert phones["missing"] == ["dermedge setup arm"] and not beside.differing({"phones": phones})
    said = list(beside.lines(phones))
    assert "1 of 1 files as here" in said[0] and "`dermedge setup arm`" in said[1]


def test_another_answer_fails_the_report_and_is_not_shipped(build, monkeypatch, tmp_path):
    monkeypatch.setenv("DERMEDGE_PHONES", str(tmp_path))  # so that no operator can be asked
    phones = looked(build, monkeypatch, lambda here: (np.roll(here, 1, axis=1), "2.16.1"))
    proof = ParityReport({"files": [{"verdict": "pass", "binding": True, "file": FILE, "runtime": "xnnpack"}],
                          "phones": phones})  # fmt: skip
    assert proof.verdict == "fail" and proof.failed == [f"{FILE} on android"]
    first, *_ = five_lines(conversion(), tmp_path / "convert.log", phones)
    assert first == "ship nothing yet: no file passed its gate"
    assert any("wrong on a phone" in line for line in five_lines(conversion(), tmp_path / "convert.log", phones))


def test_the_screen_says_where_the_file_to_ship_was_right_and_what_is_missing(build, monkeypatch, tmp_path):
    phones = looked(build, monkeypatch, lambda here: (here, "2.16.1"))
    lines = five_lines(conversion(), tmp_path / "convert.log", phones)
    assert lines[0].endswith("; the same answer on android 2.16.1, emulated, 1 image") and len(lines) <= 5
    assert "not run in phones' libraries (`dermedge setup arm`)" in lines[-1]
    assert "phones" not in "".join(five_lines(conversion(), tmp_path / "convert.log"))


def conversion() -> SimpleNamespace:
    """What a conversion came to: one file, which passed."""
    from convert._judge import Judged

    judged = Judged("int8-dynamic", Path(FILE), rejected=False, verdict="pass", milliseconds=1.0)
    photos = type("Photos", (), {"synthetic": False, "patients": ("a", "b"), "__len__": lambda self: 2})()
    return SimpleNamespace(
        form="tflite", judged=(judged,), checkpoint=SimpleNamespace(untrained=None), photos=photos, rejected=[],
        manifest=SimpleNamespace(entry=lambda name: None), folder=Path("build"), seconds=1.0,
    )  # fmt: skip


def test_a_library_that_does_not_end_in_time_is_stopped_and_said_so(build, monkeypatch):
    """The process is ended when time is up, however long its answer would take."""
    folder, here, squares = build
    ended = threading.Event()

    class Slow:
        version = "2.16.1"

        def __init__(self, contents, mode):
            pass

        def run(self, pictures):
            assert ended.wait(20), "nobody stopped it"
            raise Refused("it gave no reason")

        def close(self):
            ended.set()

    monkeypatch.setattr(beside, "set_up_here", lambda: ["android"])
    monkeypatch.setattr(beside, "TFLite", Slow)
    phones = beside.look(folder, {FILE: here, f"other-{FILE}": here}, squares, seconds=0.2).document()
    assert [row["state"] for row in phones["rows"]] == ["no time"]  # the other one is no file of the folder
    assert "no time for 1 (DERMEDGE_PHONE_SECONDS sets it)" in next(iter(beside.lines(phones)))


def test_a_library_that_does_not_open_in_time_is_not_waited_for(build, monkeypatch):
    folder, here, squares = build
    opening, before = threading.Event(), threading.enumerate()

    def never(contents, mode):
        opening.wait(60)
        raise Refused("it did not open")

    monkeypatch.setattr(beside, "set_up_here", lambda: ["android"])
    monkeypatch.setattr(beside, "TFLite", never)
    monkeypatch.setattr(beside, "STOPPING_S", 0.1)
    try:
        phones = beside.look(folder, {FILE: here}, squares, seconds=0.1).document()
        assert not opening.is_set() and [row["state"] for row in phones["rows"]] == ["no time"]
        assert phones["rows"][0]["why"] == "it had not answered when time was up"
        new = [thread for thread in threading.enumerate() if thread not in before]
        assert new and all(thread.daemon for thread in new)  # so that the command can end
    finally:
        opening.set()


def test_what_is_refused_is_told_and_does_not_fail(build, monkeypatch, tmp_path):
    def refuses(here):
        raise Refused("net.tflite: android does not open it: Didn't find op")

    phones = looked(build, monkeypatch, refuses)
    assert phones["rows"][0]["state"] == "refused" and not beside.differing({"phones": phones})
    assert "Didn't find op" in next(iter(beside.lines(phones)))
    screen = five_lines(conversion(), tmp_path / "convert.log", phones)
    assert any("refused by a phone's library" in line and "Didn't find op" in line for line in screen)


def test_what_every_library_opens_is_shipped_first(monkeypatch, tmp_path):
    from dermedge.commands import _shipping

    several = conversion()
    several.judged = tuple(replace(several.judged[0], path=Path(name)) for name in ("closed.tflite", "open.tflite"))
    monkeypatch.setattr(_shipping, "room", lambda name: SimpleNamespace(recommended=lambda form, kept: kept, SEEN={}))
    refusal = {"file": "closed.tflite", "runtime": "android", "state": "refused", "why": "Didn't find op", "images": 1}
    first, second, *_ = five_lines(several, tmp_path / "convert.log", {"rows": [refusal], "missing": []})
    assert first.startswith("ship open.tflite") and second.startswith("next closed.tflite")


@pytest.mark.parametrize("reason", [InputError("QEMU 5.2 does not know cortex-a76"), OSError("Exec format error")])
def test_a_library_that_cannot_run_is_told_with_the_reason_and_fails_nothing(build, monkeypatch, reason):
    def cannot(here):
        raise reason

    phones = looked(build, monkeypatch, cannot)
    assert phones["rows"][0]["state"] == "could not run" and not beside.differing({"phones": phones})
    assert str(reason) in next(iter(beside.lines(phones))) and "no time" not in "".join(beside.lines(phones))


@pytest.mark.parametrize("said", ["soon", "-1", "nan", "inf"])
def test_a_number_of_seconds_that_is_none_is_refused(monkeypatch, said):
    monkeypatch.setenv("DERMEDGE_PHONE_SECONDS", said)
    with pytest.raises(InputError, match="DERMEDGE_PHONE_SECONDS"):
        beside.seconds_allowed()


@needs_android
def test_the_fault_of_plain_dynamic_files_is_found_without_a_flag(build, monkeypatch):
    """Wrong in Android's library up to 2.16.1, and right here."""
    folder, here, squares = build
    monkeypatch.delitem(beside.LIBRARIES, "arm64")  # where it is right, which others test
    phones = beside.look(folder, {FILE: here}, squares, seconds=120).document()
    row = next(row for row in phones["rows"] if row["runtime"] == "android")
    if row["state"] == "no time":
        pytest.skip("this machine is too busy")
    assert row["state"] == "differs" and row["operators"]["first"]["kind"] == "FULLY_CONNECTED"

"""`make test-apps` says what happened, and never passes for tests that did not run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.apps import run

GOOD = '<testcase name="a"/>'
SKIPPED = '<testcase name="b"><skipped message="no Swift: dermedge setup swift"/></testcase>'
FAILED = '<testcase name="c"><failure message="x"/></testcase>'


@pytest.mark.parametrize(
    ("cases", "exit_code", "word", "details"),
    [
        (GOOD, 0, "passed", "1 tests"), (GOOD + SKIPPED, 0, "passed", "1 skipped: no Swift"),
        (SKIPPED, 0, "skipped", "no Swift: dermedge setup swift"), ("", 5, "failed", "exit code 5"),
        (GOOD + FAILED, 1, "failed", "1 of 2 tests: c"), (GOOD, 2, "failed", "exit code 2"),
    ],
)  # fmt: skip
def test_what_a_run_left_is_judged(tmp_path: Path, cases: str, exit_code: int, word: str, details: str) -> None:
    report = tmp_path / "report.xml"
    report.write_text(f"<testsuites><testsuite>{cases}</testsuite></testsuites>")
    verdict = run.judged(report, exit_code)
    assert verdict.word == word and details in verdict.details
    assert run.judged(tmp_path / "none.xml", 0).word == "failed"
    report.write_text("<testsuites><testsuite><testcase")  # of a run that was killed
    assert run.judged(report, -9).word == "failed"


def test_what_takes_too_long_has_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "LONGEST_S", 0.1)
    assert run.ended([sys.executable, "-c", "import time; time.sleep(60)"]) == run.TOO_LONG
    assert run.ended([sys.executable, "-c", ""]) in {0, run.TOO_LONG}


@pytest.mark.parametrize(
    ("verdict", "problems", "complete", "code"),
    [
        (run.Verdict("passed", "", 3, 0), [], True, 0), (run.Verdict("passed", "", 3, 1), [], False, 0),
        (run.Verdict("passed", "", 3, 1), [], True, 1), (run.Verdict("skipped", "", 0, 3), [], False, 1),
        (run.Verdict("skipped", "", 0, 3), ["as root: apt-get install x"], False, 0),
        (run.Verdict("failed", "", 3, 0), [], False, 1),
    ],
)  # fmt: skip
def test_no_test_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], verdict: run.Verdict, problems: list[str],
    complete: bool, code: int,
) -> None:  # fmt: skip
    monkeypatch.setattr(run, "check", lambda name, platform: (verdict, problems))
    monkeypatch.setattr("sys.argv", ["run.py", "web", *(["--complete"] if complete else [])])
    assert run.main() == code
    assert capsys.readouterr().out.strip().startswith(f"web: {verdict.word}")


def test_without_a_name_every_platform_is_asked(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(run, "check", lambda name, platform: (run.Verdict("passed", "", 3, 0), []))
    monkeypatch.setattr("sys.argv", ["run.py", "--complete"])
    assert run.main() == 0
    said = capsys.readouterr().out.strip().splitlines()
    assert [line.partition(":")[0] for line in said] == list(run.PLATFORMS)

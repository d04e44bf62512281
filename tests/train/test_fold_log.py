"""What is told of a fold that failed is its own error, and a process that was killed did not fail by itself."""

from __future__ import annotations

from pathlib import Path

import pytest

from train._fold_log import code_under_torchrun, last_words

# as torchrun of torch 2.13 prints it, shortened
SUMMARY = """\
E1129 22:41:33.117000 9480 torch/distributed/elastic/multiprocessing/api.py:1009] failed (exitcode: 1) local_rank: 1
Traceback (most recent call last):
  File "torch/distributed/launcher/api.py", line 383, in launch_agent
    raise ChildFailedError(
torch.distributed.elastic.multiprocessing.errors.ChildFailedError: 
============================================================
dermedge.cli FAILED
------------------------------------------------------------
Failures:
[1]:
  rank      : 0 (local_rank: 0)
  exitcode  : -15 (pid: 9489)  (SIGTERM)
  error_file: <N/A>
  traceback : Signal 15 (SIGTERM) received by PID 9489
------------------------------------------------------------
Root Cause (first observed failure):
[0]:
  rank      : 1 (local_rank: 1)
  exitcode  : {} (pid: 9490) 
  error_file: <N/A>
  traceback : To enable traceback see: https://pytorch.org/docs/stable/elastic/errors.html
============================================================
"""
STOPPED = """\
    raise SignalException(f"Process {os.getpid()} got signal: {sigval}", sigval=sigval)
torch.distributed.elastic.multiprocessing.api.SignalException: Process 10692 got signal: 15
"""


@pytest.mark.parametrize(
    ("said", "last"),
    [
        ("Traceback (most recent call last):\nMemoryError: too large\n" + SUMMARY.format(1), "MemoryError: too large"),
        ("epoch 1\n[rank1]: RuntimeError: 5\n" + SUMMARY.format(1), "[rank1]: RuntimeError: 5"),
        ("error: the disk is full\nepoch 2 of 3\n==========\n\n", "error: the disk is full"),
        ("epoch 1\nterminate called\n-----\n", "terminate called"),
        ("=====\n", ""),
        ("", ""),
    ],
    ids=["torchrun", "rank", "error", "no error", "no letter", "empty"],
)
def test_the_last_words_are_the_fold_s_own(said: str, last: str, tmp_path: Path) -> None:
    (tmp_path / "log").write_text(said)
    assert last_words(tmp_path / "log") == last


@pytest.mark.parametrize(
    ("said", "code"),
    [(SUMMARY.format(-9), -9), (SUMMARY.format(143), 143), (SUMMARY.format(2), 2), (STOPPED, -15), ("no word", 1)],
    ids=["killed", "told to stop", "refused", "torchrun told to stop", "nothing said"],
)
def test_torchrun_s_one_is_the_code_of_the_process_that_ended_first(said: str, code: int, tmp_path: Path) -> None:
    earlier = SUMMARY.format(3)
    (tmp_path / "log").write_text(earlier + said)
    assert code_under_torchrun(tmp_path / "log", 1, start=len(earlier)) == code

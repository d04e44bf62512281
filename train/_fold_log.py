"""What the log of a fold says once it has ended: why it failed, and how the first of torchrun's processes ended."""

from __future__ import annotations

import re
from pathlib import Path

MOST_BYTES = 1 << 14  # of a log's end; torchrun's own traceback and summary take some four thousand
ERROR = re.compile(r"(?:\[rank\d+\]:\s*)?(?:error: |[\w.]*(?:Error|Exception)\b)")
OF_TORCHRUN = re.compile(r"torch[./]distributed[./]elastic|ChildFailedError|<N/A>")
CAUSE = re.compile(r"Root Cause \(first observed failure\):.*?exitcode\s*: (-?\d+)", re.DOTALL)
SIGNAL = re.compile(r"SignalException: Process \d+ got signal: (\d+)")


def last_words(path: Path) -> str:
    """The last line of a log that names an error, or else the last one with a letter; torchrun's come after others."""
    lines = [line.strip() for line in end_of(path).splitlines() if any(sign.isalpha() for sign in line)]
    own = [line for line in lines if not OF_TORCHRUN.search(line)]
    errors = [line for line in own if ERROR.match(line)]
    return (errors or own or lines or [""])[-1]


def code_under_torchrun(path: Path, code: int, *, start: int) -> int:
    """The exit code of the process that ended first, or minus the signal that ended it or that torchrun was sent.

    torchrun itself exits with 1 in all these cases. `start`: the log's bytes when it was started. Without a word of
    torchrun's it is `code`.
    """
    said = end_of(path, start)
    signals, causes = SIGNAL.findall(said), CAUSE.findall(said)
    if signals:
        return -int(signals[-1])
    return int(causes[-1]) if causes else code


def end_of(path: Path, start: int = 0) -> str:
    """The last bytes of a log, of those after `start`, as text."""
    with path.open("rb") as file:
        file.seek(max(start, path.stat().st_size - MOST_BYTES))
        return file.read().decode(errors="replace")

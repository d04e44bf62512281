"""Files in the phones' libraries that are set up here, on the first photograph and in little time, without being asked.

What is right on this machine's processor can be wrong on a phone's, and whoever has set the libraries up should not
have to remember to ask them. `--runtime` judges files there on as many photographs as one likes.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np

from edge.errors import InputError
from edge.phones import android, arm, processor
from edge.progress import busy
from edge.questions.matrix.against import Against
from edge.questions.matrix.compare import DIFFERS, REFUSED
from edge.questions.matrix.tables import operator, small
from edge.questions.parity.runtimes import GIVES
from edge.report.strict import plain
from edge.runtimes import Refused
from edge.runtimes.foreign.tflite import Contents, TFLite, read

LIBRARIES = {"arm64": ("dermedge setup arm", arm.is_set_up), "android": ("dermedge setup android", android.is_set_up)}
PHOTOGRAPHS = 1  # each takes an emulated processor a second
SECONDS = 15.0
ENVIRONMENT = "DERMEDGE_PHONE_SECONDS"  # another number of seconds; 0: the libraries are not asked
NO_TIME = "no time"
FAILED = "could not run"  # the library itself, whatever the file
TOO_SLOW = "it had not answered when time was up"
Answer = tuple[np.ndarray, str] | None  # (n, K) and the library's version; None: not in time
STOPPING_S = 1.0  # that a library has to end after time is up


@dataclass(frozen=True)
class Looked:
    """What phones' libraries that nobody asked for said."""

    photographs: int
    seconds: float  # that the look may take
    rows: list[dict[str, Any]]  # by file and library, as `edge.questions.matrix.compare` says them
    missing: list[str]  # the commands that would set up the others

    def document(self) -> dict[str, Any]:
        """For parity.json."""
        return plain({
            "photographs": self.photographs, "seconds": self.seconds, "rows": self.rows, "missing": self.missing
        })  # fmt: skip


def seconds_allowed() -> float:
    """InputError where the environment names no number of seconds."""
    said = os.environ.get(ENVIRONMENT)
    try:
        seconds = SECONDS if said is None else float(said)
    except ValueError:
        seconds = -1.0
    if not 0 <= seconds < 1e6:
        raise InputError(f"{ENVIRONMENT} is a number of seconds, 0 to leave phones' libraries out; got {said!r:.40}")
    return seconds


def set_up_here() -> list[str]:
    """The libraries that can be asked at once."""
    try:
        processor.qemu()
    except InputError:
        return []
    return [mode for mode, (_, ready) in LIBRARIES.items() if ready()]


def look(folder: Path, answers: Mapping[str, np.ndarray], squares: np.ndarray, *, seconds: float) -> Looked:
    """Hold .tflite files of `folder` against XNNPACK on this machine, in the order of `answers`, as far as time goes.

    `answers`: what each file says here, (n, K), of the first of `squares`, uint8 (N, S, S, 3). After so many seconds a
    library that still runs is stopped.
    """
    count, modes = min(PHOTOGRAPHS, len(squares)), set_up_here()
    missing = [command for mode, (command, _) in LIBRARIES.items() if mode not in modes]
    rows: list[dict[str, Any]] = []
    end = monotonic() + seconds
    for file, here in answers.items() if modes else ():
        try:
            contents = read(folder / file)
        except InputError:  # it takes something beside the picture
            continue
        base = {"file": file, "images": count}
        if monotonic() >= end:
            rows += [base | left_out(mode, "the other files took all of the time") for mode in modes]
            continue
        asked = {mode: begun(answers_within, contents, mode, squares[:count], end) for mode in modes}
        with busy(f"{file} in phones' libraries"):
            against = Against(contents, squares[:count], np.asarray(here[:count], np.float64), GIVES)
            against.derive()  # meanwhile
            rows += [base | row_of(against, mode, answer, end) for mode, answer in asked.items()]
    return Looked(count, seconds, rows, missing)


def row_of(against: Against, mode: str, answer: Future[Answer], end: float) -> dict[str, Any]:
    try:
        came = answer.result(timeout=max(0.0, end - monotonic()) + STOPPING_S)
    except TimeoutError:
        return left_out(mode, TOO_SLOW)
    except (InputError, OSError) as error:
        return left_out(mode, str(error)) | {"state": REFUSED if isinstance(error, Refused) else FAILED}
    if came is None:
        return left_out(mode, TOO_SLOW)
    vectors, version = came
    return {"runtime": mode, "version": version, **against.row(mode, vectors)}


def left_out(mode: str, why: str) -> dict[str, Any]:
    return {"runtime": mode, "version": "", "state": NO_TIME, "why": why,
            "agreement": None, "largest": None, "limit": None}  # fmt: skip


def begun(work: Callable[..., Answer], *arguments: Any) -> Future[Answer]:
    """What a function gives, in a thread that nobody waits for: a library that hangs must not hold the command up."""
    future: Future[Answer] = Future()

    def run() -> None:
        try:
            future.set_result(work(*arguments))
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def answers_within(contents: Contents, mode: str, squares: np.ndarray, end: float) -> Answer:
    """What a file says in a library, and that library's version; None where it did not end in time."""
    runtime = TFLite(contents, mode)
    clock = threading.Timer(max(0.0, end - monotonic()), runtime.close)
    clock.daemon = True
    clock.start()
    try:
        return runtime.run(squares), runtime.version
    except (InputError, OSError, ValueError):
        if monotonic() >= end:
            return None
        raise
    finally:
        clock.cancel()
        runtime.close()


def differing(report: Mapping[str, Any]) -> list[tuple[str, str]]:
    """File and library of the rows that differ."""
    rows = (report.get("phones") or {}).get("rows", ())
    return [(row["file"], row["runtime"]) for row in rows if row["state"] == DIFFERS]


def lines(phones: Mapping[str, Any] | None) -> Iterator[str]:
    """What a terminal says: each file that is off, what is right by library, and what is missing."""
    if phones is None:
        return
    yield from wrong_lines(phones)
    pictures = f"{phones['photographs']} photograph" + ("s" if phones["photographs"] > 1 else "")
    for row in phones["rows"]:
        if row["state"] in {REFUSED, FAILED}:
            yield f"{row['file']} on {row['runtime']}: {row['why']}"
    for mode in dict.fromkeys(row["runtime"] for row in phones["rows"]):
        yield in_one_line(mode, [row for row in phones["rows"] if row["runtime"] == mode], pictures)
    if phones["missing"]:
        yield f"not asked: phones' own libraries ({' and '.join(f'`{command}`' for command in phones['missing'])})"


def wrong_lines(phones: Mapping[str, Any] | None) -> Iterator[str]:
    """Each file that a phone answers otherwise, with the operator that is off."""
    for row in (phones or {}).get("rows", ()):
        if row["state"] == DIFFERS:
            why = f" ({row['why']})" if row["why"] else ""
            yield (
                f"{row['file']} on {row['runtime']}: another answer{why}, |Δp| {small(row['largest'])} where rounding "
                f"explains {small(row['limit'])}. {operator(row.get('operators') or {})}"
            )


def in_one_line(mode: str, rows: Sequence[Mapping[str, Any]], pictures: str) -> str:
    """How many files a library answers as this machine does."""
    same = [row for row in rows if row["state"] == "same"]
    late = sum(row["state"] == NO_TIME for row in rows)
    version = next((f" {row['version']}" for row in rows if row["version"]), "")
    text = f"{mode}{version}, emulated {processor.DEFAULT}, {pictures}: {len(same)} of {len(rows)} files as here"
    if same:
        text += f", largest |Δp| {small(max(row['largest'] for row in same))}"
    return text + (f"; no time for {late} ({ENVIRONMENT} sets it)" if late else "")

"""Apple's own tests of MIL operations, from the installed coremltools, run by the Core ML interpreter.

    python benchmarks/apple_op_tests.py --every 8

Every test that makes an ML program (op sets of iOS 15 to 18, float32 and float16) is run as on a Mac, with the
interpreter in the place of Core ML: the numbers that Apple's test expects are those that count. Prints how many passed,
were refused by name, or gave another answer, and writes --out/apple_op_tests.json. All of them take an hour or more on
one core; --every 8 takes each eighth, and --every 8 --first 1 to --first 7 the others.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.apple_op_tests`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GATE_FAILED, GOOD, InputError, at_least_one
from edge.files import scratch_in, write_json
from edge.progress import busy

from ._apple_runs import BROKEN, NO_PROGRAM, NUMBERS_RIGHT, PASSED, REFUSED, ROUNDED, STEP, WRONG
from ._flags import add_out

TESTS = "coremltools.converters.mil.mil.ops.tests"
RIGHT = {PASSED, STEP, ROUNDED, NUMBERS_RIGHT, NO_PROGRAM}
TO_SEE = 20  # of the tests that did not pass


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--every", type=int, default=8, help="run one test of so many (default: %(default)s)")
    p.add_argument("--first", type=int, default=0, help="the first of these, from 0 (default: %(default)s)")
    p.add_argument("--only", default="", metavar="WORDS", help="only tests whose names fit, as pytest's -k")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(every=args.every)
    if not 0 <= args.first < args.every:
        raise InputError(f"`first` is 0 to {args.every - 1}, below `every`; got {args.first}")
    with scratch_in(args.out) as work, busy("Apple's tests"):
        rows = outcomes(work, args.every, args.first, args.only)
    counts = Counter(row["outcome"] for row in rows)
    failed = [row for row in rows if row["outcome"] not in RIGHT and not row["expected_to_fail"]]
    report = {
        "every": args.every, "first": args.first, "only": args.only, "counts": dict(counts), "failed": failed,
        **{kind: [row["test"] for row in rows if row["outcome"] == kind] for kind in (STEP, ROUNDED, NUMBERS_RIGHT)},
    }  # fmt: skip
    write_json(args.out / "apple_op_tests.json", report)
    kinds = (PASSED, STEP, ROUNDED, NUMBERS_RIGHT, REFUSED, WRONG, BROKEN, NO_PROGRAM)
    screen().print(", ".join(f"{counts[kind]} {kind}" for kind in kinds))
    for row in failed[:TO_SEE]:
        screen().print(f"{row['outcome']}: {row['test']}: {row['said']}", markup=False)
    return GATE_FAILED if failed else GOOD


def outcomes(work: Path, every: int, first: int, only: str) -> list[dict]:
    """What became of each test; InputError where none ran."""
    file = work / "outcomes.jsonl"
    chosen = ["-k", only] if only else []
    command = [
        sys.executable, "-m", "pytest", "-q", "-p", "benchmarks._apple_runs", "-p", "no:cacheprovider", "-W", "ignore",
        "-c", os.devnull, "--rootdir", str(work), "--outcomes", str(file), "--every", str(every), "--first", str(first),
        *chosen,
        "--pyargs", TESTS,
    ]  # fmt: skip
    settings = {"PYMIL_TEST_TARGETS": "mlprogram", "INCLUDE_MIL_FP32_UNIT_TESTS": "1"}
    run = subprocess.run(
        command, env={**os.environ, **settings}, cwd=Path(__file__).parents[1], capture_output=True, text=True
    )
    if not file.is_file():
        raise InputError(f"no test of {TESTS} ran: {(run.stderr or run.stdout)[-500:]}")
    return [json.loads(line) for line in file.read_text().splitlines()]


if __name__ == "__main__":
    raise SystemExit(main())

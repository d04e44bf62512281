"""Packages of other converters, run by the Core ML interpreter: each equals its source or is refused by name.

    python benchmarks/others_packages.py --set-up
    python benchmarks/others_packages.py

The packages are made here: coremltools from torch, torch.export, transformers' config classes and TensorFlow,
`coremltools.optimize`, several inputs, flexible shapes, states, several functions, a pipeline. TensorFlow lives in an
environment of its own, which --set-up makes (1.9 GB). A row is equal if the
largest difference is below 1e-4 of the largest answer (2 % in float16). Writes --out/others_packages.md, a table.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.others_packages`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from dermedge.console import entry, screen, third_party_noise_into
from edge.errors import GATE_FAILED, GOOD, InputError
from edge.files import scratch_in, write_text
from edge.progress import busy, track

from ._flags import add_out
from ._tensorflow import set_up_environment

if TYPE_CHECKING:
    from ._others import Example

LIMIT, HALF_LIMIT = 1e-4, 2e-2  # of the largest answer
EQUAL, REFUSED, WRONG = "equal", "refused by name", "**wrong**"


@dataclass(frozen=True)
class Row:
    name: str
    source: str
    verdict: str
    words: str  # the difference, or what the refusal says

    def line(self) -> str:
        return f"| {self.name} | {self.source} | {self.verdict} | {self.words} |"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--only", nargs="*", default=[], metavar="NAME", help="these rows alone")
    p.add_argument("--set-up", action="store_true", help="make the environment of TensorFlow, and nothing else")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    if args.set_up:
        with busy("setting up TensorFlow"):
            folder = set_up_environment()
        screen().print(str(folder), markup=False)
        return GOOD
    with scratch_in(args.out) as work, third_party_noise_into(args.out / "benchmark.log"):
        rows = judged(work, args.only)
    lines = ["| package | made by | verdict | difference |", "|---|---|---|---|", *(row.line() for row in rows)]
    table = "\n".join(lines) + "\n"
    write_text(args.out / "others_packages.md", table)
    screen().print(table, markup=False, soft_wrap=True)
    return GATE_FAILED if any(row.verdict == WRONG for row in rows) else GOOD


def judged(work: Path, only: list[str]) -> list[Row]:
    from ._others import CASES

    unknown = [name for name in only if name not in CASES]
    if unknown:
        raise InputError(f"`only` names {unknown[0]}; the rows are {', '.join(CASES)}")
    cases = {name: case for name, case in CASES.items() if not only or name in only}
    rows = []
    for number, (name, case) in enumerate(track(cases.items(), "packages", len(cases))):
        folder = work / str(number)
        folder.mkdir()
        rows.append(row_of(name, case.source, case.maker(folder), case.refused))
    return rows


def row_of(name: str, source: str, example: Example, refusal: str = "") -> Row:
    """`refusal`: words that the error must say, of a package that is rightly refused."""
    try:
        difference = largest_difference(example)
    except InputError as error:
        words = str(error).replace(f"{example.path}: ", "").replace(f"{example.path} ", "")
        return Row(name, source, REFUSED if refusal and refusal in words else WRONG, words)
    near = difference <= (HALF_LIMIT if example.half else LIMIT)
    return Row(name, source, EQUAL if near and not refusal else WRONG, f"{difference:.1e}")


def largest_difference(example: Example) -> float:
    """Of all answers, as a share of the largest number of each."""
    from edge.runtimes import coreml

    functions = example.functions or (example.function_name,) * len(example.rounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        models = {name: coreml.load(example.path, function_name=name) for name in functions}
    state = models[functions[0]].make_state() if example.stateful else None
    worst = 0.0
    for name, (inputs, answers) in zip(functions, example.rounds, strict=True):
        model = models[name]
        results = model.predict(inputs, state)
        for feature, right in zip(model.output_description, answers, strict=True):
            mine = np.asarray(results[feature.name])
            if mine.shape != right.shape or not np.isfinite(mine).all():
                return float("inf")
            worst = max(worst, float(np.abs(mine - right).max() / np.abs(right).max()))
    return worst


if __name__ == "__main__":
    raise SystemExit(main())

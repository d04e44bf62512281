"""Every model by every recipe in one table: size, cost, time, SQNR, agreement and, where it is known, accuracy.

    dermedge zoo

Converts what is missing (a run that was stopped goes on), times the .tflite files against MobileNetV2 in interleaved
rounds and writes --out/zoo.md, zoo.json and zoo.svg. A model without a checkpoint gets random weights, which are judged
on SQNR alone. Exit code 1 if a gate rejected a file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.console import entry, screen
from dermedge.flags import add_data, add_rounds
from edge.errors import GATE_FAILED, GOOD, InputError, at_least_one
from edge.models import MODELS

LIMIT = 6.0  # millions of parameters


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", metavar="A,B", help=f"some of {', '.join(MODELS)} (default: all)")
    p.add_argument("--recipes", metavar="A,B", help="such as fp32,int8 (default: all that each format has)")
    p.add_argument("--formats", metavar="A,B", help="tflite, coreml or both (default: both)")
    p.add_argument(
        "--checkpoints", type=Path,
        help="folder with <model>.safetensors or <model>/checkpoint.safetensors (default: the shipped ones)",
    )  # fmt: skip
    p.add_argument(
        "--limit", type=float, default=LIMIT, metavar="M", help="millions of parameters (default: %(default)s)"
    )
    p.add_argument("--large", action="store_true", help="also the models above the limit, in fp32 and fp16 only")
    p.add_argument("--side", type=int, default=224, help="input side of random weights in pixels (default: 224)")
    add_data(p, "to judge on")
    add_rounds(p)
    p.add_argument("--out", type=Path, default=Path("build/zoo"), help="default: %(default)s")
    p.add_argument("--docs", type=Path, help="folder that gets a copy of zoo.md and zoo.svg")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    import sys

    given = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    at_least_one(rounds=args.rounds)
    if args.limit <= 0:
        raise InputError(f"--limit is a number of millions of parameters above 0, got {args.limit}")
    from edge.questions.zoo.run import run

    rejected = run(args, command=" ".join(["dermedge zoo", *given]))
    if rejected:
        screen().print(f"[bold red]rejected[/] {', '.join(rejected)}", soft_wrap=True)
    return GATE_FAILED if rejected else GOOD


if __name__ == "__main__":
    raise SystemExit(main())

"""Every model by every recipe in one table: size, cost, time, SQNR, agreement and, where it is known, accuracy.

    dermedge zoo

Converts what is missing (a run that was stopped goes on), times the .tflite files against MobileNetV2 in interleaved
rounds and writes report.html, zoo.json, zoo.md and zoo.svg into --out. A model without a checkpoint gets random
weights, which are judged on SQNR alone. Exit code 1 if a gate rejected a file.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.cli import module_of
from dermedge.console import entry, screen, third_party_noise_into
from dermedge.flags import add_data, add_rounds
from edge.errors import GATE_FAILED, GOOD, InputError
from edge.models import MODELS

if TYPE_CHECKING:
    from edge.questions.zoo.plan import Job

LIMIT = 6.0  # millions of parameters
LOG = "zoo.log"


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--models", metavar="A,B", help=f"some of {', '.join(MODELS)} (default: all)")
    p.add_argument("--recipes", metavar="A,B", help="such as fp32,int8 (default: all that each format has)")
    p.add_argument("--formats", metavar="A,B", help="tflite, coreml or both (default: both)")
    p.add_argument(
        "--checkpoints", type=Path,
        help="folder with <model>.safetensors or <model>/checkpoint.safetensors (default: the shipped ones), or "
        "networks of your own as <name>.pt2, as `dermedge.save` and training write them",
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
    words = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(argv)
    from edge.files import check_writable
    from edge.questions.zoo.measure import DOCUMENT, FIGURE, measure

    check_writable(args.out)
    if args.docs:
        check_writable(args.docs)
    args.out.mkdir(parents=True, exist_ok=True)
    with third_party_noise_into(args.out / LOG):
        report = measure(
            names(args.models),
            out=args.out,
            convert=Converter(side=args.side, data=args.data),
            recipes=names(args.recipes),
            formats=names(args.formats),
            checkpoints=args.checkpoints,
            limit=args.limit,
            large=args.large,
            side=args.side,
            rounds=args.rounds,
            command=" ".join(["dermedge zoo", *words]),
        )
        page = report.write(args.out)
    if args.docs:
        args.docs.mkdir(parents=True, exist_ok=True)
        for name in (DOCUMENT, FIGURE):
            if (args.out / name).is_file():
                shutil.copyfile(args.out / name, args.docs / name)
    screen().print(f"{args.out / DOCUMENT}", soft_wrap=True, markup=False)
    screen().print(f"page: {page}", soft_wrap=True, markup=False)
    rejected = report.failed
    if rejected:
        screen().print(f"[bold red]rejected[/] {', '.join(rejected)}", soft_wrap=True)
    return GATE_FAILED if rejected else GOOD


def names(text: str | None) -> list[str] | None:
    """'a,b' -> [a, b]; None stays None."""
    return [name.strip() for name in text.split(",")] if text else None


@dataclass(frozen=True)
class Converter:
    """Converts a job's files by the command of its format, in a process of its own; what it says is in its log."""

    side: int  # pixels, of random weights
    data: Path | None  # photographs to judge on

    def __call__(self, job: Job, recipes: Sequence[str], folder: Path) -> None:
        command = f"to-{job.format}"
        arguments = self.arguments(job, recipes, folder)
        with (folder / LOG).open("a") as log:
            log.write(f"$ dermedge {command} {' '.join(arguments)}\n")
            log.flush()
            module = module_of(command)
            done = subprocess.run([sys.executable, "-m", module, *arguments], stdout=log, stderr=log, check=False)
        if done.returncode == GATE_FAILED:
            screen().print(f"[yellow]{job.model}[/] {job.format}: a gate rejected a file; {folder / LOG} says why")
        elif done.returncode != GOOD:
            last = (folder / LOG).read_text(encoding="utf-8").strip().splitlines()[-1]
            raise InputError(f"`dermedge {command} {' '.join(arguments)}` ended with {done.returncode}: {last}")

    def arguments(self, job: Job, recipes: Sequence[str], folder: Path) -> list[str]:
        weights = ["--checkpoint", str(job.checkpoint)] if job.checkpoint else ["--untrained", "--side", str(self.side)]
        words = ["--model", job.model, *weights, "--out", str(folder), "--force"]
        words += [word for recipe in recipes for word in ("--recipe", recipe)]
        return words + (["--data", str(self.data)] if self.data else [])


if __name__ == "__main__":
    raise SystemExit(main())

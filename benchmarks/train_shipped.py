"""Train a checkpoint that comes with dermedge again, with every run that it starts from or learns from.

    python benchmarks/train_shipped.py hierattn_xs --pad PAD-UFES-20 --isic ISIC --jobs 2 --threads 1
    python benchmarks/train_shipped.py hierattn_xs --pad PAD-UFES-20 --isic ISIC --show

The runs and their flags are those in benchmarks/_shipped_runs.py; --show prints them as commands. Each has a folder in
--out. Runs that are finished are not made again and interrupted ones are resumed, so the same command goes on where it
was stopped. `benchmarks/ship.py` makes the shipped checkpoint and its card of the last one. The shipped hierattn_xs is
older than its runs here: its card has its own command.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.train_shipped`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import shlex
import subprocess
import sys
from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GOOD, at_least_one
from train._folder import STATE

from ._shipped_runs import RUNS, Run, runs_behind

NAMES = [run.name for run in RUNS]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("run", choices=NAMES, metavar="NAME", help=f"one of {', '.join(NAMES)}")
    p.add_argument("--pad", type=Path, required=True, help="folder of PAD-UFES-20")
    p.add_argument("--isic", type=Path, required=True, help="folder of the dermoscopic images")
    p.add_argument("--out", type=Path, default=Path("runs/shipped"), help="folder of the runs (default: %(default)s)")
    p.add_argument("--jobs", type=int, default=1, help="folds trained at a time (default: 1)")
    p.add_argument("--threads", type=int, help="CPU threads of each (default: all)")
    p.add_argument("--show", action="store_true", help="print the commands, and train nothing")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(jobs=args.jobs, threads=args.threads)
    places = {"pad": args.pad, "isic": args.isic, "runs": args.out}
    machine = ["--threads", str(args.threads)] if args.threads else []
    for run in runs_behind(args.run):
        words = command_of(run, places, machine, jobs=args.jobs)
        if args.show:
            print(shlex.join(["dermedge", *words]))
            continue
        if (args.out / run.name / run.result).is_file():
            screen().print(f"{run.name}: finished", markup=False)
            continue
        screen().print(f"{run.name}: {shlex.join(words)}", soft_wrap=True, markup=False)
        code = subprocess.run([sys.executable, "-P", "-m", "dermedge", *words], check=False).returncode
        if code:  # it has said why
            return code
    return GOOD


def command_of(run: Run, places: dict[str, Path], machine: list[str], *, jobs: int) -> list[str]:
    """The arguments of `dermedge` for a run on this machine."""
    words = run.words(places)
    if run.is_training:
        words += machine
    if run.is_cross_validation:
        words += ["--jobs", str(jobs)]
    elif run.is_training and (places["runs"] / run.name / STATE).is_file():
        words += ["--resume"]
    return words


if __name__ == "__main__":
    raise SystemExit(main())

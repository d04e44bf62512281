"""Try many recipes, each on every fold, on as many machines as see one folder, and rank them in a table.

    dermedge search --space space.toml --data photographs/ --out runs/search
    dermedge search --space space.toml --data photographs/ --out /shared/search   # the same on every further machine

Takes the flags of train/train.py for what all recipes have in common. A space file says what is varied:

    trials = 24         # drawn at random; without it every combination is tried
    seed = 0
    [recipe]
    learning_rate = {low = 5e-4, high = 5e-3, scale = "log"}
    batch = [16, 32]
    stages = ["64x40,128x60", "128x60"]

Every process takes folds that nobody trains, and waits for those of others, so that what was killed is gone on with.
Writes search.csv, search.json and report.html into --out: the trials by their balanced accuracy out of fold, with 95 %
intervals by patient, and by how much the best one's is flattered because it is the best. docs/search.md
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dermedge._rooms import room
from dermedge.console import entry, screen
from edge.errors import GOOD, InputError, at_least_one

from ._settings import parsed, read_flags, typed
from .cross_validate import add_processes
from .train import check_inputs, machine_of, recipe_of, split_of
from .train import parser as train_parser

if TYPE_CHECKING:
    from edge.questions.search.measure import SearchReport
    from train._space import Space

# flags of `dermedge train` that would be taken and not heeded
NOT_HERE = {
    "resume": "the same command goes on by itself",
    "force": "give another --out, or delete the search's folder",
    "print_config": "a search takes such a file with --config",
}


def parser() -> argparse.ArgumentParser:
    p = train_parser()
    p.description, p.epilog = __doc__, None
    p.set_defaults(fold=None)
    p.add_argument("--space", type=Path, required=True, metavar="TOML", help="what is varied, and how many are tried")
    p.add_argument(
        "--jobs", type=int, help="folds trained at a time on this machine (default: one a GPU, or one a core)"
    )
    add_processes(p)
    p.add_argument("--retry", action="store_true", help="try folds again that failed")
    p.add_argument(
        "--most-failures", type=int, default=3,
        help="trials that may fail here before a fold is finished; then it may be this machine, and this process ends "
        "(default 3)",
    )  # fmt: skip
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    flags = parser()
    args = read_flags(argv, flags)
    at_least_one(jobs=args.jobs, processes=args.processes, most_failures=args.most_failures)
    space = space_of(args.space)
    refuse(args, typed(argv, flags), space)
    check_inputs(args)
    args.fold = 0
    result = room("train._search").search(
        recipe_of(args),
        space,
        room("train._folds").Sources(
            args.data, tuple(args.also), args.init, tuple(args.teacher), args.skip_unreadable, args.answers
        ),
        folder=args.out or Path("runs") / "search",
        split=split_of(args),
        machine=machine_of(args),
        jobs=args.jobs,
        processes=args.processes,
        retry=args.retry,
        most_failures=args.most_failures,
    )
    from edge.questions.search.measure import TABLE

    show(result.report)
    screen().print(f"{result.folder / TABLE}, {result.page}", soft_wrap=True)
    if result.stopped:
        words = f"{', '.join(result.stopped)} did not finish; the same command goes on with it"
        screen().print(words, soft_wrap=True, markup=False)
        return max(128 - code if code < 0 else code for code in result.stopped.values())  # as shells report a signal
    if not result.report.finished:
        raise InputError(f"every trial failed; {result.folder / TABLE} says why, and `retry` tries them again")
    return GOOD


def space_of(path: Path) -> Space:
    """What a space file says; InputError that names the file."""
    stated = parsed(path, called="space")
    try:
        return room("train._space").read_space(stated)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error


def refuse(args: argparse.Namespace, said: Mapping[str, Any], space: Space) -> None:
    """InputError for flags of `dermedge train` that mean nothing here, and for those that the space sets."""
    for flag, why in NOT_HERE.items():
        if said.get(flag):
            raise InputError(f"--{flag.replace('_', '-')} is of `dermedge train`; {why}")
    if "fold" in said:
        raise InputError("--fold is of `dermedge train`, and here every fold is trained")
    if args.qat:
        raise InputError("--qat is of one checkpoint and its own split; give it to `dermedge train`")
    both = [name for name in space.fields if name in said]
    if both:
        raise InputError(f"{both[0]} is varied in {args.space} and stated as a flag; leave one of them out")


def show(report: SearchReport) -> None:
    """The best trials, what their figures are worth, and what failed."""
    for part in report.tables():
        screen().print(part, soft_wrap=isinstance(part, str), markup=False)


if __name__ == "__main__":
    raise SystemExit(main())

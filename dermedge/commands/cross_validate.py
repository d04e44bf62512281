"""Train on every fold in turn and pool the answers on the patients that each run never saw.

    python train/cross_validate.py --data photographs/ --out runs/cv

Takes the flags of train/train.py; fold k goes to <out>/fold-k. Folds that are finished are not trained again, and
interrupted ones are resumed, so the same command goes on where it was stopped; started on several machines with one
--out, it shares the folds among them (docs/search.md). Writes cross_validation.json and confusion.png: pooled balanced
accuracy with its interval, and trivial classifiers as baselines on the same folds.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge._rooms import room
from dermedge.console import entry, screen
from edge.errors import GOOD, InputError, at_least_one

from ._figures import answers_table, show_figures, show_masks
from ._settings import read_flags, typed
from .train import check_inputs, machine_of, recipe_of, split_of
from .train import parser as train_parser


def parser() -> argparse.ArgumentParser:
    p = train_parser()
    p.description = __doc__
    p.set_defaults(fold=None)
    p.add_argument("--jobs", type=int, help="folds trained at a time; they share the cores (default: one a GPU, or 1)")
    add_processes(p)
    return p


def add_processes(p: argparse.ArgumentParser) -> None:
    """Of commands that train folds."""
    p.add_argument(
        "--processes", type=int, default=1,
        help="processes of torchrun that train a fold, each with a GPU and a batch of its own (default: 1)",
    )  # fmt: skip


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    flags = parser()
    args = read_flags(argv, flags)
    if args.config is not None and "fold" not in typed(argv, flags):
        args.fold = None  # a file of one fold's settings holds for all
    if args.print_config:
        raise InputError("--print-config is of `dermedge train`; a cross-validation takes the file with --config")
    at_least_one(jobs=args.jobs, processes=args.processes)
    check_inputs(args)
    if args.qat:
        raise InputError("--qat is of one checkpoint and its own split; give it to train.py")
    if args.fold is not None:
        raise InputError(
            "--fold is of `dermedge train`, and here every fold is trained; to train one of them apart, give "
            f"`dermedge train` the same flags with --fold {args.fold} --out <out>/fold-{args.fold}, and it counts as "
            "finished here"
        )
    args.fold = 0
    recipe, folds = recipe_of(args), room("train._folds")
    try:
        result = folds.cross_validate(
            recipe,
            args.data,
            folder=args.out or Path("runs") / f"{recipe.model}-cv",
            also=args.also,
            init=args.init,
            teachers=args.teacher,
            split=split_of(args),
            machine=machine_of(args),
            jobs=args.jobs,
            processes=args.processes,
            force=args.force,
            skip_unreadable=args.skip_unreadable,
            answers=args.answers,
        )
    except folds.FoldsStopped as stop:
        screen().print(str(stop))
        return max(128 - code if code < 0 else code for code in stop.codes.values())  # as shells report a signal
    show_figures(result.out_of_fold, f"{result.model}, out of fold")
    if result.answers:
        screen().print(answers_table(result.answers, "with answers, out of fold"))
    show_masks(result.masks or {})
    for name, value in result.baselines.items():
        screen().print(f"baseline, {name}: balanced accuracy {value['balanced_accuracy']['value']:.3f}")
    screen().print(f"{result.path}")
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())

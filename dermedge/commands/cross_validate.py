"""Train on every fold in turn and pool the answers on the patients that each run never saw.

    python train/cross_validate.py --data photographs/ --out runs/cv

Takes the flags of train/train.py; fold k goes to <out>/fold-k. Folds that are finished are not trained again, and
interrupted ones are resumed, so the same command goes on where it was stopped. Writes cross_validation.json and
confusion.png: pooled balanced accuracy with its interval, and trivial classifiers as baselines on the same folds.
"""

from __future__ import annotations

import argparse

from dermedge._rooms import room
from dermedge.console import entry

from .train import parser as train_parser


def parser() -> argparse.ArgumentParser:
    p = train_parser()
    p.description = __doc__
    p.add_argument("--jobs", type=int, default=1, help="folds trained at a time (give each its --threads; default: 1)")
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    import sys

    given = sys.argv[1:] if argv is None else argv
    args = parser().parse_args(given)
    return room("train._folds").cross_validate(args)


if __name__ == "__main__":
    raise SystemExit(main())

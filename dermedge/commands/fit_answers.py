"""Fit what people answered to a trained checkpoint, so that it takes answers beside the picture.

    dermedge fit-answers --model hierattn_xs --data photographs/ --out runs/xs-answers/checkpoint

The network stays as it is: with nothing answered the new checkpoint gives exactly what the old one gives. Answers
are learned from the patients that trained it, scaled on those held back and judged on the others. `dermedge train
--answers` does the same after training.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge.console import entry, screen
from dermedge.flags import add_checkpoint, add_shipped_model, add_skip_unreadable
from edge.errors import GOOD, InputError

from ._figures import answers_table


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shipped_model(p, "the model")
    add_checkpoint(p)
    p.add_argument(
        "--data", type=Path, required=True, help="the photographs that it was trained on, in a layout that has answers"
    )
    p.add_argument("--out", type=Path, required=True, help="checkpoint to write, .safetensors or .pt2 with its .json")
    split = p.add_argument_group("split (always by patient) of a checkpoint that lists no patients")
    split.add_argument("--folds", type=int, default=5)
    split.add_argument("--fold", type=int, default=0, help="the fold that stays unseen (default: 0)")
    split.add_argument("--held-back", type=float, default=0.1, help="share of patients for the scale (default: 0.1)")
    split.add_argument("--split-seed", type=int, default=0)
    p.add_argument("--force", action="store_true", help="replace a checkpoint that is there")
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.checkpoint import load, shipped
    from edge.data.readers import check_there
    from edge.files import check_writable

    from .._api.loading import save
    from .._api.training import fit_answers

    check_there(args.data)
    check_writable(args.out.parent)
    stem = args.out.with_suffix("") if args.out.suffix in {".safetensors", ".pt2", ".json"} else args.out
    there = [path for path in (stem.with_suffix(end) for end in (".safetensors", ".pt2", ".json")) if path.exists()]
    if there and not args.force:
        raise InputError(f"{there[0]} exists; replace it with --force, or give another --out")
    fitted = fit_answers(
        load(args.checkpoint or shipped(args.model)),
        args.data,
        folds=args.folds,
        fold=args.fold,
        held_back=args.held_back,
        split_seed=args.split_seed,
        skip_unreadable=args.skip_unreadable,
    )
    screen().print(answers_table(fitted.figures["kinds"], "unseen patients"))
    screen().print(f"checkpoint: {save(fitted.checkpoint, stem)}")
    return GOOD


if __name__ == "__main__":
    raise SystemExit(main())

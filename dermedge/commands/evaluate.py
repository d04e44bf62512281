"""How good a checkpoint is on photographs of patients that it never saw.

    python train/evaluate.py --model hierattn_xs --data photographs/
    python train/evaluate.py --checkpoint runs/mine/checkpoint.safetensors --data photographs/

Writes evaluation.json and a confusion-<data set>.png to --out where given.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from dermedge._rooms import room
from dermedge.console import entry, screen
from dermedge.flags import add_checkpoint, add_data, add_shipped_model, add_skip_unreadable

from ._figures import mask_line, show_figures


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_shipped_model(p, "the model")
    add_checkpoint(p)
    add_data(p)
    p.add_argument("--out", type=Path, help="folder for evaluation.json and the confusion matrices")
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.checkpoint import load, shipped
    from edge.data.selection import check_folder, find_sets
    from edge.files import check_writable

    check_folder(args.data)
    if args.out:
        check_writable(args.out)
    checkpoint = load(args.checkpoint or shipped(args.model))
    evaluation = room("train._evaluate").evaluate(
        checkpoint, find_sets(args.data, skip_missing=args.skip_unreadable), skip_unreadable=args.skip_unreadable
    )
    for judged in evaluation.sets:
        show_figures(judged.figures, f"{checkpoint.model} on {judged.photos.name}")
        if "masks" in judged.figures:
            screen().print(mask_line(judged.figures["masks"]), soft_wrap=True)
    if args.out:
        evaluation.write(args.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

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
from dermedge.flags import add_checkpoint, add_data, add_skip_unreadable
from edge.models import DEFAULT_MODEL, MODELS


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--model", default=DEFAULT_MODEL, metavar="NAME", help=f"a shipped one of {', '.join(MODELS)}")
    add_checkpoint(p)
    add_data(p)
    p.add_argument("--out", type=Path, help="folder for evaluation.json and the confusion matrices")
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    import numpy as np

    from edge.checkpoint import load, shipped
    from edge.data.selection import find_sets, unseen
    from edge.data.squares import load_squares
    from edge.errors import InputError
    from edge.files import write_json

    predict = room("train._loop").predict
    mask_line, masks_of = room("train._masks").mask_line, room("train._masks").masks_of
    confusion_plot = room("train._plots").confusion_plot
    summarise, summary_table = room("train._summary").summarise, room("train._summary").summary_table

    checkpoint = load(args.checkpoint or shipped(args.model))
    net = checkpoint.network()
    found = {}
    for photos in find_sets(args.data, skip_missing=args.skip_unreadable):
        if photos.classes != checkpoint.labels:
            screen().print(f"[yellow]note[/] {photos.name} has other classes than the checkpoint and is left out")
            continue
        photos, squares = load_squares(
            unseen(photos, checkpoint), checkpoint.preprocess.side, skip_unreadable=args.skip_unreadable
        )
        targets = np.array(photos.targets)
        logits = predict(net, squares, checkpoint.preprocess) / checkpoint.temperature
        found[photos.name] = {
            **summarise(targets, photos.patients, logits, photos.classes),
            "synthetic": photos.synthetic,
        }
        masks = masks_of(net, photos, checkpoint.preprocess)
        screen().print(summary_table(found[photos.name], f"{checkpoint.model} on {photos.name}"))
        if masks:
            found[photos.name]["masks"] = masks
            screen().print(mask_line(masks), soft_wrap=True)
        if args.out:
            name = f"confusion-{photos.photos[0].domain}.png"
            confusion_plot(targets, logits.argmax(1), photos.codes, args.out / name, title=photos.name)
    if not found:
        raise InputError(
            f"no photographs with the checkpoint's classes ({', '.join(x.code for x in checkpoint.labels)})"
        )
    if args.out:
        write_json(args.out / "evaluation.json", {"checkpoint_sha256": checkpoint.sha256, "sets": found})
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

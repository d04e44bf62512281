"""Look a data set over before training, or draw the synthetic sample.

    python train/prepare.py --data photographs/
    python train/prepare.py --sample sample/

Says what layout it has, what is missing or broken, how many photographs, patients and classes there are, and
how the patient-level folds come out. Decoded squares are cached, so that training starts at once.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge._rooms import room
from dermedge.console import entry, screen
from dermedge.flags import add_skip_unreadable
from edge.errors import InputError
from edge.labels import MALIGNANT

if TYPE_CHECKING:
    from rich.table import Table

    from train._overview import Overview


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help="photographs: PAD-UFES-20, ISIC or folder-per-class layout")
    p.add_argument("--sample", type=Path, help="new folder for a synthetic sample in the layout of PAD-UFES-20")
    p.add_argument("--patients", type=int, default=48, help="patients of the sample (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the sample and of the folds (default: %(default)s)")
    p.add_argument("--folds", type=int, default=5)
    p.add_argument("--side", type=int, default=256, help="side of the cached squares in pixels (default: %(default)s)")
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from rich.markup import escape

    from edge.data.readers import sets_in

    if (args.data is None) == (args.sample is None):
        raise InputError("give either --data to look a set over or --sample to draw one")
    if args.sample:
        from edge.data.synthetic import write_sample
        from edge.progress import counting

        with counting("drawing synthetic photographs") as advance:
            write_sample(args.sample, seed=args.seed, patients=args.patients, on_progress=advance)
        screen().print(f"synthetic sample in {args.sample}: drawn by computer, proves nothing about skin")
    for folder in sets_in(args.data or args.sample):
        seen = room("train._overview").overview(
            folder, folds=args.folds, seed=args.seed, side=args.side, skip_unreadable=args.skip_unreadable
        )
        screen().print(overview_table(seen))
        for note in seen.photos.notes:
            screen().print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)
        screen().print(f"licence: {escape(seen.photos.licence)}; sha256 {seen.sha256}", soft_wrap=True)
    return 0


def overview_table(seen: Overview) -> Table:
    from rich.table import Table

    from edge.report.words import class_title

    photos = seen.photos
    kind = "SYNTHETIC, " if photos.synthetic else ""
    table = Table(title=f"{photos.name}: {kind}{len(photos)} photographs, {seen.patients} patients")
    table.add_column("class")
    table.add_column("malignant")
    table.add_column("photographs", justify="right")
    for fold in range(seen.folds):
        table.add_column(f"fold {fold}", justify="right")
    for row in seen.classes:
        name = class_title(row.label.code, row.label.name)
        table.add_row(name, MALIGNANT[row.label.malignant], str(row.images), *(str(number) for number in row.by_fold))
    return table


if __name__ == "__main__":
    raise SystemExit(main())

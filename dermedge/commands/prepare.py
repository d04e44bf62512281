"""Look a data set over before training, draw the synthetic sample, or make a balanced set.

    python train/prepare.py --data photographs/
    python train/prepare.py --sample sample/
    python train/prepare.py --data PAD-UFES-20/ --recipe ihpad3000 --sound
    python train/prepare.py --data photographs/ --shards --side 192

Says what layout a set has, what is missing or broken, how many photographs, patients and classes there are, and
how the patient-level folds come out. Decoded squares are cached, so that training starts at once.

--recipe makes the balanced set of published figures as they were made: large classes without their hardest photographs,
small ones with augmented copies, then folds that part patients. --sound splits patients first and balances the training
part of each fold alone. --flattery makes both and says how much better the published one makes a quick probe look.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge._rooms import room
from dermedge.console import entry, screen
from dermedge.flags import add_skip_unreadable
from edge.errors import GOOD, InputError
from edge.labels import MALIGNANT

from ._figures import cells

if TYPE_CHECKING:
    from rich.table import Table

    from edge.data.prepared.build import Prepared
    from train._overview import Overview

FOLDS = 5


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--data", type=Path, help="photographs: PAD-UFES-20, ISIC or folder-per-class layout")
    p.add_argument("--sample", type=Path, help="new folder for a synthetic sample in the layout of PAD-UFES-20")
    p.add_argument("--patients", type=int, default=48, help="patients of the sample (default: %(default)s)")
    p.add_argument("--seed", type=int, default=0, help="of the sample and of the folds (default: %(default)s)")
    p.add_argument("--folds", type=int, help=f"(default: {FOLDS}; of a recipe: as published)")
    p.add_argument("--side", type=int, default=256, help="side of the squares in pixels (default: %(default)s)")
    p.add_argument("--recipe", metavar="NAME", help="ihpad3000 (of PAD-UFES-20) or ihisic20000 (of ISIC 2019)")
    p.add_argument("--sound", action="store_true", help="with --recipe: split patients first, leave test parts alone")
    p.add_argument("--per-class", type=int, help="with --recipe: images of each class (default: as published)")
    p.add_argument("--full", action="store_true", help="with --recipe: tell hardness by all pixels, as published")
    p.add_argument("--flattery", action="store_true", help="with --recipe: make both, and compare a probe on them")
    p.add_argument("--out", type=Path, help="with --recipe or --shards: folder for the set (default: prepared)")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="likewise: processes (default: all)")
    p.add_argument(
        "--shards", action="store_true",
        help="pack the squares of --data, of --side pixels, into tar files below --out, for sets larger than memory; "
        "every command takes the folder (docs/data_sets.md)",
    )  # fmt: skip
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from rich.markup import escape

    from edge.data.readers import sets_in

    if (args.data is None) == (args.sample is None):
        raise InputError("give either --data to look a set over or --sample to draw one")
    if args.recipe and args.shards:
        raise InputError("--recipe makes a set with folds, which shards do not keep; give one of --recipe and --shards")
    if args.recipe:
        return make_balanced(args)
    if args.sound or args.full or args.flattery or args.per_class is not None or (args.out and not args.shards):
        raise InputError(
            "--sound, --full, --flattery, --per-class and --out go with --recipe, --out also with --shards"
        )
    if args.shards:
        return make_shards(args)
    if args.sample:
        from edge.data.synthetic import write_sample
        from edge.progress import counting

        with counting("drawing synthetic photographs") as advance:
            write_sample(args.sample, seed=args.seed, patients=args.patients, on_progress=advance)
        screen().print(f"synthetic sample in {args.sample}: drawn by computer, proves nothing about skin")
    for folder in sets_in(args.data or args.sample):
        seen = room("train._overview").overview(
            folder,
            folds=FOLDS if args.folds is None else args.folds,
            seed=args.seed,
            side=args.side,
            skip_unreadable=args.skip_unreadable,
        )
        screen().print(overview_table(seen))
        for note in seen.photos.notes:
            screen().print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)
        screen().print(f"licence: {escape(seen.photos.licence)}; sha256 {seen.sha256}", soft_wrap=True)
    return GOOD


def make_shards(args: argparse.Namespace) -> int:
    """The squares of the set in tar files."""
    from rich.markup import escape

    from edge.data.readers import open_photos
    from edge.data.shards.writing import write_shards

    if args.sample:
        raise InputError("--shards are made of --data; draw the sample first")
    photos = open_photos(args.data, skip_missing=args.skip_unreadable)
    for note in photos.notes:
        screen().print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)
    sharded = write_shards(photos, out=args.out or Path("prepared"), side=args.side, jobs=args.jobs)
    screen().print(
        f"{sharded.photographs} photographs of {args.side} pixels in {sharded.shards} shards, "
        f"{sharded.size / 1e6:.1f} MB"
    )
    screen().print(f"{sharded.folder}", soft_wrap=True, markup=False)
    return GOOD


def make_balanced(args: argparse.Namespace) -> int:
    """The set of a recipe, or both with what the published one flatters by."""
    from edge.data.prepared.build import prepare
    from edge.data.prepared.flattery import flattery
    from edge.data.readers import open_photos
    from edge.files import write_json

    if args.sample:
        raise InputError("--recipe is made of --data; draw the sample first")
    photos, out = open_photos(args.data, skip_missing=args.skip_unreadable), args.out or Path("prepared")
    sets = [
        prepare(
            photos, args.recipe, out=out, soundly=soundly, per_class=args.per_class, folds=args.folds, seed=args.seed,
            side=args.side, full=args.full, jobs=args.jobs,
        )
        for soundly in ([False, True] if args.flattery else [args.sound])
    ]  # fmt: skip
    for prepared in sets:
        screen().print(prepared_table(prepared))
        screen().print(f"{prepared.folder}")
    if args.flattery:
        compared = flattery(sets[0], sets[1], seed=args.seed, jobs=args.jobs)
        target = out / f"{args.recipe}-flattery-{sets[1].folder.name.rpartition('-')[2]}.json"
        write_json(target, compared | {"synthetic": photos.synthetic})
        screen().print(flattery_table(compared))
        screen().print(f"{target}")
    return GOOD


def prepared_table(prepared: Prepared) -> Table:
    from rich.table import Table

    facts = prepared.facts
    drawn = "SYNTHETIC, " if facts["synthetic"] else ""
    table = Table(
        title=f"{facts['recipe']}, {facts['protocol']}: {drawn}{facts['images']} images of {facts['photographs']} "
        f"photographs, {facts['folds']} folds"
    )
    table.add_column("class")
    table.add_column("images", justify="right")
    table.add_column("photographs", justify="right")
    for code, images in facts["classes"].items():
        own = {place for place, _ in prepared.items if prepared.photos.photos[place].label == code}
        table.add_row(code, str(images), str(len(own)))
    return table


def flattery_table(compared: dict) -> Table:
    from rich.table import Table

    table = Table(title=f"a quick probe ({compared['probe']}), out of fold")
    for name in ("protocol", "images", "patients", "accuracy", "balanced accuracy", "95 % interval"):
        table.add_column(name, justify="left" if name == "protocol" else "right")
    for name in ("published", "sound"):
        own = compared[name]
        table.add_row(
            name, str(own["images"]), str(own["patients"]), f"{own['accuracy']:.3f}", *cells(own["balanced_accuracy"])
        )
    table.add_row("published minus sound", "", "", "", *cells(compared["difference"]))
    return table


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

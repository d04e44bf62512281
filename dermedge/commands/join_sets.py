"""Several data sets in one table, in the classes of one of them.

    dermedge join-sets --data PAD-UFES-20/ --data ISIC_2019/ --classes pad_ufes_20 --out both

Says what each class of each set becomes, and what that loses or mixes. A photograph that several sets have is in the
table once. Every command takes the folder for --data; photographs stay where they are.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.console import entry, screen
from dermedge.flags import add_skip_unreadable
from edge.errors import GOOD

if TYPE_CHECKING:
    from rich.table import Table

    from edge.data.joined.join import Joined


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--data", type=Path, action="append", required=True,
        help="a set of photographs, or a folder that holds several; repeatable, and of equals the first counts",
    )  # fmt: skip
    p.add_argument(
        "--classes", required=True, metavar="SET",
        help="the classes of the table: pad_ufes_20, isic_2019, ham10000, or malignant (against benign)",
    )  # fmt: skip
    p.add_argument("--out", type=Path, required=True, help="folder for the table")
    p.add_argument("--exact", action="store_true", help="leave out classes that would be mixed with others")
    p.add_argument(
        "--official",
        action="store_true",
        help="refuse a set that is not known to have the counts of the official table",
    )
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from rich.markup import escape

    from edge.data.joined.class_maps import classes_named
    from edge.data.joined.join import join
    from edge.data.joined.writing import write
    from edge.data.selection import find_sets
    from edge.files import check_writable

    classes_named(args.classes)
    check_writable(args.out)
    sets = [photos for folder in args.data for photos in find_sets(folder, skip_missing=args.skip_unreadable)]
    joined = join(sets, args.classes, exact=args.exact, official=args.official)
    write(joined, args.out)
    screen().print(mapping_table(joined))
    screen().print(counts_table(joined))
    for (source, label, reason), number in joined.reasons.items():
        screen().print(escape(f"left out: {number:,} {label} of {source}: {reason}"), soft_wrap=True)
    for photos in joined.sets:
        for note in photos.notes:
            screen().print(f"[yellow]note[/] {escape(f'{photos.name}: {note}')}", soft_wrap=True)
    screen().print(str(args.out), soft_wrap=True, markup=False)
    return GOOD


def mapping_table(joined: Joined) -> Table:
    """A row for each class of each set."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"what each class becomes in the classes of {joined.target}")
    for name in ("set", "class", "photographs", "becomes", "what is lost or mixed"):
        table.add_column(name, justify="right" if name == "photographs" else "left")
    for pair in joined.pairs:
        own = pair.becomes
        table.add_row(
            escape(pair.source), escape(pair.label.code), f"{pair.photographs:,}", own.code or "-",
            escape(f"{own.kind}: {own.why}" if own.why else own.kind),
        )  # fmt: skip
    return table


def counts_table(joined: Joined) -> Table:
    from rich.markup import escape
    from rich.table import Table

    drawn = "SYNTHETIC, " if joined.synthetic else ""
    table = Table(
        title=f"{escape(joined.name)}: {drawn}{len(joined.rows):,} photographs of "
        f"{len({row.photo.patient for row in joined.rows}):,} patients or lesions"
    )
    table.add_column("class")
    table.add_column("photographs", justify="right")
    for code, number in joined.counts.items():
        table.add_row(code, f"{number:,}")
    return table


if __name__ == "__main__":
    raise SystemExit(main())

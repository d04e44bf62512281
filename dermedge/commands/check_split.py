"""Does a split have the same patient, lesion or picture in two parts, and what is the figure without that?

    dermedge check-split --table metadata.csv --split folds.csv
    dermedge check-split --table metadata.csv --split train.csv test.csv --predictions predictions.csv
    dermedge check-split --split photographs/

The split is anybody's: a table with a column of parts, a list for each part, or folders. Patients and lesions come from
the tables, near-copies from the photographs. Exit code 1 if anything is in two parts, unless --allow-leaks.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from dermedge.console import entry, screen
from dermedge.flags import add_skip_unreadable
from edge.errors import GATE_FAILED, GOOD

from ._figures import cells

if TYPE_CHECKING:
    from rich.table import Table

    from edge.data.split_check.check import SplitCheck

SHOWN = 5  # leaks of a kind on the screen


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument(
        "--table", type=Path, nargs="+", action="extend", default=[],
        help="tables that name an image and its patient_id or lesion_id, and those of duplicates",
    )  # fmt: skip
    p.add_argument(
        "--split", type=Path, nargs="+", action="extend", default=[],
        help="a table with a column of parts; a list for each part; or a folder for each part, or one that holds them",
    )  # fmt: skip
    p.add_argument("--data", type=Path, dest="photographs", help="folder of the photographs, to look for near-copies")
    p.add_argument(
        "--predictions",
        type=Path,
        help="CSV of predictions, to tell the figure of clean images; also in place of --split",
    )
    p.add_argument("--part", metavar="COLUMN", help="column of --split with the parts (default: split, fold, …)")
    p.add_argument("--label", metavar="COLUMN", help="column of --predictions with the right class (default: label, …)")
    p.add_argument("--answer", metavar="COLUMN", help="column of the class that was said (default: predicted, …)")
    p.add_argument("--allow-leaks", action="store_true", help="exit code 0 also where something is in two parts")
    p.add_argument("--out", type=Path, help="folder for split_check.json, images.csv and leaks.csv")
    add_skip_unreadable(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from rich.markup import escape

    from edge.data.split_check.check import check_split
    from edge.files import check_writable

    if args.out:
        check_writable(args.out)
    checked = check_split(
        args.table,
        args.split,
        photographs=args.photographs,
        predictions=args.predictions,
        part=args.part,
        label=args.label,
        answer=args.answer,
        skip_unreadable=args.skip_unreadable,
    )
    facts = checked.as_json()
    screen().print(parts_table(facts))
    show_leaks(checked, facts)
    if facts["figures"]:
        screen().print(figures_table(facts["figures"]))
    for note in checked.notes:
        screen().print(f"[yellow]note[/] {escape(note)}", soft_wrap=True)
    if args.out:
        checked.write(args.out)
        screen().print(str(args.out), soft_wrap=True, markup=False)
    return GATE_FAILED if checked.leaks and not args.allow_leaks else GOOD


def parts_table(facts: dict) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title="the split")
    for name in ("part", "images", "clean"):
        table.add_column(name, justify="left" if name == "part" else "right")
    for part, images in facts["parts"].items():
        table.add_row(escape(part), str(images), str(facts["clean"][part]))
    return table


def show_leaks(checked: SplitCheck, facts: dict) -> None:
    """A line for each kind and pair of parts, and the first names."""
    from rich.markup import escape

    if not checked.leaks:
        screen().print("nothing that is known is in two parts")
    for kind, between in facts["leaks"].items():
        for parts, count in between.items():
            images = ", ".join(f"{number} of {part}" for part, number in count["images"].items())
            screen().print(escape(f"{kind}: {count['shared']} in {parts} (images: {images})"), soft_wrap=True)
        names = [leak.name for leak in checked.leaks if leak.kind == kind]
        more = f", and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
        screen().print(escape(f"  {', '.join(names[:SHOWN])}{more}"), soft_wrap=True)


def figures_table(figures: dict) -> Table:
    from rich.table import Table

    table = Table(title="the predictions")
    table.add_column("images")
    table.add_column("number", justify="right")
    table.add_column("patients or groups", justify="right")
    for name in ("balanced accuracy", "accuracy", "area under the ROC curve"):
        if name != "area under the ROC curve" or "auc" in figures["all"]:
            table.add_column(name, justify="right")
            table.add_column("95 % interval", justify="right")
    for name in ("all", "clean", "leaked"):
        if own := figures.get(name):
            scores = cells(own["auc"]) if "auc" in own else ()
            table.add_row(
                name, str(own["images"]), str(own["groups"]), *cells(own["balanced_accuracy"]), *cells(own["accuracy"]),
                *scores,
            )  # fmt: skip
    if figures["clean_minus_all"]:
        table.add_row("clean minus all", "", "", *cells(figures["clean_minus_all"]))
    return table


if __name__ == "__main__":
    raise SystemExit(main())

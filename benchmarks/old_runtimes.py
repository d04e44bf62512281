"""The files of a build in earlier runtimes: which open, which are right, and what their time is against fp32's.

    python benchmarks/old_runtimes.py build/hierattn_xs --images 6

Runs every .tflite of the folder in each earlier interpreter and in Android's libraries, on this machine and on an
emulated Cortex-A76, as `dermedge parity --runtime` does, and writes where each was right and slow into the manifest.
What is not set up is left out with the command that sets it up. A cell has the share of photographs with PyTorch's
class, the largest difference of a probability and, on this machine's own processor, the file's time by that of the fp32
file: processor time of the library's process, median of interleaved rounds. Writes --out/old_runtimes.md, and a row for
each file and runtime into --table, where the rows of other runtimes stay.
"""

from __future__ import annotations

import argparse
import csv

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.old_runtimes`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

from dermedge.console import entry, screen
from edge.data.rows import write_rows
from edge.errors import GOOD, InputError
from edge.files import write_text
from edge.phones import NotSetUp, processor
from edge.phones.legacy import EMULATED, every_environment
from edge.progress import track

from ._flags import add_out

ANDROID = ("2.8.0", "2.14.0", "2.16.1")
TABLE = Path(__file__).with_suffix(".csv")
COLUMNS = ("model", "recipe", "opens_from", "runtime", "version", "processor", "opens", "photographs", "same_class",
           "largest_delta_p", "times_fp32")  # fmt: skip
Row = dict[str, str]


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="folder with the files and manifest.json")
    p.add_argument("--images", type=int, default=6, help="photographs for each file (default: %(default)s)")
    p.add_argument("--runtime", action="append", metavar="NAME", help="these alone; may be repeated")
    p.add_argument("--table", type=Path, default=TABLE, help="CSV of all runs (default: %(default)s)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.artifact import read

    manifest = read(args.build)
    files = {file.recipe: file.opens_from for file in manifest.files if file.format == "tflite" and not file.answers}
    missing = []
    modes = args.runtime or every_mode()
    for mode in track(modes, "runtimes", len(modes)):
        try:
            ran = answers(args.build, mode, args.images)
            rows = [row_of(manifest.model, recipe, since, mode, ran.get(recipe)) for recipe, since in files.items()]
            remember_rows(args.table, rows)  # after each, because the whole takes long
        except NotSetUp as error:
            missing.append(f"{mode}: {error}\n")
    page = page_of(rows_in(args.table), manifest.model) + "".join(["\n", *missing])
    write_text(args.out / "old_runtimes.md", page)
    screen().print(page, markup=False, soft_wrap=True)
    return GOOD


def every_mode() -> list[str]:
    """Earlier interpreters and Android's libraries, what runs on this machine's own processor first."""
    earlier = [(env.name.rpartition("-"), env.machine == EMULATED) for _, env in every_environment()]
    here = [f"{library}:{version}" for (library, _, version), emulated in earlier if not emulated]
    arm = [f"{library}:{version}:{processor.DEFAULT}" for (library, _, version), emulated in earlier if emulated]
    android = [f"{name}:{version}" for name in ("android-x86_64", "android") for version in ANDROID]
    return [*here, *android[: len(ANDROID)], *arm, *android[len(ANDROID) :]]


def answers(folder: Path, mode: str, images: int) -> dict[str, dict]:
    """Recipe -> what parity says of its file, of those that the runtime opens. Raises NotSetUp."""
    import dermedge
    from edge.build import remember
    from edge.questions.parity.measure import seen_right, seen_slow, seen_wrong

    build = dermedge.open_build(folder)
    try:
        report = dermedge.parity(build, images=images, views=1, modes=[mode]).report
    except NotSetUp:
        raise
    except InputError as error:  # every file was refused
        if "no file that can be run" not in str(error):
            raise
        return {}
    remember(build, seen_right(report), seen_slow(report), wrong=seen_wrong(report))
    return {row["recipe"]: row for row in report["files"] if row["answered"] is None}


def row_of(model: str, recipe: str, opens_from: str, mode: str, ran: dict | None) -> Row:
    """A file in a runtime as the table has it; empty cells where it was refused, or where nothing was timed."""
    from edge.runtimes.phone import choice_of

    choice = choice_of(mode)
    statistics = ran["statistics"] if ran else None
    return {
        "model": model, "recipe": recipe, "opens_from": opens_from, "runtime": choice.library,
        "version": choice.version, "processor": choice.processor, "opens": "yes" if ran else "no",
        "photographs": str(ran["images"]) if ran else "",
        "same_class": f"{statistics['agreement']['value']:.3f}" if statistics else "",
        "largest_delta_p": f"{statistics['largest_delta_p']:.2g}" if statistics else "",
        "times_fp32": f"{ran['times_fp32']:.2f}" if ran and ran["times_fp32"] is not None else "",
    }  # fmt: skip


def remember_rows(table: Path, rows: list[Row]) -> None:
    """Put rows into the table, in place of those of the same files in the same runtime."""
    key = ("model", "recipe", "runtime", "version", "processor")
    merged = {tuple(row[name] for name in key): row for row in (*rows_in(table), *rows)}
    write_rows(table, COLUMNS, [[row[name] for name in COLUMNS] for _, row in sorted(merged.items())])


def rows_in(table: Path) -> list[Row]:
    """The rows of a table; none where there is no file."""
    if not table.is_file():
        return []
    with table.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def page_of(rows: list[Row], model: str) -> str:
    """The table of one model as Markdown: a line for each runtime, a column for each recipe."""
    cells = {((row["runtime"], row["version"], row["processor"]), row["recipe"]): row for row in rows
             if row["model"] == model}  # fmt: skip
    recipes = list(dict.fromkeys(recipe for _, recipe in cells))
    lines = [f"| runtime | {' | '.join(recipes)} |", f"|---|{'---|' * len(recipes)}"]
    for place in dict.fromkeys(place for place, _ in cells):
        here = [cell(cells[place, recipe]) if (place, recipe) in cells else "not run" for recipe in recipes]
        lines.append(f"| {place[0]} {place[1]}, {place[2]} | {' | '.join(here)} |")
    return "\n".join(lines) + "\n"


def cell(row: Row) -> str:
    if row["opens"] == "no":
        return "refused"
    if not row["same_class"]:
        return "not a number"
    ratio = f"; {row['times_fp32']} x" if row["times_fp32"] else ""
    return f"{float(row['same_class']):.0%}; {row['largest_delta_p']}{ratio}"


if __name__ == "__main__":
    raise SystemExit(main())

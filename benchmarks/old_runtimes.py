"""The files of a build in earlier runtimes: which open, which are right, and what their time is against fp32's.

    python benchmarks/old_runtimes.py build/hierattn_xs --images 6

Runs every .tflite of the folder in each earlier interpreter and in Android's libraries, on this machine and on an
emulated Cortex-A76, as `dermedge parity --runtime` does, and writes where each was right and slow into the manifest.
What is not set up is left out with the command that sets it up. A cell has the share of photographs with PyTorch's
class, the largest difference of a probability and, on this machine's own processor, the file's time by that of the fp32
file: processor time of the library's process, median of interleaved rounds. Writes --out/old_runtimes.md.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.old_runtimes`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

from pathlib import Path

from dermedge.console import entry, screen
from edge.errors import GOOD, InputError
from edge.files import write_text
from edge.phones import NotSetUp, processor
from edge.phones.legacy import EMULATED, every_environment
from edge.progress import track

from ._flags import add_out

ANDROID = ("2.8.0", "2.14.0", "2.16.1")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("build", type=Path, help="folder with the files and manifest.json")
    p.add_argument("--images", type=int, default=6, help="photographs for each file (default: %(default)s)")
    p.add_argument("--runtime", action="append", metavar="NAME", help="these alone; may be repeated")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    from edge.artifact import read

    recipes = [file.recipe for file in read(args.build).files if file.format == "tflite" and not file.answers]
    rows, missing = [], []
    modes = args.runtime or every_mode()
    head = f"| runtime | {' | '.join(recipes)} |\n|---|{'---|' * len(recipes)}\n"
    page = head
    for mode in track(modes, "runtimes", len(modes)):
        try:
            rows.append(f"| {mode} | {' | '.join(cells(args.build, mode, recipes, args.images))} |")
        except NotSetUp as error:
            missing.append(f"{mode}: {error}")
        page = head + "\n".join([*rows, "", *missing]) + "\n"
        write_text(args.out / "old_runtimes.md", page)  # after each, because the whole takes long
    screen().print(page, markup=False, soft_wrap=True)
    return GOOD


def every_mode() -> list[str]:
    """Earlier interpreters and Android's libraries, what runs on this machine's own processor first."""
    earlier = [(env.name.rpartition("-"), env.machine == EMULATED) for _, env in every_environment()]
    here = [f"{library}:{version}" for (library, _, version), emulated in earlier if not emulated]
    arm = [f"{library}:{version}:{processor.DEFAULT}" for (library, _, version), emulated in earlier if emulated]
    android = [f"{name}:{version}" for name in ("android-x86_64", "android") for version in ANDROID]
    return [*here, *android[: len(ANDROID)], *arm, *android[len(ANDROID) :]]


def cells(folder: Path, mode: str, recipes: list[str], images: int) -> list[str]:
    """What is said of each recipe's file. Raises NotSetUp."""
    import dermedge
    from edge.build import remember
    from edge.questions.parity.measure import seen_right, seen_slow

    build = dermedge.open_build(folder)
    try:
        report = dermedge.parity(build, images=images, modes=[mode]).report
    except NotSetUp:
        raise
    except InputError as error:  # every file was refused
        if "no file that can be run" not in str(error):
            raise
        return ["refused"] * len(recipes)
    remember(build, seen_right(report), seen_slow(report))
    ran = {row["recipe"]: cell(row) for row in report["files"] if row["answered"] is None}
    return [ran.get(recipe, "refused") for recipe in recipes]


def cell(row: dict) -> str:
    statistics = row["statistics"]
    if statistics is None:
        return "not a number"
    ratio = "" if row["times_fp32"] is None else f"; {row['times_fp32']:.2g} x"
    return f"{statistics['agreement']['value']:.0%}; {statistics['largest_delta_p']:.2g}{ratio}"


if __name__ == "__main__":
    raise SystemExit(main())

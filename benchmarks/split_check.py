"""What `dermedge check-split` takes for as many photographs as ISIC 2019 has, and whether it finds what was planted.

    python benchmarks/split_check.py                                     # 25,000 JPEG files of 1024 x 768 pixels
    python benchmarks/split_check.py --images 500 --width 4032 --height 3024
    python benchmarks/split_check.py --photographs build/benchmarks/drawn-25331

Draws the files (--photographs: takes JPEG files that are there, as prepared_memory.py leaves them) into two parts, half
of them each, with a table of patients; 100 files of one part are there in the
other as well, mirrored, at half the side and at JPEG quality 50, and 50 patients are in both. Runs the command, and
tells its time, its processor seconds (looking at files is most of it, and uses all cores), its memory without pages of
files, and how much of what was planted it tells. Exit code 1 where it misses a patient or more than 3 % of the copies,
or tells more than was planted. Needs Linux.
Prints it and writes --out/split_check_at_scale.json. Drawn images say nothing of skin.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.split_check`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path

import cv2

from dermedge.console import entry, screen
from edge.data.csv_table import read_table
from edge.data.hash_search import ENOUGH
from edge.data.rows import write_rows
from edge.data.split_check.check import LEAKS
from edge.data.split_check.leaks import NEAR_COPY
from edge.errors import GATE_FAILED, GOOD, InputError, at_least_one
from edge.files import write_json

from ._drawn import draw_all
from ._flags import add_out
from ._watched import MB, watched

COPIES, SHARED = 100, 50
PARTS = ("test", "train")


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=int, default=25_000, help="default: %(default)s")
    p.add_argument("--width", type=int, default=1024, help="pixels of drawn files (default: %(default)s)")
    p.add_argument("--height", type=int, default=768, help="pixels of drawn files (default: %(default)s)")
    p.add_argument("--photographs", type=Path, metavar="FOLDER", help="JPEG files to take in place of drawn ones")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes that draw (default: all)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images, width=args.width, height=args.height, jobs=args.jobs)
    half = args.images // 2
    if half < 2 * max(COPIES, SHARED):
        raise InputError(f"`images` {args.images} are too few to plant {COPIES} copies and {SHARED} patients in")
    folder = args.out / "split"
    shutil.rmtree(folder, ignore_errors=True)
    images = [f"{part}/{place}{number:06d}.jpg" for place, part in enumerate(PARTS) for number in range(half)]
    if args.photographs:
        take(args.photographs, [folder / name for name in images])
    else:
        draw_all([folder / name for name in images], args.width, args.height, args.jobs)
    patients = {name: f"P{number // 2}" for number, name in enumerate(images)}  # two images of each, in one part
    copies = dict(zip(images[:COPIES], images[-COPIES:], strict=True))
    for source, copy in copies.items():
        picture = cv2.imread(str(folder / source))
        assert picture is not None  # it was just drawn
        small = cv2.resize(picture, (picture.shape[1] // 2, picture.shape[0] // 2), interpolation=cv2.INTER_AREA)
        (folder / copy).unlink()  # it may be a link to somebody's file
        cv2.imwrite(str(folder / copy), small[:, ::-1], [cv2.IMWRITE_JPEG_QUALITY, 50])
    for number in range(SHARED):  # of images that are no copies
        patients[images[half - 1 - 2 * number]] = patients[images[half + 2 * number]]
    write_rows(args.out / "patients.csv", ("image", "patient_id"), list(patients.items()))
    out = args.out / "found"
    run = watched(
        [
            sys.executable, "-m", "dermedge", "check-split", "--table", str(args.out / "patients.csv"), "--split",
            str(folder), "--allow-leaks", "--out", str(out),
        ]
    )  # fmt: skip
    told: dict[tuple[str, str], set[str]] = {}
    for row in read_table(out / LEAKS):
        told.setdefault((row["kind"], row["name"]), set()).add(row["image"])
    near = {tuple(sorted(own)) for (kind, _), own in told.items() if kind == NEAR_COPY}
    shared = sum(kind == "patient" for kind, _ in told)
    planted = {tuple(sorted(pair)) for pair in copies.items()}
    facts = {
        "images": len(images),
        "megabytes": round(sum((folder / name).stat().st_size for name in images) / MB),
        "seconds": round(run.seconds, 1), "processor_seconds": round(run.processor_seconds, 1),
        "most_memory_mb": round(run.most_bytes / MB), "copies_found": len(planted & near), "copies": len(planted),
        "other_near_copies": len(near - planted), "patients_found": shared, "patients": SHARED,
    }  # fmt: skip
    screen().print(", ".join(f"{name} {value}" for name, value in facts.items()), soft_wrap=True)
    write_json(args.out / "split_check_at_scale.json", facts)
    shutil.rmtree(folder)
    right = near <= planted and len(near) >= ENOUGH * len(planted) and shared == SHARED
    return GOOD if right else GATE_FAILED


def take(source: Path, targets: Sequence[Path]) -> None:
    """Links to the first JPEG files below a folder; InputError where they are too few."""
    files = sorted(source.rglob("*.jpg"))
    if len(files) < len(targets):
        raise InputError(f"{source} has {len(files)} files .jpg; {len(targets)} are needed")
    for file, target in zip(files, targets, strict=False):
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(file, target)


if __name__ == "__main__":
    raise SystemExit(main())

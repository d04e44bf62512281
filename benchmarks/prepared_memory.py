"""How much memory `dermedge prepare --recipe ihisic20000` takes for the images of ISIC 2019, and what a kill costs.

    python benchmarks/prepared_memory.py                      # 25,331 drawn images, as published
    python benchmarks/prepared_memory.py --images 2000 --per-class 60 --kill

Draws JPEG files of 600 x 450 pixels with the official table's classes and numbers of lesions, makes the set of them
with the command, and reads every 0.1 s from /proc what the command and its processes hold: anonymous and shared memory,
without pages of files. --kill then makes it anew and kills it with all its processes while it reads, while it grows
trees, and twice while it writes, lets it go on each time, and compares the bytes with those of the run that nobody
killed. Prints it and writes --out/prepared_memory.json. Needs Linux. Drawn images say nothing of skin.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.prepared_memory`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import os
import shutil
import sys
from functools import partial
from pathlib import Path

import numpy as np

from dermedge.console import entry, screen
from edge.data.official import OFFICIAL
from edge.data.prepared.build import CHUNK
from edge.data.rows import write_rows
from edge.errors import GATE_FAILED, GOOD, InputError, at_least_one
from edge.files import sha256, write_json

from ._drawn import draw_all
from ._flags import add_out
from ._watched import MB, watched

WIDTH, HEIGHT = 600, 450  # pixels, as HAM10000's files
CLASSES = OFFICIAL["isic_2019"]["training"]
LESIONS = 11_847 / 25_331  # a photograph, in the official table
LEAST = 20  # images of a class


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--images", type=int, default=sum(CLASSES.values()), help="default: %(default)s, as ISIC 2019 has")
    p.add_argument("--per-class", type=int, default=2500, help="default: %(default)s, as published")
    p.add_argument("--sound", action="store_true", help="patients first")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes (default: all)")
    p.add_argument("--kill", action="store_true", help="kill it four times, and compare the bytes")
    p.add_argument("--photographs", type=Path, help="where the images are drawn (default: in --out)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images, per_class=args.per_class, jobs=args.jobs)
    photographs = args.photographs or args.out / f"drawn-{args.images}"
    if not photographs.is_dir():
        draw(photographs, args.images, args.jobs)
    whole = args.out / "whole"
    command = [
        sys.executable, "-m", "dermedge", "prepare", "--data", str(photographs), "--recipe", "ihisic20000",
        "--per-class", str(args.per_class), "--jobs", str(args.jobs), *(["--sound"] if args.sound else []), "--out",
    ]  # fmt: skip
    shutil.rmtree(whole, ignore_errors=True)
    first = watched([*command, str(whole)])
    facts: dict = {
        "images": args.images, "per_class": args.per_class, "sound": args.sound, "jobs": args.jobs,
        "seconds": round(first.seconds, 1), "processes": first.processes,
        "most_memory_mb": round(first.most_bytes / MB), "bound_with_pages_of_files_mb": round(first.upper_bytes / MB),
    }  # fmt: skip
    screen().print(
        f"{args.images} images: {facts['most_memory_mb']} MB in {first.processes} processes, at most "
        f"{facts['bound_with_pages_of_files_mb']} MB with pages of files; {first.seconds:.0f} s"
    )
    same = True
    if args.kill:
        killed = args.out / "killed"
        shutil.rmtree(killed, ignore_errors=True)
        chunks, files = -(-args.images // CHUNK), contents(whole)
        begun: list[int] = []  # files that were done when it was killed
        for pattern, number in (
            ("*.npy", chunks // 2),
            ("*.npy", chunks),
            ("*.jpg", len(files) // 3),
            ("*.jpg", len(files) // 2),
        ):
            run = watched([*command, str(killed)], until=partial(has_files, killed, pattern, number))
            if not run.killed:
                raise InputError(f"it had ended before {number} files {pattern} were there; give more `images`")
            begun.append(len([*killed.rglob("*.npy"), *killed.rglob("*.jpg")]))
        watched([*command, str(killed)])
        same = files == contents(killed)
        facts |= {"kills": len(begun), "files_kept_at_each": begun, "same_bytes": same, "files": len(files)}
        screen().print(
            f"killed {len(begun)} times, when {', '.join(map(str, begun))} files were done; its {len(files)} files "
            f"are {'the same, byte for byte' if same else 'OTHERS than those of the run that nobody killed'}"
        )
    write_json(args.out / "prepared_memory.json", facts)
    return GOOD if same else GATE_FAILED


def draw(folder: Path, images: int, jobs: int) -> None:
    """The layout of ISIC 2019's training part, with the official shares of the classes."""
    photographs = folder / "ISIC_2019_Training_Input"
    photographs.mkdir(parents=True)
    total = sum(CLASSES.values())
    numbers = {
        code: number if images == total else max(LEAST, number * images // total) for code, number in CLASSES.items()
    }
    numbers["NV"] += images - sum(numbers.values())
    if numbers["NV"] < LEAST:
        raise InputError(f"`images` {images} are too few for {len(CLASSES)} classes of {LEAST}")
    codes = np.random.default_rng(0).permutation([code for code, number in numbers.items() for _ in range(number)])
    names = [f"ISIC_{number:07d}" for number in range(images)]
    draw_all([photographs / f"{name}.jpg" for name in names], WIDTH, HEIGHT, jobs)
    write_rows(
        folder / "ISIC_2019_Training_GroundTruth.csv",
        ("image", *CLASSES, "UNK"),
        [(name, *(float(code == own) for own in CLASSES), 0.0) for name, code in zip(names, codes, strict=True)],
    )
    write_rows(
        folder / "ISIC_2019_Training_Metadata.csv",
        ("image", "lesion_id"),
        [(name, f"BCN_{int(number * LESIONS):07d}") for number, name in enumerate(names)],
    )


def has_files(folder: Path, pattern: str, number: int) -> bool:
    return len([*folder.rglob(pattern)]) >= number


def contents(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): sha256(path) for path in folder.rglob("*") if path.is_file()}


if __name__ == "__main__":
    raise SystemExit(main())

"""Which photographs are too hard to keep, by reduced pixels and by all: how far the two selections agree.

    python benchmarks/hardness.py --data PAD-UFES-20/ --per-class 100

`dermedge prepare --recipe` leaves out the hardest photographs of large classes, as a random forest on 16 x 16 pixels
tells it; --full takes all pixels of the square, as published. This tells hardness both ways, with the same inner folds,
and counts for each class that is cut down how many photographs both keep. Beside it stand what two selections at random
would share, and what one kind of pixels shares with itself under another seed, which no other kind can be asked to
surpass. Prints it and writes --out/hardness.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.hardness`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import os

import numpy as np

from dermedge.console import entry, screen
from dermedge.flags import add_data
from edge.data.prepared.build import REDUCED, SIDE
from edge.data.prepared.hardness import chances, easiest
from edge.data.prepared.work import reduced
from edge.data.selection import find_sets
from edge.data.table import PhotoSet
from edge.errors import GOOD, InputError, at_least_one
from edge.files import write_json
from edge.progress import track

from ._flags import add_out


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data(p)
    p.add_argument("--per-class", type=int, default=100, help="photographs that a class keeps (default: %(default)s)")
    p.add_argument("--side", type=int, default=SIDE, help="side of all pixels (default: %(default)s, as published)")
    p.add_argument("--seed", type=int, default=0, help="default: %(default)s; the other one is the next")
    p.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="threads of the forests (default: all)")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(per_class=args.per_class, jobs=args.jobs, side=args.side)
    photos = find_sets(args.data)[0]
    if all(number <= args.per_class for number in photos.counts.values()):
        raise InputError(
            f"no class of {photos.name} has more than {args.per_class} photographs; give fewer `per_class`"
        )
    squares = [
        reduced(([photo.path], args.side))[0] for photo in track(photos.photos, "reading photographs", len(photos))
    ]
    small = [reduced(([photo.path], REDUCED))[0] for photo in track(photos.photos, "reducing", len(photos))]
    own = {
        (side, seed): chances(pixels, np.array(photos.targets), None, seed=seed, jobs=args.jobs)
        for side, pixels in ((REDUCED, np.stack(small)), (args.side, np.stack(squares)))
        for seed in (args.seed, args.seed + 1)
    }
    chosen = {key: kept(photos, values, args.per_class) for key, values in own.items()}
    first, second = (REDUCED, args.seed), (args.side, args.seed)
    rows = {}
    for code, number in photos.counts.items():
        if number > args.per_class:
            rows[code] = {
                "photographs": number,
                "both": len(chosen[first][code] & chosen[second][code]),
                "at_random": args.per_class**2 / number,
                "reduced_and_itself": len(chosen[first][code] & chosen[REDUCED, args.seed + 1][code]),
                "all_pixels_and_themselves": len(chosen[second][code] & chosen[args.side, args.seed + 1][code]),
            }
    screen().print(
        f"{photos.name}: of {args.per_class} photographs that each class keeps by {REDUCED} x {REDUCED} pixels,"
    )
    for code, row in rows.items():
        again, all_again = row["reduced_and_itself"], row["all_pixels_and_themselves"]
        screen().print(
            f"{code} ({row['photographs']} photographs): {row['both']} are kept by {args.side} x {args.side} pixels, "
            f"too; {row['at_random']:.0f} would be at random; with another seed {again} by {REDUCED} x {REDUCED} "
            f"pixels again, and of those kept by {args.side} x {args.side} pixels {all_again}",
            soft_wrap=True,
        )
    write_json(args.out / "hardness.json", {"per_class": args.per_class, "side": args.side, "classes": rows})
    return GOOD


def kept(photos: PhotoSet, own: np.ndarray, number: int) -> dict[str, set[str]]:
    """Image ids that each class keeps, of the chances (N,) of the photographs' own classes."""
    names = {code: [place for place, photo in enumerate(photos.photos) if photo.label == code] for code in photos.codes}
    ids = [photo.image_id for photo in photos.photos]
    return {
        code: {ids[places[row]] for row in easiest(own[places], [ids[place] for place in places], number)}
        for code, places in names.items()
        if places
    }


if __name__ == "__main__":
    raise SystemExit(main())

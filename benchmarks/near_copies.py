"""How many changed copies of a picture `edge.data.near_copies` finds, and how many pairs it takes for one wrongly.

    python benchmarks/near_copies.py --data photographs/
    python benchmarks/near_copies.py --data photographs/ --scale 25000
    python benchmarks/near_copies.py --data photographs/ --hashes 1000000

For each set: the pairs of different photographs that are taken for one picture, and how many bits the next ones differ
in; then the share of photographs that are found again after each change. Prints it and writes --out/near_copies.json.

--scale N measures instead what it takes to look at N files (those of --data, over and over) and to compare N hashes,
drawn with the means and covariances of the photographs' spectra, and how many of 1000 planted copies are found.
--hashes N does the second half alone.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.near_copies`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import io
import resource
import time
from collections import deque
from collections.abc import Callable
from itertools import cycle, islice
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from dermedge.console import entry, screen
from dermedge.flags import add_data
from edge.data.hash_search import BITS, VIEWS, similar
from edge.data.near_copies import KEPT, MOST_BITS, bits, hash_of, near_copies, spectrum, turned
from edge.data.quick_look import looked_at
from edge.data.selection import find_sets
from edge.data.squares import load_squares
from edge.errors import GOOD, at_least_one
from edge.files import write_json

from ._flags import add_out

SIDE = 256  # of `dermedge prepare`
PLANTED = 1000
DRAWN_AT_A_TIME = 20_000
NEAREST = 10  # pairs whose bits are listed
Change = Callable[[np.ndarray], np.ndarray]  # uint8 RGB (S, S, 3) -> the same


def jpeg(quality: int) -> Change:
    def change(square: np.ndarray) -> np.ndarray:
        memory = io.BytesIO()
        Image.fromarray(square).save(memory, "JPEG", quality=quality)
        return np.array(Image.open(memory))

    return change


def smaller(factor: int) -> Change:
    return lambda square: cv2.resize(square, (len(square) // factor,) * 2, interpolation=cv2.INTER_AREA)


def cropped(percent: float) -> Change:
    """`percent` of the width and of the height are cut off, half of it on each side."""

    def change(square: np.ndarray) -> np.ndarray:
        edge = round(len(square) * percent / 200)
        return cv2.resize(square[edge:-edge, edge:-edge], square.shape[:2], interpolation=cv2.INTER_AREA)

    return change


def rotated(degrees: float) -> Change:
    def change(square: np.ndarray) -> np.ndarray:
        middle = (len(square) / 2,) * 2
        turn = cv2.getRotationMatrix2D(middle, degrees, 1)
        return cv2.warpAffine(square, turn, square.shape[:2], borderMode=cv2.BORDER_REFLECT)

    return change


CHANGES: dict[str, Change] = {
    "JPEG quality 50": jpeg(50),
    "JPEG quality 20": jpeg(20),
    "half of the side": smaller(2),
    "a quarter of the side": smaller(4),
    "darker by a fifth": lambda square: (square * 0.8).astype(np.uint8),
    "brighter by a fifth": lambda square: np.clip(square * 1.2, 0, 255).astype(np.uint8),
    "turned by 90 degrees": lambda square: np.rot90(square),
    "mirrored, JPEG quality 50": lambda square: jpeg(50)(np.ascontiguousarray(square[:, ::-1])),
    "turned by 2 degrees": rotated(2),
    "cropped by 2 %": cropped(2),
    "cropped by 3 %": cropped(3),
    "cropped by 5 %": cropped(5),
    "cropped by 10 %": cropped(10),
}


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_data(p)
    p.add_argument("--images", type=int, default=200, help="so many of each set are changed (default: %(default)s)")
    p.add_argument("--scale", type=int, metavar="N", help="measure N files and hashes instead")
    p.add_argument("--hashes", type=int, metavar="N", help="compare N hashes instead")
    add_out(p)
    return p


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images, scale=args.scale, hashes=args.hashes)
    if args.scale or args.hashes:
        paths = [photo.path for photos in find_sets(args.data) for photo in photos.photos]
        scaled = (files_at_scale(paths, args.scale) if args.scale else {}) | hashes_at_scale(
            paths, args.scale or args.hashes
        )
        screen().print(", ".join(f"{name} {value}" for name, value in scaled.items()), soft_wrap=True)
        if args.out:
            write_json(args.out / "near_copies_at_scale.json", scaled)
        return GOOD
    results = {}
    for photos in find_sets(args.data):
        _, squares = load_squares(photos, SIDE)
        results[photos.name] = result = measured(squares, args.images)
        screen().print(f"{photos.name}: {result['pairs']} pairs, {len(result['taken_for_one'])} taken for one picture")
        for first, second in result["taken_for_one"]:
            screen().print(f"  {photos.photos[first].image_id} and {photos.photos[second].image_id}")
        screen().print(f"  bits of the nearest pairs: {result['nearest_bits']}; at most {MOST_BITS} count")
        for name, share in result["found"].items():
            screen().print(f"  {name}: {100 * share:.1f} % found")
    if args.out:
        write_json(args.out / "near_copies.json", results)
    return GOOD


def files_at_scale(paths: list[Path], number: int) -> dict[str, float]:
    """What it takes to look at so many files, by the clock and of all cores."""
    start = time.perf_counter(), time.process_time()
    deque(looked_at(list(islice(cycle(paths), number)), hash_of), maxlen=0)
    return {
        "files": number,
        "seconds to look": round(time.perf_counter() - start[0], 1),
        "processor seconds to look": round(time.process_time() - start[1], 1),
    }


def hashes_at_scale(paths: list[Path], number: int) -> dict[str, float]:
    """What it takes to compare so many hashes, by the clock and of all cores; copies found; the most memory in MB."""
    spectra = [seen for seen in looked_at(paths, spectrum) if isinstance(seen, np.ndarray)]
    hashes = drawn_hashes(np.array(spectra), number)
    planted = {(place, number - 1 - place) for place in range(min(PLANTED, number // 2))}
    rng = np.random.default_rng(1)
    for source, copy in planted:
        flipped = np.unpackbits(hashes[source, rng.choice(VIEWS)])  # the copy's own other views stay another picture's
        flipped[rng.choice(BITS, rng.integers(MOST_BITS + 1), replace=False)] ^= 1
        hashes[copy, 0] = np.packbits(flipped)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024  # KB on Linux
    start = time.perf_counter(), time.process_time()
    pairs = set(similar(hashes, MOST_BITS))
    return {
        "hashes": number,
        "seconds to compare": round(time.perf_counter() - start[0], 1),
        "processor seconds to compare": round(time.process_time() - start[1], 1),
        "planted copies found": len(planted & pairs) / len(planted),
        "other pairs": len(pairs - planted),
        "memory of the hashes in MB": round(hashes.nbytes / 2**20),
        "most memory before in MB": round(before),
        "most memory in MB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def drawn_hashes(spectra: np.ndarray, number: int) -> np.ndarray:
    """uint8 (number, 8, 32): of spectra that are drawn with the means and covariances of real ones (n, KEPT, KEPT)."""
    flat = spectra.reshape(len(spectra), -1).astype(np.float64)
    values, vectors = np.linalg.eigh(np.cov(flat.T))
    factors = (vectors * np.sqrt(values.clip(0))).T
    rng, hashes = np.random.default_rng(0), np.empty((number, 8, 32), np.uint8)
    for start in range(0, number, DRAWN_AT_A_TIME):
        part = hashes[start : start + DRAWN_AT_A_TIME]
        drawn = flat.mean(axis=0) + rng.standard_normal((len(part), len(factors))) @ factors
        for place, view in enumerate(turned(drawn.reshape(-1, KEPT, KEPT).astype(np.float32))):
            part[:, place] = np.packbits(bits(view) > 0, axis=1)
    return hashes


def measured(squares: np.ndarray, images: int) -> dict:
    """`squares` are uint8 (N, S, S, 3)."""
    spectra = [values for square in squares if (values := spectrum(square)) is not None]
    views = np.stack([bits(view) for view in turned(np.array(spectra))])
    most = np.max([view @ views[0].T for view in views], axis=0)  # bits alike minus bits that differ
    upper = most[np.triu_indices(len(most), 1)]
    chosen = np.random.default_rng(0).permutation(len(squares))[:images]
    return {
        "pairs": len(upper),
        "taken_for_one": near_copies(squares),
        "nearest_bits": ((views.shape[2] - np.sort(upper)[::-1][:NEAREST]) / 2).astype(int).tolist(),
        "found": {
            name: float(np.mean([bool(near_copies([squares[i], changed(squares[i])])) for i in chosen]))
            for name, changed in CHANGES.items()
        },
    }


if __name__ == "__main__":
    raise SystemExit(main())

"""How much decoders of JPEG and HEIC and colour engines differ, and how that changes the model's answer.

    python benchmarks/decoders.py --data photographs/

Photographs of unseen patients are saved anew (JPEG 4:2:0 at quality 92, HEIC at 90, JPEG in Display P3) and read by
each decoder that is installed: Pillow (libjpeg-turbo) as dermedge does, OpenCV, and PyAV (FFmpeg) where there is one.
Bytes are compared upright at full size and as the model's input; answers are those of the shipped model in float32.
LittleCMS is compared with the colorimetry in floating point. Prints a table and writes --out/decoders.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.decoders`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dermedge.console import entry, screen
from edge.errors import GOOD, at_least_one
from edge.files import write_json
from edge.preprocess import to_input
from edge.progress import track

from ._photographs import opened, photographs_parser
from ._profiles import DISPLAY_P3, profile, to_srgb

Reader = Callable[[bytes], np.ndarray]  # a file -> RGB uint8 (H, W, 3)


def parser() -> argparse.ArgumentParser:
    return photographs_parser(__doc__, images=60)


def by_opencv(content: bytes) -> np.ndarray:
    import cv2

    bgr = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR)
    return np.asarray(bgr)[:, :, ::-1]


def by_ffmpeg(content: bytes) -> np.ndarray:
    import av

    with av.open(io.BytesIO(content)) as file:
        frame = next(file.decode(video=0))
        return np.asarray(frame.to_ndarray(format="rgb24"))


def exact_p3(content: bytes) -> np.ndarray:
    """The stored pixels as Display P3, to sRGB in floating point."""
    return np.rint(to_srgb(untouched(content), DISPLAY_P3)).astype(np.uint8)


def untouched(content: bytes) -> np.ndarray:
    """The stored pixels as if they were sRGB: the mistake of ignoring the profile."""
    from PIL import Image

    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB"))


CASES: Mapping[str, tuple[str, dict[str, Reader]]] = {
    "JPEG, 4:2:0": ("jpeg", {"OpenCV": by_opencv, "FFmpeg": by_ffmpeg}),
    "HEIC": ("heic", {"FFmpeg": by_ffmpeg}),
    "JPEG in Display P3": ("p3", {"colorimetry in floating point": exact_p3, "profile ignored": untouched}),
}


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images)
    side, reference, photos = opened(args.model, args.data, args.images)
    paths = [photo.path for photo in photos.photos]
    rows = [row for case in CASES for row in compare_readers(case, paths, side, reference)]
    write_json(args.out / "decoders.json", {"model": args.model, "data": photos.name, "side": side, "rows": rows})
    for row in rows:
        screen().print(line(row), soft_wrap=True, markup=False)
    return GOOD


def compare_readers(case: str, paths: Sequence[Path], side: int, reference: Any) -> list[dict[str, Any]]:
    """A row for each other reader of one kind of file."""
    from edge.capture import read_photo

    form, readers = CASES[case]
    ours: list[np.ndarray] = []
    seen: dict[str, list[np.ndarray]] = {name: [] for name in readers}
    apart: dict[str, list[Apart]] = {name: [] for name in readers}
    missing: dict[str, str] = {}
    for path in track(paths, case, len(paths)):
        content = saved(read_photo(path), form)
        right = read_photo(content, name=path.name)
        ours.append(to_input(right, side))
        for name, reader in readers.items():
            try:
                other = np.ascontiguousarray(reader(content))
            except Exception as error:  # not installed, or it does not read this format: the table says so
                missing[name] = f"{type(error).__name__}: {(str(error).splitlines() or ['?'])[0][:80]}"
                continue
            seen[name].append(to_input(other, side))
            apart[name].append(Apart.of(right, other, ours[-1], seen[name][-1]))
    answers = reference.run(np.array(ours)).probabilities
    rows: list[dict[str, Any]] = []
    for name, differences in apart.items():
        row: dict[str, Any] = {"case": case, "other": name}
        if name in missing:
            rows.append(row | {"not_run": missing[name]})
            continue
        theirs = reference.run(np.array(seen[name])).probabilities
        rows.append(row | {
            "images": len(differences),
            "full_largest": max(distance.full_largest for distance in differences),
            "full_mean": float(np.mean([distance.full_mean for distance in differences])),
            "input_largest": max(distance.input_largest for distance in differences),
            "input_mean": float(np.mean([distance.input_mean for distance in differences])),
            "same_class": float((theirs.argmax(1) == answers.argmax(1)).mean()),
            "largest_delta_p": float(abs(theirs - answers).max()),
        })  # fmt: skip
    return rows


@dataclass(frozen=True)
class Apart:
    """Levels of 255 between two readings of one file."""

    full_largest: int
    full_mean: float
    input_largest: int
    input_mean: float

    @staticmethod
    def of(right: np.ndarray, other: np.ndarray, ours: np.ndarray, theirs: np.ndarray) -> Apart:
        full, small = (abs(a.astype(int) - b) for a, b in ((right, other), (ours, theirs)))
        return Apart(int(full.max()), float(full.mean()), int(small.max()), float(small.mean()))


def line(row: Mapping[str, Any]) -> str:
    start = f"{row['case']:20} {row['other']:30}"
    if "not_run" in row:
        return f"{start} not run ({row['not_run']})"
    return (
        f"{start} full size: largest {row['full_largest']:3}, mean {row['full_mean']:.3f}; input: largest "
        f"{row['input_largest']:3}, mean {row['input_mean']:.3f}; same class {row['same_class']:.1%}, "
        f"largest |dp| {row['largest_delta_p']:.4f}"
    )


def saved(rgb: np.ndarray, form: str) -> bytes:
    from PIL import Image

    height, width = (n // 2 * 2 for n in rgb.shape[:2])  # of odd sizes FFmpeg leaves out the last row of a HEIC
    picture, buffer = Image.fromarray(rgb[:height, :width]), io.BytesIO()
    if form == "heic":
        import pillow_heif

        pillow_heif.register_heif_opener()
        picture.save(buffer, "HEIF", quality=90)
    elif form == "p3":
        picture.save(buffer, "JPEG", quality=95, subsampling=0, icc_profile=profile(DISPLAY_P3))
    else:
        picture.save(buffer, "JPEG", quality=92, subsampling="4:2:0")
    return buffer.getvalue()


if __name__ == "__main__":
    raise SystemExit(main())

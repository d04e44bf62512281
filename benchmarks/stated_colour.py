"""Photographs saved again in another stated colour space: how many change class beyond what the codec does.

    python benchmarks/stated_colour.py --data photographs/ --images 40

Each photograph of an unseen patient is saved twice by every format: in sRGB, and in another space that only the way
under test states, without a profile. Both are read by `read_photo` and answered by the shipped model in float32. A
change is one of the class that the original has. "Exact" is the formula of docs/preprocess.md in floating point on the
same stored pixels: it tells what the conversion does from what the codec does to other pixels. "Ignored" is what it
costs not to heed the statement. Prints a table and writes --out/stated_colour.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.stated_colour`
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
from PIL import Image

from dermedge.console import entry, screen
from edge.errors import GOOD, at_least_one
from edge.files import write_json
from edge.preprocess import to_input
from edge.progress import track

from ._colorimetry import ADOBE, ADOBE_POWER, shown, stored_in
from ._colour_cases import ADOBE_RGB, P3, Shown
from ._colour_files import chrm, cicp, encoded, exif, gama, png
from ._photographs import opened, photographs_parser


@dataclass(frozen=True)
class Way:
    """A format, the space that the pixels are moved to, and how the file says so."""

    form: str
    space: Shown
    save: Callable[[Image.Image], bytes]


OPTIONS: Mapping[str, dict[str, Any]] = {
    "HEIF": {"quality": 90, "chroma": 420, "subsampling": "4:2:0"},
    "AVIF": {"quality": 90, "subsampling": "4:2:0"},
    "JPEG": {"quality": 92, "subsampling": "4:2:0"},
    "WEBP": {"quality": 92, "lossless": False},
    "PNG": {},
}
CODES = {"color_primaries": 12, "transfer_characteristics": 13}


def codec(form: str, picture: Image.Image, **stated: Any) -> bytes:
    return encoded(form, picture, **(OPTIONS[form] | stated))


def avif_of_codes(picture: Image.Image) -> bytes:
    from ._colour_files import restated

    return restated(codec("AVIF", picture), 12, 13)


WAYS: Mapping[str, Way] = {
    "HEIC, nclx Display P3": Way("HEIF", P3, lambda picture: codec("HEIF", picture, **CODES)),
    "AVIF, nclx Display P3": Way("AVIF", P3, avif_of_codes),
    "JPEG, EXIF R03 Adobe RGB": Way("JPEG", ADOBE_RGB, lambda it: codec("JPEG", it, exif=exif(65535, "R03"))),
    "WebP, EXIF R03 Adobe RGB": Way("WEBP", ADOBE_RGB, lambda it: codec("WEBP", it, exif=exif(65535, "R03"))),
    "PNG, cICP Display P3": Way("PNG", P3, lambda it: png(cicp(12, 13), base=codec("PNG", it))),
    "PNG, gAMA + cHRM Adobe RGB": Way(
        "PNG", ADOBE_RGB, lambda it: png(gama(45470), chrm(ADOBE), base=codec("PNG", it))
    ),
}


def parser() -> argparse.ArgumentParser:
    return photographs_parser(__doc__, images=40)


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images)
    side, reference, photos = opened(args.model, args.data, args.images)
    paths = [photo.path for photo in photos.photos]
    rows = [compared(name, way, paths, side, reference) for name, way in WAYS.items()]
    write_json(args.out / "stated_colour.json", {"model": args.model, "data": photos.name, "side": side, "rows": rows})
    for row in rows:
        screen().print(line(row), soft_wrap=True, markup=False)
    return GOOD


def compared(name: str, way: Way, paths: Sequence[Path], side: int, reference: Any) -> dict[str, Any]:
    from edge.capture import read_photo

    inputs: dict[str, list[np.ndarray]] = {"original": [], "codec alone": [], "stated": [], "exact": [], "ignored": []}
    for path in track(paths, name, len(paths)):
        rgb = read_photo(path)
        plain = codec(way.form, Image.fromarray(rgb))
        power = ADOBE_POWER if way.space == ADOBE_RGB else None
        other = way.save(Image.fromarray(stored_in(rgb, way.space[0], power)))
        inputs["original"].append(to_input(rgb, side))
        inputs["codec alone"].append(to_input(read_photo(plain), side))
        inputs["stated"].append(to_input(read_photo(other), side))
        with Image.open(io.BytesIO(other)) as image:
            stored = np.asarray(image.convert("RGB"))
        inputs["ignored"].append(to_input(stored, side))
        inputs["exact"].append(to_input(np.rint(shown(stored, *way.space)).astype(np.uint8), side))
    answers = {kind: reference.run(np.array(squares)).probabilities for kind, squares in inputs.items()}
    apart = [abs(a.astype(int) - b).max() for a, b in zip(inputs["stated"], inputs["codec alone"], strict=True)]
    classes = {kind: probabilities.argmax(1) for kind, probabilities in answers.items()}
    changed = {kind: classes[kind] != classes["original"] for kind in classes}
    return {
        "way": name,
        "images": len(paths),
        "codec_alone": int(changed["codec alone"].sum()),
        "stated": int(changed["stated"].sum()),
        "beyond_the_codec": int((changed["stated"] & ~changed["codec alone"]).sum()),
        "from_exact": int((classes["stated"] != classes["exact"]).sum()),
        "exact_delta_p": float(abs(answers["stated"] - answers["exact"]).max()),
        "stated_delta_p": float(abs(answers["stated"] - answers["codec alone"]).max()),
        "input_largest": int(max(apart)),
        "ignored": int((changed["ignored"] & ~changed["codec alone"]).sum()),
    }


def line(row: Mapping[str, Any]) -> str:
    return (
        f"{row['way']:28} of {row['images']}: codec alone changes {row['codec_alone']}, with the stated space "
        f"{row['stated']}, {row['beyond_the_codec']} beyond the codec (input: up to {row['input_largest']} levels, "
        f"|dp| up to {row['stated_delta_p']:.4f}); from the exact conversion {row['from_exact']} (|dp| up to "
        f"{row['exact_delta_p']:.4f}); ignored: {row['ignored']} beyond the codec"
    )


if __name__ == "__main__":
    raise SystemExit(main())

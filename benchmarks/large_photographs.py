"""What large photographs take of memory and time, and what decoding them smaller changes in the model's answer.

    python benchmarks/large_photographs.py --data photographs/

Memory: a drawn picture of each kind is read in a process of its own, without the limits of `edge.decoding.limits`; its
peak is the kernel's figure (VmHWM; Linux). Answers: photographs of unseen patients whose shorter side has at least 1024
pixels are saved as JPEG 4:2:0 at quality 92 and read at full size, at a half and at a quarter, as if they were large.
Android's decoders, where they are installed (benchmarks/_android.py), get the golden files of scaled.json and a drawn
picture of 64 megapixels.
Prints a table and writes --out/large_photographs.json.
"""

from __future__ import annotations

import argparse

if not __package__:  # started as a file from a clone: behave like `python -m benchmarks.large_photographs`
    import sys
    from pathlib import Path

    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    __package__ = "benchmarks"

import base64
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, features

from dermedge.console import entry, screen
from edge.capture import read_photo
from edge.decoding import limits
from edge.errors import GOOD, InputError, at_least_one
from edge.files import write_json
from edge.preprocess import to_input
from edge.progress import track

from . import _android
from ._photographs import opened, photographs_parser
from .decoders import saved

SHORTER = 1024  # pixels
FULL, SOME = (8160, 6120), (4080, 3060)
Options = dict[str, Any]
Write = Callable[[Path, int, int, Options], None]
JPEGS: dict[str, Options] = {
    "JPEG, baseline, 4:2:0": {"subsampling": 2},
    "JPEG, progressive, 4:2:0": {"subsampling": 2, "progressive": True},
    "JPEG, progressive, 4:4:4": {"subsampling": 0, "progressive": True},
}
OTHERS: dict[str, Options] = {
    "PNG": {"form": "PNG", "compress_level": 1},
    "WebP": {"form": "WEBP", "quality": 60, "method": 0},
    "AVIF": {"form": "AVIF", "quality": 60, "speed": 10},
}
HEICS: dict[str, Options] = {
    "HEIC, tiled, 4:2:0": {"tile_size": 512},
    "HEIC, untiled, 4:2:0": {},
    "HEIC, untiled, 4:4:4": {"chroma": 444},
    "HEIC, untiled, 4:2:0, 10 bits": {"deep": True},
    "HEIC, untiled, 4:4:4, 10 bits": {"deep": True, "chroma": 444},
}
READ = """
import json, re, sys, time
from pathlib import Path
from edge.capture import read_photo
from edge.decoding import limits
limits.MEMORY = 10**12
peak = lambda: 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1])
before, start = peak(), time.perf_counter()
shape = read_photo(Path(sys.argv[1])).shape
print(json.dumps({"shape": shape, "before": before, "peak": peak(), "seconds": time.perf_counter() - start}))
"""


def parser() -> argparse.ArgumentParser:
    return photographs_parser(__doc__, images=40)


@entry(parser)
def main(argv: list[str] | None = None) -> int:
    args = parser().parse_args(argv)
    at_least_one(images=args.images)
    memory = [row for row in track(rows_of_memory(), "memory", len(JPEGS) + len(OTHERS) + len(HEICS) + 1)]
    for row in memory:
        screen().print(
            f"{row['kind']:32} {row['width']} x {row['height']}: {row['peak'] / 1e6:.0f} MB, "
            f"{row['bytes_per_pixel']:.1f} bytes a pixel beside {row['before'] / 1e6:.0f} MB; {row['seconds']:.1f} s"
        )
    answers = rows_of_answers(args.model, args.data, args.images)
    for row in answers:
        screen().print(
            f"1/{row['scale']} of {row['images']} photographs: input largest {row['largest']}, mean {row['mean']:.3f}; "
            f"same class {row['same_class']:.1%}, largest |dp| {row['largest_delta_p']:.4f}"
        )
    android = rows_of_android()
    for seen in android:
        screen().print(seen if isinstance(seen, str) else android_line(seen), markup=False, soft_wrap=True)
    write_json(
        args.out / "large_photographs.json",
        {"model": args.model, "memory": memory, "answers": answers, "android": android},
    )
    return GOOD


def rows_of_memory() -> Iterator[dict[str, Any]]:
    yield measured("JPEG, baseline, 4:2:0", 16320, 12240, write_jpeg, {"subsampling": 2})
    for kind, options in JPEGS.items():
        yield measured(kind, *FULL, write_jpeg, options)
    for kind, options in OTHERS.items():
        if kind != "AVIF" or features.check("avif"):
            yield measured(kind, *SOME, write_image, options)
    for kind, options in HEICS.items():
        yield measured(kind, *SOME, write_heic, options)


def measured(kind: str, width: int, height: int, write: Write, options: Options) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "photograph"
        write(path, width, height, options)
        done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True, check=True)
    row = json.loads(done.stdout)
    bytes_per_pixel = (row["peak"] - row["before"]) / (width * height)
    return {"kind": kind, "width": width, "height": height, **row, "bytes_per_pixel": bytes_per_pixel}


def drawn(width: int, height: int) -> np.ndarray:
    across, down = np.arange(width, dtype=np.uint32)[None], np.arange(height, dtype=np.uint32)[:, None]
    pixels = np.empty((height, width, 3), np.uint8)
    pixels[:, :, 0] = across * 255 // width
    pixels[:, :, 1] = down * 255 // height
    pixels[:, :, 2] = (across // 37 ^ down // 53) & 255
    return pixels


def write_jpeg(path: Path, width: int, height: int, options: Options) -> None:
    write_image(path, width, height, {"form": "JPEG", "quality": 90, **options})


def write_image(path: Path, width: int, height: int, options: Options) -> None:
    rest = dict(options)
    Image.fromarray(drawn(width, height)).save(path, rest.pop("form"), **rest)


def write_heic(path: Path, width: int, height: int, options: Options) -> None:
    import pillow_heif

    pixels, mode, rest = drawn(width, height), "RGB", dict(options)
    if rest.pop("deep", False):
        pixels, mode = pixels.astype(np.uint16) * 257, "RGB;16"
    picture = pillow_heif.from_bytes(mode, (width, height), pixels.tobytes())
    picture.save(path, quality=60, enc_params={"preset": "ultrafast"}, **rest)


def rows_of_answers(model: str, data: Path | None, images: int) -> list[dict[str, Any]]:
    side, reference, unseen = opened(model, data, None)
    inputs: dict[int, list[np.ndarray]] = {1: [], 2: [], 4: []}
    for photo in track(unseen.photos, "photographs", len(unseen.photos)):
        rgb = read_photo(photo.path)
        if min(rgb.shape[:2]) < SHORTER:
            continue
        contents = saved(rgb, "jpeg")
        for scale, squares in inputs.items():
            with decoded_at(scale):
                squares.append(to_input(read_photo(contents), side))
        if len(inputs[1]) == images:
            break
    right = reference.run(np.array(inputs[1])).probabilities
    rows = []
    for scale in (2, 4):
        apart = abs(np.array(inputs[scale]).astype(int) - inputs[1])
        theirs = reference.run(np.array(inputs[scale])).probabilities
        rows.append({
            "scale": scale,
            "images": len(apart),
            "largest": int(apart.max()),
            "mean": float(apart.mean()),
            "same_class": float((theirs.argmax(1) == right.argmax(1)).mean()),
            "largest_delta_p": float(abs(theirs - right).max()),
        })  # fmt: skip
    return rows


def rows_of_android() -> list[dict[str, Any] | str]:
    """For each decoder and scale, how many files give the bytes of `read_photo`."""
    golden = json.loads((Path(__file__).parents[1] / "tests/golden/preprocess/scaled.json").read_text())["cases"]
    files = {case["name"]: base64.b64decode(case["jpeg"]) for case in golden}
    with tempfile.TemporaryDirectory() as folder:
        write_jpeg(Path(folder) / "photograph", 9248, 6936, {"subsampling": 2})
        files["64 megapixels"] = (Path(folder) / "photograph").read_bytes()
    rows: list[dict[str, Any] | str] = []
    for scale in (2, 4):
        with decoded_at(scale):
            right = {name: read_photo(contents).astype(int) for name, contents in files.items()}
        try:
            columns = _android.decode_all(files, sample=scale)
        except InputError as error:
            return [f"Android: not run ({error})"]
        for (version, decoder), decoded in columns.items():
            apart = [difference(right[name], decoded[name]) for name in files]
            rows.append({
                "decoder": f"{version}, {decoder}", "scale": scale, "files": len(apart), "same": apart.count(0),
                "largest": max(apart),
            })  # fmt: skip
    return rows


def android_line(row: dict[str, Any]) -> str:
    return (
        f"{row['decoder']}, 1/{row['scale']}: {row['same']} of {row['files']} files give the same bytes; largest "
        f"difference {row['largest']}"
    )


def difference(right: np.ndarray, decoded: _android.Decoded) -> int:
    """Largest, in levels; 256 where there is no picture, or one of another size."""
    if isinstance(decoded, str) or decoded.shape != right.shape:
        return 256
    return int(abs(right - decoded).max())


@contextmanager
def decoded_at(scale: int) -> Iterator[None]:
    """As if every photograph were large."""
    before = limits.FULL_PIXELS, limits.HALF_PIXELS
    limits.FULL_PIXELS, limits.HALF_PIXELS = {1: before, 2: (0, before[1]), 4: (0, 0)}[scale]
    try:
        yield
    finally:
        limits.FULL_PIXELS, limits.HALF_PIXELS = before


if __name__ == "__main__":
    raise SystemExit(main())

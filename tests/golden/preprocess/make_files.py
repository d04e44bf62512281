"""Writes files/ and files.json: small photographs of every format, and the upright RGB that they stand for.

    python tests/golden/preprocess/make_files.py

What is expected comes from the pixels that were drawn, not from reading the files again. `tolerance` is the largest
difference of a byte that a decoder may show: 0 where the format keeps pixels, more where it loses some or a colour
profile is converted. Made with Pillow and pillow-heif; other versions may write other bytes of the same pictures, so
the files are kept, and this script is how they came about.
"""

from __future__ import annotations

import base64
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))
from benchmarks import _colorimetry as colorimetry
from benchmarks import _colour_cases as colour_cases
from benchmarks import _colour_files as colour_files
from benchmarks._profiles import DISPLAY_P3, profile, to_srgb
from tests.golden.preprocess import make, reference

FOLDER = Path(__file__).with_name("files")
SIDE = 4
# What has to be done to the stored picture for each EXIF orientation (EXIF 2.32, 4.6.4 A).
TURNS = {
    1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
    5: lambda a: a.transpose(1, 0, 2), 6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}  # fmt: skip


def drawn(height: int, width: int, channels: int = 3, seed: int = 5) -> np.ndarray:
    data = make.noise(seed, height * width * channels)
    return np.frombuffer(data, np.uint8).reshape(height, width, channels)


def smooth(height: int, width: int) -> np.ndarray:
    """What lossy formats keep well: slow ramps."""
    y, x = np.mgrid[0:height, 0:width]
    return np.stack((40 + 2 * x, 60 + 2 * y, 200 - x - y), -1).astype(np.uint8)


def over_white(rgba: np.ndarray) -> np.ndarray:
    alpha = rgba[:, :, 3:].astype(int)
    return ((2 * (rgba[:, :, :3] * alpha + 255 * (255 - alpha)) + 255) // 510).astype(np.uint8)


def from_p3(rgb: np.ndarray) -> np.ndarray:
    return np.rint(to_srgb(rgb, DISPLAY_P3)).astype(np.uint8)


def exif(orientation: int) -> Image.Exif:
    block = Image.Exif()
    block[0x0112] = orientation
    return block


def pictures() -> Iterator[tuple[str, Image.Image, dict[str, Any], np.ndarray, int]]:
    """Name, image, options of saving, expected RGB, tolerance."""
    rgb = drawn(5, 7)
    yield "rgb.png", Image.fromarray(rgb), {}, rgb, 0
    grey = drawn(5, 7, 1)[:, :, 0]
    yield "grey.png", Image.fromarray(grey), {}, grey[:, :, None].repeat(3, 2), 0
    deep = np.frombuffer(make.noise(9, 70), ">u2").reshape(5, 7)
    yield (
        "grey16.png",
        Image.fromarray(deep.astype(np.uint16)),
        {},
        (deep >> 8).astype(np.uint8)[:, :, None].repeat(3, 2),
        0,
    )
    table = drawn(1, 16)[0]
    places = drawn(5, 7, 1)[:, :, 0] % 16
    palette = Image.fromarray(places, "P")
    palette.putpalette(table.tobytes())
    yield "palette.png", palette, {}, table[places], 0
    rgba = drawn(5, 7, 4)
    yield "translucent.png", Image.fromarray(rgba, "RGBA"), {}, over_white(rgba), 0
    white = (rgb == rgb[2, 3]).all(-1, keepdims=True)
    transparent = {"transparency": tuple(map(int, rgb[2, 3]))}
    yield "transparent_colour.png", Image.fromarray(rgb), transparent, np.where(white, 255, rgb), 0
    yield "one_pixel.png", Image.fromarray(rgb[:1, :1]), {}, rgb[:1, :1], 0
    for number, turn in TURNS.items():
        yield f"orientation_{number}.png", Image.fromarray(rgb), {"exif": exif(number)}, turn(rgb), 0
    yield "display_p3.png", Image.fromarray(rgb), {"icc_profile": profile(DISPLAY_P3)}, from_p3(rgb), 2
    yield "lossless.webp", Image.fromarray(rgb), {"lossless": True}, rgb, 0
    ramps = smooth(48, 64)
    yield "quality_95.jpg", Image.fromarray(ramps), {"quality": 95, "subsampling": 0}, ramps, 6
    yield "chroma_420.jpg", Image.fromarray(ramps), {"quality": 95, "subsampling": "4:2:0"}, ramps, 8
    yield "progressive.jpg", Image.fromarray(ramps), {"quality": 95, "progressive": True}, ramps, 8
    for number in (3, 6, 8):
        options = {"quality": 95, "exif": exif(number)}
        yield f"orientation_{number}.jpg", Image.fromarray(ramps), options, TURNS[number](ramps), 8
    grey_ramp = ramps[:, :, 0]
    yield "grey.jpg", Image.fromarray(grey_ramp), {"quality": 95}, grey_ramp[:, :, None].repeat(3, 2), 6
    yield (
        "display_p3.jpg",
        Image.fromarray(ramps),
        {"quality": 95, "icc_profile": profile(DISPLAY_P3)},
        from_p3(ramps),
        12,
    )
    yield "quality_90.webp", Image.fromarray(ramps), {"quality": 90}, ramps, 10
    yield "quality_95.heic", Image.fromarray(ramps), {"quality": 95}, ramps, 8
    yield "orientation_6.heic", Image.fromarray(ramps), {"quality": 95, "exif": exif(6).tobytes()}, TURNS[6](ramps), 8
    yield from stated(rgb, ramps)
    # In HEIF the file's own property turns the picture (ISO/IEC 23008-12, 6.5.10), not the EXIF block.
    yield "exif_alone.heic", Image.fromarray(ramps), {"quality": 95, "exif": exif(6), "plugin": True}, ramps, 8


def stated(rgb: np.ndarray, ramps: np.ndarray) -> Iterator[tuple[str, Image.Image, dict[str, Any], np.ndarray, int]]:
    """Colour spaces that no profile states: docs/preprocess.md, Colour. `chunks` and `codes` are put in afterwards."""
    p3, plain, adobe = colour_cases.P3, colour_cases.PLAIN, colour_cases.ADOBE_RGB
    linear = (plain[0], colorimetry.power(1))
    for name, chunks, space in (
        ("cicp_p3", colour_files.cicp(12, 13), p3),
        ("gama_linear", colour_files.gama(100_000), linear),
        ("gama_of_srgb_alone", colour_files.gama(45455), plain),
        ("gama_chrm_adobe_rgb", colour_files.gama(45470) + colour_files.chrm(colorimetry.ADOBE), adobe),
        ("srgb_before_gama", colour_files.gama(100_000) + colour_files.srgb_chunk(), plain),
    ):
        yield f"{name}.png", Image.fromarray(rgb), {"chunks": chunks}, shown(rgb, space), 1 if space != plain else 0
    block = colour_files.exif(65535, "R03")
    yield "exif_r03.png", Image.fromarray(rgb), {"exif": block}, shown(rgb, adobe), 1
    soft = ramps // 2 + 64  # near the edge of the gamut a level of the codec would become many
    options: dict[str, Any] = {"quality": 100, "subsampling": 0, "exif": block}
    yield "exif_r03.jpg", Image.fromarray(soft), options, shown(soft, adobe), 8
    for form in ("heic", "avif"):
        options = {"quality": 100, "chroma": 444, "subsampling": "4:4:4", "codes": (12, 13)}
        yield f"nclx_p3.{form}", Image.fromarray(soft), options, shown(soft, p3), 6


def shown(rgb: np.ndarray, space: colour_cases.Shown) -> np.ndarray:
    return np.rint(colorimetry.shown(rgb, *space)).astype(np.uint8)


def with_statement(contents: bytes, chunks: bytes, codes: tuple[int, int] | None) -> bytes:
    contents = contents[:33] + chunks + contents[33:] if chunks else contents
    return contents if codes is None else colour_files.restated(contents, *codes)


def main() -> int:
    import pillow_heif

    pillow_heif.register_heif_opener()
    FOLDER.mkdir(exist_ok=True)
    entries = []
    for name, image, options, expected, tolerance in pictures():
        chunks, codes = options.pop("chunks", b""), options.pop("codes", None)
        if name.endswith(".heic") and not options.pop("plugin", False):
            pillow_heif.from_pillow(image).save(FOLDER / name, **options)  # writes the turn as HEIF does
        else:
            image.save(FOLDER / name, {"jpg": "JPEG", "heic": "HEIF"}.get(name.rpartition(".")[2]), **options)
        if chunks or codes:
            (FOLDER / name).write_bytes(with_statement((FOLDER / name).read_bytes(), chunks, codes))
        expected = np.ascontiguousarray(expected)
        entry = {"file": name, "tolerance": tolerance} | make.result(expected.tolist())
        entry.setdefault("rgb", base64.b64encode(expected.tobytes()).decode())
        entry["input"] = make.result(reference.model_input(expected.tolist(), SIDE))
        entries.append(entry)
    text = json.dumps({"about": __doc__.splitlines()[0], "files": entries}, indent=1) + "\n"
    FOLDER.with_suffix(".json").write_text(text, "utf-8")
    print(f"{len(entries)} files, {sum(p.stat().st_size for p in FOLDER.iterdir())} bytes")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

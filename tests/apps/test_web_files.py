"""Photographs through Chromium's decoder give `read_photo`'s bytes, or are refused by name."""

from __future__ import annotations

import base64
import shutil
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edge.capture import read_photo
from edge.phones.chromium import PROGRAMS, Chromium
from edge.phones.site import Site
from tests._sources import ROOT
from tests.apps._golden import GOLDEN

WEB = ROOT / "apps" / "web_demo"
FILES = GOLDEN / "preprocess" / "files"
pytestmark = pytest.mark.skipif(not any(map(shutil.which, PROGRAMS)), reason="no Chromium: `apt-get install chromium`")
# What the page does not read, and a word of its reason; docs/web_demo.md lists the kinds.
REFUSED = {
    "grey16.png": "16 bits", "translucent.png": "transparent", "transparent_colour.png": "transparent",
    "exif_r03.png": "EXIF", "exif_r03.jpg": "EXIF", "quality_95.heic": "neither", "orientation_6.heic": "neither",
    "nclx_p3.heic": "neither", "exif_alone.heic": "neither", "nclx_p3.avif": "neither",
}  # fmt: skip
CONVERTED = ("p3", "gama_linear", "adobe")  # colours that each decoder converts by itself: within one of 255


@pytest.fixture(scope="module")
def chromium() -> Iterator[Chromium]:
    opened = Chromium(patience_s=120)
    yield opened
    opened.close()


def read_all(chromium: Chromium, folder: Path) -> dict[str, dict]:
    """What the page makes of every file of a folder."""
    names = sorted(path.name for path in folder.iterdir())
    site = Site({"/": WEB, "/files/": folder})
    try:
        chromium.open(f"{site.address}/package.json")
        return chromium.evaluate(f"import('/test/files_page.js').then(({{readAll}}) => readAll('/files/', {names}))")
    finally:
        site.close()


def check(answer: dict, path: Path, tolerance: int) -> None:
    assert "refused" not in answer, f"{path.name}: {answer.get('refused')}"
    rgb = np.frombuffer(base64.b64decode(answer["rgb"]), np.uint8).reshape(answer["height"], answer["width"], 3)
    expected = read_photo(path)
    assert rgb.shape == expected.shape, path.name
    assert int(np.abs(rgb.astype(int) - expected).max()) <= tolerance, path.name


def test_the_golden_photographs(chromium: Chromium) -> None:
    read = read_all(chromium, FILES)
    assert len(read) == len(list(FILES.iterdir())) > 30
    for name, answer in read.items():
        if name in REFUSED:
            assert REFUSED[name] in answer.get("refused", ""), (name, answer)
        else:
            check(answer, FILES / name, int(any(word in name for word in CONVERTED)))


def chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))


def with_chunk(png: Path, name: bytes, content: bytes, *, behind: bytes) -> bytes:
    """A PNG with one chunk more, behind the last one called `behind`."""
    data = png.read_bytes()
    start = data.rindex(behind) - 4
    end = start + 12 + struct.unpack(">I", data[start : start + 4])[0]
    return data[:end] + chunk(name, content) + data[end:]


def exif_of(orientation: int) -> bytes:
    exif = Image.Exif()
    exif[274] = orientation
    return exif.tobytes()


def test_other_photographs(chromium: Chromium, tmp_path: Path) -> None:
    picture = Image.fromarray(np.random.default_rng(3).integers(0, 256, (9, 14, 3), np.uint8))
    large = picture.resize((140, 90), Image.Resampling.BICUBIC)
    plain = tmp_path / "plain.png"
    picture.save(plain)
    for orientation in (2, 5, 6, 7, 8):
        large.save(tmp_path / f"turned_{orientation}.jpg", exif=exif_of(orientation), quality=90)
        picture.save(tmp_path / f"turned_{orientation}.webp", exif=exif_of(orientation), lossless=True)
        late = with_chunk(plain, b"eXIf", exif_of(orientation).removeprefix(b"Exif\0\0"), behind=b"IDAT")
        (tmp_path / f"late_{orientation}.png").write_bytes(late)
    large.convert("L").save(tmp_path / "grey.jpg", progressive=True)
    large.save(tmp_path / "whole_chroma.jpg", subsampling=0, quality=100)
    large.save(tmp_path / "lossy.webp", quality=80)
    picture.quantize(7).save(tmp_path / "palette.png")
    refused = {
        "print.jpg": "print", "animated.webp": "animated", "animated.png": "animated", "cHRM.png": "cHRM alone",
        "bright.png": "cICP", "narrow.png": "cICP", "damaged.png": "damaged", "no_end.webp": "damaged",
        "picture.gif": "neither", "words.jpg": "neither", "short.jpg": "damaged", "huge.png": "at most 50000000",
    }  # fmt: skip
    large.convert("CMYK").save(tmp_path / "print.jpg")
    for name in ("animated.webp", "animated.png"):
        picture.save(tmp_path / name, save_all=True, append_images=[picture.rotate(90)])
    primaries = struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000)
    (tmp_path / "cHRM.png").write_bytes(with_chunk(plain, b"cHRM", primaries, behind=b"IHDR"))
    (tmp_path / "bright.png").write_bytes(with_chunk(plain, b"cICP", bytes([9, 16, 0, 1]), behind=b"IHDR"))
    (tmp_path / "narrow.png").write_bytes(with_chunk(plain, b"cICP", bytes([1, 13, 0, 0]), behind=b"IHDR"))
    (tmp_path / "damaged.png").write_bytes(plain.read_bytes().replace(b"IDAT", b"IDAX"))
    lossless = (tmp_path / "turned_6.webp").read_bytes()
    (tmp_path / "no_end.webp").write_bytes(lossless[:60])
    picture.save(tmp_path / "picture.gif")
    (tmp_path / "words.jpg").write_text("<html>not found</html>")
    (tmp_path / "short.jpg").write_bytes(b"\xff\xd8\xff\xe0\0\x10JFIF\0")
    header = struct.pack(">2I5B", 20000, 20000, 8, 2, 0, 0, 0)
    (tmp_path / "huge.png").write_bytes(plain.read_bytes()[:8] + chunk(b"IHDR", header) + plain.read_bytes()[33:])
    read = read_all(chromium, tmp_path)
    for name, words in refused.items():
        assert words in read.pop(name).get("refused", "read"), name
    for name, answer in read.items():
        check(answer, tmp_path / name, 0)
    assert len(read) == 20


def test_damaged_bytes_are_read_or_refused(chromium: Chromium) -> None:
    """Bytes of golden files, changed at random, never end in another error than a sentence."""
    names = ["exif_r03.jpg", "orientation_6.jpg", "gama_linear.png", "exif_r03.png", "lossless.webp", "quality_90.webp"]
    site = Site({"/": WEB, "/files/": FILES})
    script = """
        (async (names) => {
          const {checkFile} = await import('/core/photo_file.js');
          const {Refused} = await import('/core/refused.js');
          let [x, runs] = [7, 0];
          const next = () => { x = (Math.imul(1664525, x) + 1013904223) >>> 0; return x >>> 8; };
          for (const name of names) {
            const bytes = new Uint8Array(await (await fetch('/files/' + name)).arrayBuffer());
            for (let i = 0; i < 500; i += 1, runs += 1) {
              const spoilt = bytes.slice(0, i % 2 ? bytes.length : next() % bytes.length);
              for (let k = 0; k < 6; k += 1) if (spoilt.length) spoilt[next() % spoilt.length] = next();
              try { checkFile(spoilt); } catch (error) { if (!(error instanceof Refused)) return String(error.stack); }
            }
          }
          return runs;
        })
    """
    try:
        chromium.open(f"{site.address}/package.json")
        assert chromium.evaluate(f"({script})({names})") == 500 * len(names)
    finally:
        site.close()

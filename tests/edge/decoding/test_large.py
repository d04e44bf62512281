"""Photographs of more than 50 megapixels: the rule of docs/preprocess.md, and what it takes of memory."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import struct
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from PIL.JpegImagePlugin import JpegImageFile

from edge.capture import read_photo, upright_size
from edge.decoding import heif, limits
from edge.decoding.boxes import box
from edge.decoding.exif import ORIENTATION_TAG
from edge.decoding.limits import scale_of
from edge.decoding.stored import as_stored
from edge.errors import InputError
from tests._sources import ROOT
from tests.edge.decoding._files import heic, heic_of_tiles, jpeg_of_rows, slope
from tests.fuzzing import fuzzed

REDUCED = {1: cv2.IMREAD_COLOR, 2: cv2.IMREAD_REDUCED_COLOR_2, 4: cv2.IMREAD_REDUCED_COLOR_4}
# Reads one photograph and says what the process took at most, by the kernel's account: `VmHWM`, since the figure of
# getrusage counts the memory of the process that started this one as well.
READ = """
import re, sys
from pathlib import Path
from dermedge import capture
shape = capture.read_photo(Path(sys.argv[1])).shape
print(*shape, 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1]))
"""


def noise(height: int, width: int) -> np.ndarray:
    """Smooth noise of few levels, so that decoders need not clamp."""
    small = np.random.default_rng(0).integers(60, 196, (height // 6 + 2, width // 6 + 2, 3), np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_LINEAR)


def jpeg(pixels: np.ndarray, **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, **options)
    return buffer.getvalue()


@pytest.fixture
def smaller(monkeypatch):
    """Sets the sizes at which a photograph is decoded to a half and a quarter."""

    def set_to(full: int, half: int) -> None:
        monkeypatch.setattr(limits, "FULL_PIXELS", full)
        monkeypatch.setattr(limits, "HALF_PIXELS", half)

    return set_to


@pytest.fixture
def little_memory(monkeypatch):
    """No picture fits as a whole."""
    monkeypatch.setattr(limits, "MEMORY", limits.OWN_MEMORY)


@pytest.mark.parametrize(
    ("size", "scale"),
    [
        ((4032, 3024), 1), ((8160, 6120), 1), ((50_000_000, 1), 1), ((50_000_001, 1), 2), ((9248, 6936), 2),
        ((12000, 9000), 2), ((128_000_000, 1), 2), ((128_000_001, 1), 4), ((16320, 12240), 4), ((16384, 12288), 4),
    ],
)  # fmt: skip
def test_scale_by_size(size, scale):
    assert scale_of(*size) == scale


@pytest.mark.parametrize("scale", [1, 2, 4])
@pytest.mark.parametrize("subsampling", [0, 1, 2])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_gives_the_bytes_of_another_libjpeg_turbo(smaller, scale, subsampling, progressive):
    """OpenCV brings its own build of it."""
    height, width = 203, 317  # no multiples of a block
    smaller(*{1: (10**6, 10**6), 2: (10**4, 10**6), 4: (10**3, 10**4)}[scale])
    contents = jpeg(noise(height, width), subsampling=subsampling, progressive=progressive)
    theirs = cv2.imdecode(np.frombuffer(contents, np.uint8), REDUCED[scale] | cv2.IMREAD_IGNORE_ORIENTATION)
    assert theirs.shape == (-(-height // scale), -(-width // scale), 3)
    np.testing.assert_array_equal(read_photo(contents), theirs[:, :, ::-1])


GOLDEN = json.loads((ROOT / "tests/golden/preprocess/scaled.json").read_text())["cases"]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: case["name"])
def test_golden_files_at_a_half_and_a_quarter(smaller, case):
    """What apps test their own decoder with."""
    for scale, expected in case["scales"].items():
        smaller(0, 10**6 if scale == "2" else 0)
        photo = read_photo(base64.b64decode(case["jpeg"]))
        assert photo.shape == (expected["height"], expected["width"], 3)
        assert photo[0, :4].tolist() == expected["first_pixels"]
        assert hashlib.sha256(photo.tobytes()).hexdigest() == expected["sha256"]


def test_the_page_has_the_numbers():
    page = (ROOT / "docs/preprocess.md").read_text()
    for number in (limits.FULL_PIXELS, limits.HALF_PIXELS, limits.MAX_PIXELS, limits.MAX_SIDE):
        assert f"{number:,}" in page
    assert f"{limits.MAX_BYTES // 2**20} MiB" in page


@pytest.mark.parametrize("scale", [2, 4])
def test_reduced_grey_is_the_mean_of_its_pixels(smaller, scale):
    """The inverse transform at 1/s gives means of s x s pixels, before they are rounded: by the full-size decoder."""
    contents = jpeg(noise(160, 240)[:, :, 0])
    full = read_photo(contents)[:, :, 0].astype(float)
    smaller(*((10**3, 10**6) if scale == 2 else (10**3, 10**3)))
    means = full.reshape(160 // scale, scale, 240 // scale, scale).mean((1, 3))
    assert abs(read_photo(contents)[:, :, 0] - means).max() <= 1


@pytest.mark.parametrize("orientation", range(1, 9))
def test_scaled_as_stored_then_turned(smaller, orientation):
    smaller(10**4, 10**6)
    block = Image.Exif()
    block[ORIENTATION_TAG] = orientation
    upright = read_photo(jpeg(noise(101, 151), exif=block.tobytes()))
    np.testing.assert_array_equal(as_stored(upright, orientation), read_photo(jpeg(noise(101, 151))))


@pytest.mark.skipif(sys.platform != "linux", reason="memory is asked of Linux")
@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("50.jpg", (6120, 8160, 3)),
        ("200.jpg", (3072, 4096, 3)),
        pytest.param(
            "50 of 10 bits.heic", (6120, 8160, 3), marks=pytest.mark.slow(reason="192 tiles of 10 bits: four seconds")
        ),
        pytest.param("200.heic", (3072, 4096, 3), marks=pytest.mark.slow(reason="192 large tiles: four seconds")),
    ],
)
def test_400_megabytes_are_enough(tmp_path, name, shape):
    tile = slope(512, 512)
    write = {
        "50.jpg": lambda: jpeg_of_rows(8160, 6120),
        "200.jpg": lambda: jpeg_of_rows(16384, 12288),
        "50 of 10 bits.heic": lambda: heic_of_tiles(heic(tile.astype(np.uint16) * 257), 16, 12, (8160, 6120)),
        "200.heic": lambda: heic_of_tiles(heic(tile), 32, 24, (16384, 12288)),
    }
    path = tmp_path / name
    path.write_bytes(write[name]())
    done = subprocess.run([sys.executable, "-c", READ, path], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    *found, peak = map(int, done.stdout.split())
    assert tuple(found) == shape
    assert peak <= 400e6


def test_progressive_jpeg_that_does_not_fit_is_refused_with_the_figures():
    """The header alone decides: 108 megapixels, 4:2:0, take 3 bytes a pixel for coefficients and a quarter's 4."""
    contents = jpeg(slope(16, 16), progressive=True)
    frame = contents.index(b"\xff\xc2")
    contents = contents[: frame + 5] + struct.pack(">HH", 9000, 12000) + contents[frame + 9 :]
    with pytest.raises(
        InputError, match=r"progressive JPEG of 12000 x 9000 pixels, which takes about 477 MB .* 400 MB"
    ):
        read_photo(contents)


def test_a_jpeg_in_several_scans_is_kept_whole_as_a_progressive_one(little_memory):
    contents = bytearray(jpeg(slope(16, 16)))
    scan = contents.index(b"\xff\xda")
    contents[scan + 4] = 1  # one component in the first scan
    with pytest.raises(InputError, match="a JPEG in several scans of 16 x 16 pixels"):
        read_photo(bytes(contents))


def test_a_film_behind_a_progressive_picture_has_no_scans():
    """Motion photographs end in an MP4 file, whose bytes may be anything."""
    picture = jpeg(noise(64, 48), progressive=True)
    film = b"\0\0\0\x18ftypmp42" + 2000 * b"\xff\xda\0\x08"
    np.testing.assert_array_equal(read_photo(picture + film), read_photo(picture))


def test_thousands_of_scans_are_refused():
    contents = jpeg(slope(16, 16), progressive=True)
    last = contents[contents.rindex(b"\xff\xda") : -2]
    with pytest.raises(InputError, match="progressive JPEG with more than the 500 scans that are read"):
        read_photo(contents[:-2] + 600 * last + b"\xff\xd9")


def test_a_scans_header_may_look_like_markers():
    """Component ids of 255 and 254 read as a marker whose length jumps over the scans behind it."""
    contents = bytearray(jpeg(slope(16, 16), progressive=True))
    frame = contents.index(b"\xff\xc2")
    ids = {contents[frame + 10 + 3 * part]: new for part, new in ((1, 0xFF), (2, 0xFE))}
    for part in (1, 2):
        contents[frame + 10 + 3 * part] = ids[contents[frame + 10 + 3 * part]]
    at = contents.find(b"\xff\xda")
    first_end = at + 2 + contents[at + 3]
    while at >= 0:
        for part in range(contents[at + 4]):
            place = at + 5 + 2 * part
            contents[place] = ids.get(contents[place], contents[place])
        at = contents.find(b"\xff\xda", at + 2)
    last = contents[contents.rindex(b"\xff\xda") : -2]
    comment = b"\xff\xfe\xff\xff" + 32766 * b"\xff\xd9" + b"\0"
    many = contents[:-2] + 600 * last + b"\xff\xd9"
    read_photo(bytes(contents))
    with pytest.raises(InputError, match="progressive JPEG with more than the 500 scans that are read"):
        read_photo(bytes(many[:first_end]) + 2 * comment + bytes(many[first_end:]))


def test_untiled_heic_that_does_not_fit_is_refused_with_the_figures(little_memory):
    with pytest.raises(InputError, match=r"an untiled HEIC file of 64 x 64 pixels, .* at most 45 MB are used"):
        read_photo(heic(slope(64, 64)))


def test_untiled_heic_above_full_size_is_refused(smaller):
    smaller(1000, 10**6)
    with pytest.raises(InputError, match="only tiled ones are decoded"):
        read_photo(heic(slope(64, 64)))


@pytest.mark.parametrize(
    ("pixels", "options"),
    [
        (noise(300, 400), {}),
        (noise(300, 400), {"chroma": 444}),
        (noise(300, 400).astype(np.uint16) * 257, {}),
        (noise(300, 400)[:, :, 0].copy(), {}),
    ],
    ids=["420", "444", "10 bits", "grey"],
)
def test_tile_by_tile_gives_the_bytes_of_the_whole(monkeypatch, pixels, options):
    contents = heic(pixels, tile_size=128, quality=80, **options)
    whole = read_photo(contents)
    monkeypatch.setattr(limits, "MEMORY", limits.OWN_MEMORY)
    monkeypatch.setattr(heif, "whole", None)
    np.testing.assert_array_equal(read_photo(contents), whole)


@pytest.mark.parametrize("scale", [2, 4])
def test_heic_is_shrunk_to_means(smaller, scale):
    """Halves up; at the right and lower edges, the mean of the pixels that are there."""
    contents = heic(noise(203, 301), tile_size=128, quality=80)
    full = read_photo(contents).astype(int)
    smaller(*((10**4, 10**6) if scale == 2 else (10**3, 10**4)))
    reduced = read_photo(contents)
    assert reduced.shape == (-(-203 // scale), -(-301 // scale), 3)
    for y, x in [(0, 0), (10, 70 // scale), (5, reduced.shape[1] - 1), (reduced.shape[0] - 1, reduced.shape[1] - 1)]:
        block = full[y * scale : (y + 1) * scale, x * scale : (x + 1) * scale].reshape(-1, 3)
        np.testing.assert_array_equal(reduced[y, x], np.floor(block.mean(0) + 0.5))


@pytest.mark.parametrize("steps", ["", "irot1", "irot2", "irot3", "imir0", "imir1", "irot1 imir0", "imir1 irot3"])
def test_tiles_are_turned_as_libheif_turns_the_whole(monkeypatch, steps):
    boxes = [box(step[:4].encode(), bytes([int(step[4])])) for step in steps.split()]
    contents = heic_of_tiles(heic(noise(64, 64), quality=80), 3, 2, (180, 100), *boxes)
    whole = read_photo(contents)
    monkeypatch.setattr(limits, "MEMORY", limits.OWN_MEMORY)
    np.testing.assert_array_equal(read_photo(contents), whole)


def test_a_cropped_grid_is_refused_at_sizes_that_are_decoded_in_tiles(little_memory):
    crop = box(b"clap", struct.pack(">8I", 100, 1, 80, 1, 0, 1, 0, 1))
    with pytest.raises(InputError, match=r"with a crop \(clap\)"):
        read_photo(heic_of_tiles(heic(noise(64, 64)), 3, 2, (180, 100), crop))


@pytest.mark.parametrize("columns", [2, 4])
def test_tiles_that_do_not_cover_the_picture(little_memory, columns):
    with pytest.raises(InputError, match="do not cover a width of 180"):
        read_photo(heic_of_tiles(heic(noise(64, 64)), columns, 2, (180, 100)))


TILED = heic_of_tiles(heic(slope(64, 64)), 2, 2, (120, 110))


@fuzzed(80)
@given(st.integers(0, len(TILED) - 1), st.binary(min_size=1, max_size=8), st.booleans())
def test_damaged_grids_are_refused_or_read(position, patch, cut):
    contents = TILED[:position] + patch + (b"" if cut else TILED[position + len(patch) :])
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(limits, "MEMORY", limits.OWN_MEMORY)
        try:
            photo = read_photo(contents)
        except InputError:
            return
    assert photo.dtype == np.uint8 and photo.ndim == 3


def test_sizes_are_told_without_decoding(tmp_path, smaller, monkeypatch):
    """Of the file, not of what it is decoded to: masks have that size."""
    smaller(10**3, 10**6)
    block = Image.Exif()
    block[ORIENTATION_TAG] = 6
    for name, contents in {
        "turned.jpg": jpeg(noise(101, 151), exif=block.tobytes()),
        "tiles.heic": heic_of_tiles(heic(noise(64, 64)), 3, 2, (180, 100), box(b"irot", b"\1")),
    }.items():
        (tmp_path / name).write_bytes(contents)
    monkeypatch.setattr(JpegImageFile, "load", lambda self: pytest.fail("decoded"))
    monkeypatch.setattr(heif, "put_together", None)
    assert upright_size(tmp_path / "turned.jpg") == (101, 151)
    assert upright_size(tmp_path / "tiles.heic") == (100, 180)


@pytest.mark.parametrize("progressive", [False, True])
def test_a_truncated_large_jpeg_is_refused(smaller, progressive):
    smaller(10**3, 10**6)
    contents = jpeg(noise(203, 317), progressive=progressive)
    for share in (0.3, 0.6, 0.9):
        with pytest.raises(InputError, match="truncated JPEG"):
            read_photo(contents[: int(share * len(contents))])


def test_a_large_photograph_becomes_an_input(tmp_path):
    """The way of `dermedge predict`, also where a path is given."""
    from edge.preprocess import to_input

    path = tmp_path / "large.jpg"
    path.write_bytes(jpeg_of_rows(9248, 6936))
    square = to_input(read_photo(Path(path)), 64)
    assert square.shape == (64, 64, 3)
    assert abs(square[:, :, 2].astype(int) - 128).max() <= 2

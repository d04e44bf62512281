"""Files -> upright RGB: every orientation, mode and format, and everything that is not a photograph."""

from __future__ import annotations

import io
import os
import socket
import struct
import subprocess
import sys
import unicodedata
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edge import capture
from edge.capture import read_photo
from edge.decoding.exif import ORIENTATION_TAG
from edge.errors import InputError
from tests.fuzzing import fuzzed

PICTURE = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)  # no symmetry, sides differ
# What EXIF says about the stored picture, undone with NumPy alone.
UPRIGHT = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: np.rot90(a, 2),
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
    8: lambda a: np.rot90(a, 1),
}


def encoded(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    if form == "HEIF":
        pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: HEIC cannot be written")
        pillow_heif.from_pillow(image).save(buffer, **options)
    else:
        image.save(buffer, form, **options)
    return buffer.getvalue()


def exif(orientation: object) -> bytes:
    block = Image.Exif()
    block[ORIENTATION_TAG] = orientation
    return block.tobytes()


def smooth(height: int = 48, width: int = 64) -> np.ndarray:
    """A picture that lossy formats keep nearly as it is, brightest in one corner."""
    y, x = np.mgrid[0:height, 0:width]
    return np.dstack([255 * x / width, 255 * y / height, 255 * x * y / height / width]).astype(np.uint8)


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_exact_in_png(orientation):
    photo = read_photo(encoded(Image.fromarray(PICTURE), exif=exif(orientation)))
    np.testing.assert_array_equal(photo, UPRIGHT[orientation](PICTURE))


@pytest.mark.parametrize("form", ["JPEG", "WEBP"])
@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_in_lossy_formats(form, orientation):
    contents = encoded(Image.fromarray(smooth()), form, exif=exif(orientation), quality=95)
    plain = encoded(Image.fromarray(smooth()), form, quality=95)
    np.testing.assert_array_equal(read_photo(contents), UPRIGHT[orientation](read_photo(plain)))
    assert abs(read_photo(contents).astype(int) - UPRIGHT[orientation](smooth())).mean() < 3


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_orientation_agrees_with_opencv(tmp_path, orientation):
    path = tmp_path / "photo.jpg"
    path.write_bytes(encoded(Image.fromarray(smooth()), "JPEG", exif=exif(orientation)))
    theirs = cv2.cvtColor(cv2.imread(str(path)), cv2.COLOR_BGR2RGB)
    assert abs(read_photo(path).astype(int) - theirs).max() <= 3  # another build of libjpeg


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_orientation_that_lies_counts_as_upright(value):
    np.testing.assert_array_equal(read_photo(encoded(Image.fromarray(PICTURE), exif=exif(value))), PICTURE)


def test_orientation_of_the_wrong_type_counts_as_upright():
    text = b"Exif\0\0MM\0*\0\0\0\x08" + struct.pack(">HHHI4sI", 1, ORIENTATION_TAG, 2, 2, b"6\0", 0)
    np.testing.assert_array_equal(read_photo(encoded(Image.fromarray(PICTURE), exif=text)), PICTURE)


@settings(max_examples=60, deadline=None)
@given(st.binary(max_size=200), st.booleans())
def test_broken_exif_does_not_break_the_picture(block, with_header):
    header = b"Exif\0\0" + (b"MM\0*\0\0\0\x08" if with_header else b"")
    plain = encoded(Image.fromarray(smooth()), "JPEG")
    photo = read_photo(encoded(Image.fromarray(smooth()), "JPEG", exif=header + block))
    assert any(np.array_equal(photo, turn(read_photo(plain))) for turn in UPRIGHT.values())


def test_truncated_exif_keeps_the_picture():
    whole = exif(6)
    for length in range(1, len(whole)):
        photo = read_photo(encoded(Image.fromarray(smooth()), "JPEG", exif=whole[:length]))
        assert photo.shape in {(48, 64, 3), (64, 48, 3)}


def test_modes():
    grey = PICTURE[:, :, 0]
    alpha = np.full_like(grey, 255)
    palette = Image.fromarray(PICTURE).quantize(16)
    expected = {
        "RGB": (Image.fromarray(PICTURE), PICTURE),
        "opaque RGBA": (Image.fromarray(np.dstack([PICTURE, alpha])), PICTURE),
        "L": (Image.fromarray(grey), np.dstack([grey] * 3)),
        "opaque LA": (Image.fromarray(np.dstack([grey, alpha])), np.dstack([grey] * 3)),
        "P": (palette, np.array(palette.getpalette("RGB")).reshape(-1, 3)[np.asarray(palette)]),
        "1": (Image.fromarray(grey > 127), np.dstack([np.where(grey > 127, 255, 0)] * 3)),
    }
    for name, (image, rgb) in expected.items():
        photo = read_photo(encoded(image))
        assert photo.dtype == np.uint8 and photo.flags.c_contiguous and photo.flags.writeable, name
        np.testing.assert_array_equal(photo, rgb, err_msg=name)


def test_translucent_is_laid_over_white():
    alpha = np.arange(54, dtype=np.uint8).reshape(6, 9) * 4
    cover = alpha[:, :, None].astype(float)
    expected = np.rint((PICTURE * cover + 255 * (255 - cover)) / 255)  # 255 is odd: no ties
    photo = read_photo(encoded(Image.fromarray(np.dstack([PICTURE, alpha]))))
    np.testing.assert_array_equal(photo, expected)
    assert (photo[0, 0] == 255).all()


def test_translucent_palette_and_grey():
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(read_photo(encoded(palette, transparency=0))[0], [[255] * 3, [40, 50, 60]])
    pair = Image.fromarray(np.array([[[100, 0], [100, 255]]], np.uint8))
    np.testing.assert_array_equal(read_photo(encoded(pair))[0], [[255] * 3, [100] * 3])


@pytest.mark.parametrize("shape", [(6, 9), (6, 9, 3)])
def test_sixteen_bits_keep_the_high_byte(shape):
    deep = np.random.default_rng(1).integers(0, 65536, shape, np.uint16)
    contents = cv2.imencode(".png", deep)[1].tobytes()  # RGB lies as BGR in OpenCV
    expected = (deep >> 8).astype(np.uint8)
    expected = np.dstack([expected] * 3) if len(shape) == 2 else expected[:, :, ::-1]
    np.testing.assert_array_equal(read_photo(contents), expected)


def test_cmyk_jpeg():
    ink = np.zeros((16, 16, 4), np.uint8)
    ink[:, :, 1] = 255  # magenta
    photo = read_photo(encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=95))
    assert abs(photo.astype(int) - [255, 0, 255]).max() <= 3


@pytest.mark.parametrize("form", ["WEBP", "PNG"])
def test_first_frame_of_an_animation(form):
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")]
    contents = encoded(frames[0], form, save_all=True, append_images=frames[1:], duration=50, lossless=True)
    np.testing.assert_array_equal(read_photo(contents), np.full((8, 8, 3), (255, 0, 0)))


def test_primary_picture_of_a_multi_picture_jpeg():
    first, second = Image.fromarray(smooth()), Image.new("RGB", (8, 8))
    contents = encoded(first, "MPO", save_all=True, append_images=[second])
    np.testing.assert_array_equal(read_photo(contents), read_photo(encoded(first, "JPEG")))


@pytest.mark.parametrize("orientation", UPRIGHT)
def test_heic_round_trip(tmp_path, orientation):
    pillow_heif = pytest.importorskip("pillow_heif", reason="pillow-heif is not installed: HEIC cannot be written")
    path = tmp_path / "IMG_0001.HEIC"
    pillow_heif.from_pillow(Image.fromarray(smooth())).save(path, quality=95, exif=exif(orientation))
    photo = read_photo(path)
    assert photo.shape == UPRIGHT[orientation](smooth()).shape
    assert abs(photo.astype(int) - UPRIGHT[orientation](smooth())).mean() < 4
    with pytest.raises(InputError, match=r"IMG_0001\.HEIC"):
        path.write_bytes(path.read_bytes()[:-200])
        read_photo(path)


def test_heic_without_its_reader_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=r"holiday\.heic.*pip install -e '\.\[heif\]'"):
        read_photo(b"\0\0\0\x18ftypheic" + bytes(64), name="holiday.heic")


def test_wrong_suffix_is_read_by_contents(tmp_path):
    path = tmp_path / "photo.png"
    path.write_bytes(encoded(Image.fromarray(smooth()), "JPEG"))
    assert read_photo(path).shape == (48, 64, 3)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_truncated(tmp_path, form):
    noise = np.random.default_rng(2).integers(0, 256, (64, 80, 3), np.uint8)
    whole = encoded(Image.fromarray(noise), form)
    path = tmp_path / "cut.jpg"
    for share in (0.001, 0.01, 0.1, 0.3, 0.5, 0.8, 0.95, 0.99):
        path.write_bytes(whole[: max(1, int(len(whole) * share))])
        with pytest.raises(InputError, match=r"cut\.jpg"):
            read_photo(path)
    expected = read_photo(whole)
    for missing in range(1, 40):  # near the end: an error or the whole picture, never a part of it
        try:
            np.testing.assert_array_equal(read_photo(whole[:-missing]), expected)
        except InputError:
            continue


def test_flipped_bits_in_png_are_noticed():
    whole = bytearray(encoded(Image.fromarray(PICTURE)))
    start = whole.index(b"IDAT") + 4
    for position in range(start, len(whole) - 12):
        damaged = bytes(whole[:position]) + bytes([whole[position] ^ 1]) + bytes(whole[position + 1 :])
        with pytest.raises(InputError, match="damaged"):
            read_photo(damaged)


def png_claiming(width: int, height: int) -> bytes:
    def chunk(kind: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(bytes(99))) + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("size", [(100_000, 100_000), (10_000, 10_000), (8_000, 7_000), (capture.MAX_SIDE + 1, 1)])
def test_header_that_claims_too_much_is_refused_before_decoding(monkeypatch, size):
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("decoded"))
    with pytest.raises(InputError, match=r"bomb\.png.*50000000"):
        read_photo(png_claiming(*size), name="bomb.png")


def test_size_on_disk_is_checked_before_reading(tmp_path):
    path = tmp_path / "huge.jpg"
    with path.open("wb") as file:
        file.truncate(capture.MAX_BYTES + 1)  # sparse
    with pytest.raises(InputError, match=r"huge\.jpg has 134217729 bytes"):
        read_photo(path)
    with pytest.raises(InputError, match="134217729 bytes"):
        read_photo(bytes(capture.MAX_BYTES + 1))


def test_what_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"no photograph at .*gone\.jpg"):
        read_photo(tmp_path / "gone.jpg")
    with pytest.raises(InputError, match="is a folder; expected one"):
        read_photo(tmp_path)
    (tmp_path / "empty.jpg").touch()
    with pytest.raises(InputError, match=r"empty\.jpg is empty"):
        read_photo(tmp_path / "empty.jpg")
    with pytest.raises(InputError, match="is empty"):
        read_photo(b"")
    with pytest.raises(InputError, match="cannot be read"):
        read_photo(tmp_path / "nul\0l.jpg")


@pytest.mark.parametrize("source", ["", 5, None, bytearray(9)])
def test_what_is_no_path(source):
    with pytest.raises(InputError, match="a photograph is a path or the bytes of a file, got "):
        read_photo(source)


@pytest.mark.timeout(20)
def test_what_would_block_or_never_end(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
    for path, kind in (
        (tmp_path / "pipe.jpg", "a named pipe"), (tmp_path / "socket.jpg", "a socket"), ("/dev/zero", "a device"),
    ):  # fmt: skip
        with pytest.raises(InputError, match=f"is {kind}, no regular file; expected one"):
            read_photo(path)


def test_a_pipe_that_takes_a_files_place_does_not_block(tmp_path, monkeypatch):
    """Between the look at it and its opening."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "file.jpg").write_bytes(encoded(Image.fromarray(PICTURE)))
    regular, look = os.stat(tmp_path / "file.jpg"), os.stat
    monkeypatch.setattr(
        capture.os, "stat", lambda path, **more: regular if str(path).endswith("pipe.jpg") else look(path, **more)
    )
    with pytest.raises(InputError, match="is a named pipe"):
        read_photo(tmp_path / "pipe.jpg")


def test_links_and_folders_that_look_like_photographs(tmp_path):
    (tmp_path / "moved.jpg").symlink_to(tmp_path / "nowhere.jpg")
    with pytest.raises(InputError, match=r"moved\.jpg is a link to .*nowhere\.jpg, which is not there; mend or remove"):
        read_photo(tmp_path / "moved.jpg")
    (tmp_path / "circle.jpg").symlink_to(tmp_path / "circle.jpg")
    with pytest.raises(InputError, match=r"circle\.jpg cannot be read: Too many levels"):
        read_photo(tmp_path / "circle.jpg")
    (tmp_path / "album.jpg").mkdir()
    with pytest.raises(InputError, match=r"album\.jpg is a folder"):
        read_photo(tmp_path / "album.jpg")
    (tmp_path / "net.mlmodelc").mkdir()
    with pytest.raises(InputError, match="is a folder, a compiled Core ML model; expected one"):
        read_photo(tmp_path / "net.mlmodelc")
    (tmp_path / "whole.png").write_bytes(encoded(Image.fromarray(PICTURE)))
    (tmp_path / "link.png").symlink_to(tmp_path / "whole.png")
    np.testing.assert_array_equal(read_photo(tmp_path / "link.png"), PICTURE)


def test_a_name_in_either_form_of_unicode(tmp_path):
    for written in ("NFC", "NFD"):
        folder = tmp_path / unicodedata.normalize(written, f"Béa-{written}")
        folder.mkdir()
        (folder / unicodedata.normalize(written, "été.png")).write_bytes(encoded(Image.fromarray(PICTURE)))
        for typed in ("NFC", "NFD"):
            path = tmp_path / unicodedata.normalize(typed, f"Béa-{written}") / unicodedata.normalize(typed, "été.png")
            np.testing.assert_array_equal(read_photo(path), PICTURE)
    with pytest.raises(InputError, match="no photograph at"):
        read_photo(tmp_path / "Béa-NFC" / "hiver-é.png")


@pytest.mark.parametrize(
    ("raw", "shown"), [(b"a\nerror: b.jpg", r"a\x0aerror: b.jpg"), (b"caf\xe9\x1b[2J.jpg", r"caf\xe9\x1b[2J.jpg")]
)
def test_names_that_are_no_text_stay_on_their_line(tmp_path, raw, shown):
    path = tmp_path / os.fsdecode(raw)
    path.write_bytes(b"no picture")
    with pytest.raises(InputError) as raised:
        read_photo(path)
    assert shown in str(raised.value)
    assert str(raised.value).isprintable()


@pytest.mark.parametrize("form", ["GIF", "TIFF", "BMP"])
def test_other_formats_are_refused_by_name(form):
    with pytest.raises(InputError, match=f"a {form} file; expected JPEG, PNG, WebP, HEIC or AVIF"):
        read_photo(encoded(Image.fromarray(PICTURE), form))


def test_text_called_jpg(tmp_path):
    path = tmp_path / "notes.jpg"
    path.write_text("not a photograph")
    with pytest.raises(InputError, match=r"notes\.jpg is text, no photograph \(it begins with 'not a photograph'\)"):
        read_photo(path)


STARTS = (b"", b"\xff\xd8\xff\xe0", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"RIFF\x40\0\0\0WEBPVP8 ", b"\0\0\0\x18ftypheic")


@fuzzed(200)
@given(st.sampled_from(STARTS), st.binary(max_size=300))
def test_random_bytes_are_refused_or_read(start, tail):
    try:
        photo = read_photo(start + tail)
    except InputError:
        return
    assert photo.dtype == np.uint8 and photo.ndim == 3


@fuzzed(150)
@given(st.sampled_from(["JPEG", "PNG", "WEBP", "HEIF"]), st.integers(0, 10**6), st.binary(min_size=1, max_size=8))
def test_damaged_files_are_refused_or_read(form, position, patch):
    contents = bytearray(encoded(Image.fromarray(smooth()), form, exif=exif(6)))
    position %= len(contents)
    contents[position : position + len(patch)] = patch
    try:
        photo = read_photo(bytes(contents))
    except InputError:
        return
    assert photo.dtype == np.uint8 and photo.ndim == 3


def test_import_loads_neither_pillow_nor_opencv():
    code = "import sys, edge.capture, edge.preprocess; print({'PIL', 'cv2', 'torch', 'pillow_heif'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"

"""AVIF: the crop, turns and mirrors that the boxes state, each by its definition in NumPy."""

from __future__ import annotations

import io
import struct

import numpy as np
import pytest
from PIL import Image

from edge.capture import read_photo, rgb_of, upright_size
from edge.decoding.boxes import box, read_meta, standalone
from edge.errors import InputError
from tests.edge.decoding._files import slope

HEIGHT, WIDTH = 48, 64


@pytest.fixture(scope="module")
def plain() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(slope(HEIGHT, WIDTH)).save(buffer, "AVIF", quality=95)
    return buffer.getvalue()


def with_boxes(contents: bytes, *added: bytes) -> bytes:
    """The file with further properties of its primary picture."""
    meta = read_meta(contents)
    data = meta.data(contents, meta.primary)
    properties = (*meta.item(meta.primary).properties, *added)
    made = standalone(properties, data)
    links = bytes(range(1, len(properties) + 1))
    essential = bytes(  # libavif wants them marked so
        number | 128 * (box[4:8] in (b"av1C", b"clap", b"irot", b"imir"))
        for number, box in zip(links, properties, strict=True)
    )
    head = made[: -len(data)].replace(b"heic", b"avif").replace(b"hvc1", b"av01")
    return head.replace(bytes([len(links)]) + links, bytes([len(links)]) + essential) + data


def crop(left: float, top: float, width: int, height: int) -> bytes:
    """`clap`: sizes, then how far the centres lie apart, in halves."""
    across, down = 2 * left + width - WIDTH, 2 * top + height - HEIGHT
    return box(b"clap", struct.pack(">IIIIiIiI", width, 1, height, 1, int(across), 2, int(down), 2))


def turn(quarters: int) -> bytes:
    return box(b"irot", bytes((quarters,)))  # anti-clockwise


def mirror(across: int) -> bytes:
    return box(b"imir", bytes((across,)))  # 0: top and bottom, 1: left and right


CROP = crop(10, 5, 31, 20)
WAYS = {
    "crop": ([CROP], lambda a: a[5:25, 10:41]),
    "crop at the corner": ([crop(0, 0, 20, 30)], lambda a: a[:30, :20]),
    "crop, turn": ([CROP, turn(1)], lambda a: np.rot90(a[5:25, 10:41])),
    "crop, turn, mirror": ([CROP, turn(3), mirror(0)], lambda a: np.rot90(a[5:25, 10:41], 3)[::-1]),
    "turn, mirror": ([turn(1), mirror(1)], lambda a: np.rot90(a)[:, ::-1]),
    "mirror, turn": ([mirror(1), turn(1)], lambda a: np.rot90(a[:, ::-1])),
    "turn": ([turn(2)], lambda a: a[::-1, ::-1]),
}


@pytest.mark.parametrize("name", WAYS)
def test_as_the_boxes_say_in_their_order(plain, tmp_path, name):
    added, shown = WAYS[name]
    contents = with_boxes(plain, *added)
    expected = shown(read_photo(plain))
    np.testing.assert_array_equal(read_photo(contents), expected)
    np.testing.assert_array_equal(rgb_of(Image.open(io.BytesIO(contents))), expected)
    (tmp_path / "photo.avif").write_bytes(contents)
    assert upright_size(tmp_path / "photo.avif") == expected.shape[1::-1]


@pytest.mark.parametrize(
    ("added", "words"),
    [
        ([crop(0.5, 0, 20, 20)], "does not lie on whole pixels of its 64 x 48"),
        ([crop(50, 0, 20, 20)], "does not lie on whole pixels"),
        ([box(b"clap", bytes(32))], "does not lie on whole pixels"),
        ([turn(1), crop(0, 0, 20, 20)], r"crops \(clap\) after it turns"),
        ([CROP, CROP], "or twice"),
    ],
)
def test_a_crop_that_is_none(plain, added, words):
    with pytest.raises(InputError, match=f"^photo.avif.*{words}.*Save it as JPEG"):
        read_photo(with_boxes(plain, *added), name="photo.avif")


def test_exif_beside_the_boxes():
    """Its orientation does not count (ISO/IEC 23008-12, A.2.4), and a damaged block costs nothing."""
    block = Image.Exif()
    block[0x0128] = 6  # ResolutionUnit, since Pillow writes an orientation as boxes
    buffer = io.BytesIO()
    Image.fromarray(slope(HEIGHT, WIDTH)).save(buffer, "AVIF", quality=95, exif=block.tobytes())
    contents = buffer.getvalue()
    at = contents.index(block.tobytes()[6:])
    expected = read_photo(contents)
    assert expected.shape == (HEIGHT, WIDTH, 3)
    order = contents[at : at + 2]
    tag = contents.index(b"\x01\x28" if order == b"MM" else b"\x28\x01", at)
    oriented = contents[:tag] + (b"\x01\x12" if order == b"MM" else b"\x12\x01") + contents[tag + 2 :]
    for made in (oriented, contents[:at] + b"\xff\xff\xff\xff" + contents[at + 4 :]):
        np.testing.assert_array_equal(read_photo(made), expected)

"""Every way in which a file states its colour, against the standards' formulas in floating point."""

from __future__ import annotations

import io
import struct
from functools import lru_cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from benchmarks import _colorimetry as colorimetry
from benchmarks import _colour_files as files
from benchmarks._colour_cases import ADOBE_RGB as ADOBE
from benchmarks._colour_cases import P3, PLAIN, cases
from benchmarks._profiles import ADOBE_GAMMA, ADOBE_RGB, DISPLAY_P3, grey_profile, profile
from edge.capture import read_photo, rgb_of
from edge.colour import av1, exif, heif, hevc, icc, png
from edge.errors import InputError
from tests.fuzzing import fuzzed

CASES = cases()


@lru_cache
def stored(form: str) -> np.ndarray:
    """The card as the format keeps it, without any conversion of colour."""
    contents = files.plain(form)  # HEIC and AVIF: `nclx` of sRGB
    with Image.open(io.BytesIO(contents)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", CASES)
def test_what_is_stated_is_shown(name: str) -> None:
    """Within rounding (0.5) and what LittleCMS's integers lose (0.2); a refusal names what was stated."""
    case = CASES[name]
    if case.form == "HEIF":
        pytest.importorskip("pillow_heif")
    if isinstance(case.shows, str):
        with pytest.raises(InputError, match=case.shows) as refusal:
            read_photo(case.make(), name="card")
        assert str(refusal.value).startswith("card")
        return
    seen = read_photo(case.make()).astype(float)
    expected = colorimetry.shown(stored(case.form), *case.shows)
    assert abs(seen - expected).max() < 0.7
    if case.shows == PLAIN:
        np.testing.assert_array_equal(seen, stored(case.form))
    assert np.ptp(seen[:16], axis=2).max() == 0  # greys stay grey


def same_as_profile(contents: bytes, plain: bytes, tag: bytes) -> None:
    """`contents` reads as `plain` does with this profile put into it, within a level."""
    with Image.open(io.BytesIO(plain)) as image:
        buffer = io.BytesIO()
        image.save(buffer, "PNG", icc_profile=tag)
    seen, expected = (read_photo(file).astype(int) for file in (contents, buffer.getvalue()))
    assert abs(seen - expected).max() <= 1


def test_converted_like_a_profile_that_says_the_same() -> None:
    """Profiles with the colorants that IEC, SMPTE and Adobe print, by LittleCMS."""
    for chunk, tag in (
        (files.cicp(12, 13), profile(DISPLAY_P3)),
        (files.gama(45470) + files.chrm(colorimetry.ADOBE), profile(ADOBE_RGB, gamma=ADOBE_GAMMA)),
    ):
        same_as_profile(files.png(chunk), files.plain("PNG"), tag)
    made = files.encoded("JPEG", exif=files.exif(65535, "R03"))
    same_as_profile(made, files.plain("JPEG"), profile(ADOBE_RGB, gamma=ADOBE_GAMMA))


@pytest.mark.parametrize("mode", ["L", "LA", "I;16", "1", "P", "RGBA", "PA"])
def test_every_kind_of_pixel_is_converted(mode: str) -> None:
    """Grey by the curve alone, and 16 bits by their high byte; transparency is laid over white afterwards."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    pictures = {
        "L": Image.fromarray(ramp), "I;16": Image.fromarray(ramp.astype(np.uint16) << 8 | 0x7F),
        "1": Image.fromarray(ramp).convert("1"), "P": Image.fromarray(files.card()).quantize(64),
        "LA": Image.merge("LA", (Image.fromarray(ramp), Image.new("L", (16, 16), 255))),
        "RGBA": Image.fromarray(files.card()).convert("RGBA"),
        "PA": Image.fromarray(files.card()).convert("RGBA").quantize(64),
    }  # fmt: skip
    base = files.encoded("PNG", pictures[mode])
    plain, seen = read_photo(base), read_photo(files.png(files.gama(100_000), files.chrm(colorimetry.ADOBE), base=base))
    expected = colorimetry.shown(plain, colorimetry.ADOBE, colorimetry.power(1))
    assert abs(seen - expected).max() < 0.7
    assert mode == "1" or abs(seen.astype(int) - plain).max() > 60


@pytest.mark.parametrize("mode", ["LA", "I;16"])
def test_a_grey_profile_counts_for_every_grey(mode: str) -> None:
    """Translucent and 16-bit grey were read as if they had none."""
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    tag = grey_profile(1.5)
    expected = read_photo(files.encoded("PNG", Image.fromarray(ramp), icc_profile=tag))
    assert abs(expected[:, :, 0].astype(int) - ramp).max() > 20
    picture = Image.fromarray(ramp.astype(np.uint16) << 8)
    if mode == "LA":
        picture = Image.merge("LA", (Image.fromarray(ramp), Image.new("L", (16, 16), 255)))
    np.testing.assert_array_equal(read_photo(files.encoded("PNG", picture, icc_profile=tag)), expected)


def test_grey_and_cmyk_jpeg() -> None:
    """EXIF speaks of RGB: a grey file gets the curve, one of a press is read by its profile or not at all."""
    grey = Image.fromarray(np.arange(256, dtype=np.uint8).reshape(16, 16))
    plain, stated = (read_photo(files.encoded("JPEG", grey, exif=files.exif(space))) for space in (1, 2))
    assert abs(stated - colorimetry.shown(plain, *ADOBE)).max() < 0.7
    press = Image.fromarray(np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8), "CMYK")
    plain, stated = (read_photo(files.encoded("JPEG", press, exif=files.exif(space))) for space in (1, 2))
    np.testing.assert_array_equal(plain, stated)


def test_an_exif_block_after_the_pixels_counts() -> None:
    """PNG third edition, 11.3.2: anywhere before IEND."""
    stated = files.encoded("PNG", exif=files.exif(65535, "R03"))
    at = stated.index(b"eXIf") - 4
    end = at + 12 + int.from_bytes(stated[at : at + 4], "big")
    moved = stated[:at] + stated[end:-12] + stated[at:end] + stated[-12:]
    np.testing.assert_array_equal(read_photo(moved), read_photo(stated))


def test_an_orientation_and_a_colour_space_in_one_block() -> None:
    block = Image.Exif()
    block.load(files.exif(65535, "R03"))
    block[0x0112] = 6
    turned = read_photo(files.encoded("JPEG", exif=block.tobytes()))
    upright = read_photo(files.encoded("JPEG", exif=files.exif(65535, "R03")))
    np.testing.assert_array_equal(turned, np.rot90(upright, -1))


@pytest.mark.parametrize("name", ["PNG: cICP 12, 13", "PNG: gAMA 100000", "JPEG: EXIF R03", "HEIF: nclx 12, 13"])
def test_an_image_of_pillow_is_read_as_its_file_is(name: str) -> None:
    """Also when it was decoded before; cICP alone is lost by then, since Pillow does not keep it."""
    if CASES[name].form == "HEIF":
        pytest.importorskip("pillow_heif").register_heif_opener()
    contents = CASES[name].make()
    image = Image.open(io.BytesIO(contents))
    np.testing.assert_array_equal(rgb_of(image), read_photo(contents))
    image = Image.open(io.BytesIO(contents))
    image.load()
    if "cICP" not in name:
        np.testing.assert_array_equal(rgb_of(image), read_photo(contents))


def test_matrix_and_range_are_the_decoders() -> None:
    """libheif makes RGB by the `nclx` box: flat colours come back by H.273's formula, with any matrix and range."""
    pytest.importorskip("pillow_heif")
    card = stored("HEIF").astype(float)
    weights = {1: (0.2126, 0.0722), 6: (0.299, 0.114), 9: (0.2627, 0.0593)}

    def to_ycc(matrix: int) -> np.ndarray:
        red, blue = weights[matrix]
        luma = np.array((red, 1 - red - blue, blue))
        return np.array((luma, ((0, 0, 1) - luma) / (2 - 2 * blue), ((1, 0, 0) - luma) / (2 - 2 * red)))

    coded = card @ to_ycc(6).T  # as the file was written: matrix 6, full range
    for matrix in (1, 9, 6):
        for full in (0, 1):
            contents = files.plain("HEIF")
            at = contents.index(b"colrnclx") + 12
            contents = contents[:at] + struct.pack(">HB", matrix, full << 7) + contents[at + 3 :]
            levels = coded if full else (coded - (16, 0, 0)) * (255 / 219, 255 / 224, 255 / 224)
            expected = (levels @ np.linalg.inv(to_ycc(matrix)).T).clip(0, 255)
            middle = np.s_[3::8, 3::8]  # of each patch
            assert abs(read_photo(contents)[middle] - expected[middle]).max() < 5


def test_the_base_picture_of_a_gain_map_is_read() -> None:
    """Ultra HDR: the first JPEG is the picture of standard range, whatever its XMP and the second JPEG say."""
    xmp = b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:hdrgm="http://ns.adobe.com/hdr-gain-map/1.0/"'
    xmp += b' hdrgm:Version="1.0"/>'
    plain = files.plain("JPEG")
    ultra = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(xmp)) + xmp + plain[2:]
    ultra += files.encoded("JPEG", Image.new("L", (16, 16), 99))
    np.testing.assert_array_equal(read_photo(ultra), read_photo(plain))


def test_a_grid_is_coloured_as_its_tiles_are() -> None:
    """Also where only they have the box, or only their bitstream says it."""
    pytest.importorskip("pillow_heif")
    picture = Image.fromarray(files.card().repeat(2, 0).repeat(2, 1))
    codes = {"color_primaries": 12, "transfer_characteristics": 13}
    whole = files.encoded("HEIF", picture, tile_size=64, **codes)
    of_grid = b"\0\1\3\1\x85\3"  # item 1 has three properties; the third of the file is `colr`
    assert b"grid" in whole and whole.count(of_grid) == 1
    of_tiles = whole.replace(of_grid, of_grid[:-1] + b"\0")
    expected = colorimetry.shown(read_photo(files.encoded("HEIF", picture, tile_size=64)), *P3)
    for contents in (whole, of_tiles, whole.replace(b"colrnclx", b"skipnclx")):
        assert abs(read_photo(contents) - expected).max() < 2  # the encoder is told of the colour, and rounds otherwise


@fuzzed(150)
@given(st.sampled_from(sorted(CASES)), st.integers(0, 10**6), st.binary(min_size=1, max_size=4))
def test_a_damaged_statement_is_refused_or_read(name, position, patch) -> None:
    contents = bytearray(damageable(name))
    position %= min(len(contents), 700)  # where the statements are
    contents[position : position + len(patch)] = patch
    try:
        assert read_photo(bytes(contents)).ndim == 3
    except InputError as error:
        assert str(error).startswith("the photograph")


@lru_cache
def damageable(name: str) -> bytes:
    if CASES[name].form == "HEIF":
        pytest.importorskip("pillow_heif")
    return CASES[name].make()


@fuzzed(300)
@given(st.binary(max_size=200), st.integers(1, 4))
def test_hostile_boxes_and_bitstreams_end(content, times) -> None:
    """Whatever the numbers say, the parsers end, in few steps."""
    record = b"\1" * 22 + bytes((times,)) + (b"\x21\0\1" + len(content).to_bytes(2, "big") + content) * times
    assert hevc.codes_in(record) is None or len(hevc.codes_in(record)) == 2
    hevc.codes_in(content), av1.codes_in(content), av1.codes_in(b"\x08" + content)
    for kind in (b"pitm", b"iprp", b"iref", b"ipco"):
        inner = (8 + len(content)).to_bytes(4, "big") + kind + content
        meta = heif.meta_of((12 + len(inner)).to_bytes(4, "big") + b"meta" + bytes(4) + inner)
        if meta is not None:
            heif.codes_in(meta), heif.profile_in(meta)
    png.by_numbers(png.chunks_of(content)), exif.space_in(content, "x"), icc.transfer_code(content)


def test_reserved_codes_of_a_bitstream_are_unspecified() -> None:
    """ITU-T H.265, E.3.1: decoders shall read them as 2; in a box of the file they are refused."""
    pytest.importorskip("pillow_heif")
    meta = heif.meta_of(files.in_bitstream("HEIF", 12, 13))
    assert meta is not None
    (record,) = heif.of_primary(meta, b"hvcC")
    assert hevc.codes_in(record) == (12, 13)
    assert hevc.codes_in(files.with_bits(record, (12, 13, 6), (200, 13, 6))) == (2, 13)


def test_the_long_header_of_a_film_too() -> None:
    """A still picture's AV1 header is a short form; encoders also write the long one."""
    frames = [Image.fromarray(files.card()), Image.new("RGB", (64, 64))]
    film = files.encoded("AVIF", frames[0], save_all=True, append_images=frames[1:])
    meta = heif.meta_of(film)
    assert meta is not None and av1.codes_in(heif.first_picture(meta, film)) == (1, 13)
    stream = heif.first_picture(meta, film)
    assert av1.codes_in(files.with_bits(stream, (1, 13, 6), (9, 16, 6))) == (9, 16)


def test_the_page_has_the_matrices_and_the_worked_colours() -> None:
    """docs/preprocess.md, from which apps are written."""
    page = (Path(__file__).parents[2] / "docs" / "preprocess.md").read_text("utf-8")
    to_linear_srgb = np.linalg.inv(colorimetry.to_xyz(colorimetry.CHROMATICITIES[1]))
    for space in (P3, ADOBE):
        for row in to_linear_srgb @ colorimetry.to_xyz(space[0]):
            assert " ".join(f"{value + 0.0:9.6f}" for value in row.round(6) + 0.0) in page
        worked = np.rint(colorimetry.shown(np.array((200, 120, 100)), *space)).astype(int)
        assert f"({', '.join(map(str, worked))})" in page


def in_pieces(profile: bytes, count: int) -> list[bytes]:
    """APP2 segments (ICC.1:2022, annex B.4)."""
    size = -(-len(profile) // count)
    bodies = [
        b"ICC_PROFILE\0" + bytes((number + 1, count)) + profile[number * size :][:size] for number in range(count)
    ]
    return [b"\xff\xe2" + struct.pack(">H", 2 + len(body)) + body for body in bodies]


P3_PIECES, ADOBE_PIECES = in_pieces(profile(DISPLAY_P3), 3), in_pieces(profile(ADOBE_RGB, gamma=ADOBE_GAMMA), 3)
PIECES = {
    "in any order": (P3_PIECES[::-1], P3),
    "twice": (P3_PIECES * 2, P3),
    "of two profiles the first": (P3_PIECES + ADOBE_PIECES, P3),
    "of two whole profiles the first": (in_pieces(profile(ADOBE_RGB, gamma=ADOBE_GAMMA), 1) + P3_PIECES, ADOBE),
    "one missing": (P3_PIECES[:2], PLAIN),
}


@pytest.mark.parametrize("behind", [b"\xff\xe0", b"\xff\xda"])  # APP0: first of all; SOS: behind the frame header
@pytest.mark.parametrize("name", PIECES)
def test_a_profile_in_pieces(name: str, behind: bytes) -> None:
    """As Chromium 156 reads them, which was run on such files."""
    pieces, shows = PIECES[name]
    contents = files.plain("JPEG")
    at = contents.index(behind)
    contents = contents[:at] + b"".join(pieces) + contents[at:]
    seen = read_photo(contents)
    assert abs(seen - colorimetry.shown(stored("JPEG"), *shows)).max() < 0.7
    np.testing.assert_array_equal(rgb_of(Image.open(io.BytesIO(contents))), seen)


@pytest.mark.parametrize("keep", [128, 132, 300])
def test_a_profile_whose_header_alone_is_whole_counts_as_none(keep: int) -> None:
    """Then the next statement does; no tags, or tags beyond its end."""
    tag = profile(DISPLAY_P3)
    cut = struct.pack(">I", max(keep, 132)) + tag[4:keep] + bytes(max(0, 132 - keep))
    seen = read_photo(files.encoded("JPEG", exif=files.exif(65535, "R03"), icc_profile=cut))
    assert abs(seen - colorimetry.shown(stored("JPEG"), *ADOBE)).max() < 0.7
    seen = read_photo(files.png(files.iccp(cut), files.gama(100_000)))
    linear = colorimetry.shown(stored("PNG"), colorimetry.CHROMATICITIES[1], colorimetry.power(1))
    assert abs(seen - linear).max() < 0.7

"""A photograph as a phone hands it over -> upright RGB.

The first step of the chain: file -> `read_photo` -> uint8 RGB (H, W, 3) -> `preprocess.to_input`; frames of a camera go
through `edge.camera`. Files are not trusted: size and format are checked before anything is decoded, and every error of
a decoder becomes an InputError that names the file.
"""

from __future__ import annotations

import io
import os
import stat
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from edge.colour import refuse_unknown_codes, stated_profile, to_srgb
from edge.decoding import avif, heif, jpeg, png
from edge.decoding.exif import orientation
from edge.decoding.kinds import ALLOWED, HEAD_BYTES, tell_format
from edge.decoding.limits import FULL_PIXELS, MAX_BYTES, MAX_SIDE, check_size
from edge.decoding.stored import SIDEWAYS, Stored, as_stored, of_image
from edge.errors import InputError
from edge.paths import kind_of, named_again, no_file, printable
from edge.shards import content_of, is_member

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})
# Part of the key of cached squares: rises whenever some file is read otherwise than before. PREPROCESS_VERSION stays as
# long as photographs that were read right give the same bytes, because checkpoints are bound to it.
READING = 3


def read_photo(source: str | Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Upright RGB, uint8 (H, W, 3), of a JPEG, PNG, WebP, HEIC or AVIF file or of its bytes.

    * The EXIF orientation (1 to 8) is applied; an unreadable EXIF block or another value counts as 1. XMP is ignored.
    * Grey, palette and CMYK become RGB; of 16-bit samples the high byte is kept.
    * The colour space that the file states (profile, `nclx`, PNG chunks, EXIF) is converted to sRGB; see `edge.colour`.
    * Opaque alpha is dropped; a translucent picture is laid over white, as on a web page; so is `tRNS`.
    * Of an animation the first frame is taken, of a file with several pictures the primary one.
    * JPEG and HEIC of more than 50 million pixels are decoded to a half or a quarter of their width and height; see
      docs/preprocess.md, Large photographs. Baseline JPEG and tiled HEIC of up to 256 million take at most 400 MB.

    The format is recognised by the contents, not by the suffix. `name` is what messages call the photograph (default:
    its path). Raises InputError for anything that cannot be read or exceeds the limits of `edge.decoding.limits`.
    """
    with of_known_format(source, name) as (file, form, shown):
        stored, profile = open_stored(file, form, shown)
        return upright_rgb(stored, profile, shown)


def upright_size(path: str | Path) -> tuple[int, int]:
    """Width and height of a file once it is turned upright; nothing is decoded. InputError as `read_photo`."""
    with of_known_format(path, None) as (file, form, shown):
        stored, _ = open_stored(file, form, shown)
        width, height = stored.in_file
        return (height, width) if stored.orientation in SIDEWAYS else (width, height)


@contextmanager
def of_known_format(source: str | Path | bytes, name: str | None) -> Iterator[tuple[BinaryIO, str, str]]:
    """A photograph's file, its format and what messages call it; whatever the block raises becomes InputError."""
    if not isinstance(source, str | os.PathLike | bytes) or source == "":
        came = "an empty path" if source == "" else type(source).__name__
        raise InputError(f"a photograph is a path or the bytes of a file, got {came}")
    shown = printable(name or ("the photograph" if isinstance(source, bytes) else str(source)))
    with opened(source, shown) as file, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about damaged metadata, which does not matter if the picture decodes
        head = read_head(file, shown)
        if not head:
            raise InputError(f"{shown} is empty (0 bytes); expected a photograph. Copy it again from the phone")
        form = tell_format(head, shown)
        try:
            yield file, form, shown
        except InputError:
            raise
        except MemoryError as error:
            raise InputError(
                f"{shown} needs more memory than is free; close other programs, or save it smaller"
            ) from error
        except Exception as error:  # hostile bytes make parsers raise anything: struct.error, IndexError…
            reason = str(error) or type(error).__name__
            raise InputError(
                f"{shown} is a damaged or truncated {form} file ({reason}); expected a whole photograph. "
                "Copy it again from the phone, or leave it out"
            ) from error


def rgb_of(image: Image.Image) -> np.ndarray:
    """Upright sRGB, uint8 (H, W, 3), of a PIL image, by the same rules as of its file."""
    width, height = image.size
    if not 0 < width * height <= FULL_PIXELS or max(width, height) > MAX_SIDE:
        raise InputError(
            f"the picture has {width} x {height} pixels; expected one of at most {FULL_PIXELS} pixels and {MAX_SIDE} a "
            "side. Make it smaller"
        )
    try:
        contents, form = file_behind(image)
        stored = of_image(image, orientation(image))
        if contents is not None and form == "PNG":
            stored = png.with_key(stored, contents, "the picture")
        elif contents is not None and form == "AVIF":
            stored = avif.placed(stored, contents, "the picture")
        elif contents is not None and form == "JPEG":
            stored = jpeg.with_profile(stored, jpeg.read_header(io.BytesIO(contents), "the picture"))
        profile = stated_profile(stored, contents, form, "the picture")
        return upright_rgb(stored, profile, "the picture")
    except InputError:
        raise
    except Exception as error:  # an image is decoded when it is first used, or was closed
        reason = str(error) or type(error).__name__
        raise InputError(f"the picture cannot be decoded ({reason}); open it again, or give its path") from error


def file_behind(image: Image.Image) -> tuple[bytes | None, str | None]:
    """Contents and format of the file of an image that is not decoded yet; None where its format is not known here.

    Afterwards Pillow has closed it, and what it does not keep is lost, as `cICP` of a PNG and `nclx` of an AVIF.
    """
    file, form = getattr(image, "fp", None), image.format
    form = "JPEG" if form == "MPO" else form
    if file is None or form not in ("JPEG", "PNG", "HEIF", "AVIF"):
        return None, form
    try:
        place = file.tell()
        file.seek(0)
        contents = file.read(MAX_BYTES)
        file.seek(place)
    except (OSError, ValueError, AttributeError):  # closed, or a stream
        return None, form
    return contents, form


@contextmanager
def opened(source: str | Path | bytes, name: str) -> Iterator[BinaryIO]:
    """A photograph's file, at its begin; InputError for what is no regular file or too large.

    A name that was typed in another form of Unicode than the disk has (é as one letter, or as e and an accent) counts.
    """
    if isinstance(source, bytes):
        if len(source) > MAX_BYTES:
            raise InputError(too_many_bytes(name, len(source)))
        yield io.BytesIO(source)
        return
    if is_member(Path(source)):
        yield io.BytesIO(content_of(Path(source)))
        return
    with open_regular(named_again(Path(source)), name) as file:
        yield file


def open_regular(path: Path, name: str) -> BinaryIO:
    try:
        # A pipe or a device would block or never end, so it is looked at before it is opened, and what was opened is
        # looked at again.
        check_regular(os.stat(path), path, name)
        file = open(path, "rb", buffering=0, opener=without_waiting)  # noqa: SIM115 - whoever reads it closes it
        try:
            check_regular(os.fstat(file.fileno()), path, name)
        except BaseException:
            file.close()
            raise
        return io.BufferedReader(file)
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        if isinstance(error, InputError):
            raise
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            raise InputError(f"no photograph at {name}; check the path") from error
        raise InputError(f"{name} {no_file(path, error)}") from error


def without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


def check_regular(status: os.stat_result, path: Path, name: str) -> None:
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{name} is {kind_of(path, status.st_mode)}; expected one {ALLOWED} file")
    if status.st_size > MAX_BYTES:
        raise InputError(too_many_bytes(name, status.st_size))


def read_head(file: BinaryIO, name: str) -> bytes:
    """What `tell_format` wants to see."""
    try:
        return file.read(HEAD_BYTES)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror or error}") from error


def read_bounded(path: Path, name: str) -> bytes:
    """The contents of a regular file of at most MAX_BYTES."""
    with opened(path, printable(name)) as file:
        return file.read(MAX_BYTES + 1)  # one more, so that a file that grows meanwhile is noticed


def too_many_bytes(name: str, size: int) -> str:
    return f"{name} has {size} bytes, more than the {MAX_BYTES} that are read; save it smaller or as JPEG"


def open_stored(file: BinaryIO, form: str, name: str) -> tuple[Stored, bytes | None]:
    """The photograph as it is stored, and the profile of its colours; None: sRGB.

    Its size is checked, and it is decoded when it is used.
    """
    if form == "JPEG":
        stored = jpeg.opened(file, name)
        return stored, stated_profile(stored, None, form, name)
    file.seek(0)
    contents = file.read(MAX_BYTES + 1)
    try:
        stored = heif.opened(contents, name) if form == "HEIF" else opened_by_pillow(contents, form, name)
    except InputError:
        raise
    except Exception:
        refuse_unknown_codes(contents, form, name)  # libheif opens no file with a colour that it does not know
        raise
    return stored, stated_profile(stored, contents, form, name)


def opened_by_pillow(contents: bytes, form: str, name: str) -> Stored:
    """A PNG, WebP or AVIF image, its size checked."""
    from PIL import features

    if form == "AVIF" and not features.check("avif"):
        raise InputError(f"{name} is an AVIF file, which needs Pillow 11.3 with AVIF; install it, or save it as JPEG")
    if form == "PNG":
        return opened_png(contents, name)
    if form == "AVIF":
        return opened_avif(contents, name)
    image = open_checked(contents, form, name)
    return of_image(image, orientation(image))


def opened_avif(contents: bytes, name: str) -> Stored:
    try:
        image = open_checked(contents, "AVIF", name)
    except InputError:
        raise
    except Exception:
        image = open_checked(avif.without_exif(contents), "AVIF", name)
    return avif.placed(of_image(image, orientation(image)), contents, name)


def opened_png(contents: bytes, name: str) -> Stored:
    needed = png.needed(contents)
    # Pillow does not compare the checksums of pixel chunks while it decodes; `verify` does, and uses the image up.
    open_checked(needed, "PNG", name).verify()
    image = open_checked(needed, "PNG", name)
    image.load()  # its EXIF block may come after the pixels
    return png.with_key(of_image(image, orientation(image)), needed, name)


def open_checked(contents: bytes, form: str, name: str) -> Image.Image:
    """The image opened, its size checked, nothing decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = Image.open(io.BytesIO(contents), formats=(form,))
    except UnidentifiedImageError as error:
        raise ValueError("it cannot be opened") from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{name}: {error}; at most {FULL_PIXELS} pixels are decoded. Save it smaller") from error
    check_size(*image.size, FULL_PIXELS, name)
    return image


def upright_rgb(stored: Stored, profile: bytes | None, name: str) -> np.ndarray:
    """uint8 (H, W, 3), sRGB, turned as its EXIF block says; strip by strip, so that there is no second copy of it."""
    sideways = stored.orientation in SIDEWAYS
    shape = (stored.width, stored.height) if sideways else (stored.height, stored.width)
    upright = np.empty((*shape, 3), np.uint8)
    target = as_stored(upright, stored.orientation)
    for rows, strip in stored.strips():
        target[rows] = to_rgb(strip, profile, name, stored.info.get("transparency"))
    return upright


def to_rgb(image: Image.Image, profile: bytes | None, name: str, key: object = None) -> np.ndarray:
    """uint8 (H, W, 3) of a decoded image of any mode that the allowed formats have; `profile` says its colours.

    `key`: of grey and RGB images, the level or colour that is transparent.
    """
    from PIL import Image

    transparent = of_key(image, key)
    if image.mode.startswith("I;16") or image.mode == "I":
        # 16-bit grey. Pillow's own conversion would clip; the high byte is what it keeps of 16-bit RGB.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        rgba = image.convert("RGBA")
        colours = image.getchannel("L") if image.mode == "LA" else rgba.convert("RGB")
        opaque = np.asarray(to_srgb(colours, profile).convert("RGB"))
        return over_white(np.dstack((opaque, np.asarray(rgba)[:, :, 3])))
    if image.mode not in ("RGB", "L", "1", "P", "CMYK", "YCbCr"):
        raise InputError(f"{name} has pixels of the kind {image.mode}, which no phone saves; save it as RGB JPEG")
    if image.mode in ("P", "YCbCr", "1"):
        image = image.convert("RGB" if image.mode != "1" else "L")
    rgb = np.array(to_srgb(image, profile).convert("RGB"))
    if transparent is not None:
        rgb[transparent] = 255  # laid over white
    return rgb


def of_key(image: Image.Image, key: object) -> np.ndarray | None:
    """Which pixels of a grey or RGB image have the transparent colour, bool (H, W); None where none is stated."""
    if image.mode == "RGB" and isinstance(key, tuple):
        return np.all(np.asarray(image) == key, axis=2)
    if image.mode in ("L", "I;16", "I") and isinstance(key, int):
        return np.asarray(image) == key
    if image.mode == "1" and isinstance(key, int):  # 0 or 255
        return np.asarray(image) == bool(key)
    return None


def over_white(rgba: np.ndarray) -> np.ndarray:
    """RGBA uint8 laid over white, rounded to nearest."""
    alpha = rgba[:, :, 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[:, :, :3])
    weight = alpha.astype(np.uint16)
    return ((rgba[:, :, :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)

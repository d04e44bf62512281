"""A photograph as a phone hands it over -> upright RGB.

The first step of the chain: file -> `read_photo` -> uint8 RGB (H, W, 3) -> `preprocess.to_input`; frames of a camera go
through `edge.camera`. Files are not trusted: size and format are checked before anything is decoded, and every error of
a decoder becomes an InputError that names the file.
"""

from __future__ import annotations

import io
import stat
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edge.colour import refuse_unknown_codes, stated_profile, to_srgb
from edge.errors import InputError, install

if TYPE_CHECKING:
    from PIL import Image

MAX_BYTES = 64 * 2**20  # a 50-megapixel JPEG of a phone has about 25 MB
MAX_PIXELS = 50_000_000  # 8160 x 6120, the largest size that phones commonly save; 150 MB as RGB
MAX_SIDE = 20_000  # pixels; longer strips are panoramas or attacks
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif"})

# Part of the key of cached squares: rises whenever some file is read otherwise than before. PREPROCESS_VERSION stays as
# long as photographs that were read right give the same bytes, because checkpoints are bound to it.
READING = 2

ALLOWED = "JPEG, PNG, WebP, HEIC or AVIF"
ORIENTATION_TAG = 0x0112  # EXIF 2.32, 4.6.4 A
SIGNATURE_BYTES = 16
# ISO/IEC 23008-12: brands of files whose pictures are HEVC. `mif1` and `msf1` say only "HEIF"; the decoder decides.
HEIF_BRANDS = frozenset({b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"})
# Named in the message only; none of these is ever opened.
REFUSED = {b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"BM": "BMP", b"%PDF": "PDF", b"\0\0\1\0": "ICO"}


def read_photo(source: Path | bytes, *, name: str | None = None) -> np.ndarray:
    """Upright RGB, uint8 (H, W, 3), of a JPEG, PNG, WebP, HEIC or AVIF file or of its bytes.

    * The EXIF orientation (1 to 8) is applied; an unreadable EXIF block or another value counts as 1. XMP is ignored.
    * Grey, palette and CMYK become RGB; of 16-bit samples the high byte is kept.
    * The colour space that the file states (profile, `nclx`, PNG chunks, EXIF) is converted to sRGB; see `edge.colour`.
    * Opaque alpha is dropped; a translucent picture is laid over white, as on a web page.
    * Of an animation the first frame is taken, of a file with several pictures the primary one.

    The format is recognised by the contents, not by the suffix. `name` is what messages call the photograph (default:
    its path). Raises InputError for anything that cannot be read or exceeds the limits above.
    """
    if isinstance(source, bytes):
        contents, name = source, name or "the photograph"
    else:
        name = name or str(source)
        contents = read_bounded(Path(source), name)
    if not contents:
        raise InputError(f"{name} is empty (0 bytes); expected a photograph. Copy it again from the phone")
    if len(contents) > MAX_BYTES:
        raise InputError(too_many_bytes(name, len(contents)))
    form = tell_format(contents[:SIGNATURE_BYTES], name)
    try:
        return decode(contents, form, name)
    except InputError:
        raise
    except Exception as error:  # hostile bytes make parsers raise anything: struct.error, IndexError, MemoryError…
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{name} is a damaged or truncated {form} file ({reason}); expected a whole photograph. "
            "Copy it again from the phone, or leave it out"
        ) from error


def rgb_of(image: Image.Image) -> np.ndarray:
    """Upright sRGB, uint8 (H, W, 3), of a PIL image, by the same rules as of its file."""
    width, height = image.size
    if not 0 < width * height <= MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise InputError(
            f"the picture has {width} x {height} pixels; expected one of at most {MAX_PIXELS} pixels and {MAX_SIDE} a "
            "side. Make it smaller"
        )
    try:
        profile = stated_profile(image, *file_behind(image), "the picture")
        return to_rgb(upright(image), profile, "the picture")
    except InputError:
        raise
    except Exception as error:  # an image is decoded when it is first used, or was closed
        reason = str(error) or type(error).__name__
        raise InputError(f"the picture cannot be decoded ({reason}); open it again, or give its path") from error


def file_behind(image: Image.Image) -> tuple[bytes | None, str | None]:
    """Contents and format of the file of an image that is not decoded yet; afterwards Pillow has closed it."""
    file, form = getattr(image, "fp", None), image.format
    if file is None or form is None:
        return None, form
    try:
        place = file.tell()
        file.seek(0)
        contents = file.read(MAX_BYTES)
        file.seek(place)
    except (OSError, ValueError, AttributeError):  # closed, or a stream
        return None, form
    return contents, form


def read_bounded(path: Path, name: str) -> bytes:
    """The contents of a regular file of at most MAX_BYTES."""
    try:
        status = path.stat()
        # A pipe or a device would block or never end.
        if not stat.S_ISREG(status.st_mode):
            kind = "a folder" if stat.S_ISDIR(status.st_mode) else "no regular file"
            raise InputError(f"{name} is {kind}; expected one {ALLOWED} file")
        if status.st_size > MAX_BYTES:
            raise InputError(too_many_bytes(name, status.st_size))
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)  # one more, so that a file that grows meanwhile is noticed
    except FileNotFoundError as error:
        raise InputError(f"no photograph at {name}; check the path") from error
    except (OSError, ValueError) as error:  # ValueError: a null character in the path
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{name} cannot be read: {reason}") from error


def too_many_bytes(name: str, size: int) -> str:
    return f"{name} has {size} bytes, more than the {MAX_BYTES} that are read; save it smaller or as JPEG"


def tell_format(head: bytes, name: str) -> str:
    """Pillow's name of the format whose signature `head` starts with; InputError for all that are not allowed."""
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WEBP"
    if head[4:8] == b"ftyp" and head[8:12] in HEIF_BRANDS:
        return "HEIF"
    if head[4:12] == b"ftypavif":
        return "AVIF"
    kind = next((form for start, form in REFUSED.items() if head.startswith(start)), None)
    if head[4:12] == b"ftypavis":
        kind = "AVIF film"
    kind = f"a {kind} file" if kind else f"something else (it starts with {head.hex(' ')})"
    raise InputError(f"{name} is {kind}; expected {ALLOWED}. Save it as JPEG, or leave it out")


def decode(contents: bytes, form: str, name: str) -> np.ndarray:
    """Decode one file of a known format; whatever Pillow raises passes through."""
    from PIL import Image, features

    if form == "HEIF":
        register_heif(name)
    if form == "AVIF" and not features.check("avif"):
        raise InputError(f"{name} is an AVIF file, which needs Pillow 11.3 with AVIF; install it, or save it as JPEG")
    with warnings.catch_warnings():
        # Warnings about damaged metadata do not matter if the picture decodes; the one about size is an error.
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        if form == "PNG":
            # Pillow does not compare the checksums of pixel chunks while it decodes; `verify` does, and uses the
            # image up.
            open_checked(contents, form, name).verify()
        with open_checked(contents, form, name) as image:
            image.load()
            return to_rgb(upright(image), stated_profile(image, contents, form, name), name)


def open_checked(contents: bytes, form: str, name: str) -> Image.Image:
    """The image opened, its size checked, nothing decoded yet."""
    from PIL import Image, UnidentifiedImageError

    try:
        image = Image.open(io.BytesIO(contents), formats=(form,))
    except UnidentifiedImageError as error:
        refuse_unknown_codes(contents, form, name)  # libheif opens no file with a colour that it does not know
        raise InputError(
            f"{name} is a damaged or truncated {form} file (it cannot be opened); expected a whole photograph. Copy it "
            "again from the phone, or leave it out"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{name}: {error}; at most {MAX_PIXELS} pixels are decoded. Save it smaller") from error
    width, height = image.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise InputError(
            f"{name} says that it has {width} x {height} pixels; at most {MAX_PIXELS} pixels and {MAX_SIDE} a side "
            "are decoded. Save it smaller"
        )
    if min(width, height) < 1:
        raise InputError(f"{name} says that it has {width} x {height} pixels; expected a photograph")
    return image


def register_heif(name: str) -> None:
    try:
        import pillow_heif
    except ImportError as error:
        raise InputError(
            f"{name} is a HEIC/HEIF file, which needs pillow-heif: {install('heif')}, or save it as JPEG"
        ) from error
    # libheif applies the file's own rotation; the plug-in then sets the EXIF orientation to 1, so it is not done twice.
    pillow_heif.register_heif_opener(thumbnails=False)


def upright(image: Image.Image) -> Image.Image:
    """The image turned as its EXIF block says."""
    from PIL import Image

    turns = Image.Transpose
    undo = {
        2: turns.FLIP_LEFT_RIGHT,
        3: turns.ROTATE_180,
        4: turns.FLIP_TOP_BOTTOM,
        5: turns.TRANSPOSE,
        6: turns.ROTATE_270,  # counter-clockwise in Pillow: a quarter turn clockwise
        7: turns.TRANSVERSE,
        8: turns.ROTATE_90,
    }
    turn = undo.get(orientation(image))
    return image if turn is None else image.transpose(turn)


def orientation(image: Image.Image) -> int:
    """1 to 8 from the EXIF block; 1 where there is none or where it is damaged."""
    from PIL import Image

    # Not `image.getexif()`, which would also believe an XMP block; phones and browsers do not.
    exif = Image.Exif()
    try:
        exif.load(image.info.get("exif") or b"")
        value = exif.get(ORIENTATION_TAG)
    except Exception:  # metadata is never a reason to refuse a picture that decodes
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def to_rgb(image: Image.Image, profile: bytes | None, name: str) -> np.ndarray:
    """uint8 (H, W, 3) of a decoded image of any mode that the allowed formats have; `profile` says its colours."""
    from PIL import Image

    if image.mode.startswith("I;16") or image.mode == "I":
        # 16-bit grey. Pillow's own conversion would clip; the high byte is what it keeps of 16-bit RGB.
        image = Image.fromarray((np.asarray(image).astype(np.int64).clip(0, 65535) >> 8).astype(np.uint8))
    # Colour keys of grey and RGB files are ignored: photographs have none, and of 16-bit files Pillow keeps the key
    # in another scale than the pixels.
    if image.mode in ("RGBA", "LA", "PA") or (image.mode == "P" and "transparency" in image.info):
        rgba = image.convert("RGBA")
        colours = image.getchannel("L") if image.mode == "LA" else rgba.convert("RGB")
        opaque = np.asarray(to_srgb(colours, profile).convert("RGB"))
        return over_white(np.dstack((opaque, np.asarray(rgba)[:, :, 3])))
    if image.mode not in ("RGB", "L", "1", "P", "CMYK", "YCbCr"):
        raise InputError(f"{name} has pixels of the kind {image.mode}, which no phone saves; save it as RGB JPEG")
    if image.mode in ("P", "YCbCr", "1"):
        image = image.convert("RGB" if image.mode != "1" else "L")
    return np.array(to_srgb(image, profile).convert("RGB"))


def over_white(rgba: np.ndarray) -> np.ndarray:
    """RGBA uint8 laid over white, rounded to nearest."""
    alpha = rgba[:, :, 3:]
    if (alpha == 255).all():
        return np.ascontiguousarray(rgba[:, :, :3])
    weight = alpha.astype(np.uint16)
    return ((rgba[:, :, :3] * weight + 255 * (255 - weight) + 127) // 255).astype(np.uint8)

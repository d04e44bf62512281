"""The mistakes: what the developer did, how it is mended, and the function that does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np

from edge.questions.mistakes import frames, geometry, numbers
from edge.questions.mistakes.scene import Scene, Target, right

Path = Callable[[Scene], np.ndarray]  # uint8 or float32 (S, S, 3)


@dataclass(frozen=True)
class Mistake:
    code: str
    name: str
    did: str  # what the developer did
    mend: str  # how to mend it
    wrong: Path
    right: Path = right  # what it is compared with: the same journey without the mistake
    simulated: str = ""  # what stands for a phone's own picture, if anything does
    spares_squares: bool = False  # square photographs are not harmed, and not counted


VIDEO, JFIF, HD = ("bt601", False), ("bt601", True), ("bt709", False)
FRAME = "the photograph as a camera frame, YUV 4:2:0; compared with the same frame read rightly"
TURNED = "the upright photograph stored turned"
TURN = "Apply the EXIF orientation (ExifInterface, UIImage.imageOrientation), or rotationDegrees of a camera frame."
HAND_OVER = "Hand over 0 to 255, as bytes or floats: normalisation is inside the graph."
COLOUR = "Take range and matrix from the frame (DataSpace, CVImageBuffer attachments) and decode by docs/preprocess.md."


def lies(orientation: int, how: str) -> Mistake:
    return Mistake(
        f"exif-{orientation}", f"EXIF {orientation} ignored: {how}",
        f"Decoded the pixels and left the orientation ({orientation}) aside.",
        TURN, partial(geometry.lying, orientation=orientation), simulated=TURNED,
    )  # fmt: skip


def misread(
    code: str, name: str, did: str, sent: frames.Colour, read: frames.Colour, mend: str = COLOUR, swapped: bool = False
) -> Mistake:
    return Mistake(
        code, name, did, mend, partial(frames.by_camera, sent=sent, read=read, swapped=swapped),
        right=partial(frames.by_camera, sent=sent, read=sent), simulated=FRAME,
    )  # fmt: skip


MISTAKES = (
    Mistake(
        "nearest", "nearest-neighbour resize",
        "createScaledBitmap(…, filter = false), INTER_NEAREST: one pixel of the photograph for each of the input.",
        "Average over areas, as docs/preprocess.md says.", geometry.nearest,
    ),
    Mistake(
        "bilinear", "bilinear resize, not antialiased",
        "createScaledBitmap(…, filter = true), INTER_LINEAR, ResizeBilinearOp: four pixels for each of the input.",
        "Average over areas, as docs/preprocess.md says.", geometry.bilinear,
    ),
    Mistake(
        "bilinear-antialiased", "bilinear resize, antialiased",
        "Pillow's or torchvision's resize, which look at twice the area.",
        "Average over areas, as docs/preprocess.md says.", geometry.bilinear_antialiased,
    ),
    Mistake(
        "stretch", "stretched instead of cropped",
        "Resized the whole picture to a square; lesions become narrower or wider.",
        "Cut out the centred square first.", geometry.stretched, spares_squares=True,
    ),
    Mistake(
        "letterbox", "black margins instead of a crop",
        "Fitted the whole picture into the square, black beside it.",
        "Cut out the centred square first.", geometry.letterboxed, spares_squares=True,
    ),
    lies(2, "mirrored"),
    lies(3, "upside down"),
    lies(4, "mirrored, upside down"),
    lies(5, "mirrored, on its side"),
    lies(6, "on its side (portrait on most phones)"),
    lies(7, "mirrored, on its other side"),
    lies(8, "on its other side"),
    Mistake(
        "bgr", "BGR instead of RGB",
        "Took OpenCV's or a BGRA buffer's order of colours.", "Swap the first and the third channel.", numbers.bgr,
    ),
    Mistake(
        "planes", "channel-first bytes",
        "Wrote all reds, then all greens, then all blues, as for PyTorch, into an input (1, S, S, 3).",
        "Write red, green, blue of each pixel in turn.", numbers.planes,
    ),
    Mistake(
        "interleaved", "channel-last bytes read as channel-first",
        "Wrote red, green, blue of each pixel in turn where planes were read.",
        "Keep to the layout (1, S, S, 3), and tell no converter or wrapper otherwise.", numbers.interleaved,
    ),
    Mistake(
        "signed-bytes", "signed bytes",
        "Made floats of Java's or Kotlin's bytes, which run from -128 to 127.",
        "Write b & 0xFF (Kotlin: b.toInt() and 0xFF).", numbers.signed,
    ),
    Mistake(
        "unit", "divided by 255",
        "Scaled to 0..1; the graph divides once more and sees black.", HAND_OVER, numbers.unit,
    ),
    Mistake(
        "symmetric", "scaled to -1..1",
        "Computed x / 127.5 - 1, as for MobileNet; the graph sees black.", HAND_OVER, numbers.symmetric,
    ),
    Mistake(
        "normalised", "normalised twice",
        "Divided by 255 and took off ImageNet's mean and std; the graph normalises once more and sees black.",
        HAND_OVER, numbers.normalised,
    ),
    Mistake(
        "other-mean-std", "another model's mean and std",
        "Ran the bare network, or one converted anew, with mean and std of another model (ImageNet's).",
        "Use the exported graph, which brings its own, or the checkpoint's mean and std.", numbers.other_mean_std,
    ),
    misread(
        "limited-as-full", "limited range read as full", "Took Y 16..235 for 0..255: grey blacks, dull whites.",
        VIDEO, JFIF,
    ),
    misread(
        "full-as-limited", "full range read as limited", "Took Y 0..255 for 16..235: contrast up, ends cut off.",
        JFIF, VIDEO,
    ),
    misread("bt709-as-bt601", "BT.709 read as BT.601", "Used the matrix of SD video for an HD frame.", HD, VIDEO),
    misread("bt601-as-bt709", "BT.601 read as BT.709", "Used the matrix of HD video for an SD frame.", VIDEO, HD),
    misread(
        "vu-swapped", "U and V swapped", "Read NV12 as NV21 or the other way round: red and blue change places.",
        JFIF, JFIF, "Look at which chroma plane comes first; Android's Image.getPlanes() is Y, U, V.", swapped=True,
    ),
)  # fmt: skip


def mistakes_for(target: Target) -> tuple[Mistake, ...]:
    """Those that can be tried: another mean and std only where the model's own are known."""
    return tuple(mistake for mistake in MISTAKES if mistake.code != "other-mean-std" or target.mean is not None)

"""The self-test of a manifest, run in an app's own runtime on this machine before the app is built."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from edge.errors import InputError
from edge.exporting import first_line
from edge.files import sha256
from edge.manifest import FileEntry, Manifest, SelfTest
from edge.metrics.measure import WIDE_MARGIN
from edge.runtimes import Runtime

MAX_BYTES = 64 * 2**20  # of a self-test image
NO_PNG = (OSError, SyntaxError, ValueError, LookupError, EOFError, struct.error)  # what Pillow raises on a broken one


def tests_of(manifest: Manifest, entry: FileEntry) -> list[SelfTest]:
    """The self-test images that state what this file must answer."""
    return [test for test in manifest.self_test if entry.file in test.expected]


def checked_image(folder: Path, test: SelfTest, side: int) -> np.ndarray:
    """A self-test image, uint8 (S, S, 3) RGB; InputError if it is missing or not the one of the manifest."""
    path = folder / test.image
    if not path.is_file():
        raise InputError(f"{folder} has no {test.image}, which its manifest lists for the self-test; convert again")
    if path.stat().st_size > MAX_BYTES or sha256(path) != test.sha256:
        raise InputError(f"{path} is not the self-test image of the manifest (its SHA-256 differs); convert again")
    from PIL import Image

    try:
        with Image.open(path, formats=["PNG"]) as picture:
            pixels = np.asarray(picture.convert("RGB")) if picture.size == (side, side) else np.zeros(0, np.uint8)
    except (*NO_PNG, Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise InputError(f"{path} is no PNG that can be read ({first_line(error)}); convert again") from error
    if pixels.shape != (side, side, 3) or hashlib.sha256(pixels.tobytes()).hexdigest() != test.rgb_sha256:
        raise InputError(f"{path} has other pixels than the manifest states; convert again")
    return pixels


def answers_wrongly(answer: np.ndarray, reference: Sequence[float]) -> bool:
    """Whether probabilities (K,) are none, or name another class than the float model's where that was sure."""
    second, first = np.sort(np.array(reference))[-2:]
    other = int(np.argmax(answer)) != int(np.argmax(reference))
    return not np.isfinite(answer).all() or bool(first - second > WIDE_MARGIN and other)


def check_answers(runtime: Runtime, tests: Sequence[SelfTest], images: Sequence[np.ndarray], where: str) -> float:
    """Run the self-test; the largest difference of a probability to what the manifest expects, 0..1.

    Raises InputError where the file gives another class for an image of which the float model was sure (its first two
    probabilities lie more than 0.2 apart, as in the gates of 8-bit files), or what is no probability.
    """
    largest = 0.0
    with closing(runtime):
        for test, image in zip(tests, images, strict=True):
            answers = None if test.answers is None else np.array([test.answers], np.float32)
            answer = runtime.run(image[None], answers).probabilities[0]
            expected = np.array(test.expected[runtime.name])
            if answers_wrongly(answer, test.reference):
                came = ", ".join(f"{p:.3f}" for p in answer)
                wanted = ", ".join(f"{p:.3f}" for p in expected)
                raise InputError(
                    f"{runtime.name} answers wrongly on {where}: for {test.image} it says {came}, and {wanted} was "
                    "expected. Take another recipe or another runtime; `dermedge parity --runtime` shows more"
                )
            largest = max(largest, float(np.abs(answer - expected).max()))
    return largest

"""Two computer-drawn images with the answer that each file gives, so that an app can check itself on the phone."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from edge.checkpoint import Checkpoint
from edge.files import moved_into_place, sha256
from edge.manifest import Manifest, SelfTest
from edge.runtimes import Outputs

from ._answered import Answered
from ._judge import Judged

COUNT = 2


def self_test_images(checkpoint: Checkpoint) -> np.ndarray:
    """uint8 (2, S, S, 3) RGB: smooth blobs on a skin-coloured ground, the same on every machine (integers only)."""
    side = checkpoint.preprocess.side
    row, column = np.mgrid[0:side, 0:side].astype(np.int64)
    images = []
    for number in range(COUNT):
        ground = np.stack([200 - row * 30 // side, 160 - column * 30 // side, 135 + 0 * row], axis=-1)
        spot = np.array([[90, 60, 50], [150, 60, 60]])[number]
        centre, radius = side * (4 + number) // 9, side * (2 + number) // 9
        distance = (row - centre) ** 2 + (column - side // 2) ** 2 * (1 + number)
        inside = np.clip((radius**2 - distance) * 256 * 3 // radius**2, 0, 256)[..., None]
        images.append((ground * (256 - inside) + spot * inside) // 256)
    return np.array(images).astype(np.uint8)


def write_self_test(
    folder: Path, manifest: Manifest, images: np.ndarray, reference: Outputs, answered: Answered | None = None
) -> Manifest:
    """Write the images as PNG (their RGB bytes are exact); returns the manifest that lists them.

    With `answered` it lists each image once more, with answers, which files with the second input alone are tried on.
    Of a mask the mean over its pixels is kept: one number tells whether a phone computes it as this machine does.
    """
    from PIL import Image

    known = {entry.image: entry for entry in manifest.self_test if entry.answers is None}
    entries = []
    for number, (image, probabilities) in enumerate(zip(images, reference.probabilities, strict=True)):
        path = folder / f"self_test_{number}.png"
        with moved_into_place(path) as unfinished:
            Image.fromarray(image).save(unfinished, format="PNG")
        before = known.get(path.name)
        masks = reference.masks is not None
        entries.append(
            SelfTest(
                image=path.name,
                sha256=sha256(path),
                rgb_sha256=hashlib.sha256(image.tobytes()).hexdigest(),
                reference=tuple(float(p) for p in probabilities),
                expected=before.expected if before else {},
                reference_mask=mean_of(reference.masks[number]) if reference.masks is not None else None,
                expected_mask=((before.expected_mask if before else None) or {}) if masks else None,
            )
        )
    told = [entry for entry in manifest.self_test if entry.answers is not None]
    if answered is not None:
        told = [with_answers(entry, told, answered, number) for number, entry in enumerate(entries)]
    return replace(manifest, self_test=(*entries, *told))


def with_answers(plain: SelfTest, known: Sequence[SelfTest], answered: Answered, number: int) -> SelfTest:
    """The entry of an image with answers; what files were expected to say before stays, if it was for the same."""
    vector = tuple(float(part) for part in answered.test_vectors[number])
    before = next((entry for entry in known if (entry.image, entry.answers) == (plain.image, vector)), None)
    masks = answered.test_outputs.masks
    return replace(
        plain,
        answers=vector,
        reference=tuple(float(p) for p in answered.test_outputs.probabilities[number]),
        expected=before.expected if before else {},
        reference_mask=None if masks is None else mean_of(masks[number]),
        expected_mask=None if masks is None else ((before.expected_mask if before else None) or {}),
    )


def add_expected(manifest: Manifest, judged: Sequence[Judged]) -> Manifest:
    """The manifest with each judged file's own answer to the self-test images."""
    present = {entry.file for entry in manifest.files}
    entries = []
    plain = [entry.image for entry in manifest.self_test if entry.answers is None]
    for entry in manifest.self_test:
        number = plain.index(entry.image)
        answers = {name: p for name, p in entry.expected.items() if name in present}
        masks = {name: mean for name, mean in (entry.expected_mask or {}).items() if name in present}
        for result in judged:
            outputs = result.self_test if entry.answers is None else result.self_test_answered
            if outputs is not None:
                answers[result.path.name] = tuple(float(p) for p in outputs.probabilities[number])
            if outputs is not None and outputs.masks is not None:
                masks[result.path.name] = mean_of(outputs.masks[number])
        entries.append(
            replace(entry, expected=answers, expected_mask=masks if entry.reference_mask is not None else None)
        )
    return replace(manifest, self_test=tuple(entries))


def mean_of(mask: np.ndarray) -> float:
    return float(mask.mean(dtype=np.float64))

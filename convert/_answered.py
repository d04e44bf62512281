"""Files with the second input `answers`: what they are judged against, and how each is made of the image-only file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from edge.answers import encode
from edge.checkpoint import Checkpoint
from edge.data.table import PhotoSet
from edge.errors import InputError
from edge.manifest import FileEntry, Manifest
from edge.questions.answered import drawn, half_of, vectors_of
from edge.runtimes import Outputs
from edge.runtimes.reference import TOGETHER, Reference

STEM = "answers"  # in a file's name, between model and recipe


@dataclass(frozen=True)
class Answered:
    """What the float32 torch model says where no, some and all questions are answered."""

    vectors: Mapping[str, np.ndarray]  # case -> `answers` of the judged images, float32 (N, Q)
    outputs: Mapping[str, Outputs]  # case -> of the judged images
    test_vectors: np.ndarray  # float32, a row for each self-test image
    test_outputs: Outputs

    @property
    def places(self) -> int:
        """Q."""
        return int(self.test_vectors.shape[1])


def answered_by(
    reference: Reference, checkpoint: Checkpoint, photos: PhotoSet, images: np.ndarray, test_images: np.ndarray
) -> Answered:
    """`images` of the photographs, in views of each, and `test_images`, with answers, through the float model.

    Both uint8 (N, S, S, 3).
    """
    vectors = vectors_of(photos, checkpoint.questions, views=len(images) // len(photos))
    tests = test_vectors(checkpoint, len(test_images))
    outputs = {case: reference.run(images, rows, together=TOGETHER) for case, rows in vectors.items()}
    return Answered(vectors, outputs, tests, reference.run(test_images, tests))


def test_vectors(checkpoint: Checkpoint, count: int) -> np.ndarray:
    """`answers` of the self test, float32 (count, Q): all questions and half of them, in turn; the same every time."""
    rng = np.random.default_rng(0)
    rows = []
    for number in range(count):
        answers = {question.id: drawn(question, rng) for question in checkpoint.questions}
        rows.append(encode(half_of(answers, rng) if number % 2 else answers, checkpoint.questions))
    return np.array(rows, np.float32)


def refuse_other_answers(manifest: Manifest, checkpoint: Checkpoint, replaced: Sequence[str]) -> None:
    """InputError where files stay in the folder to which other answers were fitted than the checkpoint's.

    Of a network that dermedge does not know, the checkpoint's SHA-256 does not tell.
    """
    others = [entry.file for entry in manifest.files if entry.answers and entry.file not in replaced]
    if others and (manifest.questions, manifest.log_odds) != (checkpoint.questions, checkpoint.log_odds):
        raise InputError(
            f"the folder holds {others[0]}, made with other answers than this checkpoint's; remove the folder or give "
            "another `out`"
        )


def with_questions(manifest: Manifest, checkpoint: Checkpoint) -> Manifest:
    """The manifest with what an app has to know of the second input."""
    return replace(manifest, questions=checkpoint.questions, log_odds=checkpoint.log_odds)


def words_on_former_answers(before: Manifest, now: Manifest) -> str:
    """Which files with answers were made of image-only files that are others now or gone; nothing where there are none.

    Starts with a semicolon, as it goes behind other words.
    """

    def content(manifest: Manifest, entry: FileEntry) -> list[str]:
        """SHA-256 of the image-only file beside a file with answers."""
        return [
            other.sha256
            for other in manifest.files
            if not other.answers and (other.format, other.recipe) == (entry.format, entry.recipe)
        ]

    former = [entry.file for entry in now.files if entry.answers and content(before, entry) != content(now, entry)]
    if not former:
        return ""
    return (
        f"; {', '.join(former)}: made of the image-only file that was there before, and no longer the same while "
        "nothing is answered; convert with `answers` to make anew what takes answers"
    )


def without_unasked(manifest: Manifest) -> Manifest:
    """The manifest without questions where no file takes answers."""
    if any(entry.answers for entry in manifest.files):
        return manifest
    tests = tuple(entry for entry in manifest.self_test if entry.answers is None)
    decision = manifest.decision and {key: own for key, own in manifest.decision.items() if key != "by_answers"}
    return replace(manifest, questions=(), log_odds=None, self_test=tests, decision=decision)

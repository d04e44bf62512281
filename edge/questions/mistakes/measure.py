"""Every wrong path on every photograph, for the float and the int8 model of a build."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from edge.build import Build
from edge.data.selection import Photographs, judging_set
from edge.data.squares import read_each
from edge.data.table import Photo, PhotoSet
from edge.errors import at_least_one
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import Listener, listening
from edge.questionnaire import Question
from edge.questions.answered import vectors_of
from edge.questions.mistakes import tables
from edge.questions.mistakes.answers import ANSWERS_MISTAKES, ask_with, open_answering
from edge.questions.mistakes.catalogue import TURN, Mistake, mistakes_for
from edge.questions.mistakes.cost import Answers, as_they_lie, damage, row, typical
from edge.questions.mistakes.model import Model, ask_all, open_models
from edge.questions.mistakes.scene import Scene, Target, photographed, right
from edge.questions.mistakes.section import RIGHT, SCHEMA
from edge.questions.observe import observations_of
from edge.report.header import data_block, header
from edge.report.pictures import png
from edge.report.question import QuestionReport
from edge.report.strict import plain

if TYPE_CHECKING:
    from rich.table import Table

IGNORED = Mistake(
    "exif-own",
    "EXIF ignored, as the photographs have it",
    "Decoded the pixels and left the orientation aside; of the photographs that have one.",
    TURN,
    right,
)


@dataclass(frozen=True, repr=False)
class MistakesReport(QuestionReport):
    """What the usual mistakes of an app cost, the worst first. No gate."""

    name: ClassVar[str] = "mistakes"

    def tables(self) -> list[Table | str]:
        return [tables.table(self.report)]


@dataclass(frozen=True)
class Taken:
    """All paths of all photographs."""

    photos: PhotoSet  # that could be read
    orientations: list[int]  # EXIF, 1 to 8
    shapes: list[tuple[int, int]]  # height and width, upright
    answers: dict[str, dict[str, Answers]]  # mistake -> form -> answers
    told: dict[str, dict[str, Answers]]  # the same of mistakes with what was answered beside the picture


def measure(
    build: Build,
    photos: Photographs,
    *,
    images: int | None = None,
    threads: int = 1,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> MistakesReport:
    """Make every mistake with photographs of patients that the checkpoint never saw.

    `images`: at most so many. InputError if they cannot be used, or the build has neither an fp32 nor an int8 .tflite.
    """
    at_least_one(images=images, threads=threads)
    numbers = build.checkpoint.preprocess
    target = Target(numbers.side, numbers.mean, numbers.std)
    mistakes = mistakes_for(target)
    with listening(on_progress):
        judged_on = judging_set(build.checkpoint, photos, limit=images, skip_missing=skip_unreadable)
        models = open_models(build.folder, build.manifest, checkpoint=build.checkpoint, threads=threads)
        forms = [model.form for model in models]
        answering = open_answering(build, build.checkpoint, forms, threads=threads)
        try:
            taken = observe(
                judged_on, target, mistakes, models, answering, build.manifest.questions,
                skip_unreadable=skip_unreadable,
            )  # fmt: skip
        finally:
            for model in (*models, *answering):
                model.runtime.close()
    return reported(build, target, mistakes, models, taken)


def observe(
    photos: PhotoSet,
    target: Target,
    mistakes: Sequence[Mistake],
    models: Sequence[Model],
    answering: Sequence[Model] = (),
    questions: tuple[Question, ...] = (),
    *,
    skip_unreadable: bool = False,
) -> Taken:
    """Ask every model about every photograph, by every path. One photograph is in memory at a time.

    `answering`: models that take answers to `questions` as well, which are asked with wrong answers beside it.
    """
    orientations: list[int] = []
    shapes: list[tuple[int, int]] = []
    pairs: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {
        mistake.code: {model.form: [] for model in models} for mistake in mistakes
    }

    told: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {
        mistake.code: {model.form: [] for model in answering} for mistake in (ANSWERS_MISTAKES if answering else ())
    }

    def ask(photo: Photo, taken: tuple[Scene, int]) -> None:
        scene, orientation = taken
        orientations.append(orientation)
        height, width = scene.upright.shape[:2]
        shapes.append((height, width))
        for code, forms in ask_all(scene, mistakes, models).items():
            for form, pair in forms.items():
                pairs[code][form].append(pair)
        if not answering:
            return
        vectors = vectors_of(replace(photos, photos=(photo,)), questions)
        for mistake in ANSWERS_MISTAKES:
            right_vector = vectors[mistake.case][0]
            for model in answering:
                sent = (right_vector, mistake.spoil(right_vector, questions))
                by_right, by_wrong = (ask_with(model, scene.right, vector) for vector in sent)
                told[mistake.code][model.form].append((by_right, by_wrong))

    readable = read_each(
        photos,
        lambda photo: photographed(photo.path, target),
        ask,
        task=f"{len(mistakes)} mistakes on {photos.name}",
        skip_unreadable=skip_unreadable,
    )
    return Taken(readable, orientations, shapes, in_arrays(pairs), in_arrays(told))


def in_arrays(
    pairs: Mapping[str, Mapping[str, Sequence[tuple[np.ndarray, np.ndarray]]]],
) -> dict[str, dict[str, Answers]]:
    """Mistake -> form -> what was said of all photographs, from (right, wrong) of each."""
    return {
        code: {
            form: Answers(np.array([pair[0] for pair in lot]), np.array([pair[1] for pair in lot]))
            for form, lot in forms.items()
        }
        for code, forms in pairs.items()
    }


def reported(
    build: Build, target: Target, mistakes: Sequence[Mistake], models: Sequence[Model], taken: Taken
) -> MistakesReport:
    observed = observations_of(taken.photos, next(iter(taken.answers["bgr"].values())).right)
    everyone = np.arange(len(taken.photos))
    oblong = np.array([i for i, (height, width) in enumerate(taken.shapes) if height != width], np.int64)
    turned = np.array([i for i, orientation in enumerate(taken.orientations) if orientation != 1], np.int64)
    rows = [
        row(mistake, taken.answers[mistake.code], oblong if mistake.spares_squares and len(oblong) else everyone,
            observed)
        for mistake in mistakes
    ]  # fmt: skip
    rows += [
        row(mistake, taken.told[mistake.code], everyone, observed)
        for mistake in ANSWERS_MISTAKES
        if mistake.code in taken.told
    ]
    if len(turned):
        rows.append(row(IGNORED, as_they_lie(taken.orientations, taken.answers), turned, observed))
    rows.sort(key=damage)
    index = typical(taken.shapes, taken.answers)
    digests = {entry.file: entry.sha256 for entry in build.manifest.files}
    data = data_block(taken.photos, build.checkpoint, not_square=len(oblong), turned=len(turned))
    report = {
        **header(SCHEMA, model=build.manifest.model, checkpoint_sha256=build.manifest.checkpoint_sha256, data=data),
        "preprocess": PREPROCESS_VERSION,
        "files": [{"form": model.form, "file": model.name, "sha256": digests.get(model.name)} for model in models],
        "shown": observed.image_ids[index],
        "mistakes": plain(rows),
    }
    scene, _ = photographed(taken.photos.photos[index].path, target)
    pictures = {RIGHT: png(scene.right)} | {mistake.code: png(visible(mistake.wrong(scene))) for mistake in mistakes}
    return MistakesReport(report, pictures)


def visible(image: np.ndarray) -> np.ndarray:
    """The numbers clipped to 0..255, as a picture."""
    return np.clip(image, 0, 255).astype(np.uint8)

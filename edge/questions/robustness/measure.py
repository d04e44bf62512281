"""Bad photographs: the float model and the files of a build on photographs that get worse."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np

from edge.build import Build
from edge.capture import read_photo
from edge.data.selection import Photographs, judging_set
from edge.data.squares import read_each
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError, at_least_one
from edge.manifest import FileEntry
from edge.metrics.observations import UNKNOWN
from edge.progress import Listener, listening
from edge.questions.robustness import tables
from edge.questions.robustness.corruptions import CORRUPTIONS, WORKING_SIDE, Condition, conditions_of, inputs
from edge.questions.robustness.figures import FLOAT, figures
from edge.questions.robustness.levels import LEVELS, SEVERITIES, check_severity
from edge.questions.robustness.section import SCHEMA, picture_name
from edge.recipes import TFLITE
from edge.report.header import data_block, header
from edge.report.pictures import jpeg
from edge.report.question import QuestionReport
from edge.report.strict import plain
from edge.runtimes import Outputs, Runtime
from edge.runtimes.open import open_file
from edge.runtimes.reference import Reference

if TYPE_CHECKING:
    from rich.table import Table

IMAGES = 128  # 56 pictures of each, three answers: about two minutes of one core
# the files with 8-bit products that take floats, as the float model does
DEFAULT = tuple(name for name, recipe in TFLITE.items() if (recipe.activations, recipe.dtype) == (8, "float32"))

Run = Callable[[np.ndarray], Outputs]  # uint8 (C, S, S, 3) -> probabilities (C, K)


@dataclass(frozen=True, repr=False)
class RobustnessReport(QuestionReport):
    """What bad photographs cost, and whether quantisation costs more on them. No gate."""

    name: ClassVar[str] = "robustness"

    def tables(self) -> list[Table | str]:
        from rich.markup import escape

        sentences = [escape(f"{file['sentence']} {file['detail']}") for file in self.report["files"][1:]]
        return [tables.table(self.report), *sentences]


def measure(
    build: Build,
    photos: Photographs,
    *,
    images: int | None = IMAGES,
    files: Sequence[str] | None = None,
    corruptions: Sequence[str] | None = None,
    severities: Sequence[int] | None = None,
    threads: int = 1,
    seed: int = 0,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> RobustnessReport:
    """Show every photograph, under every condition, to the float model and to each file.

    `images`: at most so many photographs, None for all. `files`: .tflite files or recipes, else those with 8-bit
    products. `corruptions`: names of `CORRUPTIONS`, else all. `severities`: 1 to 5, else all. `seed`, from 0: of what
    is left to chance. InputError for anything else.
    """
    at_least_one(images=images, threads=threads)
    if seed < 0:
        raise InputError(f"`seed` is a whole number from 0, got {seed}")
    names, levels = chosen_conditions(corruptions, severities)
    conditions = conditions_of(names, levels)
    entries = compared(build, files)
    with listening(on_progress):
        judged_on = judging_set(build.checkpoint, photos, limit=images, skip_missing=skip_unreadable)
        float_file, opened = open_all(build, entries, threads)
        try:
            judged_on, answers, shown, digest = answer(
                judged_on, conditions, {name: runtime.run for name, runtime in opened.items()},
                build.checkpoint.preprocess.side, skip_unreadable=skip_unreadable, seed=seed,
            )  # fmt: skip
        finally:
            for runtime in opened.values():
                runtime.close()
    results = judged(judged_on, answers, conditions, seed)
    by_recipe = {entry.recipe: entry for entry in entries}
    for file in results["files"]:
        entry = by_recipe.get(file["name"])
        file["file"], file["sha256"] = (entry.file, entry.sha256) if entry else (float_file, None)
    data = data_block(
        judged_on,
        build.checkpoint,
        labelled=results["labelled"],
        pictures_sha256=digest,
        shown=photo_name(judged_on.photos[0]),
    )
    report = {
        **header(SCHEMA, model=build.manifest.model, checkpoint_sha256=build.checkpoint.sha256, data=data),
        "seed": seed,
        "working_side": WORKING_SIDE,
        "corruptions": [described(name, levels) for name in names],
        "files": results["files"],
    }
    pictures = {picture_name(*condition): jpeg(picture) for condition, picture in zip(conditions, shown, strict=True)}
    return RobustnessReport(report, pictures)


def chosen_conditions(
    corruptions: Sequence[str] | None, severities: Sequence[int] | None
) -> tuple[list[str], list[int]]:
    names = list(dict.fromkeys(corruptions or CORRUPTIONS))
    unknown = [name for name in names if name not in CORRUPTIONS]
    if unknown:
        raise InputError(f"no corruption {unknown[0]!r}; there are {', '.join(CORRUPTIONS)}")
    levels = sorted(set(severities or SEVERITIES))
    for severity in levels:
        check_severity(severity)
    return names, levels


def judged(
    photos: PhotoSet, answers: Mapping[str, np.ndarray], conditions: Sequence[Condition], seed: int
) -> dict[str, Any]:
    """The figures as strict JSON."""
    index = {code: i for i, code in enumerate(photos.codes)}
    labels = np.array([index.get(photo.label, UNKNOWN) for photo in photos.photos], np.int64)
    return plain(figures(answers, labels, photos.patients, conditions, seed))


def described(name: str, levels: Sequence[int]) -> dict[str, Any]:
    """A corruption with the values of its severities."""
    scale = LEVELS[name]
    values = [scale.values[severity - 1] for severity in levels]
    return {"name": name, "title": scale.title, "unit": scale.unit, "severities": levels, "values": values}


def compared(build: Build, files: Sequence[str] | None) -> list[FileEntry]:
    """The files to hold against float: .tflite, those named by file or recipe, else those of DEFAULT."""
    if not files:
        return [entry for entry in build.manifest.of_pictures if entry.recipe in DEFAULT and entry.format == "tflite"]
    # A recipe may name files of several formats; of these the .tflite is meant.
    entries = [entry for entry in build.chosen(files) if entry.format == "tflite" or entry.file in files]
    other = [entry.file for entry in entries if entry.format != "tflite"]
    if other or not entries:
        raise InputError(
            f"robustness runs .tflite files, got {', '.join(other or files)}; name a .tflite file or recipe"
        )
    return [entry for entry in entries if entry.recipe != "fp32"]  # it is the float model


def open_all(build: Build, entries: Sequence[FileEntry], threads: int) -> tuple[str, dict[str, Runtime]]:
    """What stands for the float model, and everything that answers: that model first, then the files by recipe.

    The fp32 .tflite is the float model where there is one: its gate keeps every logit within 1e-4 of torch's, and it
    is several times as fast. Elsewhere it is the torch model itself.
    """
    own = [e.file for e in build.manifest.of_pictures if (e.recipe, e.format) == ("fp32", "tflite")]
    model: Runtime = open_file(build.folder / own[0], "tflite", threads=threads) if own else Reference(build.checkpoint)
    opened = {FLOAT: model}
    for entry in entries:
        opened[entry.recipe] = open_file(build.path(entry), "tflite", threads=threads)
    return own[0] if own else "the float32 torch model", opened


def answer(
    photos: PhotoSet, conditions: Sequence[Condition], runs: Mapping[str, Run], side: int, *,
    skip_unreadable: bool = False, seed: int = 0,
) -> tuple[PhotoSet, dict[str, np.ndarray], np.ndarray, str]:  # fmt: skip
    """The photographs that could be read, probabilities (N, C, K) by name, the first one's inputs, the inputs' digest.

    Every picture is made once and shown to all. One photograph is in memory at a time.
    """
    rows: dict[str, list[np.ndarray]] = {name: [] for name in runs}
    shown: list[np.ndarray] = []
    digest = hashlib.sha256()

    def ask(photo: Photo, rgb: np.ndarray) -> None:
        pictures = np.stack(list(inputs(rgb, conditions, photo_name(photo), side, seed)))
        pictures.flags.writeable = False  # no file can change what the next one sees
        digest.update(pictures.tobytes())
        if not shown:
            shown.append(pictures)
        for name, run in runs.items():
            rows[name].append(run(pictures).probabilities)

    readable = read_each(
        photos,
        lambda photo: read_photo(photo.path),
        ask,
        task=f"{len(conditions)} pictures of each photograph",
        skip_unreadable=skip_unreadable,
    )
    return readable, {name: np.stack(parts) for name, parts in rows.items()}, shown[0], digest.hexdigest()


def photo_name(photo: Photo) -> str:
    return f"{photo.domain}/{photo.image_id}"

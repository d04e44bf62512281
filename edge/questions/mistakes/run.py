"""Every wrong path on every photograph, for the float and the int8 model; what each costs, as a plain dict."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

import edge
from edge.build import Build
from edge.data.selection import Photographs, judging_set
from edge.data.table import PhotoSet
from edge.errors import InputError, at_least_one
from edge.files import moved_into_place, write_json, write_text
from edge.metrics import statistics as st
from edge.metrics.bootstrap import balanced_accuracy_drop
from edge.metrics.observations import UNKNOWN, Observations
from edge.preprocess import PREPROCESS_VERSION
from edge.progress import track
from edge.questions.mistakes.model import Model, ask_all, open_models
from edge.questions.mistakes.scene import Target, photographed, right
from edge.questions.mistakes.table import TURN, Mistake, mistakes_for
from edge.questions.observe import observations_of
from edge.questions.parity.report import NOTICE, plain
from edge.report import page as one_page

log = logging.getLogger("dermedge")

SCHEMA = "dermedge/mistakes/1"
FIGURES = ("mistakes.svg", "mistakes.jpg")
IGNORED = Mistake(
    "exif-own",
    "EXIF ignored, as the photographs have it",
    "Decoded the pixels and left the orientation aside; of the photographs that have one.",
    TURN,
    right,
)


@dataclass(frozen=True)
class Answers:
    """What one model says of all photographs, by the right path and by the wrong one: (N, K) each."""

    right: np.ndarray
    wrong: np.ndarray


@dataclass(frozen=True)
class Cost:
    report: dict[str, Any]
    pictures: Mapping[str, np.ndarray]  # "right" and the code of each mistake -> uint8 (S, S, 3) of one photograph


def cost_of(
    build: Build, *, data: Photographs, skip_unreadable: bool = False, limit: int | None = None, threads: int = 1
) -> Cost:
    """Run all mistakes on unseen photographs."""
    at_least_one(images=limit, threads=threads)
    photos = judging_set(build.checkpoint, data, limit=limit, skip_missing=skip_unreadable)
    numbers = build.checkpoint.preprocess
    target = Target(numbers.side, numbers.mean, numbers.std)
    mistakes = mistakes_for(target)
    models = open_models(build.folder, build.manifest, checkpoint=build.checkpoint, threads=threads)
    try:
        photos, orientations, shapes, seen = observe(photos, target, mistakes, models, skip_unreadable)
    finally:
        for model in models:
            model.runtime.close()
    observed = observations_of(photos, next(iter(seen["bgr"].values())).right)
    everyone = np.arange(len(photos))
    oblong = np.array([i for i, (height, width) in enumerate(shapes) if height != width], np.int64)
    rows = [
        row(one, seen[one.code], oblong if one.spares_squares and len(oblong) else everyone, observed)
        for one in mistakes
    ]
    turned = [i for i, orientation in enumerate(orientations) if orientation != 1]
    if turned:
        rows.append(row(IGNORED, as_they_lie(orientations, seen), np.array(turned), observed))
    rows.sort(key=damage)
    index = typical(shapes, seen)
    digests = {entry.file: entry.sha256 for entry in build.manifest.files}
    report = {
        "schema": SCHEMA,
        "dermedge": edge.__version__,
        "notice": NOTICE,
        "model": build.manifest.model,
        "checkpoint_sha256": build.manifest.checkpoint_sha256,
        "preprocess": PREPROCESS_VERSION,
        "data": {
            "name": photos.name,
            "images": len(photos),
            "patients": len(set(photos.patients)),
            "synthetic": photos.synthetic,
            "note": "; ".join(photos.notes),
            "not_square": len(oblong),
            "turned": len(turned),
        },
        "files": [{"form": model.form, "file": model.name, "sha256": digests.get(model.name)} for model in models],
        "shown": observed.image_ids[index],
        "mistakes": plain(rows),
    }
    scene = photographed(photos.photos[index].path, target)[0]
    return Cost(report, {"right": scene.right, **{one.code: visible(one.wrong(scene)) for one in mistakes}})


def observe(
    photos: PhotoSet, target: Target, mistakes: Sequence[Mistake], models: Sequence[Model], skip_unreadable: bool
) -> tuple[PhotoSet, list[int], list[tuple[int, int]], dict[str, dict[str, Answers]]]:
    """The photographs that can be read, their EXIF orientations and sizes, and mistake -> form -> answers."""
    kept, orientations, shapes, unreadable = [], [], [], []
    found: dict[str, dict[str, list[tuple[np.ndarray, np.ndarray]]]] = {
        one.code: {model.form: [] for model in models} for one in mistakes
    }
    for photo in track(photos.photos, f"{len(mistakes)} mistakes on {photos.name}", len(photos)):
        try:
            scene, orientation = photographed(photo.path, target)
        except InputError as error:
            if not skip_unreadable:
                raise InputError(f"{error}. Or go on without it with `skip_unreadable`") from error
            unreadable.append(photo.image_id)
            continue
        kept.append(photo)
        orientations.append(orientation)
        shapes.append(scene.upright.shape[:2])
        for code, pairs in ask_all(scene, mistakes, models).items():
            for form, pair in pairs.items():
                found[code][form].append(pair)
    if not kept:
        raise InputError(f"{photos.name}: none of {len(photos)} photographs can be read")
    if unreadable:
        text = f"{len(unreadable)} of {len(photos)} photographs cannot be read, the first {unreadable[0]}"
        log.warning("skipped %s", text)
        photos = replace(photos, notes=(*photos.notes, text))
    answers = {
        code: {
            form: Answers(np.array([p[0] for p in pairs]), np.array([p[1] for p in pairs]))
            for form, pairs in forms.items()
        }
        for code, forms in found.items()
    }
    return replace(photos, photos=tuple(kept)), orientations, shapes, answers


def compare(answers: Answers, labels: np.ndarray, groups: Sequence[str]) -> dict[str, Any]:
    """What the mistake costs; `labels` (N,) and `groups` (the patients) as in `Observations`."""
    largest = np.abs(answers.right - answers.wrong).max(axis=1)
    before, after = answers.right.argmax(axis=1), answers.wrong.argmax(axis=1)
    known = labels != UNKNOWN
    accuracy = None
    if known.any():
        people = [group for group, use in zip(groups, known, strict=True) if use]
        drop = balanced_accuracy_drop(labels[known], before[known], after[known], people)
        accuracy = {
            "before": st.balanced_accuracy(labels[known], before[known]),
            "after": st.balanced_accuracy(labels[known], after[known]),
            "change": st.Estimate(-drop.value, -drop.high, -drop.low),  # one-sided 95 % bounds
        }
    return {
        "images": len(largest),
        "changed": int(np.count_nonzero(largest)),  # images whose answer is not the same to the last bit
        "agreement": st.wilson(int((before == after).sum()), len(largest)),
        "largest_delta_p": float(largest.max()),
        "median_delta_p": float(np.median(largest)),
        "balanced_accuracy": accuracy,
    }


def row(one: Mistake, forms: Mapping[str, Answers], counted: np.ndarray, observed: Observations) -> dict[str, Any]:
    """One mistake with its words and, for each form, its cost on the photographs `counted`."""
    words = {"code": one.code, "name": one.name, "did": one.did, "mend": one.mend, "simulated": one.simulated}
    groups = [observed.groups[i] for i in counted]
    labels = observed.labels[counted]
    costs = {
        form: compare(Answers(answers.right[counted], answers.wrong[counted]), labels, groups)
        for form, answers in forms.items()
    }
    return {**words, "images": len(counted), "forms": costs}


def as_they_lie(orientations: Sequence[int], seen: Mapping[str, Mapping[str, Answers]]) -> dict[str, Answers]:
    """Every photograph with the orientation ignored that it really has; right and wrong are alike where it has none."""
    upright = seen["exif-6"]
    found = {}
    for form, answers in upright.items():
        wrong = [
            answers.right[i] if orientation == 1 else seen[f"exif-{orientation}"][form].wrong[i]
            for i, orientation in enumerate(orientations)
        ]
        found[form] = Answers(answers.right, np.array(wrong))
    return found


def damage(one: Mapping[str, Any]) -> tuple[float, float]:
    """What harms most comes first: fewest answers that stay, then the largest typical change."""
    first = next(iter(one["forms"].values()))
    return first["agreement"].value, -first["median_delta_p"]


def typical(shapes: Sequence[tuple[int, int]], seen: Mapping[str, Mapping[str, Answers]]) -> int:
    """The photograph that the page shows: not square if there is one such, and harmed as much as the middle one."""
    harm = np.mean(
        [np.abs(a.right - a.wrong).max(axis=1) for forms in seen.values() for a in list(forms.values())[:1]], axis=0
    )
    some = [i for i, (height, width) in enumerate(shapes) if height != width] or list(range(len(shapes)))
    return sorted(some, key=lambda i: harm[i])[len(some) // 2]


def visible(image: np.ndarray) -> np.ndarray:
    """What of the numbers lies in 0..255, as a picture."""
    return np.clip(image, 0, 255).astype(np.uint8)


def write(cost: Cost, folder: Path) -> Path:
    """mistakes.json and the section of report.html, both made before the first is written; returns the page."""
    from edge.questions.mistakes.page import html

    body = html(cost.report, cost.pictures)
    write_json(folder / "mistakes.json", cost.report)
    return one_page.place(folder, "mistakes", body, one_page.belongs(cost.report))


def write_figures(cost: Cost, folder: Path) -> None:
    """mistakes.svg, the plot of agreement, and mistakes.jpg, one photograph as the model gets it by every path."""
    from edge.questions.mistakes.page import agreement, sheet

    plot = agreement(cost.report).replace("<svg ", '<svg style="background:#fff;color:#1b1c20" ', 1)
    write_text(folder / FIGURES[0], plot)
    with moved_into_place(folder / FIGURES[1]) as path:
        sheet(list(cost.pictures.items())).savefig(path, dpi=100, pil_kwargs={"quality": 85})

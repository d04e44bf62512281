"""Whether a split that somebody made is sound."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edge import checks
from edge.progress import Listener

if TYPE_CHECKING:
    from edge.data.split_check.check import SplitCheck


def check_split(
    split: str | Path | Sequence[str | Path] | None = None,
    tables: str | Path | Sequence[str | Path] | None = None,
    *,
    photos: str | Path | None = None,
    predictions: str | Path | None = None,
    part: str | None = None,
    label: str | None = None,
    answer: str | None = None,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> SplitCheck:
    """Look for patients, lesions, official duplicates and near-copies that are in two parts of anybody's split.

    `split`: a table with a column of parts, a list for each part, a folder for each part or one that holds them; None:
    the images of `predictions` are one part, and what the tables list beside them the other. `tables`: who images
    belong to, and pairs of duplicates. `photos`: a folder in which the images lie, to look for near-copies; folders of
    parts need none. `predictions`: a table whose figures are told of all, of clean and of leaked images. `part`,
    `label`, `answer`: columns, where they have no usual name.

    The result has `leaks` (each with `kind`, `name`, and `images` by part), `clean` (keys of images that share nothing
    with another part), `figures`, `notes`, `as_json()`, and `write(folder)`, which leaves split_check.json, leaks.csv
    and images.csv. Raises InputError where something cannot be understood, and for photographs that cannot be read,
    unless `skip_unreadable`.
    """
    from edge.data.split_check.check import check_split as look

    checks.truths(skip_unreadable=skip_unreadable)
    checks.listener(on_progress)
    return look(
        paths(tables, "tables", "a table of images and patients"),
        paths(split, "split", "a table of parts, a list or a folder for each part"),
        photographs=None if photos is None else checks.path(photos, "photos", "the folder of the photographs"),
        predictions=None if predictions is None else checks.path(predictions, "predictions", "a table of predictions"),
        part=checks.text_or_none(part, "part", "a column of the split"),
        label=checks.text_or_none(label, "label", "a column of the predictions"),
        answer=checks.text_or_none(answer, "answer", "a column of the predictions"),
        skip_unreadable=skip_unreadable,
        on_progress=on_progress,
    )


def paths(value: object, name: str, purpose: str) -> list[Path]:
    """None of them, one, or several."""
    several = [] if value is None else list(value) if isinstance(value, list | tuple) else [value]
    return [checks.path(entry, name, purpose) for entry in several]

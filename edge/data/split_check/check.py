"""Check a split that somebody made: what its parts share, and what the figure is without that."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edge.data.listing import contents_of, index_photos
from edge.data.near_copies import alike, hash_of
from edge.data.quick_look import looked_at
from edge.data.rows import write_rows
from edge.data.zipped import by_given_names, is_zip, readable
from edge.errors import InputError
from edge.files import write_json
from edge.progress import Listener, listening

from .belonging import LESION, PATIENT, Belonging
from .figures import figures
from .leaks import Leak, Placed, clean_images, counted, groups_apart, leaks_of, placed
from .parts import REST, StatedSplit, read_split
from .predictions import Predictions, read_predictions

JSON, IMAGES, LEAKS = "split_check.json", "images.csv", "leaks.csv"  # what is written
NAMES_SHOWN = 3
EXAMPLES = 20  # leaks of a kind in the JSON; the table has all


@dataclass(frozen=True)
class SplitCheck:
    """What a split has in two parts, and how good the predictions are where nothing is."""

    parts: Mapping[str, int]  # part -> images
    leaks: Sequence[Leak]
    images: Placed
    groups: Mapping[str, str]  # image key -> who shares anything with it
    clean: frozenset[str]  # keys of images whose group is in one part
    figures: dict | None  # of `figures`, where there are predictions
    compared: int  # images whose pictures were compared
    notes: tuple[str, ...]

    def as_json(self) -> dict:
        return {
            "parts": dict(self.parts),
            "clean": {
                part: sum(key in self.clean for key, own in self.images.parts.items() if part in own)
                for part in self.parts
            },
            "pictures_compared": self.compared,
            "leaks": counted(self.leaks, list(self.parts)),
            "examples": [
                {"kind": leak.kind, "name": leak.name, "images": {part: list(own) for part, own in leak.images.items()}}
                for leak in first_of_each_kind(self.leaks, EXAMPLES)
            ],
            "figures": self.figures,
            "notes": list(self.notes),
        }

    def write(self, folder: Path) -> None:
        """split_check.json; images.csv: image, part, group, clean; leaks.csv: kind, name, part, image."""
        write_json(folder / JSON, self.as_json())
        rows = [
            (self.images.names[key], part, self.groups[key], int(key in self.clean))
            for key, parts in self.images.parts.items()
            for part in parts
        ]
        write_rows(folder / IMAGES, ("image", "part", "group", "clean"), rows)
        leaks = [
            (leak.kind, leak.name, part, image)
            for leak in self.leaks
            for part, images in leak.images.items()
            for image in images
        ]
        write_rows(folder / LEAKS, ("kind", "name", "part", "image"), leaks)


def check_split(
    tables: Sequence[Path] = (),
    split: Sequence[Path] = (),
    *,
    photographs: Path | None = None,
    predictions: Path | None = None,
    part: str | None = None,
    label: str | None = None,
    answer: str | None = None,
    skip_unreadable: bool = False,
    on_progress: Listener | None = None,
) -> SplitCheck:
    """Look for patients, lesions, official duplicates and near-copies that are in two parts of a split.

    `tables`: who images belong to, and pairs of duplicates. `split`: as `read_split`; where there is none, the images
    of `predictions` are one part, and what the tables list beside them the other. `photographs`: a folder in which the
    images lie; without it, and where the split is no folders, pictures are not compared. `predictions`: as
    `read_predictions`; their figures are told of all, of clean and of leaked images. `part`, `label`, `answer`:
    columns, where they have no usual name.

    Raises InputError where something cannot be understood, and for photographs that cannot be read
    (`skip_unreadable` goes on without them).
    """
    with listening(on_progress):
        if not split and predictions is None:
            raise InputError("give `split`, or `predictions` whose images are one part of it")
        stated = read_split(list(split) or [predictions], column=part)  # type: ignore[list-item]
        belonging = Belonging(list(tables), stated.several)
        rows = list(stated.rows)
        if stated.open_ended:
            rows += rest_of(rows, belonging, stated)
        named = belonging.take_in_names([image for image, _ in rows])
        images = placed(rows, belonging)
        pairs, compared, notes = near_copies_of(images, stated, belonging, photographs, skip_unreadable=skip_unreadable)
        leaks = leaks_of(images, belonging, pairs)
        groups = groups_apart(images, belonging, pairs)
        clean = clean_images(images, groups)
        judged = None
        if predictions is not None:
            judged, said = judge(predictions, list(tables), images, groups, clean, belonging, label, answer)
            notes += said
        notes = [*stated.notes, *notes_on(rows, images, belonging, named, compared=compared), *notes]
        sizes = Counter(own for parts in images.parts.values() for own in parts)
        return SplitCheck(sizes, leaks, images, groups, frozenset(clean), judged, compared, tuple(notes))


def rest_of(rows: Sequence[tuple[str, str]], belonging: Belonging, stated: StatedSplit) -> list[tuple[str, str]]:
    own = {belonging.key(image) for image, _ in rows}
    rest = [(name, REST) for key, name in belonging.listed.items() if key not in own]
    if not rest:
        raise InputError(
            f"`split` is one list ({stated.parts[0]}), and no `table` lists an image beside it; give the other parts, "
            "or the table of the whole set"
        )
    return rest


@by_given_names()
def near_copies_of(
    images: Placed, stated: StatedSplit, belonging: Belonging, photographs: Path | None, *, skip_unreadable: bool
) -> tuple[list[tuple[str, str]], int, list[str]]:
    """Pairs of image keys that show the same picture, how many pictures were compared, and notes."""
    paths = {belonging.key(image): path for image, path in stated.paths.items()}
    if photographs is not None:
        if not photographs.is_dir() and not is_zip(photographs):
            raise InputError(f"no folder {photographs}; `photographs` is where the images of the split lie")
        photographs = readable(photographs)
        index = index_photos(contents_of(photographs))
        located = ((key, index.find(name)) for key, name in images.names.items())
        paths |= {key: path for key, path in located if path}
        if not paths:
            raise InputError(f"none of the {len(images.names)} images of the split lies below {photographs}")
    if not paths:
        return [], 0, []
    keys = list(paths)
    hashes: list[np.ndarray | None] = []
    failed: list[str] = []
    for result in looked_at([paths[key] for key in keys], hash_of):
        if isinstance(result, InputError):
            failed.append(str(result))
        hashes.append(None if isinstance(result, InputError) else result)
    if failed and not skip_unreadable:
        raise InputError(f"{len(failed)} photographs cannot be read: {failed[0]}; or go on with `skip_unreadable`")
    notes = [f"{len(failed)} photographs cannot be read and are not compared, first {failed[0]}"] if failed else []
    return [(keys[i], keys[j]) for i, j in alike(hashes)], len(keys) - len(failed), notes


def judge(
    path: Path,
    tables: list[Path],
    images: Placed,
    groups: Mapping[str, str],
    clean: set[str],
    belonging: Belonging,
    label: str | None,
    answer: str | None,
) -> tuple[dict, list[str]]:
    """The figures of predictions, and notes."""
    predictions = read_predictions(path, tables, belonging.key, label=label, answer=answer)
    keys = [belonging.key(image) for image in predictions.images]
    inside = np.array([key in images.parts for key in keys])
    if not inside.any():
        raise InputError(f"{path}: none of its {len(keys)} images is in the split, first {predictions.images[0]}")
    notes = []
    if not inside.all():
        notes.append(f"{(~inside).sum()} predictions are of images that the split does not name, and are left out")
        predictions, keys = chosen(predictions, inside), [key for key in keys if key in images.parts]
    return figures(predictions, [groups[key] for key in keys], np.array([key in clean for key in keys])), notes


def chosen(predictions: Predictions, inside: np.ndarray) -> Predictions:
    scores = predictions.scores
    return Predictions(
        tuple(image for image, kept in zip(predictions.images, inside, strict=True) if kept),
        predictions.labels[inside],
        predictions.answers[inside],
        predictions.classes,
        None if scores is None else scores[inside],
        predictions.positive,
    )


def notes_on(
    rows: Sequence[tuple[str, str]], images: Placed, belonging: Belonging, named: int, *, compared: int
) -> list[str]:
    """What the check could not see, and other things that a person should know."""
    notes = []
    twice = sum(number > 1 for number in Counter((belonging.key(name), part) for name, part in rows).values())
    if twice:
        notes.append(f"{twice} images are there more than once in the same part, and count once")
    if named:
        notes.append(f"{named} images are in no table with their patient; their PAD-UFES-20 ids name it")
    unknown = [images.names[key] for key in images.parts if not belonging.known(key)]
    if unknown:
        notes.append(
            f"no table names a patient or lesion for {len(unknown)} of {len(images.parts)} images, first "
            f"{', '.join(unknown[:NAMES_SHOWN])}: whether they share one is unknown"
        )
    kinds = {kind for owners in belonging.owners.values() for kind in owners}
    if kinds and PATIENT not in kinds:
        notes.append(f"no patients are named, only {'lesions' if LESION in kinds else 'blocks'}")
    if not compared:
        notes.append("no photographs were at hand, so that near-copies were not looked for")
    elif compared < len(images.parts):
        notes.append(f"the pictures of {compared} of {len(images.parts)} images were at hand and compared")
    return notes


def first_of_each_kind(leaks: Sequence[Leak], number: int) -> list[Leak]:
    seen: Counter[str] = Counter()
    first = []
    for leak in leaks:
        seen[leak.kind] += 1
        if seen[leak.kind] <= number:
            first.append(leak)
    return first

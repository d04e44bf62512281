"""A balanced set on disk: squares and their copies in class folders, the folds, and what it was made of."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from edge.data.class_labels import LABELS
from edge.data.csv_table import read_table
from edge.data.identity import names_of
from edge.data.known_as import write_known_as
from edge.data.listing import MAX_PHOTOS
from edge.data.patient_table import PATIENTS
from edge.data.rows import write_rows
from edge.data.shards.on_demand import check_packed_side
from edge.data.table import Photo, PhotoSet, stem
from edge.errors import InputError, at_least_one
from edge.files import check_writable, moved_into_place, read_json, sha256, write_json
from edge.labels import to_json
from edge.locks import refused_company
from edge.preprocess import MAX_INPUT_SIDE, PREPROCESS_VERSION
from edge.progress import Listener, listening

from .augmented import VERSION
from .files import FACTS, FOLDS, ITEMS, NAMES, PUBLISHED, SOUND
from .protocols import Fold, Item, published, sound
from .recipes import balanced_set
from .work import QUALITY, Each, reduced, workers, write_squares

SIDE = 256  # pixels of the squares, as published
REDUCED = 16  # side of the pixels that hardness is told by; published: SIDE, which takes 786 kB a photograph as float32
log = logging.getLogger("dermedge")
LISTS = 2  # version of the tables; the second has NAMES
CHUNK = 64  # photographs that are reduced at a time


@dataclass(frozen=True)
class Prepared:
    """A balanced set in its folder."""

    folder: Path
    facts: dict  # as set.json has them
    items: tuple[Item, ...]
    folds: tuple[Fold, ...]
    photos: PhotoSet

    def path(self, item: Item) -> Path:
        return self.folder / file_of(self.photos, item)


def prepare(
    photos: PhotoSet,
    recipe: str,
    *,
    out: Path,
    soundly: bool = False,
    per_class: int | None = None,
    folds: int | None = None,
    seed: int = 0,
    side: int = SIDE,
    full: bool = False,
    jobs: int = 1,
    on_progress: Listener | None = None,
) -> Prepared:
    """Make the set below `out`, in a folder that is named after all that it is made of.

    As published, classes are cut down and filled up before the split; `soundly`, patients are split first, the training
    part of each fold is balanced by itself, and test parts stay as they are. `per_class`, `folds`: as published where
    None. `full`: hardness by all pixels. `jobs`: processes. The same photographs and options give the same bytes; a set
    that was interrupted goes on where it stopped, one that is finished is opened. Raises InputError where the
    photographs have other classes, cannot be read, or are fewer than the folds need.
    """
    at_least_one(per_class=per_class, folds=folds, jobs=jobs)
    wanted = balanced_set(recipe, photos)
    per_class, folds = per_class or wanted.per_class, folds or wanted.folds
    check_sizes(photos, per_class=per_class, folds=folds, seed=seed)
    if not REDUCED <= side <= MAX_INPUT_SIDE:
        raise InputError(f"`side` is {REDUCED} to {MAX_INPUT_SIDE} pixels, got {side}")
    check_packed_side(photos, side, wanted_for="this set wants")
    check_writable(out)
    masks = sum(photo.mask is not None for photo in photos.photos)
    if masks:
        log.warning(f"{masks} masks of {photos.name} do not come along: a balanced set teaches classes alone")
    facts: dict = {
        "recipe": recipe,
        "protocol": SOUND if soundly else PUBLISHED,
        "per_class": per_class,
        "folds": folds,
        "seed": seed,
        "side": side,
        "hardness_side": side if full else REDUCED,
        "source": {"name": photos.name, "sha256": photos.sha256(), "licence": photos.licence},
        "versions": {"preprocess": PREPROCESS_VERSION, "copies": VERSION, "jpeg_quality": QUALITY, "lists": LISTS},
        "synthetic": photos.synthetic,
    }
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]
    folder = out / f"{recipe}-{'sound' if soundly else 'published'}-{digest}"
    part = out / f".{folder.name}.part"
    with listening(on_progress):
        if not folder.is_dir():
            part.mkdir(parents=True, exist_ok=True)
            with refused_company(part, f"makes {folder.name}"):
                if not folder.is_dir():  # another process may have made it meanwhile
                    with workers(jobs) as each:
                        pixels = reduced_pixels(photos, part / "pixels", facts["hardness_side"], each)
                        make = sound if soundly else published
                        cut = make(photos, pixels, per_class=per_class, folds=folds, seed=seed, folder=part, jobs=jobs)
                        write_set(photos, part / "set", cut, facts, each)
                    os.replace(part / "set", folder)
        shutil.rmtree(part, ignore_errors=True)  # also what a process left that was killed just before
        return opened(folder, photos)


def check_sizes(photos: PhotoSet, *, per_class: int, folds: int, seed: int) -> None:
    """InputError for folds that cannot be cut and sets that nobody could read."""
    if folds < 2:
        raise InputError(f"`folds` is at least 2, got {folds}; one is learned from while another is judged")
    if per_class < folds:
        raise InputError(f"`per_class` {per_class} is fewer than the {folds} folds; give at least one for each")
    if per_class * len(photos.classes) > MAX_PHOTOS:
        raise InputError(f"`per_class` {per_class} makes more than {MAX_PHOTOS} images, which no command reads")
    if not 0 <= seed < 2**32:
        raise InputError(f"`seed` is 0 to {2**32 - 1}, got {seed}")
    most = max(photos.counts.values())
    if most < folds:
        raise InputError(
            f"no class of {photos.name} has {folds} photographs, one for each fold; the largest has {most}"
        )


def reduced_pixels(photos: PhotoSet, folder: Path, side: int, each: Each) -> np.ndarray:
    """uint8 (N, side, side, 3) of the photographs; chunks are kept in `folder`, so that none is read twice."""
    folder.mkdir(exist_ok=True)
    paths = [photo.path for photo in photos.photos]
    chunks = [paths[start : start + CHUNK] for start in range(0, len(paths), CHUNK)]
    kept = [folder / f"{number:05d}.npy" for number in range(len(chunks))]
    lacking = [number for number, path in enumerate(kept) if not path.is_file()]
    work = [(chunks[number], side) for number in lacking]
    for number, pixels in zip(lacking, each(reduced, work, "reading photographs"), strict=True):
        with moved_into_place(kept[number]) as path, path.open("wb") as file:
            np.save(file, pixels, allow_pickle=False)
    return np.concatenate([np.load(path, allow_pickle=False) for path in kept])


def write_set(photos: PhotoSet, folder: Path, folds: Sequence[Fold], facts: dict, each: Each) -> None:
    """Squares in class folders with patients.csv and labels.json, which every command reads; items, folds and facts."""
    items = list(dict.fromkeys(item for fold in folds for item in (*fold.train, *fold.test)))
    aside = folder.parent / "unfinished"
    aside.mkdir(exist_ok=True)
    by_photo: dict[int, list[tuple[int, Path]]] = {}
    for place, copy in items:
        by_photo.setdefault(place, []).append((copy, folder / file_of(photos, (place, copy))))
    work = [
        (photos.photos[place].path, photos.photos[place].image_id, targets, facts["side"], facts["seed"], aside)
        for place, targets in sorted(by_photo.items())
    ]
    for _ in each(write_squares, work, "writing squares"):
        pass
    names = {item: file_of(photos, item) for item in items}
    rows = [
        (names[item], photos.photos[item[0]].image_id, item[1], photos.photos[item[0]].label,
         photos.photos[item[0]].patient, sha256(folder / names[item]))
        for item in items
    ]  # fmt: skip
    write_rows(folder / ITEMS, ("file", "image", "copy", "class", "patient", "sha256"), rows)
    write_rows(
        folder / FOLDS,
        ("fold", "role", "file"),
        [
            (number, role, names[item])
            for number, fold in enumerate(folds)
            for role, own in (("train", fold.train), ("test", fold.test))
            for item in own
        ],
    )
    write_rows(folder / PATIENTS, ("file", "patient"), [(row[0], row[4]) for row in rows])
    write_known_as(
        folder / NAMES, (named_as(photos.photos[item[0]], name, copy=item[1]) for item, name in names.items())
    )
    write_json(folder / LABELS, {"classes": to_json(photos.classes)})
    counts = Counter(photos.photos[place].label for place, _ in items)
    write_json(
        folder / FACTS,
        {**facts, "photographs": len(by_photo), "images": len(items), "classes": dict(sorted(counts.items()))},
    )


def named_as(photo: Photo, image_id: str, *, copy: int) -> Photo:
    """The photograph, or an augmented copy of it, under the name that it has here, with those that it had before."""
    names = names_of(photo)
    people = ((domain, "", patient) for domain, _, patient in names if patient)
    return replace(photo, image_id=image_id, also_known_as=(*people, *(() if copy else names)))


def file_of(photos: PhotoSet, item: Item) -> str:
    """The class's folder and a name: the photograph's with a number for a copy."""
    photo, copy = photos.photos[item[0]], item[1]
    name = re.sub(r"[^\w.-]+", "_", stem(photo.image_id))
    return f"{photo.label}/{name}{f'.copy{copy:03d}' if copy else ''}.jpg"


def opened(folder: Path, photos: PhotoSet) -> Prepared:
    """A finished set; InputError where its files are not those that it lists."""
    places = {photo.image_id: place for place, photo in enumerate(photos.photos)}
    items: dict[str, Item] = {}
    for row in read_table(folder / ITEMS):
        items[row["file"]] = (places[row["image"]], int(row["copy"]))
    folds: dict[int, dict[str, list[Item]]] = {}
    for row in read_table(folder / FOLDS):
        folds.setdefault(int(row["fold"]), {"train": [], "test": []})[row["role"]].append(items[row["file"]])
    lacking = next((file for file in items if not (folder / file).is_file()), None)
    if lacking:
        raise InputError(f"{folder} lacks {lacking}, which it lists; remove the folder and make it again")
    cut = tuple(Fold(tuple(own["train"]), tuple(own["test"])) for _, own in sorted(folds.items()))
    facts = read_json(folder / FACTS, expected="facts of a prepared set")
    return Prepared(folder, facts, tuple(items.values()), cut, photos)

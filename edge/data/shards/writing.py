"""A set of photographs -> squares in tar files, laid out as WebDataset has them: `KEY.jpg` and `KEY.json` of a sample.

Python's own tarfile writes them. The library `webdataset` would read them, but in their order: it shuffles in a buffer,
goes on inside an epoch only by reading it again, and decodes with pickle, where a run here reads by number.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
import shutil
import tarfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edge.capture import read_photo
from edge.data.answer_columns import shown
from edge.data.class_labels import LABELS
from edge.data.known_as import KNOWN_AS, write_known_as
from edge.data.masks import shares_of
from edge.data.prepared.work import QUALITY, workers
from edge.data.rows import write_rows
from edge.data.shards.on_demand import check_packed_side
from edge.data.table import Photo, PhotoSet
from edge.errors import InputError, at_least_one
from edge.files import check_writable, moved_into_place, sha256, write_json
from edge.labels import to_json
from edge.locks import refused_company
from edge.nine_questions import QUESTIONS
from edge.preprocess import MAX_INPUT_SIDE, PREPROCESS_VERSION, to_input
from edge.progress import Listener, listening
from edge.questionnaire import Answer
from edge.shards import MASKS, MEMBERS, ROW, member_name, shard_name

from .layout import COLUMNS, FACTS, INDEX, MASKED, SCHEMA, TABLES, digest_key

SIDE = 256  # pixels
WHOLE = "set"  # in the folder of the parts: what becomes the folder of the set
PER_SHARD = 4096  # photographs; at 256 pixels about 150 MB


@dataclass(frozen=True)
class Sharded:
    """A set in its folder."""

    folder: Path
    photographs: int
    shards: int
    size: int  # bytes of the shards


def write_shards(
    photos: PhotoSet, *, out: Path, side: int = SIDE, jobs: int = 1, on_progress: Listener | None = None
) -> Sharded:
    """Pack the squares of `photos` below `out`, in a folder that is named after all that it is made of.

    Squares are those that a model of that side sees, as JPEG of quality QUALITY, and masks the share of each of their
    pixels that is lesion, as grey PNG; ids, patients, lesions, answers and names elsewhere are kept. `jobs`: processes.
    The same photographs and side give the same bytes; what was interrupted goes on with the first shard that is not
    whole, and what is finished is left as it is. Raises InputError for a balanced set, one without classes, and
    photographs and masks that cannot be read, or lie in shards of a smaller side.
    """
    at_least_one(jobs=jobs)
    if not 1 <= side <= MAX_INPUT_SIDE:
        raise InputError(f"`side` is 1 to {MAX_INPUT_SIDE} pixels, got {side}")
    if photos.prepared:
        raise InputError(f"{photos.name} is a balanced set, whose folds shards do not keep; give what it is made of")
    if not photos.classes:
        raise InputError(f"{photos.name} has no classes; shards are for photographs that teach one")
    check_packed_side(photos, side, wanted_for="these shards want")
    check_writable(out)
    facts = facts_of(photos, {"side": side, "source_sha256": photos.sha256(), "preprocess": PREPROCESS_VERSION,
                              "jpeg_quality": QUALITY})  # fmt: skip
    folder, part = places(photos, facts, out)
    with listening(on_progress):
        if not folder.is_dir() or part.exists():
            part.mkdir(parents=True, exist_ok=True)
            with refused_company(part, f"making {folder.name}"):
                if folder.is_dir():  # made meanwhile, or by one that was killed before it removed the part
                    shutil.rmtree(part)
                else:
                    take_back(part)
                    firsts = range(0, len(photos), PER_SHARD)
                    work = [(photos.photos[first : first + PER_SHARD], first, side, part) for first in firsts]
                    with workers(jobs) as each:
                        for _ in each(pack, work, "writing shards"):
                            pass
                    finish(photos, facts, part, folder)
    return summary(folder)


def facts_of(photos: PhotoSet, settings: dict[str, object]) -> dict[str, object]:
    """What shards.json says beside digests and sizes; `settings`: how the squares were made."""
    return {
        "schema": MASKED if any(photo.mask for photo in photos.photos) else SCHEMA, "name": photos.name,
        "synthetic": photos.synthetic, "licence": photos.licence, "official": photos.official,
        "altered": photos.altered, "joined": photos.joined, "notes": list(photos.notes), "photographs": len(photos),
        "per_shard": PER_SHARD, **settings,
    }  # fmt: skip


def places(photos: PhotoSet, facts: dict[str, object], out: Path) -> tuple[Path, Path]:
    """The folder of the finished set, and that of its parts until then."""
    digest = hashlib.sha256(json.dumps([facts, to_json(photos.classes)], sort_keys=True).encode())
    for photo in photos.photos:
        digest.update("\t".join([*fields(photo), repr(photo.also_known_as)]).encode("utf-8", "backslashreplace"))
    name = re.sub(r"[^\w.-]+", "_", photos.name).strip("._")[:64] or "set"
    folder = out / f"{name}-shards-{digest.hexdigest()[:12]}"
    return folder, out / f".{folder.name}.part"


def fields(photo: Photo) -> list[str]:
    """Of a row of the index."""
    answers = (photo.answers.get(question.id) for question in QUESTIONS)
    ids = [photo.image_id, photo.patient, photo.lesion, photo.label, photo.domain]
    return [*ids, *map(field, answers), photo.site]


def field(answer: Answer | None) -> str:
    """As tables have it: an answer, or nothing where it was not given."""
    return "" if answer is None else repr(answer) if isinstance(answer, float) else shown(answer)


def pack(work: tuple[tuple[Photo, ...], int, int, Path]) -> None:
    """Write the shard of photographs from a number on, at a side, into a folder, unless it is there."""
    photos, first, side, part = work
    if not (part / shard_name(first // PER_SHARD)).exists():
        write_tar(part, first, ((photo, square_of(photo, side)) for photo in photos), side=side)


def square_of(photo: Photo, side: int) -> bytes:
    """The square as JPEG; InputError that names the photograph."""
    try:
        square = to_input(read_photo(photo.path), side)
    except InputError as error:
        raise InputError(f"{photo.image_id}: {error}. Mend or remove it; shards are made of whole sets") from error
    return jpeg(square)


def jpeg(square: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(square).save(file, "JPEG", quality=QUALITY, subsampling=0)
    return file.getvalue()


def mask_of(photo: Photo, side: int) -> bytes:
    """The shares of the mask's square as PNG, nothing where there is none; InputError that names the photograph."""
    if photo.mask is None:
        return b""
    try:
        own = shares_of(photo, side)
    except InputError as error:
        raise InputError(f"{photo.image_id}: {error}") from error
    file = io.BytesIO()
    Image.fromarray(own).save(file, "PNG")
    return file.getvalue()


def write_tar(part: Path, first: int, contents: Iterable[tuple[Photo, bytes]], *, side: int = 0) -> None:
    """Write a shard of photographs and their files, numbered from `first`, and its rows of `MEMBERS` and `MASKS`.

    `side`: of the masks, where any photograph has one.
    """
    shard, rows, masks = first // PER_SHARD, [], []
    with moved_into_place(part / shard_name(shard)) as unfinished:
        with tarfile.open(unfinished, "w", format=tarfile.USTAR_FORMAT) as tar:
            for number, (photo, content) in enumerate(contents, start=first):
                rows.append(add(tar, member_name(number), content, shard))
                masks.append(add(tar, member_name(number, "png"), mask_of(photo, side), shard))
                said = {"image": photo.image_id, "patient": photo.patient, "label": photo.label}
                add(tar, member_name(number, "json"), json.dumps(said).encode())
        for name, own in ((MEMBERS, rows), (MASKS, masks)):
            with moved_into_place(part / rows_name(shard, name)) as table, table.open("wb") as file:
                np.save(file, np.array(own, ROW), allow_pickle=False)


def rows_name(shard: int, table: str) -> str:
    """The file of a shard's rows of MEMBERS or MASKS, until all are there."""
    return f"{shard:05d}.npy" if table == MEMBERS else f"{shard:05d}-{table}"


def add(tar: tarfile.TarFile, name: str, content: bytes, shard: int = 0) -> tuple[int, int, int, np.ndarray]:
    """Add a file of no time and owner, so that the same photographs give the same bytes; its row, a ROW.

    What has no content is not added.
    """
    digest = np.frombuffer(hashlib.sha256(content).digest(), np.uint8)
    if not content:
        return shard, 0, 0, digest
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
    blocks = -(-len(content) // tarfile.BLOCKSIZE)
    return shard, int(tar.offset) - blocks * tarfile.BLOCKSIZE, len(content), digest


def finish(photos: PhotoSet, facts: dict[str, object], part: Path, folder: Path) -> None:
    """Tables and facts beside the shards in `part`; then all of it becomes `folder`, at once."""
    shards = range(-(-len(photos) // PER_SHARD))
    whole = part / WHOLE
    shutil.rmtree(whole, ignore_errors=True)
    whole.mkdir()
    for name in (MEMBERS, MASKS) if facts["schema"] == MASKED else (MEMBERS,):
        rows = [np.load(part / rows_name(number, name), allow_pickle=False) for number in shards]
        with (whole / name).open("wb") as file:
            np.save(file, np.concatenate(rows), allow_pickle=False)
    write_rows(whole / INDEX, COLUMNS, [fields(photo) for photo in photos.photos])
    write_known_as(whole / KNOWN_AS, photos.photos)
    write_json(whole / LABELS, {"classes": to_json(photos.classes)})
    digests = {digest_key(name): sha256(whole / name) if (whole / name).is_file() else None for name in TABLES}
    sizes = [(part / shard_name(number)).stat().st_size for number in shards]
    write_json(whole / FACTS, {**facts, **digests, "shards": sizes})
    for number in shards:
        own = part / shard_name(number), whole / shard_name(number)
        try:
            os.link(*own)  # so that a killed move loses none
        except OSError:  # a file system without hard links, as exFAT; `take_back` knows of shards that were moved
            os.replace(*own)
    os.replace(whole, folder)
    shutil.rmtree(part)


def take_back(part: Path) -> None:
    """Shards that one who was killed had moved out of the parts already."""
    for path in (part / WHOLE).glob("shard-*.tar"):
        os.replace(path, part / path.name)


def summary(folder: Path) -> Sharded:
    from .reading import read

    photos = read(folder)
    tars = list(folder.glob("shard-*.tar"))
    return Sharded(folder, len(photos), len(tars), sum(path.stat().st_size for path in tars))

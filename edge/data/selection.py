"""The photographs on which a model may be judged: those of patients that it never saw."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from edge.checkpoint import Checkpoint
from edge.data import isic
from edge.data.identity import archive_id, names_of
from edge.data.readers import FIRST_SETS, check_there, open_one, open_photos, sets_in
from edge.data.squares import cache_folder
from edge.data.table import Photo, PhotoSet, stem
from edge.errors import InputError
from edge.progress import counting

log = logging.getLogger("dermedge")

ENVIRONMENT = "DERMEDGE_PHOTOS"
# where photographs come from: a folder, sets that are open already, or None: see `find_sets`
Photographs = Path | str | PhotoSet | Sequence[PhotoSet] | None
Listing = Mapping[str, Mapping[str, list[str]]]  # data set -> patients and images, as a checkpoint has them
NAMED = {*FIRST_SETS, *isic.DOMAINS, "synthetic"}  # data sets whose name does not depend on where they lie
FEWEST_TO_SHARE = 6  # patients
SYNTHETIC_SEED = 20_261_121
SYNTHETIC_PATIENTS = 24


def check_folder(data: Path | None) -> None:
    """InputError if the folder that `find_sets` would look into is not there; quick, so that a slip is told at once."""
    named = data or os.environ.get(ENVIRONMENT)
    if named:
        check_there(Path(named))


def find_sets(data: Photographs, *, skip_missing: bool = False) -> list[PhotoSet]:
    """The sets in `data`, else those in the folder that DERMEDGE_PHOTOS names, else the synthetic sample.

    A folder may be one set or hold several, all of which count. Sets that are open already are taken as they are.
    """
    if isinstance(data, PhotoSet):
        return [data]
    if data is not None and not isinstance(data, Path | str):
        if not isinstance(data, list | tuple) or not data or not all(isinstance(part, PhotoSet) for part in data):
            raise InputError(f"photographs are a folder, a PhotoSet or a list of them, got {data!r:.80}")
        return list(data)
    if data is None and os.environ.get(ENVIRONMENT):
        data = os.environ[ENVIRONMENT]
    if data is None:
        return [open_photos(synthetic_sample())]
    sets = [open_one(folder, skip_missing=skip_missing) for folder in sets_in(Path(data))]
    names = [photos.name for photos in sets]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise InputError(f"{data} holds the set {twice} more than once; give one of the folders")
    return sets


def synthetic_sample() -> Path:
    """The embedded sample, drawn once into the cache."""
    from edge.data.synthetic import SAMPLE_VERSION, write_sample

    folder = cache_folder() / f"synthetic-{SAMPLE_VERSION}-{SYNTHETIC_SEED}-{SYNTHETIC_PATIENTS}"
    if not folder.is_dir():
        with counting("drawing synthetic photographs") as advance:
            write_sample(folder, seed=SYNTHETIC_SEED, patients=SYNTHETIC_PATIENTS, on_progress=advance)
    return folder


def unseen(photos: PhotoSet, checkpoint: Checkpoint) -> PhotoSet:
    """The photographs of patients that neither trained `checkpoint` nor set its temperature.

    A patient or an image that the checkpoint lists counts as seen; everything else does not, and of a network of
    unknown past a note says so. Augmented copies of a balanced set are left out. Raises InputError if nothing is left.
    """
    photos = photos.natural()
    note = f"{photos.name}: which patients trained this network is unknown, so some of these may have"
    doubt = (note,) if checkpoint.patients_unknown and not photos.synthetic else ()
    if calibrates_on_a_third(checkpoint):
        measured = set(calibration_patients(photos))
        rest = photos.where(lambda photo: photo.patient not in measured)
        return replace(rest, notes=(*photos.notes, *doubt))
    seen = seen_in((checkpoint.trained, checkpoint.held_back))
    several = len({photo.domain for photo in photos.photos}) > 1  # who is seen in one of them is seen in all
    patients = {photo.patient for photo in photos.photos if several and seen(photo)}
    left = photos.where(lambda photo: photo.patient not in patients and not seen(photo))
    if not left.photos:
        raise InputError(
            f"all {len(photos)} photographs of {photos.name} are of patients that this checkpoint was trained on; "
            "parity there would prove nothing. Give `photos` photographs of other patients."
        )
    return replace(left, notes=(*left.notes, *doubt)) if doubt else left


def seen_in(parts: Iterable[Listing]) -> Callable[[Photo], bool]:
    """A function that says whether `parts`, lists of a checkpoint, name a photograph or its patient."""
    parts = list(parts)
    archive = {archive_id(name) for part in parts for every in part.values() for name in every.get("images", [])}
    archive.discard(None)  # an ISIC or PAD-UFES-20 id counts in whatever set it was listed

    @cache
    def of(domain: str) -> tuple[set[str], set[str]]:
        listed = [listed_for(part, domain, beside=parts) for part in parts]
        patients = {patient for own in listed for patient in own["patients"]}
        return patients, {stem(image) for own in listed for image in own["images"]}

    def seen(photo: Photo) -> bool:
        return any(
            patient in of(domain)[0] or stem(image) in of(domain)[1] or archive_id(image) in archive
            for domain, image, patient in names_of(photo)
        )

    return seen


def images_in(checkpoint: Checkpoint, role: str) -> Callable[[Photo], bool]:
    """A function that says whether a checkpoint lists a photograph as `trained`, `held_back` or `unseen`."""
    roles = (checkpoint.trained, checkpoint.held_back, checkpoint.unseen)

    @cache
    def of(domain: str) -> set[str]:
        return set(listed_for(getattr(checkpoint, role), domain, beside=roles)["images"])

    return lambda photo: any(image in of(domain) for domain, image, _ in names_of(photo))


def listed_for(part: Listing, domain: str, *, beside: Iterable[Listing] = ()) -> dict[str, list[str]]:
    """The ids that a list of a checkpoint has for a data set; `beside`: its other lists.

    A set of class folders has the name of its folder, which may have been renamed since: where no list has it, every
    listed set whose name is not fixed counts. The archive and the challenges of ISIC share photographs under the same
    ids.
    """
    if domain in isic.DOMAINS:
        names = list(isic.DOMAINS)
    elif domain in NAMED or any(domain in other for other in (part, *beside)):
        names = [domain]  # ids of another clinic may be the same, and are of other people
    else:
        names = [name for name in part if name not in NAMED]
    sets = [part[name] for name in names if name in part]
    return {kind: [name for listed in sets for name in listed.get(kind, [])] for kind in ("patients", "images")}


def calibration_set(checkpoint: Checkpoint, data: Photographs, *, limit: int, skip_missing: bool = False) -> PhotoSet:
    """Photographs of patients that trained the checkpoint, for the ranges of activations.

    Falls back to the synthetic sample where the training photographs are not at hand.
    """
    sets = find_sets(data, skip_missing=skip_missing)
    parts = []
    for photos in sets:
        if calibrates_on_a_third(checkpoint):
            patients = set(calibration_patients(photos))
            trained = sorted((photo for photo in photos.photos if photo.patient in patients), key=order)
        else:
            trained = sorted(filter(images_in(checkpoint, "trained"), photos.photos), key=order)
        parts.append(replace(photos, photos=tuple(trained[: limit // len(sets)])))
    chosen = tuple(photo for part in parts for photo in part.photos)
    if chosen:
        return replace(parts[0], name=" + ".join(part.name for part in parts if part.photos), photos=chosen)
    sample = open_photos(synthetic_sample())
    return replace(sample, photos=tuple(sorted(sample.photos, key=order)[:limit]))


def calibrates_on_a_third(checkpoint: Checkpoint) -> bool:
    """Whether the ranges of its 8-bit files are measured on a third of the patients: a network of one's own, without
    lists. An imported one of a model that dermedge knows is measured on the synthetic sample, and judged on everybody.
    """
    return bool(checkpoint.program) and not checkpoint.trained


def calibration_patients(photos: PhotoSet) -> list[str]:
    """A third of the patients, by a hash of their ids: they calibrate 8-bit files of networks that list no patients.

    They are left out where files are judged. Empty for a synthetic set, and for fewer than FEWEST_TO_SHARE patients.
    """
    patients = sorted(set(photos.patients), key=lambda patient: hashlib.sha256(patient.encode()).hexdigest())
    return [] if photos.synthetic or len(patients) < FEWEST_TO_SHARE else patients[::3]


def role_sets(checkpoint: Checkpoint, role: str, data: Photographs, *, skip_missing: bool = False) -> list[PhotoSet]:
    """The photographs found that a checkpoint lists as `trained` or `held_back`, by set; sets without any left out."""
    sets = []
    for photos in find_sets(data, skip_missing=skip_missing):
        chosen = tuple(sorted(filter(images_in(checkpoint, role), photos.photos), key=order))
        if chosen:
            sets.append(replace(photos, photos=chosen))
    return sets


def judging_set(
    checkpoint: Checkpoint, data: Photographs, *, limit: int | None = None, skip_missing: bool = False
) -> PhotoSet:
    """Unseen photographs of all sets found, as one set with the checkpoint's classes.

    With `limit`, the first set gives three quarters and the others share the rest; which photographs is
    decided by a hash of their ids, so that it does not depend on the order of files.
    """
    sets = [unseen(photos, checkpoint) for photos in find_sets(data, skip_missing=skip_missing)]
    known = {label.code for label in checkpoint.labels}
    strangers = []
    for photos in sets:
        unknown = [code for code, count in photos.counts.items() if code not in known and count]
        if not known & set(photos.codes):
            strangers.append(
                f"{photos.name} has none of the classes {', '.join(sorted(known))}: only agreement is judged there"
            )
        elif unknown:
            strangers.append(
                f"{photos.name}: the model has no class {', '.join(unknown)}; only agreement is judged there"
            )
    for note in strangers:
        log.warning(note)
    if limit is not None:
        others = [limit // 4 // (len(sets) - 1)] * (len(sets) - 1) if len(sets) > 1 else []
        shares = [limit - sum(others), *others]
        sets = [replace(s, photos=tuple(sorted(s.photos, key=order)[:n])) for s, n in zip(sets, shares, strict=True)]
    return PhotoSet(
        name=" + ".join(photos.name for photos in sets),
        classes=checkpoint.labels,
        photos=tuple(photo for photos in sets for photo in photos.photos),
        synthetic=any(photos.synthetic for photos in sets),
        licence=", ".join(dict.fromkeys(photos.licence for photos in sets)),
        notes=(*(note for photos in sets for note in photos.notes), *strangers),
    )


def order(photo: Photo) -> str:
    return hashlib.sha256(photo.image_id.encode()).hexdigest()

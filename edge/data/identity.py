"""Who and what is the same in two sets: names there, and keys that are equal.

An ISIC id names the same photograph in every set, also with the ending that the challenge of 2019 gave to reduced ones,
and so does an id of PAD-UFES-20 (PAT_patient_lesion_image), also in class folders into which somebody has sorted them.
Other ids, and those of patients, are unique within their data set only.
"""

from __future__ import annotations

import re
from pathlib import Path

from edge.data.isic import DOMAINS
from edge.data.table import Photo, stem

ARCHIVE_ID = re.compile(r"(ISIC_\d{7})(?:_downsampled)?|(PAT_\d{1,5}_\d{1,5}_\d{1,5})", re.IGNORECASE)


def archive_id(image_id: str) -> str | None:
    """The id of ISIC or of PAD-UFES-20 in an image id, which may be a path; None where there is none."""
    match = ARCHIVE_ID.fullmatch(Path(stem(image_id)).name)
    return (match[1] or match[2]).upper() if match else None


def names_of(photo: Photo) -> list[tuple[str, str, str]]:
    """(data set, image, patient) by which sets know a photograph, as they have it themselves; "" for what they lack.

    The patient of a table of several sets is called by one of them, and may have another name in the photograph's own.
    """
    named_there = any(family(domain) == family(photo.domain) for domain, _, _ in photo.also_known_as)
    patient = "" if named_there else own_id(photo.domain, photo.patient)
    return [(photo.domain, own_id(photo.domain, photo.image_id), patient), *photo.also_known_as]


def photo_key(photo: Photo) -> str:
    """Equal for the same photograph in two sets; `photo_keys` has what it is called in others, too."""
    return archive_id(photo.image_id) or f"{family(photo.domain)}/{stem(own_id(photo.domain, photo.image_id))}"


def photo_keys(photo: Photo) -> set[str]:
    """Two photographs that share one are the same."""
    names = {archive_id(image) or f"{family(domain)}/{stem(image)}" for domain, image, _ in names_of(photo) if image}
    return names | {photo_key(photo)}


def patient_key(photo: Photo) -> str:
    """Equal for the same patient, or lesion, in two sets; within one set also where it joins what others part."""
    return min(patient_keys(photo))


def patient_keys(photo: Photo) -> set[str]:
    """Two photographs that share one are of the same patient, or lesion."""
    return {f"{family(domain)}/{patient}" for domain, _, patient in names_of(photo) if patient}


def family(domain: str) -> str:
    """Sets of ISIC have their ids in common."""
    return "isic" if domain in DOMAINS else domain


JOINED = "::"  # between the data set and an id, where a table joins sets whose ids may be the same


def joined_id(domain: str, own: str, *, unique: bool) -> str:
    """An id for a table of several sets; `unique`: no other set has such ids, as those of PAD-UFES-20 and ISIC."""
    return own if unique else f"{domain}{JOINED}{own}"


def own_id(domain: str, joined: str) -> str:
    """The id that the data set itself has."""
    return joined.removeprefix(f"{domain}{JOINED}")

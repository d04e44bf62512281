"""Keys that are equal for the same photograph, or the same patient, in two sets.

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


def photo_key(photo: Photo) -> str:
    """Equal for the same photograph in two sets."""
    return archive_id(photo.image_id) or f"{photo.domain}/{stem(own_id(photo.domain, photo.image_id))}"


def patient_key(photo: Photo) -> str:
    """Equal for the same patient, or lesion, in two sets."""
    return f"{'isic' if photo.domain in DOMAINS else photo.domain}/{own_id(photo.domain, photo.patient)}"


JOINED = "::"  # between the data set and an id, where a table joins sets whose ids may be the same


def joined_id(domain: str, own: str, *, unique: bool) -> str:
    """An id for a table of several sets; `unique`: no other set has such ids, as those of PAD-UFES-20 and ISIC."""
    return own if unique else f"{domain}{JOINED}{own}"


def own_id(domain: str, joined: str) -> str:
    """The id that the data set itself has."""
    return joined.removeprefix(f"{domain}{JOINED}")
